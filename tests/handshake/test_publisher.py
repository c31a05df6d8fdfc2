"""`scaffold publish` as its clients meet it: openssl, curl, caches, crowds and enemies."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from cryptography import x509
from cryptography.x509 import ocsp as x509_ocsp

from scaffold.pki import crl, ocsp
from scaffold.running.ports import free_addresses
from tests.handshake.nginx_lab import WITHIN, until
from tests.handshake.publisher_lab import Published, bank, command, publishing
from tests.handshake.verify_lab import Lab
from tests.requirements import require_command

TELLER = "clients/teller/tls/cert.pem"
AUDITOR = "clients/auditor/tls/cert.pem"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    with publishing(bank(tmp_path_factory.mktemp("bank"))) as found:
        yield found


def question(published: Published, path: str = TELLER, *, algorithm: str = "sha1", nonce: bytes | None = None) -> bytes:
    issuing = published.certificate("pki/issuing/ca.crt")
    serial = published.certificate(path).serial_number
    return ocsp.build_request([ocsp.cert_id(serial, issuing, algorithm)], nonce)


def status_of(body: bytes) -> str:
    response = x509_ocsp.load_der_ocsp_response(body)
    if response.response_status is not x509_ocsp.OCSPResponseStatus.SUCCESSFUL:
        return response.response_status.name
    return response.certificate_status.name


def openssl_ocsp(published: Published, *more: str) -> str:
    require_command("openssl")
    done = subprocess.run(
        ["openssl", "ocsp", "-CAfile", "pki/root/ca.crt", "-verify_other", "pki/issuing/ca.crt",
         "-url", f"http://{published.listen}/ocsp/issuing", *more],
        cwd=published.lab.layout.out, capture_output=True, text=True, timeout=WITHIN, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


# --- Documents ---


def test_crls_and_certificates_in_der(published):
    for ca in ("root", "issuing"):
        status, headers, body = published.get(f"/crl/{ca}.crl")
        assert (status, headers["content-type"]) == (200, "application/pkix-crl")
        assert crl.to_pem(crl.load(body)) == published.lab.path(f"pki/{ca}/crl.pem").read_bytes()
        status, headers, body = published.get(f"/ca/{ca}.cer")
        assert (status, headers["content-type"]) == (200, "application/pkix-cert")
        assert body == published.lab.path(f"pki/{ca}/ca.cer").read_bytes()


def test_a_cache_asks_again_and_is_told_that_nothing_changed(published):
    _, headers, _ = published.get("/crl/issuing.crl")
    assert "no-cache" in headers["cache-control"]
    status, _, body = published.get("/crl/issuing.crl", {"If-None-Match": headers["etag"]})
    assert (status, body) == (304, b"")
    status, _, body = published.get("/crl/issuing.crl", {"If-None-Match": '"another"'})
    assert status == 200
    assert body


@pytest.mark.parametrize(
    "path",
    [
        "/", "/crl/nobody.crl", "/crl/../ca.key", "/crl/..%2f..%2fpki%2fissuing%2fca.key", "/ca/issuing.key",
        "/crl/issuing.crl/", "/pki/issuing/ca.key", "//crl/issuing.crl", "/crl/%00.crl", "/ca/%2e%2e.cer", "*",
    ],
)  # fmt: skip
def test_nothing_else_is_served(published, path):
    status, _, body = published.get(path)
    assert status in (307, 400, 404)
    assert b"PRIVATE" not in body


def test_what_is_asked_as_if_of_a_proxy_is_served(published):
    """RFC 9112 3.2.2: the target is a whole URL, as curl and openssl send it to what they take for a proxy."""
    require_command("curl")
    for url in ("http://ca.example/crl/issuing.crl", "HTTP://ca.example:81/crl/issuing.crl"):
        fetched = subprocess.run(
            ["curl", "-q", "-sSf", "-x", f"http://{published.listen}", url], capture_output=True, check=True
        )
        assert fetched.stdout == published.get("/crl/issuing.crl")[2]
    said = openssl_ocsp(
        published, "-issuer", "pki/issuing/ca.crt", "-cert", TELLER,
        "-url", "http://ca.example/ocsp/issuing", "-proxy", f"http://{published.listen}", "-no_proxy", "none",
    )  # fmt: skip
    assert f"{TELLER}: good" in said


@pytest.mark.parametrize(
    "target", ["ftp://ca.example/crl/issuing.crl", "crl/issuing.crl", "http:/crl/issuing.crl", "http://crl/issuing.crl"]
)
def test_no_other_target_is_a_path(published, target):
    assert published.get(target)[0] == 404


def test_health_and_metrics(published):
    assert published.get("/healthz")[::2] == (200, b"ok\n")
    published.request("POST", "/ocsp/issuing", question(published))
    published.get("/no/such/thing")
    _, headers, body = published.get("/metrics")
    assert headers["content-type"].startswith("text/plain; version=")
    metrics = body.decode()
    assert re.search(r'scaffold_publish_ocsp_answers_total\{ca="issuing",outcome="good"\} [1-9]', metrics)
    assert re.search(r'scaffold_publish_requests_total\{resource="none",status="404"\} [1-9]', metrics)
    assert re.search(r'scaffold_publish_crl_next_update_timestamp_seconds\{ca="root"\} 1\.\d+e\+09', metrics)


# --- OCSP ---


@pytest.mark.parametrize("sha256", [False, True], ids=["sha1", "sha256"])
def test_openssl_verifies_the_answer_and_its_nonce(published, sha256):
    asked = ("-sha256",) if sha256 else ()
    said = openssl_ocsp(published, *asked, "-issuer", "pki/issuing/ca.crt", "-cert", TELLER, "-resp_text")
    assert "Response verify OK" in said
    assert f"{TELLER}: good" in said
    assert "OCSP Nonce" in said
    assert "WARNING" not in said
    assert "OCSP Signing" in said
    assert "OCSP No Check" in said


def test_openssl_asks_for_several_in_one_request(published):
    said = openssl_ocsp(
        published, "-issuer", "pki/issuing/ca.crt", "-cert", TELLER, "-cert", AUDITOR, "-serial", "0x1267"
    )
    assert "Response verify OK" in said
    assert f"{TELLER}: good" in said
    assert f"{AUDITOR}: good" in said
    assert "0x1267: unknown" in said


def test_curl_gets_the_kept_answer_with_the_headers_of_rfc_9919(published, tmp_path):
    require_command("curl")
    encoded = urllib.parse.quote(base64.b64encode(question(published)), safe="")
    url = f"http://{published.listen}/ocsp/issuing/{encoded}"
    done = subprocess.run(
        ["curl", "-sS", "--fail", "-D", "head", "-o", "body", url], cwd=tmp_path, timeout=WITHIN, check=True
    )
    assert done.returncode == 0
    body = (tmp_path / "body").read_bytes()
    head = (tmp_path / "head").read_text().lower()
    assert status_of(body) == "GOOD"
    response = x509_ocsp.load_der_ocsp_response(body)
    asked = datetime.now(UTC)
    _, headers, again = published.get(urllib.parse.urlsplit(url).path)
    assert again == body, "it is kept"
    assert f"etag: {headers['etag']}" in head
    assert headers["content-type"] == "application/ocsp-response"
    assert parsedate_to_datetime(headers["expires"]) == response.next_update_utc
    assert parsedate_to_datetime(headers["last-modified"]) == response.this_update_utc
    age = int(re.search(r"max-age=(\d+), public, no-transform, must-revalidate", headers["cache-control"])[1])
    assert 0 < age <= 3600
    assert asked + timedelta(seconds=age) <= response.next_update_utc + timedelta(seconds=1)
    assert published.get(urllib.parse.urlsplit(url).path, {"If-None-Match": headers["etag"]})[0] == 304


def test_a_nonce_is_echoed_in_a_fresh_answer_that_no_cache_keeps(published):
    answers = set()
    for nonce in (b"a" * 16, b"b" * 32):
        _, headers, body = published.request("POST", "/ocsp/issuing", question(published, nonce=nonce))
        response = x509_ocsp.load_der_ocsp_response(body)
        assert [one.value.nonce for one in response.extensions] == [nonce]
        assert headers["cache-control"] == "no-store"
        answers.add(body)
    assert len(answers) == 2


@pytest.mark.parametrize("body", [b"", b"0", b"\x30\x80\x00", b"<html>", bytes(1000), b"\x30" * 60_000], ids=len)
def test_what_is_no_request_is_malformed(published, body):
    status, _, answer = published.request("POST", "/ocsp/issuing", body)
    assert (status, status_of(answer)) == (200, "MALFORMED_REQUEST")


@pytest.mark.parametrize("path", ["", "!!!", "AAAA", "%ff%fe", "MEI=/../../etc", "a" * 10_000])
def test_a_get_that_is_no_request_is_malformed(published, path):
    status, headers, answer = published.get(f"/ocsp/issuing/{path}")
    assert (status, status_of(answer)) == (200, "MALFORMED_REQUEST")
    assert headers["cache-control"] == "no-store"


def test_for_a_ca_without_a_responder_nobody_is_authorised_and_for_no_ca_404(published):
    root = published.certificate("pki/root/ca.crt")
    asked = ocsp.build_request([ocsp.cert_id(published.certificate("pki/issuing/ca.crt").serial_number, root)])
    assert status_of(published.request("POST", "/ocsp/root", asked)[2]) == "UNAUTHORIZED"
    assert status_of(published.request("POST", "/ocsp/issuing", asked)[2]) == "UNAUTHORIZED"
    assert published.request("POST", "/ocsp/nobody", asked)[0] == 404
    assert published.request("PUT", "/ocsp/issuing", asked)[0] == 405


# --- What changes while it runs ---


def test_a_revocation_is_seen_without_a_restart(tmp_path):
    with publishing(bank(tmp_path)) as published:
        assert "good" in openssl_ocsp(published, "-issuer", "pki/issuing/ca.crt", "-cert", TELLER)
        published.revoke(TELLER)
        published.wait_for("CRL signed")
        published.wait_for("refreshed")
        said = openssl_ocsp(published, "-issuer", "pki/issuing/ca.crt", "-cert", TELLER, "-cert", AUDITOR)
        assert "Response verify OK" in said
        assert f"{TELLER}: revoked" in said
        assert "Reason: keyCompromise" in said
        assert f"{AUDITOR}: good" in said
        listed = crl.load(published.get("/crl/issuing.crl")[2])
        assert [one.serial for one in crl.entries(listed)] == [published.certificate(TELLER).serial_number]


def test_a_crl_is_signed_anew_while_it_runs(tmp_path):
    with publishing(bank(tmp_path, crl_life="4s")) as published:
        first = crl.load(published.get("/crl/issuing.crl")[2])
        assert published.wait_for("CRL signed")["address"] == "ca.issuing.crl"

        def served() -> x509.CertificateRevocationList:
            return crl.load(published.get("/crl/issuing.crl")[2])

        until(lambda: crl.number(served()) > crl.number(first))
        assert crl.signed_by(served(), published.certificate("pki/issuing/ca.crt"))
        until(lambda: published.get("/healthz")[0] == 200)


# --- Beginning and end ---


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A bank that nobody publishes yet."""
    return bank(tmp_path_factory.mktemp("still"))


def test_term_ends_it_with_0_and_the_log_is_json(still):
    with publishing(still) as published:
        published.get("/crl/root.crl")
        assert published.wait_for("request")["path"] == "/crl/root.crl"
        assert published.end(signal.SIGTERM) == 0
        assert published.events()[-1]["event"] == "ended"


def test_listen_moves_it_and_an_interruption_ends_it_with_0(still):
    (other,) = free_addresses(1)
    with publishing(still, "--listen", str(other), listen=other) as published:
        assert published.get("/healthz")[0] == 200
        assert published.end(signal.SIGINT) == 0


def test_what_is_under_way_is_answered_before_the_end(still):
    with publishing(still) as published:
        body = question(published)
        head = f"POST /ocsp/issuing HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with contextlib.closing(published.raw(head + body[:10])) as slow:
            published.get("/healthz")  # it has read what came before
            published.process.send_signal(signal.SIGTERM)
            published.wait_for("ending")
            slow.sendall(body[10:])
            answer = http.client.HTTPResponse(slow)
            answer.begin()
            assert status_of(answer.read()) == "GOOD"
        assert published.process.wait(WITHIN) == 0


def test_up_runs_it_beside_the_servers(still):
    arguments = [sys.executable, "-m", "scaffold", "up", *command(still)[4:]]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"(publisher) | ready: {still.topology.publish}/\n"
            with urllib.request.urlopen(f"{still.topology.publish}/crl/issuing.crl", timeout=WITHIN) as answer:
                assert crl.to_pem(crl.load(answer.read())) == still.path("pki/issuing/crl.pem").read_bytes()
            assert any("ready: https://" in line for line in process.stdout)
            process.send_signal(signal.SIGINT)
            assert process.wait(WITHIN) == 0
        finally:
            process.kill()


def test_a_taken_port_and_what_is_not_there_are_clear_errors(still, tmp_path):
    (other,) = free_addresses(1)
    silent = tmp_path / "silent.yaml"
    silent.write_text("version: 1\nname: bank\ncas: {root: {}}\n")
    wrong = {
        ("--listen", str(other)): (f"cannot listen on {other}", "in use"),
        ("--listen", "9080"): ('--listen: "9080" is not an address', "127.0.0.1:9080"),
        ("--out", str(tmp_path / "empty")): ("there is no CA in", "scaffold apply"),
        ("-f", str(silent)): ("has no `publish`", "publish:"),
    }
    with socket.create_server((other.host, other.port)), ThreadPoolExecutor(2) as pool:
        for words, ended in zip(wrong.values(), pool.map(lambda more: run(still, *more), wrong), strict=True):
            assert ended.returncode == 1, ended.stderr
            assert ended.stderr.startswith("error: "), ended.stderr
            assert "Traceback" not in ended.stderr
            assert all(word in ended.stderr for word in words), ended.stderr


def run(lab: Lab, *more: str) -> subprocess.CompletedProcess[str]:
    """A publisher that ends by itself."""
    return subprocess.run(command(lab, *more), capture_output=True, text=True, timeout=WITHIN, check=False)


# --- Crowds and enemies ---


def test_it_answers_while_hundreds_are_silent_and_others_throw_garbage(published):
    before = published.resident
    with contextlib.ExitStack() as crowd:
        beginnings = (
            b"",
            b"G",
            b"GET /crl/issuing.crl HTTP/1.1\r\nHost: x\r\n",
            _POST + b"Content-Length: 60000\r\n\r\n0",
        )
        for number in range(300):
            crowd.enter_context(contextlib.closing(published.raw(beginnings[number % len(beginnings)])))
        random.seed(5)
        for data in garbage():
            with contextlib.closing(published.raw()) as enemy, contextlib.suppress(OSError):
                enemy.sendall(data)
                enemy.shutdown(socket.SHUT_WR)
                assert not enemy.recv(65_536).startswith(b"HTTP/1.1 5")
            assert status_of(published.request("POST", "/ocsp/issuing", question(published))[2]) == "GOOD"
        assert published.get("/crl/issuing.crl")[0] == 200
    assert published.resident - before < 64 << 20
    assert not [one for one in published.events() if one["level"] == "error"]


_POST = b"POST /ocsp/issuing HTTP/1.1\r\nHost: x\r\n"


def garbage() -> list[bytes]:
    return [
        *(os.urandom(random.randrange(1, 5_000)) for _ in range(20)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),
        b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000,
        b"GET /" + b"a" * 500_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /crl/../ca.key HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        _POST + b"Content-Length: 99999999\r\n\r\n" + bytes(200_000),
        _POST + b"Content-Length: -1\r\n\r\n",
        _POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        _POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        _POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 70_000 + b"0\r\n\r\n",
        _POST + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
        b"GET /ocsp/issuing/%zz%%%ff HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
    ]


def test_two_thousand_requests_over_kept_connections_are_all_answered_right(published):
    plain = {algorithm: question(published, AUDITOR, algorithm=algorithm) for algorithm in ("sha1", "sha256")}
    before = published.resident

    def client(number: int) -> int:
        good = 0
        connection = published.connection()
        for count in range(500):
            nonce = os.urandom(16) if count % 10 == 0 else None
            body = question(published, AUDITOR, nonce=nonce) if nonce else plain["sha256" if count % 3 else "sha1"]
            connection.request("POST", "/ocsp/issuing", body)
            answer = x509_ocsp.load_der_ocsp_response(connection.getresponse().read())
            assert answer.certificate_status is x509_ocsp.OCSPCertStatus.GOOD
            assert [one.value.nonce for one in answer.extensions] == ([nonce] if nonce else [])
            good += 1
        connection.close()
        return good

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(client, range(4))) == 2_000
    assert published.resident - before < 32 << 20


def test_term_under_load_ends_it_cleanly(still):
    with publishing(still) as published:
        body = question(published)
        answered = threading.Semaphore(0)

        def client(number: int) -> None:
            """Until it is refused: every answer that begins is whole."""
            while True:
                try:
                    answer = published.request("POST", "/ocsp/issuing", body)[2]
                except http.client.RemoteDisconnected:
                    continue  # closed before the request was read: nothing of an answer was sent
                except OSError:
                    return
                assert status_of(answer) == "GOOD"
                answered.release()

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(client, number) for number in range(8)]
            with contextlib.ExitStack() as silent:
                for _ in range(50):
                    silent.enter_context(contextlib.closing(published.raw(b"GET /")))
                for _ in range(100):
                    assert answered.acquire(timeout=WITHIN)
                assert published.end() == 0
            for one in clients:
                one.result(WITHIN)
        assert not [one for one in published.events() if one["level"] == "error"]
