"""Patterns that a line could keep busy without end are refused; those of the field are not."""

from __future__ import annotations

import pytest

from scaffold.kinds.patterns import endless


@pytest.mark.parametrize(
    "pattern",
    [
        "^ready: ",
        "Now listening on: https://",
        r"^ready on \S+",
        r"started in \d+ (ms|s)$",
        r"port\)+ \(\d{1,5}\)",
        "[)*+?]+ up",
        "[]*+]+ up",
        "ready.*?up",
        "colou?r a?b?c?",
        "(?i)ready",
        "a{b} c{d}",
    ],
)
def test_what_tells_a_line_is_taken(pattern: str) -> None:
    assert endless(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a+)+$", "repeats a group"),
        ("(a|a)*$", "repeats a group"),
        ("(?:a|ab)?b", "repeats a group"),
        ("(a){2,40}", "repeats a group"),
        ("a*a*a*b", "more than 2 repetitions"),
        ("a{1,9}.*[ab]+c", "more than 2 repetitions"),
        ("(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)", "more than 6 alternatives"),
    ],
)
def test_what_could_take_for_ever_is_refused(pattern: str, why: str) -> None:
    assert why in (endless(pattern) or "")
