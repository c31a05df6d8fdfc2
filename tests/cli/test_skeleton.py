"""What holds for every verb: help, versions, usage errors, manners in pipes, and what is not imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold import __version__
from scaffold.cli.add import AddVerbs
from scaffold.cli.app import VERBS
from scaffold.cli.manual import MANUALS
from scaffold.cli.templates import TemplateVerbs
from scaffold.cli.trust import TrustVerbs
from tests.cli.harness import scaffold

ROOT = Path(__file__).parents[2]


def test_version(tmp_path: Path) -> None:
    ended = scaffold("--version", cwd=tmp_path)
    assert (ended.code, ended.out) == (0, f"scaffold {__version__}\n")


def test_help_names_every_verb(tmp_path: Path) -> None:
    ended = scaffold("--help", cwd=tmp_path)
    assert ended.code == 0
    for verb in VERBS:
        assert f"  {verb} " in ended.out


GROUPS = {"templates": TemplateVerbs.verbs, "add": AddVerbs.verbs, "trust": TrustVerbs.verbs}
"""Verbs that are several."""


VERBS_ALONE = [verb for verb in VERBS if verb not in GROUPS]
OF_NO_TOPOLOGY = ("faults",)


@pytest.mark.parametrize("verb", VERBS_ALONE)
def test_every_verb_has_help_with_an_example_and_its_exit_codes(verb: str, tmp_path: Path) -> None:
    ended = scaffold(verb, "--help", cwd=tmp_path)
    assert ended.code == 0
    assert f"\n  scaffold {verb}" in ended.out.partition("\nExample:")[2].partition("\n\n")[0]
    assert "Exit codes:\n  0  done\n  1  an error" in ended.out
    for code in MANUALS[verb].exits:
        assert f"\n  {code}  " in ended.out
    said = " ".join(ended.out.split())
    assert ("ca.NAME, server.NAME or client.NAME" in said) == ("ADDRESS" in said.replace("ADDRESS:", ""))


@pytest.mark.parametrize("verb", VERBS_ALONE)
def test_file_and_out_are_taken_by_every_verb_and_shown_where_they_mean_something(verb: str, tmp_path: Path) -> None:
    ended = scaffold(verb, "--help", cwd=tmp_path)
    assert ("-f, --file FILE" in ended.out) == (verb not in ("completion", "faults", "inspect", "schema"))
    assert ("--out DIR" in ended.out) == (verb not in ("completion", "faults", "inspect", "schema", "validate"))
    if verb in OF_NO_TOPOLOGY:
        return
    usage = scaffold(verb, "-f", "nope.yaml", "--out", "nope", cwd=tmp_path)
    assert "No such option" not in usage.err


def test_the_help_of_init_names_the_examples(tmp_path: Path) -> None:
    said = "".join(scaffold("init", "--help", cwd=tmp_path).out.split())
    for example in (ROOT / "examples").glob("*/topology.yaml"):
        assert example.parent.name in said


@pytest.mark.parametrize("role", AddVerbs.verbs)
def test_every_verb_that_adds_takes_file_and_out(role: str, tmp_path: Path) -> None:
    ended = scaffold("add", role, "--help", cwd=tmp_path)
    assert "-f, --file FILE" in ended.out
    assert "--out DIR" in ended.out


@pytest.mark.parametrize(("group", "verb"), [(group, verb) for group, verbs in GROUPS.items() for verb in verbs])
def test_every_verb_of_a_group_has_help(group: str, verb: str, tmp_path: Path) -> None:
    assert f"  {verb} " in scaffold(group, "--help", cwd=tmp_path).out
    ended = scaffold(group, verb, "--help", cwd=tmp_path)
    assert ended.code == 0
    assert f"scaffold {group} {verb}" in ended.out
    assert not (SLOW | {"yaml"}) & loaded_by(group, verb, "--help", cwd=tmp_path)


def test_a_misspelt_verb_is_a_usage_error_with_a_suggestion(tmp_path: Path) -> None:
    ended = scaffold("aply", cwd=tmp_path)
    assert ended.code == 2
    assert "'apply'" in ended.err


SLOW = {
    "asn1crypto", "asyncio", "cookiecutter", "cryptography", "jinja2", "OpenSSL", "pydantic", "rich", "starlette",
    "uvicorn",
}  # fmt: skip


def loaded_by(*arguments: str, cwd: Path) -> set[str]:
    """The top-level modules that are loaded once the command has run."""
    program = (
        "import sys; from scaffold.cli.app import run; code = run(sys.argv[1:]); "
        "print(code, *{m.split('.')[0] for m in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=cwd, capture_output=True, text=True, check=True
    )
    code, *modules = done.stderr.split()
    assert code == "0", done
    return set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)], ids=" ".join)
def test_help_loads_nothing_slow(arguments: list[str], tmp_path: Path) -> None:
    assert not (SLOW | {"yaml"}) & loaded_by(*arguments, cwd=tmp_path)


@pytest.mark.parametrize("verb", ["validate", "graph", "schema"])
def test_what_only_reads_the_topology_loads_nothing_slow(verb: str) -> None:
    loaded = loaded_by(verb, cwd=ROOT / "examples" / "minimal")
    assert not SLOW & loaded
    assert ("yaml" in loaded) == (verb != "schema")


def test_what_is_slow_is_seen_where_it_is_loaded(tmp_path: Path) -> None:
    loaded = loaded_by("plan", "--out", str(tmp_path), cwd=ROOT / "examples" / "minimal")
    assert "cryptography" in loaded
    assert "OpenSSL" not in loaded, "only probes talk TLS"


def test_a_missing_topology_is_said_with_a_hint(tmp_path: Path) -> None:
    scaffold("validate", cwd=tmp_path).assert_clear_error("topology.yaml", "hint: ")


def test_a_defect_is_one_line_and_its_details_are_one_variable_away(tmp_path: Path) -> None:
    program = "from scaffold.cli import failures\ndef f(): raise ZeroDivisionError('a\\nb')\n"
    program += "raise SystemExit(failures.guard(f))"
    run = [sys.executable, "-c", program]
    quiet = subprocess.run(run, capture_output=True, text=True, check=False)
    assert quiet.returncode == 1
    assert quiet.stderr.splitlines()[0] == "error: ZeroDivisionError: a\\nb"
    assert "defect" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    loud = subprocess.run(
        run, capture_output=True, text=True, check=False, env={**os.environ, "SCAFFOLD_TRACEBACK": "1"}
    )
    assert "Traceback" in loud.stderr


def test_a_reader_that_leaves_ends_the_command_quietly() -> None:
    program = "from scaffold.cli import failures\nimport os\ndef f():\n for _ in range(100000): print('x' * 50)\n"
    program += "os._exit(failures.guard(f))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_ctrl_c_ends_with_130_and_no_traceback() -> None:
    program = "from scaffold.cli import failures\ndef f(): raise KeyboardInterrupt\nraise SystemExit(failures.guard(f))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
