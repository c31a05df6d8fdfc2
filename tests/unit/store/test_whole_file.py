"""A file outside the projects is whole: the former text or the new one, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.store import whole_file


def test_what_is_there_is_replaced_and_a_link_is_not_followed(tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_bytes(b"other")
    link.symlink_to(other)
    whole_file.write(link, b"new")
    assert (link.read_bytes(), other.read_bytes()) == (b"new", b"other")
    assert link.stat().st_mode & 0o777 == 0o600
    whole_file.write(link, b"newer", 0o640)
    assert link.stat().st_mode & 0o777 == 0o640
    assert sorted(tmp_path.iterdir()) == [link, other]


@pytest.mark.parametrize("fails", ["write", "rename"])
def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    file = tmp_path / "file"
    if fails == "rename":
        file.mkdir()
    else:
        file.write_bytes(b"before")
        monkeypatch.setattr(whole_file.os, "fchmod", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises((OSError, KeyboardInterrupt)):
        whole_file.write(file, b"new", 0o640)
    assert list(tmp_path.iterdir()) == [file]
    assert fails == "rename" or file.read_bytes() == b"before"


def test_its_name_meanwhile_is_what_a_kill_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(whole_file.os, "fchmod", lambda *_: seen.extend(path.name for path in tmp_path.iterdir()))
    whole_file.write(tmp_path / "file", b"new", 0o640, suffix=".mine")
    assert len(seen) == 1
    assert seen[0].startswith(".file.")
    assert seen[0].endswith(".mine")
