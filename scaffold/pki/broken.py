"""Certificates with exactly one fault: those that a topology asks for, and the rogues that every server must refuse.

fault            what is wrong                                          everything else
expired          ended a minute ago                                     right
not-yet-valid    begins later                                           right
wrong-ca         signed by a foreign CA that bears the issuer's name    right
self-signed      signed by its own key                                  right
wrong-eku        the other role's purpose                               right
no-eku           no purpose                                             right
wrong-name       another identity (client), other hosts (server)        right
no-san           no names                                               right
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from scaffold.errors import PkiError
from scaffold.pki.chains import is_self_signed, signed_by
from scaffold.pki.issue import BACKDATE, Issuer, new_serial, self_signed, sign
from scaffold.pki.issue import validity as sound_validity
from scaffold.pki.keys import PrivateKey, signature_hash
from scaffold.pki.names import common_name, ending_in, rfc2253
from scaffold.pki.profiles import CA_KEY_USAGE, CertificateProfile, basic_constraints, differences
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
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


def shows(profile: CertificateProfile, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether a certificate on disk has, at this moment, the fault that its profile asks for (none: True)."""
    match profile.fault:
        case None:
            return True
        case Fault.EXPIRED:
            return certificate.not_valid_after_utc < now
        case Fault.NOT_YET_VALID:
            return now < certificate.not_valid_before_utc
        case Fault.WRONG_CA:
            return certificate.issuer == issuer.subject and not signed_by(certificate, issuer)
        case Fault.SELF_SIGNED:
            return is_self_signed(certificate)
        case Fault.WRONG_EKU | Fault.NO_EKU | Fault.WRONG_NAME | Fault.NO_SAN:
            return not differences(profile, certificate)


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
    whose = f"rogue {profile.subject.common_name}"
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

    `pointers` are those of what the parent issues: who checks revocation finds no second fault.
    Raises PkiError where the parent's path length leaves no room for one.
    """
    return _rogue_ca(_renamed(beside.subject, "sibling"), parent, now, randomness, pointers)


def namesake_ca(
    parent: Issuer,
    like: x509.Certificate,
    now: datetime,
    pointers: Pointers = (),
    randomness: Randomness = OPERATING_SYSTEM,
) -> Issuer:
    """A CA with the subject of `like` under another trusted root. Likewise in all else."""
    return _rogue_ca(like.subject, parent, now, randomness, pointers)


def _renamed(name: x509.Name, suffix: str) -> x509.Name:
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
        _check_room_below(parent.certificate)
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


def _check_room_below(parent: x509.Certificate) -> None:
    try:
        length = parent.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except x509.ExtensionNotFound:
        length = None
    if length == 0:
        raise PkiError("no CA can stand below this one: its path length is 0")
