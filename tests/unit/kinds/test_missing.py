"""What is missing, by the words of the programs themselves where they are at hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scaffold.kinds.missing import Missing, Sort, missing
from tests.requirements import require, which


def printed(*command: str, cwd: Path) -> str:
    require(which(command[0]), f"{command[0]} on PATH")
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ((sys.executable, "-c", "import nobodys_module.part"), Missing(Sort.MODULE, "nobodys_module")),
        ((sys.executable, "-m", "nobodys_module"), Missing(Sort.MODULE, "nobodys_module")),
        (("sh", "-c", "nobodys-program; :"), Missing(Sort.PROGRAM, "nobodys-program")),
        (("bash", "-c", "nobodys-program; :"), Missing(Sort.PROGRAM, "nobodys-program")),
        (("env", "nobodys-program"), Missing(Sort.PROGRAM, "nobodys-program")),
        (
            (sys.executable, "-c", "import subprocess; subprocess.run(['nobodys-program'])"),
            Missing(Sort.PROGRAM, "nobodys-program"),
        ),
        ((sys.executable, "-c", "open('settings.ini')"), None),
        ((sys.executable, "-c", "import os; os.remove('Dockerfile')"), None),
        ((sys.executable, "-c", "raise SystemExit('key: not found in the settings')"), None),
    ],
)
def test_it_is_told_by_what_is_printed(command: tuple[str, ...], found: Missing | None, tmp_path: Path) -> None:
    assert missing(printed(*command, cwd=tmp_path)) == found


def test_a_package_of_node() -> None:
    assert missing("Error: Cannot find module 'express'\nRequire stack:") == Missing(Sort.NODE_PACKAGE, "express")
    assert missing("Error: Cannot find package '@fastify/cors' imported from") == Missing(
        Sort.NODE_PACKAGE, "@fastify/cors"
    )
    assert missing("Error: Cannot find module './routes'") is None


@pytest.mark.parametrize(
    ("module", "package"), [("jinja2_time", "jinja2-time"), ("yaml", "PyYAML"), ("slugify", "python-slugify")]
)
def test_the_package_of_a_module(module: str, package: str) -> None:
    assert Missing(Sort.MODULE, module).package == package
