"""`scaffold publish`: serves CRLs, OCSP and CA certificates until it is told to end."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE, File, Out
from scaffold.cli.project import out_folder, read
from scaffold.errors import AddressTaken, PublishError
from scaffold.topology.model import HostPort


def run(
    file: File = DEFAULT_FILE,
    out: Out = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="The address to listen on.  [default: loopback, at the port of `publish`]",
        ),
    ] = None,
) -> None:
    """Serve what apply has made; the log, one JSON object a line, goes to standard error. TERM and Ctrl-C end it."""
    topology = read(file)
    if topology.publish is None:
        raise PublishError(
            f"{file} has no `publish`",
            hint="add `publish: http://127.0.0.1:9080`; new certificates then point there",
        )
    asked = _parsed(listen) if listen is not None else None

    from scaffold.pki.randomness import OPERATING_SYSTEM
    from scaffold.publish.server import address, log_to, serve
    from scaffold.publish.state import State, signing
    from scaffold.running.whereabouts import running
    from scaffold.store.layout import Layout

    log_to(sys.stderr)
    layout = Layout(out_folder(topology, file, out))
    state = State(topology, layout, signing(topology, layout, OPERATING_SYSTEM))
    try:
        serve(state, now, asked or address(topology.publish))
    except AddressTaken as error:
        if not running(layout):
            raise
        hint = (
            "`scaffold up` runs here and publishes already; for a second publisher, give another address with --listen"
        )
        raise AddressTaken(error.message, hint=hint) from error


def _parsed(text: str) -> HostPort:
    from scaffold.topology.messages import Invalid
    from scaffold.topology.names import host_port

    try:
        return host_port(text)
    except Invalid as error:
        raise PublishError(f"--listen: {error}", hint=error.hint) from error
