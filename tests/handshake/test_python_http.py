"""The Python server reads a request's head in one way, and ends requests that outlive their caller's certificate.

Each test has a twin on the same project without the line that it is about.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest

from scaffold.pki import bundles
from scaffold.settings.values import Revocation
from scaffold.topology.model import San, SanType
from tests.handshake import dotnet_lab
from tests.handshake.nginx_lab import Authority, Credential, authority, brief, client, identity, until
from tests.handshake.python_lab import Desk, place
from tests.handshake.revocation_lab import HOUR, crls
from tests.handshake.traffic import get, read_all, read_until
from tests.requirements import require_command

require_command("python3")

CALLER = b"/.mtls/caller"


@pytest.fixture(scope="module")
def running(tmp_path_factory, root, ca) -> Iterator[Desk]:
    """A server as it is rendered."""
    desk = Desk(tmp_path_factory.mktemp("running") / "desk", root, ca).add_a_post()
    (desk.folder / "routes.py").write_text((desk.folder / "routes.py").read_text() + ROUTE_THAT_TELLS)
    with desk.running():
        yield desk


@pytest.fixture
def desk(tmp_path, root, ca) -> Desk:
    return Desk(tmp_path / "desk", root, ca)


ROUTE_THAT_TELLS = """

def told(request: Request) -> Answer:
    return Answer({"path": request.path, "query": request.query, "host": request.header("Host")})


ROUTES |= {"GET /told/...": told, "GET /told": told}
"""


def sent(desk: Desk, caller: Credential, request: bytes) -> bytes:
    """All that comes back on one connection."""
    with desk.connect(caller) as connection:
        connection.sendall(request)
        return read_all(connection)


def statuses(answers: bytes) -> list[int]:
    return [int(piece[:3]) for piece in answers.split(b"HTTP/1.1 ")[1:]]


# --- The head of a request -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://a.example/told/1?a=1", "/told/1", {"a": ["1"]}),
        (b"HTTPS://a.example:8443/told", "/told", {}),
        (b"https://[::1]:8443/told/x", "/told/x", {}),
        (b"/told/http://b.example/", "/told/http://b.example/", {}),
        (b"/told?next=http://b.example/", "/told", {"next": ["http://b.example/"]}),
    ],
)
def test_a_proxys_form_of_the_target_is_served(running, teller, target, path, query):
    """RFC 9112 3.2.2; the host that it names counts, whatever the Host line says."""
    answer = sent(running, teller, b"GET " + target + b" HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")
    assert statuses(answer) == [200], answer
    host = "other" if target.startswith(b"/") else target.decode().split("/")[2]
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2]) == {"path": path, "query": query, "host": host}


@pytest.mark.parametrize("target", [b"http://a.example", b"http://a.example?a=1"])
def test_a_host_alone_asks_for_its_root(running, teller, target):
    answer = sent(running, teller, b"GET " + target + b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["greeting"] == "hello"


def test_it_is_for_allowed_callers_alone(running, ca):
    for path in (b"/", CALLER):
        request = b"GET https://localhost" + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert statuses(sent(running, client(ca, "mallory"), request)) == [403]


@pytest.mark.parametrize("caller", ["teller", "mallory"])
@pytest.mark.parametrize(
    "request_text",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET http://a.example/ HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n",
        b"GET / HTTP/1.1\r\nHost: a, b\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n",
        b"GET / HTTP/1.1\r\nHost: me@a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n",
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n",
        b"GET http:///told HTTP/1.1\r\nHost: a\r\n",
        b"GET http://me:secret@a/ HTTP/1.1\r\nHost: a\r\n",
        b"GET /\r\nHost: a\r\n",
        b"GET / HTTP/0.9\r\nHost: a\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n",
        b"GET / / HTTP/1.1\r\nHost: a\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: a\r\n",
        b"GET\x85/\x85HTTP/1.1\r\nHost: a\r\n",
        b" GET / HTTP/1.1\r\nHost: a\r\n",
        b"G(T / HTTP/1.1\r\nHost: a\r\n",
        b"GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rX-Client-Subject: CN=boss\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 5\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n",
    ],
)
def test_a_head_that_breaks_the_rules_is_a_400_in_json(running, ca, teller, request_text, caller):
    """RFC 9112 2.2, 3 and 3.2: for whoever sends it, and what follows it is not looked at."""
    after = b"GET /.mtls/caller HTTP/1.1\r\nHost: b\r\n\r\n"
    who = teller if caller == "teller" else client(ca, caller)
    answer = sent(running, who, request_text + b"\r\n" + after)
    assert statuses(answer) == [400], answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert json.loads(body)["error"]


def test_empty_lines_before_a_request_are_skipped(running, teller):
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with running.connect(teller) as connection:
        for before in (b"", b"\r\n", b"\n\r\n", b"\r\n" * 8):
            connection.sendall(before + request)
            assert read_until(connection, b"}\n").startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"\r\n" * 9 + request)
        assert statuses(read_all(connection)) == [400]


@pytest.mark.parametrize(
    ("lines", "version", "stays"),
    [
        (b"Connection: keep-alive, close\r\n", b"1.1", False),
        (b"Connection: close, keep-alive\r\n", b"1.1", False),
        (b"Connection: keep-alive\r\nConnection: Close\r\n", b"1.1", False),
        (b"Connection: keep-alive, x\r\n", b"1.0", True),
        (b"Connection: x\r\n", b"1.0", False),
        (b"Connection: x\r\n", b"1.1", True),
        (b"", b"1.1", True),
    ],
)
def test_what_connection_says(running, teller, lines, version, stays):
    request = b"GET / HTTP/" + version + b"\r\nHost: a\r\n"
    last = b"GET /else HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = sent(running, teller, request + lines + b"\r\n" + last)
    assert statuses(answers) == ([200, 404] if stays else [200])
    posted = b"POST / HTTP/" + version + b"\r\nHost: a\r\nContent-Length: 3\r\n" + lines + b"\r\none" + last
    assert statuses(sent(running, teller, posted)) == ([200, 404] if stays else [200])


A_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
A_LAST = b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"  # 505, and the connection ends


@pytest.mark.parametrize(
    ("file", "change", "request_text", "seen"),
    [
        ("guard.py", ("head.check(self", "None and (self"), b"GET / HTTP/1.1\r\n", [200, 505]),
        (
            "guard.py",
            ("if self.rfile.has_stray:", "if False:"),
            b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rA: b\r\n",
            [200, 505],
        ),
        ("guard.py", ("if not head.is_request_line(", "if not ("), b"GET\x85/\x85HTTP/1.1\r\nHost: a\r\n", [200, 505]),
        ("guard.py", ("MOST_EMPTY_LINES = 8", "MOST_EMPTY_LINES = 0"), b"\r\n" + A_HEAD, [400]),
        (
            "head.py",
            ('"close" not in words and', ""),
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n",
            [200, 505],
        ),
    ],
)
def test_without_the_rule_it_would_be_otherwise(desk, teller, file, change, request_text, seen):
    with desk.rewrite(file, change).running():
        assert statuses(sent(desk, teller, request_text + b"\r\n" + A_LAST)) == seen


# --- What outlives its caller's certificate ---------------------------------------------------------------------------

HALF = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nhal"
A_WEBSOCKET = """
import guard


class Handler(guard.Handler):
    def do_GET(self) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n")
        self.wfile.flush()
        while True:
            self.connection.settimeout(60)
            if not (said := self.connection.recv(1024)):
                return
            self.connection.sendall(said.upper())
"""


def is_ended(connection: ssl.SSLSocket) -> bool:
    """Waits for the end of the connection, without an answer."""
    with contextlib.suppress(OSError):
        return connection.recv(65536) == b""
    return True


@contextlib.contextmanager
def half_sent(desk: Desk, caller: Credential) -> Iterator[ssl.SSLSocket]:
    """An upload that has begun, of a caller that was let in."""
    with desk.connect(caller) as connection:
        connection.sendall(HALF.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        yield connection


def test_an_upload_ends_with_the_certificate(desk, ca):
    with desk.add_a_post().running(), brief(ca, partial(half_sent, desk)) as (_, connection):
        assert is_ended(connection)
    (said,) = [line for line in desk.lines if " sessions: " in line]
    assert said.endswith(f"the request of '{identity('teller')}' is ended: the certificate has expired")


def test_a_websocket_ends_with_the_certificate(desk, ca):
    (desk.folder / "api.py").write_text(A_WEBSOCKET)
    with desk.running(), brief(ca, partial(chatting, desk)) as (_, connection):
        assert is_ended(connection)


@contextlib.contextmanager
def chatting(desk: Desk, caller: Credential) -> Iterator[ssl.SSLSocket]:
    """A WebSocket on which a first word was answered."""
    with desk.connect(caller) as connection:
        connection.sendall(b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"first")
        assert connection.recv(1024) == b"FIRST"
        yield connection


def test_where_nobody_looks_after_them_they_would_not(desk, ca):
    desk.add_a_post().rewrite("sessions.py", ("if reason is None:", "if True:"))
    with desk.running(), brief(ca, partial(half_sent, desk)) as (caller, connection):
        until(lambda: is_refused(desk, caller))
        until(lambda: len(desk.lines) > 1)
        connection.sendall(b"way")
        assert statuses(read_until(connection, b"}\n")) == [200]


def is_refused(desk: Desk, caller: Credential) -> bool:
    """Whether a new connection is."""
    try:
        return desk.ask(caller).status == 403
    except (OSError, http.client.HTTPException):
        return True


def test_an_upload_ends_when_its_caller_is_taken_off_the_allow_list(desk, ca, teller):
    with desk.add_a_post().running(), half_sent(desk, teller) as connection:
        place(desk.tls / "allowed.json", b'{"allowed": []}')
        assert is_ended(connection)
    assert any("is ended: the caller is no longer allowed" in line for line in desk.lines)


def test_an_upload_goes_on_whichever_name_of_its_caller_is_listed(desk, ca):
    """Its URI is not, a DNS name is. That another request ends meanwhile shows that both were looked at."""
    names = [dotnet_lab.uri("partner"), San(SanType.DNS, "gw.partner.example")]

    def partner_of(ca: Authority, _: str, **life: timedelta) -> Credential:
        return dotnet_lab.leaf(ca, "partner", "client", names, **life)

    desk.add_a_post().rewrite("tls/allowed.json", (identity("teller"), "dns:gw.partner.example"))
    with desk.running(), half_sent(desk, partner_of(ca, "")) as other:
        with brief(ca, partial(half_sent, desk), make=partner_of) as (_, connection):
            assert is_ended(connection)
        other.sendall(b"way")
        assert statuses(read_until(other, b"}\n")) == [200]
    (said,) = [line for line in desk.lines if " sessions: " in line]
    assert said.endswith("is ended: the certificate has expired")


def test_an_upload_ends_when_its_caller_is_revoked(tmp_path, root, ca, teller):
    """By the list that the application looks into: at once, and not after the grace of who is not looked up."""
    rules = Revocation("crl", by_application=True)
    desk = Desk(tmp_path / "desk", root, ca, revocation=rules).add_a_post()
    desk.rewrite("sessions.py", ("ASK_SECONDS = 15", "ASK_SECONDS = 1"))
    place(desk.tls / "crl.pem", crls((root, HOUR, ()), (ca, HOUR, ())))
    with desk.running(), half_sent(desk, teller) as connection:
        place(desk.tls / "crl.pem", crls((root, HOUR, ()), (ca, HOUR, (teller.certificate.serial_number,))))
        assert is_ended(connection)
    assert any("is ended: " in line and "revoked" in line for line in desk.lines)


def test_a_request_from_before_other_roots_or_crls_may_go_on_for_a_while(tmp_path, root, ca, teller):
    desk = Desk(tmp_path / "desk", root, ca, revocation=Revocation("crl")).add_a_post()
    place(desk.tls / "crl.pem", crls((root, HOUR, ()), (ca, HOUR, ())))
    newer = crls((root, HOUR, ()), (ca, HOUR, (1,)))
    with desk.running(), half_sent(desk, teller) as connection:
        place(desk.tls / "crl.pem", newer)
        until(lambda: any("was reloaded" in line for line in desk.lines))
        connection.sendall(b"way")
        answer = read_all(connection)  # and its connection ends
        assert statuses(answer) == [200]
    desk.rewrite("sessions.py", ("GRACE_SECONDS = 30", "GRACE_SECONDS = 0"))
    with desk.running(), half_sent(desk, teller) as connection:
        place(desk.tls / "crl.pem", newer + b"\n")
        assert is_ended(connection)
    assert any("is ended: it began under other roots or CRLs" in line for line in desk.lines)


@pytest.fixture
def checking(tmp_path, root, ca) -> Desk:
    desk = Desk(tmp_path / "desk", root, ca, revocation=Revocation("crl"))
    place(desk.tls / "crl.pem", crls((root, HOUR, ()), (ca, HOUR, ())))
    return desk


def first_answers(desk: Desk, root: Authority, ca: Authority, revoked: Credential, *callers: Credential) -> list[str]:
    """What each is answered on a connection that it opened before `revoked` was, and that asks for the first time."""
    with desk.running(), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(contextlib.closing(desk.keep(caller))) for caller in callers]
        for connection in connections:
            connection.connect()
        place(desk.tls / "crl.pem", crls((root, HOUR, ()), (ca, HOUR, (revoked.certificate.serial_number,))))
        until(lambda: any("was reloaded" in line for line in desk.lines))
        answers = []
        for connection in connections:
            status, body = get(connection)
            answers.append(f"{status} {body.decode()}")
        return answers


def test_who_was_revoked_since_the_handshake_has_no_answer(checking, root, ca, teller):
    other = client(ca, "teller")
    refused, answered = first_answers(checking, root, ca, teller, teller, other)
    assert refused.startswith("403 ")
    assert "is no longer valid: certificate revoked" in refused
    assert answered.startswith("200 ")


def test_where_nobody_verifies_again_it_would(checking, root, ca, teller):
    checking.rewrite("guard.py", ("if self._trust != current.trust:\n", "if False:\n"))
    (answered,) = first_answers(checking, root, ca, teller, teller)
    assert answered.startswith("200 ")


def test_without_the_openssl_command_whoever_was_judged_before_connects_anew(checking, root, ca, teller):
    checking.rewrite("standing.py", ('command = ["openssl"', 'command = ["no-such-openssl"'))
    (refused,) = first_answers(checking, root, ca, client(ca, "teller"), teller)
    assert refused.startswith("403 ")
    assert "connect again" in refused
    with checking.running():
        assert checking.ask(teller).status == 200


def test_who_has_lost_its_root_since_the_handshake_has_no_answer(desk, root, ca, teller):
    with desk.running(), contextlib.closing(desk.keep(teller)) as connection:
        connection.connect()
        place(desk.tls / "ca.pem", bundles.pem(authority("Another Root").certificate))
        until(lambda: any("was reloaded" in line for line in desk.lines))
        assert get(connection)[0] == 403


def test_an_allow_list_that_is_nested_too_deeply_leaves_the_old_one_in_place(desk, teller):
    with desk.running():
        place(desk.tls / "allowed.json", b"[" * 100_000)
        until(lambda: any("the old material serves on: RecursionError" in line for line in desk.lines))
        assert desk.ask(teller).status == 200
        place(desk.tls / "allowed.json", b'{"allowed": []}')
        until(lambda: desk.ask(teller).status == 403)


def test_a_kept_connection_costs_nothing_of_this(running, teller):
    with contextlib.closing(running.keep(teller)) as connection:
        for _ in range(3):
            assert get(connection)[0] == 200
    assert not any(" sessions: " in line for line in running.lines)


def test_several_callers_share_nothing(desk, ca, teller):
    """Ending one request leaves the others alone."""
    with (
        desk.add_a_post().running(),
        half_sent(desk, teller) as other,
        brief(ca, partial(half_sent, desk)) as (_, connection),
    ):
        assert is_ended(connection)
        other.sendall(b"way")
        assert statuses(read_until(other, b"}\n")) == [200]
