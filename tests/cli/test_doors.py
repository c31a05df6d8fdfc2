"""Doors of a whole topology: added by the command, opened by `up`, used by a program without TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scaffold.kinds import catalogue
from scaffold.running.availability import ends_well
from scaffold.running.ports import free_addresses
from tests.cli.harness import scaffold, up
from tests.requirements import require, require_command

TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {{}}
servers:
  legacy: {{template: python, listen: "{listen}", names: [api.internal]}}
clients:
  legacy: {{template: connector, calls: [legacy], doors: {{legacy: "{door}"}}}}
  web: {{template: curl, calls: [legacy]}}
"""


@pytest.fixture(scope="module")
def door(shop: Path) -> str:
    return (shop / "door").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server and a client of one name, applied."""
    require_command("nginx")
    tries = catalogue.builtin("connector", "client").capabilities.tries
    require(all(map(ends_well, tries.values())), " and ".join(tries))
    folder = tmp_path_factory.mktemp("shop")
    listen, door = free_addresses(2)
    (folder / "topology.yaml").write_text(TOPOLOGY.format(listen=listen, door=door), encoding="utf-8")
    (folder / "door").write_text(str(door), encoding="utf-8")
    assert scaffold("apply", cwd=folder).code == 0
    return folder


def asked(door: str) -> str:
    return subprocess.run(
        ["curl", "-q", "--silent", "--noproxy", "*", f"http://{door}/"], capture_output=True, text=True, check=True
    ).stdout


def test_up_opens_doors_beside_the_servers(shop: Path, door: str) -> None:
    with up(shop, until=f"ready: {door} forwards to legacy, as legacy") as lines:
        assert any(line.startswith("client.legacy | ready: ") for line in lines)
        assert '"caller": "spiffe://shop/client/legacy"' in asked(door)


def test_up_moves_doors_with_the_servers(shop: Path, door: str) -> None:
    with up(shop, "--ports", "auto", until=" forwards to legacy, as legacy") as lines:
        (ready,) = (line for line in lines if " forwards to " in line)
        moved = ready.split("ready: ")[1].split()[0]
        assert moved != door
        assert '"caller": "spiffe://shop/client/legacy"' in asked(moved)


def test_one_alone_is_opened_by_its_address(shop: Path, door: str) -> None:
    with up(shop, "--only", "client.legacy", until=" forwards to legacy") as lines:
        assert not [line for line in lines if line.startswith("legacy")]
        assert subprocess.run(["curl", "-q", "--silent", "--noproxy", "*", f"http://{door}/"], check=False).returncode


def test_a_client_without_doors_is_run_by_nobody(shop: Path) -> None:
    scaffold("up", "--only", "client.web", cwd=shop).assert_clear_error(
        "client.web is neither a server nor", "a client with doors"
    )


def test_call_goes_through_a_door_of_its_own(shop: Path) -> None:
    with up(shop, "--only", "server.legacy"):
        ended = scaffold("call", "client.legacy", "server.legacy", cwd=shop)
    assert ended.code == 0, ended.err
    assert '"caller": "spiffe://shop/client/legacy"' in ended.out
    assert scaffold("call", "client.legacy", "server.legacy", cwd=shop).code == 1


def test_a_client_with_doors_is_added_by_the_command(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_bytes((shop / "topology.yaml").read_bytes())
    ended = scaffold(
        "add", "client", "till", "--template", "connector", "--calls", "legacy",
        "--doors", "{legacy: unix:/run/till/api}", cwd=tmp_path,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "doors: {legacy: unix:/run/till/api}" in (tmp_path / "topology.yaml").read_text(encoding="utf-8").replace(
        '"', ""
    )
    before = (tmp_path / "topology.yaml").read_bytes()
    scaffold(
        "add", "client", "two", "--template", "connector", "--calls", "legacy", "--doors", "{legacy: 0.0.0.0:7001}",
        cwd=tmp_path,
    ).assert_clear_error("would let other machines call as this client")  # fmt: skip
    scaffold("add", "client", "two", "--template", "connector", "--calls", "legacy", cwd=tmp_path).assert_clear_error(
        "calls legacy only through a door", "doors: {legacy: 127.0.0.1:7001}"
    )
    assert (tmp_path / "topology.yaml").read_bytes() == before
