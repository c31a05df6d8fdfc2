"""`apply` on a real terminal: what a person does while it asks is seen after the answer, and nothing of theirs lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.harness import scaffold, typing_on_a_terminal

TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {}
servers:
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  cli: {template: python, calls: [api]}
  web: {template: curl, calls: [api]}
"""
WITHOUT_WEB = TOPOLOGY.partition("  web:")[0]
README = "shop/servers/api/README.md"
QUESTION = b"Do it? [y/N]:"


def apply_on_a_terminal(folder: Path, meanwhile: Callable[[], object]) -> tuple[int, str]:
    """The exit code, and what was shown; at the first question `meanwhile` happens, and every answer is yes."""
    asked = 0

    def reply(shown: bytes) -> bytes:
        nonlocal asked
        new = shown.count(QUESTION) - asked
        if new and not asked:
            meanwhile()
        asked += new
        return b"y\n" * new

    return typing_on_a_terminal(folder, "apply", reply=reply)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`web` is to be deleted, which is asked about, and the server's README would change with its port."""
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    assert scaffold("apply", cwd=tmp_path).code == 0
    (tmp_path / "topology.yaml").write_text(WITHOUT_WEB.replace("8443", "8444"))
    return tmp_path


def test_without_an_edit_the_plan_is_carried_out(folder: Path) -> None:
    code, shown = apply_on_a_terminal(folder, lambda: None)
    assert code == 0, shown
    assert "planning again" not in shown
    assert not (folder / "shop/clients/web").exists()


def test_an_edited_topology_is_planned_anew(folder: Path) -> None:
    code, shown = apply_on_a_terminal(folder, lambda: (folder / "topology.yaml").write_text(TOPOLOGY))
    assert code == 0, shown
    assert "topology.yaml has changed meanwhile" in shown
    assert (folder / "shop/clients/web/run.sh").exists()
    assert "8443" in (folder / "shop/servers/api/settings.json").read_text()


def test_an_edited_file_keeps_its_edit(folder: Path) -> None:
    settings = folder / "shop/servers/api/settings.json"
    mine = settings.read_text().replace("8443", "9999")
    assert mine != settings.read_text()
    code, shown = apply_on_a_terminal(folder, lambda: settings.write_text(mine))
    assert code == 4, shown
    assert "settings.json has changed meanwhile" in shown
    assert settings.read_text() == mine
