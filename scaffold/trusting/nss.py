"""NSS databases: what Chromium and each Firefox profile of a user trust besides the roots that they bring."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

from scaffold.errors import TrustError
from scaffold.pki import bundles
from scaffold.running.services import where
from scaffold.trusting.kinds import StoreKind
from scaffold.trusting.model import Anchor, Entry, Obstacle
from scaffold.trusting.pem import fingerprints
from scaffold.trusting.programs import attempt, said

_DATABASE: Final = "cert9.db"
_FILES: Final = (_DATABASE, "key4.db")

_SHARED: Final = (
    ".pki/nssdb",
    ".local/share/pki/nssdb",
    "snap/chromium/current/.pki/nssdb",
    "snap/chromium/current/.local/share/pki/nssdb",
    ".var/app/org.chromium.Chromium/.pki/nssdb",
    ".var/app/com.google.Chrome/.pki/nssdb",
)
"""Of Chromium and its relatives, below the home: as packaged by a distribution, as a snap, and as a flatpak."""

_PROFILES: Final = (
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/config/mozilla/firefox",
)
"""Where Firefox keeps its profiles, a folder each."""

_TRUSTED: Final = "C,,"
"""A CA that may vouch for servers, and for nothing else (certutil(1), -t)."""

_LINE: Final = re.compile(r"(?P<name>\S.*?)\s+(?P<trust>[a-zA-Z]*,[a-zA-Z]*,[a-zA-Z]*)\s*")
_DAMAGED: Final = "SEC_ERROR_BAD_DATABASE"
_NOT_FOUND: Final = "PR_FILE_NOT_FOUND_ERROR"
_INSTALL: Final = "apt-get install libnss3-tools, or dnf install nss-tools"


def present(home: Path) -> tuple[NssStore, ...]:
    """Every database below a home. None is made: a browser makes its own when it starts for the first time."""
    folders = [home / one for one in _SHARED]
    for profiles in _PROFILES:
        folders += sorted(path.parent for path in (home / profiles).glob(f"*/{_DATABASE}"))
    real: dict[Path, Path] = {}
    for folder in folders:
        if (folder / _DATABASE).is_file():
            real.setdefault(folder.resolve(), folder)
    return tuple(NssStore(folder) for folder in real.values())


@dataclass(frozen=True, slots=True)
class NssStore:
    """One database, through `certutil`."""

    folder: Path

    @property
    def kind(self) -> StoreKind:
        return StoreKind.NSS

    @property
    def place(self) -> str:
        return str(self.folder)

    def holds(self) -> tuple[Entry, ...]:
        """Each nickname with its certificate.

        NSS shows under a nickname whatever has the same subject: what is certainly ours is nobody else's besides.
        """
        # Of two certificates of one subject under one nickname it is not said which of them is trusted.
        trusted: dict[str, bool] = {}
        for name, trust in self._nicknames():
            trusted[name] = "C" in trust.partition(",")[0] and trusted.get(name, True)
        read = [
            Entry(name, name, found, trusted=is_trusted)
            for name, is_trusted in trusted.items()
            for found in self._certificates(name)
        ]
        ours = {entry.fingerprint for entry in read if entry.mark is not None}
        looks_like_ours = {entry.name for entry in read if entry.mark is not None}
        return tuple(
            entry
            for entry in read
            if entry.mark is not None or (entry.fingerprint not in ours and entry.name not in looks_like_ours)
        )

    def obstacle(self) -> Obstacle | None:
        """Its files must be writable, and no password may guard it: without it a root is added and not trusted."""
        for path in (self.folder, *(self.folder / name for name in _FILES)):
            if path.exists() and not os.access(path, os.W_OK):
                return Obstacle(f"{path} cannot be written by this user", "run it as the user whose browser it is")
        if self._has_password():
            hint = "add the root in the browser's settings, or remove the primary password meanwhile"
            return Obstacle(f"{self.place} is guarded by a password", hint)
        return None

    def install(self, anchor: Anchor) -> None:
        before = self.holds()
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(bundles.pem(anchor.certificate))
            file.flush()
            done = self._run("-A", "-n", anchor.label, "-t", _TRUSTED, "-i", file.name)
        if done.returncode != 0:
            left = [entry for entry in self.holds() if entry not in before and entry.label == anchor.label]
            self.uninstall(left)
            raise self._failed(said(done))

    def uninstall(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._check_alone(entry)
            done = self._run("-D", "-n", entry.name)
            if done.returncode != 0:
                raise self._failed(said(done))

    def _check_alone(self, entry: Entry) -> None:
        """Raises TrustError where certutil might remove another's: of two by one nickname it takes either."""
        under = [name for name, _ in self._nicknames() if name == entry.name]
        if len(under) != 1 or entry.fingerprint not in self._certificates(entry.name):
            raise TrustError(
                f"{self.place} holds {len(under)} certificates as {entry.name}, and one is not ours: both stay",
                hint="remove it in the browser's settings, where each is shown with its fingerprint",
            )

    def _nicknames(self) -> Iterator[tuple[str, str]]:
        done = self._run("-L")
        if done.returncode != 0:
            raise self._failed(said(done))
        for line in done.stdout.splitlines():
            if (found := _LINE.fullmatch(line)) is not None and found["trust"] != "SSL,S/MIME,JAR/XPI":
                yield found["name"], found["trust"]

    def _certificates(self, name: str) -> tuple[str, ...]:
        """None for a nickname that is not what its line shows: with a new line, a blank at its end, or no UTF-8."""
        done = self._run("-L", "-n", name, "-a")
        if _NOT_FOUND in done.stderr:
            return ()
        if done.returncode != 0:
            raise self._failed(said(done))
        return fingerprints(done.stdout.encode())

    def _has_password(self) -> bool:
        with tempfile.NamedTemporaryFile() as empty:
            return "BAD_PASSWORD" in self._run("-K", "-f", empty.name).stderr

    def _run(self, *arguments: str) -> CompletedProcess[str]:
        program = where("certutil")
        if program is None:
            raise TrustError("certutil is not installed", hint=_INSTALL)
        command = [program, arguments[0], "-d", f"sql:{self.folder}", *arguments[1:]]
        done = attempt(command)
        return attempt(command) if _DAMAGED in done.stderr and _roll_back(self.folder) else done

    def _failed(self, why: str) -> TrustError:
        return TrustError(
            f"{self.place} cannot be used: {why}", hint="close that browser, and try again; the store is unchanged"
        )


def _roll_back(folder: Path) -> bool:
    """Take back what a certutil that was killed has half written; whether there was any.

    SQLite does so by itself when a file is opened for writing (sqlite.org/atomiccommit.html, 4), and NSS opens it for
    reading first.
    """
    import sqlite3

    left = [folder / name for name in _FILES if (folder / f"{name}-journal").is_file()]
    for file in left:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA schema_version")
    return bool(left)
