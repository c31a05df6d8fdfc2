"""How the app behind a front is started, when it is ready, and what is said where it cannot be."""

from __future__ import annotations

import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.running.apps import launch_app, moved_app, place_apps
from scaffold.running.ports import free_addresses
from scaffold.running.services import Services
from scaffold.topology.load import loads
from scaffold.topology.model import App, Backend, HostPort, ReadyLine, ReadyPath, Server, UnixSocket

TOPOLOGY = """
version: 1
name: shop
cas: {root: {}}
servers:
  shop: {template: nginx, listen: "127.0.0.1:8443", names: [localhost], backend: "http://127.0.0.1:5000"}
"""
SERVER: Server = loads(TOPOLOGY.encode(), Path("topology.yaml")).servers["shop"]

HTTP = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked = getattr(self.server, "asked", 0) + 1
        self.send_response(200 if self.server.asked > 2 and self.path == "/ready" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
print("told", os.environ["BACKEND"], os.getcwd())
server.serve_forever()
"""
UNIX = """
import os, socket
listening = socket.socket(socket.AF_UNIX)
listening.bind(os.environ["BACKEND"].removeprefix("unix:"))
print("bound", "PORT" in os.environ)
listening.listen()
while True:
    listening.accept()[0].close()
"""


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


@pytest.fixture
def backend() -> HostPort:
    (address,) = free_addresses(1)
    return address


def started(app: App, backend: Backend, folder: Path, within: float = 120.0) -> list[str]:
    """What it has printed by the time that it is ready."""
    lines: list[str] = []
    with Services(lambda _, line: lines.append(line)) as services:
        services.start([launch_app(SERVER, app, backend, folder)], within)
        deadline = time.monotonic() + 60
        while not lines and time.monotonic() < deadline:
            time.sleep(0.01)
    return lines


def test_a_path_that_answers_200(backend: HostPort, tmp_path: Path) -> None:
    lines = started(App("./x", run=python(HTTP), ready=ReadyPath("/ready")), backend, tmp_path)

    assert lines[0] == f"told {backend} {tmp_path}"
    assert sum("/ready" in line for line in lines) >= 3  # it was asked until it said so


def test_a_line_that_it_prints(backend: HostPort, tmp_path: Path) -> None:
    assert started(App("./x", run=python(HTTP), ready=ReadyLine("^told ")), backend, tmp_path)


def test_once_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    where = tmp_path / "s"
    assert started(App("./x", run=python(UNIX)), UnixSocket(str(where)), tmp_path)[0] == "bound False"


def test_one_that_ends_or_never_is_ready(backend: HostPort, tmp_path: Path) -> None:
    ends = App("./x", run=python("print('no database'); raise SystemExit(3)"), ready=ReadyPath("/"))
    with pytest.raises(VerifyError) as caught:
        started(ends, backend, tmp_path)
    assert "server.shop.app ended with exit status 3; its last lines:\n  no database" in caught.value.message
    assert caught.value.hint == "see its own output"


def test_what_it_printed_before_it_ended_is_shown_however_late_it_is_read(backend: HostPort, tmp_path: Path) -> None:
    app = App("./x", run=python("print('starting'); print('no database'); raise SystemExit(3)"))

    def on_line(name: str, line: str) -> None:
        threading.Event().wait(0.3)  # of a reader that is slow

    with Services(on_line) as services, pytest.raises(VerifyError) as caught:
        services.start([launch_app(SERVER, app, backend, tmp_path)])
    assert caught.value.message.endswith("its last lines:\n  starting\n  no database")


@pytest.mark.parametrize(
    ("run", "hint"),
    [
        ((sys.executable, "-m", "nobodys_server"), "install nobodys-server where it looks for modules"),
        (("sh", "-c", "no-node server.js; exit 1"), "install no-node, so that it is on PATH"),
        (python("raise SystemExit(\"Error: Cannot find module 'express'\")"), "run `npm install` in "),
    ],
)
def test_one_that_lacks_something_says_what_to_install(
    run: tuple[str, ...], hint: str, backend: HostPort, tmp_path: Path
) -> None:
    with pytest.raises(VerifyError) as caught:
        started(App("./x", run=run), backend, tmp_path)
    assert hint in str(caught.value.hint), caught.value.message


NEVER = "print('starting', flush=True); import time; time.sleep(600)"
REFUSES = HTTP.replace('== "/ready"', '== "/other"')


@pytest.mark.parametrize(
    ("program", "ready", "waits", "found"),
    [
        (NEVER, ReadyLine("^ready$"), "a line that holds ^ready$", ""),
        (NEVER, ReadyPath("/ready"), "200 from /ready at {backend}", "nobody listens there"),
        (NEVER, None, "it to listen on {backend}", "nobody listens there"),
        (REFUSES, ReadyPath("/ready"), "200 from /ready at {backend}", "it answers 503"),
    ],
)
def test_what_is_waited_for_is_said_while_it_is_and_when_it_does_not_come(
    program: str,
    ready: ReadyPath | ReadyLine | None,
    waits: str,
    found: str,
    backend: HostPort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scaffold.running.services.TOLD_AFTER", 0.01)
    monkeypatch.setattr("scaffold.running.services.TOLD_EVERY", 0.01)
    waits, printed = waits.format(backend=backend), threading.Event()
    launch = launch_app(SERVER, App("./x", run=python(program), ready=ready), backend, tmp_path)

    def on_wait(name: str, said: str) -> None:
        assert name == "shop.app"
        assert said.startswith(f"not ready yet: waiting for {waits}")
        assert said.endswith(" s more at most")
        if found in said and printed.is_set():
            raise Heard

    with Services(lambda *_: printed.set()) as services:
        with pytest.raises(Heard):
            services.start([launch], on_wait=on_wait)
        (service,) = services
        with pytest.raises(VerifyError) as caught:
            service.wait_until_ready(time.monotonic())

    assert f"server.shop.app is not ready after 0 s of waiting for {waits}" in caught.value.message
    assert f"{found}; its last lines:\n  " in caught.value.message
    assert (found == "") == (", and found: " not in caught.value.message)
    assert "`app.ready` in the topology" in str(caught.value.hint)
    assert str(tmp_path) in str(caught.value.hint)


class Heard(Exception):
    """All was said."""


def test_a_place_that_is_taken(backend: HostPort, tmp_path: Path) -> None:
    """Whoever answers there would be taken for the app."""
    app = App("./x", run=python(HTTP))
    with socket.create_server((backend.host, backend.port)), pytest.raises(VerifyError) as caught:
        launch_app(SERVER, app, backend, tmp_path)
    assert f"server.shop.app cannot listen on {backend}" in caught.value.message
    assert "remove `run` from the topology" in str(caught.value.hint)


def test_what_is_not_there(backend: HostPort, tmp_path: Path) -> None:
    app = App("./x", run=("bin/start", "it"))
    with pytest.raises(VerifyError, match=r"server\.shop\.app is not there"):
        launch_app(SERVER, app, backend, tmp_path / "app")
    with pytest.raises(VerifyError, match="there is no program bin/start") as caught:
        launch_app(SERVER, app, backend, tmp_path)
    assert f"it is looked for in {tmp_path}" in str(caught.value.hint)
    with pytest.raises(VerifyError, match="there is no program no-such-program") as caught:
        launch_app(SERVER, replace(app, run=("no-such-program",)), backend, tmp_path)
    assert "install no-such-program, or name it by its path" in str(caught.value.hint)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "start").touch()
    assert launch_app(SERVER, app, backend, tmp_path).command == ("bin/start", "it")


@pytest.mark.parametrize(
    ("run", "is_moved"),
    [
        (("python3", "app.py"), True),
        (("gunicorn", "-w", "50001"), True),
        (("uvicorn", "--port", "5000"), False),
        (("gunicorn", "--bind=127.0.0.1:5000"), False),
        ((), False),
    ],
)
def test_an_app_is_moved_where_only_its_environment_says_the_port(run: tuple[str, ...], is_moved: bool) -> None:
    server = replace(SERVER, app=App("./x", run=run))

    (place,) = [*place_apps([server], "auto").values()] or [server.backend]

    assert (place != server.backend) == is_moved
    assert (moved_app(server, place_apps([server], "auto")) is not None) == is_moved
    assert moved_app(server, place_apps([server], "fixed")) is None
    assert place_apps([server], "fixed") == ({server.name: server.backend} if run else {})


def test_an_app_behind_a_socket_is_not_moved() -> None:
    server = replace(SERVER, app=App("./x", run=("python3", "app.py")), backend=UnixSocket("/run/shop/app"))
    assert place_apps([server], "auto") == {server.name: UnixSocket("/run/shop/app")}


def test_one_that_prints_its_line_and_listens_elsewhere(
    backend: HostPort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaffold.running.services._LISTENS_WITHIN", 0.1)
    elsewhere = "import time; print('ready', flush=True); time.sleep(600)"
    with pytest.raises(VerifyError, match=rf"does not listen on {backend}") as caught:
        started(App("./x", run=python(elsewhere), ready=ReadyLine("^ready$")), backend, tmp_path)
    assert "HOST and PORT in its environment" in str(caught.value.hint)
