"""A server that does not start fails the checks that need it, with its own last words; all others are tried."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scaffold.errors import VerifyError
from scaffold.running.ports import free_addresses
from scaffold.verify.cases import FALSE_SERVERS
from scaffold.verify.model import Check, Observed, Probe, Report, Result
from tests.cli.harness import scaffold
from tests.handshake.verify_lab import Lab, applied, lines

TWO = """
version: 1
name: two
cas: {{root: {{}}}}
servers:
  ledger: {{template: python, listen: "{ledger}", names: [localhost]}}
  desk: {{template: python, listen: "{desk}", names: [localhost], calls: [ledger]}}
clients:
  teller: {{template: python, calls: [ledger, desk]}}
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    ledger, desk = free_addresses(2)
    return applied(TWO.format(ledger=ledger, desk=desk), tmp_path_factory.mktemp("two"))


@pytest.fixture
def lab(sound: Lab, tmp_path: Path) -> Lab:
    """A copy to break."""
    return sound.copied(tmp_path / "two")


def needing_ledger(report: Report) -> Iterator[Check]:
    """The checks that are made at the ledger: those of false servers need its callers alone."""
    false = (Probe.TRUE_SERVER, *FALSE_SERVERS)
    return (check for check in report.checks if check.server == "ledger" and check.probe not in false)


def only_the_ledger_failed(report: Report, *words: str) -> None:
    needing = set(needing_ledger(report))
    assert {check for check in report.checks if check.result is Result.FAILED} == needing, lines(report)
    assert {check.observed for check in needing} == {Observed.UNREACHABLE}
    assert all(word in check.detail for check in needing for word in words), lines(report)
    assert all(check.result is Result.PASSED for check in report.checks if check not in needing), lines(report)


def test_the_command_tries_the_others_and_exits_with_5(lab: Lab, sound: Lab, tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_bytes((sound.layout.out.parent / "topology.yaml").read_bytes())
    lab.path("servers/ledger/routes.py").write_text("raise SystemExit('a mistake of mine')\n")
    ended = scaffold("verify", "--ports", "auto", "--json", "--junit", "verify.xml", cwd=tmp_path)
    assert ended.code == 5, ended.out + ended.err
    checks = ended.json["checks"]
    failed = [check for check in checks if check["result"] == "failed"]
    assert {(check["server"], check["observed"], check["layer"]) for check in failed} == {
        ("ledger", "unreachable", "tcp")
    }
    assert {check["detail"] for check in failed} == {
        "server.ledger ended with exit status 1; its last lines: a mistake of mine"
    }
    assert {check["result"] for check in checks if check["server"] == "desk"} == {"passed"}, json.dumps(checks)
    suites = {suite.get("name"): suite for suite in ET.parse(tmp_path / "verify.xml").iter("testsuite")}
    assert (suites["two.ledger"].get("failures"), suites["two.desk"].get("failures")) == (str(len(failed)), "0")
    assert all("a mistake of mine" in str(failure.text) for failure in suites["two.ledger"].iter("failure"))


def test_an_address_that_is_taken_is_one_servers_alone(sound: Lab) -> None:
    address = sound.topology.servers["ledger"].listen
    with contextlib.closing(socket.create_server((address.host, address.port))):
        report = sound.verify(ports="fixed")
    only_the_ledger_failed(report, f"server.ledger cannot listen on {address}")
    assert "--ports auto" in {check.unstarted.hint for check in needing_ledger(report) if check.unstarted}.pop()


def test_a_key_that_is_missing_is_named_and_nothing_is_started_without_any(lab: Lab) -> None:
    lab.path("servers/ledger/tls/key.pem").unlink()
    only_the_ledger_failed(lab.verify(), "server.ledger has no private key here: servers/ledger/tls/key.pem is missing")
    lab.path("servers/desk/tls/key.pem").unlink()
    with pytest.raises(VerifyError, match=r"ledger has no private key here: servers/ledger/tls/key\.pem") as raised:
        lab.verify()
    assert "`scaffold apply`" in str(raised.value.hint)
