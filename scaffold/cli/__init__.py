"""The command line: one small module per verb, wiring and exit codes alone."""

from __future__ import annotations

import gc


def main() -> None:
    """The entry point of the `scaffold` command."""
    from scaffold.cli.app import run

    code = run()
    # The process ends and frees everything; to look through a large plan for garbage first would only take longer.
    gc.freeze()
    raise SystemExit(code)
