"""The wheel, built and installed into an empty environment, does its work from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_every_template_and_example(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "templates", "examples", "scaffold"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    wanted = {
        name if name.startswith("scaffold/") else f"scaffold/_{name}"
        for name in tracked
        if name and (ROOT / name).exists()
    }
    assert wanted - carried == set()
    assert not [name for name in carried if "golden" in name or name.startswith("tests/")]


def test_a_fresh_install_applies_and_verifies_the_example(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [binaries / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "install", "--constraint", ROOT / "tests/constraints.txt", wheel, cwd=elsewhere)
    where = run(binaries / "python", "-c", "import scaffold; print(scaffold.__file__)", cwd=elsewhere)
    assert where.startswith(str(tmp_path)), "the installed package is tested, not the checkout"

    scaffold = binaries / "scaffold"
    run(scaffold, "init", "--example", "minimal", cwd=elsewhere)
    run(scaffold, "apply", "--yes", cwd=elsewhere)
    assert not list(elsewhere.rglob("__pycache__")), "pip compiles what it installs, templates included"
    assert run(scaffold, "plan", "--check", cwd=elsewhere).startswith("Nothing to do")
    report = run(scaffold, "verify", "--ports", "auto", "--all", cwd=elsewhere)
    assert ", 0 failed" in report
    assert "allowed call" in report
