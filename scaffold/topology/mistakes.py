"""Gathers what is wrong with a topology, so that a person is told all of it at once and in the file's order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from scaffold.errors import ScaffoldError, TopologyError, TopologyErrors

MOST_KEPT = 1_000
"""More than anybody reads: a file that is wrong a million times is not worth the memory."""


class Mistakes:
    """The mistakes met so far. One that is met twice, through an alias or a default, is told once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], ScaffoldError] = {}
        self._met = 0

    def __len__(self) -> int:
        return self._met

    def add(self, error: ScaffoldError) -> None:
        """Keep it, or each of several."""
        for one in error.errors if isinstance(error, TopologyErrors) else (error,):
            self._met += 1
            if len(self._kept) < MOST_KEPT:
                self._kept.setdefault((str(one.place), one.message), one)

    def add_all(self, errors: Iterable[ScaffoldError]) -> None:
        """Keep all of them."""
        for error in errors:
            self.add(error)

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """Keep what is raised within, which ends there."""
        try:
            yield
        except TopologyError as error:
            self.add(error)

    def check(self) -> None:
        """Raise the one mistake that was met, or `TopologyErrors` for several; return where there is none."""
        errors = sorted(self._kept.values(), key=_position)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise TopologyErrors(errors)


def raise_all(errors: Iterable[ScaffoldError]) -> None:
    """Raise them as `Mistakes` does; return where there are none."""
    mistakes = Mistakes()
    mistakes.add_all(errors)
    mistakes.check()


def _position(error: ScaffoldError) -> tuple[str, int, int]:
    """What has no place comes first: it is about the whole. Of several files one is told after the other."""
    place = error.place
    return (place.file, place.line, place.column) if place is not None else ("", 0, 0)
