"""Whom a server lets in that decides by chain alone: every client's certificate below what its trust file holds.

Such a server (a database, a broker that is fed from `tls/`) looks at no name that the topology knows of. So whoever
could call it must be allowed, or be meant by `accepts`.
"""

from __future__ import annotations

from collections.abc import Iterator

from scaffold.errors import TopologyError
from scaffold.kinds.catalogue import Kind
from scaffold.settings.peers import trusted_cas
from scaffold.topology import graph
from scaffold.topology.messages import listed
from scaffold.topology.model import Anchor, Fault, Party, Server, Topology
from scaffold.topology.notes import Note


def check(t: Topology, server: Server, kind: Kind) -> Iterator[Note]:
    """Notes on what is not known here. Raises TopologyError where somebody would get in who is not meant to."""
    uninvited = tuple(_uninvited(t, server))
    if uninvited:
        who = listed([party.address for party in uninvited])
        issuers = listed(list(dict.fromkeys(party.calling_issuer for party in uninvited)))
        raise TopologyError(
            f"{server.address} would let in {who}, though not allowed by `calls`: it decides by the chain alone "
            f'(template "{kind.name}"), and trusts {_trusted(t, server)}',
            place=t.place("servers", server.name),
            hint=f"if that is meant, add calls: [{server.name}] to them, or accepts: [{issuers}] to "
            f"{server.name}; otherwise issue their certificates from a CA under another root{_closer(server)}",
        )
    siblings = tuple(_siblings(t, server))
    if siblings:
        names = listed(siblings)
        raise TopologyError(
            f"{server.address} would let in every client certificate issued by {names}: it decides by the chain "
            f'alone (template "{kind.name}"), and trusts {_trusted(t, server)}',
            place=t.place("servers", server.name),
            hint=f"accepts: [{names}] on {server.name} where that is meant; otherwise give {names} a root of its own"
            f"{_closer(server)}",
        )
    for name in trusted_cas(t, server):
        if t.cas[name].existing is not None:
            said = f"decides by the chain alone: every client certificate issued under {t.cas[name].address} gets in"
            yield Note(server.address, said)
    for name in server.accepts:
        said = f"lets in every client certificate that {t.cas[name].address} has issued, listed under `calls` or not"
        yield Note(server.address, said)


def admits(t: Topology, server: Server, issuer: str) -> bool:
    """Whether a certificate that the CA `issuer` has issued leads up to what the server trusts."""
    trusted = trusted_cas(t, server)
    return issuer in t.cas and any(ca.name in trusted for ca in graph.chain(t, issuer))


def _uninvited(t: Topology, server: Server) -> Iterator[Party]:
    invited = {server.address, *(caller.address for caller in graph.callers(t, server.name))}
    issuers = {name for name in t.cas if name not in server.accepts and admits(t, server, name)}
    for party in graph.parties(t):
        if party.calling_issuer in issuers and party.address not in invited and _may_call(party):
            yield party


def _may_call(party: Party) -> bool:
    """Whether it has a certificate that is for clients: one that is broken on purpose may be."""
    return graph.has_client_leaf(party) or party.fault in (Fault.WRONG_EKU, Fault.NO_EKU)


def _siblings(t: Topology, server: Server) -> Iterator[str]:
    """The CAs below what is trusted that issue leaves, though not to those who are meant to get in."""
    callers = graph.callers(t, server.name)
    meant = {*server.accepts, *(caller.calling_issuer for caller in callers)} or {server.issuer}
    for name in graph.issuing_cas(t):
        if name not in meant and admits(t, server, name):
            yield name


def _trusted(t: Topology, server: Server) -> str:
    return " and ".join(str(t.cas[name].address) for name in trusted_cas(t, server))


def _closer(server: Server) -> str:
    if server.files is None or server.files.anchor is Anchor.ROOT:
        return "; or files: {anchor: issuer}, if its program accepts an issuing CA as a trust anchor (see its README)"
    return ""
