"""How a value is written in YAML's flow style: plain where everybody reads the same, else in quotes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@` ")


def scalar(text: str, style: str = "") -> str:
    """`text` on one line, in the quotes of `style` where it can be, and in quotes in any case where it must be."""
    if not text.isprintable():
        return "".join(map(_escaped, json.dumps(text, ensure_ascii=False)))
    if style == "'":
        return "'" + text.replace("'", "''") + "'"
    if style == '"' or not _is_plain(text):
        return json.dumps(text, ensure_ascii=False)
    return text


def _escaped(character: str) -> str:
    """YAML has no pairs of surrogates: what lies beyond the first plane has an escape of its own (section 5.7)."""
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"


def _is_plain(text: str) -> bool:
    """Whether every reader of YAML takes the bare `text` for this text, within brackets too.

    YAML 1.1 takes `NO` for false, `1:30` for ninety and `2026-01-01` for a day; whole numbers, true and false are left
    bare, as fields that are none would refuse them in any case.
    """
    import yaml

    if not text or text[-1] in " :" or text[0] in _INDICATORS or any(c in text for c in ",[]{}"):
        return False
    if ": " in text or " #" in text:
        return False
    if text in {"true", "false"} or text.isdecimal():
        return True
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    patterns = [pattern for _, pattern in (*resolvers.get(text[0], ()), *resolvers.get(None, ()))]
    return not any(pattern.match(text) for pattern in patterns)


def flow(value: object) -> str:
    """A value of any type on one line, so that it is read as what it is: text that looks like a number in quotes."""
    match value:
        case str():
            return scalar(value, '"' if value in {"true", "false"} or value.isdecimal() else "")
        case bool():
            return str(value).lower()
        case Mapping():
            return mapped([f"{flow(name)}: {flow(one)}" for name, one in value.items()])
        case list() | tuple():
            return listed([flow(one) for one in value])
        case _:
            return str(value)


def listed(items: Sequence[str], *, spaced: bool = False) -> str:
    """`[a, b]` of items that are written already; `spaced`: with spaces inside the brackets."""
    inner = ", ".join(items)
    return f"[ {inner} ]" if spaced and inner else f"[{inner}]"


def mapped(entries: Sequence[str], *, spaced: bool = False) -> str:
    """`{a: 1, b: 2}` of entries that are written already."""
    inner = ", ".join(entries)
    return f"{{ {inner} }}" if spaced and inner else f"{{{inner}}}"
