"""Certificates as files: PEM and DER, chains, and PKCS#12 bundles (PFX)."""

from __future__ import annotations

import base64
import codecs
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from scaffold.errors import PkiError, Unreadable, WrongPassword
from scaffold.pki.der import BIT_STRING, SEQUENCE, Element, elements
from scaffold.pki.keys import PrivateKey, key_type
from scaffold.pki.names import rfc2253

# Some readers refuse more than 300,000 iterations of one derivation; a bundle needs two: key and certificates.
_PFX_ROUNDS: Final = 100_000
_LEGACY_ROUNDS: Final = 2_048


def pem(certificate: x509.Certificate) -> bytes:
    """One certificate in PEM (RFC 7468 5)."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    """One certificate in DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of one certificate in lower-case hex.

    The library's own asks an abstract class about the hash each time, which takes longer than to hash.
    """
    return hashlib.sha256(der(certificate)).hexdigest()


def chain_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Certificates in PEM, one after the other, in the order given (RFC 8446 4.4.2: leaf first)."""
    return b"".join(map(pem, certificates))


def load_certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    """All certificates of a file in its order: PEM with whatever is around it, DER, or PKCS#7. Never returns none.

    Raises Unreadable, also where a name or the key of one cannot be understood.
    """
    found = parse_certificates(data)
    for one in found:
        if (problem := not_understood(one)) is not None:
            raise Unreadable(problem)
    return found


def parse_certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    """The same, whether or not each is understood: of a file with many of which few are needed. Raises Unreadable."""
    text = _as_bytes(data)
    try:
        found = _parsed(text)
    except Exception as error:
        seems = _seems(text)
        raise (Unreadable(seems) if seems is not None else _why_not(text, error)) from error
    if not found:
        raise Unreadable(_DAMAGED)
    return tuple(found)


def not_understood(certificate: x509.Certificate) -> str | None:
    """Why nothing can be done with a certificate, as an error goes on after "is"; None where something can.

    cryptography parses these parts only when they are asked for, and whoever asks later expects no error any more.
    """
    try:
        _ = certificate.subject, certificate.issuer
    except Exception:
        return (
            "a certificate whose subject or issuer has text in another character set than it declares (mostly "
            "Latin-1 in a TeletexString), which programs read differently"
        )
    try:
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ValueError as error:
        return f"a certificate with an invalid date: {error}"
    try:
        _ = certificate.public_key()
    except UnsupportedAlgorithm as error:
        return f"a certificate with a key of a type that is not supported here: {error}"
    except Exception:
        return "not a certificate, or a damaged one: its key cannot be read"
    return None


_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TRUSTED: Final = re.compile(
    rb"-----BEGIN TRUSTED CERTIFICATE-----(?P<body>.*?)-----END TRUSTED CERTIFICATE-----", re.DOTALL
)


def _as_bytes(data: bytes) -> bytes:
    """PEM is ASCII; some programs on Windows write it as UTF-16."""
    return data.decode("utf-16").encode() if data.startswith(_UTF_16) else data


def _parsed(data: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN" not in data:
        try:
            return [x509.load_der_x509_certificate(data)]
        except ValueError:
            return _from_pkcs7(data)
    if b"-----BEGIN PKCS7-----" in data:
        return _from_pkcs7(data)
    return x509.load_pem_x509_certificates(_TRUSTED.sub(_without_trust, data))


def _from_pkcs7(data: bytes) -> list[x509.Certificate]:
    # Loaded where it is needed: it brings the whole of `email` along.
    from cryptography.hazmat.primitives.serialization import pkcs7

    in_pem = b"-----BEGIN" in data
    return pkcs7.load_pem_pkcs7_certificates(data) if in_pem else pkcs7.load_der_pkcs7_certificates(data)


def _without_trust(found: re.Match[bytes]) -> bytes:
    """OpenSSL's own form of a certificate, which says after it what it is trusted for, as a plain certificate."""
    first = next(elements(base64.b64decode(found["body"])))
    return pem(x509.load_der_x509_certificate(first.encoded))


def _seems(data: bytes) -> str | None:
    """What was taken for a certificate."""
    if b"PRIVATE KEY-----" in data:
        return "a private key, and holds no certificate"
    if b"-----BEGIN X509 CRL-----" in data:
        return "a CRL, and no certificate"
    if b"CERTIFICATE REQUEST-----" in data:
        return "a certificate request, not a certificate"
    try:
        pkcs12.load_pkcs12(data, b"")
    except Exception as error:
        if "password" not in str(error).lower():
            return None
    return "a PKCS#12 bundle (PFX): extract its certificates with `openssl pkcs12 -nokeys -in FILE`"


def _why_not(data: bytes, error: Exception) -> Unreadable:
    """What a file is that was to hold certificates, as far as its outline tells."""
    try:
        blocks = [base64.b64decode(body) for body in _CERTIFICATE.findall(data)] or [data]
        whole = [list(islice(elements(block), _MOST_IN_A_ROW)) for block in blocks]
    except ValueError:
        return Unreadable(_DAMAGED)
    if b"-----BEGIN" not in data and len(whole[0]) > 1:
        return Unreadable(
            f"a file with {len(whole[0])} parts in DER, one after the other, and DER has one in a file",
            hint="put each into a file of its own, or all into one PEM file",
        )
    if not all(len(found) == 1 and _has_outline(found[0]) for found in whole):
        return Unreadable(_DAMAGED)
    named = _PARSED.findall(str(error))
    what = named[-1] if named else error
    said = f"a certificate that violates the encoding of RFC 5280 or DER ({what})"
    return Unreadable(said, hint="have it issued again")


_MOST_IN_A_ROW: Final = 1_000
_DAMAGED: Final = "not a certificate, or a damaged one"
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_PARSED: Final = re.compile(r'"(\w+::\w+)"')
"""In an error of cryptography's, the parts of a certificate down to that which it could not read."""


def _has_outline(found: Element) -> bool:
    """Whether it is what every signed thing is: what is said, the algorithm, and the signature (RFC 5280 4.1)."""
    try:
        parts = [each.tag for each in islice(elements(found.content), 4)]
    except ValueError:
        return False
    return parts == [SEQUENCE, SEQUENCE, BIT_STRING]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a PFX holds. `key` is not shown by `repr`."""

    certificate: x509.Certificate | None
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey | None
    friendly_name: str | None

    def __repr__(self) -> str:
        return f"Opened(certificate={self.certificate!r}, chain={self.chain!r}, key=…)"


def pfx(
    name: str,
    key: PrivateKey,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate],
    password: bytes,
    *,
    legacy: bool = False,
) -> bytes:
    """A PKCS#12 bundle (RFC 7292) of key, certificate and the intermediates of `chain`; `name` is its friendly name.

    PBES2 with AES-256 and a MAC of HMAC-SHA-256; `legacy`: 3DES and SHA-1, for readers that know no PBES2.
    Raises PkiError for an empty password and for keys that PKCS#12 readers do not know (ML-DSA).
    """
    if not password:
        raise PkiError("an empty password protects no PFX")
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise PkiError(f'a PFX cannot hold a key of type "{key_type(key)}"')
    encryption = _legacy(password) if legacy else _modern(password)
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, list(chain) or None, encryption)


def _modern(password: bytes) -> serialization.KeySerializationEncryption:
    builder = serialization.PrivateFormat.PKCS12.encryption_builder()
    return (
        builder.kdf_rounds(_PFX_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password)
    )


def _legacy(password: bytes) -> serialization.KeySerializationEncryption:
    builder = serialization.PrivateFormat.PKCS12.encryption_builder()
    return (
        builder.kdf_rounds(_LEGACY_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303 - that is what "legacy" asks for
        .build(password)
    )


TRUST_STORE_PASSWORD: Final = b"changeit"
"""Java's own, for what holds no secret."""


def trust_store(certificates: Sequence[x509.Certificate]) -> bytes:
    """A PKCS#12 file of trusted certificates, which is a trust store to Java by its trusted-key attribute."""
    trusted = [pkcs12.PKCS12Certificate(one, rfc2253(one.subject).encode()) for one in certificates]
    return pkcs12.serialize_java_truststore(trusted, _modern(TRUST_STORE_PASSWORD))


def open_pfx(data: bytes, password: bytes | None) -> Opened:
    """What a PFX holds. Raises Unreadable where the bytes are no PFX, WrongPassword where it does not open."""
    try:
        found = pkcs12.load_pkcs12(data, password)
    except Exception as error:
        if "password" in str(error).lower():
            raise WrongPassword("the password does not open the PFX") from error
        raise Unreadable("not a PFX, or a damaged one") from error
    if found.key is not None and not isinstance(found.key, PrivateKey):
        raise Unreadable(f"a PFX with a key of a type that is not supported here: {type(found.key).__name__}")
    friendly = found.cert.friendly_name if found.cert else None
    return Opened(
        certificate=found.cert.certificate if found.cert else None,
        chain=tuple(extra.certificate for extra in found.additional_certs),
        key=found.key,
        friendly_name=friendly.decode(errors="replace") if friendly else None,
    )
