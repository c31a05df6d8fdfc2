"""Errors as a person reads them."""

from __future__ import annotations

import pytest

from scaffold.errors import Place, ScaffoldError
from scaffold.view.errors import error_text


def test_message_place_line_caret_and_hint() -> None:
    place = Place("topology.yaml", 12, 13, "    issuer: isuing")
    error = ScaffoldError('no such CA "isuing"', place=place, hint='did you mean "issuing"?')
    assert error_text(error) == (
        'error: no such CA "isuing"\n'
        "  topology.yaml:12:13\n"
        "  12 |     issuer: isuing\n"
        "     |             ^\n"
        'hint: did you mean "issuing"?'
    )


def test_an_error_without_a_place_is_one_line() -> None:
    assert error_text(ScaffoldError("the disk is full")) == "error: the disk is full"


@pytest.mark.parametrize("column", [1, 60, 9_000, 10_000])
def test_a_very_long_line_is_cut_around_the_column(column: int) -> None:
    source = "".join(chr(ord("a") + n % 26) for n in range(10_000))
    shown = error_text(ScaffoldError("bad", place=Place("t.yaml", 1, column, source))).splitlines()
    assert max(map(len, shown)) < 120
    assert shown[2][shown[3].index("^")] == source[column - 1]


def test_wide_characters_keep_the_caret_in_place() -> None:
    shown = error_text(ScaffoldError("bad", place=Place("t.yaml", 1, 3, "銀行x"))).splitlines()
    assert shown[3].index("^") == shown[2].index("x") + 2


def test_escapes_from_a_hostile_file_are_made_visible() -> None:
    assert "\x1b" not in error_text(ScaffoldError("bad \x1b[2J", place=Place("t.yaml", 1, 1, "\x1b]0;x\x07")))
