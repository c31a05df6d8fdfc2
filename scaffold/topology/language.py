"""The topology language: every key, what it holds, what it means. Loader and JSON Schema are both made of this."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from scaffold.topology import durations, moments, names
from scaffold.topology.address import Role
from scaffold.topology.faults import ABOUT
from scaffold.topology.fields import (
    Choice,
    Exactly,
    Field,
    FilePath,
    Flag,
    ListOf,
    Mapped,
    Named,
    NamesWithLists,
    Table,
    Text,
    TextOr,
    Variables,
    Whole,
    WordOr,
)
from scaffold.topology.messages import Invalid, shown
from scaffold.topology.model import (
    Anchor,
    App,
    EnvSecret,
    Existing,
    ExistingLeaf,
    External,
    Fault,
    Files,
    FileSecret,
    Forward,
    GeneratedSecret,
    KeyType,
    NameConstraints,
    OnUnavailable,
    Pfx,
    ReadyLine,
    RenewBefore,
    Reproducible,
    Revocation,
    RevocationCheck,
    SanType,
    Secret,
    TlsProfile,
)

KEY_DEFAULT = KeyType.EC_P256
LEAF_LIFETIME = timedelta(days=90)
RENEW_DEFAULT = RenewBefore(share=0.33)
FORWARD_DEFAULT = (Forward.X_CLIENT,)

LONGEST_COMMON_NAME = 64
LONGEST_OWNER = 64

SHARE_PATTERN = r"^[1-9][0-9]?%$"


def _renew_before(text: str) -> RenewBefore:
    if re.fullmatch(r"[1-9][0-9]?%", text):
        return RenewBefore(share=int(text[:-1]) / 100)
    if text.endswith("%"):
        raise Invalid(f"{shown(text)} is not a share of a lifetime", "1% to 99%, or a duration such as 30d")
    return RenewBefore(duration=durations.parse_duration(text))


def _at_most(longest: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if len(names.text_without_controls(text)) > longest:
            raise Invalid(
                f"{shown(text)} is longer than {longest} characters", "X.520's upper bound (RFC 5280 appendix A.1)"
            )
        return text

    return parse


def _owner(text: str) -> str:
    if len(names.text_without_controls(text)) > LONGEST_OWNER:
        raise Invalid(f"{shown(text)} is longer than {LONGEST_OWNER} characters", "the name of a team or a person")
    return text


def _secret(values: dict[str, Any]) -> Secret:
    if "env" in values:
        return EnvSecret(values["env"])
    return FileSecret(values["file"]) if "file" in values else GeneratedSecret()


def _existing(values: dict[str, Any]) -> Existing:
    return Existing(**values)


def _general_names(values: dict[str, Any]) -> MappingProxyType[SanType, tuple[str, ...]]:
    return MappingProxyType({SanType(name): constraints for name, constraints in values.items()})


LABEL = Text("a name", names.label, names.LABEL_PATTERN)
ADDRESS = Text("an address (host:port)", names.host_port)
DOOR = Text("a door", names.door, names.DOOR_PATTERN)
DURATION = Text("a duration", durations.parse_duration, durations.PATTERN)
RENEW = Text("a share of the lifetime or a duration", _renew_before, f"{SHARE_PATTERN}|{durations.PATTERN}")
KEY = Choice("a type of key", KeyType)
PROFILE = Choice("a TLS profile", TlsProfile)
CHECK = Choice("a way to check revocation", RevocationCheck)
UNAVAILABLE = Choice("a value of on_unavailable", OnUnavailable)
FAULT = Choice(
    "a fault",
    Fault,
    {
        one: f"{about.only_a_file}: `broken` of the pytest plugin makes it as files"
        for one, about in ABOUT.items()
        if about.only_a_file is not None
    },
)
CALLS = NamesWithLists(
    "servers",
    LABEL,
    ListOf("roles", Text("a role", names.role, names.ROLE_PATTERN), most=32),
    "{accounts: [reader], gateway: []}",
)
SAN_LIST = ListOf("names", Text("a name", names.san))
TEMPLATE = Text("a template", names.path_text)
VARIABLES = Variables()

_GIVEN = (
    Field(
        "env",
        Text("a variable's name", names.environment_variable, names.ENVIRONMENT_PATTERN),
        "An environment variable that holds the secret.",
    ),
    Field("file", FilePath(), "A file whose first line is the secret."),
)

SECRET = Table(
    "a secret",
    (
        *_GIVEN,
        Field("generate", Exactly("true", value=True), "Generated once by apply, and kept."),
    ),
    _secret,
    ref="secret",
    alone=True,
)

PASSWORD = Table(
    "a password",
    _GIVEN,
    _secret,
    alone=True,
)

OWNER = Text("an owner", _owner)
IDENTITY = Text("an identity", names.stated_identity)

SUBJECT = Table(
    "a subject",
    (
        Field(
            "common_name",
            Text("a common name", _at_most(LONGEST_COMMON_NAME)),
            "CN. Default: its own name, followed by its role if Java would apply name_constraints to the name alone.",
        ),
        Field("organization", Text("an organization", _at_most(64)), "O, the organization."),
        Field("organizational_unit", Text("an organizational unit", _at_most(64)), "OU, the unit within it."),
        Field("country", Text("a country", names.country, names.COUNTRY_PATTERN), "C, two letters (ISO 3166)."),
        Field("state", Text("a state", _at_most(128)), "ST, a state or province."),
        Field("locality", Text("a locality", _at_most(128)), "L, a town."),
    ),
    ref="subject",
)

GENERAL_NAMES = Table(
    "a set of name constraints",
    (
        Field(
            "dns", ListOf("DNS subtrees", Text("a DNS subtree", names.dns_constraint), 1), "A name and all below it."
        ),
        Field("ip", ListOf("IP networks", Text("an IP network", names.network), 1), "Networks in CIDR notation."),
        Field(
            "email",
            ListOf("e-mail constraints", Text("a mailbox or host", names.email_constraint), 1),
            "A mailbox, a host, or .domain.",
        ),
        Field(
            "uri",
            ListOf("URI constraints", Text("a host", names.uri_constraint), 1),
            "A host, or .domain for those below it.",
        ),
    ),
    _general_names,
    ref="generalNames",
    least=1,
)

NAME_CONSTRAINTS = Table(
    "name_constraints",
    (
        Field("permitted", GENERAL_NAMES, "The only names of these types that may be issued below this CA."),
        Field("excluded", GENERAL_NAMES, "Names that may not be issued below this CA, permitted or not."),
    ),
    lambda values: NameConstraints(**values),
    least=1,
)

REVOCATION = Table(
    "revocation",
    (
        Field("crl", DURATION, "Certificates point to a CRL; how long each CRL stays valid."),
        Field("ocsp", DURATION, "Certificates point to an OCSP responder; how long each response stays valid."),
    ),
    lambda values: Revocation(**values),
)

EXISTING = Table(
    "an existing CA",
    (
        Field("certificate", FilePath(), "Its certificate.", required=True),
        Field("key", FilePath(), "Its private key; without it nothing is issued here."),
        Field("chain", FilePath(), "The certificates above it, up to its root."),
        Field("crl", FilePath(), "The CRLs of all CAs of the chain."),
        Field("chain_crl", FilePath(), "The CRLs of the CAs above it, where its own is signed here."),
    ),
    _existing,
)

EXISTING_LEAF = Table(
    "an existing certificate",
    (
        Field("certificate", FilePath(), "The certificate, and those above it in any order.", required=True),
        Field("key", FilePath(), "Its private key, in PEM.", required=True),
        Field("chain", FilePath(), "The certificates above it, if they are in another file."),
        Field("trust", FilePath(), "Of a server: the roots with which its callers verify it, and nothing else."),
        Field("key_password", PASSWORD, "The password of the key, if it is encrypted."),
        Field("identity", IDENTITY, "Of a client: the identity by which servers know it."),
    ),
    lambda values: ExistingLeaf(**values),
    ref="existingLeaf",
)

PFX = Table(
    "pfx",
    (
        Field("password", SECRET, "The password of the bundle.", required=True),
        Field("legacy", Flag(), "With 3DES and SHA-1, for programs that cannot read PBES2.", default=False),
    ),
    lambda values: Pfx(**values),
    ref="pfx",
)

FILES = Table(
    "files",
    (
        Field(
            "chown",
            Text("a user and a group", names.chown, names.CHOWN_PATTERN),
            "The owner of `tls/`, its files and the folder above it: user:group, by name or number.",
        ),
        Field(
            "mode",
            Text("the rights of a file", names.mode, names.MODE_PATTERN),
            "The rights of the files with a private key or a password, in octal. Default: 0600.",
        ),
        Field("combined", Flag(), "Makes `combined.pem`: key, certificate and chain in one file.", default=False),
        Field("truststore", Flag(), "Makes `truststore.p12` for Java, with the password `changeit`.", default=False),
        Field("client_combined", Flag(), "Makes `client-combined.pem` from a second certificate.", default=False),
        Field(
            "client_truststore", Flag(), "Makes `client-truststore.p12`, for the servers that it calls.", default=False
        ),
        Field(
            "anchor",
            Choice("the content of a trust file", Anchor),
            "The content of a server's `ca.pem`: the roots above its callers' CAs, or these CAs themselves.",
            default=Anchor.ROOT,
        ),
        Field(
            "names",
            Mapped(
                "names of files",
                Text("the name of a file in tls/", names.file_name, names.FILE_NAME_PATTERN),
                Text("the name of a file", names.file_name, names.FILE_NAME_PATTERN),
                "{cert.pem: server.crt, key.pem: server.key}",
            ),
            "A second name for a file: {cert.pem: server.crt}.",
        ),
    ),
    lambda values: Files(**values),
    ref="files",
)

READY_LINE = Table(
    "a line of an app",
    (
        Field(
            "line",
            Text("a regular expression", names.ready_line),
            "A pattern for a line that the app prints.",
            required=True,
        ),
    ),
    lambda values: ReadyLine(values["line"]),
)

APP = Table(
    "an app",
    (
        Field("template", TEMPLATE, "Any cookiecutter template: a folder, a zip file, or a repository.", required=True),
        Field(
            "checkout",
            Text("a branch, tag or commit", names.checkout, names.CHECKOUT_PATTERN),
            "The branch, tag or commit of a repository. Default: its default branch.",
        ),
        Field(
            "directory",
            Text("a folder within the template", names.directory, names.DIRECTORY_PATTERN),
            "The folder of the template in it, if it has several.",
        ),
        Field(
            "vars",
            Variables(nested=True),
            "Answers to the template's questions; Jinja in them is an error.",
            default=MappingProxyType({}),
        ),
        Field(
            "run",
            ListOf("arguments of app.run", Text("an argument", names.argument), 1, repeats=True, separator=None),
            "The command with which `up` starts it, in its folder; without it you start the app yourself.",
        ),
        Field(
            "ready",
            TextOr(Text("a path", names.ready_path, names.READY_PATTERN), READY_LINE),
            "When it is ready: a path that answers 200, or {line: REGEX}. Default: when it listens.",
        ),
    ),
    lambda values: App(**values),
    ref="app",
)

SAME = "same"

CLIENT_SIDE = Table(
    "a second certificate",
    (
        Field("issuer", LABEL, "The CA that issues it, if that is another CA."),
        Field("names", SAN_LIST, "Its SANs, in addition to the identity."),
        Field("subject", SUBJECT, "Its distinguished name; attributes left out are those of the first certificate."),
        Field("key", KEY, "The type of its key."),
    ),
    ref="clientSide",
    least=1,
)

EXTERNAL = Table(
    "an external client",
    (
        Field("issuer", LABEL, "The CA that issues its certificate.", required=True),
        Field("identity", IDENTITY, "The name in its certificate: a URI, dns:NAME, or subject:NAME.", required=True),
    ),
    lambda values: External(**values),
)

CA_FIELDS = (
    Field("issuer", LABEL, "The CA above it. Without it, it is self-signed.", inherited=False),
    Field("subject", SUBJECT, "Its distinguished name.", default=MappingProxyType({})),
    Field("key", KEY, "The type of its key.", default=KEY_DEFAULT),
    Field(
        "lifetime", DURATION, "The lifetime of its certificate. Default: 10y if self-signed, else 5y.", inherited=False
    ),
    Field(
        "renew_before",
        RENEW,
        "How long before expiry it is renewed: a share of its lifetime, or a duration.",
        RENEW_DEFAULT,
        "33%",
        inherited=False,
    ),
    Field("path_length", Whole("a path length", 0, 100), "How many CAs may follow below it (RFC 5280 4.2.1.9)."),
    Field("key_password", SECRET, "The password that encrypts its key."),
    Field(
        "revocation", REVOCATION, "Which of CRL and OCSP its certificates point to, and how long each answer is valid."
    ),
    Field("name_constraints", NAME_CONSTRAINTS, "The names that may be issued below it (RFC 5280 4.2.1.10)."),
    Field("existing", EXISTING, "A CA that was made elsewhere.", inherited=False),
    Field("owner", OWNER, "The responsible team or person, for `report` and `graph`."),
)

_LEAF_FIELDS = (
    Field("template", TEMPLATE, "A folder under templates/, a path, or a cookiecutter repository."),
    Field("issuer", LABEL, "The CA that issues its certificates. Default: the only CA that issues leaves."),
    Field("subject", SUBJECT, "Its distinguished name.", default=MappingProxyType({})),
    Field("key", KEY, "The type of its key.", default=KEY_DEFAULT),
    Field("lifetime", DURATION, "The lifetime of its certificates.", LEAF_LIFETIME, "90d"),
    Field(
        "renew_before",
        RENEW,
        "How long before expiry they are renewed: a share of the lifetime, or a duration.",
        RENEW_DEFAULT,
        "33%",
    ),
    Field("tls", PROFILE, "Mozilla's TLS profile, guideline 6.0.", default=TlsProfile.INTERMEDIATE),
    Field("names", SAN_LIST, "SANs: DNS, IP, email:, and one spiffe:// or uri:. Callers expect a server's first."),
    Field(
        "calls",
        CALLS,
        "The servers that it may call, and its roles there. Servers refuse callers that do not list them.",
        MappingProxyType({}),
    ),
    Field(
        "check_revocation",
        CHECK,
        "How it checks whether its peer's certificate is revoked.",
        default=RevocationCheck.NONE,
    ),
    Field(
        "on_unavailable",
        UNAVAILABLE,
        "What it does if that cannot be checked: refuse or allow.",
        default=OnUnavailable.REFUSE,
    ),
    Field("pfx", PFX, "A PKCS#12 bundle beside the PEM files."),
    Field("fault", FAULT, "Breaks its certificate on purpose, for tests: see `scaffold faults`."),
    Field("vars", VARIABLES, "The template's own variables: see Variables.", default=MappingProxyType({})),
    Field("existing", EXISTING_LEAF, "A certificate that is issued and renewed elsewhere.", inherited=False),
    Field("csr", FilePath(), "A request (PKCS#10) over a key that is not here.", inherited=False),
    Field("files", FILES, "The files of `tls/`, for templates that make files alone."),
    Field("owner", OWNER, "The responsible team or person, for `report` and `graph`."),
)

SERVER_FIELDS = (
    *_LEAF_FIELDS,
    Field("listen", ADDRESS, "The address it listens on, host:port."),
    Field("address", ADDRESS, "The address that callers dial. Default: listen."),
    Field("trusts", ListOf("CAs", LABEL, 1), "The CAs whose certificates it trusts. Default: those of its callers."),
    Field("upstream", LABEL, "The server that it forwards requests to, which must also be under `calls`."),
    Field(
        "backend",
        Text("a backend", names.backend, names.BACKEND_PATTERN),
        "Your own app behind it, in plain HTTP: http://host:port or unix:/path. Not beside `upstream`.",
        inherited=False,
    ),
    Field("app", APP, "Makes that app, from a cookiecutter template, in the folder `app/`.", inherited=False),
    Field(
        "forward",
        ListOf("headers", Choice("a way to name the caller to the app", Forward)),
        "How that app learns the caller's name; [] for not at all. Default: x-client.",
    ),
    Field("staple", Flag(), "It staples an OCSP response to its own certificate.", default=False),
    Field("must_staple", Flag(), "Its certificate demands that (RFC 7633).", default=False),
    Field("health", ADDRESS, "A second, plain port that answers /healthz and nothing else."),
    Field("post_quantum", Flag(), "X25519MLKEM768 comes first among its groups.", default=False),
    Field(
        "client",
        WordOr(SAME, SAME, CLIENT_SIDE),
        "The certificate with which it calls: `same` for the one with which it serves, or the fields of a second one.",
        inherited=False,
    ),
    Field(
        "accepts",
        ListOf("CAs", LABEL, 1),
        "For templates that decide by the chain alone: CAs of which every client certificate may get in.",
        inherited=False,
    ),
)

CLIENT_FIELDS = (
    *_LEAF_FIELDS,
    Field(
        "doors",
        Mapped("doors", LABEL, DOOR, "{api: 127.0.0.1:7001}"),
        "For each server that it calls, a local plain address for programs without TLS.",
        MappingProxyType({}),
        inherited=False,
    ),
    Field(
        "external",
        EXTERNAL,
        "An allowed caller whose certificate is issued elsewhere: no project, no certificate here.",
        inherited=False,
    ),
)

REPRODUCIBLE = Table(
    "reproducible",
    (
        Field("seed", SECRET, "The secret that every key is derived from.", required=True),
        Field(
            "at",
            Text("a moment", moments.parse_moment, moments.PATTERN),
            "The time at which everything counts as issued, in UTC: 2026-01-01T00:00:00Z.",
            required=True,
        ),
    ),
    lambda values: Reproducible(**values),
)

CA = Table("a CA", CA_FIELDS, ref="ca")
SERVER = Table("a server", SERVER_FIELDS, ref="server")
CLIENT = Table("a client", CLIENT_FIELDS, ref="client")


_FOR_ALL = "defaults are for CAs, servers and clients alike: write the fields themselves, as in {lifetime: 30d}"


def _default_fields() -> tuple[Field, ...]:
    """Every inherited field once, optional; a leaf's is before a CA's of the same name."""
    found = {field.name: field for field in reversed((*SERVER_FIELDS, *CLIENT_FIELDS, *CA_FIELDS)) if field.inherited}
    return tuple(Field(field.name, field.type, field.doc) for field in reversed(found.values()))


TOPOLOGY = Table(
    "the topology",
    (
        Field(
            "version",
            Exactly("a version of the language that is known here", value=1),
            "The language's version: 1.",
            required=True,
        ),
        Field("name", LABEL, "Its name, and the default name of the output folder.", required=True),
        Field(
            "trust_domain",
            Text("a trust domain", names.trust_domain, names.TRUST_DOMAIN_PATTERN),
            "The trust domain of the default identities (SPIFFE IDs). Default: the name.",
        ),
        Field(
            "publish",
            Text("a URL", names.publish_url, names.PUBLISH_PATTERN),
            "The address at which CRLs, OCSP and CA certificates are published: http://host:port.",
        ),
        Field(
            "reproducible",
            REPRODUCIBLE,
            "A test environment that is the same wherever it is made. Default lifetime: 50y.",
        ),
        Field(
            "defaults",
            Table("defaults", _default_fields(), hints=tuple((role.section, _FOR_ALL) for role in Role)),
            "Default fields of CAs, servers and clients.",
        ),
        Field(
            "cas",
            Named("the CAs", CA, "root"),
            "The certification authorities, by name.",
            required=True,
        ),
        Field("servers", Named("the servers", SERVER, "api"), "The servers, by name."),
        Field("clients", Named("the clients", CLIENT, "cli"), "The clients, by name."),
    ),
)

REFERENCED = (SECRET, SUBJECT, GENERAL_NAMES, PFX, EXISTING_LEAF, FILES, APP, CLIENT_SIDE, CA, SERVER, CLIENT)
