"""The commands of docs/mutual-tls.md, run in its order, and its diagram, which is the one that explain draws."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.test_onboarding import EXITS, squeezed, steps

PAGE = (Path(__file__).parents[2] / "docs" / "mutual-tls.md").read_text("utf-8")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")


def drawn(text: str) -> list[str]:
    """A diagram without its moments, and without its last line: what verify saw needs the template's program."""
    return MOMENT.sub("", text).strip().splitlines()[:-1]


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    environment.pop("FORCE_COLOR", None)
    ran = steps(PAGE)
    assert len(ran) == 6
    for command, shown in ran:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        exits = EXITS.search(command)
        assert done.returncode == (int(exits[1]) if exits else 0), f"$ {command}\n{done.stdout}{done.stderr}"
        for line in shown:
            assert squeezed(line) in squeezed(done.stdout), f"$ {command}\n{line}\n{done.stdout}"
        if "mermaid" in command:
            diagram = re.search(r"```mermaid\n(.*?)```", PAGE, re.S)
            assert diagram is not None
            assert drawn(done.stdout) == drawn(diagram[1])
