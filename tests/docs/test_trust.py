"""The commands of docs/trust.md, run in its order, in a home that has nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.console import run, steps
from tests.requirements import require_command

PAGE = Path(__file__).parents[2] / "docs" / "trust.md"


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    require_command("certutil")
    ran = steps(PAGE.read_text("utf-8"))
    assert len(ran) == 10
    for step in ran:
        assert "scaffold trust" not in step.command or "--store nss" in step.command, "this machine is left alone"
        done = run(step, tmp_path)
        step.assert_shown(done.stdout, done.stderr)
