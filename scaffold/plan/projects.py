"""A rendered project against what stands there. `tls/` is scaffold's; all else is the person's once it is written.

A person's file           the template's text is unchanged    it changed
as scaffold wrote it      (is as it should be)                update
edited                    the edit stays                      conflict: the new text is laid beside it as FILE.new
deleted                   it stays deleted, with a note       it comes back
never written, but there  -                                   conflict
all of them gone          the project is created anew         the same

A project is updated whole or not at all: while one of its files is in conflict it is held, and none of the others
changes either, since half of an update may be a server that no longer checks what it should. Of `tls/` what fits the
project as it stands goes on: certificates, CRLs, trust, and callers that are taken off the allow list.

A conflict ends when the edit has become the new text, when FILE.new is removed (the person has seen it), or when it is
asked for by `--overwrite`, which also brings back what was edited or deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from scaffold.kinds.render import Rendered
from scaffold.plan.desired import DesiredParty
from scaffold.plan.model import Action, Change, Work
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.trust_files import TLS, Project, is_allow_list
from scaffold.plan.unknown import Unknown
from scaffold.settings.values import CaFacts
from scaffold.store.observation import Observation
from scaffold.store.projects import Record, digest
from scaffold.topology.address import Address, Part
from scaffold.topology.notes import Note

NEW = ".new"
"""How the name of a text ends that is laid beside a person's edit."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs. `tls` are reasons by path; `rendered_tls` what the kind renders there, None where that is open.

    `held`: the project stays as it stands, although it is not what the topology says.
    """

    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()
    tls: Mapping[str, Reason] = field(default_factory=dict)
    rendered_tls: frozenset[str] | None = None
    held: bool = False


def compare(
    one: DesiredParty, source: Project, observed: Observation, *, overwrite: bool = False, hold: bool = False
) -> Compared:
    """Compares; renders only where the inputs are not those of what stands there. Raises KindError, StoreError.

    `hold`: no project is updated this time, whatever differs.
    """
    record = observed.records.by_address.get(one.party.address, Record())
    gone = not any(name != "tls" for name in observed.names(one.paths.folder))
    if gone and not observed.exists(one.paths.trust):
        if not source.kind.builtin:
            source.render()  # a template of a person's own may be wrong, which is to be known before anything is made
        return Compared((_create(one, observed),))
    if record.inputs == source.inputs and not overwrite:
        return replace(_unchanged(one, record, observed, gone), held=hold and gone)
    return _Comparison(one, record, observed, source, digests(one, source), overwrite, hold).run(gone)


def digests(one: DesiredParty, source: Project) -> dict[str, str | Unknown]:
    """SHA-256 of what `source` renders, by path in the output folder. Raises KindError."""
    return {f"{one.paths.folder}/{path}": _digest(file) for path, file in source.render().items()}


def held_tls(one: DesiredParty, source: Project, record: Record) -> dict[str, str | Unknown]:
    """What goes on in `tls/` of a held project: its allow list without those who left, and what has not changed."""
    rendered = digests(one, source.letting_in(record.guard))
    return {
        path: sha256
        for path, sha256 in rendered.items()
        if _is_tls(one, path) and (is_allow_list(one, path) or sha256 == record.files.get(path))
    }


def _digest(file: Rendered | Unknown) -> str | Unknown:
    return file if isinstance(file, Unknown) else digest(file.content)


def _create(one: DesiredParty, observed: Observation) -> Change:
    reason = Reason(ReasonCode.NO_PROJECT, one.paths.folder)
    seen = observed.seen_folder(one.paths.folder, apart="tls")
    return Change(_address(one), Action.CREATE, (reason,), (one.paths.folder,), Work.RENDER, (seen,))


def _address(one: DesiredParty) -> Address:
    return one.party.address.with_part(Part.PROJECT)


def _is_tls(one: DesiredParty, path: str) -> bool:
    return path.startswith(one.paths.tls + "/")


def _unchanged(one: DesiredParty, record: Record, observed: Observation, gone: bool) -> Compared:
    """The same inputs as last time: what was written is known without rendering it."""
    tls = {path: sha256 for path, sha256 in record.files.items() if _is_tls(one, path)}
    reasons = dict(_tls_reasons(tls, observed))
    if gone:
        return Compared((_create(one, observed),), (), reasons, frozenset(tls))
    deleted = [path for path in record.files if path not in tls and not observed.exists(path)]
    notes = (*(_deleted_note(one, path) for path in deleted), *_executable_note(one, record, observed))
    return Compared((), notes, reasons, frozenset(tls))


def _tls_reasons(wanted: Mapping[str, str], observed: Observation) -> Iterator[tuple[str, Reason]]:
    for path, sha256 in wanted.items():
        there = observed.content(path)
        if there is None:
            yield path, Reason(ReasonCode.MISSING, path)
        elif digest(there) != sha256:
            yield path, Reason(ReasonCode.CONTENT, path)


def _deleted_note(one: DesiredParty, path: str) -> Note:
    return Note(None, f"{path} was deleted and stays so; --overwrite {_address(one)} brings it back")


def _executable_note(one: DesiredParty, record: Record, observed: Observation) -> Iterator[Note]:
    path = one.paths.run
    if path in record.files and not _is_executable(path, observed):
        yield Note(None, f"{path} is not executable any more, so that nothing can start it: chmod +x {path}")


def _is_executable(path: str, observed: Observation) -> bool:
    """Whether a file is; what is not there is somebody else's business."""
    seen = observed.rights(path)
    return seen is None or bool(seen.mode & 0o100)


@dataclass(slots=True)
class _Comparison:
    one: DesiredParty
    record: Record
    observed: Observation
    source: Project
    rendered: Mapping[str, str | Unknown]
    """SHA-256 by path."""
    overwrite: bool
    hold: bool
    updates: dict[str, Reason] = field(default_factory=dict)
    conflicts: dict[str, Reason] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def run(self, gone: bool) -> Compared:
        tls = {path: sha256 for path, sha256 in self.rendered.items() if _is_tls(self.one, path)}
        if gone:
            return self._compared((_create(self.one, self.observed),), tls)
        if not self.overwrite:
            self.notes.extend(_executable_note(self.one, self.record, self.observed))
        for path, sha256 in self.rendered.items():
            if path not in tls:
                self._file(path, sha256)
        if self.conflicts and self.record.files:
            return self._held((self._conflicts(),))
        return self._compared((*self._changes(), *self._stale()), tls)

    def _compared(self, changes: tuple[Change, ...], tls: Mapping[str, str | Unknown]) -> Compared:
        if self.hold and changes:
            return self._held(changes)
        return Compared(changes, tuple(self.notes), self._tls_reasons(tls), frozenset(tls))

    def _held(self, changes: tuple[Change, ...]) -> Compared:
        tls = held_tls(self.one, self.source, self.record)
        standing = [path for path in self.record.files if _is_tls(self.one, path)]
        return Compared(changes, tuple(self.notes), self._tls_reasons(tls), frozenset((*tls, *standing)), held=True)

    def _tls_reasons(self, tls: Mapping[str, str | Unknown]) -> dict[str, Reason]:
        known = {path: sha256 for path, sha256 in tls.items() if not isinstance(sha256, Unknown)}
        reasons = dict(_tls_reasons(known, self.observed))
        for path in (path for path in tls if path not in known):
            reasons[path] = Reason(ReasonCode.AUTHORITY_KEY, path)
        return reasons

    def _file(self, path: str, new: str | Unknown) -> None:
        there, last = self.observed.edited_digest(path), self.record.files.get(path)
        if there == new:
            if self.overwrite and path == self.one.paths.run and not _is_executable(path, self.observed):
                self.updates[path] = Reason(ReasonCode.NOT_EXECUTABLE, path)
            return
        if there is None:
            self._absent(path, changed=last != new)
        elif self.overwrite:
            self.updates[path] = Reason(ReasonCode.OVERWRITE, path)
        elif self.record.is_ours(path, there):
            self.updates[path] = Reason(ReasonCode.TEMPLATE, path)
        elif last != new and not self._seen(path, new):
            self.conflicts[path] = self._conflict(path, last)

    def _absent(self, path: str, *, changed: bool) -> None:
        if changed or self.overwrite:
            self.updates[path] = Reason(ReasonCode.MISSING, path)
        else:
            self.notes.append(_deleted_note(self.one, path))

    def _seen(self, path: str, new: str | Unknown) -> bool:
        """Whether this text was laid beside the edit, and the person has removed it."""
        return self.record.offered.get(path) == new and not self.observed.exists(path + NEW)

    def _conflict(self, path: str, last: str | None) -> Reason:
        code = ReasonCode.EDITED if last else ReasonCode.NOT_OURS
        beside = self.observed.edited_digest(path + NEW)
        if beside is not None and not self.record.is_ours(path, beside):
            code = ReasonCode.BESIDE_TAKEN
        return Reason(code, path, wanted=f"{path.rpartition('/')[2]}{NEW}")

    def _changes(self) -> Iterator[Change]:
        address = _address(self.one)
        if self.updates:
            reasons = tuple(self.updates.values())
            yield Change(
                address, Action.UPDATE, reasons, tuple(self.updates), Work.WRITE, self.observed.seen(self.updates)
            )
        if self.conflicts:
            yield self._conflicts()

    def _conflicts(self) -> Change:
        waits = [Reason(ReasonCode.HELD, path) for path in self.updates] if self.record.files else []
        reasons = (*self.conflicts.values(), *waits, *self._not_in_force())
        seen = self.observed.seen((*self.conflicts, *(path + NEW for path in self.conflicts)))
        return Change(_address(self.one), Action.CONFLICT, reasons, tuple(self.conflicts), Work.OFFER, seen)

    def _not_in_force(self) -> Iterator[Reason]:
        """What the topology asks for at the project's door, and does not get while the project is held."""
        before, after = self.record.guard, self.source.guard
        if before is None or not self.record.files:
            return
        if after.check_revocation not in ("none", before.check_revocation):
            found, wanted = before.check_revocation, after.check_revocation
            yield Reason(ReasonCode.CHECK_NOT_IN_FORCE, found=found, wanted=wanted)
        if new := _identities(after.let_in.keys() - before.let_in.keys()):
            yield Reason(ReasonCode.NOT_LET_IN, of=new)
        former = _identities(before.let_in.keys() - after.let_in.keys())
        if former and not any(is_allow_list(self.one, path) for path in self.rendered):
            yield Reason(ReasonCode.STILL_LET_IN, of=former)

    def _stale(self) -> Iterator[Change]:
        """What the template does not render any more: removed unless a person has edited it."""
        left = [path for path in self.record.files if path not in self.rendered and not _is_tls(self.one, path)]
        there = {path: sha256 for path in left if (sha256 := self.observed.edited_digest(path)) is not None}
        ours = tuple(path for path, sha256 in there.items() if self.record.is_ours(path, sha256))
        self.notes.extend(
            Note(None, f"{path} was edited and is not rendered any more; it stays")
            for path in there
            if path not in ours
        )
        if ours:
            reasons = tuple(Reason(ReasonCode.NOT_RENDERED, path) for path in ours)
            seen = self.observed.seen(ours)
            yield Change(_address(self.one), Action.DELETE, reasons, ours, Work.REMOVE, seen, asks=True)


def _identities(callers: Iterable[str]) -> str:
    return ", ".join(sorted(caller.partition(" ")[2] for caller in callers))


__all__ = ["NEW", "TLS", "CaFacts", "Compared", "compare"]
