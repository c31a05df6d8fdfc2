"""The plan as a plain value: what would be done, to what, and why. It knows nothing of views, files or keys."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass


class Action(enum.StrEnum):
    """What is done to one part of one entity; the order is that of the summary."""

    CREATE = "create"
    UPDATE = "update"
    """Other content: a file, or a certificate reissued over the same key because what it says changes."""
    RENEW = "renew"
    """The same certificate over the same key with later dates."""
    REPLACE = "replace"
    """A new key."""
    REVOKE = "revoke"
    DELETE = "delete"
    CONFLICT = "conflict"
    """A template's change meets a person's edit: nothing is overwritten unless it is asked for by address."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a stable code for programs, and a sentence with the two values for people. Never holds a secret."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the plan. `reasons` is never empty; `paths` are the files concerned, relative to the output."""

    address: str
    action: Action
    reasons: tuple[Reason, ...]
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes in the order in which apply makes them, and the notes that are no changes (warnings)."""

    topology: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[Action, int]:
        """How many changes there are of each action, in the order of `Action`, without the zeros."""
        counts = Counter(change.action for change in self.changes)
        return {action: counts[action] for action in Action if counts[action]}
