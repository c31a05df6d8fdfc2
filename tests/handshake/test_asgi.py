"""The ASGI server before real handshakes: what the application sees, and that nobody else gets to it.

What needs a server of its own is in test_asgi_life.py.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket

from scaffold.pki import bundles
from scaffold.topology.model import Fault, KeyType
from tests.handshake.asgi_apps import PLAIN
from tests.handshake.asgi_lab import Desk
from tests.handshake.nginx_lab import allow, authority, client, context_of, identity, server, until
from tests.handshake.traffic import connect, get, kept, read_all, read_until
from tests.requirements import require_command

require_command("python3")

CLAIMS = [
    *(("X-Client-Subject", "CN=boss"), ("X-Client-Issuer", "CN=Root"), ("X-Client-Roles", "admin, x.Y_z-1")),
    *(("X_Client_Subject", "CN=boss"), ("X-Forwarded-Client-Cert", "By=x"), ("Client-Cert", ":AA==:")),
    *(("Client-Cert-Chain", ":AA==:"), ("X-SSL-Client-S-DN", "CN=boss"), ("X-ARR-ClientCert", "AA==")),
    *(("X-Forwarded-Tls-Client-Cert", "AA=="), ("SSL-Client-Subject-DN", "CN=boss"), ("Remote_User", "boss")),
    *(("X-Amzn-Mtls-Clientcert-Subject", "CN=boss"), ("X-Spiffe-Id", "spiffe://lab/boss"), ("X-Client-Dn", "CN=boss")),
]


@pytest.fixture(scope="module")
def gateway(ca):
    return client(ca, "gateway")


@pytest.fixture(scope="module")
def desk(tmp_path_factory, root, ca) -> Iterator[Desk]:
    """One server for all tests of this file; none changes it."""
    allowed = [allow("teller", ca, roles=["reader", "approver"]), allow("gateway", ca, gateway=True)]
    folder = tmp_path_factory.mktemp("a folder with a space") / "desk"
    one = Desk(folder, server(ca, "desk", "localhost"), root, allowed, app=PLAIN)
    with one.running():
        yield one


def websocket(desk: Desk, caller, path: str = "/echo") -> ClientConnection:
    return open_websocket(
        f"wss://localhost:{desk.port}{path}", ssl=context_of(caller, desk.root), open_timeout=20, proxy=None
    )


# --- Who called, as the application sees it --------------------------------------------------------------------------


def test_the_caller_is_known_everywhere_in_the_application(desk, teller):
    assert desk.ask(teller, "/caller").json == {
        "identity": identity("teller"),
        "roles": ["reader", "approver"],
        "for": None,
        "same": [True, True, True],
        "thread": identity("teller"),
    }
    named = {"server": "desk", "caller": identity("teller"), "roles": ["reader", "approver"], "on_behalf_of": None}
    assert desk.ask(teller, "/.mtls/caller").json == desk.ask(teller, "/.mtls/caller?x=1").json == named


@pytest.mark.parametrize(("version", "number"), [("TLSv1_2", 0x0303), ("TLSv1_3", 0x0304)])
def test_the_tls_extension_is_in_the_scope(desk, ca, teller, version, number):
    def at_that_version(context: ssl.SSLContext) -> None:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]

    answer = desk.ask(teller, "/scope", tune=at_that_version)
    tls = answer.json["extensions"]["tls"]
    assert tls["client_cert_chain"] == [bundles.pem(each).decode() for each in (teller.certificate, *teller.chain)]
    assert tls["client_cert_name"] == teller.certificate.subject.rfc4514_string()
    assert tls["client_cert_error"] is None
    assert tls["tls_version"] == number
    assert tls["cipher_suite"] in ({0x1301, 0x1302, 0x1303} if number == 0x0304 else {0xC02B, 0xC02C, 0xCCA9})
    assert ssl.PEM_cert_to_DER_cert(tls["server_cert"]) == answer.shown


def test_a_leaf_without_its_intermediates_is_enough(desk, teller):
    assert desk.ask(teller.alone, "/caller").status == 200


def test_what_anybody_says_of_others_does_not_reach_the_application(desk, teller):
    seen = desk.ask(teller, "/scope", headers=[*CLAIMS, ("X-Client-Version", "3")]).json
    names = {name for name, _ in seen["headers"]}
    assert "x-client-version" in names
    assert names.isdisjoint({name.lower() for name, _ in CLAIMS})
    assert desk.ask(teller, "/.mtls/caller", headers=CLAIMS).json["on_behalf_of"] is None


def test_a_gateway_is_believed(desk, gateway):
    told = {"subject": "CN=boss", "issuer": "CN=Root", "roles": ["admin", "x.Y_z-1"]}
    assert desk.ask(gateway, "/.mtls/caller", headers=CLAIMS[:3]).json["on_behalf_of"] == told
    assert desk.ask(gateway, "/caller", headers=CLAIMS[:3]).json["for"] == told
    for twice in CLAIMS[:3]:
        assert desk.ask(gateway, headers=[*CLAIMS[:3], twice]).status == 400
    assert desk.ask(gateway, headers=[*CLAIMS[:2], ("X-Client-Roles", "a b")]).status == 400


def test_the_address_is_the_peers_own(desk, teller):
    seen = desk.ask(teller, "/scope", headers=[("X-Forwarded-For", "10.1.2.3"), ("X-Forwarded-Proto", "http")]).json
    assert (seen["client"][0], seen["scheme"]) == ("127.0.0.1", "https")


# --- Who does not get there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "OPTIONS", "BREW", "TRACE"])
@pytest.mark.parametrize("path", ["/hidden", "/.mtls/caller", "*", "https://localhost/hidden"])
def test_who_is_not_allowed_gets_403_before_the_application(desk, teller, mallory, method, path):
    answer = desk.ask(mallory, path, method=method)
    assert (answer.status, answer.headers["connection"]) == (403, "close")
    assert answer.headers["strict-transport-security"] == "max-age=63072000"
    assert answer.error == f"{identity('mallory')} may not call desk"
    reached = json.loads(desk.ask(teller, "/reached").body)
    assert "/hidden" not in reached
    assert "/reached" in reached


def test_a_large_body_of_a_stranger_does_not_hide_the_reason(desk, mallory):
    assert desk.ask(mallory, "/hidden", method="POST", body=b"x" * 200_000).status == 403


def test_who_still_sends_a_body_has_the_answer_before_the_connection_ends(desk, mallory):
    with connect(desk, mallory) as connection:
        connection.sendall(b"POST /hidden HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
        assert read_until(connection, b"}\n").startswith(b"HTTP/1.1 403 ")
        for _ in range(90):
            connection.sendall(b"x" * 10_000)
        assert connection.recv(1) == b""  # an end, and no reset


def test_strangers_are_not_asked_for_a_body(desk, teller, mallory):
    for caller, begins in ((mallory, b"HTTP/1.1 403 "), (teller, b"HTTP/1.1 100 ")):
        with connect(desk, caller) as connection:
            connection.sendall(
                b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
            )
            assert read_until(connection, b"\r\n\r\n").startswith(begins)


@pytest.mark.parametrize("fault", [Fault.NO_EKU, Fault.NO_SAN])
def test_a_certificate_that_says_not_who_it_is_gets_403(desk, ca, fault):
    answer = desk.ask(client(ca, "teller", fault=fault), "/hidden")
    assert answer.status == 403
    assert "certificate" in answer.error


def test_a_sibling_ca_gets_nobody_in(desk, root):
    assert desk.ask(client(authority("sibling", root), "teller")).status == 403


@pytest.mark.parametrize("caller", ["none", "foreign", "a server's"])
def test_without_a_certificate_of_the_root_there_is_no_connection(desk, ca, caller):
    foreign = authority("Lab Issuing", authority("Lab Root"))
    shown = {
        "none": None, "foreign": client(foreign, "teller"), "a server's": client(ca, "teller", fault=Fault.WRONG_EKU)
    }  # fmt: skip
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        desk.ask(shown[caller])


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("caller", ["none", "foreign", "expired"])
def test_the_alert_says_why_there_is_none(desk, ca, caller, version):
    shown, alert = {
        "none": (None, "handshake failure" if version == "TLSv1_2" else "certificate required"),
        "foreign": (client(authority("Lab Root"), "teller"), "unknown ca"),
        "expired": (client(ca, "teller", starts=timedelta(hours=-2), ends=timedelta(hours=-1)), "certificate expired"),
    }[caller]
    context = context_of(shown, desk.root)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as plain:  # noqa: SIM117
        with pytest.raises(ssl.SSLError, match=alert), context.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.recv(1)


@pytest.mark.parametrize("key", [KeyType.RSA_2048, KeyType.EC_P384, KeyType.ED25519])
def test_other_keys_get_in(desk, ca, key):
    assert desk.ask(client(ca, "teller", key=key), "/caller").status == 200


@pytest.mark.parametrize(("version", "resumes"), [("TLSv1_2", True), ("TLSv1_3", False)])
def test_a_resumed_session_is_judged_like_the_first(desk, teller, mallory, version, resumes):
    for caller, status in ((teller, 200), (mallory, 403)):
        context = context_of(caller, desk.root)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        kept_sessions: list[ssl.SSLSession] = []
        assert desk.ask(caller, "/scope", context=context, keep=kept_sessions).status == status
        answer = desk.ask(caller, "/scope", context=context, session=kept_sessions[0] if kept_sessions else None)
        assert (answer.status, answer.resumed) == (status, resumes)
        if status == 200:
            assert len(answer.json["extensions"]["tls"]["client_cert_chain"]) == 2


# --- WebSockets ------------------------------------------------------------------------------------------------------


def test_a_websocket_knows_its_caller(desk, teller):
    with websocket(desk, teller) as socket:
        assert socket.recv(timeout=20) == identity("teller")
        socket.send("ping")
        assert socket.recv(timeout=20) == "ping"


def test_a_websocket_is_refused_before_it_is_accepted(desk, teller, mallory):
    with pytest.raises(InvalidStatus) as raised:
        websocket(desk, mallory, "/hidden")
    response = raised.value.response
    assert response.status_code == 403
    assert json.loads(response.body) == {"error": f"{identity('mallory')} may not call desk"}
    assert "/hidden" not in json.loads(desk.ask(teller, "/reached").body)


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
NO_WEBSOCKETS = {
    "a key that is too short": ("GET", ["Sec-WebSocket-Key: c2hvcnQ=", VERSION]),
    "no key": ("GET", [VERSION]),
    "another version": ("GET", [KEY, "Sec-WebSocket-Version: 12"]),
    "by POST": ("POST", [KEY, VERSION, "Content-Length: 0"]),
    "with a body": ("GET", [KEY, VERSION, "Content-Length: 4", "", "body"]),
    "an extension that is none": ("GET", [KEY, VERSION, "Sec-WebSocket-Extensions: ="]),
    "many headers": ("GET", [KEY, VERSION, *(f"X-{number}: x" for number in range(130))]),
}


@pytest.mark.parametrize("case", NO_WEBSOCKETS)
def test_what_only_looks_like_a_websocket_meets_the_guard(desk, teller, mallory, case):
    method, headers = NO_WEBSOCKETS[case]
    path = f"/upgrade/{case.replace(' ', '-')}"
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket", *headers]
    request = "\r\n".join(lines).encode() if "" in lines else "\r\n".join((*lines, "", "")).encode()
    no_websocket = "the request asks for a WebSocket, and is not how one begins"
    assert exchange(desk, mallory, request) == (403, {"error": f"{identity('mallory')} may not call desk"})
    assert exchange(desk, teller, request) == (400, {"error": no_websocket})
    assert path not in json.loads(desk.ask(teller, "/reached").body)
    assert logged(desk, teller, path) == [
        f"{identity('mallory')!r} '{method} {path} HTTP/1.1' 403",
        f"{identity('teller')!r} '{method} {path} HTTP/1.1' 400",
    ]


def exchange(desk: Desk, caller, request: bytes) -> tuple[int, object]:
    """Status and JSON of the one answer that the request gets."""
    with connect(desk, caller) as connection:
        connection.sendall(request)
        return answer_of(read_all(connection))


def answer_of(text: bytes) -> tuple[int, object]:
    head, _, body = text.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def logged(desk: Desk, caller, mark: str) -> list[str]:
    """The lines of the access log about what was asked for with that mark, without time and address."""
    last = f"/last{mark}"
    desk.ask(caller, last)
    until(lambda: any(last in line for line in list(desk.lines)))
    lines = [line for line in list(desk.lines) if " access: " in line and mark in line and last not in line]
    return [line.split(" access: ")[1].split(" ", 1)[1] for line in lines]


# --- HTTP ------------------------------------------------------------------------------------------------------------


def test_connections_are_kept(desk, teller):
    connection = kept(desk, teller)
    assert [get(connection, "/caller")[0] for _ in range(3)] == [200, 200, 200]


def test_head_is_answered_without_a_body(desk, teller, mallory):
    for caller, status in ((teller, 200), (mallory, 403)):
        connection = kept(desk, caller)
        connection.request("HEAD", "/.mtls/caller")
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, b"")
        assert int(response.headers["Content-Length"]) > 0


def test_a_body_of_any_length_is_read(desk, teller):
    answer = desk.ask(teller, "/body", method="POST", body=b"x" * 3_000_000)
    assert answer.json == {"length": 3_000_000, "caller": identity("teller")}


def test_a_proxys_form_of_the_target_is_served(desk, teller):
    seen = desk.ask(teller, "https://example.org/scope?x=%2F").json
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/scope", "/scope", "x=%2F")
    assert ["host", "example.org"] in seen["headers"]


@pytest.mark.parametrize(
    "request_text",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "nonsense\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: {'x' * 66_000}",  # all is sent before the server can know
    ],
    ids=["no host", "two hosts", "no such host", "two ends", "two lengths", "space", "ftp", "nonsense", "too long"],
)
def test_a_head_that_breaks_the_rules_is_a_400_in_json(desk, teller, request_text):
    with connect(desk, teller) as connection:
        connection.sendall(request_text.encode())
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]


def test_a_head_of_64_kib_is_read_however_it_comes(desk, teller):
    with connect(desk, teller) as connection:
        request = f"GET /.mtls/caller HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {'x' * 65_000}\r\n\r\n".encode()
        for start in range(0, len(request), 10_000):
            connection.sendall(request[start : start + 10_000])
        assert answer_of(read_all(connection))[0] == 200


BREAKS = b"0;a\n=b\r\n\r\n"
UNREADABLE = {"error": "the body of the request cannot be read"}
TRACES = (
    "LocalProtocolError",
    "Exception in ASGI",
    "Fatal error",
    "without starting",
    "completing response",
    "is gone",
)


def chunked(target: str, *headers: str) -> bytes:
    lines = (f"POST {target} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", *headers, "", "")
    return "\r\n".join(lines).encode()


def has_one_quiet_line(desk: Desk, caller, target: str, who: str, status: int) -> bool:
    lines = logged(desk, caller, target)
    assert not [line for line in list(desk.lines) if any(trace in line for trace in TRACES)]
    return lines == [f"{identity(who)!r} 'POST {target} HTTP/1.1' {status}"]


@pytest.mark.parametrize("path", ["/body", "/demand", "/caller", "/.mtls/caller"])
def test_a_body_that_cannot_be_read_from_the_start_gets_one_answer(desk, teller, mallory, path):
    for who, caller, expected in (
        ("mallory", mallory, (403, {"error": f"{identity('mallory')} may not call desk"})),
        ("teller", teller, (400, UNREADABLE)),
    ):
        target = f"{path}?broken-for-{who}"
        assert exchange(desk, caller, chunked(target) + BREAKS) == expected
        assert has_one_quiet_line(desk, teller, target, who, expected[0])


@pytest.mark.parametrize("path", ["/body", "/demand"])
def test_a_body_that_cannot_be_read_on_is_a_400_for_who_waits_for_it(desk, teller, path):
    target = f"{path}?broken-later"
    with connect(desk, teller) as connection:
        connection.sendall(chunked(target, "Expect: 100-continue"))
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.sendall(BREAKS)
        connection.sendall(b"and more of what is no chunk")
        assert answer_of(read_all(connection)) == (400, UNREADABLE)
    assert has_one_quiet_line(desk, teller, target, "teller", 400)


def test_an_answer_that_has_begun_ends_as_it_began_where_the_body_cannot_be_read_on(desk, teller):
    with connect(desk, teller) as connection:
        connection.sendall(chunked("/talk?broken"))
        assert read_until(connection, b"begin").startswith(b"HTTP/1.1 200 ")
        connection.sendall(BREAKS)
        assert read_all(connection) == b"- end"
    assert has_one_quiet_line(desk, teller, "/talk?broken", "teller", 200)


def test_an_answer_that_was_given_stays_where_the_body_cannot_be_read_on(desk, teller):
    with connect(desk, teller) as connection:
        connection.sendall(chunked("/caller?broken-after"))
        assert read_until(connection, b"}").startswith(b"HTTP/1.1 200 ")
        connection.sendall(BREAKS)
        assert read_all(connection) == b""
    assert has_one_quiet_line(desk, teller, "/caller?broken-after", "teller", 200)


def test_an_application_that_fails_is_a_500_in_json_and_says_why_in_the_log_alone(desk, teller):
    answer = desk.ask(teller, "/fail")
    assert (answer.status, answer.error) == (500, "desk failed; its log says why")
    assert desk.ask(teller, "/caller").status == 200
    assert any("a secret of the application" in line for line in list(desk.lines))


def test_the_lifespan_has_begun_once(desk, teller):
    told = desk.ask(teller, "/process").json
    assert (told["started"], told["name"]) == (["yes"], "desk")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_who_called_is_told_by_get_alone(desk, teller, method):
    answer = desk.ask(teller, "/.mtls/caller", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
