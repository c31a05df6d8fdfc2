"""What the last verification has seen is kept, and nothing else passes for it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaffold.store.layout import VERIFIED, Layout
from scaffold.verify import last_run
from scaffold.verify.last_run import LastRun, Seen
from scaffold.verify.model import Probe, Report
from tests.unit.view.reports import check, shop, skipped

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / ".scaffold").mkdir()
    return Layout(tmp_path)


def test_what_was_seen_comes_back(layout: Layout) -> None:
    said = replace(check("api", "late", Probe.EDGE), why="its own certificate is revoked")
    run = last_run.updated(LastRun(), Report((said, *shop()[2:])), AT)
    last_run.save(layout, run)
    assert last_run.load(layout) == run
    assert len(run.seen) == len(shop()) - 1


def test_a_run_of_a_part_leaves_what_is_known_of_the_others() -> None:
    before = last_run.updated(LastRun(), Report(shop()), AT)
    later = AT + timedelta(days=1)
    run = last_run.updated(before, Report((check("api", "web", Probe.EDGE),)), later)
    assert [seen.at for seen in run.of("api", (Probe.EDGE,), "web")] == [later]
    assert [seen.at for seen in run.of("store", (Probe.EDGE,))] == [AT]
    assert len(run.seen) == len(before.seen)


def test_what_the_files_were_comes_back_and_stays_of_who_is_not_tried_again(layout: Layout) -> None:
    before = last_run.updated(LastRun(), Report(shop()), AT, {"server.api": "old", "client.web": "kept"})
    run = last_run.updated(before, Report((check("api", "web", Probe.EDGE),)), AT, {"server.api": "new"})
    last_run.save(layout, run)
    assert last_run.load(layout).folders == {"server.api": "new", "client.web": "kept"}


def test_what_an_earlier_version_kept_is_read_without(layout: Layout) -> None:
    last_run.save(layout, last_run.updated(LastRun(), Report(shop()), AT))
    path = layout.path(VERIFIED)
    value = json.loads(path.read_text())
    del value["folders"]
    path.write_text(json.dumps(value))
    found = last_run.load(layout)
    assert (len(found.seen), dict(found.folders)) == (len(shop()), {})


def test_what_was_skipped_was_not_seen() -> None:
    before = last_run.updated(LastRun(), Report((check("api", "web", Probe.EDGE),)), AT)
    run = last_run.updated(before, Report((skipped(check("api", "web", Probe.EDGE), "no"),)), AT + timedelta(days=1))
    assert run == before


def test_probes_are_asked_for_by_server_and_caller_in_order() -> None:
    run = last_run.updated(LastRun(), Report(shop()), AT)
    found = run.of("api", (Probe.EXPIRED, Probe.EDGE))
    assert [(seen.check.probe, seen.check.client) for seen in found] == [
        (Probe.EXPIRED, "web"), (Probe.EDGE, "web"), (Probe.EDGE, "late"),
    ]  # fmt: skip
    assert run.of("nowhere", Probe) == ()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"checks": [{}]}', '{"checks": 1}', "\x00", '{"checks": [{"at": "2030-01-01T00:00:00"}]}'],
)
def test_what_cannot_be_understood_is_nothing(layout: Layout, content: str) -> None:
    layout.path(VERIFIED).write_text(content)
    assert last_run.load(layout) == LastRun()


def test_a_time_without_an_offset_is_no_time(layout: Layout) -> None:
    last_run.save(layout, LastRun((Seen(check("api", "web", Probe.EDGE), AT),)))
    value = json.loads(layout.path(VERIFIED).read_text())
    value["checks"][0]["at"] = "2030-01-02T03:04:05"
    layout.path(VERIFIED).write_text(json.dumps(value))
    assert last_run.load(layout) == LastRun()


def test_a_link_is_not_followed(layout: Layout, tmp_path: Path) -> None:
    last_run.save(layout, LastRun((Seen(check("api", "web", Probe.EDGE), AT),)))
    layout.path(VERIFIED).rename(tmp_path / "elsewhere")
    layout.path(VERIFIED).symlink_to(tmp_path / "elsewhere")
    assert last_run.load(layout) == LastRun()


def test_where_nothing_may_be_written_nothing_is(tmp_path: Path) -> None:
    last_run.save(Layout(tmp_path / "nowhere"), LastRun((Seen(check("api", "web", Probe.EDGE), AT),)))
    assert not (tmp_path / "nowhere").exists()


def test_git_leaves_it_out(layout: Layout) -> None:
    from scaffold.store.gitignore import RECORDS

    assert b"verify.json" not in RECORDS
    assert RECORDS.splitlines()[1] == b"*"
