"""Doors in the topology: where they may be, to whom they lead, whose template has them, and what plan says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.errors import TopologyError, TopologyErrors
from scaffold.kinds import catalogue
from scaffold.kinds.limits import check
from scaffold.settings.derivation import client_settings
from scaffold.settings.values import CaFacts, KeyFacts
from scaffold.topology.address import Address, Role
from scaffold.topology.edit import read, remove
from scaffold.topology.load import loads
from scaffold.topology.model import HostPort, Topology, UnixSocket
from scaffold.topology.notes import Note
from scaffold.topology.renaming import rename
from scaffold.topology.schema import json_schema

SOURCE = Path("topology.yaml")
SHOP = """\
version: 1
name: shop
publish: http://127.0.0.1:9080
cas:
  root: {}
servers:
  api: {template: python, listen: "127.0.0.1:8443", names: [api.internal, localhost], health: "127.0.0.1:8081"}
  store: {template: nginx, listen: "127.0.0.1:8444", names: [store.internal]}
clients:
  legacy:
    template: connector
    calls: [api, store]
    doors:
      api: 127.0.0.1:7001
      store: unix:/run/legacy/store
"""


def shop(old: str = "", new: str = "") -> Topology:
    assert old in SHOP
    return loads(SHOP.replace(old, new).encode() if old else SHOP.encode(), SOURCE)


def notes(t: Topology) -> tuple[Note, ...]:
    parties = (*t.servers.values(), *t.clients.values())
    return check(t, {one.address: catalogue.builtin(one.template, one.address.role) for one in parties})


def refused(old: str, new: str) -> TopologyError:
    """The one mistake of a changed topology, whoever finds it."""
    try:
        notes(shop(old, new))
    except TopologyErrors as errors:
        (error,) = errors.errors
        return error
    except TopologyError as error:
        return error
    raise AssertionError("nothing is wrong with it")


def test_a_door_is_a_port_on_loopback_or_a_socket() -> None:
    doors = shop().clients["legacy"].doors
    assert doors == {"api": HostPort("127.0.0.1", 7001), "store": UnixSocket("/run/legacy/store")}
    assert shop("api: 127.0.0.1:7001", "api: localhost:7001").clients["legacy"].doors["api"] == doors["api"]
    assert str(shop("127.0.0.1:7001", '"[::1]:7001"').clients["legacy"].doors["api"]) == "[::1]:7001"


@pytest.mark.parametrize(
    ("door", "words", "hint"),
    [
        ("0.0.0.0:7001", "a door on 0.0.0.0 would let other machines call as this client", "127.0.0.1:7001"),
        ("192.0.2.7:7001", "would let other machines call", "unix:/path"),
        ('"[::]:7001"', "would let other machines call", "127.0.0.1:7001"),
        ("api.internal:7001", "would let other machines call", "127.0.0.1:7001"),
        ("7001", "is not an address", "127.0.0.1:7001"),
        ("http://127.0.0.1:7001", "is not an address", "127.0.0.1:7001"),
        ("/run/legacy/api", "is not an address", "unix:/run/legacy/api"),
        ("unix:run/api", "is not a Unix socket", "absolute"),
        (f"unix:/{'x' * 107}", "107 bytes at most", "shorter"),
        ("unix:/run/legacy/store", '"unix:/run/legacy/store" is in use already', "give each its own"),
    ],
)
def test_a_door_that_may_not_be_there_is_one_error_at_its_place(door: str, words: str, hint: str) -> None:
    error = refused("127.0.0.1:7001", door)
    assert words in error.message.replace("“", '"').replace("”", '"')
    assert error.hint is not None
    assert hint in error.hint
    assert error.place is not None
    assert error.place.line in (14, 15)


@pytest.mark.parametrize(
    ("taken", "by"),
    [("127.0.0.1:8443", "api's listen"), ("127.0.0.1:8081", "api's health"), ("127.0.0.1:9080", "where publish is")],
)
def test_no_door_takes_the_port_of_a_server(taken: str, by: str) -> None:
    error = refused("127.0.0.1:7001", taken)
    assert error.message == f"legacy's door to api uses {taken}, which is {by}"


@pytest.mark.parametrize("door", ["127.0.0.1:7001", "unix:/run/legacy/store"])
def test_two_clients_have_no_door_in_common(door: str) -> None:
    error = refused(
        "  legacy:\n", f"  other: {{template: connector, calls: [api], doors: {{api: '{door}'}}}}\n  legacy:\n"
    )
    assert "legacy's door to" in error.message
    assert "other's door to api" in error.message


def test_a_door_leads_to_a_server_that_is_called() -> None:
    error = refused("calls: [api, store]", "calls: [api]")
    assert "legacy has a door to" in error.message
    assert error.hint is not None
    assert "`calls`" in error.hint


def test_a_server_that_is_called_has_a_door() -> None:
    error = refused("      store: unix:/run/legacy/store\n", "")
    assert error.message == 'client.legacy: template "connector" calls store only through a door, and has none'
    assert error.hint == "doors: {api: 127.0.0.1:7001, store: 127.0.0.1:7001}, or unix:/path"


def test_another_template_has_no_doors() -> None:
    error = refused("template: connector", "template: curl")
    assert error.message == 'client.legacy: template "curl" has no doors'
    assert error.hint is not None
    assert error.hint.endswith("such as connector")


def test_a_server_that_is_known_by_its_address_alone_is_refused() -> None:
    error = refused("[api.internal, localhost]", "[127.0.0.1]")
    assert "checks DNS names alone" in error.message


def test_ocsp_is_refused_since_nothing_would_ask() -> None:
    error = refused("    doors:\n", "    check_revocation: ocsp\n    doors:\n")
    assert 'cannot enforce "check_revocation: ocsp"' in error.message


def test_plan_says_who_calls_by_a_port_and_nothing_of_a_socket() -> None:
    (note,) = notes(shop())
    assert (note.about, note.text) == (
        Address.client("legacy"),
        (
            "lets every program that reaches 127.0.0.1:7001 on its machine call as this client; a door "
            "unix:/path admits one account alone"
        ),
    )
    assert notes(shop("api: 127.0.0.1:7001", "api: unix:/run/legacy/api")) == ()


def test_a_template_is_told_of_each_door() -> None:
    facts = {"root": CaFacts((KeyFacts("CN=root", "00"),))}
    api, store = client_settings(shop(), shop().clients["legacy"], facts).calls
    assert api.door is not None
    assert store.door is not None
    assert (api.door.literal, api.door.socket) == ("127.0.0.1:7001", None)
    assert (store.door.literal, store.door.address) == ("unix:/run/legacy/store", None)


def test_a_server_that_is_renamed_or_removed_takes_its_door_along() -> None:
    renamed = rename(SHOP.encode(), SOURCE, Address.server("api"), "orders")
    assert b"      orders: 127.0.0.1:7001\n" in renamed
    removed = remove(SHOP.encode(), SOURCE, Address.server("store"))
    assert dict(read(removed, SOURCE)["clients"]["legacy"]["doors"]) == {"api": HostPort("127.0.0.1", 7001)}
    alone = remove(removed, SOURCE, Address(Role.SERVER, "api"))
    assert not loads(alone, SOURCE).clients["legacy"].doors


def test_editors_are_told_of_doors() -> None:
    doors = json_schema()["$defs"]["client"]["properties"]["doors"]
    assert doors["additionalProperties"]["pattern"].startswith("^(127")
