"""Writes an edited topology: whole or not at all, and only over the text that was edited."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from scaffold.errors import StoreError
from scaffold.store.files import sync_folder, write_all
from scaffold.topology.document import MOST_BYTES
from scaffold.topology.inputs import read_at_most


def replace(path: Path, before: bytes, after: bytes) -> None:
    """Put `after` in place of `before`; mode and owner of the file stay, and a link goes on leading to it.

    Raises StoreError where the file holds something else than `before`, or cannot be written.
    """
    with _told(path):
        real = _unchanged(path, before)
        _replace(real, after)


def check(path: Path, before: bytes) -> None:
    """Raises StoreError where the file holds something else than `before`, or is not to be written."""
    with _told(path):
        _check_writable(_unchanged(path, before))


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "nothing was written; make the file and its folder writable for this user"
        raise StoreError(f"{path} cannot be written: {error.strerror}", hint=hint) from error


def _unchanged(path: Path, before: bytes) -> Path:
    real = Path(os.path.realpath(path))
    if read_at_most(real, MOST_BYTES + 1) != before:
        hint = "nothing was written; check the file, and run this again"
        raise StoreError(f"{path} has changed meanwhile", hint=hint)
    return real


def _check_writable(real: Path) -> None:
    with real.open("r+b"):  # a file that is read-only is meant to be so, though a rename would not care
        pass


def _replace(real: Path, content: bytes) -> None:
    found = real.stat()
    _check_writable(real)
    beside = real.with_name(f".{real.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            if (found.st_uid, found.st_gid) != (os.geteuid(), os.fstat(descriptor).st_gid):
                os.fchown(descriptor, found.st_uid, found.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(real)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_folder(str(real.parent))
