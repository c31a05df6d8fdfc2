"""The checks of one certificate, in their order: each is a small function that returns a reason or nothing.

They compare what is really there with what the topology asks for. The first that finds the certificate or its key
unusable decides alone; of what it says, every difference is told; its life counts only where nothing else differs.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from scaffold.pki import broken, bundles, chains, keys, profiles
from scaffold.pki.issue import BACKDATE, validity
from scaffold.pki.names import rfc2253
from scaffold.pki.profiles import Aspect
from scaffold.plan.authorities import Generation
from scaffold.plan.desired import DesiredCertificate, IssuedCertificate
from scaffold.plan.model import Action, Work
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.unknown import Unknown
from scaffold.store.ledger import CaKey, Issued, Ledger
from scaffold.store.observation import SeenCertificate, SeenKey
from scaffold.topology.address import Role
from scaffold.topology.faults import OTHER_ISSUER, OTHER_SIGNER
from scaffold.topology.model import Fault, KeyType


@dataclass(frozen=True)
class Examined:
    """One certificate under examination. `issuer` is None where its own key signs it."""

    desired: DesiredCertificate
    certificate: SeenCertificate
    key: SeenKey
    key_spki: bytes | None
    """The public half of the key that is there: read from it or, if it is encrypted, known from the records."""
    issuer: Generation | None
    ledger: Ledger
    now: datetime
    asked_for: bool = False
    """Whether a person asks for a renewal."""
    reproducible: bool = False
    """Whether its dates follow from the topology, so that others are a difference."""
    has_left_traces: bool = False
    """Of a CA that the ledger does not know: whether the folder holds what it has issued, or trust in it."""

    @property
    def real(self) -> x509.Certificate:
        """The certificate that is there; only for checks that run once it is known to be."""
        if self.certificate.certificate is None:
            raise ValueError(f"{self.desired.address} is not there")
        return self.certificate.certificate

    @functools.cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate that is there, in lower-case hex."""
        return bundles.fingerprint(self.real)

    @property
    def sent_along(self) -> tuple[x509.Certificate, ...]:
        """What is behind the certificate in its file."""
        return bundles.parse_certificates(self.certificate.content or b"")[1:]

    @property
    def recorded_key(self) -> CaKey | None:
        """The newest key of a generation of a CA, as the ledger has it."""
        return self.ledger.ca_keys.get(self.desired.address.label) if self.desired.address.role is Role.CA else None

    @property
    def half_replaced(self) -> bool:
        """Whether the key is the newest of a CA, and a kill came before its certificate was there."""
        return self.recorded_key is not None and self.recorded_key.spki == self.key_spki

    @property
    def known_ca(self) -> bool:
        """Whether a certificate of this CA was issued before: with another key it is another CA."""
        is_recorded = bool(self.ledger.by_address.get(self.desired.address))
        return self.desired.address.role is Role.CA and (is_recorded or self.has_left_traces)


SHA256: Final = hashes.SHA256()

_OF_ASPECTS: Final[Mapping[Aspect, ReasonCode]] = {aspect: ReasonCode(aspect.value) for aspect in Aspect} | {
    Aspect.WHOLE: ReasonCode.INCOMPREHENSIBLE,
    Aspect.KEY_TYPE: ReasonCode.KEY_TYPE_UNKNOWN,
}

Check = Callable[[Examined], Reason | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about a part, why, and how; the rest is as in `Change`."""

    action: Action
    work: Work
    reasons: tuple[Reason, ...]
    asks: bool = False
    can_wait: bool = False
    due: bool = False


# --- Is it there ---------------------------------------------------------------------------------------------------


def missing(one: Examined) -> Reason | None:
    if not one.certificate.missing:
        return None
    return Reason(ReasonCode.MISSING, one.desired.paths.certificate)


def unreadable(one: Examined) -> Reason | None:
    if one.certificate.problem is None:
        return None
    return Reason(ReasonCode.UNREADABLE, one.desired.paths.certificate, wanted="a certificate")


def incomprehensible(one: Examined) -> Reason | None:
    try:
        _ = one.real.extensions, one.real.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        return Reason(ReasonCode.INCOMPREHENSIBLE, one.desired.paths.certificate, found=str(error))
    return None


# --- Its key -------------------------------------------------------------------------------------------------------


def key_missing(one: Examined) -> Reason | None:
    if one.key.present:
        return None
    path = one.desired.paths.key
    if one.known_ca:
        return Reason(ReasonCode.KEY_LOST, path, of=one.desired.address.entity)
    return Reason(ReasonCode.KEY_MISSING, path)


def key_replaced(one: Examined) -> Reason | None:
    """For a CA whose certificate is not there: the key may be another than the one that was made for it."""
    if not one.known_ca or one.recorded_key is None or one.half_replaced:
        return None
    return Reason(ReasonCode.KEY_REPLACED, one.desired.paths.key, of=one.desired.address.entity)


def key_unreadable(one: Examined) -> Reason | None:
    if one.key.problem is None:
        return None
    return Reason(ReasonCode.KEY_UNREADABLE, one.desired.paths.key)


def key_mismatch(one: Examined) -> Reason | None:
    if one.key_spki is None or one.key_spki == keys.spki(one.real):
        return None
    if _on_request(one):
        return Reason(ReasonCode.REQUEST_KEY, wanted=one.desired.paths.certificate)
    return Reason(ReasonCode.KEY_MISMATCH, one.desired.paths.key, wanted=one.desired.paths.certificate)


def _on_request(one: Examined) -> bool:
    """Whether the key is that of a request: no file of it is here."""
    return isinstance(one.desired, IssuedCertificate) and one.desired.on_request


def is_over_another_key(one: Examined) -> bool:
    """Whether there is a certificate, and over another key than the one that is there."""
    return one.certificate.certificate is None or key_mismatch(one) is not None


def key_type(one: Examined) -> Reason | None:
    return _key_type(one, keys.key_type(one.real.public_key()))


def _key_type(one: Examined, found: KeyType | None) -> Reason | None:
    if found == one.desired.key:
        return None
    return Reason(ReasonCode.KEY_TYPE, found=found, wanted=one.desired.key)


def is_revoked(one: Examined) -> bool:
    """Whether the ledger says so."""
    return (one.desired.ca, f"{one.real.serial_number:x}") in one.ledger.revoked


def revoked(one: Examined) -> Reason | None:
    if one.desired.fault is Fault.REVOKED:
        return None
    entry = one.ledger.revoked.get((one.desired.ca, f"{one.real.serial_number:x}"))
    if entry is not None:
        return Reason(ReasonCode.REVOKED, found=entry.at, of=entry.reason)
    # Its own entry may be in the archive; a key of a revoked certificate is not prolonged either way.
    ended = one.real.not_valid_after_utc <= one.now
    return key_of_revoked(one) if ended else None


def key_compromised(one: Examined) -> Reason | None:
    """Of a certificate that is not revoked itself: somebody may have its key all the same."""
    compromised, address = one.ledger.compromised_keys, one.desired.address
    if one.desired.fault is Fault.REVOKED or not compromised:
        return None
    if (address, keys.spki_sha256(one.real)) not in compromised:
        return None
    return Reason(ReasonCode.KEY_OF_REVOKED, one.desired.paths.key)


def key_of_revoked(one: Examined) -> Reason | None:
    """For a certificate that is not there: what stood over this key may have been revoked."""
    if one.desired.fault is Fault.REVOKED:
        return None
    if one.key_spki is None or hashlib.sha256(one.key_spki).hexdigest() not in one.ledger.revoked_keys:
        return None
    return Reason(ReasonCode.KEY_OF_REVOKED, one.desired.paths.key)


# --- Its issuer ----------------------------------------------------------------------------------------------------


def issuer_key(one: Examined) -> Reason | None:
    if one.issuer is None or not one.issuer.new_key:
        return None
    return Reason(ReasonCode.ISSUER_KEY, of=one.issuer.address)


def issuer_name(one: Examined) -> Reason | None:
    if one.issuer is None or one.desired.fault in OTHER_ISSUER or one.real.issuer == one.issuer.subject:
        return None
    there, asked = rfc2253(one.real.issuer), rfc2253(one.issuer.subject)
    return Reason(ReasonCode.ISSUER, found=there, wanted=asked, of=one.issuer.address)


def signature(one: Examined) -> Reason | None:
    if one.desired.fault in OTHER_SIGNER:
        return None
    if one.issuer is None:
        sound = chains.is_self_signed(one.real) or one.real.issuer != one.real.subject
        return None if sound and one.real.issuer == one.real.subject else Reason(ReasonCode.NOT_SELF_SIGNED)
    if _signed_here(one, one.issuer) or _signed(one.real, one.issuer):
        return None
    return Reason(ReasonCode.SIGNATURE, of=one.issuer.address)


def recorded(one: Examined) -> Issued | None:
    """What the ledger has of this very certificate, byte for byte."""
    return one.ledger.issued.get(one.fingerprint)


def _signed_here(one: Examined, issuer: Generation) -> bool:
    """Whether the ledger has it as signed by the key that the issuer has today."""
    issued = recorded(one)
    return issued is not None and issued.issuer_key == issuer.spki_sha256


def _signed(certificate: x509.Certificate, issuer: Generation) -> bool:
    """Whether the issuer's key of today signed it; where the issuer's certificate is lost, its AKI must do."""
    if issuer.today is not None:
        return issuer.today.subject != certificate.issuer or chains.signed_by(certificate, issuer.today)
    if isinstance(issuer.spki, Unknown):
        return True
    public = load_der_public_key(issuer.spki)
    expected = x509.SubjectKeyIdentifier.from_public_key(public).digest  # type: ignore[arg-type]
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return False
    return found == expected


# --- What it says --------------------------------------------------------------------------------------------------


def differences(one: Examined) -> Iterator[Reason]:
    for found in profiles.differences(one.desired.profile, one.real, one.desired.latitude):
        path = one.desired.paths.certificate if found.aspect is Aspect.WHOLE else None
        yield Reason(_OF_ASPECTS[found.aspect], path, found.found, found.wanted, found.of)


def fault(one: Examined) -> Reason | None:
    signer = one.issuer.today if one.issuer else None
    if one.desired.fault is None or signer is None:
        return None
    if one.desired.fault is Fault.REVOKED and not is_revoked(one):
        return Reason(ReasonCode.FAULT, wanted=one.desired.fault)
    if broken.shows(one.desired.profile, one.real, signer, one.now, one.sent_along):
        return None
    return Reason(ReasonCode.FAULT, wanted=one.desired.fault)


# --- Its life ------------------------------------------------------------------------------------------------------


def not_yet_valid(one: Examined) -> Reason | None:
    begins = one.real.not_valid_before_utc
    if begins <= one.now or one.desired.fault is Fault.NOT_YET_VALID:
        return None
    return Reason(ReasonCode.NOT_YET_VALID, found=begins)


def outlives_issuer(one: Examined) -> Reason | None:
    if one.issuer is None or one.desired.fault is not None or one.real.not_valid_after_utc <= one.issuer.not_after:
        return None
    ends, issuer = one.real.not_valid_after_utc, one.issuer
    return Reason(ReasonCode.OUTLIVES_ISSUER, found=ends, wanted=issuer.not_after, of=issuer.address)


def too_long(one: Examined) -> Reason | None:
    """A lifetime that was shortened counts at once; one that was lengthened, at the next renewal."""
    latest = one.now + one.desired.lifetime + BACKDATE
    if one.real.not_valid_after_utc <= latest or one.desired.fault is Fault.NOT_YET_VALID:
        return None
    return Reason(ReasonCode.LIFETIME, found=one.real.not_valid_after_utc, wanted=one.desired.lifetime)


def expired(one: Examined) -> Reason | None:
    ends = one.real.not_valid_after_utc
    if ends > one.now or one.desired.fault is Fault.EXPIRED or not prolonged(one):
        return None
    return Reason(ReasonCode.EXPIRED, found=ends)


def due(one: Examined) -> Reason | None:
    begins = one.real.not_valid_after_utc - one.desired.window
    if begins > one.now or one.desired.fault in (Fault.EXPIRED, Fault.NOT_YET_VALID) or not prolonged(one):
        return None
    return Reason(ReasonCode.DUE, found=one.real.not_valid_after_utc, wanted=begins)


def other_moment(one: Examined) -> Reason | None:
    """In a reproducible topology, where every certificate is issued at one moment: whether it was issued at another."""
    if not one.reproducible or (one.issuer is not None and one.issuer.not_after <= one.now):
        return None
    wanted = _dates(one)
    if (one.real.not_valid_before_utc, one.real.not_valid_after_utc) == wanted:
        return None
    return Reason(ReasonCode.MOMENT, found=one.real.not_valid_before_utc, wanted=wanted[0])


def _dates(one: Examined) -> tuple[datetime, datetime]:
    """notBefore and notAfter of what is issued now."""
    if one.issuer is None:
        return validity(one.desired.lifetime, one.now)
    return broken.validity(one.desired.fault, one.desired.lifetime, one.now, one.issuer.not_after)


def asked_for(one: Examined) -> Reason | None:
    return Reason(ReasonCode.RENEWAL_ASKED) if one.asked_for else None


def prolonged(one: Examined) -> bool:
    """Whether a new certificate would end later: one that is cut to its issuer's end would not."""
    return ends_when_issued(one.desired, one.issuer, one.now) > one.real.not_valid_after_utc


def ends_when_issued(desired: DesiredCertificate, issuer: Generation | None, now: datetime) -> datetime:
    """When a certificate that is issued now would end: after its lifetime, and never after its issuer."""
    end = now.replace(microsecond=0) + desired.lifetime
    return end if issuer is None else min(end, issuer.not_after)


# --- The chain -----------------------------------------------------------------------------------------------------

_NEW_KEY: tuple[Check, ...] = (key_missing, key_unreadable, key_mismatch, key_type)
_REISSUE: tuple[Check, ...] = (issuer_key, issuer_name, signature)
_LIFE: tuple[Check, ...] = (expired, due, asked_for)


def examine(one: Examined) -> Verdict | None:
    """Runs the checks; None where the certificate is as it should be."""
    if (reason := missing(one)) is not None:
        return _afresh(one, reason)
    if (reason := unreadable(one) or incomprehensible(one)) is not None:
        return _over(one, Action.UPDATE, reason)
    if one.half_replaced and (reason := key_mismatch(one)) is not None:
        return Verdict(Action.UPDATE, Work.ISSUE, (reason,))
    if (reason := _first(_NEW_KEY, one)) is not None:
        return _replaced(one, reason)
    if (reason := revoked(one)) is not None:
        return replace(_replaced(one, reason), due=not _is_ca(one))
    if (reason := key_compromised(one)) is not None:
        return _replaced(one, reason)
    reasons = (*_found(_REISSUE, one), *differences(one))
    if not reasons and (reason := other_moment(one)) is not None:
        return Verdict(Action.RENEW, Work.ISSUE, (reason,))
    reasons = reasons or _found((fault, not_yet_valid, outlives_issuer, too_long), one)
    if reasons:
        return Verdict(Action.UPDATE, Work.ISSUE, reasons, due=not_yet_valid(one) is not None)
    if (reason := _first(_LIFE, one)) is not None:
        return Verdict(Action.RENEW, Work.ISSUE, (reason,), due=True)
    return None


def can_stay(one: Examined, verdict: Verdict) -> bool:
    """Whether the certificate is that of a CA which goes on signing as it is: nothing of it is due or asked for."""
    if not _is_ca(one) or verdict.due or one.asked_for or one.certificate.certificate is None:
        return False
    has_its_key = one.key.present and one.key.problem is None and key_mismatch(one) is None
    return has_its_key and incomprehensible(one) is None and revoked(one) is None and key_compromised(one) is None


def _afresh(one: Examined, reason: Reason) -> Verdict:
    """No certificate: over the key that is there, if it is of the right sort."""
    return _over(one, Action.CREATE, reason)


def _over(one: Examined, action: Action, reason: Reason) -> Verdict:
    if (lost := key_missing(one)) is not None:
        if one.known_ca:
            return _replaced(one, lost, reason)
        return Verdict(action, Work.NEW_KEY, (reason,))
    if (problem := key_unreadable(one) or _type_of_key_file(one) or key_of_revoked(one)) is not None:
        return _replaced(one, reason, problem)
    if (other := key_replaced(one)) is not None:
        return Verdict(Action.REPLACE, Work.ISSUE, (other, reason), asks=True)
    return Verdict(action, Work.ISSUE, (reason,))


def _replaced(one: Examined, *reasons: Reason) -> Verdict:
    """A new key: of a CA, everything below it falls with the old one, and a person is asked."""
    return Verdict(Action.REPLACE, Work.NEW_KEY, reasons, asks=_is_ca(one))


def _is_ca(one: Examined) -> bool:
    return one.desired.address.role is Role.CA


def _type_of_key_file(one: Examined) -> Reason | None:
    return None if one.key_spki is None else _key_type(one, keys.key_type(load_der_public_key(one.key_spki)))


def _first(checks: tuple[Check, ...], one: Examined) -> Reason | None:
    return next(iter(_found(checks, one)), None)


def _found(checks: tuple[Check, ...], one: Examined) -> tuple[Reason, ...]:
    return tuple(reason for check in checks if (reason := check(one)) is not None)
