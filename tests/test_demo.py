"""`make demo` has colours for a terminal alone."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "tools" / "demo.sh"
BOLD = "\x1b[1m"


def begun(stdout: int, environment: Mapping[str, str] = {}) -> None:
    """Its first line; the Python that is then to make an environment is `false`."""
    without = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        ["sh", SCRIPT, "false", Path("demo").absolute()],
        cwd=SCRIPT.parent.parent,
        env={**without, **environment},
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_sees_commands_in_bold_unless_it_asks_for_no_colour(
    *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    ours, theirs = pty.openpty()
    begun(theirs, environment)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "$ python3 -m venv" in shown
    assert (BOLD in shown) is coloured


def test_a_file_gets_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "said").open("wb") as said:
        begun(said.fileno())
    text = (tmp_path / "said").read_text()
    assert "$ python3 -m venv" in text
    assert "\x1b" not in text
