"""Accepts connections: each shakes hands in a task of its own, so that a silent peer keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol

from mtls.handshake import connecting

log = logging.getLogger("connections")

HANDSHAKE_SECONDS = 5
CLOSE_SECONDS = 1
BACKLOG = 1024


class Stage(enum.Enum):
    """How far a connection has come."""

    STRANGER = enum.auto()
    UNWANTED = enum.auto()  # it has shown who it is, and may not call
    BUSY = enum.auto()  # a request of an allowed caller is awaited for the first time, or is being answered
    IDLE = enum.auto()


_LEAVE_FIRST = (Stage.UNWANTED, Stage.STRANGER, Stage.IDLE)
"""Who goes when there is no room; the oldest of each first. Where all are busy, newcomers wait to be accepted."""


class Finishing(Protocol):
    """A connection's protocol, which can be told to end at its next pause."""

    def finish(self) -> None: ...


def most_connections() -> int:
    """How many connections there may be: half of the files that the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft == resource.RLIM_INFINITY else max(16, min(soft // 2, 65536))


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; several processes may accept from it. Raises OSError."""
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # [::] is every address of the machine, those of IPv4 too, whatever the system's default is (RFC 3493 5.3).
    dualstack = where[0] == "::" and socket.has_dualstack_ipv6()
    listening = socket.create_server(where[:2], family=family, backlog=BACKLOG, dualstack_ipv6=dualstack)
    listening.setblocking(False)
    return listening


class Listener:
    """A listening socket and the connections that came through it.

    `context` is asked for each connection, so that what changes holds from the next one on; None means plain TCP.
    `protocol` makes what talks on the connection in a Place.
    """

    def __init__(
        self,
        listening: socket.socket,
        context: Callable[[], ssl.SSLContext | None],
        protocol: Callable[[Place], asyncio.Protocol],
    ) -> None:
        self.most = most_connections()
        self._socket = listening
        self._context = context
        self._protocol = protocol
        self._open: dict[Place, Stage] = {}  # oldest first
        self._callers: Counter[Hashable] = Counter()
        self._changed = asyncio.Event()
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Accepts from now on, until `close`: the task that does it never ends by itself."""
        self._accepting = asyncio.get_running_loop().create_task(self._accept())
        return self._accepting

    def close(self) -> None:
        """Accepts no more."""
        if self._accepting is not None:
            self._accepting.cancel()
        self._socket.close()

    def finish_idle(self) -> None:
        """Ends connections at their next pause: no further request is read from them, an answer is still written.

        Those that have not had an answer yet are left to get it: their callers would take the end for a failure.
        """
        for place, stage in list(self._open.items()):
            if stage is Stage.IDLE:
                place.finish()

    def reach(self, place: Place, stage: Stage) -> None:
        """Notes how far an open connection has come."""
        if place in self._open:
            self._open[place] = stage
            self._changed.set()

    def count(self, caller: Hashable) -> int:
        """Notes one more connection of that caller; how many there are now."""
        self._callers[caller] += 1
        return self._callers[caller]

    def forget(self, place: Place) -> None:
        """The connection is gone."""
        self._changed.set()
        if self._open.pop(place, None) is not None and place.caller is not None:
            self._callers[place.caller] -= 1
            self._callers += Counter()  # forgets those who have none

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._socket)
            except OSError as error:
                log.warning("accept: %s", error)
                await asyncio.sleep(0.1)  # out of file descriptors, most likely
                continue
            while len(self._open) >= self.most and not self._make_room():
                self._changed.clear()
                await self._changed.wait()
            place = Place(self, accepted)
            self._open[place] = Stage.STRANGER
            place.opening = loop.create_task(self._connect(accepted, place))

    async def _connect(self, accepted: socket.socket, place: Place) -> None:
        context = self._context()
        connecting.set(accepted)
        with contextlib.suppress(OSError):  # gone already
            # asyncio does so for the sockets that it has accepted itself; head and body would be 40 ms apart.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limits = {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": CLOSE_SECONDS} if context else {}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(place), accepted, ssl=context, **limits
            )
        except OSError as error:
            log.info("%s: connection ended: %s", place.peer, error)
            self.forget(place)
        except asyncio.CancelledError:
            self.forget(place)
            raise
        except Exception:
            log.exception("%s: connection failed", place.peer)
            place.abort()
            self.forget(place)

    def _make_room(self) -> bool:
        """Sends one away: those who may not call before those who have yet to show it, then who waits for nothing."""
        for leaving in _LEAVE_FIRST:
            for place, stage in self._open.items():
                if stage is leaving:
                    place.abort()
                    self.forget(place)
                    return True
        return False


class Place:
    """The place of one connection in its listener."""

    def __init__(self, listener: Listener, connection: socket.socket) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self.peer = _peer_name(connection)
        self.caller: Hashable | None = None
        self.opening: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None
        self.talking: Finishing | None = None

    @property
    def most(self) -> int:
        """How many connections the listener holds."""
        return self._listener.most

    def open(self, transport: asyncio.Transport, talking: Finishing) -> None:
        """The handshake is over."""
        self.transport, self.talking = transport, talking

    def reach(self, stage: Stage) -> None:
        """Notes how far the connection has come."""
        self._listener.reach(self, stage)

    def belongs_to(self, caller: Hashable) -> int:
        """Says, once, whose connection it is; how many connections that caller has now."""
        self.caller = caller
        return self._listener.count(caller)

    def leave(self) -> None:
        """The connection is gone."""
        self._listener.forget(self)

    def finish(self) -> None:
        """Ends the connection at its next pause."""
        if self.talking is not None:
            self.talking.finish()

    def cut(self) -> None:
        """Ends the connection from any thread, whatever is going on there."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and all connections with it
            self._loop.call_soon_threadsafe(self.abort)

    def abort(self) -> None:
        """Ends the connection at once."""
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()


def _peer_name(connection: socket.socket) -> str:
    try:
        host, port = connection.getpeername()[:2]
    except OSError:  # gone already
        return "somebody"
    host = host.removeprefix("::ffff:")  # how [::] shows a caller of IPv4
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
