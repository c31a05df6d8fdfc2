"""Merges a person's edit with a template's change, three ways, line by line.

The base is the text that was last rendered. A person's text whose line ends are all CRLF, or all LF, keeps them,
whatever the template has. What is no UTF-8 text is not merged.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scaffold.plan.three_way import Conflict, Lines, Region, Settled, regions
from scaffold.store.projects import Record, digest

MERGE: Final = ".merge"
"""How the name of the file ends in which a person resolves a conflict."""

_YOURS, _BASE, _MIDDLE, _TEMPLATE = b"<<<<<<< yours", b"||||||| base", b"=======", b">>>>>>> template"
_MARKERS: Final = frozenset((_YOURS, _BASE, _MIDDLE, _TEMPLATE))


@dataclass(frozen=True, slots=True)
class Merged:
    """Both changes fit."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Conflicting:
    """They do not: `text` has markers around both, as git writes them."""

    text: bytes


@dataclass(frozen=True, slots=True)
class NotText:
    """One of the texts is no UTF-8 text."""


Outcome = Merged | Conflicting | NotText


def merge(base: bytes | None, yours: bytes, template: bytes) -> Outcome:
    """What becomes of `yours` when what is rendered changes from `base` to `template`.

    Where there is no base, whatever differs is a conflict, and the markers hold two texts.
    """
    if not all(map(_is_text, (base or b"", yours, template))):
        return NotText()
    if yours == template:
        return Merged(yours)
    crlf, lf = yours.count(b"\r\n"), yours.count(b"\n")
    if crlf not in (0, lf):  # the line ends differ among themselves, and stay as they are
        return _merge(base, yours, template)
    found = _merge(None if base is None else _with_lf(base), _with_lf(yours), _with_lf(template))
    return type(found)(found.text.replace(b"\n", b"\r\n")) if crlf else found


def markers_left(merged: bytes, *sources: bytes) -> bool:
    """Whether a conflict is still marked in `merged`. A line that stands in `sources` too is no marker."""
    there, before = _markers(merged), Counter[bytes]()
    for source in sources:
        before.update(_markers(source))
    return any(count > before[marker] for marker, count in there.items())


def _markers(text: bytes) -> Counter[bytes]:
    lines = (line.rstrip(b"\r") for line in text.split(b"\n"))
    return Counter(line for line in lines if line in _MARKERS)


def _is_text(content: bytes) -> bool:
    if b"\0" in content:
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _with_lf(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n")


def _lines(text: bytes) -> list[bytes]:
    """The lines, each with its line feed, the last one too."""
    whole = text + b"\n" if text and not text.endswith(b"\n") else text
    return io.BytesIO(whole).readlines()  # splitlines would take a lone CR for a line end


def _merge(base: bytes | None, yours: bytes, template: bytes) -> Merged | Conflicting:
    found = tuple(regions(None if base is None else _lines(base), _lines(yours), _lines(template)))
    text = b"".join(line for region in found for line in _written(region))
    if any(isinstance(region, Conflict) for region in found):
        return Conflicting(text)
    is_open = yours and not yours.endswith(b"\n")
    return Merged(text.removesuffix(b"\n") if is_open else text)


def _written(region: Region) -> Lines:
    """The lines of a region; those of a conflict between the markers that git writes."""
    if isinstance(region, Settled):
        return region.lines
    before = () if region.base is None else (_BASE + b"\n", *region.base)
    return (_YOURS + b"\n", *region.yours, *before, _MIDDLE + b"\n", *region.template, _TEMPLATE + b"\n")


# --- What becomes of a file ------------------------------------------------------------------------------------------

Read = Callable[[str], bytes | None]
"""A file by its path, None where it is not there."""
Base = Callable[[str | None], bytes | None]
"""A base by its hash, None where it is not kept."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Where the texts of a project's files are had from: the folder as it is, the bases, and what is known of both."""

    record: Record
    read: Read
    base: Base

    def last_rendered(self, path: str, template: bytes | None) -> bytes | None:
        """What was rendered for `path` before, which may be the `template` of today; None where that is not kept."""
        last = self.record.files.get(path)
        return template if template is not None and digest(template) == last else self.base(last)

    def merged(self, path: str, template: bytes) -> Outcome:
        """A person's edit of `path` and what is rendered today."""
        return merge(self.base(self.record.files.get(path)), self.read(path) or b"", template)

    def resolved(self, path: str, template: bytes) -> Outcome:
        """What a person has made of FILE.merge, and what has changed in the template since it was laid there."""
        offer, made = self.record.merging[path], self.read(path + MERGE) or b""
        if offer.template == digest(template):
            return Merged(made)
        return merge(self.base(offer.template), made, template)
