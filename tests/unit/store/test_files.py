"""Files that survive: a loss of power, a name that somebody has taken already, a reader who may not read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from scaffold.store import files, journal
from scaffold.store.files import TEMPORARY, Writer
from scaffold.store.layout import LEDGER, Layout

KEY = "pki/root/ca.key"
BESIDE = f"pki/root/.ca.key{TEMPORARY}"


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    made = Writer(Layout(tmp_path))
    made.prepare()
    return made


# --- A loss of power -----------------------------------------------------------------------------------------------


def test_a_durable_file_is_on_the_disk_before_it_takes_its_place_and_its_name_after(writer, disk):
    writer.write(KEY, b"older", mode=files.SECRET_FILE)  # the folder is there
    disk.clear()
    writer.write(KEY, b"key", mode=files.SECRET_FILE, durable=True)
    assert disk == [("fsync", f".ca.key{TEMPORARY}"), ("replace", "ca.key"), ("fsync", "root")]


def test_what_need_not_be_durable_is_not_waited_for(writer, disk):
    writer.write("README.md", b"text")
    assert disk == [("replace", "README.md")]


def test_a_durable_event_is_on_the_disk_and_so_is_the_name_of_a_new_file(tmp_path, disk):
    path = str(tmp_path / "events.jsonl")
    journal.append(path, [{"one": 1}], durable=True)
    assert disk == [("fsync", "events.jsonl"), ("fsync", tmp_path.name)]
    journal.append(path, [{"two": 2}], durable=True)
    assert disk[2:] == [("fsync", "events.jsonl")]


# --- A name that is taken ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_a_link_at_the_temporary_name_is_not_followed(writer, tmp_path, there):
    """Whoever may write into the folder could else have a key put where they want it."""
    victim = tmp_path / "victim"
    if there:
        victim.write_text("precious")
    (tmp_path / "pki/root").mkdir(parents=True)
    (tmp_path / BESIDE).symlink_to(victim)
    writer.write(KEY, b"key", mode=files.SECRET_FILE)
    assert victim.read_text() == "precious" if there else not victim.exists()
    assert not (tmp_path / KEY).is_symlink()
    assert (tmp_path / KEY).read_bytes() == b"key"


def test_a_file_at_the_temporary_name_is_not_written_into(writer, tmp_path):
    """Somebody who has it open would read the key, and its rights would be theirs."""
    (tmp_path / "pki/root").mkdir(parents=True)
    (tmp_path / BESIDE).write_bytes(b"x" * 100)
    (tmp_path / BESIDE).chmod(0o666)
    with (tmp_path / BESIDE).open("rb") as spying:
        writer.write(KEY, b"key", mode=files.SECRET_FILE)
        assert spying.read() == b"x" * 100
    assert (tmp_path / KEY).stat().st_mode & 0o777 == files.SECRET_FILE
    assert (tmp_path / KEY).read_bytes() == b"key"


def test_a_link_that_wins_the_race_for_the_temporary_name_is_refused(writer, tmp_path, monkeypatch):
    """It is put there again as soon as it was taken away: the file is not opened through it."""
    victim = tmp_path / "victim"
    (tmp_path / "pki/root").mkdir(parents=True)
    (tmp_path / BESIDE).symlink_to(victim)
    really_unlink, planted = os.unlink, []

    def unlink(path):
        really_unlink(path)
        if not planted:
            planted.append(path)
            Path(path).symlink_to(victim)

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(files.StoreError, match="cannot write"):
        writer.write(KEY, b"key", mode=files.SECRET_FILE)
    assert planted
    assert not victim.exists()


def test_the_temporary_file_is_opened_by_flags_that_follow_no_link(writer, monkeypatch):
    really_open, flags = os.open, {}

    def opened(path, flag, *arguments, **named):
        flags[Path(path).name] = flag
        return really_open(path, flag, *arguments, **named)

    monkeypatch.setattr(os, "open", opened)
    writer.write(KEY, b"key")
    wanted = os.O_EXCL | os.O_NOFOLLOW | os.O_CREAT
    assert flags[f".ca.key{TEMPORARY}"] & wanted == wanted


def test_a_journal_that_is_a_link_is_not_written(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "events.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(files.StoreError, match="cannot write"):
        journal.append(str(tmp_path / "events.jsonl"), [{"one": 1}], durable=False)
    assert (tmp_path / "elsewhere").read_text() == ""


# --- What is no plain file or folder ---------------------------------------------------------------------------------


def test_what_is_no_regular_file_is_not_read(tmp_path):
    """A FIFO would keep an apply waiting for whoever writes into it."""
    os.mkfifo(tmp_path / "ca.key")
    with pytest.raises(files.StoreError, match="is not a regular file"):
        files.read(str(tmp_path / "ca.key"))


def test_nothing_is_made_in_an_output_folder_that_is_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(files.StoreError, match="is a symbolic link"):
        Writer(Layout(tmp_path / "out")).prepare()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("link", ["servers", "servers/a", "servers/a/tls"])
def test_nothing_is_removed_through_a_link(writer, tmp_path, link):
    victim = tmp_path / "elsewhere" / "servers/a/tls/ca.pem"
    victim.parent.mkdir(parents=True)
    victim.write_text("precious")
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "elsewhere" / link)
    with pytest.raises(files.StoreError, match="is a symbolic link"):
        writer.remove("servers/a/tls/ca.pem")
    assert victim.read_text() == "precious"


# --- Who may read it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_file_has_its_rights_whatever_the_umask(writer, tmp_path, umask):
    before = os.umask(umask)
    try:
        writer.write(KEY, b"key", mode=files.SECRET_FILE)
        writer.write("servers/a/tls/ca.pem", b"ca")
    finally:
        os.umask(before)
    assert (tmp_path / KEY).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "servers/a/tls/ca.pem").stat().st_mode & 0o777 == 0o644
    assert {(tmp_path / path).stat().st_mode & 0o077 for path in ("pki/root", "servers/a/tls")} == {0}


def test_rights_that_have_become_too_wide_are_narrowed(writer, tmp_path):
    writer.write(KEY, b"key", mode=files.SECRET_FILE)
    (tmp_path / KEY).chmod(0o644)
    (tmp_path / KEY).parent.chmod(0o755)
    writer.restrict(KEY)
    writer.restrict_folder("pki/root")
    assert (tmp_path / KEY).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "pki/root").stat().st_mode & 0o777 == 0o700


def test_rights_are_changed_through_no_link(writer, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("a script of somebody's")
    victim.chmod(0o755)
    (tmp_path / "pki/root").mkdir(parents=True)
    (tmp_path / KEY).symlink_to(victim)
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers/a").symlink_to(tmp_path / "pki")
    with pytest.raises(files.StoreError, match="cannot change the rights"):
        writer.restrict(KEY)
    with pytest.raises(files.StoreError, match="cannot change the rights"):
        writer.restrict_folder("servers/a")
    assert victim.stat().st_mode & 0o777 == 0o755


# --- What helps where nothing can be written -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR])
@pytest.mark.parametrize("at", ["", ".scaffold/lock", "servers/web/tls/cert.pem"])
def test_another_folder_helps_only_where_nothing_was_applied_yet(tmp_path: Path, number: int, at: str) -> None:
    def hint() -> str:
        return str(files.store_error("write", tmp_path / at, OSError(number, "no")).hint)

    assert hint().endswith(", or choose another folder with --out")
    (tmp_path / LEDGER).parent.mkdir()
    (tmp_path / LEDGER).touch()
    assert hint()
    assert "--out" not in hint()
