"""What stands in `tls/` beside keys and certificates: roots, intermediates, CRLs, and what the kind renders there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scaffold.kinds.catalogue import Kind
from scaffold.kinds.render import Rendered, render
from scaffold.plan.authorities import Authorities
from scaffold.plan.desired import DesiredParty
from scaffold.settings.derivation import client_settings, server_settings
from scaffold.settings.peers import needs_crls, peer_issuers
from scaffold.settings.values import CaFactsByName, Settings
from scaffold.store import gitignore
from scaffold.topology.model import Party, Server, Topology

TLS = "tls/"


@dataclass(frozen=True, slots=True)
class Project:
    """What a project is rendered from: `inputs` names kind, settings and variables."""

    kind: Kind
    settings: Settings
    variables: Mapping[str, object]
    inputs: str

    def render(self) -> dict[str, Rendered]:
        """Its files by path relative to the project. Raises KindError."""
        return render(self.kind, self.settings, self.variables)


def project(t: Topology, party: Party, kind: Kind, facts: CaFactsByName) -> Project:
    """What the project of `party` is rendered from."""
    settings = server_settings(t, party, facts) if isinstance(party, Server) else client_settings(t, party, facts)
    # Frozen values of plain types print alike exactly when they are alike.
    said = f"{kind.digest}\0{settings!r}\0{sorted(party.vars.items())!r}"
    return Project(kind, settings, party.vars, hashlib.sha256(said.encode()).hexdigest())


def callee_cas(t: Topology, party: Party) -> tuple[str, ...]:
    """The CAs that issue to the servers that `party` calls."""
    return tuple(dict.fromkeys(t.servers[name].issuer for name in party.calls))


def trust_files(t: Topology, one: DesiredParty, authorities: Authorities) -> dict[str, bytes | None]:
    """The files of fixed name and what they hold; None where a CA is not made yet, and it is known after apply."""
    party, paths = one.party, one.paths
    peers = peer_issuers(t, party)
    calls = isinstance(party, Server) and bool(party.calls)
    callees = callee_cas(t, party) if calls else ()
    files = {
        paths.trust: authorities.roots_pem(peers),
        paths.intermediates: authorities.intermediates_pem(dict.fromkeys((*peers, *callees))),
    }
    if calls:
        files[paths.client_trust] = authorities.roots_pem(callees)
    if needs_crls(t, party):
        files[paths.crl] = _crls(authorities, peers)
    return files


def ignored(one: DesiredParty, rendered: Iterable[str]) -> bytes:
    """The `.gitignore` of `tls/`; `rendered` are the files that the kind renders there, with their whole paths."""
    return gitignore.of_tls(path.removeprefix(f"{one.paths.tls}/") for path in rendered)


def _crls(authorities: Authorities, peers: tuple[str, ...]) -> bytes | None:
    """The CRL of every CA of the chains, the roots' too: OpenSSL's `CRL_CHECK_ALL` wants each."""
    texts = [authority.crl for authority in authorities.in_chains(peers)]
    known = [text for text in texts if text is not None]
    return b"".join(known) if len(known) == len(texts) else None
