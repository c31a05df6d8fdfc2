"""Runs the command as a user would, and measures its cost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SCAFFOLD = [sys.executable, "-c", "from scaffold.cli import main; main()"]


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and of CPU time in user and system mode."""

    wall: float
    cpu: float


def environment() -> dict[str, str]:
    """This process's, with compiled bytecode kept, as it is wherever a package is installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "scaffold-benchmark-bytecode")}


def run(command: list[str], folder: Path | None = None) -> tuple[Cost, str]:
    """Runs `command` in `folder`; what it cost, and its standard output. Raises CalledProcessError."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), done.stdout
