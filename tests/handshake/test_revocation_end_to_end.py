"""From `scaffold revoke` to a closed door: projects that were copied to their hosts, and a publisher that they ask."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from tests.handshake.nginx_lab import until
from tests.handshake.python_lab import call, running
from tests.requirements import require_command

require_command("openssl", "curl")

TOPOLOGY = """
version: 1
name: bank
publish: http://127.0.0.1:{publish}
cas:
  root: {{subject: {{common_name: Root}}}}
  issuing: {{issuer: root, subject: {{common_name: Issuing}}}}
servers:
  lists: {{template: python, issuer: issuing, listen: 127.0.0.1:{lists}, names: [localhost], check_revocation: crl}}
  asks: {{template: python, issuer: issuing, listen: 127.0.0.1:{asks}, names: [localhost], check_revocation: ocsp}}
clients:
  teller: {{template: python, issuer: issuing, calls: [lists, asks], check_revocation: ocsp}}
  cashier: {{template: curl, issuer: issuing, calls: [lists, asks], check_revocation: crl}}
"""
REFUSED, NOT_TRUSTED = 4, 3


def scaffold(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "scaffold", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def publishing(folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "scaffold", "publish"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert any('"ready"' in line for line in iter(process.stdout.readline, ""))
        yield
    finally:
        process.terminate()
        process.communicate(timeout=90)


def refresh(project: Path) -> None:
    done = subprocess.run([project / "refresh.sh"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def bank(tmp_path) -> Path:
    """The folder of the topology, applied; its projects are copied to `hosts` beside it."""
    publish, lists, asks = free_addresses(3)
    text = TOPOLOGY.format(publish=publish.port, lists=lists.port, asks=asks.port)
    (tmp_path / "topology.yaml").write_text(text)
    scaffold(tmp_path, "apply", "--yes")
    for role in ("servers", "clients"):
        shutil.copytree(tmp_path / "bank" / role, tmp_path / "hosts", dirs_exist_ok=True)
    return tmp_path


def port_of(project: Path) -> int:
    return int(json.loads((project / "settings.json").read_text())["listen"].rpartition(":")[2])


def test_a_revoked_client_is_refused_by_those_who_list_and_by_those_who_ask(bank):
    hosts = bank / "hosts"
    lists, asks, teller, cashier = (hosts / name for name in ("lists", "asks", "teller", "cashier"))
    with publishing(bank), running(lists, port_of(lists)), running(asks, port_of(asks)):
        assert call(cashier).returncode == 0
        assert call(teller, "lists").returncode == 0  # `asks` would remember that it is good
        scaffold(bank, "revoke", "client.teller", "--reason", "keyCompromise", "--no-replace", "--yes")

        def is_known() -> bool:
            refresh(lists)
            return call(teller, "lists").returncode == REFUSED

        until(is_known)
        asked = call(teller, "asks")
        assert asked.returncode == REFUSED
        assert "revoked (OCSP: keyCompromise)" in asked.stderr
        assert call(cashier).returncode == 0


def test_a_revoked_server_is_not_trusted(bank):
    hosts = bank / "hosts"
    lists, teller, cashier = (hosts / name for name in ("lists", "teller", "cashier"))
    with publishing(bank), running(lists, port_of(lists)):
        assert call(teller, "lists").returncode == 0
        assert call(cashier, "lists").returncode == 0
        scaffold(bank, "revoke", "server.lists", "--reason", "superseded", "--no-replace", "--yes")
        until(lambda: call(teller, "lists").returncode == NOT_TRUSTED)
        assert "revoked (OCSP: superseded)" in call(teller, "lists").stderr

        def is_known() -> bool:
            refresh(cashier)
            return call(cashier, "lists").returncode == NOT_TRUSTED

        until(is_known)


def test_a_check_that_comes_later_works_beside_a_persons_route(tmp_path):
    """routes.py was edited; then the topology asks for revocation: nothing is half applied, and nothing conflicts."""
    publish, lists, asks = free_addresses(3)
    text = TOPOLOGY.format(publish=publish.port, lists=lists.port, asks=asks.port)
    topology = tmp_path / "topology.yaml"
    topology.write_text(text.replace("names: [localhost], check_revocation: ocsp", "names: [localhost]"))
    scaffold(tmp_path, "apply", "--yes")
    server, teller = tmp_path / "bank/servers/asks", tmp_path / "bank/clients/teller"
    routes = server / "routes.py"
    mine = routes.read_text() + "\nROUTES['POST /'] = lambda request: Answer({'paid': True})\n"
    routes.write_text(mine)
    topology.write_text(text)
    scaffold(tmp_path, "apply", "--yes")
    assert routes.read_text() == mine
    assert not list(server.rglob("*.new"))

    def pay() -> str:
        command = ["curl", "-sS", "--cacert", "tls/ca.pem", "--cert", "tls/cert.pem", "--key", "tls/key.pem"]
        url = f"https://localhost:{asks.port}/"
        return subprocess.run(
            [*command, "-X", "POST", url], cwd=teller, capture_output=True, text=True, timeout=90, check=False
        ).stdout

    with publishing(tmp_path), running(server, asks.port):
        assert pay() == '{"paid": true}\n'
    # While nobody publishes: a publisher looks at the folder once a second, and a good answer is believed to its end.
    scaffold(tmp_path, "revoke", "client.teller", "--reason", "superseded", "--no-replace", "--yes")
    with publishing(tmp_path), running(server, asks.port):
        assert "revoked" in pay()
