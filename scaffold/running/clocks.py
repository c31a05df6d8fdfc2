"""Whether what is started here sees the same time as this process, whose clock may be another for it alone."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import Final

from scaffold.running.services import handed_on

_WITHIN: Final = timedelta(minutes=1)
"""Seconds pass while a program starts; no certificate is made for less than minutes."""


def another_clock(now: datetime) -> datetime | None:
    """What the time is for a program that is started here, where that is not about `now`, the time of this process.

    libfaketime, preloaded, gives one process another clock, and is not handed on. None where it cannot be asked, too.
    """
    try:
        said = subprocess.run(["date", "+%s"], env=handed_on(), capture_output=True, text=True, timeout=10, check=True)
        there = datetime.fromtimestamp(int(said.stdout), UTC)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return there if abs(there - now) > _WITHIN else None
