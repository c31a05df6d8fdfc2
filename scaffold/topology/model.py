"""The topology as frozen values: what `load` returns and every other room reads.

Every value is complete: defaults are merged in, references are known to exist, names are in their canonical form
(DNS names as lower-case A-labels, IP addresses compressed). Order is the file's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from scaffold.errors import Place
from scaffold.topology.address import Address


class KeyType(enum.StrEnum):
    """The key algorithms of the language."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    EC_P521 = "ec-p521"
    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"


ML_DSA = frozenset({KeyType.ML_DSA_44, KeyType.ML_DSA_65, KeyType.ML_DSA_87})
"""Whose signatures differ each time (FIPS 204 3.4), and which not every TLS library knows."""


class TlsProfile(enum.StrEnum):
    """Mozilla's server side TLS profiles, guideline 6.0."""

    MODERN = "modern"
    INTERMEDIATE = "intermediate"


class RevocationCheck(enum.StrEnum):
    """What a relying party demands to know of its peer's revocation."""

    NONE = "none"
    CRL = "crl"
    OCSP = "ocsp"


class OnUnavailable(enum.StrEnum):
    """What a relying party does when the source of revocation cannot be had."""

    REFUSE = "refuse"
    ALLOW = "allow"


class Fault(enum.StrEnum):
    """The one thing that is wrong, on purpose, with a certificate."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_CA = "wrong-ca"
    """Signed by a foreign CA with the issuer's name."""
    SELF_SIGNED = "self-signed"
    WRONG_EKU = "wrong-eku"
    """The other role's EKU: serverAuth on a client, clientAuth on a server."""
    NO_EKU = "no-eku"
    WRONG_NAME = "wrong-name"
    """Another identity (client) or other DNS names (server) than the drawn ones."""
    NO_SAN = "no-san"
    UNKNOWN_CRITICAL = "unknown-critical"
    NUL_IN_NAME = "nul-in-name"
    VERSION_1 = "version-1"
    UNKNOWN_CA = "unknown-ca"
    """Signed by a CA that nobody trusts and that has a name of its own."""
    ISSUED_BY_LEAF = "issued-by-leaf"
    EXPIRED_INTERMEDIATE = "expired-intermediate"
    MISSING_INTERMEDIATE = "missing-intermediate"
    ISSUER_NOT_A_CA = "issuer-not-a-ca"
    PATH_LENGTH = "path-length"
    NAME_CONSTRAINTS = "name-constraints"
    REVOKED = "revoked"


class FileFault(enum.StrEnum):
    """Faults that no server is given: what has one is made as files alone, for tests."""

    WEAK_KEY = "weak-key"
    SHA1_SIGNATURE = "sha1-signature"
    KEY_MISMATCH = "key-mismatch"
    SAME_SERIAL = "same-serial"
    SIBLING_CA = "sibling-ca"
    SAME_NAME_CA = "same-name-ca"


class SanType(enum.StrEnum):
    """The general names a certificate may carry here (RFC 5280 4.2.1.6)."""

    DNS = "dns"
    IP = "ip"
    EMAIL = "email"
    URI = "uri"


class Forward(enum.StrEnum):
    """How the app behind a front is told who called: by which headers."""

    X_CLIENT = "x-client"
    """`X-Client-Identity`, `-Subject`, `-Issuer`, `-Roles`, and `X-On-Behalf-Of-…` of whom a gateway calls for."""
    RFC9440 = "rfc9440"
    """`Client-Cert` and `Client-Cert-Chain`."""
    XFCC = "xfcc"
    """Envoy's `X-Forwarded-Client-Cert`."""
    ARR = "arr"
    """`X-ARR-ClientCert`, as IIS and Azure send it and ASP.NET Core reads it."""


class IdentityForm(enum.StrEnum):
    """Of what sort the name is by which a caller is known."""

    URI = "uri"
    DNS = "dns"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class San:
    """One subject alternative name: an A-label DNS name (`*.` allowed in front), an IP, an e-mail address or a URI."""

    type: SanType
    value: str

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Subject:
    """A distinguished name; what is None is left out. `common_name` is always set once a topology is loaded."""

    common_name: str = ""
    organization: str | None = None
    organizational_unit: str | None = None
    country: str | None = None
    state: str | None = None
    locality: str | None = None


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP address: `host` is an IP address or a DNS name, IPv6 without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A Unix socket, by its absolute path."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Backend = HostPort | UnixSocket
"""Where an app of one's own listens in plain HTTP."""

Door = HostPort | UnixSocket
"""Where a server is found in plain, by programs of the same machine that speak no TLS."""

Doors = Mapping[str, Door]
"""By the name of the server that is behind it."""

NO_DOORS: Doors = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ReadyPath:
    """An app is ready once this path answers 200."""

    path: str


@dataclass(frozen=True, slots=True)
class ReadyLine:
    """An app is ready once it prints a line in which this regular expression is found."""

    pattern: str


@dataclass(frozen=True, slots=True)
class App:
    """The app behind a front, from any cookiecutter template: a folder, a zip file or a repository.

    `checkout` is a branch, tag or commit of a repository, `directory` where in it the template lies. `run` is the
    command that starts the app in its folder; empty where a person starts it.
    """

    template: str
    checkout: str | None = None
    directory: str | None = None
    vars: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    run: tuple[str, ...] = ()
    ready: ReadyPath | ReadyLine | None = None


@dataclass(frozen=True, slots=True)
class EnvSecret:
    """A secret in an environment variable."""

    variable: str


@dataclass(frozen=True, slots=True)
class FileSecret:
    """A secret in the first line of a file."""

    path: Path


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A secret that apply makes once and keeps."""


Secret = EnvSecret | FileSecret | GeneratedSecret


@dataclass(frozen=True, slots=True)
class RenewBefore:
    """How long before its end a certificate is due: a share of its lifetime, or a fixed time."""

    share: float | None = None
    duration: timedelta | None = None

    def of(self, lifetime: timedelta) -> timedelta:
        """The renewal window of a certificate that lives `lifetime`."""
        if self.duration is not None:
            return self.duration
        return lifetime * (self.share if self.share is not None else 0.33)


@dataclass(frozen=True, slots=True)
class Revocation:
    """Which pointers the certificates that a CA issues carry, and how long each answer stays valid; None: none."""

    crl: timedelta | None = None
    ocsp: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """RFC 5280 4.2.1.10: `permitted` and `excluded` by type of name; IP values are networks in CIDR notation."""

    permitted: Mapping[SanType, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    excluded: Mapping[SanType, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Existing:
    """A CA that was made elsewhere. Paths are absolute; without `key` it issues nothing here.

    `crl` brings the CRLs of all CAs of its chain; with `chain_crl` its own is signed here, and those above are brought.
    """

    certificate: Path
    key: Path | None = None
    chain: Path | None = None
    crl: Path | None = None
    chain_crl: Path | None = None


@dataclass(frozen=True, slots=True)
class ExistingLeaf:
    """The certificate of a server or client that somebody else issues and renews. Paths are absolute.

    `trust` holds the roots that vouch for a server. `identity` is how a client is known, as of an external one.
    """

    certificate: Path
    key: Path
    chain: Path | None = None
    trust: Path | None = None
    key_password: EnvSecret | FileSecret | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Pfx:
    """A PKCS#12 bundle beside the PEM files. `legacy`: 3DES and SHA-1, for readers that know no PBES2."""

    password: Secret
    legacy: bool = False


class Anchor(enum.StrEnum):
    """Which certificates of CAs a trust file holds."""

    ROOT = "root"
    ISSUER = "issuer"
    """Those that issue to the peers, for programs that take an intermediate for a trust anchor."""


@dataclass(frozen=True, slots=True)
class Chown:
    """Whose files are: a user and a group, by name or number; None leaves it as it is."""

    user: str | None = None
    group: str | None = None

    def __str__(self) -> str:
        return f"{self.user or ''}:{self.group}" if self.group is not None else (self.user or "")


NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Files:
    """How `tls/` is laid out for a program that reads files and nothing else.

    `mode` is that of the files with a secret. `combined`: key, leaf and chain in one file; `truststore`: the trusted
    certificates as PKCS#12. `client_combined` and `client_truststore` are those of a second certificate. `names` are
    further names of files in `tls/`, by the name that they have everywhere.
    """

    chown: Chown | None = None
    mode: int | None = None
    combined: bool = False
    truststore: bool = False
    client_combined: bool = False
    client_truststore: bool = False
    anchor: Anchor = Anchor.ROOT
    names: Mapping[str, str] = field(default_factory=lambda: NO_NAMES)


@dataclass(frozen=True, slots=True)
class CallingLeaf:
    """What a server's second certificate is, where it is not as the first; `names` are beside its identity."""

    issuer: str
    subject: Subject
    key: KeyType
    names: tuple[San, ...] = ()


@dataclass(frozen=True, slots=True)
class Ca:
    """A certification authority. `issuer` is another CA's name, or None where it is self-signed (or existing).

    `owner` is text for people, here and below: nothing is decided by it, and nothing rendered from it.
    """

    name: str
    issuer: str | None
    subject: Subject
    key: KeyType
    lifetime: timedelta
    renew_before: RenewBefore
    path_length: int | None = None
    key_password: Secret | None = None
    revocation: Revocation = Revocation()
    name_constraints: NameConstraints | None = None
    existing: Existing | None = None
    owner: str | None = None
    address: Address = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", Address.ca(self.name))

    @property
    def issues_here(self) -> bool:
        """Whether its key is (or will be) at hand."""
        return self.existing is None or self.existing.key is not None


Roles = Mapping[str, tuple[str, ...]]
"""By the server that is called."""

NO_ROLES: Roles = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Server:
    """A service that listens. `calls` makes it a caller too, with a second certificate for clientAuth.

    `roles` are those that it has at the servers it calls; where it has none, the server is left out.
    `names` is every SAN but the identity; the first is what callers expect. `dial` is where callers find it.
    `trusts` holds CA names: the issuing CAs it accepts callers from, derived from its callers unless set.
    Where `existing` is set, `issuer`, `subject`, `key` and dates are those of its second certificate alone: `issuer` is
    empty where it has none. `csr`: the request over a key that is not here.
    `forward` is how the app at `backend` is told who called; empty where there is none, or it is told nothing.
    `one_leaf`: the certificate with which it serves is the one with which it calls. `calling` is what its second one
    is, where that differs. `accepts` holds CA names: whoever has a client's certificate of one of these may call.
    """

    name: str
    template: str
    issuer: str
    subject: Subject
    key: KeyType
    lifetime: timedelta
    renew_before: RenewBefore
    tls: TlsProfile
    listen: HostPort
    dial: HostPort
    names: tuple[San, ...]
    identity: str
    calls: tuple[str, ...] = ()
    roles: Roles = field(default_factory=lambda: NO_ROLES)
    trusts: tuple[str, ...] = ()
    upstream: str | None = None
    backend: Backend | None = None
    app: App | None = None
    forward: tuple[Forward, ...] = ()
    check_revocation: RevocationCheck = RevocationCheck.NONE
    on_unavailable: OnUnavailable = OnUnavailable.REFUSE
    staple: bool = False
    must_staple: bool = False
    health: HostPort | None = None
    pfx: Pfx | None = None
    post_quantum: bool = False
    fault: Fault | None = None
    existing: ExistingLeaf | None = None
    csr: Path | None = None
    one_leaf: bool = False
    calling: CallingLeaf | None = None
    accepts: tuple[str, ...] = ()
    files: Files | None = None
    owner: str | None = None
    vars: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    address: Address = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", Address.server(self.name))

    @property
    def has_second(self) -> bool:
        """Whether it calls with a certificate of its own."""
        return bool(self.calls) and not self.one_leaf

    @property
    def calling_issuer(self) -> str:
        """The CA of the certificate with which it calls."""
        return self.calling.issuer if self.calling is not None else self.issuer

    @property
    def calling_subject(self) -> Subject:
        """The subject of the same."""
        return self.calling.subject if self.calling is not None else self.subject

    @property
    def calling_key(self) -> KeyType:
        """The type of its key."""
        return self.calling.key if self.calling is not None else self.key

    @property
    def issued_here(self) -> bool:
        """Whether its own certificate is."""
        return self.existing is None

    @property
    def is_external(self) -> bool:
        """Whether it has no project here: a server always has one."""
        return False

    @property
    def has_issued(self) -> bool:
        """Whether a certificate is issued to it here: its own, or the one with which it calls."""
        return self.issued_here or bool(self.calls)


@dataclass(frozen=True, slots=True)
class External:
    """A client whose certificate is issued elsewhere: allowed in, no project, no certificate.

    `identity` is a URI, or `dns:` and a DNS name, or `subject:` and a distinguished name (RFC 2253).
    """

    issuer: str
    identity: str


@dataclass(frozen=True, slots=True)
class Client:
    """A service that only calls.

    Where `external` or `existing` is set, `issuer` and `identity` are those of a certificate from elsewhere, of which
    nothing else is known here. `roles` are as in Server. `doors` say where programs that speak no TLS find the servers
    that it calls.
    """

    name: str
    template: str
    issuer: str
    subject: Subject
    key: KeyType
    lifetime: timedelta
    renew_before: RenewBefore
    tls: TlsProfile
    identity: str
    names: tuple[San, ...] = ()
    calls: tuple[str, ...] = ()
    roles: Roles = field(default_factory=lambda: NO_ROLES)
    check_revocation: RevocationCheck = RevocationCheck.NONE
    on_unavailable: OnUnavailable = OnUnavailable.REFUSE
    pfx: Pfx | None = None
    fault: Fault | None = None
    external: External | None = None
    existing: ExistingLeaf | None = None
    csr: Path | None = None
    files: Files | None = None
    doors: Doors = field(default_factory=lambda: NO_DOORS)
    owner: str | None = None
    vars: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    address: Address = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", Address.client(self.name))

    @property
    def has_second(self) -> bool:
        """Whether it calls with another certificate than its own: never."""
        return False

    @property
    def calling_issuer(self) -> str:
        """The CA of the certificate with which it calls: it has no other."""
        return self.issuer

    @property
    def calling_subject(self) -> Subject:
        """The subject of the same."""
        return self.subject

    @property
    def calling_key(self) -> KeyType:
        """The type of its key."""
        return self.key

    @property
    def issued_here(self) -> bool:
        """Whether its certificate is."""
        return self.external is None and self.existing is None

    @property
    def is_external(self) -> bool:
        """Whether it has no project here."""
        return self.external is not None

    @property
    def has_issued(self) -> bool:
        """The same: it has no other."""
        return self.issued_here


Party = Server | Client


REPRODUCIBLE_LIFETIME = timedelta(days=50 * 365)
"""Of whatever a reproducible topology gives no lifetime, CRLs and OCSP responses included: it works on any day."""


@dataclass(frozen=True, slots=True)
class Reproducible:
    """A test environment that is the same wherever it is made: all of it follows from `seed` and the moment `at`."""

    seed: Secret
    at: datetime


@dataclass(frozen=True)
class Topology:
    """The whole file. `places` says where a value is, by paths such as `("servers", "accounts", "names", 0)`.

    `text` is what is in it. `trust_domain` is that of default identities.
    """

    name: str
    source: Path
    cas: Mapping[str, Ca]
    servers: Mapping[str, Server]
    clients: Mapping[str, Client]
    publish: str | None = None
    reproducible: Reproducible | None = None
    places: Mapping[tuple[str | int, ...], Place] = field(default_factory=lambda: MappingProxyType({}), compare=False)
    text: bytes = field(default=b"", compare=False, repr=False)
    trust_domain: str = ""

    @cached_property
    def callers(self) -> Mapping[str, tuple[Party, ...]]:
        """Who is drawn to call each server that is called."""
        found: dict[str, list[Party]] = {}
        parties: tuple[Party, ...] = (*self.servers.values(), *self.clients.values())
        for party in parties:
            for name in party.calls:
                found.setdefault(name, []).append(party)
        return MappingProxyType({name: tuple(callers) for name, callers in found.items()})

    @cached_property
    def vouching(self) -> Mapping[str, str]:
        """What vouches for each server: the name of the root above it, or its own address where it brings its roots."""
        return {
            server.name: self._root(server.issuer) if server.issued_here else str(server.address)
            for server in self.servers.values()
        }

    def _root(self, ca: str) -> str:
        while (issuer := self.cas[ca].issuer) is not None:
            ca = issuer
        return ca

    def calls_place(self, party: Party, called: str) -> Place | None:
        """Where an edge is: at the caller, or in the defaults that it was taken from, or else the caller."""
        own = (party.address.role.section, party.name)
        steps = (called, party.calls.index(called))
        known = (self.places.get((*path, "calls", step)) for path in (own, ("defaults",)) for step in steps)
        return next((place for place in known if place is not None), None) or self.place(*own, "calls")

    def place(self, *path: str | int) -> Place | None:
        """Where the value at `path` is, or the nearest thing around it that was written."""
        for end in range(len(path), 0, -1):
            if (found := self.places.get(path[:end])) is not None:
                return found
        return None
