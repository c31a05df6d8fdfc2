"""The page of commands is what the verbs say of themselves, and the verbs do what they say."""

from __future__ import annotations

import inspect
import os
import re
import runpy
import shlex
import subprocess
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from scaffold.cli import edited, failures, plan_and_apply
from scaffold.cli.add import AddVerbs
from scaffold.cli.app import VERBS
from scaffold.cli.manual import MANUALS
from scaffold.cli.templates import TemplateVerbs
from scaffold.cli.trust import TrustVerbs
from tests.cli.harness import in_process
from tests.unit.conftest import BANK

ROOT = Path(__file__).parent.parent.parent


def test_the_page_is_up_to_date() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "command_reference.py"))
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == tool["page"](), "run tools/command_reference.py"


def test_every_verb_has_a_manual_and_nothing_else_has_one() -> None:
    groups = {"templates": TemplateVerbs.verbs, "add": AddVerbs.verbs, "trust": TrustVerbs.verbs}
    of_groups = {f"{group} {verb}" for group, verbs in groups.items() for verb in verbs}
    assert MANUALS.keys() == VERBS.keys() - groups.keys() | of_groups


def module_of(verb: str) -> ModuleType:
    return import_module(f"scaffold.cli.{verb.replace(' ', '.')}")


@pytest.mark.parametrize("verb", MANUALS)
def test_the_exit_codes_of_a_verb_are_those_that_it_documents(verb: str) -> None:
    """Those that its module, or the one that carries out what it has planned, ends with."""
    source = inspect.getsource(module_of(verb))
    if "import add_entity" in source or "cli.edited import" in source:
        source += inspect.getsource(edited)
    if "import carry_out" in source:
        source += inspect.getsource(plan_and_apply)
    ends = {getattr(failures, name) for name in re.findall(r"typer\.Exit\(failures\.([A-Z_]+)\)", source)}
    assert ends - {failures.ERROR} == MANUALS[verb].exits.keys()


@pytest.mark.parametrize("verb", MANUALS)
def test_a_verb_that_prints_json_says_which(verb: str) -> None:
    taken = inspect.signature(module_of(verb).run).parameters
    assert ("json" in taken) == bool(MANUALS[verb].json)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    (folder / "topology.yaml").write_text(BANK)
    return folder


SAID = {
    "plan": ("plan", "--json"),
    "apply": ("apply", "--json"),
    "add client": ("add", "client", "fresh", "--template", "curl", "--json"),
    "status": ("status", "--json"),
    "explain": ("explain", "teller", "accounts", "--json"),
    "report": ("report", "--json"),
    "verify": ("verify", "--json", "--ports", "auto", "--only", "client.teller"),
    "templates list": ("templates", "list", "--json"),
    "templates show": ("templates", "show", "nginx", "--json"),
    "faults": ("faults", "--json"),
    "doctor": ("doctor", "--json"),
    "trust list": ("trust", "list", "--json"),
    "renew": ("renew", "client.teller", "--json"),
    "revoke": ("revoke", "client.teller", "--reason", "superseded", "--yes", "--json"),
}


@pytest.mark.parametrize("verb", SAID)
def test_json_has_the_fields_that_are_documented(verb: str, bank: Path) -> None:
    assert in_process("apply", cwd=bank).code == 0 or verb == "plan"
    ended = in_process(*SAID[verb], cwd=bank)
    assert ended.code == 0, ended.out + ended.err
    assert list(ended.json) == list(MANUALS[verb].json)


PRINTED_ALONE = "scaffold() { printf 'scaffold %s\\n' \"$*\" >&2; }\n"
"""In the place of the command, in a shell: it says what it was given."""


@pytest.mark.parametrize("verb", MANUALS)
def test_an_example_works_in_a_shell_as_it_is_printed(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pasted from a terminal of 80 columns, into a home that has nothing."""
    monkeypatch.setenv("COLUMNS", "80")
    told = in_process(*verb.split(), "--help", cwd=tmp_path).out
    printed = told.partition("\nExample:\n")[2].partition("\n\n")[0] + "\n"
    assert all(len(line) <= 80 for line in printed.splitlines())
    shell = ["bash", "--noprofile", "--norc", "-e", "-c", PRINTED_ALONE + printed]
    done = subprocess.run(
        shell, cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": os.defpath}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [ours] = [command for command in MANUALS[verb].commands if command.startswith("scaffold ")]
    assert ours.startswith(f"scaffold {verb}")
    words = shlex.split(ours.partition(" > ")[0])
    assert done.stderr == " ".join(words) + "\n"


@pytest.mark.parametrize("verb", MANUALS)
def test_an_example_is_a_command_line_that_the_verb_takes(verb: str, bank: Path) -> None:
    """What it says may not be there; that it is misused is never the error, nor that an option is missing."""
    [ours] = [command for command in MANUALS[verb].commands if command.startswith("scaffold ")]
    if verb not in ("publish", "up", "templates new"):
        ended = in_process(*shlex.split(ours.partition(" > ")[0])[1:], cwd=bank)
        assert ended.code != 2
        assert " needs --" not in ended.err
