"""How far a revocation reaches, in words and in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from scaffold.plan.reach import By, Reach, Refusal
from scaffold.topology.address import Address
from scaffold.view.terminal import Line, plain


def reach_lines(reaches: Sequence[Reach]) -> Iterator[Line]:
    """Of each revoked certificate, who goes on accepting it and who refuses it; then an empty line."""
    for reach, serials in _alike(reaches):
        yield [(f"{reach.address} (serial {', '.join(serials)}), once it is revoked:", "bold")]
        for accepted, text in _said(reach):
            yield [(f"  {text}", "bold yellow" if accepted else "")]
    if any(reach.refused_by for reach in reaches):
        yield plain(
            "  The files here are updated at once; those on other hosts when you copy them or they are fetched."
        )
    if reaches:
        yield plain("")


def accepted_lines(reaches: Sequence[Reach]) -> Iterator[Line]:
    """A line for each address whose certificate was revoked and is accepted by somebody all the same."""
    for reach, _ in _alike(reaches):
        for accepted, text in _said(reach):
            if accepted:
                yield [(f"{reach.address} is revoked, and {text}.", "bold yellow")]


def _alike(reaches: Sequence[Reach]) -> Iterator[tuple[Reach, Sequence[str]]]:
    """Of each address one, with the end that comes last, and the serials of all its certificates."""
    found: dict[Address, list[Reach]] = {}
    for reach in reaches:
        found.setdefault(reach.address, []).append(reach)
    for of_it in found.values():
        last = max(of_it, key=lambda one: one.not_after.timestamp() if one.not_after else 0.0)
        yield last, [one.serial for one in of_it]


def reach_words(reach: Reach) -> str:
    """The same in one line, of a certificate that has been revoked."""
    refused = ", ".join(f"{refusal.address} ({refusal.by})" for refusal in reach.refused_by)
    others = [text for accepted, text in _said(reach) if accepted or not reach.refused_by]
    return "; ".join([*others, *([f"refused by {refused}"] if refused else [])])


def _said(reach: Reach) -> Iterator[tuple[bool, str]]:
    """Each sentence, and whether it says that somebody goes on accepting the certificate."""
    until = f"until {_moment(reach.not_after)}" if reach.not_after else "until it expires"
    if unchecked := [one for one in reach.accepted_by if one not in reach.callers_only]:
        they_do = "it does" if len(unchecked) == 1 else "they do"
        names = ", ".join(map(str, unchecked))
        yield True, f"still accepted by {names} {until}: {they_do} not check revocation (check_revocation: none)"
    if reach.callers_only:
        check = "its template checks" if len(reach.callers_only) == 1 else "their templates check"
        names = ", ".join(map(str, reach.callers_only))
        yield True, f"still accepted by {names} {until}: {check} the revocation of callers alone"
    if reach.behind:
        names = ", ".join(map(str, reach.behind))
        yield (
            True,
            f"check_revocation is not in force at {names} until `scaffold apply` has updated the project",
        )
    yield from _said_of_open(reach)
    for refusal in reach.refused_by:
        yield False, f"refused by {refusal.address}{_from(refusal)}"
    if reach.unknown:
        yield True, f"not known for {', '.join(map(str, reach.unknown))}: external"
    if not (reach.accepted_by or reach.refused_by or reach.unknown):
        yield False, "no server or client of the topology accepts it"


def _said_of_open(reach: Reach) -> Iterator[tuple[bool, str]]:
    until = f", until {_moment(reach.not_after)} at most" if reach.not_after else ""
    for by in By:
        if names := [str(refusal.address) for refusal in reach.refused_by if refusal.fails_open and refusal.by is by]:
            who = "it" if len(names) == 1 else "they"
            said = f"accepted by {', '.join(names)} while {who} can get no valid {_ANSWERS[by]}{until}"
            yield True, f"{said} (on_unavailable: allow)"


def _from(refusal: Refusal) -> str:
    # Who accepts while there is no answer refuses at no certain moment.
    latest = ""
    if refusal.believed_until is not None and not refusal.fails_open:
        latest = f", at the latest from {_moment(refusal.believed_until)}"
    return f" as soon as it has the new {_ANSWERS[refusal.by]}{latest}"


_ANSWERS = {By.CRL: "CRL", By.OCSP: "OCSP response", By.ALLOW_LIST: "allow list"}


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def reach_value(reach: Reach) -> dict[str, Any]:
    """`{"address", "serial", "not_after", "refused_by": […], "accepted_by": […], "unknown": […], "behind": […]}`."""
    return {
        "address": str(reach.address),
        "serial": reach.serial,
        "not_after": _iso(reach.not_after),
        **peers_value(reach),
    }


def peers_value(reach: Reach) -> dict[str, Any]:
    """`{"refused_by": [{"address", "by", "believed_until", "on_unavailable"}], "accepted_by": […], …}`.

    `callers_only`: those of `accepted_by` that check the revocation of their callers alone.
    """
    return {
        "refused_by": [
            {
                "address": str(one.address),
                "by": one.by.value,
                "believed_until": _iso(one.believed_until),
                "on_unavailable": "allow" if one.fails_open else "refuse",
            }
            for one in reach.refused_by
        ],
        "accepted_by": list(map(str, reach.accepted_by)),
        "callers_only": list(map(str, reach.callers_only)),
        "unknown": list(map(str, reach.unknown)),
        "behind": list(map(str, reach.behind)),
    }


def _iso(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None
