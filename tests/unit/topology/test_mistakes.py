"""Several mistakes in one file: all of them, each once, in the file's order, and nothing that only follows from one."""

from __future__ import annotations

import pytest

from scaffold.errors import TopologyErrors
from scaffold.topology.mistakes import MOST_KEPT
from scaffold.view.errors import MOST_SHOWN, error_text
from tests.unit.topology.written import GOOD, changed, mistakes, read

MANY = """\
version: 2
name: My Shop
publish: 127.0.0.1:9080
cas:
  root: {key: rsa, lifetme: 1y}
  issuing: {issuer: root, subject: {country: nl}}
servers:
  api:
    template: python
    listen: 8443
    names: [localhost, "https://x", "a_b"]
    calls: api
  api: {}
  gateway:
    template: nginx
    names: [localhost]
    calls: [apii]
    trusts: [isuing]
    upstream: gatewy
clients:
  cli:
    template: python
    calls: [api, gatway]
    pfx: {password: hunter2}
  robot:
    calls: [gateway]
"""


def said(text: str) -> list[tuple[int, str]]:
    """The line and the message of each."""
    return [(one.place.line if one.place else 0, one.message) for one in mistakes(text)]


def test_all_mistakes_of_a_file_are_told_at_once_and_in_order() -> None:
    assert said(MANY) == [
        (1, '"2" is not a version of the language that is known here'),
        (2, '"My Shop" is not a name'),
        (3, '"127.0.0.1:9080" is not the URL of a publisher'),
        (5, '"rsa" is not a type of key'),
        (5, 'unknown key "lifetme" in a CA'),
        (6, '"nl" is not a country code'),
        (10, '"8443" is not an address'),
        (11, '"https://x" is neither a DNS name nor an IP address'),
        (11, '"a_b" is neither a DNS name nor an IP address'),
        (12, "expected a list of servers, found text"),
        (13, 'duplicate key "api"'),
        (14, "gateway needs listen"),
        (17, 'no such server "apii"'),
        (18, 'no such CA "isuing"'),
        (19, 'no such server "gatewy"'),
        (23, 'no such server "gatway"'),
        (24, "a secret may not be in the topology itself"),
        (25, "robot needs template"),
    ]


def test_every_mistake_has_a_place_and_a_hint() -> None:
    assert all(one.place is not None and one.hint for one in mistakes(MANY))


def test_one_by_one_mended_each_mistake_goes_and_the_others_stay() -> None:
    """The twin: nobody is told what is right, and nothing hides behind what was wrong."""
    mended = [
        ("version: 2", "version: 1"),
        ("My Shop", "my-shop"),
        ("publish: 127", "publish: http://127"),
        ("key: rsa,", "key: rsa-2048,"),
        ("lifetme: 1y", "lifetime: 10y"),
        ("country: nl", "country: NL"),
        ("listen: 8443", "listen: 127.0.0.1:8443"),
        ('"https://x"', "x"),
        ('"a_b"', "a.b"),
        ("    calls: api\n", ""),
        ("  api: {}\n", ""),
        ("    template: nginx\n", "    template: nginx\n    listen: 127.0.0.1:9443\n"),
        ("[apii]", "[api]"),
        ("isuing", "issuing"),
        ("gatewy", "api"),
        ("gatway", "gateway"),
        ("hunter2", "{generate: true}"),
        ("  robot:\n", "  robot:\n    template: curl\n"),
    ]
    text, left = MANY, [message for _, message in said(MANY)]
    for old, new in mended[:-1]:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
        left.pop(0)
        assert [message for _, message in said(text)] == left
    read(text.replace(*mended[-1]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("issuer: root\n", "issuer: rot\n", 'no such CA "rot"'),
        ("  root:\n", "  Root:\n", '"Root" is not a name'),
        ("    issuer: root\n", "    issuer: root\n    lifetime: never\n", '"never" is not a duration'),
        ("publish: http://127.0.0.1:9080", "publish: nowhere at all", "is not the URL of a publisher"),
        ("cas:\n", "defaults: {template: 'a\tb', names: [a_b]}\ncas:\n", "neither a DNS name"),
        ("  gateway:\n", "  gateway:\n    lisen: 127.0.0.1:1\n", 'unknown key "lisen"'),
        ("    calls: [api, gateway]\n", "    calls: [api, gateway]\n    fault: expird\n", '"expird" is not a fault'),
        ("  api:\n", "  Api:\n", '"Api" is not a name'),
        ("servers:\n", "server:\n", 'unknown key "server"'),
        ("cas:\n", "cass:\n", 'unknown key "cass"'),
    ],
)
def test_what_follows_from_a_mistake_is_not_told_as_another(old: str, new: str, message: str) -> None:
    """An issuer that nobody knows, and all that it would issue; a server without its name, and all that it calls."""
    found = [one.message for one in mistakes(changed(old, new))]
    assert any(message in one for one in found)
    # Whoever is named by others is missed by them: the name has to be mended there too.
    allowed = ("no such CA", "no such server", "control character")
    assert all(message in one or one.startswith(allowed) or "control character" in one for one in found), found
    assert not any("must name its issuer" in one or "needs" in one or "no CA" in one for one in found)


@pytest.mark.parametrize("section", ["cas", "servers", "clients"])
@pytest.mark.parametrize("written", ["", " []", " {}", " x"])
def test_a_whole_section_that_cannot_be_read_is_one_mistake(section: str, written: str) -> None:
    """The names in it are known to nobody, and nobody is said to name what is not there."""
    found = [one.message for one in mistakes(f"{section}:{written}\n{GOOD}")]
    assert f'duplicate key "{section}"' in found
    if written != " {}":
        assert len(found) == 2, found


def test_a_mistake_in_defaults_is_told_once() -> None:
    (only,) = mistakes(changed("cas:\n", "defaults: {lifetime: 6y}\ncas:\n"))
    assert "longer than its issuer" in only.message


def test_a_mistake_behind_an_anchor_is_told_once() -> None:
    text = changed("    calls: [api, gateway]\n", "    calls: &c [api, gatway]\n").replace(
        "clients:\n", "clients:\n  two: {template: python, calls: *c}\n"
    )
    # The alias comes first in the file, and the anchor must come before it.
    assert [one.message for one in mistakes(text)] == ["this is not YAML: found undefined alias"]
    text = changed("    calls: [api, gateway]\n", "    calls: &c [api, gatway]\n") + (
        "  two: {template: python, calls: *c}\n"
    )
    assert [one.message for one in mistakes(text)] == ['no such server "gatway"']


def test_a_list_of_many_is_cut_after_twenty() -> None:
    text = GOOD + "".join(f"  x{n}: {{template: python, calls: [nobody{n}]}}\n" for n in range(MOST_SHOWN + 5))
    found = mistakes(text)
    assert len(found) == MOST_SHOWN + 5
    shown = error_text(TopologyErrors(found))
    assert shown.count("error: ") == MOST_SHOWN
    assert shown.endswith("\n\nand 5 more")
    assert "nobody19" in shown
    assert "nobody20" not in shown
    assert "more" not in error_text(TopologyErrors(found[:MOST_SHOWN])).splitlines()[-1]


def test_a_file_that_is_wrong_twenty_thousand_times_ends_soon() -> None:
    found = mistakes("a: [" + "?!," * 10 + "]\n" + GOOD + "".join(f"x{n}: 1\n" for n in range(20_000)))
    assert len(found) == MOST_KEPT
    assert (
        len(mistakes(GOOD.replace("names: [localhost]", "names: [" + ", ".join(f"a_{n}" for n in range(5_000)) + "]")))
        == MOST_KEPT
    )


@pytest.mark.parametrize(
    "written", ["hunter2", '"hunter2"', "{value: hunter2}", "{value: hunter2, env: A}", "[hunter2]"]
)
def test_a_password_in_the_topology_is_not_shown(written: str) -> None:
    text = GOOD.replace("  cli:\n", f"  cli:\n    pfx: {{password: {written}}}\n")
    (error,) = mistakes(text)
    assert "hunter2" not in error_text(error)
    assert "{env: NAME}, {file: PATH} or {generate: true}" in (error.hint or "")
    assert error.place is not None
    assert error.place.text.startswith("    pfx: {password: ")


@pytest.mark.parametrize("section", ["cas", "servers", "clients"])
def test_defaults_have_no_section_for_each_role(section: str) -> None:
    """Nor is `listen` what was meant, which is the word most like `clients`."""
    found = mistakes(f"{GOOD}defaults: {{{section}: {{lifetime: 30d}}}}\n")
    (one,) = [error for error in found if f'unknown key "{section}" in defaults' in error.message]
    assert one.hint is not None
    assert one.hint.startswith("defaults are for CAs, servers and clients alike: write the fields themselves")
