"""The status of every certificate and CRL, for a person and for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scaffold.plan.status import FINE, CertificateStatus, CrlStatus, RevokedStatus, State, Status
from scaffold.topology.address import Address
from scaffold.view.plan import note_lines
from scaffold.view.reach import peers_value, reach_words
from scaffold.view.reasons import sentence
from scaffold.view.terminal import Line, one_line, plain

STYLES = {
    State.VALID: "green",
    State.FAULT: "yellow",
    State.DUE: "bold yellow",
    State.CHANGED: "bold yellow",
}
"""What is not named here is red."""


@dataclass(frozen=True, slots=True)
class _Row:
    address: Address
    state: State
    ends: datetime | None
    detail: str


def status_lines(status: Status, now: datetime) -> Iterator[Line]:
    """A table of certificates, one of CRLs: address, state, what is left, the end, and why; then a line that counts."""
    certificates = [
        _Row(one.address, one.state, one.not_after, _with_owner(one, status.owners)) for one in status.certificates
    ]
    crls = [_Row(one.address, one.state, one.next_update, _detail(one)) for one in status.crls]
    width = max((len(str(row.address)) for row in (*certificates, *crls)), default=0)
    states = max((len(row.state) for row in (*certificates, *crls)), default=0)
    yield from _table("certificate", certificates, width, states, now)
    yield plain("")
    if crls:
        yield from _table("CRL", crls, width, states, now)
        yield plain("")
    yield from _revoked_lines(status.revoked)
    yield from note_lines(map(str, (*status.lost, *status.unrecorded)))
    counts = Counter(row.state for row in certificates)
    words = ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state])
    lost = "; the state was lost" if status.lost else ""
    yield [(f"Status: {words or 'no certificates'}{_of_crls(crls)}{lost}.", "bold" if status.fine else "bold yellow")]
    if not status.fine:
        yield from map(plain, _hints(status))


def _hints(status: Status) -> Iterator[str]:
    """What can be done: here, by `renew ADDRESS` where only `--within` asks for it, in the topology, and by who signs
    elsewhere.
    """
    by_no_plan = {*status.due_by_within, *status.ended_from_at}
    states = {one.state for one in status.certificates if one.address not in by_no_plan}
    states |= {one.state for one in status.crls if not one.brought and one.address not in by_no_plan}
    if not states <= FINE:
        yield _what_to_do(states, on_hold=[one.address for one in status.certificates if one.is_on_hold])
    if status.ended_from_at:
        yield (
            "The expired certificates follow from `at`: set a later `at` or a longer lifetime in the topology, "
            "and apply."
        )
    early = [one.address.entity for one in status.certificates if one.address in status.due_by_within]
    if early:
        yield f"`scaffold renew` does not renew those that only --within makes due; `scaffold renew {early[0]}` does."
    for one in status.crls:
        if one.brought and one.state not in FINE:
            yield f"{one.address} is signed elsewhere: get a newer one from its signer."


def _what_to_do(states: Set[State], on_hold: Sequence[Address]) -> str:
    """The verb that mends it: what is only due is renewed, all else is planned first."""
    if states <= {State.MISSING}:
        return "Nothing has been made yet: run `scaffold apply`."
    if states <= FINE | {State.DUE}:
        return "`scaffold renew` renews all that are due."
    if states <= FINE | {State.DUE, State.REVOKED}:
        lifts = f", `scaffold revoke {on_hold[0].entity} --release` lifts a hold" if on_hold else ""
        return f"`scaffold renew ADDRESS` replaces a revoked certificate{lifts}."
    return "`scaffold plan` shows why and what would change, `scaffold apply` changes it."


MOST_REVOKED = 20
"""Revoked certificates that are shown, the newest; all of them are in the JSON."""


def _revoked_lines(revoked: Sequence[RevokedStatus]) -> Iterator[Line]:
    """What was revoked and has not ended yet, and whether anybody refuses it; what has ended nobody accepts."""
    alive = sorted((one for one in revoked if one.reach is not None), key=lambda one: one.at, reverse=True)
    if not alive:
        return
    width = max(len(str(one.reach.address)) for one in alive if one.reach)
    yield [(f"{'revoked':<{width}}  since", "dim")]
    for one in alive[:MOST_REVOKED]:
        if one.reach is not None:
            style = "bold yellow" if one.reach.accepted_by else ""
            yield [
                (f"{one.reach.address!s:<{width}}  {one.at:%Y-%m-%d %H:%M} UTC  serial {one.serial}, {one.reason}", ""),
            ]
            yield [(f"{'':<{width}}  {one_line(reach_words(one.reach))}", style)]
    if len(alive) > MOST_REVOKED:
        yield plain(f"… and {len(alive) - MOST_REVOKED:,} more (`status --json` has all)")
    yield plain("")


def _detail(one: CertificateStatus | CrlStatus) -> str:
    return one.detail or "; ".join(map(sentence, one.reasons))


def _with_owner(one: CertificateStatus, owners: Mapping[Address, str]) -> str:
    """What there is to say of it, and who answers for it where there is something to do."""
    owner = owners.get(one.address.entity)
    said = [_detail(one), f"owner: {owner}" if owner is not None and one.state not in FINE else ""]
    return "; ".join(part for part in said if part)


def _of_crls(rows: Sequence[_Row]) -> str:
    counts = Counter(row.state for row in rows if row.state not in FINE)
    words = ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state])
    return f"; of the CRLs {words}" if words else ""


def _table(title: str, rows: Sequence[_Row], width: int, states: int, now: datetime) -> Iterator[Line]:
    yield [(f"{title:<{width}}  {'state':<{states}}  {'left':>8}  ends", "dim")]
    for row in rows:
        ends = f"{row.ends:%Y-%m-%d %H:%M} UTC" if row.ends else ""
        yield [
            (f"{row.address!s:<{width}}  ", ""),
            (f"{row.state.value:<{states}}", STYLES.get(row.state, "bold red")),
            (f"  {remaining(row.ends, now):>8}  {ends:<20}", ""),
            (f"  {one_line(row.detail)}" if row.detail else "", "dim"),
        ]


def remaining(end: datetime | None, now: datetime) -> str:
    """What is left until `end` in its largest whole unit: `89d`, `23h`, `-3d` where it has passed."""
    if end is None:
        return "-"
    seconds = (end - now).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if abs(seconds) >= length:
            return f"{int(seconds / length):,}{unit}"
    return f"{int(seconds)}s"


def status_json(status: Status) -> str:
    """`{"certificates": […], "crls": […], "revoked": […], "notes": […]}`; None for what is missing or not known."""
    value = {
        "certificates": [
            {**_certificate(one), "owner": status.owners.get(one.address.entity)} for one in status.certificates
        ],
        "crls": [_crl(one) for one in status.crls],
        "revoked": [_revoked(one) for one in status.revoked],
        "notes": list(map(str, status.lost)),
    }
    return json.dumps(value, indent=2, ensure_ascii=False)


def _certificate(one: CertificateStatus) -> Mapping[str, Any]:
    return {
        "address": str(one.address),
        "serial": one.serial,
        "not_before": _iso(one.not_before),
        "not_after": _iso(one.not_after),
        "state": one.state.value,
        "fingerprint_sha256": one.fingerprint_sha256,
        "detail": _detail(one),
        "reason": one.reason,
        "revoked_at": _iso(one.revoked_at),
    }


def _crl(one: CrlStatus) -> Mapping[str, Any]:
    return {
        "address": str(one.address),
        "number": one.number,
        "entries": one.entries,
        "this_update": _iso(one.this_update),
        "next_update": _iso(one.next_update),
        "state": one.state.value,
        "detail": _detail(one),
    }


def _revoked(one: RevokedStatus) -> Mapping[str, Any]:
    issued = one.issued
    return {
        "address": str(issued.address) if issued else None,
        "ca": one.ca,
        "serial": one.serial,
        "subject": issued.subject if issued else None,
        "issuer": issued.issuer if issued else None,
        "not_before": _iso(issued.not_before if issued else None),
        "not_after": _iso(issued.not_after if issued else None),
        "fingerprint_sha256": issued.fingerprint_sha256 if issued else None,
        "reason": one.reason,
        "at": _iso(one.at),
        **(peers_value(one.reach) if one.reach is not None else {"refused_by": [], "accepted_by": [], "unknown": []}),
    }


def _iso(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC: `2030-01-02T03:04:05Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None
