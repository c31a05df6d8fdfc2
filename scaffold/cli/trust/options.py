"""What the verbs of `trust` have in common: which root, which stores, and how to do the same as root."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scaffold.cli import completing
from scaffold.errors import AddressError, ScaffoldError, TrustError
from scaffold.topology.address import Address, Role
from scaffold.topology.messages import nearest
from scaffold.trusting.kinds import StoreKind

if TYPE_CHECKING:
    from scaffold.store.layout import Layout
    from scaffold.topology.model import Ca, Topology
    from scaffold.trusting.changes import Ours, Seen
    from scaffold.trusting.model import Anchor, Store

Root = Annotated[
    str | None,
    typer.Argument(
        metavar="[ca.NAME]",
        autocompletion=completing.cas,
        help="The root.  [default: all that the topology makes]",
    ),
]
Stores = Annotated[
    list[StoreKind] | None,
    typer.Option("--store", help="This type of store alone; repeatable.  [default: all that are there]"),
]


def stores(kinds: Sequence[StoreKind] | None) -> tuple[Store, ...]:
    """The stores of this machine, of this user where they are a user's."""
    from scaffold.trusting.stores import present

    return present(kinds or (), os.environ)


@dataclass(frozen=True, slots=True)
class Opened:
    """A topology and its output folder: what it takes to know its roots. Its templates are not asked for."""

    topology: Topology
    layout: Layout

    def ca(self, text: str) -> Ca:
        """The CA that a person wrote, by name or address. Raises AddressError for one that there is not."""
        name = self.ca_name(text)
        if name not in self.topology.cas:
            raise AddressError(f"there is no CA {text}", hint=nearest(text, self._known))
        return self.topology.cas[name]

    def ca_name(self, text: str) -> str:
        """Its name, whether or not the topology still has it. Raises AddressError for what is no CA."""
        if text in self.topology.cas:
            return text
        address = Address.parse(text, known=self._addresses)
        if address.role is not Role.CA or address != address.entity:
            raise AddressError(f"{text} is no CA", hint=nearest(text, self._known) or "name a root: ca.NAME")
        return address.name

    def at_hand(self) -> tuple[tuple[Anchor, ...], tuple[ScaffoldError, ...]]:
        """The roots of the topology, those included that were made elsewhere; and why others cannot be read."""
        from scaffold.trusting import roots

        anchors, problems = [], []
        for ca in (*roots.own_roots(self.topology), *roots.brought_roots(self.topology)):
            try:
                anchors.append(roots.anchor(self.topology, self.layout, ca))
            except ScaffoldError as error:
                problems.append(error)
        return tuple(anchors), tuple(problems)

    def ours(self, seen: Sequence[Seen], cas: Collection[str]) -> Ours:
        """Which entries of what was seen are of this topology: its roots of today, and what was issued here before."""
        from scaffold.trusting import roots
        from scaffold.trusting.changes import Ours

        today = {anchor.fingerprint for anchor in self.at_hand()[0]}
        marked = {entry.fingerprint for one in seen for entry in one.entries if entry.mark is not None}
        return Ours(self.topology.name, today | roots.issued_here(self.layout, marked), cas)

    def key_of(self, anchor: Anchor) -> str | None:
        """Where the private key of a root is; None where it is not here."""
        from scaffold.store.layout import ca_paths

        existing = self.topology.cas[anchor.address.name].existing
        if existing is not None:
            return None if existing.key is None else str(existing.key)
        path = self.layout.path(ca_paths(anchor.address.name).key)
        if not path.exists():
            return None
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    @property
    def _addresses(self) -> list[Address]:
        return [ca.address for ca in self.topology.cas.values()]

    @property
    def _known(self) -> list[str]:
        return [*map(str, self._addresses), *self.topology.cas]


def opened(file: Path, out: Path | None) -> Opened:
    """Load FILE. Raises TopologyError."""
    from scaffold.cli.project import out_folder, read
    from scaffold.store.layout import Layout

    topology = read(file)
    return Opened(topology, Layout(out_folder(topology, file, out)))


def as_root(verb: str, file: Path, out: Path | None, name: str | None) -> str:
    """The command that does the same as root, but for `--store` at its end. sudo(8) hands on no JAVA_HOME by itself."""
    program = shutil.which(sys.argv[0]) or "scaffold"
    java = os.environ.get("JAVA_HOME")
    words = ["sudo", *([f"JAVA_HOME={java}"] if java else []), program, "trust", verb, *([name] if name else [])]
    words += ["-f", str(file.absolute()), *(["--out", str(out.absolute())] if out is not None else [])]
    return shlex.join(words)


def confirm(question: str, what: str, *, yes: bool) -> None:
    """Ask. Raises TrustError where nobody consents, or nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise TrustError(f"would {what}; rerun with --yes", hint="nothing was changed")
    if not typer.confirm(question, default=False, err=True):
        raise TrustError("not confirmed; nothing was changed")
