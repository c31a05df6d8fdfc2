"""`scaffold call CALLER SERVER [PATH]`: one call by a rendered client, or by a running server that calls others."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from scaffold.cli import completing, failures
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Out
from scaffold.errors import ScaffoldError, TopologyError, VerifyError

if TYPE_CHECKING:
    from scaffold.cli.project import Project
    from scaffold.kinds.catalogue import Kind
    from scaffold.topology.model import Client, Party, Server, Topology

_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
"""A path and its query (RFC 3986 3.3, 3.4)."""


def run(
    client: Annotated[
        str,
        typer.Argument(
            metavar="CALLER",
            autocompletion=completing.parties_by_name,
            help="A client, or a server that calls others: its name or ADDRESS.",
        ),
    ],
    server: Annotated[
        str,
        typer.Argument(
            metavar="SERVER",
            autocompletion=completing.servers_by_name,
            help="A server that it calls: its name or ADDRESS.",
        ),
    ],
    path: Annotated[
        str | None,
        typer.Argument(metavar="[PATH]", help="The path to request, such as /orders?open=yes.  [default: /]"),
    ] = None,
    file: File = DEFAULT_FILE,
    out: Out = None,
) -> None:
    """Run the client's own run.sh, or ask the running server to make the call; what comes back is the answer.

    A call that the topology does not list is made with the caller's own certificate, to see that it is refused.
    """
    from scaffold.cli.project import open_project
    from scaffold.topology.model import Client, Server

    project = open_project(file, out)
    swapped = _swapped(project.topology, client, server)
    caller = _caller(project.topology, client, swapped)
    called = _called(project.topology, server, swapped)
    if path is not None:
        _check_written(path)
    if called.name not in caller.calls:
        _be_refused(project, caller, called, path)
    _check_can_call(project, caller)
    if path is not None:
        _check_path(project, caller)
    if isinstance(caller, Client):
        _check_applied(project, caller)
    _wait_for_up(project, caller if isinstance(caller, Server) else called)
    succeeded = _ask(project, caller, called) if isinstance(caller, Server) else _run(project, caller, called, path)
    if not succeeded:
        raise typer.Exit(failures.ERROR)


def _check_applied(project: Project, caller: Client) -> None:
    """Raises VerifyError for a client that was not applied with all else: no `up` makes its project."""
    from scaffold.cli.running import anything_applied, project_folder
    from scaffold.running.whereabouts import ups

    if caller.external is None and anything_applied(project) and not ups(project.layout):
        project_folder(project, caller)


def _wait_for_up(project: Project, server: Server) -> None:
    """Return once an `up` that begins or starts has started `server`, or none has; say what is waited for."""
    from scaffold.cli.running import anything_applied
    from scaffold.running.availability import nothing_to_start
    from scaffold.running.awaited import until_begun, until_started
    from scaffold.view.call import waiting
    from scaffold.view.terminal import columns, show

    is_applied = anything_applied(project)
    if not is_applied:
        _check_can_be_planned(project)
    if nothing_to_start(server, project.kinds[server.address]) is not None:
        return

    def say(what: str) -> None:
        show(waiting(what, columns()), sys.stderr)

    until_begun(project.layout, server.dial, is_applied=is_applied, say=say)
    until_started(project.layout, say)


def _check_can_be_planned(project: Project) -> None:
    """Raises what `plan` says where nothing was applied, and nothing applies now: no `up` could begin."""
    from scaffold.cli.running import anything_applied
    from scaffold.plan.make import look
    from scaffold.running.whereabouts import ups

    try:
        look(project.topology, project.kinds, project.layout, now())
    except ScaffoldError:
        if not anything_applied(project) and not ups(project.layout):
            raise


def _check_written(path: str) -> None:
    """Raises TopologyError for what is no path."""
    if not path.startswith("/"):
        raise TopologyError(f'"{path}" is no path', hint=f"it begins with a slash: /{path}")
    if not _PATH.fullmatch(path):
        raise TopologyError(
            f'"{path}" is no path', hint="a blank is %20 there, and so on: other characters are %-encoded"
        )


def _check_path(project: Project, caller: Party) -> None:
    """Raises TopologyError for one who asks for no path."""
    from scaffold.topology.model import Server

    if isinstance(caller, Server):
        hint = "leave the path out: it is for clients alone; a server is asked for /call/NAME, and calls /"
        raise TopologyError(f"{caller.address} is a server, which takes no path", hint=hint)
    if (kind := project.kinds.get(caller.address)) is not None:
        _check_has_paths(caller, kind)


def _check_has_paths(party: Party, kind: Kind) -> None:
    from scaffold.kinds.capabilities import HTTP

    if kind.capabilities.protocol != HTTP:
        raise TopologyError(
            f"{party.address} speaks {kind.capabilities.protocol}, where there are no paths", hint="leave it out"
        )


def _be_refused(project: Project, caller: Party, called: Server, path: str | None) -> NoReturn:
    """Make a call that is not listed, and exit by what the server does with it."""
    from scaffold.cli.failed_call import another_program
    from scaffold.running.availability import nothing_to_start
    from scaffold.running.ports import reachable
    from scaffold.running.whereabouts import running
    from scaffold.verify.model import Observed
    from scaffold.verify.unlisted import attempt
    from scaffold.view.call import attempt_lines, not_listed
    from scaffold.view.terminal import columns, show

    kind = project.kinds[called.address]
    if path is not None:
        _check_has_paths(called, kind)
    show(not_listed(caller, called, columns()), sys.stderr)
    _wait_for_up(project, called)
    at = running(project.layout).get(called.name, reachable(called.dial))
    finding = attempt(project.layout, kind, caller, called, at, path)
    if finding.observed is Observed.UNREACHABLE:
        hint = nothing_to_start(called, kind) or _why_nobody_answers(project, called)
        raise VerifyError(f"{called.address} is not reachable at {at}: {finding.detail}", hint=hint)
    show(attempt_lines(caller, called, finding, columns()))
    match finding.observed:
        case Observed.REFUSED:
            raise typer.Exit(failures.NOT_LET_IN)
        case Observed.ALLOWED:
            raise typer.Exit(failures.PROBE_FAILED)
        case _:
            if (other := another_program(project, called, at)) is not None:
                typer.echo(f"hint: {other}", err=True)
            raise typer.Exit(failures.ERROR)


def _run(project: Project, caller: Client, called: Server, path: str | None) -> bool:
    """Whether the rendered client was answered; where it was not, say what helps."""
    from scaffold.cli.failed_call import say_why
    from scaffold.cli.running import project_folder, url
    from scaffold.running.availability import nothing_to_start
    from scaffold.running.ports import reachable
    from scaffold.running.services import environment
    from scaffold.running.whereabouts import running
    from scaffold.verify.judge import CANNOT_TRUST, NOT_REACHABLE, REFUSED

    if caller.external is not None:
        raise VerifyError(f"{caller.address} is external: it has no project here that could call")
    at = running(project.layout).get(called.name, called.dial)
    moved = [url(project, called, at, path or "/")] if at != called.dial or path is not None else []
    command = [str(project_folder(project, caller) / "run.sh"), called.name, *moved]
    inherits = project.kinds[caller.address].capabilities.environment
    with tempfile.TemporaryDirectory(prefix="scaffold-home-", ignore_cleanup_errors=True) as home:
        try:
            done = subprocess.run(command, env=environment(Path(home), {}, inherits), check=False)
        except OSError as error:
            hint = "run `scaffold plan` to see what is missing, `scaffold apply` to make it"
            raise VerifyError(f"{command[0]} cannot be run: {error.strerror}", hint=hint) from error
    if done.returncode == NOT_REACHABLE:
        unstarted = nothing_to_start(called, project.kinds[called.address])
        typer.echo(f"hint: {unstarted or _why_nobody_answers(project, called)}", err=True)
    if done.returncode in (CANNOT_TRUST, REFUSED):
        say_why(project, caller, called, reachable(at))
    return done.returncode == 0


def _check_can_call(project: Project, caller: Party) -> None:
    """Raises VerifyError for one with certificates and nothing that could call with them."""
    from scaffold.running.availability import nothing_to_start

    kind = project.kinds.get(caller.address)
    if kind is not None and (reason := nothing_to_start(caller, kind)) is not None:
        raise VerifyError(reason, hint="see its README.md for how to point the usual programs to its tls/")


def _why_nobody_answers(project: Project, called: Server) -> str:
    from scaffold.running.whereabouts import ups

    all_up = ups(project.layout)
    if not all_up:
        return "no `scaffold up` runs here, and nothing else listens there: `scaffold up` starts the servers"
    if any(called.name in (up.servers or ()) for up in all_up):
        return f"`scaffold up` runs here, and its {called.address} does not answer: see its output"
    without = f"the `scaffold up` that runs here (process {all_up[0].process}) was started without {called.address}"
    return f"{without}: stop it and start it again; where it has an --only, name {called.address} there as well"


def _ask(project: Project, caller: Server, called: Server) -> bool:
    """Whether the running server was answered; it says itself why not."""
    from scaffold.cli.failed_call import another_program, say_why
    from scaffold.running.calling import ask_to_call
    from scaffold.running.ports import reachable
    from scaffold.running.whereabouts import running

    hint = _why_nobody_answers(project, caller)
    found = running(project.layout)
    at = found.get(caller.name, reachable(caller.listen))
    try:
        answer = ask_to_call(project.topology, project.layout, caller, called, at, hint)
    except VerifyError as error:
        raise VerifyError(error.message, hint=error.hint or another_program(project, caller, at)) from error
    typer.echo(answer.body.rstrip("\n"), err=answer.status != 200)
    if answer.status != 200:
        say_why(project, caller, called, found.get(called.name, reachable(called.dial)))
    return answer.status == 200


def _swapped(t: Topology, client: str, server: str) -> str | None:
    """The hint for names that are swapped: the call the other way round is listed."""
    from scaffold.topology import graph

    called = next((one for one in t.servers.values() if client in (one.name, str(one.address))), None)
    callers = graph.callers(t, called.name) if called is not None else ()
    meant = any(server in (one.name, str(one.address)) for one in callers)
    return f"did you mean `scaffold call {server} {client}`?" if meant else None


def _caller(t: Topology, name: str, swapped: str | None) -> Party:
    """A client, or else a server that calls; `server.NAME` where both have that name."""
    servers = {one.name: one for one in t.servers.values() if one.calls}
    servers |= {str(one.address): one for one in servers.values()}
    callers: dict[str, Party] = {**servers, **t.clients, **{str(one.address): one for one in t.clients.values()}}
    if name in callers:
        return callers[name]
    silent = next((one for one in t.servers.values() if name in (one.name, str(one.address))), None)
    if silent is not None:
        place = t.place("servers", silent.name)
        hint = swapped or "`calls: [SERVER]` lets it call"
        raise TopologyError(f"{name} is a server that makes no calls", place=place, hint=hint)
    raise _unknown(name, "client", [*t.clients, *(one.name for one in t.servers.values() if one.calls)])


def _called(t: Topology, name: str, swapped: str | None) -> Server:
    """A server, by its name or its address."""
    servers = {**t.servers, **{str(one.address): one for one in t.servers.values()}}
    if name in servers:
        return servers[name]
    if swapped is not None:
        raise TopologyError(f"{name} is a client, and clients are not called", hint=swapped)
    raise _unknown(name, "server", [*t.servers])


def _unknown(name: str, role: str, known: Sequence[str]) -> TopologyError:
    near = get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known) or 'none'}"
    return TopologyError(f'no such {role} "{name}"', hint=hint)
