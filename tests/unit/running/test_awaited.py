"""A call waits for an `up` that begins or starts, as long as one may, and says for what."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from scaffold.cli.project import Project
from scaffold.running import awaited
from scaffold.running.placement import place
from scaffold.running.ports import free_addresses
from scaffold.running.whereabouts import Up, running, told, ups
from scaffold.store.layout import Layout
from scaffold.topology.model import HostPort
from tests.unit.conftest import Household


@pytest.fixture
def project(household: Household) -> Project:
    return household.open()


@pytest.fixture
def free() -> HostPort:
    return free_addresses(1)[0]


def at_the_fourth_look(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Who waits looks again and again: only then does it happen."""
    looks = itertools.count(1)

    def look(layout: Layout) -> tuple[Up, ...]:
        if next(looks) == 4:
            happens()
        return ups(layout)

    monkeypatch.setattr(awaited, "ups", look)


@pytest.fixture
def until_the_end() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(("is_applied", "why"), [(False, "Nothing was applied yet"), (True, "Nobody listens on")])
def test_it_waits_until_an_up_begins(
    *,
    project: Project,
    free: HostPort,
    until_the_end: contextlib.ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    is_applied: bool,
    why: str,
) -> None:
    at_the_fourth_look(monkeypatch, lambda: until_the_end.enter_context(told(project.layout)))
    said: list[str] = []
    awaited.until_begun(project.layout, free, is_applied=is_applied, say=said.append)
    assert [up.process for up in ups(project.layout)] == [os.getpid()]
    assert [what.partition(",")[0].startswith(why) for what in said] == [True]


@pytest.mark.parametrize("is_applied", [False, True])
def test_it_does_not_wait_for_ever(
    *, project: Project, free: HostPort, monkeypatch: pytest.MonkeyPatch, is_applied: bool
) -> None:
    monkeypatch.setattr(awaited, "BEGINS_WITHIN", 0.2)
    monkeypatch.setattr(awaited, "FIRST_BEGINS_WITHIN", 0.2)
    said: list[str] = []
    awaited.until_begun(project.layout, free, is_applied=is_applied, say=said.append)
    assert ["waiting 0.2 seconds" in what for what in said] == [True]


def refuse(what: str) -> None:
    raise AssertionError(what)


def test_it_does_not_wait_where_somebody_listens_or_another_machine_would(project: Project, free: HostPort) -> None:
    with socket.create_server((free.host, free.port)):
        awaited.until_begun(project.layout, free, is_applied=True, say=refuse)
    awaited.until_begun(project.layout, HostPort("192.0.2.1", 8443), is_applied=True, say=refuse)
    awaited.until_started(project.layout, refuse)


def test_it_waits_until_the_servers_of_an_up_are_ready(
    project: Project, free: HostPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    placements = place(project.topology.servers.values(), "auto")
    said: list[str] = []
    with told(project.layout) as tell:
        awaited.until_begun(project.layout, free, is_applied=False, say=refuse)
        at_the_fourth_look(monkeypatch, lambda: tell(placements))
        awaited.until_started(project.layout, said.append)
        assert list(running(project.layout)) == ["accounts"]
        awaited.until_started(project.layout, refuse)
    assert said == [f"Waiting for `scaffold up` (process {os.getpid()}) to start the servers …"]


def test_it_waits_no_longer_for_an_up_that_has_ended(project: Project, until_the_end: contextlib.ExitStack) -> None:
    until_the_end.enter_context(told(project.layout))
    awaited.until_started(project.layout, lambda what: until_the_end.close())
    assert ups(project.layout) == ()
