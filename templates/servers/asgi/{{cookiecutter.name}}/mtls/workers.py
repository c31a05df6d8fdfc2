"""Several processes that accept from the same sockets. Each has its own connections, tls/ and lifespan of the app."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

log = logging.getLogger("workers")

AGAIN_SECONDS = 1
"""How long a process has lived, at least, when the one that replaces it starts."""

MOST = 64
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Serve = Callable[[Callable[[], None]], int]
"""Serves in this process, calls its argument once it does, and returns the exit code."""


def how_many(file: Path) -> int:
    """What settings.json says. Raises OSError and ValueError."""
    count = json.loads(file.read_text(encoding="utf-8")).get("workers", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise ValueError(f"{file.name}: workers must be a whole number from 1 to {MOST}, not {count!r}")
    return count


def run(count: int, serve: Serve, ready: Callable[[], None]) -> int:
    """Runs `serve` in so many processes until TERM or INT, and passes HUP on to all of them.

    `ready` is called once all of them serve. One that ends later is replaced. Exits 1 where one cannot start.
    """
    return _Workers(serve).run(count, ready)


class _Workers:
    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._started: dict[int, float] = {}
        self._is_ending = False
        # Its end tells the processes that this one is gone, however it ended.
        self._alive = os.pipe()

    def run(self, count: int, ready: Callable[[], None]) -> int:
        for number in SIGNALS:
            signal.signal(number, self._pass_on)
        serving = [os.read(pipe, 1) for pipe in [self._start() for _ in range(count)]]
        if all(serving):
            ready()
            self._replace_until_the_end()
            return 0
        was_asked_to = self._is_ending
        self._pass_on(signal.SIGTERM)
        self._replace_until_the_end()
        return 0 if was_asked_to else 1

    def _replace_until_the_end(self) -> None:
        while self._started:
            pid, status = os.wait()
            started = self._started.pop(pid, time.monotonic())
            if self._is_ending:
                continue
            log.warning("process %d ended (%d) and is replaced", pid, os.waitstatus_to_exitcode(status))
            while not self._is_ending and (left := started + AGAIN_SECONDS - time.monotonic()) > 0:
                time.sleep(min(left, 0.1))
            if not self._is_ending:
                os.close(self._start())

    def _pass_on(self, number: int, _frame: FrameType | None = None) -> None:
        self._is_ending |= number != signal.SIGHUP
        for pid in self._started:
            os.kill(pid, number)

    def _start(self) -> int:
        """One more process; what its pipe gives when it serves, nothing where it cannot."""
        reading, writing = os.pipe()
        # No signal comes between the fork and the note of it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._be_worker(writing)
        self._started[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(writing)
        return reading

    def _be_worker(self, writing: int) -> NoReturn:
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it serves: what it loads is new
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            threading.Thread(target=self._end_with_parent, daemon=True).start()
            code = self._serve(lambda: _tell(writing))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _end_with_parent(self) -> None:
        os.close(self._alive[1])
        os.read(self._alive[0], 1)
        os.kill(os.getpid(), signal.SIGTERM)


def _tell(writing: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # a process that replaces another: nobody waits
        os.write(writing, b".")
    os.close(writing)
