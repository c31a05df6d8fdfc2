"""nginx carries real traffic, ends sessions with their certificates, and runs in the homes that hosts give it.

Each test has a twin on the same project without the line that it is about.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scaffold.running.ports import free_addresses
from tests.handshake.nginx_lab import (
    WITHIN,
    Authority,
    Credential,
    Project,
    address,
    allow,
    ask,
    brief,
    client,
    gateway,
    project,
    running,
    server,
    until,
    upstream,
)
from tests.handshake.traffic import (
    answered,
    connect,
    get,
    give_to_nobody,
    half_open,
    kept,
    lock_up,
    nobody,
    nobodys_folder,
    read_all,
    read_until,
    started,
)
from tests.requirements import require, require_command

require_command("nginx")

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@contextlib.contextmanager
def raw_upstream(ca: Authority, folder: Path, serve: Callable[[ssl.SSLSocket], None]) -> Iterator[int]:
    """A TLS server `vault.internal` that does `serve` with each connection; its port."""
    folder.mkdir()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server(ca, "vault", "vault.internal").write(folder / "cert.pem", folder / "key.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def handle(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


# --- Time ------------------------------------------------------------------------------------------------------------


def test_a_connection_ends_with_its_certificate(tmp_path: Path, root: Authority, ca: Authority) -> None:
    with (
        running(project(tmp_path, root, ca, [allow("teller", ca)]).write()) as desk,
        brief(ca, partial(answered, desk)) as (caller, connection),
    ):
        first = connection.sock
        until(lambda: "expired" in desk.ask(caller).body and get(connection)[0] == 403)
        assert get(connection) == (403, b'{"error": "the certificate has expired"}\n')
        assert connection.sock is first


def test_without_looking_at_the_clock_it_would_not(tmp_path: Path, root: Authority, ca: Authority) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    made.write(change=lambda text: text.replace("default 1;", 'default "";'))
    with running(made), brief(ca, partial(answered, made)) as (caller, connection):
        until(lambda: "expired" in made.ask(caller).body)
        assert get(connection)[0] == 200


@pytest.mark.parametrize(
    ("end", "now", "has_ended"),
    [
        ("Nov 26 02:22:33 2026 GMT", "Thursday, 26-Nov-2026 02:22:32 GMT", False),
        ("Nov 26 02:22:33 2026 GMT", "Thursday, 26-Nov-2026 02:22:33 GMT", False),
        ("Nov 26 02:22:33 2026 GMT", "Thursday, 26-Nov-2026 02:22:34 GMT", True),
        ("Nov  6 02:22:33 2026 GMT", "Friday, 06-Nov-2026 02:22:32 GMT", False),
        ("Nov  6 02:22:33 2026 GMT", "Friday, 06-Nov-2026 02:22:34 GMT", True),
        ("Jan  1 00:00:00 2027 GMT", "Thursday, 31-Dec-2026 23:59:59 GMT", False),
        ("Dec 31 23:59:59 2026 GMT", "Friday, 01-Jan-2027 00:00:00 GMT", True),
        ("Sep 30 23:59:59 2029 GMT", "Monday, 01-Oct-2029 00:00:00 GMT", True),
        ("Dec 31 23:59:59 9999 GMT", "Thursday, 26-Nov-2026 02:22:33 GMT", False),
        ("Feb 28 09:10:59 2030 GMT", "Thursday, 28-Feb-2030 09:11:00 GMT", True),
        ("", "Thursday, 26-Nov-2026 02:22:33 GMT", True),
        ("Bad time value", "Thursday, 26-Nov-2026 02:22:33 GMT", True),
        ("Foo 26 02:22:33 2099 GMT", "Thursday, 26-Nov-2026 02:22:33 GMT", True),
        ("Jul 10 00:00:00 2026 GMT", "Tuesday, 09-Jun-2026 23:59:59 GMT", False),
        ("Jun  9 23:59:59 2026 GMT", "Friday, 10-Jul-2026 00:00:00 GMT", True),
        ("Aug 19 10:00:00 2026 GMT", "Wednesday, 19-Aug-2026 09:59:59 GMT", False),
    ],
)
def test_two_times_are_compared(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential, end: str, now: str, has_ended: bool
) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    made.write(change=lambda text: text.replace("$ssl_client_v_end", f'"{end}"').replace("$date_gmt", f'"{now}"'))
    with running(made):
        assert made.ask(teller).status == (403 if has_ended else 200)


# --- What passes through a gateway -----------------------------------------------------------------------------------

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def echo_after_101(connection: ssl.SSLSocket) -> None:
    """A WebSocket server as far as a proxy sees it: 101 where it is asked for, then bytes both ways."""
    head = read_until(connection, b"\r\n\r\n").lower()
    if b"\r\nupgrade: websocket\r\n" not in head or b"\r\nconnection: upgrade\r\n" not in head:
        connection.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
        return
    assert b"sec-websocket-key: dghlihnhbxbszsbub25jzq==" in head
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    while piece := connection.recv(65536):
        connection.sendall(piece.upper())


def test_a_websocket_passes(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    with raw_upstream(ca, tmp_path / "vault", echo_after_101) as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        with running(made), chatting(made, teller) as connection:
            for word in (b"first", b"second"):
                connection.sendall(word)
                assert connection.recv(65536) == word.upper()
        made.write(change=lambda text: text.replace("proxy_set_header Upgrade $upgrade;", ""))
        with running(made), connect(made, teller) as connection:
            connection.sendall(UPGRADE)
            assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 426 ")


@pytest.mark.parametrize("reason", ["its certificate has ended", "its caller is no longer allowed"])
def test_a_reload_ends_a_websocket(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential, reason: str
) -> None:
    """Some seconds after it, as worker_shutdown_timeout says, and however much it is used."""
    with raw_upstream(ca, tmp_path / "vault", echo_after_101) as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        made.write(change=lambda text: text.replace("worker_shutdown_timeout 30s;", "worker_shutdown_timeout 1s;"))
        with running(made), contextlib.ExitStack() as stack:
            if "ended" in reason:
                caller, connection = stack.enter_context(brief(ca, partial(chatting, made)))
                until(lambda: "expired" in made.ask(caller).body)
            else:
                connection = stack.enter_context(chatting(made, teller))
                (made.tls / "allowed.conf").write_text((made.tls / "allowed.conf").read_text().replace("teller", "-"))
            assert echoes(connection)
            made.reload()
            until(lambda: not echoes(connection))


def test_where_no_reload_ends_it_a_websocket_goes_on(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    with raw_upstream(ca, tmp_path / "vault", echo_after_101) as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        made.write(change=lambda text: text.replace("worker_shutdown_timeout 30s;", ""))
        with running(made), chatting(made, teller) as connection:
            (made.tls / "allowed.conf").write_text((made.tls / "allowed.conf").read_text().replace("teller", "-"))
            made.reload()
            until(lambda: made.ask(teller).status == 403)
            assert echoes(connection)


@contextlib.contextmanager
def chatting(made: Project, caller: Credential) -> Iterator[ssl.SSLSocket]:
    """A WebSocket that has begun."""
    with connect(made, caller) as connection:
        connection.sendall(UPGRADE)
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        yield connection


def echoes(connection: ssl.SSLSocket) -> bool:
    """Whether a WebSocket of `echo_after_101` is alive."""
    try:
        connection.sendall(b"word")
        return connection.recv(65536) == b"WORD"
    except OSError:
        return False


def test_a_websocket_is_for_allowed_callers_alone(tmp_path: Path, root: Authority, ca: Authority) -> None:
    with raw_upstream(ca, tmp_path / "vault", echo_after_101) as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        with running(made), connect(made, client(ca, "mallory")) as connection:
            connection.sendall(UPGRADE)
            assert connection.recv(65536).startswith(b"HTTP/1.1 403 ")


def test_no_other_change_of_protocol_passes(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    with (
        upstream(server(ca, "vault", "vault.internal"), root, tmp_path / "vault") as port,
        running(gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)) as made,
    ):
        answer = made.ask(teller, headers=[("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
    sent = {name for name, _ in answer.json["headers"]}  # type: ignore[attr-defined]
    assert answer.status == 200
    assert "upgrade" not in sent


def test_each_event_comes_at_once(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    go_on = threading.Event()

    def events(connection: ssl.SSLSocket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        connection.sendall(b"data: one\n\n")
        assert go_on.wait(WITHIN)
        connection.sendall(b"data: two\n\n")

    with raw_upstream(ca, tmp_path / "vault", events) as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        with running(made), connect(made, teller) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"data: one\n\n" in read_until(connection, b"data: one\n\n\r\n")
            go_on.set()
            assert b"data: two\n\n" in read_all(connection)
            go_on.clear()
        made.write(change=lambda text: text.replace("proxy_buffering off;", ""))
        with running(made), connect(made, teller) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            connection.settimeout(1)
            with pytest.raises(TimeoutError):
                read_until(connection, b"data: one\n\n\r\n")
            go_on.set()


def test_a_large_upload_passes_where_the_variable_says_so(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    body = b"b" * 2_000_000
    with upstream(server(ca, "vault", "vault.internal"), root, tmp_path / "vault") as port:
        for limit, status in (("1m", 413), ("3m", 200)):
            made = gateway(
                tmp_path / limit, root, ca, [allow("teller", ca)], port, variables={"client_max_body_size": limit}
            )
            with running(made):
                answer = made.ask(teller, method="POST", body=body)
                assert answer.status == status
                if status == 413:
                    assert answer.error == "the body is longer than 1m (client_max_body_size)"
                else:
                    assert len(str(answer.json["body"])) == len(body)


def test_an_upload_is_passed_on_as_it_comes(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    has_come = threading.Event()

    def receive(connection: ssl.SSLSocket) -> None:
        if read_until(connection, b"first").endswith(b"first"):
            has_come.set()
        read_until(connection, b"last")
        connection.sendall(HELLO)

    with (
        raw_upstream(ca, tmp_path / "vault", receive) as port,
        running(gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)) as made,
        connect(made, teller) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n\r\nfirst")
        assert has_come.wait(WITHIN)
        connection.sendall(b"last")
        assert read_all(connection).endswith(b"\r\n\r\nok")


def test_head_and_http_1_0_pass(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    def answer(connection: ssl.SSLSocket) -> None:
        head = read_until(connection, b"\r\n\r\n")
        connection.sendall(HELLO[:-2] if head.startswith(b"HEAD ") else HELLO)

    with (
        raw_upstream(ca, tmp_path / "vault", answer) as port,
        running(gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)) as made,
    ):
        for request, ending in (
            (b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"\r\n\r\n"),
            (b"GET / HTTP/1.0\r\n\r\n", b"\r\n\r\nok"),
        ):
            with connect(made, teller) as connection:
                connection.sendall(request)
                whole = read_all(connection)
                assert whole.startswith(b"HTTP/1.1 200 ")
                assert b"\r\nContent-Length: 2\r\n" in whole
                assert whole.endswith(ending)


def test_an_upstream_that_says_nothing_is_a_504(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    over = threading.Event()
    with raw_upstream(ca, tmp_path / "vault", lambda _: over.wait(WITHIN)) as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port, variables={"proxy_read_timeout": "1s"})
        with running(made):
            for path in ("/", "/call/vault"):
                answer = made.ask(teller, path)
                assert (answer.status, answer.error) == (504, "vault did not answer in time")
        over.set()


def test_handshakes_that_stop_half_way_stop_nobody(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    made.write(change=lambda text: text.replace("client_header_timeout 10s;", "client_header_timeout 2s;"))
    with running(made), half_open(made.port, 300) as connections:
        assert made.ask(teller).status == 200
        assert connections[-1].recv(65536) == b""  # client_header_timeout


def test_1100_silent_strangers_stop_nobody(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    """One worker, so that the number does not depend on the machine; none of them is sent away meanwhile."""

    def one_patient_worker(text: str) -> str:
        return text.replace("worker_processes auto;", "").replace("header_timeout 10s;", "header_timeout 600s;")

    made = project(tmp_path, root, ca, [allow("teller", ca)])
    with many_files(2_000):
        with running(made.write(change=one_patient_worker)), half_open(made.port, 1_100):
            assert made.ask(teller).status == 200
        assert not any("worker_connections are not enough" in line for line in made.lines)
        made.write(change=lambda text: one_patient_worker(text).replace("connections 4096;", "connections 1024;"))
        with running(made), half_open(made.port, 1_100):
            until(lambda: any("worker_connections are not enough" in line for line in made.lines))


@contextlib.contextmanager
def many_files(count: int) -> Iterator[None]:
    """Lets this process have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    require(hard == resource.RLIM_INFINITY or hard >= count, f"{count} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- Errors are JSON -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    (health,) = free_addresses(1)
    made = project(tmp_path_factory.mktemp("desk"), root, ca, [allow("teller", ca)], health=address(health.port))
    with running(made.write()):
        yield made


@pytest.mark.parametrize(
    ("request_text", "status", "error"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 413, "the body is longer than 1m"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9_000 + b"\r\n\r\n", 400, "a header of the request is too"),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "the address is too long"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "the request is malformed"),
        (b"\x00\x01\r\n\r\n", 400, "the request is malformed"),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505, "the version of HTTP is not known"),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "the method is not allowed"),
        (b"GET /else HTTP/1.1\r\nHost: x\r\n\r\n", 404, "there is nothing here"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "the request asks for what desk"),
    ],
)
def test_an_error_is_json(desk: Project, teller: Credential, request_text: bytes, status: int, error: str) -> None:
    with connect(desk, teller) as connection:
        connection.sendall(request_text)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, response.headers["Content-Type"]) == (status, "application/json")
        assert json.loads(response.read())["error"].startswith(error)


def test_http_0_9_is_not_answered(desk: Project, ca: Authority, teller: Credential) -> None:
    """It has no status line: what comes back is an error's text, of what the caller is or of what it speaks."""
    for caller, said in ((teller, b"HTTP/0.9 is not spoken here"), (client(ca, "mallory"), b"not among the callers")):
        with connect(desk, caller) as connection:
            connection.sendall(b"GET /\r\n")
            answer = read_all(connection)
        assert said in answer
        assert b"spiffe://" not in answer


def test_a_caller_who_may_not_call_is_told_no_other_error(desk: Project, ca: Authority, teller: Credential) -> None:
    for path in ("/", "/else", "/-/failed"):
        answer = desk.ask(client(ca, "mallory"), path)
        assert (answer.status, "not among the callers" in answer.error) == (403, True)
    assert desk.ask(teller, "/-/failed").status == 404


@pytest.mark.parametrize("what", [b"\x00\x01\r\n\r\n", b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n"])
def test_what_is_no_request_is_no_way_in(desk: Project, ca: Authority, what: bytes) -> None:
    for caller, said in ((client(ca, "mallory"), b"not among the callers"), (None, b"no client certificate was sent")):
        with connect(desk, caller) as connection:
            connection.sendall(what)
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 4")
        assert said in answer


def test_head(desk: Project, ca: Authority, teller: Credential) -> None:
    for caller, path, status in ((teller, "/", 200), (teller, "/else", 404), (client(ca, "mallory"), "/", 403)):
        with contextlib.closing(kept(desk, caller)) as connection:
            connection.request("HEAD", path)
            response = connection.getresponse()
            assert (response.status, response.read()) == (status, b"")
    assert desk.settings.health is not None
    plain = http.client.HTTPConnection("127.0.0.1", desk.settings.health.port, timeout=WITHIN)
    plain.request("HEAD", "/healthz")
    response = plain.getresponse()
    assert (response.status, response.read()) == (200, b"")


def test_http_1_0_with_keep_alive(desk: Project, teller: Credential) -> None:
    with connect(desk, teller) as connection:
        for _ in range(2):
            connection.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert b"\r\nConnection: keep-alive\r\n" in read_until(connection, b"}\n")


# --- The access log --------------------------------------------------------------------------------------------------


def lines_of(log: Path) -> list[dict[str, object]]:
    """The whole lines: what is buffered may be written in the middle of one."""
    return [json.loads(line) for line in log.read_bytes().rpartition(b"\n")[0].splitlines()]


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_access_log_survives_a_stop(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential, name: signal.Signals
) -> None:
    """As under systemd: RuntimeDirectory is emptied at a stop, LogsDirectory stays."""
    logs = tmp_path / "the logs"
    made = project(tmp_path / "desk", root, ca, [allow("teller", ca)]).write()
    made.write(change=lambda text: text.replace("flush=1s", "flush=1h"))
    with tempfile.TemporaryDirectory() as runtime, running(made, RUNTIME_DIRECTORY=runtime, LOGS_DIRECTORY=str(logs)):
        for caller in (teller, client(ca, "mallory")):
            made.ask(caller)
        assert lines_of(logs / "access.log") == []  # still in the buffer
        assert made.service is not None
        made.service._process.send_signal(name)
        assert made.service._process.wait(WITHIN) == 0
    assert not (made.folder / "run").exists()
    first, second = sorted(lines_of(logs / "access.log"), key=lambda line: str(line["status"]))  # one buffer a worker
    assert datetime.fromisoformat(str(first["time"])).utcoffset() is not None
    shown = ("client", "caller", "subject", "request", "status")
    assert [first[key] for key in shown] == [
        "127.0.0.1", "spiffe://lab/client/teller", teller.dn, "GET / HTTP/1.1", 200,
    ]  # fmt: skip
    assert (second["caller"], second["status"]) == ("", 403)


def test_it_is_written_within_a_second(desk: Project, teller: Credential) -> None:
    desk.ask(teller, "/written-soon")
    until(lambda: any("/written-soon" in str(line["request"]) for line in lines_of(desk.folder / "run/access.log")))


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/a%20b?c=d", True),
        ("/\u0107\u20ac\U0001f600\u00a0".encode(), True),
        (b"/\x1b[31m", True),
        (b"/" + b"\xc4\x87" * 4_000, True),
        (b"/\xff\xfe", False),
        (b"/\xc2\x9b31m", False),
        (b"/\xed\xa0\x80", False),
        (b"/\xc0\xaf", False),
        (b"/\xf4\x90\x80\x80", False),
        (b"/\x7f", False),
    ],
)
def test_a_request_is_logged_as_text_or_not_at_all(
    desk: Project, teller: Credential, target: bytes, shown: bool
) -> None:
    """Each line is JSON in UTF-8, and nothing in it means anything to a terminal."""
    log = desk.folder / "run/access.log"
    wanted = f"GET {target.decode()} HTTP/1.1" if shown else "(bytes that are no text)"

    def logged() -> int:
        """How many lines say so. The log is buffered: it may end in half a line."""
        written = log.read_bytes().rpartition(b"\n")[0].decode()
        assert not any(unicodedata.category(character) == "Cc" for character in written.replace("\n", ""))
        return [json.loads(line)["request"] for line in written.splitlines()].count(wanted)

    before = logged()
    with connect(desk, teller) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read_all(connection)
    until(lambda: logged() == before + 1)


def test_nginx_alone_would_log_other_bytes(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)])
    made.write(
        change=lambda text: text.replace("$asked", "$request").replace("map $request $request", "map $request $x")
    )
    with running(made), connect(made, teller) as connection:
        connection.sendall(b"GET /\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        read_all(connection)
        log = made.folder / "run/access.log"
        until(lambda: b"/\xff " in log.read_bytes())


def test_a_full_disk_stops_nothing(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    """Neither where the access log is nor where run.sh and nginx say what they do."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "access.log").symlink_to("/dev/full")
    made = project(tmp_path / "desk", root, ca, [allow("teller", ca)]).write()
    with in_the_dark(made, LOGS_DIRECTORY=str(logs)) as process:
        for _ in range(3):
            assert made.ask(teller).status == 200
        made.own = server(ca, "desk", "localhost")
        made.write()
        process.send_signal(signal.SIGHUP)
        until(lambda: shows(made, teller))
        (made.folder / "nginx.conf").write_text("no such directive;")
        process.send_signal(signal.SIGHUP)
        for _ in range(3):
            assert made.ask(teller).status == 200
        assert process.poll() is None
    with pytest.raises(ConnectionRefusedError):
        made.ask(teller)
    assert not list((made.folder / "run").iterdir())


def test_nginx_does_not_outlive_run_sh(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    """Whatever ends it: here a line that fails once nginx runs."""
    made = project(tmp_path, root, ca, [allow("teller", ca)]).write()
    script = made.folder / "run.sh"
    script.write_text(script.read_text().replace("    printf 'ready:", "    false; printf 'ready:"))
    with in_the_dark(made, wait=False) as process:
        assert process.wait(WITHIN) == 1
    with pytest.raises(ConnectionRefusedError):
        made.ask(teller)
    script.write_text(script.read_text().replace("trap end_all EXIT", "trap 'echo \"$nginx $inner\" >&3' EXIT"))
    left = tmp_path / "left"
    with in_the_dark(made, wait=False, left=left) as process:
        assert process.wait(WITHIN) == 1
    try:
        assert made.ask(teller).status in (200, 502)
    finally:
        for number in left.read_text().split():
            os.kill(int(number), signal.SIGTERM)


@contextlib.contextmanager
def in_the_dark(
    made: Project, *, wait: bool = True, left: Path | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """run.sh where all that it says goes to a full disk; `left` is what it writes to its descriptor 3."""
    command = 'exec "$0" >/dev/full 2>&1 3>"$1"'
    process = subprocess.Popen(
        ["sh", "-c", command, made.folder / "run.sh", left or os.devnull], env={**os.environ, **environment}
    )
    try:
        if wait:
            until(lambda: any(pid.read_text() for pid in (made.folder / "run").glob("nginx.*/app/app.pid")))
        yield process
    finally:
        process.terminate()
        process.wait(WITHIN)


# --- Strange homes ---------------------------------------------------------------------------------------------------


def test_git_takes_up_nothing_that_is_written_while_it_runs(desk: Project, teller: Credential, tmp_path: Path) -> None:
    require_command("git")
    desk.ask(teller)
    until(lambda: bool(lines_of(desk.folder / "run/access.log")))
    git = ["git", f"--git-dir={tmp_path / 'git'}", f"--work-tree={desk.folder}"]
    subprocess.run([*git, "init", "--quiet"], check=True, cwd=desk.folder)

    def of_run() -> list[str]:
        done = subprocess.run(
            [*git, "ls-files", "--others", "--exclude-standard"],
            check=True,
            cwd=desk.folder,
            capture_output=True,
            text=True,
        )
        assert "nginx.conf" in done.stdout
        return [path for path in done.stdout.splitlines() if path.startswith("run/")]

    assert of_run() == []
    ignore = desk.folder / ".gitignore"
    ignore.rename(tmp_path / "ignore")
    try:
        assert "run/access.log" in of_run()
    finally:
        (tmp_path / "ignore").rename(ignore)


@contextlib.contextmanager
def by_run_sh(made: Project, *command: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """run.sh, by `command` if there is one."""
    environment = how.pop("environment", {})
    with started([*command, made.folder / "run.sh"], made.lines, environment, **how) as process:
        yield process


def test_hup_under_nohup_reloads(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)]).write()
    before = made.own
    with by_run_sh(made, require_command("nohup")) as process:
        assert made.ask(teller).status == 200
        made.own = server(ca, "desk", "localhost")
        made.write()
        process.send_signal(signal.SIGHUP)
        until(lambda: shows(made, teller))
    assert process.returncode == 0
    assert not list((made.folder / "run").glob("nginx.*"))
    run = made.folder / "run.sh"
    run.write_text(run.read_text().replace("hears_hup || {", "true || {"))
    made.own = before
    made.write()
    run.write_text(run.read_text().replace("hears_hup || {", "true || {"))
    made.lines.clear()
    with by_run_sh(made, require_command("nohup")) as process:
        made.own = server(ca, "desk", "localhost")
        made.own.write(made.tls / "cert.pem", made.tls / "key.pem")
        process.send_signal(signal.SIGHUP)
        assert made.ask(teller).status == 200
        assert not shows(made, teller)


def shows(made: Project, teller: Credential) -> bool:
    from scaffold.pki import bundles

    return made.ask(teller).shown == bundles.der(made.own.certificate)


def test_where_hup_cannot_be_had_back_it_says_so(tmp_path: Path, root: Authority, ca: Authority) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)]).write()
    with by_run_sh(made, require_command("nohup"), environment={"HUP_IS_BACK": "1"}):
        pass
    assert "desk: HUP is ignored here, so it will not reload; start it by setsid instead of nohup" in made.lines


@pytest.fixture
def nobodys(root: Authority, ca: Authority) -> Iterator[Project]:
    """A project that belongs to nobody."""
    with nobodys_folder() as folder:
        made = project(folder / "desk", root, ca, [allow("teller", ca)]).write()
        give_to_nobody(folder)
        yield made


def test_a_folder_that_became_unreadable_leaves_the_old_pair_in_place(nobodys: Project, teller: Credential) -> None:
    with by_run_sh(nobodys, **nobody()) as process:
        before = nobodys.ask(teller).shown
        os.chown(nobodys.tls, 0, 0)
        nobodys.tls.chmod(0o700)
        process.send_signal(signal.SIGHUP)
        until(lambda: any("not reloaded; the old configuration stays" in line for line in nobodys.lines))
        until(lambda: any("Permission denied" in line and str(nobodys.folder) in line for line in nobodys.lines))
        assert nobodys.ask(teller).shown == before


@pytest.mark.parametrize("environment", [{}, {"HOME": "/nonexistent"}], ids=["none", "missing"])
def test_it_runs_without_a_home_from_a_folder_that_it_may_not_write(
    nobodys: Project, teller: Credential, environment: dict[str, str]
) -> None:
    lock_up(nobodys.folder)
    with by_run_sh(nobodys, environment=environment, **nobody()) as process:
        assert process.wait(WITHIN) == 1
    (said,) = nobodys.lines
    assert said.startswith(f"desk: {nobodys.folder}/run cannot be written to: name folders that can in RUNTIME_DIREC")
    with tempfile.TemporaryDirectory() as runtime:
        os.chown(runtime, nobody()["user"], -1)  # type: ignore[arg-type]
        with by_run_sh(nobodys, environment={**environment, "RUNTIME_DIRECTORY": runtime}, **nobody()):
            assert nobodys.ask(teller).status == 200


@pytest.mark.parametrize("rendered", ["[::]", "127.0.0.1"])
def test_every_address_of_the_machine_is_both_families(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential, rendered: str
) -> None:
    require(socket.has_dualstack_ipv6(), "IPv6")
    listen, health = free_addresses(2)
    host = rendered.strip("[]")
    made = project(tmp_path, root, ca, [allow("teller", ca)], health=address(health.port, host))
    made.settings = replace(made.settings, listen=address(listen.port, host))
    moved = {"LISTEN": f"[::]:{listen.port}", "HEALTH": f"[::]:{health.port}"}
    with running(made.write(), **({} if rendered == "[::]" else moved)):
        assert not [line for line in made.lines if "[warn]" in line]
        assert ask(listen.port, teller, root).status == 200
        with connect(made, teller, "::1") as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        for host in ("127.0.0.1", "::1"):
            plain = http.client.HTTPConnection(host, health.port, timeout=WITHIN)
            plain.request("GET", "/healthz")
            assert plain.getresponse().status == 200
    made.write(change=lambda text: text.replace(" ipv6only=off", ""))
    if rendered == "[::]":
        with running(made), pytest.raises(ConnectionRefusedError):
            ask(listen.port, teller, root)
