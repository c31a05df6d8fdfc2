"""Where a running `up` says that its servers are: true while it runs, and gone with it, however it ends."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from scaffold.cli.project import Project
from scaffold.running import whereabouts
from scaffold.running.placement import place
from scaffold.store.files import Writer
from scaffold.store.layout import Layout
from tests.unit.conftest import Household


@pytest.fixture
def project(household: Household) -> Project:
    opened = household.open()
    Writer(opened.layout).prepare()
    return opened


def said_files(layout: Layout) -> list[str]:
    return sorted(path.name for path in layout.path(".scaffold").glob("*up-*"))


def test_it_is_told_while_it_runs(project: Project) -> None:
    placements = place(project.topology.servers.values(), "auto")
    assert whereabouts.running(project.layout) == {}
    with whereabouts.told(project.layout, placements):
        assert whereabouts.running(project.layout) == {"accounts": placements["accounts"].address}
        assert said_files(project.layout) == [f"up-{os.getpid()}.json"]
    assert whereabouts.running(project.layout) == {}
    assert said_files(project.layout) == []


def test_what_a_killed_one_has_left_is_believed_by_nobody(project: Project) -> None:
    placements = place(project.topology.servers.values(), "auto")
    ready, tell_ready = os.pipe()
    child = os.fork()
    if child == 0:
        with whereabouts.told(project.layout, placements):
            os.write(tell_ready, b"x")
            signal.pause()
    os.read(ready, 1)
    assert whereabouts.running(project.layout) != {}
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert said_files(project.layout) == [f"up-{child}.json"]
    assert whereabouts.running(project.layout) == {}
    assert said_files(project.layout) == [], "it is taken away"
    os.close(ready)
    os.close(tell_ready)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"accounts": 7}', b'{"accounts": "nowhere"}', b"\xff"])
def test_what_is_no_file_of_ours_is_passed_over(project: Project, content: bytes) -> None:
    import fcntl

    path = project.layout.path(".scaffold/up-1.json")
    path.write_bytes(content)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert whereabouts.running(project.layout) == {}
        path.write_text(json.dumps({"accounts": "127.0.0.1:1"}))
        assert list(whereabouts.running(project.layout)) == ["accounts"]


def test_a_pipe_or_a_link_is_not_followed(project: Project, tmp_path: Path) -> None:
    os.mkfifo(project.layout.at(".scaffold/up-1.json"))
    project.layout.path(".scaffold/up-2.json").symlink_to(tmp_path / "topology.yaml")
    assert whereabouts.running(project.layout) == {}
    assert (tmp_path / "topology.yaml").exists()


def test_without_an_output_folder_nobody_is_told(household: Household) -> None:
    opened = household.open()
    with whereabouts.told(opened.layout, place(opened.topology.servers.values(), "auto")):
        assert whereabouts.running(opened.layout) == {}
