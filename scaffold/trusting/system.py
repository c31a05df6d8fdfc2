"""The system's store: a folder of roots, and the distribution's own program that makes the bundle from it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scaffold.errors import StoreError, TrustError
from scaffold.pki import bundles
from scaffold.running.services import where
from scaffold.store import files
from scaffold.trusting.kinds import StoreKind
from scaffold.trusting.model import SHOWN, Anchor, Entry, Obstacle
from scaffold.trusting.pem import fingerprints
from scaffold.trusting.programs import attempt, said

_SUFFIX: Final = ".crt"
_LEAVING: Final = ".removed"
"""Marks a root of ours that is on its way out, until the bundle is made without it."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a family of distributions does it.

    `refresh` makes `bundle` from the roots in `folder`, and those that it brings itself. `choice` is the file by which
    an administrator takes roots out again, where there is one: it is handed over with `--certsconf`.
    """

    folder: Path
    bundle: Path
    refresh: tuple[str, ...]
    choice: Path | None = None


DEBIAN: Final = Distribution(
    Path("/usr/local/share/ca-certificates"),
    Path("/etc/ssl/certs/ca-certificates.crt"),
    ("update-ca-certificates",),
    Path("/etc/ca-certificates.conf"),
)
FEDORA: Final = Distribution(
    Path("/etc/pki/ca-trust/source/anchors"),
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    ("update-ca-trust",),
)


def present() -> tuple[SystemStore, ...]:
    """The store of this machine, or none."""
    found = (one for one in (DEBIAN, FEDORA) if where(one.refresh[0]) is not None)
    return tuple(SystemStore(one) for one in found)[:1]


@dataclass(frozen=True, slots=True)
class SystemStore:
    """What OpenSSL, GnuTLS and most programs of a distribution trust."""

    distribution: Distribution

    @property
    def kind(self) -> StoreKind:
        return StoreKind.SYSTEM

    @property
    def place(self) -> str:
        return str(self.distribution.folder)

    def holds(self) -> tuple[Entry, ...]:
        """The roots of the folder, each trusted where the bundle has it; then those that the bundle has besides."""
        bundled = self._bundled()
        placed = tuple(Entry(str(path), path.stem, found, trusted=found in bundled) for path, found in self._placed())
        known = {entry.fingerprint for entry in placed}
        leaving = tuple(self._leaving(bundled, known))
        known |= {entry.fingerprint for entry in leaving}
        others = (Entry(self.distribution.bundle.name, "", found) for found in bundled if found not in known)
        return (*placed, *leaving, *others)

    def obstacle(self) -> Obstacle | None:
        """It belongs to root."""
        folders = (self.distribution.folder, self.distribution.bundle.parent)
        for folder in folders:
            if not os.access(folder, os.W_OK | os.X_OK):
                if os.geteuid() == 0:
                    return Obstacle(f"{folder} cannot be written, not even as root", "is it mounted read-only?")
                return Obstacle(f"{folder} belongs to root", as_root=True)
        return None

    def install(self, anchor: Anchor) -> None:
        folder = self.distribution.folder
        _write(folder / f"{anchor.label}{_SUFFIX}", bundles.pem(anchor.certificate))
        _unlink(folder / f"{anchor.label}{_LEAVING}")
        self._refresh(())

    def uninstall(self, entries: Sequence[Entry]) -> None:
        folder = self.distribution.folder
        markers = [folder / f"{entry.label}{_LEAVING}" for entry in entries]
        for marker, entry in zip(markers, entries, strict=True):
            _write(marker, b"# This root was on its way out: scaffold trust uninstall completes that.\n")
            _unlink(folder / entry.name)
        self._refresh([entry.name for entry in entries])
        for marker in markers:
            _unlink(marker)

    def _leaving(self, bundled: Iterable[str], known: Collection[str]) -> Iterator[Entry]:
        """Roots whose removal was interrupted: only the bundle may have them still."""
        for marker in sorted(self.distribution.folder.glob(f"*{_LEAVING}")):
            beginning = marker.stem[-SHOWN:]
            found = next((one for one in bundled if one.startswith(beginning)), beginning)
            if found not in known:
                yield Entry(f"{marker.stem}{_SUFFIX}", marker.stem, found, trusted=False)

    def _placed(self) -> Iterator[tuple[Path, str]]:
        """Each root in the folder, with its fingerprint; what is no certificate is nothing to us."""
        try:
            paths = sorted(self.distribution.folder.rglob(f"*{_SUFFIX}"))
        except OSError as error:
            raise TrustError(f"cannot read {self.place}: {error.strerror}") from error
        for path in paths:
            for found in _fingerprints(path):
                yield path.relative_to(self.distribution.folder), found

    def _bundled(self) -> dict[str, None]:
        return dict.fromkeys(_fingerprints(self.distribution.bundle))

    def _refresh(self, removed: Sequence[str]) -> None:
        """Make the bundle again; `removed` is told to the program, which else leaves links to them behind."""
        with self._chosen(removed) as options:
            done = attempt([*self.distribution.refresh, *options])
        if done.returncode != 0:
            by_hand = " ".join(self.distribution.refresh)
            raise TrustError(f"{by_hand} failed: {said(done)}", hint=f"run {by_hand} by hand, then run this again")

    @contextlib.contextmanager
    def _chosen(self, removed: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """`!NAME` takes a root out with its links, and tells the hooks (update-ca-certificates(8), certsconf)."""
        choice = self.distribution.choice
        if not removed or choice is None:
            yield ()
            return
        text = choice.read_text("utf-8") if choice.exists() else ""
        lines = [text.rstrip("\n"), *(f"!{name}" for name in removed)]
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".conf") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            yield ("--certsconf", file.name)


def _fingerprints(path: Path) -> tuple[str, ...]:
    try:
        found = files.read_named(path)
    except StoreError as error:
        raise TrustError(error.message, hint=error.hint) from error
    return () if found is None else fingerprints(found.content)


def _write(path: Path, content: bytes) -> None:
    """Beside its place first, under a name that the distribution's program does not look at."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise _not_written(path.parent, error) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _not_written(path.parent, error) from error


def _not_written(folder: Path, error: OSError) -> TrustError:
    return TrustError(f"cannot write in {folder}: {error.strerror}", hint="nothing else was changed there")
