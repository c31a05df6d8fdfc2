"""The generations of a CA: what each is called, and what it is for at the moment.

A CA has one generation, and another while its key is replaced step by step: the next one is trusted everywhere before
it issues anything, and the last one until all that it issued is replaced.
"""

from __future__ import annotations

import enum
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


def label(ca: str, generation: int | None) -> str:
    """What a generation is called in lists, records and messages, as in addresses: `issuing`, `issuing@2`."""
    return ca if generation in (None, FIRST) else f"{ca}@{generation}"
