"""Merges a person's edit with a template's change, three ways, line by line.

The base is the text that was last rendered. A person's text whose line ends are all CRLF, or all LF, keeps them,
whatever the template has. What is no UTF-8 text, or too large, is not merged.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from scaffold.plan.three_way import Conflict, Lines, Region, Settled, regions
from scaffold.store.projects import Record, digest

MERGE: Final = ".merge"
"""How the name of the file ends in which a person resolves a conflict."""

_YOURS, _BASE, _MIDDLE, _TEMPLATE = b"<<<<<<< yours", b"||||||| base", b"=======", b">>>>>>> template"
LARGEST: Final = 1024 * 1024
"""Octets of a text that is merged, and kept to be merged with: nobody edits a larger one line by line."""

_UNMARKED: Final = 0
_AS_GIT: Final = 1


@dataclass(frozen=True, slots=True)
class Merged:
    """Both changes fit."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Conflicting:
    """They do not: `text` has markers around both, as git writes them.

    Where one of the texts has such a line, all markers end with a `number` that tells them from it; it is 1 otherwise.
    """

    text: bytes
    number: int = _AS_GIT


@dataclass(frozen=True, slots=True)
class NotText:
    """One of the texts is no UTF-8 text, or is too large to be merged."""


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
    return replace(found, text=found.text.replace(b"\n", b"\r\n")) if crlf else found


def number_of_markers(outcome: Merged | Conflicting) -> int:
    """What `markers_left` has to know of a text that is laid beside a file: 0 where it has no markers."""
    return outcome.number if isinstance(outcome, Conflicting) else _UNMARKED


def markers_left(merged: bytes, number: int) -> bool:
    """Whether one of the markers with that number still is in `merged`."""
    return number != _UNMARKED and not _markers(number).isdisjoint(_bare_lines(merged))


def _marker(name: bytes, number: int) -> bytes:
    return name if number == _AS_GIT else b"%b %d" % (name, number)


def _markers(number: int) -> frozenset[bytes]:
    return frozenset(_marker(name, number) for name in (_YOURS, _BASE, _MIDDLE, _TEMPLATE))


def _bare_lines(text: bytes) -> Iterator[bytes]:
    return (line.rstrip(b"\r") for line in text.split(b"\n"))


def _free_number(*texts: bytes) -> int:
    """The first with which no marker is a line of any of the texts."""
    lines = {line for text in texts for line in _bare_lines(text)}
    return next(number for number in itertools.count(_AS_GIT) if _markers(number).isdisjoint(lines))


def _is_text(content: bytes) -> bool:
    if len(content) > LARGEST or b"\0" in content:
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
    number = _free_number(base or b"", yours, template)
    text = b"".join(line for region in found for line in _written(region, number))
    if any(isinstance(region, Conflict) for region in found):
        return Conflicting(text, number)
    is_open = yours and not yours.endswith(b"\n")
    return Merged(text.removesuffix(b"\n") if is_open else text)


def _written(region: Region, number: int) -> Lines:
    """The lines of a region; those of a conflict between markers with that number."""
    if isinstance(region, Settled):
        return region.lines
    yours, base, middle, template = (_marker(name, number) + b"\n" for name in (_YOURS, _BASE, _MIDDLE, _TEMPLATE))
    before = () if region.base is None else (base, *region.base)
    return (yours, *region.yours, *before, middle, *region.template, template)


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
