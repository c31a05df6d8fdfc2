"""How each case is tried: which certificate, at which place, and what the outcome is read as."""

from __future__ import annotations

import contextlib
import functools
import itertools
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

from scaffold.errors import PkiError, VerifyError
from scaffold.kinds.catalogue import Kind
from scaffold.pki import bundles, profiles
from scaffold.pki.names import rfc2253
from scaffold.pki.profiles import CertificateProfile
from scaffold.running.clients import Clients, Ran
from scaffold.store.layout import Layout, party_paths
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.generations import FIRST
from scaffold.topology.model import Client, IdentityForm, Party, SanType, Server, TlsProfile, Topology
from scaffold.topology.names import form_of
from scaffold.verify import http, judge, revocation_scenarios, stapling, tls
from scaffold.verify.cases import (
    Case,
    Withdrawn,
    behind,
    checker_of,
    has_key_here,
    is_external,
    is_faulty,
    is_gateway_of,
    is_in_its_place,
    withdrawn_sides,
)
from scaffold.verify.conversation import protocol_of
from scaffold.verify.credentials import Credentials, shown_by
from scaffold.verify.forwarded import Shown, Told, forged
from scaffold.verify.http import CALLER
from scaffold.verify.impostor import HttpRole, Impostor, Role, SilentRole, Visits
from scaffold.verify.judge import Finding, Name, Welcome
from scaffold.verify.model import Expected, Observed, Probe
from scaffold.verify.protocol import Admitted, Failed, Outcome, ServerProtocol, Target
from scaffold.verify.revocation_scenarios import RevocationScenario
from scaffold.verify.rogues import Authorities, Forge, NotAtHand, make, make_by_all_cas
from scaffold.verify.running_topology import RunningTopology, project_folder
from scaffold.verify.stand_in import Fronting
from scaffold.verify.tls import CannotOffer

BELOW: Final = {TlsProfile.MODERN: ssl.TLSVersion.TLSv1_2, TlsProfile.INTERMEDIATE: ssl.TLSVersion.TLSv1_1}
"""The newest protocol that a profile no longer speaks."""

FORGED: Final[Mapping[str, str]] = {
    name: f"CN=forged-{number}"
    for number, name in enumerate(
        (
            "X-Client-Subject",
            "X-Client-Issuer",
            "X-Forwarded-Client-Cert",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-SSL-Client-Cert",
            "X-SSL-Client-S-DN",
            "X-SSL-Client-I-DN",
            "X-SSL-Client-Verify",
            "X_Client_Subject",
        )
    )
} | {"X-Client-Roles": "forged-role-1,forged-role-2", "X_Client_Roles": "forged-role-3"}
"""The headers by which proxies say who called (RFC 9440, and their own customs), each with its own value. With `_` they
are spelled as CGI and WSGI cannot tell them from the others."""


NO_SNI: Final = "127.0.0.1"
"""For a name: TLS says none of an address (RFC 6066 3), and HTTP says this one."""


class Untried(Exception):
    """A case that cannot be tried here; the message says why, as the reason of the skip."""


class ProbeRunner:
    """Tries the cases of one verification. Called from several threads; when its block ends, so do its clients."""

    def __init__(
        self,
        t: Topology,
        kinds: Mapping[Address, Kind],
        layout: Layout,
        authorities: Authorities,
        running: RunningTopology,
        withdrawn: Withdrawn,
        never_run: Collection[Address] = frozenset(),
    ) -> None:
        """`never_run` are clients that cannot be run, and whose certificates are shown for them."""
        self._t = t
        self._kinds = kinds
        self._withdrawn = withdrawn
        self._never_run = never_run
        self._layout = layout
        self._authorities = authorities
        self._running = running
        self._clients = Clients()
        self._protocols = {name: self._protocol_of(server) for name, server in t.servers.items()}

    def _protocol_of(self, server: Server) -> ServerProtocol:
        app = self._running.app_behind(server)
        return Fronting(app) if app is not None else protocol_of(self._kinds[server.address], self._clients)

    def __enter__(self) -> ProbeRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clients.stop()

    def __call__(self, case: Case) -> Finding:
        """What is seen of it. Raises Untried."""
        try:
            finding = self._try(case)
        except (NotAtHand, CannotOffer) as error:
            raise Untried(str(error)) from error
        if finding.observed is Observed.REFUSED and self._asks_the_app(case):
            return replace(finding, detail=f"{finding.detail}; nothing reached its app")
        return finding

    def _asks_the_app(self, case: Case) -> bool:
        """Whether whoever is refused has tried to reach the app behind a front as well: not where a client was run."""
        by_itself = case.probe is Probe.EDGE or is_in_its_place(case.probe)
        return not by_itself and self._running.app_behind(case.server) is not None

    def _try(self, case: Case) -> Finding:
        match case.probe:
            case Probe.EDGE:
                return self._edge(case)
            case Probe.CONTROL:
                return self._twin(case)
            case Probe.FORGED_HEADERS:
                return self._forged_headers(case)
            case Probe.HEALTH:
                return self._health(case)
            case Probe.NO_CERTIFICATE:
                return self._by_any_name(case)
            case Probe.NOT_ALLOWED | Probe.OTHER_SUBJECT:
                return self._by_any_claim(case, self._target(case))
            case Probe.OLD_TLS:
                return self._old_protocol(case)
            case Probe.STAPLE:
                return self._staple(case)
            case _ if is_in_its_place(case.probe):
                return self._in_its_place(case)
            case _:
                return self._rogue_is_shown(case)

    def _target(self, case: Case) -> Target:
        return self._running.target(case.server)

    def _protocol(self, case: Case) -> ServerProtocol:
        return self._protocols[case.server.name]

    def _call(self, case: Case, target: Target, shown: Credentials | None) -> Outcome:
        """A caller that says, where the protocol has it say anything, that it is whose certificate it imitates."""
        claimed = case.caller.name if case.caller is not None else ""
        return self._protocol(case).call(target, shown, claimed=claimed)

    def _by_any_name(self, case: Case) -> Finding:
        """Whatever the server is asked for as: one server block may demand less of callers than another."""
        target = self._target(case)
        finding = self._by_any_claim(case, target)
        for name in _further_names(case.server, target.server_name):
            if finding.observed is not Observed.REFUSED:
                return finding
            other = self._by_any_claim(case, replace(target, server_name=name))
            if other.observed is not Observed.REFUSED:
                asked = "without a name" if name == NO_SNI else f"as {name}"
                return replace(other, detail=f"asked for {asked}: {other.detail}")
        return finding

    def _by_any_claim(self, case: Case, target: Target) -> Finding:
        """The same certificate, whoever the caller says it is: itself, and each of those who may call."""
        shown = self._shown_by_a_stranger(case)
        own = [case.caller.name] if case.caller is not None else []
        protocol = self._protocol(case)
        callers = (caller.name for caller in graph.callers(self._t, case.server.name)) if protocol.claims else ()
        claims = tuple(dict.fromkeys([*own, *callers])) or ("nobody",)
        return _first_astray(case, (judge.admission(protocol.call(target, shown, claimed=one)) for one in claims))

    def _copy(self, case: Case) -> RevocationScenario | None:
        checker = checker_of(case)
        return revocation_scenarios.needs_copy(self._t, checker, self._kinds[checker.address], case.probe)

    def _shown_by_a_stranger(self, case: Case) -> Credentials | None:
        if case.caller is None:
            return None
        return self._real(case.caller) if case.probe is Probe.NOT_ALLOWED else self._rogue(case)

    # --- Drawn calls ---------------------------------------------------------------------------------------------

    def _edge(self, case: Case) -> Finding:
        caller = _caller(case)
        if is_external(caller):
            raise Untried(f"{caller.address} is external: neither its certificate nor its project is here")
        if isinstance(caller, Server):
            return self._edge_of_server(case, caller)
        if caller.address in self._never_run:
            return self._edge_by_certificate(case, caller)
        protocol = self._protocol(case)
        ran = self._run_client(caller, case.server, protocol.url(self._target(case).address))
        if case.expected is Expected.ALLOWED:
            welcome = self._welcome(case.server, caller)
            finding = judge.client_run(protocol, ran.status, ran.output, ran.complaint, welcome)
            return self._with_app(case, finding)
        return self._edge_is_refused(case, caller, ran)

    def _edge_by_certificate(self, case: Case, caller: Client) -> Finding:
        """For a program that nobody here can run; whom that trusts is its own."""
        by_server, by_caller = withdrawn_sides(caller, case.server, self._kinds, self._withdrawn)
        if case.server.fault or by_caller:
            raise Untried(f"{caller.address} is your own program, which must refuse {case.server.address} itself")
        outcome = self._call(case, self._target(case), self._real(caller))
        if case.expected is Expected.REFUSED and not (is_faulty(caller) or by_server):
            return self._behind_refuses(outcome)
        finding = judge.admission(outcome, self._welcome(case.server, caller))
        return replace(finding, detail=f"{finding.detail} (its certificate was shown for it)")

    def _edge_is_refused(self, case: Case, caller: Client, ran: Ran) -> Finding:
        """By the side that must, and by that alone."""
        protocol = self._protocol(case)
        caller_revoked, server_revoked = withdrawn_sides(caller, case.server, self._kinds, self._withdrawn)
        sides = {judge.REFUSED} if is_faulty(caller) or caller_revoked else set()
        sides |= {judge.CANNOT_TRUST} if case.server.fault or server_revoked else set()
        if not sides:
            return self._behind_refuses(self._call(case, self._target(case), self._real(caller)))
        if self._running.app_behind(case.server) is not None and judge.REFUSED in sides:
            by_itself = judge.admission(self._call(case, self._target(case), self._real(caller)))
            if by_itself.observed is not Observed.REFUSED:
                return by_itself
        return judge.declared_refusal(protocol, ran.status, ran.output, ran.complaint, sides)

    def _edge_of_server(self, case: Case, caller: Server) -> Finding:
        path = f"/call/{case.server.name}"
        outcome = http.meaning(http.call(self._running.target(caller), self._asker(caller), path))
        if case.expected is Expected.REFUSED:
            return self._behind_refuses(outcome)
        return self._with_app(case, judge.admission(outcome, self._welcome(case.server, caller)))

    def _with_app(self, case: Case, finding: Finding) -> Finding:
        """The same caller asks the app behind a front: its own program asks no more than who it is."""
        if finding.observed is not Observed.ALLOWED or self._running.app_behind(case.server) is None:
            return finding
        caller = _caller(case)
        outcome = self._call(case, self._target(case), self._real(caller))
        return judge.admission(outcome, self._welcome(case.server, caller))

    def _behind_refuses(self, outcome: Outcome) -> Finding:
        """A server that was asked to call a faulty one fails: it could not trust it."""
        finding = judge.admission(outcome)
        match outcome:
            case Failed(beyond=True):
                return replace(finding, observed=Observed.REFUSED)
            case _:
                mistaken = finding.observed is Observed.REFUSED
                return replace(finding, observed=Observed.BROKEN) if mistaken else finding

    def _twin(self, case: Case) -> Finding:
        shown = self._imitating(_caller(case), case.server, case.probe)
        return _first_astray(case, (self._twin_is_shown(case, each) for each in shown))

    def _twin_is_shown(self, case: Case, shown: Credentials) -> Finding:
        outcome = self._call(case, self._target(case), shown)
        finding = judge.admission(outcome, self._welcome(case.server, _caller(case), shown))
        let_in = isinstance(outcome, Failed) and outcome.beyond
        faulty = any(one.fault for one in behind(self._t, case.server))
        return replace(finding, observed=Observed.ALLOWED) if let_in and faulty else finding

    def _forged_headers(self, case: Case) -> Finding:
        caller = _caller(case)
        if is_gateway_of(caller, case.server):
            raise Untried(f"only {caller.address} calls it, and may name other callers")
        if any(one.fault for one in behind(self._t, case.server)):
            raise Untried("a server behind it is broken on purpose, so the headers that reach it are not known")
        shown = self._rogue(case, Probe.CONTROL)
        outcome = http.meaning(http.call(self._target(case), shown, headers=FORGED.items()))
        finding = judge.admission(outcome, self._welcome(case.server, caller, shown))
        believed = [
            value for value in FORGED.values() if isinstance(outcome, Admitted) and value.encode() in outcome.answer
        ]
        if believed:
            return Finding(Observed.BROKEN, http.HTTP, f"a forged name was believed: {', '.join(believed)}")
        protocol = self._protocol(case)
        if case.server.backend is None or finding.observed is not Observed.ALLOWED:
            return finding
        if isinstance(protocol, Fronting):
            return self._forged_before_a_stand_in(case, protocol, shown)
        return self._forged_before_its_app(case, shown)

    def _forged_before_a_stand_in(self, case: Case, protocol: Fronting, shown: Credentials) -> Finding:
        """What reaches the app is seen: as headers, and as fields after a body, which some take for headers."""
        welcome = self._welcome(case.server, _caller(case), shown)
        finding = judge.admission(protocol.call_with(self._target(case), shown, forged()), welcome)
        if finding.observed is not Observed.ALLOWED or welcome.told is None:
            return finding
        trailers = [(name, value) for name, value in forged() if name != "Connection"]
        for reached in protocol.reached_by_trailers(self._target(case), shown, trailers):
            if (wrong := welcome.told.wrong(reached)) is not None:
                return Finding(Observed.BROKEN, http.HTTP, f"by trailers, the app behind it {wrong}")
        return finding

    def _forged_before_its_app(self, case: Case, shown: Credentials) -> Finding:
        """Its own app alone knows what reaches it: where it answers with who called, it is heard. Raises Untried."""
        answer = http.call(self._target(case), shown, "/", forged())
        told = self._welcome(case.server, _caller(case), shown).told
        if not isinstance(answer, http.Answered) or told is None:
            return judge.admission(http.meaning(answer))
        said = answer.body.decode("utf-8", "replace").replace("\\/", "/")
        if lies := [value for _, value in forged() if value in said]:
            return Finding(
                Observed.BROKEN, http.HTTP, f"its app answers with a header that the caller forged: {lies[0]}"
            )
        if not told.caller.is_named_in(said):
            raise Untried(
                "only its app sees which headers reach it, and that app does not name the caller (GET /: HTTP "
                f"{answer.status}): `scaffold verify` without --running starts an app of its own there"
            )
        words = f"its app names the caller {told.caller.identity}, and no forged header"
        return Finding(Observed.ALLOWED, http.HTTP, words)

    def _health(self, case: Case) -> Finding:
        address = self._running.health(case.server)
        if address is None:
            raise VerifyError(f"{case.server.address} has no health port")
        return http.health(http.call_plainly(address, "/healthz"), http.call_plainly(address, "/"))

    def _old_protocol(self, case: Case) -> Finding:
        newest = BELOW[case.server.tls]
        if self._kinds[case.server.address].conversation is None and not tls.speaks(newest, self._authorities.stranger):
            raise CannotOffer(f"{tls.library()} does not speak {newest.name.replace('_', '.')} itself")
        claimed, shown = _caller(case).name, self._rogue(case)
        return judge.protocol_refusal(
            self._protocol(case).call(self._target(case), shown, claimed=claimed, newest=newest)
        )

    def _staple(self, case: Case) -> Finding:
        certificate = bundles.load_certificates(self._certificate_of(case.server))[0]
        signer = self._authorities.signer_of(case.server.issuer, certificate)
        return stapling.stapled(
            self._target(case), certificate, self._authorities.certificate(signer), self._authorities.now
        )

    def _certificate_of(self, server: Server) -> bytes:
        """What a server shows, as it is on disk."""
        path = self._layout.path(party_paths(server.address.role, server.name).own.certificate)
        try:
            return path.read_bytes()
        except OSError as error:
            raise VerifyError(f"{path} cannot be read: {error.strerror}") from error

    # --- Rogues --------------------------------------------------------------------------------------------------

    def _rogue_is_shown(self, case: Case) -> Finding:
        revocation_scenarios.check_at_hand(self._t, case.server, case.probe, _caller(case).issuer, self._authorities)
        match self._copy(case):
            case None:
                return self._shown(case, self._target(case))
            case RevocationScenario.SOUND:
                return self._shown_beside_its_twin(case)
            case scenario:
                return self._shown(case, self._running.copy_of(case.server, scenario))

    def _shown(self, case: Case, target: Target) -> Finding:
        rogues = self._imitating(_caller(case), case.server, case.probe)
        return _first_astray(case, (judge.admission(self._call(case, target, rogue)) for rogue in rogues))

    def _shown_beside_its_twin(self, case: Case) -> Finding:
        """At the copy that has the CRLs of the rogue CAs: there their certificates have one fault alone."""
        target = self._running.copy_of(case.server)
        match self._call(case, target, self._rogue(case, Probe.CONTROL)):
            case Admitted() | Failed(beyond=True):  # behind the copy of a gateway is an impostor
                return self._shown(case, target)
            case outcome:
                finding = judge.admission(outcome)
                words = f"with CRLs made for the probe, even the control is refused: {finding.detail}"
                return Finding(Observed.BROKEN, finding.layer, words)

    # --- False servers -------------------------------------------------------------------------------------------

    def _in_its_place(self, case: Case) -> Finding:
        """Somebody else is where the caller looks for the server."""
        caller = _caller(case)
        profile = functools.partial(profiles.for_server, self._t, case.server)
        # What vouches for another server that is called vouches for nothing here.
        shown = (
            self._made(case.probe, profile, case.server.issuer, (case.server.issuer,))
            if case.server.issued_here
            else self._made_for_server_from_elsewhere(case, profile)
        )
        if isinstance(caller, Server):
            return _first_astray(case, self._shown_to_server(case, caller, shown))
        return _first_astray(case, (self._shown_to_client(case, caller, each) for each in shown))

    def _shown_to_client(self, case: Case, caller: Client, credentials: Credentials) -> Finding:
        if case.server.issued_here:
            revocation_scenarios.check_at_hand(self._t, caller, case.probe, case.server.issuer, self._authorities)
        copy = self._copy(case)
        folder = self._running.folder_of_copy(caller, copy) if copy else None
        staple = self._staple_shown(case, caller, credentials)
        protocol = self._protocol(case)
        with Impostor(case.server.name, self._role(case.server)) as impostor:
            visits = impostor.show(credentials, staple)
            ran = self._run_client(caller, case.server, protocol.url(impostor.address), folder)
            return judge.trust(protocol, ran.status, ran.complaint, visits.connections, len(visits.requests))

    def _role(self, server: Server) -> Role:
        kind = self._kinds[server.address]
        return HttpRole(server.name) if kind.conversation is None else SilentRole(kind.capabilities.before_tls)

    def _staple_shown(self, case: Case, caller: Client, credentials: Credentials) -> bytes | None:
        """For a client that demands a staple, one that says what the case is about."""
        demanded = revocation_scenarios.demands_staple(caller, self._kinds[caller.address], case.server)
        if not demanded or case.probe is Probe.SERVER_NO_STAPLE:
            return None
        leaf = bundles.load_certificates(credentials.certificates)[0]
        issuer = self._authorities.issuer(self._authorities.signer_of(case.server.issuer, leaf))
        return revocation_scenarios.staple(caller, case.probe, credentials, issuer, self._authorities.now)

    def _shown_to_server(self, case: Case, caller: Server, shown: Iterable[Credentials]) -> Iterator[Finding]:
        """The copy of a calling server is asked to call, by each of the ways that lead to the impostor."""
        asker, target = self._asker(caller), self._running.copy_of(caller)
        impostor = self._running.impostor(caller, case.server)
        paths = (f"/call/{case.server.name}", *((CALLER,) if caller.upstream == case.server.name else ()))
        for credentials, path in itertools.product(shown, paths):
            with impostor.turn:
                visits = impostor.show(credentials)
                outcome = http.meaning(http.call(target, asker, path, FORGED.items() if path == CALLER else ()))
            if told := _told_of_forged(visits):
                yield Finding(Observed.BROKEN, http.HTTP, f"it forwarded forged headers: {told}")
            yield judge.trust_of_server(outcome, visits.connections, len(visits.requests))

    # --- Certificates --------------------------------------------------------------------------------------------

    def _rogue(self, case: Case, probe: Probe | None = None) -> Credentials:
        return self._imitating(_caller(case), case.server, probe or case.probe)[0]

    def _imitating(self, party: Party, server: Server, probe: Probe) -> tuple[Credentials, ...]:
        if not party.has_issued and form_of(party.identity) is IdentityForm.SUBJECT:
            raise Untried(f"{party.address} is known by its subject, with which no certificate can be made here")
        profile = functools.partial(profiles.for_client_side, self._t, party)
        return self._made(probe, profile, party.calling_issuer, server.trusts)

    def _made(
        self, probe: Probe, profile: Callable[[int], CertificateProfile], issuer: str, trusted: Iterable[str]
    ) -> tuple[Credentials, ...]:
        """By each generation of `issuer` that is trusted; `profile` says what such a one issues."""
        roots = frozenset(map(self._authorities.root_of, trusted))
        forges = (
            Forge(self._authorities, replace(profile(ca.generation or FIRST), fault=None), ca, roots)
            for ca in self._authorities.trusted(issuer)
        )
        return tuple(shown for forge in forges for shown in make(probe, forge))

    def _made_for_server_from_elsewhere(
        self, case: Case, profile: Callable[[int], CertificateProfile]
    ) -> tuple[Credentials, ...]:
        """What each CA of the topology could make: none of them vouches for a certificate from elsewhere."""
        if case.probe is not Probe.FALSE_ROOT:
            raise Untried(
                f"the certificate of {case.server.address} is issued elsewhere, so a similar one cannot be made here"
            )
        return make_by_all_cas(self._t, self._authorities, replace(profile(FIRST), fault=None))

    def _real(self, party: Party) -> Credentials:
        """The certificate with which a party calls, as it is on disk."""
        if is_external(party):
            raise Untried(f"{party.address} is external: its certificate is not here")
        if not has_key_here(party):
            raise Untried(f"{party.address} has its key on its own host, so its certificate cannot be used here")
        return shown_by(self._layout, party)

    def _asker(self, server: Server) -> Credentials:
        """A certificate that gets into a calling server, so that it can be asked to call."""
        callers = graph.callers(self._t, server.name)
        for caller in callers:
            revoked, _ = withdrawn_sides(caller, server, self._kinds, self._withdrawn)
            if has_key_here(caller) and not is_faulty(caller) and not revoked:
                return self._real(caller)
        if not callers:
            raise Untried(f"no caller is allowed at {server.address}, so it cannot be asked to call")
        return self._imitating(callers[0], server, Probe.CONTROL)[0]

    def _welcome(self, server: Server, caller: Party, shown: Credentials | None = None) -> Welcome:
        """What the answer must say: through gateways it is the last server's, and names whoever called the last one.

        `shown` is what the caller has shown, where that is not the certificate on disk.
        """
        behalf = None
        for upstream in behind(self._t, server):
            subject = rfc2253(profiles.subject_name(caller.calling_subject))
            behalf = Name(subject, self._issuer_of(caller, shown), caller.roles.get(server.name, ()))
            caller, shown, server = server, None, upstream
        return Welcome(
            server.name,
            caller.identity,
            behalf,
            caller.roles.get(server.name, ()),
            self._told(server, caller, shown) if behalf is None else None,
        )

    def _told(self, server: Server, caller: Party, shown: Credentials | None) -> Told | None:
        """What the app behind a front must be told of who calls the front itself."""
        if server.backend is None:
            return None
        with contextlib.suppress(VerifyError, PkiError):  # as below
            leaf = bundles.load_certificates((shown or self._real(caller)).certificates)[0]
            signer = self._authorities.signer_of(caller.issuer, leaf)
            chain = self._authorities.intermediates(signer)
            roles = caller.roles.get(server.name, ())
            return Told(
                Shown(caller.identity, roles, leaf, self._authorities.certificate(signer), chain), server.forward
            )
        return None

    def _issuer_of(self, party: Party, shown: Credentials | None) -> str:
        """The name of the CA that has signed what a party shows."""
        signer = self._authorities.issuing(party.calling_issuer)
        with contextlib.suppress(VerifyError, PkiError):  # what is missing or damaged is seen by the call itself
            leaf = bundles.load_certificates((shown or self._real(party)).certificates)[0]
            signer = self._authorities.signer_of(party.calling_issuer, leaf)
        return rfc2253(self._authorities.certificate(signer).subject)

    def _run_client(self, client: Client, server: Server, url: str, folder: Path | None = None) -> Ran:
        script = (folder or project_folder(self._layout, client)) / "run.sh"
        return self._clients.run(script, [server.name, url], self._kinds[client.address].capabilities.environment)


def _further_names(server: Server, expected: str) -> tuple[str, ...]:
    """The other DNS names by which the server may be asked for, and none at all."""
    names = (name.value.replace("*", "any") for name in server.names if name.type is SanType.DNS)
    return tuple(dict.fromkeys(name for name in (*names, NO_SNI) if name != expected))


def _first_astray(case: Case, findings: Iterable[Finding]) -> Finding:
    """Of several findings that should all be alike, the first that is not as expected, or else the first."""
    first: Finding | None = None
    for finding in findings:
        if finding.observed.value != case.expected.value:
            return finding
        first = first or finding
    if first is None:
        raise VerifyError(f"{case.probe} at {case.server.address} has nothing to try")
    return first


def _told_of_forged(visits: Visits) -> str:
    return ", ".join(name for name, value in FORGED.items() if any(value in request for request in visits.requests))


def _caller(case: Case) -> Party:
    if case.caller is None:
        raise VerifyError(f"{case.probe} at {case.server.address} has no caller")
    return case.caller
