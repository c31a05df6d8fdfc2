"""What the language knows and this version does not do yet: one function a feature, deleted when the feature lands.

Nothing asked for is ever silently left out, so each is refused where it stands.
"""

from __future__ import annotations

from scaffold.errors import NotAvailableYet
from scaffold.topology import graph
from scaffold.topology.model import OnUnavailable, Party, RevocationCheck, Topology


def check(t: Topology) -> None:
    """Raises `NotAvailableYet` for the first thing that is."""
    for party in graph.parties(t):
        _no_ocsp_of_peers(t, party)
        _no_soft_failure(t, party)
    for server in t.servers.values():
        _no_stapling(t, server.name, "staple", asked=server.staple)
        _no_stapling(t, server.name, "must_staple", asked=server.must_staple)
    for client in t.clients.values():
        _no_check_by_clients(t, client.name, client.check_revocation)


def _refuse(t: Topology, kind: str, name: str, field: str, what: str, hint: str) -> NotAvailableYet:
    place = t.places.get((kind, name, field)) or t.place("defaults", field) or t.place(kind, name)
    return NotAvailableYet(f"{what} is not available yet", place=place, hint=hint)


def _kind(t: Topology, party: Party) -> str:
    return party.address.partition(".")[0] + "s"


def _no_ocsp_of_peers(t: Topology, party: Party) -> None:
    if party.check_revocation is RevocationCheck.OCSP:
        what, hint = "check_revocation: ocsp", "servers can check_revocation: crl"
        raise _refuse(t, _kind(t, party), party.name, "check_revocation", what, hint)


def _no_soft_failure(t: Topology, party: Party) -> None:
    if party.on_unavailable is OnUnavailable.ALLOW:
        what, hint = "on_unavailable: allow", "leave it out: who cannot be checked is refused"
        raise _refuse(t, _kind(t, party), party.name, "on_unavailable", what, hint)


def _no_stapling(t: Topology, name: str, field: str, *, asked: bool) -> None:
    if asked:
        raise _refuse(t, "servers", name, field, f"{field}: true", "leave it out")


def _no_check_by_clients(t: Topology, name: str, asked: RevocationCheck) -> None:
    if asked is not RevocationCheck.NONE:
        what, hint = "check_revocation of clients", "servers can check_revocation: crl; give it to each of them"
        raise _refuse(t, "clients", name, "check_revocation", what, hint)
