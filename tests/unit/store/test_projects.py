"""The record of projects: the order of its lines says nothing, and what is superseded can be left out."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import StoreError
from scaffold.store import files, journal, projects
from scaffold.store.files import Writer
from scaffold.store.layout import PROJECTS, Layout
from scaffold.store.projects import Recorder
from scaffold.topology.address import Address

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SERVER = Address.parse("server.a")
FOLDERS_OF = {"server.a": "servers/a", "client.b": "clients/b"}
ADDRESSES = tuple(FOLDERS_OF)


def folder(path: Path, lines: list[bytes]) -> Layout:
    (path / ".scaffold").mkdir(parents=True, exist_ok=True)
    (path / PROJECTS).write_bytes(b"".join(line + b"\n" for line in lines))
    return Layout(path)


texts = st.dictionaries(
    st.sampled_from(["{folder}/README.md", "{folder}/run.sh"]), st.sampled_from(["aa", "bb", "cc"]), max_size=2
)
bodies = st.one_of(
    st.fixed_dictionaries({"hashes": texts}),
    st.fixed_dictionaries({"inputs": st.none() | st.sampled_from(["one", "two"]), "files": texts}),
    st.fixed_dictionaries({"offered": texts}),
    st.just({"gone": True}),
)


@st.composite
def histories(draw) -> list[bytes]:
    """Lines as applies write them, several in a second."""
    events = []
    for body in draw(st.lists(bodies, min_size=1, max_size=14)):
        at = f"2026-03-01T00:0{len(events) // 3}:00+00:00"
        address = draw(st.sampled_from(ADDRESSES))
        own = json.loads(json.dumps(body).replace("{folder}", FOLDERS_OF[address]))
        events.append({"address": address, "at": at, "n": len(events) % 3, **own})
    return [json.dumps(event).encode() for event in events]


@given(histories(), st.data())
def test_neither_order_nor_repetition_changes_what_it_says(tmp_path_factory, lines, data):
    again = data.draw(st.lists(st.sampled_from(lines), max_size=5))
    other = data.draw(st.permutations([*lines, *again]))
    path = tmp_path_factory.mktemp("records")
    assert projects.load(folder(path / "a", lines)) == projects.load(folder(path / "b", other))


@given(histories())
def test_what_it_says_is_the_same_without_what_is_superseded(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("records")
    before = projects.load(folder(path, lines))
    events = [json.loads(line) for line in lines]
    kept = [
        journal.line_of(event)
        for address in ADDRESSES
        for event in projects._without_superseded([one for one in events if one["address"] == address])
    ]
    assert projects.load(folder(path, kept)).by_address == before.by_address
    assert len(kept) <= len(lines)


def test_a_record_without_times_is_read_in_its_order_and_first(tmp_path):
    lines = [
        b'{"address":"server.a","hashes":{"servers/a/run.sh":"aa"}}',
        b'{"address":"server.a","inputs":"zzz","files":{"servers/a/run.sh":"aa"}}',
        b'{"address":"server.a","inputs":"aaa","files":{"servers/a/run.sh":"aa"}}',
    ]
    layout = folder(tmp_path, lines)
    assert projects.load(layout).by_address[SERVER].inputs == "aaa"
    recorder = Recorder(layout, NOW)
    recorder.settled(SERVER, "new", {"servers/a/run.sh": "bb"})
    recorder.flush()
    assert projects.load(layout).by_address[SERVER].inputs == "new"


def test_what_happens_within_a_second_keeps_its_order(tmp_path):
    layout = folder(tmp_path, [])
    for inputs in ("z", "a", "m"):
        recorder = Recorder(layout, NOW)
        recorder.writing(SERVER, {"servers/a/run.sh": inputs})
        recorder.settled(SERVER, inputs, {"servers/a/run.sh": inputs})
        recorder.flush()
    lines = (tmp_path / PROJECTS).read_bytes().splitlines()
    assert projects.load(folder(tmp_path, sorted(lines))).by_address[SERVER].inputs == "m"


def applied(layout: Layout, times: int) -> None:
    for number in range(times):
        recorder = Recorder(layout, NOW + timedelta(hours=number))
        recorder.writing(SERVER, {"servers/a/run.sh": f"{number % 7}"})
        recorder.settled(SERVER, f"{number}", {"servers/a/run.sh": f"{number % 7}"})
        recorder.flush()


def test_of_two_texts_of_a_file_both_are_known_as_ours(tmp_path):
    layout = folder(tmp_path, [])
    applied(layout, 2)
    record = projects.load(layout).of(SERVER)
    known = [record.is_ours("servers/a/run.sh", sha256) for sha256 in ("0", "1", "2")]
    assert known == [True, True, False]
    assert not record.is_ours("servers/a/README.md", "0")
    applied(layout, 1)
    assert projects.load(layout).of(SERVER).all_ours("servers/a/run.sh") == {"0", "1"}


def test_it_does_not_grow_for_ever(tmp_path):
    layout = folder(tmp_path, [])
    applied(layout, 300)
    before = projects.load(layout)
    projects.compact(layout, Writer(layout), before)
    after = projects.load(layout)
    assert (after.by_address, after.events) == (before.by_address, 2)
    assert after.by_address[SERVER].ours["servers/a/run.sh"] == {f"{number}" for number in range(7)}
    assert layout.path(PROJECTS).stat().st_mode & 0o777 == files.SECRET_FILE


def test_a_short_one_is_left_alone(tmp_path):
    layout = folder(tmp_path, [])
    applied(layout, 5)
    before = (tmp_path / PROJECTS).read_bytes()
    projects.compact(layout, Writer(layout), projects.load(layout))
    assert (tmp_path / PROJECTS).read_bytes() == before


@pytest.mark.parametrize("nth", [1, 2])
def test_a_kill_while_it_is_written_anew_loses_nothing(tmp_path, nth):
    layout = folder(tmp_path, [])
    applied(layout, 300)
    before = projects.load(layout).by_address
    child = os.fork()
    if child == 0:
        die_at(nth)
        projects.compact(layout, Writer(layout), projects.load(layout))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert projects.load(layout).by_address == before


def die_at(nth: int) -> None:
    """In the middle of the new file, or just before it takes its place."""

    def write(descriptor, content):
        os.write(descriptor, content[: len(content) // 2])
        os._exit(9)

    if nth == 1:
        files.write_all = write
    else:
        os.replace = lambda source, target: os._exit(9)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b'"address":"a"',
        b'"address":"client.b","hashes":[]',
        b'"address":"client.b","hashes":{"clients/b/run.sh":7}',
        b'"address":"client.b","files":{}',
    ],
)
def test_what_cannot_be_is_an_error_with_its_line(tmp_path, said):
    layout = folder(tmp_path, [b'{"address":"server.a","gone":true}', b"{%b}" % said])
    with pytest.raises(StoreError, match=r"projects\.jsonl, line 2, cannot be read"):
        projects.load(layout)


@pytest.mark.parametrize(
    "path", ["clients/teller/../../../victim", "clients/other/run.sh", "/etc/passwd", "clients/teller/./x"]
)
@pytest.mark.parametrize("field", ["hashes", "files", "offered"])
def test_a_path_outside_of_the_project_is_a_damaged_line(tmp_path, field, path):
    """What is recorded may be removed, and a record may come by a merge from anybody."""
    (tmp_path / ".scaffold").mkdir()
    event = {"address": "client.teller", "at": "2026-01-01T00:00:00+00:00", "inputs": None, field: {path: "0" * 64}}
    (tmp_path / PROJECTS).write_text(json.dumps(event) + "\n")
    with pytest.raises(StoreError, match=r"line 1, cannot be read"):
        projects.load(Layout(tmp_path))
