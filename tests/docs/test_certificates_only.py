"""The commands of docs/certificates-only.md, run in its order: each ends as it says, and prints the lines it shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.harness import scaffold
from tests.docs.test_onboarding import EXITS, squeezed, steps

PAGE = Path(__file__).parents[2] / "docs/certificates-only.md"


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    assert scaffold("init", "--example", "mosquitto", cwd=tmp_path).code == 0
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    environment.pop("FORCE_COLOR", None)
    ran = steps(PAGE.read_text("utf-8"))
    assert len(ran) == 9
    for command, shown in ran:
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        said = done.stdout + done.stderr
        exits = EXITS.search(command)
        assert done.returncode == (int(exits[1]) if exits else 0), f"$ {command}\n{said}"
        for line in shown:
            assert squeezed(line) in squeezed(said), f"$ {command}\n{said}"
