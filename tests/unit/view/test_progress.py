"""Progress on a terminal, and none in a pipe."""

from __future__ import annotations

import io

import pytest

from scaffold.view.progress import WIDEST, progress, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error as a terminal, from now on: pytest takes it back between fixture and test."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return stream


def test_a_terminal_shows_what_is_done_and_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with progress("Planning") as steps:
        steps.doing("Trying", 1_300)
        steps.done("web at api")
        steps.done("ops at api")
    assert "Planning" in stream.getvalue()
    assert "Trying: ops at api" in stream.getvalue()
    assert "2 of 1,300" in stream.getvalue()


def test_a_line_that_stays_is_shown_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    say("Starting 5 servers.")
    assert shown.getvalue() == "Starting 5 servers.\n"
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    say("Starting 5 servers.")
    assert pipe.getvalue() == ""


def test_what_nobody_can_count_is_shown_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with progress("Planning"):
        pass
    assert "Planning" in stream.getvalue()
    assert " of " not in stream.getvalue()


def test_how_many_there_are_may_be_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with progress("Checking") as steps:
        steps.done("one", 7)
    assert "1 of 7" in stream.getvalue()


def test_what_is_done_fits_and_cannot_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with progress("Trying", 2) as steps:
        steps.done("\x1b[2J[bold]" + "x" * 200)
    assert "\x1b[2J" not in stream.getvalue().removeprefix("\x1b[?25l")
    assert "[bold]xxx" in stream.getvalue()
    assert "x" * WIDEST not in stream.getvalue()


def test_a_pipe_and_a_dumb_terminal_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    dumb = terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with progress("Planning", 2) as steps:
        steps.done("one")
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stderr", pipe)
    monkeypatch.setenv("TERM", "xterm")
    with progress("Planning", 2) as steps:
        steps.doing("Trying")
        steps.done("one")
    assert (dumb.getvalue(), pipe.getvalue()) == ("", "")
