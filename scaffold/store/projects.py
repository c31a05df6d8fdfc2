"""The record of what was rendered: which texts are scaffold's own, so that a person's edit is known as one.

`.scaffold/projects.jsonl` has one event per line. The hashes of texts are recorded **before** they are written:
whatever a kill leaves behind is known as ours. That a project is as its inputs ask is recorded **after**.

    {"address", "hashes": {path: sha256}}                        these texts may be found there
    {"address", "inputs": digest, "files": {path: sha256}}       this is what stands there, rendered from these inputs
    {"address", "offered": {path: sha256}}                       laid beside a person's edit, for them to merge
    {"address", "gone": true}                                    nothing of it is left
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scaffold.errors import AddressError, StoreError
from scaffold.store import journal
from scaffold.store.layout import PROJECTS, Layout
from scaffold.topology.address import Address


def digest(content: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


@dataclass(slots=True)
class Record:
    """What is known of one project (or bundle). Paths are relative to the output folder."""

    inputs: str | None = None
    """Of what stands there, or None where something was left undone."""
    files: dict[str, str] = field(default_factory=dict)
    """The text that was last rendered for each path."""
    ours: dict[str, set[str]] = field(default_factory=dict)
    """Every text that was ever rendered for each path."""
    offered: dict[str, str] = field(default_factory=dict)

    def is_ours(self, path: str, sha256: str) -> bool:
        """Whether a text at `path` is one that scaffold wrote."""
        return sha256 in self.ours.get(path, ())


@dataclass(frozen=True, slots=True)
class Records:
    """All records by address; `length` grows with everything that is written."""

    by_address: Mapping[Address, Record]
    length: int = 0


def load(layout: Layout) -> Records:
    """Reads the record; an empty one where there is none. Raises StoreError."""
    records: dict[Address, Record] = {}
    events = journal.load(layout.at(PROJECTS))
    try:
        for event in events:
            _take(records, event)
    except (KeyError, TypeError, AttributeError, AddressError) as error:
        raise StoreError(
            f"{layout.at(PROJECTS)} is not what scaffold wrote: {error!r}",
            hint="put back the file from a backup; nothing was changed",
        ) from error
    return Records(records, len(events))


def _take(records: dict[Address, Record], event: Mapping[str, Any]) -> None:
    address = Address.parse(event["address"])
    if event.get("gone"):
        records.pop(address, None)
        return
    record = records.setdefault(address, Record())
    for path, sha256 in event.get("hashes", {}).items():
        record.ours.setdefault(path, set()).add(sha256)
        record.inputs = None
    record.offered.update(event.get("offered", {}))
    if "files" in event:
        record.inputs = event["inputs"]
        record.files = dict(event["files"])
        record.offered = {path: sha256 for path, sha256 in record.offered.items() if record.files.get(path) != sha256}


class Recorder:
    """Collects events and appends them in one go. Only the holder of the lock has one."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.at(PROJECTS)
        self._events: list[journal.Event] = []

    def writing(self, address: Address, hashes: Mapping[str, str]) -> None:
        """These texts are about to be written."""
        self._events.append({"address": str(address), "hashes": dict(hashes)})

    def settled(self, address: Address, inputs: str | None, files: Mapping[str, str]) -> None:
        """These texts stand there now; `inputs` is None where something was left undone."""
        self._events.append({"address": str(address), "inputs": inputs, "files": dict(files)})

    def offered(self, address: Address, hashes: Mapping[str, str]) -> None:
        """These texts were laid beside a person's edits."""
        self._events.append({"address": str(address), "offered": dict(hashes)})

    def gone(self, address: Address) -> None:
        """Nothing is left of it."""
        self._events.append({"address": str(address), "gone": True})

    def flush(self) -> None:
        """Puts what was collected on the disk. Raises StoreError."""
        events, self._events = self._events, []
        journal.append(self._path, events, durable=True)
