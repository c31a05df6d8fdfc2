"""What speaks no TLS is told from what does, whatever else goes wrong there."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

from scaffold.running.plaintext import answers_without_tls
from scaffold.topology.model import HostPort


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[HostPort]:
    """A listener that answers one connection."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield HostPort("127.0.0.1", listener.getsockname()[1])
        thread.join()


def test_plain_http_is_no_tls() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert answers_without_tls(HostPort("127.0.0.1", server.server_port))
        thread.join()


def test_what_greets_by_itself_is_no_tls() -> None:
    with answering(lambda connection: (connection.sendall(b"220 mail\r\n"), connection.recv(4096))) as address:
        assert answers_without_tls(address)


def test_an_alert_is_tls() -> None:
    """It has no certificate, and so refuses every handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with answering(lambda connection: context.wrap_socket(connection, server_side=True)) as address:
        assert not answers_without_tls(address)


def test_who_closes_the_connection_or_is_not_there_says_nothing() -> None:
    with answering(lambda connection: connection.recv(4096)) as address:
        assert not answers_without_tls(address)
    assert not answers_without_tls(address)
