"""Writes the projects: what scaffold owns in `tls/`, and the person's files as the plan says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scaffold.apply.context import ApplyContext
from scaffold.kinds.render import Rendered
from scaffold.plan.authorities import Authorities
from scaffold.plan.desired import DesiredParty
from scaffold.plan.model import Change, Work
from scaffold.plan.projects import NEW, held_tls
from scaffold.plan.revocations import freshest
from scaffold.plan.trust_files import Project, ignored, is_allow_list, trust_files
from scaffold.plan.unknown import known
from scaffold.settings.peers import peer_issuers
from scaffold.store import files
from scaffold.store import projects as records
from scaffold.store.projects import Guard, Record, digest
from scaffold.topology.address import Address, Part

_AT_ONCE = 200
"""So many projects share the two fsyncs of the record, and the memory."""

_OF_PARTIES = frozenset({Work.FILL, Work.TRUST, Work.REFRESH, Work.RENDER, Work.WRITE, Work.OFFER})


@dataclass(frozen=True, slots=True)
class _Rendered:
    one: DesiredParty
    changes: Sequence[Change]
    inputs: str
    files: Mapping[str, Rendered]
    """Of a project that is held, what goes on in `tls/` alone."""
    hashes: Mapping[str, str]
    offers: Mapping[str, Rendered]
    """What is laid beside a person's edits."""
    standing: Record
    guard: Guard
    held: bool


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
        for rendered in some:
            context.projects.writing(rendered.one.party.address, rendered.hashes)
        context.projects.flush()
        for rendered in some:
            _write(context, rendered, authorities)
        context.projects.flush()


def _render(context: ApplyContext, one: DesiredParty, changes: Sequence[Change], authorities: Authorities) -> _Rendered:
    source = Project(context.topology, one.party, context.kinds[one.party.address], authorities)
    standing = context.observed.records.by_address.get(one.party.address, Record())
    rendered, inputs = _files(one, source), known(source.inputs)
    works = {change.work for change in changes}
    held = Work.REFRESH in works or (Work.OFFER in works and Work.WRITE not in works)
    if not held:
        return _Rendered(one, changes, inputs, rendered, _hashes(rendered), rendered, standing, source.guard, held)
    narrowed = source.letting_in(standing.guard)
    goes_on = held_tls(one, source, standing)
    files_of_it = {path: file for path, file in _files(one, narrowed).items() if path in goes_on}
    hashes = {**_hashes(rendered), **_hashes(files_of_it)}
    guard = _guard(narrowed.guard, standing.guard, shrinks=any(is_allow_list(one, path) for path in goes_on))
    return _Rendered(one, changes, inputs, files_of_it, hashes, rendered, standing, guard, held)


def _guard(after: Guard, before: Guard | None, *, shrinks: bool) -> Guard:
    """What a held project does at its door: as `before`, for those of `after` alone where its allow list `shrinks`."""
    if before is None:
        return after
    return replace(before, let_in=after.let_in) if shrinks else before


def _files(one: DesiredParty, source: Project) -> dict[str, Rendered]:
    return {f"{one.paths.folder}/{path}": known(file) for path, file in source.render().items()}


def _hashes(rendered: Mapping[str, Rendered]) -> dict[str, str]:
    return {path: digest(file.content) for path, file in rendered.items()}


def _write(context: ApplyContext, rendered: _Rendered, authorities: Authorities) -> None:
    address = rendered.one.party.address
    offered: list[str] = []
    laid: list[str] = []
    for change in rendered.changes:
        if change.address.part is Part.PROJECT:
            context.check_seen(change.seen)
        match change.work:
            case Work.FILL | Work.TRUST | Work.REFRESH:
                _trust(context, rendered, change, authorities)
            case Work.RENDER:
                _put(context, rendered, [path for path in rendered.files if not _is_tls(rendered.one, path)])
            case Work.WRITE:
                _put(context, rendered, change.paths)
            case Work.OFFER:
                laid.extend(_offer(context, rendered, change.paths))
                offered.extend(change.paths)
            case _:
                raise ValueError(f"{change.address}: {change.work} is nothing that is done to a project")
        context.progress(change)
    if laid:
        context.projects.offered(address, {path: digest(rendered.offers[path].content) for path in laid})
    last = rendered.standing.files
    if rendered.held:
        # The rest is not looked at: it stays known as it was, and the next plan compares it.
        written = _hashes(rendered.files) if any(one.work is Work.REFRESH for one in rendered.changes) else {}
        context.projects.settled(address, None, {**last, **written}, rendered.guard)
        return
    kept = {path: last[path] for path in offered if path in last}
    hashes = {path: sha256 for path, sha256 in rendered.hashes.items() if path not in offered} | kept
    context.projects.settled(address, None if offered else rendered.inputs, hashes, rendered.guard)


def _offer(context: ApplyContext, rendered: _Rendered, paths: Sequence[str]) -> Iterator[str]:
    """Lays new texts beside a person's edits; which of them, since what is theirs is left."""
    for path in paths:
        if _may_offer(context, rendered.one.party.address, path):
            file = rendered.offers[path]
            context.writer.write(path + NEW, file.content, mode=_mode(file))
            yield path


def _may_offer(context: ApplyContext, address: Address, path: str) -> bool:
    """Whether nothing of a person's stands where the new text goes: they may be merging in that very file."""
    there = context.observed.edited_digest(path + NEW)
    record = context.observed.records.by_address.get(address, Record())
    return there is None or record.is_ours(path, there)


def _trust(context: ApplyContext, rendered: _Rendered, change: Change, authorities: Authorities) -> None:
    one, held = rendered.one, change.work is Work.REFRESH
    own = [path for path in rendered.files if _is_tls(one, path)]
    standing = [path for path in rendered.standing.files if _is_tls(one, path)] if held else []
    in_use = held and context.observed.exists(one.paths.crl)
    of_cas = trust_files(context.topology, one, authorities, crls_in_use=in_use)
    fixed = {one.paths.ignore: ignored(one, (*own, *standing))} | {path: known(text) for path, text in of_cas.items()}
    wanted = change.paths if change.work is not Work.FILL else (*fixed, *own)
    for path in wanted:
        if (text := fixed.get(path)) is None:
            continue
        if path == one.paths.crl:
            signers = authorities.crl_signers(peer_issuers(context.topology, one.party))
            text = freshest(context.read(path), text, signers, context.now)
        context.write(path, text)
    _put(context, rendered, [path for path in wanted if path in own])
    secret = {one.paths.bundle, one.paths.bundle_password}
    for path in change.paths:
        if path == one.paths.tls:
            context.writer.restrict_folder(path)
        elif path in secret:
            context.writer.restrict(path)
        elif not held and path not in fixed and path not in rendered.files:
            context.writer.remove(path)


def _put(context: ApplyContext, rendered: _Rendered, paths: Sequence[str]) -> None:
    for path in paths:
        file = rendered.files.get(path)
        if file is None:
            continue
        if _is_tls(rendered.one, path):
            context.write(path, file.content, mode=_mode(file))
        else:
            context.writer.write(path, file.content, mode=_mode(file))


def _mode(file: Rendered) -> int:
    return files.EXECUTABLE_FILE if file.executable else files.PUBLIC_FILE


def _is_tls(one: DesiredParty, path: str) -> bool:
    return path.startswith(one.paths.tls + "/")
