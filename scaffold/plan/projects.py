"""A rendered project against what stands there. Each of its files has one of three owners, as its kind declares.

- scaffold's: what differs is drift. It is put right, and a person's text is kept beside as FILE.edited.
- yours: written once and never looked at again.
- merged:

A merged file             the template's text is unchanged    it changed
as scaffold wrote it      (is as it should be)                update
edited                    the edit stays                      both are kept where they fit, else a conflict
deleted                   it stays deleted, with a note       it comes back
never written, but there  -                                   conflict
all of them gone          the project is created anew         the same

A project is updated whole or not at all: while one of its files is in conflict it is held, and none of the others
changes either, since half of an update may be a server that no longer checks what it should. Of `tls/` what fits the
project as it stands goes on: certificates, CRLs, trust, and callers that are taken off the allow list. Drift is put
right meanwhile, too: a file of scaffold's becomes what was last rendered, wherever that text is kept.

Both texts of a conflict are laid beside the file as FILE.merge. It ends when a person resolves it, or when the template
takes its change back. `--overwrite` resolves it too, and brings back what was deleted.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from scaffold.errors import PlanError
from scaffold.kinds.capabilities import Owner
from scaffold.kinds.render import Rendered
from scaffold.plan.desired import DesiredParty
from scaffold.plan.memo import Memo
from scaffold.plan.merging import MERGE, Merged, NotText, Texts, markers_left
from scaffold.plan.model import Action, Change, Edit, Work
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.trust_files import Project, is_allow_list
from scaffold.plan.unknown import Unknown
from scaffold.store.layout import BASES
from scaffold.store.observation import Observation
from scaffold.store.projects import Guard, Offer, Record, digest
from scaffold.store.seen import NO_FILE
from scaffold.topology.address import Address, Part
from scaffold.topology.notes import Note

_NEW = ".new"
"""How the name of a text ends that earlier versions laid beside a person's edit."""


EDITED = ".edited"
"""How the name ends under which a person's text of a file of scaffold's is kept."""


class Resolution(enum.Enum):
    """How a person ends the conflicts of a project."""

    MERGED = "merged"
    """What stands in each FILE.merge is taken."""
    MINE = "mine"
    """The person's text stays."""
    THEIRS = "theirs"
    """The template's text is taken."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs. `tls` are reasons by path; `rendered_tls` what the kind renders there, None where that is open.

    `roles` say who is given which roles at the server, and from whom they are taken.
    `held`: the project stays as it stands, although it is not what the topology says.
    """

    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()
    tls: Mapping[str, Reason] = field(default_factory=dict)
    rendered_tls: frozenset[str] | None = None
    held: bool = False
    roles: tuple[Reason, ...] = ()


def compare(
    one: DesiredParty,
    source: Project,
    observed: Observation,
    memo: Memo,
    *,
    resolution: Resolution | None = None,
    restore: bool = False,
    hold: bool = False,
) -> Compared:
    """Compares; renders only where the inputs are not those of what stands there, or scaffold's own files differ.

    `resolution`: how its conflicts end. `restore`: what was deleted comes back. `hold`: no project is updated this
    time, whatever differs. Raises KindError, StoreError, and PlanError where no conflict can be resolved like that.
    """
    record = observed.records.of(one.party.address)
    gone = not observed.holds_more_than(one.paths.folder, "tls")
    asked = restore or resolution is not None
    if gone and asked and not restore:
        raise _no_conflict(one)
    if gone and not observed.exists(one.paths.trust):
        if not source.kind.builtin:
            source.render()  # a template of a person's own may be wrong, which is to be known before anything is made
        return Compared((_create(one, observed),))
    if not asked and memo.is_rendered_from(source, record.inputs):
        found = _gone(one, record, observed, hold) if gone else _as_rendered(one, source, record, observed)
        if found is not None:
            return found
    rendered = {f"{one.paths.folder}/{path}": file for path, file in source.render().items()}
    return _Comparison(one, record, observed, source, rendered, resolution, restore, hold).run(gone)


def _no_conflict(one: DesiredParty) -> PlanError:
    return PlanError(f"{_address(one)} has no conflict to resolve", hint="`scaffold plan` shows what is in conflict")


# A member of an enum takes a while to look up, and tens of thousands of files are asked about.
_SCAFFOLD: Final = Owner.SCAFFOLD
_MERGED: Final = Owner.MERGED


def _as_rendered(one: DesiredParty, source: Project, record: Record, observed: Observation) -> Compared | None:
    """What was written from the same inputs is known without rendering it.

    None where outside `tls/` one of scaffold's own files is not what was rendered, or a merged one is no file.
    """
    folder, start, owner_of_it = f"{one.paths.tls}/", len(one.paths.folder) + 1, source.kind.capabilities.owner_of
    tls: dict[str, str] = {}
    notes: list[Note] = []
    for path, sha256 in record.files.items():
        if path.startswith(folder):
            tls[path] = sha256
            continue
        owner = owner_of_it(path[start:])
        if owner is _SCAFFOLD:
            if not observed.has_digest(path, sha256):
                return None
        elif owner is _MERGED:
            if not observed.is_file_or_missing(path):
                return None
            if not observed.exists(path):
                notes.append(_deleted_note(one, path))
    notes.extend(_executable_note(one, record, observed))
    return Compared((), tuple(notes), dict(_tls_reasons(tls, observed)), frozenset(tls))


def _gone(one: DesiredParty, record: Record, observed: Observation, hold: bool) -> Compared:
    """Nothing of the project is left but what stands in `tls/`."""
    tls = {path: sha256 for path, sha256 in record.files.items() if one.paths.is_in_tls(path)}
    return Compared((_create(one, observed),), (), dict(_tls_reasons(tls, observed)), frozenset(tls), held=hold)


def owner_of(one: DesiredParty, source: Project, path: str) -> Owner:
    """Whose the file at `path` is, which is relative to the output folder."""
    return source.kind.capabilities.owner_of(path.removeprefix(f"{one.paths.folder}/"))


def digests(one: DesiredParty, source: Project) -> dict[str, str | Unknown]:
    """SHA-256 of what `source` renders, by path in the output folder. Raises KindError."""
    return {f"{one.paths.folder}/{path}": _digest(file) for path, file in source.render().items()}


def held_tls(one: DesiredParty, source: Project, record: Record) -> dict[str, str | Unknown]:
    """What goes on in `tls/` of a held project: its allow list without those who left, and what has not changed."""
    rendered = digests(one, source.letting_in(record.guard))
    return {
        path: sha256
        for path, sha256 in rendered.items()
        if one.paths.is_in_tls(path) and (is_allow_list(one, path) or sha256 == record.files.get(path))
    }


def _digest(file: Rendered | Unknown) -> str | Unknown:
    return file if isinstance(file, Unknown) else digest(file.content)


def _create(one: DesiredParty, observed: Observation) -> Change:
    reason = Reason(ReasonCode.NO_PROJECT, one.paths.folder)
    seen = observed.seen_folder(one.paths.folder, apart="tls")
    return Change(_address(one), Action.CREATE, (reason,), (one.paths.folder,), Work.RENDER, (seen,))


def _address(one: DesiredParty) -> Address:
    return one.party.address.with_part(Part.PROJECT)


def _tls_reasons(wanted: Mapping[str, str], observed: Observation) -> Iterator[tuple[str, Reason]]:
    for path, sha256 in wanted.items():
        if not observed.has_digest(path, sha256):
            code = ReasonCode.MISSING if observed.content(path) is None else ReasonCode.CONTENT
            yield path, Reason(code, path)


def _deleted_note(one: DesiredParty, path: str) -> Note:
    return Note(None, f"{path} was deleted and stays so; --overwrite {_address(one)} brings it back")


def _no_base_note(path: str) -> Note:
    said = "is not kept there: an earlier version rendered it, or that text was changed"
    return Note(None, f"{path} is merged without {BASES}: what it was last rendered from {said}")


def _executable_note(one: DesiredParty, record: Record, observed: Observation) -> Iterator[Note]:
    path = one.paths.run
    if path in record.files and not _is_executable(path, observed):
        yield Note(None, f"{path} is not executable any more, so that nothing can start it: chmod +x {path}")


def _is_executable(path: str, observed: Observation) -> bool:
    """Whether a file is; what is not there, or no file, is somebody else's business."""
    seen = observed.rights(path)
    return seen is None or bool(seen.mode & 0o100) or not observed.is_file_or_missing(path)


@dataclass(frozen=True, slots=True)
class _Drift:
    """What of scaffold's in a held project was changed: what is put right, and what stays so for now."""

    restored: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()


@dataclass(slots=True)
class _Comparison:
    one: DesiredParty
    record: Record
    observed: Observation
    source: Project
    rendered: Mapping[str, Rendered | Unknown]
    resolution: Resolution | None
    restore: bool
    hold: bool
    updates: dict[str, Reason] = field(default_factory=dict)
    edits: list[tuple[str, Edit]] = field(default_factory=list)
    conflicts: dict[str, Reason] = field(default_factory=dict)
    laid_beside: set[str] = field(default_factory=set)
    """The files in conflict of which FILE.merge is written."""
    ended: bool = False
    """Whether any conflict was resolved."""
    notes: list[Note] = field(default_factory=list)

    def run(self, gone: bool) -> Compared:
        tls = {path: _digest(file) for path, file in self.rendered.items() if self.one.paths.is_in_tls(path)}
        if gone:
            return self._compared((_create(self.one, self.observed),), tls)
        if not self.restore:
            self.notes.extend(_executable_note(self.one, self.record, self.observed))
        for path, file in self.rendered.items():
            if path not in tls:
                self._file(path, file)
        if self.resolution is not None and not self.restore and not (self.conflicts or self.ended):
            raise _no_conflict(self.one)
        self._former_offers()
        if self.conflicts and self.record.files:
            goes_on = held_tls(self.one, self.source, self.record)
            drift = self._drift(goes_on)
            return self._held((*self._restored(drift), self._conflicts(drift)), goes_on)
        return self._compared((*self._changes(), *self._stale()), tls)

    def _compared(self, changes: tuple[Change, ...], tls: Mapping[str, str | Unknown]) -> Compared:
        if self.hold and changes:
            return self._held(changes, held_tls(self.one, self.source, self.record))
        roles = tuple(self._roles())
        return Compared(changes, tuple(self.notes), self._tls_reasons(tls), frozenset(tls), roles=roles)

    def _roles(self) -> Iterator[Reason]:
        before, after = self.record.guard, self.source.guard
        if before is None:
            return
        if given := _roles_beyond(before, after, after.let_in.keys()):
            yield Reason(ReasonCode.ROLES_GIVEN, of=given)
        if taken := _roles_beyond(after, before, after.let_in.keys()):
            yield Reason(ReasonCode.ROLES_TAKEN, of=taken)

    def _held(self, changes: tuple[Change, ...], tls: Mapping[str, str | Unknown]) -> Compared:
        standing = [path for path in self.record.files if self.one.paths.is_in_tls(path)]
        return Compared(changes, tuple(self.notes), self._tls_reasons(tls), frozenset((*tls, *standing)), held=True)

    def _tls_reasons(self, tls: Mapping[str, str | Unknown]) -> dict[str, Reason]:
        known = {path: sha256 for path, sha256 in tls.items() if not isinstance(sha256, Unknown)}
        reasons = dict(_tls_reasons(known, self.observed))
        for path in (path for path in tls if path not in known):
            reasons[path] = Reason(ReasonCode.AUTHORITY_KEY, path)
        return reasons

    def _file(self, path: str, file: Rendered | Unknown) -> None:
        match owner_of(self.one, self.source, path):
            case Owner.SCAFFOLD:
                self._scaffolds(path, _digest(file))
            case Owner.YOURS:
                if path not in self.record.files and not self.observed.exists(path):
                    self.updates[path] = Reason(ReasonCode.MISSING, path)
            case Owner.MERGED:
                self._merged(path, file)

    # --- Scaffold's ---

    def _scaffolds(self, path: str, new: str | Unknown) -> None:
        there, last = self.observed.edited_digest(path), self.record.files.get(path)
        if (offer := self.record.merging.get(path)) is not None:  # from before it was scaffold's
            self._drop_laid(path, offer)
        if there == new:
            self._in_place(path, changed=offer is not None)
        elif there is None:
            self.updates[path] = Reason(ReasonCode.MISSING, path)
        elif there == NO_FILE:
            self._no_file(path)
        elif self.record.is_ours(path, there):
            self.updates[path] = Reason(ReasonCode.CONTENT if last == new else ReasonCode.TEMPLATE, path)
        else:
            self.updates[path] = Reason(ReasonCode.DRIFTED, path, wanted=f"{_name(path)}{EDITED}")
            self.edits.append((path, Edit.ASIDE))

    # --- Merged ---

    def _merged(self, path: str, file: Rendered | Unknown) -> None:
        new, there, last = _digest(file), self.observed.edited_digest(path), self.record.files.get(path)
        offer = self.record.merging.get(path)
        if there == NO_FILE:
            self._no_file(path)
        elif offer is not None and last != new:
            self._decide(path, self._conflict(path, self._why(last)))
        elif offer is not None:
            self._withdraw(path, offer)
        elif there is None:
            self._absent(path, changed=last != new)
        elif there == new:
            self._in_place(path, changed=last not in (None, new))
        elif self.record.is_ours(path, there):
            self.updates[path] = Reason(ReasonCode.TEMPLATE, path)
        elif last != new:
            self._edited(path, file, last)

    def _absent(self, path: str, *, changed: bool) -> None:
        if changed or self.restore:
            self.updates[path] = Reason(ReasonCode.MISSING, path)
        else:
            self.notes.append(_deleted_note(self.one, path))

    def _in_place(self, path: str, *, changed: bool) -> None:
        """The text is the rendered one; `changed`: which is not known yet, after a kill or by a person's hand."""
        if changed:
            self._keep(path, ReasonCode.MERGED_BEFORE)
        elif self.restore and path == self.one.paths.run and not _is_executable(path, self.observed):
            self.updates[path] = Reason(ReasonCode.NOT_EXECUTABLE, path)

    def _keep(self, path: str, code: ReasonCode) -> None:
        self.updates[path] = Reason(code, path)
        self.edits.append((path, Edit.KEEP))

    def _edited(self, path: str, file: Rendered | Unknown, last: str | None) -> None:
        if isinstance(file, Unknown):
            self.conflicts[path] = self._conflict(path, ReasonCode.EDITED)
            return
        if self._seen(path, digest(file.content)):
            self._keep(path, ReasonCode.RESOLVED_MINE)
            return
        outcome = self._texts().merged(path, file.content)
        if last is not None and self.observed.base(last) is None:
            self.notes.append(_no_base_note(path))
        if isinstance(outcome, NotText):
            self._decide(path, Reason(ReasonCode.NO_TEXT, path))
        elif not isinstance(outcome, Merged):
            self._decide(path, self._conflict(path, self._why(last)))
        elif outcome.text == self.observed.content(path):
            self._keep(path, ReasonCode.MERGED_BEFORE)
        else:
            self.updates[path] = Reason(ReasonCode.MERGED, path)
            self.edits.append((path, Edit.MERGE))

    def _texts(self) -> Texts:
        return Texts(self.record, self.observed.content, self.observed.base)

    def _why(self, last: str | None) -> ReasonCode:
        if last is None:
            return ReasonCode.NOT_OURS
        return ReasonCode.EDITED if self.observed.base(last) is not None else ReasonCode.NO_BASE

    def _conflict(self, path: str, code: ReasonCode) -> Reason:
        beside, offer = self.observed.edited_digest(path + MERGE), self.record.merging.get(path)
        if beside is not None and (offer is None or offer.laid != beside):
            code = ReasonCode.BESIDE_TAKEN
        else:
            self.laid_beside.add(path)
        return Reason(code, path, wanted=f"{_name(path)}{MERGE}")

    # --- How a conflict ends ---

    def _decide(self, path: str, reason: Reason) -> None:
        """A conflict, unless a person has said how it ends."""
        self.ended = self.resolution is not None
        match self.resolution:
            case None:
                self.conflicts[path] = reason
            case Resolution.MINE:
                self._keep(path, ReasonCode.RESOLVED_MINE)
                self._drop(path)
            case Resolution.THEIRS:
                self.updates[path] = Reason(ReasonCode.OVERWRITE, path)
                self._drop(path)
            case Resolution.MERGED:
                self._resolve(path)
                self._drop(path)

    def _no_file(self, path: str) -> None:
        """A folder, a link or a pipe stands there: no text of anybody's, and nothing is written into it."""
        party = self.one.party.address
        back = f"`scaffold apply --overwrite {party}` brings the template's file back once nothing is there"
        match self.resolution:
            case Resolution.MINE:
                raise PlanError(f"{path} is not a regular file: it holds no text of yours that could stay", hint=back)
            case Resolution.THEIRS if self.observed.is_folder(path):
                raise PlanError(f"{path} is a folder, and nothing is written over it", hint=f"move it away; {back}")
        self._decide(path, Reason(ReasonCode.NO_FILE, path))

    def _resolve(self, path: str) -> None:
        offer, made = self.record.merging.get(path), self.observed.content(path + MERGE)
        file = self.rendered[path]
        if isinstance(file, Unknown):
            raise PlanError(f"{path} cannot be resolved yet: it is {file.value}", hint="scaffold apply comes first")
        if offer is None or made is None:
            raise PlanError(
                f"there is no {path}{MERGE} to take",
                hint="scaffold apply lays it beside where texts can be merged; --mine or --theirs takes one of them",
            )
        yours = b"" if self.observed.edited_digest(path) == NO_FILE else self.observed.content(path) or b""
        if markers_left(made, yours, file.content):
            raise PlanError(
                f"{path}{MERGE} still has conflict markers",
                hint="edit it until it is what you want, without the lines <<<<<<<, |||||||, ======= and >>>>>>>",
            )
        if not isinstance(self._texts().resolved(path, file.content), Merged):
            raise PlanError(
                f"the template has changed since {path}{MERGE} was laid beside, and does not fit it",
                hint=f"keep your text elsewhere, remove {path}{MERGE}, and scaffold apply lays it beside once more",
            )
        self.updates[path] = Reason(ReasonCode.RESOLVED, path, wanted=f"{_name(path)}{MERGE}")
        if yours and offer.yours != digest(yours) and yours != made:
            self.edits.append((path, Edit.ASIDE))
        self.edits.append((path, Edit.RESOLVE))

    def _drop(self, path: str) -> None:
        if path in self.record.merging and self.observed.exists(path + MERGE):
            self.edits.append((path + MERGE, Edit.DROP))

    def _withdraw(self, path: str, offer: Offer) -> None:
        """The template has taken its change back: nothing is left to merge."""
        self._keep(path, ReasonCode.WITHDRAWN)
        self._drop_laid(path, offer)

    def _drop_laid(self, path: str, offer: Offer) -> None:
        """FILE.merge goes unless somebody has edited it."""
        if self.observed.edited_digest(path + MERGE) == offer.laid:
            self._drop(path)
        elif self.observed.exists(path + MERGE):
            self.notes.append(Note(None, f"{path}{MERGE} is not needed any more; it was edited and stays"))

    # --- What earlier versions laid beside an edit ---

    def _seen(self, path: str, new: str) -> bool:
        """Whether this text was laid beside the edit, and the person has removed it."""
        return self.record.offered.get(path) == new and not self.observed.exists(path + _NEW)

    def _former_offers(self) -> None:
        for path in self.record.offered:
            there = self.observed.edited_digest(path + _NEW)
            if there is None or (path in self.conflicts and path not in self.laid_beside):
                continue
            if self.record.is_ours(path, there):
                self.edits.append((path + _NEW, Edit.DROP))
            else:
                self.notes.append(Note(None, f"{path}{_NEW} is yours, and is not read any more; see {path}{MERGE}"))

    # --- Drift ---

    def _has_drifted(self, path: str) -> bool:
        """Whether it is a file of scaffold's that is neither as it was last rendered nor as it should be."""
        last = self.record.files.get(path)
        if last is None or owner_of(self.one, self.source, path) is not Owner.SCAFFOLD:
            return False
        wanted = _digest(self.rendered[path]) if path in self.rendered else None
        return self.observed.edited_digest(path) not in (last, wanted)

    def _drift(self, goes_on: Container[str]) -> _Drift:
        """The drift of a held project, apart from what of `tls/` goes on."""
        drifted = [path for path in self.record.files if path not in goes_on and self._has_drifted(path)]
        restored = tuple(path for path in drifted if self._is_kept(path))
        return _Drift(restored, tuple(path for path in drifted if path not in restored))

    def _is_kept(self, path: str) -> bool:
        """Whether what was last rendered is known. What is not rendered any more may be of another template."""
        file = self.rendered.get(path)
        if file is None or self.observed.edited_digest(path) == NO_FILE:
            return False
        template = None if isinstance(file, Unknown) else file.content
        return self._texts().last_rendered(path, template) is not None

    def _is_persons(self, path: str) -> bool:
        """Whether what stands there is a text of somebody else's. Nothing is kept beside in `tls/`."""
        there = self.observed.edited_digest(path)
        return there is not None and not self.one.paths.is_in_tls(path) and not self.record.is_ours(path, there)

    def _why_restored(self, path: str) -> Reason:
        if self._is_persons(path):
            return Reason(ReasonCode.DRIFTED, path, wanted=f"{_name(path)}{EDITED}")
        return Reason(ReasonCode.CONTENT if self.observed.exists(path) else ReasonCode.MISSING, path)

    def _changes_later(self, path: str) -> bool:
        """Whether a file becomes another one once the project is updated."""
        return _digest(self.rendered[path]) != self.record.files[path]

    def _restored(self, drift: _Drift) -> Iterator[Change]:
        if drift.restored:
            paths, reasons = drift.restored, tuple(map(self._why_restored, drift.restored))
            edits = tuple((path, Edit.ASIDE) for path in paths if self._is_persons(path))
            seen = self.observed.seen(paths)
            yield Change(
                _address(self.one), Action.UPDATE, reasons, paths, Work.RESTORE, seen, edits=edits, drifted=paths
            )

    # --- The changes ---

    def _changes(self) -> Iterator[Change]:
        if self.updates:
            paths = tuple(self.updates)
            seen = self.observed.seen((*paths, *(path for path, _ in self.edits)))
            reasons = tuple(self.updates.values())
            edits, drifted = tuple(self.edits), tuple(path for path in paths if self._has_drifted(path))
            yield Change(
                _address(self.one), Action.UPDATE, reasons, paths, Work.WRITE, seen, edits=edits, drifted=drifted
            )
        if self.conflicts:
            yield self._conflicts(_Drift())

    def _conflicts(self, drift: _Drift) -> Change:
        stays = [Reason(ReasonCode.DRIFT_STAYS, path) for path in drift.stays if path not in self.conflicts]
        settled = {*drift.stays, *(path for path in drift.restored if not self._changes_later(path))}
        waiting = [path for path in self.updates if path not in settled] if self.record.files else []
        waits = [Reason(ReasonCode.HELD, path) for path in waiting]
        reasons = (*self.conflicts.values(), *stays, *waits, *self._not_in_force())
        former = [] if self.updates and not waits else [edit for edit in self.edits if edit[0].endswith(_NEW)]
        beside = (*(path + MERGE for path in self.conflicts), *(path for path, _ in former))
        seen = self.observed.seen((*self.conflicts, *beside))
        return Change(
            _address(self.one),
            Action.CONFLICT,
            reasons,
            tuple(self.conflicts),
            Work.OFFER,
            seen,
            edits=tuple(former),
            drifted=drift.stays,
        )

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
        if more := _roles_beyond(before, after, before.let_in.keys()):
            yield Reason(ReasonCode.ROLES_NOT_IN_FORCE, of=more)
        former = _identities(before.let_in.keys() - after.let_in.keys())
        if former and not any(is_allow_list(self.one, path) for path in self.rendered):
            yield Reason(ReasonCode.STILL_LET_IN, of=former)

    def _stale(self) -> Iterator[Change]:
        """What the template does not render any more: removed unless a person has edited it."""
        left = [
            path
            for path in self.record.files
            if path not in self.rendered
            and not self.one.paths.is_in_tls(path)
            and owner_of(self.one, self.source, path) is not Owner.YOURS
        ]
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


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _roles_beyond(some: Guard, others: Guard, callers: Set[str]) -> str:
    """The roles of `callers` in `others` that they have not in `some`: `IDENTITY (ROLE, ROLE), IDENTITY (ROLE)`."""
    beyond = {
        caller: [role for role in others.roles[caller] if role not in some.roles.get(caller, ())]
        for caller in sorted(others.roles.keys() & callers)
    }
    return ", ".join(f"{caller.partition(' ')[2]} ({', '.join(roles)})" for caller, roles in beyond.items() if roles)


def _identities(callers: Iterable[str]) -> str:
    return ", ".join(sorted(caller.partition(" ")[2] for caller in callers))
