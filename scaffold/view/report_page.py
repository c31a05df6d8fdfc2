"""The inventory as one page that needs nothing else, for a browser and for paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from scaffold import __version__
from scaffold.inventory.model import CaEntry, Inventory, PartyEntry, Verified
from scaffold.plan.status import State
from scaffold.verify.last_run import Seen
from scaffold.verify.model import Expected, Probe, Result
from scaffold.view import inventory as words
from scaffold.view.looks import LOOKS
from scaffold.view.matrix import GETS_IN, IN_PART, NOTHING, REFUSED, UNTRIED, WRONG, Matrix, matrix
from scaffold.view.pages import page

SECTIONS = (
    ("attention", "Needs attention"), ("cas", "CAs"), ("servers", "Servers"), ("clients", "Clients"),
    ("owners", "By owner"), ("revoked", "Revoked"), ("verified", "Last verify"), ("ends", "Expiry dates"),
)  # fmt: skip

WIDEST_MATRIX = 40
"""Servers; where there are more, a list of servers is easier to read."""

MOST_CHECKS = 2_000
"""That are listed each; all of them are in the JSON."""

MONTHS = 13
"""This month and the twelve that follow."""

_TALLEST = 80

_CELLS = {
    GETS_IN: ("✓", "good", "gets in"),
    REFUSED: ("·", "none", "refused, as it must be"),
    WRONG: ("✗", "bad", "failed"),
    UNTRIED: ("-", "due", "not tried"),
    IN_PART: ("~", "due", "refused, and tried only in part"),
    NOTHING: ("", "none", "nothing to try"),
}


def report_page(inventory: Inventory) -> str:
    """HTML, complete in itself."""
    verified = inventory.verified
    shown = _matrix(verified)
    context = {
        "inventory": inventory,
        "words": words,
        "version": __version__,
        "sections": SECTIONS,
        "remarks": tuple(words.remarks(inventory)),
        "matrix": shown,
        "legend": tuple(_CELLS[cell] for cell in (GETS_IN, REFUSED, WRONG, UNTRIED, IN_PART)),
        "by_server": () if shown is not None or verified is None else tuple(_by_server(verified)),
        "failed": [seen for seen in verified.seen if seen.check.result is Result.FAILED] if verified else [],
        "all_checks": verified.seen if verified is not None and len(verified.seen) <= MOST_CHECKS else (),
        "days": words.by_day(inventory.ends),
        "bars": tuple(_bars(inventory)),
        "look": lambda state: LOOKS[state][0],
        "mark": lambda state: LOOKS[state][1],
        "left": lambda at: words.left_words(at, inventory.at),
        "iso": lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "worst": lambda group: max((end.state for end in group.ends), key=list(State).index),
        "to_look_at": _to_look_at,
    }
    return page("report.html.j2", context, styles=("base.css", "report.css"))


def _to_look_at(entries: Iterable[CaEntry | PartyEntry]) -> int:
    return sum(entry.worst in words.ATTENTION for entry in entries)


@dataclass(frozen=True, slots=True)
class _Row:
    """A caller, how many others are seen alike, and what each cell shows: mark, class, meaning."""

    caller: str
    others: int
    cells: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    servers: Sequence[str]
    rows: Sequence[_Row]


def _matrix(verified: Verified | None) -> _Shown | None:
    if verified is None:
        return None
    found: Matrix = matrix([one.check for one in verified.seen])
    if len(found.servers) > WIDEST_MATRIX:
        return None
    rows = [_Row(row.caller, row.others, tuple(_CELLS[cell] for cell in row.cells)) for row in found.rows]
    return _Shown(found.servers, rows) if rows else None


@dataclass(frozen=True, slots=True)
class _AtServer:
    server: str
    got_in: tuple[str, ...]
    refused: int
    failed: int


def _by_server(verified: Verified) -> Iterator[_AtServer]:
    found: dict[str, list[Seen]] = {}
    for seen in verified.seen:
        found.setdefault(seen.check.server, []).append(seen)
    for server, of_it in found.items():
        checks = [seen.check for seen in of_it]
        passed = [check for check in checks if check.result is Result.PASSED]
        in_ = (one.client for one in passed if one.probe is Probe.EDGE and one.expected is Expected.ALLOWED)
        refused = sum(one.expected is Expected.REFUSED for one in passed)
        yield _AtServer(server, tuple(in_), refused, len(checks) - len(passed))


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    count: int
    height: int


def _bars(inventory: Inventory) -> Iterator[_Bar]:
    """How many certificates end in each of the coming months."""
    counts = Counter((end.at.year, end.at.month) for end in inventory.ends if not end.is_crl and end.at > inventory.at)
    months = tuple(_months(inventory.at))
    most = max((counts[month] for month in months), default=0)
    if most == 0:
        return
    for year, month in months:
        count = counts[year, month]
        label = f"{datetime(year, month, 1):%b}" if month != 1 else f"{year}"  # noqa: DTZ001 (a name of a month)
        yield _Bar(label, count, max(round(count * _TALLEST / most), 2) if count else 0)


def _months(first: datetime) -> Iterator[tuple[int, int]]:
    for number in range(first.month - 1, first.month - 1 + MONTHS):
        yield first.year + number // 12, number % 12 + 1
