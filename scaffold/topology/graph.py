"""Who issues whom and who calls whom: the two graphs of a topology, which `load` has found to be without cycles."""

from __future__ import annotations

from collections.abc import Iterator

from scaffold.topology.address import Address
from scaffold.topology.model import Ca, Client, Party, Server, Topology


def chain(t: Topology, ca_name: str) -> tuple[Ca, ...]:
    """The CA, its issuer, and so on up to its root, as far as they are in the topology."""
    ca = t.cas[ca_name]
    found = [ca]
    while ca.issuer is not None:
        ca = t.cas[ca.issuer]
        found.append(ca)
    return tuple(found)


def root_of(t: Topology, ca_name: str) -> Ca:
    """The last of the CA's chain: self-signed, or existing and then whatever its own chain leads to."""
    return chain(t, ca_name)[-1]


def issuing_order(t: Topology) -> tuple[Ca, ...]:
    """All CAs, each after its issuer, otherwise in the file's order."""
    ordered: dict[str, Ca] = {}
    for name in t.cas:
        for ca in reversed(chain(t, name)):
            ordered.setdefault(ca.name, ca)
    return tuple(ordered.values())


def parties(t: Topology) -> Iterator[Party]:
    """Servers, then clients, in the file's order."""
    yield from t.servers.values()
    yield from t.clients.values()


def addresses(t: Topology) -> Iterator[Address]:
    """Of every CA, server and client, in the file's order."""
    yield from (ca.address for ca in t.cas.values())
    yield from (party.address for party in parties(t))


def edges(t: Topology) -> tuple[tuple[Party, Server], ...]:
    """Each call that is allowed, as caller and server."""
    return tuple((party, t.servers[name]) for party in parties(t) for name in party.calls)


def issuers(t: Topology, party: Party) -> tuple[str, ...]:
    """The CAs of its certificates, as far as they are in the topology: two where a server calls with another's."""
    found = (party.issuer, *((party.calling_issuer,) if party.has_second else ()))
    return tuple(dict.fromkeys(name for name in found if name in t.cas))


def has_client_leaf(party: Party) -> bool:
    """Whether it has a certificate that is for calling: a client, a server that calls, one whose leaf is for both."""
    return isinstance(party, Client) or party.has_second or party.one_leaf


def issuing_cas(t: Topology) -> tuple[str, ...]:
    """The CAs that issue to a server or a client, and those that nothing but leaves can be below."""
    by_entities = {name for party in parties(t) for name in issuers(t, party)}
    above_others = {ca.issuer for ca in t.cas.values()}
    return tuple(name for name in t.cas if name in by_entities or name not in above_others)


def callers(t: Topology, server_name: str) -> tuple[Party, ...]:
    """Who is allowed to call a server: servers first, then clients."""
    return t.callers.get(server_name, ())
