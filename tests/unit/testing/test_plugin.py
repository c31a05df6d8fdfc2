"""The plugin within pytest: found by itself, light until it is used, and clear about what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.unit.conftest import write_kind

ROOT = Path(__file__).parents[3]
LAB = """
version: 1
name: lab
cas: {root: {}}
servers:
  api: {template: python, listen: "127.0.0.1:8443", names: [localhost]}
  odd: {template: ./odd, listen: "127.0.0.1:8444", names: [localhost]}
clients:
  web: {template: python, calls: [api]}
"""


def session(folder: Path, test: str, *arguments: str, topology: str = LAB) -> subprocess.CompletedProcess[str]:
    """A pytest session of its own in `folder`, which nobody writes to."""
    (folder / "topology.yaml").write_text(topology)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(test)
    options = ["-p", "scaffold.testing.plugin", "-p", "no:cacheprovider", "-q", "-rs", *arguments]
    return subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"scaffold.testing.plugin": "scaffold.testing.plugin"}


def test_nothing_of_scaffold_is_loaded_before_the_fixture_is_used() -> None:
    seen = "import sys, pytest; was = set(sys.modules); import scaffold.testing.plugin; print(*set(sys.modules) - was)"
    done = subprocess.run(
        [sys.executable, "-c", seen], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert set(done.stdout.split()) == {"scaffold", "scaffold.testing", "scaffold.testing.plugin"}


def test_the_fixture_is_of_the_whole_session_and_writes_nothing_beside_the_tests(tmp_path: Path) -> None:
    test = """
seen = []
def test_one(scaffold_env):
    seen.append(scaffold_env.files("web").certificate.read_bytes())
def test_two(scaffold_env):
    assert seen == [scaffold_env.files("web").certificate.read_bytes()]
"""
    done = session(tmp_path, test, topology=LAB.replace("  odd:", "  # odd:"))
    assert "2 passed" in done.stdout, done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pytest.ini", "test_it.py", "topology.yaml"]


def test_workers_share_nothing(tmp_path: Path) -> None:
    test = """
import os, pathlib, pytest
@pytest.mark.parametrize("number", range(4))
def test_it(scaffold_env, number):
    assert os.environ["PYTEST_XDIST_WORKER"] in str(scaffold_env.files("web").folder)
"""
    done = session(tmp_path, test, "-n", "2", topology=LAB.replace("  odd:", "  # odd:"))
    assert "4 passed" in done.stdout, done.stdout


def test_a_topology_that_cannot_be_is_told_without_a_traceback(tmp_path: Path) -> None:
    test = "def test_it(scaffold_env):\n    pass\n"
    done = session(tmp_path, test, topology=LAB.replace("calls: [api]", "calls: [apj]"))
    assert "topology.yaml:9" in done.stdout
    assert done.stdout.partition("short test summary")[0].count("no such server") == 1, done.stdout
    assert "hint: " in done.stdout
    assert "Traceback" not in done.stdout
    (tmp_path / "topology.yaml").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "scaffold.testing.plugin", "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "there is no file" in done.stdout


def test_a_server_whose_program_is_missing_is_skipped_with_the_reason(tmp_path: Path) -> None:
    write_kind(tmp_path / "odd", {"README.md": "odd\n", "run.sh": "#!/bin/sh\n"})
    declared = json.loads((tmp_path / "odd/cookiecutter.json").read_text())
    declared["_scaffold"]["requires"] = ["no-such-program"]
    (tmp_path / "odd/cookiecutter.json").write_text(json.dumps(declared))
    done = session(tmp_path, "def test_it(scaffold_env):\n    scaffold_env.start('odd')\n")
    assert "1 skipped" in done.stdout, done.stdout
    assert "server.odd needs no-such-program" in done.stdout


def test_a_name_that_there_is_not_is_told_with_the_nearest(tmp_path: Path) -> None:
    done = session(tmp_path, "def test_it(scaffold_env):\n    scaffold_env.ssl_context('webb')\n")
    assert "there is no webb in lab" in done.stdout
    assert "hint: " in done.stdout
