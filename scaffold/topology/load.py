"""From a YAML file to a `Topology`: read, defaults merged in, and every rule that needs the file alone kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scaffold.errors import TopologyError
from scaffold.topology import language, names, rules
from scaffold.topology.constraints import forbidden_by
from scaffold.topology.document import MOST_BYTES, Document, Places
from scaffold.topology.durations import format_duration
from scaffold.topology.fields import Field, Partial
from scaffold.topology.inputs import read_at_most
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.model import (
    NO_ROLES,
    REPRODUCIBLE_LIFETIME,
    Ca,
    CallingLeaf,
    Client,
    Existing,
    ExistingLeaf,
    External,
    Forward,
    HostPort,
    NameConstraints,
    RenewBefore,
    Reproducible,
    Revocation,
    San,
    SanType,
    Server,
    Subject,
    Topology,
)

Values = dict[str, Any]

Suggest = Callable[[str], str]
"""The template that hints name, by the role of who needs one (`server` or `client`)."""

ROOT_LIFETIME = timedelta(days=3_650)
CA_LIFETIME = timedelta(days=1_825)
LEAVES_REVOCATION = Revocation(crl=timedelta(days=1), ocsp=timedelta(hours=1))
OTHER_REVOCATION = Revocation(crl=timedelta(days=90))
REPRODUCIBLE_LEAVES_REVOCATION = Revocation(crl=REPRODUCIBLE_LIFETIME, ocsp=REPRODUCIBLE_LIFETIME)
REPRODUCIBLE_OTHER_REVOCATION = Revocation(crl=REPRODUCIBLE_LIFETIME)

FIELDS_OF_EXISTING = frozenset({"existing", "key_password", "revocation", "owner"})
PROJECT_FIELDS = ("tls", "check_revocation", "on_unavailable", "pfx", "vars", "files", "owner")
"""What goes into a client as it was read, whoever issues its certificate."""
PLAIN_CLIENT_FIELDS = (*PROJECT_FIELDS, "key", "fault", "csr")
"""What goes into a client as it was read."""
PLAIN_SERVER_FIELDS = (
    *PLAIN_CLIENT_FIELDS,
    "existing",
    "upstream",
    "backend",
    "app",
    "staple",
    "must_staple",
    "health",
    "post_quantum",
)
OF_WHAT_IS_ISSUED = ("fault", "csr", "staple", "must_staple")
"""What cannot be asked of a certificate that somebody else issues."""
OF_A_CALLER = ("issuer", "subject", "key", "lifetime", "renew_before")
"""What a server with such a certificate says of the second one, with which it calls."""


def _any_template(role: str) -> str:
    return "NAME"


def load(path: Path, suggest: Suggest = _any_template) -> Topology:
    """The topology in a file. Raises `TopologyError` for what cannot be read and for what cannot be."""
    return loads(read_text(path), path, suggest)


def read_text(path: Path) -> bytes:
    """What a topology's file holds, one byte more than is allowed at most. Raises TopologyError."""
    try:
        return read_at_most(path, MOST_BYTES + 1)
    except FileNotFoundError:
        raise TopologyError(f"there is no file {path}", hint="`scaffold init` writes a first topology") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TopologyError(f"cannot read {path}: {reason}", hint=_reading_hint(path)) from None


def _reading_hint(path: Path) -> str:
    if path.is_dir():
        return f"name the file in it: -f {path / 'topology.yaml'}"
    return "give another file with -f, or change its rights"


def loads(text: bytes, source: Path, suggest: Suggest = _any_template, values: Values | None = None) -> Topology:
    """The topology in `text`; `source` is named in places, and paths in the topology are relative to its folder.

    `values` are what the text says, for whoever has read it already.
    """
    mistakes = Mistakes()
    said = values_of(text, source, mistakes) if values is None else values
    t = _topology(said, Places(text, source), source, mistakes, suggest)
    mistakes.check()
    return replace(t, text=text)


def values_of(text: bytes, source: Path, mistakes: Mistakes) -> Values:
    """What the file says, as far as it can be read.

    The nodes are gone when this returns.
    """
    document = Document(text, source)
    return language.TOPOLOGY.read_on(document.root, document, mistakes)


def _topology(values: Values, places: Places, source: Path, mistakes: Mistakes, suggest: Suggest) -> Topology:
    """What the values make. Where they break a rule, it is in `mistakes`, and the topology is none to be used."""
    name, publish = values.get("name", _NO_NAME), _publish(values)
    entities = _Entities(values, places, mistakes, suggest)
    cas = {ca: entities.ca(ca, own) for ca, own in entities.cas.items()}
    empty: Mapping[str, Any] = MappingProxyType({})
    t = Topology(
        name,
        source,
        MappingProxyType(cas),
        empty,
        empty,
        publish,
        entities.reproducible,
        places,
        trust_domain=entities.trust_domain,
    )
    check = rules.Check(mistakes, entities.wrong)
    check.cas(t)

    clients = {client: entities.client(client) for client in entities.clients}
    callers = entities.issuers_of_callers(clients)
    sound = check.whole(t)
    servers = {server: entities.server(server, callers.get(server), sound) for server in entities.servers}
    t = replace(t, servers=MappingProxyType(servers), clients=MappingProxyType(clients))
    check.references(t, entities.sections)
    check.parties(check.whole(t))
    return t


_NO_NAME = "nameless"
_NO_PUBLISHER = "http://publisher.invalid"
"""Stand for what cannot be read, so that the rest can be looked at."""


def _publish(values: Values) -> str | None:
    return _NO_PUBLISHER if _is_wrong(values, "publish") else values.get("publish")


def _is_wrong(values: Values, field: str) -> bool:
    return isinstance(values, Partial) and field in values.wrong


class _Entities:
    """Makes entities of what was written, defaults and derived values merged in.

    One with a mistake in it is in `wrong`: it is made as well as it can be, for others to refer to, and nothing more is
    said of what it lacks.
    """

    def __init__(self, values: Values, places: Places, mistakes: Mistakes, suggest: Suggest) -> None:
        self.trust_domain: str = values.get("trust_domain") or values.get("name", _NO_NAME)
        self._publish = _publish(values)
        self.reproducible: Reproducible | None = values.get("reproducible")
        self._asks_for_reproducible = self.reproducible is not None or _is_wrong(values, "reproducible")
        self._places = places
        self._mistakes = mistakes
        self._suggest = suggest
        self.sections = frozenset(values) | {"servers", "clients"}
        if isinstance(values, Partial):
            self.sections = frozenset(name for name in self.sections if name in values or not values.may_have(name))
        self.cas: dict[str, Values] = values.get("cas", {})
        self._defaults: Values = values.get("defaults", {})
        self._own = {"servers": values.get("servers", {}), "clients": values.get("clients", {})}
        self.wrong = self._read_in_part(values)
        self.servers = self._all_merged("servers", language.SERVER_FIELDS)
        self.clients = self._all_merged("clients", language.CLIENT_FIELDS)
        self._issuers = self._cas_that_issue_leaves()

    def _read_in_part(self, values: Values) -> set[tuple[str, str]]:
        """The entities with a mistake in what is written of them; all, where it is in what they inherit."""
        inherits = isinstance(self._defaults, Partial) or (isinstance(values, Partial) and "defaults" in values.wrong)
        entities = {"cas": self.cas, **self._own}
        return {
            (section, name)
            for section, members in entities.items()
            for name, own in members.items()
            if inherits or isinstance(own, Partial)
        }

    def _may_lack_issuers(self) -> bool:
        """Whether a mistake may hide which CAs issue leaves."""
        if "cas" not in self.sections or isinstance(self.cas, Partial) or any(path[0] == "cas" for path in self.wrong):
            return True
        leaves = (*self._own["servers"].values(), *self._own["clients"].values(), self._defaults)
        return any(
            isinstance(leaf, Partial) and (leaf.may_have("issuer") or leaf.may_have("external")) for leaf in leaves
        )

    def _add(self, path: tuple[str, str], error: TopologyError) -> None:
        self.wrong.add(path)
        self._mistakes.add(error)

    def _all_merged(self, kind: str, fields: tuple[Field, ...]) -> dict[str, Values]:
        constant = _constant_defaults(fields)
        if self._asks_for_reproducible:
            constant["lifetime"] = REPRODUCIBLE_LIFETIME
        inherited = constant | _inherited(self._defaults, fields)
        return {name: _merged(own, _fitting(own, inherited)) for name, own in self._own[kind].items()}

    def _cas_that_issue_leaves(self) -> tuple[str, ...]:
        """The CAs that issue leaves: those that a leaf names as its issuer, and those with no CA below them.

        A CA whose key is not here issues nothing. A root with an issuing CA below it therefore counts only where a
        leaf asks for it by name; where then both count, the others must say whose they are.
        """
        clients = (client for client in self.clients.values() if "existing" not in client)
        leaves = (*self.servers.values(), *clients)
        second = (own for server in self.servers.values() if isinstance(own := server.get("client"), dict))
        named = {leaf.get("issuer") for leaf in (*leaves, *second) if "external" not in leaf}
        above = {own.get("issuer") for own in self.cas.values()}
        with_key = [name for name, own in self.cas.items() if "existing" not in own or own["existing"].key is not None]
        return tuple(name for name in with_key if name in named or name not in above)

    def ca(self, name: str, own: Values) -> Ca:
        if "existing" in own:
            return self._existing_ca(name, own)
        values = _merged(own, _constant_defaults(language.CA_FIELDS) | _inherited(self._defaults, language.CA_FIELDS))
        lifetime = values.get("lifetime") or self._ca_lifetime(values)
        return Ca(
            name=name,
            issuer=values.get("issuer"),
            subject=self._subject(name, "CA", values, values.get("issuer")),
            key=values["key"],
            lifetime=lifetime,
            renew_before=self._renew_before(("cas", name), own, values, lifetime),
            path_length=values.get("path_length"),
            key_password=values.get("key_password"),
            revocation=self._revocation(name, values),
            name_constraints=values.get("name_constraints"),
            owner=values.get("owner"),
        )

    def _ca_lifetime(self, values: Values) -> timedelta:
        if self._asks_for_reproducible:
            return REPRODUCIBLE_LIFETIME
        return CA_LIFETIME if "issuer" in values else ROOT_LIFETIME

    def _existing_ca(self, name: str, own: Values) -> Ca:
        existing: Existing = own["existing"]
        for field in own:
            if field not in FIELDS_OF_EXISTING:
                hint = f"leave it out: only {' and '.join(sorted(FIELDS_OF_EXISTING - {'existing'}))} go with existing"
                message = f"{field} cannot be set for an existing CA, which has its certificate already"
                self._add(("cas", name), TopologyError(message, place=self._places[("cas", name, field)], hint=hint))
            elif field not in {"existing", "owner"} and existing.key is None:
                hint = "add key to existing, or leave this out"
                message = f"{field} is for a CA whose key is here"
                self._add(("cas", name), TopologyError(message, place=self._places[("cas", name, field)], hint=hint))
        return Ca(
            name=name,
            issuer=None,
            subject=Subject(common_name=name),
            key=language.KEY_DEFAULT,
            lifetime=ROOT_LIFETIME,
            renew_before=language.RENEW_DEFAULT,
            key_password=own.get("key_password"),
            revocation=self._revocation(name, own) if existing.key is not None else Revocation(),
            existing=existing,
            owner=own.get("owner"),
        )

    def _revocation(self, name: str, values: Values) -> Revocation:
        if (given := values.get("revocation")) is not None:
            revocation: Revocation = given
            return revocation
        if self._publish is None:
            return Revocation()
        answers = name in self._issuers and "key_password" not in values
        if self._asks_for_reproducible:
            return REPRODUCIBLE_LEAVES_REVOCATION if answers else REPRODUCIBLE_OTHER_REVOCATION
        return LEAVES_REVOCATION if answers else OTHER_REVOCATION

    def client(self, name: str) -> Client:
        own, values = self._own["clients"][name], self.clients[name]
        if (external := own.get("external")) is not None:
            return self._external(name, own, external)
        if (existing := own.get("existing")) is not None:
            return self._existing_client(name, own, existing)
        path = ("clients", name)
        issuer = self._issuer(path, values)
        identity, sans = self._identity("client", name, values)
        return Client(
            name=name,
            template=self._template(path, "client", values),
            issuer=issuer,
            subject=self._subject(name, "client", values, issuer),
            lifetime=values["lifetime"],
            renew_before=self._renew_before(path, own, values, values["lifetime"]),
            identity=identity,
            names=sans,
            doors=values["doors"],
            **_edges(values),
            **_as_read(values, PLAIN_CLIENT_FIELDS),
        )

    def _external(self, name: str, own: Values, external: External) -> Client:
        for field in own:
            if field not in {"external", "calls", "owner"}:
                message = (
                    f"{field} cannot be set for an external client: its certificate and project are made elsewhere"
                )
                hint = "leave it out: only calls and owner go with external"
                place = self._places[("clients", name, field)]
                self._add(("clients", name), TopologyError(message, place=place, hint=hint))
        values = self.clients[name]
        return Client(
            name=name,
            template="",
            issuer=external.issuer,
            subject=Subject(common_name=name),
            key=language.KEY_DEFAULT,
            lifetime=language.LEAF_LIFETIME,
            renew_before=language.RENEW_DEFAULT,
            tls=values["tls"],
            identity=external.identity,
            external=external,
            owner=own.get("owner"),
            **_edges(values),
        )

    def _existing_client(self, name: str, own: Values, existing: ExistingLeaf) -> Client:
        path, values = ("clients", name), self.clients[name]
        made_elsewhere = "its certificate is made elsewhere"
        self._leave_out(path, own, ("names", *OF_A_CALLER[1:], *OF_WHAT_IS_ISSUED), made_elsewhere)
        if existing.trust is not None:
            message, hint = f"{name} has trust, which is for servers", "leave it out: it is verified by its issuer"
            self._add(path, TopologyError(message, place=self._places[(*path, "existing", "trust")], hint=hint))
        issuer = self._needed(path, own, "issuer", next(iter(self.cas), ""), "the CA of cas that issued it")
        if existing.identity is None:
            message = f"{name} needs an identity, by which servers know it"
            place, hint = self._places[(*path, "existing")], "existing: {identity: …}: a URI, dns:NAME or subject:NAME"
            self._add(path, TopologyError(message, place=place, hint=hint))
        return Client(
            name=name,
            template=self._template(path, "client", values),
            issuer=issuer,
            subject=Subject(common_name=name),
            key=language.KEY_DEFAULT,
            lifetime=language.LEAF_LIFETIME,
            renew_before=language.RENEW_DEFAULT,
            identity=existing.identity or names.default_identity(self.trust_domain, "client", name),
            existing=existing,
            doors=values["doors"],
            **_edges(values),
            **_as_read(values, PROJECT_FIELDS),
        )

    def _leave_out(self, path: tuple[str, str], own: Values, fields: Iterable[str], why: str) -> None:
        for field in fields:
            if field in own:
                message = f"{field} cannot be set for {path[1]}: {why}"
                place = self._places[(*path, field)]
                self._add(path, TopologyError(message, place=place, hint=f"leave {field} out"))

    def _issuer_of_server(self, path: tuple[str, str], own: Values, values: Values) -> str:
        """The CA of its certificates, or of the one with which it calls; empty where none is issued here."""
        existing: ExistingLeaf | None = own.get("existing")
        if existing is None:
            return self._issuer(path, values)
        self._leave_out(path, own, OF_WHAT_IS_ISSUED, "its certificate is made elsewhere")
        for field, message, hint in _wrong_of_existing_server(path[1], existing):
            place = self._places.get((*path, "existing", field)) or self._places[(*path, "existing")]
            self._add(path, TopologyError(message, place=place, hint=hint))
        if values["calls"]:
            return self._issuer(path, values)
        self._leave_out(path, own, OF_A_CALLER, "its certificate is made elsewhere, and it makes no calls with another")
        return ""

    def server(self, name: str, issuers_of_callers: tuple[str, ...] | None, t: Topology) -> Server:
        own, values = self._own["servers"][name], self.servers[name]
        path = ("servers", name)
        template = self._template(path, "server", values)
        listen = self._needed(path, values, "listen", HostPort("127.0.0.1", 8_443), "where it listens")
        self._needed(path, values, "names", "[localhost]", "the names that callers use")
        issuer = self._issuer_of_server(path, own, values)
        identity, sans = self._identity("server", name, values)
        self._check_app(path, own)
        return Server(
            name=name,
            template=template,
            issuer=issuer,
            subject=self._subject(name, "server", values, issuer or None),
            lifetime=values["lifetime"],
            renew_before=self._renew_before(path, own, values, values["lifetime"]),
            listen=listen,
            dial=values.get("address", listen),
            names=sans,
            identity=identity,
            trusts=values.get("trusts") or self._trusted(values, issuers_of_callers, issuer, t),
            forward=self._forward(path, own, values),
            one_leaf=values.get("client") == language.SAME,
            calling=self._calling_leaf(name, values, issuer),
            accepts=values.get("accepts", ()),
            **_edges(values),
            **_as_read(values, PLAIN_SERVER_FIELDS),
        )

    def _check_app(self, path: tuple[str, str], own: Values) -> None:
        if "app" in own and "backend" not in own and not self._may_have(path, "backend"):
            message = f"{path[1]} has an app and no backend, the address of the app"
            hint = "backend: http://127.0.0.1:5000   # or unix:/path"
            self._add(path, TopologyError(message, place=self._places[(*path, "app")], hint=hint))

    def _forward(self, path: tuple[str, str], own: Values, values: Values) -> tuple[Forward, ...]:
        """How the app behind it is told who called. A default is for those that have one."""
        if "backend" in values:
            forward: tuple[Forward, ...] = values.get("forward", language.FORWARD_DEFAULT)
            return forward
        if "forward" in own and not self._may_have(path, "backend"):
            message = f"{path[1]} has forward and no backend"
            hint = "backend: http://127.0.0.1:5000   # or leave forward out"
            self._add(path, TopologyError(message, place=self._places[(*path, "forward")], hint=hint))
        return ()

    @staticmethod
    def _trusted(values: Values, of_callers: tuple[str, ...] | None, issuer: str, t: Topology) -> tuple[str, ...]:
        """The CAs that it accepts callers from; its own issuer where nobody calls it."""
        accepted = (*(of_callers or ()), *values.get("accepts", ()))
        return tuple(dict.fromkeys(accepted)) or _known(t, issuer or next(iter(t.cas), ""))

    def _calling_leaf(self, name: str, values: Values, issuer: str) -> CallingLeaf | None:
        """What its second certificate is, where that differs from its first."""
        own = values.get("client")
        if own is None or own == language.SAME:
            return None
        subject = self._subject(name, "server", values, own.get("issuer", issuer) or None)
        return CallingLeaf(
            issuer=own.get("issuer", issuer),
            subject=replace(subject, **own.get("subject", {})),
            key=own.get("key", values["key"]),
            names=own.get("names", ()),
        )

    def issuers_of_callers(self, clients: Mapping[str, Client]) -> dict[str, tuple[str, ...]]:
        """For each server that is called, the CAs that issue its callers' certificates, each once."""
        found: dict[str, dict[str, None]] = {}
        for name, values in self.servers.items():
            for called in values["calls"]:
                found.setdefault(called, {})[self._issuer_of_calls(("servers", name), values)] = None
        for client in clients.values():
            for called in client.calls:
                found.setdefault(called, {})[client.issuer] = None
        return {called: tuple(issuers) for called, issuers in found.items()}

    def _issuer_of_calls(self, path: tuple[str, str], values: Values) -> str:
        """The CA of the certificate with which a server calls."""
        own = values.get("client")
        given = own.get("issuer") if isinstance(own, dict) else None
        return str(given) if given is not None else self._issuer(path, values)

    def _issuer(self, path: tuple[str, str], values: Values) -> str:
        """Its issuer, or the one CA that issues leaves."""
        if (given := values.get("issuer")) is not None:
            return str(given)
        if len(self._issuers) == 1:
            return self._issuers[0]
        if not (self._may_have(path, "issuer") or self._may_lack_issuers()):
            self._add(path, self._no_issuer(path))
        self.wrong.add(path)
        return next(iter(self.cas), "")

    def _no_issuer(self, path: tuple[str, str]) -> TopologyError:
        place = self._places[path]
        if not self._issuers:
            foreign = next((name for name, own in self.cas.items() if "existing" in own), None)
            hint = "add a CA under cas" + (f", or the key to {foreign}'s existing" if foreign is not None else "")
            return TopologyError(f"no CA can issue the certificate of {path[1]}", place=place, hint=hint)
        hint = " or ".join(f"issuer: {name}" for name in self._issuers)
        message = f"{path[1]} must name its issuer, as more than one CA issues leaves"
        return TopologyError(message, place=place, hint=hint)

    def _subject(self, name: str, role: str, values: Values, issuer: str | None) -> Subject:
        """Its distinguished name; the common name is its own name, with its role behind it where that is needed.

        Java takes a common name for a DNS name where a certificate has no other and it could be one, and holds it to
        the name constraints above, as RFC 5280 4.2.1.10 does not ask for. With a space in it, it cannot be one.
        """
        common_name, with_role = name, f"{name} {role}"
        may_be_taken = not _always_has_dns_name(role, values) and len(with_role) <= language.LONGEST_COMMON_NAME
        if may_be_taken and any(forbidden_by(above, San(SanType.DNS, name)) for above in self._constraints_on(issuer)):
            common_name = with_role
        return Subject(**{"common_name": common_name, **values["subject"]})

    def _constraints_on(self, issuer: str | None) -> Iterator[NameConstraints]:
        """The name constraints that what `issuer` issues is held to. Circles of issuers are found later."""
        seen: set[str] = set()
        while issuer in self.cas and issuer not in seen:
            seen.add(issuer)
            own = self.cas[issuer]
            inherited = {} if "existing" in own else self._defaults
            if (constraints := own.get("name_constraints", inherited.get("name_constraints"))) is not None:
                yield constraints
            issuer = own.get("issuer")

    def _identity(self, role: str, name: str, values: Values) -> tuple[str, tuple[San, ...]]:
        """The URI of its `names` or else the default, and the names that remain."""
        sans: tuple[San, ...] = values.get("names", ())
        identities = [san.value for san in sans if names.is_identity(san)]
        if not identities:
            return names.default_identity(self.trust_domain, role, name), sans
        if len(identities) > 1:
            index = [i for i, san in enumerate(sans) if names.is_identity(san)][1]
            place = self._places.get((f"{role}s", name, "names", index)) or self._places[(f"{role}s", name)]
            message = f"{name} has more than one identity: a leaf carries exactly one URI"
            hint = f"keep {identities[0]} or {identities[1]}"
            self._add((f"{role}s", name), TopologyError(message, place=place, hint=hint))
        return identities[0], tuple(san for san in sans if not names.is_identity(san))

    def _renew_before(self, path: tuple[str, str], own: Values, values: Values, lifetime: timedelta) -> RenewBefore:
        renew: RenewBefore = values["renew_before"]
        if renew.duration is None or renew.duration < lifetime:
            return renew
        if "renew_before" not in own:
            return language.RENEW_DEFAULT
        message = f"{path[1]} lives {format_duration(lifetime)}: renew_before must be shorter"
        place = self._places[(*path, "renew_before")]
        self._add(path, TopologyError(message, place=place, hint="a share is always shorter: renew_before: 33%"))
        return language.RENEW_DEFAULT

    def _template(self, path: tuple[str, str], role: str, values: Values) -> str:
        if "template" in values:
            return str(values["template"])
        what = "or another template, or a folder of your own"
        return str(self._needed(path, values, "template", self._suggest(role), what))

    def _needed(self, path: tuple[str, str], values: Values, field: str, example: Any, what: str) -> Any:
        """The value of `field`, or the example that is then shown of it."""
        if field in values:
            return values[field]
        if not (self._may_have(path, field) or self._may_have(path, "external")):
            message = f"{path[1]} needs {field}"
            self._add(path, TopologyError(message, place=self._places[path], hint=f"{field}: {example}   # {what}"))
        return example

    def _may_have(self, path: tuple[str, str], field: str) -> bool:
        """Whether a mistake may hide that the entity has `field`."""
        own = self._own[path[0]][path[1]]
        return any(isinstance(values, Partial) and values.may_have(field) for values in (own, self._defaults))


def _constant_defaults(fields: tuple[Field, ...]) -> Values:
    return {field.name: field.default for field in fields if field.default is not None}


def _inherited(defaults: Values, fields: tuple[Field, ...]) -> Values:
    return {field.name: defaults[field.name] for field in fields if field.inherited and field.name in defaults}


def _fitting(own: Values, inherited: Values) -> Values:
    """What can be inherited: a default is for those whose certificates are issued here, over a key that is here."""
    if own.get("client") == language.SAME:
        inherited = inherited | {"fault": None}
    if "existing" in own:
        return inherited | {"fault": None, "staple": False, "must_staple": False}
    return inherited | {"fault": None, "pfx": None} if "csr" in own else inherited


def _merged(own: Values, inherited: Values) -> Values:
    """What is written over what is inherited; a subject field by field."""
    values = inherited | own
    if "subject" in own:
        values["subject"] = {**inherited["subject"], **own["subject"]}
    return values


def _as_read(values: Values, fields: tuple[str, ...]) -> Values:
    return {field: values.get(field) for field in fields}


def _wrong_of_existing_server(name: str, existing: ExistingLeaf) -> Iterator[tuple[str, str, str]]:
    """Field, message and hint of what is said of a server's certificate from elsewhere, and should not be, or not."""
    if existing.trust is None:
        hint = "add trust: roots.pem, a file with its roots, which its callers then use for it alone"
        yield "certificate", f"{name} has no trust, the roots of its certificate", hint
    if existing.identity is not None:
        hint = "leave it out: it is known by its names, and calls with a certificate of its issuer"
        yield "identity", f"{name} is a server, and identity is how a client is known", hint


def _edges(values: Values) -> Values:
    """Whom it calls, and the roles that it has there."""
    calls: Mapping[str, tuple[str, ...]] = values["calls"]
    roles = {called: of_it for called, of_it in calls.items() if of_it}
    return {"calls": tuple(calls), "roles": MappingProxyType(roles) if roles else NO_ROLES}


def _always_has_dns_name(role: str, values: Values) -> bool:
    """Whether every certificate of an entity has one; that with which a server calls has none."""
    calls_too = role == "server" and values["calls"] and values.get("client") != language.SAME
    return not calls_too and any(name.type is SanType.DNS for name in values.get("names", ()))


def _known(t: Topology, issuer: str) -> tuple[str, ...]:
    """The CA `issuer`; nothing where there is none, or one with a mistake, which is said elsewhere."""
    return (issuer,) if issuer in t.cas else ()
