"""What was seen of files and folders, so that it can be looked at again before anything is written over it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from scaffold.errors import StoreError
from scaffold.store import files
from scaffold.store.layout import LEDGER, PROJECTS, Layout

NO_FILE: Final = "not a regular file"
"""In the place of a digest."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as it was: SHA-256 of its text, None where it was not there."""

    path: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class SeenFolder:
    """The names in a folder as they were, sorted; `apart` is one that does not matter."""

    path: str
    names: tuple[str, ...]
    apart: str | None = None


Seen = SeenFile | SeenFolder


def names(path: str) -> frozenset[str]:
    """The names in the folder at `path`; none where it is not there. Raises StoreError."""
    return frozenset(entries(path))


def entries(path: str) -> Mapping[str, os.DirEntry[str]]:
    """What is in the folder at `path`, by name; nothing where it is not there. Raises StoreError."""
    try:
        with os.scandir(path) as found:
            return {entry.name: entry for entry in found}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise files.store_error("read", path, error) from error


def sha256_of(path: str) -> str | None:
    """SHA-256 of the file at `path`: None where nothing is, and no digest for what is no regular file.

    Raises StoreError.
    """
    found = read(path)
    return hashlib.sha256(found.content).hexdigest() if isinstance(found, files.Found) else found


def read(path: str) -> files.Found | str | None:
    """The file at `path`: None where nothing is, and NO_FILE for what is no regular file. Raises StoreError."""
    try:
        return files.read(path)
    except StoreError:
        if (mode := _mode(path)) is None:
            return None
        if not stat.S_ISREG(mode):
            return NO_FILE
        raise


def _mode(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise files.store_error("read", path, error) from error


def first_change(layout: Layout, seen: Iterable[Seen]) -> str | None:
    """The first path that is not as it was. Raises StoreError."""
    look = _Look(layout)
    return next((one.path for one in seen if not look.is_as_it_was(one)), None)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look: the names in a folder answer for all files in it that were not there."""

    layout: Layout
    _names: dict[str, frozenset[str]] = field(default_factory=dict)

    def is_as_it_was(self, seen: Seen) -> bool:
        match seen:
            case SeenFile(path, None):
                folder, _, name = path.rpartition("/")
                return name not in self._in(folder)
            case SeenFile(path, sha256):
                return sha256_of(self.layout.at(path)) == sha256
            case SeenFolder(path, there, apart):
                return tuple(sorted(self._in(path) - {apart})) == there

    def _in(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            self._names[folder] = names(self.layout.at(folder))
        return self._names[folder]


def state_serial(layout: Layout) -> str:
    """Names the state of an output folder's records: every apply that does something changes it. Raises StoreError."""
    serial = hashlib.sha256()
    for path in (LEDGER, PROJECTS):
        found = files.read(layout.at(path))
        serial.update(hashlib.sha256(found.content if found is not None else b"").digest())
    return serial.hexdigest()
