"""Commands that see another clock than this machine's, by libfaketime.

It is preloaded without its wrapper, `faketime`, which names a semaphore by its process id and leaves it behind where it
is killed: a later one of the same id does not start.
"""

from __future__ import annotations

from pathlib import Path

from tests.requirements import require

_LIBRARY = "faketime/libfaketime.so.1"


def command_at(clock: str) -> list[str]:
    """What stands before a command for which it is another time.

    `clock` is an offset (`-365d`) or a moment (`@2026-01-01 00:00:00`), from which it goes on in each process.
    """
    found = [path for place in ("lib64", "lib", "lib/*") for path in Path("/usr").glob(f"{place}/{_LIBRARY}")]
    require(found, "faketime")
    return ["env", f"LD_PRELOAD={found[0]}", f"FAKETIME={clock}", "FAKETIME_DISABLE_SHM=1"]
