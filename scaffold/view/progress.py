"""What is being done and how much is left, on a terminal, on standard error; nothing at all elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from scaffold.view.terminal import is_terminal, one_line

if TYPE_CHECKING:
    from rich.progress import Progress

WIDEST = 40
"""Of what is said to be done; the bar, the count and the time that is left are beside it in 80 columns."""


class Steps(Protocol):
    """Told by whoever does something, step by step."""

    def doing(self, what: str, total: int | None = None) -> None:
        """Something new begins, which takes `total` steps; None: nobody can say."""

    def done(self, what: str | None = None, total: int | None = None) -> None:
        """One step is done: of `what`, in all of them `total`, where that is known by now."""


class _Silent:
    """Where nobody looks."""

    def doing(self, what: str, total: int | None = None) -> None:
        pass

    def done(self, what: str | None = None, total: int | None = None) -> None:
        pass


class _Bar:
    """One bar at a time."""

    def __init__(self, bar: Progress, what: str, total: int | None) -> None:
        self._bar = bar
        self._begin(what, total)

    def _begin(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._task = self._bar.add_task(_fitted(what), total=total, count=self._count())

    def _count(self) -> str:
        return "" if self._total is None else f"{self._done:,} of {self._total:,}"

    def doing(self, what: str, total: int | None = None) -> None:
        self._bar.remove_task(self._task)
        self._begin(what, total)

    def done(self, what: str | None = None, total: int | None = None) -> None:
        self._done += 1
        self._total = total if total is not None else self._total
        said = self._what if what is None else f"{self._what}: {what}"
        self._bar.update(
            self._task, completed=self._done, total=self._total, description=_fitted(said), count=self._count()
        )


def say(what: str) -> None:
    """A line that stays, of what others show the progress of. Nothing elsewhere either."""
    if is_terminal(sys.stderr):
        print(what, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Steps]:
    """Show `what` is being done and how far it is while the block runs; the bar is gone afterwards."""
    if not is_terminal(sys.stderr):
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=14),
        TextColumn("{task.fields[count]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, what, total)


def _fitted(said: str) -> str:
    text = one_line(said)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
