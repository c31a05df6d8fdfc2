"""Whether a secret that a person keeps would get into a git repository."""

from __future__ import annotations

import enum
import os
import subprocess
from pathlib import Path
from typing import Final

_WITHIN: Final = 10.0
"""Seconds, after which git is not waited for any more."""


class Standing(enum.Enum):
    """What a file is to git."""

    LEFT_OUT = enum.auto()
    """It is ignored, or in no repository."""
    TAKEN_UP = enum.auto()
    """`git add --all` would take it up: nothing ignores it."""
    TRACKED = enum.auto()
    """Git has it, and no .gitignore changes that (gitignore(5))."""


def standing(file: Path) -> Standing:
    """What git would do with the file; LEFT_OUT as well where git is not there or does not answer."""
    if not any((folder / ".git").exists() for folder in file.parents):
        return Standing.LEFT_OUT
    # A monitor is a program that the repository's configuration names; nothing of it is run for a question.
    asked = ["git", "-c", "core.fsmonitor=false", "ls-files", "-t", "--cached", "--others", "--exclude-standard"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        said = subprocess.run(
            [*asked, "-z", "--", f":(literal){file.name}"],
            cwd=file.parent, env=environment, capture_output=True, timeout=_WITHIN, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return Standing.LEFT_OUT
    if not said.stdout:
        return Standing.LEFT_OUT
    return Standing.TAKEN_UP if said.stdout.startswith(b"?") else Standing.TRACKED
