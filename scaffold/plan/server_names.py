"""Who else has a certificate for a name by which a server is called: whoever has its key passes for that server.

A caller knows a server by a name that a root of ours vouches for, and by nothing else (RFC 9525 6). That two servers
share a name may be meant, and so may be that one takes over the name of another: it is noted, and not refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scaffold.kinds.catalogue import Kind
from scaffold.settings.peers import server_name
from scaffold.store.ledger import Issued, Ledger
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.messages import listed
from scaffold.topology.model import Party, RevocationCheck, SanType, Server, Topology
from scaffold.topology.names import covers, parent
from scaffold.topology.notes import Note


def notes(t: Topology, kinds: Mapping[Address, Kind], ledger: Ledger, now: datetime) -> Iterator[Note]:
    """One for each server and each other that passes for it, as it is in the topology or as it was before."""
    called = _Called.of(t)
    yield from _of_others(t, called)
    yield from _of_former(t, called, kinds, ledger, now)


@dataclass(frozen=True, slots=True)
class _Called:
    """Servers by the name, in lower case, by which they are called, and by that name without its first label."""

    by_name: dict[str, list[Server]] = field(default_factory=dict)
    by_domain: dict[str, list[Server]] = field(default_factory=dict)

    @classmethod
    def of(cls, t: Topology) -> _Called:
        found = cls()
        for name in dict.fromkeys(name for party in graph.parties(t) for name in party.calls):
            server = t.servers[name]
            expected = server_name(server).lower()
            if server.issued_here and not _is_this_machine(expected):
                found.by_name.setdefault(expected, []).append(server)
                found.by_domain.setdefault(parent(expected), []).append(server)
        return found

    def by(self, names: Iterable[str]) -> Iterable[Server]:
        """Those that are called by one of `names`, of which a wildcard is the whole first label (RFC 9525 6.3)."""
        found: dict[str, Server] = {}
        for name in map(str.lower, names):
            meant = self.by_domain.get(name[2:], ()) if name.startswith("*.") else self.by_name.get(name, ())
            found.update((server.name, server) for server in meant)
        return found.values()


def _is_this_machine(name: str) -> bool:
    """Whether a name says of no server which one it is: where all are on one machine, the port does."""
    return name == "localhost" or name.startswith("127.") or name == "::1"


def _of_others(t: Topology, called: _Called) -> Iterator[Note]:
    for other in t.servers.values():
        names = (name.value for name in other.names if other.issued_here and name.type is not SanType.URI)
        for callee in called.by(names):
            callers = [one.address for one in _callers(t, callee) if other.name not in one.calls]
            if callee is not other and callers and _is_vouched_for(t, other.issuer, callee):
                yield Note(
                    other.address,
                    f"has the name of {callee.address}, {server_name(callee)}: it can pose as it at {listed(callers)}",
                )


def _of_former(
    t: Topology, called: _Called, kinds: Mapping[Address, Kind], ledger: Ledger, now: datetime
) -> Iterator[Note]:
    latest: dict[tuple[Address, Address], tuple[Issued, list[Address]]] = {}
    for one in ledger.issued.values():
        if one.not_after <= now or one.address.role is not Role.SERVER or one.address.part is not Part.CERTIFICATE:
            continue
        for callee in called.by(one.names):
            callers = _believing(t, kinds, ledger, one, callee)
            key = (one.address.entity, callee.address)
            if callers and (key not in latest or latest[key][0].not_after < one.not_after):
                latest[key] = one, callers
    for (_, callee_address), (one, callers) in latest.items():
        who = f"the former {one.address.entity}" if one.of_predecessor else str(one.address.entity)
        yield Note(
            callee_address,
            f"is called by a name that {who} had a certificate for, valid until {one.not_after:%Y-%m-%d %H:%M} UTC: "
            f"the holder of its key can pose as {callee_address} at {listed(callers)}; {_way_out(one, ledger)}",
        )


def _believing(
    t: Topology, kinds: Mapping[Address, Kind], ledger: Ledger, one: Issued, callee: Server
) -> list[Address]:
    """The callers at which a certificate of before passes for that of `callee`."""
    entity = one.address.entity
    is_own = entity == callee.address and not one.of_predecessor
    if is_own or _has_name_still(t, one, callee) or not _is_vouched_for(t, one.ca, callee):
        return []
    revoked = (one.ca, one.serial) in ledger.revoked
    return [each.address for each in _callers(t, callee) if not (revoked and _looks_up(kinds, each))]


def _has_name_still(t: Topology, one: Issued, callee: Server) -> bool:
    """Whether a server of today has the name as well, so that it is told of as that, or called too."""
    server = None if one.of_predecessor else t.servers.get(one.address.name)
    return server is not None and any(covers(name.value, server_name(callee)) for name in server.names)


def _looks_up(kinds: Mapping[Address, Kind], caller: Party) -> bool:
    check = caller.check_revocation
    if caller.is_external or check is RevocationCheck.NONE:
        return False
    return check in kinds[caller.address].capabilities.checks_callees


def _callers(t: Topology, callee: Server) -> Iterable[Party]:
    return graph.callers(t, callee.name)


def _is_vouched_for(t: Topology, ca: str, callee: Server) -> bool:
    """Whether a CA is below the root that vouches for a server."""
    return ca in t.cas and graph.root_of(t, ca) is graph.root_of(t, callee.issuer)


def _way_out(one: Issued, ledger: Ledger) -> str:
    checks = "set check_revocation on the callers"
    if (one.ca, one.serial) in ledger.revoked:
        return checks
    return f"`scaffold revoke --serial {one.serial} --reason superseded`, and {checks}"
