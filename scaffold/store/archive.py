"""What has ended leaves the ledger for the archive beside it, so that the cost of an apply follows what is alive.

`.scaffold/ledger.archive.jsonl` has the lines that stood in the ledger, is only ever added to, and is read only when
somebody asks for what has ended. A line is on the disk there before it leaves the ledger; killed in between, it is
in both, which is the same as once. Whoever reads both takes the ledger first: nothing leaves it for nowhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Final

from scaffold.store import files, journal, ledger
from scaffold.store.files import Writer
from scaffold.store.layout import ARCHIVE, LEDGER, Layout
from scaffold.store.ledger import Issued, Ledger

WORTH: Final = 100
"""So many lines at least are archived at once, or a quarter of what is alive: the ledger is written again for it."""

Pair = tuple[str, str]
"""A certificate's CA and serial."""

OffCrl = Callable[[Issued], bool]
"""Whether a revoked certificate that has ended is on no CRL, and need be on none (RFC 5280 3.3)."""

_SERIAL: Final = re.compile(rb'"serial"\s*:\s*"([0-9a-f]+)"')
_REVOKED: Final = b'"revoked"'
_RENAMED: Final = b'"renamed"'


def is_lost(layout: Layout, at_hand: Ledger) -> bool:
    """Whether the archive that there must be is not there."""
    return at_hand.archived and not os.path.lexists(layout.at(ARCHIVE))


# --- Looking things up ---------------------------------------------------------------------------------------------


def mentioning(layout: Layout, word: str) -> Ledger:
    """What ledger and archive together say on the lines in which `word` is: a serial, an address.

    Raises StoreError.
    """
    wanted = word.encode()
    return _scanned(layout, lambda line: wanted in line)


def revoked_ever(layout: Layout, at_hand: Ledger) -> Ledger:
    """All that was ever revoked, with the certificates, archived or not. Raises StoreError."""
    archived = {str(event.get("serial")) for event in journal.scan(layout.at(ARCHIVE), lambda line: _REVOKED in line)}
    if not archived:
        return at_hand
    wanted = archived.union(serial for _, serial in at_hand.revoked)
    known = _scanned(layout, lambda line: _REVOKED in line or _serial(line) in wanted)
    known.check()
    return known


def _serial(line: bytes) -> str:
    found = _SERIAL.search(line)
    return found[1].decode() if found is not None else ""


def _scanned(layout: Layout, wanted: Callable[[bytes], bool]) -> Ledger:
    path = layout.at(ARCHIVE)
    at_hand = list(journal.scan(layout.at(LEDGER), lambda line: wanted(line) or _RENAMED in line))
    return ledger.read(path, journal.in_order([*at_hand, *journal.scan(path, wanted)]))


# --- Archiving -----------------------------------------------------------------------------------------------------


def archive(layout: Layout, writer: Writer, known: Ledger, now: datetime, off_crl: OffCrl) -> None:
    """Moves what has ended from the ledger, which says `known`, to the archive, where that is worth it.

    Only the holder of the lock archives. Raises StoreError.
    """
    alive = sum(one.not_after >= now for one in known.issued.values())
    worth = max(WORTH, alive // 4)
    if known.events - alive - _besides_certificates(known) < worth:
        return
    ended = _ended(layout, known, now, off_crl)
    moved, stay = _divided(layout.at(LEDGER), lambda event: _goes(event, ended, known.crl_numbers))
    if len(moved) < worth:
        return
    if burnt := known.burnt.union(_burnt(ended, known)):
        stay.insert(0, journal.line_of(ledger.burnt_event(burnt, now)))
    stay.insert(0, journal.line_of(ledger.archived_event(now)))
    journal.append_lines(layout.at(ARCHIVE), moved, durable=True)
    writer.write(LEDGER, b"".join(line + b"\n" for line in stay), mode=files.SECRET_FILE, durable=True)


def _divided(path: str, goes: Callable[[journal.Event], bool]) -> tuple[list[bytes], list[bytes]]:
    """The lines that go, and those that stay; what is said of the archive is written again."""
    moved: list[bytes] = []
    stay: list[bytes] = []
    for number, line in enumerate(journal.lines(path), start=1):
        event = journal.event_of(path, number, line)
        if goes(event):
            moved.append(line)
        elif event.get("event") not in ("burnt", "archived"):
            stay.append(line)
    return moved, stay


def _besides_certificates(known: Ledger) -> int:
    """How many lines the ledger needs for what does not end with a certificate, at least."""
    return len(known.revoked) + 2 * len(known.lifted) + len(known.ca_keys) + len(known.crl_numbers)


def _ended(layout: Layout, known: Ledger, now: datetime, off_crl: OffCrl) -> Mapping[Pair, Issued]:
    """The certificates whose lines may go: they have ended, and nothing that is decided from now on needs them."""
    spoken_of = known.revoked.keys() | known.lifted
    needed = {*_newest_of_revoked(known), *_of_keys_in_use(known, now)}
    candidates = {pair: one for pair, one in known.by_serial.items() if pair not in needed}
    candidates |= _archived_before(layout, spoken_of - known.by_serial.keys())
    return {
        pair: one for pair, one in candidates.items() if one.not_after < now and (pair not in spoken_of or off_crl(one))
    }


def _newest_of_revoked(known: Ledger) -> Collection[Pair]:
    """The newest certificate of each address of which one is revoked: it says whether the address gets another."""
    newest = (
        known.newest(address)
        for address, certificates in known.by_address.items()
        if any((one.ca, one.serial) in known.revoked for one in certificates)
    )
    return [(one.ca, one.serial) for one in newest if one is not None]


def _of_keys_in_use(known: Ledger, now: datetime) -> Collection[Pair]:
    """Those over keys that somebody else may have, while one of them is valid: it falls with what was revoked."""
    valid = {(one.address, one.key) for one in known.issued.values() if one.not_after >= now}
    in_use = known.compromised_keys & valid
    return [(one.ca, one.serial) for one in known.issued.values() if (one.address, one.key) in in_use]


def _archived_before(layout: Layout, pairs: Collection[Pair]) -> Mapping[Pair, Issued]:
    """Certificates that are in the archive alone although the ledger speaks of them: two ledgers were merged."""
    if not pairs:
        return {}
    serials = {serial for _, serial in pairs}
    found = _scanned(layout, lambda line: _serial(line) in serials).by_serial
    return {pair: found[pair] for pair in pairs if pair in found}


def _goes(event: journal.Event, ended: Mapping[Pair, Issued], crl_numbers: Mapping[str, int]) -> bool:
    match event.get("event"):
        case "issued" | "revoked":
            return (event["ca"], event["serial"]) in ended
        case "crl":
            return bool(event["number"] < crl_numbers[event["ca"]])
        case _:
            return False


def _burnt(ended: Mapping[Pair, Issued], known: Ledger) -> Collection[str]:
    """The keys of revoked certificates, which outlive them: nothing is issued over one again."""
    revoked = (one for pair, one in ended.items() if pair in known.revoked and not known.revoked[pair].on_hold)
    return {one.key for one in revoked if one.key}
