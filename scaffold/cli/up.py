"""`scaffold up`: every server of the topology side by side, until interrupted."""

from __future__ import annotations

import sys

import typer

from scaffold.cli.options import DEFAULT_FILE, File, Out
from scaffold.errors import VerifyError


def run(file: File = DEFAULT_FILE, out: Out = None) -> None:
    """Start each rendered server by its own run.sh, show what they print, and stop all when one ends or on Ctrl-C."""
    from scaffold.cli.project import open_project
    from scaffold.cli.running import launches
    from scaffold.publish.services import Services, check_free, termination_as_exception

    project = open_project(file, out)
    servers = project.topology.servers
    to_start = launches(project, servers.values())
    check_free({server.address: server.listen for server in servers.values()})
    check_free({f"{server.address}'s health": server.health for server in servers.values() if server.health})
    width = max((len(name) for name in servers), default=0)

    def on_line(name: str, line: str) -> None:
        from scaffold.view.terminal import one_line

        print(f"{name:<{width}} | {one_line(line)}", flush=True)

    with termination_as_exception(), Services(on_line) as services:
        services.start(to_start)
        for server in servers.values():
            print(f"{server.name:<{width}} | ready: https://{server.listen}/", flush=True)
        print("Press Ctrl-C to stop.", file=sys.stderr)
        try:
            ended = services.wait_for_an_end()
        except KeyboardInterrupt:
            typer.echo("\nStopping.", err=True)
            return
        raise VerifyError(ended.epitaph())
