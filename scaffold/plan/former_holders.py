"""Whether a certificate from before would pass for that of somebody else: its holder gets in, and is not who is meant.

Who leaves the topology, is renamed or gives a name up keeps a certificate that is valid for a while. Where another
caller takes the name over by which a server knows callers, that certificate is let in as the new caller's. Which name
that is depends on the server: issuer and subject where it sees these alone, or else the issuer's key and one of the
names in the certificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scaffold.errors import Place, TopologyError
from scaffold.kinds.catalogue import Kind
from scaffold.pki.names import rfc2253
from scaffold.plan.authorities import Generation
from scaffold.settings import subjects
from scaffold.store.ledger import Issued, Ledger
from scaffold.store.projects import Records
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.generations import GenerationState
from scaffold.topology.model import IdentityForm, Party, RevocationCheck, Server, Topology
from scaffold.topology.names import form_of
from scaffold.topology.notes import Note


@dataclass(slots=True)
class Mistaken:
    """A caller, whose certificates of before would pass for its own, and at which servers."""

    caller: Party
    name: str
    """By which they know it: an identity, or a subject."""
    former: Address
    is_itself: bool
    """Whether the former is the caller, before it left; another that had its address is not."""
    sees_names_alone: bool
    certificates: dict[str, Issued] = field(default_factory=dict)
    """By serial."""
    revoked: set[str] = field(default_factory=set)
    """The serials of those that are revoked, which at least one of the servers does not look up."""
    servers: dict[Address, Server] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """What the former is called in a message."""
        return f"the former {self.former}" if self.former == self.caller.address else str(self.former)

    @property
    def until(self) -> str:
        """When the last of them ends."""
        return f"{max(one.not_after for one in self.certificates.values()):%Y-%m-%d %H:%M} UTC"


def look(
    t: Topology,
    kinds: Mapping[Address, Kind],
    generations: Mapping[Address, Generation],
    ledger: Ledger,
    records: Records,
    now: datetime,
) -> tuple[Mistaken, ...]:
    """Every caller that somebody else would be taken for, or itself as it was before it left.

    `generations` are the CAs as they will be: a server sees the name or key of an issuer, and not what the topology
    calls it. Who has a project in `records` never left: its certificates are its own.
    """
    work = _Look(t, kinds, ledger, records)
    work.learn(generations.values())
    work.claim()
    for one in ledger.issued.values():
        if one.not_after > now:
            work.meet(one)
    return tuple(work.found.values())


def errors(t: Topology, found: Iterable[Mistaken]) -> Iterator[TopologyError]:
    """One for each caller that somebody else would be taken for."""
    for one in found:
        if not one.is_itself:
            yield _error(t, one)


def notes(found: Iterable[Mistaken]) -> Iterator[Note]:
    """One for each caller that comes back: whether its certificates of before are in the same hands is not known."""
    for one in found:
        if one.is_itself:
            which = "a certificate that was" if len(one.certificates) == 1 else "certificates that were"
            yield Note(
                one.former,
                f"was in the topology before: {which} issued to it then, valid until {one.until}, will be let in "
                f"by {_list(one.servers)}; if somebody else has the key, {_way_out(one)}",
            )


@dataclass(slots=True)
class _Look:
    """The names by which servers know callers, and who of before bears one of them."""

    t: Topology
    kinds: Mapping[Address, Kind]
    ledger: Ledger
    records: Records
    claims: dict[str, list[tuple[Server, Party]]] = field(default_factory=dict)
    """Of each name that somebody is known by: to whom, and who."""
    keys: dict[str, set[str]] = field(default_factory=dict)
    """The keys of each CA that are trusted: the SHA-256 of their SPKI."""
    names: dict[str, set[str]] = field(default_factory=dict)
    """The subjects of each CA."""
    found: dict[tuple[Address, str, Address, bool], Mistaken] = field(default_factory=dict)

    def learn(self, generations: Iterable[Generation]) -> None:
        for one in generations:
            self.names.setdefault(one.ca, set()).add(rfc2253(one.subject))
            if one.state is not GenerationState.RETIRED and isinstance(one.spki_sha256, str):
                self.keys.setdefault(one.ca, set()).add(one.spki_sha256)

    def claim(self) -> None:
        for server in self.t.servers.values():
            if self.kinds[server.address].capabilities.decides_by_chain:
                continue
            for caller in graph.callers(self.t, server.name):
                for name in _known_by(caller) if self._sees_names_alone(server) else _named_as(caller):
                    self.claims.setdefault(name, []).append((server, caller))

    def meet(self, issued: Issued) -> None:
        """Adds whom the holder of a certificate would be taken for."""
        for name in (issued.subject, *issued.names):
            for server, caller in self.claims.get(name, ()):
                if _is_own(issued, caller) and caller.address in self.records.by_address:
                    continue
                if self._passes(server, caller, issued, name):
                    self._add(server, caller, issued, name)

    def _passes(self, server: Server, caller: Party, issued: Issued, name: str) -> bool:
        if not _is_for_calling(self.t, issued.address):
            return False
        if server.check_revocation is not RevocationCheck.NONE and (issued.ca, issued.serial) in self.ledger.revoked:
            return False
        issuer = caller.calling_issuer
        if not self._sees_names_alone(server):
            if issued.issuer_key:
                return name in issued.names and issued.issuer_key in self.keys.get(issuer, ())
            return name in issued.names and issued.ca == issuer
        if name != issued.subject:
            return False
        sees_issuer = self.kinds[server.address].capabilities.sees_issuer_by != "none"
        is_same = issued.ca == issuer or issued.issuer in self.names.get(issuer, ())
        return is_same or not (sees_issuer or _is_elsewhere(self.t, issued.ca, issuer))

    def _sees_names_alone(self, server: Server) -> bool:
        return self.kinds[server.address].capabilities.sees_issuer_by != "key"

    def _add(self, server: Server, caller: Party, issued: Issued, name: str) -> None:
        former, is_itself = issued.address.entity, _is_own(issued, caller)
        one = self.found.setdefault(
            (caller.address, name, former, is_itself),
            Mistaken(caller, name, former, is_itself, self._sees_names_alone(server)),
        )
        one.certificates[issued.serial] = issued
        if (issued.ca, issued.serial) in self.ledger.revoked:
            one.revoked.add(issued.serial)
        one.servers[server.address] = server


def _is_own(issued: Issued, caller: Party) -> bool:
    return issued.address.entity == caller.address and not issued.of_predecessor


def _known_by(caller: Party) -> Iterator[str]:
    """A caller's subject, in each way in which it may be printed; nothing where it is not known."""
    if caller.has_issued:
        yield subjects.rfc2253(caller.calling_subject)
        return
    yield from (one for one in subjects.stated_subjects(caller.identity) if one is not None)


def _named_as(caller: Party) -> Iterator[str]:
    """The name in a caller's certificate by which an allow list knows it."""
    match form_of(caller.identity):
        case IdentityForm.DNS:
            yield caller.identity.removeprefix("dns:")
        case IdentityForm.URI:
            yield caller.identity
        case IdentityForm.SUBJECT:
            return


def _is_for_calling(t: Topology, address: Address) -> bool:
    """Whether a certificate may be for calling. Of a server that left it is not known whether it called with it."""
    match address.role:
        case Role.CLIENT:
            return address.part is Part.CERTIFICATE
        case Role.SERVER:
            server = t.servers.get(address.name)
            return address.part is Part.CLIENT_CERTIFICATE or server is None or server.one_leaf
        case _:
            return False


def _is_elsewhere(t: Topology, ca: str, issuer: str) -> bool:
    """Whether a CA is under another root than `issuer`. Of one that left the topology that is not known."""
    return ca in t.cas and graph.root_of(t, ca) is not graph.root_of(t, issuer)


def _error(t: Topology, one: Mistaken) -> TopologyError:
    caller = one.caller.address
    sees = "sees" if len(one.servers) == 1 else "see"
    would = f"{_list(one.servers)} would"
    if one.sees_names_alone:
        would = f"{_list(one.servers)} {sees} names alone, and would"
    return TopologyError(
        f"{would} take {one.who} for {caller}: both have certificates for {one.name}, and that of {one.who} is valid "
        f"until {one.until}",
        place=_place(t, one),
        hint=f"{_way_out(one)}; or {_another_name(t, one)}",
    )


def _place(t: Topology, one: Mistaken) -> Place | None:
    address = one.caller.address
    if not one.caller.has_issued:
        return t.place(
            address.role.section, address.name, "existing" if one.caller.existing else "external", "identity"
        )
    return t.place(address.role.section, address.name, "subject" if one.sees_names_alone else "names")


def _another_name(t: Topology, one: Mistaken) -> str:
    caller, former = one.caller.address, one.former
    if not one.caller.has_issued:
        return f"give {caller} another identity, which its certificate must have"
    name = "common_name" if one.sees_names_alone else "identity (one spiffe:// or uri: among its names)"
    if former in set(graph.addresses(t)) or former.role is not caller.role:
        return f"give {caller} another {name}"
    return f"give {caller} another {name}; if they are the same, `scaffold rename {former} {caller.name}` instead"


def _way_out(one: Mistaken) -> str:
    """What remains to be done for these certificates to be nobody's."""
    blind = [server.address for server in one.servers.values() if server.check_revocation is RevocationCheck.NONE]
    commands = [
        f"`scaffold revoke --serial {serial} --reason superseded`"
        for serial in one.certificates
        if serial not in one.revoked
    ]
    if not commands:
        revoked = "it is revoked" if len(one.revoked) == 1 else "they are revoked"
        return f"set check_revocation on {_list(blind)}, where nobody looks up that {revoked}"
    also = f", and check_revocation on {_list(blind)}" if blind else ""
    return f"{' and '.join(commands)}{also}"


def _list(addresses: Iterable[Address]) -> str:
    """`this`, `this and that`, `this, that and another`."""
    *others, last = map(str, addresses)
    return f"{', '.join(others)} and {last}" if others else last
