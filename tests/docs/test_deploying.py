"""The commands of docs/deploying.md, run in its order: each ends as it says, and prints the lines that it shows."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from scaffold.running.ports import free_addresses
from tests.cli.harness import scaffold
from tests.docs.console import run, steps

PAGE = Path(__file__).parents[2] / "docs/deploying.md"
PORT = "18443"


def test_a_project_runs_on_its_host_and_takes_up_what_is_brought_to_it(tmp_path: Path) -> None:
    port = str(free_addresses(1)[0].port)
    assert scaffold("init", "--example", "minimal", cwd=tmp_path).code == 0
    found = steps(PAGE.read_text("utf-8").replace(PORT, port))
    assert len(found) == 13
    try:
        for step in found:
            ended = run(step, tmp_path)
            step.assert_shown(ended.stdout, ended.stderr)
    finally:
        pid = tmp_path / "host/pid"
        if pid.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGKILL)
