"""The inventory in words, for every form in which it is shown: text, pages, pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from scaffold.inventory.model import Applied, CaEntry, Call, Checking, End, Inventory, PartyEntry, Source, Verified
from scaffold.plan.status import RevokedStatus, State
from scaffold.topology.address import Address, Role
from scaffold.topology.durations import format_duration
from scaffold.topology.model import NameConstraints, OnUnavailable, Revocation, RevocationCheck
from scaffold.verify.model import Result
from scaffold.view.reach import reach_words
from scaffold.view.reasons import shortly
from scaffold.view.status import remaining

ATTENTION = frozenset(State) - {State.VALID, State.FAULT}
"""What somebody has to do something about."""

BROKEN = frozenset({State.NOT_YET_VALID, State.EXPIRED, State.REVOKED, State.UNREADABLE})

NOBODY = "no owner"
"""Who answers for what has no `owner`."""

NEVER_VERIFIED = "Never: run `scaffold verify` to test which callers get in."


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def counted(number: int, noun: str) -> str:
    """`1 server`, `3 servers`"""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def summary(inventory: Inventory) -> str:
    """`2 CAs, 3 servers, 4 clients, 6 calls`"""
    cas = len({ca.address.name for ca in inventory.cas})
    counts = (
        (cas, "CA"),
        (len(inventory.servers), "server"),
        (len(inventory.clients), "client"),
        (len(inventory.calls), "call"),
    )
    return ", ".join(counted(number, noun) for number, noun in counts)


def applied_words(inventory: Inventory) -> str | None:
    """What is to be said where the folder is not what the topology says; None where it is."""
    pending = ", ".join(f"{count:,} to {action}" for action, count in inventory.pending.items())
    match inventory.applied:
        case Applied.NEVER:
            return "Nothing was applied yet: this is what the topology asks for. `scaffold apply` makes it."
        case Applied.PARTLY:
            return f"It is not complete: `scaffold apply` has more to do ({pending or 'see `scaffold plan`'})."
        case Applied.BEHIND:
            return f"The folder differs from the topology: see `scaffold plan` ({pending})."
        case Applied.WHOLE:
            return None


def warnings(inventory: Inventory) -> Iterator[str]:
    """What has to be known before anything else is read."""
    if inventory.is_test_only:
        yield "Reproducible, for tests alone: everybody with the seed has every key."
    if (said := applied_words(inventory)) is not None:
        yield said
    yield from (f"{note[0].upper()}{note[1:]}" for note in inventory.notes)


def state_counts(inventory: Inventory) -> Sequence[tuple[State, int]]:
    """How many certificates there are in each state, the best first."""
    certificates = [ca.certificate for ca in inventory.cas]
    certificates += [certificate for party in inventory.parties for certificate in party.certificates]
    counts = Counter(one.status.state for one in certificates)
    return [(state, counts[state]) for state in State if counts[state]]


def counts_words(inventory: Inventory) -> str:
    """`7 certificates: 6 valid, 1 fault`"""
    counts = state_counts(inventory)
    each = ", ".join(f"{count:,} {state.value}" for state, count in counts)
    return f"{counted(sum(count for _, count in counts), 'certificate')}: {each or 'none'}"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that somebody has to look at: of what, and what it is."""

    about: str
    said: str
    state: State | None = None

    @property
    def text(self) -> str:
        """Its state, and what there is to say."""
        return ", ".join(part for part in (self.state.value if self.state is not None else "", self.said) if part)


def remarks(inventory: Inventory) -> Iterator[Remark]:
    """What is due, broken or missing, the worst first; then what else a reader must know."""
    if inventory.applied is not Applied.NEVER:
        yield from sorted(_states(inventory), key=lambda one: -tuple(State).index(one.state or State.VALID))
        yield from _drift(inventory)
    for one in inventory.revoked:
        if one.reach is not None and one.reach.accepted_by:
            names = ", ".join(map(str, one.reach.accepted_by))
            yield Remark(revoked_name(one), f"revoked, and still accepted by {names}")
    for party in inventory.servers:
        if party.accepts:
            yield Remark(str(party.address), accepts_words(party))
    verified = inventory.verified
    if verified is not None:
        failed = Counter(one.check.server for one in verified.seen if one.check.result is Result.FAILED)
        for server, count in failed.items():
            yield Remark(str(Address.server(server)), f"in verify, {counted(count, 'probe')} failed")


def _drift(inventory: Inventory) -> Iterator[Remark]:
    """What differs from the topology, apart from certificates whose state says so already."""
    states = tuple(_states(inventory))
    told = {one.about for one in states}
    not_made = tuple(one.about for one in states if one.state is State.MISSING)
    for change in inventory.drift:
        of_it = f"{change.address.entity}."
        if str(change.address) not in told and not any(about.startswith(of_it) for about in not_made):
            said = "; ".join(map(str, shortly(change)))
            where = "" if "`plan --diff`" in said else "; `scaffold plan` shows it"
            yield Remark(str(change.address), f"differs from the topology: {said}{where}")


def _states(inventory: Inventory) -> Iterator[Remark]:
    for entry in inventory.entries:
        certificates = (entry.certificate,) if isinstance(entry, CaEntry) else entry.certificates
        for one in certificates:
            if one.status.state in ATTENTION:
                yield Remark(str(one.status.address), ends_words(one.status.not_after, inventory.at), one.status.state)
        crl = entry.crl if isinstance(entry, CaEntry) else entry.checking.crl if entry.checking else None
        if crl is not None and crl.state in ATTENTION:
            yield Remark(str(crl.address), ends_words(crl.next_update, inventory.at), crl.state)


def ends_words(at: datetime | None, now: datetime) -> str:
    """`until 2027-02-24 12:00 UTC (89d)`, or that it has ended."""
    if at is None:
        return ""
    left = remaining(at, now)
    return f"until {moment(at)} ({left})" if at > now else f"expired {moment(at)} ({left.removeprefix('-')} ago)"


def left_words(at: datetime, now: datetime) -> str:
    """`89d`, or `3d ago`."""
    left = remaining(at, now)
    return left if at > now else f"{left.removeprefix('-')} ago"


def constraints_words(constraints: NameConstraints | None) -> str:
    """`only dns banking.internal, ip 127.0.0.0/8; never dns evil.banking.internal`"""
    if constraints is None or not (constraints.permitted or constraints.excluded):
        return "any name"
    said = []
    for word, subtrees in (("only", constraints.permitted), ("never", constraints.excluded)):
        if subtrees:
            said.append(f"{word} " + "; ".join(f"{kind.value} {', '.join(each)}" for kind, each in subtrees.items()))
    return "; ".join(said)


def depth_words(path_length: int | None) -> str:
    if path_length is None:
        return "CAs to any depth below it"
    return "no CA below it" if path_length == 0 else f"at most {counted(path_length, 'CA')} below it"


def above_words(ca: CaEntry) -> str:
    """Who vouches for a CA."""
    if ca.issuer is not None:
        return f"issued by {ca.issuer}"
    if ca.certificate.subject and ca.certificate.subject != ca.certificate.issuer:
        return f"made elsewhere, issued by {ca.certificate.issuer}"
    return "self-signed, made elsewhere" if ca.source is Source.ELSEWHERE else "self-signed"


def signs_words(ca: CaEntry) -> str:
    """`signs 1 CA and 6 servers and clients`"""
    cas, leaves = ca.signs
    said = [counted(cas, "CA")] if cas else []
    said += [f"{leaves:,} servers and clients" if leaves > 1 else "1 server or client"] if leaves else []
    return f"signs {' and '.join(said)}" if said else "signs nothing at present"


def pointers_words(pointers: Revocation) -> str:
    """What the certificates that a CA issues point to, after `the certificates that it issues`."""
    kinds = (("CRL", pointers.crl), ("OCSP response", pointers.ocsp))
    said = [f"{name} ({format_duration(life)})" for name, life in kinds if life is not None]
    return f"name a {' and an '.join(said)}" if said else "name no CRL and no OCSP responder"


def crl_words(ca: CaEntry, now: datetime) -> str | None:
    if ca.crl is None:
        return None
    number = f"number {ca.crl.number:,}, " if ca.crl.number is not None else ""
    entries = "1 entry" if ca.crl.entries == 1 else f"{ca.crl.entries:,} entries"
    return f"CRL {number}{entries}, {ends_words(ca.crl.next_update, now)}" if ca.crl.next_update else "CRL not there"


def issued_words(party: PartyEntry) -> str:
    """By whom its certificates are issued."""
    names = " and ".join(map(str, party.issuers))
    match party.source:
        case Source.HERE:
            return f"issued by {names}"
        case Source.REQUEST:
            return f"issued by {names} over a key that is not here"
        case Source.ELSEWHERE:
            return "issued elsewhere" + (f"; its second certificate by {names}" if names and party.is_server else "")
        case Source.EXTERNAL:
            return f"issued elsewhere by {names}; no certificate or project here"


def checks_words(party: PartyEntry) -> str:
    """Whether it checks the revocation of its peers, how, and what it does without an answer."""
    if party.checking is None:
        return "not known: external"
    said = _checks(party.checking)
    checking = party.checking
    if checking.in_force is not None and checking.in_force is not checking.asked:
        return f"{said}, but not in force: the project checks {_METHODS[checking.in_force]}"
    return said


def _checks(checking: Checking) -> str:
    if checking.asked is RevocationCheck.NONE:
        return "not checked"
    without = "refuses" if checking.on_unavailable is OnUnavailable.REFUSE else "lets in"
    return f"by {_METHODS[checking.asked]}; {without} where none can be had"


_METHODS = {RevocationCheck.NONE: "none", RevocationCheck.CRL: "CRL", RevocationCheck.OCSP: "OCSP"}


def passes_on_words(party: PartyEntry) -> str | None:
    """To whom a front passes requests on; None where it answers them itself."""
    if party.passes_on is None:
        return None
    in_plain = "" if isinstance(party.passes_on, Address) else " in plain HTTP"
    return f"forwards requests to {party.passes_on}{in_plain}"


def accepts_words(party: PartyEntry) -> str:
    """Whom a server lets in that decides by chain alone."""
    names = ", ".join(map(str, party.accepts))
    return f"lets in every client's certificate of {names}, listed or not"


def call_words(call: Call, other: Address) -> str:
    """`client.teller (reader, approver)`; a call that is meant to be refused says so."""
    roles = f" ({', '.join(call.roles)})" if call.roles else ""
    fault = f" [refused: {', '.join(call.faults)}]" if call.faults else ""
    return f"{other}{roles}{fault}"


def callers_words(party: PartyEntry) -> str:
    return ", ".join(call_words(call, call.caller) for call in party.callers) or "nobody"


def callees_words(party: PartyEntry) -> str:
    return ", ".join(call_words(call, call.server) for call in party.callees) or "nobody"


def issuer_of(one: RevokedStatus) -> Address:
    """The CA that issued what was revoked."""
    return Address.labelled(one.ca)


def revoked_name(one: RevokedStatus) -> str:
    return str(one.issued.address) if one.issued is not None else f"a certificate of {issuer_of(one)}"


def listed_words(one: RevokedStatus, now: datetime) -> str:
    """Until when its CRL has it: an entry stays until the first CRL after its end (RFC 5280 3.3)."""
    if one.issued is None:
        return "its expiry date is not known"
    end = one.issued.not_after
    return f"on the CRL until it expires, {day(end)}" if end > now else f"expired {day(end)}"


def refusers_words(one: RevokedStatus) -> str:
    return reach_words(one.reach) if one.reach is not None else "it can no longer be used"


def results(verified: Verified) -> dict[Result, int]:
    counts = Counter(one.check.result for one in verified.seen)
    return {result: counts[result] for result in (Result.PASSED, Result.FAILED)}


def verified_words(inventory: Inventory) -> Iterator[str]:
    """When and how it came out, and what has changed since."""
    verified = inventory.verified
    if verified is None:
        yield NEVER_VERIFIED
        return
    counts = results(verified)
    when = moment(verified.latest)
    if verified.earliest.date() != verified.latest.date():
        when = f"{when}, in part already on {day(verified.earliest)}"
    yield f"{when}: {counts[Result.PASSED]:,} passed, {counts[Result.FAILED]:,} failed."
    if verified.changed:
        yield f"Changed since, and not verified again: {named(verified.changed)}."
    if verified.unknown:
        yield f"Not verified, or perhaps changed since: {named(verified.unknown)}."
    if not verified.changed and not verified.unknown:
        yield "No project, certificate or trust file has changed since."


MOST_NAMED = 8


def named(addresses: Iterable[Address]) -> str:
    """Their names; of many the first, and how many more."""
    all_of_them = list(map(str, addresses))
    more = f" and {len(all_of_them) - MOST_NAMED:,} more" if len(all_of_them) > MOST_NAMED else ""
    return ", ".join(all_of_them[:MOST_NAMED]) + more


def next_end(entries: Iterable[CaEntry | PartyEntry]) -> datetime | None:
    """When the first certificate of these ends, of those that are not broken on purpose."""
    found = [
        end
        for entry in entries
        if (isinstance(entry, CaEntry) or entry.fault is None)
        and (end := entry.certificate.status.not_after if isinstance(entry, CaEntry) else entry.until) is not None
    ]
    return min(found, default=None)


def role_words(address: Address) -> str:
    return {Role.CA: "CA", Role.SERVER: "server", Role.CLIENT: "client"}[address.role]


@dataclass(frozen=True, slots=True)
class Group:
    """Ends of one day."""

    day: datetime
    ends: tuple[End, ...]


def by_day(ends: Iterable[End]) -> tuple[Group, ...]:
    """The ends of each day, in their order."""
    found: dict[datetime, list[End]] = {}
    for end in ends:
        found.setdefault(end.at.replace(hour=0, minute=0, second=0, microsecond=0), []).append(end)
    return tuple(Group(at, tuple(of_it)) for at, of_it in found.items())
