"""Loads what was made elsewhere; what reads it is itself loaded only for those who have adopted something."""

from __future__ import annotations

from scaffold.store.existing_ca import ExistingCa
from scaffold.topology.model import Ca, Topology


def load(t: Topology, ca: Ca) -> ExistingCa:
    """Reads what `ca.existing` names. Raises TopologyError, with the place in the YAML, for what cannot serve."""
    from scaffold.store.brought import read

    return read(t, ca)
