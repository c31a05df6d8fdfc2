"""The life of an ASGI server: what changes in tls/, slow and many callers, several processes, start and end.

What must not be so has a twin on the same project without the line that it is about.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import importlib.util
import json
import os
import py_compile
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from scaffold.pki import bundles, keys
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Files, Revocation
from tests.handshake.asgi_apps import PLAIN
from tests.handshake.asgi_lab import Desk
from tests.handshake.nginx_lab import (
    Answer,
    Authority,
    Credential,
    address,
    allow,
    call_of,
    client,
    context_of,
    crl_of,
    identity,
    server,
    until,
)
from tests.handshake.python_lab import place
from tests.handshake.revocation_lab import HOUR, Responder, crls, responding
from tests.handshake.test_asgi import websocket
from tests.handshake.traffic import connect, get, half_open, kept, read_all, read_until
from tests.requirements import require_command

require_command("python3", "openssl")

NOBODY = b'{"allowed": []}'
GONE = (ssl.SSLError, ConnectionError, http.client.HTTPException)

Make = Callable[..., Desk]


@pytest.fixture
def make(tmp_path: Path, root: Authority, ca: Authority) -> Make:
    """A server that allows the teller; not started."""

    def desk(app: str | None = PLAIN, **how: object) -> Desk:
        own = server(ca, "desk", "localhost")
        return Desk(tmp_path / "desk", own, root, [allow("teller", ca)], app=app, **how)  # type: ignore[arg-type]

    return desk


def gone(desk: Desk, caller: Credential) -> bool:
    """Whether the caller gets no answer at all, as one that the handshake refuses."""
    try:
        desk.ask(caller, "/caller")
    except GONE:
        return True
    return False


# --- What comes with the template -------------------------------------------------------------------------------------


def test_fastapi_greets_and_says_who_called(make, teller, mallory):
    desk = make(app=None)
    with desk.running():
        answer = desk.ask(teller).json
        assert answer == {**desk.ask(teller, "/.mtls/caller").json, "greeting": "hello"}
        assert answer["caller"] == identity("teller")
        assert desk.ask(teller, "/docs").status == 200
        assert desk.ask(mallory, "/docs").status == 403
    assert not list(desk.folder.rglob("__pycache__"))


LOUD = """
import logging.config

def configured():
    logging.config.dictConfig({
        "version": 1,
        "formatters": {"own": {"format": "own format: %(message)s"}},
        "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
        "root": {"handlers": ["own"], "level": "ERROR"},
    })

configured()

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        configured()
        await send({"type": "lifespan.startup.complete"})
        await receive()
    else:
        logging.error("said by the application")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
"""


def test_an_application_that_configures_logging_does_not_silence_the_access_log(make, teller, mallory):
    desk = make(LOUD)
    line = re.compile(
        r"\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d access: 127\.0\.0\.1:\d+ '(\S+)' 'GET /x\?y=1 HTTP/1\.1' (\d+)"
    )

    def said() -> list[tuple[str, str]]:
        return [(found[1], found[2]) for each in list(desk.lines) if (found := line.fullmatch(each))]

    with desk.running():
        assert desk.ask(teller, "/x?y=1").status == 204
        assert desk.ask(mallory, "/x?y=1").status == 403
        until(lambda: said() == [(identity("teller"), "204"), (identity("mallory"), "403")])
        until(lambda: "own format: said by the application" in list(desk.lines))


# --- Nothing gets around the guard ------------------------------------------------------------------------------------

DECIDES = ("return functools.partial(self._answer, connection)", "return self._application")
BESIDE = """
import sys

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"open"})
"""


def test_whoever_answers_everything_answers_allowed_callers_alone(make, teller, mallory):
    desk = make(BESIDE)
    (desk.folder / "mtls.py").write_text("raise SystemExit('another mtls')\n")
    (desk.folder / "h11").mkdir()
    (desk.folder / "h11/__init__.py").write_text("raise SystemExit('another h11')\n")
    with desk.running():
        assert desk.ask(teller, "/anything").body == "open"
        assert desk.ask(mallory, "/anything").status == 403
        assert desk.ask(teller, "/.mtls/caller").json["caller"] == identity("teller")


def compiled(desk: Desk) -> Path:
    """A compiled copy of a guard that lets everybody in, where Python looks for one, and never compares it."""
    source = desk.folder.parent / "guard.py"
    text = (desk.folder / "mtls/guard.py").read_text()
    assert DECIDES[0] in text
    source.write_text(text.replace(*DECIDES))
    target = Path(importlib.util.cache_from_source(str(desk.folder / "mtls/guard.py")))
    target.parent.mkdir()
    py_compile.compile(str(source), str(target), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    return target


def test_a_compiled_copy_does_not_take_the_guards_place(make, mallory):
    desk = make(BESIDE)
    compiled(desk)
    with desk.running():
        assert desk.ask(mallory, "/anything").status == 403


def test_loaded_as_usual_it_would(make, mallory):
    desk = make(BESIDE).rewrite("start.py", ("sys.meta_path.insert(0, _Here())", "pass"))
    compiled(desk)
    with desk.running():
        assert desk.ask(mallory, "/anything").body == "open"


def test_without_the_decision_it_would_answer_everybody(make, mallory):
    desk = make(BESIDE).rewrite("mtls/guard.py", DECIDES)
    with desk.running():
        assert desk.ask(mallory, "/anything").body == "open"


def test_what_comes_by_another_way_than_the_guards_is_an_error(make, teller):
    desk = make(BESIDE).rewrite("mtls/protocols.py", ("self.app = self._guard.before(self._connection)", "pass"))
    with desk.running():
        assert desk.ask(teller, "/anything").status == 500


# --- What changes in tls/ ---------------------------------------------------------------------------------------------


def test_a_new_certificate_is_taken_at_once_on_hup_and_what_does_not_load_is_not(make, ca, teller):
    desk = make().rewrite("mtls/server.py", ("POLL_SECONDS = 1", "POLL_SECONDS = 1000"))
    with desk.running() as service:
        before = desk.ask(teller, "/caller").shown
        place(desk.tls / "cert.pem", b"garbage")
        service.reload()
        until(lambda: any("the old material serves on" in line for line in list(desk.lines)))
        assert desk.ask(teller, "/caller").shown == before
        new = server(ca, "desk", "localhost")
        place(desk.tls / "key.pem", keys.to_pem(new.key))
        place(desk.tls / "cert.pem", bundles.chain_pem([new.certificate, *new.chain]))
        service.reload()
        until(lambda: desk.ask(teller, "/caller").shown == bundles.der(new.certificate))
        tls = desk.ask(teller, "/scope").json["extensions"]["tls"]
        assert ssl.PEM_cert_to_DER_cert(tls["server_cert"]) == bundles.der(new.certificate)


def test_an_allow_list_that_is_nested_too_deeply_leaves_the_old_one_in_place(make, teller):
    desk = make()
    with desk.running():
        place(desk.tls / "allowed.json", b"[" * 100_000)
        until(lambda: any("the old material serves on: RecursionError" in line for line in desk.lines))
        assert desk.ask(teller, "/caller").status == 200
        place(desk.tls / "allowed.json", NOBODY)
        until(lambda: desk.ask(teller, "/caller").status == 403)


def test_a_new_allow_list_holds_for_what_is_open_too(make, teller):
    desk = make()
    with desk.running():
        connection = kept(desk, teller)
        assert get(connection, "/caller")[0] == 200
        with websocket(desk, teller) as channel, streaming(desk, teller) as stream:
            assert channel.recv(timeout=20) == identity("teller")
            place(desk.tls / "allowed.json", NOBODY)
            assert ends(stream)
            with pytest.raises(ConnectionClosed):
                channel.recv(timeout=20)
            assert status(connection) == 403  # nothing was asked on it meanwhile, which would have been cut off, too


def status(connection: http.client.HTTPSConnection) -> int:
    return get(connection, "/caller")[0]


@contextlib.contextmanager
def streaming(desk: Desk, caller: Credential) -> Iterator[ssl.SSLSocket]:
    """A request whose answer never ends, once it has begun."""
    with connect(desk, caller) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        yield connection


def ends(connection: ssl.SSLSocket) -> bool:
    """Whether what is read from it comes to an end; there is more for ever otherwise, until the test's own limit."""
    deadline = threading.Event()
    timer = threading.Timer(40, deadline.set)
    timer.start()
    try:
        while not deadline.is_set():
            if not connection.recv(65536):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    finally:
        timer.cancel()
    return False


@pytest.fixture
def checking(make, root, ca) -> Desk:
    desk = make(revocation=Revocation("crl"), files=Files(crl="tls/crl.pem"))
    place(desk.tls / "crl.pem", crl_of(root) + crl_of(ca))
    return desk


def test_a_revoked_caller_is_refused_and_what_was_judged_before_ends(checking, root, ca, teller):
    desk = checking.rewrite("mtls/sessions.py", ("GRACE_SECONDS = 30", "GRACE_SECONDS = 0"))
    other = client(ca, "teller")
    with desk.running():
        idle, young, young_other = kept(desk, teller), kept(desk, teller), kept(desk, other)
        assert status(idle) == 200
        young.connect()
        young_other.connect()
        with websocket(desk, teller) as channel:
            assert channel.recv(timeout=20)
            place(desk.tls / "crl.pem", crl_of(root) + crl_of(ca, teller))
            assert idle.sock.recv(1) == b""  # it is closed while nothing is asked
            assert status(young) == 403  # it was let in when it connected
            young_other.request("GET", "/caller")  # it has had no answer yet, and gets it
            answer = young_other.getresponse()
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
            assert answer.read()
            with pytest.raises(ConnectionClosed):
                channel.recv(timeout=20)
        assert gone(desk, teller)
        assert desk.ask(other, "/caller").status == 200


def test_an_answer_that_had_begun_before_a_new_crl_is_the_last_of_its_connection(checking, root, ca, teller):
    desk = checking.rewrite("mtls/protocols.py", ("IDLE_SECONDS = 30", "IDLE_SECONDS = 1000"))
    with desk.running(), connect(desk, teller) as talking:
        idle = kept(desk, teller)
        assert status(idle) == 200
        talking.sendall(b"POST /talk HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        read_until(talking, b"begin")
        place(desk.tls / "crl.pem", crl_of(root) + crl_of(ca, client(ca, "teller")))
        assert idle.sock.recv(1) == b""
        talking.sendall(b"b")
        assert read_all(talking) == b"- end"  # all there is


def test_where_nobody_verifies_again_a_revoked_caller_has_its_first_answer(checking, root, ca, teller):
    desk = checking.rewrite("mtls/guard.py", ("if connection.trust != current.trust:", "if False:"))
    with desk.running():
        idle, young = kept(desk, teller), kept(desk, teller)
        assert status(idle) == 200
        young.connect()
        place(desk.tls / "crl.pem", crl_of(root) + crl_of(ca, teller))
        assert idle.sock.recv(1) == b""
        assert status(young) == 200


def test_without_the_crl_it_would_not_be(checking, root, ca, teller):
    desk = checking.rewrite("tls/policy.json", ('"check_crl": true', '"check_crl": false'))
    place(desk.tls / "crl.pem", crl_of(root) + crl_of(ca, teller))
    with desk.running():
        assert desk.ask(teller, "/caller").status == 200


# --- The end of a certificate -----------------------------------------------------------------------------------------


def test_requests_and_websockets_end_with_their_certificate(make, ca):
    desk = make()
    with desk.running():
        short = client(ca, "teller", ends=timedelta(seconds=8))
        connection = kept(desk, short)
        assert status(connection) == 200
        with websocket(desk, short) as channel, streaming(desk, short) as stream:
            assert channel.recv(timeout=20) == identity("teller")
            assert ends(stream)
            with pytest.raises(ConnectionClosed):
                channel.recv(timeout=20)
            assert status(connection) == 403


# --- OCSP -------------------------------------------------------------------------------------------------------------


def test_callers_are_asked_about_and_one_that_hangs_the_responder_keeps_nobody_waiting(make, root, ca, mallory):
    first, second, third, revoked = (client(ca, "teller") for _ in range(4))
    with contextlib.ExitStack() as stack:
        responder = stack.enter_context(responding(ca))
        responder.revoke(revoked)
        desk = make(
            files=Files(crl="tls/crl.pem"),
            revocation=Revocation("ocsp", responders=(responder.source(),), by_application=True),
        ).rewrite("mtls/lookups.py", ("MOST_AT_ONCE = 64", "MOST_AT_ONCE = 2"))
        place(desk.tls / "crl.pem", crls((root, HOUR, ()), (ca, HOUR, ())))
        stack.enter_context(desk.running())
        assert desk.ask(mallory).status == 403
        assert responder.asked == 0
        assert desk.ask(second, "/caller").status == 200
        assert "revoked (OCSP: keyCompromise)" in desk.ask(revoked, "/caller").error
        assert responder.asked == 2
        held = hold(responder)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(3))
        stack.callback(lambda: held.done() or held.set_result(None))
        waiting: list[concurrent.futures.Future[Answer]] = [pool.submit(desk.ask, first, "/caller") for _ in range(3)]
        until(lambda: responder.asked == 3)
        assert desk.ask(second, "/caller").status == 200  # it is remembered, and needs no thread
        assert desk.ask(third, "/caller").status == 200  # one thread waits for all of the first's connections
        assert not any(one.done() for one in waiting)
        held.set_result(None)
        assert [one.result(timeout=20).status for one in waiting] == [200, 200, 200]
        assert responder.asked == 5  # what was held back counts once more when it is answered


def hold(responder: Responder) -> concurrent.futures.Future[None]:
    """The next answer comes once the future has its result."""
    held: concurrent.futures.Future[None] = concurrent.futures.Future()
    answer = responder.answer

    def respond(request: bytes) -> bytes:
        responder.respond = None
        held.result(timeout=4)
        return answer(request)

    responder.respond = respond
    return held


# --- Slow and many callers --------------------------------------------------------------------------------------------

FEW = ("max(16, min(soft // 2, 65536))", "16")


def test_a_whole_head_has_one_deadline_and_a_body_goes_on(make, teller):
    desk = make().rewrite("mtls/protocols.py", ("HEAD_SECONDS = 10", "HEAD_SECONDS = 1"))
    with desk.running(), connect(desk, teller) as slow, connect(desk, teller) as uploading:
        slow.sendall(b"GET / HTTP/1.1\r\nX-Long: a")
        uploading.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\na")
        head, _, body = read_all(slow).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body) == {"error": "the request was not whole in time"}
        uploading.sendall(b"b")
        assert read_all(uploading).startswith(b"HTTP/1.1 200 ")


def test_a_silent_caller_and_a_stopped_upload_are_hung_up_on(make, teller):
    desk = make().rewrite("mtls/protocols.py", ("IDLE_SECONDS = 30", "IDLE_SECONDS = 1"))
    with desk.running(), connect(desk, teller) as silent, connect(desk, teller) as stopped:
        stopped.sendall(b"HEAD /caller HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stopped.recv(10_000).startswith(b"HTTP/1.1 200 ")
        stopped.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        assert ends(silent)
        assert ends(stopped)


def test_a_websocket_lives_though_it_is_silent(make, teller):
    desk = make().rewrite("mtls/protocols.py", ("IDLE_SECONDS = 30", "IDLE_SECONDS = 1"))
    with desk.running(), websocket(desk, teller) as channel:
        assert channel.recv(timeout=20) == identity("teller")
        with connect(desk, teller) as silent:
            assert ends(silent)  # which began later
        channel.send("here")
        assert channel.recv(timeout=20) == "here"


PATIENT = (
    ("mtls/protocols.py", ("HEAD_SECONDS = 10", "HEAD_SECONDS = 1000")),
    ("mtls/connections.py", ("HANDSHAKE_SECONDS = 5", "HANDSHAKE_SECONDS = 1000")),
)


def test_strangers_and_silent_ones_make_room(make, teller, mallory):
    desk = make().rewrite("mtls/connections.py", FEW)
    for file, change in PATIENT:
        desk.rewrite(file, change)
    with desk.running(), contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(desk, mallory)).sendall(b"GET / HTTP/1.1\r\nX-Long: a")
        assert desk.ask(teller, "/caller").status == 200
        stack.enter_context(half_open(desk.port, 40))
        assert desk.ask(teller, "/caller").status == 200


def test_one_caller_may_have_half_of_the_connections(make, ca, teller):
    desk = make().rewrite("mtls/connections.py", FEW)
    with desk.running(), contextlib.ExitStack() as stack:
        for _ in range(8):
            assert status(stack.enter_context(contextlib.closing(kept(desk, teller)))) == 200
        answer = desk.ask(teller, "/caller")
        assert (answer.status, answer.error) == (503, "more than 8 connections of this caller are open")


def test_who_is_served_is_not_sent_away_for_a_newcomer(make, ca, teller):
    desk = make().rewrite("mtls/connections.py", FEW).rewrite("mtls/guard.py", ("connection.place.most // 2", "99"))
    desk = desk.rewrite("mtls/guard.py", ("> place.most // 2", "> 99"))
    with desk.running(), contextlib.ExitStack() as stack:
        uploading = stack.enter_context(connect(desk, teller))
        uploading.sendall(b"HEAD /caller HTTP/1.1\r\nHost: x\r\n\r\n")
        assert uploading.recv(10_000).startswith(b"HTTP/1.1 200 ")
        uploading.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\na")
        busy = [stack.enter_context(websocket(desk, teller)) for _ in range(14)]
        idle = stack.enter_context(contextlib.closing(kept(desk, teller)))
        assert status(idle) == 200
        assert desk.ask(teller, "/caller").status == 200  # the idle one makes room
        assert idle.sock.recv(1) == b""
        busy.append(stack.enter_context(websocket(desk, teller)))
        with socket.create_connection(("127.0.0.1", desk.port), timeout=2) as newcomer, pytest.raises(TimeoutError):
            context_of(teller, desk.root).wrap_socket(newcomer, server_hostname="localhost")
        for number, one in enumerate(busy):
            assert one.recv(timeout=20) == identity("teller")
            one.send(str(number))
            assert one.recv(timeout=20) == str(number)
        uploading.sendall(b"b")
        assert read_all(uploading).startswith(b"HTTP/1.1 200 ")
        assert desk.ask(teller, "/caller").status == 200


def test_what_watches_must_not_end(make, teller):
    desk = make().rewrite("mtls/server.py", ("self._hup.clear()", "raise RuntimeError('broken')"))
    with desk.running() as service:
        until(lambda: not service.running)
        assert service._process.returncode == 1
        until(lambda: any("it cannot go on" in line for line in list(desk.lines)))


# --- Several processes ------------------------------------------------------------------------------------------------


def processes(desk: Desk, caller: Credential, want: int) -> set[int]:
    """The processes that answer, once there are so many."""
    found: set[int] = set()

    def all_of_them() -> bool:
        with contextlib.suppress(*GONE):
            found.add(desk.ask(caller, "/process").json["pid"])  # type: ignore[arg-type]
        return len(found) >= want

    until(all_of_them)
    return found


def shown_by(desk: Desk, caller: Credential, pids: set[int]) -> dict[int, bytes]:
    """The certificate that each of the processes shows."""
    shown: dict[int, bytes] = {}

    def all_of_them() -> bool:
        answer = desk.ask(caller, "/process")
        shown[answer.json["pid"]] = answer.shown  # type: ignore[index]
        return shown.keys() >= pids

    until(all_of_them)
    return shown


def test_every_process_takes_up_what_is_new_and_one_that_ends_is_replaced(make, ca, teller):
    desk = make(workers=2).rewrite("mtls/server.py", ("POLL_SECONDS = 1", "POLL_SECONDS = 1000"))
    with desk.running() as service:
        pids = processes(desk, teller, 2)
        assert service.pid not in pids
        new = server(ca, "desk", "localhost")
        place(desk.tls / "key.pem", keys.to_pem(new.key))
        place(desk.tls / "cert.pem", bundles.chain_pem([new.certificate, *new.chain]))
        service.reload()
        until(lambda: set(shown_by(desk, teller, pids).values()) == {bundles.der(new.certificate)})
        killed = min(pids)
        os.kill(killed, signal.SIGKILL)
        until(lambda: any(f"process {killed} ended" in line for line in list(desk.lines)))
        (replaced,) = processes(desk, teller, 2) - pids
        assert replaced != service.pid
        os.kill(service.pid, signal.SIGTERM)
        until(lambda: not service.running)
        assert service._process.returncode == 0
        assert [line for line in desk.lines if "the application has ended" in line]


def test_the_processes_end_with_the_one_that_started_them(make, teller):
    desk = make(workers=2)
    with desk.running() as service:
        pids = processes(desk, teller, 2)
        os.kill(service.pid, signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


# --- Start and end ----------------------------------------------------------------------------------------------------


def test_term_ends_the_application_well_with_a_request_under_way(make, teller):
    desk = make()
    with desk.running() as service:
        with connect(desk, teller) as uploading:
            uploading.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
            assert desk.ask(teller, "/caller").status == 200
            service.signal(signal.SIGTERM)
            uploading.sendall(b"b")
            assert read_all(uploading).startswith(b"HTTP/1.1 200 ")
        until(lambda: not service.running)
        assert service._process.returncode == 0
        until(lambda: any("the application has ended" in line for line in list(desk.lines)))


SLOW_TO_START = """
import asyncio
import os
import pathlib

async def app(scope, receive, send):
    await receive()
    os.write(1, b"starting\\n")  # in one piece, with several processes
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    await send({"type": "lifespan.startup.complete"})
    await receive()
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_hup_while_the_application_starts_ends_nothing(make, teller, workers):
    desk = make(SLOW_TO_START, workers=workers)
    with subprocess.Popen([desk.folder / "run.sh"], stdout=subprocess.PIPE, text=True, env=moved(desk)) as process:
        said = process.stdout
        assert said is not None
        try:
            assert [said.readline() for _ in range(workers)] == ["starting\n"] * workers
            process.send_signal(signal.SIGHUP)
            (desk.folder / "go").touch()
            assert said.readline().startswith("ready: ")
            assert desk.ask(teller, "/.mtls/caller").status == 200
        finally:
            process.terminate()
    assert process.returncode == 0


FAILING = """
async def app(scope, receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.mark.parametrize(
    ("file", "text", "said", "workers"),
    [
        ("app.py", "", "app.py has no `app`", 1),
        ("app.py", "import nothing_of_this_name\napp = None\n", "nothing_of_this_name", 1),
        ("app.py", FAILING, "no database", 1),
        ("app.py", FAILING, "no database", 2),
        ("tls/cert.pem", "garbage", "SSLError", 2),
        ("tls/allowed.json", "{}", "KeyError", 1),
    ],
    ids=["no app", "no module", "no lifespan", "no lifespan twice", "no certificate twice", "no allow list"],
)
def test_what_cannot_start_says_why_and_ends_with_1(make, workers, file, text, said):
    desk = make(workers=workers)
    (desk.folder / file).write_text(text)
    ended = start(desk)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "ready" not in ended.stdout


@pytest.mark.parametrize("file", ["crl.pem", "ca.pem", "key.pem"])
def test_a_file_that_is_missing_is_named(make, file):
    desk = make(revocation=Revocation("crl"), files=Files(crl="tls/crl.pem"))
    assert (file != "crl.pem") is (desk.tls / file).exists()
    (desk.tls / file).unlink(missing_ok=True)
    ended = start(desk)
    assert (ended.returncode, ended.stderr.splitlines()[-1:]) == (
        1,
        [f"{desk.tls / file} cannot be read: No such file or directory"],
    )


def start(desk: Desk, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [desk.folder / "run.sh"], capture_output=True, text=True, timeout=60, check=False,
        env={**moved(desk), **environment},
    )  # fmt: skip


def moved(desk: Desk) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{desk.port}", "ASGI_PYTHON": sys.executable}


def test_a_number_of_workers_that_cannot_be_is_one_clear_line(make):
    desk = make().rewrite("settings.json", ('"workers": 1', '"workers": 0'))
    ended = start(desk)
    assert ended.returncode == 1
    assert "settings.json: workers must be a whole number from 1 to 64" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_one_clear_line(make, teller):
    desk = make()
    with desk.running():
        ended = start(desk)
        assert (ended.returncode, desk.ask(teller, "/caller").status) == (1, 200)
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_another_version_than_the_guard_is_made_for_does_not_start(make):
    desk = make().rewrite("mtls/requirements.txt", ("h11==0.16.0", "h11==0.0.1\nnot-there==1"))
    ended = start(desk)
    assert ended.returncode == 1
    assert "lacks h11==0.0.1, not-there==1: `pip install" in ended.stderr


# --- Other ports ------------------------------------------------------------------------------------------------------


def test_the_health_port_says_ok_and_nothing_else(make):
    (free,) = free_addresses(1)
    desk = make(health=address(8081))
    with desk.running(HEALTH=f"127.0.0.1:{free.port}"):
        for method, path, status in (("GET", "/healthz", 200), ("HEAD", "/healthz", 200), ("GET", "/caller", 404)):
            connection = http.client.HTTPConnection("127.0.0.1", free.port, timeout=20)
            connection.request(method, path)
            response = connection.getresponse()
            assert response.status == status
            assert response.read() == {("GET", 200): b"ok\n", ("HEAD", 200): b""}.get((method, status), b"not found\n")
            connection.close()
        with socket.create_connection(("127.0.0.1", free.port), timeout=20) as plain:
            head = b"GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            plain.sendall(head + b"0;a\n=b\r\n\r\n")
            assert b"".join(iter(lambda: plain.recv(65536), b"")).endswith(b"\r\n\r\nok\n")
    assert not [line for line in desk.lines if "Exception" in line or "Traceback" in line]


def test_it_calls_others_with_its_own_certificate(make, tmp_path, root, ca, teller):
    vault = Desk(
        tmp_path / "vault", server(ca, "vault", "vault.internal"), root, [allow("desk", ca)], app=PLAIN
    )  # fmt: skip
    desk = make(calls=(call_of("vault", 1, "vault.internal"), call_of("false", 1, "other.internal")))
    client(ca, "desk").write(desk.tls / "client-cert.pem", desk.tls / "client-key.pem")
    (desk.tls / "client-ca.pem").write_bytes(bundles.pem(root.certificate))
    there = f"127.0.0.1:{vault.port}"
    with vault.running(), desk.running(CALL_VAULT=there, CALL_FALSE=there):
        assert desk.ask(teller, "/call/vault").json["caller"] == identity("desk")
        told = desk.ask(teller, "/ask/vault").json
        assert (told["status"], json.loads(str(told["answer"]))["caller"]) == (200, identity("desk"))
        assert desk.ask(teller, "/call/nobody").status == 404
        refused = desk.ask(teller, "/call/false")
        assert (refused.status, "I do not trust it" in refused.error) == (502, True)
