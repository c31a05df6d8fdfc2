"""Certificates as files: PEM and DER, chains, and PKCS#12 bundles (PFX)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from scaffold.errors import PkiError, Unreadable, WrongPassword
from scaffold.pki.keys import PrivateKey, key_type

# .NET refuses more than 300,000 iterations of one derivation; a bundle needs two, for the key and the certificates.
_PFX_ROUNDS: Final = 100_000
_LEGACY_ROUNDS: Final = 2_048


def pem(certificate: x509.Certificate) -> bytes:
    """One certificate in PEM (RFC 7468 5)."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    """One certificate in DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def chain_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Certificates in PEM, one after the other, in the order given (RFC 8446 4.4.2: leaf first)."""
    return b"".join(map(pem, certificates))


def load_certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file in its order, or the one of a DER file. Never returns none.

    Raises Unreadable, also where a name or the key of one cannot be understood.
    """
    try:
        found = (
            x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [x509.load_der_x509_certificate(data)]
        )
        for one in found:
            _check_understood(one)
    except Exception as error:
        raise Unreadable("not a certificate, or a damaged one") from error
    return tuple(found)


def _check_understood(certificate: x509.Certificate) -> None:
    """cryptography parses these only when they are asked for, and whoever asks later expects no error any more."""
    certificate.subject, certificate.issuer, certificate.public_key()


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
