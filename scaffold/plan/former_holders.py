"""Whether a server that sees names alone would take a certificate from before for somebody else's.

Who leaves the topology keeps a certificate that is valid for a while. Where another server or client takes over its
issuer and subject, a server that tells callers apart by these lets the old certificate in as the new caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from scaffold.errors import TopologyError
from scaffold.kinds.catalogue import Kind
from scaffold.pki import profiles
from scaffold.pki.names import rfc2253
from scaffold.plan.authorities import Generation
from scaffold.plan.desired import Desired, IssuedCertificate
from scaffold.store.ledger import Issued, Ledger
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.model import RevocationCheck, Server, Topology

_BySubject = Mapping[str, list[Issued]]


def check(
    desired: Desired,
    kinds: Mapping[Address, Kind],
    generations: Mapping[Address, Generation],
    ledger: Ledger,
    now: datetime,
) -> None:
    """Raises TopologyError where a certificate that is still valid would pass for a caller's.

    `generations` are the CAs as they will be: a server sees the name of an issuer, and not what the topology calls it.
    """
    t = desired.topology
    by_name = [server for server in t.servers.values() if _knows_names_alone(kinds[server.address])]
    if not by_name:
        return
    callers = {one.party.address: one.client_side or one.own for one in desired.parties}
    alive = _alive(ledger, now)
    names = _names(generations.values())
    for server in by_name:
        sees_issuer = kinds[server.address].capabilities.sees_issuer_by != "none"
        for party in graph.callers(t, server.name):
            if isinstance(asked := callers.get(party.address), IssuedCertificate):
                rivals = [
                    one
                    for one in alive.get(rfc2253(profiles.subject_name(asked.profile.subject)), ())
                    if one.ca == asked.issuer
                    or one.issuer in names[asked.issuer]
                    or not (sees_issuer or _is_elsewhere(t, one.ca, asked.issuer))
                ]
                _check_caller(desired, server, party.address, rivals, ledger)


def _knows_names_alone(kind: Kind) -> bool:
    return kind.capabilities.sees_issuer_by != "key" and not kind.capabilities.decides_by_chain


def _names(generations: Iterable[Generation]) -> Mapping[str, set[str]]:
    """The subjects of each CA."""
    found: dict[str, set[str]] = {}
    for one in generations:
        found.setdefault(one.ca, set()).add(rfc2253(one.subject))
    return found


def _is_elsewhere(t: Topology, ca: str, issuer: str) -> bool:
    """Whether a CA is under another root than `issuer`. Of one that left the topology that is not known."""
    return ca in t.cas and graph.root_of(t, ca) is not graph.root_of(t, issuer)


def _alive(ledger: Ledger, now: datetime) -> _BySubject:
    """What was issued and has not ended, by subject."""
    found: dict[str, list[Issued]] = {}
    for one in ledger.issued.values():
        if one.not_after > now:
            found.setdefault(one.subject, []).append(one)
    return found


def _check_caller(desired: Desired, server: Server, caller: Address, rivals: Iterable[Issued], ledger: Ledger) -> None:
    """`rivals` are the certificates that the server cannot tell from the caller's."""
    checks = server.check_revocation is not RevocationCheck.NONE
    for issued in rivals:
        is_own = issued.address.entity == caller
        if is_own or (checks and (issued.ca, issued.serial) in ledger.revoked):
            continue
        former = issued.address.entity
        raise TopologyError(
            f"{server.address} sees names alone, and would take {former} for {caller}: both have certificates for "
            f"{issued.subject}, and that of {former} is valid until {issued.not_after:%Y-%m-%d %H:%M} UTC",
            place=desired.topology.place(caller.role.section, caller.name, "subject"),
            hint=f"give {caller} another common_name; or `scaffold revoke {former} --no-replace`, and check_revocation "
            f"on {server.address}",
        )
