"""A progress bar on a terminal, on standard error; nothing at all elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scaffold.view.terminal import is_terminal

Advance = Callable[[int], None]
"""Called after each step with how many steps there are in all."""


@contextmanager
def progress(doing: str, total: int | None = None) -> Iterator[Advance]:
    """Show `doing` and how far it is while the block runs; the bar is gone afterwards."""
    if not is_terminal(sys.stderr):
        yield lambda total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda total: bar.update(task, advance=1, total=total)
