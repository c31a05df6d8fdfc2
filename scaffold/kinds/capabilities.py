"""What a kind declares of itself: the `_scaffold` block of its cookiecutter.json as a frozen, checked value."""

from __future__ import annotations

import difflib
import enum
import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from scaffold.errors import KindError
from scaffold.kinds import lines, mutations
from scaffold.kinds.lines import NO_LINES, Lines
from scaffold.kinds.mutations import Mutation
from scaffold.kinds.patterns import endless
from scaffold.topology.model import (
    Forward,
    IdentityForm,
    KeyType,
    OnUnavailable,
    Party,
    RevocationCheck,
    SanType,
    TlsProfile,
)

FEATURES = (
    "health",
    "upstream",
    "backend",
    "calls",
    "pfx",
    "staple",
    "staple-file",
    "must_staple",
    "reload",
    "demands_eku",
    "crls_over_http",
    "ocsp_needs_no_cdp",
    "demands_staple",
    "strict_x509",
    "takes_common_names",
    "takes_lone_common_names",
    "csr",
    "roles",
    "files",
    "one_leaf",
    "doors",
)
"""What a kind may support beyond the handshake itself.

`backend`: it passes requests on to an app of one's own in plain HTTP, and tells it who called (`forward`).
`staple`: it fetches the response that it staples by itself; `staple-file`: it staples the one in `files.staple`.
`demands_eku`: a caller's certificate without any extended key usage is refused, which OpenSSL alone lets in.
`crls_over_http`: it fetches CRLs from where the peer's certificates point, and not from a file in `tls/`; what it got
it believes until its nextUpdate.
`ocsp_needs_no_cdp`: it asks by OCSP only about a certificate that points to no CRL.
`demands_staple`: it asks no OCSP responder itself; `check_revocation: ocsp` demands the server's staple, and so
does `must_staple` of a server, whatever is checked.
`csr`: it needs no private key here: its project has no part that reads `files.key`.
`strict_x509`: it holds every certificate of a chain to RFC 5280 by the letter (OpenSSL's `X509_V_FLAG_X509_STRICT`).
`takes_common_names`: it takes the common name of a server's certificate for a DNS name, even beside SANs (RFC 9525 6.3
forbids it): no other server may have the name of one that it calls. `takes_lone_common_names`: only
where that certificate has no SAN of the type of the expected name.
`roles`: it says of each caller which roles it has there, and so does a gateway towards its upstream.
`files`: what reads its `tls/` may be any program: `files` of the language says how that is laid out.
`one_leaf`: it may call with the certificate with which it serves.
`doors`: a client that listens for programs which speak no TLS, at a door for each server that it calls; it says when it
is `ready`.
"""

ROLES = ("server", "client")

HTTP = "http"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
"""Of a URL, in lower case (RFC 3986 3.1)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client says in plain, and what the server answers, before TLS begins."""

    receive: bytes
    send: bytes


class Owner(enum.Enum):
    """Whose a file of a project is, which says what becomes of a person's edit."""

    SCAFFOLD = "scaffold"
    """It decides who gets in and how: an edit is drift, and is put right."""
    YOURS = "yours"
    """Written once and never read again; where it was deleted, that is noted."""
    MERGED = "merged"
    """An edit and a template's change are both kept where they fit."""


@dataclass(frozen=True, slots=True)
class Owners:
    """The files that are a person's and those that are merged: patterns of paths relative to the project.

    In a pattern `*` stands for any characters, `/` too. What no pattern names is scaffold's.
    """

    yours: tuple[str, ...] = ()
    merged: tuple[str, ...] = ("*",)

    _known: dict[str, Owner] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Thousands of projects of one kind have the same paths."""

    def owner_of(self, path: str) -> Owner:
        """The owner of `path`; `tls/` is scaffold's whatever is declared."""
        if path not in self._known:
            self._known[path] = self._declared(path)
        return self._known[path]

    def _declared(self, path: str) -> Owner:
        if path.startswith("tls/"):
            return Owner.SCAFFOLD
        for patterns, owner in ((self.yours, Owner.YOURS), (self.merged, Owner.MERGED)):
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                return owner
        return Owner.SCAFFOLD


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a kind needs, and what it can enforce. What is not declared is refused by the plan.

    `requires` are commands that must be on PATH, or patterns of whole paths: one of each group. `tries` are commands
    that end with 0 where something is there that has no command of its own, by what that is called. `environment` are
    the variables that they need beside PATH, HOME and those of the locale, by name, or many by a prefix and `*`.
    `ready` is the line of a server's output that says it accepts connections. `tls_version` is a command that prints
    the version of `tls_library`. `keys`, `peer_keys` and `groups` name the least version of that library for each of
    the kind's own leaf keys, for each key anywhere in a peer's chain, and for each group beyond the usual; what is
    absent it cannot do. `tls12_refuses` are the leaf keys, of either end, that fail where TLS 1.2 is spoken.
    `checks_names` are the types of name by which it can know a server that it calls: the first of that server's names
    must be of one. `sees_issuer_by` (`key`, `name` or `none`) is how a server tells who signed a caller's certificate,
    and `sees_callers_by` are the forms of identity by which it can know a caller with a certificate from elsewhere;
    `refuses_in` (`tls`, or its protocol's name) is where it refuses a valid caller who is not allowed.

    `checks_callees`: the ways of `check_revocation` by which a server looks up the servers that it calls, too; by the
    others its callers alone. A client always does.

    `forward` are the ways in which it can tell an app behind it who called: those that it takes no caller's word for.

    `protocol` is what it speaks, as URLs have it for a scheme. `conversation` is the program with which verify speaks a
    server's protocol other than HTTP, relative to the template, and `before_tls` what that protocol says before TLS
    begins.

    `decides_by` is what a server lets callers in by: its allow `list`, or the `chain` of their certificates alone.
    `runs`: whether the project has a run.sh that can be started; one that is for a program of somebody else's has none,
    nor anything that is said of it (`ready`, a protocol).

    `config_check` is a command that judges the configuration in a project's folder without serving, and `mutations` are
    settings that, broken, verify must catch: both are for `templates check`.
    """

    summary: str
    role: str
    requires: tuple[tuple[str, ...], ...]
    tries: Mapping[str, tuple[str, ...]]
    environment: tuple[str, ...]
    ready: str | None
    tls_library: str
    tls_version: tuple[str, ...]
    keys: Mapping[KeyType, str]
    peer_keys: Mapping[KeyType, str]
    tls12_refuses: frozenset[KeyType]
    groups: Mapping[str, str]
    tls: frozenset[TlsProfile]
    check_revocation: frozenset[RevocationCheck]
    checks_callees: frozenset[RevocationCheck]
    on_unavailable: frozenset[OnUnavailable]
    checks_names: frozenset[SanType]
    sees_issuer_by: str
    refuses_in: str
    supports: frozenset[str]
    suggested: bool = False
    """Whether `init` and hints name it where a template is to be chosen."""
    decides_by: str = "list"
    runs: bool = True
    protocol: str = HTTP
    conversation: str | None = None
    before_tls: tuple[Exchange, ...] = ()
    sees_callers_by: frozenset[IdentityForm] = frozenset()
    forward: frozenset[Forward] = frozenset()
    owners: Owners = Owners()
    """Of a kind that declares none every file is merged, but for `tls/`."""
    config_check: tuple[str, ...] = ()
    mutations: tuple[Mutation, ...] = ()
    install: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """How to install what it requires: a command for each package manager, and `otherwise` what to do without one."""
    lines: Lines = field(default_factory=lambda: NO_LINES)
    """Which line of the rendered project makes which check, for `explain`."""

    @property
    def scheme(self) -> str:
        """What the URLs of a server begin with: HTTP is spoken over TLS alone here."""
        return "https" if self.protocol == HTTP else self.protocol

    @property
    def decides_by_chain(self) -> bool:
        """Whether it lets in every certificate below the CAs that it trusts, and looks at no name."""
        return self.decides_by == "chain"

    @property
    def has_doors(self) -> bool:
        """Whether it listens for programs without TLS, and so is told where for each server that it calls."""
        return "doors" in self.supports

    @property
    def staples(self) -> bool:
        """Whether it sends an OCSP response with its certificate, from wherever it has it."""
        return not self.supports.isdisjoint({"staple", "staple-file"})

    def check_of_callees(self, party: Party) -> RevocationCheck:
        """How `party`, which is of this kind, looks up the servers that it calls."""
        check = party.check_revocation
        return check if check in self.checks_callees else RevocationCheck.NONE

    def owner_of(self, path: str) -> Owner:
        """Whose the file at `path` is, which is relative to the project."""
        return self.owners.owner_of(path)


def parse(block: object, where: str) -> Capabilities:
    """The block of the kind that errors call `where`. Raises KindError for what is missing, unknown or malformed."""
    if not isinstance(block, dict):
        raise KindError(
            f"{where} has no _scaffold block",
            hint=(
                "in its cookiecutter.json, under _scaffold, a template declares its requirements and what it can "
                "enforce"
            ),
        )
    reader = _Reader(block, where)
    role = reader.choice("role", ROLES, None)
    server = role == "server"
    protocol = reader.scheme("protocol", HTTP)
    runs = reader.truth("runs", otherwise=True)
    decides_by = reader.choice("decides_by", ("list", "chain"), "list")
    unsaid = "none" if decides_by == "chain" else None
    sees_issuer_by = reader.choice("sees_issuer_by", ("key", "name", "none"), unsaid if server else "key")
    check_revocation = reader.members("check_revocation", RevocationCheck, (RevocationCheck.NONE,))
    supports = frozenset(reader.feature(name) for name in reader.texts("supports"))
    listens = server or "doors" in supports
    capabilities = Capabilities(
        summary=reader.text("summary", None),
        role=role,
        requires=reader.commands("requires"),
        tries=reader.tries("tries"),
        environment=reader.variables("environment"),
        ready=reader.pattern("ready") if listens and runs else None,
        tls_library=reader.text("tls_library", None),
        tls_version=reader.texts("tls_version"),
        keys=reader.versions("keys", KeyType),
        peer_keys=reader.versions("peer_keys", KeyType),
        tls12_refuses=reader.members("tls12_refuses", KeyType, ()),
        groups=reader.versions("groups", str),
        tls=reader.members("tls", TlsProfile, tuple(TlsProfile)),
        check_revocation=check_revocation,
        checks_callees=reader.members("checks_callees", RevocationCheck, ()) if server else check_revocation,
        on_unavailable=reader.members("on_unavailable", OnUnavailable, (OnUnavailable.REFUSE,)),
        checks_names=reader.members("checks_names", SanType, (SanType.DNS, SanType.IP)),
        sees_issuer_by=sees_issuer_by,
        refuses_in=reader.choice("refuses_in", ("tls", protocol), None if server and runs else "tls"),
        supports=supports,
        suggested=reader.truth("suggested"),
        decides_by=decides_by,
        runs=runs,
        protocol=protocol,
        conversation=reader.text("conversation", None) if server and protocol != HTTP else None,
        before_tls=reader.exchanges("before_tls") if server and protocol != HTTP else (),
        sees_callers_by=reader.members("sees_callers_by", IdentityForm, _SEEN_WITH[sees_issuer_by]),
        forward=reader.members("forward", Forward, ()),
        owners=reader.owners("owners"),
        config_check=reader.texts("config_check"),
        mutations=reader.mutations("mutations"),
        install=reader.named_texts("install"),
        lines=reader.lines("lines"),
    )
    reader.finish()
    _check_forward(capabilities, where)
    return capabilities


def _check_forward(can: Capabilities, where: str) -> None:
    """Raises KindError where an app behind it could not be told who called as it is where nothing is said of that."""
    if "backend" in can.supports and Forward.X_CLIENT not in can.forward:
        hint = f'it must have "{Forward.X_CLIENT}" at least, the default of forward'
        raise KindError(f"{where}: _scaffold.forward names too few ways for a template with backend", hint=hint)
    if can.forward and "backend" not in can.supports:
        hint = 'leave it out, or name "backend" in supports'
        raise KindError(f"{where}: _scaffold.forward is only for templates that support backend", hint=hint)


_SEEN_WITH: Mapping[str, tuple[IdentityForm, ...]] = {
    "key": (IdentityForm.URI,),
    "name": (IdentityForm.SUBJECT,),
    "none": (),
}
"""What a kind sees of callers that does not say it."""

_T = TypeVar("_T", bound=str)


class _Reader:
    """Takes fields out of the block one by one, and says which one is wrong."""

    def __init__(self, block: Mapping[str, object], where: str) -> None:
        self._block = dict(block)
        self._where = where
        self._known: list[str] = []

    def _take(self, field: str) -> object:
        self._known.append(field)
        return self._block.pop(field, None)

    def _wrong(self, field: str, problem: str, hint: str | None = None) -> KindError:
        return KindError(f"{self._where}: _scaffold.{field} {problem}", hint=hint)

    def text(self, field: str, default: str | None) -> str:
        value = self._take(field)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value:
            raise self._wrong(field, "must be text" if value is not None else "is missing")
        return value

    def truth(self, field: str, *, otherwise: bool = False) -> bool:
        value = self._take(field)
        if value not in (None, True, False):
            raise self._wrong(field, "must be true or false")
        return otherwise if value is None else bool(value)

    def texts(self, field: str) -> tuple[str, ...]:
        value = self._take(field)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self._wrong(field, "must be a list of texts")
        return tuple(value)

    def named_texts(self, field: str) -> Mapping[str, str]:
        value = self._take(field)
        if value is None:
            return MappingProxyType({})
        if not isinstance(value, dict) or not all(isinstance(text, str) and text for text in value.values()):
            raise self._wrong(field, 'must map names to texts, such as {"apt-get": "apt-get install thing"}')
        return MappingProxyType(dict(value))

    def choice(self, field: str, choices: tuple[str, ...], default: str | None) -> str:
        value = self.text(field, default)
        if value not in choices:
            raise self._wrong(field, f'is "{value}"', f"it may be {' or '.join(choices)}")
        return value

    def scheme(self, field: str, default: str) -> str:
        value = self.text(field, default)
        if not _SCHEME.fullmatch(value):
            raise self._wrong(field, f'is "{value}"', f'write it like the scheme of a URL: "{default}"')
        return value

    def exchanges(self, field: str) -> tuple[Exchange, ...]:
        """`[{"receive": HEX, "send": HEX}, …]`."""
        value = self._take(field)
        if value is None:
            return ()
        try:
            if isinstance(value, list) and all(set(one) == {"receive", "send"} for one in value):
                return tuple(Exchange(bytes.fromhex(one["receive"]), bytes.fromhex(one["send"])) for one in value)
        except (TypeError, ValueError):
            pass
        raise self._wrong(field, 'must be a list such as [{"receive": "00ff", "send": "53"}], in hex')

    def pattern(self, field: str) -> str:
        value = self.text(field, None)
        try:
            re.compile(value)
        except re.error as error:
            raise self._wrong(field, f"is not a regular expression: {error}") from error
        if (problem := endless(value)) is not None:
            raise self._wrong(field, problem, "it is searched for anywhere in a line: `.*` at its ends is not needed")
        return value

    def commands(self, field: str) -> tuple[tuple[str, ...], ...]:
        """`["daemon"]`, or lists of commands of which one is enough: `[["daemon-2", "daemon"]]`."""
        value = self._take(field)
        groups = [[item] if isinstance(item, str) else item for item in value] if isinstance(value, list) else value
        if groups is None:
            return ()
        if not isinstance(groups, list) or not all(_is_texts(group) and group for group in groups):
            raise self._wrong(field, "must be a list of commands, or of lists of commands")
        return tuple(tuple(group) for group in groups)

    def tries(self, field: str) -> Mapping[str, tuple[str, ...]]:
        """`{"the module": ["sh", "-c", "…"]}`."""
        value = self._take(field)
        if value is None:
            return MappingProxyType({})
        if not isinstance(value, dict) or not all(_is_texts(command) and command for command in value.values()):
            raise self._wrong(field, 'must map names to commands, such as {"the module": ["sh", "-c", "test …"]}')
        return MappingProxyType({name: tuple(command) for name, command in value.items()})

    def variables(self, field: str) -> tuple[str, ...]:
        """Names of variables, and prefixes of two characters or more with `*`: `["JAVA_HOME", "JVM_*"]`."""
        names = self.texts(field)
        for name in names:
            if not re.fullmatch(r"[A-Za-z_]\w*|[A-Za-z_]\w+\*", name, re.ASCII):
                raise self._wrong(field, f'names "{name}"', "it may name a variable, or a prefix and `*`: MYLIB_*")
        return names

    def versions(self, field: str, member: Callable[[str], _T]) -> Mapping[_T, str]:
        value = self._take(field)
        if value is None:
            return MappingProxyType({})
        if not isinstance(value, dict) or not all(
            isinstance(version, str) and re.fullmatch(r"\d+(\.\d+)*", version) for version in value.values()
        ):
            raise self._wrong(field, 'must map names to minimum versions, such as {"ed25519": "1.1.1"}')
        return MappingProxyType({self._member(field, member, name): version for name, version in value.items()})

    def members(self, field: str, member: Callable[[str], _T], default: tuple[_T, ...]) -> frozenset[_T]:
        given = field in self._block
        names = self.texts(field)
        return frozenset(self._member(field, member, name) for name in names) if given else frozenset(default)

    def _member(self, field: str, member: Callable[[str], _T], name: str) -> _T:
        try:
            return member(name)
        except ValueError:
            raise self._wrong(field, f'names "{name}"', "the topology language does not have this value") from None

    def owners(self, field: str) -> Owners:
        """`{"yours": [patterns], "merged": [patterns]}`."""
        value = self._take(field)
        if value is None:
            return Owners()
        if not isinstance(value, dict) or not value.keys() <= {"yours", "merged"}:
            raise self._wrong(field, 'must be {"yours": [patterns], "merged": [patterns]}')
        if not all(_is_texts(patterns) for patterns in value.values()):
            raise self._wrong(field, "must have lists of patterns, such as app/*")
        return Owners(tuple(value.get("yours", ())), tuple(value.get("merged", ())))

    def mutations(self, field: str) -> tuple[Mutation, ...]:
        value = self._take(field)
        try:
            return () if value is None else mutations.parse(value)
        except ValueError as error:
            raise self._wrong(field, str(error)) from error

    def lines(self, field: str) -> Lines:
        value = self._take(field)
        try:
            return NO_LINES if value is None else lines.parse(value)
        except ValueError as error:
            raise self._wrong(field, str(error)) from error

    def feature(self, name: str) -> str:
        if name not in FEATURES:
            raise self._wrong("supports", f'names "{name}"', f"it may name {', '.join(FEATURES)}")
        return name

    def finish(self) -> None:
        """Raises KindError for a field that nothing asked for."""
        for name in self._block:
            near = difflib.get_close_matches(name, self._known, n=1)
            raise self._wrong(name, "is not known", f'did you mean "{near[0]}"?' if near else None)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)
