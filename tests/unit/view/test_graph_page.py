"""The topology as a page and as an SVG: what is drawn, and what each box says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest

from scaffold.errors import TopologyError
from scaffold.inventory.model import Applied, Inventory, PartyEntry
from scaffold.plan.status import State
from scaffold.topology.address import Address
from scaffold.view.graph_page import graph_page, graph_svg
from scaffold.view.picture import HEIGHT, TOGETHER, WIDTH, Curve, Picture, Taken, room_for, views, whole
from tests.unit.view import inventories
from tests.unit.view.inventories import inventory
from tests.unit.view.test_report import Read

SVG = "{http://www.w3.org/2000/svg}"

BOXES = [
    ("ca.root", "ca", "good", "CA · signs 1", "CA root, valid, signs 1 CA"),
    ("ca.issuing", "ca", "good", "CA · signs 3", "CA issuing, valid, signs 3 servers and clients"),
    ("ca.partner", "ca", "good", "CA · signs 1", "CA partner, valid, signs 1 CA"),
    ("server.api", "server", "good", "server · python", "server api, valid, called by 2, calls 1"),
    ("server.store", "server", "good", "server · files", "server store, valid, called by 2, calls 0"),
    ("client.web", "client", "due", "due · client · python", "client web, due, calls 1"),
    ("client.late", "client", "odd", "client · fault", "client late, fault, calls 1"),
    ("client.ops", "client", "none", "client · external", "client ops, external, calls 1"),
]

ARROWS = [
    ("ca.root", "ca.issuing", "issues"),
    ("server.api", "server.store", "call"),
    ("client.web", "server.api", "call"),
    ("client.late", "server.api", "refused"),
    ("client.ops", "server.store", "call"),
]


def test_every_entity_is_a_box_and_every_call_an_arrow() -> None:
    picture = whole(inventory())
    assert [(box.link, box.shape, box.look, box.detail, box.spoken) for box in picture.boxes] == BOXES
    assert [(arrow.source, arrow.target, arrow.kind) for arrow in picture.arrows] == ARROWS


def test_boxes_are_within_the_picture_and_apart() -> None:
    for shown in (inventory(), inventories.estate()):
        picture = whole(shown)
        for box in picture.boxes:
            assert 0 <= box.x <= picture.width - WIDTH
            assert 0 <= box.y <= picture.height - HEIGHT
        places = sorted((box.x, box.y) for box in picture.boxes)
        for (ax, ay), (bx, by) in pairwise(places):
            assert ax != bx or by - ay > HEIGHT


def with_roles(shown: Inventory, *roles: str) -> Inventory:
    def given(one: PartyEntry) -> PartyEntry:
        return replace(one, callees=tuple(replace(call, roles=roles) for call in one.callees))

    return replace(shown, parties=tuple(map(given, shown.parties)))


def test_the_roles_of_a_caller_stand_at_its_arrow() -> None:
    told = {(arrow.source, arrow.target): (arrow.roles, arrow.label) for arrow in whole(inventory()).arrows}
    assert told["client.web", "server.api"] == ("reader", "reader")
    assert told["client.ops", "server.store"] == told["ca.root", "ca.issuing"] == ("", "")
    many = whole(with_roles(inventory(), "reader", "writer", "administrator"))
    assert {arrow.label for arrow in many.arrows if arrow.label} == {"reader, writ…"}
    for page in (graph_svg(inventory()), graph_page(inventory())):
        assert page.count('class="roles"') == 1
        assert ">reader</text>" in page
        assert "<title>client.web calls server.api as reader</title>" in page
    assert ">as</span> reader" in graph_page(inventory()), "all of them are in the details"


def test_roles_meet_neither_each_other_nor_a_box_and_are_left_out_where_they_would() -> None:
    crowd = [Address.server(f"s{number}") for number in range(30)]
    each_other = {
        one: tuple(inventories.call(one, other, "reader", "writer") for other in crowd[number + 1 : number + 9])
        for number, one in enumerate(crowd)
    }
    parties = tuple(inventories.party(one, callees=calls) for one, calls in each_other.items())
    crowded = replace(inventory(), parties=parties)
    for shown in (with_roles(inventories.estate(), "reader", "writer"), crowded):
        picture = whole(shown)
        places = [(*arrow.at, 6 * len(arrow.label)) for arrow in picture.arrows if arrow.label]
        assert places
        for number, (x, y, width) in enumerate(places):
            for other_x, other_y, other_width in places[:number]:
                assert abs(y - other_y) >= 14 or abs(x - other_x) >= (width + other_width) / 2
            for box in picture.boxes:
                across = box.x - 4 < x + width / 2 and x - width / 2 < box.x + WIDTH + 4
                assert not (across and box.y - 7 < y < box.y + HEIGHT + 7)
    assert len(places) < len(crowded.calls)
    assert all(arrow.roles for arrow in picture.arrows if arrow.kind == "call"), (
        "they are told where they are pointed at"
    )


def test_roles_keep_from_the_tip_of_their_arrow() -> None:
    steep, taken = Curve((190, 22), (285, 200)), Taken()
    first = room_for("reader, writ…", [steep], taken)
    assert first is not None
    assert (first.x, first.y) == (237.5, 111)
    taken.add(first)
    assert room_for("reader, writ…", [steep], taken) is None
    second = room_for("rw", [steep], taken)
    assert second is not None
    assert second.x - second.width / 2 > 190 + 8


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a" * 19, "a" * 19), ("a" * 20, "a" * 18 + "…"), ("m" * 40, "m" * 10 + "…"), ("i" * 40, "i" * 30 + "…"),
        ("accounts-of-the-north-east", "accounts-of-the-north…"),
    ],
)  # fmt: skip
def test_a_name_is_cut_where_its_box_ends(name: str, shown: str) -> None:
    wide = inventories.party(Address.server(name))
    assert whole(replace(inventory(), parties=(wide,))).boxes[-1].name == shown


def arrow_ends(picture: Picture) -> set[str]:
    return {end for arrow in picture.arrows for end in (arrow.source, arrow.target)}


def test_of_few_everything_is_one_view() -> None:
    assert [view.id for view in views(inventory())] == ["everything"]


def test_of_many_the_first_view_is_groups_and_each_group_has_its_own() -> None:
    estate = inventories.estate()
    assert len(estate.parties) > TOGETHER
    found = views(estate)
    first = found[0]
    assert (first.id, first.groups, found[-1].id) == ("by-owner", True, "everything")
    groups = [box for box in first.picture.boxes if box.shape == "group"]
    assert [box.name for box in groups] == [f"team-{number}" for number in range(5)]
    assert (groups[0].detail, groups[0].link) == ("8 servers, 8 clients", "owner-1")
    assert {box.link for box in groups} <= {view.id for view in found}
    opened = next(view.picture for view in found if view.id == "owner-2")
    shown = {box.link for box in opened.boxes if box.shape in ("server", "client")}
    assert {f"server.s{number:03}" for number in range(8, 16)} < shown
    assert "server.s007" in shown, "whom it calls outside the group is shown as well"
    assert "server.s000" not in shown
    assert arrow_ends(opened) <= {box.link for box in opened.boxes}


def test_without_owners_groups_go_by_whatever_makes_them_small() -> None:
    estate = inventories.estate()
    nobody = replace(estate, parties=tuple(replace(one, owner=None) for one in estate.parties))
    assert [view.id for view in views(nobody)] == ["everything"]
    by_template = replace(
        nobody,
        parties=tuple(replace(one, template="curl" if i % 2 else "nginx") for i, one in enumerate(nobody.parties)),
    )
    assert views(by_template)[0].id == "by-template"


def test_a_group_says_what_is_to_be_looked_at_in_it() -> None:
    estate = inventories.estate()
    due = replace(
        estate.parties[0], certificates=(inventories.certificate(estate.parties[0].address, State.EXPIRED, -1),)
    )
    box = next(
        box
        for box in views(replace(estate, parties=(due, *estate.parties[1:])))[0].picture.boxes
        if box.link == "owner-1"
    )
    assert (box.look, box.mark, box.detail) == ("bad", "✕", "1 to look at · 16")


def test_the_svg_is_sound_and_complete_in_itself() -> None:
    root = ET.fromstring(graph_svg(inventory()))
    assert root.tag == f"{SVG}svg"
    links = [one.get("href") for one in root.iter(f"{SVG}a")]
    assert links == [f"#{box[0]}" for box in BOXES]
    assert "prefers-color-scheme: dark" in "".join(one.text or "" for one in root.iter(f"{SVG}style"))
    assert not re.search(r"(?:src|href)=\"(?!#)", graph_svg(inventory()))


def test_no_name_is_ever_markup() -> None:
    for page in (graph_page(inventories.hostile()), graph_svg(inventories.hostile())):
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "\x1b" not in page
    assert graph_page(inventories.hostile()).count("<script") == 1
    ET.fromstring(graph_svg(inventories.hostile()))


def test_a_page_needs_nothing_else() -> None:
    page = graph_page(inventory())
    elements = Read(page).elements
    assert not [tag for tag, _ in elements if tag in {"link", "img", "iframe", "object", "form", "base"}]
    (policy,) = [a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'; script-src 'sha256-[^']+'",
        policy,
    )
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert " style=" not in page


def test_every_entity_has_its_details_and_words_to_be_found_by() -> None:
    articles = {a["id"]: a for tag, a in Read(graph_page(inventory())).elements if tag == "article"}
    assert list(articles) == [box[0] for box in BOXES]
    assert articles["server.api"]["data-text"] == (
        "server.api payments <team> valid python spiffe://shop/api ca.issuing localhost api.shop.internal"
    )
    assert articles["client.web"]["data-look"] == "true"
    assert articles["client.late"]["data-look"] == "false"
    assert "expired" in str(articles["client.late"]["data-text"]).split()


def test_what_is_not_applied_is_said() -> None:
    shown = replace(inventory(), applied=Applied.NEVER)
    assert "Nothing was applied yet" in graph_page(shown)
    assert "<code>scaffold apply</code>" in graph_page(shown)


def test_of_too_many_calls_no_picture_is_drawn_and_the_page_lists_them() -> None:
    with pytest.raises(TopologyError, match="1,504 calls are too many") as caught:
        graph_svg(inventories.crowded())
    assert "--format html" in str(caught.value.hint)
    shown = inventories.crowded()
    page = graph_page(shown)
    assert views(shown) == ()
    assert "There are too many calls to draw." in page
    assert page.count("<article ") == len(shown.entries)
