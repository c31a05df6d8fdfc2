"""The dotnet client kind before real handshakes: what it trusts, what it refuses, and how it says so."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.pki import bundles
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Call
from scaffold.topology.model import Fault, KeyType, Subject
from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import (
    MODERN,
    Authority,
    Credential,
    allow,
    authority,
    call_of,
    client,
    identity,
    server,
    until,
    upstream,
)
from tests.requirements import require_command

require_command("dotnet")

AGO = timedelta(minutes=-5)


@pytest.fixture(scope="module")
def calls() -> tuple[Call, ...]:
    vault, desk = free_addresses(2)
    return (call_of("the-vault", vault.port, "vault.internal"), call_of("desk", desk.port, "localhost"))


@pytest.fixture(scope="module")
def teller(
    root: Authority, ca: Authority, calls: tuple[Call, ...], tmp_path_factory: pytest.TempPathFactory
) -> lab.Project:
    """A client with PEM files that may call the servers `the-vault` and `desk`."""
    return lab.client_project(tmp_path_factory.mktemp("teller"), root, ca, calls).write()


@pytest.fixture(scope="module")
def bundled(
    root: Authority, ca: Authority, calls: tuple[Call, ...], tmp_path_factory: pytest.TempPathFactory
) -> lab.Project:
    """The same with a PFX, TLS 1.3 alone, one call, and the name of an assembly of the framework."""
    folder = tmp_path_factory.mktemp("bundled")
    return lab.client_project(folder, root, ca, calls[:1], name="system", files=lab.PFX, tls=MODERN).write()


Serve = Callable[[Credential], AbstractContextManager[int]]


@pytest.fixture
def serve(root: Authority, calls: tuple[Call, ...], tmp_path: Path) -> Serve:
    """Starts the vault, which takes callers from the root, with a certificate."""
    return lambda own: upstream(own, root, tmp_path / "vault", port=calls[0].port)


@pytest.fixture
def vault(ca: Authority) -> Credential:
    return lab.own(ca, "the-vault", "vault.internal")


# --- 0: answered -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("project", ["teller", "bundled"])
def test_it_prints_the_answer(project: str, serve: Serve, vault: Credential, request: pytest.FixtureRequest) -> None:
    with serve(vault):
        done = lab.run(request.getfixturevalue(project), "the-vault")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["peer"] == [identity("teller")]


def test_without_arguments_it_makes_every_call(teller: lab.Project, serve: Serve, vault: Credential) -> None:
    with serve(vault):
        done = lab.run(teller)
    assert json.loads(done.stdout)["path"] == "/"
    assert done.stderr.startswith("desk: not reachable")
    assert done.returncode == 5


def test_a_url_and_the_environment_move_the_call(
    teller: lab.Project, root: Authority, vault: Credential, tmp_path: Path
) -> None:
    with upstream(vault, root, tmp_path) as port:
        by_url = lab.run(teller, "the-vault", f"https://127.0.0.1:{port}/path?query=1")
        by_environment = lab.run(teller, "the-vault", CALL_THE_VAULT=f"127.0.0.1:{port}")
    assert json.loads(by_url.stdout)["path"] == "/path?query=1"
    assert by_environment.returncode == 0


def test_a_url_does_not_change_who_must_answer(
    teller: lab.Project, root: Authority, ca: Authority, tmp_path: Path
) -> None:
    with upstream(lab.own(ca, "desk", "localhost"), root, tmp_path) as port:
        assert lab.run(teller, "desk", f"https://localhost:{port}/").returncode == 0
        assert lab.run(teller, "the-vault", f"https://localhost:{port}/").returncode == 3


def test_a_client_without_calls_has_nothing_to_do(root: Authority, ca: Authority, tmp_path: Path) -> None:
    done = lab.run(lab.client_project(tmp_path, root, ca, []).write())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "arguments", [("nobody",), ("the-vault", "http://localhost/"), ("the-vault", "x"), ("the-vault", "https://x/", "y")]
)
def test_wrong_arguments(arguments: tuple[str, ...], teller: lab.Project) -> None:
    done = lab.run(teller, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the-vault" in done.stderr or "usage" in done.stderr


# --- 3: I do not trust the server ------------------------------------------------------------------------------------

FALSE = {
    "wrong name": ("for another name", lambda ca: lab.own(ca, "the-vault", "other.internal")),
    "no names": ("for another name", lambda ca: server(ca, "the-vault", "vault.internal", fault=Fault.NO_SAN)),
    "common name alone": ("for another name", lambda ca: server(ca, "the-vault", subject=Subject("vault.internal"))),
    "wrong identity": ("is not that of", lambda ca: lab.own(ca, "impostor", "vault.internal")),
    "foreign root": ("PartialChain", lambda _: lab.own(authority("Lab Root"), "the-vault", "vault.internal")),
    "expired": ("NotTimeValid", lambda ca: server(ca, "the-vault", "vault.internal", ends=AGO)),
    "not yet valid": ("NotTimeValid", lambda ca: server(ca, "the-vault", "vault.internal", starts=-AGO)),
    "a client's": ("NotValidForUsage", lambda ca: server(ca, "the-vault", "vault.internal", fault=Fault.WRONG_EKU)),
    "without purpose": ("is for servers", lambda ca: server(ca, "the-vault", "vault.internal", fault=Fault.NO_EKU)),
}  # fmt: skip


@pytest.mark.parametrize("what", FALSE)
def test_it_does_not_trust(what: str, teller: lab.Project, serve: Serve, ca: Authority) -> None:
    """The sample's client took any certificate; `test_it_prints_the_answer` is the twin that gets an answer."""
    reason, make = FALSE[what]
    with serve(make(ca)):
        done = lab.run(teller, "the-vault")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("the-vault: I do not trust the server: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_systems_roots_have_no_say(teller: lab.Project, serve: Serve, vault: Credential, tmp_path: Path) -> None:
    foreign = authority("Foreign Root")
    (tmp_path / "system.pem").write_bytes(bundles.pem(foreign.certificate))
    with serve(lab.own(foreign, "the-vault", "vault.internal")):
        assert lab.run(teller, "the-vault", SSL_CERT_FILE=str(tmp_path / "system.pem")).returncode == 3
    with serve(vault):
        assert lab.run(teller, "the-vault", SSL_CERT_FILE=str(tmp_path / "system.pem")).returncode == 0


def test_a_server_that_speaks_no_tls(teller: lab.Project) -> None:
    with _listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        done = lab.run(teller, "the-vault", f"https://127.0.0.1:{port}/")
    assert (done.returncode, "I do not trust the server" in done.stderr) == (3, True)


@contextmanager
def _listening(answer: bytes | None) -> Iterator[int]:
    """A TCP server that answers each connection with some bytes and closes it, or never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                if answer is not None:
                    connection.recv(4096)
                    connection.sendall(answer)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        for each in kept:
            each.close()


# --- 4: the server refused me ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def test_refused_by_an_alert(newest: ssl.TLSVersion, teller: lab.Project, vault: Credential, tmp_path: Path) -> None:
    with _alerting(vault, authority("Nobody's"), newest, tmp_path) as port:
        done = lab.run(teller, "the-vault", f"https://127.0.0.1:{port}/")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("the-vault: the server refused me: ")


@contextmanager
def _alerting(own: Credential, trusts: Authority, newest: ssl.TLSVersion, folder: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.verify_mode = ssl.CERT_REQUIRED
    own.write(folder / "cert.pem", folder / "key.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.load_verify_locations(cadata=bundles.pem(trusts.certificate).decode())
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("project", ["teller", "bundled"])
def test_the_least_protocol(
    project: str, vault: Credential, root: Authority, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """TLS 1.2 is spoken by `teller`, whose handshake succeeds, and not by `bundled`."""
    with _alerting(vault, root, ssl.TLSVersion.TLSv1_2, tmp_path) as port:
        done = lab.run(request.getfixturevalue(project), "the-vault", f"https://127.0.0.1:{port}/")
    assert ("protocol version" in done.stderr) == (project == "bundled"), done.stderr
    assert done.returncode == 4


def test_kestrel_lets_it_in_forbids_it_and_cuts_it_off(
    teller: lab.Project, root: Authority, ca: Authority, tmp_path: Path
) -> None:
    made = lab.server_project(tmp_path, root, ca, [allow("teller", ca)], files=lab.PFX).write()
    with lab.running(made) as desk:
        url = f"https://127.0.0.1:{desk.port}/"
        answered = lab.run(teller, "desk", url)
        assert (answered.returncode, json.loads(answered.stdout)["caller"]) == (0, identity("teller"))

        desk.allow()
        desk.reload()
        own = client(ca, "teller")
        until(lambda: desk.ask(own).status == 403)
        forbidden = lab.run(teller, "desk", url)
        assert (forbidden.returncode, "HTTP 403" in forbidden.stderr) == (4, True)

        desk.put("ca.pem", bundles.pem(authority("Lab Root").certificate))
        desk.reload()
        until(lambda: desk.cuts_off(own))
        cut_off = lab.run(teller, "desk", url)
        assert (cut_off.returncode, "the server refused me" in cut_off.stderr) == (4, True)


# --- 5: not reachable ------------------------------------------------------------------------------------------------


def test_nobody_there(teller: lab.Project) -> None:
    done = lab.run(teller, "the-vault")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "the-vault: not reachable: Connection refused\n"


def test_no_such_host(teller: lab.Project) -> None:
    assert lab.run(teller, "the-vault", "https://no-such-host.invalid/").returncode == 5


# --- 1: files that cannot be used ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "ca.pem"])
@pytest.mark.parametrize(
    "content",
    [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
    ids=["missing", "empty", "damaged"],
)
def test_files_that_cannot_be_used(
    name: str, content: bytes | None, teller: lab.Project, serve: Serve, vault: Credential
) -> None:
    kept = (teller.tls / name).read_bytes()
    try:
        (teller.tls / name).unlink()
        if content is not None:
            (teller.tls / name).write_bytes(content)
        with serve(vault):
            done = lab.run(teller, "the-vault")
    finally:
        (teller.tls / name).write_bytes(kept)
    assert done.returncode in (1, 3)
    assert done.stderr.count("\n") == 1
    assert "   at " not in done.stderr


# --- Keys and code ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [key for key in KeyType if key in lab.CLIENT.capabilities.keys])
def test_keys_of_its_own(
    key: KeyType,
    root: Authority,
    ca: Authority,
    calls: tuple[Call, ...],
    vault: Credential,
    serve: Serve,
    tmp_path: Path,
) -> None:
    """Out of PEM; the server's tests do the same out of a PFX."""
    made = lab.client_project(tmp_path / "client", root, ca, calls[:1], key=key).write()
    with serve(vault):
        assert lab.run(made).returncode == 0


@pytest.mark.parametrize("key", [key for key in KeyType if key in lab.CLIENT.capabilities.peer_keys])
def test_keys_of_servers_and_of_their_chain(
    key: KeyType, root: Authority, ca: Authority, calls: tuple[Call, ...], serve: Serve, tmp_path: Path
) -> None:
    above = authority("Their Root", key=key)
    issuing = authority("Their Issuing", above, key=key)
    made = lab.client_project(tmp_path / "client", root, ca, calls[:1]).write()
    with serve(lab.own(issuing, "the-vault", "vault.internal", key=key)):
        assert lab.run(made).returncode == 3
        made.put("ca.pem", bundles.pem(above.certificate))
        assert lab.run(made).returncode == 0


# --- Settings --------------------------------------------------------------------------------------------------------

FALSE_SETTINGS = {
    "misspelt key": ('"Revocation"', '"Revocatoin"', "Revocatoin"),
    "key in another case": ('"MinVersion"', '"minVersion"', "minVersion"),
    "missing key": ('"OnUnavailable": "refuse",', "", "OnUnavailable"),
    "key twice": ('"Revocation": "none",', '"Revocation": "none", "Revocation": "none",', "Revocation"),
    "unknown key": ('"Tls": {', '"Trust": "everybody", "Tls": {', "Trust"),
    "unknown value": ('"Revocation": "none"', '"Revocation": "clr"', 'Tls:Revocation is "clr", not none, crl, ocsp'),
    "value in another case": ('"OnUnavailable": "refuse"', '"OnUnavailable": "Allow"', "Tls:OnUnavailable"),
    "unknown protocol": ('"MinVersion": "TLSv1.2"', '"MinVersion": "SSLv3"', "Tls:MinVersion"),
    "unknown suite": ('"TLS_AES_128_GCM_SHA256"', '"4865"', "Tls:CipherSuites holds 4865"),
}


@pytest.mark.parametrize("what", FALSE_SETTINGS)
def test_a_false_setting_ends_it_with_one_sentence(what: str, teller: lab.Project) -> None:
    old, new, reason = FALSE_SETTINGS[what]
    kept = (teller.folder / "mutual-tls.json").read_text()
    teller.edit("mutual-tls.json", old, new)
    try:
        done = lab.run(teller, "the-vault")
    finally:
        (teller.folder / "mutual-tls.json").write_text(kept)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("This client cannot be used as it lies here: mutual-tls.json: ")
    assert reason in done.stderr


def test_no_other_file_and_no_variable_changes_whom_it_trusts(
    teller: lab.Project, serve: Serve, ca: Authority, tmp_path: Path
) -> None:
    foreign = authority("Foreign Root")
    (tmp_path / "foreign.pem").write_bytes(bundles.pem(foreign.certificate))
    roots = str(tmp_path / "foreign.pem")
    own = teller.folder / "appsettings.Production.json"
    own.write_text(json.dumps({"Tls": {"Roots": roots}}))
    try:
        with serve(lab.own(ca, "the-vault", "vault.internal")):
            assert lab.run(teller, "the-vault", TLS__ROOTS=roots, Tls__Roots=roots).returncode == 0
        with serve(lab.own(foreign, "the-vault", "vault.internal")):
            assert lab.run(teller, "the-vault", TLS__ROOTS=roots, Tls__Roots=roots).returncode == 3
    finally:
        own.unlink()


def test_it_finds_its_own_folder_from_anywhere(
    teller: lab.Project, serve: Serve, ca: Authority, tmp_path: Path
) -> None:
    program = teller.folder / "bin" / "Release" / "net10.0" / "teller-client.dll"
    with serve(lab.own(ca, "the-vault", "vault.internal")), lab.temporary_home() as home:
        done = subprocess.run(
            ["dotnet", program, "the-vault"], cwd="/",
            env=lab.environment(home, {}, lab.CLIENT.capabilities.environment),
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
