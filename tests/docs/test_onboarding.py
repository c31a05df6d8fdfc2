"""The commands of docs/onboarding.md, run in its order: each ends as it says, and prints the lines that it shows."""

from __future__ import annotations

from pathlib import Path

from tests.cli.harness import scaffold
from tests.docs.console import run, steps

PAGE = Path(__file__).parent.parent.parent / "docs" / "onboarding.md"


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    assert scaffold("init", "--example", "minimal", cwd=tmp_path).code == 0
    assert scaffold("apply", cwd=tmp_path).code == 0
    ran = steps(PAGE.read_text("utf-8"))
    assert len(ran) == 13
    for step in ran:
        done = run(step, tmp_path)
        step.assert_shown(done.stdout, done.stderr)
