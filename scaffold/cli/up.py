"""`scaffold up`: the topology's servers side by side, and its publisher, until interrupted."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from scaffold.cli import completing
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Out
from scaffold.cli.project import Project
from scaffold.cli.running import Ports
from scaffold.errors import Overtaken, VerifyError
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.messages import nearest
from scaffold.topology.model import Backend, Client, HostPort, Server

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from scaffold.kinds.capabilities import Capabilities
    from scaffold.kinds.catalogue import Kind
    from scaffold.plan.make import Planned
    from scaffold.running.doors import Opened
    from scaffold.running.placement import Placements
    from scaffold.running.services import Launch, Services
    from scaffold.running.whereabouts import Tell

PUBLISHER = "(publisher)"
"""Stands before the publisher's lines; no server can have that name."""

_BESIDE_ANOTHER = "it runs here already: stop that first, or let `--ports auto` choose free ports"

MOVED = (
    "These servers are on other ports than the topology says. `scaffold call` finds them while this runs. To "
    "call one from a client's folder, give the address that is shown here: `run.sh SERVER URL` (see its README "
    "for other scripts)."
)


def run(
    file: File = DEFAULT_FILE,
    out: Out = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="ADDRESS",
            autocompletion=completing.servers,
            help="This server, or client with doors, alone; repeatable.",
        ),
    ] = None,
    ports: Annotated[
        Ports, typer.Option("--ports", help="auto: use a free port for every server and the app behind it.")
    ] = Ports.FIXED,
) -> None:
    """Start each rendered server by its own run.sh, show what they print, and stop all when one ends or on Ctrl-C.

    The app behind a front is started by its `run`, where the topology gives one, and the doors of clients are opened.

    Where nothing was applied yet, `up` applies the topology first. Servers take new certificates as they are renewed:
    `scaffold renew --watch` beside it keeps all of them fresh.
    """
    from scaffold.cli.project import open_project
    from scaffold.cli.running import anything_applied
    from scaffold.running.whereabouts import told

    project = open_project(file, out)
    servers, clients = _chosen(project, only or ())
    is_applied = anything_applied(project)
    with told(project.layout) as tell:
        if not is_applied:
            _apply(project)
        _run(project, servers, clients, ports, tell)


def _run(project: Project, servers: Sequence[Server], clients: Sequence[Client], ports: Ports, tell: Tell) -> None:
    """Until it is interrupted. Raises VerifyError where one of them ends."""
    from scaffold.cli.running import blaming_drift, project_folder
    from scaffold.running.apps import place_apps
    from scaffold.running.doors import open_at
    from scaffold.running.placement import place
    from scaffold.running.services import Services, termination_as_exception
    from scaffold.running.whereabouts import holders
    from scaffold.view.progress import say

    folders = {server.name: project_folder(project, server) for server in servers}
    placements = place(servers, ports.value, holders(project.layout, servers, _BESIDE_ANOTHER))
    backends = place_apps(servers, ports.value)
    apps = tuple(_apps(project, servers, backends))
    opened = open_at(clients, ports.value)
    folders |= {one.name: project_folder(project, one.client) for one in opened}
    on_line = _printer(
        [*(one.name for one in apps), *folders, *([PUBLISHER] if project.topology.publish is not None else [])]
    )
    say(f"Starting {_counted(len(servers), len(apps), len(opened))}.")
    ready_lines = [name for name, placed in placements.items() if _says_ready(project.kinds[placed.server.address])]
    ready_lines += [one.name for one in opened if _says_ready(project.kinds[one.client.address])]
    with (
        blaming_drift(lambda: _plan(project, now()).plan),
        termination_as_exception(),
        _publisher(project, on_line),
        Services(_but_for_ready_lines(ready_lines, on_line)) as services,
    ):
        try:
            _say_of_apps(placements, backends, ports.value, on_line)
            _start(project, services, placements, backends, opened, folders, apps, on_line)
            tell(placements)
            _say_where(project, placements, opened, on_line)
            ended = services.wait_for_an_end()
        except KeyboardInterrupt:
            typer.echo("\nStopping.", err=True)
            return
        raise VerifyError(ended.epitaph())


def _counted(servers: int, apps: int, clients: int) -> str:
    """`5 servers, 1 app`: of each that there is."""
    from scaffold.view.inventory import counted

    counts = ((servers, "server"), (apps, "app"), (clients, "client"))
    return ", ".join(counted(number, noun) for number, noun in counts if number)


OnLine = Callable[[str, str], None]
"""Called with who says something, and the line."""


def _printer(names: Sequence[str]) -> OnLine:
    """Prints what each of them says, in a column of its own."""
    from scaffold.view.terminal import one_line

    width = max(map(len, names))

    def on_line(name: str, line: str) -> None:
        print(f"{name:<{width}} | {one_line(line)}", flush=True)

    return on_line


def _says_ready(kind: Kind) -> bool:
    """Whether the template's own line says `ready: …`, as `up` does once all are ready."""
    return (kind.capabilities.ready or "").removeprefix("^").startswith(_READY)


_READY: Final = "ready: "


def _but_for_ready_lines(names: Collection[str], on_line: OnLine) -> OnLine:
    """Passes on all but the first ready line of each of `names`: where it is, `up` says in a line of its own."""
    unseen = set(names)

    def pass_on(name: str, line: str) -> None:
        if name in unseen and line.startswith(_READY):
            unseen.discard(name)
        else:
            on_line(name, line)

    return pass_on


def _start(
    project: Project,
    services: Services,
    placements: Placements,
    backends: Mapping[str, Backend],
    opened: Sequence[Opened],
    folders: Mapping[str, Path],
    apps: Sequence[Launch],
    on_line: OnLine,
) -> None:
    """Start servers and the apps behind them, and open the doors; return once all are ready."""
    from scaffold.running import doors
    from scaffold.running.apps import moved_app
    from scaffold.running.placement import launch, moved_callees

    fronts = (
        launch(
            placed,
            folders[name],
            _can(project, placed.server),
            moved_callees(placed.server, placements),
            moved_app(placed.server, backends),
        )
        for name, placed in placements.items()
    )
    doors_of = (doors.launch(one, folders[one.name], project.kinds[one.client.address], placements) for one in opened)
    services.start([*apps, *fronts], on_wait=on_line)
    services.start(doors_of, on_wait=on_line)
    reloading = [*(name for name in placements if _reloads(project, name)), *(one.name for one in opened)]
    services.reload_on_change({name: folders[name] / "tls" for name in reloading})


def _say_where(project: Project, placements: Placements, opened: Sequence[Opened], on_line: OnLine) -> None:
    from scaffold.cli.running import url
    from scaffold.running.apps import has_command
    from scaffold.view.terminal import columns, fitted, plain, show

    for name, placed in placements.items():
        if (backend := placed.server.backend) is not None and not has_command(placed.server):
            on_line(name, f"forwards requests to {backend}: start your app there")
        on_line(name, f"{_READY}{url(project, placed.server, placed.listen)}")
    for one in opened:
        for name, door in one.doors.items():
            on_line(one.name, f"{_READY}{door} forwards to {name}, as {one.client.name}")
    if any(placed.listen != placed.server.listen for placed in placements.values()):
        show(map(plain, fitted(MOVED, columns(), 0, 40)), sys.stderr)
    print("Press Ctrl-C to stop.", file=sys.stderr)


def _apply(project: Project) -> None:
    """As `scaffold apply` does, with its plan and its questions."""
    from scaffold.cli.plan_and_apply import carry_out

    typer.echo("Nothing was applied yet: applying first.", err=True)
    moment = now()

    def make(project: Project, _: Overtaken | None) -> Planned:
        return _plan(project, moment)

    carry_out(project, make, yes=False, json=False)


def _plan(project: Project, moment: datetime) -> Planned:
    from scaffold.plan.make import look, plan_all

    return plan_all(look(project.topology, project.kinds, project.layout, moment))


def _chosen(project: Project, only: Sequence[str]) -> tuple[tuple[Server, ...], tuple[Client, ...]]:
    """The servers, and clients with doors, that are asked for, in the topology's order; all, where none is.

    Raises VerifyError, AddressError.
    """
    from scaffold.running.availability import nothing_to_start

    every = {server.address: server for server in project.topology.servers.values()}
    if not every:
        raise VerifyError(f"{project.topology.name} has no servers to run", hint="add one under `servers:`")
    asked = {project.address(text).entity for text in only}
    passed_over = {one.address: nothing_to_start(one, project.kinds[one.address]) for one in every.values()}
    servers = {address: server for address, server in every.items() if passed_over[address] is None}
    for address, reason in passed_over.items():
        if reason is not None and address in asked:
            raise VerifyError(reason, hint="its README.md says how to point such a program to its tls/")
        if reason is not None and not asked:
            typer.echo(f"Not started: {reason}.", err=True)
    clients = _with_doors(project, asked)
    if not servers and not clients:
        raise VerifyError(f"{project.topology.name} has no servers that up could start", hint=_HOW_TO_START)
    for address in asked - servers.keys() - clients.keys():
        there = address in graph.addresses(project.topology)
        message = f"{address} is neither a server nor a client with doors" if there else f"there is no {address}"
        raise VerifyError(message, hint=nearest(str(address), map(str, (*servers, *clients))))
    return (
        tuple(server for address, server in servers.items() if not asked or address in asked),
        tuple(client for address, client in clients.items() if not asked or address in asked),
    )


def _with_doors(project: Project, asked: Collection[Address]) -> Mapping[Address, Client]:
    """The clients that have doors. One that cannot run here is passed over, unless it is asked for by its address."""
    from scaffold.running.availability import Availability
    from scaffold.running.doors import has_doors

    every = project.topology.clients.values()
    clients = {one.address: one for one in every if has_doors(one, project.kinds.get(one.address))}
    available = Availability(project.topology, project.kinds)
    for address, client in tuple(clients.items()):
        if not asked and (reason := available.missing_of(client)) is not None:
            typer.echo(f"Not started: {reason}.", err=True)
            del clients[address]
    return clients


_HOW_TO_START = "start your own programs; the README.md of each says how to point it to its tls/"


def _apps(project: Project, servers: Sequence[Server], backends: Mapping[str, Backend]) -> Iterator[Launch]:
    """The apps behind `servers` that the topology says how to start. Raises VerifyError."""
    from scaffold.running.apps import launch_app
    from scaffold.store.layout import party_paths

    for server in servers:
        if server.app is not None and server.name in backends:
            folder = project.layout.path(party_paths(Role.SERVER, server.name).app)
            yield launch_app(server, server.app, backends[server.name], folder)


def _say_of_apps(placements: Placements, backends: Mapping[str, Backend], ports: str, on_line: OnLine) -> None:
    """Which apps are moved, and which cannot be."""
    from scaffold.running.apps import can_be_moved, moved_app

    for name, backend in backends.items():
        server, app = placements[name].server, f"{name}.{Part.APP}"
        if moved_app(server, backends) is not None:
            on_line(app, f"must listen on {backend}, the PORT in its environment")
        elif ports == "auto" and isinstance(backend, HostPort) and not can_be_moved(server):
            on_line(app, f"stays on {backend}: `run` names that port. One that takes it from PORT can be moved")


def _can(project: Project, server: Server) -> Capabilities:
    return project.kinds[server.address].capabilities


def _reloads(project: Project, name: str) -> bool:
    return "reload" in _can(project, project.topology.servers[name]).supports


@contextlib.contextmanager
def _publisher(project: Project, on_line: OnLine) -> Iterator[None]:
    """CRLs, OCSP and CA certificates where the topology says; servers may ask for them as soon as they start."""
    topology = project.topology
    if topology.publish is None:
        yield
        return
    import logging

    from scaffold.pki.randomness import OPERATING_SYSTEM
    from scaffold.publish.server import address, log_to, running
    from scaffold.publish.state import State, signing

    log_to(sys.stderr, logging.WARNING)
    state = State(topology, project.layout, signing(topology, project.layout, OPERATING_SYSTEM))
    state.open(now())
    with running(state, now, address(topology.publish)):
        on_line(PUBLISHER, f"{_READY}{topology.publish}/")
        yield
