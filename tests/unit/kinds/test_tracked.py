"""Every file of a kind is in version control: the rendered projects' own .gitignore files hide `tls/` from git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_no_template_is_hidden_by_a_rendered_gitignore() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "templates"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    hidden = [name for name in listed.stdout.splitlines() if "__pycache__" not in name]
    assert not hidden, "add them with `git add --force`"
