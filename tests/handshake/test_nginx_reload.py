"""nginx takes new certificates, roots and allow lists at HUP, and loses no request over it."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.pki import bundles
from scaffold.settings.values import Files, Revocation
from tests.handshake.nginx_lab import (
    WITHIN,
    Authority,
    Credential,
    Project,
    allow,
    ask,
    client,
    context_of,
    crl_of,
    gateway,
    project,
    running,
    server,
    until,
    upstream,
)
from tests.handshake.traffic import read_until, started
from tests.requirements import require, require_command

require_command("nginx")


@pytest.fixture
def desk(tmp_path: Path, root: Authority, ca: Authority) -> Iterator[Project]:
    with running(project(tmp_path, root, ca, [allow("teller", ca)]).write()) as made:
        yield made


def shows(desk: Project, teller: Credential, own: Credential) -> bool:
    return desk.ask(teller).shown == bundles.der(own.certificate)


def test_a_new_certificate_is_shown_after_hup_and_not_before(desk: Project, ca: Authority, teller: Credential) -> None:
    old, desk.own = desk.own, server(ca, "desk", "localhost")
    desk.own.write(desk.tls / "cert.pem", desk.tls / "key.pem")
    assert shows(desk, teller, old)
    desk.reload()
    until(lambda: shows(desk, teller, desk.own))


def test_a_new_allow_list_counts_after_hup(desk: Project, ca: Authority, teller: Credential) -> None:
    auditor = client(ca, "auditor")
    desk.settings = replace(desk.settings, allowed=(allow("auditor", ca),))
    assert (desk.ask(teller).status, desk.ask(auditor).status) == (200, 403)
    desk.write()
    desk.reload()
    until(lambda: desk.ask(auditor).status == 200)
    until(lambda: desk.ask(teller).status == 403)


def test_a_new_crl_counts_after_hup(tmp_path: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    made = project(
        tmp_path, root, ca, [allow("teller", ca)], revocation=Revocation("crl"), files=Files(crl="tls/crl.pem")
    )
    (made.tls / "crl.pem").write_bytes(crl_of(root) + crl_of(ca))
    with running(made.write()):
        assert made.ask(teller).status == 200
        (made.tls / "crl.pem").write_bytes(crl_of(root) + crl_of(ca, teller))
        made.reload()
        until(lambda: made.ask(teller).status == 400)


def test_an_open_connection_does_not_outlive_the_allow_list(
    desk: Project, root: Authority, ca: Authority, teller: Credential
) -> None:
    context = context_of(teller, root)
    with (
        socket.create_connection(("127.0.0.1", desk.port), timeout=WITHIN) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_until(tls, b"}\n").startswith(b"HTTP/1.1 200")
        desk.settings = replace(desk.settings, allowed=())
        desk.write().reload()
        assert tls.recv(65536) == b""  # nginx closes it, idle as it is


@pytest.mark.parametrize("spoil", ["allow list", "key of another certificate", "no roots", "nginx.conf"])
def test_what_nginx_would_not_start_with_is_not_loaded(
    desk: Project, ca: Authority, teller: Credential, spoil: str
) -> None:
    match spoil:
        case "allow list":
            (desk.tls / "allowed.conf").write_text("map $x {")
        case "key of another certificate":
            client(ca, "other").write(desk.folder / "other.pem", desk.tls / "key.pem")
        case "no roots":
            (desk.tls / "ca.pem").write_text("")
        case _:
            (desk.folder / "nginx.conf").write_text("no such directive;")
    desk.reload()
    until(lambda: any("not reloaded" in line for line in desk.lines))
    assert desk.ask(teller).status == 200
    assert desk.ask(client(ca, "auditor")).status == 403
    desk.own = server(ca, "desk", "localhost")
    desk.write().reload()
    until(lambda: shows(desk, teller, desk.own))


def test_no_request_fails_across_reloads_under_constant_traffic(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    """Ten renewals of the gateway's certificates and allow list while four callers ask without a pause."""
    with (
        upstream(server(ca, "vault", "vault.internal"), root, tmp_path / "vault") as port,
        running(gateway(tmp_path / "desk", root, ca, [allow("teller", ca)], port)) as desk,
    ):
        over = threading.Event()
        context = context_of(teller, root)

        statuses: list[object] = []

        def call() -> None:
            while not over.wait(0.005):
                try:
                    statuses.append(ask(desk.port, None, root, context=context).status)
                except (OSError, ssl.SSLError) as error:
                    statuses.append(error)

        with ThreadPoolExecutor(4) as pool:
            callers = [pool.submit(call) for _ in range(4)]
            try:
                for renewal in range(10):
                    desk.own = server(ca, "desk", "localhost")
                    desk.settings = replace(
                        desk.settings, allowed=(allow("teller", ca), allow(f"caller-{renewal}", ca))
                    )
                    desk.write().reload()
                    until(lambda: shows(desk, teller, desk.own))
                until(lambda: len(statuses) > 40)
            finally:
                over.set()
            for each in callers:
                each.result()
    assert [status for status in statuses if status != 200] == []


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_to_run_sh_ends_nginx_too(desk: Project, teller: Credential, name: signal.Signals) -> None:
    assert desk.ask(teller).status == 200
    assert desk.service is not None
    desk.service._process.send_signal(name)
    assert desk.service._process.wait(WITHIN) == 0
    with pytest.raises(ConnectionRefusedError):
        desk.ask(teller)
    assert not list((desk.folder / "run").glob("nginx.*"))


def test_an_ordinary_user_can_run_it(root: Authority, ca: Authority) -> None:
    require(os.geteuid() == 0, "root, to become somebody else")

    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        made = project(Path(place) / "desk", root, ca, [allow("teller", ca)]).write()
        for path in [Path(place), *Path(place).rglob("*")]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        with subprocess.Popen(
            [made.folder / "run.sh"], cwd="/", user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
            env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                said = []
                for line in process.stdout:
                    said.append(line)
                    if line.startswith("ready: "):
                        break
                assert made.ask(client(ca, "teller")).status == 200, said
                assert not [line for line in said if "[warn]" in line or "[alert]" in line]
            finally:
                process.terminate()
                process.wait(WITHIN)


def storm(desk: Project, times: int) -> None:
    for _ in range(times):
        desk.reload()


def test_a_storm_of_hups_is_a_reload(desk: Project, ca: Authority, teller: Credential) -> None:
    """However many come, and at whatever moment: the last of them counts, and none ends it.

    One that comes between a certificate and its key is refused, and the pair from before goes on serving.
    """
    for _ in range(3):
        storm(desk, 100)
        desk.own = server(ca, "desk", "localhost")
        desk.own.write(desk.tls / "cert.pem", desk.tls / "key.pem")
        storm(desk, 10)
        until(lambda: shows(desk, teller, desk.own))
    assert desk.service is not None
    assert desk.service._process.poll() is None


def test_a_shell_that_does_not_wait_again_loses_what_came_of_a_reload(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    """A second HUP in the middle of the first one's reload, which takes half a second here."""
    made = project(tmp_path, root, ca, [allow("teller", ca)]).write()
    script = made.folder / "run.sh"
    slow = script.read_text().replace("check() {\n", "check() {\n    sleep 0.5 || return\n")
    hasty = slow.replace("load &\n", "load\n").replace("while kill -0 $! ", "while false ")
    for text, seen in ((slow, "reads its configuration"), (hasty, "not reloaded")):
        script.write_text(text)
        lines: list[str] = []
        with started([require_command("dash"), script], lines, {}) as process:

            def has_seen(process: subprocess.Popen[str] = process, lines: list[str] = lines, seen: str = seen) -> bool:
                made.ask(teller)  # by then the shell waits, and 0.1 s after a HUP it is in the middle of its reload
                process.send_signal(signal.SIGHUP)
                threading.Event().wait(0.1)
                process.send_signal(signal.SIGHUP)
                return any(seen in line for line in lines)

            until(has_seen)
        assert any("not reloaded" in line for line in lines) is (text is hasty)


def test_a_hup_while_it_starts_or_ends_changes_neither(
    tmp_path: Path, root: Authority, ca: Authority, teller: Credential
) -> None:
    made = project(tmp_path, root, ca, [allow("teller", ca)]).write()
    lines: list[str] = []
    is_over = threading.Event()

    def hup() -> None:
        until(lambda: any(pid.read_text() for pid in (made.folder / "run").glob("nginx.*/run.pid")))
        (pid,) = (made.folder / "run").glob("nginx.*/run.pid")
        number = int(pid.read_text())
        for _ in range(50):
            os.kill(number, signal.SIGHUP)
            is_over.wait(0.005)

    sender = threading.Thread(target=hup)
    sender.start()
    try:
        with started([made.folder / "run.sh"], lines, {}) as process:
            sender.join()
            assert made.ask(teller).status == 200
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(ProcessLookupError):
                for _ in range(20):
                    process.send_signal(signal.SIGHUP)
            assert process.wait(WITHIN) == 0
    finally:
        is_over.set()
    assert "ready: desk" in lines
