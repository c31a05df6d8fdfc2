"""What is measured of a method: the cost of handshakes and of upkeep, the publisher's absence, and a revocation."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from caller import Caller, Refusal, certificate, first_refusal
from counters import Relay, cpu_of_group
from methods import Method
from world import World

from scaffold.running.ports import free_addresses
from scaffold.topology.model import HostPort

PATIENCE = 60.0
"""Seconds beyond what should be enough: a loaded machine is slow, and only what never happens is a defect."""

_ONE_AT_A_TIME = threading.Lock()
"""Held by whoever is timing a command."""


@dataclass(frozen=True)
class Handshake:
    """Calls with a method against calls of plain mutual TLS that were made in between. Bytes, and seconds of CPU."""

    title: str
    ratio: float
    lowest: float
    highest: float
    client_cpu: float
    server_cpu: float
    plain_client_cpu: float
    plain_server_cpu: float
    bytes: float
    publisher_cpu: float


@dataclass(frozen=True)
class Upkeep:
    """What staying fresh costs each time: bytes between a host and the publisher, and seconds of CPU of the three."""

    bytes: float = 0.0
    host_cpu: float = 0.0
    publisher_cpu: float = 0.0
    ca_cpu: float = 0.0


@dataclass(frozen=True)
class Absence:
    """The first refusal after the publisher's end, of a known and of a new caller; None where there was none.

    Of a staple: of a caller that demands it, and of one that does not. `again`: seconds from the publisher's return
    until callers got in.
    """

    known: Refusal | None
    new: Refusal | None
    again: float
    watched: float


@dataclass(frozen=True)
class Revocation:
    """Seconds of `scaffold revoke`, by the clock and of CPU, and the first refusal after its start.

    `other`: of a server that asks each time, or of a caller that demands no staple. `left`: how many seconds the
    certificate had to live.
    """

    command: float
    ca_cpu: float
    refused: Refusal | None
    other: Refusal | None
    left: float
    watched: float


@dataclass(frozen=True)
class Measured:
    """All of one method."""

    method: Method
    handshakes: tuple[Handshake, ...]
    upkeep: Upkeep
    absence: Absence
    revocation: Revocation


# --- With nothing else at work ---------------------------------------------------------------------------------------


def handshakes(world: World) -> tuple[tuple[Handshake, ...], Upkeep]:
    """The rows of a method, and what one refresh, or one question to the responder, costs in CPU."""
    demands = world.method.source == "staple"
    with world.published() as publisher:
        upkeep = _refresh(world, publisher.pid) if world.method.is_fetched else Upkeep()
        door = _compare(world, world.method.title, "door", world.door, demands, publisher.pid)
        if world.method.source != "ocsp":
            return (door,), upkeep
        asks = _compare(world, "OCSP, asked at every handshake", "asks", world.asks, demands, publisher.pid)
    upkeep = Upkeep(host_cpu=asks.server_cpu - door.server_cpu, publisher_cpu=asks.publisher_cpu)
    return (replace(door, title="OCSP, answer remembered"), asks), upkeep


def _refresh(world: World, publisher: int) -> Upkeep:
    """The usual run of refresh.sh, which finds nothing new, so that nginx reloads nothing."""
    world.refresh()
    time.sleep(2)  # until the publisher has taken its first looks
    before = cpu_of_group(publisher)
    script = world.refresh()
    return Upkeep(host_cpu=script, publisher_cpu=cpu_of_group(publisher) - before)


def _compare(world: World, title: str, name: str, where: HostPort, demands: bool, publisher: int) -> Handshake:
    plain, caller = world.caller("timed"), world.caller("timed", demands_staple=demands)
    for _ in range(5):
        plain.call(world.plain)
        caller.call(where)
    times: dict[str, list[float]] = {"plain": [], name: []}
    client_cpu: dict[str, list[float]] = {"plain": [], name: []}
    before = {one: world.server_cpu(one) for one in times}
    publisher_before = cpu_of_group(publisher)
    for turn in range(world.scale.calls):
        pair = [("plain", plain, world.plain), (name, caller, where)]
        for who, calling, address in pair if turn % 2 else reversed(pair):
            cost = calling.call(address)
            times[who].append(cost.seconds)
            client_cpu[who].append(cost.cpu)
    publisher_cpu = (cpu_of_group(publisher) - publisher_before) / world.scale.calls
    server_cpu = {one: (world.server_cpu(one) - before[one]) / world.scale.calls for one in times}
    size = world.scale.calls // world.scale.blocks
    ratios = [
        statistics.median(times[name][at : at + size]) / statistics.median(times["plain"][at : at + size])
        for at in range(0, size * world.scale.blocks, size)
    ]
    return Handshake(
        title=title,
        ratio=statistics.median(times[name]) / statistics.median(times["plain"]),
        lowest=min(ratios),
        highest=max(ratios),
        client_cpu=statistics.fmean(client_cpu[name]),
        server_cpu=server_cpu[name],
        plain_client_cpu=statistics.fmean(client_cpu["plain"]),
        plain_server_cpu=server_cpu["plain"],
        bytes=_bytes(caller, where),
        publisher_cpu=publisher_cpu,
    )


def _bytes(caller: Caller, where: HostPort, calls: int = 3) -> float:
    (listen,) = free_addresses(1)
    with Relay(listen, where) as relay:
        for _ in range(calls):
            caller.call(listen)
        time.sleep(0.1)  # the last bytes are counted by another thread
        return relay.bytes / calls


# --- Side by side: these wait more than they work --------------------------------------------------------------------


def living(world: World, upkeep: Upkeep) -> tuple[Upkeep, Absence, Revocation]:
    """Upkeep, now with its bytes; the publisher's absence and return; and then a revocation."""
    world.scale_down()
    with world.renewing() as renewer:
        known = _caller(world)
        with world.published_behind_relay() as relay:
            upkeep = replace(upkeep, bytes=_upkeep_bytes(world, relay))
            with world.refreshing():
                _let_in(world, lambda: known().refusal(world.door))
        spent, renewed = (cpu_of_group(renewer.pid), world.renewals()) if renewer else (0.0, 0)
        gone = time.monotonic()
        with world.refreshing():
            known_refused, new_refused = _absence(world, known, gone)
        watched = time.monotonic() - gone
        with world.published_behind_relay():
            back = time.monotonic()
            with world.refreshing():
                again = _let_in(world, lambda: known().refusal(world.door)) - back
                revocation = _revocation(world)
        if renewer is not None:
            each = (cpu_of_group(renewer.pid) - spent) / (world.renewals() - renewed)
            upkeep = Upkeep(bytes=(world.out / "clients/other/tls/cert.pem").stat().st_size, ca_cpu=each)
    return upkeep, Absence(known_refused, new_refused, again, watched), revocation


def _caller(world: World) -> Callable[[], Caller]:
    """The caller that stays good; where certificates are short-lived, with the newest one each time."""
    if world.method.source == "renewal":
        return lambda: Caller(world.out / "clients/other")
    made = world.caller("other", demands_staple=world.method.source == "staple")
    return lambda: made


def _let_in(world: World, refusal: Callable[[], str]) -> float:
    """Calls until it is let in; when that was (time.monotonic()). Raises RuntimeError where it never is."""
    start = time.monotonic()
    while reason := refusal():
        if time.monotonic() - start > PATIENCE:
            raise RuntimeError(f"{world.method.title}: a caller does not get in: {reason}\n{world.complaint}")
        time.sleep(0.05)
    return time.monotonic()


def _upkeep_bytes(world: World, relay: Relay) -> float:
    """Of one refresh, or of one question to the responder."""
    if world.method.is_fetched:
        world.refresh()
        return relay.bytes
    if world.method.source == "ocsp":
        caller = world.caller("other")
        for _ in range(3):
            caller.call(world.asks)
        time.sleep(0.2)  # the last bytes are counted by another thread
        return relay.bytes / relay.connections
    return 0.0


def _absence(world: World, known: Callable[[], Caller], gone: float) -> tuple[Refusal | None, Refusal | None]:
    source = world.method.source
    within = world.scale.watch if source in ("nothing", "renewal") else world.scale.crl + PATIENCE
    new = None
    if source == "ocsp":
        new = first_refusal(lambda: world.caller("other").refusal(world.asks), gone, PATIENCE)
    refused = first_refusal(lambda: known().refusal(world.door), gone, within)
    if source == "staple" and (reason := world.caller("other").refusal(world.door)):
        new = Refusal(time.monotonic() - gone, reason)
    return refused, new if source in ("ocsp", "staple") else refused


def _revocation(world: World) -> Revocation:
    source = world.method.source
    within = world.scale.watch if source == "nothing" else max(world.scale.lifetime, world.scale.crl) + PATIENCE
    with ThreadPoolExecutor(2) as callers:
        with _ONE_AT_A_TIME:
            caller, left = _to_be_revoked(world)
            begun = time.monotonic()
            refused = callers.submit(first_refusal, lambda: caller.refusal(world.door), begun, within)
            if source == "ocsp":
                asking = world.caller("victim")
                asked = callers.submit(first_refusal, lambda: asking.refusal(world.asks), begun, within)
            cpu = world.revoke()
            command = time.monotonic() - begun
        other = asked.result() if source == "ocsp" else None
        watched = refused.result() is None
    if source == "staple" and (reason := world.caller("other").refusal(world.door)):
        other = Refusal(time.monotonic() - begun, reason)
    return Revocation(command, cpu, refused.result(), other, left, within if watched else 0.0)


def _to_be_revoked(world: World) -> tuple[Caller, float]:
    """A caller that is let in for as long as nobody revokes what must be revoked, and how long that would live."""
    if world.method.source == "renewal":
        # Whoever stole the key has the certificate of today, and no other.
        project = world.out / "clients/victim"
        caller = Caller(project)
        _let_in(world, lambda: Caller(project).refusal(world.door))
        caller = Caller(project)
    else:
        project = world.host(world.method.revoked.partition(".")[2])
        caller = world.caller("victim", demands_staple=world.method.source == "staple")
        _let_in(world, lambda: caller.refusal(world.door))
    return caller, certificate(project / "tls/cert.pem").not_valid_after_utc.timestamp() - time.time()
