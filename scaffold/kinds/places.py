"""Temporary folders of scaffold's own, for what comes from elsewhere: none is left, whatever ends the process.

Each is locked while its process lives. What a killed one has left is nobody's, and the next that makes a folder
removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import stat
import weakref
from pathlib import Path
from typing import Final

_PREFIX: Final = "scaffold-templates-"


class Place:
    """An empty folder at `path`, readable for this user alone.

    It goes with the block that it is made for, with this object, or with the process.
    """

    def __init__(self) -> None:
        import tempfile

        _remove_what_is_left(Path(tempfile.gettempdir()))
        self.path, descriptor = _locked()
        self._end = weakref.finalize(self, _end, self.path, descriptor)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self._end()


def _locked() -> tuple[Path, int]:
    import tempfile

    while True:
        path = tempfile.mkdtemp(prefix=_PREFIX)
        with contextlib.suppress(FileNotFoundError):  # another process took it for one that was left
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if _is_ours(descriptor) and os.path.lexists(path):
                return Path(path), descriptor
            os.close(descriptor)


def _is_ours(descriptor: int) -> bool:
    """Locks it; where the file system knows no locks, nobody takes a folder from anybody."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _end(path: Path, descriptor: int) -> None:
    remove_tree(path)
    os.close(descriptor)


@functools.cache
def _remove_what_is_left(temporary: Path) -> None:
    """Once is enough for a process."""
    for path in temporary.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(descriptor).st_uid == os.getuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_tree(path)
            finally:
                os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Removes a folder, also where something in it is closed to its owner. What cannot be removed stays."""
    for above, folders, _ in os.walk(path):
        for folder in (above, *(os.path.join(above, name) for name in folders)):  # noqa: PTH118
            with contextlib.suppress(OSError):
                if stat.S_ISDIR(os.lstat(folder).st_mode):
                    os.chmod(folder, stat.S_IRWXU)  # noqa: PTH101
    shutil.rmtree(path, ignore_errors=True)
