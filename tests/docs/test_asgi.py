"""docs/asgi.md: its topology is one, and each of its applications is served to callers with and without the role."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect

from scaffold.running.ports import free_addresses
from tests.cli.harness import in_process as scaffold
from tests.cli.harness import scaffold as spawned
from tests.cli.harness import up
from tests.handshake.asgi_lab import Desk
from tests.handshake.nginx_lab import Authority, allow, client, context_of, identity, server

PAGE = (Path(__file__).parents[2] / "docs/asgi.md").read_text("utf-8")
APPS = dict(re.findall(r"^<!-- app: (\w+) -->\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_the_topology_of_the_page_is_planned(tmp_path: Path) -> None:
    found = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    (tmp_path / "topology.yaml").write_text(found[1])
    ended = scaffold("plan", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "server.orders" in ended.out


def test_the_calls_of_the_page_work_and_a_changed_app_takes_a_restart(tmp_path: Path) -> None:
    found = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    listen, published = free_addresses(2)
    text = found[1].replace("127.0.0.1:8443", str(listen)).replace("127.0.0.1:9080", str(published))
    (tmp_path / "topology.yaml").write_text(text)
    assert scaffold("apply", cwd=tmp_path).code == 0
    app = tmp_path / "shop/servers/orders/app.py"
    app.write_text(APPS["fastapi"])
    calls = re.findall(r"^\$ (scaffold call .*)\n(.*)$", PAGE, re.MULTILINE)
    assert len(calls) == 2
    with up(tmp_path, env={"ASGI_PYTHON": sys.executable}):
        for command, answer in calls:
            assert called(tmp_path, command) == answer
        app.write_text(APPS["fastapi"].replace('"for"', '"of"'))
        assert called(tmp_path, calls[0][0]) == calls[0][1], "what runs is what was there at the start"
    with up(tmp_path, env={"ASGI_PYTHON": sys.executable}):
        assert called(tmp_path, calls[0][0]) == calls[0][1].replace("for", "of")


def called(folder: Path, command: str) -> str:
    ended = spawned(*shlex.split(command)[1:], cwd=folder)
    assert ended.code == 0, ended.err
    return ended.out.rstrip("\n")


def desk(folder: Path, root: Authority, ca: Authority, app: str) -> Desk:
    allowed = [allow("web", ca, roles=["reader"]), allow("ops", ca, roles=["reader", "approver"]), allow("none", ca)]
    return Desk(folder / "desk", server(ca, "desk", "localhost"), root, allowed, app=APPS[app])


def test_every_application_of_the_page_is_served() -> None:
    assert APPS.keys() == {"fastapi", "starlette", "django"}


def test_fastapi(tmp_path: Path, root: Authority, ca: Authority) -> None:
    orders = desk(tmp_path, root, ca, "fastapi")
    web, ops, none = (client(ca, name) for name in ("web", "ops", "none"))
    with orders.running():
        assert orders.ask(web, "/orders").json == {"for": identity("web")}
        assert orders.ask(none, "/orders").status == 403
        assert orders.ask(ops, "/orders/approve", method="POST").json == {"approved by": identity("ops")}
        refused = orders.ask(web, "/orders/approve", method="POST")
        assert (refused.status, refused.json) == (403, {"detail": "only a caller with the role approver may do this"})
        address = f"wss://localhost:{orders.port}/events"
        with connect(address, ssl=context_of(web, root), open_timeout=20, proxy=None) as socket:
            assert identity("web") in str(socket.recv(timeout=20))


@pytest.mark.parametrize("app", ["starlette", "django"])
def test_others(tmp_path: Path, root: Authority, ca: Authority, app: str) -> None:
    orders = desk(tmp_path, root, ca, app)
    with orders.running():
        assert orders.ask(client(ca, "web"), "/orders").json == {"for": identity("web"), "approves": False}
        assert orders.ask(client(ca, "ops"), "/orders").json == {"for": identity("ops"), "approves": True}
        assert orders.ask(client(ca, "mallory"), "/orders").status == 403
