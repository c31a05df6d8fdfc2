"""Where a server answers whose name has several addresses: a caller may meet any of them, and each is probed."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace

from scaffold.running.placement import Placements
from scaffold.topology.model import HostPort
from scaffold.verify import tls
from scaffold.verify.protocol import PATIENCE


def answering(address: HostPort) -> tuple[HostPort, ...]:
    """Each address of the host at which somebody answers; `address` itself where that is one, or none."""
    found: list[HostPort] = []
    for one in _resolved(address):
        with contextlib.suppress(OSError):
            tls.dial(one, PATIENCE).close()
            found.append(one)
    return tuple(found) if len(found) > 1 else (address,)


def _resolved(address: HostPort) -> tuple[HostPort, ...]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(HostPort(str(where[0]), address.port) for *_, where in found))


def rounds(placements: Placements, addresses: Mapping[str, tuple[HostPort, ...]]) -> Iterator[Placements]:
    """The servers at their first addresses, then those that have more at their second, and so on."""
    for number in range(max(map(len, addresses.values()), default=1)):
        yield {
            name: replace(placed, listen=addresses[name][min(number, len(addresses[name]) - 1)])
            if name in addresses
            else placed
            for name, placed in placements.items()
        }
