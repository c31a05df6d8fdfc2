"""Rendered projects read as if written by hand: they compile, lint and are formatted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.cases import Case, builtin_kinds, cases
from tests.requirements import require_command

CASES = list(cases())
PYTHON = [case for case in CASES if case.kind.name in ("python", "asgi")]
RULES = "A,B,C4,E,F,I,PIE,PTH,RET,RUF,SIM,UP,W"


@pytest.fixture
def project(case: Case, tmp_path: Path) -> Path:
    """The case rendered into a folder."""
    for name, file in case.render().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    return tmp_path


def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def ruff(command: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    common = ("--isolated", "--line-length", "120", "--target-version", "py311", "--no-cache")
    return run(sys.executable, "-m", "ruff", command, *common, *options, ".", cwd=folder)


@pytest.mark.parametrize("case", PYTHON, ids=str)
def test_python_is_clean(project):
    for file in project.rglob("*.py"):
        compile(file.read_text(), str(file), "exec")
    checked = ruff("check", project, "--select", RULES)
    assert checked.returncode == 0, checked.stdout
    formatted = ruff("format", project, "--diff")
    assert formatted.returncode == 0, formatted.stdout


def test_the_linter_sees_what_is_not_clean(tmp_path):
    (tmp_path / "bad.py").write_text("import os\nx = {'a':1}\n")
    assert ruff("check", tmp_path, "--select", RULES).returncode == 1
    assert ruff("format", tmp_path, "--diff").returncode == 1


@pytest.mark.parametrize("case", CASES, ids=str)
def test_run_sh_is_posix(project, case):
    for script in project.glob("*.sh"):
        checked = run(require_command("dash"), "-n", str(script))
        assert checked.returncode == 0, checked.stderr
    if case.kind.capabilities.runs:
        assert (project / "run.sh").read_text().startswith("#!/bin/sh\n")
    else:
        assert not (project / "run.sh").exists()


@pytest.mark.parametrize("kind", [kind for kind in builtin_kinds() if kind.conversation], ids=lambda kind: kind.name)
def test_a_conversation_is_posix(kind):
    checked = run(require_command("dash"), "-n", str(kind.conversation))
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("case", CASES, ids=str)
def test_readme_says_what_it_is(project):
    assert (project / "README.md").read_text().startswith("# ")
