"""What adding a CA, a server and a client have in common."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from scaffold.cli.add import fields as options
from scaffold.cli.add.questions import Answers, ask
from scaffold.cli.apps import Apps
from scaffold.cli.edited import Edit, finish, valid
from scaffold.errors import AddressError, TopologyError
from scaffold.topology import edit
from scaffold.topology.address import Address, Role
from scaffold.topology.edit import Braces, Given
from scaffold.topology.load import read_text
from scaffold.topology.messages import nearest, shown

NEEDED = {Role.CA: (), Role.SERVER: ("template", "listen", "names"), Role.CLIENT: ("template",)}
"""What an entity cannot be without, unless it is inherited."""

_MADE_ELSEWHERE = "external"


def add_entity(
    new: Address,
    ctx: typer.Context,
    file: Path,
    out: Path | None,
    *,
    called_by: Sequence[str] = (),
    apply: bool,
    yes: bool,
    json: bool,
    trust: Sequence[str] | None = None,
) -> None:
    """Edit, plan, write, and carry out where `apply` says so.

    Raises TopologyError where an answer is missing and there is no terminal to ask on: it names the options.
    """
    edit.check_name(new.name)
    text = read_text(file)
    values = edit.read(text, file)
    answers = Answers(options.given(ctx), options.callers(called_by, file))
    missing = _missing(new, answers.fields, values)
    if sys.stdin.isatty() and (missing or not (answers.fields or answers.called_by)):
        wanted = missing if answers.fields or answers.called_by else None
        answers = ask(new, values, file, answers, wanted)
    elif missing:
        raise _unanswered(new, missing)
    callers = _callers(answers.called_by, values)
    apps = Apps(trust or ())

    def edited(fields: Mapping[str, Given]) -> Edit:
        return Edit(file, text, edit.add(text, file, new, fields, callers), f"{new} is added")

    done = edited(answers.fields)
    if sys.stdin.isatty() and not yes and "app" in answers.fields:
        done = edited({**answers.fields, "app": _asked(new, done, out, apps) or answers.fields["app"]})
    finish(done, out, apply=apply, yes=yes, json=json, apps=apps if trust is not None else None)


def _asked(new: Address, done: Edit, out: Path | None, apps: Apps) -> Braces | None:
    """The app of a new server as it is written with the answers to its template's questions; None without any."""
    t = valid(done, out, apps.trust).topology
    server = t.servers[new.name]
    if server.app is None:
        return None
    app = apps.asked(server, server.app, t)
    return edit.app_in_braces(app) if app != server.app else None


def _missing(new: Address, given: Mapping[str, Given], values: Mapping[str, Any]) -> tuple[str, ...]:
    known = {*given, *values.get("defaults", {})}
    if _MADE_ELSEWHERE in given:
        return ()
    return tuple(field for field in NEEDED[new.role] if field not in known)


def _unanswered(new: Address, missing: Sequence[str]) -> TopologyError:
    named = [options.option_name(field) for field in missing]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    return TopologyError(
        f"{new} needs {listed}",
        hint=f"give these as options (see `scaffold add {new.role} --help`); nothing was written",
    )


def _callers(given: edit.Calls, values: Mapping[str, Any]) -> edit.Callers:
    """Who is meant by name or address, and their roles. Raises TopologyError for nobody, and for what may be two."""
    known = [Address(role, name) for role in (Role.SERVER, Role.CLIENT) for name in values.get(role.section, {})]
    return options.together((_caller(name, roles, known), roles) for name, roles in given.items())


def _caller(text: str, roles: Sequence[str], known: Sequence[Address]) -> Address:
    found = [address for address in known if text in (address.name, str(address))]
    if len(found) == 1:
        return found[0]
    if found:
        raise AddressError(f"{shown(text)} is the name of a server and of a client", hint=" or ".join(map(str, found)))
    name, colon, role = map(str.strip, text.partition(":"))
    as_roles = f"roles are given as in the YAML: --called-by '{{{name}: [{role}]}}'" if colon and not roles else None
    hint = as_roles or nearest(text, [address.name for address in known])
    raise AddressError(f"there is no server or client {shown(text)}", hint=hint)
