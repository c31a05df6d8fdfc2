"""Whatever happens to the files of an output folder, plan is total and apply converges."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FILES = (
    "pki/root/ca.crt", "pki/root/ca.key", "pki/root/crl.pem", "pki/issuing/ca.crt", "pki/issuing/ca.key",
    "pki/issuing/chain.pem", "servers/accounts/tls/cert.pem", "servers/accounts/tls/key.pem",
    "servers/accounts/tls/ca.pem", "clients/teller/tls/cert.pem", "clients/teller/tls/intermediates.pem",
)  # fmt: skip

damages = st.dictionaries(
    st.sampled_from(FILES), st.none() | st.binary(max_size=40) | st.sampled_from(FILES), min_size=1, max_size=5
)


@pytest.fixture
def pristine(household):
    household.apply()
    return household


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=damages)
def test_any_damage_is_repaired(pristine, tmp_path_factory, damage):
    """A file is deleted (None), replaced by bytes, or by another of the files."""
    household = type(pristine)(tmp_path_factory.mktemp("damaged"), now=pristine.now)
    shutil.copytree(pristine.out, household.out)
    for path, content in damage.items():
        place = household.out / path
        if content is None:
            place.unlink()
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_bytes((pristine.out / content).read_bytes())
    household.apply()
    assert household.plan().changes == ()
    leaf = household.certificate("servers/accounts/tls/cert.pem")
    leaf.verify_directly_issued_by(household.certificate("pki/issuing/ca.crt"))
