"""The apps of fronts against what is there: each is made once and is a person's own from then on.

Nothing of a template is run here, and nothing is fetched. A newer version, or other answers, are merged where a person
asks for that, with the app as its template makes it then at hand: three ways, each file by itself. What does not fit is
laid beside as FILE.merge, the rest is merged; `resolve` ends it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from scaffold.errors import KindError, PlanError
from scaffold.kinds import app_rendering, app_templates
from scaffold.kinds.app_rendering import RenderedApp
from scaffold.kinds.fetching import is_ones_own, named
from scaffold.plan.merging import MERGE, Merged, NotText, Texts, markers_left
from scaffold.plan.model import Action, Change, Edit, Plan, Work
from scaffold.plan.projects import Resolution
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.store.layout import party_paths
from scaffold.store.observation import Observation
from scaffold.store.projects import Offer, Origin, Record, digest
from scaffold.store.projects import origin as recorded
from scaffold.store.seen import NO_FILE
from scaffold.store.trusted import Trusted
from scaffold.topology.address import Address, Part
from scaffold.topology.model import App, Server, Topology
from scaffold.topology.notes import Note

SHOWN_VERSION = 19
"""So much of a version tells it from others: `sha256:` and twelve digits, or as much of a commit."""


@dataclass(frozen=True, slots=True)
class MadeApp:
    """An app as its template makes it now, and of what that is."""

    rendered: RenderedApp
    origin: Origin


@dataclass(frozen=True, slots=True)
class Compared:
    """What is to be done to one app, and what is said of it."""

    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()


def address_of(server: Server) -> Address:
    """The address of a server's app."""
    return server.address.with_part(Part.APP)


def origin_of(app: App, version: str) -> Origin:
    """What the record says of an app that is made now."""
    return recorded(app.template, version, app.vars, app.checkout, app.directory)


def compare(
    t: Topology,
    server: Server,
    app: App,
    observed: Observation,
    newer: MadeApp | None = None,
    resolution: Resolution | None = None,
) -> Compared:
    """Compares. `newer` is what is merged into the app that is there; `resolution`: how its conflicts end.

    Raises KindError for a template of which can be said without running it that it is none, PlanError where a conflict
    cannot end like that, or has to end first.
    """
    path, record = party_paths(server.address.role, server.name).app, observed.records.of(address_of(server))
    if resolution is not None:
        return Compared((_Resolving(server, observed, record, resolution).change(),))
    if not observed.exists(path):
        _check_at_hand(t, server, app)
        return Compared((_creation(server, app, path, observed),))
    if record.app is None:
        reason = Reason(ReasonCode.NOT_ITS_TEMPLATES, path)
        return Compared((Change(address_of(server), Action.CONFLICT, (reason,), (path,)),))
    if newer is not None:
        if record.merging:
            hint = f"settle it with `scaffold resolve {address_of(server)}`"
            raise PlanError(f"{address_of(server)} still has a conflict to resolve", hint=hint)
        return _Merging(server, observed, record, record.app, newer, path).run()
    notes = [*_pending(server, app, record, record.app)]
    if server.address not in observed.records.by_address:
        _check_at_hand(t, server, app)
        notes = [_of_another_before_note(server, app, path), *notes]
    return Compared(tuple(_standing(server, record, observed)), tuple(notes))


def given_up(server: Server, observed: Observation) -> Iterator[Note]:
    """What stays of the app of a server of which the topology names no app any more: all of it, as a person's own."""
    path = party_paths(server.address.role, server.name).app
    if observed.records.of(address_of(server)).app is not None and observed.exists(path):
        said = (
            f"stays in {path}: it is yours. {server.address} has no `app` in the topology, so `up` does not start it. "
        )
        ends = f"Add `app` again, or delete the folder yourself: `rm -r {path}` in the output folder"
        yield Note(address_of(server), said + ends)


def _check_at_hand(t: Topology, server: Server, app: App) -> None:
    try:
        app_templates.check_at_hand(app, t.source.absolute().parent)
    except KindError as error:
        place = t.place("servers", server.name, "app")
        raise KindError(f"{server.address}: {error.message}", place=place, hint=error.hint) from None


def _of_another_before_note(server: Server, app: App, path: str) -> Note:
    """A server of that name was removed, and its app stayed: it is a person's."""
    update = f"`scaffold apply --update {server.address}`"
    said = f"{path} is left from a server that was removed, and is used as it is: {app.template} is not rendered. "
    return Note(
        address_of(server),
        f"{said}For a new app, move it away first; {update} merges the template into the one that is there",
    )


def _creation(server: Server, app: App, path: str, observed: Observation) -> Change:
    reason = Reason(ReasonCode.NO_APP, path, wanted=app.template)
    return Change(address_of(server), Action.CREATE, (reason,), (path,), Work.APP, observed.seen((path,)))


def _standing(server: Server, record: Record, observed: Observation) -> Iterator[Change]:
    """The conflicts that a merge has left."""
    if record.merging:
        paths = tuple(record.merging)
        reasons = tuple(_why(path, is_text=_is_text(offer)) for path, offer in record.merging.items())
        edits = tuple((path, Edit.KEEP) for path in paths)
        yield Change(address_of(server), Action.CONFLICT, reasons, paths, seen=observed.seen(paths), edits=edits)


def _is_text(offer: Offer) -> bool:
    """Whether there is a FILE.merge to resolve. Where the bare template was laid there once, it was no text."""
    return offer.laid not in (None, offer.template)


def _why(path: str, *, is_text: bool) -> Reason:
    if not is_text:
        return Reason(ReasonCode.NO_TEXT, path)
    return Reason(ReasonCode.EDITED, path, wanted=f"{_name(path)}{MERGE}")


def _pending(server: Server, app: App, record: Record, made_of: Origin) -> Iterator[Note]:
    update = f"`scaffold apply --update {server.address}`"
    if origin_of(app, made_of.version) != made_of:
        said = (
            f"was made from another template, or with other answers, than the topology says: {update} merges the "
            "changes"
        )
        yield Note(address_of(server), said)
    elif record.inputs is None:
        yield Note(address_of(server), f"has an update that was interrupted: {update} completes it")


def trust_notes(plan: Plan, t: Topology, trusted: Trusted) -> Iterator[Note]:
    """Which `--trust` apply will need for the apps that a plan makes."""
    base = t.source.absolute().parent
    for change in plan.changes:
        app = t.servers[change.address.name].app if change.work is Work.APP else None
        if app is None or is_ones_own(app.template, base):
            continue
        name = named(app.template, base)
        version = app_templates.version_at_hand(app, base)
        if not (trusted.knows(name) if version is None else trusted.is_trusted(name, version)):
            yield Note(change.address, f"is made by somebody else's program: apply needs --trust {app.template}")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


# --- A newer version -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Merging:
    """One app that is merged with a newer one, and what came of it so far."""

    server: Server
    observed: Observation
    record: Record
    before: Origin
    newer: MadeApp
    folder: str
    updates: dict[str, Reason] = field(default_factory=dict)
    edits: list[tuple[str, Edit]] = field(default_factory=list)
    conflicts: dict[str, Reason] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    out_of_reach: dict[str, list[str]] = field(default_factory=dict)

    def run(self) -> Compared:
        rendered = self.newer.rendered.files
        for name, file in rendered.items():
            if self._is_in_reach(f"{self.folder}/{name}"):
                self._file(f"{self.folder}/{name}", file.content)
        for path in self.record.files:
            if path.removeprefix(f"{self.folder}/") not in rendered and self._is_in_reach(path):
                self._dropped(path)
        return Compared(tuple(self._changes()), (*self.notes, *self._left_out()))

    def _is_in_reach(self, path: str) -> bool:
        """Whether each folder above a file is one. Through a link nothing is written, wherever it leads."""
        parts = path.split("/")
        for depth in range(self.folder.count("/") + 1, len(parts)):
            above = "/".join(parts[:depth])
            try:
                mode = os.lstat(self.observed.layout.at(above)).st_mode
            except (FileNotFoundError, NotADirectoryError):
                return True
            if not stat.S_ISDIR(mode):
                self.out_of_reach.setdefault(above, []).append(path)
                return False
        return True

    def _left_out(self) -> Iterator[Note]:
        """What is not merged, by name: no version is said to be there of which something is missing."""
        for above, paths in self.out_of_reach.items():
            more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
            said = f"{above} is not a folder, and stays; nothing is written below it: {', '.join(paths[:_NAMED])}{more}"
            yield Note(None, said)
        app = self.observed.layout.at(self.folder)
        for name, leads in self.newer.rendered.links.items():
            path = f"{self.folder}/{name}"
            if _leads(self.observed.layout.at(path)) != leads:
                yield Note(None, f"{path} is left as it is: the template makes it a symbolic link to {leads}")
        for name in app_rendering.differing_folders(self.newer.rendered, app):
            said = f"{self.folder}/{name} is left as it is: the template makes another, and such folders are not merged"
            yield Note(None, said)

    def _file(self, path: str, template: bytes) -> None:
        new, last = digest(template), self.record.files.get(path)
        there = self.observed.edited_digest(path)
        if new == last or there == new:
            return
        if there == NO_FILE:
            self.notes.append(
                Note(None, f"{path} is not a regular file, and is not changed; the template has another text")
            )
        elif there is None or there == last:
            self.updates[path] = Reason(ReasonCode.TEMPLATE if there is not None else ReasonCode.MISSING, path)
        else:
            self._edited(path, template, there)

    def _edited(self, path: str, template: bytes, there: str) -> None:
        outcome = Texts(self.record, self.observed.content, self.observed.base).merged(path, template)
        if isinstance(outcome, Merged):
            if digest(outcome.text) != there:
                self.updates[path] = Reason(ReasonCode.MERGED, path)
                self.edits.append((path, Edit.MERGE))
            return
        is_text = not isinstance(outcome, NotText)
        if is_text and self.observed.exists(path + MERGE):
            raise PlanError(
                f"{path}{MERGE} is in the way", hint="move it away: a file of that name is needed for the conflict"
            )
        self.conflicts[path] = _why(path, is_text=is_text)

    def _dropped(self, path: str) -> None:
        there = self.observed.edited_digest(path)
        if there == self.record.files[path]:
            self.updates[path] = Reason(ReasonCode.NOT_RENDERED, path)
            self.edits.append((path, Edit.DROP))
        elif there is not None:
            self.notes.append(Note(None, f"{path} is no longer rendered; it was edited, and is kept"))

    def _changes(self) -> Iterator[Change]:
        address = address_of(self.server)
        if self.updates or self.newer.origin != self.before or self.record.inputs is None:
            paths = tuple(self.updates)
            reasons = (*self._why(), *self.updates.values())
            seen, edits = self.observed.seen(paths), tuple(self.edits)
            yield Change(address, Action.UPDATE, reasons, paths, Work.MERGE_APP, seen, edits=edits)
        if self.conflicts:
            paths = tuple(self.conflicts)
            seen = self.observed.seen((*paths, *(path + MERGE for path in paths)))
            yield Change(address, Action.CONFLICT, tuple(self.conflicts.values()), paths, Work.OFFER_APP, seen)

    def _why(self) -> Iterator[Reason]:
        found, wanted = self.before.version, self.newer.origin.version
        if found != wanted:
            yield Reason(ReasonCode.NEWER_TEMPLATE, None, found[:SHOWN_VERSION], wanted[:SHOWN_VERSION])
        elif self.before != self.newer.origin:
            yield Reason(ReasonCode.OTHER_ANSWERS)
        elif not self.updates:
            yield Reason(ReasonCode.MERGED_BEFORE, self.folder)


_NAMED = 5


def _leads(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115
    except OSError:
        return None


# --- How a conflict ends ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Resolving:
    """The conflicts of one app, and how they end."""

    server: Server
    observed: Observation
    record: Record
    resolution: Resolution

    def change(self) -> Change:
        address = address_of(self.server)
        if not self.record.merging:
            raise PlanError(f"{address} has no conflict to resolve", hint="`scaffold plan` shows conflicts")
        edits, reasons = [], []
        for path, offer in self.record.merging.items():
            edit, reason = self._decided(path)
            reasons.append(reason)
            edits += [(path, edit)] if edit is not None else []
            edits += [(path + MERGE, Edit.DROP)] if offer.laid and self.observed.exists(path + MERGE) else []
        paths = tuple(self.record.merging)
        seen = self.observed.seen((*paths, *(path + MERGE for path in paths)))
        return Change(address, Action.UPDATE, tuple(reasons), paths, Work.RESOLVE_APP, seen, edits=tuple(edits))

    def _decided(self, path: str) -> tuple[Edit | None, Reason]:
        match self.resolution:
            case Resolution.MINE:
                return Edit.KEEP, Reason(ReasonCode.RESOLVED_MINE, path)
            case Resolution.THEIRS:
                self._template(path)
                return None, Reason(ReasonCode.OVERWRITE, path)
            case Resolution.MERGED:
                self._check_merged(path)
                return Edit.RESOLVE, Reason(ReasonCode.RESOLVED, path, wanted=f"{_name(path)}{MERGE}")

    def _template(self, path: str) -> bytes:
        text = self.observed.base(self.record.merging[path].template)
        if text is None:
            raise PlanError(f"the template's text of {path} is not kept", hint="--mine keeps yours")
        return text

    def _check_merged(self, path: str) -> None:
        if not _is_text(self.record.merging[path]):
            raise PlanError(
                f"{path} is not merged: one of the texts is not UTF-8 text, or has more than 1 MiB",
                hint="--mine keeps yours, --theirs takes the template's: of every file in conflict",
            )
        made = self.observed.content(path + MERGE)
        if made is None:
            raise PlanError(f"there is no {path}{MERGE}", hint="give --mine or --theirs to take one of the texts")
        if markers_left(made, self.record.merging[path].markers):
            raise PlanError(
                f"{path}{MERGE} still has conflict markers",
                hint="edit it, and remove the lines <<<<<<<, |||||||, ======= and >>>>>>>",
            )
