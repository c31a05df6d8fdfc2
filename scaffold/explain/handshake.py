"""One call step by step: who shows what, who checks what of it, and how that comes out on the files of today."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from cryptography import x509

from scaffold.errors import PkiError
from scaffold.explain.ends import End, Found, World, caller_end, lines_of, names_of, purposes_of, server_end, shown
from scaffold.explain.model import About, Check, Doing, Handshake, Step
from scaffold.kinds.lines import Point
from scaffold.pki.chains import is_self_signed, paths_to_roots
from scaffold.pki.names import rfc2253
from scaffold.settings.peers import server_name
from scaffold.store.layout import party_paths
from scaffold.topology import graph
from scaffold.topology.model import Client, Party, RevocationCheck, Server, TlsProfile
from scaffold.topology.names import form_of, stands_for
from scaffold.verify.last_run import Seen
from scaffold.verify.model import Probe, Result

_OF_CALLERS: Final = {
    About.TLS_VERSION: (Probe.OLD_TLS,),
    About.DEMANDED: (Probe.NO_CERTIFICATE,),
    About.CHAIN: (Probe.FOREIGN_CA, Probe.SELF_SIGNED, Probe.ISSUED_BY_LEAF),
    About.VALIDITY: (Probe.EXPIRED, Probe.NOT_YET_VALID),
    About.PURPOSE: (Probe.SERVER_CERTIFICATE, Probe.NO_EKU),
    About.REVOCATION: (
        Probe.REVOKED, Probe.REVOKED_CA, Probe.EXPIRED_CRL, Probe.RESPONDER_DOWN, Probe.RESPONDER_UNKNOWN,
        Probe.STALE_OCSP,
    ),
    About.ALLOWED: (Probe.NOT_ALLOWED, Probe.SIBLING_CA, Probe.SAME_NAME_CA, Probe.OTHER_SUBJECT),
}  # fmt: skip
"""The probes in which a check of a server must fail."""

_OF_CALLEES: Final = {
    About.CHAIN: (Probe.FALSE_ROOT,),
    About.NAME: (Probe.FALSE_NAME, Probe.FALSE_COMMON_NAME, Probe.FALSE_LONE_COMMON_NAME),
    About.VALIDITY: (Probe.FALSE_EXPIRED,),
    About.PURPOSE: (Probe.FALSE_EKU,),
    About.REVOCATION: (
        Probe.FALSE_REVOKED, Probe.SERVER_REVOKED_CA, Probe.SERVER_EXPIRED_CRL, Probe.SERVER_RESPONDER_DOWN,
        Probe.SERVER_RESPONDER_UNKNOWN, Probe.SERVER_STALE_OCSP, Probe.SERVER_NO_STAPLE,
    ),
}  # fmt: skip
"""The same of a caller, to whom a false server is shown."""

_POINTS: Final = {
    About.TLS_VERSION: (Point.TLS_VERSION, Point.TLS_VERSION),
    About.DEMANDED: (Point.DEMANDS_CERTIFICATE, Point.DEMANDS_CERTIFICATE),
    About.CHAIN: (Point.CALLER_CHAIN, Point.CALLEE_CHAIN),
    About.NAME: (Point.CALLEE_NAME, Point.CALLEE_NAME),
    About.VALIDITY: (Point.CALLER_VALIDITY, Point.CALLEE_VALIDITY),
    About.PURPOSE: (Point.CALLER_PURPOSE, Point.CALLEE_PURPOSE),
    About.ALLOWED: (Point.CALLER_ALLOWED, Point.CALLER_ALLOWED),
}
"""Which lines make a check: of a server that is called, and of a caller."""

_REVOCATION_POINTS: Final = {
    RevocationCheck.CRL: (Point.CALLER_CRL, Point.CALLEE_CRL),
    RevocationCheck.OCSP: (Point.CALLER_OCSP, Point.CALLEE_OCSP),
}

_OF_REVOKED: Final = (Probe.REVOKED, Probe.FALSE_REVOKED)
_OF_REVOKED_CAS: Final = (Probe.REVOKED_CA, Probe.SERVER_REVOKED_CA)

FindsLines = Callable[[World, End, Iterable[Point], Party, Party], Found]

_By = Callable[[About, bool | None, str, str], Check]
"""Makes a check of one of the two sides."""

_VERSIONS: Final = {TlsProfile.MODERN: "TLS 1.3", TlsProfile.INTERMEDIATE: "TLS 1.2 or 1.3"}


def handshake(world: World, caller: Party, server: Server) -> Handshake:
    """The call of `caller` to `server`, whether the topology allows it or not. Raises VerifyError, StoreError."""
    return between(world, caller_end(world, caller, server), server_end(world, server))


def between(world: World, calling: End, called: End, lines: FindsLines = lines_of) -> Handshake:
    """The same of two ends that were read before; `lines` finds those of each check. Raises StoreError."""
    telling = _Telling(world, calling, called, lines)
    caller, server = calling.party, telling.called
    seen = world.last_run.of(server.name, (Probe.EDGE, Probe.NOT_ALLOWED), caller.name)
    changed = (*world.changed.get(caller.address, ()), *world.changed.get(server.address, ()))
    return Handshake(
        caller.address,
        server.address,
        str(server.dial),
        server.name in caller.calls,
        tuple(_doubted(step, server, changed) for step in telling.steps()),
        next(iter(seen), None),
        changed,
    )


def _doubted(step: Step, server: Server, changed: Collection[str]) -> Step:
    """The step, with the files that were changed at each check that is made by them."""
    return replace(step, checks=tuple(replace(one, changed=_changed(one, server, changed)) for one in step.checks))


def _changed(check: Check, server: Server, changed: Collection[str]) -> tuple[str, ...]:
    folder = f"{party_paths(server.address.role, server.name).folder}/"
    if check.about is About.ALLOWED:
        return tuple(path for path in changed if path.startswith(folder))
    made_in = {line.file for line in check.lines} | {file for file, _ in check.absent}
    return tuple(path for path in changed if path in made_in)


class _Telling:
    """One call: both ends, and the lines and probes of each."""

    def __init__(self, world: World, caller: End, server: End, lines: FindsLines) -> None:
        if not isinstance(server.party, Server):
            raise TypeError(f"{server.party.address} is no server")
        self._world = world
        self._caller = caller
        self._server = server
        self.called = server.party
        self._lines = lines

    def steps(self) -> tuple[Step, ...]:
        """All of them; where one fails, those after it do not come to pass."""
        caller, server = self._caller.party.address, self._server.party.address
        return (
            Step(Doing.CONNECTS, caller, checks=(self._tls_version(),)),
            Step(
                Doing.SHOWS_SERVER,
                server,
                self._server.file,
                tuple(map(shown, self._server.chain)),
                self._of_server(Point.OWN_CERTIFICATE).lines,
            ),
            Step(Doing.CHECKS_SERVER, caller, checks=self._with_fault(self.called, self._checks_of_server())),
            Step(
                Doing.SHOWS_CLIENT,
                caller,
                self._caller.file,
                tuple(map(shown, self._caller.chain)),
                self._of_caller(Point.CLIENT_CERTIFICATE).lines,
            ),
            Step(Doing.CHECKS_CLIENT, server, checks=self._with_fault(self._caller.party, self._checks_of_client())),
            Step(Doing.DECIDES, server, checks=(self._allowed(),)),
        )

    # --- Lines and probes -----------------------------------------------------------------------------------------

    def _of_server(self, *points: Point) -> Found:
        return self._lines(self._world, self._server, points, self._caller.party, self._caller.party)

    def _of_caller(self, *points: Point) -> Found:
        return self._lines(self._world, self._caller, points, self._server.party, self._caller.party)

    def _by_server(self, about: About, holds: bool | None, wanted: str, found: str) -> Check:
        """A check that the server makes."""
        points = self._points(about, self.called.check_revocation)
        lines = self._of_server(points[0])
        seen = self._seen_of_caller(about)
        return Check(about, holds, wanted, found, lines.lines, lines.absent, lines.declared, seen)

    def _by_caller(self, about: About, holds: bool | None, wanted: str, found: str) -> Check:
        """A check that the caller makes."""
        points = self._points(about, self._check_of_callees())
        lines = self._of_caller(points[1])
        seen = self._world.last_run.of(self.called.name, _OF_CALLEES[about], self._caller.party.name)
        return Check(about, holds, wanted, found, lines.lines, lines.absent, lines.declared, seen)

    def _points(self, about: About, revocation: RevocationCheck) -> tuple[Point, Point]:
        return _REVOCATION_POINTS[revocation] if about is About.REVOCATION else _POINTS[about]

    def _seen_of_caller(self, about: About) -> tuple[Seen, ...]:
        """Of each probe what was seen with this caller's name, or else with another's: the server asks all the same.

        What failed for another says nothing of this one.
        """
        run, server = self._world.last_run, self.called.name
        found: list[Seen] = []
        for probe in _OF_CALLERS[about]:
            own = run.of(server, (probe,), self._caller.party.name)
            others = (seen for seen in run.of(server, (probe,)) if seen.check.result is Result.PASSED)
            found += (own or tuple(others))[:1]
        return tuple(found)

    def _check_of_callees(self) -> RevocationCheck:
        """How the caller looks up the server."""
        party = self._caller.party
        kind = self._world.kinds.get(party.address)
        if kind is None or not self.called.issued_here:
            return RevocationCheck.NONE
        return kind.capabilities.check_of_callees(party)

    # --- Checks -----------------------------------------------------------------------------------------------------

    def _tls_version(self) -> Check:
        versions = _VERSIONS[self.called.tls]
        return self._by_server(About.TLS_VERSION, None, versions, versions)

    def _checks_of_server(self) -> Iterator[Check]:
        if self._caller.file is None:
            return  # external: what it checks is not known here
        chain = self._server.chain
        expected = server_name(self.called)
        path = _path(chain, self._caller)
        yield self._by_caller(About.CHAIN, bool(path), self._caller.trust_file or "", _leads(path, chain))
        if chain:
            names = names_of(chain[0])
            yield self._by_caller(
                About.NAME, any(stands_for(name, expected) for name in names), expected, ", ".join(names)
            )
            yield self._validity(path or chain, self._by_caller)
            purposes = purposes_of(chain[0])
            yield self._by_caller(About.PURPOSE, "serverAuth" in purposes, "serverAuth", ", ".join(purposes))
        if (method := self._check_of_callees()) is not RevocationCheck.NONE:
            yield self._revocation(method, chain, self.called.issuer, self._by_caller)

    def _checks_of_client(self) -> Iterator[Check]:
        chain, party = self._caller.chain, self._caller.party
        known = self._caller.file is not None
        yield self._by_server(About.DEMANDED, bool(chain) if known else None, "", self._caller.file or "")
        path = _path(chain, self._server)
        holds = bool(path) if known else None
        leads = self._by_server(About.CHAIN, holds, self._server.trust_file or "", _leads(path, chain))
        yield _answered(leads, Probe.SELF_SIGNED if chain and is_self_signed(chain[0]) else Probe.FOREIGN_CA)
        if chain:
            yield self._validity(path or chain, self._by_server)
            purposes = purposes_of(chain[0])
            purpose = self._by_server(About.PURPOSE, "clientAuth" in purposes, "clientAuth", ", ".join(purposes))
            yield _answered(purpose, Probe.SERVER_CERTIFICATE if purposes else Probe.NO_EKU)
        if (method := self.called.check_revocation) is not RevocationCheck.NONE:
            yield self._revocation(method, chain, party.issuer, self._by_server)

    def _with_fault(self, party: Party, checks: Iterable[Check]) -> tuple[Check, ...]:
        """The checks, and where none of them has found what is broken on purpose, that as one more."""
        found = tuple(checks)
        # A server's fault is that of its own certificate, and not of the one with which it calls.
        faulty = party.fault is not None and (party is self.called or isinstance(party, Client))
        if not faulty or not found or any(check.holds is False for check in found) or not self._is_itself():
            return found
        seen = self._world.last_run.of(self.called.name, (Probe.EDGE,), self._caller.party.name)
        return (*found, Check(About.FAULT, False, "", str(party.fault), seen=seen))

    def _validity(self, path: Sequence[x509.Certificate], by: _By) -> Check:
        begins = max(one.not_valid_before_utc for one in path)
        ends = min(one.not_valid_after_utc for one in path)
        now = self._world.now
        if now < begins:
            early = by(About.VALIDITY, False, _moment(now), f"valid from {_moment(begins)}")
            return _answered(early, Probe.NOT_YET_VALID)
        if now > ends:
            late = by(About.VALIDITY, False, _moment(now), f"expired {_moment(ends)}")
            return _answered(late, Probe.EXPIRED, Probe.FALSE_EXPIRED)
        return by(About.VALIDITY, True, _moment(now), f"until {_moment(ends)}")

    def _revocation(self, method: RevocationCheck, chain: tuple[x509.Certificate, ...], issuer: str, by: _By) -> Check:
        """By what was revoked here, and what the CRLs at hand list: each lookup is answered from that."""
        revoked = self._world.revoked
        issuers = [ca.name for ca in graph.chain(self._world.topology, issuer)] if issuer else []
        for certificate, ca in zip(chain, issuers, strict=False):
            entry = revoked.get((ca, f"{certificate.serial_number:x}"))
            if entry is not None:
                verb = "was put on hold" if entry.on_hold else "was revoked"
                found = f"{rfc2253(certificate.subject)} {verb} on {_moment(entry.at)} ({entry.reason})"
                check = by(About.REVOCATION, False, method.value, found)
                return _answered(check, *(_OF_REVOKED if certificate is chain[0] else _OF_REVOKED_CAS))
        return by(About.REVOCATION, True if chain else None, method.value, "")

    def _allowed(self) -> Check:
        party = self._caller.party
        listed = self.called.name in party.calls
        wanted = f"{party.identity}, issued by {self._issuer_name(party)}"
        allowed = self._by_server(About.ALLOWED, listed and self._is_itself(), wanted, self._told())
        return _answered(allowed, Probe.OTHER_SUBJECT if listed else Probe.NOT_ALLOWED)

    def _issuer_name(self, party: Party) -> str:
        ca = self._world.topology.cas.get(party.issuer)
        return ca.subject.common_name if ca is not None else party.issuer

    def _is_itself(self) -> bool:
        """Whether its certificate names the identity by which the topology knows it."""
        party, chain = self._caller.party, self._caller.chain
        if not chain or form_of(party.identity).value != "uri":
            return True
        return party.identity in names_of(chain[0])

    def _told(self) -> str:
        """Who the certificate says that it is, and as what it is let in."""
        party, chain = self._caller.party, self._caller.chain
        uris = [name for name in names_of(chain[0]) if ":" in name] if chain else []
        roles = party.roles.get(self.called.name, ())
        return ", ".join(uris or [party.identity]) + (f" ({', '.join(roles)})" if roles else "")


def _path(chain: tuple[x509.Certificate, ...], other: End) -> tuple[x509.Certificate, ...]:
    """The way from what one side shows to a root that the other side trusts; nothing where there is none."""
    if not chain:
        return ()
    try:
        paths = paths_to_roots(chain[0], (*chain[1:], *other.pool))
    except PkiError:
        return ()
    return next((path for path in paths if path[-1] in other.trusted), ())


def _answered(check: Check, *probes: Probe) -> Check:
    """Of a check that does not hold what was seen of `probes` alone: of what is wrong here, and of nothing else."""
    if check.holds is not False:
        return check
    return replace(check, seen=tuple(seen for seen in check.seen if seen.check.probe in probes))


def _leads(path: tuple[x509.Certificate, ...], chain: tuple[x509.Certificate, ...]) -> str:
    """By which CAs to which root; where to none, who has signed."""
    if path:
        return " ← ".join(rfc2253(one.subject) for one in reversed(path[1:]))
    return rfc2253(chain[0].issuer) if chain else ""


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
