"""The ledger: which certificates were issued here, and what became of them. Nothing is ever taken out of the whole.

What still matters is at hand in `.scaffold/ledger.jsonl`; what has ended is in the archive beside it (`archive`).
One event per line, each with its `event` and, as ISO 8601 in UTC, its `at` (`journal` says how they are ordered):

    topology   name                                     the first: whose folder this is
    ca-key     ca, spki (base64 DER), file_sha256       a CA's key, before its file is in place; `ca` is NAME, or
                                                        NAME@2 for the second generation
    issued     address, ca, serial (hex), subject, issuer, not_before, not_after, fingerprint_sha256,
               issuer_key, key (SHA-256 of the SPKI of the key that signed it, and of its own), of a leaf its
               names (its subject alternative names), and also_calls where a server's own is for calling as well
    crl        ca, number                               a CRL's number, before it is in place; `ca` as above
    revoked    ca, serial, reason, replace              before a CRL says so; `removeFromCRL` lifts a `certificateHold`
                                                        (RFC 5280 5.3.1); `replace` is false where no new one follows
    renamed    from, to                                 a server or client: what was issued to `from` so far is `to`'s,
                                                        and what was issued to `to` is that of one that had left
    burnt      keys                                     the `key` of each revoked certificate that is in the archive
    adopted    ca, subject, key, issuer, issuer_key,    the certificate of a CA that was made elsewhere, and its issuer
               not_after
    applied    plan                                     the SHA-256 of a saved plan that was carried out
    archived   there                                    whether what has ended is in the archive; false where that was
                                                        lost, and all goes on without

Events that this version does not know are kept and passed over.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from scaffold.errors import AddressError, StoreError
from scaffold.pki.crl import COMPROMISE, Reason
from scaffold.store import journal
from scaffold.store.layout import LEDGER, Layout
from scaffold.topology.address import Address

FIRST_YEAR: Final = 1950
"""Of a revocation date in a CRL (RFC 5280 4.1.2.5.1)."""

LIFTED: Final = "removeFromCRL"
HOLD: Final = "certificateHold"

_ISSUED: Final = ("address", "ca", "serial", "subject", "issuer", "fingerprint_sha256")
_KNOWN: Final = ("topology", "ca-key", "issued", "crl", "revoked", "renamed", "burnt", "adopted", "applied", "archived")
_REASONS: Final = frozenset((LIFTED, *Reason))
_SERIAL: Final = re.compile(r"[1-9a-f][0-9a-f]{0,39}")  # RFC 5280 4.1.2.2: positive, at most 20 octets
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NUMBERS: Final = 1 << 159  # RFC 5280 5.2.3: at most 20 octets, the first bit being the sign


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
    names: tuple[str, ...] = ()
    """A leaf's subject alternative names; empty where the ledger is older than that."""
    of_predecessor: bool = False
    """Whether its holder had left when another entity was renamed to its name: it is not who has that name now."""
    also_calls: bool = False
    """Whether a server's own certificate gets it in elsewhere: it is for clients as well, or for any purpose."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """The certificate of a CA that was made elsewhere: names, the SHA-256 of its SPKI and its issuer's, and its end."""

    ca: str
    subject: str
    key: str
    issuer: str
    issuer_key: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class CaKey:
    """A CA's key: its public half in DER, and the SHA-256 of the key file, encrypted or not."""

    spki: bytes
    file_sha256: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that must not be believed any more. `reason` is a CRLReason by its name in RFC 5280 5.3.1.

    `replace`: whether its holder gets another; if not, it goes without until `renew` asks for one. Two people may have
    put the same certificate on hold, in two copies of the ledger that were merged: each lifts what that one saw.
    """

    ca: str
    serial: str
    reason: str
    at: datetime
    replace: bool = True
    holds: tuple[datetime, ...] = ()
    """Of a hold: when each that is in force began. Of its end: which ones are lifted; empty where all are."""

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
    """The newest of each generation of a CA, by its label."""
    crl_numbers: Mapping[str, int] = field(default_factory=dict)
    """The highest of each generation of a CA, by its label."""
    revoked: Mapping[tuple[str, str], Revoked] = field(default_factory=dict)
    """By CA and serial."""
    lifted: frozenset[tuple[str, str]] = frozenset()
    """The holds that were lifted, by CA and serial."""
    renamed: Mapping[Address, Address] = field(default_factory=dict)
    """The newer name of each entity that was renamed, unless something was issued to the former one since."""
    burnt: frozenset[str] = frozenset()
    """The keys of revoked certificates that are in the archive."""
    adopted: frozenset[Adopted] = frozenset()
    applied: Mapping[str, datetime] = field(default_factory=dict)
    """The saved plans that were carried out, and when, by their SHA-256."""
    archived: bool = False
    """Whether there must be an archive."""
    events: int = 0
    """How many events are at hand."""
    latest: datetime | None = None
    """What the clock said when the last of them was appended."""
    nonsense: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with the first line about a CA that cannot be, by CA: what is known of the others is sound."""

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

    def newest(self, address: Address) -> Issued | None:
        """What was last issued to who has `address` now, None where there is nothing."""
        return next((one for one in reversed(self.by_address.get(address, ())) if not one.of_predecessor), None)

    @cached_property
    def revoked_keys(self) -> frozenset[str]:
        """The keys of revoked certificates, by the SHA-256 of their SPKI: nothing is issued over one again."""
        pairs = [pair for pair, entry in self.revoked.items() if not entry.on_hold]
        at_hand = (one.key for pair in pairs if (one := self.by_serial.get(pair)) is not None and one.key)
        return self.burnt.union(at_hand)

    @cached_property
    def compromised_keys(self) -> frozenset[tuple[Address, str]]:
        """Whose keys somebody else may have, with each of them: that is said of every certificate over it."""
        pairs = [pair for pair, entry in self.revoked.items() if entry.reason in COMPROMISE]
        issued = [one for pair in pairs if (one := self.by_serial.get(pair)) is not None]
        return frozenset((one.address, one.key) for one in issued if one.key)

    def check(self, *cas: str) -> None:
        """Raises StoreError where a line about one of `cas`, or about any CA where none is named, cannot be."""
        for ca in cas or self.nonsense:
            if ca in self.nonsense:
                raise StoreError(self.nonsense[ca], hint=journal.RESTORE)

    def withdrawn(self, address: Address) -> Revoked | None:
        """The revocation that leaves `address` without a certificate, None where it has one or may get one."""
        if not self.revoked or (newest := self.newest(address)) is None:
            return None
        entry = self.revoked.get((newest.ca, newest.serial))
        return entry if entry is not None and not entry.replace else None

    def with_issued(self, certificates: Iterable[Issued]) -> Ledger:
        """The ledger with certificates that it does not know, as the newest."""
        return replace(self, issued={**self.issued, **{one.fingerprint_sha256: one for one in certificates}})

    def after(self, entries: Iterable[Revoked]) -> Ledger:
        """The ledger as it will be once `entries` are in it."""
        revoked, lifted = dict(self.revoked), set(self.lifted)
        for entry in entries:
            _revoke(revoked, lifted, entry)
        return replace(self, revoked=revoked, lifted=frozenset(lifted))


def load(layout: Layout) -> Ledger:
    """Reads what is at hand; an empty ledger where there is none. `check` says whether all of it makes sense.

    Raises StoreError where a line is damaged, or cannot be and says of no CA.
    """
    path = layout.at(LEDGER)
    found = journal.load(path)
    return replace(read(path, found), events=len(found))


def read(path: str, events: Iterable[journal.Event]) -> Ledger:
    """What events of `path` say, in their order. Raises StoreError as `load` does."""
    reading = _Reading()
    nonsense: dict[str, str] = {}
    for event in events:
        try:
            if event.get("event") in _KNOWN or "ca" in event:
                reading.take(event)
        except (ValueError, AddressError) as error:
            damaged = journal.damaged_event(path, event, error)
            if not isinstance(ca := event.get("ca"), str):
                raise damaged from error
            nonsense.setdefault(ca, damaged.message)
    return reading.ledger(nonsense)


@dataclass(slots=True)
class _Reading:
    """What was read so far."""

    topology: str | None = None
    issued: dict[str, Issued] = field(default_factory=dict)
    ca_keys: dict[str, CaKey] = field(default_factory=dict)
    crl_numbers: dict[str, int] = field(default_factory=dict)
    revoked: dict[tuple[str, str], Revoked] = field(default_factory=dict)
    lifted: set[tuple[str, str]] = field(default_factory=set)
    renamed: dict[Address, Address] = field(default_factory=dict)
    burnt: set[str] = field(default_factory=set)
    adopted: set[Adopted] = field(default_factory=set)
    applied: dict[str, datetime] = field(default_factory=dict)
    archived: bool = False
    latest: datetime | None = None

    def take(self, event: journal.Event) -> None:
        """Raises ValueError or AddressError for what cannot be."""
        self.latest = _moment(event, "at")
        match event.get("event"):
            case "issued":
                one = _issued(event)
                self.issued[one.fingerprint_sha256] = one
                self.renamed.pop(one.address.entity, None)
            case "topology":
                owner = _text(event, "name")
                self.topology = self.topology or owner
            case "ca-key":
                self.ca_keys[_generation(event)] = _ca_key(event)
            case "crl":
                ca, number = _generation(event), _number(event)
                self.crl_numbers[ca] = max(number, self.crl_numbers.get(ca, 0))
            case "revoked":
                _revoke(self.revoked, self.lifted, _revocation(event))
            case "renamed":
                self._rename(Address.parse(_text(event, "from")), Address.parse(_text(event, "to")))
            case "burnt" | "archived":
                self._of_archive(event)
            case "adopted":
                self.adopted.add(_adopted(event))
            case "applied":
                self.applied[_matching(_SHA256, event, "plan")] = self.latest
            case unknown:
                # What a newer version says of a CA may be a revocation: no CRL is signed without it.
                raise ValueError(
                    f"this version does not know the event {unknown!r}; a newer version may have written it"
                )

    def _of_archive(self, event: journal.Event) -> None:
        if event["event"] == "burnt":
            self.burnt.update(_list(event, "keys"))
        else:
            self.archived = _truth(event, "there")

    def _rename(self, former: Address, name: Address) -> None:
        """Moves what the entity has; what stood under the name was its predecessor's, and stays there."""
        is_known = self.renamed.get(former) == name
        self.renamed.pop(name, None)
        self.renamed[former] = name
        affected = [one for one in self.issued.values() if one.address.entity in (former, name)]
        moved = [one for one in affected if one.address.entity == former and not one.of_predecessor]
        if is_known and not moved:
            return
        for one in affected:
            self.issued[one.fingerprint_sha256] = replace(one, of_predecessor=one.address.entity == name)
        for one in moved:
            address = Address(name.role, name.name, one.address.part)
            self.issued[one.fingerprint_sha256] = replace(one, address=address)

    def ledger(self, nonsense: Mapping[str, str]) -> Ledger:
        return Ledger(
            self.topology,
            self.issued,
            self.ca_keys,
            self.crl_numbers,
            self.revoked,
            frozenset(self.lifted),
            self.renamed,
            frozenset(self.burnt),
            frozenset(self.adopted),
            self.applied,
            self.archived,
            latest=self.latest,
            nonsense=nonsense,
        )


def _issued(event: journal.Event) -> Issued:
    address, ca, serial, subject, issuer, fingerprint = _texts(event, _ISSUED)
    not_before, not_after = _moment(event, "not_before"), _moment(event, "not_after")
    if not_after < not_before:
        raise ValueError("it expires before it is valid")
    _check(_SERIAL, "serial", serial)
    _check(_SHA256, "fingerprint_sha256", fingerprint)
    keys = _text(event, "issuer_key", ""), _text(event, "key", "")
    names = _list(event, "names") if "names" in event else ()
    return Issued(
        Address.parse(address),
        ca,
        serial,
        subject,
        issuer,
        not_before,
        not_after,
        fingerprint,
        *keys,
        names,
        also_calls=event.get("also_calls") is True,
    )


def _adopted(event: journal.Event) -> Adopted:
    ca, subject, issuer = _texts(event, ("ca", "subject", "issuer"))
    own, signer = (_matching(_SHA256, event, name) for name in ("key", "issuer_key"))
    return Adopted(ca, subject, own, issuer, signer, _moment(event, "not_after"))


def _generation(event: journal.Event) -> str:
    """The label of a CA's generation. Raises AddressError for what is none."""
    return Address.labelled(_text(event, "ca")).label


def _ca_key(event: journal.Event) -> CaKey:
    return CaKey(base64.b64decode(_text(event, "spki"), validate=True), _matching(_SHA256, event, "file_sha256"))


def _revocation(event: journal.Event) -> Revoked:
    reason = _text(event, "reason")
    if reason not in _REASONS:
        raise ValueError(f'"{reason}" is not a reason of RFC 5280 5.3.1')
    at = _moment(event, "at")
    if at.year < FIRST_YEAR:
        raise ValueError(f"{at:%Y-%m-%d} cannot be written into a CRL")
    serial, replace_it = _matching(_SERIAL, event, "serial"), _truth(event, "replace")
    return Revoked(_text(event, "ca"), serial, reason, at, replace_it, _holds(event))


def _truth(event: journal.Event, field: str) -> bool:
    """A field that is true where it is left out."""
    if not isinstance(value := event.get(field, True), bool):
        raise ValueError(f"`{field}` is {value!r}")
    return value


def _holds(event: journal.Event) -> tuple[datetime, ...]:
    """Which holds a release ends: none are named where an earlier version wrote it."""
    holds = event.get("holds", [])
    if not isinstance(holds, list):
        raise ValueError(f"`holds` is {holds!r}")
    return tuple(_moment({"holds": each}, "holds") for each in holds)


def _number(event: journal.Event) -> int:
    number = event.get("number")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _NUMBERS:
        raise ValueError(f"`number` is {number!r}")
    return number


def _list(event: journal.Event, name: str) -> tuple[str, ...]:
    texts = event.get(name)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"`{name}` is {texts!r}")
    return tuple(texts)


def _text(event: journal.Event, name: str, default: str | None = None) -> str:
    text = event.get(name, default)
    if not isinstance(text, str):
        raise ValueError(f"it has no `{name}`" if text is None else f"`{name}` is {text!r}")
    return text


def _texts(event: journal.Event, names: Sequence[str]) -> list[str]:
    found = list(map(event.get, names))
    if set(map(type, found)) != {str}:
        return [_text(event, name) for name in names]  # says which
    return found  # type: ignore[return-value]


def _matching(pattern: re.Pattern[str], event: journal.Event, name: str) -> str:
    text = _text(event, name)
    _check(pattern, name, text)
    return text


def _check(pattern: re.Pattern[str], name: str, text: str) -> None:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"`{name}` is {text!r}")


def _moment(event: journal.Event, name: str) -> datetime:
    text = event.get(name)
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` is {text!r}, which is not a time") from None
    if moment.tzinfo is None:
        raise ValueError(f"`{name}` is {text!r}, which is not a time in UTC")
    return moment


def _revoke(revoked: dict[tuple[str, str], Revoked], lifted: set[tuple[str, str]], entry: Revoked) -> None:
    pair = (entry.ca, entry.serial)
    before = revoked.get(pair)
    if entry.reason == LIFTED:
        # What is more than a hold stays for good, whatever the file says (RFC 5280 5.3.1).
        if before is not None and before.on_hold:
            _lift(revoked, lifted, before, entry)
    elif before is not None and before.on_hold and entry.on_hold:
        revoked[pair] = replace(before, holds=(*before.holds, entry.at))
    elif before is not None and before.on_hold:
        # X.509 8.5.2.3: a hold that becomes final keeps the date on which it began.
        revoked[pair] = replace(entry, at=before.at)
    else:
        revoked.setdefault(pair, replace(entry, holds=(entry.at,)) if entry.on_hold else entry)
        lifted.discard(pair)


def _lift(revoked: dict[tuple[str, str], Revoked], lifted: set[tuple[str, str]], before: Revoked, end: Revoked) -> None:
    """Ends the holds that `end` names; the others stay."""
    pair = (before.ca, before.serial)
    left = tuple(at for at in before.holds if at not in end.holds) if end.holds else ()
    if left:
        revoked[pair] = replace(before, at=left[0], holds=left)
    else:
        del revoked[pair]
        lifted.add(pair)


class Recorder:
    """Appends to the ledger; every call is on the disk before it returns. Only the holder of the lock has one."""

    def __init__(self, layout: Layout, now: datetime) -> None:
        self._appender = journal.Appender(layout.at(LEDGER))
        self._at = _iso(now)

    def topology(self, name: str) -> None:
        """Says whose folder this is."""
        self._append("topology", [{"name": name}])

    def ca_key(self, ca: str, key: CaKey) -> None:
        """Records the key of the generation with this label, before its file is put in place."""
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
                    "not_before": _iso(one.not_before),
                    "not_after": _iso(one.not_after),
                    "fingerprint_sha256": one.fingerprint_sha256,
                    "issuer_key": one.issuer_key,
                    "key": one.key,
                    **({"names": one.names} if one.names else {}),
                    **({"also_calls": True} if one.also_calls else {}),
                }
                for one in certificates
            ),
        )

    def renamed(self, former: Address, name: Address) -> None:
        """Records that a server or client has another name from now on."""
        self._append("renamed", [{"from": str(former), "to": str(name)}])

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
                    "at": _iso(one.at),
                    **({"holds": list(map(_iso, one.holds))} if one.reason == LIFTED else {}),
                }
                for one in entries
            ),
        )

    def adopted(self, certificates: Iterable[Adopted]) -> None:
        """Records the certificates of CAs that were made elsewhere."""
        self._append("adopted", ({**asdict(one), "not_after": _iso(one.not_after)} for one in certificates))

    def applied(self, plan: str) -> None:
        """Records that the saved plan with this SHA-256 was carried out."""
        self._append("applied", [{"plan": plan}])

    def archive_lost(self) -> None:
        """Records that the archive was lost, and that all goes on without it."""
        self._append("archived", [{"there": False}])

    def _append(self, name: str, events: Iterable[journal.Event]) -> None:
        timed = ({"event": name, "at": self._at, **event} for event in events)
        self._appender.append(timed)


def burnt_event(keys: Collection[str], now: datetime) -> journal.Event:
    """What the ledger keeps of revoked certificates whose lines are in the archive."""
    return {"event": "burnt", "at": _iso(now), "keys": sorted(keys)}


def archived_event(now: datetime) -> journal.Event:
    """What the ledger keeps of its archive: that there is one."""
    return {"event": "archived", "at": _iso(now), "there": True}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
