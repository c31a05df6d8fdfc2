"""What the tests of the ASGI kind stand on: rendered projects, started by their own run.sh with the tests' Python."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scaffold.kinds import catalogue
from scaffold.pki import bundles
from scaffold.running.services import Launch, Service, Services, free_addresses
from scaffold.settings.values import Allowed
from tests.handshake.nginx_lab import Answer, Authority, Credential, ask, settings
from tests.handshake.python_lab import write
from tests.handshake.rewriting import rewrite

KIND = catalogue.find("asgi", "server", Path.cwd())


class Desk:
    """A rendered server `desk` of which a test may change the text, and its life."""

    def __init__(
        self,
        folder: Path,
        own: Credential,
        root: Authority,
        allowed: Sequence[Allowed],
        *,
        app: str | None = None,
        workers: int = 1,
        **changes: object,
    ) -> None:
        self.folder, self.root = folder, root
        self.lines: list[str] = []
        (free,) = free_addresses(1)
        self.port = free.port
        write(KIND, settings(8443, allowed, **changes), folder, {"greeting": "hello", "workers": workers})
        own.write(self.tls / "cert.pem", self.tls / "key.pem")
        (self.tls / "ca.pem").write_bytes(bundles.pem(root.certificate))
        (self.tls / "intermediates.pem").write_bytes(bundles.chain_pem(own.chain))
        if app is not None:
            (folder / "app.py").write_text(app)

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    def rewrite(self, file: str, *changes: tuple[str, str]) -> Desk:
        rewrite(self.folder / file, *changes)
        return self

    @contextlib.contextmanager
    def running(self, within: float = 60, **environment: str) -> Iterator[Service]:
        """The server, started by its run.sh and stopped at the end."""
        self.lines.clear()
        moved = {"LISTEN": f"127.0.0.1:{self.port}", "ASGI_PYTHON": sys.executable, **environment}
        launch = Launch("desk", self.folder, KIND.capabilities.ready or "", moved)
        with Services(on_line=lambda _, line: self.lines.append(line)) as services:
            (service,) = services.start([launch], within=within)
            yield service

    def ask(self, caller: Credential | None, path: str = "/", **how: object) -> Answer:
        return ask(self.port, caller, self.root, path, **how)  # type: ignore[arg-type]
