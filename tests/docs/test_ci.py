"""The jobs of docs/ci.md: both are whole and run the same, and their commands pass from a fresh clone."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from tests.cli.harness import scaffold
from tests.requirements import require_command

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/ci.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
GITHUB = yaml.safe_load(BLOCKS[".github/workflows/mutual-tls.yml"])["jobs"]["mutual-tls"]
GITLAB = yaml.safe_load(BLOCKS[".gitlab-ci.yml"])["mutual-tls"]
COMMANDS = [str(step["run"]) for step in GITHUB["steps"] if "run" in step]


def test_both_jobs_run_the_same() -> None:
    assert GITLAB["script"] == COMMANDS
    assert [step["uses"].partition("@")[0] for step in GITHUB["steps"] if "uses" in step][:2] == [
        "actions/checkout",
        "actions/setup-python",
    ]
    assert all(any(report in command for command in COMMANDS) for report in GITLAB["artifacts"]["reports"]["junit"])


def test_the_packages_are_the_one_of_this_project_and_what_the_sample_imports() -> None:
    install = shlex.split(COMMANDS[0])
    assert install[:4] == ["python", "-m", "pip", "install"]
    assert install[4] == "wheels/*.whl", "a name on an index is whoever registers it"
    imported = {
        name
        for test in (ROOT / "examples/pytest/tests").glob("*.py")
        for name in re.findall(r"^import (httpx|requests|pytest)$", test.read_text(), re.MULTILINE)
    }
    assert set(install[5:]) == imported


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample project, as a runner checks it out."""
    require_command("git")
    folder = tmp_path_factory.mktemp("ci")
    shutil.copytree(ROOT / "examples/pytest", folder / "origin", ignore=shutil.ignore_patterns("__pycache__"))
    me = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    for command in (["init", "-q"], ["add", "."], [*me, "commit", "-q", "-m", "All of it"]):
        subprocess.run(["git", *command], cwd=folder / "origin", check=True)
    subprocess.run(["git", "clone", "-q", str(folder / "origin"), str(folder / "clone")], check=True)
    return folder / "clone"


def test_its_commands_pass_from_a_fresh_clone(clone: Path, tmp_path: Path) -> None:
    """All but the installation, in whose place is what is installed here."""
    (tmp_path / "scaffold").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m scaffold "$@"\n')
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    for name in ("scaffold", "python"):
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTEST_PLUGINS": "scaffold.testing.plugin",
    }
    for command in COMMANDS[1:]:
        done = subprocess.run(
            ["sh", "-c", command], cwd=clone, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    for report in ("reports/tests.xml", "reports/verify.xml"):
        suites = list(ET.parse(clone / report).getroot().iter("testsuite"))
        assert sum(int(suite.get("tests", 0)) for suite in suites) > 10
        assert sum(int(suite.get(what, 0)) for suite in suites for what in ("failures", "errors", "skipped")) == 0


def test_no_secret_would_be_committed_afterwards(clone: Path) -> None:
    if not (clone / "pytest").is_dir():
        pytest.skip("the commands have not been run")
    seen = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [path for path in seen if path.endswith((".key", "key.pem", "password"))] == []
    assert any(path.endswith("cert.pem") for path in seen)


def test_the_guard_is_a_command_that_there_is(clone: Path) -> None:
    assert "scaffold validate --forbid-reproducible\n" in PAGE
    assert scaffold("validate", "--forbid-reproducible", cwd=clone).code == 0
