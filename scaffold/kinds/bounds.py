"""How much time and memory a template from elsewhere may take: it is a program, and may have no end.

A template of a few files takes milliseconds. What is bounded is the processor's time, so that a busy machine counts for
nothing, and the memory that comes on top. Where the system or the thread does not allow that, nothing is bounded.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

SECONDS: Final = 30
MEMORY: Final = 1 << 30


class TakesTooLong(Exception):
    """A template was not rendered in the time that it may take."""


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

    def end(signum: int, frame: FrameType | None) -> None:
        raise TakesTooLong

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


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
