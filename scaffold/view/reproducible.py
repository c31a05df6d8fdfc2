"""What is said, in red, of a topology whose keys anybody can make who knows its seed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.model import Topology
from scaffold.view.terminal import Line, plain

_RED = "bold red"


def test_keys_lines(t: Topology, now: datetime) -> Iterator[Line]:
    """Nothing, where a topology is not reproducible."""
    if t.reproducible is None:
        return
    yield [(f"{t.name} is reproducible: its keys are for tests. Everybody with the seed has every one of them.", _RED)]
    if now < t.reproducible.at:
        at = f"{t.reproducible.at:%Y-%m-%d %H:%M} UTC"
        yield [(f"This machine's clock is before `at`, {at}: no certificate is valid until then.", _RED)]
    if ended := list(_ended(t, t.reproducible.at, now)):
        more = f" and {len(ended) - 1:,} more" if len(ended) > 1 else ""
        told = (
            f"Certificates that follow from `at` have expired, of {ended[0]}{more}: set a later `at`, or a longer "
            "lifetime."
        )
        yield [(told, _RED)]
    yield plain("")


def _ended(t: Topology, at: datetime, now: datetime) -> Iterator[Address]:
    """Whose certificates, or CRLs, nobody accepts any more; none of them is due, since `at` is the time."""
    for ca in t.cas.values():
        life = min(ca.lifetime, ca.revocation.crl or ca.lifetime)
        if ca.existing is None and at + life <= now:
            yield ca.address
    yield from (one.address for one in graph.parties(t) if one.has_issued and at + one.lifetime <= now)
