"""Which CAs a change needs: whose key signs for it, and whose certificates it puts in place."""

from __future__ import annotations

from collections.abc import Iterable

from scaffold.plan.model import Change, Work
from scaffold.settings.peers import looked_up_issuers
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.model import Ca, Party, Topology

_OF_A_CERTIFICATE = frozenset({Work.NEW_KEY, Work.ISSUE, Work.BUNDLE, Work.STAPLE})


def needed(t: Topology, change: Change) -> frozenset[str]:
    """The names of the CAs that must be there for `change`."""
    role, name = change.address.role, change.address.name
    if change.work in (Work.REVOKE, Work.REMOVE):
        return frozenset()
    if role is Role.CA:
        return frozenset({name}) if change.work is Work.SIGN or name not in t.cas else _chain(t, name)
    party: Party | None = t.servers.get(name) if role is Role.SERVER else t.clients.get(name)
    if party is None:
        return frozenset()
    issuer = _issuer(party, change.address)
    if change.work in _OF_A_CERTIFICATE and (party.issued_here or change.address.part is Part.CLIENT_CERTIFICATE):
        return frozenset({issuer}) | _below_roots(t, issuer)
    if change.work is Work.PLACE and issuer:
        return _chain(t, issuer)  # a new root reissues the intermediates that are sent along
    if change.work in (Work.TRUST, Work.REFRESH):
        return _chains(t, looked_up_issuers(t, party))
    return frozenset()


def signing(t: Topology, change: Change) -> frozenset[str]:
    """The names of the CAs whose keys `change` makes, opens or signs with."""
    role, name = change.address.role, change.address.name
    own = frozenset({name}) if role is Role.CA else frozenset()
    match change.work:
        case Work.SIGN | Work.ENCRYPT:
            return own
        case Work.ISSUE | Work.NEW_KEY | Work.STAPLE:
            entity = _entity(t, change.address)
            if entity is None or entity.issuer is None:
                return own
            return own | {entity.issuer if isinstance(entity, Ca) else _issuer(entity, change.address)}
        case _:
            return frozenset()


def _issuer(party: Party, address: Address) -> str:
    """The CA of one of its certificates."""
    return party.calling_issuer if address.part is Part.CLIENT_CERTIFICATE else party.issuer


def _entity(t: Topology, address: Address) -> Ca | Party | None:
    match address.role:
        case Role.CA:
            return t.cas.get(address.name)
        case Role.SERVER:
            return t.servers.get(address.name)
        case Role.CLIENT:
            return t.clients.get(address.name)


def _chain(t: Topology, name: str) -> frozenset[str]:
    return frozenset(ca.name for ca in graph.chain(t, name))


def _chains(t: Topology, names: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(_chain(t, name) for name in names))


def _below_roots(t: Topology, name: str) -> frozenset[str]:
    """What is sent along with a leaf: its issuers without the root."""
    return frozenset(ca.name for ca in graph.chain(t, name) if ca.issuer is not None)
