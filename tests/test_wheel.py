"""The wheel, built and installed into an empty environment, does its work from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path

import pytest
from trove_classifiers import classifiers

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command, cwd=cwd, env={**clean, **(environment or {})}, capture_output=True, text=True, check=False, timeout=600
    )
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
    assert run(binaries / "mtls-scaffold", "--version", cwd=elsewhere) == run(scaffold, "--version", cwd=elsewhere)
    run(scaffold, "init", "--example", "minimal", cwd=elsewhere)
    run(scaffold, "apply", "--yes", cwd=elsewhere)
    assert not list(elsewhere.rglob("__pycache__")), "pip compiles what it installs, templates included"
    assert run(scaffold, "plan", "--check", cwd=elsewhere).startswith("Nothing to do")
    report = run(scaffold, "verify", "--ports", "auto", "--all", cwd=elsewhere)
    assert ", 0 failed" in report
    assert "allowed call" in report


def test_the_metadata_is_complete(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
        licences = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        typed = "scaffold/py.typed" in archive.namelist()
    assert metadata["Name"] == "mtls-scaffold"
    assert metadata["License-Expression"] == "MIT"
    assert licences
    assert typed
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).startswith("# ")
    said = metadata.get_all("Classifier", [])
    assert set(said) <= classifiers, "what is not known there is refused by the index"
    assert "Typing :: Typed" in said
    assert not [one for one in said if one.startswith("License ::")], "PEP 639: the expression says it"
    assert "Programming Language :: Python :: 3 :: Only" in said


RUNNERS = ("pipx==1.18.4", "uv==0.13.9")
"""Too large to be in everybody's environment for one test."""


@pytest.mark.long
def test_it_runs_without_being_installed(wheel: Path, tmp_path: Path) -> None:
    """`uvx` and `pipx run`, by the package's own name."""
    venv.create(tmp_path / "tools", with_pip=True)
    tools = tmp_path / "tools" / "bin"
    run(tools / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *RUNNERS, cwd=tmp_path)
    pins = str(ROOT / "tests/constraints.txt")
    home = {
        "HOME": str(tmp_path / "home"), "PIPX_HOME": str(tmp_path / "pipx"), "UV_CACHE_DIR": str(tmp_path / "uv"),
        "PIP_CONSTRAINT": pins, "UV_CONSTRAINT": pins, "UV_PYTHON": sys.executable,
        "PIPX_DEFAULT_PYTHON": sys.executable,
    }  # fmt: skip
    (tmp_path / "home").mkdir()
    for number, command in enumerate(
        ([tools / "uvx", "--from", wheel, "mtls-scaffold"], [tools / "pipx", "run", "--spec", wheel, "mtls-scaffold"])
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(*command, "init", "--example", "minimal", cwd=folder, environment=home)
        assert "api" in run(*command, "plan", cwd=folder, environment=home)
