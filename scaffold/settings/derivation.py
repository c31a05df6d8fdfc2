"""Derives the settings of each server and client from the topology and from the facts about its CAs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scaffold.settings.peers import (
    anchors,
    callee_issuers,
    crl_name_above,
    depth,
    has_crl,
    needs_crls,
    peer_issuers,
    server_name,
)
from scaffold.settings.subjects import rfc2253
from scaffold.settings.tls_profiles import tls_settings
from scaffold.settings.values import (
    Address,
    Allowed,
    CaFactsByName,
    Call,
    ClientSettings,
    Files,
    Revocation,
    ServerSettings,
    Source,
)
from scaffold.topology import graph
from scaffold.topology.model import Client, HostPort, OnUnavailable, Party, RevocationCheck, Server, Topology


def server_settings(t: Topology, server: Server, facts: CaFactsByName) -> ServerSettings:
    """What `server` must be configured with. `facts` must know every CA that issues to one of its callers."""
    trusted = server.trusts or (server.issuer,)
    return ServerSettings(
        topology=t.name,
        name=server.name,
        address=str(server.address),
        kind=server.template,
        identity=server.identity,
        names=tuple(san.value for san in server.names),
        listen=_address(server.listen),
        health=_address(server.health) if server.health else None,
        tls=tls_settings(server.tls, post_quantum=server.post_quantum),
        files=_server_files(t, server),
        anchors=anchors(t, trusted),
        verify_depth=depth(t, trusted, facts),
        allowed=tuple(_allowed(caller, server, facts) for caller in graph.callers(t, server.name)),
        revocation=_revocation(t, server, facts),
        staple=server.staple,
        must_staple=server.must_staple,
        post_quantum=server.post_quantum,
        calls=tuple(_call(t.servers[name]) for name in server.calls),
        callee_verify_depth=depth(t, callee_issuers(t, server), facts) if server.calls else 0,
        upstream=_call(t.servers[server.upstream]) if server.upstream else None,
        publish=t.publish,
    )


def client_settings(t: Topology, client: Client, facts: CaFactsByName) -> ClientSettings:
    """What `client` must be configured with; an external client has no project and no settings."""
    issuers = callee_issuers(t, client)
    return ClientSettings(
        topology=t.name,
        name=client.name,
        address=str(client.address),
        kind=client.template,
        identity=client.identity,
        tls=tls_settings(client.tls),
        files=_client_files(t, client),
        anchors=anchors(t, issuers),
        verify_depth=depth(t, issuers, facts),
        revocation=_revocation(t, client, facts),
        calls=tuple(_call(t.servers[name]) for name in client.calls),
        publish=t.publish,
    )


def _address(value: HostPort) -> Address:
    return Address(value.host, value.port, str(value))


def _call(callee: Server) -> Call:
    expected = server_name(callee)
    return Call(
        name=callee.name,
        host=callee.dial.host,
        port=callee.dial.port,
        server_name=expected,
        url=f"https://{HostPort(expected, callee.dial.port)}/",
        identity=callee.identity,
        must_staple=callee.must_staple,
    )


def _allowed(caller: Party, server: Server, facts: CaFactsByName) -> Allowed:
    issuer = facts[caller.issuer]
    external = isinstance(caller, Client) and caller.external is not None
    return Allowed(
        name=caller.name,
        role="server" if isinstance(caller, Server) else "client",
        identity=caller.identity,
        issuer=caller.issuer,
        issuer_spki_sha256=issuer.spki_sha256,
        issuer_dn=issuer.subject_dn,
        subject_dn=None if external else rfc2253(caller.subject),
        gateway=isinstance(caller, Server) and caller.upstream == server.name,
    )


def _revocation(t: Topology, party: Party, facts: CaFactsByName) -> Revocation:
    check, on_unavailable = party.check_revocation, party.on_unavailable
    if check is RevocationCheck.NONE:
        return Revocation()
    issuers = peer_issuers(t, party)
    chains = dict.fromkeys(ca.name for name in issuers for ca in graph.chain(t, name)) if needs_crls(t, party) else ()
    asked = issuers if check is RevocationCheck.OCSP else ()
    return Revocation(
        check.value,
        on_unavailable.value,
        crls=tuple(_crl_sources(t, [name for name in chains if has_crl(t.cas[name])], facts)),
        responders=tuple(_sources(t, (name for name in asked if t.cas[name].revocation.ocsp), "ocsp/{}", facts)),
        by_application=check is RevocationCheck.OCSP or on_unavailable is OnUnavailable.ALLOW,
    )


def _crl_sources(t: Topology, names: Iterable[str], facts: CaFactsByName) -> Iterator[Source]:
    """Of each CA, and of those above one that came with the CRLs of its whole chain."""
    for source in _sources(t, names, "crl/{}.crl", facts):
        yield source
        existing = t.cas[source.ca].existing
        brings = existing is not None and (existing.crl or existing.chain_crl) is not None
        for steps, key in enumerate(facts[source.ca].above if brings else (), 1):
            name = crl_name_above(source.ca, steps)
            yield Source(name, key, f"{source.url.rpartition('/')[0]}/{name}.crl")


def _sources(t: Topology, names: Iterable[str], path: str, facts: CaFactsByName) -> Iterator[Source]:
    if t.publish is not None:
        base = t.publish.rstrip("/")
        for name in names:
            yield Source(name, facts[name].spki_sha256, f"{base}/{path.format(name)}")


def _server_files(t: Topology, server: Server) -> Files:
    calls = bool(server.calls)
    return Files(
        crl="tls/crl.pem" if needs_crls(t, server) else None,
        bundle="tls/bundle.pfx" if server.pfx else None,
        bundle_password="tls/pfx-password" if server.pfx else None,
        staple="tls/staple.der" if server.staple else None,
        client_certificate="tls/client-cert.pem" if calls else None,
        client_key="tls/client-key.pem" if calls else None,
        client_trust="tls/client-ca.pem" if calls else None,
    )


def _client_files(t: Topology, client: Client) -> Files:
    return Files(
        crl="tls/crl.pem" if needs_crls(t, client) else None,
        bundle="tls/bundle.pfx" if client.pfx else None,
        bundle_password="tls/pfx-password" if client.pfx else None,
    )
