"""Who may not call any more, and would still be let in by a server that decides by chain alone: no list keeps them out.

That is who left the topology, and who stays in it and had another certificate when it was allowed to call.

A certificate is good until it ends, unless it is revoked and the server looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from scaffold.errors import TopologyError
from scaffold.kinds import by_chain
from scaffold.kinds.catalogue import Kind
from scaffold.store.ledger import Issued, Ledger
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.model import RevocationCheck, Server, Topology


def check(t: Topology, kinds: Mapping[Address, Kind], ledger: Ledger, now: datetime) -> Iterator[TopologyError]:
    """One for each server that would go on letting somebody in."""
    servers = [server for server in t.servers.values() if kinds[server.address].capabilities.decides_by_chain]
    if not servers:
        return
    valid = [one for one in ledger.issued.values() if one.not_after > now and _is_for_calling(one)]
    for server in servers:
        invited = {server.address, *(caller.address for caller in graph.callers(t, server.name))}
        others = (one for one in valid if one.of_predecessor or one.address.entity not in invited)
        former = [one for one in others if _gets_in(t, server, one, ledger)]
        if former:
            yield _error(t, server, max(former, key=lambda one: one.not_after))


def _is_for_calling(one: Issued) -> bool:
    if one.address.part is Part.CERTIFICATE:
        return one.address.role is Role.CLIENT or one.also_calls
    return one.address.part is Part.CLIENT_CERTIFICATE


def _gets_in(t: Topology, server: Server, one: Issued, ledger: Ledger) -> bool:
    if one.ca in server.accepts or not by_chain.admits(t, server, _nearest(t, one.ca, ledger)):
        return False
    looks = server.check_revocation is not RevocationCheck.NONE
    return not (looks and (one.ca, one.serial) in ledger.revoked)


def _nearest(t: Topology, ca: str, ledger: Ledger) -> str:
    """The CA, or the first above it that is still in the topology."""
    seen: set[str] = set()
    while ca not in t.cas and ca not in seen:
        seen.add(ca)
        above = (one.ca for one in ledger.issued.values() if one.address.entity == Address.ca(ca))
        ca = next(above, ca)
    return ca


def _error(t: Topology, server: Server, one: Issued) -> TopologyError:
    former = one.address.entity
    looks = server.check_revocation is not RevocationCheck.NONE
    also = "" if looks else f", and `check_revocation: crl` on {server.address}"
    who, why, which = str(former), "which was removed from the topology", f"{former} --no-replace"
    if one.of_predecessor:
        who, which = f"the former {former}", f"--serial {one.serial}"
    elif any(party.address == former for party in graph.parties(t)):
        why, which = "which does not call it any more", f"--serial {one.serial}"
    return TopologyError(
        f"{server.address} would still let in {who}, {why}: it decides by the chain alone, and a certificate of it is "
        f"valid until {one.not_after:%Y-%m-%d %H:%M} UTC",
        place=t.place("servers", server.name),
        hint=f"`scaffold revoke {which} --reason cessationOfOperation`{also}",
    )
