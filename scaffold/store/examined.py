"""What a plan need not work out again: which certificates are in order, and what projects are rendered from.

`.scaffold/examined.json` is no record: whoever loses it loses time, and no answer depends on it. Each entry names by a
MAC (keyed BLAKE2b, RFC 7693 2.9) what was examined, byte for byte, and between which two moments that is in order;
another MAC names from what the inputs of the projects were derived. Its key is random, of this folder alone, and in a
file of its own beside it, so that nothing from elsewhere (another folder, a repository, a damaged disk) passes for an
entry. Git ignores both. Whoever can read and write `.scaffold` can forge an entry, as they can the ledger; and what the
ledger says of revocations is asked each time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from scaffold.errors import StoreError
from scaffold.pki.randomness import Randomness
from scaffold.store import files
from scaffold.store.files import SECRET_FILE, Writer
from scaffold.store.layout import EXAMINED, EXAMINED_KEY, Layout

KEY_BYTES: Final = 32
_MAC_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Examination:
    """A certificate that is in order from `begins` on and before `ends`, in seconds since 1970.

    `content` is the digest of all that was examined. Its serial and its fingerprint are in hex, as the ledger has them.
    """

    content: bytes
    serial: str
    fingerprint: str
    begins: float
    ends: float

    def mac(self, key: bytes) -> str:
        """What only those can write who have the folder's key."""
        said = f"{self.serial} {self.fingerprint} {self.begins!r} {self.ends!r} ".encode()
        return hashlib.blake2b(said + self.content, key=key, digest_size=_MAC_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """An examination as it is written down: `mac` in the place of its content."""

    mac: str
    serial: str
    fingerprint: str
    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class Derivation:
    """What projects are rendered from, by the address of a server or client.

    `source` is the digest of all that it was derived from.
    """

    source: bytes = b""
    inputs: Mapping[str, str] = field(default_factory=dict)

    def mac(self, key: bytes) -> str:
        """What only those can write who have the folder's key; no examination has the same."""
        said = self.source + json.dumps(self.inputs).encode()
        return hashlib.blake2b(said, key=key, digest_size=_MAC_BYTES, person=b"projects").hexdigest()


@dataclass(frozen=True, slots=True)
class Remembered:
    """The entries by the address of the certificate, and what is derived. Without a key nothing is believed.

    `derivation` is without its source as it is read; `derivation_mac` says which that was.
    """

    key: bytes | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict)
    derivation: Derivation = Derivation()
    derivation_mac: str = ""

    def is_derived_from(self, source: bytes) -> bool:
        """Whether the inputs of the projects are those that were derived from `source`."""
        if self.key is None:
            return False
        claimed = Derivation(source, self.derivation.inputs)
        return hmac.compare_digest(claimed.mac(self.key), self.derivation_mac)

    def holds(self, entry: Entry, content: bytes) -> bool:
        """Whether this entry, of this folder, is of that content."""
        if self.key is None:
            return False
        claimed = Examination(content, entry.serial, entry.fingerprint, entry.begins, entry.ends)
        return hmac.compare_digest(claimed.mac(self.key), entry.mac)


def load(layout: Layout) -> Remembered:
    """What is remembered; nothing where that cannot be read, or is not what was written there."""
    try:
        key, found = files.read(layout.at(EXAMINED_KEY)), files.read(layout.at(EXAMINED))
        if key is None or found is None or len(key.content) != KEY_BYTES:
            return Remembered()
        said = json.loads(found.content)
        entries = {address: _entry(*fields) for address, fields in said["certificates"].items()}
        derivation_mac, derivation = _derivation(**said["projects"])
    except (StoreError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Remembered()
    return Remembered(key.content, entries, derivation, derivation_mac)


def _derivation(mac: object, inputs: object) -> tuple[str, Derivation]:
    """Raises TypeError for what has another type than it was written with."""
    if not (isinstance(mac, str) and mac.isascii() and isinstance(inputs, dict)):
        raise TypeError("no derivation")
    return mac, Derivation(inputs=inputs)


def _entry(mac: object, serial: object, fingerprint: object, begins: object, ends: object) -> Entry:
    """Raises TypeError for what has another type than it was written with."""
    if not (isinstance(mac, str) and isinstance(serial, str) and isinstance(fingerprint, str) and mac.isascii()):
        raise TypeError("no text")
    if not (isinstance(begins, float) and isinstance(ends, float)):
        raise TypeError("no moment")
    return Entry(mac, serial, fingerprint, begins, ends)


def save(
    layout: Layout,
    writer: Writer,
    known: Remembered,
    examined: Mapping[str, Examination],
    randomness: Randomness,
) -> None:
    """Writes what held of what was `known`, with what is derived now, and what was `examined` since, by address.

    Only the holder of the lock does. Raises StoreError.
    """
    key = known.key or _new_key(layout, writer, randomness)
    entries = {address: _fields(entry) for address, entry in known.entries.items()}
    for address, one in examined.items():
        entries[address] = (one.mac(key), one.serial, one.fingerprint, one.begins, one.ends)
    projects = {"mac": known.derivation.mac(key), "inputs": known.derivation.inputs}
    said = json.dumps({"certificates": entries, "projects": projects}, separators=(",", ":"))
    writer.write(EXAMINED, said.encode(), mode=SECRET_FILE)


def _fields(entry: Entry) -> tuple[str, str, str, float, float]:
    return entry.mac, entry.serial, entry.fingerprint, entry.begins, entry.ends


def _new_key(layout: Layout, writer: Writer, randomness: Randomness) -> bytes:
    key = randomness.octets(str(layout.out.name), "examined", KEY_BYTES)
    writer.write(EXAMINED_KEY, key, mode=SECRET_FILE)
    return key
