"""docs/asgi.md: its topology is one, and each of its applications is served to callers with and without the role."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.cli.harness import in_process as scaffold
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
