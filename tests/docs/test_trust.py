"""The commands of docs/trust.md, run in its order, in a home with an NSS database and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.console import run, steps
from tests.unit.trusting.lab import database

PAGE = Path(__file__).parents[2] / "docs" / "trust.md"


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    database(tmp_path / ".pki" / "nssdb")
    ran = steps(PAGE.read_text("utf-8"))
    assert len(ran) == 6
    for step in ran:
        assert "trust" not in step.command or "--store nss" in step.command, "nothing of this machine is changed"
        done = run(step, tmp_path)
        step.assert_shown(done.stdout, done.stderr)
