"""Certificate requests (PKCS #10, RFC 2986): read, and compared with what is to be certified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID

from scaffold.errors import Unreadable
from scaffold.pki import profiles
from scaffold.pki.keys import MALFORMED, PublicKey, key_type
from scaffold.pki.names import comparable, rfc2253
from scaffold.pki.profiles import CertificateProfile
from scaffold.topology.model import KeyType, San, SanType

_LEAST_RSA_BITS: Final = 2_048
_BROKEN_HASHES: Final = frozenset({"md5", "sha1"})

# What a request need not say, and what it says of it is no wish: the key's identifier follows from the key.
_OF_NO_MATTER: Final = frozenset({ExtensionOID.SUBJECT_KEY_IDENTIFIER})


def load(data: bytes) -> x509.CertificateSigningRequest:
    """A request in PEM or DER. Raises Unreadable."""
    try:
        return x509.load_pem_x509_csr(data) if b"-----BEGIN" in data else x509.load_der_x509_csr(data)
    except MALFORMED as error:
        raise Unreadable("not a certificate request (PKCS #10), or a damaged one") from error


def refusals(request: x509.CertificateSigningRequest, wanted: KeyType) -> Iterator[tuple[str, str]]:
    """What is wrong with its key, and with the proof that whoever asks has the private half (RFC 2986 3).

    Each with the field of the topology that it is about.
    """
    try:
        key, extensions = request.public_key(), request.extensions
        _ = request.subject, list(extensions)
    except MALFORMED as error:
        yield "csr", f"cannot be understood: {error}"
        return
    found = key_type(key)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        yield "csr", f"has an RSA key of {key.key_size} bits, which is too weak: {_LEAST_RSA_BITS} is the minimum"
    elif found is None or not isinstance(key, PublicKey):
        yield "csr", "has a key of a type that is not supported here"
    elif found is not wanted:
        yield "key", f"has a key of type {found}, and the topology says {wanted}"
    yield from _signature(request)


def _signature(request: x509.CertificateSigningRequest) -> Iterator[tuple[str, str]]:
    try:
        algorithm, is_sound = request.signature_hash_algorithm, request.is_signature_valid
    except (UnsupportedAlgorithm, ValueError):
        yield "csr", "is signed by an algorithm that is not known here"
        return
    if not is_sound:
        yield "csr", "is not signed by its own key: it does not prove possession of the private key"
    elif algorithm is not None and algorithm.name in _BROKEN_HASHES:
        yield "csr", f"is signed with {algorithm.name.upper()}, which is broken"


def differences(request: x509.CertificateSigningRequest, profile: CertificateProfile) -> Iterator[tuple[str, str]]:
    """The field of the topology, and words, for each thing that the request asks for and that is not to be certified.

    What it leaves out is no wish. The identity that every certificate here has need not be asked for.
    """
    subject = profiles.subject_name(profile.subject)
    if list(request.subject) and comparable(request.subject) != comparable(subject):
        yield "subject", f"asks for the subject {rfc2253(request.subject)}, and the topology says {rfc2253(subject)}"
    key = request.public_key()
    expected = {each.oid: each.value for each in profiles.extensions(profile, key, None)}  # type: ignore[arg-type]
    for each in request.extensions:
        if each.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME:
            yield from _names(each.value, profile)
        elif each.oid not in _OF_NO_MATTER and each.value != expected.get(each.oid):
            wanted = expected.get(each.oid)
            said = (
                f"the topology says {profiles.describe(wanted)}"
                if wanted is not None
                else "such an extension is not issued"
            )
            yield "csr", f"asks for {_called(each)}: {profiles.describe(each.value)}, and {said}"


def _names(asked: x509.ExtensionType, profile: CertificateProfile) -> Iterator[tuple[str, str]]:
    if not isinstance(asked, x509.SubjectAlternativeName):
        return
    wanted = {profiles.general_name(san): san for san in profile.sans}
    for name in asked:
        if name not in wanted:
            yield "names", f"asks for {profiles.general_name_text(name)}, which is none of the names in the topology"
    missing = [san for name, san in wanted.items() if name not in asked and not _is_identity(san)]
    if missing:
        yield "names", f"does not ask for {', '.join(san.value for san in missing)}, and asks for other names"


def _is_identity(san: San) -> bool:
    return san.type is SanType.URI


def _called(extension: x509.Extension[x509.ExtensionType]) -> str:
    return _CALLED.get(extension.oid, f"the extension {extension.oid.dotted_string}")


_CALLED: Final = {
    ExtensionOID.BASIC_CONSTRAINTS: "basic constraints",
    ExtensionOID.KEY_USAGE: "key usage",
    ExtensionOID.EXTENDED_KEY_USAGE: "extended key usage",
    ExtensionOID.TLS_FEATURE: "must-staple",
}
