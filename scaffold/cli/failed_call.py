"""What helps where a call has failed: who answers there, what is wrong with the caller's certificate, where to look."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scaffold.cli.clock import now

if TYPE_CHECKING:
    from scaffold.cli.project import Project
    from scaffold.topology.model import HostPort, Party, Server


def say_why(project: Project, caller: Party, called: Server, at: HostPort) -> None:
    """Write to standard error what is known of a listed call that was refused, or whose server was not believed."""
    from scaffold.view.terminal import columns, fitted, plain, show

    for text in _known(project, caller, called, at):
        show(map(plain, fitted(text, columns(), 0, 40)), sys.stderr)


def _known(project: Project, caller: Party, called: Server, at: HostPort) -> Iterator[str]:
    from scaffold.running.own_certificate import flaw

    if (other := another_program(project, called, at)) is not None:
        yield f"hint: {other}"
        return
    if (found := flaw(project.layout, caller, now())) is not None:
        yield f"hint: {found}"
    yield f"→ scaffold explain {caller.address} {called.address}"


def another_program(project: Project, server: Server, at: HostPort) -> str | None:
    """That what answers in the place of `server` speaks no TLS, and who listens there; None where it may be the server.

    A server whose protocol begins without TLS is not asked.
    """
    from scaffold.running.listeners import who_listens
    from scaffold.running.plaintext import answers_without_tls

    if project.kinds[server.address].conversation is not None or not answers_without_tls(at):
        return None
    listener = who_listens(at)
    who = f" {listener} listens there" if listener is not None else ""
    return f"what answers at {at} speaks no TLS: is it another program than {server.address}?{who}"
