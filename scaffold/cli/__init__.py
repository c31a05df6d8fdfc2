"""The command line: one small module per verb, wiring and exit codes alone."""

from __future__ import annotations

import gc
import os
import sys
import warnings

COLLECT_AFTER = 100_000
"""New objects between two looks for garbage: what imports, topologies and plans make stays until the end."""


def main() -> None:
    """The entry point of the `scaffold` command."""
    gc.set_threshold(COLLECT_AFTER)
    # A umask is about others: one that takes the owner's rights away makes files that nobody can go on with.
    os.umask(os.umask(0o077) & 0o077)
    if not sys.warnoptions:  # -W and PYTHONWARNINGS still show them to a programmer
        warnings.simplefilter("ignore")

    from scaffold.cli.app import run

    code = run()
    # The process ends and frees everything; to look through a large plan for garbage first would only take longer.
    gc.freeze()
    raise SystemExit(code)
