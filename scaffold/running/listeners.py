"""Who listens on a port of this machine, as far as Linux's /proc lets the asker see it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from scaffold.topology.model import HostPort

_PROC = Path("/proc")
_LISTEN = "0A"
"""TCP_LISTEN in the fourth column of /proc/net/tcp (proc_net_tcp in the kernel's documentation)."""


def who_listens(address: HostPort, proc: Path = _PROC) -> str | None:
    """Its program and process, `listener (process 4711)`; None where that cannot be known.

    The name of the program alone: a command line may hold a password. Another user's processes are not shown.
    """
    for process in _listeners(address, proc):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return f"{(process / 'comm').read_text('utf-8').strip()} (process {process.name})"
    return None


def listens(process: int, address: HostPort, proc: Path = _PROC) -> bool:
    """Whether a process is seen to listen on the port of `address`."""
    return any(listener.name == str(process) for listener in _listeners(address, proc))


def _listeners(address: HostPort, proc: Path) -> Iterator[Path]:
    """The folders of the processes that listen on the port, the first of them first."""
    sockets = set(_listening(address.port, proc))
    if not sockets:
        return
    for process in sorted((path for path in proc.iterdir() if path.name.isdigit()), key=lambda path: int(path.name)):
        if sockets & set(_open(process)):
            yield process


def _listening(port: int, proc: Path) -> Iterator[str]:
    """What a descriptor of each socket that listens on the port points to, whatever its address."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text("ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{columns[9]}]"


def _open(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(descriptor.readlink())
