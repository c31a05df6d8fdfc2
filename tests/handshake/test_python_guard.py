"""The Python server's guard: who may not call reaches nothing of routes.py; slow and many callers; strange homes.

Each test has a twin on the same project without the line that it is about.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from scaffold.pki import bundles
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Revocation
from tests.handshake.nginx_lab import (
    WITHIN,
    Credential,
    address,
    allow,
    brief,
    client,
    context_of,
    identity,
    renewed,
    server,
    until,
)
from tests.handshake.python_lab import Desk, place, server_folder
from tests.handshake.revocation_lab import HOUR, crls
from tests.handshake.traffic import (
    ANYBODYS_PATH,
    answered,
    get,
    give_to_nobody,
    half_open,
    is_taken,
    lock_up,
    nobody,
    nobodys_folder,
    read_all,
    started,
)
from tests.requirements import require, require_command

require_command("python3")

METHODS = ("POST", "BREW")


@pytest.fixture
def desk(tmp_path, root, ca) -> Desk:
    return Desk(tmp_path / "desk", root, ca)


# --- What lies beside it ----------------------------------------------------------------------------------------------

EVERYBODY = ("raise HttpError(HTTPStatus.FORBIDDEN, f", "return Caller('anybody', None)  # ")


def doctored(desk: Desk) -> str:
    """The text of a guard that lets everybody in."""
    text = (desk.folder / "guard.py").read_text()
    assert EVERYBODY[0] in text
    return text.replace(*EVERYBODY)


def a_package(desk: Desk) -> None:
    (desk.folder / "guard").mkdir()
    (desk.folder / "guard/__init__.py").write_text(doctored(desk))


def _compile(desk: Desk, target: Path) -> None:
    source = desk.folder.parent / "guard.py"
    source.write_text(doctored(desk))
    code = (
        "import sys, py_compile as c; c.compile(*sys.argv[1:], invalidation_mode=c.PycInvalidationMode.UNCHECKED_HASH)"
    )
    subprocess.run(["python3", "-c", code, source, target], check=True)


def a_compiled_copy(desk: Desk) -> None:
    asked = "import importlib.util as u; print(u.cache_from_source('guard.py'))"
    cache = subprocess.run(["python3", "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    (desk.folder / "__pycache__").mkdir()
    _compile(desk, desk.folder / cache)


def a_path_in_the_environment(desk: Desk) -> None:
    elsewhere = desk.folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "guard.py").write_text(doctored(desk))
    (elsewhere / "sitecustomize.py").write_text(f"import sys\n\nsys.path.append({str(desk.folder)!r})\nimport guard\n")


SHADOWS = (a_package, a_compiled_copy, a_path_in_the_environment)


@pytest.mark.parametrize("shadow", SHADOWS, ids=lambda shadow: shadow.__name__)
def test_nothing_takes_the_guards_place(desk, teller, mallory, shadow):
    shadow(desk)
    with desk.running(PYTHONPATH=str(desk.folder.parent / "elsewhere")):
        assert desk.ask(teller).status == 200
        assert desk.ask(mallory).status == 403


@pytest.mark.parametrize("shadow", SHADOWS, ids=lambda shadow: shadow.__name__)
def test_imported_as_usual_it_would_be_replaced(desk, mallory, shadow):
    shadow(desk)
    desk.rewrite("run.sh", ("python3 -I -B -u start.py", "python3 -B -u -c 'import server; server.main()'"))
    with desk.running(PYTHONPATH=str(desk.folder.parent / "elsewhere")):
        assert desk.ask(mallory).status == 200


def test_packages_of_a_persons_own_are_found(desk, teller):
    (desk.folder / "orders").mkdir()
    (desk.folder / "orders/__init__.py").write_text("OPEN = 'two'\n")
    (desk.folder / "more.py").write_text("import orders\n\nSAID = orders.OPEN\n")
    (desk.folder / "routes.py").write_text(
        "import more\nfrom routing import Answer\n\nROUTES = {'GET /': lambda request: Answer({'said': more.SAID})}\n"
    )
    with desk.running():
        assert desk.ask(teller).json == {"said": "two"}


# --- A method that a person has added --------------------------------------------------------------------------------


@pytest.mark.parametrize("add", [Desk.add_a_post, Desk.add_an_api])
@pytest.mark.parametrize("method", METHODS)
def test_an_added_method_is_for_allowed_callers_alone(desk, teller, mallory, method, add):
    with add(desk).running():
        answer = desk.ask(teller, method=method, body=b"money")
        assert (answer.status, answer.json) == (200, {"received": "money", "caller": identity("teller")})
        assert desk.ask(mallory, method=method, body=b"money").status == 403


def test_without_the_decision_it_would_be_for_everybody(desk, teller, mallory):
    refusal = "raise HttpError(HTTPStatus.FORBIDDEN, f"
    desk.add_a_post().rewrite("guard.py", (refusal, "return Caller('anybody', None)  # "))
    with desk.running():
        assert desk.ask(mallory, method="POST", body=b"money").status == 200


def test_an_added_method_is_not_for_revoked_callers(tmp_path, root, ca, teller):
    revoked = client(ca, "teller")
    rules = Revocation("crl", by_application=True)
    desk = Desk(tmp_path / "desk", root, ca, revocation=rules).add_a_post()
    lists = crls((root, HOUR, ()), (ca, HOUR, (revoked.certificate.serial_number,)))
    place(desk.tls / "crl.pem", lists)
    with desk.running():
        assert desk.ask(teller, method="POST", body=b"x").status == 200
        for method in METHODS:
            answer = desk.ask(revoked, method=method, body=b"x")
            assert (answer.status, "revoked" in answer.error) == (403, True)
    desk.rewrite("guard.py", ("if current.checker is not None:", "if False:"))
    with desk.running():
        assert desk.ask(revoked, method="POST", body=b"x").status == 200


def test_edited_routes_go_with_every_setting(tmp_path, root, ca):
    """A setting of the topology changes no line of Python: there is nothing that an edit could keep from coming."""

    def python(folder: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in folder.glob("*.py")}

    from tests.handshake.nginx_lab import call_of

    plain = Desk(tmp_path / "plain", root, ca)
    rules = Revocation("ocsp", "allow", by_application=True)
    rich = Desk(
        tmp_path / "rich", root, ca,
        revocation=rules, health=address(8081), calls=(call_of("vault", 1, "vault.internal"),),
    )  # fmt: skip
    assert python(plain.folder) == python(rich.folder)
    assert json.loads((rich.tls / "policy.json").read_text())["revocation"] == {
        "check": "ocsp", "on_unavailable": "allow",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["handle_one_request", "setup", "_admit", "parse_request"])
def test_api_py_cannot_stand_before_the_decision(desk, name):
    desk.add_an_api(f"\n    def {name}(self) -> None:\n        self.do_GET()\n")
    ended = desk.start_in_vain()
    assert ended.returncode == 1
    assert f"api.Handler may not replace {name}: it decides who gets in" in ended.stderr


def test_a_handler_without_the_guard_does_not_start(desk):
    (desk.folder / "api.py").write_text(
        "import http.server\n\nclass Handler(http.server.BaseHTTPRequestHandler): pass\n"
    )
    ended = desk.start_in_vain()
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "must be a guard.Handler" in ended.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"check_weather": True}, "check_weather"),
        ({"check_crl": "false"}, "check_crl"),
        ({"revocation": {"check": "ocps", "on_unavailable": "refuse"}}, "ocps"),
        ({"revocation": {"check": "ocsp"}}, "on_unavailable"),
        ({"min_version": "TLSv1.1"}, "TLSv1.1"),
    ],
)
def test_a_demand_that_it_does_not_know_does_not_start(desk, wrong, said):
    policy = json.loads((desk.tls / "policy.json").read_text())
    place(desk.tls / "policy.json", json.dumps({**policy, **wrong}).encode())
    ended = desk.start_in_vain()
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert said in ended.stderr


def test_demands_in_settings_json_are_not_read_and_the_log_says_so(desk, teller):
    settings = json.loads((desk.folder / "settings.json").read_text())
    (desk.folder / "settings.json").write_text(json.dumps({**settings, "tls": {"check_crl": True}}))
    with desk.running():
        assert desk.ask(teller).status == 200
    assert any("tls is not read any more" in line for line in desk.lines)


def test_a_body_is_asked_for_once_the_caller_is_let_in(desk, teller, mallory):
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with desk.add_a_post().running():
        with desk.connect(teller) as connection:
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b"money")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        with desk.connect(mallory) as connection:
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 0\r\nContent-Length: 40\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length : 40\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "no header at all\r\nContent-Length: 40\r\n",
    ],
)
def test_a_head_that_could_be_misread_is_refused_and_what_follows_is_no_request(desk, teller, framing):
    """Two programs that see the end of a request in different places let a body pass for a request."""
    hidden = b"GET /.mtls/caller HTTP/1.1\r\nHost: b\r\n\r\n"
    with desk.running(), desk.connect(teller) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + framing.encode() + b"\r\n" + hidden)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1, answer


def test_a_body_that_is_read_lets_the_connection_live(desk, teller):
    with desk.add_a_post().running(), contextlib.closing(desk.keep(teller)) as connection:
        for body in (b"", b"one", b"x" * 100_000):
            connection.request("POST", "/", body)
            response = connection.getresponse()
            assert json.loads(response.read())["received"] == body.decode()
            assert not response.will_close
        connection.request("POST", "/", b"x" * 2_000_000)
        assert connection.getresponse().status == 413


def test_a_method_that_fails_is_a_500_in_json(desk, teller):
    with (desk.folder / "routes.py").open("a") as file:
        file.write(
            "\n\ndef broken(request):\n    raise FileNotFoundError('secret.txt')\n\n\nROUTES['PUT /'] = broken\n"
        )
    with desk.running():
        answer = desk.ask(teller, method="PUT")
        assert (answer.status, "secret" in answer.body) == (500, False)
        assert desk.ask(teller).status == 200
    assert any("secret.txt" in line for line in desk.lines)


# --- Routes ----------------------------------------------------------------------------------------------------------

SOME_ROUTES = """
from http import HTTPStatus

from routing import Answer, HttpError, Request


def told(request: Request) -> Answer:
    return Answer({"path": request.path, "query": request.query, "x": request.header("X-Mine")})


def text(request: Request) -> Answer:
    return Answer("ć", HTTPStatus.ACCEPTED, {"X-Mine": "1"})


def missing(request: Request) -> Answer:
    raise HttpError(HTTPStatus.GONE, "it was sold")


ROUTES = {
    "GET /orders": text, "GET /orders/...": told, "POST /orders": told, "GET /orders/sold": missing,
    "GET /orders/deep/er/...": text,
}
"""


def test_functions_answer_by_method_and_path(desk, teller, mallory):
    (desk.folder / "routes.py").write_text(SOME_ROUTES)
    with desk.running():
        told = desk.ask(teller, "/orders/1?a=1&a=2", headers=[("X-Mine", "yes")])
        assert told.json == {"path": "/orders/1", "query": {"a": ["1", "2"]}, "x": "yes"}
        plain = desk.ask(teller, "/orders")
        assert (plain.status, plain.body, plain.headers["x-mine"]) == (202, "ć", "1")
        assert plain.headers["content-type"] == "text/plain; charset=utf-8"
        assert desk.ask(teller, "/orders/deep/er/still").body == "ć"
        assert desk.ask(teller, "/orders/deep/sold").json["path"] == "/orders/deep/sold"
        gone = desk.ask(teller, "/orders/sold")
        assert (gone.status, gone.error) == (410, "it was sold")
        wrong = desk.ask(teller, "/orders", method="DELETE")
        assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD, POST")
        assert [desk.ask(teller, path).status for path in ("/", "/order", "/ordersx", "*")] == [404] * 4
        assert desk.ask(teller, "/.mtls/caller").json["caller"] == identity("teller")
        for path in ("/orders", "/orders/1", "/", "/.mtls/caller"):
            assert {desk.ask(mallory, path, method=method).status for method in ("GET", "POST", "DELETE")} == {403}


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ("{'/orders': print}", "'/orders' must be a method and a path"),
        ("{'get /orders': print}", "'get /orders' must be"),
        ("{'GET orders': print}", "'GET orders' must be"),
        ("{'GET /orders': 'text'}", "with a function"),
        ("{'POST /.mtls/caller': print}", "/.mtls/caller is answered before"),
    ],
)
def test_a_route_that_could_never_answer_is_one_clear_line(desk, routes, said):
    (desk.folder / "routes.py").write_text(f"ROUTES = {routes}\n")
    ended = desk.start_in_vain()
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert said in ended.stderr


def test_an_api_py_from_before_goes_on_answering_and_the_log_says_so(desk, teller):
    with desk.add_an_api().running():
        assert desk.ask(teller, "/x").json == {"old": "hello", "path": "/x"}
        assert desk.ask(teller, "/.mtls/caller").json["caller"] == identity("teller")
    assert any("api.py answers, and routes.py is not looked at" in line for line in desk.lines)
    (desk.folder / "api.py").unlink()
    with desk.running():
        assert desk.ask(teller).json["greeting"] == "hello"
    assert not any("api.py" in line for line in desk.lines)


# --- Time ------------------------------------------------------------------------------------------------------------


def test_a_connection_ends_with_its_certificate(desk, ca):
    with desk.running(), brief(ca, partial(answered, desk)) as (_, connection):
        socket_before = connection.sock
        until(lambda: get_once(connection, socket_before) == 403)


def get_once(connection: http.client.HTTPSConnection, sock: object) -> int:
    """The status of one more request over the same connection."""
    assert connection.sock is sock
    return get(connection)[0]


def test_without_looking_at_the_clock_it_would_not(desk, ca):
    desk.rewrite("guard.py", ("if time.time() > self._ends:", "if False:"))
    with desk.running(), brief(ca, partial(answered, desk)) as (caller, connection):
        until(lambda: expired(desk, caller))
        assert get(connection)[0] == 200


def expired(desk: Desk, caller: Credential) -> bool:
    """Whether a new handshake is refused."""
    try:
        desk.ask(caller)
    except (OSError, http.client.HTTPException):
        return True
    return False


@pytest.mark.parametrize("ends", [timedelta(minutes=-5), timedelta(seconds=3)], ids=["before", "while it runs"])
def test_the_chain_that_the_caller_sends_is_used_when_the_own_intermediate_ends(desk, root, ca, teller, ends):
    old = renewed(ca, root, ends)
    place(desk.tls / "intermediates.pem", bundles.pem(old.certificate))
    with desk.running():
        # Its end is past when its own leaf is refused; the sent chain must get in all along.
        until(lambda: expired(desk, Credential(teller.certificate, teller.key, ())))
        until(lambda: not expired(desk, teller))


def test_an_ended_intermediate_that_is_loaded_shuts_it_out(desk, root, ca, teller):
    place(desk.tls / "intermediates.pem", bundles.pem(renewed(ca, root, timedelta(minutes=-5)).certificate))
    with desk.rewrite("tls.py", ("if end > now]", "]")).running():
        assert expired(desk, teller)


# --- Slow and many ---------------------------------------------------------------------------------------------------


class Dribbler:
    """Connections that send one byte of a header every two seconds, and are made again when they end."""

    def __init__(self, port: int, context: ssl.SSLContext, count: int) -> None:
        self.port, self.context = port, context
        self.connections: list[ssl.SSLSocket | None] = [None] * count
        self.over = threading.Event()
        self.all_are_open = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for number, connection in enumerate(self.connections):
                with contextlib.suppress(OSError):
                    self.connections[number] = self.dribble(connection)
            self.all_are_open.set()
            self.over.wait(2)
        for connection in filter(None, self.connections):
            connection.close()

    def dribble(self, connection: ssl.SSLSocket | None) -> ssl.SSLSocket | None:
        if connection is None:
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=WITHIN)
            connection = self.context.wrap_socket(plain, server_hostname="localhost")
            connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        try:
            connection.sendall(b"a")
        except OSError:
            return None
        return connection


@contextlib.contextmanager
def dribbling(desk: Desk, caller: Credential, count: int) -> Iterator[None]:
    """So many slow connections of the caller, once all of them have been made."""
    context = context_of(caller, desk.root)
    dribblers = [Dribbler(desk.port, context, count // 8) for _ in range(8)]
    threads = [threading.Thread(target=each.run) for each in dribblers]
    for thread in threads:
        thread.start()
    try:
        for each in dribblers:
            assert each.all_are_open.wait(WITHIN)
        yield
    finally:
        for each in dribblers:
            each.over.set()
        for thread in threads:
            thread.join()


def test_512_slow_strangers_stop_nobody(desk, teller, mallory):
    with desk.running(), dribbling(desk, mallory, 512):
        for _ in range(20):
            assert desk.ask(teller).status == 200


def test_where_strangers_do_not_go_first_they_would(desk, teller, mallory):
    desk.rewrite("connections.py", ("if stage is leaving:", "if False:")).rewrite(
        "guard.py", ("HEAD_SECONDS = 10", "HEAD_SECONDS = 1000")
    )
    with desk.running(), dribbling(desk, mallory, 512), pytest.raises(TimeoutError):
        socket_timeout(desk, teller)


def socket_timeout(desk: Desk, caller: Credential) -> None:
    plain = socket.create_connection(("127.0.0.1", desk.port), timeout=5)
    with contextlib.closing(plain):
        context_of(caller, desk.root).wrap_socket(plain, server_hostname="localhost")


def test_600_handshakes_that_stop_half_way_stop_nobody(desk, teller):
    with desk.running():
        with half_open(desk.port, 600):
            assert desk.ask(teller).status == 200
        desk.rewrite("connections.py", ("if stage is leaving:", "if False:"))
    desk.rewrite("server.py", ("HANDSHAKE_SECONDS = 5", "HANDSHAKE_SECONDS = 1000"))
    with desk.running(), half_open(desk.port, 600), pytest.raises(TimeoutError):
        socket_timeout(desk, teller)


def test_a_whole_head_has_one_deadline(desk, teller):
    """An allowed caller too: each byte comes in time, the head as a whole does not."""
    desk.rewrite("guard.py", ("HEAD_SECONDS = 10", "HEAD_SECONDS = 1"))
    with desk.running(), desk.connect(teller) as connection:
        connection.settimeout(0.2)
        answer = dribble_until_answered(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'{"error": "the request was not whole in time"}' in answer
    desk.rewrite("guard.py", ("self._input.finish_within(HEAD_SECONDS)", "self._input.go_on(HEAD_SECONDS)"))
    with desk.running(), desk.connect(teller) as connection:
        connection.settimeout(0.2)
        assert dribble_until_answered(connection) == b""


def dribble_until_answered(connection: ssl.SSLSocket) -> bytes:
    """What comes back while a head is sent byte by byte, 5 a second, for 4 s; empty where nothing does."""
    connection.sendall(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(20):
        connection.sendall(b"a")
        with contextlib.suppress(TimeoutError):
            answer = connection.recv(65536)
            while piece := connection.recv(65536):
                answer += piece
            return answer
    return b""


def test_a_caller_has_so_many_connections_and_others_theirs(tmp_path, root, ca, teller):
    desk = Desk(tmp_path / "desk", root, ca)
    server_folder(desk.folder, server(ca, "desk", "localhost"), root, [allow("teller", ca), allow("auditor", ca)])
    desk.rewrite("guard.py", ("MAX_PER_CALLER = 256", "MAX_PER_CALLER = 3"))
    with desk.running(), contextlib.ExitStack() as open_connections:
        for _ in range(3):
            connection = open_connections.enter_context(contextlib.closing(desk.keep(teller)))
            assert get(connection)[0] == 200
        answer = desk.ask(teller)
        assert (answer.status, "more than 3 connections" in answer.error) == (503, True)
        assert desk.ask(client(ca, "auditor")).status == 200
        connection.close()
        until(lambda: desk.ask(teller).status == 200)


def test_idle_allowed_callers_make_room_for_others(tmp_path, root, ca, teller):
    desk = Desk(tmp_path / "desk", root, ca)
    desk.rewrite("connections.py", ("MAX_CONNECTIONS = 512", "MAX_CONNECTIONS = 4"))
    with desk.running(), contextlib.ExitStack() as open_connections:
        for _ in range(4):
            connection = open_connections.enter_context(contextlib.closing(desk.keep(teller)))
            assert get(connection)[0] == 200
        assert desk.ask(teller).status == 200


# --- HTTP ------------------------------------------------------------------------------------------------------------


def test_an_answer_leaves_in_one_piece(desk, teller):
    """Two pieces cost 40 ms: the second waits for the acknowledgement of the first (RFC 896)."""
    with desk.running(), desk.connect(teller) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).endswith(b"}\n")
    desk.rewrite("guard.py", ('makefile("wb")', 'makefile("wb", 0)'))
    with desk.running(), desk.connect(teller) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).endswith(b"\r\n\r\n")


def test_http_1_0_with_keep_alive(desk, teller):
    kept = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    with desk.running(), desk.connect(teller) as connection:
        for _ in range(3):
            connection.sendall(kept)
            assert b"\r\nConnection: keep-alive\r\n" in connection.recv(65536)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in connection.recv(65536)
        assert connection.recv(1) == b""


def test_head_of_the_health_port(tmp_path, root, ca):
    desk = Desk(tmp_path / "desk", root, ca, health=address(8081))
    (health,) = free_addresses(1)
    with desk.running(HEALTH=str(health)):
        for path, status in (("/healthz", 200), ("/", 404)):
            connection = http.client.HTTPConnection(health.host, health.port, timeout=WITHIN)
            connection.request("HEAD", path)
            response = connection.getresponse()
            assert (response.status, response.read()) == (status, b"")


def test_the_access_line(desk, ca, teller, mallory):
    from scaffold.topology.model import Fault

    awkward = "/'%0a\"" + "\u00fc"
    with desk.running():
        desk.ask(teller, headers=[("X-A", "b")])
        desk.ask(mallory)
        desk.ask(client(ca, "teller", fault=Fault.NO_SAN), awkward)
        until(lambda: sum(" access: " in line for line in desk.lines) == 3)
    lines = [line for line in desk.lines if " access: " in line]
    for line, (who, status) in zip(
        lines, ((f"'{identity('teller')}'", 200), (f"'{identity('mallory')}'", 403), ("none", 403)), strict=True
    ):
        time, name, client_address, identified, rest = line.split(" ", 4)
        assert datetime.fromisoformat(time).utcoffset() is not None
        assert name == "access:"
        assert re.fullmatch(r"127\.0\.0\.1:\d+", client_address)
        assert identified == who
        assert rest.endswith(f" {status}")
        assert "GET /" in rest


# --- Groups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "accepted"),
    [("X25519", True), ("P-256", True), ("P-384", True), ("X448", False), ("P-521", False), ("ffdhe2048", False)],
)
def test_the_groups_are_those_of_the_profile(desk, teller, group, accepted):
    teller.write(desk.folder / "caller.pem", desk.folder / "caller-key.pem")
    with desk.running():
        assert handshakes_with(desk, group) is accepted
    desk.rewrite("run.sh", ("export OPENSSL_CONF", "unused"))
    with desk.running():
        assert handshakes_with(desk, group)


def handshakes_with(desk: Desk, group: str) -> bool:
    """Whether `openssl s_client`, which knows that group alone, comes through."""
    done = subprocess.run(
        [require_command("openssl"), "s_client", "-connect", f"127.0.0.1:{desk.port}", "-groups", group,
         "-cert", "caller.pem", "-key", "caller-key.pem", "-CAfile", "tls/ca.pem", "-verify_return_error"],
        cwd=desk.folder, input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, timeout=WITHIN, check=False,
    )  # fmt: skip
    return b"New, TLSv1.3" in done.stdout


# --- Strange homes ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_nobody(desk: Desk, **environment: str) -> Iterator[subprocess.Popen[str]]:
    moved = {"LISTEN": f"127.0.0.1:{desk.port}", **environment}
    with started([desk.folder / "run.sh"], desk.lines, moved, **nobody()) as process:
        yield process


@pytest.fixture
def nobodys(root, ca) -> Iterator[Desk]:
    """A project that belongs to nobody."""
    require(shutil.which("python3", path=ANYBODYS_PATH), "a python3 that every user may run")
    with nobodys_folder() as folder:
        desk = Desk(folder / "desk", root, ca)
        give_to_nobody(folder)
        yield desk


def test_a_folder_that_became_unreadable_leaves_the_old_pair_in_place(nobodys, ca, teller):
    with as_nobody(nobodys) as process:
        assert nobodys.ask(teller).status == 200
        before = nobodys.ask(teller).shown
        new = server(ca, "desk", "localhost")
        os.chown(nobodys.tls, 0, 0)
        nobodys.tls.chmod(0o700)
        new.write(nobodys.tls / "cert.pem", nobodys.tls / "key.pem")
        process.send_signal(signal.SIGHUP)
        until(lambda: any("the old material serves on" in line for line in nobodys.lines))
        (said,) = [line for line in nobodys.lines if "the old material serves on" in line]
        assert said.endswith(f"{nobodys.tls} cannot be read: Permission denied")
        assert nobodys.ask(teller).shown == before
        nobodys.tls.chmod(0o755)
        until(lambda: nobodys.ask(teller).shown == bundles.der(new.certificate))


@pytest.mark.parametrize("name", ["", "key.pem", "policy.json"])
def test_what_cannot_be_read_at_the_start_is_one_clear_line(nobodys, name):
    unreadable = nobodys.tls / name if name else nobodys.tls
    os.chown(unreadable, 0, 0)
    unreadable.chmod(0o700)
    with as_nobody(nobodys) as process:
        assert process.wait(WITHIN) == 1
    assert nobodys.lines == [f"{unreadable} cannot be read: Permission denied"]


@pytest.mark.parametrize("environment", [{}, {"HOME": "/nonexistent"}, {"HOME": ""}], ids=["none", "missing", "empty"])
def test_it_runs_without_a_home_from_a_folder_that_it_may_not_write(nobodys, teller, environment):
    lock_up(nobodys.folder)
    before = sorted(nobodys.folder.rglob("*"))
    with as_nobody(nobodys, **environment):
        assert nobodys.ask(teller).status == 200
    assert sorted(nobodys.folder.rglob("*")) == before


def test_every_address_of_the_machine_is_both_families(desk, teller):
    require(socket.has_dualstack_ipv6(), "IPv6")
    with desk.running(LISTEN=f"[::]:{desk.port}"):
        assert desk.ask(teller).status == 200
        plain = socket.create_connection(("::1", desk.port), timeout=WITHIN)
        with context_of(teller, desk.root).wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    shown = [line.split()[2].rpartition(":")[0] for line in desk.lines if " access: " in line]
    assert shown == ["127.0.0.1", "[::1]"]
    desk.rewrite("connections.py", ('where[0] == "::"', "False"))
    with desk.running(LISTEN=f"[::]:{desk.port}"), pytest.raises(ConnectionRefusedError):
        desk.ask(teller)


@pytest.mark.parametrize("where", ["stdout", "stderr"])
def test_a_full_disk_stops_nothing(desk, teller, where):
    """What it says is lost, and nothing else."""
    environment = {"PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{desk.port}"}
    other = "stdout" if where == "stderr" else "stderr"
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(
            [desk.folder / "run.sh"], env=environment, **{where: full, other: subprocess.DEVNULL}
        ) as process,
    ):
        try:
            until(lambda: is_taken(desk.port))
            for _ in range(3):
                assert desk.ask(teller).status == 200
            assert process.poll() is None
        finally:
            process.terminate()
    if where == "stdout":
        desk.rewrite("server.py", ("with contextlib.suppress(OSError):  # a full", "if True:  # a full"))
        with Path("/dev/full").open("w") as full:
            ended = subprocess.run([desk.folder / "run.sh"], env=environment, stdout=full, timeout=WITHIN, check=False)
        assert ended.returncode == 1
