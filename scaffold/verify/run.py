"""A whole verification: what has drifted, then the servers started, every case tried, and the report."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scaffold.errors import PkiError, VerifyError
from scaffold.kinds.capabilities import HTTP
from scaffold.kinds.catalogue import Kind
from scaffold.pki import bundles
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.plan.drift import drift_in_tls
from scaffold.plan.model import Plan
from scaffold.running.availability import Availability, nothing_to_start
from scaffold.running.placement import Ports
from scaffold.running.services import READY_WITHIN, termination_as_exception
from scaffold.store import ledger
from scaffold.store.archive import Pair
from scaffold.store.layout import Layout, party_paths
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.generations import ONE_EACH, Generations
from scaffold.topology.messages import nearest
from scaffold.topology.model import Party, Server, Topology
from scaffold.topology.publication import published_as
from scaffold.verify.cases import (
    Case,
    Withdrawn,
    behind,
    blind_to_issuers,
    cases,
    checker_of,
    is_in_its_place,
    looks_up_callees,
    without_control,
)
from scaffold.verify.listener import NOBODY, Listener
from scaffold.verify.model import Check, Expected, Probe, Report, Unstarted
from scaffold.verify.probe_runner import ProbeRunner, Untried
from scaffold.verify.revocation_scenarios import (
    Publishing,
    RevocationScenario,
    at_hand,
    needs_copy,
    needs_publisher,
    scenario_of,
    staged_files,
)
from scaffold.verify.rogues import Authorities
from scaffold.verify.running_topology import Copy, RunningTopology, project_folder, running
from scaffold.verify.tls import cannot_probe

_OF_THE_SERVER_ALONE = frozenset({Probe.HEALTH, Probe.STAPLE})
"""Whoever is behind it has no part in these."""

AT_ONCE = 4 * (os.cpu_count() or 1)
"""Cases tried at the same time. Most of each is waiting for a server or a client."""


def verify(
    t: Topology,
    kinds: Mapping[Address, Kind],
    layout: Layout,
    now: datetime,
    secrets: Secrets,
    *,
    plan: Plan,
    revoked: Collection[Pair] = frozenset(),
    only: Address | None = None,
    limit_to: Collection[Probe] = frozenset(Probe),
    ports: Ports = "fixed",
    within: float = READY_WITHIN,
    listener: Listener = NOBODY,
    randomness: Randomness = OPERATING_SYSTEM,
    generations: Generations = ONE_EACH,
) -> Report:
    """Start what was rendered, and prove by handshakes who gets in and who does not.

    `plan` is today's plan of the same topology: what it would change in `tls/` has drifted, and is reported beside the
    checks. `revoked` is what others have revoked, and the ledger need not know. `only` is the address of a server or
    client; `limit_to` leaves the cases of some probes. `within`: the seconds in which all servers must be ready.
    `listener` is told how it goes on. `generations` are those of CAs with more than one: what each issues gets in, as
    long as it is trusted. Rogues live from `now` on for minutes. Call it from the main thread: servers are ended when
    that ends. A server that does not start fails the checks that need it. Raises VerifyError where the output is not
    there yet, where no server at all starts, and where one ends while it is probed.
    """
    check_known(t, only)
    withdrawn = withdrawn_certificates(t, layout, revoked)
    chosen = tuple(case for case in cases(t, kinds, only, withdrawn) if case.probe in limit_to)
    conclusions = Conclusions(chosen, listener)
    reasons = _Reasons(t, kinds)
    to_try = conclusions.untried_for(reasons.of)
    if to_try:
        check_rendered(kinds, layout, to_try.values())
        authorities = Authorities(t, layout, secrets, now, randomness, generations)
        stage = _Stage(t, kinds, layout, authorities, reasons, withdrawn, ports, within)
        _try(stage, to_try, conclusions, listener)
    return Report(conclusions.in_order(), drift_in_tls(plan))


def check_known(t: Topology, only: Address | None) -> None:
    """Raise VerifyError for an address that no server or client has."""
    parties = [party.address for party in graph.parties(t)]
    if only is not None and only not in parties:
        message = f"there is no server or client {only}"
        raise VerifyError(message, hint=nearest(str(only), map(str, parties)))


class Conclusions:
    """The checks that have ended, by the number of their case: the report keeps the order of the cases."""

    def __init__(self, chosen: Sequence[Case], listener: Listener) -> None:
        self._chosen = chosen
        self._listener = listener
        self._checks: dict[int, Check] = {}

    def untried_for(self, reason_of: Callable[[Case], str | None]) -> Mapping[int, Case]:
        """Conclude those for which there is a reason not to try them; the others, by number."""
        to_try: dict[int, Case] = {}
        for number, case in enumerate(self._chosen):
            if (reason := reason_of(case)) is None:
                to_try[number] = case
            else:
                self.add(number, case.skipped(reason))
        return to_try

    def reached(self, to_try: Mapping[int, Case], unstarted_for: Callable[[Case], Unstarted | None]) -> dict[int, Case]:
        """Conclude those that need a server which did not start; the others, by number."""
        found = {number: unstarted_for(case) for number, case in to_try.items()}
        for number, unstarted in found.items():
            if unstarted is not None:
                self.add(number, to_try[number].unreached(unstarted))
        return {number: case for number, case in to_try.items() if found[number] is None}

    def add(self, number: int, check: Check) -> None:
        """One has ended."""
        self._checks[number] = check
        self._listener.concluded(check, len(self._chosen))

    def in_order(self) -> tuple[Check, ...]:
        """All of them."""
        return tuple(self._checks[number] for number in range(len(self._chosen)))


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the cases are tried against, and with what."""

    topology: Topology
    kinds: Mapping[Address, Kind]
    layout: Layout
    authorities: Authorities
    reasons: _Reasons
    withdrawn: Withdrawn
    ports: Ports
    within: float


def _try(stage: _Stage, to_try: Mapping[int, Case], conclusions: Conclusions, listener: Listener) -> None:
    """Try the cases, with all that they need running for that time. Raises VerifyError for a server that ends."""
    t, kinds, layout, authorities = stage.topology, stage.kinds, stage.layout, stage.authorities
    servers, copied = _cast(t, kinds, to_try.values(), stage.reasons)
    copies = _copies(t, kinds, copied, authorities)
    asks = any(needs_publisher(t, party, kinds[party.address]) for party in _involved(servers, to_try.values()))
    with (
        termination_as_exception(),
        ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as pool,
        _publishing(t, layout, authorities, needed=asks) as publishing,
        running(kinds, layout, servers, copies, stage.ports, stage.within, listener) as started,
        ProbeRunner(t, kinds, layout, authorities, started, stage.withdrawn) as probes,
    ):
        reached = conclusions.reached(to_try, functools.partial(_unstarted_for, t, kinds, started))
        listener.probing(len(reached))
        for scenario, cast in _by_scenario(reached):
            with publishing.playing(scenario):
                for number, check in all_tried(pool, probes, cast):
                    conclusions.add(number, check)
        started.check_alive()


def _unstarted_for(
    t: Topology, kinds: Mapping[Address, Kind], started: RunningTopology, case: Case
) -> Unstarted | None:
    """The first server that a case needs and that did not start: not reaching it looks like a refusal from afar."""
    checker = checker_of(case)
    scenario = needs_copy(t, checker, kinds[checker.address], case.probe)
    if is_in_its_place(case.probe):
        return started.unstarted_copy(checker, RevocationScenario.SOUND) if isinstance(checker, Server) else None
    if scenario is not None and isinstance(checker, Server):
        return started.unstarted_copy(checker, scenario)
    needed = [case.server]
    if case.probe is Probe.EDGE and isinstance(case.caller, Server):
        needed.append(case.caller)
    if case.probe is Probe.EDGE or (case.expected is Expected.ALLOWED and case.probe not in _OF_THE_SERVER_ALONE):
        needed += behind(t, case.server)
    return next((unstarted for one in needed if (unstarted := started.unstarted(one)) is not None), None)


def all_tried(pool: ThreadPoolExecutor, probes: ProbeRunner, to_try: Mapping[int, Case]) -> Iterator[tuple[int, Check]]:
    """Each case's number with its check, in the order in which they end. What goes wrong ends all of them."""
    futures: dict[Future[Check], int] = {pool.submit(_one, probes, case): n for n, case in to_try.items()}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException:
        # Those that are at it end when the servers do.
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _one(probes: ProbeRunner, case: Case) -> Check:
    try:
        return case.concluded(probes(case))
    except Untried as error:
        return case.skipped(str(error))


def _by_scenario(to_try: Mapping[int, Case]) -> Iterator[tuple[RevocationScenario, Mapping[int, Case]]]:
    """The cases by scenario, in the order in which those are played."""
    for scenario in RevocationScenario:
        if cast := {number: case for number, case in to_try.items() if scenario_of(case.probe) is scenario}:
            yield scenario, cast


Parts = Iterable[tuple[Party, RevocationScenario]]


def _cast(
    t: Topology, kinds: Mapping[Address, Kind], tried: Iterable[Case], reasons: _Reasons
) -> tuple[tuple[Server, ...], Parts]:
    """Which servers must run for these cases, in the topology's order, and what must be copied for which scenarios."""
    needed: set[str] = set()
    copied: dict[tuple[Address, RevocationScenario], Party] = {}
    for case in tried:
        checker = checker_of(case)
        if isinstance(checker, Server) and checker is case.caller:
            copied[checker.address, RevocationScenario.SOUND] = checker
        elif (scenario := needs_copy(t, checker, kinds[checker.address], case.probe)) is not None:
            copied[checker.address, scenario] = checker
        if is_in_its_place(case.probe):
            continue
        needed |= {case.server.name, *(one.name for one in behind(t, case.server))}
        if case.probe is Probe.EDGE and isinstance(case.caller, Server):
            needed.add(case.caller.name)
    can_run = [server for server in t.servers.values() if server.address not in reasons.missing]
    return (
        tuple(server for server in can_run if server.name in needed),
        tuple((party, scenario) for (address, scenario), party in copied.items() if address not in reasons.missing),
    )


def _involved(servers: Iterable[Server], tried: Iterable[Case]) -> Iterator[Party]:
    """The servers that run, and the rendered clients that are run."""
    yield from servers
    callers = {case.caller.address: case.caller for case in tried if case.caller is not None}
    yield from (caller for caller in callers.values() if isinstance(caller, Server) or caller.external is None)


def _copies(t: Topology, kinds: Mapping[Address, Kind], copied: Parts, authorities: Authorities) -> tuple[Copy, ...]:
    def changed(party: Party, scenario: RevocationScenario, tls: Path) -> Mapping[str, bytes]:
        return staged_files(t, party, kinds[party.address], scenario, tls, authorities)

    return tuple(Copy(party, scenario, functools.partial(changed, party, scenario)) for party, scenario in copied)


@contextlib.contextmanager
def _publishing(t: Topology, layout: Layout, authorities: Authorities, *, needed: bool) -> Iterator[Publishing]:
    """The publisher, where anything asks it. Raises PublishError where its address is taken: it cannot be moved."""
    if not needed:
        yield Publishing(t, authorities, None)
        return
    from scaffold.verify.fake_publisher import clock_from, fake_publisher  # brings an HTTP server

    issuers = {published_as(ca): authorities.issuer(ca) for ca in at_hand(t, authorities)}
    with fake_publisher(t, layout, clock_from(authorities.now), issuers, authorities.randomness) as publisher:
        yield Publishing(t, authorities, publisher)


def withdrawn_certificates(t: Topology, layout: Layout, elsewhere: Collection[Pair]) -> Withdrawn:
    """The certificates that are still in `tls/` although the ledger, or somebody else, says that they are revoked."""
    revoked = {*ledger.load(layout).revoked, *elsewhere}
    return frozenset(address for address, pair in _on_disk(t, layout) if pair in revoked) if revoked else frozenset()


def _on_disk(t: Topology, layout: Layout) -> Iterator[tuple[Address, Pair]]:
    """Each leaf's address, and its CA and serial."""
    for party in graph.parties(t):
        paths = party_paths(party.address.role, party.name)
        both = (
            (Part.CERTIFICATE, paths.own, party.issuer),
            (Part.CLIENT_CERTIFICATE, paths.client_side, party.calling_issuer),
        )
        for part, files, issuer in both:
            with contextlib.suppress(OSError, PkiError):  # what is missing or damaged is drift
                leaf = bundles.load_certificates(layout.path(files.certificate).read_bytes())[0]
                yield party.address.with_part(part), (issuer, f"{leaf.serial_number:x}")


def check_rendered(kinds: Mapping[Address, Kind], layout: Layout, tried: Iterable[Case]) -> None:
    """Raise VerifyError for a project that is not there: nothing was applied yet, or somebody took it away."""
    for case in tried:
        folder = project_folder(layout, case.server)
        runs = kinds[case.server.address].capabilities.runs
        if not (folder / "run.sh").is_file() if runs else not folder.is_dir():
            raise VerifyError(f"{case.server.address} has no project in {folder}", hint="run `scaffold apply` first")


class _Reasons:
    """Why a case cannot be tried on this machine at all, before anything is started."""

    def __init__(self, t: Topology, kinds: Mapping[Address, Kind]) -> None:
        self._t = t
        self._kinds = kinds
        unstarted = {
            party.address: reason
            for party in graph.parties(t)
            if party.address in kinds and (reason := nothing_to_start(party, kinds[party.address])) is not None
        }
        self.missing = {**Availability(t, kinds).missing, **unstarted}

    def of(self, case: Case) -> str | None:
        """The reason, or None where it can be tried."""
        addresses = list(self._addresses(case))
        return next((self.missing[address] for address in addresses if address in self.missing), self._probe(case))

    def _addresses(self, case: Case) -> Iterable[Address]:
        in_its_place = is_in_its_place(case.probe)
        if not in_its_place:
            yield case.server.address
        if case.caller is not None and (in_its_place or case.probe is Probe.EDGE):
            yield case.caller.address
        if case.expected is Expected.ALLOWED and not in_its_place:
            yield from (one.address for one in behind(self._t, case.server))

    def _of_calling(self, case: Case, caller: Server) -> str | None:
        kind = self._kinds[caller.address]
        if case.probe is Probe.FALSE_REVOKED and not looks_up_callees(caller, kind):
            return (
                f'template "{kind.name}" checks revocation of callers alone ({caller.check_revocation}): '
                f"{caller.address} still accepts a revoked {case.server.address}"
            )
        return cannot_probe(caller)

    def _probe(self, case: Case) -> str | None:
        if is_in_its_place(case.probe) and case.caller is not None:
            spoken = self._kinds[case.caller.address].capabilities.protocol
            if spoken != HTTP and not self._kinds[case.server.address].capabilities.runs:
                return (
                    f"{case.server.address} cannot be replaced by a false server: the template does not "
                    f"declare how {spoken} begins"
                )
            return self._of_calling(case, case.caller) if isinstance(case.caller, Server) else None
        if (reason := without_control(case) or blind_to_issuers(case, self._kinds[case.server.address])) is not None:
            return reason
        return None if case.probe is Probe.HEALTH else cannot_probe(case.server)
