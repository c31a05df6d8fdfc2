"""The YAML itself: whatever the bytes, a mapping with positions or one clear error."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scaffold.errors import Place, TopologyError
from scaffold.topology import document
from scaffold.topology.load import load, loads
from tests.unit.topology.written import GOOD, SOURCE, changed, read, refused


@pytest.fixture(params=[True, False], ids=["libyaml", "plain"])
def either_composer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The composer where PyYAML was built with libyaml, and where it was not."""
    if request.param and not yaml.__with_libyaml__:
        pytest.skip("PyYAML has no libyaml here")
    monkeypatch.setattr(yaml, "__with_libyaml__", request.param)
    document._composer_class.cache_clear()
    yield
    document._composer_class.cache_clear()


@pytest.mark.usefixtures("either_composer")
def test_both_composers_read_and_refuse_the_same() -> None:
    assert read(GOOD).place("servers", "api", "listen") == Place(str(SOURCE), 17, 13, "    listen: 127.0.0.1:8443")
    refused("[" * 1_000, "nests deeper")
    refused("a: *nobody", "not YAML")
    assert refused("a: \x07", "control character").place == Place(str(SOURCE), 1, 4, "a:")
    refused("a: 1\n---\nb: 1\n", "more than one YAML document")
    refused(changed("name: shop", "name: !mine shop"), "the tag")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("~", "is empty"),
        ("[]", "is a mapping"),
        ("just text", "is a mapping"),
        ("a: b: c", "not YAML"),
        ("a: [1", "not YAML"),
        ("a: *nobody", "not YAML"),
        ("a\tb: \x07", "control character"),
        (GOOD + "---\nversion: 1\n", "more than one YAML document"),
        ("[" * 100_000, "nests deeper"),
        ("- " * 100_000, "nests deeper"),
        ("a: " + "{b: " * 1_000, "nests deeper"),
        (GOOD.encode("utf-16"), "not UTF-8"),
        (b"version: 1\nname: caf\xe9\n", "not UTF-8"),
        (b" " * (16 * 1024 * 1024 + 1), "larger than 16 MiB"),
        ("a: [" + "1," * 1_000_001 + "]", "more than a million values"),
        (GOOD + "? [a]\n: b\n", "plain text"),
        ("!!python/object/apply:os.system [echo]", "is a mapping"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_topology_is_refused(text: str | bytes, message: str) -> None:
    refused(text, message)


def test_the_byte_that_is_not_utf8_is_pointed_at() -> None:
    assert refused(b"version: 1\nname: caf\xe9\n", "UTF-8").place == Place(str(SOURCE), 2, 10)


@pytest.mark.parametrize("tag", ["!!python/name:os.system", "!mine", "!!binary"])
def test_a_tag_means_nothing(tag: str) -> None:
    refused(changed("name: shop", f"name: {tag} shop"), "the tag")


def test_an_alias_bomb_is_refused_before_it_is_followed() -> None:
    layers = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    refused("a0: &a0 [x]\n" + "\n".join(layers) + "\n", "aliases")


def test_an_alias_of_itself_is_refused() -> None:
    refused("a: &a [*a]\n", "inside its own anchor")
    refused("a: &a {<<: *a}\n", "inside its own anchor")


def test_a_long_chain_of_aliases_is_refused() -> None:
    layers = "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 5_000))
    refused(f"a0: &a0 [x]\n{layers}\n", "aliases")


def test_anchors_and_merge_keys_do_what_they_say() -> None:
    text = changed("  cli:\n    template: python\n    calls: [api, gateway]\n", "").replace(
        "clients:\n",
        "clients:\n  one: &one {template: python, lifetime: 1d, calls: [api]}\n  two: {<<: *one, lifetime: 2d}\n",
    )
    two = read(text).clients["two"]
    assert (two.template, two.lifetime.days, two.calls) == ("python", 2, ("api",))


def test_a_merge_of_what_is_no_mapping_is_refused() -> None:
    refused(changed("  cli:\n", "  cli:\n    <<: [1]\n"), "only a mapping can be merged", at="1")


def test_a_key_that_stands_twice_is_refused() -> None:
    refused(changed("  cli:\n", "  cli: {template: curl}\n  cli:\n"), 'duplicate key "cli"', at="cli", hint="line 26")
    refused(GOOD + "name: other\n", 'duplicate key "name"', at="name: other", hint="line 2 already")


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    text = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert loads(text, SOURCE) == read(GOOD)


def test_words_that_yaml_1_1_took_for_booleans_and_numbers_are_text() -> None:
    t = read(changed("name: shop", "name: on").replace("subject: {common_name: Shop Root}", "subject: {country: NO}"))
    assert t.name == "on"
    assert t.cas["root"].subject.country == "NO"


def test_places_point_at_values_and_at_the_keys_of_what_is_nested() -> None:
    t = read(GOOD)
    assert t.place("servers", "api", "listen") == Place(str(SOURCE), 17, 13, "    listen: 127.0.0.1:8443")
    assert t.place("servers", "api") == Place(str(SOURCE), 15, 3, "  api:")
    assert t.place("servers", "api", "names", 1) == t.places[("servers", "api", "names", 1)]
    assert t.place("servers", "api", "health") == t.place("servers", "api")
    assert t.place("nowhere") is None
    assert all(t.places[path].line for path in t.places)
    assert len(t.places) == len(list(t.places))


def test_places_survive_the_way_to_another_process() -> None:
    places = read(GOOD).places
    assert pickle.loads(pickle.dumps(places))[("name",)] == places[("name",)]


def test_a_place_shows_no_control_characters() -> None:
    place = refused("a\x1b[2J: 1\n", "control character").place
    assert place is not None
    assert place.text == "a [2J: 1"


@pytest.mark.parametrize("what", ["missing", "folder", "nul"])
def test_a_file_that_cannot_be_read_is_a_clear_error(what: str, tmp_path: Path) -> None:
    path = {"missing": tmp_path / "topology.yaml", "folder": tmp_path, "nul": Path("a\0b")}[what]
    with pytest.raises(TopologyError):
        load(path)


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(TopologyError, match="16 MiB"):
        load(Path("/dev/zero"))
