"""How a state looks on a page: by its word and a mark, and never by its colour alone."""

from __future__ import annotations

from collections.abc import Mapping

from scaffold.plan.status import State

LOOKS: Mapping[State | None, tuple[str, str]] = {
    State.VALID: ("good", "●"),
    State.FAULT: ("odd", "◇"),
    State.DUE: ("due", "◆"),
    State.CHANGED: ("due", "◆"),
    State.NOT_YET_VALID: ("bad", "✕"),
    State.EXPIRED: ("bad", "✕"),
    State.REVOKED: ("bad", "✕"),
    State.UNREADABLE: ("bad", "✕"),
    State.MISSING: ("none", "○"),
    None: ("none", "○"),
}
"""A class of style, and a mark. None: nothing of it is here."""
