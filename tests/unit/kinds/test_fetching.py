"""Templates from elsewhere, brought to hand: what is copied, what its version covers, and what git is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.errors import KindError
from scaffold.kinds import zips
from scaffold.kinds.fetching import copied, digest, is_ones_own, named
from scaffold.kinds.zips import Bounds
from tests.requirements import require_command

PROJECT = "{{cookiecutter.slug}}"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "template"
    (folder / PROJECT).mkdir(parents=True)
    (folder / "cookiecutter.json").write_text('{"slug": "x"}')
    (folder / PROJECT / "a.txt").write_text("main")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "a" / "place").mkdir(parents=True)
    return tmp_path / "a" / "place"


def git(folder: Path, *arguments: str) -> str:
    known = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *known, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(template: Path) -> Path:
    """With a branch `dev`, where the text is another."""
    git(template, "init", "--quiet")
    commit(template)
    git(template, "checkout", "--quiet", "-b", "dev")
    (template / PROJECT / "a.txt").write_text("dev")
    commit(template)
    git(template, "checkout", "--quiet", "main")
    return template


# --- What a version covers ---


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / PROJECT / "{{ 1 }}").mkdir(),
        lambda folder: (folder / PROJECT / "b.txt").write_text(""),
        lambda folder: (folder / PROJECT / "a.txt").write_text("mian"),
        lambda folder: (folder / PROJECT / "a.txt").chmod(0o755),
        lambda folder: (folder / PROJECT / "a.txt").rename(folder / "a.txt"),
        lambda folder: (folder / PROJECT / "b.txt").symlink_to("a.txt"),
        lambda folder: (folder / os.fsdecode(b"\xff")).write_text(""),
    ],
    ids=["a folder", "a file", "a text", "a right", "a place", "a link", "a name"],
)
def test_any_change_makes_another_version(change: Callable[[Path], object], template: Path) -> None:
    before = digest(template)
    change(template)
    assert digest(template) != before


def test_what_is_no_part_of_it_makes_none(template: Path) -> None:
    before = digest(template)
    (template / ".git").mkdir()
    (template / ".git" / "HEAD").write_text("ref: x")
    (template / PROJECT / "__pycache__").mkdir()
    assert digest(template) == before


# --- What git is told ---


def test_a_hook_that_starts_it_leaves_the_persons_repository_alone(
    repository: Path, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git tells its hooks by GIT_DIR and its kin which repository is meant (githooks(5)), and every git heeds them."""
    mine = tmp_path / "mine"
    mine.mkdir()
    git(mine, "init", "--quiet")
    (mine / "mine.txt").write_text("mine")
    commit(mine)
    git(mine, "branch", "dev")
    here = {"GIT_DIR": mine / ".git", "GIT_WORK_TREE": mine, "GIT_INDEX_FILE": mine / ".git" / "index"}
    for name, path in here.items():
        monkeypatch.setenv(name, str(path))
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -i mine")

    root, version = copied(f"git+file://{repository}", tmp_path, place, checkout="dev")

    assert (root / PROJECT / "a.txt").read_text() == "dev"
    assert {name: os.environ[name] for name in here} == {name: str(path) for name, path in here.items()}
    monkeypatch.undo()
    assert version == git(repository, "rev-parse", "dev")
    assert git(mine, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(mine, "status", "--porcelain") == ""


def test_how_a_repository_is_reached_is_handed_on(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = tmp_path / "ssh.sh"
    ssh.write_text(f'#!/bin/sh\nenv > "{tmp_path}/seen"\nexit 1\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ssh))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "objects"))
    monkeypatch.setenv("HGPLAIN", "1")

    with pytest.raises(KindError, match="cannot be fetched"):
        copied("git+ssh://nobody.invalid/x", tmp_path, place)

    seen = (tmp_path / "seen").read_text()
    assert "GIT_CONFIG_GLOBAL=/dev/null" in seen
    assert "GIT_OBJECT_DIRECTORY" not in seen
    assert "HGPLAIN" not in seen


def test_settings_in_a_mercurial_repository_run_nothing(template: Path, tmp_path: Path, place: Path) -> None:
    """Those of whoever packed a folder are the person's own, once it is unpacked: Mercurial takes them for trusted."""
    require_command("hg")
    for arguments in (("init",), ("add", "-q"), ("commit", "-q", "-u", "t", "-m", "one")):
        subprocess.run(["hg", *arguments], cwd=template, check=True)
    (template / ".hg" / "hgrc").write_text(f"[hooks]\npreoutgoing = touch '{tmp_path}/ran'\n")

    root, _ = copied(f"hg+file://{template}", tmp_path, place)

    assert (root / PROJECT / "a.txt").is_file()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("end", ["..", ".", "..//", "../.git", ".git", "x:.."])
def test_a_url_whose_end_is_no_name_removes_nothing(end: str, tmp_path: Path, place: Path) -> None:
    """What is there under the name of a clone, cookiecutter removes first."""
    (tmp_path / "a" / "kept.txt").write_text("kept")
    (place / "kept.txt").write_text("kept")

    with pytest.raises(KindError, match=r"does not end with the name of a repository|cannot be fetched"):
        copied(f"git+file:///nowhere/{end}", tmp_path, place)

    assert (tmp_path / "a" / "kept.txt").is_file()
    assert (place / "kept.txt").is_file()


# --- A copy ---


@pytest.mark.parametrize(
    "template",
    [
        "ext::sh -c touch% {made} git://host/git",
        "--upload-pack=touch {made}; git+https://host/git",
        "xhttps://host/git",
    ],
)
def test_what_only_holds_a_url_is_none_and_git_is_not_asked(template: str, tmp_path: Path, place: Path) -> None:
    """Git takes such a text for an option, or for a transport that runs a command (gitremote-helpers(7))."""
    made = tmp_path / "made"
    with pytest.raises(KindError, match=r"it is neither a git repository nor a zip file"):
        copied(template.format(made=made), tmp_path, place)
    assert not made.exists()


def test_a_zip_file_is_looked_for_beside_the_topology(
    template: Path, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "template")

    root, version = copied("./packed.zip", tmp_path, place)

    assert version == digest(template)
    assert root.is_relative_to(place)
    assert is_ones_own("./packed.zip", tmp_path)
    assert named("./packed.zip", tmp_path) == str(tmp_path / "packed.zip")


def test_a_zip_file_in_the_current_folder_alone_is_none(
    template: Path, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "current").mkdir()
    shutil.make_archive(str(tmp_path / "current" / "packed"), "zip", tmp_path, "template")
    monkeypatch.chdir(tmp_path / "current")

    with pytest.raises(KindError, match="cannot be fetched: No such file"):
        copied("./packed.zip", tmp_path, place)
    assert not is_ones_own("./packed.zip", tmp_path)


def test_of_a_zip_file_that_is_too_large_nothing_stays(
    template: Path, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (template / PROJECT / "zeros").write_bytes(bytes(4 << 20))
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "template")
    monkeypatch.setattr(zips.unpacked, "__defaults__", (Bounds(octets=1 << 20),))

    with pytest.raises(KindError, match="cannot be fetched: it holds more than 1 MiB, or 50,000 files and folders"):
        copied("packed.zip", tmp_path, place)

    assert list(place.iterdir()) == []


def test_a_folder_that_is_more_than_a_template(
    template: Path, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "USUAL", Bounds(entries=3))
    copied("./template", tmp_path, place)
    (template / "more.txt").write_text("")
    with pytest.raises(KindError, match="holds more than 256 MiB, or 3 files and folders"):
        copied("./template", tmp_path, place)


def test_a_name_that_is_no_text(template: Path, tmp_path: Path, place: Path) -> None:
    (template / PROJECT / os.fsdecode(b"caf\xe9")).write_text("")

    with pytest.raises(KindError, match=r"has a file name that is not UTF-8: .*caf\\udce9"):
        copied("./template", tmp_path, place)
