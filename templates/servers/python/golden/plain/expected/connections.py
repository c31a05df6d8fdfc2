"""Accepts connections: each has a thread of its own, so that a silent peer keeps nobody else waiting."""

from __future__ import annotations

import contextlib
import enum
import logging
import socket
import threading
import time
from collections.abc import Callable

from settings import Address

log = logging.getLogger("connections")

MAX_CONNECTIONS = 512


class Stage(enum.Enum):
    """How far a connection has come."""

    STRANGER = enum.auto()
    KNOWN = enum.auto()
    ANSWERED = enum.auto()


class Listener:
    """A listening socket and the connections that came through it.

    `prepare` makes of an accepted socket the one that is used, without waiting for the peer. `serve` has the
    connection to itself until it returns; it calls its second argument with each stage that is reached.
    """

    def __init__(
        self,
        address: Address,
        prepare: Callable[[socket.socket], socket.socket],
        serve: Callable[[socket.socket, Callable[[Stage], None]], None],
    ) -> None:
        family, _, _, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        self._socket = socket.create_server(where[:2], family=family, backlog=256)
        self._prepare = prepare
        self._serve = serve
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, Stage] = {}  # oldest first
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
            if not self._slots.acquire(blocking=False):
                self._drop_oldest_stranger()
                self._slots.acquire()
            self._hand_over(accepted)

    def _hand_over(self, accepted: socket.socket) -> None:
        try:
            connection = self._prepare(accepted)
        except OSError:  # gone already
            accepted.close()
            self._slots.release()
            return
        with self._lock:
            self._open[connection] = Stage.STRANGER
        threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._serve(connection, lambda stage: self._reach(connection, stage))
                _linger(connection)
        except OSError as error:
            log.info("connection ended: %s", error)
        except Exception:
            log.exception("connection failed")
        finally:
            with self._lock:
                del self._open[connection]
            self._slots.release()

    def _reach(self, connection: socket.socket, stage: Stage) -> None:
        with self._lock:
            self._open[connection] = stage

    def _drop_oldest_stranger(self) -> None:
        """Makes room when all slots are taken: whoever has not shown who they are goes first, the oldest of them."""
        with self._lock:
            for connection, stage in self._open.items():
                if stage is Stage.STRANGER:
                    _shut(connection, socket.SHUT_RDWR)
                    return


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
