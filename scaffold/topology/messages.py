"""What the reader of a topology says about text that is wrong: quoted safely, with the nearest known name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

LONGEST_SHOWN = 80
NAMED = 8
"""So many of a list are named in a message; the others are counted."""


class Invalid(ValueError):
    """A piece of text that is not what its field takes. Whoever knows where it is makes a `TopologyError` of it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def shown(text: str) -> str:
    """`text` in quotes for a message: on one line, clipped, and with nothing in it that moves a terminal's cursor."""
    clipped = text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
    return json.dumps(clipped, ensure_ascii=not clipped.isprintable())


def listed(words: Sequence[object]) -> str:
    """`a, b, c`; of a long list its beginning, and how many more there are."""
    more = f" and {len(words) - NAMED:,} more" if len(words) > NAMED else ""
    return ", ".join(map(str, words[:NAMED])) + more


def nearest(text: str, known: Iterable[str]) -> str | None:
    """The hint that names the known word most like `text`, or else a few of them; None where nothing is known."""
    import difflib

    words = list(known)
    if begun := _begun(text, words):
        return f"did you mean {begun}?"
    # difflib compares every pair of characters: long garbage is not worth it.
    if alike := difflib.get_close_matches(text[:100].lower(), words, n=1, cutoff=0.6):
        return f"did you mean {shown(alike[0])}?"
    if not words:
        return None
    return f"known: {listed(words)}"


def _begun(text: str, words: Iterable[str]) -> str | None:
    """The few words that `text` begins or ends, whatever its case and hyphens: `rsa`, `P256`, `Ed25519`."""
    bare = _bare(text[:100])
    if len(bare) < 2:
        return None
    alike = [word for word in words if _bare(word).startswith(bare) or _bare(word).endswith(bare)]
    exact = [word for word in alike if _bare(word) == bare] or alike
    return " or ".join(map(shown, exact)) if 0 < len(exact) <= 3 else None


def _bare(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())
