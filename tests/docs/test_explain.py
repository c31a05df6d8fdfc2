"""The commands of docs/explain.md, run in its order: each prints the lines that it is said to print, in that order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scaffold.running.services import free_addresses
from tests.cli.harness import scaffold
from tests.docs.test_onboarding import squeezed, steps

PAGE = Path(__file__).parent.parent.parent / "docs" / "explain.md"
PORT = "8443"


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    port = str(free_addresses(1)[0].port)
    assert scaffold("init", "--example", "minimal", cwd=tmp_path).code == 0
    topology = tmp_path / "topology.yaml"
    topology.write_text(topology.read_text("utf-8").replace(PORT, port), "utf-8")
    assert scaffold("apply", cwd=tmp_path).code == 0
    assert scaffold("verify", "--ports", "auto", cwd=tmp_path).code == 0
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    environment.pop("FORCE_COLOR", None)
    ran = steps(PAGE.read_text("utf-8").replace(PORT, port))
    assert len(ran) == 8
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
        said = squeezed(done.stdout)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        at = 0
        for line in shown:
            found = said.find(squeezed(line), at)
            assert found >= 0, f"$ {command}\n{line}\n{done.stdout}"
            at = found + len(squeezed(line))
