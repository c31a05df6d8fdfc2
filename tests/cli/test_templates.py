"""`scaffold templates`: the list, what one declares, a new one; what is wrong is said clearly, and nothing changed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold.kinds import catalogue
from tests.cli.harness import in_process as scaffold
from tests.cli.harness import scaffold as spawned
from tests.unit.conftest import write_kind


def test_the_list_has_every_built_in_template(tmp_path: Path) -> None:
    ended = scaffold("templates", "list", "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    listed = [(one["role"], one["template"]) for one in ended.json["templates"]]
    assert listed == [(role, name) for role in ("server", "client") for name in catalogue.builtin_names(role)]
    said = scaffold("templates", "list", cwd=tmp_path).out
    for one in ended.json["templates"]:
        assert one["summary"] in said
        assert bool(one["mutations"]) is one["runs"], one["template"]


def test_what_a_template_declares_and_what_it_cannot_do(tmp_path: Path) -> None:
    ended = scaffold("templates", "show", "haproxy", cwd=tmp_path)
    assert ended.code == 0, ended.err
    shown = dict(line.strip().split("  ", 1) for line in ended.out.splitlines() if line.startswith("  "))
    assert "greeting: 'hello'" in shown["variables"]
    assert "check_revocation: ocsp" in shown["cannot"]
    assert "README.md" in shown["merged files"]
    assert "run.sh" not in shown["merged files"]
    assert "who is not allowed is let in" in shown["verify notices if"]
    assert "ocsp" in scaffold("templates", "show", "nginx", cwd=tmp_path).out.partition("cannot")[0]


def test_a_name_of_both_roles_is_shown_twice_and_checked_by_its_role(tmp_path: Path) -> None:
    shown = scaffold("templates", "show", "python", "--json", cwd=tmp_path).json["templates"]
    assert [one["role"] for one in shown] == ["server", "client"]
    alone = scaffold("templates", "show", "python", "--role", "client", "--json", cwd=tmp_path).json["templates"]
    assert [one["role"] for one in alone] == ["client"]
    scaffold("templates", "check", "python", cwd=tmp_path).assert_clear_error("--role server")


def test_a_template_of_ones_own_is_shown_by_its_folder(tmp_path: Path) -> None:
    made = scaffold("templates", "new", "mine", "--from", "python", "--role", "client", cwd=tmp_path)
    assert made.code == 0, made.err
    assert "scaffold templates check mine" in made.out
    (shown,) = scaffold("templates", "show", "mine", "--json", cwd=tmp_path).json["templates"]
    assert (shown["role"], shown["builtin"]) == ("client", False)
    wrong = scaffold("templates", "check", "mine", "--role", "server", cwd=tmp_path)
    wrong.assert_clear_error("is for clients, not for servers")


def test_what_is_checked_can_be_chosen(tmp_path: Path) -> None:
    ended = scaffold("templates", "check", "curl", "--only", "run-sh", "--only", "readme", cwd=tmp_path)
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.splitlines()[-1] == "Check: 2 passed, 0 failed, 0 skipped."
    wrong = scaffold("templates", "check", "curl", "--only", "redme", cwd=tmp_path)
    assert wrong.code == 2
    assert 'did you mean "readme"' in wrong.err


def test_a_check_that_fails_is_exit_5(tmp_path: Path) -> None:
    scaffold("templates", "new", "mine", "--from", "curl", cwd=tmp_path)
    (tmp_path / "mine/{{cookiecutter.name}}/run.sh").chmod(0o644)
    ended = scaffold("templates", "check", "mine", "--only", "run-sh", cwd=tmp_path)
    assert ended.code == 5
    assert "✗ run-sh  run.sh is not executable" in ended.out


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A template whose server never says that it is ready."""
    write_kind(tmp_path / "silent", {"README.md": "# Silent\n", "run.sh": "#!/bin/sh\nexec sleep 600\n"})
    values = json.loads((tmp_path / "silent/cookiecutter.json").read_text())
    values["_scaffold"]["mutations"] = [{"breaks": "its name", "change": {"README.md": {"Silent": "Loud"}}}]
    (tmp_path / "silent/cookiecutter.json").write_text(json.dumps(values))
    return tmp_path


def test_no_check_waits_for_a_server_for_longer_than_is_said(silent: Path) -> None:
    """Two minutes are the default of each; the command has as long for all of them."""
    names = ["ready", "verify", "mutation: its name"]
    options = [option for name in names for option in ("--only", name)]
    ended = spawned("templates", "check", "silent", "--within", "1", *options, cwd=silent)
    assert ended.code == 5, ended.err
    for line in ended.out.splitlines()[: len(names)]:
        assert line.startswith("✗")
        assert "did not report that it is ready" in line


def test_what_cannot_be_copied_is_a_check_that_fails(silent: Path) -> None:
    """A server may leave a socket or a pipe in its folder."""
    script = silent / "silent/{{cookiecutter.name}}/run.sh"
    script.write_text('#!/bin/sh\ncd -- "$(dirname -- "$0")"\n[ -e pipe ] || mkfifo pipe\nexec sleep 600\n')
    names = ["ready", "copied", "mutation: its name"]
    options = [option for name in names for option in ("--only", name)]
    ended = scaffold("templates", "check", "silent", "--within", "1", *options, cwd=silent)
    assert ended.code == 5, ended.err
    assert ended.out.count("cannot be copied: ") == 2, ended.out


def test_each_check_is_told_as_it_ends(silent: Path) -> None:
    command = [sys.executable, "-m", "scaffold", "templates", "check", "silent", "--only", "run-sh", "--only", "ready"]
    with subprocess.Popen(command, cwd=silent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("✓ run-sh")
        assert process.poll() is None, "the second waits for its server"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def no_block(values: dict[str, object]) -> None:
    del values["_scaffold"]


def owned_twice(values: dict[str, object]) -> None:
    values["_scaffold"]["owners"] = {"yours": ["run.sh"], "merged": ["run.*"]}  # type: ignore[index]


def owned_by_nobody(values: dict[str, object]) -> None:
    values["_scaffold"]["owners"] = {"merged": ["READYOU.md"]}  # type: ignore[index]


def wrong_mutation(values: dict[str, object]) -> None:
    values["_scaffold"]["mutations"] = [{"breaks": "all"}]  # type: ignore[index]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (no_block, "has no _scaffold block"),
        (owned_twice, "names run.sh twice"),
        (owned_by_nobody, 'names "READYOU.md", and the template has no such file'),
        (wrong_mutation, '_scaffold.mutations must have "breaks", "change" and optionally "caught_by" in each'),
    ],
)
def test_what_is_no_template_is_one_clear_error(break_it, said: str, tmp_path: Path) -> None:
    scaffold("templates", "new", "mine", cwd=tmp_path)
    file = tmp_path / "mine/cookiecutter.json"
    values = json.loads(file.read_text())
    break_it(values)
    file.write_text(json.dumps(values))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for verb in ("show", "check"):
        scaffold("templates", verb, "mine", cwd=tmp_path).assert_clear_error(said)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "./nothing"], "is not a folder"),
        (["check", "./nothing"], "is not a folder"),
        (["show", "ngnix"], 'did you mean "nginx"?'),
        (["show", "dotnett"], "there are"),
        (["new", "mine", "--from", "ngnix"], 'did you mean "nginx"?'),
        (["new", "file"], "exists already"),
        (["new", "file/mine"], "cannot be written"),
        (["show", "empty"], "has no"),
    ],
)
def test_bad_input_is_one_clear_error(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("there")
    (tmp_path / "empty").mkdir()
    scaffold("templates", *arguments, cwd=tmp_path).assert_clear_error(said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]
