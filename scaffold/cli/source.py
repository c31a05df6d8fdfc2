"""Where keys and serials come from: the operating system, or the seed of a reproducible topology."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaffold.topology.model import GeneratedSecret, Topology

if TYPE_CHECKING:
    from scaffold.pki.randomness import Randomness
    from scaffold.store.secrets import Secrets


def source_of(t: Topology, secrets: Secrets) -> Randomness:
    """The source that a topology asks for. Raises SecretError where its seed cannot be had."""
    from scaffold.pki.derived import Derived
    from scaffold.pki.randomness import OPERATING_SYSTEM

    if t.reproducible is None or isinstance(t.reproducible.seed, GeneratedSecret):
        return OPERATING_SYSTEM
    return Derived(secrets.given(t.reproducible.seed, "reproducible", "seed"), t.name)


def source_at_hand(t: Topology, secrets: Secrets) -> Randomness:
    """The same where nothing is to be made: no seed is asked for, and one that is there is taken, to be compared."""
    from scaffold.pki.randomness import OPERATING_SYSTEM

    if t.reproducible is None or not secrets.has(t.reproducible.seed):
        return OPERATING_SYSTEM
    return source_of(t, secrets)
