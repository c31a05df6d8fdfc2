"""What was made for an entity goes on under its new name: its folder, the record of it, its history in the ledger."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from datetime import datetime
from typing import Final

from scaffold.errors import StoreError
from scaffold.store import files, ledger, projects
from scaffold.store.layout import FOLDERS, Layout
from scaffold.store.ledger import Ledger
from scaffold.topology.address import Address, Role

_ANEW: Final = (
    "add a new CA, and set it as the issuer of its servers and clients, which then get new certificates. Nothing "
    "was changed"
)


def move(layout: Layout, old: Address, new: Address, now: datetime) -> bool:
    """Whether there was something to move from the server or client `old` to `new`, which has been done.

    Only the holder of the lock moves. Killed in between, it is finished where it is called again. Raises StoreError
    where something of another is in the place, and for a CA that has signed: its name is in its certificates.
    """
    if old.role is Role.CA:
        _check_unused(layout, old)
        return False
    known, issued = projects.load(layout), ledger.load(layout)
    if (begun_as := issued.renamed.get(old, new)) != new:
        raise _unfinished(old, begun_as)
    former, place = (f"{FOLDERS[one.role]}/{one.name}" for one in (old, new))
    is_there, is_taken = (os.path.lexists(layout.at(folder)) for folder in (former, place))
    begun = any(address.entity == new for address in known.by_address)
    if is_taken and (is_there or not begun):
        raise StoreError(
            f"{layout.at(place)} is there already", hint="move it away, or choose another name; nothing was changed"
        )
    _record(layout, known, old, new, now)
    if any(address.entity == old for address in issued.by_address):
        ledger.Recorder(layout, now).renamed(old, new)
    if is_there:
        _move_folder(layout, former, place)
    _forget(layout, known, old, now)
    return is_there or is_taken


def check_finished(layout: Layout, known: Ledger, wanted: Container[Address]) -> None:
    """Raises StoreError where a rename ended half way: the topology, which has `wanted`, says the former name again.

    What would be planned is a new project, beside the one with a person's edits.
    """
    for former, name in known.renamed.items():
        if former in wanted and name not in wanted and any(map(os.path.lexists, _folders(layout, former, name))):
            raise _unfinished(former, name)


def _folders(layout: Layout, *entities: Address) -> Iterator[str]:
    return (layout.at(f"{FOLDERS[one.role]}/{one.name}") for one in entities)


def _unfinished(former: Address, name: Address) -> StoreError:
    return StoreError(
        f"{former} has an unfinished rename: it is {name} in the output folder and {former} in the topology",
        hint=f"`scaffold rename {former} {name.name}` completes that; then it can be renamed again",
    )


def _check_unused(layout: Layout, ca: Address) -> None:
    known = ledger.load(layout)
    if ca.name in known.ca_keys or os.path.lexists(layout.at(f"{FOLDERS[ca.role]}/{ca.name}")):
        raise StoreError(
            f"{ca} has been made: its name is in certificates and in the addresses of its CRLs", hint=_ANEW
        )


def _record(layout: Layout, known: projects.Records, old: Address, new: Address, now: datetime) -> None:
    """First: wherever a kill comes, a text of ours is known as ours."""
    recorder = projects.Recorder(layout, now)
    for address, record in known.by_address.items():
        if address.entity == old:
            recorder.moved(address, Address(new.role, new.name, address.part), record)
    recorder.flush()


def _move_folder(layout: Layout, former: str, place: str) -> None:
    path = layout.at(former)
    files.check_folder(path)
    try:
        os.rename(path, layout.at(place))  # noqa: PTH104
        files.sync_folder(os.path.dirname(path))  # noqa: PTH120
    except OSError as error:
        raise files.store_error("move", path, error) from error


def _forget(layout: Layout, known: projects.Records, old: Address, now: datetime) -> None:
    recorder = projects.Recorder(layout, now)
    for address in known.by_address:
        if address.entity == old:
            recorder.gone(address)
    recorder.flush()
