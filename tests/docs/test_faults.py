"""docs/faults.md is what its tool writes, covers every fault, and is true of two libraries on this machine."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from scaffold.topology.faults import ABOUT
from scaffold.topology.load import load
from scaffold.topology.model import Fault, FileFault
from tests.requirements import require_command

ROOT = Path(__file__).parent.parent.parent
MEASURED = json.loads((ROOT / "tools/who_notices/measured.json").read_text("utf-8"))["clients"]

BY_LEVEL = {FileFault.WEAK_KEY, FileFault.SHA1_SIGNATURE}
"""Decided by the security level, which each distribution of OpenSSL sets for itself."""


def test_the_page_is_up_to_date() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "faults_page.py"))
    assert (ROOT / "docs" / "faults.md").read_text("utf-8") == tool["page"](), "run tools/faults_page.py"


def test_every_fault_was_measured_with_every_client() -> None:
    assert list(MEASURED) == ["OpenSSL", "GnuTLS", "NSS", "Java", "Node", "cryptography", ".NET"]
    for client in MEASURED.values():
        assert set(client["said"]) == {"none", *ABOUT} - {FileFault.KEY_MISMATCH}
        assert client["said"]["none"] == "accepts"


def test_the_example_has_a_door_for_every_fault_that_a_caller_can_see() -> None:
    badssl = load(ROOT / "examples/badssl/topology.yaml")
    assert {server.fault for server in badssl.servers.values()} == {None, *Fault} - {Fault.NO_EKU}
    assert {server.name for server in badssl.servers.values() if server.fault not in (None, server.name)} == set()


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, object]]:
    require_command("openssl")
    tool = runpy.run_path(str(ROOT / "tools/who_notices/measure.py"), run_name="measure")
    found: dict[str, dict[str, object]] = tool["measure"](["OpenSSL", "cryptography"])
    return found


@pytest.mark.parametrize("client", ["OpenSSL", "cryptography"])
def test_what_was_measured_is_so_here(client: str, measured: dict[str, dict[str, object]]) -> None:
    here, there = measured[client]["said"], MEASURED[client]["said"]
    assert isinstance(here, dict)
    assert {fault: said for fault, said in here.items() if fault not in BY_LEVEL} == {
        fault: said for fault, said in there.items() if fault not in BY_LEVEL
    }
