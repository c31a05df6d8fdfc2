"""The publisher's picture of the output folder, kept fresh while it runs: authorities, responders, what is due.

What is wrong with one CA is told (once in the log, and for as long as it lasts by `problems`), and changes nothing for
the others.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from scaffold.apply.crls import sign_alone
from scaffold.errors import Locked, PublishError, ScaffoldError, StoreError
from scaffold.pki import ocsp
from scaffold.pki.issue import Issuer
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.plan import clock
from scaffold.plan.crls import crl_change
from scaffold.plan.desired import Desired, DesiredCa, desire
from scaffold.plan.model import Change
from scaffold.publish import authority, delegation
from scaffold.publish.authority import Authority, Document
from scaffold.publish.responder import Answer, Responder, refusal
from scaffold.store import ledger, lock
from scaffold.store.layout import Layout, ca_paths
from scaffold.store.observation import Observation
from scaffold.topology.address import Address, Part
from scaffold.topology.generations import FIRST, ONE_EACH, Generations
from scaffold.topology.model import Topology
from scaffold.topology.publication import published_name

_TRY_AGAIN: Final = timedelta(seconds=30)
"""After a signature or a look that failed: a full disk does not mend within a second."""

_READ: Final = ("certificate", "crl", "key", "ledger")
"""The parts of a CA that are looked at whenever its files are read."""

_log = logging.getLogger("scaffold.publish")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a part of one CA (by its label), or (`ca` is None) of what all of them share."""

    ca: str | None
    part: str
    why: str

    def __str__(self) -> str:
        said = f"{self.part}: {self.why}"
        return said if self.ca is None else f"{Address.labelled(self.ca)}: {said}"


class Source(Protocol):
    """What the HTTP application serves. None: no such CA, or it has no such thing."""

    def crl(self, ca: str) -> Document | None: ...
    def certificate(self, ca: str) -> Document | None: ...
    def answer(self, ca: str, request: bytes, now: datetime) -> Answer | None:
        """The OCSP response to a DER request."""

    def authorities(self) -> Mapping[str, Authority]:
        """Every CA that is published."""


class CrlsUnsigned(PublishError):
    """CRLs could not be signed; `by_ca` says why by the label of the generation, and all others are signed."""

    def __init__(self, by_ca: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{Address.labelled(name)}: {why}" for name, why in by_ca.items()))
        self.by_ca = by_ca


class Signing(Protocol):
    """What a publisher may sign; both raise Locked while an apply is at work, and other ScaffoldErrors.

    `minds_clock`: whether it signs nothing by a clock that lies before what was last done here.
    """

    minds_clock: bool

    def crls(self, now: datetime) -> None:
        """Signs the CRLs that are due. Raises CrlsUnsigned once it has signed those that it can."""

    def delegate(self, of: Authority, issuer: Issuer, now: datetime) -> Issuer:
        """A new OCSP responder of a generation of a CA."""


class SignAsApply:
    """Signs into the output folder exactly as `scaffold apply` does: its rules, its lock, its ledger."""

    minds_clock = True

    def __init__(
        self,
        topology: Topology,
        layout: Layout,
        randomness: Randomness = OPERATING_SYSTEM,
        generations: Callable[[], Generations] = lambda: ONE_EACH,
    ) -> None:
        """`generations` says which there are whenever something may be signed: one may come while it runs."""
        self._topology = topology
        self._layout = layout
        self._randomness = randomness
        self._generations = generations

    def crls(self, now: datetime) -> None:
        desired, failed = desire(self._topology, generations=self._generations()), dict[str, str]()
        if not self._due(desired, failed, now):
            _raise_for(failed)
            return
        self._check_clock(desired, now)
        with lock.hold(self._layout, now):
            failed.clear()
            # As it is now, when nobody else writes.
            for one, change, observed in self._due(desired, failed, now):
                with _apart(partial(failed.setdefault, one.address.label)):
                    sign_alone(one, desired, observed, now, self._randomness)
                    fields = {"address": str(change.address), "why": change.reasons[0].code.code}
                    _log.info("CRL signed", extra={"fields": fields})
        _raise_for(failed)

    def _check_clock(self, desired: Desired, now: datetime) -> None:
        """Raises PlanError where `now` lies before what was last done here: nobody is there to say that it is right."""
        if (latest := clock.latest_before(now, Observation(self._layout), desired.cas)) is not None:
            raise clock.refusal(latest)

    def _due(
        self, desired: Desired, failed: dict[str, str], now: datetime
    ) -> list[tuple[DesiredCa, Change, Observation]]:
        observed = Observation(self._layout)
        observed.check_topology(self._topology.name)
        found = []
        for one in desired.cas:
            with _apart(partial(failed.setdefault, one.address.label)):
                observed.ledger.check(one.ca.name)
                if (change := crl_change(self._topology, one, observed, now)) is not None:
                    found.append((one, change, observed))
        return found

    def delegate(self, of: Authority, issuer: Issuer, now: datetime) -> Issuer:
        self._check_clock(desire(self._topology, generations=self._generations()), now)
        made = delegation.make_and_record(self._layout, of, issuer, now, self._randomness)
        fields = {"address": str(of.address.with_part(Part.OCSP)), "ends": made.not_after.isoformat()}
        _log.info("OCSP responder certificate issued", extra={"fields": fields})
        return made


class SignNothingThatStays(Signing):
    """For an output folder that the publisher must not change: CRLs as they are, and responders in memory alone."""

    minds_clock = False

    def __init__(self, randomness: Randomness = OPERATING_SYSTEM) -> None:
        self._randomness = randomness

    def crls(self, now: datetime) -> None:
        """Nothing."""

    def delegate(self, of: Authority, issuer: Issuer, now: datetime) -> Issuer:
        """A responder that no ledger knows."""
        return delegation.make(of.ca, issuer, now, generation=of.generation or FIRST, randomness=self._randomness)


def signing(
    topology: Topology,
    layout: Layout,
    randomness: Randomness,
    generations: Callable[[], Generations] = lambda: ONE_EACH,
) -> Signing:
    """What a publisher of `topology` may sign: nothing is written into a folder that is to be the same everywhere."""
    if topology.reproducible is not None:
        return SignNothingThatStays(randomness)
    return SignAsApply(topology, layout, randomness, generations)


@contextlib.contextmanager
def _apart(tell: Callable[[str], object]) -> Iterator[None]:
    """Tells why the block failed, whatever it was, and goes on behind it. Locked passes: nothing is wrong then."""
    try:
        yield
    except Locked:
        raise
    except Exception as error:
        tell(_why(error))


def _raise_for(failed: Mapping[str, str]) -> None:
    if failed:
        raise CrlsUnsigned(failed)


def _why(error: Exception) -> str:
    return error.message if isinstance(error, ScaffoldError) else repr(error)


class State:
    """Everything that is published. `refresh` is called by one thread at a time; readers take what they find."""

    def __init__(self, topology: Topology, layout: Layout, signing: Signing | None = None) -> None:
        self._topology = topology
        self._layout = layout
        self._signing = signing or SignAsApply(topology, layout)
        self._stamp: tuple[object, ...] | None = None
        self._ledger: ledger.Ledger | None = None
        self._latest: datetime | None = None
        self._unsettled = True
        self._failed: dict[str, datetime] = {}
        self._problems: dict[tuple[str | None, str], Problem] = {}
        self._authorities: dict[str, Authority] = {}
        self._responders: dict[str, Responder] = {}

    # --- What is served ---

    def crl(self, ca: str) -> Document | None:
        if (one := self._authorities.get(ca)) is not None:
            return one.crl_document
        above = (one.crl_above(ca) for one in self._authorities.values())
        return next((document for document in above if document is not None), None)

    def certificate(self, ca: str) -> Document | None:
        one = self._authorities.get(ca)
        return one.certificate_document if one is not None else None

    def answer(self, ca: str, request: bytes, now: datetime) -> Answer | None:
        one = self._authorities.get(ca)
        if one is None:
            return None
        if (responder := self._responders.get(ca)) is not None:
            return responder.recall(request, now) if self._is_late(now) else responder.answer(request, now)
        # An apply holds the lock, a file is damaged, or the CA has no responder at all.
        soon = one.ocsp is not None and (one.issuer is not None or "key" in one.problems)
        return refusal(ocsp.Failure.TRY_LATER if soon else ocsp.Failure.UNAUTHORIZED, now)

    def authorities(self) -> Mapping[str, Authority]:
        return self._authorities

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now."""
        return tuple(self._problems.values())

    # --- Keeping it fresh ---

    def open(self, now: datetime) -> None:
        """The first look. Raises PublishError where nothing was applied yet, or nothing can be read."""
        with contextlib.suppress(StoreError):  # `refresh` says what is wrong with it
            known = ledger.load(self._layout)
            if known.topology is not None and known.topology != self._topology.name:
                raise PublishError(
                    f'{self._layout.out} belongs to the topology "{known.topology}", not to "{self._topology.name}"',
                    hint="choose another folder with --out",
                )
        self.refresh(now)
        if not self._authorities:
            why = "".join(f"; {one}" for one in self.problems())
            raise PublishError(f"there is no CA in {self._layout.out}{why}", hint="run `scaffold apply` first")

    def refresh(self, now: datetime) -> bool:
        """Reads what has changed and signs what is due; whether anything was new.

        What cannot be read or signed is a problem; what was known before stays, and a later call tries again.
        """
        is_new = self._read(now)
        if is_new or self._is_due(now):
            self._unsettled = not self._sign_crls(now)
            is_new = self._read(now) or is_new
        for one in list(self._authorities.values()):
            self._refresh_responder(one, now)
        return is_new

    def _read(self, now: datetime) -> bool:
        stamp = authority.stamp(self._topology, self._layout)  # before reading: what changes meanwhile is seen next
        if stamp == self._stamp and ("read" not in self._failed or self._is_too_soon("read", now)):
            return False
        self._failed.pop("read", None)
        self._read_ledger(now)
        for ca in self._topology.cas.values():
            for address in authority.generations(self._layout, ca):
                self._read_ca(address, now)
        self._latest = self._last_done()
        self._stamp = stamp
        return True

    def _last_done(self) -> datetime | None:
        """When something was last done here: by the ledger, and without one by the CAs that were made here."""
        if self._ledger is not None and self._ledger.latest is not None:
            return self._ledger.latest
        made = (one.certificate for one in self._authorities.values() if one.ca.existing is None)
        return max((one.not_valid_before_utc for one in made), default=None)

    def _is_late(self, now: datetime) -> bool:
        """Whether the clock lies before that: what is signed by it could say anything."""
        return self._signing.minds_clock and clock.is_late(now, self._latest)

    def _read_ledger(self, now: datetime) -> None:
        try:
            self._ledger = ledger.load(self._layout)
        except StoreError as error:
            # What it said before is kept with each CA: who revokes anything meanwhile is told that it is damaged.
            self._ledger = None
            self._failed["read"] = now
            self._say(None, "ledger", error.message)
        else:
            self._say(None, "ledger", None)

    def _read_ca(self, ca: Address, now: datetime) -> None:
        name, found = published_name(ca.name, ca.generation), dict[str, str]()
        before = self._authorities.get(name)
        with _apart(partial(found.setdefault, "certificate")):
            one = authority.read(self._topology, self._layout, ca, self._ledger, before)
            if one is not None:
                self._authorities[name] = one
                found.update(one.problems)
            elif before is not None or self._knows(ca):
                found["certificate"] = f"{ca_paths(ca.name, ca.generation).certificate} is not there"
        if found:
            self._failed["read"] = now
        for part in _READ:
            self._say(ca.label, part, found.get(part))

    def _knows(self, ca: Address) -> bool:
        """Whether it was made already: one that is new in the topology has no certificate yet."""
        return self._ledger is not None and ca.label in self._ledger.ca_keys

    def _is_due(self, now: datetime) -> bool:
        if self._is_too_soon("crls", now):
            return False
        return self._unsettled or any(one.crl_is_due(now) for one in self._authorities.values())

    def _sign_crls(self, now: datetime) -> bool:
        """Whether all was signed that is due: not while an apply is at work."""
        failed: dict[str | None, str] = {}
        try:
            self._signing.crls(now)
        except Locked:
            return False
        except CrlsUnsigned as error:
            failed.update(error.by_ca)
        except Exception as error:
            failed[None] = _why(error)
        each = (
            address.label for ca in self._topology.cas.values() for address in authority.generations(self._layout, ca)
        )
        for label in dict.fromkeys((None, *each, *failed)):
            self._say(label, "signature", failed.get(label))
        if failed:
            self._failed["crls"] = now
        else:
            self._failed.pop("crls", None)
        return not failed

    def _refresh_responder(self, one: Authority, now: datetime) -> None:
        responder = self._responders.get(one.name)
        if responder is not None and not responder.answers_for(one):
            del self._responders[one.name]
        if one.ocsp is None or one.statuses is None:
            return
        if (responder := self._responders.get(one.name)) is not None:
            responder.update(one)
        what = f"responder of {one.name}"
        if self._is_too_soon(what, now):
            return
        failed: list[str] = []
        with contextlib.suppress(Locked), _apart(failed.append):
            self._replace_responder(one, one.ocsp, now)
            if self._latest is not None and self._is_late(now):
                raise clock.refusal(self._latest)
            if (current := self._responders.get(one.name)) is not None:
                current.presign(now)
        if failed:
            self._failed[what] = now
        self._say(one.address.label, "responder", failed[0] if failed else None)

    def _replace_responder(self, one: Authority, lifetime: timedelta, now: datetime) -> None:
        """Where there is none, or it is due. What cannot be replaced while its CA's key is gone answers on."""
        responder = self._responders.get(one.name)
        if one.issuer is None:
            return
        if responder is None or delegation.is_due(responder.delegate, one.issuer, now):
            self._responders[one.name] = Responder(one, self._signing.delegate(one, one.issuer, now), lifetime)

    def _is_too_soon(self, what: str, now: datetime) -> bool:
        """Whether it has failed a moment ago. A clock that was put back meanwhile does not make that moment long."""
        failed = self._failed.get(what)
        return failed is not None and failed <= now < failed + _TRY_AGAIN

    def _say(self, ca: str | None, part: str, why: str | None) -> None:
        """Keeps what is wrong, or (None) that nothing is any more; the log is told of changes alone."""
        before = self._problems.get((ca, part))
        found = None if why is None else Problem(ca, part, why.replace(f"{self._layout.out}/", ""))
        if found == before:
            return
        others = {key: one for key, one in self._problems.items() if key != (ca, part)}
        # Readers on other threads see the old picture or the new one.
        self._problems = others if found is None else {**others, (ca, part): found}
        if found is not None:
            _log.error("problem", extra={"fields": _fields(found)})
        elif before is not None:
            _log.info("problem over", extra={"fields": _fields(before)})


def _fields(one: Problem) -> dict[str, str | None]:
    return {"address": str(Address.labelled(one.ca)) if one.ca is not None else None, "part": one.part, "why": one.why}
