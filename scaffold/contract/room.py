"""Where a template is tried: topologies of its own in a temporary folder, applied, and its server running there."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast

from scaffold.apply import apply
from scaffold.contract import topologies
from scaffold.contract.model import Failed, Untried
from scaffold.errors import VerifyError
from scaffold.kinds import catalogue
from scaffold.kinds.capabilities import Exchange
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.limits import without_unusable_defaults
from scaffold.pki import bundles
from scaffold.pki.randomness import Randomness
from scaffold.plan.intents import Renew
from scaffold.plan.make import look, plan_all
from scaffold.plan.plan_subset import plan_intents
from scaffold.running.availability import Availability, lacking
from scaffold.running.clients import Clients
from scaffold.running.ports import free_addresses
from scaffold.running.services import STOP_WITHIN, Launch, Service
from scaffold.settings.peers import server_name
from scaffold.store.layout import Layout, PartyPaths, party_paths
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.load import load
from scaffold.topology.model import HostPort, Party, Server, Topology
from scaffold.verify.conversation import protocol_of
from scaffold.verify.credentials import Credentials
from scaffold.verify.fake_publisher import clock_from, fake_publisher
from scaffold.verify.http import Answered, call
from scaffold.verify.protocol import PATIENCE, Admitted, Target
from scaffold.verify.revocation_scenarios import needs_publisher

ENDS_WITHIN = 20.0
"""Seconds for a server to end, or to load what is new, on a machine that has other things to do."""

T = TypeVar("T")

_NOT_READY, _NO_PUBLISHER = "it did not become ready", "nobody publishes"

LAYOUT_NAME = "of a 'contract'"
"""Part of the path of every project: whoever writes a script must quote it."""


@dataclass(frozen=True)
class Applied:
    """A topology that was applied in a folder of its own."""

    topology: Topology
    kinds: Mapping[Address, Kind]
    layout: Layout

    @functools.cached_property
    def missing(self) -> Mapping[Address, str]:
        """The reason, by address, for each server and client that cannot run on this machine."""
        return Availability(self.topology, self.kinds).missing

    def folder(self, address: Address) -> Path:
        """Where the project of a server or client lies."""
        return self.layout.path(self.paths(address).folder)

    def paths(self, address: Address) -> PartyPaths:
        return party_paths(address.role, address.name)

    def parties_of(self, kind: Kind) -> tuple[Party, ...]:
        """The servers or clients of the template, in the topology's order."""
        return tuple(party for party in graph.parties(self.topology) if self.kinds.get(party.address) is kind)

    def credentials(self, client: str) -> Credentials:
        """The certificate of a client."""
        own = self.paths(Address.client(client)).own
        return Credentials(self.layout.path(own.certificate).read_bytes(), self.layout.path(own.key).read_bytes())


@dataclass
class Room:
    """A template under trial. What is made here is gone when the block ends.

    `template` is what a topology calls it, `within` the seconds in which a server must become ready, and
    `patience` those in which it must end, or load what is new.
    """

    kind: Kind
    template: str
    now: datetime
    within: float
    patience: float
    folder: Path
    randomness: Randomness
    _stack: ExitStack = field(default_factory=ExitStack)
    _made: dict[str, object] = field(default_factory=dict)

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *ended: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends what runs here. What is asked for afterwards is started again."""
        self._stack.close()
        self._made.pop(_NOT_READY, None)
        self._made.pop(_NO_PUBLISHER, None)

    def _once(self, otherwise: str, make: Callable[[], T]) -> T:
        """What `make` makes, made once. Where that has failed before, Untried is raised with `otherwise`."""
        if otherwise not in self._made:
            self._made[otherwise] = None
            self._made[otherwise] = make()
        if (made := self._made[otherwise]) is None:
            raise Untried(otherwise)
        return cast("T", made)

    # --- Topologies --------------------------------------------------------------------------------------------------

    @property
    def applied(self) -> Applied:
        """The topology to run."""
        return self._once("it could not be applied", self._applied)

    def _applied(self) -> Applied:
        ports = _addresses()
        if self.kind.role == "server":
            made = topologies.of_server(self.kind, self.template, self._caller, self._gateway, ports)
        else:
            server = self._callee
            staples = server.capabilities.staples
            made = topologies.of_client(self.kind, self.template, server.name, ports, staples=staples)
        return self._apply("run", made)

    @property
    def declared(self) -> Applied:
        """One server or client for each thing that the template declares."""
        return self._once("it could not be rendered", self._declared)

    def _declared(self) -> Applied:
        staples = self._callee.capabilities.staples
        other = self._caller if self.kind.role == "server" else self._callee.name
        made = topologies.of_all_declared(self.kind, self.template, other, _addresses(), staples=staples)
        return self._apply("declared", made)

    def _apply(self, name: str, made: topologies.Topology) -> Applied:
        place = self.folder / name
        place.mkdir()
        file = place / "topology.yaml"
        file.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
        written = load(file)
        kinds = {party.address: self._kind(party) for party in graph.parties(written) if not party.is_external}
        t = without_unusable_defaults(written, kinds)
        layout = Layout(place / LAYOUT_NAME)
        apply(plan_all(look(t, kinds, layout, self.now)), Secrets(), randomness=self.randomness)
        return Applied(t, kinds, layout)

    def _kind(self, party: Party) -> Kind:
        if party.template == self.template and party.address.role == self.kind.role:
            return self.kind
        return catalogue.find(party.template, party.address.role, self.folder)

    @property
    def _caller(self) -> str:
        """A client that is built in and runs here."""
        return self._others("client")[0].name

    @property
    def _callee(self) -> Kind:
        """A server that is built in, and of those that run here the one that can do most."""

        def how_much(kind: Kind) -> tuple[int, int]:
            return len(kind.capabilities.peer_keys), len(kind.capabilities.supports)

        return max(self._others("server"), key=how_much)

    def _others(self, role: str) -> list[Kind]:
        """The built-in templates that speak the same; those that run here, where there are any."""
        protocol = self.kind.capabilities.protocol
        speaking = (catalogue.builtin(name, role) for name in catalogue.builtin_speaking(protocol, role))
        kinds = [kind for kind in speaking if not kind.capabilities.has_doors]
        if not kinds:
            raise Untried(f"no built-in {role} speaks {protocol}")
        return [kind for kind in kinds if lacking(kind) is None] or kinds

    @property
    def _gateway(self) -> str | None:
        """The template itself where it forwards, or else one that is built in and runs here."""
        if "upstream" in self.kind.capabilities.supports:
            return self.template
        able = (kind for kind in self._others("server") if "upstream" in kind.capabilities.supports)
        return next((kind.name for kind in able if lacking(kind) is None), None)

    # --- The server --------------------------------------------------------------------------------------------------

    @property
    def server(self) -> Server:
        """The server that is looked at most closely."""
        return self.applied.topology.servers[topologies.SUBJECT]

    @property
    def running(self) -> Running:
        """That server, moved to free ports; it runs until the trial ends.

        Raises Untried where it cannot run on this machine, Failed where it does not become ready.
        """
        return self._once(_NOT_READY, lambda: self._stack.enter_context(self.started()))

    def _publish(self) -> object:
        """Whoever looks up CRLs or asks by OCSP over HTTP finds them."""
        applied, clock = self.applied, clock_from(self.now)
        publisher = fake_publisher(applied.topology, applied.layout, clock, randomness=self.randomness)
        return self._stack.enter_context(publisher)

    def check_can_run(self) -> None:
        """Raises Untried where the template's server, or client, cannot run on this machine."""
        for party in self.applied.parties_of(self.kind):
            if (reason := self.applied.missing.get(party.address)) is not None:
                raise Untried(reason)

    @contextlib.contextmanager
    def started(
        self, *, home: Path | None = None, through: tuple[str, ...] = (), folder: Path | None = None
    ) -> Iterator[Running]:
        """The same started again, from `folder` and by a command that `through` is put before."""
        self.check_can_run()
        server = self.server
        if needs_publisher(self.applied.topology, server, self.kind):
            self._once(_NO_PUBLISHER, self._publish)
        listen, health = free_addresses(2)
        moved = {"LISTEN": str(listen), **({"HEALTH": str(health)} if server.health else {})}
        place = folder or self.applied.folder(server.address)
        can = self.kind.capabilities
        launch = Launch(server.name, place, can.ready or "", moved, can.environment, through)
        own_home = home or self.folder / "home"
        if home is None:
            own_home.mkdir(exist_ok=True)
        service = Service(launch, own_home)
        try:
            service.wait_until_ready(time.monotonic() + self.within)
            yield Running(self, service, listen, health if server.health else None)
        except VerifyError as error:
            raise Failed(error.message) from error
        finally:
            service.signal(signal.SIGTERM)
            service.finish(time.monotonic() + STOP_WITHIN)

    def renew(self) -> int:
        """Gives that server a new certificate over its key; returns the serial number."""
        applied = self.applied
        address = self.server.address.with_part(Part.CERTIFICATE)
        basis = look(applied.topology, applied.kinds, applied.layout, self.now)
        apply(plan_intents(basis, [Renew(address)]), Secrets(), randomness=self.randomness)
        own = applied.paths(self.server.address).own
        return bundles.load_certificates(applied.layout.path(own.certificate).read_bytes())[0].serial_number


def copy_project(source: Path, target: Path) -> None:
    """Copies what was rendered, without what servers leave in run/. Raises Failed, as of a pipe that one has left."""
    try:
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("run"), dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise Failed(f"{source.name} cannot be copied: {error}") from error


@dataclass(frozen=True, slots=True)
class Running:
    """The server at work."""

    room: Room
    service: Service
    listen: HostPort
    health: HostPort | None

    def ask(self, client: str = "teller", path: str = "/.mtls/caller") -> Answered:
        """What a client's call is answered with. Raises Failed where it is not answered."""
        target = Target(self.listen, server_name(self.room.server))
        match call(target, self.room.applied.credentials(client), path):
            case Answered() as answer:
                return answer
            case outcome:
                raise Failed(f"the call of {client} to {path} was not answered: {outcome}")

    def ask_allowed(self) -> Admitted:
        """What one that is let in is told, in the server's own protocol. Raises Failed where it is not let in."""
        target = Target(self.listen, server_name(self.room.server))
        protocol = protocol_of(self.room.kind, Clients())
        match protocol.call(target, self.room.applied.credentials("teller"), claimed="teller"):
            case Admitted() as admitted:
                return admitted
            case outcome:
                raise Failed(f"an allowed caller was not answered: {outcome}")

    def serial(self) -> int:
        """The serial number of the certificate that it shows now. Raises Failed where it shows none."""
        own, at = self.room.applied.paths(Address.client("teller")).own, self.room.applied.layout.at
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(at(own.certificate), at(own.key))
        try:
            with (
                _dial(self.listen, self.room.kind.capabilities.before_tls) as plain,
                context.wrap_socket(plain, server_hostname=server_name(self.room.server)) as connection,
            ):
                shown = connection.getpeercert(binary_form=True)
        except OSError as error:
            raise Failed(f"no handshake: {error}") from error
        if shown is None:
            raise Failed("no certificate was shown")
        return bundles.load_certificates(shown)[0].serial_number


def _dial(address: HostPort, before_tls: Iterable[Exchange]) -> socket.socket:
    """A connection on which TLS can begin."""
    plain = socket.create_connection((address.host, address.port), timeout=PATIENCE)
    for exchange in before_tls:  # as the server has it: it receives what is sent here
        plain.sendall(exchange.receive)
        plain.recv(len(exchange.send), socket.MSG_WAITALL)
    return plain


def _addresses() -> Iterator[str]:
    """Addresses that nobody listens on, one after the other."""
    while True:
        (address,) = free_addresses(1)
        yield str(address)
