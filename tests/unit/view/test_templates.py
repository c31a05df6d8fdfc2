"""The list of templates and what each declares: one line each in a pipe, and within the width of a terminal."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from scaffold.kinds import catalogue
from scaffold.kinds.capabilities import ROLES
from scaffold.view.templates import list_lines, show_lines
from scaffold.view.terminal import Line

KINDS = [kind for role in ROLES for kind in catalogue.builtins(role)]


def text(lines: Iterable[Line]) -> list[str]:
    return ["".join(part for part, _ in line).rstrip() for line in lines]


def test_in_a_pipe_each_template_is_one_line() -> None:
    assert [line.split()[:2] for line in text(list_lines(KINDS))] == [[kind.role, kind.name] for kind in KINDS]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_list_fits_a_terminal_and_says_the_same(columns: int) -> None:
    lines = text(list_lines(KINDS, columns))
    assert max(map(len, lines)) <= columns
    assert " ".join(lines).split() == " ".join(text(list_lines(KINDS))).split()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.role}-{kind.name}")
def test_what_one_declares_fits_a_terminal_and_says_the_same(kind: catalogue.Kind) -> None:
    lines = text(show_lines(kind, 80))
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).split() == " ".join(text(show_lines(kind))).split()
