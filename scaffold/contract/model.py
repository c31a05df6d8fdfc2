"""What the checks of a template find, as plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from scaffold.verify.model import Result


class Failed(Exception):
    """The template breaks its contract; the message says how, in one line."""


class Untried(Exception):
    """A check does not apply, or cannot be made on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the contract. `detail` is one line: what was seen, or why it was not tried."""

    name: str
    result: Result
    detail: str


@dataclass(frozen=True, slots=True)
class ContractReport:
    """All checks of one template, in their order."""

    template: str
    role: str
    checks: tuple[Check, ...]

    @property
    def summary(self) -> dict[Result, int]:
        """How many checks ended in each way."""
        counts = Counter(check.result for check in self.checks)
        return {result: counts[result] for result in Result}

    @property
    def failed(self) -> bool:
        """Whether anything went wrong, or nothing was shown."""
        return self.summary[Result.FAILED] > 0 or self.summary[Result.PASSED] == 0
