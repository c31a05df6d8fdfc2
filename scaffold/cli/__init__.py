"""The command line: one small module per verb, wiring and exit codes alone."""

from __future__ import annotations


def main() -> None:
    """The entry point of the `scaffold` command."""
    raise SystemExit("error: no verbs yet")
