"""A false server writes down who spoke to it, and what it shows changes from one connection to the next."""

from __future__ import annotations

import json
import socket
import ssl

import pytest

from scaffold.kinds.capabilities import Exchange
from scaffold.verify import http
from scaffold.verify.http import Answered
from scaffold.verify.impostor import Impostor, SilentRole
from scaffold.verify.protocol import Closed, Target, Unreachable
from tests.unit.verify.test_http import NOBODY


def test_a_caller_that_believes_it_is_answered_and_written_down() -> None:
    with Impostor("accounts") as impostor:
        visits = impostor.show(NOBODY)
        outcome = http.call(Target(impostor.address, "x"), None, "/call", [("X-Client-Subject", "CN=teller")])
        assert isinstance(outcome, Answered)
        assert outcome.status == 200
        assert json.loads(outcome.body)["server"] == "accounts"
        assert visits.connections == 1
        (request,) = visits.requests
        assert request.startswith("GET /call HTTP/1.1\r\n")
        assert visits.header("x-client-subject") == ("CN=teller",)
        assert visits.header("Client") == ()


def test_a_caller_that_does_not_believe_it_says_nothing() -> None:
    with Impostor("accounts") as impostor:
        visits = impostor.show(NOBODY)
        with (
            socket.create_connection((impostor.address.host, impostor.address.port)) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(plain, server_hostname="accounts.internal")
        assert visits.connections == 1
        assert visits.requests == []


def test_each_certificate_has_its_own_visits() -> None:
    with Impostor("accounts") as impostor:
        first = impostor.show(NOBODY)
        http.call(Target(impostor.address, "x"), None)
        second = impostor.show(NOBODY)
        assert (len(first.requests), len(second.requests)) == (1, 0)


def test_before_it_shows_anything_it_only_hangs_up() -> None:
    with Impostor("accounts") as impostor:
        assert http.call(Target(impostor.address, "x"), None) == Closed(None, after_handshake=False)


def test_when_its_block_ends_it_is_gone() -> None:
    with Impostor("accounts") as impostor:
        target = Target(impostor.address, "x")
    assert isinstance(http.call(target, None), Unreachable)


SILENT = SilentRole((Exchange(b"STARTTLS", b"OK"), Exchange(b"!", b"")))


def trusting(plain: socket.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def dialled(impostor: Impostor) -> socket.socket:
    return socket.create_connection((impostor.address.host, impostor.address.port), 10)


def test_another_protocol_says_something_before_tls_and_its_first_words_are_a_request() -> None:
    with Impostor("ledger", SILENT) as impostor:
        visits = impostor.show(NOBODY)
        with dialled(impostor) as plain:
            plain.sendall(b"START")
            plain.sendall(b"TLS")
            assert plain.recv(2) == b"OK"
            plain.sendall(b"!")
            with trusting(plain) as secured:
                secured.sendall(b"SELECT 1")
                assert secured.recv(1) == b""
        assert (visits.connections, visits.requests) == (1, ["SELECT 1"])


@pytest.mark.parametrize("said", [b"STARTLTS", b"STAR"])
def test_what_the_protocol_does_not_say_before_tls_ends_the_connection(said: bytes) -> None:
    with Impostor("ledger", SILENT) as impostor:
        visits = impostor.show(NOBODY)
        with dialled(impostor) as plain:
            plain.sendall(said)
            plain.shutdown(socket.SHUT_WR)
            assert plain.recv(2) == b""
        assert (visits.connections, visits.requests) == (1, [])
