"""One look at an output folder: what it has asked the disk for once, it knows."""

from __future__ import annotations

import os

import pytest

from scaffold.errors import StoreError
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation


def test_the_status_of_a_folder_is_asked_for_once(tmp_path, monkeypatch):
    observed, asked, lstat = Observation(Layout(tmp_path)), [], os.lstat
    folder = tmp_path / "servers" / "a"
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(os, "lstat", lambda path: asked.append(str(path)) or lstat(path))
    observed.look_at("servers/a")
    observed.check_folder("servers/a")
    rights = observed.rights("servers/a")
    assert rights is not None
    assert (rights.mode, rights.owner, rights.ours) == (0o700, os.geteuid(), True)
    assert asked == [str(folder)]


@pytest.mark.parametrize("check", ["look_at", "check_folder"])
@pytest.mark.parametrize("put", [lambda at, aside: at.symlink_to(aside), lambda at, aside: at.write_text("")])
def test_what_is_no_folder_is_refused_in_its_place(tmp_path, check, put):
    (tmp_path / "servers").mkdir()
    put(tmp_path / "servers" / "a", tmp_path)
    with pytest.raises(StoreError, match="servers/a is a"):
        getattr(Observation(Layout(tmp_path)), check)("servers/a")


def test_where_nothing_is_there_are_no_rights(tmp_path):
    observed = Observation(Layout(tmp_path))
    observed.check_folder("servers/a")
    assert observed.rights("servers/a") is None
