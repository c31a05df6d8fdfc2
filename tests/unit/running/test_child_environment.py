"""Whatever is started as a process of its own sees no password of ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import scaffold
from scaffold.running.availability import version_said_by
from scaffold.running.clients import Clients
from scaffold.running.services import Launch, Services, environment, handed_on

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


def test_what_a_template_declares_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_HOME", "/demo")
    monkeypatch.setenv("DEMOS", "3")
    assert not {"DEMO_HOME", "DEMOS"} & handed_on().keys()
    assert environment(Path("/"), {}, ("DEMO_*",))["DEMO_HOME"] == "/demo"
    assert "DEMOS" not in handed_on(("DEMO_*", "DEMO"))
    assert handed_on(("DEMOS",))["DEMOS"] == "3"
    assert "demo_home" not in handed_on(("demo_*",))


def test_what_is_declared_reaches_servers_clients_and_the_question_for_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_HOME", "4.5.6")
    script = tmp_path / "run.sh"
    script.write_text('#!/bin/sh\necho "home=${DEMO_HOME-none}"\n')
    script.chmod(0o755)
    assert version_said_by(("sh", "-c", "echo version $DEMO_HOME")) is None
    assert version_said_by(("sh", "-c", "echo version $DEMO_HOME"), ("DEMO_HOME",)) == (4, 5, 6)
    assert Clients().run(script, []).output == "home=none\n"
    assert Clients().run(script, [], ("DEMO_HOME",)).output == "home=4.5.6\n"
    with Services() as services:
        services.start([Launch("demo", tmp_path, "^home=4.5.6$", inherits=("DEMO_HOME",))])


def test_who_is_asked_for_a_version_sees_none() -> None:
    assert version_said_by(("sh", "-c", f"echo version ${SECRET}")) is None
    assert version_said_by(("sh", "-c", "echo version 3.0.1")) == (3, 0, 1)
