"""A project that is there, and what is known of it without rendering it.

Where it was rendered from the inputs of today, what its files must be is known. Where its record was lost, what is
there counts for what was last rendered: nothing of it is taken for granted, and while it is held it stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from scaffold.kinds.capabilities import Owner
from scaffold.plan.desired import DesiredParty
from scaffold.plan.model import Action, Change, Work
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.trust_files import Project
from scaffold.store.layout import PROJECTS
from scaffold.store.observation import Observation
from scaffold.store.projects import Record
from scaffold.store.seen import NO_FILE
from scaffold.topology.address import Address, Part
from scaffold.topology.notes import Note


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs. `tls` are reasons by path; `rendered_tls` what the kind renders there, None where that is open.

    `roles` say who is given which roles at the server, and from whom they are taken.
    `held`: the project stays as it is, although it is not what the topology says.
    """

    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()
    tls: Mapping[str, Reason] = field(default_factory=dict)
    rendered_tls: frozenset[str] | None = None
    held: bool = False
    roles: tuple[Reason, ...] = ()


# A member of an enum takes a while to look up, and tens of thousands of files are asked about.
_SCAFFOLD: Final = Owner.SCAFFOLD
_MERGED: Final = Owner.MERGED


def as_rendered(one: DesiredParty, source: Project, record: Record, observed: Observation) -> Compared | None:
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
        elif not observed.exists(path):
            notes.append(deleted_note(one, path))
        elif owner is _MERGED and not observed.is_file_or_missing(path):
            return None
    notes.extend(executable_notes(one, record, observed))
    return Compared((), tuple(notes), dict(tls_reasons(tls, observed)), frozenset(tls))


def gone_but_for_tls(one: DesiredParty, record: Record, observed: Observation, hold: bool) -> Compared:
    """What is to be done where nothing of the project is left but what is in `tls/`."""
    tls = {path: sha256 for path, sha256 in record.files.items() if one.paths.is_in_tls(path)}
    return Compared((creation(one, observed),), (), dict(tls_reasons(tls, observed)), frozenset(tls), held=hold)


def has_lost_record(one: DesiredParty, observed: Observation) -> bool:
    """Whether a project is there of which nothing is recorded, although every apply records what it writes."""
    if one.party.address in observed.records.by_address:
        return False
    return observed.exists(one.paths.trust) and observed.holds_more_than(one.paths.folder, "tls")


def record_of(one: DesiredParty, rendered: Iterable[str], observed: Observation) -> Record:
    """What is known of a project; where that was lost, what is there of the files that it has `rendered`.

    A text that is kept as a base is scaffold's own: no edit of a person's is kept there.
    """
    if not has_lost_record(one, observed):
        return observed.records.of(one.party.address)
    there: dict[str, str] = {}
    ours: dict[str, str | frozenset[str]] = {}
    for path in rendered:
        sha256 = observed.edited_digest(path)
        if sha256 is None or sha256 == NO_FILE:
            continue
        there[path] = sha256
        if observed.base(sha256) is not None:
            ours[path] = sha256
    return Record(files=there, ours=ours)


def lost_record_note(one: DesiredParty) -> Note:
    """What is told where a change meets a project whose record was lost."""
    said = (
        f"exists, and {PROJECTS} was lost: any text that differs from the template counts as yours; restore that "
        "file from a backup, or settle each conflict once"
    )
    return Note(one.party.address, said)


def creation(one: DesiredParty, observed: Observation) -> Change:
    """The change that makes a project of which nothing is there."""
    reason = Reason(ReasonCode.NO_PROJECT, one.paths.folder)
    seen = observed.seen_folder(one.paths.folder, apart="tls")
    return Change(address_of(one), Action.CREATE, (reason,), (one.paths.folder,), Work.RENDER, (seen,))


def address_of(one: DesiredParty) -> Address:
    """The address of its project."""
    return one.party.address.with_part(Part.PROJECT)


def tls_reasons(wanted: Mapping[str, str], observed: Observation) -> Iterator[tuple[str, Reason]]:
    """What of `wanted`, which is SHA-256 by path, is not there or is another text."""
    for path, sha256 in wanted.items():
        if not observed.has_digest(path, sha256):
            code = ReasonCode.MISSING if observed.content(path) is None else ReasonCode.CONTENT
            yield path, Reason(code, path)


def deleted_note(one: DesiredParty, path: str) -> Note:
    """What is told of a file that a person has deleted, and that is not scaffold's: it may be meant so."""
    restores = f"`scaffold apply --overwrite {one.party.address}` writes the template's file again"
    return Note(None, f"{path} was deleted, and stays so; {restores}")


def executable_notes(one: DesiredParty, record: Record, observed: Observation) -> Iterator[Note]:
    """What is told of a `run.sh` that has lost its right to run."""
    path = one.paths.run
    if path in record.files and not is_executable(path, observed):
        yield Note(None, f"{path} is no longer executable, so it cannot be started: chmod +x {path}")


def is_executable(path: str, observed: Observation) -> bool:
    """Whether a file is; what is not there, or no file, is somebody else's business."""
    seen = observed.rights(path)
    return seen is None or bool(seen.mode & 0o100) or not observed.is_file_or_missing(path)
