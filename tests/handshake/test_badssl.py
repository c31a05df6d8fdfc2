"""The private badssl with its real servers: the good door opens, and each other is refused for its own fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.harness import in_process as scaffold
from tests.cli.harness import scaffold as spawned
from tests.cli.harness import up

HOST = "Hostname mismatch"
WORDS = {
    "expired": "certificate has expired",
    "not-yet-valid": "certificate is not yet valid",
    "wrong-ca": "unable to get local issuer certificate",
    "self-signed": "signed certificate",
    "wrong-eku": "certificate purpose",
    "wrong-name": HOST,
    "no-san": HOST,
    "unknown-critical": "unhandled critical extension",
    "nul-in-name": HOST,
    "version-1": HOST,
    "unknown-ca": "unable to get local issuer certificate",
    "issued-by-leaf": "invalid CA certificate",
    "expired-intermediate": "certificate has expired",
    "missing-intermediate": "unable to get local issuer certificate",
    "issuer-not-a-ca": "invalid CA certificate",
    "path-length": "path length constraint exceeded",
    "name-constraints": "permitted subtree violation",
    "revoked": "certificate revoked",
}
"""What a caller on OpenSSL says."""


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Of a verification of the two callers."""
    folder: Path = tmp_path_factory.mktemp("badssl")
    assert scaffold("init", "--example", "badssl", cwd=folder).code == 0
    with up(folder, "--ports", "auto"):
        called = spawned("call", "visitor", "good", cwd=folder)
        assert called.code == 0, called.err
        assert "certificate has expired" in spawned("call", "visitor", "expired", cwd=folder).err
    assert scaffold("plan", "--check", cwd=folder).code == 0
    found: list[dict[str, str]] = []
    for caller in ("visitor", "inspector"):
        done = scaffold("verify", "--ports", "auto", "--only", f"client.{caller}", "--json", cwd=folder)
        found += done.json["checks"]
    return found


def test_the_good_door_opens(checks: list[dict[str, str]]) -> None:
    calls = [one for one in checks if one["probe"] == "edge" and one["server"] == "good"]
    assert {(one["client"], one["observed"].partition(" ")[0]) for one in calls} == {
        ("visitor", "allowed"),
        ("inspector", "allowed"),
    }


@pytest.mark.parametrize("door", WORDS)
def test_a_faulty_door_is_refused_for_its_fault(checks: list[dict[str, str]], door: str) -> None:
    [call] = [one for one in checks if one["probe"] == "edge" and one["server"] == door]
    assert (call["expected"], call["result"]) == ("refused", "passed")
    assert WORDS[door] in call["detail"]
