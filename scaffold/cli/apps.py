"""The apps that one run of a verb makes: their templates fetched, trusted by somebody, and rendered, each once."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from scaffold.errors import KindError, PlanError
from scaffold.topology.address import Address, Part
from scaffold.topology.messages import nearest
from scaffold.topology.model import App, Server, Topology

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from scaffold.kinds.app_templates import Fetched
    from scaffold.plan.apps import MadeApp
    from scaffold.plan.make import Planned
    from scaffold.plan.model import Plan


_AT_VERSION: Final = re.compile(r"(.+)@(sha256:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Trust:
    """A template that a person has said they trust, as they wrote it: at one version, or (None) as it is now."""

    template: str
    version: str | None = None

    @classmethod
    def read(cls, text: str) -> Trust:
        """`TEMPLATE`, or `TEMPLATE@VERSION` with a whole commit or digest: a part of one could be made to fit."""
        found = _AT_VERSION.fullmatch(text)
        return cls(found[1], found[2]) if found is not None else cls(text)


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
    def _place(self) -> TemporaryDirectory[str]:
        from tempfile import TemporaryDirectory

        return TemporaryDirectory(prefix="scaffold-apps-", ignore_cleanup_errors=True)

    def check(self, t: Topology) -> None:
        """Raises PlanError where one of `trust` is the template of no app."""
        for text in self.trust:
            if not any(_means(Trust.read(text), app, t) for _, app in with_apps(t)):
                known = [app.template for _, app in with_apps(t)]
                hint = nearest(text, known) or f"apps are made of {', '.join(known) or 'none'}"
                if text.rpartition("@")[0] in known:
                    hint = (
                        "a version is a whole commit, or sha256: and a whole digest; `apply` without --trust prints it"
                    )
                raise PlanError(f"no app of this topology is made of the template {text}", hint=hint)

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
        from scaffold.kinds.app_templates import is_ones_own, named
        from scaffold.store import trusted

        name = named(app, _base(t))
        if not (is_ones_own(app, _base(t)) or self.trust or trusted.load(trusted.place(os.environ)).knows(name)):
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
        from scaffold.kinds.app_templates import check_declared, fetched

        key = app.template, app.checkout
        if key not in self._templates:
            self._templates[key] = fetched(app, _base(t), self._empty("template"))
            return self._templates[key]
        whole = self._templates[key]
        template = replace(whole, folder=whole.root / (app.directory or ""))
        check_declared(app, template.folder)
        return template

    def _empty(self, name: str) -> Path:
        """An empty folder of its own."""
        place = Path(self._place.name) / str(next(self._number)) / name
        place.mkdir(parents=True)
        return place

    def _check_trusted(self, app: App, template: Fetched, t: Topology) -> None:
        """Templates are programs: somebody else's runs only where a person has said so."""
        from scaffold.kinds.app_templates import is_ones_own, named
        from scaffold.store import trusted

        asked = [one for one in map(Trust.read, self.trust) if _means(one, app, t)]
        agreed = any(one.version in (None, template.version) for one in asked)
        if asked and not agreed:
            raise _another_version(app, template)
        if is_ones_own(app, _base(t)):
            return
        file, name = trusted.place(os.environ), named(app, _base(t))
        if trusted.load(file).is_trusted(name, template.version):
            return
        if not agreed:
            raise _not_trusted(app, template)
        typer.echo(f"Trusted from now on: {_shown(app, template)}. It runs:{_listed(template)}", err=True)
        trusted.trust(file, name, template.version)


def _not_asked(app: App) -> str:
    return (
        f"The questions of {app.template} are not asked, since it is somebody else’s program: `--trust "
        f"{app.template}` runs it and asks them; without it the template’s defaults are used."
    )


def _not_trusted(app: App, template: Fetched) -> KindError:
    return KindError(
        f"{_shown(app, template)} is somebody else’s program, and you have not trusted it yet. It would "
        f"run:{_listed(template)}",
        hint=f"read it; to run it, {_how_to_trust(app, template)}. Nothing was changed",
    )


def _another_version(app: App, template: Fetched) -> KindError:
    return KindError(
        f"{_shown(app, template)} is not the version that --trust names. It would run:{_listed(template)}",
        hint=f"read it again; to run it, {_how_to_trust(app, template)}. Nothing was changed",
    )


def _shown(app: App, template: Fetched) -> str:
    from scaffold.plan.apps import SHOWN_VERSION

    return f'the template "{app.template}" (at {template.version[:SHOWN_VERSION]})'


def _listed(template: Fetched) -> str:
    """What it runs; no name in it can hide another from whoever reads it in a terminal."""
    from scaffold.view.terminal import one_line

    return "".join(f"\n  {one_line(one)}" for one in template.would_run)


def _how_to_trust(app: App, template: Fetched) -> str:
    return f"add --trust {app.template}@{template.version}"


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


def _means(trust: Trust, app: App, t: Topology) -> bool:
    """Whether a person means the template of an app: as the topology has it, or as its path."""
    from scaffold.kinds.app_templates import named

    written = trust.template
    return written == app.template or named(replace(app, template=written), Path.cwd()) == named(app, _base(t))


def _base(t: Topology) -> Path:
    return t.source.absolute().parent
