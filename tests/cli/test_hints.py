"""The mistakes of a first day: each is one clear error, with a hint that works when it is followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.harness import Ended, in_process, snapshot

TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {}
servers:
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  cli: {template: python, calls: [api]}
"""

MISTAKES: dict[str, tuple[list[str], int, tuple[str, ...]]] = {
    "a verb": (["plam"], 2, ("Did you mean 'plan'?",)),
    "a verb of other tools": (["lst"], 2, ("Did you mean 'status'?",)),
    "another such verb": (["rnu"], 2, ("Did you mean 'up'?",)),
    "an option": (["plan", "--jsn"], 2, ("--json",)),
    "the topology as an argument": (["plan", "topology.yaml"], 2, ("scaffold plan -f topology.yaml",)),
    "the topology as a plan": (["apply", "topology.yaml"], 1, ("hint:", "scaffold apply -f topology.yaml")),
    "no topology": (["plan", "-f", "nope.yaml"], 1, ("there is no file nope.yaml", "hint: `scaffold init`")),
    "a folder": (["plan", "-f", "."], 1, ("Is a directory", "hint: name the file in it: -f topology.yaml")),
    "no plan": (["apply", "nope.plan"], 1, ("cannot read the plan", "hint: `scaffold plan --save FILE`")),
    "no folder for the plan": (["plan", "--save", "nope/p"], 1, ("cannot save", "hint: give --save a file")),
    "a bare name": (["verify", "--only", "api"], 1, ('hint: did you mean "server.api"?',)),
    "a misspelt name": (["verify", "--only", "server.apo"], 1, ('hint: did you mean "server.api"?',)),
    "two to verify": (["verify", "--only", "server.api", "--only", "client.cli"], 2, ("takes one server or client",)),
    "a CA to verify": (["verify", "--only", "ca.root"], 1, ("there is no server or client ca.root", "hint:")),
    "a topology as the report": (
        ["verify", "--junit", "topology.yaml"],
        1,
        ("topology.yaml exists, and scaffold did not write it", "hint: give --junit the name of a new file"),
    ),
    "no folder for the report": (["verify", "--junit", "nope/r.xml"], 1, ("there is no folder nope", "hint: make it")),
    "a part": (["renew", "server.api.cert"], 1, ("hint: did you mean",)),
    "not a reason": (["revoke", "server.api"], 2, ("give a reason of RFC 5280: keyCompromise",)),
    "another reason": (["revoke", "server.api", "--reason", "stolen"], 1, ("hint: one of unspecified",)),
    "nothing on hold": (["revoke", "client.cli", "--release"], 1, ("not on hold", "hint: `scaffold status`")),
    "no unit": (["status", "--within", "3"], 2, ('"3" is not a duration: ',)),
    "months": (["status", "--within", "3mo"], 2, ('"3mo" is not a duration: ',)),
    "no file": (["inspect", "nope.pem"], 1, ("cannot be read", "hint: paths are relative to this folder")),
    "no PKI": (["inspect", "topology.yaml"], 1, ("is not a certificate", "hint: name a file of a PKI")),
    "no publisher": (["publish"], 1, ("has no `publish`", "hint: add `publish:")),
    "no caller": (["call", "cly", "api"], 1, ('hint: did you mean "cli"?',)),
    "the wrong way round": (
        ["call", "api", "cli"],
        1,
        ("makes no calls", "hint: did you mean `scaffold call cli api`?"),
    ),
    "a server that calls nobody": (["call", "api", "api"], 1, ("makes no calls", "hint: `calls: [SERVER]`")),
    "no conflict": (["resolve", "server.api"], 1, ("no conflict", "hint: `scaffold plan`")),
    "what nothing overwrites": (["apply", "--overwrite", "ca.root"], 1, ("hint: use one of server.api",)),
    "a topology that is there": (["init"], 1, ("is there already", "hint: choose another place with -f")),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first-day")
    (folder / "topology.yaml").write_text(TOPOLOGY)
    assert in_process("apply", cwd=folder).code == 0
    return folder


def said(ended: Ended) -> str:
    return " ".join((ended.out + ended.err).split())


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_what_helps(made: Path, arguments: list[str], code: int, words: tuple[str, ...]) -> None:
    before = snapshot(made)
    ended = in_process(*arguments, cwd=made)
    assert ended.code == code, said(ended)
    for word in words:
        assert word in said(ended)
    assert said(ended).lower().count("error: ") == 1
    assert snapshot(made) == before


def test_a_topology_is_taken_where_the_hint_puts_it(made: Path) -> None:
    assert in_process("plan", "-f", "topology.yaml", cwd=made).code == 0
    ended = in_process("plan", "surplus", cwd=made)
    assert ended.code == 2
    assert "-f" not in said(ended).partition("Error:")[2]
