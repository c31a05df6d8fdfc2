"""What a test needs of the machine: here it is skipped in plain sight where that is missing, in CI it fails."""

from __future__ import annotations

import os
import shutil

import pytest


def in_ci() -> bool:
    """Whether this run is continuous integration, where nothing that can be installed may be missing."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def require(present: object, what: str) -> None:
    """Skip the test with the reason when `present` is false; fail instead under CI.

    Works at module level too, where it skips the whole module.
    """
    if present:
        return
    reason = f"needs {what}"
    if in_ci():
        pytest.fail(f"{reason}, and CI must have it", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def require_command(*commands: str) -> str:
    """Require that every command is on PATH (or in sbin, where Debian keeps nginx); the path of the first one."""
    found = [which(command) for command in commands]
    missing = [command for command, path in zip(commands, found, strict=True) if path is None]
    require(not missing, " and ".join(missing) + " on PATH")
    return str(found[0])


def which(command: str) -> str | None:
    """Where a command is: on PATH, or in the folders for administrators that a plain user's PATH may lack."""
    return shutil.which(command) or shutil.which(command, path="/usr/local/sbin:/usr/sbin:/sbin")
