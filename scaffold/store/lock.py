"""One apply at a time: the lock of an output folder, and who holds it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime

import filelock

from scaffold.errors import Locked, StoreError
from scaffold.store import files
from scaffold.store.layout import HOLDER, LOCK, Layout


@contextlib.contextmanager
def hold(
    layout: Layout, now: datetime, *, wait: float = 0, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Holds the lock of the output folder, which is made if need be; reentrant within a thread.

    Waits `wait` seconds at most for another holder, after telling `waiting` who that is. Raises Locked, StoreError.
    """
    files.check_output(layout)
    files.Writer(layout).prepare()
    lock = filelock.FileLock(layout.at(LOCK), mode=files.SECRET_FILE, is_singleton=True)
    _acquire(lock, layout, wait, waiting)
    try:
        if lock.lock_counter == 1:
            _say_who(layout, now)
        yield
    finally:
        if lock.lock_counter == 1:
            with contextlib.suppress(OSError):
                os.unlink(layout.at(HOLDER))  # noqa: PTH108
        lock.release()


def _acquire(lock: filelock.BaseFileLock, layout: Layout, wait: float, waiting: Callable[[str], None] | None) -> None:
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if wait <= 0:
                raise
            if waiting is not None:
                waiting(holder(layout))
            lock.acquire(timeout=wait)
    except filelock.Timeout:
        raise Locked(
            f"another scaffold is working in {layout.out}: {holder(layout)}",
            hint="wait until it is done; a process that died leaves no lock",
        ) from None
    except OSError as error:
        raise files.store_error("lock", layout.at(LOCK), error) from error


def holder(layout: Layout) -> str:
    """Who holds the lock, in words."""
    try:
        found = files.read(layout.at(HOLDER))
        said = json.loads(found.content) if found else {}
        return f"process {said['pid']} on {said['host']}, since {said['since']}"
    except (StoreError, ValueError, KeyError, TypeError):
        return "an unknown process"


def _say_who(layout: Layout, now: datetime) -> None:
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat(timespec="seconds")}
    files.Writer(layout).write(HOLDER, json.dumps(who).encode() + b"\n", mode=files.SECRET_FILE)
