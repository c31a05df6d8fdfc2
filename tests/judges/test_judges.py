"""Independent judges accept all that is sound of a topology that uses the whole language, and refuse the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests.judges.judges import CRL_JUDGES, JUDGES, OCSP_JUDGES
from tests.judges.lab import Exhibit, House, built

EXCEPTIONS = {
    ("nss", "ca.edwards"): "NSS knows no Ed25519 in certificates",
    ("cryptography", "ca.edwards"): "the web PKI allows no Ed25519",
    ("cryptography", "ca.identities"): "it knows no name constraints on URIs, and refuses every chain that has some",
    ("gnutls", "server.address"): "it takes a server's common name for a DNS name where it has none, and constrains it",
}
"""What a judge may refuse although it is sound: a certificate, or all below a CA; and why."""

BLIND = {"cryptography": "it takes no CRLs"}
"""The judges that cannot see that a certificate is revoked, and why."""


def judges(names: Iterable[str]) -> list[ParameterSet]:
    """Go builds its whole library before the first verdict, where nobody has built it before."""
    return [pytest.param(name, marks=[pytest.mark.long] if name == "go" else []) for name in names]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return built(tmp_path_factory.mktemp("judges"))


def verdicts(judge: str, exhibits: Sequence[Exhibit], scratch: Path) -> dict[str, str]:
    """What a judge says of each, by address."""
    said = JUDGES[judge](exhibits, scratch)
    return {one.address: verdict for one, verdict in zip(exhibits, said, strict=True)}


def excepted(judge: str, one: Exhibit) -> bool:
    return any((judge, address) in EXCEPTIONS for address in (one.address, *(f"ca.{name}" for name in one.cas)))


def acceptable(judge: str, house: House) -> Iterator[Exhibit]:
    """What a judge has to accept."""
    return (one for one in house.sound if not excepted(judge, one))


# --- Certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", judges(JUDGES))
def test_what_is_sound_is_accepted(judge: str, house: House, tmp_path: Path) -> None:
    said = verdicts(judge, house.sound, tmp_path)
    refused = {one.address: said[one.address] for one in acceptable(judge, house) if said[one.address]}
    assert refused == {}
    assert sum(not verdict for verdict in said.values()) >= 7


@pytest.mark.parametrize("judge", judges(JUDGES))
def test_what_is_broken_on_purpose_is_refused(judge: str, house: House, tmp_path: Path) -> None:
    said = verdicts(judge, house.broken, tmp_path)
    assert {one.fault for one in house.broken} == {
        "expired", "not-yet-valid", "wrong-ca", "self-signed", "wrong-eku"
    }  # fmt: skip
    assert [address for address, verdict in said.items() if not verdict] == []


@pytest.mark.parametrize("judge", judges(name for name in JUDGES if name not in BLIND))
def test_what_is_revoked_is_refused_for_that(judge: str, house: House, tmp_path: Path) -> None:
    said = verdicts(judge, house.revoked, tmp_path)
    assert len(said) == 2
    assert [verdict for verdict in said.values() if "revoked" not in verdict.lower()] == []


@pytest.mark.parametrize("judge", judges(JUDGES))
def test_no_certificate_serves_the_other_purpose(judge: str, house: House, tmp_path: Path) -> None:
    other = {"server": "client", "client": "server"}
    swapped = [replace(one, purpose=other[one.purpose], host=None) for one in acceptable(judge, house)]
    said = verdicts(judge, swapped, tmp_path)
    assert [address for address, verdict in said.items() if not verdict] == []


@pytest.mark.parametrize("judge", judges(JUDGES))
def test_nothing_is_accepted_below_another_root(judge: str, house: House, tmp_path: Path) -> None:
    roots = {"root": "edwards", "edwards": "old", "old": "root"}
    strangers = [
        replace(one, root=house.out / "pki" / roots[one.cas[-1]] / "ca.crt") for one in acceptable(judge, house)
    ]
    said = verdicts(judge, strangers, tmp_path)
    assert [address for address, verdict in said.items() if not verdict] == []


# --- CRLs and OCSP responses -----------------------------------------------------------------------------------------


def files(house: House, ca: str) -> tuple[Path, Path]:
    """A CA's CRL and certificate."""
    folder = house.out / "pki" / ca
    return folder / "crl.pem", folder / "ca.crt"


@pytest.mark.parametrize("judge", CRL_JUDGES)
def test_each_crl_is_its_cas_and_nobody_elses(judge: str, house: House) -> None:
    for ca in house.topology.cas:
        crl, issuer = files(house, ca)
        assert CRL_JUDGES[judge](crl, issuer) == "", ca
        other = "root" if ca != "root" else "middle"
        assert CRL_JUDGES[judge](crl, files(house, other)[1]) != "", ca


@pytest.mark.parametrize("judge", OCSP_JUDGES)
def test_each_ocsp_response_is_believed_from_its_cas_responder_alone(judge: str, house: House) -> None:
    answered = [one for one in house.sound if one.answer is not None]
    assert {one.cas[0] for one in answered} == {"quick", "identities", "old"}
    for one in answered:
        assert OCSP_JUDGES[judge](one, files(house, one.cas[0])[1]) == "", one.address
    about_quick, about_identities = (
        next(one for one in answered if one.cas[0] == ca) for ca in ("quick", "identities")
    )
    stolen = replace(about_quick, answer=about_identities.answer)
    assert OCSP_JUDGES[judge](stolen, files(house, "quick")[1]) != ""


@pytest.mark.parametrize("judge", OCSP_JUDGES)
def test_a_revoked_certificates_ocsp_response_says_so(judge: str, house: House) -> None:
    (loser,) = (one for one in house.revoked if one.answer is not None)
    assert "revoked" in OCSP_JUDGES[judge](loser, files(house, "quick")[1]).lower()
