"""Another name in the YAML: where an entity is named, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.errors import TopologyError
from scaffold.topology.address import Address, Role
from scaffold.topology.edit import read
from scaffold.topology.renaming import rename
from tests.unit.topology.test_edit import EXAMPLES, difference

SOURCE = Path("topology.yaml")

BANK = """\
version: 1
name: api                     # the topology's own
defaults: {issuer: issuing}
cas:
  root: {}                    # issuing
  issuing: {issuer: root, path_length: 0}
servers:
  gate:
    template: nginx
    listen: 127.0.0.1:8443
    names: [api, localhost]
    trusts: [issuing, root]
    upstream: api             # behind it
    calls: {api: [reader], 'other': []}
  "api":
    template: python
    listen: 127.0.0.1:8444
    names: [localhost]
  other: {template: python, listen: "127.0.0.1:8445", names: [localhost], calls: [api, gate]}
clients:
  api:
    template: curl
    vars: {greeting: api}
    calls:
      - api
      - gate
  partner:
    external: {issuer: issuing, identity: "dns:api"}
    calls: ["api"]
"""


def renamed(text: str, old: Address, name: str) -> str:
    return rename(text.encode(), SOURCE, old, name).decode()


def test_a_server_is_renamed_where_it_is_called_and_passed_on_to() -> None:
    expected = BANK
    for before, after in (
        ("upstream: api             #", "upstream: orders          #"),
        ("{api: [reader]", "{orders: [reader]"),
        ('"api":\n', '"orders":\n'),
        ("[api, gate]", "[orders, gate]"),
        ("      - api\n", "      - orders\n"),
        ('calls: ["api"]', 'calls: ["orders"]'),
    ):
        assert expected.count(before) == 1, before
        expected = expected.replace(before, after)
    assert renamed(BANK, Address.server("api"), "orders") == expected


def test_a_client_is_named_by_nobody_else() -> None:
    assert renamed(BANK, Address.client("api"), "web") == BANK.replace("clients:\n  api:", "clients:\n  web:")


def test_a_ca_is_renamed_where_it_issues_and_where_it_is_trusted() -> None:
    expected = (
        BANK.replace("issuer: issuing", "issuer: leaves")
        .replace("  issuing: {", "  leaves: {")
        .replace("[issuing, root]", "[leaves, root]")
    )
    assert renamed(BANK, Address.ca("issuing"), "leaves") == expected


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("role", Role)
def test_every_entity_of_an_example_is_renamed_there_and_back(path: Path, role: Role) -> None:
    text = path.read_bytes()
    for name in read(text, path).get(role.section, {}):
        there = rename(text, path, Address(role, name), f"{name}x")
        taken, new = difference(text, there)
        assert [line.replace(f"{name}x", name).split() for line in new] == [line.split() for line in taken]
        back = rename(there, path, Address(role, f"{name}x"), name)
        assert read(back, path) == read(text, path)


def test_what_stands_behind_an_anchor_is_renamed_once_for_all() -> None:
    text = BANK.replace("calls: [api, gate]", "calls: &both [api, gate]").replace(
        "    calls:\n      - api\n      - gate\n", "    calls: *both\n"
    )
    after = renamed(text, Address.server("api"), "orders")
    assert "calls: &both [orders, gate]" in after
    assert "calls: *both" in after


@pytest.mark.parametrize(
    ("old", "name", "words"),
    [
        (Address.server("apy"), "orders", "no server.apy"),
        (Address.server("api"), "gate", "server.gate exists already"),
        (Address.server("api"), "api", "server.api exists already"),
        (Address.server("api"), "Orders", "is not a name"),
        (Address.server("api"), "a: b", "is not a name"),
        (Address.server("api"), "o" * 64, "longer than 63"),
    ],
    ids=str,
)
def test_what_cannot_be_renamed_is_refused(old: Address, name: str, words: str) -> None:
    with pytest.raises(TopologyError, match=words):
        renamed(BANK, old, name)


def test_what_is_merged_in_cannot_be_renamed_in_its_place() -> None:
    text = BANK.replace("clients:\n", "clients:\n  <<: {extra: {template: curl}}\n")
    with pytest.raises(TopologyError, match="is not written in its own place"):
        renamed(text, Address.client("extra"), "web")


BROKER = """\
version: 1
name: shop
cas: {root: {}, issuing: {issuer: root}, apart: {}}
servers:
  broker:
    {template: files, issuer: issuing, listen: "127.0.0.1:1", names: [b], calls: [other], client: {issuer: issuing},
     accepts: [apart, issuing]}
  other: {template: files, issuer: apart, listen: "127.0.0.1:2", names: [o], client: same}
"""


def test_a_ca_is_renamed_where_a_second_certificate_and_who_is_accepted_name_it() -> None:
    expected = BROKER
    for before, after in (
        ("issuing: {issuer: root}", "leaves: {issuer: root}"),
        ("issuer: issuing,", "issuer: leaves,"),
        ("client: {issuer: issuing}", "client: {issuer: leaves}"),
        ("[apart, issuing]", "[apart, leaves]"),
    ):
        assert before in expected
        expected = expected.replace(before, after)
    assert renamed(BROKER, Address(Role.CA, "issuing"), "leaves") == expected
