"""Where the servers of a running `up` are: it says so while it runs, and whoever calls one of them looks there.

Each `up` has a file in `.scaffold/` that it holds locked. The lock ends with the process, however that ends, so what a
killed one has left behind is told from what is true. POSIX alone has such locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Final

from scaffold.running.placement import Placements
from scaffold.store.layout import Layout
from scaffold.topology.messages import Invalid
from scaffold.topology.model import HostPort
from scaffold.topology.names import host_port

_FOLDER: Final = ".scaffold"
_NAME: Final = re.compile(r"up-[0-9]+\.json")
_MOST_BYTES: Final = 16 * 1024 * 1024

Whereabouts = Mapping[str, HostPort]
"""By a server's name, where callers on this machine find it."""


@contextlib.contextmanager
def told(layout: Layout, placements: Placements) -> Iterator[None]:
    """Says within where the servers are; in a folder that may not be written to, nobody is told."""
    descriptor, path = _tell(layout, {name: str(placed.address) for name, placed in placements.items()})
    try:
        yield
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108
            os.close(descriptor)


def _tell(layout: Layout, addresses: Mapping[str, str]) -> tuple[int | None, str]:
    """The locked descriptor of the file, which is whole and locked before it has its name."""
    path = layout.at(f"{_FOLDER}/up-{os.getpid()}.json")
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".up-", dir=layout.at(_FOLDER))
    except OSError:
        return None, path
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(addresses).encode())
        os.replace(temporary, path)  # noqa: PTH105
    except OSError:
        os.unlink(temporary)  # noqa: PTH108
        os.close(descriptor)
        return None, path
    return descriptor, path


def running(layout: Layout) -> Whereabouts:
    """Where the servers of all that run are; none where nothing runs, or where that cannot be read."""
    found: dict[str, HostPort] = {}
    with contextlib.suppress(OSError):
        for name in sorted(filter(_NAME.fullmatch, os.listdir(layout.at(_FOLDER)))):  # noqa: PTH208
            found.update(_said_by(layout.at(f"{_FOLDER}/{name}")))
    return found


def _said_by(path: str) -> Iterator[tuple[str, HostPort]]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if _is_held(descriptor):
            for name, address in json.loads(os.read(descriptor, _MOST_BYTES)).items():
                yield name, host_port(address)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108
    except (OSError, ValueError, AttributeError, TypeError, Invalid):
        return  # it is no file of ours
    finally:
        os.close(descriptor)


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
