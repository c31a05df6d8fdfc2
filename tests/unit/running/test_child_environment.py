"""Whatever is started as a process of its own sees no password of ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import scaffold
from scaffold.running.availability import _version_said_by
from scaffold.running.services import environment, handed_on

SECRET = "ROOT_KEY_PASSWORD"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "1.2.3")


def starts_inheriting(source: str) -> Iterator[int]:
    """The lines of `source` that start a process and do not say what it sees of the environment."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in ("subprocess", "os")
            and node.func.attr in ("run", "Popen", "call", "check_call", "check_output", "system", "popen")
            and "env" not in [keyword.arg for keyword in node.keywords]
        ):
            yield node.lineno


def test_every_process_is_started_with_an_environment_of_its_own() -> None:
    package = Path(scaffold.__file__).parent
    found = {
        str(path.relative_to(package)): lines
        for path in sorted(package.rglob("*.py"))
        if (lines := list(starts_inheriting(path.read_text("utf-8"))))
    }
    assert found == {}


def test_the_check_sees_a_process_that_inherits() -> None:
    assert list(starts_inheriting("import subprocess\nsubprocess.run(['x'])\n")) == [2]
    assert list(starts_inheriting("import subprocess\nsubprocess.run(['x'], env={})\n")) == []


def test_a_password_is_not_handed_on() -> None:
    assert SECRET not in handed_on()
    assert "PATH" in handed_on()
    assert SECRET not in environment(Path("/"), {"LISTEN": "x"})


def test_who_is_asked_for_a_version_sees_none() -> None:
    assert _version_said_by(("sh", "-c", f"echo version ${SECRET}")) is None
    assert _version_said_by(("sh", "-c", "echo version 3.0.1")) == (3, 0, 1)
