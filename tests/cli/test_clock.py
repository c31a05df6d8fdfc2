"""A machine whose clock runs a year late, by faketime: nothing is signed unless a person says that it is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.harness import TIMEOUT, scaffold
from tests.other_clock import command_at

TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {}
servers:
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  cli: {template: python, calls: [api]}
"""


def a_year_late(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*command_at("-365d"), sys.executable, "-m", "scaffold", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT, check=False
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_signed_unattended_under_a_clock_that_is_a_year_late(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    assert scaffold("apply", cwd=tmp_path).code == 0
    before = contents(tmp_path / "shop/pki")
    for verb in ("apply", "renew"):
        done = a_year_late(tmp_path, verb)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "this machine's clock says" in done.stderr
        assert "set the clock" in done.stderr
        assert contents(tmp_path / "shop/pki") == before
    assert scaffold("plan", "--check", cwd=tmp_path).code == 0


def test_who_says_yes_is_believed(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    assert scaffold("apply", cwd=tmp_path).code == 0
    done = a_year_late(tmp_path, "apply", "--yes")
    assert done.returncode == 0, done.stderr
    again = a_year_late(tmp_path, "apply")
    assert again.returncode == 0, again.stderr
    assert "Nothing to do" in again.stdout
