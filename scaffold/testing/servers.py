"""Servers of a test session: rendered when they are started, on free ports, stopped at the latest with the session."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from scaffold.apply import apply as apply_plan
from scaffold.cli.clock import now
from scaffold.cli.project import kinds_of
from scaffold.errors import Overtaken, VerifyError
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.limits import without_unusable_defaults
from scaffold.pki import bundles, keys
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.plan.make import look, plan_all
from scaffold.plan.model import Work
from scaffold.running.availability import Availability, nothing_to_start
from scaffold.running.clients import Clients
from scaffold.running.placement import Placed, launch, moved_callees, place
from scaffold.running.services import Launch, Services
from scaffold.settings.peers import server_name
from scaffold.store import ledger, lock
from scaffold.store.issued import entry
from scaffold.store.layout import Layout, ca_paths, party_paths
from scaffold.store.secrets import Secrets
from scaffold.testing.broken import Broken
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.model import HostPort, Party, RevocationCheck, Server, Topology
from scaffold.verify.conversation import protocol_of
from scaffold.verify.credentials import Credentials
from scaffold.verify.protocol import Closed, Denied, Target
from scaffold.verify.tls import CannotOffer

_REASON: Final = "keyCompromise"
_ATTEMPTS: Final = 5
_WAIT: Final = 30.0
"""Seconds to wait for whoever else writes, such as the publisher of the same session."""
_REFUSED_WITHIN: Final = 30.0
_BETWEEN: Final = 0.02
"""Seconds until a server is asked again."""

Apply = Callable[[Callable[[Address], bool]], None]
"""Applies the changes of certain addresses."""


def apply(
    t: Topology, layout: Layout, moment: datetime, randomness: Randomness, only: Callable[[Address], bool]
) -> None:
    """Applies what `only` says yes to; planned again where the publisher wrote meanwhile. Raises ScaffoldError."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(Overtaken):
            return _apply_once(t, layout, moment, randomness, only)
    return _apply_once(t, layout, moment, randomness, only)


def _apply_once(
    t: Topology, layout: Layout, moment: datetime, randomness: Randomness, only: Callable[[Address], bool]
) -> None:
    usable, kinds = with_kinds(t)
    planned = plan_all(look(usable, kinds, layout, moment if t.reproducible is not None else now()))
    of_them = (change for change in planned.plan.changes if only(change.address.entity))
    changes = tuple(change for change in of_them if change.work is not Work.APP)  # a test has an app of its own there
    chosen = replace(planned, plan=replace(planned.plan, changes=changes))
    apply_plan(chosen, Secrets(os.environ), wait=_WAIT, randomness=randomness)


def with_kinds(t: Topology) -> tuple[Topology, Mapping[Address, Kind]]:
    """The topology without the defaults that a kind cannot have, as every verb takes it, and its kinds."""
    kinds = kinds_of(t)
    return without_unusable_defaults(t, kinds), kinds


def record_revoked(t: Topology, layout: Layout, address: Address, party: Party, chain: bytes, moment: datetime) -> None:
    """Enters a certificate, and that it is revoked, in the ledger: the next CRL lists it."""
    leaf = bundles.load_certificates(chain)[0]
    ca = bundles.load_certificates(layout.path(ca_paths(party.issuer).certificate).read_bytes())[0]
    part = address.part or Part.CERTIFICATE
    with lock.hold(layout, moment, wait=_WAIT):
        record = ledger.Recorder(layout, moment)
        record.issued([entry(address.with_part(part), party.issuer, leaf, keys.spki_sha256(ca))])
        record.revoked([ledger.Revoked(party.issuer, f"{leaf.serial_number:x}", _REASON, moment)])


class Started:
    """The servers that one call has started, as a context manager that stops them; what ran before goes on."""

    def __init__(self, names: Iterable[str] = (), stop: Callable[[], None] = lambda: None) -> None:
        self.names = frozenset(names)
        self._stop = stop

    def __enter__(self) -> Started:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()


class Running:
    """All that runs; what was stopped may be started again."""

    def __init__(self, t: Topology, layout: Layout, unavailable: Callable[[str], NoReturn], apply_to: Apply) -> None:
        self._t, self._kinds = with_kinds(t)
        self._layout = layout
        self._unavailable = unavailable
        self._apply = apply_to
        self._placed: dict[str, Placed] = {}
        self._stack = contextlib.ExitStack()
        self._publishes = False
        self._clients = Clients()

    def close(self) -> None:
        """Stops everything."""
        self._clients.stop()
        self._placed.clear()
        self._publishes = False
        self._stack.close()

    @property
    def names(self) -> frozenset[str]:
        """The servers that run."""
        return frozenset(self._placed)

    def address(self, server: Server) -> HostPort | None:
        """Where a server listens; None where it was not started."""
        placed = self._placed.get(server.name)
        return placed.address if placed is not None else None

    def wait_until_refused(self, revoked: Broken, within: float = _REFUSED_WITHIN) -> None:
        """Returns once each server that runs and looks up revocation refuses this certificate in a real handshake.

        Raises VerifyError where one goes on letting it in `within` so many seconds.
        """
        deadline = time.monotonic() + within
        for placed in tuple(self._placed.values()):
            if placed.server.check_revocation is RevocationCheck.NONE:
                continue
            while not self._refuses(placed, Credentials(revoked.certificates, revoked.key)):
                if time.monotonic() > deadline:
                    raise VerifyError(
                        f"{placed.server.address} does not refuse a certificate that was revoked {within:.0f} s ago",
                        hint="`scaffold verify` tests how it checks revocation",
                    )
                time.sleep(_BETWEEN)

    def _refuses(self, placed: Placed, credentials: Credentials) -> bool:
        protocol = protocol_of(self._kinds[placed.server.address], self._clients)
        target = Target(placed.address, server_name(placed.server))
        try:
            return isinstance(protocol.call(target, credentials), Denied | Closed)
        except CannotOffer:
            return True  # nobody on this machine can show it

    def can_start(self, server: Server) -> bool:
        """Whether there is anything to start: not where it is for a program of somebody's own."""
        return nothing_to_start(server, self._kinds[server.address]) is None

    def start(self, servers: Iterable[Server]) -> Started:
        """Starts those that do not run yet, and the upstreams behind them. Raises ScaffoldError."""
        wanted = dict.fromkeys(one.name for server in servers for one in self._with_upstreams(server))
        new = [self._t.servers[name] for name in wanted if name not in self._placed]
        for server in new:
            if (reason := nothing_to_start(server, self._kinds[server.address])) is not None:
                raise VerifyError(reason, hint="start that program in the test, with the paths in `.files`")
        if not new:
            return Started()
        availability = Availability(self._t, self._kinds)
        for server in new:
            if (missing := availability.missing_of(server)) is not None:
                self._unavailable(missing)
        self._apply(lambda one: one.role is Role.CA or one in {server.address for server in new})
        self._publish()
        placed = place(new, "auto")
        together = {**self._placed, **placed}
        services = self._stack.enter_context(Services())
        services.start(self._launch(one, together) for one in placed.values())
        reloading = {one.name: self._folder(one) / "tls" for one in new if self._reloads(one)}
        services.reload_on_change(reloading, every=0.2)
        self._placed.update(placed)

        def stop() -> None:
            services.stop()
            for name in placed:
                self._placed.pop(name, None)

        return Started(placed, stop)

    def _launch(self, one: Placed, together: Mapping[str, Placed]) -> Launch:
        can = self._kinds[one.server.address].capabilities
        callees = moved_callees(one.server, together)
        return launch(one, self._folder(one.server), can, callees)

    def _with_upstreams(self, server: Server) -> Iterator[Server]:
        """Those behind it first."""
        if server.upstream is not None:
            yield from self._with_upstreams(self._t.servers[server.upstream])
        yield server

    def _folder(self, server: Server) -> Path:
        return self._layout.path(party_paths(Role.SERVER, server.name).folder)

    def _reloads(self, server: Server) -> bool:
        return "reload" in self._kinds[server.address].capabilities.supports

    def _publish(self) -> None:
        """CRLs and OCSP, where the topology publishes them: servers may ask as soon as they start."""
        if self._t.publish is None or self._publishes:
            return
        from scaffold.publish.server import address, running
        from scaffold.publish.state import State, signing

        state = State(self._t, self._layout, signing(self._t, self._layout, OPERATING_SYSTEM))
        state.open(now())
        self._stack.enter_context(running(state, now, address(self._t.publish)))
        self._publishes = True
