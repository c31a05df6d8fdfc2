"""Certificates whose own dates, words or signer have one fault, and the rogues that every server must refuse.

`topology.faults` says what each fault is; those that lie in the chain above a certificate, or take more than a profile
to make, are made in `faulty`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from scaffold.errors import PkiError
from scaffold.pki.chains import is_ca, is_self_signed, signed_by
from scaffold.pki.issue import BACKDATE, Issuer, new_serial, self_signed, sign
from scaffold.pki.issue import validity as sound_validity
from scaffold.pki.keys import MALFORMED, PrivateKey, signature_hash
from scaffold.pki.names import common_name, ending_in, rfc2253
from scaffold.pki.profiles import CA_KEY_USAGE, CertificateProfile, basic_constraints, differences
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.topology.faults import OWN_CHAIN
from scaffold.topology.model import Fault, KeyType

ROGUE_LIFETIME: Final = timedelta(minutes=10)
"""How long a rogue lives: as long as a verification may take, and no longer."""

_ENDED_AGO: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Rogue:
    """A certificate, its key, and the intermediates that are sent after it. `key` is not shown by `repr`."""

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    def __repr__(self) -> str:
        return f"Rogue(certificate={self.certificate!r}, key=…, chain={self.chain!r})"


# --- Declared faults -----------------------------------------------------------------------------------------------


def validity(
    fault: Fault | None, lifetime: timedelta, now: datetime, issuer_not_after: datetime
) -> tuple[datetime, datetime]:
    """notBefore and notAfter of a certificate with this fault; both within the issuer's own validity.

    Raises PkiError where the issuer has already ended.
    """
    not_before, not_after = sound_validity(lifetime, now, issuer_not_after)
    if fault is Fault.EXPIRED:
        return not_before, not_before + BACKDATE - _ENDED_AGO
    if fault is Fault.NOT_YET_VALID:
        # It begins when a sound one would have ended, or half-way to the issuer's end, and then ends with the issuer.
        start = not_before + BACKDATE
        begins = start + min(lifetime, (issuer_not_after - start) / 2)
        begins = begins.replace(microsecond=0)
        return begins, min(begins + lifetime, issuer_not_after)
    return not_before, not_after


def issue(
    profile: CertificateProfile,
    key: PrivateKey,
    issuer: Issuer,
    *,
    serial: int,
    lifetime: timedelta,
    now: datetime,
    randomness: Randomness = OPERATING_SYSTEM,
) -> x509.Certificate:
    """A certificate for `key` as `issuer` would make it, but for the profile's fault.

    Raises PkiError where the issuer has ended or the profile says what X.509 cannot.
    """
    not_before, not_after = validity(profile.fault, lifetime, now, issuer.not_after)
    if profile.fault is Fault.SELF_SIGNED:
        return self_signed(profile, key, serial=serial, not_before=not_before, not_after=not_after)
    signer = foreign_ca(issuer.certificate, now, randomness) if profile.fault is Fault.WRONG_CA else issuer
    # Not by `issue`: the foreign CA lives minutes, and a leaf that is cut to its end would have a second fault.
    return sign(profile, key.public_key(), signer, serial=serial, not_before=not_before, not_after=not_after)


def shows(
    profile: CertificateProfile,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    now: datetime,
    chain: Sequence[x509.Certificate] = (),
) -> bool:
    """Whether a certificate on disk has, at this moment, the fault that its profile asks for (none: True).

    `chain` is what is sent after it. That it is revoked, only its CA's list says.
    """
    fault = profile.fault
    if fault is None or fault is Fault.REVOKED:
        return True
    if (check := _IN_DATES.get(fault)) is not None:
        return check(certificate, now)
    if fault in OWN_CHAIN:
        return _shows_chain(fault, certificate, issuer, tuple(chain), now)
    return _IN_SIGNER.get(fault, _says_it)(profile, certificate, issuer)


def _says_it(profile: CertificateProfile, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    return not differences(profile, certificate)


_IN_DATES: Final[Mapping[Fault, Callable[[x509.Certificate, datetime], bool]]] = {
    Fault.EXPIRED: lambda certificate, now: certificate.not_valid_after_utc < now,
    Fault.NOT_YET_VALID: lambda certificate, now: now < certificate.not_valid_before_utc,
}
_IN_SIGNER: Final[Mapping[Fault, Callable[[CertificateProfile, x509.Certificate, x509.Certificate], bool]]] = {
    Fault.WRONG_CA: lambda _, certificate, issuer: (
        certificate.issuer == issuer.subject and not signed_by(certificate, issuer)
    ),
    Fault.SELF_SIGNED: lambda _, certificate, issuer: is_self_signed(certificate),
    Fault.UNKNOWN_CA: lambda _, certificate, issuer: certificate.issuer not in (issuer.subject, certificate.subject),
    Fault.VERSION_1: lambda _, certificate, issuer: certificate.version is x509.Version.v1,
}


def _shows_chain(
    fault: Fault,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    chain: tuple[x509.Certificate, ...],
    now: datetime,
) -> bool:
    if fault is Fault.MISSING_INTERMEDIATE:
        return certificate.issuer != issuer.subject and not any(signed_by(certificate, one) for one in chain)
    return bool(chain) and signed_by(certificate, chain[0]) and _shows_above(fault, chain, now)


def _shows_above(fault: Fault, chain: tuple[x509.Certificate, ...], now: datetime) -> bool:
    """Whether what is sent after a certificate has the fault."""
    match fault:
        case Fault.EXPIRED_INTERMEDIATE:
            return chain[0].not_valid_after_utc < now
        case Fault.ISSUER_NOT_A_CA | Fault.ISSUED_BY_LEAF:
            return not is_ca(chain[0])
        case Fault.PATH_LENGTH:
            return len(chain) > 1 and signed_by(chain[0], chain[1]) and path_length(chain[1]) == 0
        case _:
            return _has_constraints(chain[0])


def path_length(certificate: x509.Certificate) -> int | None:
    """How many CAs may follow below a CA; None where that is not limited, or it is none."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except (x509.ExtensionNotFound, *MALFORMED):
        return None


def _has_constraints(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except (x509.ExtensionNotFound, *MALFORMED):
        return False
    return True


# --- Rogues --------------------------------------------------------------------------------------------------------


def rogue(
    profile: CertificateProfile,
    issuer: Issuer,
    now: datetime,
    *,
    fault: Fault | None = None,
    chain: tuple[x509.Certificate, ...] = (),
    key_type: KeyType = KeyType.EC_P256,
    serial: int | None = None,
    randomness: Randomness = OPERATING_SYSTEM,
) -> Rogue:
    """A fresh key with a short-lived certificate from `issuer` that says what `profile` says, but for `fault`.

    With a rogue CA as `issuer` and no fault, the issuer is what is wrong. `chain` is what is sent after the leaf.
    `serial`: one that is or will be called revoked; a fresh one otherwise.
    """
    whose = f"forged {profile.subject.common_name}"
    key = randomness.key(whose, key_type)
    asked = replace(profile, fault=fault)
    serial = new_serial(randomness, whose) if serial is None else serial
    certificate = issue(asked, key, issuer, serial=serial, lifetime=ROGUE_LIFETIME, now=now, randomness=randomness)
    return Rogue(certificate, key, chain)


def issued_by_leaf(
    profile: CertificateProfile,
    leaf: Issuer,
    now: datetime,
    chain: tuple[x509.Certificate, ...],
    randomness: Randomness = OPERATING_SYSTEM,
) -> Rogue:
    """A certificate that another entity's leaf has signed (RFC 5280 6.1.4 k must stop it); `chain` is that leaf's."""
    return rogue(profile, leaf, now, chain=(leaf.certificate, *chain), randomness=randomness)


def foreign_ca(like: x509.Certificate, now: datetime, randomness: Randomness = OPERATING_SYSTEM) -> Issuer:
    """A self-signed CA that nobody trusts, with the subject of `like`."""
    return _rogue_ca(like.subject, None, now, randomness)


Pointers = tuple[x509.Extension[x509.ExtensionType], ...]
"""CRL distribution point and authority information access, as `profiles.pointers_by` makes them."""


def sibling_ca(
    parent: Issuer,
    beside: x509.Certificate,
    now: datetime,
    pointers: Pointers = (),
    randomness: Randomness = OPERATING_SYSTEM,
) -> Issuer:
    """Another CA under the same parent as `beside`: trusted, and not the one that may vouch for the caller.

    `pointers` are those of what the parent issues: whoever checks revocation finds no second fault.
    Raises PkiError where the parent's path length leaves no room for one.
    """
    return _rogue_ca(renamed(beside.subject, "sibling"), parent, now, randomness, pointers)


def namesake_ca(
    parent: Issuer,
    like: x509.Certificate,
    now: datetime,
    pointers: Pointers = (),
    randomness: Randomness = OPERATING_SYSTEM,
) -> Issuer:
    """A CA with the subject of `like` under another trusted root. Likewise in all else."""
    return _rogue_ca(like.subject, parent, now, randomness, pointers)


def renamed(name: x509.Name, suffix: str) -> x509.Name:
    """The name with another common name, within the 64 characters of RFC 5280 A.1."""
    kept = [attribute for attribute in name if attribute.oid != x509.NameOID.COMMON_NAME]
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return x509.Name([*kept, common_name(ending_in(str(found[0].value) if found else "CA", suffix))])


def _rogue_ca(
    name: x509.Name, parent: Issuer | None, now: datetime, randomness: Randomness, pointers: Pointers = ()
) -> Issuer:
    """A CA for leaves alone."""
    whose = f"rogue CA {rfc2253(name)}"
    key = randomness.key(whose, KeyType.EC_P256)
    public = key.public_key()
    says: list[x509.ExtensionType] = [x509.SubjectKeyIdentifier.from_public_key(public)]
    if parent is not None:
        check_room_below(parent.certificate)
        says.append(parent.authority)
    not_before, not_after = sound_validity(ROGUE_LIFETIME, now, parent.not_after if parent else None)
    builder = x509.CertificateBuilder(
        parent.name if parent else name,
        name,
        public,
        new_serial(randomness, whose),
        not_before.replace(tzinfo=None),
        not_after.replace(tzinfo=None),
        [
            basic_constraints(ca=True, path_length=0),
            CA_KEY_USAGE,
            *(x509.Extension(value.oid, False, value) for value in says),
            *pointers,
        ],
    )
    signer = parent.key if parent else key
    return Issuer(builder.sign(signer, signature_hash(signer)), key)


def check_room_below(parent: x509.Certificate) -> None:
    """Raises PkiError where no CA can be below `parent`."""
    if path_length(parent) == 0:
        raise PkiError("no CA may follow below this one: its path length is 0")
