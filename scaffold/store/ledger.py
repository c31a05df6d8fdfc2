"""The ledger: every certificate that was ever issued here, and what became of it; nothing is ever taken out.

One event per line of `.scaffold/ledger.jsonl`, each with its `event` and, as ISO 8601 in UTC, its `at`:

    topology   name                                     the first line: whose folder this is
    ca-key     ca, spki (base64 DER), file_sha256       a CA's key, before its file is in place
    issued     address, ca, serial (hex), subject, issuer, not_before, not_after, fingerprint_sha256,
               issuer_key (SHA-256 of the signing key's SPKI)
    crl        ca, number                               a CRL's number, before it is in place
    revoked    ca, serial, reason                       `removeFromCRL` lifts a `certificateHold` (RFC 5280 5.3.1)

Events that this version does not know are kept and passed over.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scaffold.errors import StoreError
from scaffold.store import journal
from scaffold.store.layout import LEDGER, Layout

LIFTED = "removeFromCRL"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was issued. `serial` is in lower-case hex, `ca` its CA's name (its own, if self-signed)."""

    address: str
    ca: str
    serial: str
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    fingerprint_sha256: str
    issuer_key: str = ""
    """SHA-256 of the SubjectPublicKeyInfo of the key that signed it."""


@dataclass(frozen=True, slots=True)
class CaKey:
    """A CA's key: its public half in DER, and the SHA-256 of the key file, encrypted or not."""

    spki: bytes
    file_sha256: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that must not be believed any more. `reason` is a CRLReason by its name in RFC 5280 5.3.1."""

    ca: str
    serial: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger says at one moment."""

    topology: str | None = None
    issued: Mapping[str, Issued] = field(default_factory=dict)
    """By fingerprint, oldest first."""
    ca_keys: Mapping[str, CaKey] = field(default_factory=dict)
    """The newest of each CA."""
    crl_numbers: Mapping[str, int] = field(default_factory=dict)
    revoked: Mapping[tuple[str, str], Revoked] = field(default_factory=dict)
    """By CA and serial."""
    length: int = 0
    """How many events there are: it grows with everything that happens."""


def load(layout: Layout) -> Ledger:
    """Reads the ledger; an empty one where there is none. Raises StoreError."""
    topology: str | None = None
    issued: dict[str, Issued] = {}
    ca_keys: dict[str, CaKey] = {}
    crl_numbers: dict[str, int] = {}
    revoked: dict[tuple[str, str], Revoked] = {}
    events = journal.load(layout.at(LEDGER))
    try:
        for event in events:
            match event.get("event"):
                case "topology":
                    topology = str(event["name"])
                case "ca-key":
                    ca_keys[event["ca"]] = CaKey(base64.b64decode(event["spki"]), event["file_sha256"])
                case "issued":
                    issued[event["fingerprint_sha256"]] = _issued(event)
                case "crl":
                    crl_numbers[event["ca"]] = max(int(event["number"]), crl_numbers.get(event["ca"], 0))
                case "revoked":
                    _revoke(revoked, event)
                case _:
                    pass
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{layout.at(LEDGER)} is not what scaffold wrote: {error!r}",
            hint="put back the file from a backup; nothing was changed",
        ) from error
    return Ledger(topology, issued, ca_keys, crl_numbers, revoked, len(events))


def _issued(event: Mapping[str, Any]) -> Issued:
    return Issued(
        address=event["address"],
        ca=event["ca"],
        serial=event["serial"],
        subject=event["subject"],
        issuer=event["issuer"],
        not_before=datetime.fromisoformat(event["not_before"]),
        not_after=datetime.fromisoformat(event["not_after"]),
        fingerprint_sha256=event["fingerprint_sha256"],
        issuer_key=event.get("issuer_key", ""),
    )


def _revoke(revoked: dict[tuple[str, str], Revoked], event: Mapping[str, Any]) -> None:
    entry = Revoked(event["ca"], event["serial"], event["reason"], datetime.fromisoformat(event["at"]))
    if entry.reason == LIFTED:
        revoked.pop((entry.ca, entry.serial), None)
    else:
        revoked[entry.ca, entry.serial] = entry


class Recorder:
    """Appends to the ledger; every call is on the disk before it returns. Only the holder of the lock has one."""

    def __init__(self, layout: Layout, now: datetime) -> None:
        self._path = layout.at(LEDGER)
        self._at = _text(now)

    def topology(self, name: str) -> None:
        """Says whose folder this is."""
        self._append("topology", [{"name": name}])

    def ca_key(self, ca: str, key: CaKey) -> None:
        """Records the key of `ca`, before its file is put in place."""
        spki = base64.b64encode(key.spki).decode()
        self._append("ca-key", [{"ca": ca, "spki": spki, "file_sha256": key.file_sha256}])

    def issued(self, certificates: Sequence[Issued]) -> None:
        """Records certificates, all at once, before any of them is put in place."""
        self._append(
            "issued",
            (
                {
                    "address": one.address,
                    "ca": one.ca,
                    "serial": one.serial,
                    "subject": one.subject,
                    "issuer": one.issuer,
                    "not_before": _text(one.not_before),
                    "not_after": _text(one.not_after),
                    "fingerprint_sha256": one.fingerprint_sha256,
                    "issuer_key": one.issuer_key,
                }
                for one in certificates
            ),
        )

    def crl(self, ca: str, number: int) -> None:
        """Records the number of a CRL, before it is put in place."""
        self._append("crl", [{"ca": ca, "number": number}])

    def revoked(self, entries: Iterable[Revoked]) -> None:
        """Records revocations and, with the reason `removeFromCRL`, their end."""
        self._append(
            "revoked",
            ({"ca": one.ca, "serial": one.serial, "reason": one.reason, "at": _text(one.at)} for one in entries),
        )

    def _append(self, name: str, events: Iterable[journal.Event]) -> None:
        journal.append(self._path, ({"event": name, "at": self._at, **event} for event in events), durable=True)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
