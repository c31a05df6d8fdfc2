"""The fields of the language as options: each written as in the YAML, lists separated by commas or given one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperOption

from scaffold.cli import completing
from scaffold.topology.address import Address, Role
from scaffold.topology.edit import TABLES, Braces, Calls, Given, callers_in_braces
from scaffold.topology.fields import Field, Flag, ListOf, Mapped, NamesWithLists, Table, Variables, WordOr
from scaffold.topology.written import LINE_BREAK

_GIVEN = "scaffold.fields"

_Caller = TypeVar("_Caller", str, Address)


def options(role: Role) -> list[TyperOption]:
    """One for each field that an entity of the role may have."""
    return [_option(field, role) for field in TABLES[role].fields]


def option_name(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _option(field: Field, role: Role) -> TyperOption:
    name = option_name(field.name)

    def keep(ctx: Any, _param: Any, value: Any) -> None:
        if value not in (None, ()):
            ctx.meta.setdefault(_GIVEN, {})[field.name] = _given(field, name, value)

    if isinstance(field.type, Flag):
        declared = f"{name}/--no-{name[2:]}"
        return TyperOption(
            param_decls=[declared], type=bool, is_flag=True, callback=keep, expose_value=False, help=field.doc
        )
    metavar = "{…}" if _is_mapping(field) else "A,B" if _is_list(field) else "VALUE"
    return TyperOption(
        param_decls=[name],
        type=str,
        multiple=_is_list(field),
        callback=keep,
        expose_value=False,
        metavar=metavar,
        autocompletion=completing.of_field(field, role.value),
        help=field.doc,
    )


def _is_mapping(field: Field) -> bool:
    return isinstance(field.type, Table | Variables | Mapped)


def _is_list(field: Field) -> bool:
    return isinstance(field.type, ListOf | NamesWithLists)


def _given(field: Field, option: str, value: Any) -> Given:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return _listed(field, option, [str(text).strip() for text in value])
    text = str(value).strip()
    if _is_mapping(field) or (isinstance(field.type, WordOr) and text.startswith("{")):
        return _braces(text, option)
    return text


def _listed(field: Field, option: str, texts: Sequence[str]) -> Given:
    """What a list was given, all times together; a mapping from names to lists is given once."""
    if isinstance(field.type, NamesWithLists) and any(text.startswith("{") for text in texts):
        if len(texts) > 1:
            raise typer.BadParameter("write one mapping with all of them: '{key: value, …}'", param_hint=option)
        return _braces(texts[0], option)
    return tuple(item for text in texts for item in items(text))


def _braces(text: str, option: str) -> Braces:
    if not (text.startswith("{") and text.endswith("}")) or LINE_BREAK.search(text):
        raise typer.BadParameter("write it as in the YAML, on one line: '{key: value}'", param_hint=option)
    return Braces(text)


def callers(texts: Iterable[str], file: Path) -> Calls:
    """Who calls: in each text names between commas, or in braces with roles, as `calls` has them."""
    return together(caller for text in texts for caller in _callers(text.strip(), file).items())


def _callers(text: str, file: Path) -> Calls:
    if not text.startswith("{"):
        return dict.fromkeys(items(text), ())
    return callers_in_braces(_braces(text, "--called-by").text, file)


def together(callers: Iterable[tuple[_Caller, Sequence[str]]]) -> dict[_Caller, tuple[str, ...]]:
    """Who calls in which roles; in those of all times where a caller is given several times."""
    roles_of: dict[_Caller, dict[str, None]] = {}
    for caller, roles in callers:
        roles_of.setdefault(caller, {}).update(dict.fromkeys(roles))
    return {caller: tuple(roles) for caller, roles in roles_of.items()}


def items(text: str) -> tuple[str, ...]:
    """What is between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def given(ctx: typer.Context) -> dict[str, Given]:
    """The fields that were given as options, in their order."""
    return dict(ctx.meta.get(_GIVEN, {}))
