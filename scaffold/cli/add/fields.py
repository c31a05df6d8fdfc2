"""The fields of the language as options: each written as in the YAML, lists separated by commas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperOption

from scaffold.cli import completing
from scaffold.topology.address import Role
from scaffold.topology.edit import TABLES, Braces, Calls, Given, callers_in_braces
from scaffold.topology.fields import Field, Flag, ListOf, Mapped, NamesWithLists, Table, Variables, WordOr
from scaffold.topology.written import LINE_BREAK

_GIVEN = "scaffold.fields"


def options(role: Role) -> list[TyperOption]:
    """One for each field that an entity of the role may have."""
    return [_option(field, role) for field in TABLES[role].fields]


def option_name(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _option(field: Field, role: Role) -> TyperOption:
    name = option_name(field.name)

    def keep(ctx: Any, _param: Any, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(_GIVEN, {})[field.name] = _given(field, name, value)

    if isinstance(field.type, Flag):
        declared = f"{name}/--no-{name[2:]}"
        return TyperOption(
            param_decls=[declared], type=bool, is_flag=True, callback=keep, expose_value=False, help=field.doc
        )
    metavar = "{…}" if _is_mapping(field) else "A,B" if isinstance(field.type, ListOf | NamesWithLists) else "VALUE"
    return TyperOption(
        param_decls=[name],
        type=str,
        callback=keep,
        expose_value=False,
        metavar=metavar,
        autocompletion=completing.of_field(field, role.value),
        help=field.doc,
    )


def _is_mapping(field: Field) -> bool:
    return isinstance(field.type, Table | Variables | Mapped)


def _given(field: Field, option: str, value: Any) -> Given:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    if _is_mapping(field) or (isinstance(field.type, NamesWithLists | WordOr) and text.startswith("{")):
        return _braces(text, option)
    return items(text) if isinstance(field.type, ListOf | NamesWithLists) else text


def _braces(text: str, option: str) -> Braces:
    if not (text.startswith("{") and text.endswith("}")) or LINE_BREAK.search(text):
        raise typer.BadParameter("write it as in the YAML, on one line: '{key: value}'", param_hint=option)
    return Braces(text)


def callers(text: str, file: Path) -> Calls:
    """Who calls: names between commas, or in braces with roles, as `calls` has them."""
    if not text.strip().startswith("{"):
        return dict.fromkeys(items(text), ())
    return callers_in_braces(_braces(text.strip(), "--called-by").text, file)


def items(text: str) -> tuple[str, ...]:
    """What is between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def given(ctx: typer.Context) -> dict[str, Given]:
    """The fields that were given as options, in their order."""
    return dict(ctx.meta.get(_GIVEN, {}))
