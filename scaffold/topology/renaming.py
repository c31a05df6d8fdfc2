"""Another name for an entity in the YAML's text, and in every place that names it. All else stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from scaffold.errors import TopologyError
from scaffold.topology.address import Address, Role
from scaffold.topology.edit import (
    SECTIONS,
    Splice,
    Values,
    aligned,
    as_written,
    check_name,
    checked,
    copied,
    no_such,
    read,
    section_of,
    spliced,
)
from scaffold.topology.messages import shown
from scaffold.topology.scalars import scalar
from scaffold.topology.written import Value, Written

_NAMED_IN: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.CA: ("issuer", "trusts", "accepts"),
    Role.SERVER: ("calls", "upstream", "doors"),
    Role.CLIENT: (),
}
"""The fields of other entities, and of `defaults`, that name one."""

_EXTERNAL: Final = "external"
_CLIENT: Final = "client"
"""The fields that hold one more name of a CA, their `issuer`."""


def rename(text: bytes, source: Path, old: Address, name: str) -> bytes:
    """The text in which the entity `old` is called `name`, wherever it is named.

    Raises TopologyError for a text that is no topology, where there is no such entity or one of that name already, and
    for what is written in a way that cannot be edited in its place.
    """
    check_name(name)
    before = read(text, source)
    members = before.get(old.role.section, {})
    if old.name not in members:
        raise no_such(old, before)
    if name in members:
        raise TopologyError(f"{Address(old.role, name)} exists already", hint="choose another name")
    written = as_written(text)
    named = [_key(written, old), *_references(written, old)]
    after = spliced(text, written, [_renamed(written, one, name) for one in named])
    return checked(after, source, _meant(before, old, name), f"{old} cannot be renamed in this file line by line")


def _key(written: Written, old: Address) -> Value:
    entry = section_of(written, old)[1].entry(old.name)
    if entry is None:
        raise TopologyError(
            f"{shown(old.name)} is not written in its own place",
            hint="it is merged in with <<: make this change by hand",
        )
    return entry[0]


def _references(written: Written, old: Address) -> Iterator[Value]:
    """Every scalar that names `old`; an alias follows what it stands for."""
    for place in _places(written):
        fields = [place.value(field) for field in _NAMED_IN[old.role]]
        tables = [place.value(field) for field in (_EXTERNAL, _CLIENT)] if old.role is Role.CA else []
        fields += [table.value("issuer") for table in tables if table is not None and table.kind == "mapping"]
        for found in fields:
            if found is not None:
                yield from (one for one in _names(found) if one.text == old.name)


def _places(written: Written) -> Iterator[Value]:
    """Every entity, and `defaults`."""
    for section in SECTIONS:
        members = written.root.value(section)
        if members is not None:
            yield from (value for _, value in members.pairs)
    if (defaults := written.root.value("defaults")) is not None:
        yield defaults


def _names(field: Value) -> Iterator[Value]:
    """The scalars of a name, of a list of names, or of a mapping by names."""
    if field.kind == "scalar":
        yield field
    for one in field.children if field.kind == "sequence" else [key for key, _ in field.pairs]:
        if one.kind == "scalar":
            yield one


def _renamed(written: Written, one: Value, name: str) -> Splice:
    return aligned(written, Splice(one.start, one.end, scalar(name, one.style)))


def _meant(before: Values, old: Address, name: str) -> Values:
    meant = copied(before)
    section = old.role.section
    meant[section] = {name if own == old.name else own: values for own, values in meant[section].items()}
    places = [values for role in SECTIONS for values in meant.get(role, {}).values()]
    for values in [*places, meant.get("defaults", {})]:
        for field in _NAMED_IN[old.role]:
            if field in values:
                values[field] = _with(values[field], old.name, name)
        if old.role is Role.CA and (external := values.get(_EXTERNAL)) is not None:
            values[_EXTERNAL] = replace(external, issuer=_with(external.issuer, old.name, name))
        if old.role is Role.CA and isinstance(second := values.get(_CLIENT), dict) and "issuer" in second:
            values[_CLIENT] = {**second, "issuer": _with(second["issuer"], old.name, name)}
    return meant


def _with(value: Any, old: str, name: str) -> Any:
    """A name, a list of names, or a mapping by names, with `name` for `old`."""
    if isinstance(value, str):
        return name if value == old else value
    if isinstance(value, tuple):
        return tuple(name if one == old else one for one in value)
    return {name if one == old else one: roles for one, roles in value.items()}
