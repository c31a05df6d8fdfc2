"""The questions of an app's template, as `add` asks them on a terminal: cookiecutter's own, answered in the YAML."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.harness import END_OF_INPUT, on_a_terminal, snapshot

APPS = Path(__file__).parent.parent / "apps"
TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {}
servers: {}
clients:
  cli: {template: curl, calls: []}
"""
WEB = (
    *("add", "server", "web", "--template", "nginx", "--listen", "127.0.0.1:8443", "--names", "localhost"),
    *("--backend", "http://127.0.0.1:5000"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A topology, and beside it, as its own, the templates of a small service and of several."""
    for name in ("small-service", "many-services"):
        shutil.copytree(APPS / name, tmp_path / "shop-topology" / name)
    (tmp_path / "shop-topology" / "topology.yaml").write_text(TOPOLOGY)
    return tmp_path / "shop-topology"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A configuration of the test's own, in which nothing is trusted, and a terminal without colours."""
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}


def app_of(folder: Path) -> str:
    """The app of the one server, as it is written."""
    (line,) = (line for line in (folder / "topology.yaml").read_text().splitlines() if "app:" in line)
    return line.partition("app: ")[2]


def test_without_options_all_of_it_is_asked(folder: Path, environment: dict[str, str]) -> None:
    front = ["nginx", "", "localhost", "cli"]
    behind = ["http://127.0.0.1:5000", "./small-service", "python3 'my app.py'", "/healthz"]
    variables = ["y", "", "7"] + [""] * 4
    own = ["My shop", "", "2", "n", "8", "", '{"team": "web"}', '{"team": "web", "tier": "one"}']

    code, shown = on_a_terminal(
        folder, "add", "server", "web", answers=front + behind + variables + own, env=environment
    )

    assert code == 0, shown
    assert "The template ./small-service asks" in shown
    assert "slug (my_shop)" in shown  # a default that is rendered from the answer before it
    assert "How much does it say" in shown
    assert "2 - All of it" in shown
    assert "answers_json [y/n] (y)" in shown
    assert "Give tier a value as well" in shown
    assert "_private" not in shown
    assert "__shouted" not in shown
    assert app_of(folder) == (
        "{template: ./small-service, vars: {service_name: My shop, log_level: debug, answers_json: false, workers: 8, "
        "labels: {team: web, tier: one}}, run: [python3, my app.py], ready: /healthz}"
    )
    assert '    vars: {client_max_body_size: "7"}\n' in (folder / "topology.yaml").read_text()
    assert not (folder / "shop").exists()


def test_what_is_answered_already_is_not_asked(folder: Path, environment: dict[str, str]) -> None:
    """Somebody else's is trusted first."""
    app = f"{{template: {APPS}/fastapi-service, vars: {{database: sqlite, project_name: Shop}}}}"
    code, shown = on_a_terminal(
        folder, *WEB, "--app", app, "--trust", f"{APPS}/fastapi-service", answers=["", "n", "y"], env=environment
    )

    assert code == 0, shown
    assert "Trusted from now on" in shown
    assert "What is it called" not in shown
    assert "Where does it keep things" not in shown
    assert "project_slug (shop)" in shown
    assert app_of(folder) == (
        f"{{template: {APPS}/fastapi-service, "
        "vars: {database: sqlite, project_name: Shop, use_docker: false, use_auth: y}}"
    )


def test_one_of_several_templates_is_chosen_by_its_folder(folder: Path, environment: dict[str, str]) -> None:
    code, shown = on_a_terminal(
        folder, *WEB, "--app", "{template: ./many-services}", "--apply", answers=["2", "", "mail"], env=environment
    )

    assert code == 0, shown
    assert "2 - A worker (Answers nobody)" in shown
    assert app_of(folder) == "{template: ./many-services, directory: worker, vars: {queue: mail}}"
    assert (folder / "shop" / "servers" / "web" / "app" / "worker.py").read_text() == 'QUEUE = "mail"\n'


@pytest.mark.parametrize("more", [("--yes",), ()])
def test_what_nobody_trusts_and_what_nobody_wants_to_be_asked(
    more: tuple[str, ...], folder: Path, environment: dict[str, str]
) -> None:
    template = "./small-service" if more else f"{APPS}/small-service"
    code, shown = on_a_terminal(folder, *WEB, "--app", f"{{template: {template}}}", *more, answers=[], env=environment)

    assert code == 0, shown
    assert "service_name" not in shown
    assert ("since it is somebody else's program" in re.sub(r"\s+", " ", shown)) == (not more)
    assert app_of(folder) == f"{{template: {template}}}"
    assert not Path(environment["XDG_CONFIG_HOME"]).exists()


def test_no_more_answers_leave_the_topology_as_it_is(folder: Path, environment: dict[str, str]) -> None:
    before = snapshot(folder)
    app = "{template: ./small-service}"
    code, shown = on_a_terminal(folder, *WEB, "--app", app, answers=["My shop", END_OF_INPUT], env=environment)

    assert code == 1
    assert "Aborted" in shown
    assert snapshot(folder) == before


def test_what_fails_before_the_questions_are_asked_is_said(folder: Path, environment: dict[str, str]) -> None:
    before = snapshot(folder)
    hook = folder / "small-service" / "hooks" / "pre_prompt.sh"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho this template needs a compiler\nexit 1\n")
    code, shown = on_a_terminal(folder, *WEB, "--app", "{template: ./small-service}", answers=[], env=environment)

    assert code == 1
    assert "this template needs a compiler" in shown
    assert "error: server.web: " in shown
    assert "Traceback" not in shown
    hook.unlink()
    hook.parent.rmdir()
    assert snapshot(folder) == before
