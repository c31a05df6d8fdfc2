"""One look at an output folder: what it has asked the disk for once, it knows."""

from __future__ import annotations

import os

import pytest

from scaffold.errors import StoreError
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation
from scaffold.store.projects import digest


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


def beside(folder, path, text):
    """Another file of that text, which the observation knows from then on."""
    (folder / path).write_bytes(text)
    return path


@pytest.mark.parametrize(
    "put",
    [
        lambda at: at.write_bytes(b"another"),
        lambda at: at.write_bytes(b"the text and more"),
        lambda at: at.write_bytes(b"the t"),
        lambda at: at.write_bytes(b""),
        lambda at: at.mkdir(),
        lambda at: at.symlink_to("first"),
        os.mkfifo,
        lambda at: None,
    ],
)
@pytest.mark.parametrize("text", [b"the text", b""])
def test_what_is_not_the_text_that_is_known_has_not_its_digest(tmp_path, put, text):
    observed = Observation(Layout(tmp_path))
    assert observed.has_digest(beside(tmp_path, "first", text), digest(text))
    put(tmp_path / "second")
    is_text = (tmp_path / "second").is_file() and (tmp_path / "second").read_bytes() == text
    is_text = is_text and not (tmp_path / "second").is_symlink()
    assert observed.has_digest("second", digest(text)) is is_text
    assert observed.holds("second", text) is is_text


def test_a_pipe_out_of_which_the_text_comes_is_not_the_file(tmp_path):
    observed = Observation(Layout(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        os.write(end, b"the text")
        assert not observed.holds("pipe", b"the text")
    finally:
        os.close(end)


def test_each_file_is_asked_although_its_text_is_known(tmp_path):
    observed = Observation(Layout(tmp_path))
    for name in ("first", "second"):
        assert observed.has_digest(beside(tmp_path, name, b"the text"), digest(b"the text"))
    (tmp_path / "second").write_bytes(b"the next")
    assert not observed.has_digest("second", digest(b"the text"))


def test_what_was_read_in_this_look_is_what_is_compared(tmp_path):
    observed = Observation(Layout(tmp_path))
    (tmp_path / "servers").mkdir()
    observed.look_at("servers")
    path = beside(tmp_path, "servers/a", b"the text")
    assert observed.content(path) == b"the text"
    (tmp_path / path).write_bytes(b"the next")
    assert observed.holds(path, b"the text")
    assert not observed.holds(path, b"the next")
    observed.forget()
    assert observed.holds(path, b"the next")
