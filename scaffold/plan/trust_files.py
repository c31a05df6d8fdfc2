"""What is in `tls/` beside keys and certificates: roots, intermediates, CRLs, and what the kind renders there."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from scaffold.kinds.catalogue import Kind
from scaffold.kinds.render import Rendered, render
from scaffold.plan.authorities import Authorities
from scaffold.plan.desired import DesiredParty
from scaffold.plan.unknown import Unknown
from scaffold.settings.derivation import client_settings, server_settings
from scaffold.settings.material import derived
from scaffold.settings.peers import (
    callee_issuers,
    callees_from_elsewhere,
    looked_up_issuers,
    needs_crls,
    peer_issuers,
    trust_in,
    trusts_each_apart,
)
from scaffold.settings.values import Allowed, CaFactsByName, ServerSettings, Settings
from scaffold.store import gitignore
from scaffold.store.projects import Guard
from scaffold.topology.address import Address
from scaffold.topology.model import Anchor, Party, Server, Topology

Roots = Mapping[Address, bytes]
"""PEM, by the address of a server whose certificate is issued elsewhere."""


@dataclass(frozen=True)
class Project:
    """What a project is rendered from; settings are derived once they are needed."""

    topology: Topology
    party: Party
    kind: Kind
    authorities: Authorities
    no_more_than: Guard | None = None
    """Where the project is held: what it did before."""

    @functools.cached_property
    def _settings(self) -> tuple[Settings, ...]:
        """One, or two that differ in the hash of a key that is not made yet."""
        derived = (_derived(self.topology, self.party, facts) for facts in self.authorities.facts)
        first, *others = (_narrowed(settings, self.no_more_than) for settings in derived)
        return (first, *(other for other in others if other != first))

    @functools.cached_property
    def inputs(self) -> str | Unknown:
        """Names kind, settings and variables."""
        settings, *others = self._settings
        if others:
            return Unknown.AFTER_APPLY
        # Frozen values of plain types print alike exactly when they are alike.
        said = f"{self.kind.digest}\0{settings!r}\0{sorted(self.party.vars.items())!r}"
        return hashlib.sha256(said.encode()).hexdigest()

    def render(self) -> dict[str, Rendered | Unknown]:
        """Its files by path relative to the project. Raises KindError."""
        first, *others = (render(self.kind, settings, self.party.vars) for settings in self._settings)
        found: dict[str, Rendered | Unknown] = dict(first)
        for other in others:
            found.update(dict.fromkeys((path for path in other if other[path] != first.get(path)), Unknown.AFTER_APPLY))
        return found

    @property
    def guard(self) -> Guard:
        """What it does at its door."""
        settings = self._settings[0]
        allowed = settings.allowed if isinstance(settings, ServerSettings) else ()
        roles = {_caller(one): one.roles for one in allowed if one.roles}
        listen = settings.listen.literal if isinstance(settings, ServerSettings) else ""
        return Guard(settings.revocation.check, {_caller(one): one.gateway for one in allowed}, roles, listen)

    def letting_in(self, before: Guard | None) -> Project:
        """The same for no more callers than `before` let in, and as no more than they were."""
        return replace(self, no_more_than=before)


def _narrowed(settings: Settings, before: Guard | None) -> Settings:
    if before is None or not isinstance(settings, ServerSettings):
        return settings
    allowed = (_narrowed_caller(one, before) for one in settings.allowed if _caller(one) in before.let_in)
    return replace(settings, allowed=tuple(allowed))


def _narrowed_caller(one: Allowed, before: Guard) -> Allowed:
    had = before.roles.get(_caller(one), ())
    roles = tuple(role for role in one.roles if role in had)
    return replace(one, gateway=one.gateway and before.let_in[_caller(one)], roles=roles)


def _caller(one: Allowed) -> str:
    """An entry of an allow list is issuer and identity together."""
    return f"{one.issuer} {one.identity}"


def is_allow_list(one: DesiredParty, path: str) -> bool:
    """Whether a kind writes there, in its own format, whom the project lets in."""
    return path.startswith(f"{one.paths.tls}/allowed.")


def _derived(t: Topology, party: Party, facts: CaFactsByName) -> Settings:
    return server_settings(t, party, facts) if isinstance(party, Server) else client_settings(t, party, facts)


def trust_files(
    t: Topology, one: DesiredParty, authorities: Authorities, brought: Roots, *, crls_in_use: bool = False
) -> dict[str, bytes | Unknown]:
    """The files of fixed name and what they hold. `brought` are the roots of servers with certificates from elsewhere.

    `crls_in_use`: the project that is there reads CRLs, whether or not the topology still asks for them.
    """
    party, paths = one.party, one.paths
    calls = isinstance(party, Server) and bool(party.calls)
    from_elsewhere = callees_from_elsewhere(t, party)
    files = {
        paths.trust: _with(_anchors(t, party, authorities), () if calls else from_elsewhere, brought),
        paths.intermediates: authorities.intermediates_pem(looked_up_issuers(t, party)),
    }
    if calls:
        files[paths.client_trust] = _with(authorities.roots_pem(callee_issuers(t, party)), from_elsewhere, brought)
    if trusts_each_apart(t, party):
        common = paths.client_trust if calls else paths.trust
        for name in party.calls:
            files[trust_in(common, name)] = _roots_of(t.servers[name], authorities, brought)
    if crls_in_use or needs_crls(t, party):
        files[paths.crl] = _crls(authorities, looked_up_issuers(t, party))
    return files


def _anchors(t: Topology, party: Party, authorities: Authorities) -> bytes | Unknown:
    """Roots, or the CAs that issue to its callers where what reads the file takes these for anchors."""
    if isinstance(party, Server) and party.files is not None and party.files.anchor is Anchor.ISSUER:
        return authorities.own_pem(peer_issuers(t, party))
    return authorities.roots_pem(peer_issuers(t, party))


def _with(roots: bytes | Unknown, servers: Iterable[Server], brought: Roots) -> bytes | Unknown:
    """`roots`, and those that vouch for `servers`."""
    return roots if isinstance(roots, Unknown) else b"".join((roots, *(brought[server.address] for server in servers)))


def _roots_of(callee: Server, authorities: Authorities, brought: Roots) -> bytes | Unknown:
    return authorities.roots_pem((callee.issuer,)) if callee.issued_here else brought[callee.address]


def ignored(t: Topology, one: DesiredParty, public: Iterable[str]) -> bytes:
    """The `.gitignore` of `tls/`; `public` are the files there that are no secrets, with their whole paths."""
    made = (file.name for file in derived(t, one.party) if not file.secret)
    return gitignore.of_tls((*(path.removeprefix(f"{one.paths.tls}/") for path in public), *made))


def _crls(authorities: Authorities, issuers: tuple[str, ...]) -> bytes | Unknown:
    """The CRL of every key of the chains, the roots' too: OpenSSL's `CRL_CHECK_ALL` wants each."""
    texts = [generation.crl or b"" for generation in authorities.crl_signers(issuers)]
    known = [text for text in texts if not isinstance(text, Unknown)]
    return b"".join(known) if len(known) == len(texts) else Unknown.AFTER_APPLY
