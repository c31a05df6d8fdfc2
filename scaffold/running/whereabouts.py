"""That an `up` runs or starts, and where its servers are: it says so meanwhile, and whoever calls one looks there.

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from scaffold.errors import StoreError
from scaffold.running.listeners import listens
from scaffold.running.placement import Placements, health_of
from scaffold.running.ports import Holder, Holders
from scaffold.store.files import Writer
from scaffold.store.layout import Layout
from scaffold.topology.messages import Invalid
from scaffold.topology.model import HostPort, Server
from scaffold.topology.names import host_port

_FOLDER: Final = ".scaffold"
_NAME: Final = re.compile(r"up-[0-9]+\.json")
_MOST_BYTES: Final = 16 * 1024 * 1024

Whereabouts = Mapping[str, HostPort]
"""By a server's name, where callers on this machine find it."""


@dataclass(frozen=True, slots=True)
class Up:
    """What a running `up` says of itself. `servers` is None as long as it starts them, and applies before that."""

    process: int
    servers: Whereabouts | None


Tell = Callable[[Placements], None]
"""Called once the servers are ready, with where they are."""


@contextlib.contextmanager
def told(layout: Layout) -> Iterator[Tell]:
    """Says within that an `up` starts here, and where its servers are once the function that it gives is told of them.

    In a folder that may not be written to, nobody is told.
    """
    with _records(layout), contextlib.ExitStack() as held:
        _tell(layout, None, held)
        # The first file stays locked until the end: whoever has opened it already must not take it for a dead one's.
        yield lambda placements: _tell(layout, {name: str(placed.address) for name, placed in placements.items()}, held)


@contextlib.contextmanager
def _records(layout: Layout) -> Iterator[None]:
    """The folder that the file is in. Where it was not there and nothing else came into it, it goes again."""
    with contextlib.suppress(StoreError):
        Writer(layout).prepare()
    try:
        yield
    finally:
        for folder in (layout.at(_FOLDER), str(layout.out)):
            with contextlib.suppress(OSError):
                os.rmdir(folder)  # noqa: PTH106


def _tell(layout: Layout, servers: Mapping[str, str] | None, held: contextlib.ExitStack) -> None:
    """Put it into a file that is whole and locked before it has its name; `held` unlocks it and takes it away."""
    path = layout.at(f"{_FOLDER}/up-{os.getpid()}.json")
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".up-", dir=layout.at(_FOLDER))
    except OSError:
        return
    held.callback(os.close, descriptor)
    held.callback(_unlink, path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(servers).encode())
        os.replace(temporary, path)  # noqa: PTH105
    except OSError:
        _unlink(temporary)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def ups(layout: Layout) -> tuple[Up, ...]:
    """All that run; none where that cannot be read."""
    try:
        names = sorted(filter(_NAME.fullmatch, os.listdir(layout.at(_FOLDER))))  # noqa: PTH208
    except OSError:
        return ()
    return tuple(up for name in names if (up := _said_by(layout, name)) is not None)


def running(layout: Layout) -> Whereabouts:
    """Where the servers of all that run are."""
    return {name: address for up in ups(layout) for name, address in (up.servers or {}).items()}


def holders(layout: Layout, servers: Iterable[Server], hint: str) -> Holders:
    """The `up` that runs each of these where the topology says: its children are not for others to stop.

    `hint` is what helps whoever wants to run them as well.
    """
    found: dict[str, Holder] = {}
    for up in ups(layout):
        for server in servers:
            if (up.servers or {}).get(server.name) == server.dial:
                uses = (str(server.address), *([health_of(server)] if server.health is not None else []))
                found |= dict.fromkeys(uses, _holder(up, hint))
    return found


def publishes(layout: Layout, where: HostPort, hint: str) -> Holder | None:
    """The `up` that publishes there, which it does in its own process; None where none is seen to."""
    return next((_holder(up, hint) for up in ups(layout) if listens(up.process, where)), None)


def _holder(up: Up, hint: str) -> Holder:
    return Holder(f"`scaffold up` (process {up.process})", hint)


def _said_by(layout: Layout, name: str) -> Up | None:
    """What one says of itself; a file that nobody holds any more is taken away."""
    path = layout.at(f"{_FOLDER}/{name}")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not _is_held(descriptor):
            _unlink(path)
            return None
        said = json.loads(os.read(descriptor, _MOST_BYTES))
        servers = None if said is None else {one: host_port(address) for one, address in said.items()}
    except (OSError, ValueError, RecursionError, AttributeError, TypeError, Invalid):
        return None  # it is no file of ours
    finally:
        os.close(descriptor)
    return Up(int(name[len("up-") : -len(".json")]), servers)


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
