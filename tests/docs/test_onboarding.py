"""The commands of docs/onboarding.md, run in its order: each ends as it says, and prints the lines that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cli.harness import scaffold

PAGE = Path(__file__).parent.parent.parent / "docs" / "onboarding.md"
EXITS = re.compile(r"#\s*exits with (\d+)")


def steps(page: str) -> list[tuple[str, list[str]]]:
    """Each command, and the lines that it is said to print."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            found.append((command, shown))
    return found


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    assert scaffold("init", "--example", "minimal", cwd=tmp_path).code == 0
    assert scaffold("apply", cwd=tmp_path).code == 0
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    environment.pop("FORCE_COLOR", None)
    ran = steps(PAGE.read_text("utf-8"))
    assert len(ran) == 13
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
        said = done.stdout + done.stderr
        exits = EXITS.search(command)
        assert done.returncode == (int(exits[1]) if exits else 0), f"$ {command}\n{said}"
        for line in shown:
            assert squeezed(line) in squeezed(said), f"$ {command}\n{said}"
