"""What went wrong becomes a few lines on standard error and an exit code; no traceback reaches a user."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable

from scaffold.errors import ScaffoldError

ERROR = 1
SOMETHING_DUE = 3
"""`plan --check` found something to do; `status --within` found something due."""
CONFLICT = 4
"""`apply` left something undone because it would have cost a person's edit."""
PROBE_FAILED = 5
"""A probe of `verify` or a check of `templates check` failed, `tls/` drifted, or nothing was tried.

For `call`: a server let somebody in who is not listed."""
NOT_LET_IN = 6
"""`call` was refused, as it must be: the call is not listed in the topology."""

DETAILS = "SCAFFOLD_TRACEBACK"
"""Set in the environment, it shows the traceback of a defect."""


def guard(command: Callable[[], object]) -> int:
    """Call `command`, report whatever it raises, and return the process's exit code."""
    try:
        command()
        sys.stdout.flush()
    except SystemExit as end:
        return _flushed(_code(end))
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 128 + signal.SIGINT
    except ScaffoldError as error:
        from scaffold.view.errors import error_text

        _say(error_text(error))
    except Exception as error:
        _unforeseen(error)
    return ERROR


def _code(end: SystemExit) -> int:
    return end.code if isinstance(end.code, int) else int(end.code is not None)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    return code


def _reader_left() -> int:
    """The reader of our output went away (`scaffold plan | head`): end quietly, as SIGPIPE would have it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _unforeseen(error: Exception) -> None:
    if os.environ.get(DETAILS):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        _say(f"error: {where}{error.strerror}")
        return
    from scaffold.view.terminal import one_line

    _say(
        f"error: {type(error).__name__}: {one_line(str(error))[:300]}\n"
        f"hint: this is a defect in scaffold; {DETAILS}=1 shows the details that a report needs"
    )


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)
