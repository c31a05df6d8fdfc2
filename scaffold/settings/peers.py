"""Whom a server or a client meets: the CAs of its peers, the roots above these, and whether CRLs of them are needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from scaffold.settings.values import CaFactsByName
from scaffold.topology import graph
from scaffold.topology.model import Anchor, Ca, Party, RevocationCheck, SanType, Server, Topology


def server_name(callee: Server) -> str:
    """The first name that can be asked for by SNI, or checked as an address."""
    names = (san.value for san in callee.names if san.type in (SanType.DNS, SanType.IP))
    return next(names, callee.dial.host)


def peer_issuers(t: Topology, party: Party) -> tuple[str, ...]:
    """The CAs that issue to those who call a server, or to those whom a client calls; its own where there are none."""
    if isinstance(party, Server):
        return party.trusts or (party.issuer,)
    return callee_issuers(t, party)


def callee_issuers(t: Topology, party: Party) -> tuple[str, ...]:
    """The CAs that issue to the servers that `party` calls; its own where it calls nobody."""
    if not party.calls:
        return (party.issuer,)
    called = (t.servers[name] for name in party.calls)
    return tuple(dict.fromkeys(server.issuer for server in called if server.issued_here))


def callees_from_elsewhere(t: Topology, party: Party) -> tuple[Server, ...]:
    """The servers that `party` calls and whose certificates are issued elsewhere."""
    return tuple(server for server in map(t.servers.__getitem__, party.calls) if not server.issued_here)


def trusts_each_apart(t: Topology, party: Party) -> bool:
    """Whether the servers that `party` calls lead to several roots, so that each is believed by its own alone."""
    return len(party.calls) > 1 and len({t.vouching[name] for name in party.calls}) > 1


def trust_in(common: str, callee: str) -> str:
    """The file of the roots that vouch for one server: beside `common`, which holds those of all."""
    return f"{common.removesuffix('.pem')}.{callee}.pem"


def looked_up_issuers(t: Topology, party: Party) -> tuple[str, ...]:
    """The CAs of its callers and of its callees: whose certificates `party` is shown, and may look up."""
    callees = callee_issuers(t, party) if party.calls else ()
    return tuple(dict.fromkeys((*peer_issuers(t, party), *callees)))


def anchors(t: Topology, issuers: Iterable[str]) -> tuple[str, ...]:
    """The names of the root CAs above `issuers`, each once."""
    return tuple(dict.fromkeys(graph.root_of(t, name).name for name in issuers))


def trusted_cas(t: Topology, server: Server) -> tuple[str, ...]:
    """The CAs whose certificates the trust file of a server holds: roots, or those that issue to its callers."""
    issuers = peer_issuers(t, server)
    is_closer = server.files is not None and server.files.anchor is Anchor.ISSUER
    return issuers if is_closer else anchors(t, issuers)


def depth(t: Topology, issuers: Iterable[str], facts: CaFactsByName) -> int:
    """The most intermediates between a leaf of one of `issuers` and its root."""

    def intermediates(name: str) -> int:
        chain = graph.chain(t, name)
        root = facts.get(chain[-1].name)
        return len(chain) - 1 + (root.chain_length if root else 0)

    return max(map(intermediates, issuers), default=0)


LONGEST_FROM_ELSEWHERE: Final = 8
"""So many intermediates may a chain have that somebody else builds, and builds otherwise tomorrow."""


def callee_depth(t: Topology, party: Party, facts: CaFactsByName) -> int:
    """The most intermediates between a server that `party` calls and its root."""
    least = LONGEST_FROM_ELSEWHERE if callees_from_elsewhere(t, party) else 0
    return max(depth(t, callee_issuers(t, party), facts), least)


def needs_crls(t: Topology, party: Party) -> bool:
    """Whether `files.crl` is there. With OCSP it is asked about the intermediates, whose issuer may have no responder.

    A root vouches for itself: it needs no CRL entry, and a leaf that it has issued itself needs OCSP alone.
    """
    match party.check_revocation:
        case RevocationCheck.NONE:
            return False
        case RevocationCheck.CRL:
            return True
        case RevocationCheck.OCSP:
            return any(_has_intermediate(t, name) for name in looked_up_issuers(t, party))
        case _:
            assert_never(party.check_revocation)


def _has_intermediate(t: Topology, issuer: str) -> bool:
    top = graph.chain(t, issuer)[-1]
    return len(graph.chain(t, issuer)) > 1 or (top.existing is not None and top.existing.chain is not None)


def crl_name_above(ca: str, steps: int) -> str:
    """What the CRL of a CA that an existing one brought in its `chain` is published as: no CA has such a name."""
    return f"{ca}_above_{steps}"


def has_crl(ca: Ca) -> bool:
    """Whether there is a CRL of the CA: one that is signed here, or one that came with it."""
    return ca.issues_here or (ca.existing is not None and ca.existing.crl is not None)
