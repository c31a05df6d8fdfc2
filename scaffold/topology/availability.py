"""What the language knows and this version does not do yet: one function a feature, deleted when the feature lands.

Nothing asked for is ever silently left out, so each is refused where it stands.
"""

from __future__ import annotations

from scaffold.errors import NotAvailableYet
from scaffold.topology.model import Topology


def check(t: Topology) -> None:
    """Raises `NotAvailableYet` for the first thing that is."""
    for server in t.servers.values():
        _no_stapling(t, server.name, "must_staple", asked=server.must_staple)


def _refuse(t: Topology, kind: str, name: str, field: str, what: str, hint: str) -> NotAvailableYet:
    place = t.places.get((kind, name, field)) or t.place("defaults", field) or t.place(kind, name)
    return NotAvailableYet(f"{what} is not available yet", place=place, hint=hint)


def _no_stapling(t: Topology, name: str, field: str, *, asked: bool) -> None:
    if asked:
        raise _refuse(t, "servers", name, field, f"{field}: true", "leave it out")
