"""Whether a secret that a person keeps would get into a git repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

_WITHIN: Final = 10.0
"""Seconds, after which git is not waited for any more."""


def would_commit(file: Path) -> bool:
    """Whether git has the file, or `git add --all` would take it up: nothing ignores it.

    False where it is in no repository, and where git is not there or does not answer.
    """
    if not any((folder / ".git").exists() for folder in file.parents):
        return False
    # A monitor is a program that the repository's configuration names; nothing of it is run for a question.
    asked = ["git", "-c", "core.fsmonitor=false", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        said = subprocess.run(
            [*asked, f":(literal){file.name}"],
            cwd=file.parent, env=environment, capture_output=True, timeout=_WITHIN, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(said.stdout)
