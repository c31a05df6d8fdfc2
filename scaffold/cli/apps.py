"""The apps that one run of a verb makes: their templates fetched, trusted by somebody, and rendered, each once."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scaffold.cli.trusting import ADD_IT, Program, Trust
from scaffold.errors import KindError, PlanError
from scaffold.topology.address import Address, Part
from scaffold.topology.messages import nearest
from scaffold.topology.model import App, Server, Topology

if TYPE_CHECKING:
    from scaffold.kinds.app_templates import Fetched
    from scaffold.kinds.catalogue import Kind
    from scaffold.kinds.places import Place
    from scaffold.plan.apps import MadeApp
    from scaffold.plan.make import Planned
    from scaffold.plan.model import Plan


@dataclass
class Apps:
    """Makes apps of their templates, in a temporary folder that lives as long as this does.

    `trust` are the templates that a person has said they trust: TEMPLATE, or TEMPLATE@VERSION.
    """

    trust: Sequence[str] = ()
    _made: dict[tuple[Address, str], MadeApp] = field(default_factory=dict)
    _templates: dict[tuple[str, str | None], Fetched] = field(default_factory=dict)
    _number: Iterator[int] = field(default_factory=itertools.count)

    @functools.cached_property
    def _place(self) -> Place:
        from scaffold.kinds.places import Place

        return Place()

    def check(self, t: Topology, kinds: Iterable[Kind] = ()) -> None:
        """Raises PlanError where one of `trust` is the template of no app, and none of `kinds`."""
        check_meant(self.trust, [*(app.template for _, app in with_apps(t)), *_names(kinds)], t)

    def of_plan(self, plan: Plan, t: Topology) -> Mapping[Address, MadeApp]:
        """Those that a plan makes or merges, by the address of their server. Raises as `made` does."""
        from scaffold.apply.apps import FROM_TEMPLATES

        wanted = {change.address.entity for change in plan.changes if change.work in FROM_TEMPLATES}
        return {server.address: self.made(server, app, t) for server, app in with_apps(t) if server.address in wanted}

    def asked_for(self, addresses: Sequence[Address], t: Topology) -> Mapping[Address, MadeApp]:
        """Those of `addresses`, whose apps are to be updated. Raises PlanError where there is none, and as `made`."""
        known = {server.address: (server, app) for server, app in with_apps(t)}
        for address in addresses:
            if address.entity not in known or address.part not in (None, Part.APP):
                hint = nearest(str(address), map(str, known)) or "give a server an `app` in the topology"
                raise PlanError(f"there is no app to update at {address}", hint=hint)
        return {address.entity: self.made(*known[address.entity], t) for address in addresses}

    def made(self, server: Server, app: App, t: Topology) -> MadeApp:
        """The app behind `server`. Raises KindError where its template cannot be had, trusted or rendered."""
        key = server.address, repr(app)
        if key not in self._made:
            try:
                self._made[key] = self._make(server, app, t)
            except KindError as error:
                place = t.place("servers", server.name, "app")
                raise KindError(f"{server.address}: {error.message}", place=place, hint=error.hint) from None
        return self._made[key]

    def _make(self, server: Server, app: App, t: Topology) -> MadeApp:
        from scaffold.kinds.app_rendering import render_app
        from scaffold.plan.apps import MadeApp, origin_of

        template = self._fetched(app, t)
        self._check_trusted(app, template, t)
        rendered = render_app(app, template, self._empty(server.name))
        return MadeApp(rendered, origin_of(app, template.version))

    def asked(self, server: Server, app: App, t: Topology) -> App:
        """`app` with a person's answers to its template's questions, asked on the terminal.

        Where nobody has said that its program may be run, that is said, and nothing asked. Raises KindError as `made`
        does, typer.Abort where the terminal has no answer.
        """
        from scaffold.kinds.app_rendering import ask_app
        from scaffold.kinds.fetching import is_ones_own, named
        from scaffold.store import trusted

        base, known = _base(t), trusted.load(trusted.place(os.environ))
        if not (is_ones_own(app.template, base) or self.trust or known.knows(named(app.template, base))):
            typer.echo(_not_asked(app), err=True)
            return app
        try:
            template = self._fetched(app, t)
            self._check_trusted(app, template, t)
            typer.echo(f"The template {app.template} asks (Enter takes its default):", err=True)
            return ask_app(app, template, self._empty(server.name))
        except KindError as error:
            raise KindError(f"{server.address}: {error.message}", hint=error.hint) from None
        except EOFError:
            raise typer.Abort from None

    def _fetched(self, app: App, t: Topology) -> Fetched:
        """A template is fetched once: what was asked is what is rendered."""
        from scaffold.kinds.app_templates import check_answers, check_declared, fetched

        key = app.template, app.checkout
        if key not in self._templates:
            self._templates[key] = fetched(app, _base(t), self._empty("template"))
            return self._templates[key]
        whole = self._templates[key]
        template = replace(whole, folder=whole.root / (app.directory or ""))
        check_declared(app, template.folder)
        check_answers(app, template)
        return template

    def _empty(self, name: str) -> Path:
        """An empty folder of its own."""
        place = self._place.path / str(next(self._number)) / name
        place.mkdir(parents=True)
        return place

    def _check_trusted(self, app: App, template: Fetched, t: Topology) -> None:
        """Templates are programs: somebody else's runs only where a person has said so."""
        from scaffold.kinds.fetching import is_ones_own

        program = Program(app.template, _base(t), template.version, template.would_run)
        program.check_trusted(self.trust, ADD_IT, is_own=is_ones_own(app.template, _base(t)))


def _not_asked(app: App) -> str:
    return (
        f"The questions of {app.template} are not asked, since it is somebody else's program: `--trust "
        f"{app.template}` runs it and asks them; without it the template's defaults are used."
    )


def check_trust_of_kinds(trust: Sequence[str], kinds: Iterable[Kind], t: Topology) -> None:
    """Raises PlanError where one of `trust` is the template of no server or client: plan renders no apps."""
    for text in trust:
        said = Trust.read(text)
        if any(said.means(app.template, _base(t)) for _, app in with_apps(t)):
            hint = f"`scaffold apply --trust {text}` runs it; leave it out here"
            raise PlanError(f"{said.template} is the template of an app, and plan runs none of these", hint=hint)
    check_meant(trust, list(_names(kinds)), t)


def check_meant(trust: Sequence[str], known: Sequence[str], t: Topology) -> None:
    """Raises PlanError where one of `trust` means none of the templates that are `known`."""
    for text in trust:
        said = Trust.read(text)
        if not any(said.means(template, _base(t)) for template in known):
            listed = ", ".join(dict.fromkeys(known)) or "those that are built in"
            hint = nearest(text, known) or f"it is made of {listed}"
            if text.rpartition("@")[0] in known:
                hint = "a version is a whole commit, or sha256: and a whole digest; `apply` without --trust prints it"
            raise PlanError(f"nothing in this topology is made of the template {text}", hint=hint)


def _names(kinds: Iterable[Kind]) -> Iterator[str]:
    return (kind.name for kind in kinds if not kind.builtin)


def with_trust_notes(planned: Planned) -> Planned:
    """The same plan; it notes which `--trust` apply will need."""
    from scaffold.plan.model import Work

    if not any(change.work is Work.APP for change in planned.plan.changes):
        return planned
    from scaffold.plan.apps import trust_notes
    from scaffold.store import trusted

    notes = tuple(trust_notes(planned.plan, planned.basis.topology, trusted.load(trusted.place(os.environ))))
    return replace(planned, plan=replace(planned.plan, notes=(*planned.plan.notes, *notes)))


def with_apps(t: Topology) -> Iterator[tuple[Server, App]]:
    """The servers with an app of which the topology says how it is made."""
    return ((server, server.app) for server in t.servers.values() if server.app is not None)


def _base(t: Topology) -> Path:
    return t.source.absolute().parent
