"""The commands of docs/apps.md, run in its order: each ends as it says, and prints the lines that it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scaffold.topology.load import loads
from tests.cli.harness import scaffold
from tests.docs.console import run, steps
from tests.requirements import require_command

PAGE = (Path(__file__).parent.parent.parent / "docs" / "apps.md").read_text("utf-8")


def files() -> dict[str, str]:
    """The files that the page names before it shows them."""
    return dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_command("sed")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "folder"
    folder.mkdir()
    assert scaffold("init", "--example", "minimal", cwd=folder).code == 0
    assert scaffold("apply", cwd=folder).code == 0
    written = files()
    assert len(written) == 2
    for name, content in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    ran = steps(PAGE)
    assert len(ran) == 15
    for step in ran:
        done = run(step, folder)
        step.assert_shown(done.stdout, done.stderr)


def test_the_topology_of_the_page_is_one() -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    text = "version: 1\nname: shop\ncas: {root: {}}\n" + shown.replace("# checkout", "checkout").replace("# dir", "dir")

    app = loads(text.encode(), Path("topology.yaml")).servers["shop"].app

    assert app is not None
    assert (app.checkout, app.directory, app.vars) == ("v1.2", "services/api", {"greeting": "good day"})
