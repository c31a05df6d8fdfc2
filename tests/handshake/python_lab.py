"""What the tests of the Python and curl kinds stand on: rendered projects in folders, started by their own run.sh."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from scaffold.kinds import catalogue
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.render import render
from scaffold.pki import bundles
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Service, Services
from scaffold.settings.values import Allowed, Call, ClientSettings, Files, Revocation, Settings
from tests.handshake import traffic
from tests.handshake.nginx_lab import (
    INTERMEDIATE,
    WITHIN,
    Answer,
    Authority,
    Credential,
    allow,
    ask,
    server,
    settings,
)
from tests.handshake.rewriting import rewrite

SERVER = catalogue.find("python", "server", Path.cwd())
CLIENTS = {name: catalogue.find(name, "client", Path.cwd()) for name in ("python", "curl", "psql", "connector")}


def server_folder(
    folder: Path,
    own: Credential,
    root: Authority,
    allowed: Sequence[Allowed],
    *,
    greeting: str = "hello",
    **changes: object,
) -> Path:
    """A rendered Python server `desk` with its material; `changes` are fields of its settings. LISTEN moves it."""
    write(SERVER, settings(8443, allowed, **changes), folder, {"greeting": greeting})
    write_material(folder / "tls", own, root)
    return folder


def client_folder(
    kind: str, folder: Path, own: Credential, root: Authority, *calls: Call, check: str = "none", **changes: object
) -> Path:
    """A rendered client `teller` with its material."""
    made = ClientSettings(
        topology="lab", name="teller", address="client.teller", kind=kind, identity="spiffe://lab/client/teller",
        tls=INTERMEDIATE, files=Files(crl="tls/crl.pem" if check == "crl" else None), anchors=("root",), verify_depth=1,
        revocation=Revocation(check), calls=calls, publish=None,
    )  # fmt: skip
    write(CLIENTS[kind], replace(made, **changes), folder, {})  # type: ignore[arg-type]
    (folder / "tls").mkdir(exist_ok=True)
    own.write(folder / "tls/cert.pem", folder / "tls/key.pem")
    (folder / "tls/ca.pem").write_bytes(bundles.pem(root.certificate))
    (folder / "tls/intermediates.pem").write_bytes(b"")
    return folder


def write_material(tls: Path, own: Credential, root: Authority) -> None:
    """What a server shows, and the root that it trusts."""
    own.write(tls / "cert.pem", tls / "key.pem")
    (tls / "ca.pem").write_bytes(bundles.pem(root.certificate))
    (tls / "intermediates.pem").write_bytes(bundles.chain_pem(own.chain))


def write(kind: Kind, made: Settings, folder: Path, variables: dict[str, object]) -> None:
    for path, file in render(kind, made, variables).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(0o755 if file.executable else 0o644)


@contextlib.contextmanager
def running(folder: Path, port: int, lines: list[str] | None = None, **environment: str) -> Iterator[Service]:
    """The server in `folder` on `port` of loopback, started by its run.sh and stopped at the end."""
    launch = Launch("desk", folder, SERVER.capabilities.ready or "", {"LISTEN": f"127.0.0.1:{port}", **environment})
    with Services(on_line=lambda _, line: lines.append(line) if lines is not None else None) as services:
        (service,) = services.start([launch])
        yield service


def place(file: Path, content: bytes) -> None:
    """Put a file into tls/ as apply does: beside, then renamed."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(content)
    beside.replace(file)


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """run.sh of a client, from another working directory."""
    return subprocess.run(
        [folder / "run.sh", *arguments], cwd="/", capture_output=True, text=True, timeout=WITHIN, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    shutil.rmtree(folder)
    return target


# --- A server that tests change ---------------------------------------------------------------------------------------

A_POST = """

def receive(request: Request) -> Answer:
    return Answer({"received": request.read_body().decode(), "caller": request.caller.identity})


ROUTES |= {"POST /": receive, "BREW /": receive}
"""
AN_API = """
import guard


class Handler(guard.Handler):
    def do_GET(self) -> None:
        self.answer(200, {"old": self.settings.greeting, "path": self.path})

    def do_POST(self) -> None:
        self.answer(200, {"received": self.read_body().decode(), "caller": self.caller.identity})

    do_BREW = do_POST
"""
"""What stands in a folder from before there was a routes.py."""


class Project:
    """A rendered server of which a test may change the text, the port that it is to have, and what it prints."""

    def __init__(self, folder: Path, root: Authority) -> None:
        self.folder, self.root = folder, root
        self.lines: list[str] = []
        (free,) = free_addresses(1)
        self.port = free.port

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    def rewrite(self, file: str, *changes: tuple[str, str]) -> Self:
        rewrite(self.folder / file, *changes)
        return self

    def ask(self, caller: Credential | None, path: str = "/", **how: object) -> Answer:
        return ask(self.port, caller, self.root, path, **how)  # type: ignore[arg-type]


class Desk(Project):
    """A Python server and its life."""

    def __init__(self, folder: Path, root: Authority, issuing: Authority, **changes: object) -> None:
        super().__init__(folder, root)
        server_folder(folder, server(issuing, "desk", "localhost"), root, [allow("teller", issuing)], **changes)

    def add_a_post(self) -> Desk:
        with (self.folder / "routes.py").open("a") as file:
            file.write(A_POST)
        return self

    def add_an_api(self, more: str = "") -> Desk:
        (self.folder / "api.py").write_text(AN_API + more)
        return self

    @contextlib.contextmanager
    def running(self, **environment: str) -> Iterator[Desk]:
        self.lines.clear()
        with running(self.folder, self.port, self.lines, **environment):
            yield self

    def connect(self, caller: Credential) -> ssl.SSLSocket:
        return traffic.connect(self, caller)

    def keep(self, caller: Credential) -> http.client.HTTPSConnection:
        return traffic.kept(self, caller)

    def start_in_vain(self, **how: object) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{self.port}"}
        return subprocess.run(
            [self.folder / "run.sh"],
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
            env=environment,
            **how,
        )
