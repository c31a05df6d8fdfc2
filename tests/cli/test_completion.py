"""A shell completes verbs, options, the addresses and names of the topology at hand, templates and fixed words."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaffold.cli.completion import VARIABLE
from scaffold.kinds.catalogue import builtin_names
from scaffold.pki.revocation_reasons import GIVEN
from scaffold.topology.model import Fault
from tests.cli.harness import in_process
from tests.cli.shells import Terminal
from tests.requirements import require_command

TOPOLOGY = """\
version: 1
name: shop
cas: {root: {}}
servers:
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost], calls: [store]}
  store: {template: python, listen: 127.0.0.1:8444, names: [localhost]}
clients:
  web: {template: curl, calls: [api]}
"""

Offer = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    (tmp_path / "below").mkdir()
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/scaffold"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m scaffold "$@"\n')
    command.chmod(0o755)
    return tmp_path


@pytest.fixture
def offer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """The values that the command offers for the last of some words, once it was seen to say nothing else."""
    monkeypatch.setenv(VARIABLE, "1")

    def values(*words: str, cwd: Path = folder) -> list[str]:
        ended = in_process(*words, cwd=cwd)
        assert (ended.code, ended.err) == (0, "")
        return [line.partition("\t")[0] for line in ended.out.splitlines()]

    return values


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ver"], ["verify"]),
        (["explain", "server."], ["server.api", "server.store"]),
        (["explain", "client.web", "s"], ["server.api", "server.store", "store"]),
        (["explain", "client.web", "a"], ["api"]),
        (["call", ""], ["server.api", "server.store", "client.web"]),
        (["call", "w"], ["web"]),
        (["call", "web", "st"], ["store"]),
        (["up", "--only", "client"], []),
        (["verify", "--only", ""], ["server.api", "server.store", "client.web"]),
        (["verify", "--on"], ["--only"]),
        (["revoke", "c"], ["ca.root", "client.web"]),
        (["revoke", "w"], []),
        (["revoke", "client.web", "--reason", "ce"], ["cessationOfOperation", "certificateHold"]),
        (["trust", ""], ["install", "uninstall", "list"]),
        (["trust", "install", ""], ["ca.root"]),
        (["trust", "list", "--store", ""], ["system", "nss", "java"]),
        (["trust", "list", "--store=n"], ["--store=nss"]),
        (["trust", "list", "--store", "=", "n"], ["nss"]),  # bash makes three words of it
        (["graph", "--format", ""], ["mermaid", "dot", "svg", "html"]),
        (["init", "--example", "min"], ["minimal"]),
        (["add", "server", "new", "--issuer", ""], ["root"]),
        (["add", "server", "new", "--trusts", ""], ["root"]),
        (["add", "server", "new", "--called-by", "web,"], ["web,api", "web,store"]),
        (["add", "server", "new", "--upstream", "s"], ["store"]),
        (["add", "server", "new", "--tls", "m"], ["modern"]),
        (["add", "client", "new", "--calls", ""], ["api", "store"]),
        (["add", "client", "new", "--calls", "api,s"], ["api,store"]),
        (["add", "client", "new", "--calls", "api,"], ["api,store"]),
        (["no-such-verb", ""], []),
    ],
)
def test_what_is_offered(offer: Offer, words: list[str], offered: list[str]) -> None:
    assert offer(*words) == offered


def test_templates_faults_and_reasons_are_offered_whole(offer: Offer) -> None:
    assert offer("add", "server", "new", "--template", "") == list(builtin_names("server"))
    assert offer("add", "client", "new", "--template", "") == list(builtin_names("client"))
    assert offer("templates", "show", "") == [*builtin_names("server"), *builtin_names("client")]
    assert offer("add", "client", "new", "--fault", "") == [fault.value for fault in Fault]
    assert offer("revoke", "--reason", "") == [reason.value for reason in GIVEN]


def test_a_name_of_two_is_not_offered(folder: Path, offer: Offer) -> None:
    (folder / "topology.yaml").write_text(TOPOLOGY.replace("web:", "store:"))
    assert offer("explain", "st") == []
    assert offer("explain", "server.st") == ["server.store"]


def test_each_verb_is_offered_with_its_line_and_none_is_imported(folder: Path) -> None:
    script = (
        "import sys; from scaffold.cli.app import VERBS, run; code = run(['']); "
        "print(sorted(v for v in VERBS if v != 'completion' and f'scaffold.cli.{v}' in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env={VARIABLE: "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "verify\tProve by real handshakes which callers get in and which are refused.\n" in done.stdout
    assert done.stderr == "[]\n"


def test_addresses_are_those_of_the_topology_at_hand(folder: Path, offer: Offer) -> None:
    assert offer("explain", "c", cwd=folder / "below") == ["client.web"]
    (folder / "other.yaml").write_text(TOPOLOGY.replace("web:", "desk:"))
    assert offer("explain", "-f", "other.yaml", "c") == ["client.desk"]


@pytest.mark.parametrize("text", ["version: 1\nservers: [", "version: 2\n", "\x00", TOPOLOGY.replace("root", "ROOT")])
def test_a_topology_that_cannot_be_read_offers_nothing_and_says_nothing(folder: Path, offer: Offer, text: str) -> None:
    (folder / "topology.yaml").write_text(text)
    assert offer("explain", "c") == []
    assert offer("add", "server", "new", "--issuer", "") == []
    assert offer("verify", "--on") == ["--only"]


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, folder: Path) -> Iterator[Terminal]:
    with contextlib.closing(Terminal(request.param, folder)) as terminal:
        yield terminal


def test_the_tabulator_completes_in_each_shell(folder: Path, shell: Terminal) -> None:
    shell.type("scaffold ver\t")
    shell.until(b"verify")
    shell.type("--on\t")
    shell.until(b"--only")
    shell.type("client\t")
    shell.until(b"client.web")
    shell.type("\x15scaffold trust list --store=ja\t")
    shell.until(b"--store=java")
    shell.type("\x15scaffold validate -f topo\t")
    shell.until(b"topology.yaml")
    (folder / "topology.yaml").write_text("version: 1\nservers: [")
    shell.type("\x15scaffold explain client\t\x15echo it is 'quiet'\n")
    shown = shell.until(b"it is quiet")
    assert b"client.web" not in shown
    assert b"rror" not in shown


def test_no_shell_runs_what_a_topology_of_somebody_else_says(folder: Path, shell: Terminal) -> None:
    evil = r'"./\\$(touch run)`touch run`\"; touch run; \"\\\"$(touch run)[/x]"'
    (folder / "topology.yaml").write_text(TOPOLOGY.replace("template: curl", f"template: {evil}"))
    shell.type("scaffold explain client\t")
    shell.until(b"client.web")
    shell.type("\x15scaffold explain \t\tclient\t")
    shell.until(b"client.web")
    shell.type("\x15echo it is 'over'\n")
    shell.until(b"it is over")
    assert not (folder / "run").exists()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_understands_its_script(name: str, tmp_path: Path) -> None:
    ended = in_process("completion", name, cwd=tmp_path)
    assert ended.code == 0
    assert VARIABLE in ended.out
    (tmp_path / "script").write_text(ended.out)
    subprocess.run([require_command(name), "-n", "script"], cwd=tmp_path, check=True, capture_output=True, timeout=60)


def test_another_shell_is_told_which_there_are(tmp_path: Path) -> None:
    ended = in_process("completion", "csh", cwd=tmp_path)
    assert ended.code == 2
    assert "bash" in ended.err
