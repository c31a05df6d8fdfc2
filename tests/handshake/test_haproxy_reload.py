"""HAProxy told to reload while it reloads: the last word counts, although HAProxy itself does not hear all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.contract.model import Failed
from scaffold.contract.room import Room, Running
from scaffold.kinds import catalogue
from scaffold.pki.randomness import OPERATING_SYSTEM
from tests.handshake.nginx_lab import until
from tests.requirements import require_command

require_command("haproxy")


@pytest.fixture(params=["haproxy", "starter"])
def room(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Room]:
    """The built-in template, and the one that others begin with."""
    kind = catalogue.starter() if request.param == "starter" else catalogue.builtin("haproxy", "server")
    with Room(kind, request.param, datetime.now(UTC), 60, 20, tmp_path, OPERATING_SYSTEM) as room:
        yield room


def shows(running: Running, serial: int) -> bool:
    try:
        return running.serial() == serial
    except Failed:
        return False


def test_what_is_new_is_loaded_however_quickly_it_was_told(room: Room) -> None:
    with room.started() as running:
        running.ask_allowed()
        for _ in range(4):
            for _ in range(20):
                running.service.reload()
            wanted = room.renew()
            running.service.reload()
            until(lambda wanted=wanted: shows(running, wanted), within=60)
            running.ask_allowed()


def test_a_configuration_that_does_not_load_leaves_the_old_one_and_the_next_is_heard(room: Room) -> None:
    with room.started() as running:
        running.ask_allowed()
        config = room.applied.folder(room.server.address) / "haproxy.cfg"
        sound = config.read_text()
        config.write_text(sound.replace("mode http", "mode htttp"))
        running.service.reload()
        until(lambda: any("not reloaded; the old configuration stays" in line for line in running.service.last_lines))
        running.ask_allowed()
        config.write_text(sound)
        wanted = room.renew()
        running.service.reload()
        until(lambda: shows(running, wanted), within=60)
