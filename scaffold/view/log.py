"""A log for programs: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime


def json_line(event: Mapping[str, object]) -> str:
    """One event on one line; moments as RFC 3339 in UTC."""
    return json.dumps(event, ensure_ascii=False, default=_text)


def _text(value: object) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)
