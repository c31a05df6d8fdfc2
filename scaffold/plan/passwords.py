"""What can be said of the secrets that people provide without asking anybody: which files hold none, which git has."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scaffold.errors import SecretError
from scaffold.plan.model import Change, Work
from scaffold.plan.signers import signing
from scaffold.store.git import Standing, standing
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.model import FileSecret, Topology
from scaffold.topology.notes import Note


def notes(t: Topology, changes: Sequence[Change]) -> Iterator[Note]:
    """Files that hold no password, whatever is planned; those that are not there, where `changes` need them."""
    files = _files(t)
    if not files:
        return
    needed = {address for change in changes for address in _needed(t, change)}
    for address, secret in files.items():
        if address not in needed and not os.path.lexists(secret.path):
            continue
        try:
            Secrets().given(secret, str(address))
        except SecretError as error:
            yield Note(None, f"{error}; apply refuses, before it writes anything, if it needs that password")


def for_git(t: Topology) -> Iterator[Note]:
    """Secrets beside the topology that would be committed with it."""
    passwords = [secret.path for secret in _files(t).values()]
    for path in dict.fromkeys((*passwords, *_named_keys(t))):
        what = "a password" if path in passwords else "a private key"
        match standing(path):
            case Standing.TAKEN_UP:
                said = f"{path} holds {what}, and git would commit it: add it to a .gitignore, or keep it elsewhere"
                yield Note(None, said)
            case Standing.TRACKED:
                yield Note(None, f"{path} holds {what}, and is in git: {_out_of_git(path)}")


def _out_of_git(path: Path) -> str:
    removed = f"git -C {shlex.quote(str(path.parent))} rm --cached -- {shlex.quote(path.name)}"
    return f"run `{removed}` and add it to a .gitignore; it stays in the history, so replace the secret"


def _named_keys(t: Topology) -> Iterator[Path]:
    """The private keys that a topology names."""
    existing = (entity.existing for entity in (*t.cas.values(), *graph.parties(t)))
    yield from (one.key for one in existing if one is not None and one.key is not None)


def _files(t: Topology) -> Mapping[Address, FileSecret]:
    of_cas = {ca.address: ca.key_password for ca in t.cas.values()}
    of_bundles = {
        party.address.with_part(Part.BUNDLE): party.pfx.password for party in graph.parties(t) if party.pfx is not None
    }
    return {address: one for address, one in {**of_cas, **of_bundles}.items() if isinstance(one, FileSecret)}


def _needed(t: Topology, change: Change) -> Iterator[Address]:
    """Whose passwords `change` needs."""
    if change.work is Work.BUNDLE:
        yield change.address
    yield from (Address.ca(name) for name in signing(t, change))
