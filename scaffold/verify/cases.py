"""Everything that is to be probed, and what the topology says of each: from the topology and the kinds alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from scaffold.kinds import namesakes
from scaffold.kinds.catalogue import Kind
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.model import Client, Party, RevocationCheck, Server, Topology
from scaffold.verify import revocation_scenarios
from scaffold.verify.judge import Finding
from scaffold.verify.model import Check, Expected, Layer, Observed, Probe, Result, Unstarted

ANYONE = "anyone"
"""Stands in the report for a caller without a name of the topology."""

FALSE_SERVERS = (
    Probe.FALSE_NAME,
    Probe.FALSE_COMMON_NAME,
    Probe.FALSE_LONE_COMMON_NAME,
    Probe.FALSE_EXPIRED,
    Probe.FALSE_ROOT,
    Probe.FALSE_EKU,
)

TAKING_COMMON_NAMES: Final[Mapping[Probe, frozenset[str]]] = {
    Probe.FALSE_COMMON_NAME: frozenset({namesakes.ALWAYS}),
    Probe.FALSE_LONE_COMMON_NAME: frozenset({namesakes.ALWAYS, namesakes.WITHOUT_OTHERS}),
}
"""What a template declares of callers that believe the false server of a probe."""

_IN_ITS_PLACE = frozenset(
    {
        Probe.TRUE_SERVER,
        *FALSE_SERVERS,
        Probe.FALSE_REVOKED,
        Probe.SERVER_NO_STAPLE,
        *revocation_scenarios.OF_CALLEES.values(),
    }
)

_ROGUES = (
    Probe.FOREIGN_CA,
    Probe.SIBLING_CA,
    Probe.SAME_NAME_CA,
    Probe.SELF_SIGNED,
    Probe.EXPIRED,
    Probe.NOT_YET_VALID,
    Probe.SERVER_CERTIFICATE,
    Probe.NO_EKU,
    Probe.ISSUED_BY_LEAF,
    Probe.OLD_TLS,
    Probe.REVOKED,
)
"""The probes of which each server must refuse every one that applies to it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to be probed: `caller` is the party whose identity is used (None: nobody's), at `server`."""

    server: Server
    caller: Party | None
    probe: Probe
    expected: Expected
    why: str = ""
    """Why a call that is allowed is to be refused, or a false server to be believed."""

    def concluded(self, finding: Finding) -> Check:
        """The verdict: what was expected passes, and nothing else does."""
        result = Result.PASSED if finding.observed.value == self.expected.value else Result.FAILED
        detail = ": ".join(filter(None, (self.why, finding.detail)))
        return self._check(finding.observed, detail, finding.layer, result)

    def unreached(self, unstarted: Unstarted) -> Check:
        """The verdict where a server that it needs did not start: what cannot be shown is not proved."""
        head, *lines = (line.strip() for line in unstarted.said.splitlines())
        said = " ".join([head, " | ".join(lines)]).strip()
        check = self._check(Observed.UNREACHABLE, said, Layer.TCP, Result.FAILED)
        return replace(check, unstarted=unstarted)

    def skipped(self, reason: str) -> Check:
        """The verdict where it was not tried."""
        return self._check(Observed.NOTHING, reason, None, Result.SKIPPED)

    def _check(self, observed: Observed, detail: str, layer: Layer | str | None, result: Result) -> Check:
        caller = self.caller.name if self.caller else ANYONE
        return Check(self.server.name, caller, self.probe, self.expected, observed, detail, layer, result, self.why)


Withdrawn = frozenset[Address]
"""Addresses of certificates (`client.teller.certificate`) that are in `tls/` and are revoked."""


def cases(
    t: Topology, kinds: Mapping[Address, Kind], only: Address | None = None, withdrawn: Withdrawn = frozenset()
) -> tuple[Case, ...]:
    """All cases in the report's order: by server, first who gets in, then who does not, then who takes its place.

    `only` is the address of a server or client, and leaves the cases in which it takes part.
    """
    return tuple(
        case
        for server in t.servers.values()
        for case in _at(t, server, kinds, withdrawn)
        if only is None or only in (case.server.address, case.caller.address if case.caller else None)
    )


def _at(t: Topology, server: Server, kinds: Mapping[Address, Kind], withdrawn: Withdrawn) -> Iterator[Case]:
    yield from _who_gets_in(t, server, kinds, withdrawn)
    yield from _who_does_not(t, server, kinds[server.address])
    yield from _who_stands_in_its_place(t, server, kinds)


def _who_gets_in(t: Topology, server: Server, kinds: Mapping[Address, Kind], withdrawn: Withdrawn) -> Iterator[Case]:
    for caller in graph.callers(t, server.name):
        why = _refused_because(t, caller, server, kinds, withdrawn)
        yield Case(server, caller, Probe.EDGE, Expected.REFUSED if why else Expected.ALLOWED, why)
    for imitated in tuple(imitations(t, server)) or (None,):
        yield Case(server, imitated, Probe.CONTROL, Expected.ALLOWED)
    for caller in _forgers(t, server) if _speaks_http(kinds[server.address]) else ():
        yield Case(server, caller, Probe.FORGED_HEADERS, Expected.ALLOWED)
    if server.staple and not server.fault and server.address.with_part(Part.CERTIFICATE) not in withdrawn:
        yield Case(server, None, Probe.STAPLE, Expected.ALLOWED)
    if server.health is not None:
        yield Case(server, None, Probe.HEALTH, Expected.ALLOWED)


def _who_does_not(t: Topology, server: Server, kind: Kind) -> Iterator[Case]:
    allowed = graph.callers(t, server.name)
    yield Case(server, None, Probe.NO_CERTIFICATE, Expected.REFUSED)
    for party in graph.parties(t):
        if has_client_certificate(party) and party not in allowed:
            yield Case(server, party, Probe.NOT_ALLOWED, Expected.REFUSED)
    for caller in imitations(t, server):
        if not _speaks_http(kind):
            yield Case(server, caller, Probe.OTHER_SUBJECT, Expected.REFUSED)
        for probe in _ROGUES:
            if _applies(t, probe, server, caller, kind):
                yield Case(server, caller, probe, Expected.REFUSED)
        for scenario, expected in revocation_scenarios.concerning(t, server, kind, caller.calling_issuer).items():
            yield Case(server, caller, revocation_scenarios.OF_CALLERS[scenario], expected)


def _speaks_http(kind: Kind) -> bool:
    """Where the certificate alone says who calls, and headers may say so falsely."""
    return kind.conversation is None


def _who_stands_in_its_place(t: Topology, server: Server, kinds: Mapping[Address, Kind]) -> Iterator[Case]:
    for caller in graph.callers(t, server.name):
        if not is_external(caller):
            yield Case(server, caller, Probe.TRUE_SERVER, Expected.ALLOWED)
            yield from (
                _false_server(server, caller, probe, kinds[caller.address])
                for probe in FALSE_SERVERS
                if probe not in TAKING_COMMON_NAMES or server is _first_callee(t, caller)
            )
            if server.issued_here and caller.check_revocation is not RevocationCheck.NONE:
                yield Case(server, caller, Probe.FALSE_REVOKED, Expected.REFUSED)
        if isinstance(caller, Client) and not is_external(caller):
            yield from _who_is_looked_up(t, server, caller, kinds[caller.address])


def _first_callee(t: Topology, caller: Party) -> Server | None:
    """Where it is tried whether a caller takes common names: it is the same program that calls all the others."""
    return next((t.servers[name] for name in caller.calls if t.servers[name].issued_here), None)


def _false_server(server: Server, caller: Party, probe: Probe, kind: Kind) -> Case:
    """A caller must refuse it, unless its template declares that it takes such a common name for a host's name."""
    if kind.capabilities.supports.isdisjoint(TAKING_COMMON_NAMES.get(probe, ())):
        return Case(server, caller, probe, Expected.REFUSED)
    why = f'template "{kind.name}" accepts common names as host names, so plan refuses a second server with this one'
    return Case(server, caller, probe, Expected.ALLOWED, why)


def _who_is_looked_up(t: Topology, server: Server, caller: Client, kind: Kind) -> Iterator[Case]:
    """The same where a client checks revocation, in each scenario. To a server its callers are shown in each."""
    if revocation_scenarios.demands_staple(caller, kind, server):
        yield Case(server, caller, Probe.SERVER_NO_STAPLE, Expected.REFUSED)
    if not server.issued_here:
        return  # plan refuses those who would look its certificate up
    for scenario, expected in revocation_scenarios.concerning(t, caller, kind, server.issuer).items():
        yield Case(server, caller, revocation_scenarios.OF_CALLEES[scenario], expected)


def imitations(t: Topology, server: Server) -> Iterator[Party]:
    """One allowed caller for each CA that issues to callers: whose identity the rogues of that CA have.

    One whose own certificate is sound is preferred, and a client to a gateway, whose word on others is believed.
    """
    by_issuer: dict[str, list[Party]] = {}
    for caller in graph.callers(t, server.name):
        by_issuer.setdefault(caller.calling_issuer, []).append(caller)
    for callers in by_issuer.values():
        yield min(callers, key=lambda caller: (is_external(caller), is_faulty(caller), is_gateway_of(caller, server)))


def _forgers(t: Topology, server: Server) -> Iterator[Party]:
    """Whoever is imitated, and where all of these have roles, or none, one more who has none, or some.

    A server that says the roles of those who have any may leave to the others what they claim to be.
    """
    imitated = tuple(imitations(t, server))
    yield from imitated
    seen = {server.name in caller.roles for caller in imitated}
    for caller in graph.callers(t, server.name):
        has_roles = server.name in caller.roles
        if has_roles not in seen and not is_external(caller) and not is_gateway_of(caller, server):
            seen.add(has_roles)
            yield caller


def is_external(party: Party) -> bool:
    return isinstance(party, Client) and party.external is not None


def has_key_here(party: Party) -> bool:
    """Whether the key of the certificate with which it calls is here: over a request none of its own is."""
    return not is_external(party) and (party.csr is None or party.has_second)


def is_faulty(party: Party) -> bool:
    """Whether the certificate with which it calls is broken on purpose; a server's second certificate never is."""
    return isinstance(party, Client) and party.fault is not None


def is_gateway_of(party: Party, server: Server) -> bool:
    """Whether the server believes what this caller says of others."""
    return isinstance(party, Server) and party.upstream == server.name


def has_client_certificate(party: Party) -> bool:
    return graph.has_client_leaf(party)


def is_in_its_place(probe: Probe) -> bool:
    """Whether a probe puts somebody else where a caller looks for the server."""
    return probe in _IN_ITS_PLACE


def checker_of(case: Case) -> Party:
    """Who looks at the other's certificate: the server, or the client where somebody takes the server's place."""
    return case.caller if is_in_its_place(case.probe) and case.caller is not None else case.server


def behind(t: Topology, server: Server) -> Iterator[Server]:
    """The servers behind a gateway, from its upstream on; none behind any other server."""
    while server.upstream is not None:
        server = t.servers[server.upstream]
        yield server


def blind_to_issuers(case: Case, kind: Kind) -> str | None:
    """Why a sibling CA is not shown to a server of `kind`; None where it must be."""
    if case.probe is Probe.SIBLING_CA and kind.capabilities.sees_issuer_by == "none":
        return f"{case.server.address} sees no issuer: the plan holds its trusted root to one CA that issues leaves"
    return None


def without_control(case: Case) -> str | None:
    """Why a control is not tried, where nobody can be it; None for any other case."""
    return nobody_may_call(case.server) if case.probe is Probe.CONTROL and case.caller is None else None


def nobody_may_call(server: Server) -> str:
    """What is not proved of a server without callers: its refusals are seen, and that it has a choice is not."""
    return (
        f"nobody may call {server.address}: no control shows that it lets anybody in, and there is no caller whose "
        "certificate could be forged"
    )


def looks_up_callees(caller: Party, kind: Kind) -> bool:
    """Whether it refuses a revoked server."""
    return kind.capabilities.check_of_callees(caller) is not RevocationCheck.NONE


def withdrawn_sides(
    caller: Party, server: Server, kinds: Mapping[Address, Kind], withdrawn: Withdrawn
) -> tuple[bool, bool]:
    """Whether the caller's certificate, and the server's, is revoked and the other side looks that up."""
    own = Part.CLIENT_CERTIFICATE if caller.has_second else Part.CERTIFICATE
    by_server = server.check_revocation is not RevocationCheck.NONE
    by_caller = not is_external(caller) and looks_up_callees(caller, kinds[caller.address])
    return (
        by_server and caller.address.with_part(own) in withdrawn,
        by_caller and server.address.with_part(Part.CERTIFICATE) in withdrawn,
    )


def _refused_because(
    t: Topology, caller: Party, server: Server, kinds: Mapping[Address, Kind], withdrawn: Withdrawn
) -> str:
    """Why a call that is allowed is refused; empty where it is not.

    A fault of either end, or of a server further behind, turns an allowed call into a refused one. So does a revocation
    that the other side looks up.
    """
    by_server, by_caller = withdrawn_sides(caller, server, kinds, withdrawn)
    if by_server:
        return "its own certificate is revoked"
    if by_caller:
        return "the certificate of the server is revoked"
    if is_faulty(caller) or server.fault:
        return "broken on purpose"
    links = zip((server, *behind(t, server)), behind(t, server), strict=False)
    if any(any(withdrawn_sides(nearer, farther, kinds, withdrawn)) for nearer, farther in links):
        return "the certificate of a server behind it is revoked"
    return "a server behind it is broken on purpose" if any(one.fault for one in behind(t, server)) else ""


def _applies(t: Topology, probe: Probe, server: Server, caller: Party, kind: Kind) -> bool:
    match probe:
        case Probe.SAME_NAME_CA:
            return any(graph.root_of(t, name) is not graph.root_of(t, caller.calling_issuer) for name in t.cas)
        case Probe.REVOKED:
            return server.check_revocation is not RevocationCheck.NONE
        case Probe.NO_EKU:
            # OpenSSL takes a certificate without any purpose for one of every purpose (RFC 5280 4.2.1.12 allows it).
            return "demands_eku" in kind.capabilities.supports
        case _:
            return True
