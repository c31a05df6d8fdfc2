"""What tests do to a running server whatever it is made of: raw connections, kept ones, half ones, strange homes."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from scaffold.running.listeners import who_listens
from scaffold.topology.model import HostPort
from tests.handshake.nginx_lab import WITHIN, Authority, Credential, context_of
from tests.requirements import require

ANYBODYS_PATH = "/usr/bin:/bin"


class Server(Protocol):
    """Where a server listens, and which root vouches for it."""

    @property
    def port(self) -> int: ...

    @property
    def root(self) -> Authority: ...


def connect(desk: Server, caller: Credential | None, host: str = "127.0.0.1") -> ssl.SSLSocket:
    plain = socket.create_connection((host, desk.port), timeout=WITHIN)
    return context_of(caller, desk.root).wrap_socket(plain, server_hostname="localhost")


def kept(desk: Server, caller: Credential) -> http.client.HTTPSConnection:
    """A connection for several requests."""
    return http.client.HTTPSConnection("localhost", desk.port, timeout=WITHIN, context=context_of(caller, desk.root))


@contextlib.contextmanager
def answered(desk: Server, caller: Credential) -> Iterator[http.client.HTTPSConnection]:
    """A connection for several requests, the first of which has been answered."""
    with contextlib.closing(kept(desk, caller)) as connection:
        assert get(connection)[0] == 200
        yield connection


def get(connection: http.client.HTTPSConnection, path: str = "/") -> tuple[int, bytes]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


def is_taken(port: int) -> bool:
    """Whether somebody listens there. Not by trying: a connection to a free port may meet itself."""
    return who_listens(HostPort("127.0.0.1", port)) is not None


def read_until(connection: ssl.SSLSocket, end: bytes) -> bytes:
    """All that comes, up to the bytes `end` or the end of the connection."""
    text = b""
    while not text.endswith(end) and (piece := connection.recv(65536)):
        text += piece
    return text


def read_all(connection: ssl.SSLSocket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@contextlib.contextmanager
def half_open(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections that begin a handshake, a record of 512 bytes, and send no more of it."""
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=WITHIN))
            connection.sendall(b"\x16\x03\x01\x02\x00\x01")
            connections.append(connection)
        yield connections


# --- Strange homes ---------------------------------------------------------------------------------------------------


def nobody() -> dict[str, Any]:
    """How subprocess becomes a user without rights."""
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def give_to_nobody(folder: Path) -> None:
    account = nobody()
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, account["user"], account["group"])


@contextlib.contextmanager
def nobodys_folder() -> Iterator[Path]:
    """A folder that others may enter; what is made in it is given to nobody by `give_to_nobody`."""
    require(os.geteuid() == 0, "root, to become somebody else")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def lock_up(folder: Path) -> None:
    """Makes what is there root's, for all to read and for nobody else to write."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 0, 0)
        path.chmod(0o755 if path.is_dir() or path.name == "run.sh" else 0o444)


@contextlib.contextmanager
def started(
    command: Sequence[str | Path], lines: list[str], environment: dict[str, str], **how: Any
) -> Iterator[subprocess.Popen[str]]:
    """A server by its command, from another folder, once it is ready or has ended; `lines` is what it says."""
    process = subprocess.Popen(
        command, cwd="/", env={"PATH": ANYBODYS_PATH, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, **how,
    )  # fmt: skip
    ready = threading.Event()

    def read() -> None:
        for line in process.stdout or ():
            lines.append(line.rstrip("\n"))
            if line.startswith("ready: "):
                ready.set()
        ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert ready.wait(WITHIN)
        yield process
    finally:
        process.terminate()
        process.wait(WITHIN)
        reader.join()
