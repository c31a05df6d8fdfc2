"""What every server and client must be configured with: one frozen value each. Templates print it and never decide.

`server_settings` and `client_settings` derive it from the topology and from the facts about its CAs.
Paths are relative to the project's own folder, so that a folder copied to another host runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaFacts:
    """What the certificate of a CA says: its subject as an RFC 2253 string as OpenSSL prints it, and its key.

    `spki_sha256` is the lower-case hex SHA-256 of its DER SubjectPublicKeyInfo.
    """

    subject_dn: str
    spki_sha256: str


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
    """One server that may be called. `server_name` is the first of its names: what SNI, Host and the check use."""

    name: str
    host: str
    port: int
    server_name: str
    url: str
    identity: str


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
class Revocation:
    """What is demanded of the peer's certificate: `check` is none, crl or ocsp; `on_unavailable` refuse or allow."""

    check: str = "none"
    on_unavailable: str = "refuse"


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
