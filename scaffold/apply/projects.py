"""Writes the projects: what scaffold owns in `tls/`, and the person's files as the plan says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scaffold.apply.context import ApplyContext
from scaffold.kinds.render import Rendered
from scaffold.plan.authorities import Authorities
from scaffold.plan.desired import DesiredParty
from scaffold.plan.model import Change, Work
from scaffold.plan.projects import NEW
from scaffold.plan.revocations import freshest
from scaffold.plan.trust_files import Project, ignored, trust_files
from scaffold.plan.unknown import known
from scaffold.settings.peers import peer_issuers
from scaffold.store import files
from scaffold.store import projects as records
from scaffold.store.projects import Record, digest
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
    hashes: Mapping[str, str]


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
    rendered = {f"{one.paths.folder}/{path}": known(file) for path, file in source.render().items()}
    hashes = {path: digest(file.content) for path, file in rendered.items()}
    return _Rendered(one, changes, known(source.inputs), rendered, hashes)


def _write(context: ApplyContext, rendered: _Rendered, authorities: Authorities) -> None:
    address = rendered.one.party.address
    offered: list[str] = []
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
                _put(
                    context, rendered, [path for path in change.paths if _may_offer(context, address, path)], suffix=NEW
                )
                offered.extend(change.paths)
            case _:
                raise ValueError(f"{change.address}: {change.work} is nothing that is done to a project")
        context.progress(change)
    hashes = rendered.hashes
    if offered:
        context.projects.offered(address, {path: hashes[path] for path in offered})
    last = context.observed.records.by_address.get(address, Record()).files
    kept = {path: last[path] for path in offered if path in last}
    behind = bool(offered)
    if any(change.work is Work.REFRESH for change in rendered.changes):
        # What a person has of it is not looked at: it stays known as it was, and the next plan compares it.
        offered = [path for path in rendered.files if not _is_tls(rendered.one, path)]
        kept = {path: sha256 for path, sha256 in last.items() if not _is_tls(rendered.one, path)}
        behind = True
    hashes = {path: sha256 for path, sha256 in hashes.items() if path not in offered} | kept
    context.projects.settled(address, None if behind else rendered.inputs, hashes)


def _may_offer(context: ApplyContext, address: Address, path: str) -> bool:
    """Whether nothing of a person's stands where the new text goes: they may be merging in that very file."""
    there = context.observed.edited_digest(path + NEW)
    record = context.observed.records.by_address.get(address, Record())
    return there is None or record.is_ours(path, there)


def _trust(context: ApplyContext, rendered: _Rendered, change: Change, authorities: Authorities) -> None:
    own = [path for path in rendered.files if _is_tls(rendered.one, path)]
    fixed = {rendered.one.paths.ignore: ignored(rendered.one, own)} | {
        path: known(text) for path, text in trust_files(context.topology, rendered.one, authorities).items()
    }
    wanted = change.paths if change.work is not Work.FILL else (*fixed, *own)
    for path in wanted:
        if (text := fixed.get(path)) is None:
            continue
        if path == rendered.one.paths.crl:
            signers = authorities.in_chains(peer_issuers(context.topology, rendered.one.party))
            text = freshest(context.read(path), text, signers, context.now)
        context.write(path, text)
    _put(context, rendered, [path for path in wanted if path in own])
    for path in change.paths:
        if path not in fixed and path not in rendered.files:
            context.writer.remove(path)


def _put(context: ApplyContext, rendered: _Rendered, paths: Sequence[str], suffix: str = "") -> None:
    for path in paths:
        file = rendered.files.get(path)
        if file is None:
            continue
        mode = files.EXECUTABLE_FILE if file.executable else files.PUBLIC_FILE
        if _is_tls(rendered.one, path):
            context.write(path, file.content, mode=mode)
        else:
            context.writer.write(path + suffix, file.content, mode=mode)


def _is_tls(one: DesiredParty, path: str) -> bool:
    return path.startswith(one.paths.tls + "/")
