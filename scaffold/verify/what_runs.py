"""A verification of servers that run already, wherever they are: nothing is started, and each is probed at its address.

What is shown are the real certificates. Made for the probe, and valid for minutes, are others alone where nothing but
their fault can be why they are refused: a server that looks up revocation refuses what its sources do not know, too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Final

from scaffold.kinds.catalogue import Kind
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.plan.drift import drift_in_tls
from scaffold.plan.model import Plan
from scaffold.running.availability import Availability, nothing_to_start
from scaffold.running.placement import Placed, Placements
from scaffold.running.ports import reachable
from scaffold.store.archive import Pair
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.generations import ONE_EACH, Generations
from scaffold.topology.model import Client, HostPort, Party, RevocationCheck, Server, Topology
from scaffold.verify import tls
from scaffold.verify.addresses import answering, rounds
from scaffold.verify.cases import (
    Case,
    blind_to_issuers,
    cases,
    is_external,
    is_faulty,
    is_in_its_place,
    without_control,
)
from scaffold.verify.judge import Finding
from scaffold.verify.listener import NOBODY, Listener
from scaffold.verify.model import Check, Layer, Observed, Probe, Report, Result, Unstarted
from scaffold.verify.probe_runner import ProbeRunner
from scaffold.verify.protocol import PATIENCE
from scaffold.verify.revocation_scenarios import OF_CALLERS
from scaffold.verify.rogues import Authorities
from scaffold.verify.run import (
    AT_ONCE,
    Conclusions,
    all_tried,
    check_known,
    check_rendered,
    withdrawn_certificates,
)
from scaffold.verify.running_topology import RunningTopology

_BY_THE_ISSUER: Final = frozenset(
    {
        Probe.CONTROL,
        Probe.FORGED_HEADERS,
        Probe.OTHER_SUBJECT,
        Probe.EXPIRED,
        Probe.NOT_YET_VALID,
        Probe.SERVER_CERTIFICATE,
        Probe.NO_EKU,
    }
)
"""Probes with a certificate that a caller's own CA signs for the moment: that CA's CRL does not list it."""

_BY_OTHERS: Final = frozenset(
    {Probe.FOREIGN_CA, Probe.SIBLING_CA, Probe.SAME_NAME_CA, Probe.SELF_SIGNED, Probe.ISSUED_BY_LEAF}
)
"""Those with one that somebody else signs, of whom no server has a CRL."""

_OTHER_SOURCES: Final = frozenset({Probe.REVOKED, *OF_CALLERS.values()})
"""Those for which a source of revocation must say something else than it does."""


def verify_running(
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
    listener: Listener = NOBODY,
    randomness: Randomness = OPERATING_SYSTEM,
    generations: Generations = ONE_EACH,
) -> Report:
    """Probe what answers at each server's `address`, and start none of them.

    Where nobody answers, each check of that server fails as `unreachable`. Arguments and errors are those of `verify`.
    """
    check_known(t, only)
    withdrawn = withdrawn_certificates(t, layout, revoked)
    chosen = tuple(case for case in cases(t, kinds, only, withdrawn) if case.probe in limit_to)
    conclusions = Conclusions(chosen, listener)
    to_try = conclusions.untried_for(_Reasons(t, kinds).of)
    if to_try:
        check_rendered(kinds, layout, to_try.values())
        placements = {server.name: _where_it_runs(server) for server in t.servers.values()}
        authorities = Authorities(t, layout, secrets, now, randomness, generations)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as pool:
            listener.probing(len(to_try))
            silent = _unreachable(pool, placements, to_try.values())
            for number, case in to_try.items():
                if (check := _of_silent(case, silent)) is not None:
                    conclusions.add(number, check)
            others = {number: case for number, case in to_try.items() if _of_silent(case, silent) is None}
            addresses = _addresses(pool, placements, others.values())
            seen: dict[int, Check] = {}
            for turn, placed in enumerate(rounds(placements, addresses)):
                running = _already_running(placed)
                cast = {number: case for number, case in others.items() if turn < _turns(case, addresses)}
                with ProbeRunner(t, kinds, layout, authorities, running, withdrawn, _never_run(t, kinds)) as probes:
                    for number, check in all_tried(pool, probes, cast):
                        seen[number] = _worse(seen.get(number), _located(check, others[number], placed, addresses))
                        if turn + 1 == _turns(others[number], addresses):
                            conclusions.add(number, seen[number])
    return Report(conclusions.in_order(), drift_in_tls(plan), of_running=True)


def _where_it_runs(server: Server) -> Placed:
    return Placed(server, server.dial, _health_of(server))


def _health_of(server: Server) -> HostPort | None:
    """Its health port; on the host that is dialled, where that listens on all of its addresses."""
    if server.health is None:
        return None
    everywhere = reachable(server.health) != server.health
    return HostPort(reachable(server.dial).host, server.health.port) if everywhere else server.health


def _already_running(placements: Placements) -> RunningTopology:
    return RunningTopology(placements, copies={}, impostors={}, services=(), folders={}, apps={})


def _never_run(t: Topology, kinds: Mapping[Address, Kind]) -> frozenset[Address]:
    """The clients that are programs of a person's own: their certificates are shown for them."""
    return frozenset(
        client.address
        for client in t.clients.values()
        if client.address in kinds and nothing_to_start(client, kinds[client.address]) and client.csr is None
    )


# --- Who does not answer ---------------------------------------------------------------------------------------------


def _unreachable(pool: ThreadPoolExecutor, placements: Placements, tried: Iterable[Case]) -> Mapping[str, str]:
    """Why nobody answers, by the name of each server of which that is so. Each is dialled once."""
    names = list(dict.fromkeys(name for case in tried for name in _dialled(case)))
    reasons = pool.map(lambda name: _why_silent(placements[name].address), names)
    return {name: reason for name, reason in zip(names, reasons, strict=True) if reason is not None}


def _addresses(
    pool: ThreadPoolExecutor, placements: Placements, tried: Iterable[Case]
) -> Mapping[str, tuple[HostPort, ...]]:
    """Where each server answers that is dialled."""
    names = list(dict.fromkeys(name for case in tried for name in _dialled(case)))
    return dict(zip(names, pool.map(lambda name: answering(placements[name].address), names), strict=True))


def _turns(case: Case, addresses: Mapping[str, tuple[HostPort, ...]]) -> int:
    """How often a case is tried: at each address of the servers at which it is."""
    return max((len(addresses[name]) for name in _dialled(case)), default=1)


def _located(check: Check, case: Case, placed: Placements, addresses: Mapping[str, tuple[HostPort, ...]]) -> Check:
    """A failure at one address of several says at which."""
    several = [name for name in _dialled(case) if len(addresses[name]) > 1]
    if check.result is not Result.FAILED or not several:
        return check
    where = " and ".join(f"{name} at {placed[name].address}" for name in several)
    return replace(check, detail=f"{where}: {check.detail}")


def _worse(before: Check | None, now: Check) -> Check:
    """One address that lets in whom it must not is enough; so is one where it was not tried, and none that failed."""
    order = (Result.FAILED, Result.SKIPPED, Result.PASSED)
    return now if before is None or order.index(now.result) < order.index(before.result) else before


def _dialled(case: Case) -> tuple[str, ...]:
    """The servers at which a case is tried: one that calls is asked to."""
    if case.probe is Probe.HEALTH:
        return ()
    asked = (case.caller.name,) if case.probe is Probe.EDGE and isinstance(case.caller, Server) else ()
    return (case.server.name, *asked)


def _why_silent(address: HostPort) -> str | None:
    try:
        tls.dial(address, PATIENCE).close()
    except OSError as error:
        return f"no answer at {address} ({error.strerror or error})"
    return None


def _of_silent(case: Case, silent: Mapping[str, str]) -> Check | None:
    """The check of a case whose server, or the one that is to call it, does not answer."""
    for name in _dialled(case):
        if name in silent:
            address = Address.server(name)
            who = "" if name == case.server.name else f"{address}, its caller: "
            check = case.concluded(Finding(Observed.UNREACHABLE, Layer.TCP, f"{who}{silent[name]}"))
            hint = f"Start {address} there, or correct its `address` in the topology; a firewall may stand between."
            return replace(check, unstarted=Unstarted(str(address), silent[name], hint, "does not answer"))
    return None


# --- What is not tried -----------------------------------------------------------------------------------------------


class _Reasons:
    """Why a case is not tried at what runs."""

    def __init__(self, t: Topology, kinds: Mapping[Address, Kind]) -> None:
        self._t = t
        self._kinds = kinds
        self._available = Availability(t, kinds)

    def of(self, case: Case) -> str | None:
        """The reason, or None where it is tried."""
        if is_in_its_place(case.probe):
            return "a false server would have to be started in its place: `scaffold verify` without --running does that"
        if (reason := nothing_to_start(case.server, self._kinds[case.server.address])) is not None:
            return f"{reason}, and what it speaks is not known"
        if (reason := without_control(case)) is not None:
            return reason
        match case.probe:
            case Probe.EDGE:
                return tls.cannot_probe(case.server) or self._of_edge(case)
            case Probe.HEALTH:
                return _of_health(case.server)
            case _:
                blind = blind_to_issuers(case, self._kinds[case.server.address])
                return blind or tls.cannot_probe(case.server) or _of_revocation(case)

    def _of_edge(self, case: Case) -> str | None:
        caller = case.caller
        if isinstance(caller, Server):
            return self._of_calling(caller)
        if isinstance(caller, Client) and not is_external(caller):
            return self._available.missing_of(caller)
        return None

    def _of_calling(self, caller: Server) -> str | None:
        if (reason := nothing_to_start(caller, self._kinds[caller.address])) is not None:
            return f"{reason}, so it cannot be asked to call"
        askers = graph.callers(self._t, caller.name)
        if caller.check_revocation is RevocationCheck.OCSP and not any(map(_has_sound_certificate, askers)):
            return (
                f"no allowed caller of {caller.address} has a valid certificate here, and a new one is unknown to "
                "the OCSP responder"
            )
        return None


def _has_sound_certificate(party: Party) -> bool:
    return not is_external(party) and not is_faulty(party)


def _of_health(server: Server) -> str | None:
    """A port on a host's own loopback is seen by that host alone."""
    if server.health is None or not _is_loopback(server.health.host) or _is_loopback(reachable(server.dial).host):
        return None
    return f"its health port is on the loopback of its own host, and {server.dial} is another"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _of_revocation(case: Case) -> str | None:
    """Why the server's own checks of revocation leave open what a refusal, or a welcome, would mean."""
    check = case.server.check_revocation
    if case.probe in _OTHER_SOURCES:
        return (
            "its CRLs and OCSP answers come from the real CAs, and a false publisher would have to answer in their "
            "place: `scaffold verify` without --running starts one"
        )
    if check is RevocationCheck.OCSP and case.probe in _BY_THE_ISSUER | _BY_OTHERS:
        return (
            f"{case.server.address} checks by OCSP, where a certificate made for a probe is unknown and would be "
            "refused for that"
        )
    if check is RevocationCheck.CRL and case.probe in _BY_OTHERS:
        return (
            f"{case.server.address} demands a CRL of each CA, and there is none of a CA made for a probe, which "
            "would be refused for that"
        )
    return None
