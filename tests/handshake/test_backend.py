"""What passes to an app behind nginx and HAProxy, and what does not: traffic, who called, and that nobody says so but
the front."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.pki import bundles
from scaffold.pki.crl import Reason
from scaffold.plan.intents import Revoke
from scaffold.plan.make import plan_all
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services
from scaffold.topology.address import Address
from scaffold.verify.forwarded import forged
from scaffold.verify.model import Check, Observed, Probe, Result
from scaffold.verify.what_runs import verify_running
from tests.handshake.backend_lab import (
    FRONTS,
    HELLO,
    App,
    Arrived,
    Front,
    app_on,
    head_of,
    socket_folder,
    started,
    unix_listener,
)
from tests.handshake.nginx_lab import until
from tests.handshake.verify_lab import Lab, applied
from tests.requirements import require_command

require_command("nginx")
require_command("haproxy")

TOPOLOGY = """
version: 1
name: lab
publish: http://{publish}
cas: {{root: {{}}, issuing: {{issuer: root}}}}
servers:
  nginx:
    template: nginx
    issuer: issuing
    listen: {nginx}
    names: [localhost]
    check_revocation: crl
    backend: http://{app}
    forward: [x-client, xfcc]
    vars: {{client_body_timeout: 60s}}
  haproxy:
    template: haproxy
    issuer: issuing
    listen: {haproxy}
    names: [localhost]
    check_revocation: crl
    backend: http://{app}
    forward: [x-client, rfc9440, arr, xfcc]
    vars: {{client_timeout: 60s}}
  nginx-socket:
    template: nginx
    issuer: issuing
    listen: {nginx_socket}
    names: [localhost]
    backend: unix:{socket}
    forward: []
    vars: {{proxy_buffering: "on", proxy_request_buffering: "on", client_max_body_size: 1k, client_body_timeout: 60s}}
  haproxy-socket:
    template: haproxy
    issuer: issuing
    listen: {haproxy_socket}
    names: [localhost]
    backend: unix:{socket}
    forward: []
    vars: {{buffer_requests: "on", max_body_size: 1024, client_timeout: 60s}}
  nginx-gateway:
    template: nginx
    issuer: issuing
    listen: {nginx_gateway}
    names: [localhost]
    upstream: nginx
    calls: {{nginx: [front]}}
  haproxy-gateway:
    template: haproxy
    issuer: issuing
    listen: {haproxy_gateway}
    names: [localhost]
    upstream: haproxy
    calls: {{haproxy: [front]}}
clients:
  teller:
    template: curl
    issuer: issuing
    calls:
      {{nginx: [cashier, x.y], haproxy: [cashier, x.y], nginx-socket: [], haproxy-socket: [],
       nginx-gateway: [desk], haproxy-gateway: [desk]}}
  auditor: {{template: curl, issuer: issuing, calls: [nginx, haproxy]}}
  former: {{template: curl, issuer: issuing, calls: [nginx, haproxy]}}
  mallory: {{template: curl, issuer: issuing}}
"""


@pytest.fixture(scope="module")
def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.fixture(scope="module")
def app(listening: socket.socket) -> Iterator[App]:
    with app_on(listening, {}) as running:
        yield running


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with socket_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def socket_app(place: Path) -> Iterator[App]:
    with app_on(unix_listener(place / "app.sock"), {}) as running:
        yield running


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, listening: socket.socket, place: Path) -> Lab:
    names = ("publish", "nginx", "haproxy", "nginx_socket", "haproxy_socket", "nginx_gateway", "haproxy_gateway")
    addresses = {name: f'"{address}"' for name, address in zip(names, free_addresses(len(names)), strict=True)}
    addresses["publish"] = addresses["publish"].strip('"')
    app = f"127.0.0.1:{listening.getsockname()[1]}"
    text = TOPOLOGY.format(**addresses, app=app, socket=place / "app.sock")
    return applied(text, tmp_path_factory.mktemp("backend"))


@pytest.fixture(scope="module")
def fronts(lab: Lab, app: App, socket_app: App) -> Iterator[dict[str, Front]]:
    with started(lab) as running:
        yield running


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, fronts: dict[str, Front]) -> Front:
    """In front of the app on a port: passes on as it comes."""
    return fronts[request.param]


@pytest.fixture(params=FRONTS)
def bounded(request: pytest.FixtureRequest, fronts: dict[str, Front]) -> Front:
    """In front of the app on a Unix socket: buffers, and bounds bodies and patience."""
    return fronts[f"{request.param}-socket"]


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(answer: bytes) -> str:
    """What a refusal says, which is JSON."""
    assert b"content-type: application/json" in answer.partition(b"\r\n\r\n")[0].lower()
    return str(json_of(answer)["error"])


def json_of(answer: bytes) -> dict[str, object]:
    """The object in an answer, which may come in chunks."""
    body = body_of(answer)
    found = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])
    assert isinstance(found, dict)
    return found


def leaf(lab: Lab, client: str) -> bytes:
    return bundles.der(bundles.load_certificates(lab.path(f"clients/{client}/tls/cert.pem").read_bytes())[0])


# --- Traffic ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_request_arrives_as_it_was_sent(front: Front, app: App, method: str) -> None:
    target = f"/a%2Fb//c/../{method}?x=%20&y"
    head = f"{method} {target} HTTP/1.1\r\nHost: shop.example:8443\r\nConnection: close\r\nX-Mine: 1\r\n\r\n"
    assert status_of(front.ask(head.encode())) == 200
    arrived = app.at(target)[-1]
    assert arrived.line == f"{method} {target} HTTP/1.1"
    assert (arrived["Host"], arrived["X-Mine"]) == ("shop.example:8443", "1")
    assert (arrived["X-Forwarded-Proto"], arrived["X-Forwarded-For"]) == ("https", "127.0.0.1")


def test_an_answer_may_have_many_cookies(front: Front, app: App) -> None:
    cookies = "".join(f"Set-Cookie: c{number}={'x' * 1000}\r\n" for number in range(12))
    said = f"HTTP/1.1 200 OK\r\n{cookies}Content-Length: 2\r\nConnection: close\r\n\r\nok"
    app.answers["/cookies"] = lambda connection, head: connection.sendall(said.encode())
    answer = front.get("/cookies")
    assert status_of(answer) == 200
    assert len(re.findall(rb"(?i)set-cookie: c", answer)) == 12


def echo_after_101(connection: socket.socket, head: bytes) -> None:
    if Arrived.of(head).all("Upgrade") != ["websocket"]:
        connection.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    key = Arrived.of(head)["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 4.2.2
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    while message := connection.recv(4096):
        connection.sendall(b"echo:" + message)


def upgrade_to(protocol: str) -> bytes:
    return (
        f"GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: {protocol}\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    ).encode()


def test_a_websocket_is_opened_and_speaks_both_ways(front: Front, app: App) -> None:
    app.answers["/chat"] = echo_after_101
    with front.connect() as connection:
        connection.sendall(upgrade_to("websocket"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        for message in (b"one", b"two"):
            connection.sendall(message)
            said = b""
            while not said.endswith(message):
                said += connection.recv(64)
            assert said == b"echo:" + message
    assert app.at("/chat")[-1]["X-Client-Subject"] == "CN=teller"


@pytest.mark.parametrize("protocol", ["h2c", "h2c, websocket", "TLS/1.3"])
def test_no_other_change_of_protocol_passes(front: Front, app: App, protocol: str) -> None:
    app.answers["/chat"] = echo_after_101
    with front.connect() as connection:
        connection.sendall(upgrade_to(protocol))
        assert connection.recv(13) == b"HTTP/1.1 426 "
    arrived = app.at("/chat")[-1]
    assert not arrived.all("Upgrade")
    assert not arrived.all("HTTP2-Settings")


def events(first_was_read: threading.Event) -> object:
    """Server-sent events: the second comes once the first has been read."""

    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        connection.sendall(b"data: one\n\n")
        first_was_read.wait(60)
        connection.sendall(b"data: two\n\n")

    return answer


ASK_FOR_EVENTS = b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"


def test_events_come_each_at_once(front: Front, app: App) -> None:
    first_was_read = threading.Event()
    app.answers["/events"] = events(first_was_read)  # type: ignore[assignment]
    with front.connect() as connection:
        connection.sendall(ASK_FOR_EVENTS)
        received = b""
        while b"data: one\n\n" not in received:
            received += connection.recv(4096)
        assert b"data: two" not in received
        first_was_read.set()
        received += b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"data: two\n\n" in received


def test_an_nginx_that_buffers_would_keep_them_back(fronts: dict[str, Front], socket_app: App) -> None:
    first_was_read = threading.Event()
    socket_app.answers["/events"] = events(first_was_read)  # type: ignore[assignment]
    with fronts["nginx-socket"].connect() as connection:
        connection.sendall(ASK_FOR_EVENTS)
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(4096)
        first_was_read.set()


def upload(first_has_come: threading.Event, bodies: list[bytes]) -> object:
    """Reads a body to its end, and says once the first piece has come."""

    def answer(connection: socket.socket, head: bytes) -> None:
        body = b""
        while b"last" not in body:
            body += connection.recv(4096)
            if b"first" in body:
                first_has_come.set()
        bodies.append(body)
        connection.sendall(HELLO)

    return answer


def test_an_upload_in_chunks_reaches_the_app_as_it_is_sent(front: Front, app: App) -> None:
    first_has_come, bodies = threading.Event(), list[bytes]()
    app.answers["/upload"] = upload(first_has_come, bodies)  # type: ignore[assignment]
    with front.connect() as connection:
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"5\r\nfirst\r\n")
        assert first_has_come.wait(60)
        connection.sendall(b"4\r\nlast\r\n0\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert app.at("/upload")[-1]["Transfer-Encoding"] == "chunked"


BODIES = {
    "none": [b"0\r\n"],
    "at once": [b"5\r\nfirst\r\n0\r\n"],
    "in pieces": [b"5\r\nfirst\r\n", b"0\r\n"],
    "larger than any buffer": [b"40000\r\n" + b"x" * 0x40000 + b"\r\n", b"5\r\nagain\r\n0\r\n"],
}
"""Bodies in chunks, in pieces that are sent one after the other, without the line that ends them."""

TRAILERS = b"X-Client-Identity: forged\r\nX-Client-Roles: forged\r\nx: forged\r\n"


@pytest.mark.parametrize("trailers", [TRAILERS, b"y:\r\nz:\r\n", b""], ids=["forged", "short", "without"])
@pytest.mark.parametrize("pieces", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("name", [*FRONTS, "haproxy-gateway"])
def test_fields_after_a_body_reach_no_app(
    fronts: dict[str, Front], app: App, name: str, pieces: list[bytes], trailers: bytes
) -> None:
    """uvicorn with httptools puts them among the headers: a caller could give itself roles. nginx leaves them out."""
    bodies: list[bytes] = []
    path = f"/trailers/{len(app.answers)}"  # its own: a request that was ended may reach the app late
    app.answers[path] = lambda connection, head: reads_all(connection, head, bodies)
    *first, last = pieces
    with fronts[name].connect() as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for piece in first:
            connection.sendall(piece)
        connection.sendall(last + trailers + b"\r\n")
        answer = connection.recv(65536)
    refuses = trailers and name.startswith("haproxy")
    assert status_of(answer) == (400 if refuses else 200)
    assert not any(octets in body for body in bodies for octets in (b"forged", b"y:", b"z:"))
    if not refuses:
        (body,) = bodies
        sent = b"".join(pieces)
        assert [body.count(letter) for letter in (b"first", b"x", b"again")] == [
            sent.count(letter) for letter in (b"first", b"x", b"again")
        ]


def reads_all(connection: socket.socket, head: bytes, bodies: list[bytes]) -> None:
    """An app that waits for the end of a body, in chunks or of a length, before it answers."""
    lengths = Arrived.of(head).all("Content-Length")
    body, end = b"", re.compile(rb"(^|\r\n)0\r\n([^\r]+\r\n)*\r\n$")
    while len(body) < int(lengths[0]) if lengths else not end.search(body[-1000:]):
        if not (more := connection.recv(65536)):
            break
        body += more
    bodies.append(body)
    connection.sendall(HELLO)


def test_a_front_that_buffers_would_wait_for_its_end(bounded: Front, socket_app: App) -> None:
    first_has_come, bodies = threading.Event(), list[bytes]()
    socket_app.answers["/upload"] = upload(first_has_come, bodies)  # type: ignore[assignment]
    with bounded.connect() as connection:
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nfirst")
        assert not first_has_come.wait(1)
        connection.sendall(b"last")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert bodies == [b"firstlast"]


def test_it_reaches_an_app_on_a_unix_socket(bounded: Front, socket_app: App) -> None:
    assert body_of(bounded.get("/unix")) == b"ok"
    arrived = socket_app.at("/unix")[-1]
    assert not [name for name, _ in arrived.headers if name.lower().startswith(("x-client", "client-cert"))]


@pytest.mark.parametrize("head", ["Content-Length: 1025", "Content-Length: 99999999999"])
def test_a_body_beyond_the_bound_does_not_reach_the_app(bounded: Front, socket_app: App, head: str) -> None:
    request = f"POST /long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n\r\n"
    answer = bounded.ask(request.encode())
    assert status_of(answer) == 413
    assert re.search(r"the body is longer than 1(k|024 bytes)", error_of(answer))
    assert not socket_app.at("/long")


def test_haproxy_bounds_no_body_whose_length_it_does_not_know(fronts: dict[str, Front], socket_app: App) -> None:
    request = b"POST /unknown HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = fronts["haproxy-socket"].ask(request)
    assert (status_of(answer), error_of(answer)) == (411, "the request must say its Content-Length")
    assert not socket_app.at("/unknown")


# --- Who called ------------------------------------------------------------------------------------------------------


def test_each_caller_is_told_by_its_own_name_over_one_connection_to_the_app(front: Front, app: App) -> None:
    for caller in ("teller", "auditor", "teller", "auditor"):
        front.get("/whose", caller=caller)
    names = [arrived["X-Client-Identity"] for arrived in app.at("/whose")[-4:]]
    assert names == [f"spiffe://lab/client/{name}" for name in ("teller", "auditor", "teller", "auditor")]
    teller, auditor = app.at("/whose")[-2:]
    assert (teller["X-Client-Roles"], auditor.all("X-Client-Roles")) == ("cashier,x.y", [])
    assert (teller["X-Client-Subject"], teller["X-Client-Issuer"]) == ("CN=teller", "CN=issuing")


def test_the_certificate_is_told_by_rfc_9440_and_as_iis_does(fronts: dict[str, Front], lab: Lab, app: App) -> None:
    fronts["haproxy"].get("/certificate")
    arrived, own = app.at("/certificate")[-1], base64.b64encode(leaf(lab, "teller")).decode()
    assert arrived["Client-Cert"] == f":{own}:"
    assert arrived["X-ARR-ClientCert"] == own
    above = bundles.load_certificates(lab.path("pki/issuing/ca.crt").read_bytes())[0]
    assert arrived["Client-Cert-Chain"] == f":{base64.b64encode(bundles.der(above)).decode()}:"


def test_certificates_that_a_caller_sends_along_are_not_told(fronts: dict[str, Front], lab: Lab, app: App) -> None:
    """What is sent after the leaf is the caller's own choice, and not all of it is looked at."""
    front, tls = fronts["haproxy"], lab.path("clients/auditor/tls")
    odd = tls.parent / "odd.pem"
    odd.write_bytes((tls / "cert.pem").read_bytes() + lab.path("clients/mallory/tls/cert.pem").read_bytes())
    context = front.context("auditor")
    context.load_cert_chain(odd, tls / "key.pem")
    plain = socket.create_connection((front.server.listen.host, front.server.listen.port), timeout=60)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(b"GET /odd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert connection.recv(15).startswith(b"HTTP/1.1 200")
    mallory = base64.b64encode(leaf(lab, "mallory")).decode()
    assert mallory not in app.at("/odd")[-1]["Client-Cert-Chain"]


def test_the_certificate_is_told_as_envoy_does(front: Front, lab: Lab, app: App) -> None:
    front.get("/envoy")
    said = app.at("/envoy")[-1]["X-Forwarded-Client-Cert"]
    assert said.endswith(';Subject="CN=teller";URI=spiffe://lab/client/teller')
    if front.server.template == "haproxy":
        assert said.startswith(f"Hash={hashlib.sha256(leaf(lab, 'teller')).hexdigest()};")


@pytest.mark.parametrize("kind", FRONTS)
def test_it_is_told_whom_a_gateway_calls_for(fronts: dict[str, Front], app: App, kind: str) -> None:
    forgery = ("X-On-Behalf-Of-Subject: CN=forged", "X-Client-Subject: CN=forged", "X-Client-Roles: forged")
    fronts[f"{kind}-gateway"].get("/behalf", *forgery)
    arrived = app.at("/behalf")[-1]
    assert arrived["X-Client-Identity"] == f"spiffe://lab/server/{kind}-gateway"
    assert arrived["X-Client-Roles"] == "front"
    assert arrived["X-On-Behalf-Of-Subject"] == "CN=teller"
    assert arrived["X-On-Behalf-Of-Issuer"] == "CN=issuing"
    assert arrived["X-On-Behalf-Of-Roles"] == "desk"


def test_nobody_but_a_gateway_calls_for_others(front: Front, app: App) -> None:
    front.get("/nobody", "X-Client-Subject: CN=other", "X-Client-Issuer: CN=issuing", "X-Client-Roles: admin")
    assert not [name for name, _ in app.at("/nobody")[-1].headers if name.lower().startswith("x-on-behalf-of")]


def test_what_a_caller_says_of_itself_in_any_spelling_is_removed(front: Front, app: App) -> None:
    lines = [f"{name}: {value}" for name, value in forged() if name != "Connection"]
    named = "X-Client-Identity, x-client-subject, X-Client-Issuer, X-Client-Roles, Client-Cert, X-Kept"
    lines += [f"{name}: forged" for name in ("X-Spiffe-Id", "X-Client-Serial", "X-Auth-Request-User", "Remote-Group")]
    front.get("/forged", *lines, f"Connection: {named}", "X-Kept: 1", "Proxy: http://evil.example")
    arrived = app.at("/forged")[-1]
    assert "forged" not in str(arrived.headers)
    assert arrived["X-Client-Subject"] == "CN=teller"
    assert not [value for value in arrived.all("Connection") if "client" in value.lower()]
    assert not arrived.all("Proxy")


@pytest.mark.parametrize(
    "line",
    [
        "X-Client-Subject : forged",
        "X-Client-Subject\t: forged",
        " X-Client-Subject: forged",
        "X-Client-Subject\x00: forged",
        "X-Client-Subject\x0b: forged",
        "X.Client.Subject: forged",
        "X-Client-Subject\r: forged",
        "X-Mine: 1\rX-Client-Subject: forged",
        "X-Mine: 1\nX-Client-Subject: forged",
        "\xad-Client-Subject: forged",
    ],
)
def test_odd_spellings_are_refused_or_removed(front: Front, app: App, line: str) -> None:
    before = len(app.at("/odd-spelling"))
    front.get("/odd-spelling", "X-First: 1", line)
    for arrived in app.at("/odd-spelling")[before:]:
        said = [name for name, value in arrived.headers if "forged" in value]
        assert set(said) <= {"x-first", "X-First"}, arrived.headers  # a folded line belongs to the one before
        assert arrived["X-Client-Subject"] == "CN=teller"


def test_who_is_not_allowed_reaches_nothing(front: Front, app: App) -> None:
    before = len(app.arrived)
    for path in ("/", "/x", "/.mtls/caller", "//", "/%2e", "*"):
        answer = front.get(path, caller="mallory")
        assert status_of(answer) in (400, 403), path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
        head = f"{method} /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        assert status_of(front.ask(head.encode(), "mallory")) == 403
    assert len(app.arrived) == before


def test_who_called_is_answered_by_the_front(front: Front, app: App) -> None:
    before = len(app.arrived)
    answer = json_of(front.get("/.mtls/caller"))
    assert answer == {
        "server": front.server.name,
        "caller": "spiffe://lab/client/teller",
        "roles": ["cashier", "x.y"],
        "on_behalf_of": None,
    }
    assert status_of(front.get("/.mtls/other")) == 404
    assert len(app.arrived) == before


@pytest.mark.parametrize(
    "path",
    [
        "//.mtls/x",
        "/%2emtls/x",
        "/./.mtls/x",
        "/a/../.mtls/x",
        "/.mtls%2fx",
        "/%2e%2f.mtls/x",
        "/.MTLS/x",
        "/.mtls;a/x",
    ],
)
def test_nothing_below_the_fronts_own_path_reaches_the_app(fronts: dict[str, Front], app: App, path: str) -> None:
    before = len(app.arrived)
    assert status_of(fronts["haproxy"].get(path)) == 404
    assert len(app.arrived) == before


def test_no_tunnel_leads_to_the_app(front: Front, app: App) -> None:
    """What went through one would be looked at by nobody: a caller could say to be anyone."""
    before = len(app.arrived)
    answer = front.ask(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n")
    assert status_of(answer) in (400, 405)
    assert len(app.arrived) == before


def test_http_2_is_not_spoken_to_whoever_was_not_offered_it(front: Front, app: App) -> None:
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    answer = front.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
    assert answer.startswith(b"HTTP/1.1 400"), answer


def test_a_caller_that_is_revoked_is_cut_off(front: Front, lab: Lab, app: App) -> None:
    assert status_of(front.get("/former", caller="former")) == 200
    if not lab_has_revoked(lab):
        lab.apply(Revoke(Address.client("former"), Reason.KEY_COMPROMISE, replace=False))
    front.service.reload()
    until(lambda: not gets_in(front, "former"))
    assert gets_in(front, "teller")


def lab_has_revoked(lab: Lab) -> bool:
    from scaffold.store import ledger

    return bool(ledger.load(lab.layout).revoked)


def gets_in(front: Front, caller: str) -> bool:
    try:
        return status_of(front.get("/former", caller=caller)) == 200
    except OSError:
        return False


# --- Apps that fail --------------------------------------------------------------------------------------------------


def test_what_the_app_says_is_passed_on_and_logged_as_its_own(front: Front, app: App) -> None:
    for status in (404, 500, 502, 503, 504):
        body = f'{{"mine": {status}}}'
        answer = f"HTTP/1.1 {status} Mine\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        app.answers[f"/fails-{status}"] = lambda connection, _, said=answer: connection.sendall(said.encode())
        told = front.get(f"/fails-{status}")
        assert (status_of(told), body_of(told)) == (status, body.encode())
    written(front, "fails-", [(status, "answered") for status in (404, 500, 502, 503, 504)])


def written(front: Front, path: str, expected: list[tuple[int, str]]) -> None:
    """Awaits status and what is said of the app in the access lines about a path.

    nginx writes them within a second, each of its workers for itself: in any order.
    """

    def logged() -> bool:
        lines = [line for line in front.access_lines() if path in line and line.startswith("{")]
        return sorted((said["status"], said["backend"]) for said in map(json.loads, lines)) == sorted(expected)

    until(logged)


def test_an_app_that_hangs_up_is_a_502(front: Front, app: App) -> None:
    app.answers["/hangs-up"] = lambda connection, head: None
    answer = front.get("/hangs-up")
    assert status_of(answer) == 502
    assert "gave no answer" in error_of(answer)
    written(front, "hangs-up", [(502, "no answer")])


IMPATIENT = {
    "nginx": ("nginx.conf", ("proxy_read_timeout 60s;", "proxy_read_timeout 1s;")),
    "haproxy": ("haproxy.cfg", ("timeout server 60s ", "timeout server 1s ")),
}


@pytest.mark.parametrize("kind", FRONTS)
def test_an_app_that_says_nothing_is_a_504(lab: Lab, app: App, tmp_path: Path, kind: str) -> None:
    over = threading.Event()
    app.answers["/silent"] = lambda connection, head: over.wait(60) and None
    lab = lab.copied(tmp_path / "impatient")
    file, change = IMPATIENT[kind]
    lab.rewrite(f"servers/{kind}/{file}", change)
    with alone(lab, kind) as front:
        answer = front.get("/silent")
        over.set()
        assert (status_of(answer), "did not answer in time" in error_of(answer)) == (504, True)
        written(front, "silent", [(504, "no answer")])


@contextlib.contextmanager
def alone(lab: Lab, kind: str, backend: str | None = None) -> Iterator[Front]:
    """One more of a front, on a port of its own; `backend` is in its environment."""
    (listen,) = free_addresses(1)
    server, lines = lab.topology.servers[kind], list[str]()
    environment = {"LISTEN": str(listen)} | ({"BACKEND": backend} if backend else {})
    can = lab.kinds[server.address].capabilities
    with Services(lambda _, line: lines.append(line)) as services:
        launch = Launch(kind, lab.path(f"servers/{kind}"), can.ready or "", environment, can.environment)
        (service,) = services.start([launch])
        yield Front(lab, replace(server, listen=listen), service, lines)


@pytest.mark.parametrize("kind", FRONTS)
def test_an_app_that_is_down_is_a_502_until_it_is_back(fronts: dict[str, Front], place: Path, kind: str) -> None:
    front, path = fronts[f"{kind}-socket"], place / "app.sock"
    away = path.rename(place / "away.sock")
    answer = front.get("/down")
    assert status_of(answer) == 502
    assert "cannot be reached" in error_of(answer)
    assert json_of(front.get("/.mtls/caller"))["server"] == front.server.name
    written(front, "down", [(502, "no answer")])
    away.rename(path)
    assert status_of(front.get("/back")) == 200


@pytest.mark.parametrize("written", ["unix:{}", "http://127.0.0.1:{}", "127.0.0.1:{}"])
@pytest.mark.parametrize("kind", FRONTS)
def test_its_app_is_moved_by_the_environment(
    lab: Lab, app: App, socket_app: App, listening: socket.socket, place: Path, kind: str, written: str
) -> None:
    """In each way in which the topology has it, and as host:port."""
    there = place / "app.sock" if written.startswith("unix") else listening.getsockname()[1]
    path = f"/moved-{kind}-{written.partition(':')[0]}"
    with alone(lab, kind, written.format(there)) as front:
        front.get(path)
    reached = socket_app if written.startswith("unix") else app
    assert len(reached.at(path)) == 1


@pytest.mark.parametrize("written", ["unix:/a b", "unix:/a;", "unix:relative", "127.0.0.1", "127.0.0.1:80;}", "a|b:1"])
def test_nginx_is_moved_to_no_place_that_would_be_configuration(lab: Lab, written: str) -> None:
    launch = Launch("nginx", lab.path("servers/nginx"), "^ready: ", {"BACKEND": written})
    with Services() as services, pytest.raises(VerifyError, match="BACKEND is no"):
        services.start([launch])


# --- verify --running ------------------------------------------------------------------------------------------------


def forged_headers_probed(lab: Lab, front: Front) -> Check:
    """The check of `verify --running` at a front that runs, with forged headers in the teller's name."""
    basis = lab.look()
    server = replace(front.server, dial=front.server.listen)
    t = replace(lab.topology, servers={**lab.topology.servers, server.name: server})
    report = verify_running(
        t, lab.kinds, lab.layout, datetime.now(UTC), lab.secrets, plan=plan_all(basis).plan,
        only=Address.server(server.name), limit_to={Probe.FORGED_HEADERS},
    )  # fmt: skip
    checks = {check.client: check for check in report.checks if check.server == server.name}
    return checks["teller"]


def says(app: App, answer: Callable[[Arrived], object]) -> None:
    def answered(connection: socket.socket, head: bytes) -> None:
        body = json.dumps(answer(Arrived.of(head))).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))

    app.answers["/"] = answered


@pytest.fixture
def at_root(app: App) -> Iterator[App]:
    """The app, whose answer at `/` a test may change."""
    yield app
    app.answers.pop("/", None)


@pytest.mark.parametrize("told", ["X-Client-Identity", "X-Client-Subject"])
def test_what_runs_is_sent_forged_headers_where_its_app_says_who_called(
    front: Front, lab: Lab, at_root: App, told: str
) -> None:
    says(at_root, lambda arrived: {"caller": arrived.all(told)})
    check = forged_headers_probed(lab, front)
    assert (check.result, check.observed) == (Result.PASSED, Observed.ALLOWED), check.detail
    assert check.detail == "its app names the caller spiffe://lab/client/teller, and no forged header"
    assert {arrived["X-Client-Subject"] for arrived in at_root.at("/")} >= {"CN=teller", "CN=auditor"}


def test_an_app_that_does_not_say_who_called_proves_nothing(front: Front, lab: Lab, at_root: App) -> None:
    says(at_root, lambda _: {"hello": "world"})
    check = forged_headers_probed(lab, front)
    assert check.result is Result.SKIPPED
    assert "does not name the caller (GET /: HTTP 200)" in check.detail


def test_a_running_front_that_lets_forged_headers_through_is_seen(lab: Lab, at_root: App, tmp_path: Path) -> None:
    says(
        at_root, lambda arrived: {"caller": arrived.all("X-Client-Identity"), "certificate": arrived.all("Client-Cert")}
    )
    broken = lab.copied(tmp_path / "broken")
    broken.rewrite("servers/haproxy/haproxy.cfg", ("|client-cert(-.*)?|", "|"))
    broken.rewrite("servers/haproxy/haproxy.cfg", ("http-request set-header Client-Cert :%[ssl_c_der,base64]:", ""))
    with alone(broken, "haproxy") as front:
        check = forged_headers_probed(broken, front)
    assert (check.result, check.observed) == (Result.FAILED, Observed.BROKEN), check.detail
    assert "its app answers with a header that the caller forged: forged-" in check.detail


def test_reading_heads_ends_with_the_connection() -> None:
    """The lab's own app hears no request where none comes."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"GET / HTTP/1.1\r\nA: b\r\n\r\n")
        assert head_of(near) == b"GET / HTTP/1.1\r\nA: b"
        far.close()
        assert head_of(near) == b""
