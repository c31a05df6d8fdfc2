"""Renews what becomes due for as long as it runs: certificates, CRLs and staples, each by the plan that apply makes.

It sleeps until the next thing is due, looks every so often whether the topology says something else now, and outlives
whatever goes wrong: an error is a line of the log, and tried again. It signs nothing while the clock lies before what
was done here last.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import FrameType
from typing import Final

from scaffold.apply.run import apply
from scaffold.errors import Locked, PkiError, ScaffoldError, SecretError, TopologyError
from scaffold.kinds.catalogue import Kind
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.plan.clock import refusal as clock_refusal
from scaffold.plan.make import Planned, look
from scaffold.plan.model import Action, Change, Plan, Work
from scaffold.plan.next_deadline import next_due
from scaffold.plan.plan_subset import plan_due, refusal
from scaffold.plan.signers import signing
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.model import Topology

LOOK_EVERY: Final = timedelta(seconds=30)
"""The longest sleep: so late is a changed topology seen."""

TRY_AGAIN: Final = timedelta(seconds=10)
"""After an error: a full disk does not mend within a second."""

_SHORTEST: Final = timedelta(seconds=1)

Log = Callable[[Mapping[str, object]], None]
Clock = Callable[[], datetime]

_WORDS: Final = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.RENEW: "renewed",
    Action.REPLACE: "replaced",
    Action.REVOKE: "revoked",
    Action.DELETE: "deleted",
    Action.CONFLICT: "conflict",
}


@dataclass(frozen=True, slots=True)
class World:
    """What is watched: a topology, the kinds of its servers and clients by address, and its output folder."""

    topology: Topology
    kinds: Mapping[Address, Kind]
    layout: Layout


def watch(
    look: Callable[[], World],
    clock: Clock,
    secrets: Secrets,
    log: Log,
    describe: Callable[[Change], str],
    told_to_end: threading.Event,
    randomness: Randomness = OPERATING_SYSTEM,
) -> None:
    """Renews until `told_to_end`. `look` reads the topology again each time; `describe` says why a change was made."""
    watcher = _Watcher(look, clock, secrets, log, describe, randomness)
    log({"at": clock(), "event": "watching"})
    while not told_to_end.wait(watcher.turn().total_seconds()):
        pass
    log({"at": clock(), "event": "ended"})


@dataclass(slots=True)
class _Watcher:
    look: Callable[[], World]
    clock: Clock
    secrets: Secrets
    log: Log
    describe: Callable[[Change], str]
    randomness: Randomness = OPERATING_SYSTEM
    said: set[str] = field(default_factory=set)
    """The errors that were told: none is told again while anything is wrong."""

    def turn(self) -> timedelta:
        """Does what is due; how long there is nothing to do then."""
        try:
            world = self.look()
            complete = self._renew(world)
            if complete:
                self.said.clear()
            return self._until_next(world) if complete else TRY_AGAIN
        except Locked as error:
            self._say(error)
            return _SHORTEST
        except (ScaffoldError, OSError) as error:
            self._say(error)
            return TRY_AGAIN

    def _renew(self, world: World) -> bool:
        """Whether all that is due could be done."""
        due = plan_due(look(world.topology, world.kinds, world.layout, self.clock()))
        plan = due.planned.plan
        if plan.changes and plan.clock_behind is not None:
            raise clock_refusal(plan.clock_behind)
        for problem in due.planned.basis.brought.problems.values():
            self._say(problem)
        if due.waits_for:
            # One CA that has lost its key must not keep the certificates of others from being renewed either.
            self._say(refusal(due.waits_for))
        is_whole = not (due.waits_for or due.planned.basis.brought.problems)
        return self._carry_out(world, due.planned) and is_whole

    def _carry_out(self, world: World, planned: Planned) -> bool:
        """Whether all of a plan could be done."""
        if not planned.plan.changes and not planned.basis.revoked_elsewhere:
            return True
        try:
            self._apply(planned)
        except (SecretError, PkiError, TopologyError) as error:
            # One key or bundle that cannot be opened must not keep the certificates of others from being renewed.
            self._say(error)
            rest = _without_passwords(world.topology, planned.plan, self.secrets)
            if rest.changes:
                self._apply(replace(planned, plan=rest))
            return False
        return True

    def _apply(self, planned: Planned) -> None:
        def done(change: Change) -> None:
            self.log(
                {
                    "at": planned.basis.now,
                    "event": _WORDS[change.action],
                    "address": str(change.address),
                    "reason": self.describe(change),
                }
            )

        apply(planned, self.secrets, done, randomness=self.randomness)

    def _until_next(self, world: World) -> timedelta:
        moment = self.clock()
        due = next_due(world.topology, world.kinds, world.layout, moment)
        if due is None:
            return LOOK_EVERY
        whole = timedelta(seconds=math.ceil((due - moment).total_seconds()))  # the clock knows no less
        return max(_SHORTEST, min(whole, LOOK_EVERY))

    def _say(self, error: Exception) -> None:
        if str(error) in self.said:
            return
        self.said.add(str(error))
        event: dict[str, object] = {"at": self.clock(), "event": "error", "error": str(error)}
        if isinstance(error, ScaffoldError) and error.hint is not None:
            event["hint"] = error.hint
        self.log(event)


def _without_passwords(t: Topology, plan: Plan, secrets: Secrets) -> Plan:
    """What needs no CA's password, none of a bundle that cannot be had, and none of a key from elsewhere."""
    sealed = {party.address for party in graph.parties(t) if party.existing and party.existing.key_password}
    guarded = {name for name, ca in t.cas.items() if ca.key_password is not None}
    closed = {
        party.address for party in graph.parties(t) if party.pfx is not None and not secrets.has(party.pfx.password)
    }

    def can_go_on(change: Change) -> bool:
        if change.work is Work.BUNDLE and change.address.entity in closed:
            return False
        if change.work is Work.TAKE_OVER and change.address.entity in sealed:
            return False
        return not signing(t, change) & guarded

    return replace(plan, changes=tuple(filter(can_go_on, plan.changes)))


@contextlib.contextmanager
def ending_on_signals() -> Iterator[threading.Event]:
    """An event that TERM and INT set, instead of what they did before."""
    told = threading.Event()

    def tell(signum: int, frame: FrameType | None) -> None:
        told.set()

    before = {one: signal.signal(one, tell) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
