"""`scaffold call CLIENT SERVER`: one call by the rendered client."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated

import typer

from scaffold.cli import failures
from scaffold.cli.options import DEFAULT_FILE, File, Out
from scaffold.errors import TopologyError, VerifyError

NOT_REACHABLE = 5
"""A rendered client's exit code where nobody answers."""


def run(
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="A client of the topology.")],
    server: Annotated[str, typer.Argument(metavar="SERVER", help="A server that it calls.")],
    file: File = DEFAULT_FILE,
    out: Out = None,
) -> None:
    """Run the client's own run.sh; what it prints and whether it succeeded is the answer."""
    from scaffold.cli.project import open_project
    from scaffold.cli.running import project_folder

    project = open_project(file, out)
    clients, servers = project.topology.clients, project.topology.servers
    caller = clients[_known(client, "client", clients)]
    called = servers[_known(server, "server", servers)]
    if caller.external is not None:
        raise VerifyError(f"{caller.address} is external: it has no project here that could call")
    if called.name not in caller.calls:
        raise TopologyError(
            f"{caller.name} does not call {called.name} in this topology",
            place=project.topology.place("clients", caller.name, "calls"),
            hint=f"it calls {', '.join(caller.calls) or 'nobody'}",
        )
    done = subprocess.run([project_folder(project, caller) / "run.sh", called.name], check=False)
    if done.returncode == NOT_REACHABLE:
        typer.echo("hint: `scaffold up` starts the servers", err=True)
    if done.returncode != 0:
        raise typer.Exit(failures.ERROR)


def _known(name: str, role: str, names: Iterable[str]) -> str:
    known = list(names)
    if name in known:
        return name
    near = get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known) or 'none'}"
    raise TopologyError(f'no such {role} "{name}"', hint=hint)
