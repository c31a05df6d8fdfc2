"""Where a publisher listens, and on whom it hangs up.

A test cuts short the one kind of patience that its client exhausts, so that no other can run out first.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from datetime import UTC, datetime

import pytest

from scaffold.errors import PublishError
from scaffold.publish import app, server
from scaffold.publish.authority import Document
from scaffold.running.ports import free_addresses
from scaffold.topology.model import HostPort

LARGE = 64 << 20
"""More than the buffers of both ends hold."""


class Fake:
    """A source of one large CRL, with nothing to keep fresh."""

    def crl(self, ca: str) -> Document:
        return Document.of(bytes(LARGE), "application/pkix-crl", datetime.now(UTC))

    def certificate(self, ca: str) -> None:
        return None

    def answer(self, ca: str, request: bytes, now: datetime) -> None:
        return None

    def authorities(self) -> dict[str, object]:
        return {}

    def refresh(self, now: datetime) -> bool:
        return False

    def problems(self) -> tuple[object, ...]:
        return ()


SHORT = 0.2
"""Seconds: a wait that a test wants to run out."""


@pytest.fixture
def listen():
    (free,) = free_addresses(1)
    with server.running(Fake(), lambda: datetime.now(UTC), free) as listen:
        yield listen


def opened(listen: HostPort, data: bytes = b"") -> contextlib.closing[socket.socket]:
    connection = socket.create_connection((listen.host, listen.port), 10)
    connection.sendall(data)
    return contextlib.closing(connection)


def everything(connection: socket.socket) -> bytes:
    """Until the other end hangs up; fails where it does not."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 20):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("beginning", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"], ids=len)
def test_it_hangs_up_on_who_sends_no_request(listen, beginning, monkeypatch):
    monkeypatch.setattr(server, "REQUEST_WITHIN", SHORT)
    with opened(listen, beginning) as silent:
        assert everything(silent) == b""


def test_it_hangs_up_on_half_of_a_second_request(listen, monkeypatch):
    with opened(listen, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") as slow:
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        monkeypatch.setattr(server, "REQUEST_WITHIN", SHORT)
        slow.sendall(b"GET /he")
        assert b"HTTP/1.1" not in everything(slow)


def test_a_body_that_does_not_come_is_408(listen, monkeypatch):
    monkeypatch.setattr(app, "BODY_WITHIN", SHORT)
    with opened(listen, b"POST /ocsp/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc") as slow:
        assert everything(slow).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_too_large_is_413(listen):
    head = b"POST /ocsp/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    with opened(listen, head + bytes(app.LARGEST_BODY + 1)) as large:
        assert everything(large).startswith(b"HTTP/1.1 413 ")


def test_it_hangs_up_on_who_does_not_read_the_answer(listen, monkeypatch):
    monkeypatch.setattr(server, "READ_WITHIN", SHORT)
    lost = threading.Event()
    real = server.ImpatientProtocol.connection_lost

    def connection_lost(self: server.ImpatientProtocol, error: Exception | None) -> None:
        real(self, error)
        lost.set()

    monkeypatch.setattr(server.ImpatientProtocol, "connection_lost", connection_lost)
    with opened(listen, b"GET /crl/x.crl HTTP/1.1\r\nHost: x\r\n\r\n") as deaf:
        assert lost.wait(90)
        assert len(everything(deaf)) < LARGE


def test_where_too_many_are_silent_the_oldest_makes_room(monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 20)
    (free,) = free_addresses(1)
    with server.running(Fake(), lambda: datetime.now(UTC), free) as listen, contextlib.ExitStack() as crowd:
        silent = [crowd.enter_context(opened(listen)) for _ in range(50)]
        with opened(listen, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as late:
            assert everything(late).startswith(b"HTTP/1.1 200 ")
        assert [everything(one) for one in silent[:30]] == [b""] * 30
        silent[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert everything(silent[-1]).startswith(b"HTTP/1.1 200 ")


def test_who_reads_gets_all_of_it(listen, monkeypatch):
    """However long it takes in all: what runs out is the wait for a reader, and each octet read ends it."""
    ended: list[bool] = []
    real = server.ImpatientProtocol.resume_writing

    def resume_writing(self: server.ImpatientProtocol) -> None:
        waiting = self._stalled
        real(self)
        ended.append(waiting is not None and waiting.cancelled())

    monkeypatch.setattr(server.ImpatientProtocol, "resume_writing", resume_writing)
    with opened(listen, b"GET /crl/x.crl HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as reader:
        assert len(everything(reader)) > LARGE
    assert ended
    assert all(ended)


@pytest.mark.parametrize(
    ("publish", "where"),
    [
        ("http://127.0.0.1:9080", "127.0.0.1:9080"),
        ("http://[::1]:9080", "[::1]:9080"),
        ("http://pki.bank.example:9080", "127.0.0.1:9080"),
        ("http://192.0.2.1:9080", "127.0.0.1:9080"),
        ("http://localhost", "127.0.0.1:80"),
    ],
)
def test_it_listens_on_loopback_unless_it_is_told_otherwise(publish, where):
    assert str(server.address(publish)) == where


def test_an_address_of_another_machine_is_an_error_with_a_hint_of_its_own():
    with pytest.raises(PublishError, match="this machine has no such address") as caught:
        server.listening(HostPort("192.0.2.1", 9080))
    assert "--listen" in caught.value.hint
    assert "stop" not in caught.value.hint


def test_a_taken_address_is_an_error_with_a_hint():
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = HostPort("127.0.0.1", other.getsockname()[1])
        with pytest.raises(PublishError, match="cannot listen") as caught, server.running(Fake(), None, where):
            pass
    assert caught.value.hint
