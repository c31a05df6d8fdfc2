"""What a person brings must not lie where scaffold writes: a topology that is called like the folder of its own CA.

Such a folder would become the output folder, with a root's key beside what is copied to hosts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from scaffold.errors import TopologyError
from scaffold.store.layout import Layout
from scaffold.topology import graph
from scaffold.topology.mistakes import raise_all
from scaffold.topology.model import Topology
from scaffold.topology.notes import Note

_RECORDS = ".scaffold"


def check(t: Topology, layout: Layout) -> tuple[Note, ...]:
    """Notes on what lies in an output folder that is in use. Raises TopologyError where it is not one yet."""
    folder = _real(layout.out)
    inside = [(path, file) for path, file in _named(t) if _real(file).is_relative_to(folder)]
    if layout.path(_RECORDS).exists():
        said = "is in the output folder, among the files that scaffold writes: keep it elsewhere"
        return tuple(dict.fromkeys(Note(None, f"{file} {said}") for _, file in inside))
    raise_all(
        TopologyError(
            f"{file} is in {layout.out}, which would become the output folder",
            place=t.place(*path),
            hint="choose another output folder with --out, give the topology another `name`, or move the file",
        )
        for path, file in inside
    )
    return ()


def _real(path: Path) -> Path:
    """Where links lead; one that leads to itself stays, and is told where it is read."""
    return Path(os.path.realpath(path))


def _named(t: Topology) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Certificates, keys, CRLs and requests that the topology names, with their places in it."""
    for entity in (*t.cas.values(), *graph.parties(t)):
        at = (entity.address.role.section, entity.name)
        for field in ("certificate", "key", "chain", "crl", "chain_crl", "trust"):
            if (file := getattr(entity.existing, field, None)) is not None:
                yield (*at, "existing", field), file
    for party in graph.parties(t):
        if party.csr is not None:
            yield (party.address.role.section, party.name, "csr"), party.csr
