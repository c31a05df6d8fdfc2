"""What the verbs say of a server and a client that have certificates and nothing to start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.harness import Ended, scaffold

TOPOLOGY = """
version: 1
name: shop
cas:
  root: {}
  issuing: {issuer: root}
servers:
  broker: {template: files, listen: 127.0.0.1:8883, names: [localhost]}
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  sensor: {template: files, calls: [broker, api]}
  cli: {template: python, calls: [broker]}
"""
NOTHING = 'has no program to start: template "files" makes files for a program of your own'


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "topology.yaml").write_text(TOPOLOGY)
    assert scaffold("apply", cwd=folder).code == 0
    return folder


@pytest.fixture(scope="module")
def verified(shop: Path) -> Ended:
    return scaffold("verify", "--ports", "auto", "--json", "--strict", cwd=shop)


def test_verify_tries_the_others_and_counts_what_it_did_not(verified: Ended) -> None:
    """What no machine could try is nothing that this one lacks: --strict is content."""
    assert verified.code == 0, verified.err
    summary = verified.json["summary"]
    assert summary["failed"] == 0
    assert summary["passed"] > 5
    skipped = [check for check in verified.json["checks"] if check["result"] == "skipped"]
    assert len(skipped) == summary["skipped"]
    at_broker = [check for check in verified.json["checks"] if check["server"] == "broker"]
    assert {check["result"] for check in at_broker if check["client"] != "cli"} == {"skipped"}
    assert {check["detail"] for check in at_broker if check["probe"] == "edge"} == {f"server.broker {NOTHING}"}


def test_the_certificate_of_such_a_client_is_tried_all_the_same(verified: Ended) -> None:
    """What it may do at others is shown with its own certificate, or with one like it."""
    at_api = {check["probe"]: check["result"] for check in verified.json["checks"] if check["server"] == "api"}
    assert at_api["control"] == "passed"
    assert at_api["sibling-ca"] == "passed"
    assert at_api["edge"] == "skipped"


def test_the_table_says_how_many_and_why(shop: Path) -> None:
    ended = scaffold("verify", "--ports", "auto", "--only", "server.broker", cwd=shop)
    said = " ".join(ended.out.split())
    assert re.search(rf" - \d+ skipped: server\.broker {re.escape(NOTHING)}", said), ended.out


def test_up_starts_no_such_server(shop: Path) -> None:
    scaffold("up", "--only", "server.broker", cwd=shop).assert_clear_error(f"server.broker {NOTHING}", "README.md")


def test_up_without_any_other_has_nothing_to_do(tmp_path: Path) -> None:
    alone = TOPOLOGY.replace("  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}\n", "")
    (tmp_path / "topology.yaml").write_text(alone.replace(", api]", "]"))
    ended = scaffold("up", cwd=tmp_path)
    assert ended.code == 1
    assert f"Not started: server.broker {NOTHING}." in ended.err
    assert "error: shop has no servers that up could start" in ended.err


def test_call_refuses_for_a_client_that_has_no_program(shop: Path) -> None:
    scaffold("call", "sensor", "api", cwd=shop).assert_clear_error(f"client.sensor {NOTHING}")


def test_call_reaches_out_for_a_server_of_a_persons_own(shop: Path) -> None:
    """Something of theirs may listen there; where nothing does, the hint is not to start what cannot be."""
    ended = scaffold("call", "cli", "broker", cwd=shop)
    assert ended.code == 1
    assert f"hint: server.broker {NOTHING}" in ended.err


def test_a_server_is_added_with_what_it_needs_and_an_uninvited_client_is_not(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    added = scaffold(
        "add", "server", "etcd", "--template", "files", "--listen", "127.0.0.1:2379", "--names", "localhost",
        "--client", "same", "--accepts", "issuing", "--files", "{names: {cert.pem: server.crt}}",
        "--calls", "broker", cwd=tmp_path,
    )  # fmt: skip
    assert added.code == 0, added.err
    assert "client: same" in (tmp_path / "topology.yaml").read_text()
    before = (tmp_path / "topology.yaml").read_text()
    refused = scaffold("add", "client", "x", "--template", "files", cwd=tmp_path)
    refused.assert_clear_error("server.broker would let in client.x, though not allowed")
    assert (tmp_path / "topology.yaml").read_text() == before
