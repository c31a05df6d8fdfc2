"""The words that docs/troubleshooting.md explains are those that real programs say of that mistake."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from scaffold.testing.environment import Environment
from tests.requirements import require_command

PAGE = (Path(__file__).parents[2] / "docs/troubleshooting.md").read_text("utf-8")

TOPOLOGY = """\
version: 1
name: words
publish: http://127.0.0.1:8999
cas:
  root: {}
  issuing: {issuer: root, path_length: 0}
servers:
  alerts: {template: python, issuer: issuing, listen: 127.0.0.1:9001, names: [localhost], check_revocation: crl}
  answers: {template: nginx, issuer: issuing, listen: 127.0.0.1:9002, names: [localhost], check_revocation: crl}
  ended: {template: python, issuer: issuing, listen: 127.0.0.1:9003, names: [localhost], fault: expired}
  early: {template: python, issuer: issuing, listen: 127.0.0.1:9004, names: [localhost], fault: not-yet-valid}
  misnamed: {template: python, issuer: issuing, listen: 127.0.0.1:9005, names: [localhost], fault: wrong-name}
  short: {template: python, issuer: issuing, listen: 127.0.0.1:9006, names: [localhost], fault: missing-intermediate}
  proxy: {template: haproxy, issuer: issuing, listen: 127.0.0.1:9008, names: [localhost]}
  aclient: {template: python, issuer: issuing, listen: 127.0.0.1:9007, names: [localhost], fault: wrong-eku}
clients:
  web: {template: python, issuer: issuing, calls: [alerts, answers, ended, early, misnamed, short, aclient, proxy]}
  other: {template: python, issuer: issuing}
"""

MEANS = {
    "none": "you sent no certificate",
    "unknown-ca": "trusts no root of your certificate",
    "expired": "it has expired",
    "not-yet-valid": "it is not valid yet",
    "wrong-eku": "you sent a server's certificate",
    "revoked": "your certificate is on the CRL",
}
FALSE = {
    "ended": "the server's certificate has expired",
    "early": "or is not valid yet",
    "misnamed": "the name that you call is not in its certificate",
    "short": "does not send its intermediate",
    "aclient": "it sends a client's certificate",
}


def row(heading: str, words: str) -> str:
    """The row of the table below `heading` that explains `words`."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = [line for line in section.splitlines() if line.startswith("|") and words in line.split(" | ")[0]]
    assert len(found) == 1, f"{words!r} is explained {len(found)} times"
    return found[0]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    folder = tmp_path_factory.mktemp("words")
    file = folder / "topology.yaml"
    file.write_text(TOPOLOGY)
    with Environment.of(file, folder / "out", unavailable=pytest.fail) as made:
        yield made


def context(environment: Environment, fault: str) -> ssl.SSLContext:
    if fault != "none":
        return environment.ssl_context(environment.broken("web", fault))
    return ssl.create_default_context(cafile=environment.files("web").trust)


@pytest.mark.parametrize("fault", MEANS)
def test_an_alert_means_what_the_page_says(environment: Environment, fault: str) -> None:
    trying = context(environment, fault)
    trying.maximum_version = ssl.TLSVersion.TLSv1_2
    with environment.start("alerts"), pytest.raises(ssl.SSLError) as raised:
        shake_hands(environment.url("alerts"), trying)
    said = re.search(r"(\S+ alert) ([a-z ]+[a-z])", str(raised.value).lower())
    assert said is not None
    assert MEANS[fault] in row("The server refuses you", f"`alert {said[2]}`")
    assert f"`{said[1]}`" in PAGE


@pytest.mark.parametrize("fault", MEANS)
def test_an_answer_means_what_the_page_says(environment: Environment, fault: str) -> None:
    require_command("nginx")
    trying = context(environment, fault)
    with environment.start("answers"), pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(environment.url("answers"), context=trying)
    assert raised.value.code == 400
    said = json.load(raised.value)["error"].rpartition(": ")[2]
    assert MEANS[fault] in row("The server refuses you", f"400 `{said}`")


@pytest.mark.parametrize("server", ["alerts", "answers"])
def test_who_may_not_call_gets_403(environment: Environment, server: str) -> None:
    require_command("nginx")
    with environment.start(server), pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(environment.url(server), context=environment.ssl_context("other"))
    assert f"| {raised.value.code} | your certificate is good, but you may not call" in row(
        "The server refuses you", "403"
    )


@pytest.mark.parametrize("server", FALSE)
def test_the_words_for_a_false_server_mean_what_the_page_says(environment: Environment, server: str) -> None:
    with environment.start(server), pytest.raises(ssl.SSLCertVerificationError) as raised:
        shake_hands(environment.url(server), environment.ssl_context("web"))
    said = raised.value.verify_message.partition(",")[0]
    assert FALSE[server] in row("You refuse the server", f"`{said}`")


@pytest.mark.parametrize(("server", "program"), [("alerts", "curl"), ("answers", "nginx"), ("proxy", "haproxy")])
def test_plain_http_at_a_tls_port_is_answered_as_the_page_says(
    environment: Environment, server: str, program: str
) -> None:
    require_command(program)
    with environment.start(server):
        done = curl(environment.url(server).replace("https:", "http:"))
    said = json.loads(done.stdout)["error"] if done.stdout else done.stderr.partition(") ")[2].strip()
    assert "you called a TLS port with `http://`" in row("There is no handshake", f"`{said}`")


def test_tls_at_a_plain_port_is_answered_as_the_page_says(environment: Environment) -> None:
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as plain:
        answering = threading.Thread(target=plain.handle_request)
        answering.start()
        with pytest.raises(ssl.SSLError) as raised:
            shake_hands(f"https://127.0.0.1:{plain.server_port}/", environment.ssl_context("web"))
        answering.join()
    said = re.search(r"[a-z ]+[a-z]", str(raised.value).rpartition("]")[2])
    assert said is not None
    assert "the port answers in plain HTTP" in row("There is no handshake", f"`{said[0].strip()}`")


def test_a_key_that_does_not_fit_is_answered_as_the_page_says(environment: Environment) -> None:
    require_command("curl")
    web, other = environment.files("web"), environment.files("other")
    with environment.start("alerts"):
        pair = ("--cert", web.certificate, "--key", other.key)
        refused = curl(environment.url("alerts"), "--cacert", web.trust, *pair)
        untrusting = curl(environment.url("alerts"), "--cacert", web.trust.with_name("none.pem"))
    assert "the key does not fit" in row("There is no handshake", f"`{curls_words(refused)}`")
    assert "is not there" in row("There is no handshake", f"`{curls_words(untrusting)}`")
    with pytest.raises(ssl.SSLError) as raised:
        ssl.create_default_context().load_cert_chain(web.certificate, other.key)
    said = str(raised.value).rpartition("] ")[2].partition(" (")[0]
    assert "the key does not fit" in row("There is no handshake", f"`{said}`")


def curl(url: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", *map(str, options), url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def curls_words(done: subprocess.CompletedProcess[str]) -> str:
    """Its number and its words, without the file that follows them."""
    return done.stderr.partition("curl: ")[2].partition(":")[0].strip()


def shake_hands(url: str, trying: ssl.SSLContext) -> None:
    """A handshake with what listens at `url`, whose errors are those of the TLS library."""
    host, _, port = url.removeprefix("https://").rstrip("/").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        trying.wrap_socket(connection, server_hostname=host).close()
