"""Every built-in kind renders its golden cases to the expected texts, and cookiecutter renders the same bytes."""

from __future__ import annotations

import os
from dataclasses import fields, replace

import pytest

from scaffold.kinds.render import Rendered, render_context
from scaffold.settings.values import ClientSettings, ServerSettings
from tests.golden.cases import HERE, Case, builtin_kinds, cases, context_of, copied_by, differences, sections_of

CASES = list(cases())
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.mark.parametrize("kind", builtin_kinds(), ids=lambda kind: f"{kind.role}-{kind.name}")
def test_every_kind_has_cases(kind):
    assert len([case for case in CASES if case.kind == kind]) >= 2


def test_every_case_is_of_a_kind():
    assert {case.file for case in CASES} == set(HERE.rglob("*.txtar"))


@each_case
def test_says_what_it_is_about(case: Case):
    comment, _ = case.read()
    assert comment.strip()


@each_case
def test_renders_what_is_expected(case: Case):
    found = sections_of(case.render(), copied_by(case.kind))
    if os.environ.get("UPDATE_GOLDEN"):
        case.update(found)
    if different := differences(case.expected(), found):
        pytest.fail(f"{case.file} (UPDATE_GOLDEN=1 writes it anew)\n{different}", pytrace=False)
    assert case.expected() == found


@each_case
def test_cookiecutter_renders_the_same_bytes(case: Case):
    by_cookiecutter = replace(case.kind, builtin=False)
    assert render_context(by_cookiecutter, case.context()) == case.render()


@pytest.mark.parametrize("kind", builtin_kinds(), ids=lambda kind: f"{kind.role}-{kind.name}")
def test_a_case_holds_every_setting(kind):
    settings = ServerSettings if kind.role == "server" else ClientSettings
    assert {field.name for field in fields(settings)} <= context_of(kind, {})["cookiecutter"].keys()


COPIED = frozenset({b"as it stands\n"})
PROJECT = {
    "run.sh": Rendered(b"#!/bin/sh\nexec desk\n", executable=True),
    "README.md": Rendered(b"# desk\n", executable=False),
    "der.py": Rendered(b"as it stands\n", executable=False),
}
CHANGES = {
    "a text": ({**PROJECT, "README.md": Rendered(b"# till\n", executable=False)}, ["README.md", "-# desk", "+# till"]),
    "a bit": ({**PROJECT, "run.sh": Rendered(b"#!/bin/sh\nexec desk\n", executable=False)}, ["-run.sh*", "+run.sh\n"]),
    "a bit of a copy": ({**PROJECT, "der.py": Rendered(b"as it stands\n", executable=True)}, ["-der.py\n", "+der.py*"]),
    "a copy": ({**PROJECT, "der.py": Rendered(b"otherwise\n", executable=False)}, ["no text of der.py", "+otherwise"]),
    "one more": ({**PROJECT, "more.txt": Rendered(b"", executable=False)}, ["+more.txt"]),
    "one copy less": ({path: PROJECT[path] for path in ("run.sh", "README.md")}, ["-der.py"]),
    "one text less": ({path: PROJECT[path] for path in ("run.sh", "der.py")}, ["-README.md", "-# desk"]),
    "another name": ({"a.py" if path == "der.py" else path: PROJECT[path] for path in PROJECT}, ["-der.py", "+a.py"]),
    "a last newline": ({**PROJECT, "README.md": Rendered(b"# desk", executable=False)}, ["-# desk\n", "+# desk\n"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_said(change):
    project, lines = CHANGES[change]
    said = differences(sections_of(PROJECT, COPIED), sections_of(project, COPIED))
    for line in lines:
        assert line in said


def test_what_agrees_says_nothing():
    assert differences(sections_of(PROJECT, COPIED), sections_of(PROJECT, COPIED)) == ""


def test_what_is_copied_is_listed_and_not_repeated():
    assert sections_of(PROJECT, COPIED) == {
        "files": "README.md\nder.py\nrun.sh*\n",
        "README.md": "# desk\n",
        "run.sh": "#!/bin/sh\nexec desk\n",
    }
