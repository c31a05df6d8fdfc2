"""What a shell offers for an argument: addresses and names of the topology at hand, templates, words of the language.

Where the topology cannot be read, nothing is offered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from scaffold.cli.nearest_topology import DEFAULT_FILE, nearest
from scaffold.errors import ScaffoldError

if TYPE_CHECKING:
    from scaffold.topology.address import Address
    from scaffold.topology.fields import Field
    from scaffold.topology.model import Topology

Offered = list[tuple[str, str]]
"""Each value, and what it is."""
Known = tuple["Address", str]
"""A CA, server or client of the topology, and what it is."""


def entities(ctx: typer.Context, incomplete: str) -> Offered:
    """The addresses of CAs, servers and clients."""
    topology = _topology(ctx)
    return _beginning(incomplete, _addresses([*_cas(topology), *_servers(topology), *_clients(topology)]))


def cas(ctx: typer.Context, incomplete: str) -> Offered:
    """Those of CAs alone."""
    return _beginning(incomplete, _addresses(_cas(_topology(ctx))))


def parties(ctx: typer.Context, incomplete: str) -> Offered:
    """Those of servers and clients."""
    topology = _topology(ctx)
    return _beginning(incomplete, _addresses([*_servers(topology), *_clients(topology)]))


def servers(ctx: typer.Context, incomplete: str) -> Offered:
    """Those of servers alone."""
    return _beginning(incomplete, _addresses(_servers(_topology(ctx))))


def parties_by_name(ctx: typer.Context, incomplete: str) -> Offered:
    """The addresses of servers and clients and, where a letter is typed, their names alone."""
    topology = _topology(ctx)
    return _by_name(incomplete, [*_servers(topology), *_clients(topology)])


def servers_by_name(ctx: typer.Context, incomplete: str) -> Offered:
    """The same of servers alone."""
    return _by_name(incomplete, _servers(_topology(ctx)))


def party_names(ctx: typer.Context, incomplete: str) -> Offered:
    """The names of servers and clients, for a list with commas."""
    topology = _topology(ctx)
    return _next_in_list(incomplete, _names([*_servers(topology), *_clients(topology)]))


def examples(incomplete: str) -> Offered:
    """The topologies to start from."""
    from scaffold.cli.examples import LIST, described

    return _beginning(incomplete, [*described().items(), (LIST, "says what each is")])


def templates(incomplete: str) -> Offered:
    """The built-in templates. For one in a folder, which begins with ./ or /, the shell offers files."""
    return _beginning(incomplete, [*_templates("server"), *_templates("client")])


def reasons(incomplete: str) -> Offered:
    """Why a certificate is revoked."""
    from scaffold.pki.revocation_reasons import GIVEN

    return _beginning(incomplete, _words(GIVEN))


def of_field(field: Field, role: str) -> Callable[[Any, list[str], str], Offered]:
    """What is offered for the option that gives a `field` of the language to an entity of the `role`."""
    from scaffold.topology.fields import Choice, ListOf, NamesWithLists

    def known(ctx: Any) -> Offered:
        if field.name == "template":
            return _templates(role)
        if field.name in _OF_CAS:
            return _names(_cas(_topology(ctx)))
        if field.name in _OF_SERVERS:
            return _names(_servers(_topology(ctx)))
        return _words(field.type.words) if isinstance(field.type, Choice) else []

    begins = _next_in_list if isinstance(field.type, ListOf | NamesWithLists) else _beginning
    return lambda ctx, _before, incomplete: begins(incomplete, known(ctx))


_OF_CAS: Final = frozenset({"issuer", "trusts", "accepts"})
_OF_SERVERS: Final = frozenset({"calls", "upstream"})


def _cas(t: Topology | None) -> list[Known]:
    return [] if t is None else [(ca.address, "CA") for ca in t.cas.values()]


def _servers(t: Topology | None) -> list[Known]:
    return [] if t is None else [(server.address, server.template) for server in t.servers.values()]


def _clients(t: Topology | None) -> list[Known]:
    return [] if t is None else [(client.address, client.template or "external") for client in t.clients.values()]


def _templates(role: str) -> Offered:
    from scaffold.kinds.catalogue import builtin_names

    return [(name, f"{role} template") for name in builtin_names(role)]


def _words(words: Iterable[str]) -> Offered:
    return [(str(word), "") for word in words]


def _addresses(known: Iterable[Known]) -> Offered:
    return [(str(address), what) for address, what in known]


def _names(known: Iterable[Known]) -> Offered:
    return [(address.name, what) for address, what in known]


def _by_name(incomplete: str, known: Sequence[Known]) -> Offered:
    """Addresses, and where something is typed names: a name that a server and a client have would say neither."""
    how_many = Counter(address.name for address, _ in known)
    alone = [(address, what) for address, what in known if how_many[address.name] == 1] if incomplete else []
    return _beginning(incomplete, [*_addresses(known), *_names(alone)])


def _next_in_list(incomplete: str, known: Offered) -> Offered:
    """What may follow the last comma, behind what is there already."""
    written, comma, last = incomplete.rpartition(",")
    there = written.split(",")
    return [(f"{written}{comma}{name}", what) for name, what in _beginning(last, known) if name not in there]


def _beginning(incomplete: str, offered: Iterable[tuple[str, str]]) -> Offered:
    return [(value, what) for value, what in offered if value.startswith(incomplete)]


def _topology(ctx: typer.Context) -> Topology | None:
    """The one that `-f` names on the command line so far, or the nearest. A shell is told no errors."""
    from scaffold.topology.load import load

    try:
        return load(nearest(ctx, Path(ctx.params.get("file") or DEFAULT_FILE)))
    except (ScaffoldError, OSError):
        return None
