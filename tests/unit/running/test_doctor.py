"""What a topology needs of this machine: each need is found by trying, and what is missing says how to install it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from scaffold.kinds import catalogue
from scaffold.running import whereabouts
from scaffold.running.availability import version_said_by
from scaffold.running.doctor import Need, State, examine
from scaffold.running.placement import Placed
from scaffold.running.ports import free_addresses
from tests.requirements import require_command
from tests.unit.conftest import Household, write_kind

TOPOLOGY = """
version: 1
name: bank
cas: {{root: {{}}}}
servers:
  api: {{template: ./kind, listen: "127.0.0.1:{port}", names: [localhost]{more}}}
  other: {{template: ./kind, listen: "127.0.0.1:{other}", names: [localhost]}}
"""


class Place:
    """A topology of two servers whose template declares what a test says."""

    def __init__(self, folder: Path) -> None:
        self.household = Household(folder)
        self.port, self.other = (address.port for address in free_addresses(2))
        self.more = ""
        self.clients = ""

    def needs(self, **declared: object) -> Mapping[str, Need]:
        """By what is needed."""
        catalogue.find.cache_clear()
        kind = self.household.folder / "kind"
        write_kind(kind, {"run.sh": "#!/bin/sh\n"})
        file = kind / "cookiecutter.json"
        block = json.loads(file.read_text())
        block["_scaffold"] |= declared
        file.write_text(json.dumps(block))
        self.household.text = TOPOLOGY.format(port=self.port, other=self.other, more=self.more) + self.clients
        project = self.household.open()
        return {need.what: need for need in examine(project.topology, project.kinds, project.layout)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the front of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/nowhere/sh\n", "No such file or directory"),
        ("\x7fELF, and no more", "Exec format error"),
        ("#!/bin/sh\necho 'loading libodd.so failed' >&2; exit 127\n", "loading libodd.so failed"),
        ("#!/bin/sh\nexit 126\n", "it ends with 126"),
        ("#!/bin/sh\nkill -9 $$\n", "it was ended by signal 9"),
    ],
)
def test_a_program_that_does_not_start_is_missing_though_it_is_there(
    place: Place, on_path: Path, text: str, why: str
) -> None:
    (on_path / "oddd").write_text(text)
    (on_path / "oddd").chmod(0o755)
    need = place.needs(requires=["oddd"], install={"otherwise": "get an odd one"})["oddd"]
    assert (need.state, need.found) == (State.MISSING, f"{on_path / 'oddd'} does not run: {why}")
    assert need.install == "get an odd one"


def test_a_program_that_knows_no_version_and_goes_on_is_there(
    place: Place, on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaffold.running.availability._STARTS_WITHIN", 0.2)
    program(on_path, "oddd", "exec sleep 60")
    assert place.needs(requires=["oddd"])["oddd"].state is State.PRESENT


def test_what_is_there_is_shown_with_its_path_and_version(place: Place, on_path: Path) -> None:
    program(on_path, "oddd", "exit 1")
    program(on_path, "odd-version", "echo Odd 4.5.6 of today")
    needs = place.needs(requires=["oddd"], tls_library="OddTLS", tls_version=["odd-version"])
    assert (needs["oddd"].state, needs["oddd"].found) == (State.PRESENT, str(on_path / "oddd"))
    assert [str(address) for address in needs["oddd"].of] == ["server.api", "server.other"]
    assert (needs["OddTLS"].state, needs["OddTLS"].found) == (State.PRESENT, "4.5.6")


def test_what_is_missing_says_how_to_install_it_with_the_manager_that_is_there(place: Place, on_path: Path) -> None:
    program(on_path, "zget", "")
    install = {"yget": "yget oddd", "zget": "zget install oddd", "otherwise": "build it"}
    missing = place.needs(requires=[["oddd", "/nowhere/*/odde"]], install=install)["oddd or odde"]
    assert (missing.state, missing.found, missing.install) == (State.MISSING, "not installed", "zget install oddd")
    install.pop("zget")
    assert place.needs(requires=["oddd"], install=install)["oddd"].install == "build it"
    assert place.needs(requires=["oddd"])["oddd"].install is None


def test_a_template_without_a_program_needs_no_library(place: Place) -> None:
    place.clients = "clients: {mine: {template: files, calls: [api]}}\n"
    assert place.needs()


def test_one_of_a_group_is_enough(place: Place, on_path: Path) -> None:
    program(on_path, "odde", "")
    assert place.needs(requires=[["oddd", "odde"]])["oddd or odde"].found == str(on_path / "odde")


def test_what_has_no_command_of_its_own_is_tried(place: Place, on_path: Path) -> None:
    program(on_path, "zget", "exit 0")
    for ending, state, found in (("true", State.PRESENT, "there"), ("false", State.MISSING, "not there")):
        needs = place.needs(tries={"the odd module": ["sh", "-c", ending]}, install={"zget": "zget install odd-module"})
        need = needs["the odd module"]
        assert (need.state, need.found) == (state, found)
        assert need.install == (None if state is State.PRESENT else "zget install odd-module")
        assert "OddTLS" not in needs or needs["OddTLS"].state is not State.MISSING


def test_what_is_missing_is_not_asked_for_its_version(place: Place) -> None:
    assert "OddTLS" not in place.needs(requires=["oddd"], tls_library="OddTLS")


def test_a_library_that_says_no_version_is_a_note(place: Place) -> None:
    assert place.needs(tls_library="OddTLS", tls_version=["true"])["OddTLS"].state is State.NOTE


def test_a_library_that_is_too_old_for_a_key_is_missing_for_that_server(place: Place, on_path: Path) -> None:
    program(on_path, "odd-version", "echo 2.0")
    place.more = ", key: ed25519"
    keys = {"ec-p256": "1.1.1", "ed25519": "4.0"}
    needs = place.needs(tls_library="OddTLS", tls_version=["odd-version"], keys=keys, peer_keys=keys)
    assert needs["OddTLS"].state is State.MISSING
    assert needs["OddTLS"].found == "server.api needs OddTLS 4.0 for a ed25519 key, and it has 2.0"
    assert [str(address) for address in needs["OddTLS"].of] == ["server.api"]


def test_a_port_that_is_taken_is_a_note(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen()
        needs = place.needs()
        need = needs[f"127.0.0.1:{place.port} for server.api"]
        assert need.state is State.NOTE
        assert need.install is not None
        assert "--ports auto" in need.install
        assert needs[f"127.0.0.1:{place.other} for server.other"].state is State.PRESENT


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows who listens")
def test_what_an_up_runs_is_not_for_others_to_stop(place: Place) -> None:
    health, publish = free_addresses(2)
    place.more = f', health: "{health}"'
    place.clients = f"publish: http://ca.internal:{publish.port}\n"
    assert all(need.state is State.PRESENT for what, need in place.needs().items() if " for " in what)
    project = place.household.open()
    api = project.topology.servers["api"]
    with contextlib.ExitStack() as listening, whereabouts.told(project.layout) as tell:
        for port in (place.port, health.port, place.other, publish.port):
            listening.enter_context(socket.create_server(("127.0.0.1", port)))
        assert [need.found for need in place.needs().values() if "`scaffold up`" in need.found] == [
            f"`scaffold up` (process {os.getpid()}) runs it there"  # the publisher, which runs in its own process
        ]
        tell({"api": Placed(api, api.listen, api.health)})
        needs = place.needs()
    by_up = [what for what, need in needs.items() if need.found.startswith("`scaffold up`")]
    assert by_up == [
        f"127.0.0.1:{place.port} for server.api", f"{health} for server.api's health port", f"{publish} for publish",
    ]  # fmt: skip
    assert {needs[what].state for what in by_up} == {State.NOTE}
    assert not any("stop" in (needs[what].install or "") for what in by_up)
    assert "stop" in (needs[f"127.0.0.1:{place.other} for server.other"].install or "")


def test_an_address_of_another_machine_is_said_to_be_one(place: Place) -> None:
    place.more = ', health: "192.0.2.1:8080"'
    need = place.needs()["192.0.2.1:8080 for server.api's health port"]
    assert (need.state, need.found) == (State.NOTE, "this machine has no such address")


def test_the_port_of_a_door_is_tried_and_a_socket_has_none(place: Place) -> None:
    (address,) = free_addresses(1)
    doors = f'{{api: "{address}", other: "unix:{place.household.folder}/door"}}'
    client = f"{{template: connector, calls: [api, other], doors: {doors}}}"
    place.clients = f"clients:\n  legacy: {client}\n"
    what = f"{address} for the door of client.legacy to api"
    assert place.needs()[what].state is State.PRESENT
    assert [need for need in place.needs() if "door of" in need] == [what]
    with socket.socket() as taken:
        taken.bind((address.host, address.port))
        taken.listen()
        need = place.needs()[what]
    assert need.state is State.NOTE
    assert [str(one) for one in need.of] == ["client.legacy"]


def test_a_folder_that_takes_no_file_is_missing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (need,) = [need for what, need in place.needs().items() if what.startswith("to write in ")]
    assert need.state is State.PRESENT
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    (need,) = [need for what, need in place.needs().items() if what.startswith("to write in ")]
    assert (need.state, need.found) == (State.MISSING, "Permission denied")


def test_nothing_is_left_behind(place: Place) -> None:
    place.needs()
    assert sorted(path.name for path in place.household.folder.iterdir()) == ["kind", "topology.yaml"]


@pytest.mark.parametrize("role", ["server", "client"])
def test_every_built_in_template_that_needs_a_program_says_how_to_install_it(role: str) -> None:
    for kind in catalogue.builtins(role):
        assert not kind.capabilities.requires or {"brew", "dnf"} <= kind.capabilities.install.keys(), kind.name


def test_the_version_that_a_template_asks_for_is_that_of_its_library() -> None:
    """And not of the program that was asked, which is far higher."""
    require_command("curl", "openssl")
    asked = catalogue.builtin("curl", "client").capabilities.tls_version
    version, openssl = version_said_by(asked), version_said_by(("openssl", "version"))
    assert version is not None
    assert openssl is not None
    assert version[0] == openssl[0]
