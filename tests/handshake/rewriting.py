"""Changes a text of what was rendered, on purpose."""

from __future__ import annotations

from pathlib import Path


def rewrite(path: Path, *changes: tuple[str, str]) -> None:
    """Replace texts in a file; each must be there, or the test would break nothing."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{path} does not hold {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
