"""What `add`, `remove` and `rename` end with: the edited topology is planned, the plan shown, and the file written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scaffold.cli.apps import Apps, with_trust_notes
from scaffold.cli.clock import now
from scaffold.cli.options import DEFAULT_FILE
from scaffold.cli.project import Project, project_of, read, suggested
from scaffold.errors import Overtaken, ScaffoldError, TopologyErrors
from scaffold.topology.edit import read as read_values
from scaffold.topology.load import loads

if TYPE_CHECKING:
    from scaffold.plan.make import Planned


@dataclass(frozen=True, slots=True)
class Edit:
    """A topology's text before and after.

    `done` says what was done: `server.api is added`. `refused` begins what is said where that cannot be.
    """

    file: Path
    before: bytes
    after: bytes
    done: str
    refused: str = ""

    def check(self) -> None:
        """Raises StoreError where the file has changed since it was read, or is not to be written."""
        from scaffold.store import topology_file

        topology_file.check(self.file, self.before)

    def write(self) -> None:
        """Write it. Raises StoreError where the file has changed since it was read."""
        from scaffold.store import topology_file

        topology_file.replace(self.file, self.before, self.after)


def finish(edit: Edit, out: Path | None, *, apply: bool, yes: bool, json: bool, apps: Apps | None = None) -> None:
    """Plan what the edit brings; then write the file, and carry the plan out where `apply` says so.

    Raises, and writes nothing, where the topology would be invalid or could not be planned, or where `apply` has to ask
    and nobody consents. `apps` makes those of which the plan needs the templates; without it, no template can be
    trusted on this verb.
    """
    project, planned = _planned(edit, out, apps.trust if apps is not None else None)
    apps = apps if apps is not None else Apps()
    apps.check(project.topology, project.kinds.values())
    if apply:
        with _told_of(edit):
            apps.of_plan(planned.plan, project.topology)  # what cannot be made leaves the topology as it is
        _apply(edit, project, planned, yes=yes, json=json, apps=apps)
        return
    _show(planned, json=json)
    edit.write()
    typer.echo(f"{edit.done} in {edit.file}. Next: scaffold apply{_options(edit.file, out)}", err=json)


def valid(edit: Edit, out: Path | None, trust: Sequence[str] | None = None) -> Project:
    """What the edited topology is; `trust` as in `open_project`. Raises in the words of the edit."""
    with _told_of(edit):
        values = read_values(edit.after, edit.file)
        return project_of(loads(edit.after, edit.file, suggested, values), edit.file, out, trust)


def show_next(edit: Edit, project: Project, out: Path | None, *, apply: bool, yes: bool, json: bool) -> None:
    """Of an edit that is written: say so, and show what it brings, or carry it out where `apply` says so."""
    typer.echo(f"{edit.done} in {edit.file}.", err=True)
    if apply:
        from scaffold.cli.plan_and_apply import carry_out

        carry_out(project, lambda project, overtaken: _plan(project), yes=yes, json=json)
        return
    _show(_plan(project), json=json)
    typer.echo(f"Next: scaffold apply{_options(edit.file, out)}", err=json)


def _planned(edit: Edit, out: Path | None, trust: Sequence[str] | None) -> tuple[Project, Planned]:
    project = valid(edit, out, trust)
    with _told_of(edit):
        return project, _plan(project)


@contextlib.contextmanager
def _told_of(edit: Edit) -> Iterator[None]:
    try:
        yield
    except ScaffoldError as error:
        read(edit.file)  # a mistake that was there before is shown where it is
        _point_nowhere(error, edit.refused)
        raise


def _point_nowhere(error: ScaffoldError, refused: str) -> None:
    """The edited text is in no file: a line of it would be looked for in vain."""
    for one in error.errors if isinstance(error, TopologyErrors) else [error]:
        one.place = None
        one.message = f"{refused}{one.message}"


def _plan(project: Project) -> Planned:
    from scaffold.plan.make import look, plan_all

    known = project.remembered(refresh=False)
    return with_trust_notes(plan_all(look(project.topology, project.kinds, project.layout, now(), remembered=known)))


def _show(planned: Planned, *, json: bool) -> None:
    from scaffold.view.plan import plan_lines
    from scaffold.view.terminal import show

    if json:
        from scaffold.view import programs

        typer.echo(programs.plan_json(planned.plan))
    else:
        show(plan_lines(planned.plan))


def _apply(edit: Edit, project: Project, planned: Planned, *, yes: bool, json: bool, apps: Apps) -> None:
    from scaffold.cli.plan_and_apply import carry_out

    def make(project: Project, overtaken: Overtaken | None) -> Planned:
        return planned if overtaken is None else _plan(project)

    def write() -> None:
        edit.write()
        typer.echo(f"{edit.done} in {edit.file}.", err=True)

    carry_out(project, make, yes=yes, json=json, consented=write, apps=apps)


def _options(file: Path, out: Path | None) -> str:
    from shlex import quote

    named = "" if file == DEFAULT_FILE else f" -f {quote(str(file))}"
    return named if out is None else f"{named} --out {quote(str(out))}"
