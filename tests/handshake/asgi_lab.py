"""What the tests of the ASGI kind stand on: rendered projects, started by their own run.sh with the tests' Python."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scaffold.kinds import catalogue
from scaffold.running.services import Launch, Service, Services
from scaffold.settings.values import Allowed
from tests.handshake.nginx_lab import Authority, Credential, settings
from tests.handshake.python_lab import Project, write, write_material

KIND = catalogue.find("asgi", "server", Path.cwd())


class Desk(Project):
    """An ASGI server and its life."""

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
        super().__init__(folder, root)
        write(KIND, settings(8443, allowed, **changes), folder, {"greeting": "hello", "workers": workers})
        write_material(self.tls, own, root)
        if app is not None:
            (folder / "app.py").write_text(app)

    @contextlib.contextmanager
    def running(self, within: float = 60, **environment: str) -> Iterator[Service]:
        """The server, started by its run.sh and stopped at the end."""
        self.lines.clear()
        moved = {"LISTEN": f"127.0.0.1:{self.port}", "ASGI_PYTHON": sys.executable, **environment}
        launch = Launch("desk", self.folder, KIND.capabilities.ready or "", moved)
        with Services(on_line=lambda _, line: self.lines.append(line)) as services:
            (service,) = services.start([launch], within=within)
            yield service
