"""What is in `tls/` beside the files that everybody has, because the topology asks for it, and whose all of it is.

Copies under other names, combined files and trust stores are made of what is there: they change when that does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from scaffold.plan.desired import DesiredParty
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.rights import of_files
from scaffold.settings.material import NO_FILES, Derived, derived
from scaffold.store.layout import PartyPaths
from scaffold.store.observation import Observation
from scaffold.store.projects import Record, digest
from scaffold.store.rights import Rights, named
from scaffold.topology.address import Part
from scaffold.topology.model import Topology
from scaffold.topology.notes import Note


@dataclass(frozen=True, slots=True)
class Compared:
    """Why files differ, by path; and the paths of those that merely follow what changes in the same plan."""

    reasons: Mapping[str, Reason]
    following: frozenset[str]


def compare(
    t: Topology, one: DesiredParty, observed: Observation, changing: Collection[str], rights: Rights
) -> Compared:
    """Compares. `changing` are the files of the same server or client that the plan changes. Raises StoreError."""
    record = observed.records.of(one.party.address.with_part(Part.FILES))
    reasons: dict[str, Reason] = {}
    following: set[str] = set()
    wanted = derived(t, one.party)
    for file in wanted:
        path, sources = _in_tls(one.paths, file.name), [_in_tls(one.paths, name) for name in file.sources]
        if file.secret and observed.keys_away and not observed.exists(path):
            continue
        changed = [source for source in sources if source in changing]
        if changed:
            reasons[path] = Reason(ReasonCode.FOLLOWS if observed.exists(path) else ReasonCode.MISSING, path)
            following.add(path)
        elif file.secret and observed.keys_away:
            continue
        elif all(map(observed.exists, sources)) and (reason := _wrong(file, path, sources, record, observed, rights)):
            reasons[path] = reason
    kept = {_in_tls(one.paths, file.name) for file in wanted}
    for path in record.files:
        if path not in kept and observed.exists(path):
            reasons[path] = Reason(ReasonCode.STALE, path)
    for path, reason in _of_others(one, observed, rights):
        reasons.setdefault(path, reason)
    return Compared(reasons, frozenset(following))


def _in_tls(paths: PartyPaths, name: str) -> str:
    return f"{paths.tls}/{name}"


def _wrong(
    file: Derived, path: str, sources: list[str], record: Record, observed: Observation, rights: Rights
) -> Reason | None:
    there = observed.content(path)
    if there is None:
        return Reason(ReasonCode.MISSING, path)
    texts = [observed.content(source) or b"" for source in sources]
    is_right = there == b"".join(texts)
    if not file.copied:
        is_right = record.files.get(path) == trust_store_inputs(there, texts[0])
    if not is_right:
        return Reason(ReasonCode.NOT_ITS_SOURCES, path)
    return next((reason for _, reason in of_files((path,) if file.secret else (), observed, rights)), None)


def trust_store_inputs(store: bytes, trust: bytes) -> str:
    """Names a trust store and what it was made of: no two are alike, though they hold the same."""
    return digest(f"{digest(store)} {digest(trust)}".encode())


def _of_others(one: DesiredParty, observed: Observation, rights: Rights) -> Iterator[tuple[str, Reason]]:
    """What is there and belongs to somebody else than it should, where this process can mend that."""
    if not rights.may_be_given():
        return
    yield from _of_another(one, observed, rights)


def _of_another(one: DesiredParty, observed: Observation, rights: Rights) -> Iterator[tuple[str, Reason]]:
    if rights.owner is None and rights.group is None:
        return
    files = (_in_tls(one.paths, name) for name in observed.names(one.paths.tls))
    for path in (one.paths.folder, one.paths.tls, *files):
        owns = observed.owners(path)
        if owns is None:
            continue
        wanted = (owns[0] if rights.owner is None else rights.owner, owns[1] if rights.group is None else rights.group)
        if owns != wanted:
            yield path, Reason(ReasonCode.OWNER, path, found=named(*owns), wanted=named(*wanted))


def notes(one: DesiredParty, observed: Observation, rights: Rights) -> Iterator[Note]:
    """What this user may not give away, and the command by which somebody may."""
    if rights.may_be_given():
        return
    wrong = [path for path, _ in _of_another(one, observed, rights)]
    if wrong or not observed.exists(one.paths.folder):
        folder, chown = observed.layout.at(one.paths.folder), (one.party.files or NO_FILES).chown
        said = f"must belong to {chown}, and only root can change the owner of files"
        yield Note(one.party.address, f"{said}: sudo chown -R {chown} {folder}/tls {folder}")
