"""The topology of the README is one, and verify says of an edited allow list what the README shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.harness import scaffold

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_verify_says_of_an_edited_allow_list_what_the_readme_shows(tmp_path: Path) -> None:
    (topology,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "topology.yaml").write_text(topology)
    assert scaffold("apply", cwd=tmp_path).code == 0
    path = tmp_path / "shop/servers/api/tls/allowed.json"
    listed = json.loads(path.read_text())
    listed["allowed"].append({**listed["allowed"][0], "name": "intern", "identity": "spiffe://shop/client/intern"})
    path.write_text(json.dumps(listed))
    ended = scaffold("verify", "--ports", "auto", cwd=tmp_path, env={"COLUMNS": "80"})
    assert ended.code == 5
    (shown,) = re.findall(r"```\n(✗ api .*?)```", README, re.DOTALL)
    assert squeezed(shown) in squeezed(ended.out)


def squeezed(text: str) -> str:
    """`text` whatever the lines that a terminal's width makes of it."""
    return " ".join(text.split())


def test_the_mistake_that_the_readme_shows_is_told_so(tmp_path: Path) -> None:
    (topology,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "topology.yaml").write_text(topology.replace("calls: [api] ", "calls: [apii]"))
    ended = scaffold("validate", cwd=tmp_path)
    (shown,) = re.findall(r"```\n(error: no such server.*?)```", README, re.DOTALL)
    assert (ended.code, ended.err) == (1, shown)
