"""What a certificate says, apart from its key, serial and dates: derived from the topology, encoded, compared.

role      basicConstraints   keyUsage                       EKU           names
ca        CA:TRUE, pathLen   keyCertSign, cRLSign           none          name constraints
server    CA:FALSE           digitalSignature (RSA: and     serverAuth    DNS, IP, email, identity URI
                             keyEncipherment)
client    CA:FALSE           digitalSignature               clientAuth    DNS, IP, email, identity URI
both      CA:FALSE           as of a server                 both          as of a server
ocsp      CA:FALSE           digitalSignature               OCSPSigning   none
"""

from __future__ import annotations

import enum
import functools
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID, NameOID

from scaffold.errors import PkiError
from scaffold.pki.keys import MALFORMED, PublicKey
from scaffold.pki.names import COMMON_NAME_LIMIT, common_name, ending_in, rfc2253
from scaffold.topology.faults import OWN_CHAIN
from scaffold.topology.generations import FIRST
from scaffold.topology.model import (
    Ca,
    Fault,
    IdentityForm,
    NameConstraints,
    Party,
    San,
    SanType,
    Server,
    Subject,
    Topology,
)
from scaffold.topology.names import form_of
from scaffold.topology.publication import ca_url, crl_url, ocsp_url, published_name

Role = Literal["ca", "server", "client", "ocsp"]


class Aspect(enum.StrEnum):
    """What a certificate says, by a stable code."""

    WHOLE = "unreadable"
    """It cannot be understood."""
    KEY_TYPE = "key-type"
    """Its key is of a type that is not used here."""
    SUBJECT = "subject"
    AUTHORITY_KEY_IDENTIFIER = "authority-key-identifier"
    KEY_IDENTIFIER = "key-identifier"
    BASIC_CONSTRAINTS = "basic-constraints"
    KEY_USAGE = "key-usage"
    EXTENDED_KEY_USAGE = "extended-key-usage"
    SANS = "sans"
    NAME_CONSTRAINTS = "name-constraints"
    CRL_POINTER = "crl-pointer"
    ISSUER_POINTERS = "issuer-pointers"
    MUST_STAPLE = "must-staple"
    OCSP_NOCHECK = "ocsp-nocheck"
    EXTENSION = "extension"
    """Any other extension."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a certificate says of one aspect, and what its profile wants; None where it is absent, or of no matter.

    `of` is the OID of an extension that has no aspect of its own.
    """

    aspect: Aspect
    found: str | None = None
    wanted: str | None = None
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Latitude:
    """How a certificate may differ from its profile: what an issuer is known to say otherwise, or to add unasked.

    `extensions` are the OIDs of extensions that it may add, such as a policy's or that of SCTs (RFC 6962 3.3).
    """

    aspects: frozenset[Aspect] = frozenset()
    extensions: frozenset[str] = frozenset()

    def allows(self, difference: Difference) -> bool:
        """Whether this is one that is no fault."""
        return difference.aspect in self.aspects or (difference.wanted is None and difference.of in self.extensions)


VERBATIM: Final = Latitude()
"""Of an issuer that says exactly what is asked."""

_EKU: Final = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "ocsp": ExtendedKeyUsageOID.OCSP_SIGNING,
}
_OTHER_ROLE: Final[Mapping[str, Role]] = {"server": "client", "client": "server"}
_HOST_NAME_LIMIT: Final = 253  # RFC 1035 2.3.4, written without the final dot


@dataclass(frozen=True, slots=True)
class CertificateProfile:
    """Everything a certificate says apart from key, serial and dates.

    `sans` holds the identity URI too. `path_length` and `name_constraints` are a CA's. The URLs are where the *issuer*
    publishes (None: the pointer is left out). `fault` is one that the words themselves carry or that `broken` acts on.
    """

    subject: Subject
    role: Role
    sans: tuple[San, ...] = ()
    path_length: int | None = None
    name_constraints: NameConstraints | None = None
    crl_url: str | None = None
    ocsp_url: str | None = None
    ca_url: str | None = None
    must_staple: bool = False
    fault: Fault | None = None
    calls_too: bool = False
    """Of a server's: it calls with the same certificate, which is for both purposes."""


# --- From the topology ---------------------------------------------------------------------------------------------


def for_ca(t: Topology, ca: Ca, number: int = FIRST, issued_by: int = FIRST) -> CertificateProfile:
    """The profile of a generation of a CA that is made here. A self-signed one carries no pointers.

    `issued_by` is the generation of its issuer, here as below: each publishes in a place of its own.
    """
    crl_url, ocsp_url, ca_url = _pointers_of(t, ca.issuer, issued_by)
    return CertificateProfile(
        subject=_subject_of(ca, number),
        role="ca",
        path_length=ca.path_length,
        name_constraints=ca.name_constraints,
        crl_url=crl_url,
        ocsp_url=ocsp_url,
        ca_url=ca_url,
    )


def _subject_of(ca: Ca, number: int) -> Subject:
    """Each generation has a name of its own: under one name, chain building takes the wrong key for the right one."""
    if number == FIRST:
        return ca.subject
    return replace(ca.subject, common_name=ending_in(ca.subject.common_name, f"G{number}"))


def for_server(t: Topology, server: Server, issued_by: int = FIRST) -> CertificateProfile:
    """The profile of the certificate that a server shows to its callers: serverAuth alone, unless it is for both."""
    crl_url, ocsp_url, ca_url = _pointers_of(t, server.issuer, issued_by)
    return CertificateProfile(
        subject=server.subject,
        role="server",
        sans=(*server.names, San(SanType.URI, server.identity)),
        crl_url=crl_url,
        ocsp_url=ocsp_url,
        ca_url=ca_url,
        must_staple=server.must_staple,
        fault=server.fault,
        calls_too=server.one_leaf,
    )


def for_client_side(t: Topology, party: Party, issued_by: int = FIRST) -> CertificateProfile:
    """The profile of the certificate with which a client, or a server that calls, calls: clientAuth alone.

    A server's second certificate carries its identity and none of its host names, and never its fault.
    """
    is_server = isinstance(party, Server)
    crl_url, ocsp_url, ca_url = _pointers_of(t, party.calling_issuer, issued_by)
    return CertificateProfile(
        subject=party.calling_subject,
        role="client",
        sans=(*_names_of_caller(party), *identity_names(party.identity)),
        crl_url=crl_url,
        ocsp_url=ocsp_url,
        ca_url=ca_url,
        fault=None if is_server else party.fault,
    )


def _names_of_caller(party: Party) -> tuple[San, ...]:
    if isinstance(party, Server):
        return party.calling.names if party.calling is not None else ()
    return party.names


def identity_names(identity: str) -> tuple[San, ...]:
    """The name of a certificate that says an identity; none where its subject does."""
    match form_of(identity):
        case IdentityForm.URI:
            return (San(SanType.URI, identity),)
        case IdentityForm.DNS:
            return (San(SanType.DNS, identity.removeprefix("dns:")),)
        case IdentityForm.SUBJECT:
            return ()


def for_responder(ca: Ca, number: int = FIRST) -> CertificateProfile:
    """The profile of a delegated OCSP responder (RFC 6960 4.2.2.2) of a generation of a CA.

    Nobody asks about it: no pointers.
    """
    named = ending_in(_subject_of(ca, number).common_name, "OCSP responder")
    return CertificateProfile(subject=replace(ca.subject, common_name=named), role="ocsp")


def _pointers_of(t: Topology, issuer: str | None, number: int) -> tuple[str | None, str | None, str | None]:
    """The CRL's, the OCSP responder's and the CA certificate's URLs in what a generation of `issuer` issues."""
    if not issuer or t.publish is None:
        return None, None, None
    name, revocation = published_name(issuer, number), t.cas[issuer].revocation
    return (
        crl_url(t.publish, name) if revocation.crl else None,
        ocsp_url(t.publish, name) if revocation.ocsp else None,
        ca_url(t.publish, name),
    )


def pointers_by(t: Topology, issuer: str, number: int = FIRST) -> tuple[x509.Extension[x509.ExtensionType], ...]:
    """The extensions by which what a generation of `issuer` issues points to its CRL, responder and certificate."""
    return _pointers(*_pointers_of(t, issuer, number))


# --- The fault in the words ----------------------------------------------------------------------------------------


def stated(profile: CertificateProfile) -> CertificateProfile:
    """What the certificate will really say: the profile with the fault that lies in its words worked in.

    Faults of time and of issuer leave it as it is; `broken` makes those.
    """
    match profile.fault:
        case Fault.WRONG_EKU:
            return replace(profile, role=_OTHER_ROLE[profile.role])
        case Fault.NO_SAN:
            return replace(profile, sans=())
        case Fault.WRONG_NAME if profile.role == "server":
            return replace(profile, sans=_other_hosts(profile.sans))
        case Fault.NUL_IN_NAME:
            return replace(profile, sans=_with_nul(profile))
        case one if one in OWN_CHAIN:
            # Its issuer is none that publishes anything.
            return replace(profile, crl_url=None, ocsp_url=None, ca_url=None)
        case Fault.WRONG_NAME:
            return _other_identity(profile)
        case _:
            return profile


def _with_nul(profile: CertificateProfile) -> tuple[San, ...]:
    """Each name that may hold text, with a NUL and more after it: whoever stops at the NUL takes it for the true one.

    What follows keeps to the name constraints. A server keeps no address: one that is right would be a way around.
    """
    is_server = profile.role == "server"
    found = SanType.DNS if is_server else SanType.URI
    if not any(san.type is found for san in profile.sans):
        raise PkiError(f'"{profile.subject.common_name}" has no {found} name that could hold a NUL')
    kept = (san for san in profile.sans if not is_server or san.type in (SanType.DNS, SanType.URI))
    return tuple(replace(san, value=f"{san.value}\0.{san.value}") if san.type is found else san for san in kept)


def _other_hosts(sans: tuple[San, ...]) -> tuple[San, ...]:
    """Other host names, below the real ones so that name constraints are still kept.

    Constraints on addresses are often narrow: the neighbour of an address is taken only where there is no name.
    """
    taken = {san.value for san in sans}
    has_name = any(san.type is SanType.DNS for san in sans)
    kept = (san for san in sans if not (has_name and san.type is SanType.IP))
    return tuple(replace(san, value=_other_host(san, taken)) for san in kept)


def _other_host(san: San, taken: set[str]) -> str:
    if san.type is SanType.DNS:
        name = f"wrong-name.{san.value.replace('*', 'any')}"
        return name if len(name) <= _HOST_NAME_LIMIT else f"wrong-name.{san.value.partition('.')[2]}"
    if san.type is SanType.IP:
        address = ipaddress.ip_address(san.value)
        neighbours = (str(type(address)(int(address) ^ bit)) for bit in range(1, 256))
        return next(neighbour for neighbour in neighbours if neighbour not in taken)
    return san.value


def _other_identity(profile: CertificateProfile) -> CertificateProfile:
    """Another identity and another common name, since some servers see the subject alone."""
    named = f"wrong-name {profile.subject.common_name}"[:COMMON_NAME_LIMIT].rstrip()
    sans = (replace(san, value=f"{san.value}/wrong-name") if san.type is SanType.URI else san for san in profile.sans)
    return replace(profile, subject=replace(profile.subject, common_name=named), sans=tuple(sans))


# --- Encoded -------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def subject_name(subject: Subject) -> x509.Name:
    """The distinguished name, widest part first. Raises PkiError for what X.520 forbids (a three-letter country)."""
    parts = (
        (NameOID.COUNTRY_NAME, subject.country),
        (NameOID.STATE_OR_PROVINCE_NAME, subject.state),
        (NameOID.LOCALITY_NAME, subject.locality),
        (NameOID.ORGANIZATION_NAME, subject.organization),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, subject.organizational_unit),
    )
    try:
        above = [x509.NameAttribute(oid, value) for oid, value in parts if value is not None]
        return x509.Name([*above, *([common_name(subject.common_name)] if subject.common_name else [])])
    except ValueError as error:
        raise PkiError(f'the subject of "{subject.common_name}" cannot be put into a certificate: {error}') from error


def extensions(
    profile: CertificateProfile, key: PublicKey, authority: x509.AuthorityKeyIdentifier | None
) -> list[x509.Extension[x509.ExtensionType]]:
    """The extensions of a certificate for `key`; `authority` is None on a self-signed one alone.

    Raises PkiError for a name that cannot be encoded.
    """
    says = stated(profile)
    if says.fault is Fault.VERSION_1:
        return []
    try:
        specific = _of_ca(says) if says.role == "ca" else _of_leaf(says, key)
    except ValueError as error:
        name = profile.subject.common_name
        raise PkiError(f'the certificate of "{name}" cannot be written: {error}') from error
    # RFC 5280 4.2.1.2: SKI must be on a CA, should be on a leaf; SHA-1 of the key is a name here, no protection.
    found = [_extension(x509.SubjectKeyIdentifier.from_public_key(key))]
    if authority is not None:
        # RFC 5280 4.2.1.1: AKI must be on all but the self-signed.
        found.append(_extension(authority))
    return [*found, *specific, *_pointers(says.crl_url, says.ocsp_url, says.ca_url)]


def _of_ca(says: CertificateProfile) -> list[x509.Extension[x509.ExtensionType]]:
    # RFC 5280 4.2.1.9: critical on a CA. RFC 5280 4.2.1.3: keyCertSign and cRLSign, critical.
    found = [basic_constraints(True, says.path_length), CA_KEY_USAGE]
    if (constraints := says.name_constraints) is not None:
        # RFC 5280 4.2.1.10: critical, so that who does not understand it refuses.
        permitted, excluded = _subtrees(constraints.permitted), _subtrees(constraints.excluded)
        if permitted or excluded:
            found.append(_extension(x509.NameConstraints(permitted or None, excluded or None), critical=True))
    return found


def _of_leaf(says: CertificateProfile, key: PublicKey) -> list[x509.Extension[x509.ExtensionType]]:
    is_rsa_server = says.role == "server" and isinstance(key, rsa.RSAPublicKey)
    found = [basic_constraints(False, None), _RSA_SERVER_KEY_USAGE if is_rsa_server else _LEAF_KEY_USAGE]
    if says.fault is not Fault.NO_EKU:
        # RFC 5280 4.2.1.12: exactly one purpose, so that a server's certificate never serves as a client's.
        found.append(_BOTH_PURPOSES if says.calls_too else _extended_key_usage(says.role))
    if says.sans:
        # RFC 5280 4.2.1.6: not critical, since the subject is never empty.
        found.append(_extension(x509.SubjectAlternativeName([general_name(san) for san in says.sans])))
    if says.must_staple:
        found.append(_MUST_STAPLE)
    if says.role == "ocsp":
        found.append(_OCSP_NO_CHECK)
    if says.fault is Fault.UNKNOWN_CRITICAL:
        found.append(_UNKNOWN)
    return found


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def _key_usage(
    *, digital_signature: bool = False, key_encipherment: bool = False, signs_for_others: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=signs_for_others,
        crl_sign=signs_for_others,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


CA_KEY_USAGE: Final = _extension(_key_usage(signs_for_others=True), critical=True)
# RFC 5280 4.2.1.3. digitalSignature alone: RFC 8813 3 (EC), RFC 8410 5 and RFC 9295 (EdDSA), RFC 9881 5 (ML-DSA).
_LEAF_KEY_USAGE: Final = _extension(_key_usage(digital_signature=True), critical=True)
# NSS wants keyEncipherment of an RSA server, although both TLS profiles leave out the key exchange that it serves.
_RSA_SERVER_KEY_USAGE: Final = _extension(_key_usage(digital_signature=True, key_encipherment=True), critical=True)
# RFC 7633: status_request.
_MUST_STAPLE: Final = _extension(x509.TLSFeature([x509.TLSFeatureType.status_request]))
# RFC 6960 4.2.2.2.1: the responder's own certificate is believed for its short life.
_OCSP_NO_CHECK: Final = _extension(x509.OCSPNoCheck())
# Below the enterprise number of examples (RFC 5612): nobody will ever know it. Its value is NULL.
_UNKNOWN: Final = _extension(
    x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00"), critical=True
)


@functools.lru_cache(maxsize=64)
def basic_constraints(ca: bool, path_length: int | None) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280 4.2.1.9: whether the subject may issue, and how many CAs may be below it."""
    return _extension(x509.BasicConstraints(ca, path_length), critical=True)


_BOTH_PURPOSES: Final = _extension(x509.ExtendedKeyUsage([_EKU["server"], _EKU["client"]]))


@functools.lru_cache(maxsize=8)
def _extended_key_usage(role: Role) -> x509.Extension[x509.ExtensionType]:
    return _extension(x509.ExtendedKeyUsage([_EKU[role]]))


@functools.lru_cache(maxsize=1024)
def _pointers(
    crl_url: str | None, ocsp_url: str | None, ca_url: str | None
) -> tuple[x509.Extension[x509.ExtensionType], ...]:
    found: list[x509.Extension[x509.ExtensionType]] = []
    if crl_url is not None:
        # RFC 5280 4.2.1.13: where the issuer's CRL is.
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
        found.append(_extension(x509.CRLDistributionPoints([point])))
    # RFC 5280 4.2.2.1: the issuer's OCSP responder, and its certificate.
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, ocsp_url),
            (AuthorityInformationAccessOID.CA_ISSUERS, ca_url),
        )
        if url is not None
    ]
    if access:
        found.append(_extension(x509.AuthorityInformationAccess(access)))
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def general_name(san: San) -> x509.GeneralName:
    """One name as X.509 holds it. Raises ValueError where it is not ASCII or not an address."""
    match san.type:
        case SanType.DNS:
            return x509.DNSName(san.value)
        case SanType.IP:
            return x509.IPAddress(ipaddress.ip_address(san.value))
        case SanType.EMAIL:
            return x509.RFC822Name(san.value)
        case SanType.URI:
            return x509.UniformResourceIdentifier(san.value)


def _subtrees(names: Mapping[SanType, Iterable[str]]) -> list[x509.GeneralName]:
    return [
        x509.IPAddress(ipaddress.ip_network(value)) if kind is SanType.IP else general_name(San(kind, value))
        for kind, values in names.items()
        for value in values
    ]


# --- Compared ------------------------------------------------------------------------------------------------------


def differences(
    profile: CertificateProfile, certificate: x509.Certificate, latitude: Latitude = VERBATIM
) -> list[Difference]:
    """What a real certificate says differently from its profile, in a fixed order; empty where it says the same.

    Its key, its dates and its signature are not looked at. A certificate that cannot be parsed is a difference,
    whatever its issuer's latitude; raises PkiError where the profile itself cannot be encoded.
    """
    found = _differences(profile, certificate)
    return found if latitude is VERBATIM else [one for one in found if not latitude.allows(one)]


def _differences(profile: CertificateProfile, certificate: x509.Certificate) -> list[Difference]:
    says = stated(profile)
    try:
        real = {extension.oid: extension for extension in certificate.extensions}
        found = list(_subject_difference(says, certificate.subject))
        key = certificate.public_key()
    except MALFORMED as error:
        return [Difference(Aspect.WHOLE, found=str(error))]
    if not isinstance(key, PublicKey):
        return [*found, Difference(Aspect.KEY_TYPE, found=type(key).__name__)]
    # Which key the AKI names is for the check of the signature; here it counts whether it is there.
    authority = real.pop(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, None)
    if authority is None and certificate.issuer != certificate.subject and says.fault is not Fault.VERSION_1:
        found.append(Difference(Aspect.AUTHORITY_KEY_IDENTIFIER, wanted="present"))
    expected = {extension.oid: extension for extension in extensions(profile, key, None)}
    if real == expected:
        return found
    return found + [
        _difference(oid, real.get(oid), expected.get(oid))
        for oid in (*expected, *(oid for oid in real if oid not in expected))
        if real.get(oid) != expected.get(oid)
    ]


def _subject_difference(says: CertificateProfile, real: x509.Name) -> Iterable[Difference]:
    expected = subject_name(says.subject)
    if real != expected:
        yield Difference(Aspect.SUBJECT, rfc2253(real), rfc2253(expected))


_ASPECTS: Final = {
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: Aspect.KEY_IDENTIFIER,
    ExtensionOID.BASIC_CONSTRAINTS: Aspect.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE: Aspect.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE: Aspect.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: Aspect.SANS,
    ExtensionOID.NAME_CONSTRAINTS: Aspect.NAME_CONSTRAINTS,
    ExtensionOID.CRL_DISTRIBUTION_POINTS: Aspect.CRL_POINTER,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: Aspect.ISSUER_POINTERS,
    ExtensionOID.TLS_FEATURE: Aspect.MUST_STAPLE,
    ExtensionOID.OCSP_NO_CHECK: Aspect.OCSP_NOCHECK,
}


def _difference(
    oid: x509.ObjectIdentifier,
    real: x509.Extension[x509.ExtensionType] | None,
    expected: x509.Extension[x509.ExtensionType] | None,
) -> Difference:
    aspect = _ASPECTS.get(oid, Aspect.EXTENSION)
    of = oid.dotted_string if aspect is Aspect.EXTENSION else None
    if real and expected and real.value == expected.value:
        return Difference(aspect, _criticality(real), _criticality(expected), of)
    return Difference(aspect, _said(real), _said(expected), of)


def _criticality(extension: x509.Extension[x509.ExtensionType]) -> str:
    return "critical" if extension.critical else "not critical"


def _said(extension: x509.Extension[x509.ExtensionType] | None) -> str | None:
    return None if extension is None else describe(extension.value)


def describe(value: x509.ExtensionType) -> str:
    """What an extension says, in a short phrase of RFC 5280's own terms."""
    phrase = _PHRASES.get(type(value))
    return "present" if phrase is None else phrase(value)


def _names(names: Iterable[x509.GeneralName] | None) -> str:
    return ", ".join(general_name_text(name) for name in names or ()) or "none"


def general_name_text(name: x509.GeneralName) -> str:
    """A general name with its kind in front: `DNS:localhost`, `URI:spiffe://bank/client/teller`."""
    match name:
        case x509.DNSName():
            return f"DNS:{name.value}"
        case x509.IPAddress():
            return f"IP:{name.value}"
        case x509.RFC822Name():
            return f"email:{name.value}"
        case x509.UniformResourceIdentifier():
            return f"URI:{name.value}"
        case x509.DirectoryName():
            return f"directory:{rfc2253(name.value)}"
        case x509.RegisteredID():
            return f"OID:{name.value.dotted_string}"
        case _:
            return "another kind of name"


_USAGES: Final = (
    ("digital_signature", "digitalSignature"),
    ("content_commitment", "contentCommitment"),
    ("key_encipherment", "keyEncipherment"),
    ("data_encipherment", "dataEncipherment"),
    ("key_agreement", "keyAgreement"),
    ("key_cert_sign", "keyCertSign"),
    ("crl_sign", "cRLSign"),
)


def _basic(value: x509.BasicConstraints) -> str:
    length = "" if value.path_length is None else f", path length {value.path_length}"
    return f"CA{length}" if value.ca else "no CA"


def _constraints(value: x509.NameConstraints) -> str:
    return f"permitted {_names(value.permitted_subtrees)}; excluded {_names(value.excluded_subtrees)}"


def _points(value: x509.CRLDistributionPoints) -> str:
    return ", ".join(_names(point.full_name) for point in value)


def _access(value: x509.AuthorityInformationAccess) -> str:
    titles = {AuthorityInformationAccessOID.OCSP: "OCSP", AuthorityInformationAccessOID.CA_ISSUERS: "issuer"}
    return ", ".join(
        f"{titles.get(item.access_method, item.access_method.dotted_string)} {general_name_text(item.access_location)}"
        for item in value
    )


_PURPOSES: Final = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}


def purpose_name(oid: x509.ObjectIdentifier) -> str:
    """A purpose as RFC 5280 4.2.1.12 calls it, or its OID."""
    return _PURPOSES.get(oid, oid.dotted_string)


_PHRASES: Final[dict[type[x509.ExtensionType], Callable[..., str]]] = {
    x509.SubjectKeyIdentifier: lambda value: value.digest.hex(),
    x509.AuthorityKeyIdentifier: lambda value: (value.key_identifier or b"").hex() or "without a key identifier",
    x509.BasicConstraints: _basic,
    x509.KeyUsage: lambda value: ", ".join(word for name, word in _USAGES if getattr(value, name)) or "none",
    x509.ExtendedKeyUsage: lambda value: ", ".join(purpose_name(oid) for oid in value),
    x509.SubjectAlternativeName: _names,
    x509.NameConstraints: _constraints,
    x509.CRLDistributionPoints: _points,
    x509.AuthorityInformationAccess: _access,
    x509.TLSFeature: lambda value: ", ".join(feature.name for feature in value),
    x509.CRLNumber: lambda value: str(value.crl_number),
}
