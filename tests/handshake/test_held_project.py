"""A project that is held back by an edit: what is not in force is said, and the real server shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from tests.cli.harness import in_process as scaffold


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """An applied topology, which asks for OCSP since."""
    listen, published = free_addresses(2)
    (tmp_path / "topology.yaml").write_text(
        f"""
version: 1
name: bank
publish: http://{published}
cas: {{root: {{}}, issuing: {{issuer: root}}}}
servers:
  accounts: {{template: python, issuer: issuing, listen: "{listen}", names: [localhost]}}
clients:
  teller: {{template: python, issuer: issuing, calls: [accounts]}}
"""
    )
    assert scaffold("apply", cwd=tmp_path).code == 0
    text = (tmp_path / "topology.yaml").read_text()
    (tmp_path / "topology.yaml").write_text(text.replace("[localhost]", "[localhost], check_revocation: ocsp"))
    return tmp_path


def revoked(folder: Path) -> str:
    """What verify sees where a revoked client calls the server: passed, failed or skipped."""
    ended = scaffold("verify", "--json", cwd=folder)
    checks = json.loads(ended.out)["checks"]
    return next(one["result"] for one in checks if one["probe"] == "revoked" and one["server"] == "accounts")


def edit(folder: Path, name: str) -> None:
    """A line of a person's in a file of the server's project."""
    file = folder / "bank/servers/accounts" / name
    file.write_text(file.read_text() + "\n# Mine.\n")


def test_half_an_update_is_none_and_verify_shows_what_is_missing(bank: Path) -> None:
    folder = bank / "bank/servers/accounts"
    (folder / "README.md").write_text("Mine.\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "tls" not in path.parts}
    ended = scaffold("apply", cwd=bank)
    assert ended.code == 4
    assert "check_revocation: ocsp is not in force until then: it is none, as before" in " ".join(ended.out.split())
    assert {path: path.read_bytes() for path in before} == before
    assert revoked(bank) == "failed"

    assert scaffold("apply", "--overwrite", "server.accounts.project", cwd=bank).code == 0
    assert revoked(bank) == "passed"


def test_the_check_is_there_beside_routes_of_a_persons(bank: Path) -> None:
    edit(bank, "routes.py")
    assert scaffold("apply", cwd=bank).code == 0
    assert revoked(bank) == "passed"
