"""What most verbs begin with: the topology, the kind of each of its servers and clients, and the output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from scaffold.cli.nearest_topology import DEFAULT_FILE
from scaffold.errors import KindError, Place
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.load import load
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.model import Party, Topology

if TYPE_CHECKING:
    from scaffold.kinds.catalogue import Kind
    from scaffold.store.examined import Remembered
    from scaffold.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Project:
    """A topology with all that is needed to plan it. `kinds` is by the address of each server and client."""

    topology: Topology
    kinds: Mapping[Address, Kind]
    layout: Layout

    def address(self, text: str) -> Address:
        """The address that a person wrote. Raises AddressError, with the nearest of the topology's."""
        return Address.parse(text, known=graph.addresses(self.topology))

    def remembered(self, *, refresh: bool) -> Remembered | None:
        """What a plan need not examine again: nothing where it is to `refresh`."""
        from scaffold.store import examined

        return None if refresh else examined.load(self.layout)


def open_project(file: Path, out: Path | None, trust: Sequence[str] | None = None) -> Project:
    """Load FILE and find its kinds. Without `out` the output folder is the topology's name beside FILE.

    `trust` are the templates that a person says they trust, None on a verb on which that cannot be said. Raises
    KindError where somebody else's template is not trusted: nothing of it is rendered or run before.
    """
    return project_of(read(file), file, out, trust)


def project_of(written: Topology, file: Path, out: Path | None, trust: Sequence[str] | None = None) -> Project:
    """The same of a topology as it is to be in FILE."""
    from scaffold.kinds.limits import without_unusable_defaults
    from scaffold.store.layout import Layout

    kinds = kinds_of(written, trust)
    topology = without_unusable_defaults(written, kinds)
    return Project(topology, kinds, Layout(out_folder(topology, file, out)))


def read(file: Path) -> Topology:
    """The topology in FILE; hints name the templates that are there. Raises TopologyError."""
    return load(file, suggested)


def suggested(role: str) -> str:
    """The template that hints name, by the role of who needs one."""
    from scaffold.kinds import catalogue

    return catalogue.suggested(role)


def reopened(project: Project) -> Project:
    """The same, as topology and templates are now."""
    from scaffold.kinds import catalogue

    catalogue.find.cache_clear()
    return open_project(project.topology.source, project.layout.out)


def out_folder(topology: Topology, file: Path, out: Path | None) -> Path:
    """The output folder: the one that is asked for, or the topology's name beside its file."""
    return out if out is not None else file.parent / topology.name


def kinds_of(t: Topology, trust: Sequence[str] | None = None) -> dict[Address, Kind]:
    """The kind of each server and client, by address; `trust` as in `open_project`.

    Raises KindError for those that there are not, and for those that are somebody else's and not trusted.
    """
    from scaffold.kinds.catalogue import find

    base = t.source.absolute().parent
    kinds: dict[Address, Kind] = {}
    mistakes = Mistakes()
    asked: set[str] = set()
    parties: list[Party] = [*t.servers.values()]
    parties += [client for client in t.clients.values() if client.external is None]
    for party in parties:
        try:
            kind = kinds[party.address] = find(party.template, party.address.role, base)
            if kind.version is not None and kind.name not in asked:
                asked.add(kind.name)  # it is asked about once, however many there are of it
                _check_trusted(kind, kind.version, t, trust)
        except KindError as error:
            mistakes.add(KindError(error.message, place=error.place or _template_place(t, party), hint=error.hint))
    mistakes.check()
    return kinds


def _check_trusted(kind: Kind, version: str, t: Topology, trust: Sequence[str] | None) -> None:
    from scaffold.cli.trusting import ADD_IT, Program

    named = "" if t.source == DEFAULT_FILE else f" -f {quote(str(t.source))}"
    how_to = ADD_IT if trust is not None else f"`scaffold plan{named} --trust {{}}`"
    Program(kind.name, t.source.absolute().parent, version, kind.would_run).check_trusted(trust or (), how_to)


def _template_place(t: Topology, party: Party) -> Place | None:
    section = party.address.role.section
    own = t.places.get((section, party.name, "template"))
    return own or t.places.get(("defaults", "template")) or t.place(section, party.name)
