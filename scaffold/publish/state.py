"""The publisher's picture of the output folder, kept fresh while it runs: authorities, responders, what is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from scaffold.apply import apply
from scaffold.errors import Locked, PublishError, ScaffoldError
from scaffold.pki import ocsp
from scaffold.pki.issue import Issuer
from scaffold.plan.crls import plan_crls
from scaffold.publish import authority, delegation
from scaffold.publish.authority import Authority, Document
from scaffold.publish.responder import Answer, Responder, refusal
from scaffold.store import ledger, lock
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Part
from scaffold.topology.model import Ca, Topology

_TRY_AGAIN: Final = timedelta(seconds=30)
"""After a signature or a look that failed: a full disk does not mend within a second."""

_NEVER: Final = datetime.max.replace(tzinfo=UTC)

_log = logging.getLogger("scaffold.publish")


class Source(Protocol):
    """What the HTTP application serves. None: no such CA, or it has no such thing."""

    def crl(self, ca: str) -> Document | None: ...
    def certificate(self, ca: str) -> Document | None: ...
    def answer(self, ca: str, request: bytes, now: datetime) -> Answer | None:
        """The OCSP response to a DER request."""

    def authorities(self) -> Mapping[str, Authority]:
        """Every CA that is published."""


class Signing(Protocol):
    """What a publisher may sign; both raise Locked while an apply is at work, and other ScaffoldErrors."""

    def crls(self, now: datetime) -> None:
        """Signs the CRLs that are due."""

    def delegate(self, ca: Ca, issuer: Issuer, now: datetime) -> Issuer:
        """A new OCSP responder of `ca`."""


class SignAsApply:
    """Signs into the output folder exactly as `scaffold apply` does: its plan, its lock, its ledger."""

    def __init__(self, topology: Topology, layout: Layout) -> None:
        self._topology = topology
        self._layout = layout

    def crls(self, now: datetime) -> None:
        if not plan_crls(self._topology, self._layout, now).plan.changes:
            return
        with lock.hold(self._layout, now):
            planned = plan_crls(self._topology, self._layout, now)  # of the moment in which nobody else writes
            done = apply(planned, Secrets()).done
        for change in done:
            _log.info(
                "CRL signed", extra={"fields": {"address": str(change.address), "why": change.reasons[0].code.code}}
            )

    def delegate(self, ca: Ca, issuer: Issuer, now: datetime) -> Issuer:
        made = delegation.make_and_record(self._layout, ca, issuer, now)
        fields = {"address": str(ca.address.with_part(Part.OCSP)), "ends": made.not_after.isoformat()}
        _log.info("OCSP responder certificate issued", extra={"fields": fields})
        return made


class State:
    """Everything that is published. `refresh` is called by one thread at a time; readers take what they find."""

    def __init__(self, topology: Topology, layout: Layout, signing: Signing | None = None) -> None:
        self._topology = topology
        self._layout = layout
        self._signing = signing or SignAsApply(topology, layout)
        self._stamp: tuple[object, ...] | None = None
        self._read_again = _NEVER
        self._unsettled = True
        self._not_before: dict[str, datetime] = {}
        self._authorities: dict[str, Authority] = {}
        self._responders: dict[str, Responder] = {}

    # --- What is served ---

    def crl(self, ca: str) -> Document | None:
        one = self._authorities.get(ca)
        return one.crl_document if one is not None else None

    def certificate(self, ca: str) -> Document | None:
        one = self._authorities.get(ca)
        return one.certificate_document if one is not None else None

    def answer(self, ca: str, request: bytes, now: datetime) -> Answer | None:
        one = self._authorities.get(ca)
        if one is None:
            return None
        if (responder := self._responders.get(ca)) is not None:
            return responder.answer(request, now)
        # An apply holds the lock, or the CA has none at all.
        soon = one.ocsp is not None and one.issuer is not None
        return refusal(ocsp.Failure.TRY_LATER if soon else ocsp.Failure.UNAUTHORIZED, now)

    def authorities(self) -> Mapping[str, Authority]:
        return self._authorities

    # --- Keeping it fresh ---

    def open(self, now: datetime) -> None:
        """The first look. Raises PublishError where nothing was applied yet, StoreError."""
        known = ledger.load(self._layout)
        if known.topology is not None and known.topology != self._topology.name:
            raise PublishError(
                f'{self._layout.out} belongs to the topology "{known.topology}", not to "{self._topology.name}"',
                hint="choose another folder with --out",
            )
        self.refresh(now)
        if not self._authorities:
            raise PublishError(f"there is no CA in {self._layout.out}", hint="run `scaffold apply` first")

    def refresh(self, now: datetime) -> bool:
        """Reads what has changed and signs what is due; whether anything was new. Raises StoreError.

        What cannot be read or signed is logged; what was known before stays, and a later call tries again.
        """
        is_new = self._read(now)
        if is_new or self._unsettled or self._half_is_over(now):
            self._unsettled = not self._sign("CRLs", now, lambda: self._signing.crls(now))
            is_new = self._read(now) or is_new
        for one in list(self._authorities.values()):
            self._refresh_responder(one, now)
        return is_new

    def _read(self, now: datetime) -> bool:
        stamp = authority.stamp(self._topology, self._layout)  # before reading: what changes meanwhile is seen next
        if stamp == self._stamp and now < self._read_again:
            return False
        self._read_again = _NEVER
        known = ledger.load(self._layout)
        for ca in self._topology.cas.values():
            try:
                found = authority.read(self._topology, self._layout, ca, known)
            except ScaffoldError as error:
                _log.error("CA cannot be read", extra={"fields": {"address": str(ca.address), "error": error.message}})
                self._read_again = now + _TRY_AGAIN
                continue
            if found is None:
                self._authorities.pop(ca.name, None)
            else:
                self._authorities[ca.name] = found
        self._stamp = stamp
        return True

    def _half_is_over(self, now: datetime) -> bool:
        halves = (one.half_of_crl for one in self._authorities.values())
        return any(half is not None and half <= now for half in halves)

    def _refresh_responder(self, one: Authority, now: datetime) -> None:
        issuer = one.issuer
        if one.ocsp is None or issuer is None:
            self._responders.pop(one.name, None)
            return
        responder = self._responders.get(one.name)
        if responder is not None and responder.answers_for(one):
            responder.update(one)
        if responder is None or not responder.answers_for(one) or delegation.is_due(responder.delegate, issuer, now):
            self._sign(one.name, now, lambda: self._replace_responder(one, issuer, now))
        if (current := self._responders.get(one.name)) is not None:
            current.presign(now)

    def _replace_responder(self, one: Authority, issuer: Issuer, now: datetime) -> None:
        if one.ocsp is not None:
            self._responders[one.name] = Responder(one, self._signing.delegate(one.ca, issuer, now), one.ocsp)

    def _sign(self, what: str, now: datetime, work: Callable[[], object]) -> bool:
        """Whether `work` was done: not while an apply is at work, nor soon after it has failed."""
        if what in self._not_before and now < self._not_before[what]:
            return False
        try:
            work()
        except Locked:
            return False
        except ScaffoldError as error:
            self._not_before[what] = now + _TRY_AGAIN
            _log.error("signing failed", extra={"fields": {"what": what, "error": error.message}})
            return False
        self._not_before.pop(what, None)
        return True
