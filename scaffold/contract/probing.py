"""What verify finds of a template: nothing as it is rendered, and each mutation that the template declares."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Collection
from pathlib import Path

from scaffold.contract.model import Failed, Untried
from scaffold.contract.room import Applied, Room, copy_project
from scaffold.errors import VerifyError
from scaffold.kinds.mutations import Mutation
from scaffold.plan.model import Plan
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address
from scaffold.topology.model import Party
from scaffold.verify.cases import is_in_its_place
from scaffold.verify.model import Check, Expected, Observed, Probe, Report, Result
from scaffold.verify.run import verify


def passes_verify(room: Room) -> str:
    """Every probe of verify goes the right way."""
    _check_can_run(room)
    report = _verified(room, room.applied.layout)
    if failed := _failed(report):
        raise Failed(f"{len(failed)} probes failed: {_words(failed)}")
    if not report.tried:
        raise Failed("no probe could be tried")
    counts = report.summary
    return f"{counts[Result.PASSED]} probes passed, {counts[Result.SKIPPED]} skipped"


def declares_mutations(room: Room) -> str:
    """A template says which of its settings verify must see broken: a check that cannot fail proves nothing."""
    mutations = room.kind.capabilities.mutations
    if not mutations:
        raise Failed("the template declares no mutations: changes of its settings that verify must catch")
    known = {probe.value for probe in Probe}
    for mutation in mutations:
        for probe in mutation.caught_by:
            if probe not in known:
                near = difflib.get_close_matches(probe, known, n=1)
                meant = f'; did you mean "{near[0]}"?' if near else ""
                raise Failed(f'"{mutation.breaks}" must be caught by "{probe}", which is not a probe{meant}')
    return f"{len(mutations)} declared"


def catches(room: Room, mutation: Mutation) -> str:
    """Verify fails where one setting is broken, by the probes that are named.

    The setting is broken in each project that has it, one after the other, until one is caught: not all that a
    setting does shows in every project.
    """
    _check_can_run(room)
    failures: list[str] = []
    for party in _mutable(room.applied, room, mutation):
        try:
            return _caught(room, party, mutation)
        except Failed as failure:
            failures.append(str(failure))
    raise Failed("; ".join(dict.fromkeys(failures)))


def _caught(room: Room, party: Party, mutation: Mutation) -> str:
    """What sees it in one project. Raises Failed where something that should has not, or it does not even start."""
    place = room.folder / "mutated"
    try:
        copy_project(room.applied.layout.out, place)
        layout = Layout(place)
        _break(layout.path(room.applied.paths(party.address).folder), mutation)
        probes = [Probe(probe) for probe in mutation.caught_by]
        report = _verified(room, layout, party.address, probes or frozenset(Probe))
        told = [check for check in report.checks if _tells(check)]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    missed = [probe.value for probe in probes if all(check.probe is not probe for check in told)]
    if missed or not told:
        raise Failed(f"no probe fails although it is broken: {', '.join(missed) or 'every probe passes'}")
    return f"{party.address}: {_words(told)}"


def _check_can_run(room: Room) -> None:
    """Raises Untried where something of the topology cannot run here: every probe of it would be skipped."""
    room.stop()  # verify publishes by itself, where the certificates say
    room.check_can_run()
    for reason in room.applied.missing.values():
        raise Untried(reason)


def _verified(
    room: Room, layout: Layout, only: Address | None = None, probes: Collection[Probe] = frozenset(Probe)
) -> Report:
    applied = room.applied
    try:
        report = verify(
            applied.topology,
            applied.kinds,
            layout,
            room.now,
            Secrets(),
            plan=Plan(applied.topology.name),  # the projects were just made, or are broken on purpose
            only=only,
            limit_to=probes,
            ports="auto",
            within=room.within,
            randomness=room.randomness,
        )
    except VerifyError as error:
        raise Failed(error.message) from error
    for check in report.checks:
        if check.unstarted is not None:  # a setting that keeps it from starting is caught by no probe
            raise Failed(check.unstarted.said)
    return report


def _mutable(applied: Applied, room: Room, mutation: Mutation) -> list[Party]:
    """The servers or clients of the template that have all of what is to be changed.

    Those that call come first where it is a false server that must be seen. Raises Failed where there is none.
    """
    parties = applied.parties_of(room.kind)
    false_servers = any(is_in_its_place(Probe(probe)) for probe in mutation.caught_by)
    found = [
        party
        for party in sorted(parties, key=lambda party: bool(party.calls), reverse=false_servers)
        if not _missing(applied.folder(party.address), mutation)
    ]
    if not found:
        missing = min((_missing(applied.folder(party.address), mutation) for party in parties), key=len)
        raise Failed(f"no project has all that it changes; the nearest lacks {'; '.join(missing)}")
    return found


def _missing(folder: Path, mutation: Mutation) -> list[str]:
    """What a project does not have of the texts that are to be changed, and in which file."""
    return [
        f"{old!r} in {file}"
        for file, texts in mutation.change.items()
        for old in texts
        if not _holds(folder / file, old)
    ]


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and text in file.read_text("utf-8", "replace")


def _break(folder: Path, mutation: Mutation) -> None:
    for file, texts in mutation.change.items():
        text = (folder / file).read_text("utf-8")
        for old, new in texts.items():
            text = text.replace(old, new)
        (folder / file).write_text(text, "utf-8")


def _failed(report: Report) -> list[Check]:
    return [check for check in report.checks if check.result is Result.FAILED]


def _tells(check: Check) -> bool:
    """Whether a probe has caught something: where a refusal is expected, nothing but getting in says so."""
    seen = check.expected is Expected.ALLOWED or check.observed is Observed.ALLOWED
    return check.result is Result.FAILED and seen


def _words(failed: list[Check]) -> str:
    first = failed[0]
    seen = f"{first.client} at {first.server}, {first.probe}: {first.observed.value} ({first.detail})"
    others = dict.fromkeys(check.probe.value for check in failed if check.probe is not first.probe)
    return seen + (f"; also {', '.join(others)}" if others else "")
