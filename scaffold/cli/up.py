"""`scaffold up`: every server of the topology side by side, and its publisher, until interrupted."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import typer

from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Out
from scaffold.cli.project import Project
from scaffold.errors import VerifyError

PUBLISHER = "(publisher)"
"""Stands before the publisher's lines; no server can have that name."""


def run(file: File = DEFAULT_FILE, out: Out = None) -> None:
    """Start each rendered server by its own run.sh, show what they print, and stop all when one ends or on Ctrl-C.

    They take new certificates as they are renewed: `scaffold renew --watch` beside it keeps all of them fresh.
    """
    from scaffold.cli.project import open_project
    from scaffold.cli.running import launches
    from scaffold.running.services import Services, check_free, termination_as_exception

    project = open_project(file, out)
    servers = project.topology.servers
    to_start = launches(project, servers.values())
    check_free({str(server.address): server.listen for server in servers.values()})
    check_free({f"{server.address}'s health": server.health for server in servers.values() if server.health})
    names = [*servers, *([PUBLISHER] if project.topology.publish is not None else [])]
    width = max(map(len, names), default=0)

    def on_line(name: str, line: str) -> None:
        from scaffold.view.terminal import one_line

        print(f"{name:<{width}} | {one_line(line)}", flush=True)

    with termination_as_exception(), _publisher(project, on_line), Services(on_line) as services:
        try:
            services.start(to_start)
            services.reload_on_change({one.name: one.folder / "tls" for one in to_start if _reloads(project, one.name)})
            for server in servers.values():
                print(f"{server.name:<{width}} | ready: https://{server.listen}/", flush=True)
            print("Press Ctrl-C to stop.", file=sys.stderr)
            ended = services.wait_for_an_end()
        except KeyboardInterrupt:
            typer.echo("\nStopping.", err=True)
            return
        raise VerifyError(ended.epitaph())


def _reloads(project: Project, name: str) -> bool:
    return "reload" in project.kinds[project.topology.servers[name].address].capabilities.supports


@contextlib.contextmanager
def _publisher(project: Project, on_line: Callable[[str, str], None]) -> Iterator[None]:
    """CRLs, OCSP and CA certificates where the topology says; servers may ask for them as soon as they start."""
    topology = project.topology
    if topology.publish is None:
        yield
        return
    import logging

    from scaffold.pki.randomness import OPERATING_SYSTEM
    from scaffold.publish.server import address, log_to, running
    from scaffold.publish.state import SignAsApply, State

    log_to(sys.stderr, logging.WARNING)
    state = State(topology, project.layout, SignAsApply(topology, project.layout, OPERATING_SYSTEM))
    state.open(now())
    with running(state, now, address(topology.publish)):
        on_line(PUBLISHER, f"ready: {topology.publish}/")
        yield
