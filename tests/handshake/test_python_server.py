"""The Python server before real handshakes: who is drawn gets in, everybody else stays out."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.pki import bundles, keys
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Files, Revocation
from scaffold.topology.model import Fault, KeyType
from tests.fresh import new_key, new_serial
from tests.handshake.nginx_lab import (
    WITHIN,
    Answer,
    Authority,
    Credential,
    allow,
    ask,
    authority,
    brief,
    call_of,
    client,
    context_of,
    crl_of,
    identity,
    server,
    until,
)
from tests.handshake.python_lab import copied, place, running, server_folder
from tests.requirements import require_command

require_command("python3")

AGO = timedelta(minutes=-5)
REFUSED = (ssl.SSLError, ConnectionError, http.client.HTTPException)


@pytest.fixture
def port() -> int:
    return free_addresses(1)[0].port


class Desk:
    """A running server and its folder."""

    def __init__(self, folder: Path, port: int, root: Authority) -> None:
        self.folder, self.port, self.root = folder, port, root

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    def ask(self, caller: Credential | None, path: str = "/", **how: object) -> Answer:
        return ask(self.port, caller, self.root, path, **how)  # type: ignore[arg-type]

    def refuses(self, caller: Credential | None, **how: object) -> bool:
        """Whether the handshake, or the first read after it, fails."""
        try:
            self.ask(caller, **how)
        except REFUSED:
            return True
        return False


@pytest.fixture(scope="module")
def desk(tmp_path_factory, root, ca, teller) -> Iterator[Desk]:
    """One plain server that allows the teller alone; tests that change it have their own."""
    folder = server_folder(
        tmp_path_factory.mktemp("plain") / "desk",
        server(ca, "desk", "localhost"),
        root,
        [allow("teller", ca)],
    )
    (free,) = free_addresses(1)
    with running(folder, free.port):
        yield Desk(folder, free.port, root)


# --- Who gets in -----------------------------------------------------------------------------------------------------


def test_a_drawn_caller_is_answered(desk, teller):
    answer = desk.ask(teller)
    assert answer.status == 200
    named = {"server": "desk", "caller": identity("teller"), "roles": [], "on_behalf_of": None}
    assert answer.json == {**named, "greeting": "hello"}
    assert desk.ask(teller, "/.mtls/caller").json == named
    assert desk.ask(teller, "/.mtls/caller?x=1").json == named


@pytest.mark.parametrize("path", ["/.mtls/caller", "/.mtls/caller?x"])
def test_who_called_is_told_to_allowed_callers_by_get_alone(desk, teller, ca, path):
    refused = desk.ask(teller, path, method="POST", body=b"GET /.mtls/caller HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (refused.status, refused.headers["allow"], refused.headers["connection"]) == (405, "GET, HEAD", "close")
    assert desk.ask(client(ca, "mallory"), path).status == 403


def test_a_leaf_without_its_intermediates_is_enough(desk, teller):
    assert desk.ask(teller.alone).status == 200


def test_a_valid_caller_who_is_not_drawn_gets_403(desk, ca):
    answer = desk.ask(client(ca, "mallory"))
    assert (answer.status, answer.error) == (403, f"{identity('mallory')} may not call desk")


@pytest.mark.parametrize("key", [KeyType.RSA_2048, KeyType.EC_P384, KeyType.EC_P521, KeyType.ED25519])
def test_other_keys_get_in(desk, ca, key):
    assert desk.ask(client(ca, "teller", key=key)).status == 200


def test_a_namesake_of_the_issuer_under_the_same_root_gets_nobody_in(desk, root):
    namesake = authority("Lab Issuing", root)
    forged = client(namesake, "teller")
    assert desk.refuses(forged) or desk.ask(forged).status == 403


def test_another_trusted_root_gets_nobody_in(tmp_path, root, ca, teller, port):
    other = authority("other")
    namesake = authority("Lab Issuing", other)
    folder = server_folder(tmp_path / "desk", server(ca, "desk", "localhost"), root, [allow("teller", ca)])
    (folder / "tls/ca.pem").write_bytes(bundles.chain_pem([root.certificate, other.certificate]))
    with running(folder, port):
        two_roots = Desk(folder, port, root)
        assert two_roots.ask(client(namesake, "teller")).status == 403
        assert two_roots.ask(teller).status == 200


def test_a_certificate_without_any_eku_gets_403(desk, ca):
    answer = desk.ask(client(ca, "teller", fault=Fault.NO_EKU))
    assert answer.status == 403
    assert "clientAuth" in answer.error


def test_a_certificate_without_an_identity_gets_403(desk, ca):
    answer = desk.ask(client(ca, "teller", fault=Fault.NO_SAN))
    assert answer.status == 403
    assert "no URI name and no DNS name" in answer.error


def test_two_identities_are_none(desk, ca):
    from scaffold.pki import issue
    from scaffold.pki.profiles import CertificateProfile
    from scaffold.topology.model import San, SanType, Subject
    from tests.handshake.nginx_lab import now

    sans = tuple(San(SanType.URI, identity(name)) for name in ("teller", "mallory"))
    key = new_key(KeyType.EC_P256)
    profile = CertificateProfile(Subject(common_name="teller"), "client", sans)
    dates = {"not_before": now() + AGO, "not_after": now() - AGO}
    double = issue.sign(profile, key.public_key(), ca.issuer, serial=new_serial(), **dates)
    answer = desk.ask(Credential(double, key, ca.chain))
    assert answer.status == 403
    assert "2 URI names" in answer.error


def resume(desk: Desk, context: ssl.SSLContext) -> Answer:
    """The second of two requests, with the session of the first."""
    kept: list[ssl.SSLSession] = []
    assert desk.ask(None, context=context, keep=kept).status in (200, 403)
    return desk.ask(None, context=context, session=kept[0] if kept else None)


def test_a_resumed_session_is_judged_like_the_first(desk, ca, teller, root):
    for caller, status in ((teller, 200), (client(ca, "mallory"), 403)):
        context = context_of(caller, root)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        answer = resume(desk, context)
        assert (answer.status, answer.resumed) == (status, True)


def test_tls_1_3_resumes_nothing(desk, teller, root):
    answer = resume(desk, context_of(teller, root))
    assert (answer.status, answer.resumed) == (200, False)


def test_a_resumed_session_ends_with_the_certificate(desk, ca, root):
    @contextlib.contextmanager
    def let_in(caller: Credential) -> Iterator[Callable[[], Answer]]:
        """How the session of one that was let in is resumed."""
        context = context_of(caller, root)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        kept: list[ssl.SSLSession] = []

        def resume() -> Answer:
            return desk.ask(caller, context=context, session=kept[-1], keep=kept)

        assert desk.ask(caller, context=context, keep=kept).status == 200
        yield resume

    def is_refused(resume: Callable[[], Answer]) -> bool:
        answer = resume()
        assert answer.resumed
        return answer.status == 403

    with brief(ca, let_in) as (_, resume):
        until(lambda: is_refused(resume))


# --- Revocation ------------------------------------------------------------------------------------------------------


@pytest.fixture
def checking(tmp_path, root, ca, port) -> Iterator[Desk]:
    """A server that checks CRLs, none of them empty-handed."""
    folder = server_folder(
        tmp_path / "desk",
        server(ca, "desk", "localhost"),
        root,
        [allow("teller", ca)],
        revocation=Revocation("crl"),
        files=Files(crl="tls/crl.pem"),
    )
    (folder / "tls/crl.pem").write_bytes(crl_of(root) + crl_of(ca))
    with running(folder, port):
        yield Desk(folder, port, root)


def test_a_revoked_caller_is_refused_without_a_restart(checking, root, ca, teller):
    other = client(ca, "teller")
    assert checking.ask(teller).status == 200
    place(checking.tls / "crl.pem", crl_of(root) + crl_of(ca, teller))
    until(lambda: checking.refuses(teller))
    assert checking.ask(other).status == 200


def test_a_new_crl_ends_connections_that_were_made_before(checking, root, ca, teller):
    connection = http.client.HTTPSConnection(
        "localhost", checking.port, timeout=WITHIN, context=context_of(teller, root)
    )
    connection.request("GET", "/")
    assert connection.getresponse().read()
    place(checking.tls / "crl.pem", crl_of(root) + crl_of(ca, teller))
    assert connection.sock.recv(1) == b""  # it is closed while nothing is asked


def test_a_connection_that_has_had_no_answer_yet_gets_it_after_a_new_crl(checking, root, ca, teller):
    young, old = (
        http.client.HTTPSConnection("localhost", checking.port, timeout=WITHIN, context=context_of(teller, root))
        for _ in range(2)
    )
    young.connect()
    old.request("GET", "/")
    assert old.getresponse().read()
    place(checking.tls / "crl.pem", crl_of(root) + crl_of(ca, client(ca, "other")))
    assert old.sock.recv(1) == b""
    young.request("GET", "/")
    answer = young.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert answer.read()
    assert checking.ask(teller).status == 200


# --- Reload ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_desk(tmp_path, root, ca, port) -> Iterator[tuple[Desk, object]]:
    folder = server_folder(
        tmp_path / "a folder with a space" / "desk",
        server(ca, "desk", "localhost"),
        root,
        [allow("teller", ca)],
    )
    with running(folder, port) as service:
        yield Desk(folder, port, root), service


def test_new_certificates_are_taken_under_traffic(own_desk, ca, teller, root):
    desk, service = own_desk
    failures: list[object] = []
    answered = 0
    seen: set[bytes] = set()
    stop = threading.Event()

    def traffic() -> None:
        nonlocal answered
        context = context_of(teller, root)
        while not stop.is_set():
            try:
                answer = desk.ask(teller, context=context)
                if answer.status != 200:
                    failures.append(answer)
                seen.add(answer.shown)
                answered += 1
            except Exception as error:
                failures.append(error)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        for _ in range(25):
            new = server(ca, "desk", "localhost")
            # Renamed one after the other: in between they do not match, and HUP comes at that moment too.
            place(desk.tls / "key.pem", keys.to_pem(new.key))
            service.signal(signal.SIGHUP)
            place(desk.tls / "cert.pem", bundles.chain_pem([new.certificate, *new.chain]))
            service.signal(signal.SIGHUP)
            shown = bundles.der(new.certificate)
            until(lambda shown=shown: shown in seen)
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert len(seen) >= 25
    assert answered >= 25


def test_what_does_not_load_leaves_the_old_in_place(own_desk, ca, teller):
    desk, service = own_desk
    before = desk.ask(teller).shown
    place(desk.tls / "cert.pem", b"garbage")
    until(lambda: any("the old material serves on" in line for line in service.last_lines))
    assert desk.ask(teller).shown == before
    new = server(ca, "desk", "localhost")
    place(desk.tls / "key.pem", keys.to_pem(new.key))
    place(desk.tls / "cert.pem", bundles.chain_pem([new.certificate, *new.chain]))
    until(lambda: desk.ask(teller).shown == bundles.der(new.certificate))


def test_a_new_allow_list_holds_for_open_connections_too(own_desk, ca, teller, root):
    desk, _ = own_desk
    connection = http.client.HTTPSConnection("localhost", desk.port, timeout=WITHIN, context=context_of(teller, root))

    def status() -> int:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        return response.status

    assert status() == 200
    place(desk.tls / "allowed.json", b'{"allowed": []}')
    until(lambda: status() == 403)


def test_a_copied_folder_runs(tmp_path, root, ca, teller, port):
    folder = server_folder(tmp_path / "desk", server(ca, "desk", "localhost"), root, [allow("teller", ca)])
    moved = copied(folder, tmp_path / "elsewhere")
    with running(moved, port):
        assert Desk(moved, port, root).ask(teller).status == 200
    assert not list(moved.rglob("__pycache__"))


# --- Robustness ------------------------------------------------------------------------------------------------------


def test_more_silent_clients_than_there_is_room_for_stop_nobody(desk, teller):
    silent = [socket.create_connection(("127.0.0.1", desk.port)) for _ in range(600)]
    try:
        assert desk.ask(teller).status == 200
    finally:
        for one in silent:
            one.close()


def test_a_silent_client_is_hung_up_on(desk):
    with socket.create_connection(("127.0.0.1", desk.port), timeout=WITHIN) as silent:
        assert silent.recv(1) == b""


def test_head_is_get_without_the_body(desk, ca, teller, root):
    for caller, path, status in ((teller, "/", 200), (teller, "/nothing", 404), (client(ca, "mallory"), "/", 403)):
        connection = http.client.HTTPSConnection(
            "localhost", desk.port, timeout=WITHIN, context=context_of(caller, root)
        )
        connection.request("HEAD", path)
        head = connection.getresponse()
        assert (head.status, head.read()) == (status, b"")
        assert int(head.headers["Content-Length"]) == len(desk.ask(caller, path).body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(desk, teller, method):
    answer = desk.ask(teller, method=method, body=b"x" * 100_000 if method == "POST" else b"")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_a_caller_who_may_not_call_learns_nothing_of_methods(desk, ca, method):
    assert desk.ask(client(ca, "mallory"), method=method).status == 403


def test_other_paths_are_not_found(desk, teller):
    assert desk.ask(teller, "/call/nobody").status == 404
    assert desk.ask(teller, "/../server.py").status == 404


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"G" * 70_000,
    ],
    ids=["version", "garbage", "headers", "long"],
)
def test_bad_requests_are_answered_or_cut_and_stop_nobody(desk, teller, root, request_text):
    with (
        socket.create_connection(("127.0.0.1", desk.port), timeout=WITHIN) as plain,
        context_of(teller, root).wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(request_text + (b"\r\n\r\n" if request_text.startswith(b"GG") else b""))
        answer = tls.recv(65536)
    assert not answer.startswith(b"HTTP/1.1 200")
    assert b"Traceback" not in answer
    assert desk.ask(teller).status == 200


def test_a_body_is_not_taken_for_the_next_request(desk, teller):
    answer = desk.ask(teller, body=b"GET /smuggled HTTP/1.1\r\n\r\n")
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


def test_headers_of_identity_are_believed_from_gateways_alone(tmp_path, root, ca, port):
    folder = server_folder(
        tmp_path / "desk",
        server(ca, "desk", "localhost"),
        root,
        [
            allow("teller", ca, roles=["reader", "x.Y_z-1"]),
            allow("gateway", ca, gateway=True, roles=["front"]),
        ],
    )
    claim = (("X-Client-Subject", "CN=boss"), ("X-Client-Issuer", "CN=Lab Issuing"))
    roles = ("X-Client-Roles", "admin, approver")
    gateway = client(ca, "gateway")
    with running(folder, port):
        desk = Desk(folder, port, root)
        believed = {"subject": "CN=boss", "issuer": "CN=Lab Issuing", "roles": []}
        assert desk.ask(gateway, headers=claim).json["on_behalf_of"] == believed
        with_roles = desk.ask(gateway, headers=(*claim, roles)).json
        assert with_roles["on_behalf_of"] == {**believed, "roles": ["admin", "approver"]}
        assert with_roles["roles"] == ["front"]
        assert desk.ask(gateway, headers=(roles,)).json["on_behalf_of"] is None
        for path in ("/", "/.mtls/caller"):
            direct = desk.ask(client(ca, "teller"), path, headers=(*claim, roles)).json
            assert (direct["on_behalf_of"], direct["roles"]) == (None, ["reader", "x.Y_z-1"])
        assert desk.ask(gateway, headers=(*claim, claim[0])).status == 400
        assert desk.ask(gateway, headers=(*claim, roles, roles)).status == 400
        for malformed in ("a b", "a,,b", "a,", '"', "a;b", "ä"):
            assert desk.ask(gateway, headers=(*claim, ("X-Client-Roles", malformed))).status == 400


def test_term_ends_it_well_with_a_request_under_way(tmp_path, root, ca, teller, port):
    folder = server_folder(tmp_path / "desk", server(ca, "desk", "localhost"), root, [allow("teller", ca)])
    with running(folder, port) as service:
        assert Desk(folder, port, root).ask(teller).status == 200
        service.signal(signal.SIGTERM)
        service.finish(time.monotonic() + WITHIN)
        assert service._process.returncode == 0


def test_a_taken_port_is_one_clear_line(tmp_path, root, ca, desk):
    folder = server_folder(tmp_path / "desk", server(ca, "desk", "localhost"), root, [])
    ended = subprocess.run(
        [folder / "run.sh"], env={"PATH": "/usr/bin:/bin", "LISTEN": f"127.0.0.1:{desk.port}"},
        capture_output=True, text=True, timeout=WITHIN, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- Calls -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def vault(tmp_path, root, ca) -> Iterator[Desk]:
    """A second server, which the first may call."""
    (free,) = free_addresses(1)
    folder = server_folder(tmp_path / "vault", server(ca, "vault", "vault.internal"), root, [allow("desk", ca)])
    with running(folder, free.port):
        yield Desk(folder, free.port, root)


def calling_folder(folder: Path, root: Authority, ca: Authority) -> Path:
    made = server_folder(
        folder,
        server(ca, "desk", "localhost"),
        root,
        [allow("teller", ca)],
        calls=(call_of("the-vault", 1, "vault.internal"),),
    )
    client(ca, "desk").write(made / "tls/client-cert.pem", made / "tls/client-key.pem")
    (made / "tls/client-ca.pem").write_bytes(bundles.pem(root.certificate))
    return made


def test_a_call_answers_with_what_came_back(tmp_path, root, ca, teller, port, vault):
    folder = calling_folder(tmp_path / "desk", root, ca)
    with running(folder, port, CALL_THE_VAULT=f"127.0.0.1:{vault.port}"):
        desk = Desk(folder, port, root)
        answer = desk.ask(teller, "/call/the-vault")
        assert (answer.status, answer.json["caller"]) == (200, identity("desk"))
        place(vault.tls / "allowed.json", b'{"allowed": []}')
        until(lambda: desk.ask(teller, "/call/the-vault").status == 403)


@pytest.mark.parametrize("wrong", ["name", "root", "expired", "eku", "no eku", "nobody"])
def test_a_wrong_callee_is_a_502_with_the_reason(tmp_path, root, ca, teller, port, vault, wrong):
    false = {
        "name": lambda: server(ca, "vault", "other.internal"),
        "root": lambda: server(authority("Lab Issuing", authority("Lab Root")), "vault", "vault.internal"),
        "expired": lambda: server(ca, "vault", "vault.internal", starts=2 * AGO, ends=AGO),
        "eku": lambda: server(ca, "vault", "vault.internal", fault=Fault.WRONG_EKU),
        "no eku": lambda: server(ca, "vault", "vault.internal", fault=Fault.NO_EKU),
    }
    folder = calling_folder(tmp_path / "desk", root, ca)
    target = vault.port
    if wrong == "nobody":
        target = free_addresses(1)[0].port
    else:
        own = false[wrong]()
        place(vault.tls / "key.pem", keys.to_pem(own.key))
        place(vault.tls / "cert.pem", bundles.chain_pem([own.certificate, *own.chain]))
    with running(folder, port, CALL_THE_VAULT=f"127.0.0.1:{target}"):
        desk = Desk(folder, port, root)
        until(lambda: desk.ask(teller, "/call/the-vault").status == 502)
        assert "the-vault" in desk.ask(teller, "/call/the-vault").error
        assert json.loads(desk.ask(teller).body)["caller"] == identity("teller")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1, "listen": 2}', '{"allowed": 3}'])
def test_settings_that_cannot_be_used_are_one_clear_line(tmp_path, root, ca, text):
    folder = server_folder(tmp_path / "desk", server(ca, "desk", "localhost"), root, [])
    (folder / "settings.json").write_text(text)
    ended = subprocess.run([folder / "run.sh"], capture_output=True, text=True, timeout=WITHIN, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1


def test_an_allow_list_that_does_not_load_leaves_the_old_in_place(own_desk, teller):
    desk, service = own_desk
    for text in (b"", b"[]", b'{"allowed": [3]}', b'{"allowed": {}}x', b'{"allowed": [{"identity": []}]}'):
        place(desk.tls / "allowed.json", text)
        service.signal(signal.SIGHUP)
    until(lambda: any("the old material serves on" in line for line in service.last_lines))
    assert desk.ask(teller).status == 200
