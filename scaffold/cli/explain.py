"""`scaffold explain`: a handshake step by step, on the certificates and files of both ends."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import completing
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Json, Out
from scaffold.errors import AddressError, TopologyError
from scaffold.topology.messages import nearest

if TYPE_CHECKING:
    from scaffold.cli.project import Project
    from scaffold.explain.ends import World
    from scaffold.topology.model import Party, Topology


class Format(enum.StrEnum):
    """How it is told."""

    TEXT = "text"
    MERMAID = "mermaid"
    JSON = "json"


def run(
    caller: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            autocompletion=completing.parties_by_name,
            help="The caller; without SERVER, any server or client: name or ADDRESS.",
        ),
    ],
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVER]",
            autocompletion=completing.servers_by_name,
            help="The server that is called: its name or ADDRESS.",
        ),
    ] = None,
    file: File = DEFAULT_FILE,
    out: Out = None,
    format_: Annotated[
        Format, typer.Option("--format", help="text, a Mermaid sequence diagram (of one call), or json.")
    ] = Format.TEXT,
    json: Json = False,
) -> None:
    """Read the files of both ends, and what verify saw last; start nothing, write nothing."""
    from scaffold.cli.project import open_project

    project = open_project(file, out)
    chosen = Format.JSON if json else format_
    if server is None:
        _overview(_world(project), _party(project.topology, caller), chosen)
    else:
        _call(_world(project), caller, server, chosen)


def _call(world: World, caller: str, server: str, format_: Format) -> None:
    from scaffold.explain.handshake import handshake
    from scaffold.topology.model import Server
    from scaffold.view import explained
    from scaffold.view.explain import handshake_lines
    from scaffold.view.sequence import sequence
    from scaffold.view.terminal import columns, show

    called = _party(world.topology, server)
    if not isinstance(called, Server):
        raise TopologyError(
            f"{called.address} is a client, and clients are not called",
            hint=f"the caller comes first: scaffold explain {called.address} SERVER",
        )
    told = handshake(world, _party(world.topology, caller), called)
    match format_:
        case Format.TEXT:
            show(handshake_lines(told, columns()))
        case Format.MERMAID:
            typer.echo("\n".join(sequence(told)))
        case Format.JSON:
            typer.echo(explained.handshake_json(told))


def _overview(world: World, party: Party, format_: Format) -> None:
    from scaffold.explain.overview import overview
    from scaffold.view import explained
    from scaffold.view.explain import overview_lines
    from scaffold.view.terminal import columns, show

    if format_ is Format.MERMAID:
        raise typer.BadParameter("draws one call: give the caller and the server", param_hint="--format")
    told = overview(world, party)
    if format_ is Format.JSON:
        typer.echo(explained.overview_json(told))
    else:
        show(overview_lines(told, columns()))


def _world(project: Project) -> World:
    from scaffold.explain.ends import World
    from scaffold.plan.drift import changed_files, drift_in_tls
    from scaffold.plan.make import look, plan_as_it_stands
    from scaffold.verify import last_run

    t, layout, moment = project.topology, project.layout, now()
    planned = plan_as_it_stands(look(t, project.kinds, layout, moment, keys_away=True))
    changed = changed_files(drift_in_tls(planned.plan))
    return World(t, project.kinds, layout, planned.basis.ledger, last_run.load(layout), moment, changed)


def _party(t: Topology, text: str) -> Party:
    """A server or client, by its address or, where one alone has it, by its name."""
    from scaffold.topology import graph

    parties = {str(party.address): party for party in graph.parties(t)}
    if text in parties:
        return parties[text]
    named = [party for party in parties.values() if party.name == text]
    if len(named) == 1:
        return named[0]
    if named:
        both = " and ".join(str(party.address) for party in named)
        raise AddressError(f"{text} is the name of {both}", hint="write which of them: ROLE.NAME")
    if text in t.cas or text in {str(ca.address) for ca in t.cas.values()}:
        raise AddressError(f"{text} is a CA, which makes no calls", hint="name a server or client")
    known = [*parties, *(party.name for party in parties.values())]
    raise AddressError(f"there is no server or client {text}", hint=nearest(text, known))
