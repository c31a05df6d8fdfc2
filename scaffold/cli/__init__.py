"""The command line: one small module per verb, wiring and exit codes alone."""

from __future__ import annotations

import gc
import os
import sys
import warnings

COLLECT_AFTER = 1_000_000
"""New objects between two looks for garbage: what imports, topologies and plans make stays until the end."""


def main() -> None:
    """The entry point of the `scaffold` command."""
    gc.set_threshold(COLLECT_AFTER)
    # A umask is about others: one that takes the owner's rights away makes files that nobody can go on with.
    os.umask(os.umask(0o077) & 0o077)
    if not sys.warnoptions:  # -W and PYTHONWARNINGS still show them to a programmer
        warnings.simplefilter("ignore")

    _open_standard_streams()
    from scaffold.cli.app import run

    code = run()
    # The process ends and frees everything; to look through a large plan for garbage first would only take longer.
    gc.freeze()
    raise SystemExit(code)


def _open_standard_streams() -> None:
    """Make a standard stream that is closed the null device.

    Otherwise the next file that is opened takes its number, and what a child process prints is written into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: that of the stream
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115
