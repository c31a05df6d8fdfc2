"""A rendered PostgreSQL and its clients, for tests: where its programs are, and how it is started, told and asked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scaffold.running.services import Launch, Service, Services, environment
from scaffold.store.layout import Layout
from scaffold.topology.model import HostPort
from tests.requirements import require

FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def require_postgresql() -> None:
    """Require Debian's server and psql."""
    require(any((folder / "postgres").exists() for folder in FOLDERS), "Debian's postgresql")


@contextlib.contextmanager
def running(project: Path, address: HostPort, **told: str) -> Iterator[Service]:
    """The project's own run.sh, moved to `address`, once it is ready."""
    with Services() as services:
        (service,) = services.start([Launch(project.name, project, "^ready: ", {"LISTEN": str(address), **told})])
        yield service


def run(script: Path, *arguments: str, told: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One of a project's scripts to its end, with `told` in its environment."""
    with_home = environment(script.parent, told or {})
    return subprocess.run([script, *arguments], env=with_home, capture_output=True, text=True, timeout=60, check=False)


def ask(layout: Layout, client: str, server: str, address: HostPort, **told: str) -> subprocess.CompletedProcess[str]:
    """The client's run.sh, sent to where the server is."""
    return run(layout.path(f"clients/{client}/run.sh"), server, f"postgresql://{address}/", told=told)


def answer(ran: subprocess.CompletedProcess[str]) -> Any:
    """What the server said of who called."""
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def as_root() -> bool:
    return os.geteuid() == 0
