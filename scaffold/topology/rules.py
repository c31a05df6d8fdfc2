"""What no topology may say: one small function a rule, which yields a `TopologyError` at each value that breaks it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial

from scaffold.errors import Place, TopologyError
from scaffold.topology import graph, names, reproducible
from scaffold.topology.constraints import always_has_dns_name, forbidden_by, looks_like_dns
from scaffold.topology.durations import format_duration
from scaffold.topology.messages import nearest, shown
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.model import (
    Ca,
    CallingLeaf,
    Client,
    Fault,
    HostPort,
    IdentityForm,
    Party,
    Revocation,
    San,
    SanType,
    Server,
    Subject,
    Topology,
)


class Check:
    """Keeps what breaks a rule in `mistakes`, and who breaks one in `wrong`.

    What follows from a mistake is no second one: rules between entities look at those alone that are whole, and so are
    the CAs above them.
    """

    def __init__(self, mistakes: Mistakes, wrong: set[tuple[str, str]]) -> None:
        self._mistakes = mistakes
        self._wrong = wrong
        self._places: set[Place | None] = set()

    def _add(self, errors: Iterable[TopologyError]) -> bool:
        """Keep one mistake a place: a value in `defaults` breaks a rule for everybody who inherits it."""
        added = False
        for error in errors:
            added = True
            if error.place not in self._places:
                self._places.add(error.place)
                self._mistakes.add(error)
        return added

    def _keep(self, entity: Ca | Party, errors: Iterable[TopologyError]) -> None:
        if self._add(errors):
            self._wrong.add(_path(entity))

    def cas(self, t: Topology) -> None:
        """The rules of CAs alone. Of those that are whole when this returns the graph can be walked."""
        if not self._mistakes:
            self._add(_there_is_a_ca(t))
        for ca in t.cas.values():
            self._keep(ca, _issuer_of_ca_is_known(t, ca))
        for circle in _circles_of_issuers(t):
            self._keep(circle[0], [_no_circle(t, circle)])
            self._wrong.update(map(_path, circle))
        sound = self.whole(t)
        self._add(reproducible.seed_is_given(t))
        for ca in sound.cas.values():
            for rule in _OF_A_CA:
                self._keep(ca, rule(sound, ca))
        self._add(_no_two_cas_of_one_name(sound))

    def references(self, t: Topology, sections: Collection[str]) -> None:
        """Whoever is named is there; `sections` are those of which the names could be read."""
        for party in graph.parties(t):
            if "cas" in sections and t.cas:
                self._keep(party, _issuer_of_party_is_known(t, party))
            if "servers" in sections:
                self._keep(party, _calls_are_known(t, party))
                self._keep(party, _doors_lead_to_callees(t, party))
        for server in t.servers.values():
            if "cas" in sections:
                self._keep(server, _trusted_cas_are_known(t, server))
                self._keep(server, _accepted_cas_are_known(t, server))
            if "servers" in sections:
                self._keep(server, _upstream_is_known(t, server))

    def parties(self, sound: Topology) -> None:
        """The rules of servers, clients and edges, for a topology of which everything is whole."""
        for party in graph.parties(sound):
            if party.has_issued:
                for rule in _OF_A_PARTY:
                    self._add(rule(sound, party))
        for server in sound.servers.values():
            for rule_of_server in _OF_A_SERVER:
                self._add(rule_of_server(sound, server))
        for rule_of_all in _OF_ALL:
            self._add(rule_of_all(sound))
        if self._wrong:
            return  # whoever would have seen a fault may be among them
        for party in graph.parties(sound):
            if party.fault is not None:
                self._add(_fault_is_seen(sound, party, party.fault))

    def whole(self, t: Topology) -> Topology:
        """The topology without those with a mistake in them, without what they issue, and without calls to them."""
        if not self._mistakes:
            return t
        cas = {name: ca for name, ca in t.cas.items() if self._is_whole(t, name)}
        servers = {name: server for name, server in t.servers.items() if self._stays(server, cas)}
        clients = {name: client for name, client in t.clients.items() if self._stays(client, cas)}
        return replace(
            t,
            cas=cas,
            servers={name: _among(server, cas, servers) for name, server in servers.items()},
            clients={name: replace(client, calls=_known(client.calls, servers)) for name, client in clients.items()},
        )

    def _is_whole(self, t: Topology, name: str | None) -> bool:
        """Whether a CA and all above it are; none of those in a circle is."""
        while name is not None:
            if ("cas", name) in self._wrong:
                return False
            name = t.cas[name].issuer
        return True

    def _stays(self, party: Party, cas: Mapping[str, Ca]) -> bool:
        issuers = (name for name in (party.issuer, party.calling_issuer) if name)
        return _path(party) not in self._wrong and all(name in cas for name in issuers)


def _among(server: Server, cas: Mapping[str, Ca], servers: Mapping[str, Server]) -> Server:
    upstream = server.upstream if server.upstream in servers else None
    trusts = _known(server.trusts, cas)
    return replace(server, calls=_known(server.calls, servers), trusts=trusts, upstream=upstream)


def _known(names_: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names_ if name in known)


def _is_ours(party: Party) -> bool:
    """Whether it has a project here."""
    return isinstance(party, Server) or party.external is None


def _path(entity: Ca | Party) -> tuple[str, str]:
    return entity.address.role.section, entity.name


def _where(t: Topology, entity: Ca | Party, *field: str | int) -> Place | None:
    """Where an entity's field is: at the entity, or in the defaults that it was taken from, or else the entity."""
    return _written(t, entity, *field) or t.place(*_path(entity), *field)


def _written(t: Topology, entity: Ca | Party, *field: str | int) -> Place | None:
    """Where an entity's field is, at the entity or in the defaults; None for what is derived."""
    if (own := t.places.get((*_path(entity), *field))) is not None:
        return own
    return t.places.get(("defaults", *field)) if field else None


def _unknown(what: str, name: str, known: Iterable[str], place: Place | None) -> TopologyError:
    hint = nearest(name, known) or f"there is no other {what}: add one, or leave this out"
    return TopologyError(f"no such {what} {shown(name)}", place=place, hint=hint)


# ── CAs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _there_is_a_ca(t: Topology) -> Iterator[TopologyError]:
    if not t.cas:
        yield TopologyError("there is no CA", place=t.place("cas"), hint="cas: {root: {}} is the least")


def _issuer_of_ca_is_known(t: Topology, ca: Ca) -> Iterator[TopologyError]:
    if ca.issuer is None or (ca.issuer in t.cas and ca.issuer != ca.name):
        return
    place = t.place("cas", ca.name, "issuer")
    if ca.issuer == ca.name:
        yield TopologyError(f"{ca.name} is its own issuer", place=place, hint="leave issuer out to make it self-signed")
    else:
        yield _unknown("CA", ca.issuer, (name for name in t.cas if name != ca.name), place)


def _circles_of_issuers(t: Topology) -> Iterator[list[Ca]]:
    """Each circle once, from the CA at which it is met."""
    done: set[str] = set()
    for start in t.cas.values():
        trail: dict[str, Ca] = {}
        ca: Ca | None = start
        while ca is not None and ca.name not in done and ca.name not in trail:
            trail[ca.name] = ca
            ca = t.cas.get(ca.issuer) if ca.issuer is not None else None
        if ca is not None and ca.name in trail and ca.issuer != ca.name:
            names_ = list(trail)
            yield [trail[name] for name in names_[names_.index(ca.name) :]]
        done.update(trail)


def _no_circle(t: Topology, circle: Sequence[Ca]) -> TopologyError:
    message = "CAs issue each other in a circle: " + " → ".join(ca.name for ca in (*circle, circle[0]))
    place = t.place("cas", circle[0].name, "issuer")
    return TopologyError(message, place=place, hint="one of them must be a root: leave its issuer out")


def _issuer_has_its_key(t: Topology, entity: Ca | Party, issuer: str | None) -> Iterator[TopologyError]:
    if issuer is None or t.cas[issuer].issues_here:
        return
    message = f"{issuer} cannot issue here, since its key is not here"
    hint = f"add key to {issuer}'s existing, or choose another issuer"
    yield TopologyError(message, place=_where(t, entity, "issuer"), hint=hint)


def _issuer_of_client_from_elsewhere(t: Topology) -> Iterator[TopologyError]:
    """A client whose certificate is issued elsewhere is let in by the key of a CA that is elsewhere, too."""
    for client in t.clients.values():
        if client.existing is not None and t.cas[client.issuer].existing is None:
            message = f"{client.issuer} is made here, and the certificate of {client.name} is issued elsewhere"
            hint = "leave existing out, or name the CA that has issued it: one with existing of its own"
            yield TopologyError(message, place=_where(t, client, "issuer"), hint=hint)


def _requests_ask_for_no_key(t: Topology) -> Iterator[TopologyError]:
    """Of a certificate for a request there is no key here: nothing can be made that holds it."""
    for party in graph.parties(t):
        if party.csr is None:
            continue
        asked = {"existing": party.existing, "pfx": party.pfx, "fault": party.fault}
        for field, given in asked.items():
            if given is not None:
                message = f"{field} cannot be set for {party.name}: it has a csr, and its key is not here"
                yield TopologyError(message, place=_where(t, party, field), hint=f"leave {field} out, or csr")
        if party.has_second:
            message = f"{party.name} has a csr and makes calls, and its second certificate would need another request"
            hint = "client: same calls with the one for the request; or leave calls out, or csr"
            yield TopologyError(message, place=_where(t, party, "calls"), hint=hint)


def _path_length_kept(t: Topology, ca: Ca) -> Iterator[TopologyError]:
    """RFC 5280 4.2.1.9: the most intermediates that may follow in a path; its last certificate does not count."""
    for depth, above in enumerate(graph.chain(t, ca.name)):
        if above.path_length is not None and depth > above.path_length:
            below = "no CA" if above.path_length == 0 else f"{above.path_length} CA(s) in a row"
            message = f"{ca.name} is {depth} below {above.name}, whose path_length allows {below} below it"
            hint = f"raise path_length of {above.name} to {depth}, or choose another issuer for {ca.name}"
            yield TopologyError(message, place=_where(t, ca, "issuer"), hint=hint)


def _no_longer_life_than_issuer(t: Topology, entity: Ca | Party, issuer: str | None) -> Iterator[TopologyError]:
    """A path is valid while all of its certificates are (RFC 5280 6.1.3): what outlives its issuer is cut short."""
    if issuer is None or t.cas[issuer].existing is not None:
        return
    longest = t.cas[issuer].lifetime
    if entity.lifetime > longest:
        message = f"{entity.name} has a lifetime of {format_duration(entity.lifetime)}, longer than its issuer {issuer}"
        hint = f"lifetime: {format_duration(longest)} is what {issuer} has, and the most that {entity.name} can have"
        yield TopologyError(message, place=_lifetime_place(t, entity), hint=hint)


def _lifetime_place(t: Topology, entity: Ca | Party) -> Place | None:
    # A CA takes no lifetime from defaults.
    return t.place(*_path(entity), "lifetime") if isinstance(entity, Ca) else _where(t, entity, "lifetime")


def _pointers_have_a_publisher(t: Topology, ca: Ca) -> Iterator[TopologyError]:
    if t.publish is None and ca.revocation != Revocation():
        hint = "add publish: http://host:port, the address of CRLs and OCSP responses"
        message = f"certificates of {ca.name} cannot point to a CRL or responder while publish is not set"
        yield TopologyError(message, place=_where(t, ca, "revocation"), hint=hint)


def _one_of_two_kinds_of_crls(t: Topology, ca: Ca) -> Iterator[TopologyError]:
    """`crl` brings all CRLs of a chain; `chain_crl` those above a CA whose own is signed here."""
    existing = ca.existing
    if existing is None or existing.chain_crl is None:
        return
    place = t.place("cas", ca.name, "existing", "chain_crl")
    if existing.crl is not None:
        message = (
            f"{ca.name} has crl and chain_crl: crl is for a CRL that is signed elsewhere, chain_crl for one "
            "that is signed here"
        )
        yield TopologyError(message, place=place, hint="keep crl, with all CRLs of the chain, or chain_crl")
    elif existing.key is None:
        message = f"the CRL of {ca.name} cannot be signed here, as its key is not here"
        yield TopologyError(message, place=place, hint="crl: FILE, with its own CRL and those above it in one file")
    elif existing.chain is None:
        message = f"{ca.name} has chain_crl and no chain"
        yield TopologyError(message, place=place, hint="add chain: FILE, the certificates up to its root")


def _responder_key_is_open(t: Topology, ca: Ca) -> Iterator[TopologyError]:
    """An OCSP responder signs all day: a password has no business in a network process."""
    if ca.revocation.ocsp is not None and ca.key_password is not None:
        message = f"{ca.name} cannot answer by OCSP: its key is encrypted, and a responder signs without being asked"
        hint = "leave ocsp out of its revocation, or issue from a CA below it whose key is not encrypted"
        yield TopologyError(message, place=_where(t, ca, "revocation"), hint=hint)


def _no_two_cas_of_one_name(t: Topology) -> Iterator[TopologyError]:
    """Who sees only names could not tell them apart, and chain building could take the wrong one."""
    seen: dict[tuple[str, ...], Ca] = {}
    for ca in t.cas.values():
        # What an existing CA is called is in its certificate.
        if ca.existing is None and (other := seen.setdefault(comparable(ca.subject), ca)) is not ca:
            message = f"{ca.name} and {other.name} have the same subject, so verifiers would confuse them"
            place = _where(t, ca, "subject")
            yield TopologyError(message, place=place, hint="give each its own subject: {common_name: …}")


def comparable(subject: Subject) -> tuple[str, ...]:
    """A subject as names are compared: without regard to case, width and surplus spaces (RFC 5280 7.1, RFC 4518 2)."""
    return (
        _prepared(subject.common_name),
        _prepared(subject.organization),
        _prepared(subject.organizational_unit),
        _prepared(subject.country),
        _prepared(subject.state),
        _prepared(subject.locality),
    )


@lru_cache(maxsize=8_192)
def _prepared(text: str | None) -> str:
    return " ".join(unicodedata.normalize("NFKC", text or "").casefold().split())


# ── References between entities ──────────────────────────────────────────────────────────────────────────────────────


def _issuer_of_party_is_known(t: Topology, party: Party) -> Iterator[TopologyError]:
    if party.issuer and party.issuer not in t.cas:
        field = ("issuer",) if _is_ours(party) else ("external", "issuer")
        yield _unknown("CA", party.issuer, t.cas, _where(t, party, *field))
    elif party.calling_issuer and party.calling_issuer not in t.cas:
        yield _unknown("CA", party.calling_issuer, t.cas, _where(t, party, "client", "issuer"))


def _calls_are_known(t: Topology, party: Party) -> Iterator[TopologyError]:
    for called in party.calls:
        if called in t.servers and called != (party.name if isinstance(party, Server) else None):
            continue
        place = t.calls_place(party, called)
        if called in t.servers:
            yield TopologyError(f"{party.name} calls itself", place=place, hint="remove it from the list")
        elif called in t.clients:
            hint = "make it a server (a server can have calls too), or remove it from the list"
            yield TopologyError(f"{called} is a client, and only servers can be called", place=place, hint=hint)
        else:
            others = (name for name in t.servers if name != party.name or isinstance(party, Client))
            yield _unknown("server", called, others, place)


def _upstream_is_known(t: Topology, server: Server) -> Iterator[TopologyError]:
    upstream = server.upstream
    if upstream is None or upstream in server.calls:
        return
    place = _where(t, server, "upstream")
    if upstream not in t.servers:
        yield _unknown("server", upstream, (name for name in t.servers if name != server.name), place)
    elif upstream == server.name:
        hint = "give the server behind it, or leave upstream out"
        yield TopologyError(f"{server.name} is its own upstream", place=place, hint=hint)


def _upstream_is_called(t: Topology, server: Server) -> Iterator[TopologyError]:
    if server.upstream is not None and server.upstream not in server.calls:
        message = f"{server.name} does not call its upstream {server.upstream}"
        yield TopologyError(message, place=_where(t, server, "upstream"), hint=_calling(server, server.upstream))


def _backend_or_upstream(t: Topology, server: Server) -> Iterator[TopologyError]:
    if server.backend is not None and server.upstream is not None:
        message = f"{server.name} cannot forward requests to both its upstream {server.upstream} and its backend"
        hint = "upstream: a server of this topology, over mutual TLS; backend: your own app in plain HTTP. Keep one"
        yield TopologyError(message, place=_where(t, server, "backend"), hint=hint)


def _backend_is_no_server(t: Topology, server: Server) -> Iterator[TopologyError]:
    """What listens there with TLS is not spoken to in plain, and a front must not call itself."""
    if not isinstance(backend := server.backend, HostPort):
        return
    for other in t.servers.values():
        if (_machine(backend.host), backend.port) not in {
            (_machine(at.host), at.port) for at in (other.listen, other.dial)
        }:
            continue
        if other is server:
            message, hint = f"{server.name} would forward requests to itself", "backend: the port of the app behind it"
        else:
            message = f"the backend of {server.name} is the address of the server {other.name}, which speaks TLS"
            hint = f"upstream: {other.name}, and {_calling(server, other.name)}"
        yield TopologyError(message, place=_where(t, server, "backend"), hint=hint)


def _calling(server: Server, upstream: str) -> str:
    """How `calls` is written with one more server."""
    calls = (*server.calls, upstream)
    if not server.roles:
        return f"calls: [{', '.join(calls)}]"
    edges = (f"{called}: [{', '.join(server.roles.get(called, ()))}]" for called in calls)
    return f"calls: {{{', '.join(edges)}}}"


def _trusted_cas_are_known(t: Topology, server: Server) -> Iterator[TopologyError]:
    for index, name in enumerate(server.trusts):
        if name not in t.cas and (place := _written(t, server, "trusts", index)) is not None:
            yield _unknown("CA", name, t.cas, place)


def _callers_are_trusted(t: Topology, server: Server) -> Iterator[TopologyError]:
    untrusted = [caller for caller in graph.callers(t, server.name) if caller.calling_issuer not in server.trusts]
    if untrusted:
        caller = untrusted[0]
        message = f"{server.name} does not trust {caller.calling_issuer}, the issuer of its caller {caller.name}"
        hint = f"trusts: [{', '.join(dict.fromkeys([*server.trusts, *(one.calling_issuer for one in untrusted)]))}]"
        yield TopologyError(message, place=_where(t, server, "trusts"), hint=hint)


# ── Names and addresses ──────────────────────────────────────────────────────────────────────────────────────────────


def _names_within_constraints(t: Topology, party: Party) -> Iterator[TopologyError]:
    """Every name of a leaf against every CA above it, and a common name that clients may take for a DNS name."""
    for ca, name, place in _certified(t, party):
        why = forbidden_by(ca.name_constraints, name) if ca.name_constraints is not None else None
        if why is not None:
            message = f"{party.name}: {shown(name.value)} violates name_constraints of {ca.name}: {why}"
            hint = f"choose another name, or let name_constraints of {ca.name} permit it (RFC 5280 4.2.1.10)"
            yield TopologyError(message, place=place(), hint=hint)


def _certified(t: Topology, party: Party) -> Iterator[tuple[Ca, San, Callable[[], Place | None]]]:
    """Each CA above one of its certificates, with each name that this one has."""
    own = tuple(_names_and_places(t, party))
    yield from ((ca, name, place) for ca in graph.chain(t, party.issuer) for name, place in own)
    if isinstance(party, Server) and party.has_second and party.calling is not None:
        second = tuple(_names_of_second(t, party, party.calling))
        yield from ((ca, name, place) for ca in graph.chain(t, party.calling.issuer) for name, place in second)


def _names_of_second(
    t: Topology, server: Server, leaf: CallingLeaf
) -> Iterator[tuple[San, Callable[[], Place | None]]]:
    for index, name in enumerate(leaf.names):
        yield name, partial(_where, t, server, "client", "names", index)
    yield San(SanType.URI, server.identity), partial(_where, t, server, "client", "issuer")


def _names_and_places(t: Topology, party: Party) -> Iterator[tuple[San, Callable[[], Place | None]]]:
    own = party.names if party.issued_here else ()
    for index, name in enumerate((*own, San(SanType.URI, party.identity))):
        yield name, partial(_place_of_name, t, party, index)
    common_name = party.subject.common_name
    if looks_like_dns(common_name) and not always_has_dns_name(party):
        name = San(SanType.DNS, common_name.rstrip(".").lower())
        yield name, partial(_where, t, party, "subject", "common_name")


def _place_of_name(t: Topology, party: Party, index: int) -> Place | None:
    """Where a name is: the one at `index` once the identity, wherever it is on the list, is taken as the last."""
    path = _path(party) if (*_path(party), "names") in t.places else ("defaults",)
    found: list[Place] = []
    while (place := t.places.get((*path, "names", len(found)))) is not None:
        found.append(place)
    found.sort(key=_is_uri)
    return found[index] if index < len(found) else _where(t, party, "names")


def _is_uri(place: Place) -> bool:
    return place.text[place.column - 1 :].lstrip("\"'").startswith(("spiffe:", "uri:"))


def _first_name_can_be_dialled(t: Topology, server: Server) -> Iterator[TopologyError]:
    """Callers expect the first of the names, so it is one that a host can have."""
    first = server.names[0] if server.names else None
    if first is not None and first.type in {SanType.DNS, SanType.IP} and not first.value.startswith("*."):
        return
    found = f"{shown(first.value)}, which is not a host name" if first else "an identity alone"
    message = f"the first of the names of {server.name} is {found}"
    yield TopologyError(
        message, place=_where(t, server, "names"), hint="put a DNS name or an IP address first, which callers expect"
    )


def _second_leaf_is_used(t: Topology, server: Server) -> Iterator[TopologyError]:
    if server.calling is not None and not server.calls:
        message = f"{server.name} has client, the fields of its second certificate, and makes no calls with one"
        hint = "add calls: [SERVER], or use client: same to put both purposes into one certificate"
        yield TopologyError(message, place=_where(t, server, "client"), hint=hint)
    for index, name in enumerate(server.calling.names if server.calling is not None else ()):
        if name.type is SanType.URI:
            message = (
                f"{shown(name.value)} cannot be a name of the second certificate: it is the identity of {server.name}"
            )
            place = _where(t, server, "client", "names", index)
            hint = f"put it into names of {server.name}: both certificates have the same identity"
            yield TopologyError(message, place=place, hint=hint)


def _one_leaf_is_sound(t: Topology, server: Server) -> Iterator[TopologyError]:
    """What is broken on purpose would be broken on both sides, and what is issued elsewhere is what it is."""
    if not server.one_leaf:
        return
    if server.existing is not None:
        message = f"client: same cannot be set for {server.name}: its certificate is made elsewhere"
        hint = "leave client out: the certificate with which it calls is issued here"
        yield TopologyError(message, place=_where(t, server, "client"), hint=hint)
    if server.fault is not None:
        message = f"{server.name} serves and calls with one certificate, so a fault would affect both"
        yield TopologyError(message, place=_where(t, server, "fault"), hint="leave fault out, or client: same")


def _accepted_cas_are_known(t: Topology, server: Server) -> Iterator[TopologyError]:
    for index, name in enumerate(server.accepts):
        if name not in t.cas:
            yield _unknown("CA", name, t.cas, _where(t, server, "accepts", index))


def _promised_staple_is_kept(t: Topology, server: Server) -> Iterator[TopologyError]:
    """RFC 7633 4.2.2: a client refuses a certificate with must-staple that comes without a response."""
    if server.must_staple and not server.staple:
        message = f"{server.name} has must_staple and does not staple"
        yield TopologyError(message, place=_where(t, server, "must_staple"), hint="staple: true")


def _staple_has_a_responder(t: Topology, server: Server) -> Iterator[TopologyError]:
    if server.staple and t.cas[server.issuer].revocation.ocsp is None:
        message = f"{server.name} cannot staple: its issuer {server.issuer} has no OCSP responder"
        hint = f"give {server.issuer} `revocation: {{ocsp: 1h}}`, and the topology `publish:` where it has none"
        yield TopologyError(message, place=_where(t, server, "staple"), hint=hint)


def _callers_can_dial(t: Topology, server: Server) -> Iterator[TopologyError]:
    if graph.callers(t, server.name) and names.is_every_address(server.dial.host):
        message = f"callers cannot dial {server.dial.host}, where {server.name} listens"
        hint = f"add address: {server.names[0]}:{server.dial.port}, which its callers dial"
        place = t.places.get(("servers", server.name, "address")) or _where(t, server, "listen")
        yield TopologyError(message, place=place, hint=hint)


def _doors_lead_to_callees(t: Topology, party: Party) -> Iterator[TopologyError]:
    for name in party.doors if isinstance(party, Client) else ():
        if name not in party.calls:
            message = f"{party.name} has a door to {shown(name)}, which it does not call"
            called = ", ".join(party.calls) or "nobody"
            hint = f"it calls {called}: list {name} under its `calls` too, or remove the door"
            yield TopologyError(message, place=_where(t, party, "doors", name), hint=hint)


def _no_two_on_one_port(t: Topology) -> Iterator[TopologyError]:
    """Who listens on all of a machine's addresses is on the machine that callers dial; two of them may be on two."""
    taken: dict[tuple[str, int], str] = {}
    if t.publish is not None:
        published = names.host_port(
            t.publish.removeprefix("http://") if _has_port(t.publish) else f"{t.publish[7:]}:80"
        )
        taken[_machine(published.host), published.port] = "where publish is"
    for server in t.servers.values():
        for field, socket in (("listen", server.listen), ("health", server.health)):
            if socket is None:
                continue
            machine = _machine(server.dial.host if names.is_every_address(socket.host) else socket.host)
            what = f"{server.name}'s {field}"
            if (other := taken.setdefault((machine, socket.port), what)) is not what:
                message = f"{what} uses {socket}, which is {other}"
                yield TopologyError(message, place=_where(t, server, field), hint="give each its own port")
    yield from _no_two_at_one_door(t, taken)


def _no_two_at_one_door(t: Topology, taken: dict[tuple[str, int], str]) -> Iterator[TopologyError]:
    """`taken` are the ports of servers. A door is on loopback, or a Unix socket."""
    sockets: dict[str, str] = {}
    for client in t.clients.values():
        for name, door in client.doors.items():
            what = f"{client.name}'s door to {name}"
            if isinstance(door, HostPort):
                other = taken.setdefault((_machine(door.host), door.port), what)
            else:
                other = sockets.setdefault(door.path, what)
            if other is not what:
                message = f"{what} uses {door}, which is {other}"
                yield TopologyError(message, place=_where(t, client, "doors", name), hint="give each its own")


def _has_port(url: str) -> bool:
    return url.rpartition(":")[2].isdigit()


def _machine(host: str) -> str:
    return "127.0.0.1" if host == "localhost" or names.is_every_address(host) else host


# ── Mistaken identity (topology.md, "Identity") ──────────────────────────────────────────────────────────────────────


def _no_two_of_one_identity(t: Topology) -> Iterator[TopologyError]:
    """An allow list's entry is issuer and identity; two external ones may share an identity that two CAs vouch for."""
    seen: dict[str, list[Party]] = {}
    for party in graph.parties(t):
        for other in seen.setdefault(party.identity, []):
            if party.has_issued or other.has_issued or party.issuer == other.issuer:
                message = f"{party.name} and {other.name} have the same identity {party.identity}"
                yield TopologyError(
                    message,
                    place=_where(t, party, *_field_of_identity(party)),
                    hint="give one of them another: one spiffe:// or uri: among its names",
                )
        seen[party.identity].append(party)


def _field_of_identity(party: Party) -> tuple[str, ...]:
    if isinstance(party, Client) and not party.issued_here:
        return ("existing" if party.external is None else "external", "identity")
    return ("names",)


def _no_identity_that_is_another_name(t: Topology) -> Iterator[TopologyError]:
    """Who is known by a DNS name could be mistaken for a client of the same issuer that has it among its names."""
    of_clients = {
        (client.issuer, name): client
        for client in t.clients.values()
        if client.has_issued
        for name in client.names
        if name.type is SanType.DNS
    }
    for client in t.clients.values():
        if client.has_issued or names.form_of(client.identity) is not IdentityForm.DNS:
            continue
        name = San(SanType.DNS, client.identity.removeprefix("dns:"))
        if (other := of_clients.get((client.issuer, name))) is not None:
            message = f"{client.name} has the identity {client.identity}, which is also a name of {other.name}"
            hint = "give one of them another name: both are issued by the same CA"
            yield TopologyError(message, place=_where(t, client, *_field_of_identity(client)), hint=hint)


def _no_two_callers_of_one_name(t: Topology) -> Iterator[TopologyError]:
    """A server that sees only names (the whole issuer and subject) would take one for the other."""
    seen: dict[tuple[str, tuple[str, ...]], Party] = {}
    for party in graph.parties(t):
        if not party.has_issued or not graph.has_client_leaf(party):
            continue
        other = seen.setdefault((party.calling_issuer, comparable(party.calling_subject)), party)
        if other is not party:
            message = f"{party.address} and {other.address} have the same issuer and the same subject"
            hint = "give each its own subject: {common_name: …}, as some servers see nothing else"
            yield TopologyError(message, place=_where(t, party, "subject"), hint=hint)


def _no_party_with_a_cas_name(t: Topology) -> Iterator[TopologyError]:
    """A leaf with its issuer's name would be self-issued, and chain building would go astray (RFC 5280 3.2 and 6.1)."""
    of_cas = {comparable(ca.subject): ca for ca in t.cas.values() if ca.existing is None}
    for party in graph.parties(t):
        if party.has_issued and (ca := of_cas.get(comparable(party.subject))) is not None:
            message = f"{party.name} has the same subject as the CA {ca.name}"
            hint = "give one of them another subject: {common_name: …}"
            yield TopologyError(message, place=_where(t, party, "subject"), hint=hint)


# ── Declared faults ──────────────────────────────────────────────────────────────────────────────────────────────────


def _wrong_names_are_nobodys(t: Topology) -> Iterator[TopologyError]:
    identities = {party.identity: party for party in graph.parties(t)}
    for party in graph.parties(t):
        if party.fault is Fault.WRONG_NAME and (other := identities.get(names.wrong_identity(party.identity))):
            message = f"the wrong name that the fault gives {party.name} would be the identity of {other.name}"
            yield TopologyError(message, place=_where(t, other, "names"), hint="rename one of them")


def _fault_is_seen(t: Topology, party: Party, fault: Fault) -> Iterator[TopologyError]:
    """Somebody here must be able to see it: the servers that a client calls, those of ours that call a server.

    A server's fault is in the certificate it serves with. Whether a kind looks at what is wrong (some see no SAN) is
    for the kind to say; what nobody could see whatever its kind is refused here.
    """
    place = _where(t, party, "fault")
    if isinstance(party, Client) and not party.calls:
        hint = "let it call a server, or remove the fault"
        yield TopologyError(
            f"the fault of {party.name} has no effect, since it calls no server", place=place, hint=hint
        )
    if isinstance(party, Server) and not any(_is_ours(caller) for caller in graph.callers(t, party.name)):
        hint = "let a client call it, or remove the fault"
        yield TopologyError(
            f"the fault of {party.name} has no effect, since no client or server calls it", place=place, hint=hint
        )
    if isinstance(party, Server) and fault in _WITHOUT_SAN and _common_name_stands_in(party):
        message = f"without a SAN, callers of {party.name} use its common name, and accept it"
        yield TopologyError(message, place=place, hint="give it a common_name that is not one of its names")


_WITHOUT_SAN = frozenset({Fault.NO_SAN, Fault.VERSION_1})


def _common_name_stands_in(server: Server) -> bool:
    """Many TLS clients accept a name in CN alone where there is no SAN (RFC 6125 6.4.4)."""
    return server.subject.common_name.lower() in {name.value for name in server.names}


_OF_A_CA = (
    lambda t, ca: _issuer_has_its_key(t, ca, ca.issuer),
    _path_length_kept,
    lambda t, ca: _no_longer_life_than_issuer(t, ca, ca.issuer),
    _pointers_have_a_publisher,
    _one_of_two_kinds_of_crls,
    _responder_key_is_open,
    reproducible.of_ca,
)
_OF_A_PARTY = (
    lambda t, party: _issuer_has_its_key(t, party, party.issuer),
    lambda t, party: _issuer_has_its_key(t, party, party.calling_issuer),
    lambda t, party: _no_longer_life_than_issuer(t, party, party.issuer),
    lambda t, party: _no_longer_life_than_issuer(t, party, party.calling_issuer),
    _names_within_constraints,
    reproducible.of_party,
)
_OF_A_SERVER = (
    _first_name_can_be_dialled,
    _upstream_is_called,
    _backend_or_upstream,
    _backend_is_no_server,
    _callers_are_trusted,
    _callers_can_dial,
    _second_leaf_is_used,
    _one_leaf_is_sound,
    _promised_staple_is_kept,
    _staple_has_a_responder,
)
_OF_ALL = (
    _no_two_on_one_port,
    _no_two_of_one_identity,
    _no_two_callers_of_one_name,
    _no_party_with_a_cas_name,
    _wrong_names_are_nobodys,
    _issuer_of_client_from_elsewhere,
    _requests_ask_for_no_key,
    _no_identity_that_is_another_name,
)
