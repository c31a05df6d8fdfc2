"""Where a running `up` says that its servers are: true while it runs, and gone with it, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from scaffold.cli.project import Project
from scaffold.running import whereabouts
from scaffold.running.placement import Placed, place
from scaffold.running.ports import Holder, free_addresses
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
    with whereabouts.told(project.layout) as tell:
        tell(placements)
        assert whereabouts.running(project.layout) == {"accounts": placements["accounts"].address}
        assert said_files(project.layout) == [f"up-{os.getpid()}.json"]
    assert whereabouts.running(project.layout) == {}
    assert said_files(project.layout) == []


def test_what_a_killed_one_has_left_is_believed_by_nobody(project: Project) -> None:
    placements = place(project.topology.servers.values(), "auto")
    ready, tell_ready = os.pipe()
    child = os.fork()
    if child == 0:
        with whereabouts.told(project.layout) as tell:
            tell(placements)
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


def test_where_no_folder_can_be_made_nobody_is_told(household: Household) -> None:
    opened = household.open()
    opened.layout.out.write_text("a file")
    with whereabouts.told(opened.layout) as tell:
        tell(place(opened.topology.servers.values(), "auto"))
        assert whereabouts.ups(opened.layout) == ()
    assert opened.layout.out.read_text() == "a file"


def test_that_it_starts_is_told_from_its_first_moment(household: Household) -> None:
    """Before there is an output folder, and without leaving one where it makes nothing else."""
    opened = household.open()
    placements = place(opened.topology.servers.values(), "auto")
    with whereabouts.told(opened.layout) as tell:
        assert whereabouts.ups(opened.layout) == (whereabouts.Up(os.getpid(), None),)
        assert whereabouts.running(opened.layout) == {}
        tell(placements)
        at = {"accounts": placements["accounts"].address}
        assert whereabouts.ups(opened.layout) == (whereabouts.Up(os.getpid(), at),)
    assert not opened.layout.out.exists()


def test_what_was_read_before_the_servers_were_ready_stays_locked(project: Project) -> None:
    """Or else a reader that has opened it would take the file that came in its place for a dead one's."""
    path = project.layout.path(f".scaffold/up-{os.getpid()}.json")
    with whereabouts.told(project.layout) as tell, path.open("rb") as early:
        tell(place(project.topology.servers.values(), "auto"))
        with pytest.raises(BlockingIOError):
            fcntl.flock(early, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_it_is_known_which_servers_are_run_where_the_topology_says(project: Project) -> None:
    servers = tuple(project.topology.servers.values())
    (accounts,) = servers
    there = {"accounts": Placed(accounts, accounts.listen, accounts.health)}
    with whereabouts.told(project.layout) as tell:
        assert whereabouts.holders(project.layout, servers, "stop it") == {}, "it is not known yet where they will be"
        tell(place(servers, "auto"))
        assert whereabouts.holders(project.layout, servers, "stop it") == {}, "elsewhere it is in nobody's way"
        tell(there)
        found = whereabouts.holders(project.layout, servers, "stop it")
    assert found == {"server.accounts": Holder(f"`scaffold up` (process {os.getpid()})", "stop it")}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows who listens")
def test_an_up_publishes_where_its_own_process_listens(project: Project) -> None:
    (where,) = free_addresses(1)
    with socket.create_server((where.host, where.port)):
        assert whereabouts.publishes(project.layout, where, "leave it") is None, "no up runs"
        with whereabouts.told(project.layout):
            known = whereabouts.publishes(project.layout, where, "leave it")
    assert known == Holder(f"`scaffold up` (process {os.getpid()})", "leave it")
    with whereabouts.told(project.layout):
        assert whereabouts.publishes(project.layout, where, "leave it") is None, "it is another's, or nobody's"
