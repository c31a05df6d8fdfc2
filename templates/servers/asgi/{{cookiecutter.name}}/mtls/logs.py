"""What the server itself logs, whatever the application makes of Python's logging: who called is written down."""

from __future__ import annotations

import logging
from datetime import datetime

LEVELS = {
    **dict.fromkeys(("access", "connections", "revocation", "server"), logging.INFO),
    **dict.fromkeys(("sessions", "settings", "tls", "workers"), logging.INFO),
    "uvicorn": logging.WARNING,
}


class _Format(logging.Formatter):
    """Lines that begin with the time and its offset from UTC (ISO 8601)."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


_LINES = logging.StreamHandler()
_LINES.setFormatter(_Format("%(asctime)s %(name)s: %(message)s"))


def begin() -> None:
    """Before the application: what it logs itself looks the same, unless it says otherwise."""
    logging.basicConfig(level=logging.INFO, handlers=[_LINES])
    assert_own()


def assert_own() -> None:
    """After the application had its say: `dictConfig` disables every logger that it does not name."""
    for name, level in LEVELS.items():
        logger = logging.getLogger(name)
        logger.disabled, logger.propagate, logger.handlers = False, False, [_LINES]
        logger.setLevel(level)
