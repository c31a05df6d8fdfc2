"""What the tests of kinds have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.kinds import catalogue


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shared parts in place of the package's own: one part, `shared/part.txt`."""
    folder = tmp_path / "package"
    (folder / "shared").mkdir(parents=True)
    (folder / "shared" / "part.txt").write_text("{{ cookiecutter.greeting }}!")
    monkeypatch.setattr(catalogue, "templates_folder", lambda: folder)
    return folder / "shared"
