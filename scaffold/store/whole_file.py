"""Writes a file outside the projects whole or not at all: beside its place first, for this user alone, then renamed."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

OWN: Final = stat.S_IRUSR | stat.S_IWUSR


def write(path: Path, content: bytes, mode: int = OWN, *, suffix: str = "") -> None:
    """Put `content` in the place of `path`, or of nothing; a link there is replaced. Raises OSError.

    `suffix` is how the name ends that it has until then, which only a kill leaves behind.
    """
    descriptor, temporary = tempfile.mkstemp(suffix, f".{path.name[:100]}.", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if mode != OWN:
                os.fchmod(file.fileno(), mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
