"""CRLs: what they hold, and what openssl reads in them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import PkiError, Unreadable
from scaffold.pki import bundles, crl
from scaffold.pki.issue import Issuer
from tests.unit.pki.lab import NOW, issuing_under, lab, openssl

HOUR = timedelta(hours=1)
ENTRIES = tuple(crl.Revoked(100 + index, NOW - index * HOUR, reason) for index, reason in enumerate(crl.Reason))


def test_entries_and_number_survive_a_round_trip_in_pem_and_der() -> None:
    built = crl.build(lab().issuing, 7, NOW, NOW + HOUR, ENTRIES)
    for data in (crl.to_pem(built), crl.to_der(built)):
        again = crl.load(data)
        assert crl.entries(again) == ENTRIES
        assert crl.number(again) == 7
        assert (again.last_update_utc, again.next_update_utc) == (NOW, NOW + HOUR)


def test_openssl_reads_version_number_key_identifier_and_reasons(tmp_path: Path) -> None:
    (tmp_path / "crl.pem").write_bytes(crl.to_pem(crl.build(lab().issuing, 7, NOW, NOW + HOUR, ENTRIES)))
    text = openssl("crl", "-in", "crl.pem", "-noout", "-text", cwd=tmp_path).stdout
    assert "Version 2" in text
    assert "Authority Key Identifier" in text
    assert "CRL Number: \n                7" in text
    assert "Key Compromise" in text
    assert text.count("X509v3 CRL Reason Code") == len(ENTRIES) - 1, '"unspecified" must be left out (RFC 5280 5.3.1)'


def test_a_crl_is_signed_by_its_issuer_alone() -> None:
    built = crl.build(lab().issuing, 1, NOW, NOW + HOUR)
    assert crl.signed_by(built, lab().issuing.certificate)
    assert not crl.signed_by(built, lab().root.certificate)


def test_neither_the_name_nor_the_key_alone_makes_it_the_issuers() -> None:
    """Whoever made up a CA of the same name has signed the one; a CA that was renamed, the other."""
    issuing = lab().issuing
    namesake = issuing_under(lab().other_root)
    assert namesake.name == issuing.name
    assert not crl.signed_by(crl.build(namesake, 1, NOW, NOW + HOUR), issuing.certificate)
    renamed = Issuer(lab().root.certificate, issuing.key)
    assert not crl.signed_by(crl.build(renamed, 1, NOW, NOW + HOUR), issuing.certificate)


@pytest.mark.parametrize(
    ("extension", "critical", "words"),
    [
        (x509.DeltaCRLIndicator(1), True, "delta CRL"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True, "1.2.3.4"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False, None),
    ],
    ids=["delta", "unknown and critical", "unknown"],
)
def test_a_list_that_no_library_takes_for_the_cas_is_told(extension, critical: bool, words: str | None) -> None:
    builder = x509.CertificateRevocationListBuilder().issuer_name(lab().issuing.name)
    builder = builder.last_update(NOW).next_update(NOW + HOUR).add_extension(extension, critical=critical)
    told = crl.unusable(builder.sign(lab().issuing.key, lab().issuing.hash))
    assert told is None if words is None else words in (told or "")


def test_openssl_checks_the_signature(tmp_path: Path) -> None:
    pki = lab()
    for name, issuer in (("issuing", pki.issuing), ("root", pki.root)):
        (tmp_path / f"{name}.pem").write_bytes(bundles.pem(issuer.certificate))
    (tmp_path / "crl.pem").write_bytes(crl.to_pem(crl.build(pki.issuing, 1, NOW, NOW + HOUR)))
    verify = ("crl", "-in", "crl.pem", "-noout", "-CAfile")
    assert "verify OK" in openssl(*verify, "issuing.pem", cwd=tmp_path).stderr
    assert "verify OK" not in openssl(*verify, "root.pem", cwd=tmp_path).stderr


def test_ten_thousand_entries_stay_in_order() -> None:
    many = [crl.Revoked(serial, NOW) for serial in range(1, 10_001)]
    assert [entry.serial_number for entry in crl.build(lab().issuing, 1, NOW, NOW + HOUR, many)] == list(
        range(1, 10_001)
    )


def test_a_crl_that_is_never_valid_or_has_no_lawful_number_is_refused() -> None:
    with pytest.raises(PkiError, match="nextUpdate"):
        crl.build(lab().issuing, 1, NOW, NOW)
    for number in (-1, 1 << 159):
        with pytest.raises(PkiError, match="number"):
            crl.build(lab().issuing, number, NOW, NOW + HOUR)


@pytest.mark.parametrize(
    ("after", "is_current"),
    [
        (timedelta(seconds=-1), False),
        (timedelta(), True),
        (timedelta(hours=1, seconds=-1), True),
        (timedelta(hours=1), False),
    ],
)
def test_a_crl_is_current_from_its_beginning_until_before_its_end(after: timedelta, is_current: bool) -> None:
    found = crl.build(lab().root, 1, NOW, NOW + timedelta(hours=1), ())
    assert crl.is_current(found, NOW + after) is is_current


def test_a_foreign_crl_without_a_number_is_read() -> None:
    pki = lab()
    bare = x509.CertificateRevocationListBuilder(
        pki.root.name, NOW.replace(tzinfo=None), (NOW + HOUR).replace(tzinfo=None)
    )
    assert crl.number(bare.sign(pki.root.key, pki.root.hash)) is None


@given(st.binary(max_size=200))
def test_garbage_is_unreadable(garbage: bytes) -> None:
    with pytest.raises(Unreadable):
        crl.load(garbage)
    with pytest.raises(Unreadable):
        crl.load(b"-----BEGIN X509 CRL-----\n" + garbage)
