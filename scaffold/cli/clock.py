"""The only place that reads the clock."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This moment in UTC, to the second, which is as fine as a certificate's dates are."""
    return datetime.now(UTC).replace(microsecond=0)
