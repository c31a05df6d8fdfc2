"""The append-only files: what is torn is not there, and the files there are kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import StoreError
from scaffold.store import journal

# By `at` they are ordered: what says nothing of its time stays where it was written.
events = st.dictionaries(st.text().filter(lambda name: name != "at"), st.text() | st.integers(), max_size=3)


@given(before=st.lists(events, min_size=1), after=st.lists(events), cut=st.integers(1, 400))
def test_a_torn_tail_is_cut_off_by_the_next_append(tmp_path_factory, before, after, cut):
    path = str(tmp_path_factory.mktemp("journal") / "events.jsonl")
    journal.append(path, before, durable=False)
    with Path(path).open("rb+") as file:
        whole = file.read()
        kept = whole[: max(0, len(whole) - cut)]
        file.truncate(len(kept))
    complete = kept.count(b"\n")
    assert journal.load(path) == before[:complete]
    journal.append(path, [*after, {"last": 1}], durable=False)
    assert journal.load(path) == [*before[:complete], *after, {"last": 1}]


def test_none_where_there_is_no_file(tmp_path):
    assert journal.load(str(tmp_path / "none")) == []


@pytest.mark.parametrize("content", [b"\xff\n", b"[]\n", b"{\n{}\n", b"\n"])
def test_what_is_broken_elsewhere_is_an_error(tmp_path, content):
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="line 1"):
        journal.load(str(path))


def test_what_could_not_be_written_whole_is_taken_back(tmp_path, monkeypatch):
    """A full disk takes half of a line: the next reader must not find it, whoever appends next or not."""
    path = tmp_path / "events.jsonl"
    journal.append(str(path), [{"one": 1}], durable=False)
    before, really_write = path.read_bytes(), os.write

    def half(descriptor, content):
        if len(content) < 10:
            raise OSError(errno.ENOSPC, "no space left")
        return really_write(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(StoreError, match="no space left"):
            journal.append(str(path), [{"two": 2}, {"three": 3}, {"four": 4}], durable=False)
    assert path.read_bytes() == before


def test_what_is_appended_follows_all_that_is_there_whatever_the_clock_says(tmp_path: Path) -> None:
    """A clock was ahead and was put back, and a merge has left the lines in any order."""
    path = str(tmp_path / "events.jsonl")

    def add(at: str, what: str) -> None:
        journal.Appender(path).append([{"at": at, "what": what}])

    add("2026-01-01T00:00:00+00:00", "first")
    add("2026-01-03T00:00:00+00:00", "ahead")
    add("2026-01-01T00:00:05+00:00", "put back")
    add("2026-01-01T00:00:06+00:00", "later")
    Path(path).write_bytes(b"".join(reversed(Path(path).read_bytes().splitlines(keepends=True))))
    add("2026-01-01T00:00:07+00:00", "last")
    add("2026-01-04T00:00:00+00:00", "in time again")
    found = journal.load(path)
    assert [event["what"] for event in found] == ["first", "ahead", "put back", "later", "last", "in time again"]
    assert found[2]["at"] == "2026-01-01T00:00:05+00:00", "its own time stays what it was"


@pytest.mark.parametrize("times", [["02"] * 6, ["02", "01", "01", "02", "03", "03"]])
def test_what_one_appends_bit_by_bit_keeps_its_order_and_is_read_once(tmp_path, monkeypatch, times) -> None:
    path = str(tmp_path / "events.jsonl")
    journal.Appender(path).append([{"at": "2026-01-02T00:00:00+00:00", "what": -1}])
    read: list[str] = []
    latest = journal._latest
    monkeypatch.setattr(journal, "_latest", lambda at: read.append(at) or latest(at))
    appender = journal.Appender(path)
    for start in range(0, len(times), 2):
        appender.append(
            {"at": f"2026-01-{times[number]}T00:00:00+00:00", "what": number} for number in (start, start + 1)
        )
    lines = Path(path).read_bytes().splitlines(keepends=True)
    Path(path).write_bytes(b"".join(sorted(lines)))
    assert [event["what"] for event in journal.load(path)] == [-1, *range(len(times))]
    assert read == [path]
