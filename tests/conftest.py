"""What all tests share."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Runners vary in speed; a slow one must not turn a property into a failure. Examples in CI are always the same ones.
settings.register_profile("default", deadline=None, max_examples=60)
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A runner in the background ignores these, its children inherit that, and no shell script can trap them again
# (POSIX, 2.11). The tests send them to what they start.
for number, default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)

# pytest-xdist tells its workers how wide the terminal is; a test that wants a width says so.
os.environ.pop("COLUMNS", None)
