"""The generations of a CA: what each is called, and what it is for at the moment.

A CA has one generation, and another while its key is replaced step by step: the next one is trusted everywhere before
it issues anything, and the last one until all that it issued is replaced.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

FIRST: Final = 1


class GenerationState(enum.Enum):
    """What a generation is for at the moment."""

    UPCOMING = "upcoming"
    """It is trusted, and issues nothing yet."""
    ISSUING = "issuing"
    TRUSTED = "trusted"
    """It is trusted, and issues nothing any more."""
    RETIRED = "retired"
    """It is trusted by nobody."""


States = Mapping[int, GenerationState]
"""The generations of one CA by their numbers."""

_FIRST_ALONE: Final[States] = MappingProxyType({FIRST: GenerationState.ISSUING})


@dataclass(frozen=True, slots=True)
class Generations:
    """The generations of every CA of a topology; one that is not in `by_ca` has its first alone, which issues.

    Who issues, who is trusted and who is still there are three questions. Raises ValueError where nobody issues.
    """

    by_ca: Mapping[str, States] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for ca in self.by_ca:
            if GenerationState.ISSUING not in self.by_ca[ca].values():
                raise ValueError(f"no generation of {ca} issues")

    def of(self, ca: str) -> States:
        """Those of one CA, oldest first."""
        states = self.by_ca.get(ca, _FIRST_ALONE)
        return {number: states[number] for number in sorted(states)}

    def trusted(self, ca: str) -> tuple[int, ...]:
        """Whose certificates get in, oldest first."""
        return tuple(number for number, state in self.of(ca).items() if state is not GenerationState.RETIRED)

    def issuing(self, ca: str) -> int:
        """The one from which the next certificate of a CA comes."""
        return max(number for number, state in self.of(ca).items() if state is GenerationState.ISSUING)


ONE_EACH: Final = Generations()
"""Of a topology whose CAs have one key each."""


def label(ca: str, generation: int | None) -> str:
    """What a generation is called in lists, records and messages, as in addresses: `issuing`, `issuing@2`."""
    return ca if generation in (None, FIRST) else f"{ca}@{generation}"
