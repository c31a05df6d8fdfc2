"""Certificates of other people's CAs that are written in odd ways: each is a note or one clear error, nothing else."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from scaffold.pki import bundles, crl, der, inspect
from tests.cli.harness import scaffold
from tests.unit.adopting import Adopting, Made, Spec, key_pem, make

CA = make(Spec())
Parts = list[bytes]
VERSION, SERIAL, _, ISSUER, DATES, SUBJECT, _, EXTENSIONS = range(8)
"""The parts of a TBSCertificate (RFC 5280 4.1); in the third place is the algorithm, in the seventh the key."""


def written(change: Callable[[Parts], Parts]) -> bytes:
    """The CA's certificate in PEM with other parts, signed by its key as it then is."""
    whole, algorithm, _ = der.elements(next(der.elements(bundles.der(CA.certificate))).content)
    said = der.element(der.SEQUENCE, *change([each.encoded for each in der.elements(whole.content)]))
    signature = der.element(der.BIT_STRING, b"\0" + CA.key.sign(said, ec.ECDSA(hashes.SHA256())))
    encoded = base64.encodebytes(der.element(der.SEQUENCE, said, algorithm.encoded, signature))
    return b"-----BEGIN CERTIFICATE-----\n" + encoded + b"-----END CERTIFICATE-----\n"


def with_part(index: int, encoded: bytes) -> Callable[[Parts], Parts]:
    return lambda parts: [*parts[:index], encoded, *parts[index + 1 :]]


def named(tag: int, text: bytes) -> Callable[[Parts], Parts]:
    """With a common name that is a string of that type."""
    attribute = der.element(der.SEQUENCE, bytes.fromhex("0603550403"), der.element(tag, text))
    name = der.element(der.SEQUENCE, der.element(0x31, attribute))
    return lambda parts: with_part(SUBJECT, name)(with_part(ISSUER, name)(parts))


def dated(tag: int, begins: bytes, ends: bytes = b"20400101000000Z") -> Callable[[Parts], Parts]:
    return with_part(DATES, der.element(der.SEQUENCE, der.element(tag, begins), der.element(0x18, ends)))


def extended(oid: str, *value: bytes) -> Callable[[Parts], Parts]:
    """With one extension more."""

    def change(parts: Parts) -> Parts:
        listed = next(der.elements(next(der.elements(parts[EXTENSIONS])).content))
        more = der.element(der.SEQUENCE, bytes.fromhex(oid), *value)
        return with_part(EXTENSIONS, der.element(0xA3, der.element(der.SEQUENCE, listed.content, more)))(parts)

    return change


def octets(content: bytes) -> bytes:
    return der.element(der.OCTET_STRING, content)


NOTED = {
    "a negative serial": (with_part(SERIAL, b"\x02\x01\xfb"), "has a serial number that is not positive"),
    "the serial zero": (with_part(SERIAL, b"\x02\x01\x00"), "has a serial number that is not positive"),
    "a serial of 22 octets": (with_part(SERIAL, b"\x02\x16\x7f" + b"\xaa" * 21), "more than 20 octets"),
    "version 1": (lambda parts: parts[SERIAL:EXTENSIONS], "is a certificate of version 1"),
    "no subject": (
        lambda parts: with_part(SUBJECT, b"\x30\x00")(with_part(ISSUER, b"\x30\x00")(parts)),
        "the certificate has no subject",
    ),
}
SILENT = {
    "a name in UTF-16": named(0x1E, "Партнёр".encode("utf-16-be")),
    "a name in UTF-32": named(0x1C, "Партнёр".encode("utf-32-be")),
    "an empty name": named(0x0C, b""),
    "a name that is too long": named(0x0C, b"x" * 100),
    "early dates in the late form": dated(0x18, b"20200101000000Z"),
    "the last date of all": dated(0x17, b"200101000000Z", b"99991231235959Z"),
}
REFUSED = {
    "a year 0": (dated(0x18, b"00000101000000Z"), "an invalid date"),
    "fractions of a second": (dated(0x18, b"20200101000000.5Z"), "Time::GeneralizedTime"),
    "a time without seconds": (dated(0x17, b"2001010000Z"), "Time::UtcTime"),
    "a time with an offset": (dated(0x17, b"200101000000+0100"), "Time::UtcTime"),
    "half a character of UTF-16": (named(0x1E, b"\x04\x1f\x04"), "AttributeValue::BmpString"),
    "an @ in a PrintableString": (named(0x13, b"a@b"), "AttributeValue::PrintableString"),
    "a name that is octets": (named(0x04, b"\xff\xfe"), "which programs read differently"),
    "version 2": (lambda parts: [b"\xa0\x03\x02\x01\x01", *parts[SERIAL:EXTENSIONS]], "is not a valid X509 version"),
    "one extension twice": (
        extended("0603551d13", octets(b"\x30\x00")),
        "has extensions that cannot be understood: Duplicate 2.5.29.19",
    ),
    "an extension cut short": (extended("0603551d1f", octets(b"\x30\x05\x01")), "extensions that cannot be understood"),
    "an address of three octets": (
        extended("0603551d11", octets(b"\x30\x05\x87\x03abc")),
        "extensions that cannot be understood",
    ),
    "a default that is written": (extended("0603551d1f", b"\x01\x01\x00", octets(b"\x30\x00")), "Extension::critical"),
}


@pytest.fixture
def adopting(household) -> Adopting:
    return Adopting(household)


def bring(adopting: Adopting, pem: bytes) -> None:
    adopting.bring(CA)
    (adopting.household.folder / "ca.pem").write_bytes(pem)
    adopting.write()


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize(("change", "words"), NOTED.values(), ids=NOTED)
def test_what_some_refuse_is_noted(adopting, change, words) -> None:
    bring(adopting, written(change))
    assert [note for note in adopting.notes() if words in note]


def test_nothing_is_noted_of_the_same_certificate_as_it_was(adopting) -> None:
    bring(adopting, written(lambda parts: parts))
    assert not [note for note in adopting.notes() if "weak" in note or "strict" in note]


@pytest.mark.parametrize("change", SILENT.values(), ids=SILENT)
def test_what_is_lawful_is_taken(adopting, change) -> None:
    bring(adopting, written(change))
    assert adopting.refusal() is None


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_what_it_is(adopting, change, words) -> None:
    bring(adopting, written(change))
    refused = adopting.refusal()
    assert refused is not None
    assert words in refused.message
    assert "ca.pem is " in refused.message


@pytest.mark.parametrize("verb", [["plan"], ["apply"], ["status"], ["inspect", "ca.pem"], ["graph"], ["validate"]])
@pytest.mark.parametrize("odd", ["a negative serial", "the serial zero"])
def test_no_warning_reaches_a_person(adopting, odd: str, verb: list[str]) -> None:
    bring(adopting, written(NOTED[odd][0]))
    (adopting.household.folder / "topology.yaml").write_text(adopting.household.text)
    ended = scaffold(*verb, cwd=adopting.household.folder)
    assert ended.err == ""
    asked = scaffold(*verb, cwd=adopting.household.folder, env={"PYTHONWARNINGS": "always"})
    needs_the_file = verb not in (["graph"], ["validate"])
    assert ("CryptographyDeprecationWarning" in asked.err) is needs_the_file, "whoever asks for warnings gets them"


# --- Several in one file ------------------------------------------------------------------------------------------

OTHER = make(Spec("Another CA", index=1))


def in_der(*made: Made) -> bytes:
    return b"".join(bundles.der(each.certificate) for each in made)


def test_several_certificates_in_der_are_told_for_what_they_are(adopting) -> None:
    bring(adopting, in_der(CA, OTHER))
    refused = adopting.refusal()
    assert refused is not None
    assert "ca.pem is a file with 2 parts in DER, one after the other" in refused.message
    bring(adopting, in_der(CA))
    assert adopting.refusal() is None
    bring(adopting, CA.pem + OTHER.pem)
    assert adopting.refusal() is None


def test_what_is_cut_off_is_damaged(adopting) -> None:
    bring(adopting, in_der(CA, OTHER)[:-1])
    refused = adopting.refusal()
    assert refused is not None
    assert "is not a certificate, or a damaged one" in refused.message


def test_inspect_describes_each_of_several_in_der() -> None:
    now = datetime.now(UTC)
    found = inspect.describe(in_der(CA, OTHER) + crl_in_der(), now)
    assert [one.kind for one in found] == [
        "root CA certificate",
        "root CA certificate",
        "certificate revocation list",
    ]
    with pytest.raises(inspect.Unreadable):
        inspect.describe(in_der(CA, OTHER) + b"\x30\x00", now)


def crl_in_der() -> bytes:
    from tests.unit.adopting import crl as signed

    return crl.to_der(signed(CA))


def test_a_crl_of_the_year_0_is_damaged() -> None:
    whole, algorithm, _ = der.elements(next(der.elements(crl_in_der())).content)
    parts = [each.encoded for each in der.elements(whole.content)]
    dates = [index for index, part in enumerate(parts) if part[0] in (0x17, 0x18)]
    parts[dates[0]] = der.element(0x18, b"00000101000000Z")
    odd = der.element(der.SEQUENCE, der.element(der.SEQUENCE, *parts), algorithm.encoded, der.element(3, b"\0"))
    with pytest.raises(crl.Unreadable):
        crl.load(odd)


def test_the_key_in_these_tests_is_the_ca_s() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pem = written(lambda parts: parts)
    found = bundles.load_certificates(pem)[0]
    found.verify_directly_issued_by(found)
    assert key_pem(CA)
