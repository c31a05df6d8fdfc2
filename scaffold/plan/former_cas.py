"""Whether what a CA's former key signs would pass for what the CA of today signs.

A CA that gets another key leaves a certificate behind that is valid for years, under a root that stays trusted. Who
tells CAs apart by their names, or not at all, goes on believing it: the leaves of before, and whatever else the holder
of the former key makes of it. What is known of former keys is in the ledger, and where that is lost, in what still
lies in the folder.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from scaffold.errors import TopologyError, Unreadable
from scaffold.kinds.catalogue import Kind
from scaffold.pki import bundles, keys
from scaffold.pki.names import rfc2253
from scaffold.plan.authorities import Generation
from scaffold.plan.desired import AdoptedCa
from scaffold.settings.peers import callee_issuers, peer_issuers
from scaffold.store.issued import adopted_entry
from scaffold.store.ledger import Adopted, Ledger
from scaffold.store.observation import Observation
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.generations import GenerationState
from scaffold.topology.model import Ca, OnUnavailable, Party, RevocationCheck, Server, Topology
from scaffold.topology.notes import Note

NameAndKey = tuple[str, object]
"""A CA's subject and the SHA-256 of its SPKI: what chains are built by, and what they are verified with."""


@dataclass(frozen=True, slots=True)
class Former:
    """A certificate of a CA; of one whose is not kept, `signer` and `ends` are None."""

    ca: str
    own: NameAndKey
    signer: NameAndKey | None
    ends: datetime | None
    revoked: bool = False


@dataclass(frozen=True)
class FormerCas:
    """The former keys of CAs, and the CAs as they will be."""

    topology: Topology
    generations: Mapping[Address, Generation]
    known: tuple[Former, ...]
    alive: tuple[Former, ...]
    """All certificates of CAs that have not ended, those of today's keys too: chains lead through any of them."""

    def errors(self, kinds: Mapping[Address, Kind]) -> Iterator[TopologyError]:
        """Of each server that would mistake one for a CA of its callers, the first that is not revoked.

        Whoever revoked one was told who goes on accepting it, and must not be kept from what else is to be done.
        """
        for server, kind in self._blind(kinds):
            found = ((ca, former) for ca, former in self._mistaken(server, kind) if not former.revoked)
            for ca, former in itertools.islice(found, 1):
                yield self._error(server, kind, ca, former)

    def notes(self, kinds: Mapping[Address, Kind]) -> Iterator[Note]:
        """What goes on being believed, by whom and until when, and is no error."""
        yield from self._believed()
        for server, kind in self._blind(kinds):
            found = ((ca, former) for ca, former in self._mistaken(server, kind) if former.revoked)
            for ca, former in itertools.islice(found, 1):
                ways = ", or ".join(self._ways_out(server, kind, ca))
                said = f"still lets in callers with a certificate by the revoked key of {ca.address}"
                yield Note(server.address, f"{said}{_until(former)}: {ways}")

    def _blind(self, kinds: Mapping[Address, Kind]) -> Iterator[tuple[Server, Kind]]:
        """The servers that see no issuer's key, and check no revocation."""
        for server in self.topology.servers.values() if self.known else ():
            kind = kinds[server.address]
            can = kind.capabilities
            if can.sees_issuer_by != "key" and not can.decides_by_chain and not _refuses(server):
                yield server, kind

    def _believed(self) -> Iterator[Note]:
        """Of each CA that gets another key now, who goes on believing servers by the former one."""
        for former in self.known:
            if not any(one.new_key and one.ca == former.ca for one in self.generations.values()):
                continue
            believers = ", ".join(str(one.address) for one in self._believers(former))
            if believers:
                until = "its end" if former.ends is None else f"{former.ends:%Y-%m-%d %H:%M} UTC"
                said = (
                    f"gets another key: until {until}, these clients also accept servers certified by the former "
                    "key, since they check"
                )
                yield Note(Address.ca(former.ca), f"{said} no revocation: {believers}")

    def _believers(self, former: Former) -> Iterator[Party]:
        """A caller knows a server by its name and the root alone, whatever its template."""
        t = self.topology
        for party in graph.parties(t):
            if not party.calls or _refuses(party):
                continue
            roots = {graph.root_of(t, name).name for name in callee_issuers(t, party)}
            if any(self._leads_up(former, root) for root in roots):
                yield party

    def _mistaken(self, server: Server, kind: Kind) -> Iterator[tuple[Ca, Former]]:
        sees_name = kind.capabilities.sees_issuer_by == "name"
        root = graph.root_of(self.topology, peer_issuers(self.topology, server)[0]).name
        for ca in self._of_callers(server):
            names = {rfc2253(one.subject) for one in self._of(ca.name)}
            own_keys = {one.spki_sha256 for one in self.generations.values()}
            for former in self.known:
                is_namesake = former.own[0] in names
                is_unseen = not sees_name and former.ca in self.topology.cas and former.own[1] not in own_keys
                if (is_namesake or is_unseen) and self._leads_up(former, root):
                    yield ca, former

    def _of_callers(self, server: Server) -> tuple[Ca, ...]:
        """The CAs in the chains of all that call a server."""
        t = self.topology
        callers = graph.callers(t, server.name)
        return tuple({ca.name: ca for caller in callers for ca in graph.chain(t, caller.calling_issuer)}.values())

    def _of(self, ca: str) -> Iterator[Generation]:
        return (one for one in self.generations.values() if one.ca == ca)

    def _leads_up(self, former: Former, root: str) -> bool:
        """Whether a chain of certificates that have not ended leads from it to the root."""
        if former.signer is None:
            return any(one.above or not self._is_root(one.ca) for one in self._of(former.ca))
        reached = set(self._below(root))
        while more := {one.own for one in self.alive if one.signer in reached} - reached:
            reached |= more
        return former.signer in reached

    def _is_root(self, ca: str) -> bool:
        return self.topology.cas[ca].issuer is None

    def _below(self, root: str) -> Iterator[NameAndKey]:
        """Today's CAs under a root, and what it brought along."""
        for one in self.generations.values():
            if graph.root_of(self.topology, one.ca).name != root or one.state is GenerationState.RETIRED:
                continue
            yield rfc2253(one.subject), one.spki_sha256
            yield from ((rfc2253(above.subject), keys.spki_sha256(above)) for above in one.above)

    def _error(self, server: Server, kind: Kind, ca: Ca, former: Former) -> TopologyError:
        sees = "sees names alone" if kind.capabilities.sees_issuer_by == "name" else "sees no issuer"
        return TopologyError(
            f"{server.address} {sees}, and would let in callers with a certificate by a former key of "
            f"{Address.ca(former.ca)}{_until(former)}",
            place=self.topology.place("servers", server.name, "check_revocation"),
            hint=", or ".join(self._ways_out(server, kind, ca)),
        )

    def _ways_out(self, server: Server, kind: Kind, ca: Ca) -> Iterator[str]:
        if any(one.new_key for one in self._of(ca.name)):
            yield "put the key back from a backup"
        if RevocationCheck.CRL in kind.capabilities.check_revocation:
            yield f"`check_revocation: crl` on {server.address}, whose CRLs the former key has not signed"
        if kind.capabilities.sees_issuer_by == "name" and ca.existing is None:
            yield f"give {ca.address} another subject (`subject: {{common_name: …}}`) than before"
        yield "choose a template that sees the issuer's key"


def look(
    t: Topology, generations: Mapping[Address, Generation], left: Iterable[Former], ledger: Ledger, now: datetime
) -> FormerCas:
    """What is known of former keys; `left` are those that only the folder tells of."""
    today = {(rfc2253(one.subject), one.spki_sha256) for one in generations.values()}
    alive = (*_recorded(ledger, now), *_recorded_as_adopted(ledger.adopted, now))
    seen = (one for one in left if one.ends is None or one.ends > now)
    former = [one for one in (*alive, *seen) if one.own not in today]
    return FormerCas(t, generations, (*former, *_of_adopted(generations, ledger, now)), alive)


def _recorded(ledger: Ledger, now: datetime) -> tuple[Former, ...]:
    """The certificates of CAs that were issued here and have not ended, of one name and key the last."""
    found: dict[object, Former] = {}
    for one in ledger.issued.values():
        address = one.address
        if address.role is not Role.CA or address.part is not Part.CERTIFICATE or one.not_after <= now or not one.key:
            continue
        own, signer = (one.subject, one.key), (one.issuer, one.issuer_key)
        revoked = (one.ca, one.serial) in ledger.revoked
        before = found.get((own, signer, revoked))
        if before is None or before.ends is None or before.ends < one.not_after:
            found[own, signer, revoked] = Former(address.name, own, signer, one.not_after, revoked)
    return tuple(found.values())


def _recorded_as_adopted(adopted: Iterable[Adopted], now: datetime) -> tuple[Former, ...]:
    return tuple(_as_former(one) for one in adopted if one.not_after > now)


def _as_former(one: Adopted) -> Former:
    return Former(one.ca, (one.subject, one.key), (one.issuer, one.issuer_key), one.not_after)


def former_adopted(one: AdoptedCa, observed: Observation) -> Adopted | None:
    """What is in the folder of an adopted CA from before, with its chain; None where that cannot be read."""
    try:
        path = bundles.load_certificates(observed.content(one.paths.chain) or b"")
        return adopted_entry(one.ca.name, path) if path else None
    except (Unreadable, ValueError):
        return None


def from_folder(one: AdoptedCa, observed: Observation) -> Former | None:
    """The same as a former CA; None too where it is the one of the ledger or of today."""
    found = former_adopted(one, observed)
    return _as_former(found) if found is not None and found not in observed.ledger.adopted else None


def _of_adopted(generations: Mapping[Address, Generation], ledger: Ledger, now: datetime) -> tuple[Former, ...]:
    """The keys with which CAs of adopted ones' names have signed here before; their own certificates are not kept."""
    adopted = {rfc2253(one.subject): one for one in generations.values() if one.above}
    if not adopted:
        return ()
    found: dict[NameAndKey, Former] = {}
    for issued in ledger.issued.values():
        today = adopted.get(issued.issuer)
        if today is not None and issued.not_after > now and issued.issuer_key not in ("", today.spki_sha256):
            own = (issued.issuer, issued.issuer_key)
            found[own] = Former(today.ca, own, None, None)
    return tuple(found.values())


def _until(former: Former) -> str:
    return "" if former.ends is None else f", which is certified until {former.ends:%Y-%m-%d %H:%M} UTC"


def _refuses(checker: Party) -> bool:
    """Whether its check of revocation refuses what a former key has signed: no list and no answer of today is by it."""
    fails_open = checker.on_unavailable is OnUnavailable.ALLOW
    return checker.check_revocation is not RevocationCheck.NONE and not fails_open
