"""What is installed: one answer for what is looked for, for what is asked for its version, and for what is started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scaffold.running import services
from scaffold.running.availability import version_said_by
from scaffold.running.services import environment, handed_on, installed


@pytest.fixture
def administrators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which servers are kept, and a PATH without it."""
    folder = tmp_path / "sbin"
    folder.mkdir()
    (folder / "somed").write_text("#!/bin/sh\necho somed 1.2.3\n")
    (folder / "somed").chmod(0o755)
    monkeypatch.setattr(services, "_FOR_ADMINISTRATORS", (str(folder),))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return folder


def test_what_lies_where_servers_are_kept_is_found_asked_and_started(administrators: Path) -> None:
    assert installed("somed")
    assert version_said_by(("somed",)) == (1, 2, 3)
    ran = subprocess.run(["sh", "-c", "somed"], env=environment(Path("/"), {}), capture_output=True, check=False)
    assert ran.stdout == b"somed 1.2.3\n"


def test_what_lies_nowhere_is_not(administrators: Path) -> None:
    (administrators / "somed").unlink()
    assert not installed("somed")
    assert version_said_by(("somed",)) is None


def test_the_own_path_comes_first_and_nothing_twice(administrators: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert handed_on()["PATH"] == f"/usr/bin:/bin:{administrators}"
    monkeypatch.setenv("PATH", f"{administrators}:/bin")
    assert handed_on()["PATH"] == f"{administrators}:/bin"
    monkeypatch.delenv("PATH")
    assert handed_on()["PATH"].endswith(f":{administrators}")


def test_a_pattern_of_whole_paths_finds_what_lies_outside_of_every_path(tmp_path: Path) -> None:
    pattern = str(tmp_path / "*" / "bin" / "somed")
    assert not installed(pattern)
    program = tmp_path / "15" / "bin" / "somed"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    assert not installed(pattern)
    program.chmod(0o755)
    assert installed(pattern)
