"""Checks a topology against what its kinds declare: what a kind cannot enforce is refused, in the topology's words."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeVar

from scaffold.errors import Place, TopologyError
from scaffold.kinds import by_chain, namesakes, revocation
from scaffold.kinds.capabilities import Capabilities
from scaffold.kinds.catalogue import Kind, builtin, builtin_speaking
from scaffold.kinds.variables import VariableError, merged
from scaffold.settings import material
from scaffold.settings.subjects import rfc2253, stated_subjects
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.messages import listed, nearest
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.model import (
    Client,
    EnvSecret,
    Fault,
    Forward,
    HostPort,
    IdentityForm,
    KeyType,
    Party,
    RevocationCheck,
    Server,
    TlsProfile,
    Topology,
)
from scaffold.topology.names import form_of
from scaffold.topology.notes import Note

OLDEST_LIBRARY = (3, 0)
"""The TLS library that every machine is taken to have; what needs a later one is noted in the plan."""

_LONGEST_VISIBLE_NAME = 1024


def check(t: Topology, kinds: Mapping[Address, Kind]) -> tuple[Note, ...]:
    """The plan's notes. `kinds` maps the addresses of all that has a project to its kind.

    Raises TopologyError for what a kind cannot do or the two ends of an edge cannot agree on, all of it at once: the
    first of each server, client and edge, and of what many stumble over, such as a CA's key, one.
    """
    notes: dict[Note, None] = {}
    wrong: dict[Place | None, TopologyError] = {}
    for found in _checks(t, kinds):
        try:
            notes.update(dict.fromkeys(found))
        except TopologyError as error:
            wrong.setdefault(error.place, error)
    mistakes = Mistakes()
    mistakes.add_all(wrong.values())
    mistakes.check()
    return tuple(notes)


def _checks(t: Topology, kinds: Mapping[Address, Kind]) -> Iterator[Iterator[Note]]:
    """One check for each server and client, for each edge, and for each server that knows callers by their names."""
    passwords = _passwords_in_the_environment(t)
    for party in graph.parties(t):
        if (kind := kinds.get(party.address)) is not None:
            yield _check_party(t, party, kind, passwords)
    for caller, callee in graph.edges(t):
        yield _check_edge(t, caller, callee, kinds)
    yield from _check_names(t, kinds)
    for server in t.servers.values():
        if kinds[server.address].capabilities.decides_by_chain:
            yield by_chain.check(t, server, kinds[server.address])


def without_unusable_defaults(t: Topology, kinds: Mapping[Address, Kind]) -> Topology:
    """`t` without what servers and clients inherit from `defaults` and their kinds have no use for: `pfx` and `files`.

    What an entity asks for itself stays, for `check` to refuse. What guards, such as `check_revocation`, is
    never dropped: an entity declines that in its own words.
    """
    servers = {name: _without_unusable_default(t, server, kinds) for name, server in t.servers.items()}
    clients = {name: _without_unusable_default(t, client, kinds) for name, client in t.clients.items()}
    if all(servers[name] is t.servers[name] for name in servers) and all(
        clients[name] is t.clients[name] for name in clients
    ):
        return t
    return replace(t, servers=MappingProxyType(servers), clients=MappingProxyType(clients))


_ServerOrClient = TypeVar("_ServerOrClient", Server, Client)


def _without_unusable_default(t: Topology, party: _ServerOrClient, kinds: Mapping[Address, Kind]) -> _ServerOrClient:
    kind = kinds.get(party.address)
    if kind is None:
        return party
    pfx = None if _has_no_use(t, party, kind, "pfx", party.pfx) else party.pfx
    files = None if _has_no_use(t, party, kind, "files", party.files) else party.files
    return party if (pfx, files) == (party.pfx, party.files) else replace(party, pfx=pfx, files=files)


def _has_no_use(t: Topology, party: Party, kind: Kind, field: str, value: object) -> bool:
    """Whether a value was inherited, and the kind has no use for it."""
    # The places are asked last: for the first of them the file is composed again.
    return value is not None and field not in kind.capabilities.supports and (*_path(party), field) not in t.places


def _passwords_in_the_environment(t: Topology) -> tuple[str, ...]:
    """The variables that hold the passwords of CAs' keys and of bundles."""
    secrets = (
        *(ca.key_password for ca in t.cas.values()),
        *(party.pfx.password for party in graph.parties(t) if party.pfx is not None),
    )
    return tuple(dict.fromkeys(secret.variable for secret in secrets if isinstance(secret, EnvSecret)))


def _check_party(t: Topology, party: Party, kind: Kind, passwords: tuple[str, ...]) -> Iterator[Note]:
    _check_environment(t, party, kind, passwords)
    _check_variables(t, party, kind)
    _check_choices(t, party, kind)
    yield from revocation.check(t, party, kind)
    if isinstance(party, Server):
        _check_features(t, party, kind)
        _check_backend(t, party, kind)
        if party.post_quantum:
            yield from _post_quantum(t, party, kind)
    else:
        if party.pfx and "pfx" not in kind.capabilities.supports:
            raise _lacks(t, party, "pfx", kind, "reads no PFX bundle")
        yield from _check_doors(t, party, kind)
    if party.files is not None:
        _check_files(t, party, kind)
    if party.csr is not None and "csr" not in kind.capabilities.supports:
        raise _lacks(t, party, "csr", kind, "needs the private key, which for a request is not here")
    if party.has_issued:
        yield from uses_key(t, party, kind, party.key, "key")
    if party.has_second and party.calling_key is not party.key:
        yield from uses_key(t, party, kind, party.calling_key, "client", "key")


def uses_key(t: Topology, party: Party, kind: Kind, key: KeyType, *field: str) -> Iterator[Note]:
    """Notes of the library that a key of its own needs. Raises TopologyError at `field` where the kind can use none."""
    needed = kind.capabilities.keys.get(key)
    if needed is None:
        message = f'{party.address}: template "{kind.name}" cannot use a {key} key of its own'
        raise TopologyError(message, place=t.place(*_path(party), *field), hint=_one_of(kind.capabilities.keys))
    yield from _newer(party, kind, needed, f"a {key} key")


def _check_environment(t: Topology, party: Party, kind: Kind, passwords: tuple[str, ...]) -> None:
    """A process that is started sees no password of ours, whatever its kind would like to see."""
    for pattern in kind.capabilities.environment:
        if seen := fnmatch.filter(passwords, pattern):
            problem = f"reads {pattern} from the environment, and would see the password in {seen[0]}"
            raise _refusal(t, party, "template", kind, problem, "use a variable with another name for that password")


def _check_variables(t: Topology, party: Party, kind: Kind) -> None:
    try:
        merged(kind, party.vars)
    except VariableError as error:
        place = t.place(*_path(party), "vars", error.variable)
        raise TopologyError(f"{party.address}: {error.message}", place=place, hint=error.hint) from error


def _check_choices(t: Topology, party: Party, kind: Kind) -> None:
    can = kind.capabilities
    if party.tls not in can.tls:
        raise _refusal(t, party, "tls", kind, f'cannot enforce "tls: {party.tls}"', _one_of(can.tls))
    if party.check_revocation not in can.check_revocation:
        problem = f'cannot enforce "check_revocation: {party.check_revocation}"'
        raise _refusal(t, party, "check_revocation", kind, problem, _one_of(can.check_revocation))
    if party.on_unavailable not in can.on_unavailable:
        problem = f'cannot do "on_unavailable: {party.on_unavailable}"'
        raise _refusal(t, party, "on_unavailable", kind, problem, _one_of(can.on_unavailable))


def _check_features(t: Topology, server: Server, kind: Kind) -> None:
    if server.one_leaf and "one_leaf" not in kind.capabilities.supports:
        problem = "calls with a second certificate alone"
        hint = _others("client", kind, lambda can: "one_leaf" in can.supports)
        raise _refusal(t, server, "client", kind, problem, hint)
    if server.accepts and not kind.capabilities.decides_by_chain:
        problem = "lets in only callers that list it under `calls`"
        raise _refusal(
            t, server, "accepts", kind, problem, "leave accepts out, and add the server to the `calls` of its callers"
        )
    asked = {
        "health": (server.health, "has no health port"),
        "upstream": (server.upstream, "forwards to no upstream"),
        "calls": (server.calls, "calls no other server"),
        "pfx": (server.pfx, "reads no PFX bundle"),
        "staple": (server.staple and "staple-file" not in kind.capabilities.supports, "staples no OCSP response"),
        "must_staple": (server.must_staple, "does not staple reliably enough for must_staple"),
    }
    for feature, (wanted, problem) in asked.items():
        if wanted and feature not in kind.capabilities.supports:
            raise _lacks(t, server, feature, kind, problem)


def _check_backend(t: Topology, server: Server, kind: Kind) -> None:
    if server.backend is None:
        return
    if "backend" not in kind.capabilities.supports:
        hint = f"choose a template that does, {_those_that(kind, lambda other: 'backend' in other.supports)}"
        raise _refusal(t, server, "backend", kind, "does not forward requests to an app", hint)
    for index, forward in enumerate(server.forward):
        if forward not in kind.capabilities.forward:
            others = _those_that(kind, functools.partial(_forwards, forward))
            place = t.place(*_path(server), "forward", index) or t.place("defaults", "forward")
            raise TopologyError(
                f'{server.address}: template "{kind.name}" cannot name the caller to its backend by {forward}',
                place=place,
                hint=f"{_one_of(kind.capabilities.forward)}; or choose another template, {others}",
            )


def _check_doors(t: Topology, client: Client, kind: Kind) -> Iterator[Note]:
    """Each server that it calls has one, and nobody else."""
    if not kind.capabilities.has_doors:
        if client.doors:
            raise _lacks(t, client, "doors", kind, "has no doors")
        return
    for called in client.calls:
        if called not in client.doors:
            doors = ", ".join(
                [*(f"{name}: {door}" for name, door in client.doors.items()), f"{called}: 127.0.0.1:7001"]
            )
            raise TopologyError(
                f'{client.address}: template "{kind.name}" calls {called} only through a door, and has none',
                place=t.places.get((*_path(client), "doors")) or t.calls_place(client, called),
                hint=f"doors: {{{doors}}}, or unix:/path",
            )
    ports = [str(door) for door in client.doors.values() if isinstance(door, HostPort)]
    if ports:
        reached = " or ".join(ports)
        said = (
            f"lets every program that reaches {reached} on its machine call as this client; a door unix:/path "
            "admits one account alone"
        )
        yield Note(client.address, said)


def _forwards(forward: Forward, can: Capabilities) -> bool:
    return forward in can.forward


def _check_files(t: Topology, party: Party, kind: Kind) -> None:
    if "files" not in kind.capabilities.supports:
        raise _lacks(t, party, "files", kind, "sets the names and rights of its files itself")
    for field, name in material.without_ground(party):
        message = f"{party.address}: files.{field} needs a {name}, and there is none"
        place = t.place(*_path(party), "files", field)
        raise TopologyError(message, place=place, hint=f"there are {', '.join(material.standing(t, party))}")
    standing = material.standing(t, party)
    for name, other in (party.files.names if party.files is not None else {}).items():
        place = t.place(*_path(party), "files", "names")
        if name not in standing:
            message = f"{party.address}: files.names has {name}, and its tls/ has no such file"
            raise TopologyError(
                message, place=place, hint=nearest(name, standing) or f"there are {', '.join(standing)}"
            )
        if material.is_taken(other):
            message = f"{party.address}: scaffold uses the name {other} for a file of its own"
            raise TopologyError(message, place=place, hint="choose another name")


def _post_quantum(t: Topology, server: Server, kind: Kind) -> Iterator[Note]:
    group = "X25519MLKEM768"
    needed = kind.capabilities.groups.get(group)
    if needed is None:
        problem = f"cannot put the group {group} first"
        raise _refusal(t, server, "post_quantum", kind, problem, _others("post_quantum", kind, lambda can: can.groups))
    yield from _newer(server, kind, needed, f"the group {group}")


def _check_edge(t: Topology, caller: Party, callee: Server, kinds: Mapping[Address, Kind]) -> Iterator[Note]:
    """Each end must take the other's leaf key and every key of its chain, under the TLS versions both speak."""
    calling, called = kinds.get(caller.address), kinds[callee.address]
    if calling is not None:
        _check_protocol(t, caller, calling, callee, called)
    if callee.name in caller.roles:
        _check_roles(t, caller, callee, kinds)
    yield from _takes(t, callee, called, caller, caller.calling_key, caller.calling_issuer)
    if calling is not None:
        if callee.issued_here:  # what is from elsewhere is read before it is judged
            yield from _takes(t, caller, calling, callee, callee.key, callee.issuer)
        _check_callee_name(t, caller, calling, callee)
        namesakes.check(t, caller, calling, callee)
        _check_fault_is_seen(t, callee, caller, calling)
        if callee.must_staple and "demands_staple" not in calling.capabilities.supports:
            said = f"accepts {callee.address} also without a staple, although must_staple promises one"
            yield Note(caller.address, said)
    if isinstance(caller, Client):
        _check_fault_is_seen(t, caller, callee, called)
        if not caller.has_issued and not called.capabilities.decides_by_chain:
            _check_identity_is_seen(t, callee, called, caller)
    speaks_tls12 = TlsProfile.MODERN not in (caller.tls, callee.tls)
    for kind in (calling, called):
        if kind is not None and speaks_tls12:
            _refuse_tls12(t, caller, callee, kind)


def _check_protocol(t: Topology, caller: Party, calling: Kind, callee: Server, called: Kind) -> None:
    spoken, asked = calling.capabilities.protocol, called.capabilities.protocol
    known = calling.capabilities.runs and called.capabilities.runs
    if known and spoken != asked:
        fitting = builtin_speaking(asked, "client")
        raise TopologyError(
            f'{caller.address} (template "{calling.name}") speaks {spoken}, and {callee.address} '
            f'(template "{called.name}") speaks {asked}',
            place=t.place(*_path(caller), "calls"),
            hint=f"templates of clients that speak {asked}: {' or '.join(fitting) or 'none is built in'}",
        )


def _check_roles(t: Topology, caller: Party, callee: Server, kinds: Mapping[Address, Kind]) -> None:
    """A role that nobody would see promises what is not kept. A gateway's upstream is told them, too."""
    for server in (callee, *([t.servers[callee.upstream]] if callee.upstream else [])):
        kind = kinds[server.address]
        if "roles" not in kind.capabilities.supports:
            given = ", ".join(caller.roles[callee.name])
            raise TopologyError(
                f'{server.address} (template "{kind.name}") cannot tell the roles of its callers: {given}',
                place=t.calls_place(caller, callee.name),
                hint=(
                    f"leave the roles out ({callee.name}: []), and set the rights of each caller in {server.name} "
                    "itself"
                ),
            )


def _check_fault_is_seen(t: Topology, party: Party, judge: Party, kind: Kind) -> None:
    """A fault on purpose must be seen at the other end, or a broken certificate would be let in."""
    sees_no_san = isinstance(party, Client) and kind.capabilities.sees_issuer_by != "key"
    sees_no_other_name = isinstance(party, Server) and namesakes.hides_other_names(kind, party)
    blind = {
        Fault.NO_EKU: "demands_eku" not in kind.capabilities.supports,
        Fault.NO_SAN: sees_no_san,
        Fault.NUL_IN_NAME: sees_no_san or sees_no_other_name,
        Fault.WRONG_NAME: sees_no_other_name,
        Fault.VERSION_1: sees_no_san,
        Fault.REVOKED: judge.check_revocation is RevocationCheck.NONE,
    }
    if party.fault is not None and blind.get(party.fault, False):
        raise TopologyError(
            f'{judge.address} (template "{kind.name}") cannot detect the fault of {party.address}: {party.fault}',
            place=t.place(*_path(party), "fault"),
            hint="add check_revocation: crl to it"
            if party.fault is Fault.REVOKED
            else "choose another fault, such as expired or wrong-ca",
        )


def _check_identity_is_seen(t: Topology, server: Server, kind: Kind, caller: Client) -> None:
    """A caller with a certificate from elsewhere is known by what the topology states of it, if that can be seen."""
    form, seen = form_of(caller.identity), kind.capabilities.sees_callers_by
    if form in seen:
        return
    words = " or ".join(sorted(_FORMS[each] for each in seen))
    known = f"identifies callers by their {words}, and that of {caller.address} is not known here"
    state = f"state it ({' or '.join(sorted(_EXAMPLES[each] for each in seen))}), or "
    raise TopologyError(
        f'{server.address}: template "{kind.name}" '
        + (
            known
            if seen
            else f"cannot identify callers whose certificates are issued elsewhere, such as {caller.address}"
        ),
        place=t.place(*_path(caller), "existing" if caller.external is None else "external", "identity"),
        hint=f"{state if seen else ''}choose a template that sees the {_FORMS[form]} for this server, "
        f"{_those_that(kind, lambda other: form in other.sees_callers_by)}",
    )


_FORMS: Final = {
    IdentityForm.URI: "URI (SAN)",
    IdentityForm.DNS: "DNS name (SAN)",
    IdentityForm.SUBJECT: "subject",
}
_EXAMPLES: Final = {
    IdentityForm.URI: "identity: spiffe://…",
    IdentityForm.DNS: "identity: dns:gateway.example",
    IdentityForm.SUBJECT: "identity: subject:CN=…,O=…",
}


def _check_callee_name(t: Topology, caller: Party, kind: Kind, callee: Server) -> None:
    """A caller knows a server by the first of its names."""
    first = callee.names[0]
    if first.type not in kind.capabilities.checks_names:
        raise TopologyError(
            f'{caller.address} (template "{kind.name}") cannot check that a server is {first}, '
            f"the first name of {callee.address}: it checks {_one_of_types(kind)} names alone",
            place=t.place("servers", callee.name, "names", 0),
            hint=f"put a {_one_of_types(kind)} name first",
        )


def _one_of_types(kind: Kind) -> str:
    return " or ".join(sorted(each.upper() for each in kind.capabilities.checks_names))


def _takes(t: Topology, verifier: Party, kind: Kind, peer: Party, own: KeyType, issuer: str) -> Iterator[Note]:
    """`own` and `issuer` are those of the certificate that the peer shows."""
    keys = (own, *(ca.key for ca in graph.chain(t, issuer)))
    if all(_is_taken_everywhere(kind, key) for key in keys):
        return
    leaf = ((own, f"{peer.address}'s {own} key", (*_path(peer), "key")),) if peer.has_issued else ()
    chain = (
        (ca.key, f"the {ca.key} key of {ca.address}, which is above {peer.address}", ("cas", ca.name, "key"))
        for ca in graph.chain(t, issuer)
        if not ca.existing
    )
    for key, words, path in (*leaf, *chain):
        yield from takes_key(verifier, kind, key, words, t.place(*path))


def takes_key(verifier: Party, kind: Kind, key: KeyType, words: str, place: Place | None) -> Iterator[Note]:
    """Notes of the library that `verifier` needs for a key of a peer's chain. Raises TopologyError where none does."""
    needed = kind.capabilities.peer_keys.get(key)
    if needed is None:
        raise TopologyError(
            f'{verifier.address} (template "{kind.name}") cannot verify {words}',
            place=place,
            hint=_one_of(kind.capabilities.peer_keys),
        )
    yield from _newer(verifier, kind, needed, words)


def _is_taken_everywhere(kind: Kind, key: KeyType) -> bool:
    """Whether any library that is at hand verifies such a key: nothing to refuse, and nothing to note."""
    needed = kind.capabilities.peer_keys.get(key)
    return needed is not None and not _is_newer(needed)


def _refuse_tls12(t: Topology, caller: Party, callee: Server, kind: Kind) -> None:
    for party in (caller, callee):
        shows_ours = party.issued_here if party is callee else party.has_issued
        key = party.key if party is callee else party.calling_key
        if key in kind.capabilities.tls12_refuses and shows_ours:
            raise TopologyError(
                f'{party.address} has a {key} key, which template "{kind.name}" refuses in TLS 1.2 '
                f"({caller.address} calls {callee.address})",
                place=t.place(*_path(party), "key"),
                hint='set "tls: modern" on one of the two, or an ec-p384 key',
            )


def _check_names(t: Topology, kinds: Mapping[Address, Kind]) -> Iterator[Iterator[Note]]:
    """A server that sees names alone knows a caller by whole subject and issuer, which one root must vouch for.

    Where it sees no issuer, one CA must be the only one below that root that issues leaves.
    """
    by_name = [server for server in t.servers.values() if _knows_names_alone(kinds[server.address].capabilities)]
    bearers = _bearers(t) if by_name else {}
    for server in by_name:
        yield _check_callers_names(t, server, kinds[server.address], bearers)


def _knows_names_alone(can: Capabilities) -> bool:
    """Whether it tells callers apart, and not by the key that signed for them."""
    return can.sees_issuer_by != "key" and not can.decides_by_chain


def _check_callers_names(
    t: Topology, server: Server, kind: Kind, bearers: Mapping[tuple[str, str], Sequence[Party]]
) -> Iterator[Note]:
    callers = graph.callers(t, server.name)
    _check_one_root(t, server, kind, callers)
    if kind.capabilities.sees_issuer_by == "none":
        yield from _check_one_issuer(t, server, kind)
    for caller in callers:
        _check_visible(t, server, kind, caller)
        for printed in _printed(caller):
            _check_no_double(t, server, kind, bearers[caller.calling_issuer, printed])


def _bearers(t: Topology) -> dict[tuple[str, str], list[Party]]:
    """All that have a client's certificate, by issuer and by each way in which their subject may be printed."""
    bearers: dict[tuple[str, str], list[Party]] = {}
    for party in graph.parties(t):
        if graph.has_client_leaf(party):
            for printed in _printed(party):
                bearers.setdefault((party.calling_issuer, printed), []).append(party)
    return bearers


def _printed(caller: Party) -> Iterator[str]:
    """The subject of a caller's certificate, in each way in which it may be printed; nothing where it is not known."""
    stated = (rfc2253(caller.calling_subject),) if caller.has_issued else stated_subjects(caller.identity)
    return (each for each in stated if each is not None)


def _check_one_root(t: Topology, server: Server, kind: Kind, callers: Sequence[Party]) -> None:
    issuers = (*server.trusts, *(caller.calling_issuer for caller in callers))
    roots = list(dict.fromkeys(graph.root_of(t, issuer).name for issuer in issuers))
    if len(roots) > 1:
        raise TopologyError(
            f'{server.address}: template "{kind.name}" sees no issuer\'s key, and its callers come from '
            f"several roots: {listed(roots)}",
            place=t.place(*_path(server)),
            hint="under another trusted root there could be a CA with the name of the issuer: choose a template that "
            "sees the issuer's key, " + _those_that(kind, lambda other: other.sees_issuer_by == "key"),
        )


def _those_that(kind: Kind, can: Callable[[Capabilities], object]) -> str:
    """The built-in templates that do and speak what `kind` does, and can what it cannot: `such as this or that`."""
    speaking = builtin_speaking(kind.capabilities.protocol, kind.role)
    names = [name for name in speaking if can(builtin(name, kind.role).capabilities)]
    return f"such as {_any_of(names)}" if names else f"and none that speaks {kind.capabilities.protocol} is built in"


def _any_of(names: Sequence[str]) -> str:
    """`this`, `this or that`, `this, that or another`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _check_one_issuer(t: Topology, server: Server, kind: Kind) -> Iterator[Note]:
    """A leaf of any other CA below the trusted root would pass for a caller's, if it has the same subject."""
    (root,) = {graph.root_of(t, name).name for name in server.trusts or (server.issuer,)}
    issuing = [name for name in graph.issuing_cas(t) if graph.root_of(t, name).name == root]
    if len(issuing) > 1:
        raise TopologyError(
            f'{server.address}: template "{kind.name}" sees no issuer of a certificate, and several CAs issue '
            f"certificates under {t.cas[root].address}: {listed(issuing)}",
            place=t.place(*_path(server)),
            hint=f"any of them could issue a certificate with a caller's subject: let one CA issue all certificates "
            f"below {root}, and give the others a root of their own",
        )
    if t.cas[root].existing is not None:
        said = f"sees no issuer: every CA that {t.cas[root].address} or its root certifies can get anybody in"
        yield Note(server.address, said)


def _check_visible(t: Topology, server: Server, kind: Kind, caller: Party) -> None:
    values = _subject(caller) if caller.has_issued else tuple(_printed(caller))
    for value in values:
        if len(value) > _LONGEST_VISIBLE_NAME or not all(character.isprintable() for character in value):
            raise TopologyError(
                f'{server.address}: template "{kind.name}" cannot match the subject of {caller.address} safely: '
                f"{value[:40]!r}",
                place=t.place(*_path(caller), *(("subject",) if caller.has_issued else ())),
                hint="remove control characters and invisible characters",
            )


def _check_no_double(t: Topology, server: Server, kind: Kind, bearers: Sequence[Party]) -> None:
    if len(bearers) > 1:
        first, second, *_ = bearers
        raise TopologyError(
            f"{server.address} would mistake {second.address} for {first.address}: the same subject under the same "
            f'issuer, and template "{kind.name}" sees nothing else',
            place=t.place(*_path(second), *(("subject",) if second.has_issued else ())),
            hint="give them different common names",
        )


def _subject(party: Party) -> tuple[str, ...]:
    subject = party.calling_subject
    values = (
        subject.common_name,
        subject.organization,
        subject.organizational_unit,
        subject.country,
        subject.state,
        subject.locality,
    )
    return tuple(value or "" for value in values)


def _newer(party: Party, kind: Kind, needed: str, what: str) -> Iterator[Note]:
    if _is_newer(needed):
        yield Note(party.address, f"needs {kind.capabilities.tls_library} {needed} or later for {what}")


@functools.cache
def _is_newer(needed: str) -> bool:
    return tuple(int(part) for part in needed.split(".")) > OLDEST_LIBRARY


def _refusal(t: Topology, party: Party, field: str, kind: Kind, problem: str, hint: str) -> TopologyError:
    message = f'{party.address}: template "{kind.name}" {problem}'
    return TopologyError(message, place=t.place(*_path(party), field), hint=hint)


def _lacks(t: Topology, party: Party, feature: str, kind: Kind, problem: str) -> TopologyError:
    """Of something that a topology asks for, and the template does not declare."""
    ways = {feature, "staple-file"} if feature == "staple" else {feature}
    return _refusal(t, party, feature, kind, problem, _others(feature, kind, lambda can: ways & can.supports))


def _others(field: str, kind: Kind, can: Callable[[Capabilities], object]) -> str:
    return f"leave {field} out, or choose a template that can, {_those_that(kind, can)}"


def _one_of(values: Mapping[KeyType, str] | frozenset[object]) -> str:
    return f"it takes {', '.join(sorted(str(value) for value in values))}"


def _path(party: Party) -> tuple[str, str]:
    return ("servers" if isinstance(party, Server) else "clients", party.name)
