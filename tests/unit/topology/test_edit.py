"""Edits of the YAML: whatever its style, only the lines that are meant to change do."""

from __future__ import annotations

import codecs
import difflib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scaffold.errors import TopologyError
from scaffold.topology.address import Address, Role
from scaffold.topology.edit import Braces, Given, add, callers_of, read, remove
from scaffold.topology.load import loads

EXAMPLES = sorted((Path(__file__).parent.parent.parent.parent / "examples").glob("*/topology.yaml"))
SOURCE = Path("topology.yaml")
NEW = Address.server("billing")
FIELDS: dict[str, Given] = {
    "template": "python",
    "listen": "127.0.0.1:9990",
    "names": ("localhost", "billing.internal"),
}

SHOP = """\
version: 1
name: shop
cas:
  root: {}
servers:
  api:
    template: python
    listen: 127.0.0.1:8443
    names: [localhost]
clients:
  cli:
    template: python
    calls: [api]
"""


def difference(before: bytes, after: bytes) -> tuple[list[str], list[str]]:
    """The lines that are taken out, and those that are new."""
    lines = list(difflib.ndiff(before.decode().splitlines(), after.decode().splitlines()))
    return [line[2:] for line in lines if line[0] == "-"], [line[2:] for line in lines if line[0] == "+"]


def added(text: str, *callers: Address, fields: dict[str, Given] = FIELDS, new: Address = NEW) -> str:
    return add(text.encode(), SOURCE, new, fields, dict.fromkeys(callers, ())).decode()


def removed(text: str, old: Address) -> str:
    return remove(text.encode(), SOURCE, old).decode()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_add_to_an_example_only_adds_lines_and_a_remove_takes_them_back(path: Path) -> None:
    before = path.read_bytes()
    after = add(before, path, NEW, FIELDS, {})
    assert difference(before, after)[0] == []
    assert yaml.safe_load(after)["servers"]["billing"]["names"] == ["localhost", "billing.internal"]
    assert remove(after, path, NEW) == before


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT])
def test_every_entity_of_an_example_can_be_removed_with_its_edges(path: Path, role: Role) -> None:
    text = path.read_bytes()
    for name in read(text, path).get(role.section, {}):
        old = Address(role, name)
        after = remove(text, path, old)
        assert callers_of(after, path, old) == []
        assert name not in read(after, path)[role.section]
        assert difference(text, after)[1] == [
            line for line in difference(text, after)[1] if "calls: " in line or line.endswith(": {}")
        ]


def test_ten_adds_make_what_one_would_write_by_hand() -> None:
    text = SHOP
    for number in range(10):
        fields: dict[str, Given] = {
            "listen": f"127.0.0.1:{9000 + number}",
            "names": ("localhost",),
            "template": "python",
        }
        text = added(text, Address.client("cli"), fields=fields, new=Address.server(f"s{number}"))
    by_hand = "".join(
        f"  s{n}:\n    template: python\n    listen: 127.0.0.1:{9000 + n}\n    names: [localhost]\n" for n in range(10)
    )
    names = ", ".join(["api", *(f"s{n}" for n in range(10))])
    expected = SHOP.replace("clients:", f"{by_hand}clients:").replace("calls: [api]", f"calls: [{names}]")
    assert text == expected
    for number in range(10):
        text = removed(text, Address.server(f"s{number}"))
    assert text == SHOP


IN_BRACES = SHOP.replace(
    "  api:\n    template: python\n    listen: 127.0.0.1:8443\n    names: [localhost]\n",
    "  api: { template: python, listen: '127.0.0.1:8443', names: [ \"localhost\" ] }   # first\n",
)


def test_braces_quotes_and_spaces_are_those_of_the_last_entity() -> None:
    expected = (
        '  billing: { template: python, listen: \'127.0.0.1:9990\', names: [ "localhost", "billing.internal" ] }\n'
    )
    assert added(IN_BRACES) == IN_BRACES.replace("clients:", f"{expected}clients:")


def test_lists_hang_as_those_of_the_last_entity() -> None:
    text = SHOP.replace("    names: [localhost]\n", "    names:\n    - 'localhost'\n").replace(
        "    calls: [api]\n", "    calls:\n      - api   # the first\n"
    )
    after = added(text, Address.client("cli"))
    assert "    names:\n    - 'localhost'\n    - 'billing.internal'\nclients:" in after
    assert "      - api   # the first\n      - billing\n" in after
    assert removed(after, NEW) == text


def test_empty_lines_between_entities_are_kept_up() -> None:
    text = SHOP.replace(
        "clients:", "\n  # the second\n  web: {template: nginx, listen: 127.0.0.1:1, names: [x]}\n\nclients:"
    )
    after = added(text, fields={"template": "python", "listen": "127.0.0.1:2", "names": ("a",)})
    assert "names: [x]}\n\n  billing: {template: python, listen: 127.0.0.1:2, names: [a]}\n\nclients:" in after
    assert removed(text, Address.server("web")) == SHOP.replace("clients:", "\nclients:")


def test_comments_of_the_last_entity_stay_with_it() -> None:
    text = SHOP.replace("clients:", "    # health: 127.0.0.1:8081\n\n  # web: {}\n\n# Who calls.\nclients:")
    after = added(text)
    assert "  # web: {}\n  billing:\n" in after
    assert "internal]\n\n# Who calls.\nclients:" in after


def test_a_comment_behind_a_list_stays_in_its_column() -> None:
    text = SHOP.replace("calls: [api]\n", "calls: [api]                # who gets in\n")
    assert "calls: [api, billing]       # who gets in\n" in added(text, Address.client("cli"))
    assert "calls: []                   # who gets in\n" in removed(text, Address.server("api"))


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT])
def test_a_section_that_is_not_there_is_made_in_its_place(role: Role) -> None:
    text = "version: 1\nname: shop\ncas:\n  root: {}\n\n# the end"
    fields = FIELDS if role is Role.SERVER else {"template": "curl"}
    after = added(text, fields=fields, new=Address(role, "one"))
    assert after.startswith(f"version: 1\nname: shop\ncas:\n  root: {{}}\n\n{role.section}:\n  one:\n    template: ")
    assert after.endswith("\n\n# the end")


def test_servers_stand_between_cas_and_clients() -> None:
    text = "version: 1\nname: shop\ncas:\n  root: {}\n\nclients:\n  web: {template: curl}\n"
    expected = f"servers:\n  billing: {{{SHORT}}}\n\nclients:"
    assert added(text, fields={"template": "python", "listen": "127.0.0.1:2"}) == text.replace("clients:", expected)


SHORT = "template: python, listen: 127.0.0.1:2"


@pytest.mark.parametrize(
    "scalar", ["|\n        hello\n", "|+\n        hello\n\n\n", ">-\n        hello\n        you\n"]
)
def test_text_of_several_lines_may_end_an_entity(scalar: str) -> None:
    text = SHOP.replace("clients:", f"    vars:\n      greeting: {scalar}\n# Who calls.\nclients:")
    after = added(text)
    assert difference(text.encode(), after.encode())[0] == []
    assert read(after.encode(), SOURCE)["servers"]["api"] == read(text.encode(), SOURCE)["servers"]["api"]
    if "+" not in scalar:
        assert f"greeting: {scalar}  billing:\n" in after
        assert removed(after, NEW) == text


def test_a_server_that_calls_itself_goes_with_its_list() -> None:
    text = SHOP.replace("localhost]\n", "localhost]\n    calls: [api]\n")
    assert removed(text, Address.server("api")) == removed(SHOP, Address.server("api"))


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT])
def test_an_empty_section_is_filled_and_emptied(role: Role) -> None:
    text = f"version: 1\nname: shop\ncas: {{root: {{}}}}\n{role.section}: {{}}   # nobody yet\n"
    fields: dict[str, Given] = FIELDS if role is Role.SERVER else {"template": "curl"}
    after = added(text, fields=fields, new=Address(role, "one"))
    assert f"{role.section}:\n  one:\n    template: " in after
    assert removed(after, Address(role, "one")).startswith(
        f"version: 1\nname: shop\ncas: {{root: {{}}}}\n{role.section}: {{}}"
    )


def test_what_is_inherited_is_written_out_with_the_new_edge() -> None:
    text = SHOP.replace("cas:", "defaults: {calls: [api]}\ncas:").replace("    calls: [api]\n", "")
    after = added(text, Address.client("cli"))
    assert "    template: python\n    calls: [api, billing]\n" in after
    gone = read(removed(after, Address.server("api")).encode(), SOURCE)
    assert gone["defaults"]["calls"] == {}
    assert gone["clients"]["cli"]["calls"] == {"billing": ()}


def test_the_last_server_may_be_the_caller() -> None:
    after = added(SHOP, Address.server("api"))
    assert "    names: [localhost]\n    calls: [billing]\n  billing:\n" in after
    assert removed(after, NEW) == SHOP.replace("localhost]\n", "localhost]\n    calls: []\n")


@pytest.mark.parametrize(
    ("calls", "after"),
    [
        ("calls: {api: [reader]}\n", "calls: {api: [reader], billing: []}\n"),
        ("calls:\n      api: [reader]   # reads\n", "calls:\n      api: [reader]   # reads\n      billing: []\n"),
    ],
)
def test_roles_stay_where_an_edge_is_added_and_removed(calls: str, after: str) -> None:
    text = SHOP.replace("calls: [api]\n", calls)
    assert added(text, Address.client("cli")) == added(text).replace(calls, after)
    assert removed(added(text, Address.client("cli")), NEW) == text


def test_roles_that_are_inherited_are_written_out_with_the_new_edge() -> None:
    text = SHOP.replace("cas:", "defaults: {calls: {api: [reader]}}\ncas:").replace("    calls: [api]\n", "")
    assert "    calls: {api: [reader], billing: []}\n" in added(text, Address.client("cli"))


ALIASES = SHOP.replace("calls: [api]", "calls: &all [api]") + "  web: {template: curl, calls: *all}\n"


def test_an_alias_is_written_out_where_it_differs() -> None:
    after = added(ALIASES, Address.client("web"))
    assert "  web: {template: curl, calls: [api, billing]}\n" in after
    assert "calls: &all [api]\n" in after


def test_an_edge_that_others_would_get_by_an_alias_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"server\.billing cannot be added to this file line by line"):
        added(ALIASES, Address.client("cli"))


def test_an_edge_that_stands_behind_an_anchor_is_removed_once_for_all() -> None:
    assert "calls: &all []\n  web: {template: curl, calls: *all}\n" in removed(ALIASES, Address.server("api"))


def test_the_indentation_is_that_of_what_an_anchor_is_on() -> None:
    text = SHOP.replace("  api:\n", "  api: &base\n").replace("servers:\n", "servers: &all\n")
    text = text.replace("    names: [localhost]\n", "    names: &names\n    - localhost\n")
    after = added(text)
    assert "\n  billing:\n    template: python\n" in after
    assert "\n    names:\n    - localhost\n    - billing.internal\n" in after


@pytest.mark.parametrize(
    "text",
    [
        SHOP.replace("  api:\n", "  api: &base\n"),
        SHOP.replace("cas:\n  root: {}\n", "? cas\n: root: {}\n"),
    ],
    ids=["anchor", "explicit key"],
)
def test_anchors_and_unusual_ways_of_writing_elsewhere_do_not_matter(text: str) -> None:
    assert difference(text.encode(), added(text).encode())[0] == []


def test_what_is_merged_in_cannot_be_removed_line_by_line() -> None:
    text = SHOP.replace(
        "servers:\n  api:\n", "servers:\n  <<: {web: {template: nginx, listen: 127.0.0.1:1, names: [a]}}\n  api:\n"
    )
    with pytest.raises(TopologyError, match="comes from a merge"):
        removed(text, Address.server("web"))


@pytest.mark.parametrize("text", [SHOP.rstrip("\n"), SHOP.rstrip("\n") + "  # end"], ids=["bare", "comment"])
def test_a_text_without_a_last_line_break_stays_without_one(text: str) -> None:
    after = added(text, fields={"template": "curl"}, new=Address.client("web"))
    assert after == f"{text}\n  web:\n    template: curl"
    assert removed(after + "\n", Address.client("web")) == f"{text}\n"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"listen": "nowhere"}, "nowhere"),
        ({"names": ("a", "a")}, "twice"),
        ({"vars": Braces("{a: [[b]]}")}, "found a list"),
        ({"vars": Braces("{a: b}, c: {d}")}, "unknown key"),
        ({"template": "python\n  evil: {}"}, "control"),
    ],
)
def test_what_a_field_cannot_hold_is_refused_without_a_place(fields: dict[str, Given], word: str) -> None:
    with pytest.raises(TopologyError, match=word) as caught:
        added(SHOP, fields=fields)
    assert caught.value.place is None


def test_nobody_is_added_twice_and_nobody_removed_who_is_not_there() -> None:
    with pytest.raises(TopologyError, match=r"server\.api exists already"):
        added(SHOP, new=Address.server("api"))
    with pytest.raises(TopologyError, match=r"no server\.apy") as caught:
        removed(SHOP, Address.server("apy"))
    assert caught.value.hint == 'did you mean "server.api"?'
    with pytest.raises(TopologyError, match=r"no client\.nobody"):
        added(SHOP, Address.client("nobody"))


@pytest.mark.parametrize("value", ["NO", "1:30", "2026-01-01", "a: b", "# c", "yes", "a, b", "'", "null", "1.5", "é"])
def test_texts_that_readers_take_for_something_else_are_quoted(value: str) -> None:
    text = added(SHOP, fields=FIELDS | {"template": value})
    assert yaml.safe_load(text)["servers"]["billing"]["template"] == value


# Styles, all of them at once

QUOTES = ["", "'", '"']
LISTS = ["flow", "flow on lines", "block", "hanging"]


@st.composite
def styles(draw: st.DrawFn) -> str:
    """A topology of a few entities in any style; each reads the same."""
    indent = " " * draw(st.integers(1, 6))
    deeper = indent + " " * draw(st.integers(1, 6))
    blank = draw(st.sampled_from(["", "\n", "\n\n"]))

    def quoted(text: str) -> str:
        quote = draw(st.sampled_from(QUOTES))
        return f"{quote}{text}{quote}"

    def comment(before: str = "  ") -> str:
        return draw(st.sampled_from(["", f"{before}# a: [b, {{c", f"{before}# calls: [x]"]))

    def list_of(items: list[str]) -> str:
        style = draw(st.sampled_from(LISTS)) if items else "flow"
        written = [quoted(item) for item in items]
        if style == "flow":
            return f" [{', '.join(written)}]{comment()}\n"
        if style == "flow on lines":
            inner = ",\n".join(f"{deeper}  {item}" for item in written)
            return f" [\n{inner}\n{deeper}]\n"
        dash = deeper if style == "hanging" else deeper + "  "
        return "\n" + "".join(f"{dash}- {item}{comment()}\n" for item in written)

    def entity(name: str, fields: dict[str, str], lists: dict[str, list[str]]) -> str:
        above = f"{indent}# about {name}\n" if draw(st.booleans()) else ""
        if draw(st.booleans()):
            entries = [f"{key}: {quoted(value)}" for key, value in fields.items()]
            entries += [f"{key}: [{', '.join(map(quoted, items))}]" for key, items in lists.items()]
            return f"{above}{indent}{name}: {{{', '.join(entries)}}}{comment()}\n"
        lines = "".join(f"{deeper}{key}: {quoted(value)}{comment()}\n" for key, value in fields.items())
        lines += "".join(f"{deeper}{key}:{list_of(items)}" for key, items in lists.items())
        below = comment(deeper)
        return f"{above}{indent}{quoted(name)}:{comment()}\n{lines}" + (f"{below}\n" if below else "")

    servers = blank.join(
        entity(f"s{n}", {"template": "python", "listen": f"127.0.0.1:{8443 + n}"}, {"names": ["localhost"]})
        for n in range(draw(st.integers(1, 3)))
    )
    clients = blank.join(
        entity(name, {"template": "curl"}, {"calls": calls}) for name, calls in [("c0", ["s0"]), ("c1", [])]
    )
    head = (
        draw(st.sampled_from(["", "---\n", "# yaml\n\n"]))
        + f"version: 1\nname: shop{comment()}\ncas:\n{indent}root: {{}}\n"
    )
    parts = [f"servers:{comment()}\n{servers}{blank}", f"clients:\n{clients}{blank}"]
    text = head + blank + "".join(draw(st.permutations(parts)))
    text = draw(st.sampled_from([text, text.rstrip("\n"), text + "...\n", text + "\n# the end\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@settings(max_examples=50, deadline=None)
@given(styles(), st.booleans(), st.sampled_from(["c0", "c1"]))
def test_an_add_only_adds_lines_whatever_the_style(text: str, bom: bool, caller: str) -> None:
    before = (codecs.BOM_UTF8 if bom else b"") + text.encode()
    loads(before, SOURCE)
    after = add(before, SOURCE, NEW, FIELDS, {})
    assert difference(before, after)[0] == []
    assert after.startswith(before[:3])
    assert (b"\r\n" in after) == (b"\r\n" in before)
    assert b"\r\n" not in before or after.count(b"\n") == after.count(b"\r\n")
    assert read(after, SOURCE)["servers"]["billing"] == loads_values()
    with_edge = add(before, SOURCE, NEW, FIELDS, {Address.client(caller): ()})
    assert len(difference(after, with_edge)[0]) <= 1
    assert remove(after, SOURCE, NEW) == before
    loads(remove(with_edge, SOURCE, NEW), SOURCE)


def loads_values() -> dict[str, object]:
    alone: dict[str, object] = read(added(SHOP).encode(), SOURCE)["servers"]["billing"]
    return alone


@settings(max_examples=50, deadline=None)
@given(styles())
def test_a_remove_only_takes_lines_out_whatever_the_style(text: str) -> None:
    before = text.encode()
    after = remove(before, SOURCE, Address.client("c1"))
    gone, new = difference(before, after)
    assert new == []
    assert all("c0" not in line for line in gone)
    without = remove(before, SOURCE, Address.server("s0"))
    assert len(difference(before, without)[1]) <= 2


@pytest.mark.parametrize(
    ("calls", "written"),
    [
        ("calls: [api]", "calls: {api: [], billing: [reader]}"),
        ("calls: [api]  # both", "calls: {api: [], billing: [reader]}  # both"),
        ("calls: {api: [writer]}", "calls: {api: [writer], billing: [reader]}"),
        ("calls:\n      - api  # this\n", "calls:\n      api: []  # this\n      billing: [reader]\n"),
        ("calls:\n    - api\n    - other\n", "calls:\n      api: []\n      other: []\n      billing: [reader]\n"),
        ("calls:\n      api: [writer]\n", "calls:\n      api: [writer]\n      billing: [reader]\n"),
        ("owner: me", "owner: me\n    calls: {billing: [reader]}"),
    ],
)
def test_a_caller_gets_a_role_in_whatever_way_its_calls_are_written(calls: str, written: str) -> None:
    other = SHOP.replace(
        "clients:", "  other: {template: python, listen: 127.0.0.1:8444, names: [localhost]}\nclients:"
    )
    before = other.replace("calls: [api]", calls)
    after = add(before.encode(), SOURCE, NEW, FIELDS, {Address.client("cli"): ("reader",)}).decode()
    assert written in after
    assert loads(after.encode(), SOURCE).clients["cli"].roles["billing"] == ("reader",)


def test_a_role_is_not_put_into_a_list_over_several_lines_whose_comments_it_would_cost() -> None:
    before = SHOP.replace("calls: [api]", "calls: [\n      api,  # this\n    ]")
    with pytest.raises(TopologyError, match="list over several lines") as error:
        add(before.encode(), SOURCE, NEW, FIELDS, {Address.client("cli"): ("reader",)})
    assert "mapping first" in str(error.value.hint)


@pytest.mark.parametrize("new", [Address.ca("bad_name"), Address.server("Billing"), Address.client("a" * 70)], ids=str)
def test_what_is_no_name_is_not_added(new: Address) -> None:
    with pytest.raises(TopologyError, match=r"is not a name|longer than 63") as error:
        add(SHOP.encode(), SOURCE, new, {}, {})
    assert "a name is a DNS label" in str(error.value.hint)


def test_a_comment_that_loses_its_column_keeps_two_blanks_before_it() -> None:
    assert "calls: [api, billing]  # mine" in added(
        SHOP.replace("calls: [api]", "calls: [api]   # mine"), Address.client("cli")
    )
