"""What was made for an entity goes on under its new name: its folder, the record of it, its history in the ledger."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Final

from scaffold.errors import StoreError
from scaffold.store import files, ledger, projects
from scaffold.store.layout import FOLDERS, Layout
from scaffold.topology.address import Address, Role

_ANEW: Final = "add a CA beside it, and let its members name that one: they are issued anew. Nothing was changed"


def move(layout: Layout, old: Address, new: Address, now: datetime) -> bool:
    """Whether there was something to move from the server or client `old` to `new`, which has been done.

    Only the holder of the lock moves. Killed in between, it is finished where it is called again. Raises StoreError
    where something of another stands in the place, and for a CA that has signed: its name is in its certificates.
    """
    if old.role is Role.CA:
        _check_unused(layout, old)
        return False
    known = projects.load(layout)
    former, place = (f"{FOLDERS[one.role]}/{one.name}" for one in (old, new))
    is_there, is_taken = (os.path.lexists(layout.at(folder)) for folder in (former, place))
    begun = any(address.entity == new for address in known.by_address)
    if is_taken and (is_there or not begun):
        raise StoreError(
            f"{layout.at(place)} is there already", hint="move it away, or choose another name; nothing was changed"
        )
    _record(layout, known, old, new, now)
    if is_there:
        _move_folder(layout, former, place)
    _forget(layout, known, old, new, now)
    return is_there or is_taken


def _check_unused(layout: Layout, ca: Address) -> None:
    known = ledger.load(layout)
    if ca.name in known.ca_keys or os.path.lexists(layout.at(f"{FOLDERS[ca.role]}/{ca.name}")):
        raise StoreError(f"{ca} has been made: its name is in certificates, and where they are published", hint=_ANEW)


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


def _forget(layout: Layout, known: projects.Records, old: Address, new: Address, now: datetime) -> None:
    recorder = projects.Recorder(layout, now)
    for address in known.by_address:
        if address.entity == old:
            recorder.gone(address)
    recorder.flush()
    if any(address.entity == old for address in ledger.load(layout).by_address):
        ledger.Recorder(layout, now).renamed(old, new)
