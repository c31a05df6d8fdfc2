"""What a reproducible topology cannot ask for, because it would not be the same bytes twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from scaffold.errors import Place, TopologyError
from scaffold.topology.model import ML_DSA, Ca, Fault, GeneratedSecret, KeyType, Party, Topology

_RSA: Final = frozenset({KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096})


def seed_is_given(t: Topology) -> Iterator[TopologyError]:
    """The seed comes from outside: another machine cannot know one that was made up here."""
    if t.reproducible is not None and isinstance(t.reproducible.seed, GeneratedSecret):
        place = t.place("reproducible", "seed")
        message = "a seed that is generated here is not known to other machines, which would make other keys"
        yield TopologyError(message, place=place, hint="seed: {env: SEED}, or {file: PATH}")


def of_ca(t: Topology, ca: Ca) -> Iterator[TopologyError]:
    """A CA that is made here: a key that can be derived, signs repeatably, and lies open."""
    if t.reproducible is None or ca.existing is not None:
        return
    yield from _derivable(t, ca)
    if ca.key in ML_DSA:
        message = f"{ca.name} would sign with {ca.key}, whose signatures differ each time (FIPS 204 3.4)"
        yield TopologyError(message, place=_place(t, ca, "key"), hint="key: ec-p256 or ed25519 for a CA")
    if ca.key_password is not None:
        message = f"the key of {ca.name} cannot be encrypted: whoever knows the seed has it, whatever its password is"
        yield TopologyError(message, place=_place(t, ca, "key_password"), hint="leave key_password out")


def of_party(t: Topology, party: Party) -> Iterator[TopologyError]:
    """To which a certificate is issued here: a key that can be derived, and signs nothing that differs each time."""
    if t.reproducible is None:
        return
    yield from _derivable(t, party)
    if party.key in ML_DSA and party.fault is Fault.SELF_SIGNED:
        message = f"{party.name} would sign its own certificate with {party.key}, whose signatures differ each time"
        yield TopologyError(message, place=_place(t, party, "fault"), hint="key: ec-p256 or ed25519")


def _derivable(t: Topology, entity: Ca | Party) -> Iterator[TopologyError]:
    if entity.key in _RSA:
        message = f"the key of {entity.name} cannot be derived from a seed: {entity.key} keys are found by search"
        hint = "key: ec-p256, ec-p384, ec-p521 or ed25519"
        yield TopologyError(message, place=_place(t, entity, "key"), hint=hint)


def _place(t: Topology, entity: Ca | Party, field: str) -> Place | None:
    own = (entity.address.role.section, entity.name)
    return t.places.get((*own, field)) or t.places.get(("defaults", field)) or t.place(*own)
