"""What plan says of passwords that cannot be had, and apply before its first write, all of it at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scaffold.errors import SecretError
from scaffold.plan import passwords
from scaffold.plan.plan_subset import plan_intents
from scaffold.store.git import Standing
from scaffold.topology.load import loads
from tests.requirements import require_command
from tests.unit.conftest import Household

TWO = """
version: 1
name: bank
cas:
  root: {key_password: %(root)s}
servers:
  accounts: {template: ./kind, listen: "127.0.0.1:8443", names: [localhost], pfx: {password: %(bundle)s}}
"""
GOOD = {"root": "{file: root}", "bundle": "{file: bundle}"}
UNUSABLE = {
    "a folder": (lambda path: path.mkdir(), "is not a regular file"),
    "a pipe": (os.mkfifo, "is not a regular file"),
    "a link to itself": (lambda path: path.symlink_to(path), "is a symbolic link"),
    "an empty file": (lambda path: path.touch(), "its password is not in"),
    "an empty line": (lambda path: path.write_text("\nsecond\n"), "its password is not in"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe\xff"), "is not text in UTF-8"),
    "a control character": (lambda path: path.write_bytes(b"a\x07b"), "holds a control character"),
}


@pytest.fixture
def guarded(tiny: Household) -> Household:
    tiny.text = TWO % GOOD
    for name in ("root", "bundle"):
        (tiny.folder / name).write_text(f"{name} password\n")
    return tiny


def said(household: Household) -> list[str]:
    return [str(note) for note in household.plan().notes if "password" in str(note)]


def replaced(path: Path, put) -> None:
    path.unlink()
    put(path)


def test_nothing_is_said_of_passwords_that_can_be_had(guarded: Household) -> None:
    assert said(guarded) == []
    guarded.apply()
    assert said(guarded) == []


@pytest.mark.parametrize(("put", "words"), UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize(("name", "address"), [("root", "ca.root"), ("bundle", "server.accounts.bundle")])
def test_a_file_that_holds_no_password_is_told_by_plan_and_refused_by_apply(
    guarded: Household, name: str, address: str, put, words: str
) -> None:
    replaced(guarded.folder / name, put)
    [note] = said(guarded)
    assert note.startswith(f"{address}: ")
    assert words in note
    planned = guarded.prepare()
    with pytest.raises(SecretError, match=words) as caught:
        guarded.carry_out(planned)
    assert caught.value.hint
    assert not guarded.out.exists()


@pytest.mark.parametrize(("put", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_it_is_told_although_nothing_is_to_do(guarded: Household, put, words: str) -> None:
    guarded.apply()
    replaced(guarded.folder / "bundle", put)
    [note] = said(guarded)
    assert words in note
    assert guarded.plan().changes == ()


def test_a_file_that_is_not_there_is_told_only_where_it_is_needed(guarded: Household) -> None:
    (guarded.folder / "root").unlink()
    assert len(said(guarded)) == 1
    (guarded.folder / "root").write_text("root password\n")
    guarded.apply()
    (guarded.folder / "root").unlink()
    assert said(guarded) == [], "whoever keeps a root's password elsewhere is left in peace"
    guarded.text = guarded.text.replace("[localhost]", "[localhost, bank.test]")
    assert len(said(guarded)) == 1, "whose key signs the new certificate"


def test_plan_asks_for_no_password_and_apply_for_all_of_them(guarded: Household) -> None:
    guarded.text = TWO % {"root": "{env: ROOT}", "bundle": "{env: BUNDLE}"}
    assert said(guarded) == []
    planned = guarded.prepare()
    with pytest.raises(SecretError) as caught:
        guarded.carry_out(planned)
    first, *lines = caught.value.message.splitlines()
    assert first == "2 passwords cannot be had:"
    assert [line.partition(":")[0] for line in lines] == ["ca.root", "server.accounts.bundle"]
    assert all(f"set {name}" in str(caught.value.hint) for name in ("ROOT", "BUNDLE"))
    assert not guarded.out.exists()
    guarded.environment = {"ROOT": "one"}
    with pytest.raises(SecretError, match=r"(?m)^server\.accounts\.bundle: its password is not in .* BUNDLE$"):
        guarded.carry_out(planned)
    assert not guarded.out.exists()
    guarded.environment = {"ROOT": "one", "BUNDLE": "two"}
    guarded.carry_out(planned)
    assert guarded.plan().changes == ()


# --- What git would commit -------------------------------------------------------------------------------------------


def for_git(household: Household) -> list[str]:
    return [str(note) for note in household.plan().notes if "git" in str(note)]


def git(folder: Path, *arguments: str) -> None:
    require_command("git")
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_a_password_that_git_would_commit_is_noted_until_it_is_ignored(guarded: Household) -> None:
    assert for_git(guarded) == []  # in no repository
    git(guarded.folder, "init", "--quiet")
    root, bundle = (guarded.folder / name for name in ("root", "bundle"))
    said = "holds a password, and git would commit it: add it to a .gitignore, or keep it elsewhere"
    assert for_git(guarded) == [f"{root} {said}", f"{bundle} {said}"]
    (guarded.folder / ".gitignore").write_text("/root\n")
    assert for_git(guarded) == [f"{bundle} {said}"]
    git(guarded.folder, "add", "--force", "root")
    taken_out = f"git -C {guarded.folder} rm --cached -- root"
    has = f"{root} holds a password, and is in git: run `{taken_out}` and add it to a .gitignore; "
    assert for_git(guarded) == [has + "it stays in the history, so replace the secret", f"{bundle} {said}"]
    git(guarded.folder.parent, *taken_out.split()[1:])
    assert for_git(guarded) == [f"{bundle} {said}"]  # which no line ignores


def test_git_is_asked_once_of_each_file_however_many_plans_one_look_takes(
    guarded: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def standing(path: Path) -> Standing:
        asked.append(path.name)
        return Standing.TAKEN_UP

    monkeypatch.setattr(passwords, "standing", standing)
    planned = plan_intents(guarded.look(), [])
    assert asked == ["root", "bundle"]
    assert sum("git" in str(note) for note in planned.plan.notes) == 2


def test_a_name_is_no_pattern_for_git(guarded: Household) -> None:
    git(guarded.folder, "init", "--quiet")
    guarded.text = TWO % (GOOD | {"root": "{file: 'r*'}"})
    (guarded.folder / "r*").write_text("root password\n")
    (guarded.folder / ".gitignore").write_text("/bundle\n/r[*]\n")
    assert for_git(guarded) == []


def test_a_private_key_that_git_would_commit_is_noted(tmp_path: Path) -> None:
    text = b"""
version: 1
name: bank
cas: {corp: {existing: {certificate: ca.pem, key: ca.key}}}
servers:
  web: {template: python, listen: "127.0.0.1:8443", names: [localhost],
        existing: {certificate: web.pem, key: web.key, trust: ca.pem}}
"""
    t = loads(text, tmp_path / "topology.yaml")
    for name in ("ca.key", "web.key", "ca.pem"):
        (tmp_path / name).write_text("it is not read\n")
    git(tmp_path, "init", "--quiet")
    said = "holds a private key, and git would commit it: add it to a .gitignore, or keep it elsewhere"
    assert list(map(str, passwords.for_git(t))) == [f"{tmp_path / name} {said}" for name in ("ca.key", "web.key")]
    (tmp_path / ".gitignore").write_text("*.key\n")
    assert list(passwords.for_git(t)) == []
