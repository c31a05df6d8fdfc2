"""Temporary folders of scaffold's own: whatever ends a run, none is left after the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scaffold.kinds.places import Place

MAKE = """
import sys
from scaffold.kinds.places import Place
place = Place()
(place.path / "folder").mkdir()
(place.path / "folder" / "file.txt").write_text("x")
print(place.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own in place of /tmp."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def another() -> tuple[subprocess.Popen[str], Path]:
    """A process that has such a folder, and waits."""
    process = subprocess.Popen([sys.executable, "-c", MAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_it_goes_with_its_object(temporary: Path) -> None:
    place = Place()
    assert place.path.stat().st_mode & 0o777 == 0o700
    (place.path / "closed").mkdir()
    (place.path / "closed" / "file.txt").write_text("x")
    (place.path / "closed").chmod(0)
    (place.path / "leads").symlink_to(temporary)

    del place

    assert list(temporary.iterdir()) == []


def test_it_goes_with_its_block(temporary: Path) -> None:
    with Place() as path:
        (path / "file.txt").write_text("x")
    assert list(temporary.iterdir()) == []


def test_it_goes_with_the_process(temporary: Path) -> None:
    process, path = another()
    assert path.is_dir()
    process.communicate("")
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_by_the_next(temporary: Path) -> None:
    process, path = another()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (path / "folder" / "file.txt").is_file()
    (temporary / "scaffold-templates-theirs").write_text("a file of somebody's")
    (temporary / "scaffold-templates-link").symlink_to("/")

    place = Place()

    assert not path.exists()
    assert sorted(temporary.iterdir()) == sorted(
        [place.path, temporary / "scaffold-templates-theirs", temporary / "scaffold-templates-link"]
    )


def test_that_of_one_that_lives_stays(temporary: Path) -> None:
    process, path = another()

    mine, more = Place(), Place()

    assert (path / "folder" / "file.txt").is_file()
    assert mine.path.is_dir()
    assert more.path.is_dir()
    process.communicate("")
