"""The variables that a template leaves to the topology (`vars:`): which there are, and of what type."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from scaffold.errors import KindError
from scaffold.kinds.catalogue import Kind


class VariableError(KindError):
    """A variable that the template does not have, or a value that it does not take; `variable` is its name."""

    def __init__(self, variable: str, message: str, hint: str | None) -> None:
        super().__init__(message, hint=hint)
        self.variable = variable


def merged(kind: Kind, given: Mapping[str, object]) -> dict[str, object]:
    """The kind's defaults under the values that are given.

    A default that is a list is a choice, as cookiecutter has it: its first item counts. Raises VariableError.
    """
    values = {name: _first(default) for name, default in kind.defaults.items()}
    for name, value in given.items():
        if name not in kind.defaults:
            raise VariableError(name, f'template "{kind.name}" has no variable "{name}"', _nearest(kind, name))
        values[name] = _checked(name, value, kind.defaults[name])
    return values


def _first(default: object) -> object:
    return default[0] if isinstance(default, list) and default else default


def _checked(name: str, value: object, default: object) -> object:
    if isinstance(default, list) and default:
        if value not in default:
            raise VariableError(name, f'variable "{name}" cannot be {value!r}', f"it is one of {default}")
        return value
    expected = float if isinstance(default, float) else type(default)
    accepted = (int, float) if expected is float else (expected,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
        wanted = _WORDS.get(expected, "of the type of its default")
        raise VariableError(name, f'variable "{name}" must be {wanted}', None)
    return value


_WORDS: Mapping[type, str] = {
    str: "text (put it in quotes)",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "a mapping",
    list: "a list",
}


def _nearest(kind: Kind, name: str) -> str:
    near = difflib.get_close_matches(name, kind.defaults, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"it has {', '.join(kind.defaults)}" if kind.defaults else "it has none"
