"""Puts apps in their places as their templates make them, and merges newer versions: it does what the plan says.

A new app is laid beside under `.scaffold/`, recorded, and renamed into its place in one go: a kill leaves all of it or
nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from scaffold.apply.context import ApplyContext
from scaffold.errors import KindError, Overtaken
from scaffold.kinds.render import Rendered
from scaffold.plan.apps import MadeApp
from scaffold.plan.merging import LARGEST, MERGE, Merged, NotText, Outcome, Texts, number_of_markers
from scaffold.plan.model import Change, Edit, Work
from scaffold.store import bases, files
from scaffold.store.files import TEMPORARY
from scaffold.store.layout import RECORDS, Layout, party_paths
from scaffold.store.projects import Offer, Record, digest
from scaffold.store.seen import sha256_of
from scaffold.topology.address import Address

_OF_APPS = frozenset({Work.APP, Work.MERGE_APP, Work.OFFER_APP, Work.RESOLVE_APP})
FROM_TEMPLATES = _OF_APPS - {Work.RESOLVE_APP}
"""What needs the app as its template makes it now."""


def check(changes: Sequence[Change], made: Mapping[Address, MadeApp]) -> None:
    """Raises KindError where an app is to be made or merged and its template was not rendered."""
    for change in changes:
        if change.work in FROM_TEMPLATES and change.address.entity not in made:
            hint = "`scaffold apply` does that"
            raise KindError(f"{change.address} is made of a template, which is to be rendered first", hint=hint)


def make(context: ApplyContext, changes: Sequence[Change], made: Mapping[Address, MadeApp]) -> None:
    """Carries out those of `changes` that are of apps. Raises Overtaken, StoreError."""
    by_app: dict[Address, list[Change]] = {}
    for change in changes:
        if change.work in _OF_APPS:
            by_app.setdefault(change.address, []).append(change)
    for address, of_it in by_app.items():
        for change in of_it:
            context.check_seen(change.seen)
        works = {change.work for change in of_it}
        if Work.APP in works:
            _place(context, address, made[address.entity])
        elif Work.RESOLVE_APP in works:
            _resolve(context, address, of_it[0])
        else:
            _merge(context, address, of_it, made[address.entity])
        for change in of_it:
            context.progress(change)


def remove_unfinished(layout: Layout) -> None:
    """Removes what a killed apply has laid beside. Raises StoreError."""
    folder = layout.path(RECORDS)
    for path in folder.glob(f"app-*{TEMPORARY}") if folder.is_dir() else ():
        _remove_tree(path)


def _remove_tree(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise files.store_error("remove", path, error) from error


def _place(context: ApplyContext, address: Address, made: MadeApp) -> None:
    folder = party_paths(address.role, address.name)
    beside, place = context.layout.path(f"{RECORDS}/app-{address.name}{TEMPORARY}"), context.layout.path(folder.app)
    files.check_folder(context.layout.at(folder.folder))
    hashes = _hashes(folder.app, made.rendered.files)
    try:
        shutil.copytree(made.rendered.folder, beside, symlinks=True)
        bases.keep(context.layout, context.writer, _to_be_merged_with(made.rendered.files.values()))
        context.projects.settled(address, made.origin.version, hashes, app=made.origin)
        context.projects.flush()
        os.rename(beside, place)  # noqa: PTH104 - Path.rename is the same, and does not say so
        files.sync_folder(str(place.parent))
    except (OSError, shutil.Error) as error:
        shutil.rmtree(beside, ignore_errors=True)
        error = error if isinstance(error, OSError) else OSError(str(error))
        raise files.store_error("write", place, error) from error


def _hashes(folder: str, rendered: Mapping[str, Rendered]) -> dict[str, str]:
    return {f"{folder}/{name}": digest(file.content) for name, file in rendered.items()}


def _to_be_merged_with(rendered: Iterable[Rendered]) -> Iterator[bytes]:
    return (file.content for file in rendered if len(file.content) <= LARGEST)


def _merge(context: ApplyContext, address: Address, changes: Sequence[Change], made: MadeApp) -> None:
    folder, record = party_paths(address.role, address.name).app, context.observed.records.of(address)
    rendered = {f"{folder}/{name}": file for name, file in made.rendered.files.items()}
    texts = Texts(record, context.read, context.observed.base)
    conflicts = [path for change in changes if change.work is Work.OFFER_APP for path in change.paths]
    outcomes = {path: texts.merged(path, rendered[path].content) for path in conflicts}
    offers = {path: _offer(context, path, outcome, rendered[path].content) for path, outcome in outcomes.items()}
    of_conflicts = [rendered[path].content for path in outcomes]  # a person may decide for the template's
    bases.keep(context.layout, context.writer, [*_to_be_merged_with(rendered.values()), *of_conflicts])
    hashes = {path: digest(file.content) for path, file in rendered.items()}
    context.projects.writing(address, hashes, offers)
    context.projects.flush()
    for change in changes:
        if change.work is Work.MERGE_APP:
            _update(context, change, rendered, texts)
    for path, outcome in outcomes.items():
        if not isinstance(outcome, NotText):
            _write(context, path + MERGE, outcome.text, executable=False)
    standing = {path: sha256 for path, sha256 in hashes.items() if path not in offers}
    context.projects.settled(address, made.origin.version, standing, merging=offers, app=made.origin)
    context.projects.flush()


def _offer(context: ApplyContext, path: str, outcome: Outcome, template: bytes) -> Offer:
    yours = sha256_of(context.layout.at(path))
    if isinstance(outcome, NotText):
        return Offer(None, yours, digest(template))
    return Offer(digest(outcome.text), yours, digest(template), number_of_markers(outcome))


def _update(context: ApplyContext, change: Change, rendered: Mapping[str, Rendered], texts: Texts) -> None:
    edits = dict(change.edits)
    for path in change.paths:
        match edits.get(path):
            case Edit.DROP:
                context.writer.remove(path)
            case Edit.MERGE:
                outcome = texts.merged(path, rendered[path].content)
                if not isinstance(outcome, Merged):
                    raise Overtaken(f"{path} cannot be merged as it was planned", path=path, hint="plan again")
                _write(context, path, outcome.text, executable=rendered[path].executable)
            case _:
                _write(context, path, rendered[path].content, executable=rendered[path].executable)


def _write(context: ApplyContext, path: str, text: bytes, *, executable: bool) -> None:
    """A file that is there keeps its rights."""
    found = files.read(context.layout.at(path))
    usual = files.EXECUTABLE_FILE if executable else files.PUBLIC_FILE
    context.writer.write_persons(path, text, usual if found is None else found.mode)


def _resolve(context: ApplyContext, address: Address, change: Change) -> None:
    record = context.observed.records.of(address)
    decided = {path: edit for path, edit in change.edits if edit is not Edit.DROP}
    for path in change.paths:
        text = _resolved(context, record, path, decided.get(path))
        if text is not None:
            _write(context, path, text, executable=False)
    standing = {**record.files, **{path: record.merging[path].template for path in change.paths}}
    context.projects.settled(address, record.inputs, standing, app=record.app)
    context.projects.flush()
    for path, edit in change.edits:
        if edit is Edit.DROP:
            context.writer.remove(path)


def _resolved(context: ApplyContext, record: Record, path: str, edit: Edit | None) -> bytes | None:
    """The text that a file gets; None where it keeps its own."""
    match edit:
        case Edit.KEEP:
            return None
        case Edit.RESOLVE:
            return context.read(path + MERGE)
        case _:
            return context.observed.base(record.merging[path].template)
