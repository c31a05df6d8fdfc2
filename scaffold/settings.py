"""What every server and client must be configured with: one frozen value each. Templates print it and never decide.

`server_settings` and `client_settings` derive it from the topology and from the facts about its CAs.
Paths are relative to the project's own folder, so that a folder copied to another host runs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from scaffold.topology import graph
from scaffold.topology.model import (
    Ca,
    Client,
    HostPort,
    OnUnavailable,
    Party,
    RevocationCheck,
    SanType,
    Server,
    Subject,
    TlsProfile,
    Topology,
)


@dataclass(frozen=True, slots=True)
class CaFacts:
    """What the certificate of a CA says: its subject as an RFC 2253 string as OpenSSL prints it, and its key.

    `spki_sha256` is the lower-case hex SHA-256 of its DER SubjectPublicKeyInfo. `chain_length` counts the certificates
    above it that an existing CA brought in its `chain`, its root included; 0 for every other CA.
    """

    subject_dn: str
    spki_sha256: str
    chain_length: int = 0


@dataclass(frozen=True, slots=True)
class Tls:
    """Protocols, cipher suites and groups by OpenSSL's names, most preferred first (Mozilla guideline 6.0).

    `min_version` is `TLSv1.2` or `TLSv1.3`; `ciphers` are for TLS 1.2 and empty where it is not spoken.
    """

    profile: str
    min_version: str
    ciphers: tuple[str, ...]
    suites: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Allowed:
    """One caller that a server lets in: its identity, and the key of the CA that must have signed its certificate.

    `subject_dn` and `issuer_dn` are whole names for servers that see nothing else (RFC 2253 strings, as nginx prints
    them); `subject_dn` is None for external clients. `gateway`: this server is its upstream, so its `X-Client-Subject`
    and `X-Client-Issuer` are believed.
    """

    name: str
    role: str
    identity: str
    issuer: str
    issuer_spki_sha256: str
    issuer_dn: str
    subject_dn: str | None
    gateway: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One server that may be called. `server_name` is the first of its names: what SNI, Host and the check use.

    `must_staple`: its certificate promises an OCSP staple (RFC 7633).
    """

    name: str
    host: str
    port: int
    server_name: str
    url: str
    identity: str
    must_staple: bool = False


@dataclass(frozen=True, slots=True)
class Files:
    """Where the material lies, relative to the project; None where there is none."""

    certificate: str = "tls/cert.pem"
    key: str = "tls/key.pem"
    trust: str = "tls/ca.pem"
    intermediates: str = "tls/intermediates.pem"
    crl: str | None = None
    bundle: str | None = None
    bundle_password: str | None = None
    staple: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    client_trust: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a CA, known by the SHA-256 of its key as in CaFacts, answers for its certificates over HTTP."""

    ca: str
    spki_sha256: str
    url: str


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is demanded of the peer's certificate: `check` is none, crl or ocsp; `on_unavailable` refuse or allow.

    `crls` are the distribution points of the CRLs in `files.crl`, a self-signed root's too; `responders` are the OCSP
    responders of the CAs that issue to the peers. What a topology without `publish` does not publish is not among them.
    `by_application`: the flags of a TLS library are not enough, since OCSP must be asked, or a CRL may be missing.
    """

    check: str = "none"
    on_unavailable: str = "refuse"
    crls: tuple[Source, ...] = ()
    responders: tuple[Source, ...] = ()
    by_application: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address; `literal` is what stands in a URL or a configuration, IPv6 in brackets: `127.0.0.1:8443`."""

    host: str
    port: int
    literal: str


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything that a server's templates may print."""

    topology: str
    name: str
    address: str
    kind: str
    identity: str
    names: tuple[str, ...]
    listen: Address
    health: Address | None
    tls: Tls
    files: Files
    anchors: tuple[str, ...]
    """The names of the root CAs in `files.trust`."""
    verify_depth: int
    """The most intermediates between a caller's leaf and its root."""
    allowed: tuple[Allowed, ...]
    revocation: Revocation
    staple: bool
    must_staple: bool
    post_quantum: bool
    calls: tuple[Call, ...]
    callee_verify_depth: int
    """The most intermediates between a called server's leaf and its root; 0 where it calls nobody."""
    upstream: Call | None
    publish: str | None


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Everything that a client's templates may print."""

    topology: str
    name: str
    address: str
    kind: str
    identity: str
    tls: Tls
    files: Files
    anchors: tuple[str, ...]
    verify_depth: int
    """The most intermediates between a called server's leaf and its root."""
    revocation: Revocation
    calls: tuple[Call, ...]
    publish: str | None


Settings = ServerSettings | ClientSettings

CaFactsByName = Mapping[str, CaFacts]

_GROUPS = ("X25519", "prime256v1", "secp384r1")
_HYBRID_GROUP = "X25519MLKEM768"
_TLS13_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_TLS12_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)


@functools.cache
def tls_settings(profile: TlsProfile, *, post_quantum: bool = False) -> Tls:
    """A Mozilla server side TLS profile, guideline 6.0 (https://wiki.mozilla.org/Security/Server_Side_TLS).

    X25519MLKEM768 is named only where `post_quantum` asks for it: a TLS library that does not know a group (OpenSSL
    before 3.5) refuses the whole configuration.
    """
    groups = (_HYBRID_GROUP, *_GROUPS) if post_quantum else _GROUPS
    match profile:
        case TlsProfile.MODERN:
            return Tls(profile.value, "TLSv1.3", (), _TLS13_SUITES, groups)
        case TlsProfile.INTERMEDIATE:
            return Tls(profile.value, "TLSv1.2", _TLS12_CIPHERS, _TLS13_SUITES, groups)
        case _:
            assert_never(profile)


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
        anchors=_anchors(t, trusted),
        verify_depth=_depth(t, trusted, facts),
        allowed=tuple(_allowed(caller, server, facts) for caller in graph.callers(t, server.name)),
        revocation=_revocation(t, server, facts),
        staple=server.staple,
        must_staple=server.must_staple,
        post_quantum=server.post_quantum,
        calls=tuple(_call(t.servers[name]) for name in server.calls),
        callee_verify_depth=_depth(t, _callee_issuers(t, server), facts) if server.calls else 0,
        upstream=_call(t.servers[server.upstream]) if server.upstream else None,
        publish=t.publish,
    )


def client_settings(t: Topology, client: Client, facts: CaFactsByName) -> ClientSettings:
    """What `client` must be configured with; an external client has no project and no settings."""
    issuers = _callee_issuers(t, client)
    return ClientSettings(
        topology=t.name,
        name=client.name,
        address=str(client.address),
        kind=client.template,
        identity=client.identity,
        tls=tls_settings(client.tls),
        files=_client_files(t, client),
        anchors=_anchors(t, issuers),
        verify_depth=_depth(t, issuers, facts),
        revocation=_revocation(t, client, facts),
        calls=tuple(_call(t.servers[name]) for name in client.calls),
        publish=t.publish,
    )


def rfc2253(subject: Subject) -> str:
    """A subject as OpenSSL prints it by `XN_FLAG_RFC2253`, and nginx as `$ssl_client_s_dn`.

    Its certificate holds the attributes in the order C, ST, L, O, OU, CN; RFC 2253 2.1 prints them from the last.
    """
    attributes = (
        ("CN", subject.common_name),
        ("OU", subject.organizational_unit),
        ("O", subject.organization),
        ("L", subject.locality),
        ("ST", subject.state),
        ("C", subject.country),
    )
    return ",".join(f"{label}={_escaped(value)}" for label, value in attributes if value)


def _escaped(value: str) -> str:
    """A value by RFC 2253 2.4; control characters and non-ASCII bytes of its UTF-8 as `\\XX` (OpenSSL's ESC_MSB)."""
    if value.isascii() and value.replace(" ", "").replace("-", "").isalnum() and value.strip(" ") == value:
        return value
    last = len(value.encode()) - 1
    return "".join(_escaped_byte(byte, index, last) for index, byte in enumerate(value.encode()))


def _escaped_byte(byte: int, index: int, last: int) -> str:
    character = chr(byte)
    if byte < 0x20 or byte >= 0x7F:
        return f"\\{byte:02X}"
    if character in ',+"\\<>;' or (character == " " and index in (0, last)) or (character == "#" and index == 0):
        return f"\\{character}"
    return character


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


def server_name(callee: Server) -> str:
    """The first name that can be asked for by SNI, or checked as an address."""
    names = (san.value for san in callee.names if san.type in (SanType.DNS, SanType.IP))
    return next(names, callee.dial.host)


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


def _callee_issuers(t: Topology, party: Party) -> tuple[str, ...]:
    """The CAs that issued to the servers that `party` calls; its own where it calls nobody."""
    return tuple(dict.fromkeys(t.servers[name].issuer for name in party.calls)) or (party.issuer,)


def _anchors(t: Topology, issuers: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(graph.root_of(t, name).name for name in issuers))


def _depth(t: Topology, issuers: Iterable[str], facts: CaFactsByName) -> int:
    def intermediates(name: str) -> int:
        chain = graph.chain(t, name)
        root = facts.get(chain[-1].name)
        return len(chain) - 1 + (root.chain_length if root else 0)

    return max(intermediates(name) for name in issuers)


def peer_issuers(t: Topology, party: Party) -> tuple[str, ...]:
    """The CAs that issue to those who call a server, or to those whom a client calls; its own where there are none."""
    if isinstance(party, Server):
        return party.trusts or (party.issuer,)
    return _callee_issuers(t, party)


def needs_crls(t: Topology, party: Party) -> bool:
    """Whether `files.crl` is there. With OCSP it is asked about the intermediates, whose issuer may have no responder.

    A root vouches for itself: it needs no CRL entry, and a leaf that it has issued itself needs OCSP alone.
    """
    match party.check_revocation:
        case RevocationCheck.NONE:
            return False
        case RevocationCheck.CRL:
            return True
        case RevocationCheck.OCSP:
            return any(_has_intermediate(t, name) for name in peer_issuers(t, party))
        case _:
            assert_never(party.check_revocation)


def _has_intermediate(t: Topology, issuer: str) -> bool:
    top = graph.chain(t, issuer)[-1]
    return len(graph.chain(t, issuer)) > 1 or (top.existing is not None and top.existing.chain is not None)


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
        crls=tuple(_sources(t, (name for name in chains if has_crl(t.cas[name])), "crl/{}.crl", facts)),
        responders=tuple(_sources(t, (name for name in asked if t.cas[name].revocation.ocsp), "ocsp/{}", facts)),
        by_application=check is RevocationCheck.OCSP or on_unavailable is OnUnavailable.ALLOW,
    )


def _sources(t: Topology, names: Iterable[str], path: str, facts: CaFactsByName) -> Iterator[Source]:
    if t.publish is not None:
        base = t.publish.rstrip("/")
        for name in names:
            yield Source(name, facts[name].spki_sha256, f"{base}/{path.format(name)}")


def has_crl(ca: Ca) -> bool:
    """Whether there is a CRL of the CA: one that is signed here, or one that came with it."""
    return ca.issues_here or (ca.existing is not None and ca.existing.crl is not None)


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
