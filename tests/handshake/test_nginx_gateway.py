"""nginx as a gateway: what its upstream learns, what it learns from nobody else, and which upstreams are believed."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scaffold.errors import TopologyError
from scaffold.kinds import limits
from scaffold.running.ports import free_addresses
from scaffold.topology.address import Address
from scaffold.topology.load import loads
from scaffold.topology.model import Fault, Subject
from scaffold.topology.notes import Note
from tests.handshake.nginx_lab import (
    KIND,
    Answer,
    Authority,
    Credential,
    Project,
    allow,
    authority,
    client,
    gateway,
    project,
    running,
    server,
    until,
    upstream,
)
from tests.requirements import require_command

require_command("nginx")

FORGED = (
    "X-Client-Subject", "X-Client-Issuer", "x-client-subject", "X-CLIENT-ISSUER", "X_Client_Subject", "X_Client_Issuer",
    "X-Forwarded-Client-Cert", "X_Forwarded_Client_Cert", "Client-Cert", "Client-Cert-Chain", "Client_Cert",
    "X-SSL-Client-Cert", "X-SSL-Client-S-DN", "X-SSL-Client-I-DN", "X-SSL-Client-Verify", "X-SSL-Client-DN",
    "X-SSL-Client-CN", "X-SSL-Client-Serial", "X-SSL-Client-Fingerprint", "X-SSL-Client-SAN", "X-SSL-Issuer",
    "X-SSL-Client-NotBefore", "X-SSL-Client-NotAfter", "X-SSL-Client-Issuer", "X-SSL-Client-Subject",
    "X-Client-Cert", "X-Client-DN", "X-Client-Verify", "SSL-Client-Cert", "SSL-Client-Verify", "SSL_CLIENT_S_DN",
    "X-ARR-ClientCert", "X-Amzn-Mtls-Clientcert", "X-Forwarded-Tls-Client-Cert", "X-Remote-User",
    "X-Real-IP", "X-Forwarded-For", "Forwarded", "X-Forwarded-User", "X-Forwarded-Tls-Client-Cert-Info",
)  # fmt: skip
AWKWARD = Subject("Ćao", 'O\'Brien, "$x" \\ Sons', "Desk, 2", "RS")


@pytest.fixture(scope="module")
def desk(root: Authority, ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A gateway in front of a server that says what it was sent."""
    folder = tmp_path_factory.mktemp("gateway")
    vault = server(ca, "vault", "vault.internal")
    allowed = [allow("teller", ca), allow("auditor", ca, client(ca, "auditor", subject=AWKWARD))]
    with (
        upstream(vault, root, folder / "vault") as port,
        running(gateway(folder / "desk", root, ca, allowed, port)) as made,
    ):
        yield made


def sent(answer: Answer) -> dict[str, list[str]]:
    """The headers that reached the upstream, by lower-case name."""
    assert answer.status == 200, answer
    headers: dict[str, list[str]] = {}
    said: Any = answer.json["headers"]
    for name, value in said:
        headers.setdefault(name, []).append(value)
    return headers


# --- What the upstream learns ----------------------------------------------------------------------------------------


def test_the_upstream_learns_who_called(desk: Project, ca: Authority, teller: Credential) -> None:
    answer = desk.ask(teller, "/accounts?id=7", headers=[("X-Request-Id", "42")])
    headers = sent(answer)
    assert headers["x-client-subject"] == [teller.dn]
    assert headers["x-client-issuer"] == [ca.dn]
    assert headers["host"] == ["vault.internal"]
    assert headers["x-request-id"] == ["42"]
    assert (answer.json["path"], answer.json["peer"]) == ("/accounts?id=7", ["spiffe://lab/client/desk"])


def test_an_awkward_name_reaches_it_whole(desk: Project, ca: Authority) -> None:
    caller = client(ca, "auditor", subject=AWKWARD)
    assert sent(desk.ask(caller))["x-client-subject"] == [caller.dn]


def test_forged_identities_do_not_reach_it(desk: Project, ca: Authority, teller: Credential) -> None:
    forged = [(name, "CN=admin") for name in FORGED for _ in range(2)]
    headers = sent(desk.ask(teller, headers=[*forged, ("X-Harmless", "CN=admin")]))
    assert headers.pop("x-harmless") == ["CN=admin"]
    assert [name for name, values in headers.items() if "CN=admin" in values] == []
    assert headers["x-client-subject"] == [teller.dn]


def test_without_those_lines_they_would(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    def pass_on(conf: str) -> str:
        kept = [line for line in conf.splitlines() if "proxy_set_header X-" not in line]
        return "\n".join(kept)

    with upstream(server(ca, "vault", "vault.internal"), root, tmp_path / "vault") as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        made.write(change=pass_on)
        with running(made):
            headers = sent(made.ask(teller, headers=[("X-Client-Subject", "CN=admin"), ("X-SSL-Client-Cert", "x")]))
    assert headers["x-client-subject"] == ["CN=admin"]
    assert headers["x-ssl-client-cert"] == ["x"]


def test_who_is_not_drawn_does_not_reach_it(desk: Project, ca: Authority) -> None:
    for path in ("/", "/call/vault", "/any"):
        assert desk.ask(client(ca, "mallory"), path).status == 403
        assert desk.ask(None, path).status == 400


def test_bodies_go_through(desk: Project, teller: Credential) -> None:
    body = b"b" * 900_000
    answer = desk.ask(teller, method="POST", body=body)
    assert (answer.json["method"], answer.json["body"]) == ("POST", body.decode())


def test_the_upstreams_own_refusal_is_passed_on(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    for status in (403, 404, 502):
        with (
            upstream(server(ca, "vault", "vault.internal"), root, tmp_path / f"vault-{status}", status) as port,
            running(gateway(tmp_path / f"desk-{status}", root, ca, [allow("teller", ca)], port)) as made,
        ):
            answer = made.ask(teller)
            assert (answer.status, answer.json["path"]) == (status, "/")


# --- A call of its own -----------------------------------------------------------------------------------------------


def test_its_own_call_carries_nothing_of_the_callers(desk: Project, teller: Credential) -> None:
    answer = desk.ask(
        teller, "/call/vault?x=1", method="POST", body=b"secret", headers=[("X-Client-Subject", "x"), ("Cookie", "c=1")]
    )
    headers = sent(answer)
    assert answer.json["peer"] == ["spiffe://lab/client/desk"]
    assert (answer.json["method"], answer.json["path"], answer.json["body"]) == ("GET", "/.mtls/caller", "")
    assert set(headers) <= {"host", "connection"}


# --- Which upstreams are believed ------------------------------------------------------------------------------------


def wrong_name(root: Authority, ca: Authority) -> Credential:
    return server(ca, "vault", "other.internal")


def name_in_cn_alone(root: Authority, ca: Authority) -> Credential:
    return server(ca, "vault.internal", "other.internal")


def foreign_root(root: Authority, ca: Authority) -> Credential:
    return server(authority("Lab Issuing", authority("Lab Root")), "vault", "vault.internal")


def expired(root: Authority, ca: Authority) -> Credential:
    return server(ca, "vault", "vault.internal", ends=timedelta(minutes=-5))


def not_yet_valid(root: Authority, ca: Authority) -> Credential:
    return server(ca, "vault", "vault.internal", starts=timedelta(minutes=5))


def client_certificate(root: Authority, ca: Authority) -> Credential:
    return server(ca, "vault", "vault.internal", fault=Fault.WRONG_EKU)


FALSE = [wrong_name, name_in_cn_alone, foreign_root, expired, not_yet_valid, client_certificate]


@pytest.mark.parametrize("false", FALSE)
def test_a_false_upstream_is_refused(
    tmp_path: Path,
    root: Authority,
    ca: Authority,
    teller: Credential,
    false: Callable[[Authority, Authority], Credential],
) -> None:
    with upstream(false(root, ca), root, tmp_path / "vault") as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        with running(made):
            for path in ("/", "/call/vault"):
                answer = made.ask(teller, path)
                assert answer.status == 502
                assert answer.error.startswith("vault could not be reached, or did not prove that it is vault.internal")
            until(lambda: any("upstream SSL certificate" in line for line in made.lines))
        made.write(change=lambda conf: conf.replace("proxy_ssl_verify              on", "proxy_ssl_verify off"))
        with running(made):
            assert made.ask(teller).status == 200
            assert made.ask(teller, "/call/vault").status == 200


def test_an_upstream_that_is_away_is_a_502_and_comes_back(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    (away,) = free_addresses(1)
    with running(gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], away.port)) as made:
        assert made.ask(teller).status == 502
        assert made.ask(teller, "/call/vault").status == 502
        with upstream(server(ca, "vault", "vault.internal"), root, tmp_path / "vault", port=away.port):
            assert made.ask(teller).status == 200
            assert made.ask(teller, "/call/vault").status == 200


def test_upstream_and_call_move_apart(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    vault = server(ca, "vault", "vault.internal")
    (nobody,) = free_addresses(1)
    made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], nobody.port)
    with upstream(vault, root, tmp_path / "vault") as port:
        with running(made, UPSTREAM=f"127.0.0.1:{port}"):
            assert (made.ask(teller).status, made.ask(teller, "/call/vault").status) == (200, 502)
        with running(made, CALL_VAULT=f"localhost:{port}"):
            assert (made.ask(teller).status, made.ask(teller, "/call/vault").status) == (502, 200)


def test_a_server_name_is_sent_to_the_upstream(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        running(gateway(tmp_path, root, ca, [allow("teller", ca)], listening.getsockname()[1])) as made,
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(made.ask, teller)
        connection, _ = listening.accept()
        with connection:
            assert b"vault.internal" in connection.recv(65536)
        assert answer.result().status == 502


def test_an_upstream_known_by_its_ip_address_is_never_believed(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    """nginx compares the expected name with DNS names alone; the plan refuses such an edge by `checks_names`."""
    with upstream(server(ca, "vault", "127.0.0.1", "vault.internal"), root, tmp_path / "vault") as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        with running(made):
            assert made.ask(teller).status == 200
        by_address = replace(made.settings.calls[0], server_name="127.0.0.1")
        made.settings = replace(made.settings, calls=(by_address,), upstream=by_address)
        with running(made.write()):
            assert made.ask(teller).status == 502


def test_a_common_name_is_believed_where_there_is_no_dns_name_and_only_there(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    """So the plan refuses a server that could be mistaken for another: nginx declares `takes_lone_common_names`."""
    answers = {}
    for sans in (("127.0.0.1",), ("127.0.0.1", "elsewhere.internal")):
        folder = tmp_path / sans[-1]
        with upstream(server(ca, "vault.internal", *sans), root, folder / "vault") as port:
            made = gateway(folder / "desk", root, ca, [allow("teller", ca)], port)
            with running(made):
                answers[sans[-1]] = made.ask(teller).status
    assert "takes_lone_common_names" in KIND.capabilities.supports
    assert answers == {"127.0.0.1": 200, "elsewhere.internal": 502}


def test_the_plan_refuses_an_upstream_known_by_its_ip_address() -> None:
    topology = """
version: 1
name: lab
cas: {root: {}}
servers:
  desk: {template: nginx, listen: "127.0.0.1:8443", names: [localhost], calls: [vault], upstream: vault}
  vault: {template: nginx, listen: "127.0.0.1:8444", names: [NAMES]}
"""

    def notes(names: str) -> tuple[Note, ...]:
        loaded = loads(topology.replace("NAMES", names).encode(), Path("topology.yaml"))
        return limits.check(loaded, {Address.server("desk"): KIND, Address.server("vault"): KIND})

    assert notes("localhost, 127.0.0.1") == ()
    with pytest.raises(TopologyError, match=r"cannot check that a server is 127\.0\.0\.1"):
        notes("127.0.0.1, localhost")


# --- Behind a gateway ------------------------------------------------------------------------------------------------


def test_what_a_gateway_says_of_its_caller_is_believed_and_nobody_elses(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    auditor = client(ca, "auditor", subject=AWKWARD)
    behind = project(
        tmp_path / "vault",
        root,
        ca,
        [
            allow("desk", ca, client(ca, "desk"), gateway=True, roles=["front"]),
            allow("teller", ca, roles=["Reader", "reader"]),
        ],
    )
    behind.own = server(ca, "vault", "vault.internal", "localhost")
    callers = [allow("teller", ca), allow("auditor", ca, auditor, roles=["a.b_c-1", "approver", "x"])]
    before = gateway(tmp_path / "desk", root, ca, callers, behind.port)
    forged = [("X-Client-Subject", "CN=admin"), ("X-Client-Issuer", "CN=Lab Root"), ("X-Client-Roles", "admin")]
    with running(behind.write()), running(before):
        for caller, roles in ((teller, []), (auditor, ["a.b_c-1", "approver", "x"])):
            named = {
                "server": "desk", "caller": "spiffe://lab/client/desk", "roles": ["front"],
                "on_behalf_of": {"subject": caller.dn, "issuer": ca.dn, "roles": roles},
            }  # fmt: skip
            assert before.ask(caller, headers=forged).json == {**named, "greeting": "hello"}
            assert before.ask(caller, "/.mtls/caller", headers=forged).json == named
        assert before.ask(teller, "/call/vault").json["on_behalf_of"] is None
        direct = behind.ask(teller, headers=forged)
        assert (direct.json["caller"], direct.json["on_behalf_of"]) == ("spiffe://lab/client/teller", None)
        assert direct.json["roles"] == ["Reader", "reader"]
        assert behind.ask(teller, "/.mtls/caller", headers=forged).json["roles"] == ["Reader", "reader"]
        assert behind.ask(teller, "/on-behalf-of/subject").status == 404


def test_a_server_that_calls_without_an_upstream(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    with upstream(server(ca, "vault", "vault.internal"), root, tmp_path / "vault") as port:
        made = gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)
        made.settings = replace(made.settings, upstream=None)
        with running(made.write()):
            assert made.ask(teller).json["server"] == "desk"
            assert made.ask(teller, "/call/vault").status == 200
            assert made.ask(teller, "/call/other").status == 404
