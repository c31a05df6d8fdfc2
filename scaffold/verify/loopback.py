"""Servers of our own that others are led to while they are probed, and the little HTTP that such a server speaks."""

from __future__ import annotations

import abc
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from scaffold.running.ports import LOOPBACK
from scaffold.topology.model import HostPort
from scaffold.verify.protocol import PATIENCE

_END_OF_HEAD = b"\r\n\r\n"


class LoopbackServer(abc.ABC):
    """Listens on a loopback port of its own from construction until its block ends; each connection has a thread."""

    def __init__(self, name: str) -> None:
        """Connections come from now on: what `serve` needs must be there before. `name` is its thread's."""
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = HostPort(LOOPBACK, self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name=name, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # shutdown(2) wakes the thread that waits in accept(2); close alone would not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(1.0)

    @abc.abstractmethod
    def serve(self, connection: socket.socket) -> None:
        """One connection, which is closed afterwards. An OSError ends it: whoever called is gone, or too slow."""

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            self.serve(connection)


def received_head(receive: Callable[[int], bytes], most: int) -> str:
    """The request line and headers; whatever came, where that is no whole request of about `most` octets."""
    return received_head_and_more(receive, most)[0]


def received_head_and_more(receive: Callable[[int], bytes], most: int) -> tuple[str, bytes]:
    """The same, and what has come of the body with it."""
    received = b""
    while _END_OF_HEAD not in received and len(received) < most and (more := receive(4096)):
        received += more
    head, _, body = received.partition(_END_OF_HEAD)
    return head.decode("latin-1"), body


def json_response(value: Mapping[str, object]) -> bytes:
    """An HTTP response with `value`, after which the connection ends."""
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + body
