"""The inventory as plain values: CAs, servers and clients as they are on the disk, who may call whom, what was revoked.

There is nothing secret in it: no key, no password, and not where one is.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from scaffold.plan.model import Change
from scaffold.plan.status import CertificateStatus, CrlStatus, RevokedStatus, State
from scaffold.topology.address import Address, Role
from scaffold.topology.generations import GenerationState
from scaffold.topology.model import Fault, NameConstraints, OnUnavailable, Revocation, RevocationCheck
from scaffold.verify.last_run import Seen

_FROM_BEST = tuple(State)


class Applied(enum.StrEnum):
    """How far the output folder is what the topology says."""

    NEVER = "never"
    """Nothing was ever made."""
    PARTLY = "partly"
    """A certificate or CRL is missing."""
    BEHIND = "behind"
    """All is there, and `apply` would change something that cannot wait."""
    WHOLE = "whole"


class Source(enum.StrEnum):
    """Whose work a certificate is."""

    HERE = "here"
    REQUEST = "request"
    """Issued here, over a key that is not here."""
    ELSEWHERE = "elsewhere"
    """Issued elsewhere, and taken over."""
    EXTERNAL = "external"
    """Issued elsewhere, and never seen here."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and what it says itself; names and key are empty where it is not there."""

    status: CertificateStatus
    subject: str = ""
    issuer: str = ""
    names: tuple[str, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True)
class CaEntry:
    """One generation of a CA. `issuer` is None for a root, and for what is not in the topology.

    `constraints` and `path_length` are those of its certificate, and the topology's where that is not there. `signs`
    counts the CAs, and the servers and clients, that have their certificate from it.
    """

    address: Address
    owner: str | None
    source: Source
    issuer: Address | None
    generation: GenerationState
    certificate: Certificate
    crl: CrlStatus | None
    path_length: int | None
    constraints: NameConstraints | None
    pointers: Revocation
    signs: tuple[int, int]

    @property
    def worst(self) -> State:
        """How it is: the worse of its certificate and its CRL."""
        return worst_of((self.certificate.status.state, *((self.crl.state,) if self.crl is not None else ())))


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the topology allows, by whom the server knows its caller, and the roles that the caller has there.

    `faults` are those of its ends: where there is one, the call is meant to be refused.
    """

    caller: Address
    server: Address
    identity: str
    roles: tuple[str, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Checking:
    """How the revocation of peers is checked: as the topology asks, and as the project on the disk does.

    `in_force` is None where that is not known.
    """

    asked: RevocationCheck
    in_force: RevocationCheck | None
    on_unavailable: OnUnavailable
    crl: CrlStatus | None


@dataclass(frozen=True, slots=True)
class PartyEntry:
    """A server or client. `accepts`: the CAs of which any client's certificate gets in, listed or not.

    `place` is where a server is called, `passes_on` to whom it passes requests on: a server, or, by where it listens in
    plain HTTP, an app. `checking` is None where nothing is known of it.
    """

    address: Address
    owner: str | None
    source: Source
    template: str
    issuers: tuple[Address, ...]
    identity: str
    place: str | None
    certificates: tuple[Certificate, ...]
    checking: Checking | None
    callers: tuple[Call, ...]
    callees: tuple[Call, ...]
    accepts: tuple[Address, ...]
    fault: Fault | None
    passes_on: Address | str | None = None

    @property
    def is_server(self) -> bool:
        return self.address.role is Role.SERVER

    @property
    def names(self) -> tuple[str, ...]:
        """Of all its certificates, its identity apart."""
        found = dict.fromkeys(name for one in self.certificates for name in one.names)
        return tuple(name for name in found if name != self.identity)

    @property
    def worst(self) -> State | None:
        """How it is, the CRLs that it holds included; None where nothing of it is here."""
        crl = self.checking.crl if self.checking is not None else None
        states = [one.status.state for one in self.certificates] + ([crl.state] if crl is not None else [])
        return worst_of(states) if states else None

    @property
    def until(self) -> datetime | None:
        """When the first of its certificates ends."""
        return min((one.status.not_after for one in self.certificates if one.status.not_after), default=None)


def worst_of(states: tuple[State, ...] | list[State]) -> State:
    """The worst of some states; there is at least one."""
    return max(states, key=_FROM_BEST.index)


@dataclass(frozen=True, slots=True)
class Verified:
    """What verify saw last. `changed` are the servers and clients whose files have changed since.

    `unknown` are those of which that is not known: what was kept is of an earlier version.
    """

    seen: tuple[Seen, ...]
    changed: tuple[Address, ...]
    unknown: tuple[Address, ...]

    @property
    def latest(self) -> datetime:
        return max(one.at for one in self.seen)

    @property
    def earliest(self) -> datetime:
        """Of the checks that no later run has made again."""
        return min(one.at for one in self.seen)


@dataclass(frozen=True, slots=True)
class End:
    """When something ends: a certificate, or a CRL, after which whoever checks revocation refuses everybody."""

    at: datetime
    address: Address
    state: State
    is_crl: bool


@dataclass(frozen=True)
class Inventory:
    """Everything at one moment, in the topology's order. `notes` are sentences on records that were lost."""

    topology: str
    at: datetime
    applied: Applied
    pending: Mapping[str, int]
    cas: tuple[CaEntry, ...]
    parties: tuple[PartyEntry, ...]
    revoked: tuple[RevokedStatus, ...]
    verified: Verified | None
    notes: tuple[str, ...]
    is_test_only: bool = False
    """Whether every key follows from a seed: whoever has that has every key."""
    drift: tuple[Change, ...] = ()
    """What of trust, certificates and scaffold's own files differs from the topology."""

    @property
    def servers(self) -> tuple[PartyEntry, ...]:
        return tuple(one for one in self.parties if one.is_server)

    @property
    def clients(self) -> tuple[PartyEntry, ...]:
        return tuple(one for one in self.parties if not one.is_server)

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(call for one in self.parties for call in one.callees)

    @property
    def entries(self) -> tuple[CaEntry | PartyEntry, ...]:
        return (*self.cas, *self.parties)

    @cached_property
    def ends(self) -> tuple[End, ...]:
        """Of all that is there, the next first."""
        return tuple(sorted(self._ends(), key=lambda end: (end.at, str(end.address))))

    def _ends(self) -> Iterator[End]:
        certificates = [ca.certificate for ca in self.cas]
        certificates += [certificate for party in self.parties for certificate in party.certificates]
        for one in certificates:
            if one.status.not_after is not None:
                yield End(one.status.not_after, one.status.address, one.status.state, is_crl=False)
        crls = [ca.crl for ca in self.cas]
        crls += [party.checking.crl for party in self.parties if party.checking is not None]
        for crl in crls:
            if crl is not None and crl.next_update is not None:
                yield End(crl.next_update, crl.address, crl.state, is_crl=True)

    @cached_property
    def owners(self) -> Mapping[str | None, tuple[CaEntry | PartyEntry, ...]]:
        """What each answers for, by name; None, last, is what no owner for."""
        found: dict[str | None, list[CaEntry | PartyEntry]] = {}
        for entry in self.entries:
            found.setdefault(entry.owner, []).append(entry)
        order = sorted(found, key=lambda owner: (owner is None, (owner or "").casefold()))
        return {owner: tuple(found[owner]) for owner in order}
