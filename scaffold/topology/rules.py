"""What no topology may say: one small function a rule."""

from __future__ import annotations

from scaffold.topology.model import Topology


def check_cas(t: Topology) -> None:
    pass


def check(t: Topology) -> None:
    pass
