"""Runs the programs to which the stores belong, in English and without anything of our own environment."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from scaffold.errors import TrustError
from scaffold.running.services import handed_on

ANSWERS_WITHIN: Final = 300.0
"""Seconds: a system's store runs hooks, and a machine may be slow."""


def attempt(
    command: Sequence[str], environment: Mapping[str, str] | None = None, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with `text` as its input. Raises TrustError where it cannot be started or does not end."""
    try:
        return subprocess.run(
            command,
            env={**handed_on(), "LC_ALL": "C.UTF-8", **(environment or {})},
            input=text or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWERS_WITHIN,
            check=False,
        )
    except OSError as error:
        raise TrustError(f"cannot run {command[0]}: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        raise TrustError(f"{command[0]} did not end within {ANSWERS_WITHIN:.0f} s", hint="run it by hand") from error


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that a program printed, which is where it says what is wrong."""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"
