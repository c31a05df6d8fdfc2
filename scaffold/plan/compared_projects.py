"""A rendered project against what is there. Each of its files has one of three owners, as its kind declares.

- scaffold's: what differs is drift. It is put right, and a person's text is kept beside as FILE.edited.
- yours: written once, and never read again. Of one that is deleted a note tells, and `--overwrite` writes it again.
- merged:

A merged file             the template's text is unchanged    it changed
as scaffold wrote it      (is as it should be)                update
edited                    the edit stays                      both are kept where they fit, else a conflict
deleted                   it stays deleted, with a note       it comes back
never written, but there  -                                   conflict
all of them gone          the project is created again        the same

A project is updated whole or not at all: while one of its files is in conflict it is held, and none of the others
changes either, since half of an update may be a server that no longer checks what it should. Of `tls/` what fits the
project as it is goes on: certificates, CRLs, trust, and callers that are taken off the allow list. Drift is put
right meanwhile, too: a file of scaffold's becomes what was last rendered, wherever that text is kept.

Both texts of a conflict are laid beside the file as FILE.merge. It ends when a person resolves it, or when the template
takes its change back. `--overwrite` resolves it too, and brings back what was deleted.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

from scaffold.errors import PlanError
from scaffold.kinds.capabilities import Owner
from scaffold.kinds.render import Rendered
from scaffold.plan import guards
from scaffold.plan.desired import DesiredParty
from scaffold.plan.memo import Memo
from scaffold.plan.merging import MERGE, Merged, NotText, Texts, markers_left
from scaffold.plan.model import Action, Change, Edit, Work
from scaffold.plan.projects import EDITED, Resolution, held_tls, owner_of, rendered_digest
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.standing_projects import (
    Compared,
    address_of,
    as_rendered,
    creation,
    deleted_note,
    executable_notes,
    gone_but_for_tls,
    has_lost_record,
    is_executable,
    lost_record_note,
    record_of,
    tls_reasons,
)
from scaffold.plan.trust_files import Project, is_allow_list
from scaffold.plan.unknown import Unknown
from scaffold.store.layout import BASES
from scaffold.store.observation import Observation
from scaffold.store.projects import Offer, Record, digest
from scaffold.store.seen import NO_FILE
from scaffold.topology.model import Server
from scaffold.topology.notes import Note

_NEW = ".new"
"""How the name of a text ends that earlier versions laid beside a person's edit."""


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
    """Compares; renders only where the inputs are not those of what is there, or scaffold's own files differ.

    `resolution`: how its conflicts end. `restore`: what was deleted comes back. `hold`: no project is updated this
    time, whatever differs. Raises KindError, StoreError, and PlanError where no conflict can be resolved like that.
    """
    record = observed.records.of(one.party.address)
    gone = not observed.holds_more_than(one.paths.folder, *_beside_projects(one))
    asked = restore or resolution is not None
    if gone and asked and not restore:
        raise _no_conflict(one)
    if gone and not observed.exists(one.paths.trust):
        if not source.kind.builtin:
            source.render()  # a template of a person's own may be wrong, which is to be known before anything is made
        return Compared((creation(one, observed),))
    if not asked and memo.is_rendered_from(source, record.inputs):
        found = gone_but_for_tls(one, record, observed, hold) if gone else as_rendered(one, source, record, observed)
        if found is not None:
            return found
    rendered = {f"{one.paths.folder}/{path}": file for path, file in source.render().items()}
    known = record_of(one, rendered, observed)
    compared = _Comparison(one, known, observed, source, rendered, resolution, restore, hold).run(gone)
    if compared.changes and has_lost_record(one, observed):
        return replace(compared, notes=(lost_record_note(one), *compared.notes))
    return compared


def _beside_projects(one: DesiredParty) -> tuple[str, ...]:
    """What is in the folder of a server or client and is no part of its project."""
    return ("tls", "app") if isinstance(one.party, Server) and one.party.app is not None else ("tls",)


def _no_conflict(one: DesiredParty) -> PlanError:
    return PlanError(f"{address_of(one)} has no conflict to resolve", hint="`scaffold plan` shows conflicts")


def _no_base_note(path: str) -> Note:
    said = "is not there: an earlier version of scaffold rendered it, or that text was changed"
    return Note(None, f"{path} is merged without {BASES}: the text that was last rendered {said}")


@dataclass(frozen=True, slots=True)
class _Drift:
    """What of scaffold's in a held project was changed: what is put right, and what stays so for now."""

    restored: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()


@dataclass(slots=True)
class _Comparison:
    """One project with what is rendered for it, and what differs so far."""

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
        tls = {path: rendered_digest(file) for path, file in self.rendered.items() if self.one.paths.is_in_tls(path)}
        if gone:
            return self._compared((creation(self.one, self.observed),), tls)
        if not self.restore:
            self.notes.extend(executable_notes(self.one, self.record, self.observed))
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
        before = self.record.guard
        roles = () if before is None else tuple(guards.role_changes(before, self.source.guard))
        return Compared(changes, tuple(self.notes), self._tls_reasons(tls), frozenset(tls), roles=roles)

    def _held(self, changes: tuple[Change, ...], tls: Mapping[str, str | Unknown]) -> Compared:
        standing = [path for path in self.record.files if self.one.paths.is_in_tls(path)]
        return Compared(changes, tuple(self.notes), self._tls_reasons(tls), frozenset((*tls, *standing)), held=True)

    def _tls_reasons(self, tls: Mapping[str, str | Unknown]) -> dict[str, Reason]:
        known = {path: sha256 for path, sha256 in tls.items() if not isinstance(sha256, Unknown)}
        reasons = dict(tls_reasons(known, self.observed))
        for path in (path for path in tls if path not in known):
            reasons[path] = Reason(ReasonCode.AUTHORITY_KEY, path)
        return reasons

    def _file(self, path: str, file: Rendered | Unknown) -> None:
        match owner_of(self.one, self.source, path):
            case Owner.SCAFFOLD:
                self._scaffolds(path, rendered_digest(file))
            case Owner.YOURS:
                if not self.observed.exists(path):
                    self._absent(path, changed=path not in self.record.files)
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
        new, there, last = rendered_digest(file), self.observed.edited_digest(path), self.record.files.get(path)
        offer = self.record.merging.get(path)
        if there == NO_FILE:
            self._no_file(path)
        elif offer is not None and last != new:
            self._decide(path, self._conflict(path, self._why(path, last)))
        elif offer is not None:
            self._withdraw(path, offer)
        elif there is None:
            self._absent(path, changed=last != new)
        elif there == new:
            self._in_place(path, changed=last not in (None, new))
        elif self.record.is_ours(path, there):
            self._follow(path)
        elif last != new:
            self._edited(path, file, last)

    def _follow(self, path: str) -> None:
        """The text is the one that was rendered last, and another is rendered now."""
        if self._is_to_run_again(path):
            self.updates[path] = Reason(ReasonCode.NOT_EXECUTABLE, path)
            return
        self.updates[path] = Reason(ReasonCode.TEMPLATE, path)
        self.edits.append((path, Edit.FOLLOW))

    def _absent(self, path: str, *, changed: bool) -> None:
        """Nothing is there; `changed`: nothing was rendered there before, or another text than today's."""
        if changed or self.restore:
            self.updates[path] = Reason(ReasonCode.MISSING, path)
        else:
            self.notes.append(deleted_note(self.one, path))

    def _in_place(self, path: str, *, changed: bool) -> None:
        """The text is the rendered one; `changed`: which is not known yet, after a kill or by a person's hand."""
        if changed:
            self._keep(path, ReasonCode.MERGED_BEFORE)
        elif self._is_to_run_again(path):
            self.updates[path] = Reason(ReasonCode.NOT_EXECUTABLE, path)

    def _is_to_run_again(self, path: str) -> bool:
        return self.restore and path == self.one.paths.run and not is_executable(path, self.observed)

    def _keep(self, path: str, code: ReasonCode) -> None:
        self.updates[path] = Reason(code, path)
        self.edits.append((path, Edit.KEEP))

    def _edited(self, path: str, file: Rendered | Unknown, last: str | None) -> None:
        if isinstance(file, Unknown):
            self.conflicts[path] = self._conflict(path, ReasonCode.EDITED)
            return
        if self._seen(path, file.sha256):
            self._keep(path, ReasonCode.RESOLVED_MINE)
            return
        outcome = self._texts().merged(path, file.content)
        if self._is_recorded(path, last) and self.observed.base(last) is None:
            self.notes.append(_no_base_note(path))
        if isinstance(outcome, NotText):
            self._decide(path, Reason(ReasonCode.NO_TEXT, path))
        elif not isinstance(outcome, Merged):
            self._decide(path, self._conflict(path, self._why(path, last)))
        elif outcome.text == self.observed.content(path):
            self._keep(path, ReasonCode.MERGED_BEFORE)
        else:
            self.updates[path] = Reason(ReasonCode.MERGED, path)
            self.edits.append((path, Edit.MERGE))

    def _texts(self) -> Texts:
        return Texts(self.record, self.observed.content, self.observed.base)

    def _is_recorded(self, path: str, last: str | None) -> bool:
        """Whether `last` was really rendered there. Of a record that was lost it is what is there, be it whose."""
        return last is not None and self.record.is_ours(path, last)

    def _why(self, path: str, last: str | None) -> ReasonCode:
        if not self._is_recorded(path, last):
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
        """A folder, a link or a pipe is there: no text of anybody's, and nothing is written into it."""
        party = self.one.party.address
        back = f"then `scaffold apply --overwrite {party}` restores the template's file"
        match self.resolution:
            case Resolution.MINE:
                raise PlanError(f"{path} is not a regular file, and has no text to keep", hint=f"move it away; {back}")
            case Resolution.THEIRS if self.observed.is_folder(path):
                raise PlanError(f"{path} is a folder, and is not overwritten", hint=f"move it away; {back}")
        self._decide(path, Reason(ReasonCode.NO_FILE, path))

    def _resolve(self, path: str) -> None:
        offer, made = self.record.merging.get(path), self.observed.content(path + MERGE)
        file = self.rendered[path]
        if isinstance(file, Unknown):
            raise PlanError(f"{path} cannot be resolved yet: it is {file.value}", hint="run `scaffold apply` first")
        if offer is None or made is None:
            raise PlanError(
                f"there is no {path}{MERGE}",
                hint=(
                    "give --mine or --theirs to take one of the texts; `scaffold apply` writes the file if the "
                    "texts can be merged"
                ),
            )
        yours = b"" if self.observed.edited_digest(path) == NO_FILE else self.observed.content(path) or b""
        if markers_left(made, offer.markers):
            raise PlanError(
                f"{path}{MERGE} still has conflict markers",
                hint="edit it, and remove the lines <<<<<<<, |||||||, ======= and >>>>>>>",
            )
        if not isinstance(self._texts().resolved(path, file.content), Merged):
            raise PlanError(
                f"the template has changed since {path}{MERGE} was written",
                hint=f"keep your text elsewhere, remove {path}{MERGE}, and run `scaffold apply`, which writes it again",
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
            self.notes.append(Note(None, f"{path}{MERGE} is no longer needed; it was edited, and is kept"))

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
                self.notes.append(Note(None, f"{path}{_NEW} is yours, and is no longer read; see {path}{MERGE}"))

    # --- Drift ---

    def _has_drifted(self, path: str) -> bool:
        """Whether it is a file of scaffold's that is neither as it was last rendered nor as it should be."""
        last = self.record.files.get(path)
        if last is None or owner_of(self.one, self.source, path) is not Owner.SCAFFOLD:
            return False
        wanted = rendered_digest(self.rendered[path]) if path in self.rendered else None
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
        """Whether what is there is a text of somebody else's. Nothing is kept beside in `tls/`."""
        there = self.observed.edited_digest(path)
        return there is not None and not self.one.paths.is_in_tls(path) and not self.record.is_ours(path, there)

    def _why_restored(self, path: str) -> Reason:
        if self._is_persons(path):
            return Reason(ReasonCode.DRIFTED, path, wanted=f"{_name(path)}{EDITED}")
        return Reason(ReasonCode.CONTENT if self.observed.exists(path) else ReasonCode.MISSING, path)

    def _changes_later(self, path: str) -> bool:
        """Whether a file becomes another one once the project is updated."""
        return rendered_digest(self.rendered[path]) != self.record.files[path]

    def _restored(self, drift: _Drift) -> Iterator[Change]:
        if drift.restored:
            paths, reasons = drift.restored, tuple(map(self._why_restored, drift.restored))
            edits = tuple((path, Edit.ASIDE) for path in paths if self._is_persons(path))
            seen = self.observed.seen(paths)
            yield Change(
                address_of(self.one), Action.UPDATE, reasons, paths, Work.RESTORE, seen, edits=edits, drifted=paths
            )

    # --- The changes ---

    def _changes(self) -> Iterator[Change]:
        if self.updates:
            paths = tuple(self.updates)
            seen = self.observed.seen((*paths, *(path for path, _ in self.edits)))
            reasons = tuple(self.updates.values())
            edits, drifted = tuple(self.edits), tuple(path for path in paths if self._has_drifted(path))
            yield Change(
                address_of(self.one), Action.UPDATE, reasons, paths, Work.WRITE, seen, edits=edits, drifted=drifted
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
            address_of(self.one),
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
        if self.record.guard is not None and self.record.files:
            has_allow_list = any(is_allow_list(self.one, path) for path in self.rendered)
            yield from guards.not_in_force(self.record.guard, self.source.guard, has_allow_list=has_allow_list)

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
            Note(None, f"{path} is no longer rendered; it was edited, and is kept")
            for path in there
            if path not in ours
        )
        if ours:
            reasons = tuple(Reason(ReasonCode.NOT_RENDERED, path) for path in ours)
            seen = self.observed.seen(ours)
            yield Change(address_of(self.one), Action.DELETE, reasons, ours, Work.REMOVE, seen, asks=True)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
