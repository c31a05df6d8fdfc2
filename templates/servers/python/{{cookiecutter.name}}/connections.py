"""Accepts connections: each has a thread of its own, so that a silent peer keeps nobody else waiting."""

from __future__ import annotations

import contextlib
import enum
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable

from settings import Address

log = logging.getLogger("connections")

MAX_CONNECTIONS = 512


class Stage(enum.Enum):
    """How far a connection has come."""

    STRANGER = enum.auto()
    UNWANTED = enum.auto()  # it has shown who it is, and may not call
    KNOWN = enum.auto()
    ANSWERED = enum.auto()
    LEAVING = enum.auto()


_LEAVE_FIRST = {
    Stage.UNWANTED: socket.SHUT_RDWR,
    Stage.STRANGER: socket.SHUT_RDWR,
    Stage.ANSWERED: socket.SHUT_RD,  # an answer that is being written is still written
}
"""Who goes when there is no room, and how; the oldest of each first."""


class Listener:
    """A listening socket and the connections that came through it.

    `prepare` makes of an accepted socket the one that is used, without waiting for the peer. `serve` has the
    connection to itself until it returns; it tells its Place how far the connection has come.
    """

    def __init__(
        self,
        address: Address,
        prepare: Callable[[socket.socket], socket.socket],
        serve: Callable[[socket.socket, Place], None],
    ) -> None:
        family, _, _, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        # [::] is every address of the machine, those of IPv4 too, whatever the system's default is (RFC 3493 5.3).
        self._socket = socket.create_server(
            where[:2], family=family, backlog=256, dualstack_ipv6=where[0] == "::" and socket.has_dualstack_ipv6()
        )
        self._prepare = prepare
        self._serve = serve
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, Stage] = {}  # oldest first
        self._callers: Counter[Hashable] = Counter()
        self._closed = False

    def start(self) -> None:
        """Accepts in the background from now on."""
        threading.Thread(target=self._accept, daemon=True).start()

    def finish_idle(self) -> None:
        """Ends connections at their next pause: no further request is read from them, an answer is still written.

        Those that have not had an answer yet are left to get it: their callers would take the end for a failure.
        """
        with self._lock:
            for connection, stage in self._open.items():
                if stage is Stage.ANSWERED:
                    _shut(connection, socket.SHUT_RD)

    def close(self, patience: float) -> None:
        """Accepts no more, and waits up to `patience` seconds for the answers that are being written."""
        self._closed = True
        _shut(self._socket, socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                _shut(connection, socket.SHUT_RD)
        until = time.monotonic() + patience
        for _ in range(MAX_CONNECTIONS):
            if not self._slots.acquire(timeout=max(0.0, until - time.monotonic())):
                return

    def reach(self, connection: socket.socket, stage: Stage) -> None:
        """Notes how far an open connection has come."""
        with self._lock:
            if self._open[connection] is not Stage.LEAVING:
                self._open[connection] = stage

    def count(self, caller: Hashable) -> int:
        """Notes one more connection of that caller; how many there are now."""
        with self._lock:
            self._callers[caller] += 1
            return self._callers[caller]

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError as error:
                if self._closed:
                    return
                log.warning("accept: %s", error)
                time.sleep(0.1)  # out of file descriptors, most likely
                continue
            wait = 0.0
            while not self._slots.acquire(timeout=wait):
                self._make_room()
                wait = 0.1  # whoever was sent away may still be busy: then the next one goes
            self._hand_over(accepted)

    def _hand_over(self, accepted: socket.socket) -> None:
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._prepare(accepted)
        except OSError:  # gone already
            accepted.close()
            self._slots.release()
            return
        with self._lock:
            self._open[connection] = Stage.STRANGER
        threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        place = Place(self, connection)
        try:
            with connection:
                self._serve(connection, place)
                _linger(connection)
        except OSError as error:
            log.info("%s: connection ended: %s", place.peer, error)
        except Exception:
            log.exception("%s: connection failed", place.peer)
        finally:
            with self._lock:
                del self._open[connection]
                if place.caller is not None:
                    self._callers[place.caller] -= 1
                    self._callers += Counter()  # forgets those who have none
            self._slots.release()

    def _make_room(self) -> None:
        """Sends one away: those who may not call before those who have yet to show it, then who waits for nothing."""
        with self._lock:
            for leaving, how in _LEAVE_FIRST.items():
                for connection, stage in self._open.items():
                    if stage is leaving:
                        self._open[connection] = Stage.LEAVING
                        _shut(connection, how)
                        return


class Place:
    """The place of one connection in its listener."""

    def __init__(self, listener: Listener, connection: socket.socket) -> None:
        self._listener = listener
        self._connection = connection
        self.peer = _peer_name(connection)
        self.caller: Hashable | None = None

    def reach(self, stage: Stage) -> None:
        """Notes how far the connection has come."""
        self._listener.reach(self._connection, stage)

    def cut(self) -> None:
        """Ends the connection, whatever is going on there: whoever reads or writes finds it gone."""
        _shut(self._connection, socket.SHUT_RDWR)

    def belongs_to(self, caller: Hashable) -> int:
        """Says, once, whose connection it is; how many connections that caller has now."""
        self.caller = caller
        return self._listener.count(caller)


def _peer_name(connection: socket.socket) -> str:
    try:
        host, port = connection.getpeername()[:2]
    except OSError:  # gone already
        return "somebody"
    host = host.removeprefix("::ffff:")  # how [::] shows a caller of IPv4
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _linger(connection: socket.socket, patience: float = 1) -> None:
    """Lets the peer read the last answer: closing with unread input would reset the connection under it."""
    _shut(connection, socket.SHUT_WR)
    until = time.monotonic() + patience
    while (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        if not socket.socket.recv(connection, 65536):
            return


def _shut(connection: socket.socket, how: int) -> None:
    """Below TLS on purpose: SSLSocket.shutdown would take the session away from the thread that uses it."""
    with contextlib.suppress(OSError):  # closed already
        socket.socket.shutdown(connection, how)
