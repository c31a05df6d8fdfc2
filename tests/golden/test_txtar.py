"""The txtar form: what is written is read back, and what it cannot hold is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.txtar import build, parse


def test_a_comment_and_its_files():
    text = "about\n-- a.txt --\none\n\n-- b c/d --\n-- empty --\n"
    assert parse(text) == ("about\n", {"a.txt": "one\n\n", "b c/d": "", "empty": ""})
    assert build(*parse(text)) == text


def test_a_dashed_line_that_is_no_marker_stays_text():
    assert parse("-- a --\n--- b ---\n --  -- \n--\n") == ("", {"a": "--- b ---\n --  -- \n--\n"})


@given(st.text("ab-\n ").map(lambda text: f"{text}\n"), st.text("ab- /", min_size=1).map(str.strip).filter(bool))
def test_what_is_written_is_read_back(body, name):
    try:
        text = build("about\n", {name: body})
    except ValueError:
        return
    assert parse(text) == ("about\n", {name: body})


@pytest.mark.parametrize("body", ["no newline", "-- other --\n", "a\n-- b --\nc\n"])
def test_what_it_cannot_hold_is_refused(body):
    with pytest.raises(ValueError, match=r"^a\.txt "):
        build("", {"a.txt": body})


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match=r"^a stands twice$"):
        parse("-- a --\n-- a --\n")
