"""The hooks of .pre-commit-hooks.yaml, run by pre-commit in a repository of a user's, from a clone of this tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.harness import scaffold

ROOT = Path(__file__).parent.parent
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
BROKEN = "version: 1\nname: broken\nserverz: {}\n"
REPRODUCIBLE = """\
version: 1
name: tests
reproducible: {seed: {env: SEED}, at: 2026-01-01T00:00:00Z}
cas: {root: {}}
"""


def git(*arguments: str, cwd: Path) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=cwd, check=True, capture_output=True, timeout=120)


def copied(folder: Path) -> Path:
    """This tree as a repository: what is committed, and what would be."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    git("init", cwd=folder)
    git("add", "--force", ".", cwd=folder)
    git("commit", "-m", "Copy", cwd=folder)
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With an applied topology, of which everything is committed that .gitignore does not keep out."""
    folder = tmp_path / "users"
    folder.mkdir()
    assert scaffold("init", "--example", "minimal", cwd=folder).code == 0
    assert scaffold("apply", cwd=folder).code == 0
    git("init", cwd=folder)
    git("add", ".", cwd=folder)
    git("commit", "-m", "Begin", cwd=folder)
    return folder


def test_each_hook_is_a_command_of_this_package() -> None:
    for hook in HOOKS:
        program, *arguments = hook["entry"].split()
        assert program == "scaffold"
        assert hook["language"] == "python"
        ended = scaffold(arguments[0], "--help", cwd=ROOT)
        assert all(option in ended.out for option in arguments[1:])


def test_the_page_shows_a_configuration_that_names_them(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    found = re.search(r"```yaml\n# \.pre-commit-config\.yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    (tmp_path / "config.yaml").write_text(found[1])
    for command in (["validate-config", "config.yaml"], ["validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")]):
        subprocess.run([sys.executable, "-m", "pre_commit", *command], cwd=tmp_path, check=True, timeout=120)
    named = [hook["id"] for hook in yaml.safe_load(found[1])["repos"][0]["hooks"]]
    assert named == [hook["id"] for hook in HOOKS]


def test_the_commands_of_the_hooks_refuse_what_they_should(repository: Path) -> None:
    """As pre-commit starts them, without its environment."""
    validate, plan = ([*hook["entry"].split()[1:]] for hook in HOOKS)
    assert scaffold(*validate, "topology.yaml", cwd=repository).code == 0
    (repository / "broken.yaml").write_text(BROKEN)
    (repository / "tests.yaml").write_text(REPRODUCIBLE)
    ended = scaffold(*validate, "topology.yaml", "broken.yaml", "tests.yaml", cwd=repository)
    ended.assert_clear_error('unknown key "serverz"', "--forbid-reproducible", mistakes=2)
    for key in repository.rglob("*key.pem"):
        key.unlink()
    (repository / "minimal" / "pki" / "root" / "ca.key").unlink()
    assert scaffold(*plan, cwd=repository).code == 0
    (repository / "minimal" / "servers" / "api" / "tls" / "ca.pem").write_text("")
    assert scaffold(*plan, cwd=repository).code == 3


@pytest.mark.long
def test_pre_commit_runs_them(repository: Path, tmp_path: Path) -> None:
    """It installs the clone, with all that it needs, into an environment of its own: that is what takes long."""
    clone = copied(tmp_path / "clone")
    environment = {
        **os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache"), "PIP_CONSTRAINT": str(ROOT / "tests/constraints.txt"),
    }  # fmt: skip

    def tried() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pre_commit", "try-repo", str(clone), "--all-files", "--color", "never"]
        return subprocess.run(
            command, cwd=repository, env=environment, capture_output=True, text=True, check=False, timeout=600
        )

    passed = tried()
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.count("Passed") == len(HOOKS)
    (repository / "other").mkdir()
    (repository / "other" / "topology.yaml").write_text(BROKEN)
    (repository / "minimal" / "clients" / "caller" / "tls" / "ca.pem").write_text("")
    git("add", ".", cwd=repository)
    failed = tried()
    assert failed.returncode == 1
    assert failed.stdout.count("Failed") == len(HOOKS)
    assert 'unknown key "serverz"' in failed.stdout
    assert "client.caller.trust" in failed.stdout
