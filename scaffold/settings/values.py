"""The values that templates print, and the facts about CAs that they come from; `derivation` makes them.

Paths are relative to the project's own folder, so that a folder copied to another host runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scaffold.topology.generations import FIRST


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the certificate of one generation of a CA says: its subject, and its key.

    `subject_dn` is an RFC 2253 string as OpenSSL prints it, `spki_sha256` the lower-case hex SHA-256 of the DER
    SubjectPublicKeyInfo. `chain` is what is behind a leaf that this key signs, without the root: DER in base64.
    """

    subject_dn: str
    spki_sha256: str
    generation: int = FIRST
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaFacts:
    """The keys by which a CA is trusted: one, but for two while it is given another key.

    `chain_length` counts the certificates above it that an existing CA brought in its `chain`, its root included; 0 for
    every other CA. `above` are their keys, upwards.
    """

    keys: tuple[KeyFacts, ...]
    chain_length: int = 0
    above: tuple[str, ...] = ()


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

    While its CA has two keys, a caller is listed once for each; so it is where its subject may be printed in several
    ways. `identity` is a URI, `dns:NAME` or `subject:NAME`. `caller` is its address; `issuer` is the CA's name, and
    `signer` tells the CA's keys apart: `issuing`, `issuing@2`.

    `subject_dn` and `issuer_dn` are whole names for servers that see nothing else (RFC 2253 strings, as OpenSSL prints
    them); `subject_dn` is None where that of a certificate from elsewhere is not known. `gateway`: this server is its
    upstream, so its `X-Client-Subject`, `X-Client-Issuer` and `X-Client-Roles` are believed. `roles` are what it may be
    here.
    """

    caller: str
    name: str
    role: str
    identity: str
    issuer: str
    signer: str
    issuer_spki_sha256: str
    issuer_dn: str
    subject_dn: str | None
    gateway: bool
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address; `literal` is what is in a URL or a configuration, IPv6 in brackets: `127.0.0.1:8443`."""

    host: str
    port: int
    literal: str


@dataclass(frozen=True, slots=True)
class Door:
    """Where programs that speak no TLS find a server, in plain: at `address`, or at the Unix socket `socket`.

    `literal` is how the topology has it: `127.0.0.1:7001`, `unix:/path`.
    """

    literal: str
    address: Address | None
    socket: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One server that may be called. `server_name` is the first of its names: what SNI, Host and the check use.

    `identity` is None of a certificate from elsewhere, which has none: its name is all that is asked of it.
    `must_staple`: its certificate promises an OCSP staple (RFC 7633). `trust` is the file of the roots that vouch for
    it, and for no other server where these lead to several.
    """

    name: str
    host: str
    port: int
    server_name: str
    url: str
    identity: str | None
    must_staple: bool = False
    trust: str = "tls/ca.pem"
    issued_here: bool = True
    """Whether a CA of the topology issues its certificate: of others nobody here knows what is revoked."""
    door: Door | None = None
    """Of a client with doors: that which leads to it."""


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
    """The first two are the server's own where it calls with the certificate with which it serves."""
    combined: str | None = None
    truststore: str | None = None
    client_combined: str | None = None
    client_truststore: str | None = None
    key_is_here: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """Where a CA, known by the SHA-256 of its key as in KeyFacts, answers for its certificates over HTTP.

    `ca` is its name, `NAME@2` for the key of its second generation.
    """

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
    callee_responders: tuple[Source, ...] = ()
    """Of a server that asks by OCSP: the responders of the CAs that issue to those whom it calls, and to nobody who
    calls it."""
    by_application: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """The certificates above those that one key of a CA signs, without the root: DER in base64, the nearest first."""

    signer: str
    issuer_dn: str
    certificates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """The app behind a front, in plain HTTP.

    `url` is how the topology has it, `http://127.0.0.1:5000` or `unix:/path`; `address` is where it listens, None of
    the Unix socket at `socket`. `forward` names how it is told who called (x-client, rfc9440, xfcc, arr), in the
    topology's order. `chains`, by which a certificate of each caller was believed, are there for rfc9440 alone.
    """

    url: str
    address: Address | None
    socket: str | None
    forward: tuple[str, ...]
    chains: tuple[Chain, ...] = ()


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
    backend: Backend | None = None


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
