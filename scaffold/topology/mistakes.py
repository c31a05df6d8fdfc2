"""Gathers what is wrong with a topology, so that a person is told all of it at once and in the file's order."""

from __future__ import annotations

from collections.abc import Iterable

from scaffold.errors import ScaffoldError, TopologyErrors

MOST = 1_000
"""More than anybody reads: a file that is wrong a million times is not worth the memory."""


class Enough(Exception):
    """`MOST` mistakes have been found; the rest of the file is not looked at."""


class Mistakes:
    """The mistakes found so far. One that is met twice, through an alias or a default, is kept once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], ScaffoldError] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, error: ScaffoldError) -> None:
        """Keep it, or each of several. Raises `Enough`."""
        for one in error.errors if isinstance(error, TopologyErrors) else (error,):
            self._found.setdefault((str(one.place), one.message), one)
            if len(self._found) >= MOST:
                raise Enough

    def add_all(self, errors: Iterable[ScaffoldError]) -> bool:
        """Keep all of them, and say whether there was any. Raises `Enough`."""
        before = len(self._found)
        for error in errors:
            self.add(error)
        return len(self._found) > before

    def check(self) -> None:
        """Return where there is none, else raise `as_error()`."""
        if self._found:
            raise self.as_error()

    def as_error(self) -> ScaffoldError:
        """The one mistake that was found, or `TopologyErrors` for several."""
        errors = sorted(self._found.values(), key=_position)
        return errors[0] if len(errors) == 1 else TopologyErrors(errors)


def _position(error: ScaffoldError) -> tuple[int, int]:
    """What has no place comes first: it is about the whole."""
    return (error.place.line, error.place.column) if error.place is not None else (0, 0)
