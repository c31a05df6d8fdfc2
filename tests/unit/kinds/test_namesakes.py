"""A certificate that a caller would take for that of a server which it calls is refused before it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.errors import TopologyError
from scaffold.kinds import catalogue
from scaffold.kinds.limits import check
from scaffold.kinds.namesakes import covers
from scaffold.topology import graph
from scaffold.topology.load import loads
from scaffold.topology.model import Topology

BASE = """
version: 1
name: bank
cas:
  root: {{}}
  apart: {{}}
servers:
  shop: {{template: {called}, listen: "127.0.0.1:8443", names: [{name}], issuer: root}}
  other: {{template: python, listen: "127.0.0.1:8444", names: [{names}], issuer: {issuer}{other}}}
{servers}
clients:
{clients}
"""

DOOR = "  legacy: {template: connector, issuer: root, calls: [shop], doors: {shop: '127.0.0.1:7001'}}\n"
FRONT = '  front: {template: nginx, issuer: root, listen: "127.0.0.1:8445", names: [front.internal], calls: [shop]}'
PSQL = "  reader: {template: psql, issuer: root, calls: [shop]}\n"
FILES = "  reader: {template: files, issuer: root, calls: [shop]}\n"
STRICT = "  reader: {template: python, issuer: root, calls: [shop]}\n"
NAMED = ", subject: {common_name: %s}"


TOPOLOGY = Path("topology.yaml")


def bank_text(**parts: str) -> str:
    texts = {
        "called": "python", "name": "db", "names": "127.0.0.1", "issuer": "root", "other": NAMED % "db", "servers": "",
        "clients": DOOR,
    }  # fmt: skip
    return BASE.format(**(texts | parts))


def bank(**parts: str) -> Topology:
    return loads(bank_text(**parts).encode(), TOPOLOGY)


def judged(t: Topology) -> None:
    kinds = {
        party.address: catalogue.builtin(party.template, party.address.role.value)
        for party in graph.parties(t)
        if not party.is_external
    }
    check(t, kinds)


def refused(t: Topology) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        judged(t)
    return caught.value


@pytest.mark.parametrize(
    ("caller", "parts"),
    [
        ("client.legacy", {}),
        ("server.front", {"servers": FRONT, "clients": "  nobody: {template: python, issuer: root}"}),
        ("client.reader", {"called": "postgresql", "clients": PSQL}),
        ("client.reader", {"clients": FILES}),
    ],
)
def test_a_server_without_a_dns_name_whose_common_name_is_that_of_a_callee(caller: str, parts: dict[str, str]) -> None:
    error = refused(bank(**parts))
    assert f"{caller} " in error.message
    assert "would mistake server.other for server.shop" in error.message
    assert "where there is no DNS name, and that of server.other is db" in error.message
    assert "a DNS name of its own" in str(error.hint)
    assert error.place is not None


def test_the_common_name_that_it_has_from_its_name_counts() -> None:
    t = bank(name="other", other="")
    assert "would mistake server.other" in refused(t).message


@pytest.mark.parametrize("common_name", ["Db.Internal", "'*.internal'", "'d*.internal'"])
def test_case_and_wildcards_are_as_openssl_has_them(common_name: str) -> None:
    assert "would mistake" in refused(bank(name="db.internal", other=NAMED % common_name)).message


@pytest.mark.parametrize(
    "parts",
    [
        {"names": "elsewhere.internal"},
        {"other": NAMED % "another"},
        {"issuer": "apart"},
        {"clients": STRICT},
    ],
    ids=["a DNS name", "another common name", "another root", "a caller that looks at SANs alone"],
)
def test_who_cannot_be_mistaken_passes(parts: dict[str, str]) -> None:
    judged(bank(**parts))


def test_a_dns_name_that_a_fault_leaves_out_does_not_count() -> None:
    t = bank(
        names="elsewhere.internal",
        other=NAMED % "db" + ", fault: no-san",
        clients=DOOR + "  reader: {template: python, issuer: root, calls: [other]}",
    )
    assert "would mistake" in refused(t).message


def test_an_address_is_passed_off_where_there_is_no_address() -> None:
    """libpq compares the common name with an address where the certificate has no address, even beside DNS names."""
    parts = {"called": "postgresql", "name": "10.0.0.1", "clients": PSQL, "other": NAMED % "10.0.0.1"}
    assert "no IP name" in refused(bank(names="elsewhere.internal", **parts)).message
    judged(bank(names="10.0.0.2", **parts))


@pytest.mark.parametrize(("fault", "is_refused"), [("no-eku", True), ("wrong-eku", True), ("expired", False)])
def test_a_client_counts_where_its_certificate_passes_for_a_servers(fault: str, *, is_refused: bool) -> None:
    client = f"  db: {{template: curl, issuer: root, calls: [shop], fault: {fault}}}\n"
    t = bank(names="elsewhere.internal", other="", clients=DOOR + client)
    if is_refused:
        assert "would mistake client.db for server.shop" in refused(t).message
    else:
        judged(t)


@pytest.mark.parametrize("fault", ["wrong-name", "nul-in-name"])
@pytest.mark.parametrize(("kind", "common_name", "is_hidden"), [
    ("haproxy", "db.internal", True), ("haproxy", "another", False), ("nginx", "db.internal", False),
])  # fmt: skip
def test_a_fault_in_names_that_the_common_name_hides_is_refused(
    kind: str, common_name: str, fault: str, *, is_hidden: bool
) -> None:
    name = f"db.internal], fault: {fault}, subject: {{common_name: {common_name}}}, trusts: [root"
    servers = FRONT.replace("nginx", kind)
    t = bank(name=name, names="x", servers=servers, clients="  nobody: {template: python, issuer: root}")
    if is_hidden:
        assert f"cannot detect the fault of server.shop: {fault}" in refused(t).message
    else:
        judged(t)


@pytest.mark.parametrize(
    ("common_name", "passes"),
    [
        ("a.b.c", True), ("A.b.C", True), ("*.b.c", True), ("a*.b.c", True), ("*a.b.c", True), ("a*a.b.c", False),
        ("*.c", False), ("*", False), ("b.c", False), ("*.*.c", False), ("a.*.c", False), ("**.b.c", False),
    ],
)  # fmt: skip
def test_what_a_common_name_covers(common_name: str, *, passes: bool) -> None:
    assert covers(common_name, "a.b.c") is passes


def test_a_star_alone_covers_no_host_of_one_label() -> None:
    assert not covers("*", "a")


def test_no_server_is_mistaken_for_itself() -> None:
    """HAProxy takes a common name for a host's name always, and that of the callee is the right one."""
    own = NAMED.replace("%s", "db")
    front = '  front: {template: haproxy, issuer: root, listen: "127.0.0.1:8445", names: [f.internal], calls: [shop]}'
    text = bank_text(servers=front, clients="  nobody: {template: python, issuer: root}", other="")
    judged(loads(text.replace("names: [db], issuer: root", f"names: [db], issuer: root{own}").encode(), TOPOLOGY))


@pytest.mark.parametrize(
    ("issued", "is_refused"),
    [("issuer: root", True), ("existing: {certificate: db.pem, key: db-key.pem, trust: roots.pem}", False)],
)
def test_what_is_issued_elsewhere_is_not_below_the_root(issued: str, *, is_refused: bool) -> None:
    server = f'  db: {{template: python, listen: "127.0.0.1:8446", names: [127.0.0.1], {issued}}}'
    t = bank(servers=server, other="")
    if is_refused:
        assert "would mistake server.db for server.shop" in refused(t).message
    else:
        judged(t)
