"""The record of what was rendered: which texts are scaffold's own, so that a person's edit is known as one.

`.scaffold/projects.jsonl` has one event per line, each with its `at` (`journal` says how they are ordered). The hashes
of texts are recorded **before** they are written: whatever a kill leaves behind is known as ours. That a project is as
its inputs ask is recorded **after**.

    {"address", "hashes": {path: sha256}, "merging": …}          these texts may be found there
    {"address", "inputs": digest, "files": {path: sha256},       this is what is there, rendered from these inputs
     "app": {"template", "version", "answers", …},            and of an app, of what it was made
     "guard": {"check_revocation", "let_in": {caller: bool},     and whom that lets in, after which check,
               "roles": {caller: [role, …]}, "listen"},          as what, where that is anything, and where
     "merging": {path: {"laid", "yours", "template", "markers"}}}  and what is in conflict: SHA-256 of the three texts
    {"address", "offered": {path: sha256}}                       laid beside a person's edit, by earlier versions
    {"address", "gone": true}                                    nothing of it is left
    {"address", "known": {path: [sha256, …]}, "offered": …}      all that matters of older events, put together, or of
                                                                 what had another name
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from scaffold.errors import AddressError
from scaffold.store import journal
from scaffold.store.files import SECRET_FILE, Writer
from scaffold.store.layout import FOLDERS, PROJECTS, Layout
from scaffold.topology.address import Address

_WORTH: Final = 200
_LINES_EACH: Final = 6
"""It is written again from so many lines on, in all and for each project. Two of them each are what an apply adds."""


def digest(content: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Guard:
    """What a project does at its door: how it checks revocation, whom it lets in, and where.

    `let_in` is by issuing CA and identity, and says of each whether it is a gateway, whose word on its own callers is
    believed. `roles` are those of each caller who has any. `listen` is empty of a client, and where it is not known.
    """

    check_revocation: str
    let_in: Mapping[str, bool]
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    listen: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A conflict, until a person resolves it: SHA-256 of FILE.merge as it was laid, and of the texts it was made of.

    `laid` is None where nothing was laid, because one of the texts is no UTF-8 text. `yours` is None where nothing
    stood in the file's place. `markers` is the number of the lines around its conflicts, which tells them from lines of
    the texts; 0 where all fits.
    """

    laid: str | None
    yours: str | None
    template: str
    markers: int = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Of what an app was made: its template, at which version, and what was answered.

    `version` is a commit, or `sha256:` and a digest. `answers` are those that the topology gives.
    """

    template: str
    version: str
    answers: Mapping[str, object]
    checkout: str | None = None
    directory: str | None = None


@dataclass(slots=True)
class Record:
    """What is known of one project (or bundle). Paths are relative to the output folder."""

    inputs: str | None = None
    """Of what is there, or None where something was left undone."""
    files: dict[str, str] = field(default_factory=dict)
    """The text that was last rendered for each path."""
    ours: dict[str, str | frozenset[str]] = field(default_factory=dict)
    """What was ever rendered for each path: the one text, or all where there were several."""
    offered: dict[str, str] = field(default_factory=dict)
    """What earlier versions laid beside an edit as FILE.new."""
    merging: dict[str, Offer] = field(default_factory=dict)
    guard: Guard | None = None
    """None where the record is older than that."""
    app: Origin | None = None

    def is_ours(self, path: str, sha256: str) -> bool:
        """Whether a text at `path` is one that scaffold wrote."""
        return sha256 in self.all_ours(path)

    def all_ours(self, path: str) -> frozenset[str]:
        """Every text that was ever rendered for `path`."""
        known = self.ours.get(path, frozenset())
        return frozenset((known,)) if isinstance(known, str) else known


@dataclass(frozen=True, slots=True)
class Records:
    """All records by address, of so many events."""

    by_address: Mapping[Address, Record]
    events: int = 0

    def of(self, address: Address) -> Record:
        """What is known of a project or bundle; an empty record where nothing is."""
        record = self.by_address.get(address)
        return Record() if record is None else record


def load(layout: Layout) -> Records:
    """Reads the record; an empty one where there is none. Raises StoreError."""
    records: dict[Address, Record] = {}
    path = layout.at(PROJECTS)
    found = journal.load(path)
    for event in found:
        try:
            _take(records, event)
        except (KeyError, TypeError, ValueError, AttributeError, AddressError) as error:
            why = str(error) if isinstance(error, ValueError | AddressError) else "a field is missing or changed"
            raise journal.damaged_event(path, event, why) from error
    return Records(records, len(found))


def _take(records: dict[Address, Record], event: Mapping[str, Any]) -> None:
    address = Address.parse(event["address"])
    if event.get("gone"):
        records.pop(address, None)
        return
    if address not in records:
        records[address] = Record()
    _add(records[address], address, event)


def _add(record: Record, address: Address, event: Mapping[str, Any]) -> None:
    for texts in _TEXTS:
        if texts in event:
            _check_own(address, event[texts].keys() - record.ours.keys())
    if hashes := event.get("hashes"):
        record.inputs = None
        _add_hashes(record, hashes)
    if "known" in event:
        for path, all_of_it in event["known"].items():
            _add_ours(record, path, all_of_it)
    if "offered" in event:
        record.offered.update(event["offered"])
    if "files" in event:
        record.merging = {}
    if "merging" in event:
        merging = event["merging"].items()
        record.merging |= {path: _offer(one) for path, one in merging}
    if "files" in event:
        _settle(record, event)


def _add_hashes(record: Record, hashes: Mapping[str, str]) -> None:
    if not set(map(type, hashes.values())) <= {str}:
        raise TypeError("a hash must be text")
    if not record.ours:
        record.ours = dict(hashes)
        return
    for path, sha256 in hashes.items():
        if record.ours.get(path) != sha256:
            _add_ours(record, path, (sha256,))


def _add_ours(record: Record, path: str, texts: Iterable[str]) -> None:
    every = record.all_ours(path).union(texts)
    record.ours[path] = next(iter(every)) if len(every) == 1 else every


def _settle(record: Record, event: Mapping[str, Any]) -> None:
    record.inputs = event["inputs"]
    record.files = event["files"]
    if (guard := event.get("guard")) is not None:
        roles = {caller: tuple(of_it) for caller, of_it in guard.get("roles", {}).items()}
        listen = str(guard.get("listen", ""))
        record.guard = Guard(str(guard["check_revocation"]), dict(guard["let_in"]), roles, listen)
    if (app := event.get("app")) is not None:
        record.app = Origin(**{str(name): value for name, value in app.items()})
    if record.offered:
        record.offered = {
            path: sha256
            for path, sha256 in record.offered.items()
            if record.files.get(path) != sha256 and path not in record.merging
        }


_TEXTS: Final = ("hashes", "known", "offered", "merging", "files")
_NO_NAME: Final = re.compile(r"/\.{0,2}(?:/|\Z)")
"""Between two slashes, or after the last one: nothing, `.` or `..`."""


def _check_own(address: Address, paths: Iterable[str]) -> None:
    """Raises ValueError for a path that is not below the project's own folder: what is recorded may be removed."""
    below = f"{FOLDERS[address.role]}/{address.name}/"
    for path in paths:
        if not path.startswith(below) or _NO_NAME.search(path):
            raise ValueError(f"{path} is not below {below}")


class Recorder:
    """Collects events and appends them in one go. Only the holder of the lock has one."""

    def __init__(self, layout: Layout, now: datetime) -> None:
        self._appender = journal.Appender(layout.at(PROJECTS))
        self._at = now.astimezone(UTC).isoformat(timespec="seconds")
        self._events: list[journal.Event] = []
        self.latest: dict[Address, Record] = {}
        """What is known of each project of which something was recorded."""

    def writing(
        self, address: Address, hashes: Mapping[str, str], merging: Mapping[str, Offer] = MappingProxyType({})
    ) -> None:
        """These texts are about to be written, and those of `merging` laid beside a person's edits."""
        event: dict[str, object] = {"address": str(address), "at": self._at, "hashes": dict(hashes)}
        if merging:
            event["merging"] = _offers(merging)
        self._events.append(event)

    def settled(
        self,
        address: Address,
        inputs: str | None,
        files: Mapping[str, str],
        guard: Guard | None = None,
        merging: Mapping[str, Offer] = MappingProxyType({}),
        app: Origin | None = None,
    ) -> None:
        """These texts are there now; `inputs` is None where something was left undone, such as what is `merging`."""
        event: dict[str, object] = {
            "address": str(address),
            "at": self._at,
            "inputs": inputs,
            "files": dict(files),
        }
        if guard is not None:
            event["guard"] = _guard(guard)
        if merging:
            event["merging"] = _offers(merging)
        if app is not None:
            event["app"] = {**asdict(replace(app, answers={})), "answers": _plain(app.answers)}
        self._events.append(event)
        self.latest[address] = Record(inputs, dict(files), merging=dict(merging), guard=guard, app=app)

    def moved(self, old: Address, new: Address, record: Record) -> None:
        """All that `record` says of `old` is so of `new`, below the folder of that one."""
        former, place = (f"{FOLDERS[one.role]}/{one.name}/" for one in (old, new))

        def below(path: str) -> str:
            return place + path.removeprefix(former)

        known = {below(path): sorted(record.all_ours(path)) for path in record.ours}
        offered = {below(path): sha256 for path, sha256 in record.offered.items()}
        self._events.append({"address": str(new), "at": self._at, "known": known, "offered": offered})
        files = {below(path): sha256 for path, sha256 in record.files.items()}
        merging = {below(path): offer for path, offer in record.merging.items()}
        self.settled(new, record.inputs, files, record.guard, merging, record.app)

    def gone(self, address: Address) -> None:
        """Nothing is left of it."""
        self._events.append({"address": str(address), "at": self._at, "gone": True})
        self.latest[address] = Record()

    def flush(self) -> None:
        """Puts what was collected on the disk. Raises StoreError."""
        events, self._events = self._events, []
        self._appender.append(events)


def _guard(guard: Guard) -> dict[str, object]:
    roles = {"roles": {caller: list(of_it) for caller, of_it in guard.roles.items()}} if guard.roles else {}
    listen = {"listen": guard.listen} if guard.listen else {}
    return {"check_revocation": guard.check_revocation, "let_in": dict(guard.let_in), **roles, **listen}


def _plain(value: object) -> object:
    """As JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def origin(
    template: str, version: str, answers: Mapping[str, object], checkout: str | None, directory: str | None
) -> Origin:
    """Of what an app is made, with the answers as the record has them."""
    return Origin(template, version, {str(name): _plain(each) for name, each in answers.items()}, checkout, directory)


def _offer(one: Mapping[str, Any]) -> Offer:
    return Offer(one["laid"], one["yours"], one["template"], int(one.get("markers", 1)))


def _offers(merging: Mapping[str, Offer]) -> dict[str, dict[str, object]]:
    return {path: asdict(offer) for path, offer in merging.items()}


# --- Keeping it short ----------------------------------------------------------------------------------------------


def compact(layout: Layout, writer: Writer, known: Records) -> None:
    """Writes the record, which says `known`, again where most of it is superseded; what it says stays the same.

    Only the holder of the lock does. Raises StoreError.
    """
    if known.events < max(_WORTH, _LINES_EACH * len(known.by_address)):
        return
    events = journal.load(layout.at(PROJECTS))
    by_address: dict[str, list[journal.Event]] = {}
    for event in events:
        by_address.setdefault(event["address"], []).append(event)
    stay = [event for of_one in by_address.values() for event in _without_superseded(of_one)]
    if len(stay) <= len(events) // 2:
        content = b"".join(journal.line_of(event) + b"\n" for event in stay)
        writer.write(PROJECTS, content, mode=SECRET_FILE, durable=True)


def _without_superseded(events: Sequence[journal.Event]) -> Iterator[journal.Event]:
    """The events of one address, without those that later ones have made needless.

    What stays keeps its time: a record that is merged with this one later finds its events among these.
    """
    gone = max((index for index, event in enumerate(events) if event.get("gone")), default=-1)
    settled = max((index for index, event in enumerate(events) if "files" in event), default=0)
    before, after = events[gone + 1 : settled], events[max(settled, gone + 1) :]
    if gone >= 0:
        yield events[gone]
    if before:
        yield _together(before)
    yield from after


def _together(events: Sequence[journal.Event]) -> journal.Event:
    """What is still to be known of events that are superseded otherwise, as of the last of them."""
    records: dict[Address, Record] = {}
    for event in events:
        _take(records, event)
    [record] = records.values()
    known = {path: sorted(record.all_ours(path)) for path in record.ours}
    when = {name: events[-1][name] for name in ("address", "at", "after", "n") if name in events[-1]}
    return {**when, "known": known, "offered": record.offered}
