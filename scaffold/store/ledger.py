"""The ledger: every certificate that was ever issued here, and what became of it; nothing is ever taken out.

One event per line of `.scaffold/ledger.jsonl`, each with its `event` and, as ISO 8601 in UTC, its `at`:

    topology   name                                     the first line: whose folder this is
    ca-key     ca, spki (base64 DER), file_sha256       a CA's key, before its file is in place
    issued     address, ca, serial (hex), subject, issuer, not_before, not_after, fingerprint_sha256,
               issuer_key, key (SHA-256 of the SPKI of the key that signed it, and of its own)
    crl        ca, number                               a CRL's number, before it is in place
    revoked    ca, serial, reason, replace              before a CRL says so; `removeFromCRL` lifts a `certificateHold`
                                                        (RFC 5280 5.3.1); `replace` is false where no new one follows

Events that this version does not know are kept and passed over.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from scaffold.errors import AddressError, StoreError
from scaffold.store import journal
from scaffold.store.layout import LEDGER, Layout
from scaffold.topology.address import Address

LIFTED: Final = "removeFromCRL"
HOLD: Final = "certificateHold"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was issued. `serial` is in lower-case hex, `ca` its CA's name (its own, if self-signed)."""

    address: Address
    ca: str
    serial: str
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    fingerprint_sha256: str
    issuer_key: str = ""
    """SHA-256 of the SubjectPublicKeyInfo of the key that signed it."""
    key: str = ""
    """SHA-256 of its own SubjectPublicKeyInfo; empty where the ledger is older than that."""


@dataclass(frozen=True, slots=True)
class CaKey:
    """A CA's key: its public half in DER, and the SHA-256 of the key file, encrypted or not."""

    spki: bytes
    file_sha256: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that must not be believed any more. `reason` is a CRLReason by its name in RFC 5280 5.3.1.

    `replace`: whether its holder gets another; if not, it goes without until `renew` asks for one.
    """

    ca: str
    serial: str
    reason: str
    at: datetime
    replace: bool = True

    @property
    def on_hold(self) -> bool:
        """Whether this may be lifted again."""
        return self.reason == HOLD


@dataclass(frozen=True)
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
    lifted: frozenset[tuple[str, str]] = frozenset()
    """The holds that were lifted, by CA and serial."""
    length: int = 0
    """How many events there are: it grows with everything that happens."""

    @cached_property
    def by_serial(self) -> Mapping[tuple[str, str], Issued]:
        """What was issued, by CA and serial: that pair names a certificate (RFC 5280 4.1.2.2)."""
        return {(one.ca, one.serial): one for one in self.issued.values()}

    @cached_property
    def by_address(self) -> Mapping[Address, tuple[Issued, ...]]:
        """What was issued to each address, oldest first."""
        found: dict[Address, list[Issued]] = {}
        for one in self.issued.values():
            found.setdefault(one.address, []).append(one)
        return {address: tuple(all_of_it) for address, all_of_it in found.items()}

    @cached_property
    def revoked_keys(self) -> frozenset[str]:
        """The keys of revoked certificates, by the SHA-256 of their SPKI: nothing is issued over one again."""
        pairs = [pair for pair, entry in self.revoked.items() if not entry.on_hold]
        return frozenset(one.key for pair in pairs if (one := self.by_serial.get(pair)) is not None and one.key)

    def withdrawn(self, address: Address) -> Revoked | None:
        """The revocation that leaves `address` without a certificate, None where it has one or may get one."""
        if not self.revoked or not (certificates := self.by_address.get(address)):
            return None
        newest = certificates[-1]
        entry = self.revoked.get((newest.ca, newest.serial))
        return entry if entry is not None and not entry.replace else None

    def after(self, entries: Iterable[Revoked]) -> Ledger:
        """The ledger as it will be once `entries` are in it."""
        revoked, lifted = dict(self.revoked), set(self.lifted)
        for entry in entries:
            _revoke(revoked, lifted, entry)
        return replace(self, revoked=revoked, lifted=frozenset(lifted))


def load(layout: Layout) -> Ledger:
    """Reads the ledger; an empty one where there is none. Raises StoreError."""
    topology: str | None = None
    issued: dict[str, Issued] = {}
    ca_keys: dict[str, CaKey] = {}
    crl_numbers: dict[str, int] = {}
    revoked: dict[tuple[str, str], Revoked] = {}
    lifted: set[tuple[str, str]] = set()
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
                    _revoke(revoked, lifted, _revocation(event))
                case _:
                    pass
    except (KeyError, TypeError, ValueError, AttributeError, AddressError) as error:
        raise StoreError(
            f"{layout.at(LEDGER)} is not what scaffold wrote: {error!r}",
            hint="put back the file from a backup; nothing was changed",
        ) from error
    return Ledger(topology, issued, ca_keys, crl_numbers, revoked, frozenset(lifted), len(events))


def _issued(event: Mapping[str, Any]) -> Issued:
    return Issued(
        address=Address.parse(event["address"]),
        ca=event["ca"],
        serial=event["serial"],
        subject=event["subject"],
        issuer=event["issuer"],
        not_before=datetime.fromisoformat(event["not_before"]),
        not_after=datetime.fromisoformat(event["not_after"]),
        fingerprint_sha256=event["fingerprint_sha256"],
        issuer_key=event.get("issuer_key", ""),
        key=event.get("key", ""),
    )


def _revocation(event: Mapping[str, Any]) -> Revoked:
    at = datetime.fromisoformat(event["at"])
    return Revoked(event["ca"], event["serial"], event["reason"], at, bool(event.get("replace", True)))


def _revoke(revoked: dict[tuple[str, str], Revoked], lifted: set[tuple[str, str]], entry: Revoked) -> None:
    pair = (entry.ca, entry.serial)
    before = revoked.get(pair)
    if entry.reason == LIFTED:
        # What is more than a hold stays for good, whatever the file says (RFC 5280 5.3.1).
        if before is not None and before.on_hold:
            del revoked[pair]
            lifted.add(pair)
    elif before is not None and before.on_hold:
        # X.509 8.5.2.3: a hold that becomes final keeps the date on which it began.
        revoked[pair] = replace(entry, at=before.at)
    else:
        revoked.setdefault(pair, entry)
        lifted.discard(pair)


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
                    "address": str(one.address),
                    "ca": one.ca,
                    "serial": one.serial,
                    "subject": one.subject,
                    "issuer": one.issuer,
                    "not_before": _text(one.not_before),
                    "not_after": _text(one.not_after),
                    "fingerprint_sha256": one.fingerprint_sha256,
                    "issuer_key": one.issuer_key,
                    "key": one.key,
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
            (
                {
                    "ca": one.ca,
                    "serial": one.serial,
                    "reason": one.reason,
                    "replace": one.replace,
                    "at": _text(one.at),
                }
                for one in entries
            ),
        )

    def _append(self, name: str, events: Iterable[journal.Event]) -> None:
        journal.append(self._path, ({"event": name, "at": self._at, **event} for event in events), durable=True)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
