"""An append-only file of one JSON object per line, which a kill at any instant leaves readable.

A line counts once its line break is there: what follows the last one was being written when the power went, and the
next append cuts it off. A broken line anywhere else is no accident of ours, and an error.

What a file says does not depend on the order of its lines, nor on how often one is there: two people's files are
merged by keeping the lines of both. Each event has its time, `at`; those of one moment are told apart by `n`, which
counts what was appended in it, and then by what they say. A clock may have been ahead, or be put back: what is appended
follows everything that is there, so an event that would come before something has that moment as its `after`. Events
without a time are older than that, and are first.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from scaffold.errors import StoreError
from scaffold.store import files

Event = Mapping[str, Any]

_MOMENTS: Final = re.compile(rb'"(?:at|after)"\s*:\s*"([^"\\]*)"')
_NUMBER: Final = re.compile(rb'"n"\s*:\s*(\d+)')

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
"""Made once: `json.dumps` makes one for every event."""

RESTORE: Final = "restore the file from a backup; nothing was changed"
"""What helps where a file is damaged."""


def load(path: str) -> list[dict[str, Any]]:
    """The events in `path` by their time, each of them once; none where it is not there. Raises StoreError."""
    return in_order(_parsed(path))


def lines(path: str) -> list[bytes]:
    """The whole lines of `path` as they are there; none where it is not there. Raises StoreError."""
    return _whole_lines(path).splitlines()


def _whole_lines(path: str) -> bytes:
    found = files.read(path)
    return b"" if found is None else found.content[: found.content.rfind(b"\n") + 1]


def _parsed(path: str) -> list[dict[str, Any]]:
    """The event of each of the lines in `path`. Raises StoreError."""
    content = _whole_lines(path)
    events = _all_at_once(content)
    if events is None:
        events = [event_of(path, number, line) for number, line in enumerate(content.splitlines(), start=1)]
    return events


def scan(path: str, wanted: Callable[[bytes], bool]) -> Iterator[dict[str, Any]]:
    """The events of the lines in `path` that are wanted: the others are not even taken apart. Raises StoreError."""
    descriptor = files.opened(path)
    if descriptor is None:
        return
    try:
        with os.fdopen(descriptor, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n") and wanted(line):
                    yield event_of(path, number, line)
    except OSError as error:
        raise files.store_error("read", path, error) from error


def in_order(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events by their time, each of them once."""
    moments = list(map(_moment, events))
    if all(before < after for before, after in itertools.pairwise(moments)):
        return events
    ordered: list[dict[str, Any]] = []
    for (at, _), together in itertools.groupby(sorted(events, key=_moment), key=_moment):
        group = list(together)
        if at and len(group) > 1:
            by_content = {json.dumps(event, sort_keys=True): event for event in group}
            group = [by_content[content] for content in sorted(by_content)]
        ordered += group
    return ordered


def _moment(event: Event) -> tuple[str, int]:
    at, after, n = event.get("at"), event.get("after", ""), event.get("n", 0)
    if not isinstance(at, str):
        return "", 0
    return max(at, after) if isinstance(after, str) else at, n if isinstance(n, int) else 0


def _all_at_once(content: bytes) -> list[dict[str, Any]] | None:
    """The events of thousands of lines in a third of the time, or None where a line is not what it should be."""
    try:
        events = json.loads(b"[" + content[:-1].replace(b"\n", b",") + b"]")
    except (ValueError, RecursionError):
        return None
    sound = len(events) == content.count(b"\n") and all(isinstance(event, dict) for event in events)
    return events if sound else None


def event_of(path: str, number: int, line: bytes) -> dict[str, Any]:
    """The event of a line, which is the one of that number in `path`. Raises StoreError."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise damaged(path, number)
    return event


def damaged(path: str, number: int, why: object = None) -> StoreError:
    """The error for a line that cannot be what was written there."""
    return StoreError(
        f"{path}, line {number}, cannot be read" + (f": {why}" if why is not None else ""),
        hint=RESTORE,
    )


def damaged_event(path: str, event: Event, why: object) -> StoreError:
    """The same for an event, by the first line that holds it."""
    number = next((n for n, one in enumerate(_parsed(path), start=1) if one == event), 0)
    return damaged(path, number, why)


def append(path: str, events: Iterable[Event], *, durable: bool) -> None:
    """Adds all events at once, after cutting off a torn last line. `durable`: on the disk itself before this returns.

    Only the holder of the lock appends. Raises StoreError.
    """
    append_lines(path, map(line_of, events), durable=durable)


def line_of(event: Event) -> bytes:
    """An event as in the file, without its line break."""
    return _ENCODER.encode(event).encode()


def append_lines(path: str, added: Iterable[bytes], *, durable: bool) -> None:
    """Adds lines as they are. Otherwise as `append`."""
    content = b"".join(line + b"\n" for line in added)
    if not content:
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, files.SECRET_FILE)
        try:
            end = _end_of_last_line(descriptor, os.fstat(descriptor).st_size)
            os.ftruncate(descriptor, end)
            os.lseek(descriptor, end, os.SEEK_SET)
            _write_or_take_back(descriptor, content, end)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if durable and end == 0:
            files.sync_folder(os.path.dirname(path))  # noqa: PTH120
    except OSError as error:
        raise files.store_error("write", path, error) from error


class Appender:
    """Appends events to one file, each of which follows all that are there. Only the holder of the lock has one.

    So what is there is read once: nobody else adds to it meanwhile.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._latest: tuple[str, int] | None = None

    def append(self, events: Iterable[Event]) -> None:
        """Adds them all at once; they are on the disk before this returns. Raises StoreError."""
        append(self._path, self._numbered(events), durable=True)

    def _numbered(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events with what makes each follow the one before it, and the first follow all that is there."""
        moment, n = _latest(self._path) if self._latest is None else self._latest
        for event in events:
            at = event["at"]
            if at > moment:
                moment, n = at, 0
                yield event
            elif at == moment:
                n += 1
                yield {**event, "n": n}
            else:
                n += 1
                yield {**event, "after": moment, "n": n}
        self._latest = moment, n


def _latest(path: str) -> tuple[str, int]:
    """The last moment that a file names, and the last number in it. A text within an event has its quotes escaped."""
    try:
        found = lines(path)
    except StoreError:
        return "", -1
    latest = (b"", -1)
    for line in found:
        if named := _MOMENTS.findall(line):
            number = _NUMBER.search(line)
            latest = max(latest, (max(named), int(number[1]) if number else 0))
    return latest[0].decode(), latest[1]


def _write_or_take_back(descriptor: int, content: bytes, end: int) -> None:
    try:
        files.write_all(descriptor, content)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _end_of_last_line(descriptor: int, end: int) -> int:
    """Where the last line that ends before `end` does."""
    while end > 0:
        start = max(0, end - 4096)
        if (found := os.pread(descriptor, end - start, start).rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0
