"""While a conflict stands, a guard that was tampered with fails `verify`, and `apply` puts it right: the real verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from tests.cli.harness import in_process as scaffold
from tests.requirements import require_command

NEEDS = {"python": "python3", "nginx": "nginx", "kestrel": "dotnet"}
EDITED = {"kestrel": "appsettings.json"}
"""Where an edit of the greeting fits no other greeting; the README of the others says how they check revocation."""
TAMPERED: dict[str, tuple[str, Callable[[str], str]]] = {
    "python": ("guard.py", lambda text: text + "\n# Not as it was.\n"),
    "nginx": ("nginx.conf", lambda text: text.replace("ssl_verify_client on;", "ssl_verify_client off;")),
    "kestrel": ("Security/AllowList.cs", lambda text: text + "\n// Not as it was.\n"),
}


@pytest.fixture(params=["python", "nginx", "kestrel"])
def tampered(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The guard of a server that an edit of its README holds, after a line in it was changed."""
    require_command(NEEDS[request.param])
    name, tamper = TAMPERED[request.param]
    listen, published = free_addresses(2)
    topology = f"""
version: 1
name: bank
publish: http://{published}
cas: {{root: {{}}, issuing: {{issuer: root}}}}
servers:
  accounts: {{template: {request.param}, issuer: issuing, listen: "{listen}", names: [localhost]}}
clients:
  teller: {{template: python, issuer: issuing, calls: [accounts]}}
"""
    (tmp_path / "topology.yaml").write_text(topology)
    assert scaffold("apply", cwd=tmp_path).code == 0
    folder = tmp_path / "bank/servers/accounts"
    edited = folder / EDITED.get(request.param, "README.md")
    edited.write_text(edited.read_text().replace("hello", "mine") if request.param in EDITED else "Mine.\n")
    asked = "[localhost], check_revocation: crl, vars: {greeting: hallo}"
    (tmp_path / "topology.yaml").write_text(topology.replace("[localhost]", asked))
    assert scaffold("apply", cwd=tmp_path).code == 4
    guard = folder / name
    before = guard.read_text()
    guard.write_text(tamper(before))
    assert guard.read_text() != before
    return guard


def test_a_guard_that_was_tampered_with_is_named_fails_verify_and_is_put_right(tampered: Path, tmp_path: Path) -> None:
    name = tampered.name
    changed, edited = tampered.read_bytes(), tampered.with_name(f"{name}.edited")
    said = f"{name}: it differs (see --diff); your text is kept in {name}.edited"
    assert said in " ".join(scaffold("plan", cwd=tmp_path).out.split())

    ended = scaffold("verify", "--ports", "auto", "--only", "client.teller", cwd=tmp_path)
    assert ended.code == 5, ended.out + ended.err
    assert "Files that differ from the topology, whatever the probes found:" in ended.out
    assert said in ended.out

    assert scaffold("apply", cwd=tmp_path).code == 4  # the conflict is there still
    assert tampered.read_bytes() != changed
    assert edited.read_bytes() == changed
    assert said not in " ".join(scaffold("plan", cwd=tmp_path).out.split())
