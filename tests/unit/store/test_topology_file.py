"""An edited topology is written whole, over the text that was edited, with the rights and links that were there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from scaffold.errors import StoreError
from scaffold.store.topology_file import check, replace


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_stays(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(b"old")
    file.chmod(mode)
    replace(file, b"old", b"new")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", mode)
    assert [path.name for path in tmp_path.iterdir()] == ["topology.yaml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(b"old")
    os.chown(file, 65_534, 65_534)
    replace(file, b"old", b"new")
    assert (file.stat().st_uid, file.stat().st_gid) == (65_534, 65_534)


def test_a_link_goes_on_leading_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "shop.yaml"
    file.parent.mkdir()
    file.write_bytes(b"old")
    link = tmp_path / "topology.yaml"
    link.symlink_to(Path("elsewhere") / "shop.yaml")
    replace(link, b"old", b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


def test_what_changed_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(b"of somebody else")
    with pytest.raises(StoreError, match="has changed meanwhile"):
        replace(file, b"old", b"new")
    assert file.read_bytes() == b"of somebody else"


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(b"old")

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(StoreError, match="No space left"):
        replace(file, b"old", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("topology.yaml", b"old")]


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        replace(tmp_path / "topology.yaml", b"old", b"new")


def test_whether_it_could_be_written_is_seen_without_writing(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(b"old")
    check(file, b"old")
    with pytest.raises(StoreError, match="changed meanwhile"):
        check(file, b"older")
    with pytest.raises(StoreError, match="cannot be written"):
        check(tmp_path / "elsewhere.yaml", b"old")
    assert file.read_bytes() == b"old"
