"""What is checked without a server: what a template renders, for everything that it declares."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scaffold.contract.model import Failed, Untried
from scaffold.contract.room import Applied, Room
from scaffold.plan.make import look, plan_all
from scaffold.plan.trust_files import Project
from scaffold.running.services import environment, handed_on
from scaffold.topology.address import Address
from scaffold.topology.model import Party

_SHOWN = 4
"""Lines of a checker that are shown: the last one alone often says no more than that there were errors."""

_JUDGED_WITHIN = 60.0


def renders_all_that_it_declares(room: Room) -> str:
    """One server or client for each thing that is declared, with awkward values."""
    parties = room.declared.parties_of(room.kind)
    return f"{len(parties)} projects: {', '.join(party.name for party in parties)}"


def renders_the_same_again(room: Room) -> str:
    """What is rendered depends on the settings alone: no clock, no chance."""
    declared = room.declared
    basis = look(declared.topology, declared.kinds, declared.layout, room.now)
    authorities = plan_all(basis).authorities
    for party, _ in _projects(room):
        project = Project(declared.topology, party, room.kind, authorities)
        first, second = project.render(), project.render()
        if differs := [path for path in first if first[path] != second.get(path)]:
            raise Failed(f"{differs[0]} of {party.name} differs each time that it is rendered")
    return "the same both times"


def has_run_sh(room: Room) -> str:
    """`run.sh` is an executable POSIX sh script."""
    for _, folder in _projects(room):
        script = folder / "run.sh"
        if not script.is_file():
            raise Failed(f"{folder.name} has no run.sh")
        if not script.stat().st_mode & 0o100:
            raise Failed("run.sh is not executable")
        if not script.read_bytes().startswith(b"#!/bin/sh\n"):
            raise Failed("run.sh does not begin with #!/bin/sh")
        judged = subprocess.run(["sh", "-n", str(script)], env=handed_on(), capture_output=True, text=True, check=False)
        if judged.returncode:
            raise Failed(f"run.sh of {folder.name}: {_last_lines(judged.stderr)}")
    return "an executable POSIX script"


def has_a_readme(room: Room) -> str:
    """`README.md` begins with a heading."""
    for _, folder in _projects(room):
        readme = folder / "README.md"
        if not readme.is_file() or not readme.read_text("utf-8").startswith("# "):
            raise Failed(f"{folder.name} has no README.md that begins with a heading")
    return "README.md begins with a heading"


def guards_what_decides(room: Room) -> str:
    """Whom a server lets in is in `tls/`, where no edit lasts and removals go on while edits are in conflict."""
    if room.kind.role != "server":
        raise Untried("a client has no callers")
    plain = Address.server("plain")
    named = [path for path in (room.declared.folder(plain) / "tls").iterdir() if b"teller" in path.read_bytes()]
    if not named:
        raise Failed("no file in tls/ lists the allowed callers")
    return ", ".join(sorted(f"tls/{path.name}" for path in named))


def passes_its_config_check(room: Room) -> str:
    """The server's own checker takes every configuration."""
    if not room.kind.capabilities.config_check:
        raise Untried("the template declares no config_check")
    missing = room.declared.missing
    judged, skipped = [], []
    for party, folder in _projects(room):
        if party.address in missing:
            skipped.append(missing[party.address])
            continue
        _judge(room, folder)
        judged.append(party.name)
    if not judged:
        raise Untried(skipped[0])
    return f"{len(judged)} configurations" + (f"; {len(skipped)} not tried: {skipped[0]}" if skipped else "")


def _judge(room: Room, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="scaffold-home-") as home:
        try:
            done = subprocess.run(
                room.kind.capabilities.config_check,
                cwd=folder,
                env=environment(Path(home), {}, room.kind.capabilities.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_JUDGED_WITHIN,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"config_check cannot be run: {error}") from error
    if done.returncode:
        raise Failed(f"config_check refuses the project {folder.name}: {_last_lines(done.stdout)}")


def _projects(room: Room) -> Iterator[tuple[Party, Path]]:
    declared: Applied = room.declared
    for party in declared.parties_of(room.kind):
        yield party, declared.folder(party.address)


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[-_SHOWN:]) if lines else "it said nothing"
