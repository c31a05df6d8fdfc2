"""Distinguished names, against the real openssl."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold.errors import PkiError
from scaffold.pki import broken, bundles, names, profiles
from scaffold.pki.names import rfc2253
from scaffold.topology.messages import Invalid
from scaffold.topology.model import Fault, KeyType, Subject
from scaffold.topology.names import text_without_controls
from tests.unit.pki.lab import ISSUING, NOW, TOPOLOGY, client, leaf, openssl, root_issuer, server

KEY = ed25519.Ed25519PrivateKey.generate()


def openssl_prints(folder: Path, name: x509.Name) -> str:
    certificate = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(KEY, None)
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    done = openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", cwd=folder, data=pem)
    return done.stdout.removeprefix("subject=").removesuffix("\n")


def common_name(value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


AWKWARD = [
    "teller", "a,b", 'say "hi"', "a+b", "a=b", "<a>;b", "back\\slash", " lead", "trail ", " ", "  ", " a ",
    "#hash", "#", "##", "a#b", "Ćao", "日本", "🏦", "tab\tnew\nline\r", "\x7f", "nul\x00l", "a/b",
    "O=evil,CN=root", "{{ x }}", "$(id)", "'",
]  # fmt: skip


@pytest.mark.parametrize("value", AWKWARD)
def test_awkward_values_are_printed_as_openssl_does(value: str, tmp_path: Path) -> None:
    assert rfc2253(common_name(value)) == openssl_prints(tmp_path, common_name(value))


def test_the_example_that_nginx_prints() -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "RS"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Banka, Ćao d.o.o."),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Desk, 2"),
            x509.NameAttribute(NameOID.COMMON_NAME, "teller"),
        ]
    )
    assert rfc2253(name) == r"CN=teller,OU=Desk\, 2,O=Banka\, \C4\86ao d.o.o.,C=RS"


OIDS = [value for key, value in vars(NameOID).items() if key.isupper() and value != NameOID.X500_UNIQUE_IDENTIFIER]


@pytest.mark.parametrize("oid", OIDS, ids=lambda oid: oid.dotted_string)
def test_every_attribute_has_the_name_that_openssl_gives_it(oid: x509.ObjectIdentifier, tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(oid, "NL")])
    assert rfc2253(name) == openssl_prints(tmp_path, name)


def test_an_unknown_attribute_is_dumped(tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "Ć, x")])
    assert rfc2253(name) == openssl_prints(tmp_path, name) == "1.2.3.4=#0C05C4862C2078"


def test_attributes_that_share_a_place_are_joined_by_a_plus(tmp_path: Path) -> None:
    together = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "a+b"), x509.NameAttribute(NameOID.USER_ID, "7")]
    country = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COUNTRY_NAME, "NL")])
    name = x509.Name([country, x509.RelativeDistinguishedName(together)])
    # DER sorts a set, so the order is that of the encoded certificate.
    decoded = x509.Name.from_bytes(name.public_bytes())
    assert rfc2253(decoded) == openssl_prints(tmp_path, name)


def test_an_empty_name_is_empty(tmp_path: Path) -> None:
    assert rfc2253(x509.Name([])) == openssl_prints(tmp_path, x509.Name([])).strip() == ""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME]),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_name_is_printed_as_openssl_does(tmp_path: Path, parts: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    assert rfc2253(name) == openssl_prints(tmp_path, name)


# --- Common names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x", "x" * 64, "Ж" * 35, "Ж" * 64, "日" * 64, "🏦" * 64], ids=lambda text: text[:1])
def test_a_common_name_has_64_characters_whatever_their_octets(text: str, tmp_path: Path) -> None:
    name = x509.Name([names.common_name(text)])
    printed = openssl_prints(tmp_path, name)
    assert printed == names.rfc2253(name)
    octets = re.sub(rb"\\([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), printed.encode())
    assert octets.decode() == f"CN={text}"


@pytest.mark.parametrize("text", ["", "x" * 65, "Ж" * 65], ids=len)
def test_no_other_common_name_is_made(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 characters"):
        names.common_name(text)


@given(st.text(max_size=64), st.text(min_size=1, max_size=20))
def test_what_is_put_behind_a_common_name_is_whole_and_keeps_the_bound(text: str, suffix: str) -> None:
    ended = names.ending_in(text, suffix)
    assert ended.endswith(f" {suffix}")
    assert len(ended) <= names.COMMON_NAME_LIMIT


CYRILLIC = Subject("Ж" * 64, organization="Банк")


@pytest.mark.parametrize("key", [KeyType.EC_P256, KeyType.RSA_2048])
def test_cas_responders_leaves_faults_and_rogues_bear_any_lawful_name(key: KeyType, tmp_path: Path) -> None:
    """OpenSSL believes each chain."""
    root = root_issuer(key, CYRILLIC)
    profiles_of = {
        "sslserver": profiles.for_server(TOPOLOGY, replace(server(), subject=CYRILLIC)),
        "sslclient": profiles.for_client_side(TOPOLOGY, replace(client(), subject=CYRILLIC)),
        "ocsphelper": profiles.for_responder(replace(ISSUING, subject=CYRILLIC)),
        "any": replace(profiles.for_client_side(TOPOLOGY, replace(client(), subject=CYRILLIC)), fault=Fault.WRONG_NAME),
    }
    (tmp_path / "root.pem").write_bytes(bundles.pem(root.certificate))
    for purpose, profile in profiles_of.items():
        (tmp_path / "leaf.pem").write_bytes(bundles.pem(leaf(profile, root).certificate))
        done = openssl("verify", "-purpose", purpose, "-CAfile", "root.pem", "leaf.pem", cwd=tmp_path)
        assert done.stdout == "leaf.pem: OK\n", done.stderr
    sibling = broken.sibling_ca(root, root.certificate, NOW)
    (common,) = sibling.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert len(common.value) == 64


@given(st.text(max_size=70))
def test_the_topology_allows_what_can_be_issued_and_nothing_else(text: str) -> None:
    """`validate` and `apply` agree."""
    try:
        text_without_controls(text)
    except Invalid:
        return
    allowed = len(text) <= 64
    try:
        profiles.subject_name(Subject(text))
    except PkiError:
        assert not allowed
    else:
        assert allowed
