"""Atomic files: written beside their place with the rights they will keep, then renamed over it.

Whoever reads sees the old text or the new, never half of one. Nothing is written through a symbolic link: the folders
above a file must be real folders inside the output folder, and a rename replaces a link instead of following it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from scaffold.errors import StoreError
from scaffold.store import gitignore, rights
from scaffold.store.layout import FOLDERS, GITIGNORE, LEDGER, Layout
from scaffold.store.rights import USUAL, Rights

_OF_OTHERS: Final = 0o004
"""What everybody may read is no secret."""

_IN_PROJECT: Final = 2
"""Of a file in the folder of a server or client its path has so many slashes; of one in `tls/`, one more."""

TEMPORARY: Final = ".scaffold-tmp"
"""How the name of a file ends that is not in its place yet; only a kill leaves one behind."""

PUBLIC_FILE: Final = 0o644
PUBLIC_FOLDER: Final = 0o755
EXECUTABLE_FILE: Final = 0o755
SECRET_FILE: Final = rights.SECRET_FILE
SECRET_FOLDER: Final = rights.SECRET_FOLDER
_HINTS: Final = {
    errno.ENOSPC: "make room on the disk and apply again: what was done so far is kept",
    errno.EDQUOT: "the disk quota is used up; make room and apply again: what was done so far is kept",
    errno.EROFS: "the file system is mounted read-only: run scaffold where it can be written",
    errno.EACCES: "give this user the right to write there",
    errno.EPERM: "give this user the right to write there",
    errno.ENOTDIR: "there is a file where a folder is needed: move it away",
    errno.EISDIR: "there is a folder where a file is needed: move it away",
    errno.ENAMETOOLONG: "choose a shorter path with --out",
}
_OR_ELSEWHERE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR})
"""What another folder mends as well, as long as nothing was applied to this one: its CAs are not in the other."""


def store_error(verb: str, path: str | Path, error: OSError) -> StoreError:
    """The error for a person: what could not be done to `path`, why, and what helps."""
    hint = _HINTS.get(error.errno) if error.errno is not None else None
    if hint is not None and error.errno in _OR_ELSEWHERE and not _is_applied_to(Path(path)):
        hint = f"{hint}, or choose another folder with --out"
    if verb == "read" and error.errno in (errno.EACCES, errno.EPERM):
        hint = "give this user the right to read it, or run scaffold as the user who owns it"
    return StoreError(f"cannot {verb} {path}: {error.strerror or error}", hint=hint)


def _is_applied_to(path: Path) -> bool:
    """Whether it is in an output folder that holds the records of a topology."""
    return any(os.path.lexists(folder / LEDGER) for folder in (path, *path.parents))


class Found(NamedTuple):
    """A file that is there: its bytes, its permission bits, and the number of its owner."""

    content: bytes
    mode: int
    owner: int


_TO_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def read(path: str) -> Found | None:
    """The regular file at `path`, or None where nothing is.

    Raises StoreError for a symbolic link, for anything that is not a regular file, and for what may not be read.
    """
    descriptor = _opened(path)
    if descriptor is None:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _no_file(path)
        content = os.read(descriptor, status.st_size + 1)
        if len(content) > status.st_size:  # it is growing
            content += _rest(descriptor)
    except OSError as error:
        raise store_error("read", path, error) from error
    finally:
        os.close(descriptor)
    return Found(content, stat.S_IMODE(status.st_mode), status.st_uid)


def holds(path: str, text: bytes) -> bool:
    """Whether the regular file at `path` is exactly `text`. No, too, where that cannot be said: `read` says why."""
    try:
        descriptor = os.open(path, _TO_READ)
    except OSError:
        return False
    try:
        # A position is refused by pipes and terminals, and no other device ends after just that text: only an empty
        # one is like what may be no file.
        same = os.pread(descriptor, len(text) + 1, 0) == text
        return same and (bool(text) or stat.S_ISREG(os.fstat(descriptor).st_mode))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def read_named(path: Path) -> Found | None:
    """The file that a person names, whatever links lead there, or None where nothing is. Raises StoreError."""
    try:
        return read(os.path.realpath(path))
    except StoreError as error:
        raise StoreError(error.message, hint="name a file that this user may read") from error


def opened(path: str) -> int | None:
    """A descriptor from which the regular file at `path` is read, or None where nothing is. Raises as `read` does."""
    descriptor = _opened(path)
    if descriptor is not None and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return descriptor


def _opened(path: str) -> int | None:
    """A descriptor of whatever is at `path` but a symbolic link; None where nothing is. Raises StoreError."""
    try:
        return os.open(path, _TO_READ)
    except OSError as error:
        match error.errno:
            case errno.ENOENT:
                return None
            case errno.ELOOP:
                raise _link(path) from None
            case errno.ENXIO:  # a socket
                raise _no_file(path) from None
        raise store_error("read", path, error) from error


def _rest(descriptor: int) -> bytes:
    pieces = []
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def _no_file(path: str) -> StoreError:
    return StoreError(f"{path} is not a regular file", hint="move it away and apply again")


def _link(path: str) -> StoreError:
    return StoreError(
        f"{path} is a symbolic link",
        hint="scaffold does not read or write through links there; replace it by the real file or folder",
    )


class Writer:
    """Writes into one output folder, and remembers which of its folders are known to be real.

    `rights_in` are those of secrets below some of its folders, by the folder of a server or client.
    """

    def __init__(self, layout: Layout, rights_in: Mapping[str, Rights] = MappingProxyType({})) -> None:
        self._layout = layout
        self._rights = rights_in
        self._folders: set[str] = set()
        self._ignoring: set[str] = set()

    def _rights_of(self, relative: str) -> Rights:
        """Those of the server or client that a path is of."""
        if not self._rights:
            return USUAL
        folder = "/".join(relative.split("/", 2)[:2])
        return self._rights.get(folder, USUAL)

    def mode_of(self, relative: str, mode: int) -> int:
        """The rights that a file gets which is written with `mode`."""
        return self._rights_of(relative).secret_file if mode == SECRET_FILE else mode

    def give(self, relative: str) -> None:
        """Gives a file or folder that is there the owner that it should have."""
        path = self._layout.at(relative)
        try:
            descriptor = os.open(path, _TO_READ)
            try:
                self._give(descriptor, relative)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise store_error("change the owner of", path, error) from error

    def _give(self, descriptor: int, relative: str) -> None:
        """Of a file with several names none is given away: another of them may be somebody else's secret."""
        wanted = self._rights_of(relative)
        if wanted.owner is None and wanted.group is None:
            return
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            path = self._layout.at(relative)
            hint = "remove the file, and apply again"
            raise StoreError(f"{path} has more than one name (hard links)", hint=hint)
        owner = -1 if wanted.owner is None else wanted.owner
        os.fchown(descriptor, owner, -1 if wanted.group is None else wanted.group)

    def prepare(self) -> None:
        """Makes the output folder and its `.scaffold`; files are written once the lock is held. Raises StoreError."""
        out = str(self._layout.out)
        if os.path.islink(out):  # noqa: PTH114
            raise _link(out)
        try:
            os.makedirs(out, mode=PUBLIC_FOLDER, exist_ok=True)  # noqa: PTH103
        except OSError as error:
            raise store_error("make the folder", out, error) from error
        self._folder(".scaffold", SECRET_FOLDER)

    def write(self, relative: str, content: bytes, *, mode: int = PUBLIC_FILE, durable: bool = False) -> None:
        """Puts `content` at `relative`, with `mode` from its birth. `durable`: on the disk before this returns."""
        folder = relative.rpartition("/")[0]
        if folder not in self._folders:
            secret = folder.endswith("/tls") or folder.startswith("pki/")
            self._folder(folder, SECRET_FOLDER if secret else PUBLIC_FOLDER)
        if mode == SECRET_FILE:
            self._keep_out_of_git(folder)
        self._put(relative, content, mode, durable=durable)

    def write_persons(self, relative: str, content: bytes, mode: int) -> None:
        """The same of a text of a person's: whatever rights it has, it is no secret of scaffold's."""
        self._folder(relative.rpartition("/")[0], PUBLIC_FOLDER)
        self._put(relative, content, mode, durable=False)

    def _put(self, relative: str, content: bytes, mode: int, *, durable: bool) -> None:
        folder, _, name = relative.rpartition("/")
        path = self._layout.at(relative)
        # One temporary name per file is enough: only the holder of the lock writes.
        temporary = self._layout.at(f"{folder}/.{name}{TEMPORARY}" if folder else f".{name}{TEMPORARY}")
        try:
            is_given = self._rights and relative.count("/") > _IN_PROJECT
            given = functools.partial(self._give, relative=relative) if is_given else None
            self._write_temporary(temporary, content, self.mode_of(relative, mode), durable=durable, given=given)
            os.replace(temporary, path)  # noqa: PTH105
            if durable:
                sync_folder(os.path.dirname(path))  # noqa: PTH120
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise store_error("write", path, error) from error

    def _keep_out_of_git(self, folder: str) -> None:
        """Before the first secret is in a folder, git is told to leave it out."""
        if folder in self._ignoring:
            return
        self._ignoring.add(folder)
        path = f"{folder}/{GITIGNORE}"
        if not os.path.lexists(self._layout.at(path)):
            self.write(path, gitignore.at_birth(folder))

    @staticmethod
    def _write_temporary(
        temporary: str, content: bytes, mode: int, *, durable: bool, given: Callable[[int], None] | None
    ) -> None:
        """`given` gives the file away, which is before its group may read it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        at_birth = mode if mode & _OF_OTHERS else SECRET_FILE
        try:
            descriptor = os.open(temporary, flags, at_birth)
        except FileExistsError:
            os.unlink(temporary)  # noqa: PTH108
            descriptor = os.open(temporary, flags, at_birth)
        try:
            write_all(descriptor, content)
            if given is not None:
                given(descriptor)
            if mode != SECRET_FILE:
                os.fchmod(descriptor, mode)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def restrict(self, relative: str, mode: int = SECRET_FILE) -> None:
        """Gives a file that is in its place the rights, and the owner, it should have."""
        path = self._layout.at(relative)
        try:
            descriptor = os.open(path, _TO_READ)
            try:
                self._give(descriptor, relative)
                os.fchmod(descriptor, self.mode_of(relative, mode))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise store_error("change the rights of", path, error) from error

    def restrict_folder(self, relative: str) -> None:
        """Gives a folder of secrets the rights it was born with."""
        path = self._layout.at(relative)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._give(descriptor, relative)
                os.fchmod(descriptor, self._rights_of(relative).secret_folder)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise store_error("change the rights of", path, error) from error

    def remove(self, relative: str) -> None:
        """Removes a file, if it is there, and then its folders as far as they are empty."""
        path = self._layout.at(relative)
        folder = relative.rpartition("/")[0]
        try:
            self._check(folder)
            os.unlink(path)  # noqa: PTH108
        except FileNotFoundError:
            pass
        except OSError as error:
            raise store_error("remove", path, error) from error
        while folder:
            try:
                os.rmdir(self._layout.at(folder))  # noqa: PTH106
            except OSError:
                return
            self._folders.discard(folder)
            folder = folder.rpartition("/")[0]

    def _folder(self, relative: str, mode: int) -> None:
        """Makes the folder `relative` and those above it, all of them real folders."""
        if not relative or relative in self._folders:
            return
        self._folder(relative.rpartition("/")[0], PUBLIC_FOLDER)
        path = self._layout.at(relative)
        try:
            os.mkdir(path, mode)  # noqa: PTH102
            self._give_folder(relative, mode)
        except FileExistsError:
            check_folder(path)
        except OSError as error:
            raise store_error("make the folder", path, error) from error
        self._folders.add(relative)

    def _give_folder(self, relative: str, mode: int) -> None:
        """A folder of a server or client that was just made, where somebody says whose it is."""
        if self._rights_of(relative) == USUAL:
            return
        if mode == SECRET_FOLDER:
            self.restrict_folder(relative)
        elif relative.count("/") == 1:
            self.give(relative)

    def _check(self, relative: str) -> None:
        while relative and relative not in self._folders:
            check_folder(self._layout.at(relative))
            relative = relative.rpartition("/")[0]


def write_all(descriptor: int, content: bytes) -> None:
    """Writes every byte: `os.write` may take a part of them alone."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, memoryview(content)[written:])


def sync_folder(path: str) -> None:
    """Makes the names in a folder survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_folder(path: str) -> None:
    """Raises StoreError where `path` is there and is not a real folder."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise store_error("read", path, error) from error
    refuse_no_folder(path, mode)


def refuse_no_folder(path: str, mode: int) -> None:
    """Raises StoreError where what is at `path`, which is of that mode, is not a real folder."""
    if stat.S_ISLNK(mode):
        raise _link(path)
    if not stat.S_ISDIR(mode):
        raise StoreError(f"{path} is a file where a folder is needed", hint=_HINTS[errno.ENOTDIR])


def check_output(layout: Layout) -> None:
    """Raises StoreError where the output folder, or one of those that scaffold keeps in it, is a link or a file."""
    check_folder(str(layout.out))
    for folder in (".scaffold", *FOLDERS.values()):
        check_folder(layout.at(folder))


def stale_temporaries(layout: Layout) -> Iterator[str]:
    """What a killed apply left half-written, relative to the output folder."""
    for top in (".", ".scaffold", *FOLDERS.values()):
        start = layout.at(top)
        if top == ".":
            with contextlib.suppress(OSError):
                yield from (name for name in os.listdir(start) if name.endswith(TEMPORARY))  # noqa: PTH208
            continue
        for folder, _, names in os.walk(start):
            inside = os.path.relpath(folder, layout.at("")).replace(os.sep, "/")
            yield from (f"{inside}/{name}" for name in names if name.endswith(TEMPORARY))


Read = Callable[[str], Found | None]
