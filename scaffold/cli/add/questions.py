"""The questions that `add` asks on a terminal: what an entity needs, then the variables of its template.

Those of an app's template are its own, and asked by cookiecutter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from scaffold.cli.add.fields import callers, items
from scaffold.topology.address import Address, Role
from scaffold.topology.edit import Braces, Calls, Given
from scaffold.topology.scalars import flow, mapped, scalar

FIRST_PORT = 8443

_NONE = "-"


@dataclass(frozen=True, slots=True)
class Answers:
    """The fields of a new entity, and who calls it."""

    fields: dict[str, Given]
    called_by: Calls


def ask(
    new: Address, values: Mapping[str, Any], file: Path, answers: Answers, wanted: Collection[str] | None
) -> Answers:
    """The answers with those to the questions for the fields in `wanted`; without it, to all questions.

    What the topology's defaults say already is not asked.
    """
    typer.echo("A few questions; the answer in brackets is taken when you press Enter.", err=True)
    found = dict(answers.fields)
    for field, question, default in _questions(new, values):
        if field in found or field in values.get("defaults", {}) or (wanted is not None and field not in wanted):
            continue
        if (answer := _prompt(question, default)) not in ("", _NONE):
            found[field] = items(answer) if field in {"names", "calls"} else answer
    if wanted is not None:
        return replace(answers, fields=found)
    called_by = (
        callers([_prompt("Which servers and clients call it (names, separated by commas)", "")], file)
        if new.role is Role.SERVER
        else {}
    )
    found |= _doors(new, values, found, file)
    found |= _backend(new, values, found, file)
    return Answers(found | _variables(new, values, found, file), called_by)


def _prompt(question: str, default: str) -> str:
    """The answer. What a template brings into a question is shown so that it does nothing to the terminal."""
    from scaffold.view.terminal import one_line

    shown = f"{one_line(question)} [{one_line(default)}]" if default else one_line(question)
    return str(typer.prompt(shown, default=default, type=str, err=True, show_default=False)).strip()


def _questions(new: Address, values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Field, question and proposed answer."""
    if new.role is Role.CA:
        first = next(iter(values.get("cas", {})), "")
        return [("issuer", "Which CA signs it (- for none: it signs itself)", first)]
    from scaffold.kinds.catalogue import builtin_names, suggested

    kinds = f"Which template: {' or '.join(builtin_names(new.role.value))}, or one of your own"
    template = ("template", kinds, suggested(new.role.value))
    if new.role is Role.CLIENT:
        return [template, ("calls", "Which servers does it call (names, separated by commas)", "")]
    return [
        template,
        ("listen", "Which address does it listen on", f"127.0.0.1:{_free_port(values)}"),
        ("names", "Which names do its callers use", "localhost, 127.0.0.1"),
    ]


def _free_port(values: Mapping[str, Any]) -> int:
    """The first port behind all those that the topology's servers listen on."""
    taken = [
        own[field].port for own in values.get("servers", {}).values() for field in ("listen", "health") if field in own
    ]
    return min(max(taken, default=FIRST_PORT - 1) + 1, 65_535)


def _doors(new: Address, values: Mapping[str, Any], found: Mapping[str, Given], file: Path) -> dict[str, Given]:
    """Where programs without TLS find each server that is called, of a client whose template has doors."""
    template, calls = found.get("template"), found.get("calls", ())
    if new.role is not Role.CLIENT or "doors" in found or not isinstance(template, str) or not isinstance(calls, tuple):
        return {}
    from scaffold.kinds.catalogue import find

    if not find(template, new.role.value, file.absolute().parent).capabilities.has_doors:
        return {}
    taken = [str(door) for client in values.get("clients", {}).values() for door in client.get("doors", {}).values()]
    free = (f"127.0.0.1:{port}" for port in range(_FIRST_DOOR, 65_536) if f"127.0.0.1:{port}" not in taken)
    doors = [
        f"{name}: {scalar(_prompt(f'At which address do programs without TLS reach {name}', door))}"
        for name, door in zip(calls, free, strict=False)
    ]
    return {"doors": Braces(mapped(doors))} if doors else {}


_FIRST_DOOR = 7_001


def _backend(new: Address, values: Mapping[str, Any], found: Mapping[str, Given], file: Path) -> dict[str, Given]:
    """The app behind a server whose template takes one, and of what that app is made."""
    template = found.get("template") or values.get("defaults", {}).get("template")
    if new.role is not Role.SERVER or {"backend", "upstream"} & found.keys() or not isinstance(template, str):
        return {}
    from scaffold.kinds.catalogue import find

    if "backend" not in find(template, new.role.value, file.absolute().parent).capabilities.supports:
        return {}
    said = "The URL of your own app behind it, such as http://127.0.0.1:5000"
    if (backend := _prompt(f"{said} ({_NONE} for none)", _NONE)) in ("", _NONE):
        return {}
    said = f"The cookiecutter template to make that app from ({_NONE} for none, if the app exists)"
    if (made_of := _prompt(said, _NONE)) in ("", _NONE):
        return {"backend": backend}
    return {"backend": backend, "app": Braces(mapped([f"template: {flow(made_of)}", *_start()]))}


def _start() -> list[str]:
    """How an app is started, and when it is ready."""
    command = _prompt(f"The command with which `up` starts it, in its folder ({_NONE} for none: you start it)", _NONE)
    if command in ("", _NONE):
        return []
    run = f"run: {flow(_words(command))}"
    path = _prompt(f"The path that answers 200 when it is ready ({_NONE} for none: when it listens)", _NONE)
    return [run] if path in ("", _NONE) else [run, f"ready: {flow(path)}"]


def _words(command: str) -> list[str]:
    import shlex

    try:
        return shlex.split(command)
    except ValueError as error:
        raise typer.BadParameter(f"{command}: {error}", param_hint="the command") from None


def _variables(new: Address, values: Mapping[str, Any], found: Mapping[str, Given], file: Path) -> dict[str, Given]:
    """The template's own variables, as far as the answers differ from what it has for them."""
    template = found.get("template") or values.get("defaults", {}).get("template")
    if new.role is Role.CA or not isinstance(template, str):
        return {}
    from scaffold.kinds.catalogue import find
    from scaffold.view.terminal import one_line

    kind = find(template, new.role.value, file.absolute().parent)
    behind = bool({"backend", "upstream"} & found.keys())
    asked = {
        name: default
        for name, default in kind.defaults.items()
        if isinstance(default, str | int | float) and not (behind and name == _ITS_OWN_ANSWER)
    }
    settings = one_line(", ".join(asked))
    if not asked or not typer.confirm(f"Change its settings ({settings})?", default=False, err=True):
        return {}
    chosen = []
    for name, default in asked.items():
        written = str(default).lower() if isinstance(default, bool) else str(default)
        answer = _prompt(_described(name, kind.prompts), written)
        if answer != written:
            chosen.append(f"{name}: {flow(answer) if isinstance(default, str) else scalar(answer)}")
    return {"vars": Braces(mapped(chosen))} if chosen else {}


_ITS_OWN_ANSWER = "greeting"
"""The variable that a server with an app or another server behind it does not use: it gives no answer of its own."""


def _described(name: str, prompts: Mapping[str, str]) -> str:
    return f"{prompts[name]} ({name})" if name in prompts else name
