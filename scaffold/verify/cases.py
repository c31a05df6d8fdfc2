"""Everything that is to be probed, and what the topology says of each: from the topology and the kinds alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scaffold.kinds.catalogue import Kind
from scaffold.topology import graph
from scaffold.topology.model import Client, Party, RevocationCheck, Server, Topology
from scaffold.verify.judge import Finding
from scaffold.verify.model import Check, Expected, Layer, Observed, Probe, Result

ANYONE = "anyone"
"""Stands in the report for a caller without a name of the topology."""

FALSE_SERVERS = (Probe.FALSE_NAME, Probe.FALSE_EXPIRED, Probe.FALSE_ROOT, Probe.FALSE_EKU)

_ROGUES = (
    Probe.FOREIGN_CA,
    Probe.SIBLING_CA,
    Probe.NAMESAKE_CA,
    Probe.SELF_SIGNED,
    Probe.EXPIRED,
    Probe.NOT_YET_VALID,
    Probe.SERVER_CERTIFICATE,
    Probe.NO_EKU,
    Probe.ISSUED_BY_LEAF,
    Probe.OLD_TLS,
)
"""The probes of which each server must refuse every one. Revocation's will stand here: a revoked leaf, a revoked CA."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to be probed: `caller` is the party whose identity is used (None: nobody's), at `server`."""

    server: Server
    caller: Party | None
    probe: Probe
    expected: Expected

    def concluded(self, finding: Finding) -> Check:
        """The verdict: what was expected passes, and nothing else does."""
        right = finding.observed.value == self.expected.value
        return self._check(finding.observed, finding.detail, finding.layer, Result.PASSED if right else Result.FAILED)

    def skipped(self, reason: str) -> Check:
        """The verdict where it was not tried."""
        return self._check(Observed.NOTHING, reason, None, Result.SKIPPED)

    def _check(self, observed: Observed, detail: str, layer: Layer | None, result: Result) -> Check:
        caller = self.caller.name if self.caller else ANYONE
        return Check(self.server.name, caller, self.probe, self.expected, observed, detail, layer, result)


def cases(t: Topology, kinds: Mapping[str, Kind], only: str | None = None) -> tuple[Case, ...]:
    """All cases in the report's order: by server, first who gets in, then who does not, then who stands in its place.

    `only` is the address of a server or client, and leaves the cases in which it takes part.
    """
    return tuple(
        case
        for server in t.servers.values()
        for case in _at(t, server, kinds[server.address])
        if only is None or only in (case.server.address, case.caller.address if case.caller else None)
    )


def _at(t: Topology, server: Server, kind: Kind) -> Iterator[Case]:
    yield from _who_gets_in(t, server)
    yield from _who_does_not(t, server, kind)
    yield from _who_stands_in_its_place(t, server)


def _who_gets_in(t: Topology, server: Server) -> Iterator[Case]:
    for caller in graph.callers(t, server.name):
        yield Case(server, caller, Probe.EDGE, _of_edge(t, caller, server))
    for probe in (Probe.HONEST_TWIN, Probe.FORGED_HEADERS):
        yield from (Case(server, caller, probe, Expected.ALLOWED) for caller in imitations(t, server))
    if server.health is not None:
        yield Case(server, None, Probe.HEALTH, Expected.ALLOWED)


def _who_does_not(t: Topology, server: Server, kind: Kind) -> Iterator[Case]:
    drawn = graph.callers(t, server.name)
    yield Case(server, None, Probe.NO_CERTIFICATE, Expected.REFUSED)
    for party in graph.parties(t):
        if has_client_certificate(party) and party not in drawn:
            yield Case(server, party, Probe.UNDRAWN, Expected.REFUSED)
    for caller in imitations(t, server):
        for probe in _ROGUES:
            if _applies(t, probe, caller, kind):
                yield Case(server, caller, probe, Expected.REFUSED)


def _who_stands_in_its_place(t: Topology, server: Server) -> Iterator[Case]:
    for caller in graph.callers(t, server.name):
        if not is_external(caller):
            yield Case(server, caller, Probe.TRUE_SERVER, Expected.ALLOWED)
            yield from (Case(server, caller, probe, Expected.REFUSED) for probe in FALSE_SERVERS)


def imitations(t: Topology, server: Server) -> Iterator[Party]:
    """One drawn caller for each CA that issues to callers: whose identity the rogues of that CA bear.

    One whose own certificate is sound is preferred, and a client to a gateway, whose word on others is believed.
    """
    by_issuer: dict[str, list[Party]] = {}
    for caller in graph.callers(t, server.name):
        by_issuer.setdefault(caller.issuer, []).append(caller)
    for callers in by_issuer.values():
        yield min(callers, key=lambda caller: (is_external(caller), is_faulty(caller), is_gateway_of(caller, server)))


def is_external(party: Party) -> bool:
    return isinstance(party, Client) and party.external is not None


def is_faulty(party: Party) -> bool:
    """Whether the certificate with which it calls is broken on purpose; a server's second certificate never is."""
    return isinstance(party, Client) and party.fault is not None


def is_gateway_of(party: Party, server: Server) -> bool:
    """Whether the server believes what this caller says of others."""
    return isinstance(party, Server) and party.upstream == server.name


def has_client_certificate(party: Party) -> bool:
    return isinstance(party, Client) or bool(party.calls)


def needs_crl(case: Case) -> bool:
    """Whether the rogue's CA needs a CRL of its own, so that its being unknown is not what it is refused for."""
    checked = case.server.check_revocation is RevocationCheck.CRL
    return checked and case.probe in (Probe.SIBLING_CA, Probe.NAMESAKE_CA)


def behind(t: Topology, server: Server) -> Iterator[Server]:
    """The servers behind a gateway, from its upstream on; none behind any other server."""
    while server.upstream is not None:
        server = t.servers[server.upstream]
        yield server


def _of_edge(t: Topology, caller: Party, server: Server) -> Expected:
    """A fault of either end, or of a server further behind, turns a drawn call into a refused one."""
    broken = is_faulty(caller) or any(one.fault for one in (server, *behind(t, server)))
    return Expected.REFUSED if broken else Expected.ALLOWED


def _applies(t: Topology, probe: Probe, caller: Party, kind: Kind) -> bool:
    match probe:
        case Probe.NAMESAKE_CA:
            return any(graph.root_of(t, name) is not graph.root_of(t, caller.issuer) for name in t.cas)
        case Probe.NO_EKU:
            # OpenSSL takes a certificate without any purpose for one of every purpose (RFC 5280 4.2.1.12 allows it).
            return "demands_eku" in kind.capabilities.supports
        case _:
            return True
