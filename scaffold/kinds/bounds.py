"""How much time and memory a template from elsewhere may take: it is a program, and may have no end.

A template of a few files takes milliseconds. What is bounded is the processor's time, so that a busy machine counts for
nothing, and the memory that comes on top. Where the system or the thread does not allow that, nothing is bounded. Where
the process itself may take less (`ulimit -t`), the bound comes before the system ends it without a word.

The interpreter hears of the time between two of its steps: a single one without end (`range(10**12)|sum`) goes on.
"""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

SECONDS: Final = 30
MEMORY: Final = 1 << 30


_TO_SAY_SO: Final = 1.0
"""Seconds that are left of what the process may take, for an error."""

_LEAST: Final = 0.1


class TakesTooLong(Exception):
    """A template was not rendered in the time that it may take: `seconds` of the processor's."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"more than {seconds:.3g} s")
        self.seconds = seconds


@contextlib.contextmanager
def bounded(seconds: float = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Within, TakesTooLong is raised after so many seconds of the processor's, MemoryError beyond so many octets."""
    with _within_time(seconds), _within_memory(memory):
        yield


@contextlib.contextmanager
def _within_time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    allowed = min(seconds, _left_to_the_process())

    def end(signum: int, frame: FrameType | None) -> None:
        raise TakesTooLong(allowed)

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, allowed)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _left_to_the_process() -> float:
    """How many seconds of the processor's this process may take yet, without those for saying so."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_CPU)
    if soft == resource.RLIM_INFINITY:
        return math.inf
    return max(soft - time.process_time() - _TO_SAY_SO, _LEAST)


@contextlib.contextmanager
def _within_memory(octets: int) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + octets
    bounds = [bound for bound in (wanted, before, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, hard))
