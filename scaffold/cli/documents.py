"""Writes a document where a person asked for it: as a new file, or over one that the same verb wrote before."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from scaffold.errors import StoreError
from scaffold.store import whole_file

_LOOKED_AT: Final = 1024
"""Octets at the beginning of a file, in which a document of ours is known by its mark."""


def check_replaceable(path: Path, mark: bytes, option: str) -> None:
    """Raise StoreError where the file at `path` would be lost: it is not empty, and its beginning does not hold `mark`.

    What is no regular file, such as /dev/stdout, keeps nothing that could be lost.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return
        with path.open("rb") as file:
            beginning = file.read(_LOOKED_AT)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_write(path, option, error) from error
    if beginning and mark not in beginning:
        hint = f"give {option} the name of a new file, or delete this one"
        raise StoreError(f"{path} exists, and scaffold did not write it", hint=hint)


def write_document(path: Path, content: bytes, mark: bytes, option: str) -> None:
    """Write `content`, which holds `mark` near its beginning, to the file that `option` named. Raises StoreError.

    A reader sees the former document or the new one, and never a half.
    """
    check_replaceable(path, mark, option)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            whole_file.write(Path(os.path.realpath(path)), content, _mode_of(path))
    except OSError as error:
        raise _cannot_write(path, option, error) from error


def _mode_of(path: Path) -> int:
    """The rights of the file that is there, or those that the user's umask gives to a new one."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _cannot_write(path: Path, option: str, error: OSError) -> StoreError:
    hint = f"name a file with {option} that this user may write"
    return StoreError(f"{path} cannot be written: {error.strerror}", hint=hint)
