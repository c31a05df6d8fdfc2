"""The checks of a contract are made one by one, and one that fails keeps none of the others from being made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.contract import run
from scaffold.contract.model import Check, ContractReport, Failed, Untried
from scaffold.contract.room import Room
from scaffold.errors import KindError
from scaffold.kinds import catalogue
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.verify.model import Result

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KIND = catalogue.builtin("python", "server")


def raising(error: Exception) -> Callable[[Room], str]:
    def attempt(room: Room) -> str:
        raise error

    return attempt


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Callable[[Room], str]] = {
        "good": lambda room: "as it should be",
        "broken": raising(Failed("it is\n  not so")),
        "not here": raising(Untried("no such command")),
        "no template": raising(KindError("nothing is rendered")),
        "last": lambda room: "was tried too",
    }
    monkeypatch.setattr(run, "checks_of", lambda kind: made)


@pytest.mark.usefixtures("checks")
def test_each_ends_in_its_own_way() -> None:
    told: list[tuple[str, int]] = []
    report = run.check(KIND, "python", NOW, on_check=lambda one, total: told.append((one.name, total)))
    assert report.checks == (
        Check("good", Result.PASSED, "as it should be"),
        Check("broken", Result.FAILED, "it is | not so"),
        Check("not here", Result.SKIPPED, "no such command"),
        Check("no template", Result.FAILED, "nothing is rendered"),
        Check("last", Result.PASSED, "was tried too"),
    )
    assert told == [(one.name, 5) for one in report.checks]
    assert report.summary == {Result.PASSED: 2, Result.FAILED: 2, Result.SKIPPED: 1}
    assert report.failed


@pytest.mark.usefixtures("checks")
def test_those_that_are_named_are_tried_alone() -> None:
    report = run.check(KIND, "python", NOW, only=["last", "good"])
    assert [one.name for one in report.checks] == ["good", "last"]
    assert not report.failed


def test_what_could_not_be_tried_has_shown_nothing() -> None:
    skipped = Check("ready", Result.SKIPPED, "not installed")
    assert ContractReport("mine", "server", (skipped,)).failed
    assert not ContractReport("mine", "server", (skipped, Check("run-sh", Result.PASSED, ""))).failed


def test_what_is_made_once_fails_once(tmp_path: Path) -> None:
    """A server that does not come up is waited for once, and not by every check."""
    calls = []

    def make() -> str:
        calls.append(1)
        raise Failed("it ended")

    with Room(KIND, "python", NOW, 1, 1, tmp_path, OPERATING_SYSTEM) as room:
        with pytest.raises(Failed, match="it ended"):
            room._once("it did not start", make)
        with pytest.raises(Untried, match="it did not start"):
            room._once("it did not start", make)
        assert room._once("another", lambda: "made") == room._once("another", lambda: "anew") == "made"
    assert len(calls) == 1


def test_servers_and_clients_have_their_own_checks() -> None:
    of_server, of_client = run.checks_of(KIND), run.checks_of(catalogue.builtin("python", "client"))
    assert "hup" in of_server
    assert "hup" not in of_client
    assert "nobody-there" in of_client
    assert "nobody-there" not in of_server
    assert [name for name in of_server if name.startswith("mutation: ")]
