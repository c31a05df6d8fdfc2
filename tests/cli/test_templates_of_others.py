"""A server's or client's template that somebody else wrote: nothing of it runs before a person has said so."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from scaffold.errors import KindError
from scaffold.kinds import catalogue
from tests.cli.harness import Ended, in_process, snapshot

TOPOLOGY = """\
version: 1
name: shop
cas: {{root: {{}}}}
servers:
  api: {{template: {template}, listen: 127.0.0.1:8443, names: [localhost]}}
  more: {{template: {template}, listen: 127.0.0.1:8444, names: [localhost]}}
clients:
  cli: {{template: curl, calls: [api]}}
"""
SAID = ("is somebody else's program, and you have not trusted it yet", "It would run:\n  - the Jinja in its")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "scaffold" / "trusted.json"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """One in a folder beside the topology's own."""
    folder = tmp_path / "sent"
    shutil.copytree(catalogue.builtin("python", "server").folder, folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, template: Path, config: Path) -> Path:
    folder = tmp_path / "topology"
    folder.mkdir()
    write(folder, "../sent")
    return folder


def write(folder: Path, template: str) -> None:
    (folder / "topology.yaml").write_text(TOPOLOGY.format(template=json.dumps(template)))


def run(folder: Path, *arguments: str) -> Ended:
    catalogue.find.cache_clear()
    return in_process(*arguments, cwd=folder)


def hint(ended: Ended) -> str:
    return ended.err.partition("hint: ")[2].strip()


@pytest.mark.parametrize(
    "verb",
    [
        ("plan",),
        ("apply", "--yes"),
        ("status",),
        ("verify",),
        ("up",),
        ("renew", "server.api", "--yes"),
        ("revoke", "server.api", "--reason", "superseded", "--yes"),
        ("resolve", "server.api"),
        ("call", "cli", "api"),
        ("doctor",),
        ("explain", "cli", "api"),
        ("report",),
        ("remove", "server.more"),
        ("rename", "server.more", "other"),
        ("add", "client", "web", "--template", "curl"),
    ],
    ids=lambda verb: verb[0],
)
def test_no_verb_renders_or_runs_it(verb: tuple[str, ...], folder: Path, config: Path) -> None:
    before = snapshot(folder)

    run(folder, *verb).assert_clear_error(*SAID, "--trust ../sent@sha256:")

    assert snapshot(folder) == before
    assert not config.exists()


def test_its_program_runs_once_it_is_trusted_and_not_before(
    folder: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sent_along.py").write_text(
        f"from jinja2.ext import Extension\nclass Own(Extension):\n    open({str(ran)!r}, 'w').close()\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "modules")
    values = json.loads((template / "cookiecutter.json").read_text())
    (template / "cookiecutter.json").write_text(json.dumps({**values, "_extensions": ["sent_along.Own"]}))

    run(folder, "plan").assert_clear_error(
        SAID[0], "It would run:\n  - the Jinja extension sent_along.Own\n  - the Jinja in"
    )
    assert not ran.exists()

    assert run(folder, "plan", "--trust", "../sent").code == 0
    assert ran.exists()


def test_the_hint_is_a_command_that_works_and_is_remembered(folder: Path, config: Path) -> None:
    refused = run(folder, "status")
    command = hint(refused).partition("`scaffold ")[2].partition("`")[0].split()

    done = run(folder, *command)

    assert done.code == 0, done.err
    assert done.err.startswith('Trusted from now on: the template "../sent" (at sha256:')
    assert (
        done.err.count("It runs:\n  - the Jinja in its files\n  - its run.sh\n  - the commands that its cookiec") == 1
    )
    assert run(folder, "status").code == 3
    assert config.stat().st_mode & 0o777 == 0o600
    assert not list(folder.rglob("trusted.json"))


def test_the_hint_names_the_topology_where_it_is_another(folder: Path) -> None:
    (folder / "topology.yaml").rename(folder / "other.yaml")
    refused = run(folder, "status", "-f", "other.yaml")
    assert hint(refused).startswith("read it; to run it, `scaffold plan -f other.yaml --trust ../sent@sha256:")


@pytest.mark.parametrize("verb", [("plan",), ("apply", "--yes"), ("add", "client", "web", "--template", "curl")])
def test_a_verb_with_the_option_says_so_itself(verb: tuple[str, ...], folder: Path) -> None:
    refused = run(folder, *verb)
    trust = hint(refused).removeprefix("read it; to run it, add ").removesuffix(". Nothing was changed")

    assert run(folder, *verb, *trust.split()).code == 0


def test_another_version_is_asked_about_anew(folder: Path, template: Path) -> None:
    assert run(folder, "plan", "--trust", "../sent").code == 0
    (template / "{{cookiecutter.name}}" / "more.txt").write_text("more")

    run(folder, "plan").assert_clear_error(*SAID)
    first = run(folder, "plan", "--trust", f"../sent@sha256:{'0' * 64}")
    first.assert_clear_error("is not the version that --trust names")


def test_an_empty_folder_makes_another_version(folder: Path, template: Path) -> None:
    assert run(folder, "plan", "--trust", "../sent").code == 0
    (template / "{{cookiecutter.name}}" / "{{ 1 }}").mkdir()

    run(folder, "plan").assert_clear_error(*SAID)


def test_what_was_looked_at_is_what_is_used(folder: Path, template: Path, config: Path) -> None:
    """Whoever may write to it could change it between the question and the answer."""
    found = catalogue.find("../sent", "server", folder)
    (template / "{{cookiecutter.name}}" / "run.sh").write_text("#!/bin/sh\nexit 7\n")

    assert b"exit 7" not in (found.folder / found.project / "run.sh").read_bytes()
    assert catalogue.digest_now(found) == found.digest


def test_a_copy_is_kept_for_as_long_as_it_is_used(folder: Path) -> None:
    catalogue.find.cache_clear()
    found = catalogue.find("../sent", "server", folder)
    place = found.folder
    catalogue.find.cache_clear()
    assert (place / "cookiecutter.json").is_file()
    del found
    assert not place.exists()


def test_a_repository_by_its_commit(folder: Path, template: Path) -> None:
    known = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run(["git", *known, *arguments], cwd=template, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=template, check=True, capture_output=True, text=True)
    write(folder, f"git+file://{template}")

    run(folder, "status").assert_clear_error(*SAID, f"--trust git+file://{template}@{head.stdout.strip()}`")


def test_what_lies_in_the_topologys_own_folder_is_ones_own(folder: Path, template: Path, config: Path) -> None:
    shutil.copytree(template, folder / "mine")
    write(folder, "./mine")
    assert run(folder, "plan").code == 0
    assert not config.exists()

    shutil.rmtree(folder / "mine")
    (folder / "mine").symlink_to(template)
    run(folder, "plan").assert_clear_error(*SAID)


def test_trust_in_what_nothing_is_made_of(folder: Path) -> None:
    wrong = run(folder, "plan", "--trust", "../sent", "--trust", "../snet")

    assert wrong.code == 1
    assert "error: nothing in this topology is made of the template ../snet\n" in wrong.err
    assert 'hint: did you mean "../sent"?' in wrong.err


def test_plan_runs_no_app(folder: Path, template: Path) -> None:
    backend = "backend: 'http://127.0.0.1:5000', app: {template: ../app}"
    front = f"{{template: nginx, listen: 127.0.0.1:8443, names: [localhost], {backend}}}"
    (template.parent / "app").mkdir()
    (template.parent / "app" / "cookiecutter.json").write_text('{"slug": "x"}')
    (folder / "topology.yaml").write_text(f"version: 1\nname: shop\ncas: {{root: {{}}}}\nservers:\n  api: {front}\n")

    refused = run(folder, "plan", "--trust", "../app")

    refused.assert_clear_error("../app is the template of an app", "`scaffold apply --trust ../app`")


def test_many_of_one_template_are_asked_about_once(folder: Path) -> None:
    assert run(folder, "plan").err.count("error: ") == 1


def test_a_folder_that_is_more_than_a_template_is_not_copied(
    folder: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scaffold.kinds import zips

    monkeypatch.setattr(zips, "USUAL", zips.Bounds(octets=1024))
    catalogue.find.cache_clear()
    with pytest.raises(KindError, match="holds more than 0 MiB, or 50,000 files"):
        catalogue.find("../sent", "server", folder)
