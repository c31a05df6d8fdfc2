"""The apps of docs/your-own-service.md, taken from the page and run behind a front where their runtime is at hand."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from scaffold.running.services import handed_on
from scaffold.topology.model import HostPort
from tests.handshake.backend_lab import Front, started
from tests.handshake.dotnet_lab import sdk
from tests.handshake.nginx_lab import until
from tests.handshake.verify_lab import Lab, applied
from tests.requirements import require, require_command, which

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "your-own-service.md").read_text("utf-8")
EXAMPLE = ROOT / "examples" / "own-service"

require_command("nginx")
require_command("haproxy")


def code(heading: str, language: str, number: int = 0) -> str:
    """A block of one section of the page."""
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    return re.findall(rf"^```{language}\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)[number]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The example, and a second front as the page has it for ASP.NET Core."""
    shop, other = free_addresses(2)
    text = (EXAMPLE / "topology.yaml").read_text("utf-8").replace("127.0.0.1:8443", str(shop))
    asp = re.search(r"template: haproxy\n +backend: (\S+)\n +forward: (\[.*\])", PAGE)
    assert asp is not None
    second = f"""  asp:
    template: haproxy
    issuer: issuing
    listen: {other}
    names: [localhost]
    backend: {asp[1]}
    forward: {asp[2]}

clients:"""
    text = text.replace("clients:", second).replace("calls: {shop: [reader, approver]}", CALLS[0])
    return applied(text.replace("calls: {shop: [reader]}", CALLS[1]), tmp_path_factory.mktemp("own"))


CALLS = ("calls: {shop: [reader, approver], asp: [reader, approver]}", "calls: {shop: [reader], asp: [reader]}")


@contextlib.contextmanager
def app(command: list[str], folder: Path, address: HostPort, environment: Mapping[str, str]) -> Iterator[None]:
    """A program of the page, once it takes connections, until the block ends."""
    log = folder / "app.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=folder, env={**handed_on(), **environment}, stdout=output, stderr=subprocess.STDOUT
        ) as running,
    ):
        try:
            until(lambda: running.poll() is not None or is_listening(address))
            assert running.poll() is None, log.read_text()
            yield
        finally:
            running.terminate()


def is_listening(address: HostPort) -> bool:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=60)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.connect()
        return True
    return False


def directly(address: HostPort) -> int:
    """The status of a request that comes past the front, as it should not."""
    with contextlib.closing(http.client.HTTPConnection(address.host, address.port, timeout=60)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().status


def ask(front: Front, method: str, path: str, caller: str) -> tuple[int, dict[str, object]]:
    """As somebody who would like to be the teller."""
    forged = {"X-Client-Identity": "spiffe://own-service/client/teller", "X-Client-Roles": "approver"}
    address = front.server.listen
    connection = http.client.HTTPSConnection("localhost", address.port, timeout=60, context=front.context(caller))
    with contextlib.closing(connection):
        connection.request(method, path, headers=forged)
        answer = connection.getresponse()
        body = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(body) if is_json else {}


def knows_its_callers(front: Front, path: str = "/approve") -> dict[str, object]:
    """Who called, with which roles, decides; returns what the teller is told."""
    status, teller = ask(front, "GET", "/", "teller")
    assert status == 200
    assert teller["caller"] == "spiffe://own-service/client/teller"
    assert sorted(teller["roles"]) == ["approver", "reader"]  # type: ignore[call-overload]
    _, auditor = ask(front, "GET", "/", "auditor")
    assert (auditor["caller"], auditor["roles"]) == ("spiffe://own-service/client/auditor", ["reader"])
    assert ask(front, "POST", path, "teller") == (200, {"approved": True})
    assert ask(front, "POST", path, "auditor")[0] == 403
    assert ask(front, "GET", "/", "mallory")[0] == 403
    return teller


@contextlib.contextmanager
def front_of(lab: Lab, name: str, address: HostPort) -> Iterator[Front]:
    with started(lab, name, backend=address) as running:
        yield running[name]


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def test_the_example(lab: Lab, tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    shutil.copy(EXAMPLE / "beside" / "app.py", tmp_path)
    with app(python("app.py"), tmp_path, address, {"PORT": str(address.port)}), front_of(lab, "shop", address) as front:
        knows_its_callers(front)


def test_flask(lab: Lab, tmp_path: Path) -> None:
    require(importlib.util.find_spec("flask"), "flask (pip install flask)")
    (address,) = free_addresses(1)
    (tmp_path / "flask_app.py").write_text(code("Flask", "python"))
    command = python("-m", "flask", "--app", "flask_app", "run", "--host", "127.0.0.1", "--port", str(address.port))
    with app(command, tmp_path, address, {}), front_of(lab, "shop", address) as front:
        knows_its_callers(front)
        assert directly(address) == 403


def test_fastapi(lab: Lab, tmp_path: Path) -> None:
    require(importlib.util.find_spec("fastapi") and importlib.util.find_spec("uvicorn"), "fastapi and uvicorn")
    (address,) = free_addresses(1)
    (tmp_path / "fastapi_app.py").write_text(code("FastAPI", "python"))
    command = python("-m", "uvicorn", "fastapi_app:app", "--host", "127.0.0.1", "--port", str(address.port))
    with app(command, tmp_path, address, {}), front_of(lab, "shop", address) as front:
        knows_its_callers(front)
        assert directly(address) == 403


MODULES = ROOT / "build" / "npm" / "node_modules"
"""Where tools/needs.sh lays express."""


@pytest.mark.long
def test_express(lab: Lab, tmp_path: Path) -> None:
    if not (MODULES / "express").is_dir():
        if shutil.which("npm") is None:
            pytest.skip("needs npm on PATH, which brings express")
        require(False, "express: run `sh tools/needs.sh test-long`")
    require_command("node")
    (address,) = free_addresses(1)
    (tmp_path / "server.mjs").write_text(code("Express", "js"))
    (tmp_path / "node_modules").symlink_to(MODULES)
    command = [str(which("node")), "server.mjs"]
    with app(command, tmp_path, address, {"PORT": str(address.port)}), front_of(lab, "shop", address) as front:
        knows_its_callers(front)
        assert directly(address) == 403


@pytest.mark.long
def test_asp_net_core_validates_the_forwarded_certificate_again(lab: Lab, tmp_path: Path) -> None:
    require_command("dotnet")
    (address,) = free_addresses(1)
    (tmp_path / "Program.cs").write_text(code(r"ASP\.NET Core", "csharp"))
    (tmp_path / "shop.csproj").write_text(code(r"ASP\.NET Core", "xml"))
    sdk(tmp_path, "build", "--configuration", "Release", "-warnaserror", "-p:UseAppHost=false")
    settings = {
        "Listen": f"http://{address}",
        "Front__Tls": str(lab.path("servers/asp/tls")),
        "HOME": str(tmp_path),
        **{name: value for name, value in os.environ.items() if name.startswith("DOTNET_")},
    }
    command = [str(which("dotnet")), "bin/Release/net10.0/shop.dll"]
    with app(command, tmp_path, address, settings), front_of(lab, "asp", address) as front:
        assert knows_its_callers(front)["subject"] == "CN=teller"
        assert directly(address) == 403
        assert forwarded(address, lab.path("clients/auditor/tls/cert.pem")) == 200
        assert forwarded(address, lab.path("servers/asp/tls/cert.pem")) == 403  # one for servers alone
        assert forwarded(address, lab.path("pki/issuing/ca.crt")) == 403  # one without a purpose


def forwarded(address: HostPort, certificate: Path) -> int:
    """The status of a request that shows the app a certificate in the header, past the front."""
    pem = certificate.read_text().partition("-----END")[0]
    header = {"X-ARR-ClientCert": "".join(pem.splitlines()[1:]), "X-Client-Identity": "x"}
    with contextlib.closing(http.client.HTTPConnection(address.host, address.port, timeout=60)) as connection:
        connection.request("GET", "/", headers=header)
        return connection.getresponse().status
