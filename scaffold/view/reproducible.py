"""What is said, in red, of a topology whose keys anybody can make who knows its seed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from scaffold.topology.model import Topology
from scaffold.view.terminal import Line, plain

_RED = "bold red"


def test_keys_lines(t: Topology, now: datetime) -> Iterator[Line]:
    """Nothing, where a topology is not reproducible."""
    if t.reproducible is None:
        return
    yield [(f"{t.name} is reproducible: its keys are for tests. Whoever knows the seed has every one of them.", _RED)]
    if now < t.reproducible.at:
        at = f"{t.reproducible.at:%Y-%m-%d %H:%M} UTC"
        yield [(f"This machine’s clock is before `at`, {at}: until then nothing that is issued is valid.", _RED)]
    yield plain("")
