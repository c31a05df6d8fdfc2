"""The OCSP response that a server staples: is it there, does it speak of today's certificate, how long will it do?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from scaffold.errors import Unreadable
from scaffold.kinds.catalogue import Kind
from scaffold.pki import chains, ocsp, staples
from scaffold.pki import crl as crls
from scaffold.pki.issue import backdated
from scaffold.plan.authorities import Generation
from scaffold.plan.desired import DesiredParty
from scaffold.plan.reasons import Finding, Reason, ReasonCode
from scaffold.store.ledger import Ledger
from scaffold.store.observation import Observation
from scaffold.topology.model import Ca, Party, Server, Topology

STAPLE_FILE: Final = "staple-file"
"""What a kind supports that staples from a file."""

_SHORTEST: Final = timedelta(seconds=2)


def has_staple(one: DesiredParty, kind: Kind) -> bool:
    """Whether the project holds a file to staple from; a kind that fetches its own response needs none."""
    return isinstance(one.party, Server) and one.party.staple and STAPLE_FILE in kind.capabilities.supports


def life(ca: Ca) -> timedelta:
    """How long a response of `ca` is valid."""
    return max(ca.revocation.ocsp or _SHORTEST, _SHORTEST)


def status(ledger: Ledger, ca: str, certificate: x509.Certificate) -> ocsp.Status:
    """What a response is to say."""
    entry = ledger.revoked.get((ca, f"{certificate.serial_number:x}"))
    if entry is None:
        return ocsp.State.GOOD
    return crls.Revoked(certificate.serial_number, entry.at, crls.Reason(entry.reason))


def finding(
    one: DesiredParty, t: Topology, issuer: Generation, observed: Observation, ledger: Ledger, now: datetime
) -> Finding | None:
    """Why the response that is there will not do, or is due; None where it does. `issuer` is as it will be.

    Raises StoreError for what cannot be read.
    """
    path, leaf = one.paths.staple, observed.certificate(one.paths.own.certificate).certificate
    if leaf is None or issuer.today is None or not _signed_today(one.party, leaf, issuer.today):
        return None  # revoked without replacement, and its CA has gone on: nobody can vouch for it any more
    content = observed.content(path)
    if content is None:
        return Finding(Reason(ReasonCode.MISSING, path))
    ca, longest = issuer.today, life(t.cas[one.party.issuer])
    if (reason := wrong(path, content, leaf, ca, status(ledger, one.party.issuer, leaf), now)) is not None:
        return Finding(reason)
    if t.reproducible is not None:
        other = other_moment(path, content, leaf, ca, longest, now)
        return Finding(other) if other is not None else None
    late = due(path, content, leaf, ca, longest, now)
    return Finding(late, can_wait=True) if late is not None else None


def _signed_today(party: Party, leaf: x509.Certificate, today: x509.Certificate) -> bool:
    """Whether the CA's key of today answers for the leaf. One that is broken on purpose is answered for as asked."""
    return party.fault is not None or chains.signed_by(leaf, today)


def wrong(
    path: str, content: bytes, certificate: x509.Certificate, ca: x509.Certificate, said: ocsp.Status, now: datetime
) -> Reason | None:
    """Why the response in `content` will not do; None where it may be stapled, whoever put it there."""
    try:
        there = staples.read(content, certificate, ca, now)
    except Unreadable as error:
        return Reason(ReasonCode.STAPLE_WRONG, path, found=str(error))
    wanted = said.reason if isinstance(said, crls.Revoked) else None
    if there.revoked is not wanted:
        return Reason(ReasonCode.STAPLE_STATUS, path, there.revoked or "good", wanted or "good")
    if there.this_update > now:
        return Reason(ReasonCode.STAPLE_NOT_YET_VALID, path, found=there.this_update)
    if there.next_update <= now:
        return Reason(ReasonCode.STAPLE_EXPIRED, path, found=there.next_update)
    return None


def other_moment(
    path: str, content: bytes, certificate: x509.Certificate, ca: x509.Certificate, longest: timedelta, now: datetime
) -> Reason | None:
    """In a reproducible topology, where every response is signed at one moment: whether it was signed at another."""
    there = staples.read(content, certificate, ca, now)
    wanted = backdated(now), now + longest
    if (there.this_update, there.next_update) == wanted:
        return None
    return Reason(ReasonCode.MOMENT, path, found=there.this_update, wanted=wanted[0])


def due_at(there: staples.Staple, longest: timedelta) -> datetime:
    """When half of a response's life is over, or of the life that the topology gives it."""
    return there.half_of_life(longest)


def due(
    path: str, content: bytes, certificate: x509.Certificate, ca: x509.Certificate, longest: timedelta, now: datetime
) -> Reason | None:
    """Whether a response that will do is past half of its life."""
    there = staples.read(content, certificate, ca, now)
    if due_at(there, longest) > now:
        return None
    return Reason(ReasonCode.STAPLE_DUE, path, found=there.next_update)
