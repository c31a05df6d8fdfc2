"""What is really on the disk: certificates, keys and CRLs as they are read, and the records of what was done.

Nothing is asked for and nothing is opened with a password: of an encrypted key only that it is one is seen.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography import x509

from scaffold.errors import StoreError, Unreadable, WrongPassword
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.store import bases, files, ledger, projects
from scaffold.store.layout import Layout
from scaffold.store.seen import SeenFile, SeenFolder, entries, read, state_serial

_WITHOUT: Final = "`scaffold plan --no-keys` plans without the keys"

_TEXTS: Final = 256
"""How many texts are kept to compare others with."""


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """A certificate file: its first certificate and its whole text; `problem` says why there is none."""

    certificate: x509.Certificate | None = None
    content: bytes = b""
    problem: str | None = None

    @property
    def missing(self) -> bool:
        return self.certificate is None and self.problem is None


@dataclass(frozen=True, slots=True)
class SeenKey:
    """A private key's file: the DER of its public half, unless it is encrypted; `problem` says why it is no key."""

    present: bool = False
    spki: bytes | None = None
    encrypted: bool = False
    file_sha256: str = ""
    mode: int = files.SECRET_FILE
    problem: str | None = None


class SeenRights(NamedTuple):
    """Of a file or folder: its permission bits, its owner's number, and whether that is who looks."""

    mode: int
    owner: int
    ours: bool


@dataclass(frozen=True)
class SeenCrl:
    """A CRL's file; `problem` says why there is none in it."""

    crl: crls.Crl | None = None
    content: bytes = b""
    problem: str | None = None

    @functools.cached_property
    def listed(self) -> tuple[crls.Revoked, ...]:
        """What it revokes, read once: long ones take their time. Raises Unreadable."""
        return crls.entries(self.crl) if self.crl is not None else ()


class Observation:
    """One look at an output folder. Raises StoreError for what may not be read or leads out of it.

    `keys_away`: private keys, and what holds one, are expected to be elsewhere; one that may not be read is away, too.
    """

    def __init__(self, layout: Layout, *, keys_away: bool = False) -> None:
        self.keys_away = keys_away
        files.check_output(layout)
        self.layout = layout
        self.serial = state_serial(layout)  # before the records are read: what is added meanwhile is noticed later
        self.ledger = ledger.load(layout)
        self._listings: dict[str, Mapping[str, os.DirEntry[str]]] = {}
        self._statuses: dict[str, tuple[int, int] | None] = {}
        self._user = os.geteuid() if hasattr(os, "geteuid") else None
        self._folder: str | None = None
        self._found: dict[str, files.Found | None] = {}
        self._kept: dict[str, files.Found] = {}
        self._texts: dict[str, bytes] = {}
        self._crls: dict[str, SeenCrl] = {}

    def look_at(self, folder: str) -> None:
        """Until the next call, each file below `folder` is read once: what is decided on is what was seen.

        Raises StoreError where a link or a file takes the place of the folder.
        """
        self.check_folder(folder)
        self._folder = f"{folder}/"
        self._found.clear()

    def forget(self) -> None:
        """From here on every file is read again."""
        self._folder = None
        self._found.clear()
        self._kept.clear()

    def keep(self, path: str, found: files.Found) -> None:
        """Until it is time to `forget`, the file is as it was found just now: it need not be read again."""
        if self._folder is not None:
            self._kept[path] = found

    def seen(self, paths: Iterable[str]) -> tuple[SeenFile, ...]:
        """The files as this look has found them."""
        return tuple(SeenFile(path, self.edited_digest(path)) for path in dict.fromkeys(paths))

    def seen_folder(self, folder: str, apart: str | None = None) -> SeenFolder:
        """The names in a folder as this look has found them."""
        return SeenFolder(folder, tuple(sorted(self._listing(folder).keys() - {apart})), apart)

    @functools.cached_property
    def records(self) -> projects.Records:
        """What was rendered. Whoever signs a CRL does without."""
        return projects.load(self.layout)

    def holds(self, path: str, text: bytes) -> bool:
        """Whether the file at `path` is exactly `text`."""
        found = self._found.get(path) or self._kept.get(path)
        return files.holds(self.layout.at(path), text) if found is None else found.content == text

    def content(self, path: str) -> bytes | None:
        """The bytes of a file, or None where it is not there."""
        found = self.file(path)
        return None if found is None else found.content

    def file(self, path: str) -> files.Found | None:
        """A file with its rights, or None where it is not there."""
        if path in self._found:
            return self._found[path]
        if path in self._kept:
            return self._kept[path]
        found = files.read(self.layout.at(path))
        if self._folder is not None and path.startswith(self._folder):
            self._found[path] = found
        return found

    def certificate(self, path: str) -> SeenCertificate:
        """The first certificate of a PEM file."""
        content = self.content(path)
        if content is None:
            return SeenCertificate()
        try:
            return SeenCertificate(x509.load_pem_x509_certificate(content), content)
        except Exception:
            return SeenCertificate(None, content, f"{path} is not a certificate, or a damaged one")

    def key(self, path: str) -> SeenKey:
        """A private key's public half, without a password."""
        found = self.key_file(path)
        if found is None:
            return SeenKey()
        sha256 = projects.digest(found.content)
        try:
            return SeenKey(True, keys.public_of(found.content), False, sha256, found.mode)
        except WrongPassword:
            return SeenKey(True, None, True, sha256, found.mode)
        except Unreadable:
            return SeenKey(True, None, False, sha256, found.mode, f"{path} is not a private key, or a damaged one")

    def key_file(self, path: str) -> files.Found | None:
        """The same of a private key, whose rights are asked about once more when all has been looked at."""
        try:
            found = self.file(path)
        except StoreError as error:
            if self.keys_away:
                return None
            raise StoreError(error.message, hint=f"{error.hint}; {_WITHOUT}" if error.hint else _WITHOUT) from error
        if found is not None:
            self._statuses[path] = stat.S_IFREG | found.mode, found.owner
        return found

    def crl(self, path: str) -> SeenCrl:
        """The CRL of a PEM file."""
        content = self.content(path)
        if content is None:
            return SeenCrl()
        known = self._crls.get(path)
        if known is None or known.content != content:
            known = self._crls[path] = _seen_crl(path, content)
        return known

    def rights(self, path: str) -> SeenRights | None:
        """Of a file or folder, and None where nothing is; `""` is the output folder itself."""
        if (found := self._found.get(path) or self._kept.get(path)) is not None:
            return SeenRights(found.mode, found.owner, self._is_ours(found.owner))
        if (status := self._status(path)) is None:
            return None
        mode, owner = status
        return SeenRights(stat.S_IMODE(mode), owner, self._is_ours(owner))

    def _is_ours(self, owner: int) -> bool:
        return self._user is None or owner == self._user

    def owners(self, path: str) -> tuple[int, int] | None:
        """The numbers of owner and group of a file or folder; None where nothing is, or a link. Raises StoreError."""
        status = self._lstat(path)
        return None if status is None or stat.S_ISLNK(status.st_mode) else (status.st_uid, status.st_gid)

    def check_folder(self, path: str) -> None:
        """Raises StoreError where a link or a file takes the place of a folder."""
        if (status := self._status(path)) is not None:
            files.refuse_no_folder(self.layout.at(path), status[0])

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there, and no link to one."""
        return (status := self._status(path)) is not None and stat.S_ISDIR(status[0])

    def is_file_or_missing(self, path: str) -> bool:
        """Whether a regular file is there, or nothing."""
        entry = self._entry(path)
        if entry is None:
            return True
        try:
            return entry.is_file(follow_symlinks=False)
        except OSError as error:  # some file systems do not say with a name what it is of
            raise files.store_error("read", self.layout.at(path), error) from error

    def _status(self, path: str) -> tuple[int, int] | None:
        """Mode and owner of a file or folder, asked for once; None where nothing is. Raises StoreError."""
        if path not in self._statuses:
            status = self._lstat(path)
            self._statuses[path] = None if status is None else (status.st_mode, status.st_uid)
        return self._statuses[path]

    def _lstat(self, path: str) -> os.stat_result | None:
        at = self.layout.at(path)
        try:
            return os.lstat(at)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise files.store_error("read", at, error) from error

    def exists(self, path: str) -> bool:
        """Whether anything has that name; a link counts, wherever it leads."""
        return self._entry(path) is not None

    def _entry(self, path: str) -> os.DirEntry[str] | None:
        folder, _, name = path.rpartition("/")
        known = self._listings.get(folder)
        return (self._listing(folder) if known is None else known).get(name)

    def edited_digest(self, path: str) -> str | None:
        """SHA-256 of a file that is the person's: None where nothing is, and no digest at all for what is no file."""
        if not self.exists(path):
            return None
        found = self._persons(path)
        return projects.digest(found.content) if isinstance(found, files.Found) else found

    def has_digest(self, path: str, sha256: str) -> bool:
        """Whether the file at `path` has that SHA-256; what is no file has none."""
        # Thousands of projects hold the same texts: what is like one with that digest need not be hashed.
        known = self._texts.get(sha256)
        if known is not None and self.holds(path, known):
            return True
        try:
            found = self.file(path)
        except StoreError:
            self._persons(path)  # raises what is wrong with a file; no file has no digest
            return False
        if found is None:
            return False
        if projects.digest(found.content) != sha256:
            return False
        if len(self._texts) >= _TEXTS:
            self._texts.clear()
        self._texts[sha256] = found.content
        return True

    def _persons(self, path: str) -> files.Found | str | None:
        """What is where a person may have put something: no file is no error there."""
        if (found := self._found.get(path) or self._kept.get(path)) is not None:
            return found
        there = read(self.layout.at(path))
        if isinstance(there, files.Found) and self._folder is not None and path.startswith(self._folder):
            self._found[path] = there
        return there

    def base(self, sha256: str | None) -> bytes | None:
        """The text with that hash from which a file was rendered, or None where it is not kept."""
        return None if sha256 is None else bases.load(self.layout, sha256)

    def names(self, folder: str) -> Iterator[str]:
        """The names in a folder, sorted; none where it is not there."""
        return iter(sorted(self._listing(folder)))

    def holds_more_than(self, folder: str, *names: str) -> bool:
        """Whether anything but `names` is in a folder."""
        return any(one not in names for one in self._listing(folder))

    def _listing(self, folder: str) -> Mapping[str, os.DirEntry[str]]:
        """What is in a folder, read once: one call for all the files that are asked about."""
        if folder not in self._listings:
            self._listings[folder] = entries(self.layout.at(folder))
        return self._listings[folder]

    def check_topology(self, name: str) -> None:
        """Raises StoreError where the folder belongs to a topology of another name."""
        owner = self.ledger.topology
        if owner is not None and owner != name:
            raise StoreError(
                f'{self.layout.out} belongs to the topology "{owner}", not to "{name}"',
                hint="choose another folder with --out, or give the topology its old name",
            )


def _seen_crl(path: str, content: bytes) -> SeenCrl:
    try:
        return SeenCrl(crls.load(content), content)
    except Unreadable:
        return SeenCrl(None, content, f"{path} is not a CRL, or a damaged one")
