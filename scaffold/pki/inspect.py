"""Any certificate, key, CRL, request, PFX or OCSP response as facts in words: bytes in, a frozen description out.

Of a private key, whether alone or in a bundle, only the public half is described.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from scaffold.errors import Unreadable
from scaffold.pki import bundles, crl, keys
from scaffold.pki import ocsp as our_ocsp
from scaffold.pki.chains import is_anchor, is_ca
from scaffold.pki.der import elements
from scaffold.pki.names import rfc2253
from scaffold.pki.profiles import describe as describe_extension

_SHOWN_ENTRIES: Final = 20
"""How many entries of a CRL are listed one by one."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: a label, a value in words, and for an extension what it means."""

    label: str
    value: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """What one thing is, and its facts. `parts` are the things inside it (a PFX's certificates)."""

    kind: str
    facts: tuple[Fact, ...]
    parts: tuple[Description, ...] = ()


_Reader = Callable[[bytes, datetime, bytes | None], Description]


def describe(data: bytes, now: datetime, password: bytes | None = None) -> tuple[Description, ...]:
    """Everything that is in a file, PEM (each block) or DER. `now` is aware UTC.

    Raises Unreadable where it is nothing that is known here, WrongPassword where it is encrypted and does not open.
    """
    blocks = list(_PEM_BLOCK.finditer(data))
    if blocks:
        return tuple(_described_block(block["label"].decode(), block.group(0), now, password) for block in blocks)
    for reader in _DER_READERS:
        try:
            return (_read(reader, data, now, password),)
        except Unreadable:
            continue
    if len(several := _in_a_row(data)) > 1:
        return tuple(description for each in several for description in describe(each, now, password))
    raise Unreadable("not a certificate, key, CRL, certificate request, PFX or OCSP message, neither in PEM nor in DER")


_MOST_IN_A_ROW: Final = 100
"""More of them are no file that anybody has made to be read."""


def _in_a_row(data: bytes) -> list[bytes]:
    """What is one after the other in DER."""
    try:
        found = [each.encoded for each in islice(elements(data), _MOST_IN_A_ROW + 1)]
    except ValueError:
        return []
    return found if len(found) <= _MOST_IN_A_ROW else []


_PEM_BLOCK: Final = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9 ]{1,40})-----[^\x00]*?-----END (?P=label)-----[ \t]*\r?\n?"
)


def _described_block(label: str, pem: bytes, now: datetime, password: bytes | None) -> Description:
    if label.endswith("PRIVATE KEY"):
        return _private_key(pem, now, password)
    reader = _PEM_READERS.get(label)
    if reader is None:
        return Description("block of another kind", (_fact("label", label),))
    return _read(reader, pem, now, password)


def _read(reader: _Reader, data: bytes, now: datetime, password: bytes | None) -> Description:
    """cryptography parses late: what is damaged deep inside shows only when it is looked at."""
    try:
        return reader(data, now, password)
    except keys.MALFORMED as error:
        raise Unreadable(f"damaged, or of a kind that is not known here: {error}") from error


# --- Certificates --------------------------------------------------------------------------------------------------


def certificate(found: x509.Certificate, now: datetime) -> Description:
    """The facts of one certificate."""
    return Description(_certificate_kind(found), tuple(_certificate_facts(found, now)))


def _certificate_kind(found: x509.Certificate) -> str:
    if is_ca(found):
        return "root CA certificate" if is_anchor(found) else "intermediate CA certificate"
    return "self-signed certificate" if is_anchor(found) else "certificate"


def _certificate_facts(found: x509.Certificate, now: datetime) -> Iterator[Fact]:
    yield _fact("subject", rfc2253(found.subject) or "(empty)")
    yield _fact("issuer", rfc2253(found.issuer))
    yield _fact("serial", f"{found.serial_number:x}")
    yield _fact("valid from", _moment(found.not_valid_before_utc))
    yield _fact("valid until", _moment(found.not_valid_after_utc))
    yield _fact("state", _state(found.not_valid_before_utc, found.not_valid_after_utc, now))
    yield from _key_facts(found.public_key)
    yield _fact("signed with", _algorithm(found.signature_algorithm_oid))
    yield _fact("SHA-256 fingerprint", bundles.fingerprint(found))
    yield from _extension_facts(lambda: found.extensions)


def _state(start: datetime, end: datetime, now: datetime) -> str:
    if now < start:
        return f"not yet valid: begins in {_span(start, now)}"
    if end < now:
        return f"expired {_span(now, end)} ago"
    return f"valid for another {_span(end, now)}"


def _span(later: datetime, earlier: datetime) -> str:
    seconds = int((later - earlier).total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def _extension_facts(extensions: Callable[[], x509.Extensions]) -> Iterator[Fact]:
    try:
        found = extensions()
    except keys.MALFORMED as error:
        yield _fact("extensions", f"cannot be understood: {error}")
        return
    for extension in found:
        name, meaning = _EXTENSIONS.get(extension.oid, (f"extension {extension.oid.dotted_string}", ""))
        critical = " (critical)" if extension.critical else ""
        yield _fact(f"{name}{critical}", describe_extension(extension.value), meaning)


_EXTENSIONS: Final = {
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: ("subject key identifier", "names this key"),
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: ("authority key identifier", "names the key that signed this"),
    ExtensionOID.BASIC_CONSTRAINTS: ("basic constraints", "whether it may issue, and how many CAs may follow below it"),
    ExtensionOID.KEY_USAGE: ("key usage", "what the key may do"),
    ExtensionOID.EXTENDED_KEY_USAGE: ("extended key usage", "the roles in which it may be used"),
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: (
        "subject alternative name",
        "the names that it is valid for; the common name is not used",
    ),
    ExtensionOID.NAME_CONSTRAINTS: ("name constraints", "the names that CAs and leaves below it may have"),
    ExtensionOID.CRL_DISTRIBUTION_POINTS: ("CRL distribution points", "where the issuer's CRL is"),
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: (
        "authority information access",
        "where the issuer's OCSP responder and certificate are",
    ),
    ExtensionOID.TLS_FEATURE: ("TLS feature", "a server with it must staple an OCSP response"),
    ExtensionOID.OCSP_NO_CHECK: ("OCSP no check", "its own revocation is not asked for"),
    ExtensionOID.CRL_NUMBER: ("CRL number", "increases with each CRL"),
}


# --- Keys ----------------------------------------------------------------------------------------------------------


def _key_facts(public: Callable[[], object]) -> Iterator[Fact]:
    try:
        key = public()
    except Exception as error:
        yield _fact("key", f"of a type that is not known here: {error}")
        return
    yield _fact("key", _key_words(key))
    der: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    yield _fact("SHA-256 of the public key", hashlib.sha256(der).hexdigest())


def _key_words(key: object) -> str:
    kind = keys.key_type(key)
    if kind is not None:
        return kind.value
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA, {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC on the curve {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey")


def _private_key(pem: bytes, now: datetime, password: bytes | None) -> Description:
    encrypted = keys.is_encrypted(pem)
    how = _fact("encrypted", "yes" if encrypted else "no: everybody who can read the file has the key")
    if encrypted and password is None:
        return Description("private key", (how, _fact("key", "not visible without the password")))
    key = keys.load(pem, password)
    return Description("private key", (how, *_key_facts(key.public_key)))


def _public_key(data: bytes, now: datetime, password: bytes | None) -> Description:
    loader = serialization.load_pem_public_key if b"-----BEGIN" in data else serialization.load_der_public_key
    try:
        key = loader(data)
    except Exception as error:
        raise Unreadable("not a public key, or a damaged one") from error
    return Description("public key", tuple(_key_facts(lambda: key)))


def _der_private_key(data: bytes, now: datetime, password: bytes | None) -> Description:
    try:
        key = serialization.load_der_private_key(data, None)
    except Exception as error:
        raise Unreadable("not a private key, or a damaged one") from error
    how = _fact("encrypted", "no: everybody who can read the file has the key")
    return Description("private key", (how, *_key_facts(key.public_key)))


# --- Lists, requests, bundles, responses ---------------------------------------------------------------------------


def revocation_list(found: crl.Crl, now: datetime) -> Description:
    """The facts of a CRL, and its first entries."""
    return Description("certificate revocation list", tuple(_crl_facts(found, now)))


def _crl_facts(found: crl.Crl, now: datetime) -> Iterator[Fact]:
    yield _fact("issuer", rfc2253(found.issuer))
    yield _fact("this update", _moment(found.last_update_utc))
    if (end := found.next_update_utc) is None:
        yield _fact("next update", "none: the CRL never expires")
    else:
        yield _fact("next update", _moment(end))
        yield _fact("state", _state(found.last_update_utc, end, now))
    yield _fact("signed with", _algorithm(found.signature_algorithm_oid))
    yield from _extension_facts(lambda: found.extensions)
    yield _fact("revoked", f"{len(found)} certificate{'' if len(found) == 1 else 's'}")
    for entry in islice(found, _SHOWN_ENTRIES):
        yield _fact(f"serial {entry.serial_number:x}", f"since {_moment(entry.revocation_date_utc)}{_why(entry)}")
    if len(found) > _SHOWN_ENTRIES:
        yield _fact("further entries", str(len(found) - _SHOWN_ENTRIES))


def _why(entry: x509.RevokedCertificate) -> str:
    try:
        return f", {entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value}"
    except (x509.ExtensionNotFound, *keys.MALFORMED):
        return ""


def _request(data: bytes, now: datetime, password: bytes | None) -> Description:
    loader = x509.load_pem_x509_csr if b"-----BEGIN" in data else x509.load_der_x509_csr
    try:
        found = loader(data)
    except Exception as error:
        raise Unreadable("not a certificate request, or a damaged one") from error
    facts = (
        _fact("subject", rfc2253(found.subject) or "(empty)"),
        *_key_facts(found.public_key),
        _fact("signature", "by the key in it" if _is_sound(found) else "not by the key in it"),
        *_extension_facts(lambda: found.extensions),
    )
    return Description("certificate signing request", facts)


def _is_sound(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except Exception:
        return False


def _pfx(data: bytes, now: datetime, password: bytes | None) -> Description:
    opened = bundles.open_pfx(data, password)
    held = [*([opened.certificate] if opened.certificate else []), *opened.chain]
    facts = (
        _fact("friendly name", opened.friendly_name or "none"),
        _fact("private key", "inside" if opened.key else "none"),
        *(_key_facts(opened.key.public_key) if opened.key else ()),
        _fact("certificates", str(len(held))),
    )
    return Description("PKCS#12 bundle (PFX)", facts, tuple(certificate(one, now) for one in held))


def _ocsp_response(data: bytes, now: datetime, password: bytes | None) -> Description:
    try:
        found = ocsp.load_der_ocsp_response(data)
        if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return Description("OCSP response", (_fact("no answer", found.response_status.name.lower()),))
        return Description(
            "OCSP response",
            tuple(_ocsp_facts(found, now)),
            tuple(certificate(one, now) for one in found.certificates),
        )
    except ValueError as error:
        raise Unreadable("not an OCSP response, or a damaged one") from error


def _ocsp_facts(found: ocsp.OCSPResponse, now: datetime) -> Iterator[Fact]:
    if found.responder_name is not None:
        yield _fact("responder", rfc2253(found.responder_name))
    if found.responder_key_hash is not None:
        yield _fact("responder's key", found.responder_key_hash.hex())
    yield _fact("produced", _moment(found.produced_at_utc))
    yield _fact("signed with", _algorithm(found.signature_algorithm_oid))
    for one in found.responses:
        yield _fact(f"serial {one.serial_number:x}", _ocsp_status(one))
        yield _fact("this update", _moment(one.this_update_utc))
        if one.next_update_utc is not None:
            yield _fact("next update", _moment(one.next_update_utc))
            yield _fact("state", _state(one.this_update_utc, one.next_update_utc, now))


def _ocsp_status(one: ocsp.OCSPSingleResponse) -> str:
    words = one.certificate_status.name.lower()
    if one.revocation_time_utc is not None:
        words += f" since {_moment(one.revocation_time_utc)}"
    if one.revocation_reason is not None:
        words += f", {one.revocation_reason.value}"
    return words


def _ocsp_request(data: bytes, now: datetime, password: bytes | None) -> Description:
    asked = our_ocsp.parse_request(data)
    nonce = [_fact("nonce", asked.nonce.hex())] if asked.nonce else []
    return Description("OCSP request", (*(_fact("asks about serial", f"{one.serial:x}") for one in asked.ids), *nonce))


def _algorithm(oid: x509.ObjectIdentifier) -> str:
    return _SIGNATURES.get(oid, oid.dotted_string)


_SIGNATURES: Final = {
    SignatureAlgorithmOID.RSA_WITH_SHA1: "RSA with SHA-1",
    SignatureAlgorithmOID.RSA_WITH_SHA256: "RSA with SHA-256",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "RSA with SHA-384",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "RSA with SHA-512",
    SignatureAlgorithmOID.RSASSA_PSS: "RSA-PSS",
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: "ECDSA with SHA-1",
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "ECDSA with SHA-256",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ECDSA with SHA-384",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "ECDSA with SHA-512",
    SignatureAlgorithmOID.ED25519: "Ed25519",
    SignatureAlgorithmOID.ED448: "Ed448",
    x509.ObjectIdentifier("2.16.840.1.101.3.4.3.17"): "ML-DSA-44",
    x509.ObjectIdentifier("2.16.840.1.101.3.4.3.18"): "ML-DSA-65",
    x509.ObjectIdentifier("2.16.840.1.101.3.4.3.19"): "ML-DSA-87",
}


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _fact(label: str, value: str, meaning: str = "") -> Fact:
    return Fact(label, _printable(value), meaning)


def _printable(value: str) -> str:
    """What a certificate says may hold control characters, and a terminal would obey them."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in value)


def _read_certificate(data: bytes, now: datetime, password: bytes | None) -> Description:
    # Not by `bundles`, which asks for more: what can be understood of a strange certificate is described.
    loader = x509.load_pem_x509_certificate if b"-----BEGIN" in data else x509.load_der_x509_certificate
    return certificate(loader(data), now)


def _read_crl(data: bytes, now: datetime, password: bytes | None) -> Description:
    return revocation_list(crl.load(data), now)


_PEM_READERS: Final[dict[str, _Reader]] = {
    "CERTIFICATE": _read_certificate,
    "X509 CRL": _read_crl,
    "CERTIFICATE REQUEST": _request,
    "NEW CERTIFICATE REQUEST": _request,
    "PUBLIC KEY": _public_key,
}
# The order matters little: no two of these parse as each other. A PFX is last, since only it asks for a password.
_DER_READERS: Final[Iterable[_Reader]] = (
    _read_certificate,
    _read_crl,
    _request,
    _public_key,
    _der_private_key,
    _ocsp_response,
    _ocsp_request,
    _pfx,
)
