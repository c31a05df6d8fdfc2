"""A shell completes verbs, and the addresses of the topology at hand."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.harness import in_process
from tests.requirements import require_command

TOPOLOGY = """\
version: 1
name: shop
cas: {root: {}}
servers:
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost], calls: [store]}
  store: {template: python, listen: 127.0.0.1:8444, names: [localhost]}
clients:
  web: {template: curl, calls: [api]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    (tmp_path / "below").mkdir()
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/scaffold"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m scaffold "$@"\n')
    command.chmod(0o755)
    return tmp_path


def completed(folder: Path, *words: str, cwd: Path | None = None) -> list[str]:
    """What bash offers for the last of `words` once it has read the script that is printed."""
    bash = require_command("bash")
    line = " ".join(map(shlex.quote, words))
    script = (
        f'eval "$(scaffold completion bash)"; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; '
        '_scaffold_completion scaffold; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    source = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [bash, "--norc", "-c", script], cwd=cwd or folder, env={**os.environ, **source, "PATH": path},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["scaffold", "ver"], ["verify"]),
        (["scaffold", "explain", "server."], ["server.api", "server.store"]),
        (["scaffold", "explain", "client.web", "s"], ["server.api", "server.store"]),
        (["scaffold", "up", "--only", "client"], []),
        (["scaffold", "verify", "--only", ""], ["server.api", "server.store", "client.web"]),
        (["scaffold", "revoke", "c"], ["ca.root", "client.web"]),
        (["scaffold", "trust", ""], ["install", "uninstall", "list"]),
        (["scaffold", "trust", "install", ""], ["ca.root"]),
        (["scaffold", "trust", "list", "--store", ""], ["system", "nss", "java"]),
    ],
)
def test_bash_completes(folder: Path, words: list[str], offered: list[str]) -> None:
    assert completed(folder, *words) == offered


def test_addresses_are_those_of_the_topology_at_hand(folder: Path) -> None:
    assert completed(folder, "scaffold", "explain", "c", cwd=folder / "below") == ["client.web"]
    (folder / "other.yaml").write_text(TOPOLOGY.replace("web:", "desk:"))
    assert completed(folder, "scaffold", "explain", "-f", "other.yaml", "c") == ["client.desk"]


def test_a_topology_that_cannot_be_read_offers_nothing_and_says_nothing(folder: Path) -> None:
    (folder / "topology.yaml").write_text("version: 1\nservers: [")
    assert completed(folder, "scaffold", "explain", "c") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_understands_its_script(shell: str, tmp_path: Path) -> None:
    ended = in_process("completion", shell, cwd=tmp_path)
    assert ended.code == 0
    assert "_SCAFFOLD_COMPLETE" in ended.out
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell} on PATH")
    (tmp_path / "script").write_text(ended.out)
    subprocess.run([shell, "-n", "script"], cwd=tmp_path, check=True, capture_output=True, timeout=60)


def test_another_shell_is_told_which_there_are(tmp_path: Path) -> None:
    ended = in_process("completion", "csh", cwd=tmp_path)
    assert ended.code == 2
    assert "bash" in ended.err
