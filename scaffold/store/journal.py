"""An append-only file of one JSON object per line, which a kill at any instant leaves readable.

A line counts once its line break is there: what follows the last one was being written when the power went, and the
next append cuts it off. A broken line anywhere else is no accident of ours, and an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from scaffold.errors import StoreError
from scaffold.store import files

Event = Mapping[str, Any]


def load(path: str) -> list[dict[str, Any]]:
    """The events in `path`, oldest first; none where it is not there. Raises StoreError."""
    found = files.read(path)
    if found is None:
        return []
    lines = found.content[: found.content.rfind(b"\n") + 1].splitlines()
    return _all_at_once(lines) or [_event(path, number, line) for number, line in enumerate(lines, start=1)]


def _all_at_once(lines: list[bytes]) -> list[dict[str, Any]] | None:
    """The events of thousands of lines in a third of the time, or None where a line is not what it should be."""
    try:
        events = json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        return None
    sound = len(events) == len(lines) and all(isinstance(event, dict) for event in events)
    return events if sound else None


def _event(path: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise StoreError(
            f"{path}, line {number}, is not what scaffold wrote",
            hint="put back the file from a backup; nothing was changed",
        )
    return event


def append(path: str, events: Iterable[Event], *, durable: bool) -> None:
    """Adds all events at once, after cutting off a torn last line. `durable`: on the disk itself before this returns.

    Only the holder of the lock appends. Raises StoreError.
    """
    lines = "".join(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n" for event in events)
    if not lines:
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, files.SECRET_FILE)
        try:
            end = _end_of_last_line(descriptor)
            os.ftruncate(descriptor, end)
            os.lseek(descriptor, end, os.SEEK_SET)
            _write_or_take_back(descriptor, lines.encode(), end)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if durable and end == 0:
            files.sync_folder(os.path.dirname(path))  # noqa: PTH120
    except OSError as error:
        raise files.store_error("write", path, error) from error


def _write_or_take_back(descriptor: int, content: bytes, end: int) -> None:
    try:
        files.write_all(descriptor, content)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _end_of_last_line(descriptor: int) -> int:
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        start = max(0, end - 4096)
        os.lseek(descriptor, start, os.SEEK_SET)
        if (found := os.read(descriptor, end - start).rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0
