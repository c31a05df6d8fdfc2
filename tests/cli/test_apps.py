"""Apps from templates, as a person onboards them: one `add`, then `up`, and calls through the front."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from scaffold.topology.model import HostPort
from tests.cli.harness import Ended, scaffold, snapshot, up
from tests.requirements import require, require_command, which

APPS = Path(__file__).parent.parent / "apps"

TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {}
servers: {}
clients:
  cli: {template: curl, calls: []}
  mallory: {template: curl, calls: []}
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With a configuration of the test's own, in which nothing is trusted."""
    return {"XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config"))}


@dataclass
class Shop:
    """A topology with fronts, each with an app of another template, while `up` runs them."""

    folder: Path
    environment: dict[str, str]
    fronts: dict[str, HostPort]
    ports: dict[str, HostPort]
    socket: Path
    lines: list[str]

    def run(self, *arguments: str) -> Ended:
        return scaffold(*arguments, cwd=self.folder, env=self.environment)


def add(folder: Path, environment: dict[str, str], name: str, listen: HostPort, backend: str, app: str) -> Ended:
    """Onboards a service by one command."""
    return scaffold(
        *("add", "server", name, "--template", "nginx", "--listen", str(listen), "--names", "localhost"),
        *("--backend", backend, "--app", app, "--called-by", "cli", "--trust", template_of(app), "--apply"),
        cwd=folder,
        env=environment,
    )


def template_of(app: str) -> str:
    return app.partition("template: ")[2].partition(",")[0]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Shop]:
    require_command("nginx")
    require_command("curl")
    folder = tmp_path_factory.mktemp("shop")
    (folder / "topology.yaml").write_text(TOPOLOGY)
    with tempfile.TemporaryDirectory(prefix="s-") as sockets:  # the path of a socket is short
        path = Path(sockets) / "app.sock"
        Path(sockets).chmod(0o755)  # workers of nginx that root has started are nobody's
        addresses = iter(free_addresses(2 * len(ONBOARDED)))
        fronts, ports = {}, {}
        for name, app in ONBOARDED.items():
            fronts[name], ports[name] = next(addresses), next(addresses)
            backend = f"unix:{path}" if name == "api" else f"http://{ports[name]}"
            written = app.format(
                apps=APPS, monorepo=f"git+file://{repository(tmp_path_factory)}" if name == "git" else ""
            )
            done = add(folder, environment, name, fronts[name], backend, written)
            assert done.code == 0, done.out + done.err
        del ports["api"]
        with up(folder, env=environment) as lines:
            yield Shop(folder, environment, fronts, ports, path, lines)


RUN = "run: [python3, app.py]"
ONBOARDED = {
    "small": f"{{{{template: {{apps}}/small-service, {RUN}, ready: /healthz}}}}",
    "api": f"{{{{template: {{apps}}/many-services, {RUN}, ready: /healthz}}}}",
    "git": f"{{{{template: {{monorepo}}, checkout: v1, directory: services/web, {RUN}, "
    'ready: {{line: "listens on [0-9]+"}}}}',
    "extended": f"{{{{template: {{apps}}/extended-service, vars: {{{{slug: wide}}}}, {RUN}}}}}",
    "dated": f"{{{{template: {{apps}}/dated-service, vars: {{{{year: 1999}}}}, {RUN}, ready: /status}}}}",
    "composed": f"{{{{template: {{apps}}/composed-service, vars: {{{{slug: shop}}}}, {RUN}}}}}",
}
"""The app of each front: what a template of tests/apps makes. Those of other runtimes are tried further below."""


def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the templates of several services, which moved on after its first tag."""
    place = tmp_path_factory.mktemp("git") / "services"
    shutil.copytree(APPS / "monorepo", place)
    known = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "one"), ("tag", "v1")):
        subprocess.run(["git", *known, *arguments], cwd=place, check=True)
    (place / "services" / "web" / "{{cookiecutter.slug}}" / "app.py").write_text("raise SystemExit('not this one')\n")
    subprocess.run(["git", *known, "commit", "-qam", "two"], cwd=place, check=True)
    return place


@pytest.mark.parametrize(
    ("server", "answer"),
    [
        ("small", '{"app": "SMALL_SERVICE", "caller": "spiffe://shop/client/cli"}'),
        ("api", '{"hello": "spiffe://shop/client/cli"}'),
        ("git", "hello spiffe://shop/client/cli"),
        ("extended", "WIDE! spiffe://shop/client/cli"),
        ("dated", "Copyright 1999; spiffe://shop/client/cli"),
        ("composed", "shop spiffe://shop/client/cli"),
    ],
)
def test_who_is_allowed_reaches_the_app_and_nobody_else(server: str, answer: str, shop: Shop) -> None:
    allowed = shop.run("call", "cli", server)
    assert allowed.code == 0, allowed.err
    assert answer in allowed.out

    assert status(shop, "mallory", server) == 403
    assert status(shop, "cli", server) == 200


def status(shop: Shop, caller: str, server: str) -> int:
    """What the front answers to whoever has the certificate of a client, allowed or not."""
    tls = shop.folder / "shop" / "clients" / caller / "tls"
    context = ssl.create_default_context(cafile=tls / "ca.pem")
    context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
    listen = shop.fronts[server]
    connection = http.client.HTTPSConnection("localhost", listen.port, timeout=60, context=context)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().status


LISTEN = "0A"
"""The state of a socket in /proc/net/tcp (proc(5), net/tcp_states.h)."""


def test_apps_listen_on_loopback_alone(shop: Shop) -> None:
    for address in shop.ports.values():
        assert_on_loopback_alone(address)
    assert shop.socket.is_socket()


def assert_on_loopback_alone(address: HostPort) -> None:
    """Somebody listens on that port of 127.0.0.1, and on no other address of this machine."""
    end = f":{address.port:04X}"
    tables = "".join(Path("/proc/net", name).read_text() for name in ("tcp", "tcp6"))
    sockets = [line.split() for line in tables.splitlines() if not line.startswith("  sl")]
    found = [local for _, local, _, state, *_ in sockets if state == LISTEN and local.endswith(end)]
    assert found == [f"0100007F{end}"]


def test_what_the_apps_print_is_shown(shop: Shop) -> None:
    assert any(line.startswith("git.app") and "web listens on" in line for line in shop.lines)
    assert not any("start your app there" in line for line in shop.lines)


def test_it_is_recorded_and_a_plan_finds_nothing_to_do(shop: Shop) -> None:
    planned = shop.run("plan", "--check")
    assert planned.code == 0, planned.out
    records = (shop.folder / "shop" / ".scaffold" / "projects.jsonl").read_text()
    (last,) = [json.loads(line) for line in records.splitlines() if '"server.git.app"' in line]
    assert last["app"]["checkout"] == "v1"
    assert len(last["app"]["version"]) == 40
    assert "trusted" not in records


def test_ports_auto_moves_an_app_and_what_is_waited_for_is_said(tmp_path: Path, environment: dict[str, str]) -> None:
    """The port of the app that is moved is taken by somebody else; the other app names its port in its command."""
    require_command("nginx")
    require_command("curl")
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    shutil.copytree(APPS / "small-service", tmp_path / "small")
    listens, taken, other, named = free_addresses(4)
    slow = f"until test -e begins; do sleep 0.05; done; PORT={named.port} exec python3 app.py"
    for name, listen, backend, run in (
        ("moved", listens, taken, "[python3, app.py]"),
        ("stays", other, named, f'[sh, -c, "{slow}"]'),
    ):
        added = scaffold(
            *("add", "server", name, "--template", "nginx", "--listen", str(listen), "--names", "localhost"),
            *("--backend", f"http://{backend}", "--called-by", "cli"),
            *("--app", f"{{template: ./small, run: {run}, ready: /healthz}}"),
            cwd=tmp_path,
        )
        assert added.code == 0, added.err

    def begin(line: str) -> None:
        if line.startswith("stays.app") and "not ready yet" in line:
            (tmp_path / "shop" / "servers" / "stays" / "app" / "begins").touch()

    with (
        socket.create_server((taken.host, taken.port)),
        up(tmp_path, "--ports", "auto", env=environment, on_line=begin) as lines,
    ):
        printed = "".join(lines)
        (place,) = re.findall(
            r"^moved\.app +\| must listen on 127\.0\.0\.1:(\d+), the PORT in its environment", printed, re.MULTILINE
        )
        waits = f"not ready yet: waiting for 200 from /healthz at {named} (nobody listens there), "
        assert re.search(rf"^stays\.app +\| stays on {named}: `run` names that port", printed, re.MULTILINE)
        assert re.search(rf"^stays\.app +\| {re.escape(waits)}\d+ s more at most$", printed, re.MULTILINE)
        assert_on_loopback_alone(HostPort(taken.host, int(place)))
        for name in ("moved", "stays"):
            called = scaffold("call", "cli", name, cwd=tmp_path)
            assert '"caller": "spiffe://shop/client/cli"' in called.out, called.err


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "template", "answers", "run"),
    [
        ("go", "go-service", "{app_name: shop}", "[go, run, .]"),
        (
            sys.executable,
            "fastapi-service",
            "{project_slug: shop}",
            f"[{sys.executable}, -m, uvicorn, 'shop.main:app', --port, '{{port}}']",
        ),
    ],
)
def test_apps_of_other_frameworks(
    program: str,
    template: str,
    answers: str,
    run: str,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    require_command("nginx")
    require(which(program), f"{program} on PATH")
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    listen, backend = free_addresses(2)
    command = run.format(port=backend.port)
    app = f"{{template: {APPS}/{template}, vars: {answers}, run: {command}, ready: /healthz}}"
    done = add(tmp_path, environment, "shop", listen, f"http://{backend}", app)
    assert done.code == 0, done.err

    with up(tmp_path, env=environment) as lines:
        fleet = Shop(tmp_path, environment, {"shop": listen}, {"shop": backend}, tmp_path, lines)
        allowed = fleet.run("call", "cli", "shop")
        assert "spiffe://shop/client/cli" in allowed.out, allowed.err
        assert status(fleet, "mallory", "shop") == 403
        assert_on_loopback_alone(backend)


# --- Without a server ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "topology"
    folder.mkdir()
    (folder / "topology.yaml").write_text(TOPOLOGY)
    return folder


APP = f"{{template: {APPS}/small-service}}"
PLACE = HostPort("127.0.0.1", 8443)


def test_an_untrusted_template_is_named_and_nothing_is_changed(folder: Path, tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    before = snapshot(folder)
    arguments = (
        *("add", "server", "web", "--template", "nginx", "--listen", str(PLACE), "--names", "localhost"),
        *("--backend", "http://127.0.0.1:5000", "--app", APP),
    )

    refused = scaffold(*arguments, "--apply", cwd=folder, env=environment)
    refused.assert_clear_error("server.web: the template", "somebody else's program", "It would run:", "--trust")
    assert snapshot(folder) == before

    added = scaffold(*arguments, cwd=folder, env=environment)
    assert added.code == 0, added.err
    needed = f"apply needs --trust {APPS}/small-service"
    assert needed in added.out
    assert not (tmp_path / "config").exists()
    scaffold("apply", cwd=folder, env=environment).assert_clear_error("server.web: the template", "--trust")
    assert not (folder / "shop").exists()
    wrong = scaffold("apply", "--trust", "gh:somebody/else", cwd=folder, env=environment)
    wrong.assert_clear_error("nothing in this topology is made of the template gh:somebody/else")
    applied = scaffold("apply", "--trust", f"{APPS}/small-service", cwd=folder, env=environment)
    assert applied.code == 0, applied.err
    assert (folder / "shop" / "servers" / "web" / "app" / "app.py").is_file()


def test_a_hook_that_fails_leaves_nothing_half_made(folder: Path, tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    app = f"{{template: {APPS}/fastapi-service, vars: {{project_slug: 9lives}}}}"
    before = snapshot(folder)

    failed = add(folder, environment, "web", PLACE, "http://127.0.0.1:5000", app)

    said, begins, error = failed.err.partition("error: ")
    assert said.startswith(f'Trusted from now on: the template "{APPS}/fastapi-service" (at sha256:')
    assert "It runs:\n  - the hooks hooks/post_gen_project.py, hooks/pre_gen_project.py\n" in said
    Ended(failed.code, failed.out, begins + error).assert_clear_error(
        "Hook script failed", "it printed:", "ERROR: '9lives' is no name"
    )
    assert snapshot(folder) == before
