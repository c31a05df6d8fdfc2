"""Three texts become one; `git merge-file` says how a conflict is marked."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scaffold.plan.merging import LARGEST, Conflicting, Merged, NotText, markers_left, merge, number_of_markers

BASE = b"a\nb\nc\nd\n"


def test_changes_that_fit_are_both_kept():
    assert merge(BASE, b"a\nb\nc\nmine\n", b"theirs\nb\nc\nd\n") == Merged(b"theirs\nb\nc\nmine\n")


def test_the_same_change_is_kept_once():
    assert merge(BASE, b"x\nb\nc\nd\nmine\n", b"x\nb\nc\nd\n") == Merged(b"x\nb\nc\nd\nmine\n")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
def test_a_conflict_is_marked_as_git_marks_it(tmp_path: Path):
    texts = {"yours": b"a\nmine\nc\nd\n", "base": BASE, "template": b"a\ntheirs\nc\nd\n"}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    found = subprocess.run(
        ["git", "merge-file", "-p", "--diff3", *(word for name in texts for word in ("-L", name)), *texts],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert merge(texts["base"], texts["yours"], texts["template"]) == Conflicting(found.stdout)


def test_without_a_base_whatever_differs_is_a_conflict_of_two_texts():
    found = merge(None, b"a\nmine\nc\n", b"a\ntheirs\nc\n")
    assert found == Conflicting(b"a\n<<<<<<< yours\nmine\n=======\ntheirs\n>>>>>>> template\nc\n")
    assert merge(None, BASE, BASE) == Merged(BASE)


@pytest.mark.parametrize("template_ends", [b"\n", b"\r\n"])
def test_line_ends_of_a_persons_text_stay(template_ends):
    def crlf(text: bytes, ends: bytes = b"\r\n") -> bytes:
        return text.replace(b"\n", ends)

    base, template = crlf(BASE, template_ends), crlf(b"new\nb\nc\nd\n", template_ends)
    assert merge(base, crlf(b"a\nb\nc\nmine\n"), template) == Merged(b"new\r\nb\r\nc\r\nmine\r\n")
    assert merge(base, b"a\nb\nc\nmine\n", template) == Merged(b"new\nb\nc\nmine\n")
    assert b"\r\n=======\r\n" in merge(base, crlf(b"mine\nb\n"), template).text


def test_mixed_line_ends_are_left_as_they_are():
    assert merge(BASE, b"a\nb\nc\nd\nmine\r\n", b"new\nb\nc\nd\n") == Merged(b"new\nb\nc\nd\nmine\r\n")


def test_a_last_line_without_an_end_stays_one():
    assert merge(BASE, b"a\nb\nc\nmine", b"new\nb\nc\nd\n") == Merged(b"new\nb\nc\nmine")
    assert b"\nmine\n|||||||" in merge(BASE, b"a\nb\nc\nmine", b"a\nb\nc\nnew\n").text


def test_a_line_that_is_frequent_in_a_long_text_counts_as_any_other():
    """difflib leaves such lines out by default, and a change beside them would not fit."""
    base = [b"\n", b"}\n"] * 200
    yours, template = [*base, b"mine\n"], [b"new\n", *base]
    assert merge(b"".join(base), b"".join(yours), b"".join(template)) == Merged(b"".join([b"new\n", *base, b"mine\n"]))


@pytest.mark.parametrize("other", [b"\0", "größer".encode("latin-1"), "größer".encode("utf-16")])
def test_what_is_no_utf8_text_is_not_merged(other):
    assert merge(other, b"b", b"c") == merge(b"a", other, b"c") == merge(b"a", b"b", other) == NotText()


MARKERS = (b"<<<<<<< yours", b"||||||| base", b"=======", b">>>>>>> template")


@pytest.mark.parametrize("forgotten", MARKERS)
def test_each_marker_that_is_forgotten_is_found(forgotten):
    found = merge(BASE, b"a\nmine\n", b"a\ntheirs\n")
    assert number_of_markers(found) == 1
    kept = [line for line in found.text.splitlines(keepends=True) if line.rstrip() not in set(MARKERS) - {forgotten}]
    assert markers_left(b"".join(kept), 1)
    assert markers_left(forgotten + b"\r\n", 1)
    assert not markers_left(b"".join(line for line in kept if line.rstrip() != forgotten), 1)


@pytest.mark.parametrize("own", MARKERS)
@pytest.mark.parametrize("side", range(3))
def test_where_a_text_has_a_line_like_a_marker_all_markers_have_a_number(own, side):
    texts = [BASE, b"a\nmine\n", b"a\ntheirs\n"]
    texts[side] += own + b"\n"
    found = merge(*texts)
    assert number_of_markers(found) == 2
    ours = [line for line in found.text.splitlines() if line.endswith(b" 2")]
    assert set(ours) == {marker + b" 2" for marker in MARKERS}
    resolved = [line for line in found.text.splitlines() if line not in ours]
    assert not markers_left(b"\n".join(resolved), 2), "a line of the text's own is no marker"
    for forgotten in ours:
        without_headings = [line for line in (*resolved, forgotten) if line != own]
        assert markers_left(b"\n".join(without_headings), 2)


def test_a_number_that_a_text_has_as_well_is_not_taken():
    found = merge(None, b"=======\n>>>>>>> template 2\r\n", b"theirs\n")
    assert number_of_markers(found) == 3
    assert b"\n======= 3\n" in found.text


def test_what_is_merged_has_no_markers():
    heading = b"Readings\n=======\n"
    found = merge(heading, heading, heading + b"theirs\n")
    assert number_of_markers(found) == 0
    assert not markers_left(found.text, 0)


lines = st.lists(
    st.sampled_from([b"a", b"b", b"c", b"", b"=======", b"======= 2", b"\r", b"d\r", "ä".encode()]), max_size=9
)
texts = st.builds(lambda found, end: b"\n".join(found) + end, lines, st.sampled_from([b"", b"\n"]))


def lines_of(text: bytes) -> Counter[bytes]:
    return Counter(line.rstrip(b"\r") for line in text.split(b"\n") if line)


@given(st.none() | texts, texts, texts)
@example(b"a\nb\n", b"", b"a\nc\n")
@example(b"", b"a", b"b")
def test_every_line_that_a_person_added_is_in_the_result(base, yours, template):
    found = merge(base, yours, template)
    added = lines_of(yours) - lines_of(base or b"")
    assert not added - lines_of(found.text)
    if isinstance(found, Conflicting):
        assert markers_left(found.text, found.number)
        assert not any(markers_left(text, found.number) for text in (base or b"", yours, template))


@given(texts, texts)
def test_where_one_side_changed_nothing_it_is_the_other(base, changed):
    plain = st_lf(base), st_lf(changed)
    assert lines_of(merge(plain[0], plain[1], plain[0]).text) == lines_of(plain[1])
    assert lines_of(merge(plain[0], plain[0], plain[1]).text) == lines_of(plain[1])


def st_lf(text: bytes) -> bytes:
    return text.replace(b"\r", b"")


def test_a_text_that_is_too_large_is_not_merged() -> None:
    whole = b"a" * (LARGEST - 1) + b"\n"
    assert merge(whole, whole, whole) == Merged(whole)
    for base, yours, template in ((whole + b"b", b"b", b"c"), (b"a", whole + b"b", b"c"), (b"a", b"b", whole + b"c")):
        assert merge(base, yours, template) == NotText()
