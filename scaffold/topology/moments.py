"""Moments as people write them in a topology: RFC 3339 in UTC, to the second."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from scaffold.topology.messages import Invalid, shown

PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?$"

_FIRST_YEAR, _LAST_YEAR = 1970, 2999
"""What is issued in this millennium ends before 9999-12-31, the last date of a certificate (RFC 5280 4.1.2.5)."""


def parse_moment(text: str) -> datetime:
    """`2026-01-01T00:00:00Z`, or `2026-01-01` for its first second, as aware UTC. Raises `Invalid`."""
    if re.fullmatch(PATTERN.strip("^$"), text) is None:
        raise Invalid(f"{shown(text)} is not a moment", "write it in UTC, to the second: 2026-01-01T00:00:00Z")
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError as error:
        raise Invalid(f"{shown(text)} is not a moment: {error}", "2026-01-01T00:00:00Z is one") from error
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise Invalid(f"{shown(text)} is too far away", f"a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment
