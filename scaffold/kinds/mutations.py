"""How a template says that verify sees it broken: changes of what it renders, each of which must be caught."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_FIELDS = frozenset({"breaks", "change", "caught_by"})


@dataclass(frozen=True, slots=True)
class Mutation:
    """One setting that is broken on purpose.

    `breaks` says which, for people. `change` maps files of the rendered project to texts that must be there and what
    takes their place. `caught_by` are the probes of verify that must fail; where there are none, any may.
    """

    breaks: str
    change: Mapping[str, Mapping[str, str]]
    caught_by: tuple[str, ...] = ()


def parse(value: object) -> tuple[Mutation, ...]:
    """The mutations that `_scaffold.mutations` lists. Raises ValueError with what is wrong, as an error goes on."""
    if not isinstance(value, list):
        raise ValueError("must be a list")
    found = tuple(_mutation(number, one) for number, one in enumerate(value, 1))
    names = [one.breaks for one in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'has two that break "{name}"')
    return found


def _mutation(number: int, value: object) -> Mutation:
    if not isinstance(value, dict) or not {"breaks", "change"} <= value.keys() <= _FIELDS:
        raise ValueError(f'must have "breaks", "change" and optionally "caught_by" in each; number {number} has not')
    breaks, change, caught_by = value["breaks"], value["change"], value.get("caught_by", [])
    if not _is_text(breaks) or not isinstance(change, dict) or not change:
        raise ValueError(f'must give texts for "breaks" and a mapping for "change" in number {number}')
    if not isinstance(caught_by, list) or not all(map(_is_text, caught_by)):
        raise ValueError(f'must name probes in "caught_by" of "{breaks}", such as no-certificate')
    return Mutation(
        breaks,
        MappingProxyType({file: _texts(breaks, file, texts) for file, texts in change.items()}),
        tuple(caught_by),
    )


def _texts(breaks: str, file: str, value: object) -> Mapping[str, str]:
    if not isinstance(value, dict) or not value or not all(isinstance(new, str) for new in value.values()):
        raise ValueError(f'must map texts of {file} to others in "change" of "{breaks}"')
    if any(not old or old == new for old, new in value.items()):
        raise ValueError(f'changes nothing in {file} to break "{breaks}"')
    return MappingProxyType(dict(value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
