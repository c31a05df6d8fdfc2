"""Every built-in kind renders its golden cases to the expected trees, and cookiecutter renders the same bytes."""

from __future__ import annotations

import os
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

from scaffold.kinds.render import Rendered, render_context
from scaffold.settings import ClientSettings, ServerSettings
from tests.golden.cases import Case, builtin_kinds, cases, context_of

CASES = list(cases())
each_case = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.kind.role}-{case.kind.name}-{case.folder.name}"
)


def tree(folder: Path) -> dict[str, Rendered]:
    return {
        path.relative_to(folder).as_posix(): Rendered(path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
        if path.is_file()
    }


def write(files: dict[str, Rendered], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, file in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(0o755 if file.executable else 0o644)


@pytest.mark.parametrize("kind", builtin_kinds(), ids=lambda kind: f"{kind.role}-{kind.name}")
def test_every_kind_has_cases(kind):
    assert len([case for case in CASES if case.kind == kind]) >= 2


@each_case
def test_renders_what_is_expected(case: Case):
    rendered = render_context(case.kind, case.context())
    if os.environ.get("UPDATE_GOLDEN"):
        write(rendered, case.expected)
    assert rendered == tree(case.expected)


@each_case
def test_cookiecutter_renders_the_same_bytes(case: Case):
    by_cookiecutter = replace(case.kind, builtin=False)
    assert render_context(by_cookiecutter, case.context()) == render_context(case.kind, case.context())


@pytest.mark.parametrize("kind", builtin_kinds(), ids=lambda kind: f"{kind.role}-{kind.name}")
def test_a_case_holds_every_setting(kind):
    settings = ServerSettings if kind.role == "server" else ClientSettings
    assert {field.name for field in fields(settings)} <= context_of(kind, {})["cookiecutter"].keys()
