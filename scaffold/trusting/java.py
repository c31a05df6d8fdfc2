"""Java's store: the `cacerts` of one Java, changed on a copy that takes its place when it holds what it should."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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

_BELOW_HOME: Final = ("lib/security/cacerts", "jre/lib/security/cacerts")
"""From Java 9 on, and before."""

DEBIAN: Final = Path("/etc/ssl/certs/java/cacerts")
_GENERATED: Final = Path("/etc/pki/ca-trust/extracted")
"""Fedora makes a store for Java here from the system's: what trusts the one trusts the other."""

_VARIABLE: Final = "STORE_PASSWORD"
"""In which keytool is told the password that Java gives its store, and everybody leaves: it keeps nothing secret."""
_COPIED: Final = re.compile(r"debian:(?P<label>.*)\.pem")
"""How Debian's hook calls what it takes over from the system's store."""
_INSTALL: Final = "install a Java runtime (apt-get install default-jre-headless), or set JAVA_HOME to one"


def present(environment: Mapping[str, str]) -> tuple[JavaStore, ...]:
    """The store of the Java in JAVA_HOME; without that of the one on PATH; else Debian's.

    None where Java reads what is made from the system's store.
    """
    home = environment.get("JAVA_HOME") or _home_on_path()
    places = [Path(home) / one for one in _BELOW_HOME] if home else []
    if not environment.get("JAVA_HOME"):
        places.append(DEBIAN)
    found = next((place for place in places if place.is_file()), None)
    if found is None or found.resolve().is_relative_to(_GENERATED):
        return ()
    return (JavaStore(found, home),)


def _home_on_path() -> str | None:
    java = where("keytool") or where("java")
    return None if java is None else str(Path(java).resolve().parent.parent)


@dataclass(frozen=True, slots=True)
class JavaStore:
    """One keystore of roots, through the `keytool` of its Java (`home`) or of another."""

    file: Path
    home: str | None = None

    @property
    def kind(self) -> StoreKind:
        return StoreKind.JAVA

    @property
    def place(self) -> str:
        return str(self.file)

    def holds(self) -> tuple[Entry, ...]:
        return self._read(self._real)

    def obstacle(self) -> Obstacle | None:
        """The file and its folder must be writable."""
        real = self._real
        for path in (real, real.parent):
            if not os.access(path, os.W_OK):
                if os.geteuid() == 0:
                    return Obstacle(f"{path} cannot be written, not even as root", "is it mounted read-only?")
                return Obstacle(f"{path} cannot be written by this user", as_root=True)
        return None

    def install(self, anchor: Anchor) -> None:
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(bundles.pem(anchor.certificate))
            file.flush()
            with self._copy() as copy:
                self._change(copy, "-importcert", "-noprompt", "-alias", anchor.label, "-file", file.name)

    def uninstall(self, entries: Sequence[Entry]) -> None:
        with self._copy() as copy:
            for entry in entries:
                self._change(copy, "-delete", "-alias", entry.name)

    @property
    def _real(self) -> Path:
        return self.file.resolve()

    def _read(self, file: Path) -> tuple[Entry, ...]:
        done = self._keytool(file, "-list", "-rfc")
        if done.returncode != 0:
            raise self._failed(said(done))
        return tuple(_entries(done.stdout))

    def _change(self, copy: Path, *arguments: str) -> None:
        done = self._keytool(copy, *arguments)
        if done.returncode != 0:
            raise self._failed(said(done))

    @contextlib.contextmanager
    def _copy(self) -> Iterator[Path]:
        """A copy to change, which then takes the place of the store: keytool itself writes over the file it reads."""
        real = self._real
        before = real.stat()
        beside = real.with_name(f".{real.name}.{os.getpid()}.new")
        try:
            shutil.copyfile(real, beside)
            yield beside
            _finish(beside, before)
            if (now := real.stat()).st_mtime_ns != before.st_mtime_ns or now.st_ino != before.st_ino:
                raise TrustError(f"{self.place} was changed by another program meanwhile", hint="run this again")
            beside.replace(real)
        except OSError as error:
            raise TrustError(f"cannot write {real}: {error.strerror}", hint="the store is unchanged") from error
        finally:
            with contextlib.suppress(OSError):
                beside.unlink()

    def _keytool(self, file: Path, *arguments: str) -> CompletedProcess[str]:
        own = f"{self.home}/bin/keytool" if self.home is not None else None
        program = own if own is not None and os.access(own, os.X_OK) else where("keytool")
        if program is None:
            raise TrustError("keytool is not installed", hint=_INSTALL)
        return attempt(
            [program, "-J-Duser.language=en", *arguments, "-keystore", str(file), "-storepass:env", _VARIABLE],
            {_VARIABLE: bundles.TRUST_STORE_PASSWORD.decode()},
        )

    def _failed(self, why: str) -> TrustError:
        if "password was incorrect" in why:
            message = f"{self.place} is damaged, or has another password than the default"
            return TrustError(message, hint="add the root with keytool -importcert, or set the default password again")
        return TrustError(f"{self.place} cannot be used: {why}", hint="the store is unchanged")


def _finish(copy: Path, original: os.stat_result) -> None:
    """Rights and owner of the original; and on the disk before it takes the place of that."""
    with copy.open("r+b") as file:
        if (original.st_uid, original.st_gid) != (os.geteuid(), os.fstat(file.fileno()).st_gid):
            os.fchown(file.fileno(), original.st_uid, original.st_gid)
        os.fchmod(file.fileno(), stat.S_IMODE(original.st_mode))
        os.fsync(file.fileno())


_ALIAS: Final = re.compile(r"^Alias name: (?P<alias>.*)$", re.MULTILINE)


def _entries(listed: str) -> Iterator[Entry]:
    """What `keytool -list -rfc` prints: an alias, what it is, and in PEM its certificate or, for a key, several."""
    found = list(_ALIAS.finditer(listed))
    ends = [*(one.start() for one in found[1:]), len(listed)]
    for one, end in zip(found, ends, strict=True):
        text = listed[one.end() : end]
        certificates = fingerprints(text.encode())
        if not certificates:
            continue  # a secret key has none
        alias = one["alias"]
        copied = _COPIED.fullmatch(alias)
        yield Entry(
            alias,
            copied["label"] if copied is not None else alias,
            certificates[0],
            trusted="trustedCertEntry" in text,
            copied=copied is not None,
        )
