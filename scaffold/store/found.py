"""Looks through a folder for certificates, keys and CRLs, whatever their names are."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509

from scaffold.errors import PkiError, StoreError
from scaffold.pki import bundles, keys
from scaffold.pki import crl as crls
from scaffold.topology.inputs import read_at_most

_LARGEST: Final = 1 << 20
"""Octets of a file that is opened: no certificate, key or usual chain has more."""

_MOST: Final = 10_000
"""Files that are looked at."""

_PEM: Final = b"-----BEGIN"
_BINARY: Final = (b"\x30", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""How what is no PEM in ASCII begins: DER, and PEM in UTF-16."""

_PASSED_OVER: Final = frozenset({".git", ".scaffold", "node_modules"})


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, in the order of its paths.

    `certificates` has each certificate once, with the first file that begins with it or else holds it; `files` what
    each file holds. `keys` are by their public half in DER; `encrypted` are those whose public half cannot be seen.
    `left` says of what was passed over why, as a sentence goes on after its path.
    """

    certificates: Mapping[x509.Certificate, Path] = field(default_factory=dict)
    files: Mapping[Path, tuple[x509.Certificate, ...]] = field(default_factory=dict)
    keys: Mapping[bytes, Path] = field(default_factory=dict)
    encrypted: Sequence[Path] = ()
    crls: Mapping[Path, tuple[crls.Crl, ...]] = field(default_factory=dict)
    left: Mapping[Path, str] = field(default_factory=dict)


def look(folder: Path) -> Found:
    """What lies in `folder` and below; links are followed to files, and not to folders. Raises StoreError."""
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder", hint="name the one that the certificates and keys are in")
    looking = _Looking()
    for path in _paths(folder):
        looking.take(path)
    return looking.found()


def _paths(folder: Path) -> Iterator[Path]:
    seen = 0
    for top, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if name not in _PASSED_OVER)
        for name in sorted(names):
            seen += 1
            if seen > _MOST:
                raise StoreError(
                    f"there are more than {_MOST:,} files below {folder}",
                    hint="name the folder of the certificates alone",
                )
            yield Path(top) / name


class _Looking:
    """What was found so far."""

    def __init__(self) -> None:
        self._files: dict[Path, tuple[x509.Certificate, ...]] = {}
        self._keys: dict[bytes, Path] = {}
        self._encrypted: list[Path] = []
        self._crls: dict[Path, tuple[crls.Crl, ...]] = {}
        self._left: dict[Path, str] = {}

    def take(self, path: Path) -> None:
        content = _content(path)
        if not _is_text(path):
            self._left[path] = "has a name that is not UTF-8, which a topology cannot contain"
        elif content is None:
            self._left[path] = "cannot be read by this user"
        elif _PEM in content or content.startswith(_BINARY):
            self._read(path, content)

    def _read(self, path: Path, content: bytes) -> None:
        if b"PRIVATE KEY-----" in content:
            self._key(path, content)
        if b"-----BEGIN X509 CRL" in content or not self._certificates(path, content):
            self._lists(path, content)

    def _key(self, path: Path, content: bytes) -> None:
        try:
            if keys.is_encrypted(content):
                self._encrypted.append(path)
            else:
                self._keys.setdefault(keys.public_of(content), path)
        except PkiError as error:
            self._left[path] = f"is {error}"

    def _certificates(self, path: Path, content: bytes) -> bool:
        """Whether certificates are in it, which are noted."""
        try:
            found = bundles.parse_certificates(content)
        except PkiError as error:
            if _PEM not in content or b"CERTIFICATE-----" in content:
                self._left[path] = f"is {error}"
            return False
        sound = tuple(one for one in found if bundles.not_understood(one) is None)
        if len(sound) < len(found):
            self._left[path] = "holds a certificate that cannot be understood"
        self._files[path] = sound
        return True

    def _lists(self, path: Path, content: bytes) -> None:
        try:
            self._crls[path] = crls.load_all(content)
        except PkiError:
            return  # said of it as no certificate already, or it is a key
        self._left.pop(path, None)

    def found(self) -> Found:
        """All of it."""
        certificates: dict[x509.Certificate, Path] = {}
        for path, held in self._files.items():
            if held:
                certificates.setdefault(held[0], path)
        for path, held in self._files.items():
            for one in held:
                certificates.setdefault(one, path)
        return Found(certificates, self._files, self._keys, tuple(self._encrypted), self._crls, self._left)


def _is_text(path: Path) -> bool:
    """Whether a path can be written: YAML is text."""
    return str(path).isprintable()


def _content(path: Path) -> bytes | None:
    """A file's content, empty where it is too large or no file; None where it cannot be read."""
    try:
        return read_at_most(path, _LARGEST) if path.is_file() and path.stat().st_size <= _LARGEST else b""
    except OSError:
        return None
