"""What decides: the text of scaffold's own modules, and the versions of what they are built on."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cryptography
import yaml

import scaffold


@functools.cache
def digest() -> bytes:
    """SHA-256 of all that is the same in two runs only if both decide alike. Of a zip archive the version counts."""
    return of_folder(Path(scaffold.__file__).parent)


def of_folder(folder: Path) -> bytes:
    """The same with the modules below `folder`: each counts, with its name."""
    versions = f"{scaffold.__version__} {cryptography.__version__} {yaml.__version__} {sys.version}"
    said = hashlib.sha256(versions.encode())
    for path in _modules(str(folder)):
        with open(path, "rb") as file:  # noqa: PTH123 (a Path would be made for each file)
            text = file.read()
        said.update(f"\0{path[len(str(folder)) :]}\0{len(text)}\0".encode())
        said.update(text)
    return said.digest()


def _modules(top: str) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        folders.sort()
        yield from (f"{folder}/{name}" for name in sorted(names) if name.endswith(".py"))
