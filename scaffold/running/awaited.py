"""A call waits for an `up` that starts, or begins at the same time: the two are typed one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from scaffold.running.ports import why_taken
from scaffold.running.services import READY_WITHIN
from scaffold.running.whereabouts import Up, ups
from scaffold.store.layout import Layout
from scaffold.topology.model import HostPort

FIRST_BEGINS_WITHIN: Final = 15.0
"""Seconds for an `up` to begin where nothing was applied: no call could be made there without one."""

BEGINS_WITHIN: Final = 3.0
"""The same where all is applied and the server listens nowhere."""

STARTS_WITHIN: Final = READY_WITHIN + 60.0
"""Seconds for an `up` to apply, and to start its servers."""

_BETWEEN_LOOKS: Final = 0.1

Say = Callable[[str], None]
"""Called with a sentence on what is waited for."""


def until_begun(layout: Layout, server: HostPort, *, is_applied: bool, say: Say) -> None:
    """Return once an `up` has begun, where `server`, at the address that is dialled, needs one; or once none has.

    None is needed where somebody listens there, or where it is an address of another machine.
    """
    if ups(layout) or (is_applied and why_taken(server) is not None):
        return
    within = BEGINS_WITHIN if is_applied else FIRST_BEGINS_WITHIN
    why = f"Nobody listens on {server}" if is_applied else "Nothing was applied yet"
    say(f"{why}, and no `scaffold up` runs here: waiting {within:g} seconds for one to begin …")
    _wait(lambda: bool(ups(layout)), within)


def until_started(layout: Layout, say: Say) -> None:
    """Return once no `up` is starting any more: its servers are ready, or it has ended."""

    def starting() -> list[Up]:
        return [up for up in ups(layout) if up.servers is None]

    if first := starting():
        say(f"Waiting for `scaffold up` (process {first[0].process}) to start the servers …")
        _wait(lambda: not starting(), STARTS_WITHIN)


def _wait(reached: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not reached() and time.monotonic() < deadline:
        time.sleep(_BETWEEN_LOOKS)
