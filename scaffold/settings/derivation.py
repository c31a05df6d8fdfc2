"""Derives the settings of each server and client from the topology and from the facts about its CAs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, assert_never

from scaffold.settings import material
from scaffold.settings.peers import (
    anchors,
    callee_depth,
    callee_issuers,
    crl_name_above,
    depth,
    has_crl,
    looked_up_issuers,
    needs_crls,
    peer_issuers,
    server_name,
    trust_in,
    trusted_cas,
    trusts_each_apart,
)
from scaffold.settings.subjects import rfc2253, stated_subjects
from scaffold.settings.tls_profiles import tls_settings
from scaffold.settings.values import (
    Address,
    Allowed,
    Backend,
    CaFactsByName,
    Call,
    Chain,
    ClientSettings,
    Door,
    Files,
    Revocation,
    ServerSettings,
    Source,
)
from scaffold.topology import graph
from scaffold.topology.generations import label
from scaffold.topology.model import (
    NO_DOORS,
    Client,
    Forward,
    HostPort,
    OnUnavailable,
    Party,
    RevocationCheck,
    Server,
    Topology,
    UnixSocket,
)
from scaffold.topology.publication import crl_url, ocsp_url, published_name


def server_settings(t: Topology, server: Server, facts: CaFactsByName) -> ServerSettings:
    """What `server` must be configured with. `facts` must know every CA that issues to one of its callers."""
    trusted = peer_issuers(t, server)
    calls = _calls(t, server, _CLIENT_TRUST)
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
        anchors=trusted_cas(t, server),
        verify_depth=depth(t, trusted, facts),
        allowed=tuple(one for caller in graph.callers(t, server.name) for one in _allowed(caller, server, facts)),
        revocation=_revocation(t, server, facts),
        staple=server.staple,
        must_staple=server.must_staple,
        post_quantum=server.post_quantum,
        calls=calls,
        callee_verify_depth=callee_depth(t, server, facts) if server.calls else 0,
        upstream=next((call for call in calls if call.name == server.upstream), None),
        publish=t.publish,
        backend=_backend(t, server, facts),
    )


def _backend(t: Topology, server: Server, facts: CaFactsByName) -> Backend | None:
    chains = tuple(_chains(t, server, facts)) if Forward.RFC9440 in server.forward else ()
    forward = tuple(each.value for each in server.forward)
    match server.backend:
        case None:
            return None
        case UnixSocket(path):
            return Backend(str(server.backend), None, path, forward, chains)
        case HostPort():
            return Backend(f"http://{server.backend}", _address(server.backend), None, forward, chains)
        case _:
            assert_never(server.backend)


def _chains(t: Topology, server: Server, facts: CaFactsByName) -> Iterator[Chain]:
    """For each key that signs callers' certificates, but for a root, above which there is nothing."""
    for issuer in dict.fromkeys(caller.issuer for caller in graph.callers(t, server.name)):
        for key in facts[issuer].keys:
            if key.chain:
                yield Chain(label(issuer, key.generation), key.subject_dn, key.chain)


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
        verify_depth=callee_depth(t, client, facts),
        revocation=_revocation(t, client, facts),
        calls=_calls(t, client, _TRUST),
        publish=t.publish,
    )


def _address(value: HostPort) -> Address:
    return Address(value.host, value.port, str(value))


_TRUST: Final = "tls/ca.pem"
_CLIENT_TRUST: Final = "tls/client-ca.pem"


def _calls(t: Topology, party: Party, trust: str) -> tuple[Call, ...]:
    """The servers that `party` calls; `trust` is the file of all roots that vouch for any of them."""
    apart = trusts_each_apart(t, party)
    doors = party.doors if isinstance(party, Client) else NO_DOORS
    return tuple(
        _call(t.servers[name], trust_in(trust, name) if apart else trust, doors.get(name)) for name in party.calls
    )


def _call(callee: Server, trust: str, door: HostPort | UnixSocket | None) -> Call:
    expected = server_name(callee)
    return Call(
        name=callee.name,
        host=callee.dial.host,
        port=callee.dial.port,
        server_name=expected,
        url=f"https://{HostPort(expected, callee.dial.port)}/",
        identity=callee.identity if callee.issued_here else None,
        issued_here=callee.issued_here,
        must_staple=callee.must_staple,
        trust=trust,
        door=_door(door),
    )


def _door(door: HostPort | UnixSocket | None) -> Door | None:
    match door:
        case None:
            return None
        case UnixSocket(path):
            return Door(str(door), None, path)
        case HostPort():
            return Door(str(door), _address(door), None)
        case _:
            assert_never(door)


def _allowed(caller: Party, server: Server, facts: CaFactsByName) -> Iterator[Allowed]:
    """One entry for each key that its CA is trusted by, and each way in which its subject may be printed."""
    for key, subject_dn in itertools.product(facts[caller.calling_issuer].keys, _subjects(caller)):
        yield Allowed(
            caller=str(caller.address),
            name=caller.name,
            role="server" if isinstance(caller, Server) else "client",
            identity=caller.identity,
            issuer=caller.calling_issuer,
            signer=label(caller.calling_issuer, key.generation),
            issuer_spki_sha256=key.spki_sha256,
            issuer_dn=key.subject_dn,
            subject_dn=subject_dn,
            gateway=isinstance(caller, Server) and caller.upstream == server.name,
            roles=caller.roles.get(server.name, ()),
        )


def _subjects(caller: Party) -> tuple[str | None, ...]:
    """The subject of the certificate with which it calls, in each way in which it may be printed; None: not known."""
    return (rfc2253(caller.calling_subject),) if caller.has_issued else stated_subjects(caller.identity)


_NOTHING_DEMANDED: Final = Revocation()


def _revocation(t: Topology, party: Party, facts: CaFactsByName) -> Revocation:
    check, on_unavailable = party.check_revocation, party.on_unavailable
    if check is RevocationCheck.NONE:
        return _NOTHING_DEMANDED
    issuers, all_issuers = peer_issuers(t, party), looked_up_issuers(t, party)
    listed = all_issuers if needs_crls(t, party) else ()
    chains = dict.fromkeys(ca.name for name in listed for ca in graph.chain(t, name))
    asked = issuers if check is RevocationCheck.OCSP else ()
    callees = [name for name in all_issuers if name not in issuers] if check is RevocationCheck.OCSP else ()
    return Revocation(
        check.value,
        on_unavailable.value,
        crls=tuple(_crl_sources(t, [name for name in chains if has_crl(t.cas[name])], facts)),
        responders=tuple(_ocsp_sources(t, (name for name in asked if t.cas[name].revocation.ocsp), facts)),
        callee_responders=tuple(_ocsp_sources(t, (name for name in callees if t.cas[name].revocation.ocsp), facts)),
        by_application=check is RevocationCheck.OCSP or on_unavailable is OnUnavailable.ALLOW,
    )


def _crl_sources(t: Topology, names: Iterable[str], facts: CaFactsByName) -> Iterator[Source]:
    """Of each key of each CA, and of those above one that came with the CRLs of its whole chain."""
    if t.publish is None:
        return
    for name in names:
        for key in facts[name].keys:
            url = crl_url(t.publish, published_name(name, key.generation))
            yield Source(label(name, key.generation), key.spki_sha256, url)
        existing = t.cas[name].existing
        brings = existing is not None and (existing.crl or existing.chain_crl) is not None
        for steps, above in enumerate(facts[name].above if brings else (), 1):
            published = crl_name_above(name, steps)
            yield Source(published, above, crl_url(t.publish, published))


def _ocsp_sources(t: Topology, names: Iterable[str], facts: CaFactsByName) -> Iterator[Source]:
    if t.publish is None:
        return
    for name in names:
        for key in facts[name].keys:
            url = ocsp_url(t.publish, published_name(name, key.generation))
            yield Source(label(name, key.generation), key.spki_sha256, url)


def _server_files(t: Topology, server: Server) -> Files:
    found = _files(t, server)
    own = (found.certificate, found.key) if server.one_leaf else (None, None)
    second = (_named(server, material.CLIENT_CERTIFICATE), _named(server, material.CLIENT_KEY))
    return replace(
        found,
        staple="tls/staple.der" if server.staple else None,
        client_certificate=second[0] if server.has_second else own[0],
        client_key=second[1] if server.has_second else own[1],
        client_trust=_named(server, material.CLIENT_TRUST) if server.calls else None,
    )


def _client_files(t: Topology, client: Client) -> Files:
    return _files(t, client)


def _files(t: Topology, party: Party) -> Files:
    """What servers and clients have alike, each by the name that it was given."""
    there = material.standing(t, party)
    found = {field: _named(party, name) for field, name in _LAID_OUT.items() if name in there}
    return Files(**found, key_is_here=party.csr is None)


def _named(party: Party, name: str) -> str:
    return f"tls/{material.name_of(party, name)}"


_LAID_OUT: Final = {
    "certificate": material.CERTIFICATE,
    "key": material.KEY,
    "trust": material.TRUST,
    "intermediates": "intermediates.pem",
    "crl": material.CRL,
    "bundle": "bundle.pfx",
    "bundle_password": "pfx-password",
    "combined": material.COMBINED,
    "truststore": material.TRUSTSTORE,
    "client_combined": material.CLIENT_COMBINED,
    "client_truststore": material.CLIENT_TRUSTSTORE,
}
