"""Loads what was made elsewhere; what reads it is itself loaded only for those who have adopted something."""

from __future__ import annotations

from scaffold.errors import TopologyError
from scaffold.store.existing_ca import ExistingCa
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.model import Ca, Topology


def load(t: Topology, ca: Ca, *, keys_away: bool = False) -> ExistingCa:
    """Reads what `ca.existing` names. Raises TopologyError, with the place in the YAML, for what cannot serve.

    `keys_away`: its key is expected to be elsewhere.
    """
    mistakes = Mistakes()
    found = read(t, ca, mistakes, keys_away=keys_away)
    mistakes.check()
    if found is None:
        place = t.place("cas", ca.name, "existing")
        raise TopologyError(f"the files of {ca.address} cannot be understood", place=place, hint="see `scaffold plan`")
    return found


def read(t: Topology, ca: Ca, mistakes: Mistakes, *, keys_away: bool = False) -> ExistingCa | None:
    """The same, with what is wrong among `mistakes`: what its certificates say can be judged beside a wrong key.

    `keys_away`: its key is expected to be elsewhere.
    """
    from scaffold.store import brought

    return brought.read(t, ca, mistakes, keys_away=keys_away)
