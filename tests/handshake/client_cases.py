"""What every client kind must do, before real servers: the tests of each kind run these."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.kinds import catalogue
from scaffold.pki import bundles
from scaffold.running.ports import free_addresses
from scaffold.topology.model import Fault, KeyType, Subject
from tests.handshake.nginx_lab import (
    MODERN,
    Authority,
    Credential,
    allow,
    authority,
    call_of,
    client,
    crl_of,
    identity,
    renewed,
    server,
)
from tests.handshake.python_lab import call, client_folder, copied, place, running, server_folder
from tests.requirements import require_command

AGO = timedelta(minutes=-5)
NOT_TRUSTED, REFUSED, NOT_REACHABLE = 3, 4, 5


@pytest.fixture(scope="module")
def desk_port(tmp_path_factory, root, ca) -> Iterator[int]:
    """A Python server that allows the teller."""
    folder = server_folder(
        tmp_path_factory.mktemp("server") / "desk",
        server(ca, "desk", "desk.internal"),
        root,
        [allow("teller", ca)],
    )
    (free,) = free_addresses(1)
    with running(folder, free.port):
        yield free.port


@contextlib.contextmanager
def a_server(folder: Path, own: Credential, root: Authority, ca: Authority, **changes: object) -> Iterator[int]:
    made = server_folder(folder, own, root, [allow("teller", ca)], **changes)
    (free,) = free_addresses(1)
    with running(made, free.port):
        yield free.port


@contextlib.contextmanager
def plain_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener that does `answer` with each connection, and closes it; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def openssl_server(folder: Path, group: str) -> Iterator[int]:
    """`openssl s_server -www`, which knows that group alone; its port."""
    (free,) = free_addresses(1)
    command = [require_command("openssl"), "s_server", "-www", "-accept", str(free), "-groups", group]
    with subprocess.Popen(
        [*command, "-cert", "c.pem", "-cert_chain", "c.pem", "-key", "k.pem"], cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert any(line.startswith("ACCEPT") for line in process.stdout)
            yield free.port
        finally:
            process.terminate()


class ClientCases:
    """The tests; a kind's test class names the kind."""

    kind: str
    demands_eku = True
    """Whether it sees that a server's certificate is for no extended key usage at all."""

    def call(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What one run of its run.sh comes to."""
        return call(folder, *arguments)

    def folder(self, place: Path, own: Credential, root: Authority, port: int, **changes: object) -> Path:
        return client_folder(self.kind, place / "teller", own, root, call_of("desk", port, "desk.internal"), **changes)

    def test_an_allowed_call_prints_the_answer(self, tmp_path, root, teller, desk_port):
        done = self.call(self.folder(tmp_path, teller, root, desk_port))
        assert (done.returncode, done.stderr) == (0, "")
        assert identity("teller") in done.stdout

    def test_server_and_url(self, tmp_path, root, teller, desk_port):
        folder = self.folder(tmp_path, teller, root, 1)
        assert self.call(folder, "desk", f"https://127.0.0.1:{desk_port}/").returncode == 0
        assert self.call(folder, "desk", f"https://127.0.0.1:{desk_port}").returncode == 0
        missing = self.call(folder, "desk", f"https://127.0.0.1:{desk_port}/nothing?x=y")
        assert missing.returncode == 1
        assert "404" in missing.stderr
        assert self.call(folder, "desk").returncode == NOT_REACHABLE

    def test_what_is_not_a_url_or_not_a_server(self, tmp_path, root, teller, desk_port):
        folder = self.folder(tmp_path, teller, root, desk_port)
        for arguments in (("desk", f"http://127.0.0.1:{desk_port}/"), ("nobody",), ("desk", "--insecure"), ("-k",)):
            done = self.call(folder, *arguments)
            assert done.returncode not in (0, 3, 4, 5)
            assert done.stderr
            assert "Traceback" not in done.stderr

    def test_every_edge_is_called_and_the_worst_counts(self, tmp_path, root, teller, desk_port):
        good, bad = call_of("desk", desk_port, "desk.internal"), call_of("gone", 1, "desk.internal")
        done = self.call(client_folder(self.kind, tmp_path / "teller", teller, root, bad, good))
        assert done.returncode == NOT_REACHABLE
        assert identity("teller") in done.stdout
        assert done.stderr.startswith("gone: not reachable")

    def test_no_edge_is_no_error(self, tmp_path, root, teller):
        assert self.call(client_folder(self.kind, tmp_path / "teller", teller, root)).returncode == 0

    def test_a_copied_folder_with_spaces_in_its_path_runs(self, tmp_path, root, teller, desk_port):
        folder = self.folder(tmp_path / "some where", teller, root, desk_port)
        assert self.call(copied(folder, tmp_path / "another place")).returncode == 0

    @pytest.mark.parametrize("home", [{}, {"HOME": "/nonexistent"}], ids=["none", "missing"])
    def test_it_needs_no_home_and_writes_nothing_beside_itself(self, tmp_path, root, teller, desk_port, home):
        folder = self.folder(tmp_path, teller, root, desk_port)
        before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
        done = subprocess.run(
            [folder / "run.sh"], cwd="/", capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], **home},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before

    def test_the_chain_that_the_server_sends_is_used_when_the_own_intermediate_has_ended(
        self, tmp_path, root, ca, teller, desk_port
    ):
        """Only cert.pem and key.pem were brought here since the issuing CA was renewed."""
        folder = self.folder(tmp_path, teller, root, desk_port)
        place(folder / "tls/intermediates.pem", bundles.pem(renewed(ca, root, AGO).certificate))
        assert self.call(folder).returncode == 0

    def test_the_groups_are_those_of_the_profile(self, tmp_path, root, ca, teller):
        """A server that knows one group alone."""
        server(ca, "desk", "desk.internal").write(tmp_path / "c.pem", tmp_path / "k.pem")
        for group, accepted in (("X25519", True), ("P-384", True), ("X448", False), ("P-521", False)):
            with openssl_server(tmp_path, group) as port:
                done = self.call(self.folder(tmp_path / group, teller, root, port))
            assert (done.returncode == 0) is accepted, (group, done.stderr)

    # --- I do not trust the server

    @pytest.mark.parametrize("hosts", [(), ("other.internal",)], ids=["alone", "beside another host's"])
    def test_a_common_name_is_taken_for_a_hosts_as_the_template_declares(self, tmp_path, root, ca, teller, hosts):
        supports = catalogue.builtin(self.kind, "client").capabilities.supports
        taken = "takes_common_names" in supports or (not hosts and "takes_lone_common_names" in supports)
        false = server(ca, "desk", *hosts, subject=Subject("desk.internal"))
        with a_server(tmp_path / "desk", false, root, ca) as port:
            done = self.call(self.folder(tmp_path, teller, root, port))
        assert done.returncode == (0 if taken else NOT_TRUSTED), done.stderr

    @pytest.mark.parametrize("wrong", ["name", "root", "expired", "eku", "no eku", "self-signed"])
    def test_a_false_server_is_not_trusted(self, tmp_path, root, ca, teller, wrong):
        false = {
            "name": lambda: server(ca, "desk", "other.internal"),
            "root": lambda: server(authority("Lab Issuing", authority("Lab Root")), "desk", "desk.internal"),
            "expired": lambda: server(ca, "desk", "desk.internal", starts=2 * AGO, ends=AGO),
            "eku": lambda: server(ca, "desk", "desk.internal", fault=Fault.WRONG_EKU),
            "no eku": lambda: server(ca, "desk", "desk.internal", fault=Fault.NO_EKU),
            "self-signed": lambda: server(authority("desk.internal"), "desk", "desk.internal"),
        }
        with a_server(tmp_path / "desk", false[wrong](), root, ca) as port:
            done = self.call(self.folder(tmp_path, teller, root, port))
        if wrong == "no eku" and not self.demands_eku:
            assert done.returncode == 0
            return
        assert done.returncode == NOT_TRUSTED
        assert done.stderr.startswith("desk: I do not trust the server: ")
        assert done.stdout == ""

    def test_an_old_protocol_is_not_trusted(self, tmp_path, root, ca, teller):
        """A server of TLS 1.2 alone and a client of the modern profile."""
        own = server(ca, "desk", "desk.internal")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        own.write(tmp_path / "c.pem", tmp_path / "k.pem")
        context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")

        def answer(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        with plain_server(answer) as port:
            modern = self.call(self.folder(tmp_path / "modern", teller, root, port, tls=MODERN))
            intermediate = self.call(self.folder(tmp_path / "intermediate", teller, root, port))
        assert modern.returncode in (NOT_TRUSTED, REFUSED)
        assert intermediate.returncode == 0

    def test_plain_http_is_not_trusted(self, tmp_path, root, teller):
        def answer(connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with plain_server(answer) as port:
            done = self.call(self.folder(tmp_path, teller, root, port))
        assert (done.returncode, done.stdout) == (NOT_TRUSTED, "")

    def test_a_revoked_server_is_not_trusted(self, tmp_path, root, ca, teller):
        own = server(ca, "desk", "desk.internal")
        with a_server(tmp_path / "desk", own, root, ca) as port:
            folder = self.folder(tmp_path, teller, root, port, check="crl")
            place(folder / "tls/crl.pem", crl_of(root) + crl_of(ca))
            assert self.call(folder).returncode == 0
            place(folder / "tls/crl.pem", crl_of(root) + crl_of(ca, own))
            done = self.call(folder)
        assert done.returncode == NOT_TRUSTED
        assert "revoked" in done.stderr

    # --- The server refused me

    def test_an_undrawn_caller_is_told_so(self, tmp_path, root, ca, desk_port):
        done = self.call(self.folder(tmp_path, client(ca, "mallory"), root, desk_port))
        assert done.returncode == REFUSED
        assert done.stderr.startswith("desk: the server refused me: 403")

    @pytest.mark.parametrize("wrong", ["expired", "foreign", "eku"])
    def test_a_false_caller_is_told_so(self, tmp_path, root, ca, desk_port, wrong):
        false = {
            "expired": lambda: client(ca, "teller", starts=2 * AGO, ends=AGO),
            "foreign": lambda: client(authority("Lab Issuing", authority("Lab Root")), "teller"),
            "eku": lambda: client(ca, "teller", fault=Fault.WRONG_EKU),
        }
        done = self.call(self.folder(tmp_path, false[wrong](), root, desk_port))
        assert done.returncode == REFUSED
        assert done.stderr.startswith("desk: the server refused me: ")

    def test_a_door_that_closes_after_the_handshake_is_a_refusal(self, tmp_path, root, ca, teller):
        """As Kestrel does it: no alert, no answer."""
        own = server(ca, "desk", "desk.internal")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.write(tmp_path / "c.pem", tmp_path / "k.pem")
        context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")

        def answer(connection: socket.socket) -> None:
            context.wrap_socket(connection, server_side=True).recv(4096)

        with plain_server(answer) as port:
            done = self.call(self.folder(tmp_path, teller, root, port))
        assert done.returncode == REFUSED
        assert done.stderr.startswith("desk: the server refused me: ")

    # --- Not reachable

    def test_nobody_there(self, tmp_path, root, teller):
        (free,) = free_addresses(1)
        done = self.call(self.folder(tmp_path, teller, root, free.port))
        assert done.returncode == NOT_REACHABLE
        assert done.stderr.startswith("desk: not reachable: ")

    # --- Keys

    @pytest.mark.parametrize("key", [KeyType.RSA_2048, KeyType.EC_P384, KeyType.EC_P521, KeyType.ED25519])
    def test_other_keys_work_at_both_ends(self, tmp_path, root, ca, key):
        own = server(ca, "desk", "desk.internal", key=key)
        with a_server(tmp_path / "desk", own, root, ca) as port:
            assert self.call(self.folder(tmp_path, client(ca, "teller", key=key), root, port)).returncode == 0

    def test_tls_1_2_alone(self, tmp_path, root, ca, teller):
        own = server(ca, "desk", "desk.internal")
        context = context_for_server(own, root, tmp_path)
        context.maximum_version = ssl.TLSVersion.TLSv1_2

        def answer(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        with plain_server(answer) as port:
            done = self.call(self.folder(tmp_path, teller, root, port))
        assert (done.returncode, done.stdout) == (0, "ok")


def context_for_server(own: Credential, root: Authority, folder: Path) -> ssl.SSLContext:
    """A context that demands a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.write(folder / "c.pem", folder / "k.pem")
    context.load_cert_chain(folder / "c.pem", folder / "k.pem")
    context.load_verify_locations(cadata=bundles.pem(root.certificate).decode())
    context.verify_mode = ssl.CERT_REQUIRED
    return context
