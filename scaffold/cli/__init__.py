"""The command line: one small module per verb, wiring and exit codes alone."""

from __future__ import annotations


def main() -> None:
    """The entry point of the `scaffold` command."""
    from scaffold.cli.app import run

    raise SystemExit(run())
