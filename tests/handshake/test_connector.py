"""The connector before real servers: its one request, and its doors, which programs use that speak no TLS."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.pki import bundles
from scaffold.running.availability import ends_well
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Service, Services
from scaffold.settings.values import Address, Call, Door
from tests.handshake.client_cases import (  # noqa: F401
    NOT_REACHABLE,
    NOT_TRUSTED,
    REFUSED,
    ClientCases,
    a_server,
    context_for_server,
    desk_port,
    plain_server,
)
from tests.handshake.nginx_lab import (
    Authority,
    Credential,
    authority,
    call_of,
    client,
    crl_of,
    identity,
    server,
    until,
)
from tests.handshake.python_lab import CLIENTS, call, client_folder, copied, place
from tests.requirements import require, require_command

require_command("nginx")
require_command("curl")
require(
    all(map(ends_well, CLIENTS["connector"].capabilities.tries.values())),
    "nginx's stream module (libnginx-mod-stream)",
)


def at_port(one: Call) -> Call:
    (free,) = free_addresses(1)
    return replace(one, door=Door(str(free), Address(free.host, free.port, str(free)), None))


def at_socket(one: Call, path: Path) -> Call:
    return replace(one, door=Door(f"unix:{path}", None, str(path)))


class TestOneRequest(ClientCases):
    """Without arguments it opens its doors: each of the cases asks for one server."""

    kind = "connector"
    demands_eku = False
    test_every_edge_is_called_and_the_worst_counts = None
    test_it_needs_no_home_and_writes_nothing_beside_itself = None

    def call(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        has_edges = "desk)" in (folder / "run.sh").read_text(encoding="utf-8")
        return call(folder, *(arguments or (("desk",) if has_edges else ())))

    def folder(self, place: Path, own: Credential, root: Authority, port: int, **changes: object) -> Path:
        desk = at_port(call_of("desk", port, "desk.internal"))
        return client_folder("connector", place / "teller", own, root, desk, **changes)

    @pytest.mark.parametrize("home", [{}, {"HOME": "/nonexistent"}], ids=["none", "missing"])
    def test_a_request_needs_no_home_and_leaves_nothing(self, tmp_path, root, teller, desk_port, home):  # noqa: F811
        folder = self.folder(tmp_path, teller, root, desk_port)
        before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        done = subprocess.run(
            [folder / "run.sh", "desk"], cwd="/", capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(scratch), **home},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before
        assert list(scratch.iterdir()) == []

    def test_an_impostor_is_sent_nothing(self, tmp_path, root, teller):
        """Not a byte of the request, whatever is wrong with its certificate."""
        arrived: list[bytes] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server(authority("desk.internal"), "desk", "desk.internal").write(tmp_path / "c.pem", tmp_path / "k.pem")
        context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")

        def answer(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                arrived.append(tls.recv(4096))

        with plain_server(answer) as port:
            assert self.call(self.folder(tmp_path, teller, root, port)).returncode == NOT_TRUSTED
        assert b"".join(arrived) == b""

    def test_a_curlrc_sends_nothing_elsewhere(self, tmp_path, root, teller, desk_port):  # noqa: F811
        folder = self.folder(tmp_path, teller, root, desk_port)
        (folder / ".curlrc").write_text("fail\nurl = http://127.0.0.1:1/\n")  # HOME is the folder
        assert call(folder, "desk").returncode == 0


# --- Doors -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(folder: Path, **environment: str) -> Iterator[Service]:
    """Its run.sh, which keeps the doors open."""
    with Services() as services:
        (service,) = services.start([Launch("teller", folder, "^ready: ", environment)])
        yield service


def asked(door: Door, path: str = "/") -> subprocess.CompletedProcess[str]:
    """What a program without TLS is told at a door."""
    by = ["--unix-socket", door.socket, "http://desk.internal"] if door.socket else [f"http://{door.literal}"]
    return subprocess.run(
        ["curl", "-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "30", *by[:-1], f"{by[-1]}{path}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def door_of(call: Call) -> Door:
    assert call.door is not None
    return call.door


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="doors-") as folder:
        yield Path(folder)


def test_programs_without_tls_reach_the_server_by_a_port_and_by_a_socket(tmp_path, root, teller, desk_port, short):  # noqa: F811
    by_port = at_port(call_of("desk", desk_port, "desk.internal"))
    by_socket = at_socket(call_of("desk-2", desk_port, "desk.internal"), short / "private/desk")
    folder = client_folder("connector", tmp_path / "teller", teller, root, by_port, by_socket)
    with opened(folder) as service:
        for one in (by_port, by_socket):
            answer = asked(door_of(one))
            assert identity("teller") in answer.stdout, answer
        assert (short / "private").stat().st_mode & 0o777 == 0o700
        (loaded,) = (folder / "run").glob("doors.*/loaded")
        before = loaded.stat().st_mtime_ns
        service.reload()
        until(lambda: loaded.stat().st_mtime_ns != before)
        assert identity("teller") in asked(door_of(by_socket)).stdout
        log = folder / "run/doors.log"
        until(lambda: log.exists() and log.read_text().count('"status": 200') == 3)
        service.signal(signal.SIGTERM)
        until(lambda: not service.running)
    assert not (short / "private/desk").exists()
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["doors.log"]


def test_raw_bytes_reach_a_server_of_another_protocol(tmp_path, root, ca, teller):
    """Whatever begins in plain and is spoken inside TLS from its first byte."""
    context = context_for_server(server(ca, "echo", "echo.internal"), root, tmp_path)

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(b"HELLO " + tls.recv(100))

    with plain_server(answer) as port:
        echo = at_port(call_of("echo", port, "echo.internal"))
        with opened(client_folder("connector", tmp_path / "teller", teller, root, echo)):
            door = door_of(echo).address
            assert door is not None
            with socket.create_connection((door.host, door.port), timeout=30) as plain:
                plain.sendall(b"world")
                assert plain.recv(100) == b"HELLO world"


@pytest.mark.parametrize("wrong", ["name", "root"])
def test_a_door_is_closed_to_an_impostor_and_the_log_says_why(tmp_path, root, ca, teller, wrong):
    false = {
        "name": (server(ca, "desk", "other.internal"), 'does not match "desk.internal"'),
        "root": (server(authority("Lab Root"), "desk", "desk.internal"), "certificate verify error"),
    }
    own, words = false[wrong]
    with a_server(tmp_path / "desk", own, root, ca) as port:
        desk = at_port(call_of("desk", port, "desk.internal"))
        with opened(client_folder("connector", tmp_path / "teller", teller, root, desk)) as service:
            assert asked(door_of(desk)).returncode != 0
            until(lambda: any(words in line for line in service.last_lines))


def test_a_revoked_server_is_kept_out_from_the_reload_on(tmp_path, root, ca, teller):
    own = server(ca, "desk", "desk.internal")
    with a_server(tmp_path / "desk", own, root, ca) as port:
        desk = at_port(call_of("desk", port, "desk.internal"))
        folder = client_folder("connector", tmp_path / "teller", teller, root, desk, check="crl")
        place(folder / "tls/crl.pem", crl_of(root) + crl_of(ca))
        with opened(folder) as service:
            assert asked(door_of(desk)).returncode == 0
            place(folder / "tls/crl.pem", crl_of(root) + crl_of(ca, own))
            service.reload()
            until(lambda: asked(door_of(desk)).returncode != 0)
            until(lambda: any("certificate revoked" in line for line in service.last_lines))
            place(folder / "tls/crl.pem", crl_of(root) + crl_of(ca))
            service.reload()
            until(lambda: asked(door_of(desk)).returncode == 0)


def test_a_renewed_certificate_is_shown_from_the_reload_on(tmp_path, root, ca, teller, desk_port):  # noqa: F811
    desk = at_port(call_of("desk", desk_port, "desk.internal"))
    folder = client_folder("connector", tmp_path / "teller", client(ca, "mallory"), root, desk)
    with opened(folder) as service:
        assert "403" in asked(door_of(desk), "/.mtls/caller").stdout or "may not call" in asked(door_of(desk)).stdout
        teller.write(folder / "tls/cert.pem", folder / "tls/key.pem")
        service.reload()
        until(lambda: identity("teller") in asked(door_of(desk)).stdout and "error" not in asked(door_of(desk)).stdout)
        # A pair that does not match is not loaded: the one before serves on.
        client(ca, "other").write(tmp_path / "unused.pem", folder / "tls/key.pem")
        service.reload()
        until(lambda: any("the old configuration stays" in line for line in service.last_lines))
        assert identity("teller") in asked(door_of(desk)).stdout


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_socket_in_an_open_folder_is_refused(tmp_path, root, teller, short, mode):
    folder = short / "open"
    folder.mkdir()
    folder.chmod(mode)
    desk = at_socket(call_of("desk", 1, "desk.internal"), folder / "desk")
    done = call(client_folder("connector", tmp_path / "teller", teller, root, desk))
    assert done.returncode == 1
    assert f"{folder} must be a folder of this account alone: chmod 700" in done.stderr


def test_a_socket_that_a_killed_run_has_left_is_in_nobodys_way(tmp_path, root, teller, desk_port, short):  # noqa: F811
    desk = at_socket(call_of("desk", desk_port, "desk.internal"), short / "private/desk")
    folder = client_folder("connector", tmp_path / "teller", teller, root, desk)
    (short / "private").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(short / "private/desk"))
    with opened(folder):
        assert asked(door_of(desk)).returncode == 0


def test_a_second_run_leaves_the_socket_of_the_first(tmp_path, root, teller, desk_port, short):  # noqa: F811
    desk = at_socket(call_of("desk", desk_port, "desk.internal"), short / "private/desk")
    folder = client_folder("connector", tmp_path / "teller", teller, root, desk)
    with opened(folder, RUNTIME_DIRECTORY=str(tmp_path / "one")):
        before = (short / "private/desk").stat().st_ino
        done = run_with({**os.environ, "RUNTIME_DIRECTORY": str(tmp_path / "two")}, folder)
        assert done.returncode == 1
        assert f"{short}/private/desk is in use: another run keeps this door open" in done.stderr
        assert (short / "private/desk").stat().st_ino == before
        assert asked(door_of(desk)).returncode == 0


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("DOOR_DESK", "0.0.0.0:7001"),
        ("DOOR_DESK", "10.127.0.1:7001"),
        ("DOOR_DESK", "127.evil.example:7001"),
        ("DOOR_DESK", "[::]:7001"),
        ("DOOR_DESK", "unix:/run/x;"),
        ("CALL_DESK", "127.0.0.1:1; }"),
        ("CALL_DESK", "nowhere"),
    ],
)
def test_what_would_open_a_door_to_others_or_is_no_address_moves_nothing(tmp_path, root, teller, variable, address):
    desk = at_port(call_of("desk", 1, "desk.internal"))
    folder = client_folder("connector", tmp_path / "teller", teller, root, desk)
    done = run_with({variable: address}, folder)
    assert done.returncode == 1
    assert variable in done.stderr


def test_a_door_and_its_server_can_be_moved(tmp_path, root, teller, desk_port):  # noqa: F811
    desk = at_port(call_of("desk", 1, "desk.internal"))
    moved = door_of(at_port(desk))
    folder = client_folder("connector", tmp_path / "teller", teller, root, desk)
    with opened(folder, DOOR_DESK=moved.literal, CALL_DESK=f"127.0.0.1:{desk_port}"):
        assert identity("teller") in asked(moved).stdout
    assert run_with({"CALL_DESK": f"127.0.0.1:{desk_port}"}, folder, "desk").returncode == 0
    assert call(folder, "desk").returncode == NOT_REACHABLE


def test_what_keeps_nginx_from_starting_is_no_word_of_the_servers(tmp_path, root, ca, teller, desk_port):  # noqa: F811
    desk = at_port(call_of("desk", desk_port, "desk.internal"))
    folder = client_folder("connector", tmp_path / "teller", teller, root, desk)
    nowhere = run_with({"CALL_DESK": "nowhere.invalid:1"}, folder, "desk")
    assert nowhere.returncode == NOT_REACHABLE
    assert "host not found" in nowhere.stderr
    client(ca, "other").write(tmp_path / "unused.pem", folder / "tls/key.pem")
    done = call(folder, "desk")
    assert done.returncode == 1
    assert "key values mismatch" in done.stderr


def test_a_copied_folder_opens_its_doors_there(tmp_path, root, teller, desk_port):  # noqa: F811
    desk = at_port(call_of("desk", desk_port, "desk.internal"))
    folder = client_folder("connector", tmp_path / "some where", teller, root, desk)
    with opened(copied(folder, tmp_path / "another place")):
        assert asked(door_of(desk)).returncode == 0


def test_without_the_stream_module_it_says_what_to_install(tmp_path, root, teller):
    real = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    fake = tmp_path / "bin/nginx"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\n[ "$1" != -V ] || {{ echo "configure arguments: --prefix=/usr" >&2; exit; }}\nexec {real} "$@"\n'
    )
    fake.chmod(0o755)
    folder = client_folder("connector", tmp_path / "teller", teller, root, at_port(call_of("desk", 1, "desk.internal")))
    done = run_with({"PATH": f"{fake.parent}:{os.environ['PATH']}"}, folder, "desk")
    assert done.returncode == 1
    assert "libnginx-mod-stream" in done.stderr


def run_with(environment: Mapping[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str | Path] = [folder / "run.sh", *arguments]
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_undrawn_caller_is_told_so_by_the_request(tmp_path, root, ca, desk_port):  # noqa: F811
    desk = at_port(call_of("desk", desk_port, "desk.internal"))
    done = call(client_folder("connector", tmp_path / "teller", client(ca, "mallory"), root, desk), "desk")
    assert done.returncode == REFUSED


def test_the_roots_in_tls_are_all_that_it_believes(tmp_path, root, ca, teller, desk_port):  # noqa: F811
    """The failing twin of all that is let through: with another root in tls/ the same server is not believed."""
    desk = at_port(call_of("desk", desk_port, "desk.internal"))
    folder = client_folder("connector", tmp_path / "teller", teller, root, desk)
    (folder / "tls/ca.pem").write_bytes(bundles.pem(authority("Lab Root").certificate))
    assert call(folder, "desk").returncode == NOT_TRUSTED
