"""The texts that merged files were last rendered from, each kept by the hash of its content: the bases of merges.

They are plain text in `.scaffold/bases/`, hold no secret, and are committed like the records: whoever takes over the
folder can go on merging. A text that does not have the hash that is its name is none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from scaffold.errors import StoreError
from scaffold.store import files
from scaffold.store.files import Writer
from scaffold.store.layout import BASES, Layout
from scaffold.store.projects import digest
from scaffold.store.seen import names

_AROUND: Final = {
    ".gitignore": b"# Written by scaffold: these texts are needed to merge, and hold no secret.\n!*\n",
    ".gitattributes": b"# The name of a file is the hash of its bytes.\n* -text\n",
}


def load(layout: Layout, sha256: str) -> bytes | None:
    """The text with that hash, or None where it is not kept, or is another by now."""
    try:
        found = files.read(layout.at(_path(sha256)))
    except StoreError:
        return None
    return found.content if found is not None and digest(found.content) == sha256 else None


def keep(layout: Layout, writer: Writer, texts: Iterable[bytes]) -> None:
    """Writes those that are not kept yet. Raises StoreError."""
    wanted = {digest(text): text for text in dict.fromkeys(texts)}
    there = names(layout.at(BASES)) if wanted else frozenset()
    for name, text in _AROUND.items():
        if wanted and name not in there:
            writer.write(f"{BASES}/{name}", text)
    for sha256, text in wanted.items():
        if sha256 not in there or load(layout, sha256) is None:
            writer.write(_path(sha256), text)


def collect(layout: Layout, writer: Writer, alive: Collection[str]) -> None:
    """Removes the texts whose hash is not among `alive`. Raises StoreError."""
    for name in sorted(names(layout.at(BASES)) - _AROUND.keys()):
        if name not in alive:
            writer.remove(f"{BASES}/{name}")


def _path(sha256: str) -> str:
    return f"{BASES}/{sha256}"
