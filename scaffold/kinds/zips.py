"""Unpacks a template that is a zip file: somebody else made it, and what it says of its size is not believed."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import ZipFile, ZipInfo

from scaffold.kinds.bounds import TakesTooLong, bounded
from scaffold.kinds.places import remove_tree


class CannotBeUnpacked(Exception):
    """Why a zip file is none that a template could be in."""


class NotUnlocked(CannotBeUnpacked):
    """It has a password, and another one was given, or none."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a template from elsewhere may take on this disk: `octets` of all files together, and `entries`."""

    octets: int = 256 * 1024 * 1024
    entries: int = 50_000

    @property
    def in_words(self) -> str:
        """The most that may be."""
        return f"{self.octets >> 20:,} MiB, or {self.entries:,} files and folders"


USUAL: Final = Bounds()
_DEEPEST: Final = 100


def unpacked(file: Path, place: Path, bounds: Bounds = USUAL, *, password: str | None = None) -> Path:
    """The folder at the top of the zip file, unpacked to `place`, which is made. Nothing else in it is.

    Raises NotUnlocked, CannotBeUnpacked, OSError; nothing is left in `place` then.
    """
    if file.exists() and not file.is_file():
        raise CannotBeUnpacked("it is not a regular file")
    try:
        with bounded(), ZipFile(file) as archive:
            if password is not None:
                archive.setpassword(password.encode())
            _unpack(archive, place, bounds)
    except BaseException as error:
        remove_tree(place)
        if isinstance(error, RuntimeError) and "password" in str(error):
            raise NotUnlocked("it is a protected repository, and its password is another") from error
        if (said := _said(error)) is not None:
            raise CannotBeUnpacked(said) from error
        raise
    return place


def _said(error: BaseException) -> str | None:
    match error:
        case zipfile.BadZipFile() | zlib.error() | EOFError():
            return "it is no whole zip file"
        case NotImplementedError():
            return "it is packed in a way that is not known here"
        case MemoryError() | TakesTooLong():
            return "unpacking it takes more memory or time than a template may"
        case ValueError():
            return "it holds a name that no file can have"
    return None


def _unpack(archive: ZipFile, place: Path, bounds: Bounds) -> None:
    members = _below_the_top(archive.infolist())
    if sum(one.file_size for one in members) > bounds.octets or len(members) > bounds.entries:
        raise CannotBeUnpacked(f"it holds more than {bounds.in_words}")
    place.mkdir()
    for member in members:
        path = place.joinpath(*_inside(member))
        if member.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        # No more is read than the size that was added up; where there is more, the checksum does not fit.
        with path.open("xb") as file, archive.open(member) as content:
            shutil.copyfileobj(content, file)


def _below_the_top(members: Sequence[ZipInfo]) -> list[ZipInfo]:
    """Those of the folder that the first of them lies in: a packer may have put notes of its own beside it."""
    top, below, _ = members[0].filename.partition("/") if members else ("", "", "")
    if not below:
        raise CannotBeUnpacked("it has no folder at its top")
    found = [one for one in members if one.filename.startswith(f"{top}/")]
    for one in found:
        _inside(one)
    return found


def _inside(member: ZipInfo) -> list[str]:
    """The path of a member below the folder at the top."""
    top, *parts = member.filename.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in (top, *parts)):
        raise CannotBeUnpacked(f"it holds a name that points outside it: {member.filename!a}")
    if len(parts) > _DEEPEST:
        raise CannotBeUnpacked(f"it holds folders in each other, more than {_DEEPEST} deep")
    return parts
