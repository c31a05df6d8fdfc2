"""Ports of this machine: which are taken, and free ones that no other process here is given as well."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from scaffold.errors import PortTaken, VerifyError
from scaffold.running.listeners import who_listens
from scaffold.topology.model import HostPort

LOOPBACK: Final = "127.0.0.1"

_LOWEST, _BEYOND = 20_000, 32_768
"""32,768 is where Linux begins with the others unless it is told otherwise; BSD and macOS begin at 49,152."""

_STRIDE: Final = 64
_STEPS = itertools.count()

_HELD: Final[deque[socket.socket]] = deque(maxlen=512)
"""What keeps the ports that were given out last from other processes, until this one ends."""


def free_addresses(count: int) -> tuple[HostPort, ...]:
    """`count` loopback addresses that nobody listens on and that were given out lately to nobody, by no process here.

    They lie below the ports that the kernel gives to whoever names none (ip(7), ip_local_port_range): between this
    moment and the server's own bind(2), no outgoing connection takes one. Each process begins elsewhere.
    """
    free: list[HostPort] = []
    while len(free) < count:
        port = _LOWEST + (os.getpid() * _STRIDE + next(_STEPS)) % (_BEYOND - _LOWEST)
        address = HostPort(LOOPBACK, port)
        if _hold(port) and why_taken(address) is None:
            free.append(address)
    return tuple(free)


def _hold(port: int) -> bool:
    """Whether `port` is now this process's to give out.

    An abstract name of a Unix socket (unix(7)) is what says so: it is one process's alone, it ends with that process
    however it ends, and it leaves no file behind. Only Linux has them; elsewhere every port may be given out.
    """
    if sys.platform != "linux":
        return True
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0scaffold-port-{port}")
    except OSError:
        held.close()
        return False
    _HELD.append(held)
    return True


def why_taken(address: HostPort) -> str | None:
    """Why nobody can listen on `address` now, in the system's words; None where one can."""
    error = _refused(address)
    return None if error is None else error.strerror or str(error)


def _refused(address: HostPort) -> OSError | None:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: an address in TIME_WAIT is free, one that somebody listens on is not (socket(7)).
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        return error
    return None


def is_elsewhere(error: OSError) -> bool:
    """Whether an address could not be listened on because this machine has none like it (bind(2))."""
    return error.errno == errno.EADDRNOTAVAIL


def check_apart(wanted: Mapping[str, HostPort]) -> None:
    """Raise VerifyError where two of them, by what they are for, are one address."""
    seen: dict[HostPort, str] = {}
    for use, address in wanted.items():
        if (other := seen.setdefault(address, use)) != use:
            raise VerifyError(
                f"{use} and {other} both listen on {address}",
                hint="give one of them another port, or let `--ports auto` choose free ones",
            )


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is known to listen where somebody else is to, in words, and what helps."""

    who: str
    hint: str


Holders = Mapping[str, Holder]
"""By what the address is for, such as `server.accounts`."""

UNKNOWN: Final[Holders] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why nobody can listen on an address, and what helps."""

    why: str
    hint: str


NO_SUCH_ADDRESS: Final = "this machine has no such address"

_ONE_OF_ITS_OWN: Final = "give one of its own (see `ip addr`), or let `--ports auto` listen on 127.0.0.1 instead"


def obstacle(address: HostPort, known: Holder | None = None) -> Obstacle | None:
    """What keeps a server from listening on `address` now; None where nothing does.

    `known`: of whoever may listen there more is known than which program it is: it may be another's to stop.
    """
    error = _refused(address)
    if error is None:
        return None
    if is_elsewhere(error):
        return Obstacle(NO_SUCH_ADDRESS, _ONE_OF_ITS_OWN)
    if known is not None:
        return Obstacle(f"{known.who} runs it there", known.hint)
    holder = who_listens(address)
    listens = f" ({holder} listens there)" if holder else ""
    return Obstacle(
        f"{error.strerror or error}{listens}",
        f"stop {holder or 'the program that uses it'}, or let `--ports auto` choose free ports",
    )


def check_free(wanted: Mapping[str, HostPort], holders: Holders = UNKNOWN) -> None:
    """Raise PortTaken where an address (by what it is for, such as `server.accounts`) cannot be listened on.

    Raises VerifyError where two are one.
    """
    check_apart(wanted)
    for use, address in wanted.items():
        if (found := obstacle(address, holders.get(use))) is not None:
            raise PortTaken(f"{use} cannot listen on {address}: {found.why}", hint=found.hint)


def reachable(listen: HostPort) -> HostPort:
    """Where a caller on this machine finds what listens on `listen`: loopback for the unspecified addresses."""
    return HostPort({"0.0.0.0": LOOPBACK, "::": "::1"}.get(listen.host, listen.host), listen.port)  # noqa: S104
