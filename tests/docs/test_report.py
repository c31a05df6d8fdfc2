"""The commands of docs/report.md, run in its order: each prints the lines that it is said to print, in that order."""

from __future__ import annotations

from pathlib import Path

from scaffold.running.ports import free_addresses
from tests.cli.harness import scaffold
from tests.docs.console import run, steps

PAGE = Path(__file__).parent.parent.parent / "docs" / "report.md"
PORT = "8443"


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    port = str(free_addresses(1)[0].port)
    assert scaffold("init", "--example", "minimal", cwd=tmp_path).code == 0
    topology = tmp_path / "topology.yaml"
    topology.write_text(topology.read_text("utf-8").replace(PORT, port), "utf-8")
    assert scaffold("apply", cwd=tmp_path).code == 0
    assert scaffold("verify", "--ports", "auto", cwd=tmp_path).code == 0
    ran = steps(PAGE.read_text("utf-8"))
    assert len(ran) == 8
    for step in ran:
        ended = run(step, tmp_path)
        assert ended.returncode == step.exits, ended
        step.assert_shown(ended.stdout, ended.stderr)
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / "graph.svg").read_text("utf-8").startswith("<?xml")
