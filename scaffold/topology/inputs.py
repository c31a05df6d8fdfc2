"""Reads a file that a person names: never without end, and never waiting for somebody who writes into a pipe."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

_OPEN_ALREADY = ("/dev/fd/", "/dev/std", "/proc/")
"""Pipes of this process, such as a shell's `<(…)`: who writes into them is there."""


def read_at_most(path: Path, most: int) -> bytes:
    """The content, cut after `most` bytes.

    Raises OSError, for a named pipe too: opening one waits until somebody opens its other end.
    """
    if stat.S_ISFIFO(path.stat().st_mode) and not str(path).startswith(_OPEN_ALREADY):
        raise OSError(errno.EINVAL, "it is a named pipe: write its content to a file", str(path))
    with path.open("rb") as file:
        return file.read(most)
