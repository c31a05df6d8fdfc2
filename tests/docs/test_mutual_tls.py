"""The commands of docs/mutual-tls.md, run in its order, and its diagram, which is the one that explain draws."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.console import run, steps

PAGE = (Path(__file__).parents[2] / "docs" / "mutual-tls.md").read_text("utf-8")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")


def drawn(text: str) -> list[str]:
    """A diagram without its moments, and without its last line: what verify saw needs the template's program."""
    return MOMENT.sub("", text).strip().splitlines()[:-1]


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    ran = steps(PAGE)
    assert len(ran) == 6
    for step in ran:
        done = run(step, tmp_path)
        step.assert_shown(done.stdout)
        if "mermaid" in step.command:
            diagram = re.search(r"```mermaid\n(.*?)```", PAGE, re.S)
            assert diagram is not None
            assert drawn(done.stdout) == drawn(diagram[1])
