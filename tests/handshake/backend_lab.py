"""Apps of one's own behind the fronts: a plain program that writes down what reaches it, and both fronts before it."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from scaffold.running.placement import Placed, launch, place
from scaffold.running.services import Launch, Service, Services
from scaffold.topology.model import HostPort, Server
from tests.handshake.verify_lab import Lab

FRONTS = ("nginx", "haproxy")
"""The templates that take a backend."""

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[[socket.socket, bytes], None]
"""Does with a connection what an app does once the head of a request, which is given, has come."""


@dataclass(frozen=True)
class Arrived:
    """A request as it reached the app."""

    line: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, head: bytes) -> Self:
        line, *rest = head.decode("latin-1").split("\r\n")
        pairs = (each.partition(":") for each in rest if each)
        return cls(line, tuple((name, value.strip()) for name, _, value in pairs))

    def __getitem__(self, name: str) -> str:
        """The one value of a header."""
        (value,) = self.all(name)
        return value

    def all(self, name: str) -> list[str]:
        """Every value of a header, in whichever spelling CGI and WSGI would take for it."""
        wanted = name.lower().replace("_", "-")
        return [value for each, value in self.headers if each.lower().replace("_", "-") == wanted]


@dataclass
class App:
    """A program in plain HTTP. `answers` says what it does for a path; for all others it says hello."""

    answers: dict[str, Answer] = field(default_factory=dict)
    arrived: list[Arrived] = field(default_factory=list)
    connections: int = 0

    def at(self, path: str) -> list[Arrived]:
        return [one for one in self.arrived if one.line.split()[1] == path]

    def serve(self, connection: socket.socket) -> None:
        """Several requests, as long as they come whole in pieces that end with the head's."""
        self.connections += 1
        with connection:
            connection.settimeout(60)
            while head := head_of(connection):
                arrived = Arrived.of(head)
                self.arrived.append(arrived)
                answer = self.answers.get(arrived.line.split()[1])
                if answer is not None:
                    answer(connection, head)
                    return
                connection.sendall(HELLO)


def head_of(connection: socket.socket) -> bytes:
    """A request's head, without the empty line; nothing where the connection ends before."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := connection.recv(1)):
            return b""
        head += byte
    return head.removesuffix(b"\r\n\r\n")


@contextlib.contextmanager
def app_on(listening: socket.socket, answers: Mapping[str, Answer]) -> Iterator[App]:
    """An app on a socket that listens, until the block ends."""
    app = App(dict(answers))

    def handle(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            app.serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listening.accept()[0],), daemon=True).start()

    with listening:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield app
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """A folder that the workers of a root's nginx may enter, with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def unix_listener(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o666)
    listening.listen()
    return listening


@dataclass(frozen=True)
class Front:
    """A front that runs, and the applied topology that it is of."""

    lab: Lab
    server: Server
    service: Service
    lines: list[str]

    def context(self, caller: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.lab.path(f"clients/{caller}/tls/ca.pem")))
        tls = self.lab.path(f"clients/{caller}/tls")
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        return context

    def connect(self, caller: str = "teller") -> ssl.SSLSocket:
        plain = socket.create_connection((self.server.listen.host, self.server.listen.port), timeout=60)
        return self.context(caller).wrap_socket(plain, server_hostname=self.server.names[0].value)

    def ask(self, request: bytes, caller: str = "teller") -> bytes:
        """The answer to a request that lets the connection end: all of it, or as much as its Content-Length says."""
        with self.connect(caller) as connection:
            connection.sendall(request)
            answer = b""
            while not is_whole(answer) and (more := connection.recv(65536)):
                answer += more
            return answer

    def get(self, path: str = "/", *headers: str, caller: str = "teller") -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Host: shop.internal", "Connection: close", *headers]
        return self.ask("\r\n".join([*lines, "", ""]).encode("latin-1"), caller)

    def access_lines(self) -> list[str]:
        """What the front has written down of requests: nginx in a file, HAProxy among what it prints."""
        logs = self.lab.path(f"servers/{self.server.name}").glob("run/access.log")
        return [*(line for log in logs for line in log.read_text("utf-8").splitlines()), *self.lines]


def is_whole(answer: bytes) -> bool:
    """Whether an answer has come that says its length."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: (\d+)\r?$", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


@contextlib.contextmanager
def started(lab: Lab, *names: str, backend: HostPort | None = None) -> Iterator[dict[str, Front]]:
    """The fronts of an applied topology by name, all unless some are named, until the block ends.

    `backend` is where the app is, where that is not what the topology says.
    """
    servers = [lab.topology.servers[name] for name in names or lab.topology.servers]
    lines: dict[str, list[str]] = {server.name: [] for server in servers}
    with Services(lambda name, line: lines[name].append(line)) as services:
        launches = [_launch(lab, placed, backend) for placed in place(servers, "fixed").values()]
        running = services.start(launches)
        yield {
            server.name: Front(lab, server, service, lines[server.name])
            for server, service in zip(servers, running, strict=True)
        }


def _launch(lab: Lab, placed: Placed, backend: HostPort | None) -> Launch:
    folder = lab.path(f"servers/{placed.server.name}")
    return launch(placed, folder, lab.kinds[placed.server.address].capabilities, {}, backend)
