"""What a plan is made from besides the output folder: the topology's text, templates, and what adopted CAs bring."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scaffold.errors import Overtaken, TopologyError
from scaffold.kinds import catalogue
from scaffold.pki import bundles
from scaffold.plan.basis import Basis
from scaffold.store import existing
from scaffold.store.existing_ca import ExistingCa
from scaffold.topology.document import MOST_BYTES
from scaffold.topology.inputs import read_at_most


@dataclass(frozen=True, slots=True)
class Sources:
    """`out` is the output folder, whatever path leads there; `digests` are of all else, by what a person calls it."""

    out: str
    digests: Mapping[str, str]


def sources(basis: Basis) -> Sources:
    """What the plans of `basis` are made from."""
    t = basis.topology
    of_templates = {f'the {kind.role} template "{kind.name}"': kind.digest for kind in basis.kinds.values()}
    of_cas = {f"`existing` of {t.cas[name].address}": _digest(brought) for name, brought in basis.existing.items()}
    digests = {f"the topology {t.source.name}": _sha256(t.text), **of_templates, **of_cas}
    return Sources(os.path.realpath(basis.observed.layout.out), digests)


def _digest(brought: ExistingCa) -> str:
    return _sha256(b"".join((*map(bundles.der, brought.path), brought.crls or b"")))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check_unchanged(basis: Basis) -> None:
    """Raises Overtaken where one of the sources is not what it was when `basis` was looked at."""
    for what in _changed(basis):
        raise Overtaken(f"{what} has changed since the plan was made", source=what, hint="plan again")


def _changed(basis: Basis) -> Iterator[str]:
    t = basis.topology
    try:
        text = read_at_most(t.source, MOST_BYTES + 1)
    except OSError:
        text = b""
    if text != t.text:
        yield f"the topology {t.source.name}"
    for kind in {(kind.role, kind.name): kind for kind in basis.kinds.values()}.values():
        if not kind.builtin and catalogue.digest_now(kind) != kind.digest:
            yield f'the {kind.role} template "{kind.name}"'
    for name, before in basis.existing.items():
        try:
            is_same = existing.load(t, t.cas[name]) == before
        except TopologyError:
            is_same = False
        if not is_same:
            yield f"`existing` of {t.cas[name].address}"
