"""How a value is written in YAML's flow style: plain where everybody reads the same, else in quotes."""

from __future__ import annotations

import json
from collections.abc import Sequence

_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@` ")


def scalar(text: str, style: str = "") -> str:
    """`text` on one line, in the quotes of `style` where it can be, and in quotes in any case where it must be."""
    if not text.isprintable():
        return json.dumps(text)
    if style == "'":
        return "'" + text.replace("'", "''") + "'"
    if style == '"' or not _is_plain(text):
        return json.dumps(text, ensure_ascii=False)
    return text


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


def listed(items: Sequence[str], *, spaced: bool = False) -> str:
    """`[a, b]` of items that are written already; `spaced`: with spaces inside the brackets."""
    inner = ", ".join(items)
    return f"[ {inner} ]" if spaced and inner else f"[{inner}]"


def mapped(entries: Sequence[str], *, spaced: bool = False) -> str:
    """`{a: 1, b: 2}` of entries that are written already."""
    inner = ", ".join(entries)
    return f"{{ {inner} }}" if spaced and inner else f"{{{inner}}}"
