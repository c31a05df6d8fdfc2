"""What the certificates of a path permit below them: read from the certificates, whoever made them.

Three kinds of answer, each in words that go on where the certificate's name ends:

    refusals(path)           what today's TLS libraries refuse whatever is below
    forbidden(_ca)(path, …)  what they refuse of one certificate below it: its names, its purpose, its depth
    strict_refusals, doubts  what some refuse, and what is weak and yet works

`openssl verify` is what the tests hold them against, at the security level 2 of TLS on Debian and its descendants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from scaffold.pki import keys
from scaffold.pki.chains import Path
from scaffold.pki.keys import MALFORMED
from scaffold.pki.names import comparable, rfc2253
from scaffold.pki.profiles import CertificateProfile, purpose_name, subject_name
from scaffold.topology.constraints import forbidden_by, looks_like_dns
from scaffold.topology.model import NameConstraints, San, SanType

_E = TypeVar("_E", bound=x509.ExtensionType)

Words = str
"""The end of a sentence that begins with a certificate's name."""

_LEAST_RSA_BITS: Final = 1_964
"""OpenSSL's security level 2 wants 112 bits, which NIST SP 800-56B's formula, rounded to bytes, gives from here on."""

_COMMON_RSA_BITS: Final = 2_048
_LEAST_DSA_BITS: Final = 2_048
_LEAST_CURVE_BITS: Final = 224
_KNOWN_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_BROKEN_HASHES: Final = MappingProxyType({"md5": "MD5", "sha1": "SHA-1"})
_LONGEST_SERIAL: Final = 1 << 159

# What OpenSSL understands (`X509_supported_extension`); an extension that is critical and not among these is refused.
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        x509.ObjectIdentifier("2.16.840.1.113730.1.1"),  # nsCertType
    }
)
_PURPOSES: Final = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}
_SAN_TYPES: Final = (
    (x509.DNSName, SanType.DNS),
    (x509.IPAddress, SanType.IP),
    (x509.RFC822Name, SanType.EMAIL),
    (x509.UniformResourceIdentifier, SanType.URI),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is the matter with one certificate of a path: its subject, and the sentence's end.

    `field` is what of a leaf it is about, as the topology calls it.
    """

    certificate: x509.Certificate
    words: Words
    field: str = "issuer"
    name: San | None = None
    """Of the leaf, where it is about that."""

    def __str__(self) -> str:
        return f"{rfc2253(self.certificate.subject) or 'the certificate'} {self.words}"


# --- What nobody accepts -------------------------------------------------------------------------------------------


def refusals(path: Path) -> Iterator[Finding]:
    """What today's TLS libraries refuse of a path, whatever is below it."""
    for depth, certificate in enumerate(path):
        is_anchor = depth == len(path) - 1
        if (problem := not_understood(certificate)) is not None:
            yield Finding(certificate, problem)
            continue
        for check in _REFUSALS:
            if (words := check(certificate, is_anchor)) is not None:
                yield Finding(certificate, words)
        for above in path[depth + 1 :]:
            if (words := _forbids_ca(above, certificate)) is not None:
                yield Finding(above, words)
        if (words := _too_deep(certificate, path[:depth])) is not None:
            yield Finding(certificate, words)


def not_understood(certificate: x509.Certificate) -> Words | None:
    """What is the matter with extensions that cannot be read; None where all can."""
    try:
        _ = certificate.extensions
        constraints_of(certificate)
    except MALFORMED as error:
        return f"has extensions that cannot be understood: {error}"
    return None


def _no_ca(certificate: x509.Certificate, is_anchor: bool) -> Words | None:
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None and is_anchor and certificate.version is x509.Version.v1:
        return None  # before basicConstraints there were roots, and they are still accepted
    if constraints is None or not constraints.ca:
        return "is not the certificate of a CA (RFC 5280 4.2.1.9)"
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return "may not sign certificates: its key usage has no keyCertSign (RFC 5280 4.2.1.3)"
    return None


def _unknown_critical(certificate: x509.Certificate, is_anchor: bool) -> Words | None:
    for each in certificate.extensions:
        if each.critical and each.oid not in _UNDERSTOOD:
            return f"has a critical extension that TLS libraries do not know: {each.oid.dotted_string}"
    return None


def _weak_key(certificate: x509.Certificate, is_anchor: bool) -> Words | None:
    match certificate.public_key():
        case rsa.RSAPublicKey() as key if key.key_size < _LEAST_RSA_BITS:
            asked = f"OpenSSL asks for {_LEAST_RSA_BITS:,}, others for {_COMMON_RSA_BITS:,}"
            return f"has an RSA key of {key.key_size} bits, which TLS libraries refuse: {asked}"
        case dsa.DSAPublicKey() as key if key.key_size < _LEAST_DSA_BITS:
            return f"has a DSA key of {key.key_size} bits, which TLS libraries refuse"
        case ec.EllipticCurvePublicKey() as key if key.key_size < _LEAST_CURVE_BITS:
            return f"has a key on {key.curve.name}, which TLS libraries refuse: it is too short"
        case _:
            return None


def _odd_key(certificate: x509.Certificate, is_anchor: bool) -> Words | None:
    """A key is known by its SubjectPublicKeyInfo, which must be written in the one usual way."""
    # cryptography shows a key as it would write it itself, and not as it is there.
    if keys.spki(certificate) in certificate.tbs_certificate_bytes:
        return None
    if certificate.public_key_algorithm_oid.dotted_string == "1.2.840.113549.1.1.10":
        return "has a key for RSASSA-PSS alone (RFC 4055), which is not supported here"
    if isinstance(certificate.public_key(), ec.EllipticCurvePublicKey):
        return (
            "has an EC key that is not an uncompressed point on a named curve, which TLS requires (RFC 5480 2.1.1, 2.2)"
        )
    return "has a key that is not encoded in DER as RFC 5280 4.1.2.7 requires"


def _weak_signature(certificate: x509.Certificate, is_anchor: bool) -> Words | None:
    if is_anchor:
        return None
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "is signed by an algorithm that TLS libraries do not know"
    broken = _BROKEN_HASHES.get(algorithm.name) if algorithm is not None else None
    return None if broken is None else f"is signed with {broken}, which TLS libraries refuse below a root"


_REFUSALS: Final[tuple[Callable[[x509.Certificate, bool], Words | None], ...]] = (
    _no_ca,
    _unknown_critical,
    _weak_key,
    _odd_key,
    _weak_signature,
)


def leaf_refusals(certificate: x509.Certificate) -> Iterator[Finding]:
    """What today's TLS libraries refuse of a certificate of a server or client, whatever is above it."""
    if (problem := not_understood(certificate)) is not None:
        yield Finding(certificate, problem)
        return
    for check in (_is_a_ca, _unknown_critical, _weak_key, _odd_key, _weak_signature):
        if (words := check(certificate, False)) is not None:
            yield Finding(certificate, words)


def _is_a_ca(certificate: x509.Certificate, is_anchor: bool) -> Words | None:
    constraints = _extension(certificate, x509.BasicConstraints)
    return "is the certificate of a CA" if constraints is not None and constraints.ca else None


def purpose_refusals(certificate: x509.Certificate, role: str) -> Iterator[Finding]:
    """What is wrong with what a leaf says that it is for. What says nothing is for everything, which many refuse."""
    purposes, wanted = _extension(certificate, x509.ExtendedKeyUsage), _PURPOSES[role]
    if purposes is None:
        yield Finding(certificate, f"does not say that it is for {purpose_name(wanted)}: it has no extended key usage")
    elif wanted not in purposes:
        said = ", ".join(map(purpose_name, purposes))
        yield Finding(certificate, f"is not for {purpose_name(wanted)}: its extended key usage is {said}")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        yield Finding(certificate, "may not sign handshakes: its key usage has no digitalSignature (RFC 8446 4.4.2.2)")


def names_in(certificate: x509.Certificate) -> tuple[San, ...]:
    """The subject alternative names of the types that a topology has."""
    found = _extension(certificate, x509.SubjectAlternativeName)
    each = ((kind, name.value) for name in found or () for form, kind in _SAN_TYPES if isinstance(name, form))
    return tuple(San(kind, str(value).lower() if kind is SanType.DNS else str(value)) for kind, value in each)


# --- What is refused of a certificate below -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is asked of a path for one certificate of a server or client; `subject` is None where it is not known."""

    role: str
    sans: tuple[San, ...]
    subject: x509.Name | None = None
    common_name: str = ""

    @classmethod
    def of(cls, profile: CertificateProfile) -> Leaf:
        return cls(profile.role, profile.sans, subject_name(profile.subject), profile.subject.common_name)


def forbidden(path: Path, leaf: Leaf) -> Iterator[Finding]:
    """What the path refuses of a leaf."""
    for certificate in path:
        if (forbids := _forbids_name(certificate, leaf)) is not None:
            yield Finding(certificate, forbids[0], "names", forbids[1])
        if leaf.subject is not None and (words := _forbids_directory(certificate, leaf.subject)) is not None:
            yield Finding(certificate, words, "subject")
        if (words := _forbids_purpose(certificate, leaf.role)) is not None:
            yield Finding(certificate, words)
        if leaf.subject is not None and comparable(leaf.subject) == comparable(certificate.subject):
            said = "is a CA above it and has the same subject: verifiers would confuse the two"
            yield Finding(certificate, said, "subject")


def forbidden_ca(path: Path, subject: x509.Name, between: int) -> Iterator[Finding]:
    """What the path refuses of a CA of that subject; `between` counts it and the CAs from it up to the path."""
    for depth, certificate in enumerate(path):
        if (words := _forbids_directory(certificate, subject)) is not None:
            yield Finding(certificate, words)
        length, deep = _path_length(certificate), between + _counted(path[:depth])
        if length is not None and deep > length:
            yield Finding(certificate, _depth_words(length, deep))


def _forbids_name(certificate: x509.Certificate, leaf: Leaf) -> tuple[Words, San] | None:
    constraints = constraints_of(certificate)
    for name in (*leaf.sans, *_taken_for_dns(leaf)):
        if (why := forbidden_by(constraints, name)) is not None:
            return f'does not permit "{name.value}" below it: {why} (RFC 5280 4.2.1.10)', name
    return None


def _taken_for_dns(leaf: Leaf) -> Iterator[San]:
    """A common name that verifiers hold to DNS constraints where there is no DNS name."""
    if looks_like_dns(leaf.common_name) and not any(name.type is SanType.DNS for name in leaf.sans):
        yield San(SanType.DNS, leaf.common_name.rstrip(".").lower())


def _forbids_ca(certificate: x509.Certificate, ca: x509.Certificate) -> Words | None:
    # RFC 5280 4.2.1.10: not applied to self-issued certificates in the middle of a path.
    return None if comparable(ca.subject) == comparable(ca.issuer) else _forbids_directory(certificate, ca.subject)


def _forbids_directory(certificate: x509.Certificate, subject: x509.Name) -> Words | None:
    constraints = _extension(certificate, x509.NameConstraints)
    if constraints is None or not list(subject):
        return None
    for each in _directories(constraints.excluded_subtrees):
        if _is_below(subject, each):
            return f"does not permit the subject {rfc2253(subject)} below it: {rfc2253(each)} is excluded"
    permitted = _directories(constraints.permitted_subtrees)
    if not permitted or any(_is_below(subject, each) for each in permitted):
        return None
    said = " or ".join(map(rfc2253, permitted))
    return f"does not permit the subject {rfc2253(subject)} below it: permitted are subjects that begin with {said}"


def _directories(subtrees: Sequence[x509.GeneralName] | None) -> list[x509.Name]:
    return [each.value for each in subtrees or () if isinstance(each, x509.DirectoryName)]


def _is_below(name: x509.Name, subtree: x509.Name) -> bool:
    """Whether a name begins with all of the subtree's parts (RFC 5280 4.2.1.10)."""
    wanted = comparable(subtree)
    return comparable(name)[: len(wanted)] == wanted


def _forbids_purpose(certificate: x509.Certificate, role: str) -> Words | None:
    """RFC 5280 4.2.1.12 knows no purposes of a CA; TLS libraries demand them of every certificate of the path."""
    purposes, wanted = _extension(certificate, x509.ExtendedKeyUsage), _PURPOSES.get(role)
    if purposes is None or wanted is None or wanted in purposes:
        return None
    said = ", ".join(map(purpose_name, purposes))
    return f"permits no {purpose_name(wanted)} below it: its extended key usage is {said}"


def _too_deep(certificate: x509.Certificate, below: Path) -> Words | None:
    length, between = _path_length(certificate), _counted(below)
    return _depth_words(length, between) if length is not None and between > length else None


def _depth_words(length: int, between: int) -> Words:
    permitted = "no CA" if length == 0 else f"{length} CA(s) in a row"
    return f"permits {permitted} below it, and there would be {between}: its path length is {length}"


def _path_length(certificate: x509.Certificate) -> int | None:
    constraints = _extension(certificate, x509.BasicConstraints)
    return None if constraints is None else constraints.path_length


def _counted(path: Path) -> int:
    """How many count towards a path length: self-issued ones do not (RFC 5280 4.2.1.9)."""
    return sum(comparable(one.subject) != comparable(one.issuer) for one in path)


def constraints_of(certificate: x509.Certificate) -> NameConstraints:
    """Its name constraints of the types that a topology's names have; raises ValueError for what cannot be understood.

    A type that has a subtree is constrained; what has none is free.
    """
    found = _extension(certificate, x509.NameConstraints)
    if found is None:
        return NameConstraints()
    return NameConstraints(_by_type(found.permitted_subtrees), _by_type(found.excluded_subtrees))


def _by_type(subtrees: Sequence[x509.GeneralName] | None) -> MappingProxyType[SanType, tuple[str, ...]]:
    found: dict[SanType, tuple[str, ...]] = {}
    for each in subtrees or ():
        for form, kind in _SAN_TYPES:
            if isinstance(each, form):
                found[kind] = (*found.get(kind, ()), _lower_host(str(each.value)))
    return MappingProxyType(found)


def _lower_host(constraint: str) -> str:
    local, at, host = constraint.rpartition("@")
    return f"{local}{at}{host.lower()}"


# --- What some refuse, and what is weak ----------------------------------------------------------------------------


def strict_refusals(path: Path) -> Iterator[Finding]:
    """What those refuse who hold certificates to RFC 5280 by the letter (OpenSSL's `X509_V_FLAG_X509_STRICT`)."""
    for depth, certificate in enumerate(path):
        if (words := _not_by_the_letter(certificate, is_anchor=depth == len(path) - 1)) is not None:
            yield Finding(certificate, words)


def _not_by_the_letter(certificate: x509.Certificate, *, is_anchor: bool) -> Words | None:
    if certificate.version is not x509.Version.v3:
        return "is a certificate of version 1, which has no extensions"
    says = {each.oid: each for each in certificate.extensions}
    if ExtensionOID.KEY_USAGE not in says:
        return "has no key usage (RFC 5280 4.2.1.3)"
    basic = says.get(ExtensionOID.BASIC_CONSTRAINTS)  # without any it is no CA, which `refusals` says
    if basic is not None and not basic.critical:
        return "has basic constraints that are not critical (RFC 5280 4.2.1.9)"
    if ExtensionOID.SUBJECT_KEY_IDENTIFIER not in says:
        return "has no subject key identifier (RFC 5280 4.2.1.2)"
    if ExtensionOID.AUTHORITY_KEY_IDENTIFIER not in says and not is_anchor:
        return "has no authority key identifier (RFC 5280 4.2.1.1)"
    authority = _extension(certificate, x509.AuthorityKeyIdentifier)
    if authority is not None and authority.key_identifier is None and not is_anchor:
        return "has an authority key identifier without the identifier of a key (RFC 5280 4.2.1.1)"
    for oid in (ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER):
        if oid in says and says[oid].critical:
            return "has a critical key identifier (RFC 5280 4.2.1.1, 4.2.1.2)"
    if not list(certificate.subject):
        return "has no subject (RFC 5280 4.1.2.6)"
    return None


def doubts(path: Path) -> Iterator[Finding]:
    """What works with OpenSSL, and is weak or refused elsewhere."""
    for certificate in path:
        for check in _DOUBTS:
            if (words := check(certificate)) is not None:
                yield Finding(certificate, words)


def _old_key(certificate: x509.Certificate) -> Words | None:
    match certificate.public_key():
        case rsa.RSAPublicKey() as key if key.key_size < _COMMON_RSA_BITS:
            return f"has an RSA key of {key.key_size} bits: many ask for 2048"
        case dsa.DSAPublicKey():
            return "has a DSA key, which OpenSSL still takes, and Go, NSS and browsers do not"
        case ed448.Ed448PublicKey():
            return "has an Ed448 key, which OpenSSL takes, and Go, NSS, Windows and browsers do not"
        case ec.EllipticCurvePublicKey() as key if key.curve.name not in _KNOWN_CURVES:
            return f"has a key on {key.curve.name}, which OpenSSL takes, and Go, NSS, Windows and browsers do not"
        case _:
            return None


def _odd_serial(certificate: x509.Certificate) -> Words | None:
    if certificate.serial_number <= 0:
        return "has a serial number that is not positive (RFC 5280 4.1.2.2): Go refuses negative ones"
    if certificate.serial_number >= _LONGEST_SERIAL:
        return "has a serial number of more than 20 octets (RFC 5280 4.1.2.2): some read no more"
    return None


def _asks_for_policies(certificate: x509.Certificate) -> Words | None:
    constraints = _extension(certificate, x509.PolicyConstraints)
    if constraints is None or constraints.require_explicit_policy is None:
        return None
    return (
        "demands certificate policies below it, and what is issued here has none: OpenSSL checks that only on "
        "request; Java, Go and Windows always do"
    )


_DOUBTS: Final[tuple[Callable[[x509.Certificate], Words | None], ...]] = (_old_key, _odd_serial, _asks_for_policies)


def may_sign_crls(certificate: x509.Certificate) -> bool:
    """Whether its key usage, if there, lets it sign CRLs (RFC 5280 4.2.1.3)."""
    usage = _extension(certificate, x509.KeyUsage)
    return usage is None or usage.crl_sign


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
