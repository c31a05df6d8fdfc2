"""Whether a topology was called otherwise before: by its name the output folder is found, and so are its CA keys."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scaffold.errors import StoreError
from scaffold.store import ledger
from scaffold.store.layout import LEDGER, Layout
from scaffold.topology import graph
from scaffold.topology.model import Topology
from scaffold.topology.notes import Note

_NAME: Final = re.compile(r"""(?m)^(?:name:|\{.*?\bname:)[ \t]*["']?([a-z0-9-]+)""")
_MOST_BYTES: Final = 1 << 20


def notes(t: Topology, layout: Layout) -> Iterator[Note]:
    """One for each output folder beside a new one that was made of a topology with the same CAs.

    That it was made of this very file is not recorded: what another file beside it is called is not that.
    """
    beside = t.source.absolute().parent
    if layout.out.absolute().parent != beside or layout.path(LEDGER).exists():
        return
    for folder in _made(beside):
        if _is_like(t, folder) and folder.name not in _named_beside(t.source.absolute()):
            yield Note(
                None,
                f"{folder.name}/ beside {t.source.name} has keys of CAs with the same names. If this topology was "
                f"called {folder.name} before: under its new name it does not find them, and makes new CAs, which "
                f"nobody trusts yet. `name: {folder.name}` takes them back",
            )


def _made(beside: Path) -> Iterator[Path]:
    """The folders in which something was applied."""
    with contextlib.suppress(OSError):
        yield from (folder for folder in sorted(beside.iterdir()) if (folder / LEDGER).is_file())


def _is_like(t: Topology, folder: Path) -> bool:
    """Whether all CAs that `t` makes were made there, and at least one of its servers or clients."""
    try:
        known = ledger.load(Layout(folder))
    except StoreError:
        return False
    had = {address.entity for address in known.by_address}
    cas = {ca.address for ca in t.cas.values() if ca.existing is None}
    parties = {party.address for party in graph.parties(t)}
    return known.topology == folder.name and bool(cas) and cas <= had and not parties.isdisjoint(had)


def _named_beside(source: Path) -> frozenset[str]:
    """What other topologies in the same folder are called."""
    found: set[str] = set()
    for path in (*source.parent.glob("*.yaml"), *source.parent.glob("*.yml")):
        if path != source:
            with contextlib.suppress(OSError), path.open("rb") as file:
                found.update(_NAME.findall(file.read(_MOST_BYTES).decode("utf-8", "replace")))
    return frozenset(found)
