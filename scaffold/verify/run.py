"""A whole verification: what has drifted, then the servers started, every case tried, and the report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import datetime

from scaffold.errors import VerifyError
from scaffold.kinds.catalogue import Kind
from scaffold.plan.model import Action, Change, Plan
from scaffold.publish.placement import Ports
from scaffold.publish.services import termination_as_exception
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.model import RevocationCheck, Server, Topology
from scaffold.verify.attempts import Attempts, Untried
from scaffold.verify.availability import Availability, cannot_probe
from scaffold.verify.cases import FALSE_SERVERS, Case, behind, cases, needs_crl
from scaffold.verify.model import Check, Expected, Probe, Report
from scaffold.verify.rogues import Authorities
from scaffold.verify.stage import project_folder, running

_IN_ITS_PLACE = frozenset({Probe.TRUE_SERVER, *FALSE_SERVERS})
_CONTENTS_OF_TLS = frozenset({"certificate", "client-certificate", "trust", "bundle"})

_AT_ONCE = 4 * (os.cpu_count() or 1)
"""Cases tried at the same time. Most of each is waiting for a server or a client."""


def verify(
    t: Topology,
    kinds: Mapping[str, Kind],
    layout: Layout,
    now: datetime,
    secrets: Secrets,
    *,
    plan: Plan,
    only: str | None = None,
    ports: Ports = "fixed",
    on_check: Callable[[Check, int], None] | None = None,
) -> Report:
    """Start what was rendered, and prove by handshakes who gets in and who does not.

    `plan` is today's plan of the same topology: what it would change in `tls/` has drifted, and is reported beside the
    checks. `only` is the address of a server or client. `on_check` is called with each check as it ends, and with how
    many there are in all. Rogues live from `now` on for minutes. Call it from the main thread: servers are ended when
    that ends. Raises VerifyError where the output is not there yet, a port is taken, or a server does not come up.
    """
    if only is not None and only not in {party.address for party in graph.parties(t)}:
        raise VerifyError(f"there is no {only}", hint="name a server or a client: server.NAME or client.NAME")
    chosen = cases(t, kinds, only)
    total = len(chosen)
    reasons = _Reasons(t, kinds)
    checks: dict[int, Check] = {}

    def conclude(number: int, check: Check) -> None:
        checks[number] = check
        if on_check is not None:
            on_check(check, total)

    to_try: dict[int, Case] = {}
    for number, case in enumerate(chosen):
        if (reason := reasons.of(case)) is not None:
            conclude(number, case.skipped(reason))
        else:
            to_try[number] = case
    if to_try:
        _check_rendered(layout, to_try.values())
        servers, copied = _cast(t, to_try.values(), reasons)
        authorities = Authorities(t, layout, secrets, now)
        crls = {server.name: authorities.crls_beside(server.trusts) for server in copied if _checks_crls(server)}
        with (
            termination_as_exception(),
            ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="probe") as pool,
            running(kinds, layout, servers, copied, crls, ports) as stage,
            Attempts(t, layout, authorities, stage) as attempts,
        ):
            for number, check in _all(pool, attempts, to_try):
                conclude(number, check)
            stage.check_alive()
    return Report(tuple(checks[number] for number in range(total)), drift_in_tls(plan))


def drift_in_tls(plan: Plan) -> tuple[Change, ...]:
    """What of a plan means that `tls/` is not what the topology says. A renewal that is merely due is no drift."""
    return tuple(
        change
        for change in plan.changes
        if change.action is not Action.RENEW and change.address.rpartition(".")[2] in _CONTENTS_OF_TLS
    )


def _all(pool: ThreadPoolExecutor, attempts: Attempts, to_try: Mapping[int, Case]) -> Iterator[tuple[int, Check]]:
    """Each case's number with its check, in the order in which they end. What goes wrong ends all of them."""
    futures: dict[Future[Check], int] = {pool.submit(_one, attempts, case): n for n, case in to_try.items()}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        # Those that are at it end when the servers do.
        pool.shutdown(wait=False, cancel_futures=True)


def _one(attempts: Attempts, case: Case) -> Check:
    try:
        return case.concluded(attempts(case))
    except Untried as error:
        return case.skipped(str(error))


def _cast(t: Topology, tried: Iterable[Case], reasons: _Reasons) -> tuple[tuple[Server, ...], tuple[Server, ...]]:
    """Which servers must run for these cases, and of which a copy, in the topology's order."""
    needed: set[str] = set()
    copied: set[str] = set()
    for case in tried:
        if case.probe in _IN_ITS_PLACE:
            copied |= {case.caller.name} if isinstance(case.caller, Server) else set()
            continue
        if needs_crl(case):
            copied.add(case.server.name)
        needed |= {case.server.name, *(one.name for one in behind(t, case.server))}
        if case.probe is Probe.EDGE and isinstance(case.caller, Server):
            needed.add(case.caller.name)
    can_run = [server for server in t.servers.values() if server.address not in reasons.missing]
    return (
        tuple(server for server in can_run if server.name in needed),
        tuple(server for server in can_run if server.name in copied),
    )


def _checks_crls(server: Server) -> bool:
    return server.check_revocation is RevocationCheck.CRL


def _check_rendered(layout: Layout, tried: Iterable[Case]) -> None:
    """Raise VerifyError for a project that is not there: nothing was applied yet, or somebody took it away."""
    for case in tried:
        folder = project_folder(layout, case.server)
        if not (folder / "run.sh").is_file():
            raise VerifyError(
                f"{case.server.address} is not there: {folder} has no run.sh", hint="run `scaffold apply`"
            )


class _Reasons:
    """Why a case cannot be tried on this machine at all, before anything is started."""

    def __init__(self, t: Topology, kinds: Mapping[str, Kind]) -> None:
        self._t = t
        self.missing = Availability(t, kinds).missing

    def of(self, case: Case) -> str | None:
        """The reason, or None where it can be tried."""
        addresses = list(self._addresses(case))
        return next((self.missing[address] for address in addresses if address in self.missing), self._probe(case))

    def _addresses(self, case: Case) -> Iterable[str]:
        in_its_place = case.probe in _IN_ITS_PLACE
        if not in_its_place:
            yield case.server.address
        if case.caller is not None and (in_its_place or case.probe is Probe.EDGE):
            yield case.caller.address
        if case.expected is Expected.ALLOWED and not in_its_place:
            yield from (one.address for one in behind(self._t, case.server))

    def _probe(self, case: Case) -> str | None:
        if case.probe in _IN_ITS_PLACE:
            return cannot_probe(case.caller) if isinstance(case.caller, Server) else None
        return None if case.probe is Probe.HEALTH else cannot_probe(case.server)
