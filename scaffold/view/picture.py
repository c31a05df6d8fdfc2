"""The inventory as pictures to be drawn: boxes, arrows, where they are, and what each says."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scaffold.inventory.model import CaEntry, Call, Inventory, PartyEntry, worst_of
from scaffold.plan.status import State
from scaffold.topology.address import Address
from scaffold.view import inventory as words
from scaffold.view.layout import DENSEST, Layout, Point, layered
from scaffold.view.looks import LOOKS

WIDTH, HEIGHT = 190, 44
_ACROSS, _DOWN = 290, 58
_MARGIN = 16
_HEADING = 34

_CAS, _CALLS = "CAs", "Calls"

TOGETHER = 60
"""Servers and clients; where there are more, a page begins with groups of them."""

FEWEST, MOST = 2, 80
"""Groups that are worth looking at."""

LARGEST = 100
"""Servers and clients in one group that is still looked at as a whole."""

THICKEST = 2
"""Arrows for each group; where there are more they are left out, and shown within each group."""

_LONGEST, _LONGEST_DETAIL, _LONGEST_ROLES = 19, 23, 11
"""Letters of a name in a box, of what is below it, and of the roles at an arrow; all of them is in the details."""

_LETTER, _LINE = 7, 14
"""How much room a letter of the roles takes across, and their line down."""
_NARROW, _WIDE = frozenset("fijlrtI.,:;'|!-·() /"), frozenset("mwMW@%&")
_TIP = 8
"""How far roles keep from a box, so that the tip of the arrow is seen."""
_ALONG = (0.5, 0.42, 0.58, 0.34, 0.66)
"""Where along a curve the roles are tried, the best place first."""


@dataclass(frozen=True, slots=True)
class Box:
    """A CA, server, client, or group of them. `link` is where it leads, `about` the addresses that it stands for."""

    link: str
    shape: str
    look: str
    mark: str
    name: str
    detail: str
    spoken: str
    about: tuple[str, ...]
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box to another, by their links; `kind` is issues, call or refused. `path` is SVG's.

    `roles` are those of the caller, all of them; `label` is as much of them as there is room for at `at`.
    """

    source: str
    target: str
    kind: str
    path: str
    roles: str = ""
    label: str = ""
    at: Point = (0, 0)


@dataclass(frozen=True, slots=True)
class Picture:
    """All of one view. `headings` have their places."""

    width: float
    height: float
    headings: tuple[tuple[str, float], ...]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A picture with its title; `groups` says that its boxes are groups."""

    id: str
    title: str
    picture: Picture
    groups: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """What an arrow is, and the roles of a caller."""

    kind: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Labelled:
    """A box before it has a place."""

    link: str
    shape: str
    state: State | None
    name: str
    detail: str
    spoken: str
    about: tuple[str, ...]


def whole(inventory: Inventory) -> Picture:
    """Everything: the CAs as a tree, and below them who calls whom."""
    return _drawn(inventory.cas, inventory.parties, inventory.calls)


def views(inventory: Inventory) -> tuple[View, ...]:
    """What a page shows, the first at first: of few everything, of many groups, each group, and everything."""
    everything = View("everything", "Everything", whole(inventory)) if len(inventory.calls) <= DENSEST else None
    if everything is not None and len(inventory.parties) <= TOGETHER:
        return (everything,)
    found = [view for title, groups in _groupings(inventory.parties) for view in _grouped(inventory, title, groups)]
    return (*found, everything) if everything is not None else tuple(found)


def _by_owner(party: PartyEntry) -> str:
    return party.owner or words.NOBODY


def _by_issuer(party: PartyEntry) -> str:
    return str(party.issuers[0]) if party.issuers else "issued elsewhere"


def _by_template(party: PartyEntry) -> str:
    return party.template or "external"


_Key = Callable[[PartyEntry], str]
_GROUPINGS: tuple[tuple[str, _Key], ...] = (
    ("owner", _by_owner), ("issuer", _by_issuer), ("template", _by_template),
)  # fmt: skip


_Groups = Mapping[str, Sequence[PartyEntry]]


def _groupings(parties: Sequence[PartyEntry]) -> Sequence[tuple[str, _Groups]]:
    """By which properties the groups are small enough to look at; or else the one by which they are smallest."""
    found = [(title, _groups(parties, key)) for title, key in _GROUPINGS]
    some = [(title, groups) for title, groups in found if FEWEST <= len(groups) <= MOST]
    small = [(title, groups) for title, groups in some if _largest(groups) <= LARGEST]
    return small or sorted(some, key=lambda each: _largest(each[1]))[:1]


def _groups(parties: Iterable[PartyEntry], key: _Key) -> _Groups:
    groups: dict[str, list[PartyEntry]] = {}
    for party in parties:
        groups.setdefault(key(party), []).append(party)
    return groups


def _largest(groups: _Groups) -> int:
    return max(map(len, groups.values()))


def _grouped(inventory: Inventory, title: str, groups: _Groups) -> Iterator[View]:
    """The groups by one property, and what is in each, with whom it calls and who calls it."""
    ids = {name: f"{title}-{number}" for number, name in enumerate(groups, 1)}
    group_of = {party.address: ids[name] for name, members in groups.items() for party in members}
    boxes = [_group_box(ids[name], name, members) for name, members in groups.items()]
    between = {(group_of[call.caller], group_of[call.server]): Edge("call") for call in inventory.calls}
    edges = {edge: kind for edge, kind in between.items() if edge[0] != edge[1]}
    heading = _CALLS
    if len(edges) > THICKEST * len(groups):
        edges, heading = {}, f"{_CALLS}: choose one to see its calls"
    ca_boxes, signed = _ca_boxes(inventory.cas)
    yield View(f"by-{title}", f"By {title}", _picture(ca_boxes, signed, boxes, edges, heading), groups=True)
    parties = {party.address: party for party in inventory.parties}
    for name, members in groups.items():
        inside = {party.address for party in members}
        calls = [call for call in inventory.calls if call.caller in inside or call.server in inside]
        near = dict.fromkeys(end for call in calls for end in (call.caller, call.server))
        shown = [*members, *(parties[address] for address in near if address not in inside)]
        cas = [ca for ca in inventory.cas if any(ca.address.name in _issuer_names(party) for party in shown)]
        if len(calls) <= DENSEST:
            yield View(ids[name], f"{title}: {name}", _drawn(cas, shown, calls))


def _issuer_names(party: PartyEntry) -> set[str]:
    return {issuer.name for issuer in party.issuers}


def _group_box(id_: str, name: str, members: Sequence[PartyEntry]) -> Labelled:
    states = [party.worst for party in members if party.worst is not None]
    troubled = sum(state in words.ATTENTION for state in states)
    worst = worst_of(states) if states else None
    counts = ", ".join(
        words.counted(number, noun)
        for noun, number in (
            ("server", sum(party.is_server for party in members)),
            ("client", sum(not party.is_server for party in members)),
        )
        if number
    )
    detail = f"{troubled:,} to look at · {len(members):,}" if troubled else counts
    about = tuple(str(party.address) for party in members)
    return Labelled(id_, "group", worst, name, detail, f"{name}: {counts}, {troubled:,} to look at", about)


def _drawn(cas: Iterable[CaEntry], parties: Iterable[PartyEntry], calls: Iterable[Call]) -> Picture:
    ca_boxes, signed = _ca_boxes(cas)
    edges = {
        (str(call.caller), str(call.server)): Edge("refused" if call.faults else "call", call.roles) for call in calls
    }
    return _picture(ca_boxes, signed, [_party_box(party) for party in parties], edges, _CALLS)


def _ca_boxes(cas: Iterable[CaEntry]) -> tuple[list[Labelled], dict[tuple[str, str], Edge]]:
    shown = list(cas)
    there = {ca.address for ca in shown}
    edges = {
        (str(ca.issuer), str(ca.address)): Edge("issues")
        for ca in shown
        if ca.issuer is not None and ca.issuer in there
    }
    return [_ca_box(ca) for ca in shown], edges


def _ca_box(ca: CaEntry) -> Labelled:
    address = ca.address
    detail = _told("CA", f"signs {sum(ca.signs):,}" if sum(ca.signs) else "", ca.worst)
    spoken = f"CA {_label(address)}, {ca.worst.value}, {words.signs_words(ca)}"
    return Labelled(str(address), "ca", ca.worst, _label(address), detail, spoken, (str(address),))


def _label(address: Address) -> str:
    return address.name if address.generation is None else f"{address.name}@{address.generation}"


def _party_box(party: PartyEntry) -> Labelled:
    role = words.role_words(party.address)
    what = "fault" if party.fault is not None else party.template or "external"
    state = party.worst.value if party.worst is not None else "external"
    callers = f", called by {len(party.callers):,}" if party.is_server else ""
    spoken = f"{role} {party.address.name}, {state}{callers}, calls {len(party.callees):,}"
    about = (str(party.address),)
    return Labelled(
        str(party.address), role, party.worst, party.address.name, _told(role, what, party.worst), spoken, about
    )


def _told(role: str, what: str, state: State | None) -> str:
    """What is below a name: its state comes first where there is something to look at."""
    trouble = state.value if state in words.ATTENTION and state is not None else ""
    return " · ".join(part for part in (trouble, role, what) if part)


_Edges = Mapping[tuple[str, str], Edge]
"""Each arrow by the links of its ends."""


def _picture(
    cas: Sequence[Labelled], signed: _Edges, parties: Sequence[Labelled], calls: _Edges, heading: str
) -> Picture:
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    headings: list[tuple[str, float]] = []
    top, width = float(_MARGIN), 0.0
    parts = ((_CAS, cas, signed), (heading, parties, calls))
    for title, labelled, edges in parts:
        if not labelled:
            continue
        numbers = {one.link: number for number, one in enumerate(labelled)}
        drawn = [(numbers[source], numbers[target]) for source, target in edges]
        laid = layered(len(labelled), drawn)
        headings.append((title, top + 14))
        top += _HEADING
        boxes += (_box(one, laid.nodes[number], top) for number, one in enumerate(labelled))
        arrows += _arrows(edges, drawn, laid, top)
        width = max(width, (laid.layers - 1) * _ACROSS + WIDTH)
        top += (laid.places - 1) * _DOWN + HEIGHT + _MARGIN * 2
    return Picture(width + 2 * _MARGIN, top - _MARGIN, tuple(headings), tuple(boxes), tuple(arrows))


def _box(one: Labelled, point: Point, top: float) -> Box:
    x, y = _at(point, top)
    look, mark = LOOKS[one.state]
    name, detail = _cut(one.name, _LONGEST), _cut(one.detail, _LONGEST_DETAIL)
    return Box(one.link, one.shape, look, mark, name, detail, one.spoken, one.about, x, y)


def _cut(text: str, longest: int) -> str:
    """As much of it as fits where there is room for so many letters."""
    if _letters(text) <= longest:
        return text
    kept = len(text)
    while _letters(text[:kept]) > longest - 1:
        kept -= 1
    return f"{text[:kept]}…"


def _letters(text: str) -> float:
    """How many letters are as wide. Fonts differ, so that this is what is usual."""
    return sum(map(_letter, text))


def _letter(character: str) -> float:
    if character in _NARROW:
        return 0.6
    if character in _WIDE:
        return 1.7
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 1.7
    return 1.15 if character.isupper() else 1.0


def _at(point: Point, top: float) -> Point:
    return round(_MARGIN + point[0] * _ACROSS, 1), round(top + point[1] * _DOWN, 1)


def _arrows(edges: _Edges, drawn: Sequence[tuple[int, int]], laid: Layout, top: float) -> Iterator[Arrow]:
    taken = Taken()
    for ((source, target), edge), ends in zip(edges.items(), drawn, strict=True):
        if ends not in laid.paths:
            continue
        curves = tuple(_curves([_at(point, top) for point in laid.paths[ends]]))
        arrow = Arrow(source, target, edge.kind, _path(curves), ", ".join(edge.roles))
        room = room_for(label := _cut(arrow.roles, _LONGEST_ROLES), curves, taken) if edge.roles else None
        if room is None:
            yield arrow
        else:
            taken.add(room)
            yield replace(arrow, label=label, at=(room.x, room.y))


@dataclass(frozen=True, slots=True)
class Curve:
    """One that leaves and arrives level, in the middle between two layers."""

    start: Point
    end: Point

    def at(self, t: float) -> Point:
        """The point there, from 0 at its start to 1 at its end: a cubic Bézier curve."""
        half = (self.start[0] + self.end[0]) / 2
        early, late = (1 - t) ** 2 * (1 + 2 * t), t**2 * (3 - 2 * t)
        x = (1 - t) ** 3 * self.start[0] + 3 * t * (1 - t) * half + t**3 * self.end[0]
        return round(x, 1), round(early * self.start[1] + late * self.end[1], 1)


@dataclass(frozen=True, slots=True)
class Room:
    """Where roles stand: the middle of their line, and how wide that is."""

    x: float
    y: float
    width: float

    def meets(self, other: Room) -> bool:
        return abs(self.x - other.x) < (self.width + other.width) / 2 and abs(self.y - other.y) < _LINE


class Taken:
    """The rooms that are taken, by the line that they stand on: only those of the lines about can meet another."""

    def __init__(self) -> None:
        self._lines: dict[int, list[Room]] = {}

    def add(self, room: Room) -> None:
        self._lines.setdefault(int(room.y // _LINE), []).append(room)

    def meets(self, room: Room) -> bool:
        line = int(room.y // _LINE)
        about = (other for near in (line - 1, line, line + 1) for other in self._lines.get(near, ()))
        return any(map(room.meets, about))


def room_for(label: str, curves: Sequence[Curve], taken: Taken) -> Room | None:
    """A place on the arrow, beside its boxes and all other roles; None where there is no such place."""
    width = _LETTER * _letters(label)
    for t in _ALONG:
        for curve in curves:
            x, y = curve.at(t)
            room = Room(x, y, width)
            beside = min(abs(x - curve.start[0]), abs(x - curve.end[0])) >= width / 2 + _TIP
            if beside and not taken.meets(room):
                return room
    return None


def _curves(points: Sequence[Point]) -> Iterator[Curve]:
    """From where an arrow leaves a box at one side, to where it enters another at the facing one, past the others."""
    onwards = points[-1][0] >= points[0][0]
    leave, enter = (WIDTH, -5) if onwards else (0, WIDTH + 5)
    middle = HEIGHT / 2
    start = points[0][0] + leave, points[0][1] + middle
    for number, (left, up) in enumerate(points[1:], 1):
        last = number == len(points) - 1
        yield Curve(start, (left + enter if last else left, up + middle))
        start = left + WIDTH if onwards else left, up + middle


def _path(curves: Sequence[Curve]) -> str:
    """Curves, and the straight lines past the boxes between them."""
    said: list[str] = []
    for curve in curves:
        (x, y), (to_x, to_y) = curve.start, curve.end
        half = (x + to_x) / 2
        said.append(f"H{x:g}" if said else f"M{x:g} {y:g}")
        said.append(f"C{half:g} {y:g} {half:g} {to_y:g} {to_x:g} {to_y:g}")
    return "".join(said)
