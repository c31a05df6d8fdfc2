"""What is wrong with a CRL that is there, and the CRLs that a publisher may sign: with keys that no password guards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509

from scaffold.errors import PlanError, Unreadable
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.pki.issue import backdated
from scaffold.plan import revocations
from scaffold.plan.desired import DesiredCa
from scaffold.plan.model import Action, Change, Work
from scaffold.plan.reasons import Finding, Reason, ReasonCode
from scaffold.store import existing
from scaffold.store.ledger import Ledger
from scaffold.store.observation import Observation, SeenCrl
from scaffold.topology.address import Part
from scaffold.topology.model import Topology


def wrong(
    one: DesiredCa,
    there: crls.Crl,
    listed: tuple[crls.Revoked, ...],
    signer: x509.Certificate,
    ledger: Ledger,
    now: datetime,
) -> Reason | None:
    """Why the CRL in place, which lists `listed`, will not do for the CA with the certificate `signer`."""
    if not crls.signed_by(there, signer):
        return Reason(ReasonCode.SIGNATURE, of=one.address)
    key = keys.spki_sha256(signer)
    return revocations.lacking(ledger, one.ca.name, key, there, listed, now) or _life(one, there, now)


def _life(one: DesiredCa, crl: crls.Crl, now: datetime) -> Reason | None:
    ends, life = crl.next_update_utc, crls.life(crl)
    if ends is None or life is None:
        return Reason(ReasonCode.CRL_ENDLESS)
    if ends <= now:
        return Reason(ReasonCode.EXPIRED, found=ends)
    if crls.begins_later(crl, now):
        return Reason(ReasonCode.CRL_NOT_YET_VALID, found=crl.last_update_utc)
    if life > one.crl_life:
        return Reason(ReasonCode.CRL_LIFE, found=life, wanted=one.crl_life)
    return None


def next_number(one: DesiredCa, ledger: Ledger, known: Iterable[crls.Crl | None]) -> int:
    """The number of the next CRL of a CA, which is above what the ledger and `known` lists have (RFC 5280 5.2.3).

    Raises PlanError where there is none.
    """
    highest = max(
        ledger.crl_numbers.get(one.address.label, 0), *(crls.number(crl) or 0 for crl in known if crl is not None), 0
    )
    if highest >= crls.HIGHEST_NUMBER:
        raise PlanError(
            f"{one.address} can sign no further CRL: the last has the highest number that there is, 20 octets "
            "(RFC 5280 5.2.3)",
            hint=(
                "add the CRL that its owner signs as `crl` to its `existing:`, or replace the CA by one with "
                "another key"
            ),
        )
    return highest + 1


def other_moment(one: DesiredCa, crl: crls.Crl, now: datetime) -> Reason | None:
    """In a reproducible topology, where every CRL is signed at one moment: whether it was signed at another."""
    wanted = backdated(now), now + one.crl_life
    if (crl.last_update_utc, crl.next_update_utc) == wanted:
        return None
    return Reason(ReasonCode.MOMENT, found=crl.last_update_utc, wanted=wanted[0])


def due(there: crls.Crl | None, now: datetime) -> Finding | None:
    """Whether a CRL that will do is past half of its life."""
    half = crls.half_of_life(there) if there is not None else None
    if there is None or half is None or half > now:
        return None
    return Finding(Reason(ReasonCode.CRL_DUE, found=there.next_update_utc), can_wait=True)


def crl_change(t: Topology, one: DesiredCa, observed: Observation, now: datetime) -> Change | None:
    """The CRL of one CA as a publisher may sign it, None where there is nothing to sign or that is left to `apply`.

    It is asked of one CA at a time, and of the certificate and the key that it has today: whatever state another CA is
    in, or will be in after the next apply, who checks must go on finding a valid list. Raises ScaffoldError for what
    cannot be read of this one.
    """
    if not one.signs_crl:
        return None
    signer = _signer(t, one, observed)
    if signer is None:
        return None
    seen = observed.crl(one.paths.crl)
    reason = _reason(one, seen, signer, observed.ledger, now)
    found = Finding(reason) if reason is not None else due(seen.crl, now)
    if found is None:
        return None
    action, address = Action.UPDATE if seen.content else Action.CREATE, one.address.with_part(Part.CRL)
    return Change(address, action, (found.reason,), (one.paths.crl,), Work.SIGN, can_wait=found.can_wait)


def _reason(one: DesiredCa, seen: SeenCrl, signer: x509.Certificate, ledger: Ledger, now: datetime) -> Reason | None:
    if seen.problem is not None:
        return Reason(ReasonCode.UNREADABLE, one.paths.crl, wanted="a CRL")
    if seen.crl is None:
        return Reason(ReasonCode.MISSING, one.paths.crl)
    try:
        return wrong(one, seen.crl, crls.entries(seen.crl), signer, ledger, now)
    except Unreadable as error:
        return Reason(ReasonCode.INCOMPREHENSIBLE, one.paths.crl, found=str(error))


def _signer(t: Topology, one: DesiredCa, observed: Observation) -> x509.Certificate | None:
    """The certificate whose key is open; None where a password guards the key, or either is damaged or not there."""
    if one.ca.existing is not None:
        adopted = existing.load(t, one.ca)
        return None if adopted.encrypted_key else adopted.certificate
    certificate, key = observed.certificate(one.paths.certificate), observed.key(one.paths.key)
    if certificate.certificate is None or key.spki is None:
        return None
    # Between two renames of an apply they differ: the next look sees both.
    return certificate.certificate if key.spki == keys.spki(certificate.certificate) else None
