"""Loads CAs that were made elsewhere; what reads them is itself loaded only for those who have adopted one."""

from __future__ import annotations

from scaffold.store.existing_ca import ExistingCa
from scaffold.topology.model import Ca, Topology


def load(t: Topology, ca: Ca) -> ExistingCa:
    """Reads what `ca.existing` names. Raises TopologyError, with the place in the YAML, for what cannot serve."""
    from scaffold.store.brought import read

    return read(t, ca)
