"""Writes the projects: what scaffold owns in `tls/`, and the person's files as the plan says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scaffold.apply.context import ApplyContext
from scaffold.errors import Overtaken
from scaffold.kinds.capabilities import Owner
from scaffold.kinds.render import Rendered
from scaffold.plan.authorities import Authorities
from scaffold.plan.basis import Basis
from scaffold.plan.desired import DesiredParty
from scaffold.plan.merging import MERGE, Conflicting, Merged, NotText, Texts, number_of_markers
from scaffold.plan.model import Change, Edit, Plan, Work
from scaffold.plan.projects import EDITED, held_tls, owner_of
from scaffold.plan.revocations import freshest
from scaffold.plan.standing_projects import has_lost_record, record_of
from scaffold.plan.trust_files import Project, ignored, is_allow_list, trust_files
from scaffold.plan.unknown import known
from scaffold.settings.peers import looked_up_issuers
from scaffold.store import bases, files
from scaffold.store import projects as records
from scaffold.store.layout import BASES
from scaffold.store.projects import Guard, Offer, Record, digest
from scaffold.store.seen import NO_FILE, sha256_of
from scaffold.topology.address import Address, Part

_AT_ONCE = 200
"""So many projects share the two fsyncs of the record, and the memory."""

_OF_PARTIES = frozenset({Work.FILL, Work.TRUST, Work.REFRESH, Work.RENDER, Work.WRITE, Work.RESTORE, Work.OFFER})


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A project as it is rendered, and what of it is written."""

    one: DesiredParty
    changes: Sequence[Change]
    inputs: str
    files: Mapping[str, Rendered]
    """Of a project that is held, what goes on in `tls/` alone."""
    hashes: Mapping[str, str]
    standing: Record
    guard: Guard
    held: bool
    offers: _Offers
    last: Mapping[str, Rendered]
    """Of a project that is held, scaffold's files as they were last rendered, wherever that is known."""
    bases: Sequence[bytes]
    """The texts that later merges may start from."""


@dataclass(frozen=True, slots=True)
class _Offers:
    """The conflicts of a project, and what is laid beside a person's edits, by the path of the edited file."""

    merging: Mapping[str, Offer]
    laid: Mapping[str, bytes]
    templates: Sequence[bytes]


def make(
    context: ApplyContext, changes: Sequence[Change], parties: Mapping[Address, DesiredParty], authorities: Authorities
) -> None:
    """Writes projects and what surrounds their certificates. Raises KindError, StoreError."""
    by_party: dict[Address, list[Change]] = {}
    for change in changes:
        if change.work in _OF_PARTIES:
            by_party.setdefault(change.address.entity, []).append(change)
    if by_party:
        records.compact(context.layout, context.writer, context.observed.records)
    addresses = list(by_party)
    for start in range(0, len(addresses), _AT_ONCE):
        some = [
            _render(context, parties[address], by_party[address], authorities)
            for address in addresses[start : start + _AT_ONCE]
        ]
        bases.keep(context.layout, context.writer, (text for rendered in some for text in rendered.bases))
        for rendered in some:
            context.projects.writing(rendered.one.party.address, rendered.hashes, rendered.offers.merging)
        context.projects.flush()
        for rendered in some:
            _write(context, rendered, authorities)
        context.projects.flush()


def _render(context: ApplyContext, one: DesiredParty, changes: Sequence[Change], authorities: Authorities) -> _Rendered:
    source = Project(context.topology, one.party, context.kinds[one.party.address], authorities)
    rendered, inputs = _files(one, source), known(source.inputs)
    standing = record_of(one, rendered, context.observed)
    works = {change.work for change in changes}
    in_conflict = Work.RESTORE in works or (Work.OFFER in works and bool(standing.files))
    held = Work.REFRESH in works or in_conflict
    offers = _offers(context, one, changes, rendered, standing)
    if not held:
        merged = [file.content for path, file in rendered.items() if owner_of(one, source, path) is Owner.MERGED]
        kept = (*merged, *offers.templates)
        return _Rendered(
            one, changes, inputs, rendered, _hashes(rendered), standing, source.guard, held, offers, {}, kept
        )
    narrowed = source.letting_in(standing.guard)
    goes_on = held_tls(one, source, standing)
    files_of_it = {path: file for path, file in _files(one, narrowed).items() if path in goes_on}
    hashes = {**_hashes(rendered), **_hashes(files_of_it)}
    guard = _guard(narrowed.guard, standing.guard, shrinks=any(is_allow_list(one, path) for path in goes_on))
    last = _last_rendered(context, one, source, rendered, standing) if in_conflict else {}
    kept = (*offers.templates, *(file.content for file in last.values()))
    return _Rendered(one, changes, inputs, files_of_it, hashes, standing, guard, held, offers, last, kept)


def _last_rendered(
    context: ApplyContext,
    one: DesiredParty,
    source: Project,
    rendered: Mapping[str, Rendered],
    standing: Record,
) -> dict[str, Rendered]:
    """Scaffold's files of a held project as they were last rendered: from now on they can be put right."""
    texts = Texts(standing, context.read, context.observed.base)
    found: dict[str, Rendered] = {}
    for path, sha256 in standing.files.items():
        if path not in rendered or owner_of(one, source, path) is not Owner.SCAFFOLD:
            continue
        there = context.read(path) if sha256_of(context.layout.at(path)) == sha256 else None
        text = texts.last_rendered(path, rendered[path].content) if there is None else there
        if text is not None:
            found[path] = replace(rendered[path], content=text)
    return found


def _guard(after: Guard, before: Guard | None, *, shrinks: bool) -> Guard:
    """What a held project does at its door: as `before`, for those of `after` alone where its allow list `shrinks`."""
    if before is None:
        return after
    return replace(before, let_in=after.let_in, roles=after.roles) if shrinks else before


def _files(one: DesiredParty, source: Project) -> dict[str, Rendered]:
    return {f"{one.paths.folder}/{path}": known(file) for path, file in source.render().items()}


def _hashes(rendered: Mapping[str, Rendered]) -> dict[str, str]:
    return {path: file.sha256 for path, file in rendered.items()}


def _write(context: ApplyContext, rendered: _Rendered, authorities: Authorities) -> None:
    address = rendered.one.party.address
    for change in rendered.changes:
        if change.address.part is Part.PROJECT:
            context.check_seen(change.seen)
        match change.work:
            case Work.FILL | Work.TRUST | Work.REFRESH:
                _trust(context, rendered, change, authorities)
            case Work.RENDER:
                outside = (path for path in rendered.files if not rendered.one.paths.is_in_tls(path))
                _put(rendered, outside, context.writer.write)
            case Work.WRITE:
                _update(context, rendered, change)
            case Work.RESTORE:
                _restore(context, rendered, change)
            case Work.OFFER:
                _lay_beside(context, rendered, change)
            case _:
                raise ValueError(f"{change.address}: {change.work} is nothing that is done to a project")
        context.progress(change)
    last, merging = rendered.standing.files, rendered.offers.merging
    if rendered.held:
        # The rest is not looked at: it stays known as it was, and the next plan compares it.
        written = _hashes(rendered.files) if any(one.work is Work.REFRESH for one in rendered.changes) else {}
        context.projects.settled(address, None, {**last, **written}, rendered.guard, merging)
        return
    offered = [path for change in rendered.changes if change.work is Work.OFFER for path in change.paths]
    kept = {path: last[path] for path in offered if path in last}
    hashes = {path: sha256 for path, sha256 in rendered.hashes.items() if path not in offered} | kept
    context.projects.settled(address, None if offered else rendered.inputs, hashes, rendered.guard, merging)


# --- A person's texts ------------------------------------------------------------------------------------------------


def _update(context: ApplyContext, rendered: _Rendered, change: Change) -> None:
    """Writes `change.paths`: what is rendered, or what becomes of a person's text there."""
    texts = Texts(rendered.standing, context.read, context.observed.base)
    edits = {path: edit for path, edit in change.edits if edit is not Edit.ASIDE}
    _keep_asides(context, change)
    for path in change.paths:
        template = rendered.files[path]
        match edits.get(path):
            case Edit.KEEP:
                continue
            case Edit.MERGE:
                outcome = texts.merged(path, template.content)
            case Edit.RESOLVE:
                outcome = texts.resolved(path, template.content)
            case Edit.FOLLOW:
                context.writer.write_persons(path, template.content, _persons_mode(context, path, template))
                continue
            case _:
                context.writer.write(path, template.content, mode=_mode(template))
                continue
        if not isinstance(outcome, Merged):
            raise Overtaken(f"{path} cannot be merged as it was planned", path=path, hint="plan again")
        context.writer.write_persons(path, outcome.text, _persons_mode(context, path, template))
    _drop(context, change)


def _restore(context: ApplyContext, rendered: _Rendered, change: Change) -> None:
    """Writes `change.paths` as they were last rendered."""
    _keep_asides(context, change)
    for path in change.paths:
        if (file := rendered.last.get(path)) is None:
            raise Overtaken(
                f"the text that was last rendered for {path} is not kept any more", path=path, hint="plan again"
            )
        context.writer.write(path, file.content, mode=_mode(file))


def _keep_asides(context: ApplyContext, change: Change) -> None:
    for path in (path for path, edit in change.edits if edit is Edit.ASIDE):
        _keep_beside(context, path)


def _keep_beside(context: ApplyContext, path: str) -> None:
    """A person's text of a file that is not theirs, under the first name that is free or has that text already."""
    found = files.read(context.layout.at(path))
    if found is None:
        return
    sha256, beside, number = digest(found.content), f"{path}{EDITED}", 1
    while (there := sha256_of(context.layout.at(beside))) not in (None, sha256):
        number += 1
        beside = f"{path}{EDITED}.{number}"
    if there is None:
        context.writer.write_persons(beside, found.content, found.mode)


def _persons_mode(context: ApplyContext, path: str, template: Rendered) -> int:
    """The rights of a file of theirs stay."""
    if sha256_of(context.layout.at(path)) in (None, NO_FILE):
        return _mode(template)
    found = files.read(context.layout.at(path))
    return _mode(template) if found is None else found.mode


def _drop(context: ApplyContext, change: Change) -> None:
    for path in (path for path, edit in change.edits if edit is Edit.DROP):
        context.writer.remove(path)


def _offers(
    context: ApplyContext,
    one: DesiredParty,
    changes: Sequence[Change],
    rendered: Mapping[str, Rendered],
    standing: Record,
) -> _Offers:
    """What is in conflict once `changes` are made: what was, unless the project is updated."""
    in_conflict = [path for change in changes if change.work is Work.OFFER for path in change.paths]
    updated = any(change.work is Work.WRITE for change in changes)
    merging: dict[str, Offer] = {} if in_conflict or updated else dict(standing.merging)
    texts = Texts(standing, context.read, context.observed.base)
    laid: dict[str, bytes] = {}
    for path in in_conflict:
        template, before = rendered[path].content, standing.merging.get(path)
        if (outcome := _to_resolve(context, path, template, texts)) is None:
            continue
        beside, offer = sha256_of(context.layout.at(path + MERGE)), _offer(context, path, outcome, template)
        if beside in (None, offer.laid) or (before is not None and beside == before.laid):
            merging[path], laid[path] = offer, outcome.text
        elif before is not None:
            merging[path] = before  # a person is at work in it
    return _Offers(merging, laid, [rendered[path].content for path in laid])


def _to_resolve(context: ApplyContext, path: str, template: bytes, texts: Texts) -> Merged | Conflicting | None:
    """What is laid beside a file: nothing where no merge can be, or where there is nothing to decide."""
    if sha256_of(context.layout.at(path)) == NO_FILE:
        return None
    outcome = texts.merged(path, template)
    if isinstance(outcome, NotText) or (isinstance(outcome, Merged) and path not in texts.record.merging):
        return None
    return outcome


def _offer(context: ApplyContext, path: str, outcome: Merged | Conflicting, template: bytes) -> Offer:
    yours, markers = sha256_of(context.layout.at(path)), number_of_markers(outcome)
    return Offer(digest(outcome.text), yours, digest(template), markers)


def _lay_beside(context: ApplyContext, rendered: _Rendered, change: Change) -> None:
    for path, text in rendered.offers.laid.items():
        found = files.read(context.layout.at(path))
        context.writer.write_persons(path + MERGE, text, files.PUBLIC_FILE if found is None else found.mode & 0o666)
    _drop(context, change)


# --- What is known of them -------------------------------------------------------------------------------------------


def with_lost_records(basis: Basis, plan: Plan) -> list[DesiredParty]:
    """The projects of which records or bases were lost, and in which `plan` changes nothing."""
    observed, changed = basis.observed, {change.address.entity for change in plan.changes}
    without_bases = bool(observed.records.by_address) and not observed.exists(BASES)
    return [
        one
        for one in basis.desired.parties
        if one.party.address not in changed and (without_bases or has_lost_record(one, observed))
    ]


def record_found(context: ApplyContext, lost: Sequence[DesiredParty], authorities: Authorities) -> None:
    """Records those that are there as they are rendered, and keeps the texts of their merged files.

    Of any other nothing is known: who it was that changed it, nobody can say. Raises KindError, StoreError.
    """
    for one in lost:
        source = Project(context.topology, one.party, context.kinds[one.party.address], authorities)
        rendered = _files(one, source)
        merged = {path: file for path, file in rendered.items() if owner_of(one, source, path) is Owner.MERGED}
        if has_lost_record(one, context.observed):
            if _stands(context, one, source, rendered):
                bases.keep(context.layout, context.writer, [file.content for file in merged.values()])
                context.projects.writing(one.party.address, _hashes(rendered))
                context.projects.settled(one.party.address, known(source.inputs), _hashes(rendered), source.guard)
        else:
            last = context.observed.records.of(one.party.address).files
            texts = [file.content for path, file in merged.items() if last.get(path) == file.sha256]
            bases.keep(context.layout, context.writer, texts)
    context.projects.flush()


def _stands(context: ApplyContext, one: DesiredParty, source: Project, rendered: Mapping[str, Rendered]) -> bool:
    """Whether each file is as it is rendered; what is theirs may be anything."""
    for path, file in rendered.items():
        there = sha256_of(context.layout.at(path))
        if there is None or (there != file.sha256 and owner_of(one, source, path) is not Owner.YOURS):
            return False
    return True


def collect_bases(context: ApplyContext) -> None:
    """Removes the bases that no record names any more, unless records were lost. Raises StoreError."""
    settled = context.projects.latest
    if not settled or _any_is_unrecorded(context):
        return
    standing = context.observed.records.by_address
    alive: set[str] = set()
    for record in ({address: one for address, one in standing.items() if address not in settled} | settled).values():
        alive.update(record.files.values())
        alive.update(offer.template for offer in record.merging.values())
    bases.collect(context.layout, context.writer, alive)


def _any_is_unrecorded(context: ApplyContext) -> bool:
    return any(
        one.party.address not in context.projects.latest and has_lost_record(one, context.observed)
        for one in context.desired.parties
    )


def _trust(context: ApplyContext, rendered: _Rendered, change: Change, authorities: Authorities) -> None:
    one, held = rendered.one, change.work is Work.REFRESH
    own = [path for path in rendered.files if one.paths.is_in_tls(path)]
    standing = [path for path in rendered.standing.files if one.paths.is_in_tls(path)] if held else []
    in_use = held and context.observed.exists(one.paths.crl)
    of_cas = trust_files(context.topology, one, authorities, context.basis.brought.roots, crls_in_use=in_use)
    fixed = {path: known(text) for path, text in of_cas.items()}
    fixed[one.paths.ignore] = ignored(context.topology, one, (*of_cas, *own, *standing))
    wanted = change.paths if change.work is not Work.FILL else (*fixed, *own)
    # Where nothing is there yet, nothing need be compared.
    write = context.writer.write if change.work is Work.FILL else context.write
    for path in wanted:
        if (text := fixed.get(path)) is None:
            continue
        if path == one.paths.crl:
            signers = authorities.crl_signers(looked_up_issuers(context.topology, one.party))
            text = freshest(context.read(path), text, signers, context.now)
        write(path, text)
    _put(rendered, (path for path in wanted if path in own), write)
    secret = {one.paths.bundle, one.paths.bundle_password}
    for path in change.paths:
        if path == one.paths.tls:
            context.writer.restrict_folder(path)
        elif path in secret:
            context.writer.restrict(path)
        elif not held and path not in fixed and path not in rendered.files:
            context.writer.remove(path)


def _put(rendered: _Rendered, paths: Iterable[str], write: Callable[..., None]) -> None:
    for path in paths:
        file = rendered.files[path]
        write(path, file.content, mode=_mode(file))


def _mode(file: Rendered) -> int:
    return files.EXECUTABLE_FILE if file.executable else files.PUBLIC_FILE
