"""One raw call against servers that end it in every way there is."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from scaffold.pki import broken, bundles
from scaffold.pki.issue import Issuer, self_signed, validity
from scaffold.pki.profiles import CertificateProfile
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.running.ports import free_addresses
from scaffold.topology.model import Fault, HostPort, KeyType, San, SanType, Subject
from scaffold.verify import http, tls
from scaffold.verify.credentials import Credentials, credentials, stranger
from scaffold.verify.http import HTTP, Answered
from scaffold.verify.model import Layer
from scaffold.verify.protocol import Admitted, Closed, Denied, Stuck, Target, Unreachable
from tests.fresh import new_key, new_serial

NOW = datetime.now(UTC)
LIFETIME = timedelta(days=1)
"""On a slow machine a test may run long after its file was read, and rogues live minutes."""


def ca(name: str) -> Issuer:
    key = new_key(KeyType.EC_P256)
    begins, ends = validity(LIFETIME, NOW)
    profile = CertificateProfile(subject=Subject(name), role="ca")
    return Issuer(self_signed(profile, key, serial=new_serial(), not_before=begins, not_after=ends), key)


ROOT = ca("root")
CLIENT = CertificateProfile(subject=Subject("teller"), role="client", sans=(San(SanType.URI, "spiffe://bank/teller"),))
with mock.patch.object(broken, "ROGUE_LIFETIME", LIFETIME):
    GOOD = credentials(broken.rogue(CLIENT, ROOT, NOW))
    NOBODY = stranger(NOW, OPERATING_SYSTEM)


def load(context: ssl.SSLContext, shown: Credentials) -> None:
    """Into a context of the standard library, the other side in these tests, which reads files alone."""
    with tempfile.TemporaryDirectory() as folder:
        certificates, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        certificates.write_bytes(shown.certificates)
        key.write_bytes(shown.key)
        context.load_cert_chain(certificates, key)


def context(newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, verify: bool = True) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(made, NOBODY)
    made.maximum_version = newest
    if verify:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(cadata=bundles.pem(ROOT.certificate).decode())
    return made


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], None], connections: int = 1) -> Iterator[Target]:
    """A server that does `serve` with its first connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            for _ in range(connections):
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError, tls.TlsError):
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield Target(HostPort("127.0.0.1", listener.getsockname()[1]), "accounts.internal")
        thread.join(10)
        assert not thread.is_alive()


def answering(body: bytes, made: ssl.SSLContext) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        with made.wrap_socket(connection, server_side=True) as secured:
            secured.recv(4096)
            secured.sendall(body)

    return serve


def answering_by_request(statuses: Mapping[bytes, int]) -> Callable[[socket.socket], None]:
    """A server of several connections; `statuses` by the beginning of a request."""

    def serve(connection: socket.socket) -> None:
        with context().wrap_socket(connection, server_side=True) as secured:
            request = secured.recv(4096)
            status = next(status for begins, status in statuses.items() if request.startswith(begins))
            secured.sendall(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode())

    return serve


@pytest.mark.parametrize(
    ("get", "post", "passed"),
    [
        (403, 403, None),
        (403, 405, None),
        (401, 500, None),
        (302, 415, None),
        (103, 403, None),
        (200, 403, "GET / is answered with HTTP 200"),
        (404, 403, "GET / is answered with HTTP 404"),
        (502, 403, "GET / is answered with HTTP 502"),
        (403, 204, "POST / is answered with HTTP 204"),
    ],
)
def test_whoever_is_refused_is_refused_for_each_path_and_method(get: int, post: int, passed: str | None) -> None:
    serve = answering_by_request({b"GET /.mtls/caller ": 403, b"GET / ": get, b"POST / ": post})
    asked = 2 if passed is not None and passed.startswith("GET") else 3
    with serving(serve, connections=asked) as target:
        outcome = http.Http().call(target, GOOD)
    if passed is None:
        assert isinstance(outcome, Denied)
    else:
        assert isinstance(outcome, Admitted)
        assert outcome.words == f"refused at /.mtls/caller, but {passed}"


@pytest.mark.parametrize("said", [b"<html>secret</html>", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\nsecret"])
def test_what_is_no_answer_in_http_is_no_refusal(said: bytes) -> None:
    """Other clients than this one may take it for an answer."""

    def serve(connection: socket.socket) -> None:
        with context().wrap_socket(connection, server_side=True) as secured:
            is_caller = secured.recv(4096).startswith(b"GET /.mtls/caller ")
            secured.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" if is_caller else said)

    with serving(serve, connections=2) as target:
        outcome = http.Http().call(target, GOOD)
    assert isinstance(outcome, Stuck)
    assert outcome.reason.startswith("refused at /.mtls/caller, but of GET /: the answer is not HTTP")


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("status", [200, 400, 403, 502])
def test_an_answer_is_an_answer(status: int, newest: ssl.TLSVersion) -> None:
    body = f"HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nhi".encode()
    with serving(answering(body, context(newest))) as target:
        assert http.call(target, GOOD) == Answered(status, b"hi")


@pytest.mark.parametrize(
    ("newest", "after"), [(ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)], ids=["TLS 1.2", "TLS 1.3"]
)
def test_an_alert_is_read_even_when_it_comes_after_the_handshake(newest: ssl.TLSVersion, after: bool) -> None:
    expired = credentials(broken.rogue(CLIENT, ROOT, NOW, fault=Fault.EXPIRED))
    for sent, alert in ((expired, "certificate expired"), (NOBODY, "unknown ca")):
        with serving(answering(b"", context(newest))) as target:
            assert http.call(target, sent) == Closed(alert, after_handshake=after)


def test_no_certificate_is_told_by_its_own_alert() -> None:
    with serving(answering(b"", context())) as target:
        assert http.call(target, None) == Closed("certificate required", after_handshake=True)


def test_an_end_without_an_alert_is_an_end() -> None:
    """As Kestrel refuses: the handshake is done, and then the connection is gone."""
    with serving(answering(b"", context(verify=False))) as target:
        assert http.call(target, GOOD) == Closed(None, after_handshake=True)


def test_an_end_within_the_handshake_is_an_end() -> None:
    with serving(lambda connection: None) as target:
        assert http.call(target, GOOD) == Closed(None, after_handshake=False)


def test_nobody_there_is_unreachable() -> None:
    (address,) = free_addresses(1)
    assert isinstance(http.call(Target(address, "x"), GOOD), Unreachable)
    assert isinstance(http.call_plainly(address, "/"), Unreachable)


def test_a_silent_server_neither_lets_in_nor_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(http, "PATIENCE", 0.2)
    with serving(lambda connection: bool(done.wait(60)) and None) as target:
        assert isinstance(outcome := http.call(target, GOOD), Stuck)
        assert outcome.layer is Layer.TLS
        done.set()
    done.clear()
    # The handshake takes the time it needs; the patience that runs out is that for the answer.
    monkeypatch.setattr(http, "PATIENCE", 60.0)
    converse, dial, dialled = http._converse, tls.dial, list[socket.socket]()
    monkeypatch.setattr(tls, "dial", lambda *given: dialled.append(dial(*given)) or dialled[-1])

    def converse_hastily(connection: tls.Connection, request: bytes) -> http.Outcome:
        dialled[0].settimeout(0.2)
        return converse(connection, request)

    monkeypatch.setattr(http, "_converse", converse_hastily)

    def silent(connection: socket.socket) -> None:
        with context().wrap_socket(connection, server_side=True):
            done.wait(60)

    with serving(silent) as target:
        assert isinstance(outcome := http.call(target, GOOD), Stuck)
        assert outcome.layer is HTTP
        done.set()


def test_garbage_is_no_answer() -> None:
    with serving(answering(b"SSH-2.0-whatever\r\n\r\n", context())) as target:
        assert isinstance(http.call(target, GOOD), Stuck)
    with serving(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as target:
        assert isinstance(outcome := http.call(target, GOOD), Stuck)
        assert outcome.layer is Layer.TLS


def test_an_old_protocol_really_leaves_this_machine() -> None:
    assert tls.speaks(ssl.TLSVersion.TLSv1_2, NOBODY)
    modern = context()
    modern.minimum_version = ssl.TLSVersion.TLSv1_3
    with serving(answering(b"", modern)) as target:
        outcome = http.call(target, GOOD, newest=ssl.TLSVersion.TLSv1_2)
        assert outcome == Closed("protocol version", after_handshake=False)
    with serving(answering(b"HTTP/1.1 200 OK\r\n\r\n", context())) as target:
        assert http.call(target, GOOD, newest=ssl.TLSVersion.TLSv1_2) == Answered(200, b"")


def test_credentials_do_not_show_themselves() -> None:
    assert repr(GOOD) == "Credentials(…)"


def test_a_request_carries_its_headers() -> None:
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with context().wrap_socket(connection, server_side=True) as secured:
            seen.append(secured.recv(4096))
            secured.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with serving(serve) as target:
        http.call(target, GOOD, "/call/x", [("X-Client-Subject", "CN=forged")])
    assert seen[0].startswith(b"GET /call/x HTTP/1.1\r\nHost: accounts.internal\r\n")
    assert b"\r\nX-Client-Subject: CN=forged\r\n" in seen[0]
