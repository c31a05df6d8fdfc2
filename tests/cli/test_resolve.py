"""A person's edits and a template's changes with the real command: both are kept, or `resolve` ends the conflict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.harness import Ended
from tests.cli.harness import in_process as scaffold

SHOP = """
version: 1
name: shop
publish: http://127.0.0.1:9080
cas: {root: {}}
servers:
  api: {template: python, listen: "127.0.0.1:8443", names: [localhost], vars: {greeting: hello}}
clients:
  web: {template: python, calls: [api]}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "topology.yaml").write_text(SHOP)
    assert scaffold("apply", cwd=tmp_path).code == 0
    return tmp_path


def greet(folder: Path, greeting: str, more: str = "") -> None:
    """A setting that changes a line of settings.json."""
    text = SHOP.replace("greeting: hello", f"greeting: {greeting}").replace("[localhost]", f"[localhost]{more}")
    (folder / "topology.yaml").write_text(text)


def file(folder: Path, name: str) -> Path:
    return folder / "shop/servers/api" / name


def apply(folder: Path, *options: str) -> Ended:
    return scaffold("apply", "--yes", *options, cwd=folder)


def plan(folder: Path) -> list[dict]:
    return json.loads(scaffold("plan", "--json", cwd=folder).out)["changes"]


@pytest.fixture
def conflict(shop: Path) -> Path:
    """The same line of settings.json was changed by a person and by the topology; applied."""
    settings = file(shop, "settings.json")
    settings.write_text(settings.read_text().replace('"hello"', '"my own"'))
    greet(shop, "welcome", ", check_revocation: crl")
    assert apply(shop).code == 4
    return shop


# --- Both are kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", ".gitignore", "service.example"])
def test_an_edit_and_a_setting_that_touches_the_same_file_elsewhere_are_both_kept(shop: Path, name: str) -> None:
    path = file(shop, name)
    before = path.read_text()
    path.write_text(before + "\n# Mine.\n")
    rights = path.stat().st_mode
    greet(shop, "welcome", ", check_revocation: crl, health: '127.0.0.1:8081'")
    assert apply(shop).code == 0
    other = shop / "other"
    assert scaffold("apply", "--out", other, cwd=shop).code == 0
    rendered = (other / "servers/api" / name).read_text()
    assert path.read_text() == rendered + "\n# Mine.\n"
    assert path.stat().st_mode == rights
    assert scaffold("plan", "--check", cwd=shop).out.count("Nothing to do") == 1


def test_a_file_with_the_line_ends_of_windows_keeps_them(shop: Path) -> None:
    path = file(shop, "README.md")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"Mine.\r\n")
    greet(shop, "hello", ", check_revocation: crl")
    assert apply(shop).code == 0
    text = path.read_bytes()
    assert text.count(b"\n") == text.count(b"\r\n")
    assert text.endswith(b"Mine.\r\n")
    assert b"refresh.sh" in text


def test_the_plan_says_what_is_merged_and_shows_it(shop: Path) -> None:
    path = file(shop, "settings.json")
    path.write_text(path.read_text() + "\n")
    greet(shop, "welcome")
    [change] = plan(shop)
    assert (change["action"], change["reasons"][0]["code"]) == ("update", "merged")
    shown = scaffold("plan", "--diff", cwd=shop).out
    assert '+  "greeting": "welcome",' in shown
    assert "\n-\n" not in shown


# --- A conflict ------------------------------------------------------------------------------------------------------


def test_a_conflict_holds_the_project_and_says_how_it_ends(conflict: Path) -> None:
    settings = file(conflict, "settings.json")
    beside = settings.with_name("settings.json.merge").read_text()
    assert '<<<<<<< yours\n  "greeting": "my own",\n||||||| base\n  "greeting": "hello",\n=======\n' in beside
    assert '  "greeting": "welcome",\n>>>>>>> template\n' in beside
    assert '"my own"' in settings.read_text()
    assert not file(conflict, "refresh.sh").exists()
    ended = apply(conflict)
    assert ended.code == 4
    assert "settings.json.merge" in ended.out
    assert "scaffold resolve server.api " in ended.out
    [change] = plan(conflict)
    assert change["action"] == "conflict"
    assert {reason["code"] for reason in change["reasons"]} >= {"edited", "held", "not-in-force"}


def test_it_ends_by_what_was_merged_and_brings_the_project_along(conflict: Path) -> None:
    settings = file(conflict, "settings.json")
    beside = settings.with_name("settings.json.merge")
    scaffold("resolve", "server.api", cwd=conflict).assert_clear_error("conflict markers", "settings.json.merge")
    assert '"my own"' in settings.read_text()
    made = settings.read_text().replace("my own", "my own welcome")
    beside.write_text(made)
    assert apply(conflict).code == 4  # nothing but `resolve` ends it
    assert scaffold("resolve", "server.api", cwd=conflict).code == 0
    assert settings.read_text() == made
    assert not beside.exists()
    assert file(conflict, "refresh.sh").exists()
    assert scaffold("plan", "--check", cwd=conflict).out.count("Nothing to do") == 1


def test_a_marker_that_is_forgotten_among_headings_is_found(conflict: Path) -> None:
    settings = file(conflict, "settings.json")
    beside = settings.with_name("settings.json.merge")
    settings.write_text(mine := settings.read_text() + "Readings\n=======\n")
    beside.unlink()
    assert apply(conflict).code == 4
    marked = beside.read_text()
    assert "\n======= 2\n" in marked
    assert "\n=======\n" in marked
    beside.write_text(mine.replace("=======\n", "======= 2\n"))
    scaffold("resolve", "server.api", cwd=conflict).assert_clear_error("conflict markers", "settings.json.merge")
    beside.write_text(mine)
    assert scaffold("resolve", "server.api", cwd=conflict).code == 0
    assert settings.read_text() == mine


@pytest.mark.parametrize(("option", "greeting"), [("--mine", "my own"), ("--theirs", "welcome")])
def test_it_ends_by_one_of_the_texts(conflict: Path, option: str, greeting: str) -> None:
    settings = file(conflict, "settings.json")
    assert scaffold("resolve", "server.api.project", option, cwd=conflict).code == 0
    assert json.loads(settings.read_text())["greeting"] == greeting
    assert not settings.with_name("settings.json.merge").exists()
    assert apply(conflict).out.count("Nothing to do") == 1
    greet(conflict, "bye", ", check_revocation: crl")
    assert apply(conflict).code == (4 if option == "--mine" else 0)


def test_overwrite_is_to_take_theirs_and_to_apply(conflict: Path) -> None:
    readme = file(conflict, "README.md")
    readme.write_text(readme.read_text() + "Mine.\n")
    assert apply(conflict, "--overwrite", "server.api").code == 0
    assert json.loads(file(conflict, "settings.json").read_text())["greeting"] == "welcome"
    assert readme.read_text().endswith("Mine.\n")  # which fits
    assert "refresh.sh" in readme.read_text()
    assert not file(conflict, "settings.json.merge").exists()


def test_a_file_that_was_removed_beside_is_offered_again(conflict: Path) -> None:
    beside = file(conflict, "settings.json.merge")
    text = beside.read_text()
    beside.unlink()
    scaffold("resolve", "server.api", cwd=conflict).assert_clear_error("there is no", "scaffold apply")
    assert apply(conflict).code == 4
    assert beside.read_text() == text


def test_a_saved_plan_of_a_merge_is_carried_out_as_it_is(shop: Path) -> None:
    path = file(shop, "README.md")
    path.write_text(path.read_text() + "Mine.\n")
    greet(shop, "hello", ", check_revocation: crl")
    assert scaffold("plan", "--save", "it.plan", cwd=shop).code == 0
    path.write_text(path.read_text() + "More.\n")
    scaffold("apply", "it.plan", cwd=shop).assert_clear_error("since the plan was saved")
    assert scaffold("plan", "--save", "it.plan", cwd=shop).code == 0
    assert apply(shop, "it.plan").code == 0
    assert path.read_text().endswith("Mine.\nMore.\n")


# --- Bad input -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_resolved_is_an_error(shop: Path) -> None:
    scaffold("resolve", "server.api", cwd=shop).assert_clear_error("no conflict")
    scaffold("resolve", "server.api", "--mine", cwd=shop).assert_clear_error("no conflict")
    scaffold("resolve", "ca.root", cwd=shop).assert_clear_error("nothing to resolve")
    scaffold("resolve", "server.apj", cwd=shop).assert_clear_error('did you mean "server.api"?')
    scaffold("resolve", "server.api.certificate", cwd=shop).assert_clear_error("nothing to resolve")
    assert scaffold("resolve", "server.api", "--mine", "--theirs", cwd=shop).code == 2


@pytest.mark.parametrize("content", [b"\0\1\2", "größer\n".encode("latin-1")])
def test_what_is_no_text_is_a_conflict_and_stays(shop: Path, content: bytes) -> None:
    path = file(shop, "settings.json")
    path.write_bytes(content)
    greet(shop, "welcome")
    assert apply(shop).code == 4
    assert path.read_bytes() == content
    [change] = plan(shop)
    assert "not UTF-8" in change["reasons"][0]["message"]
    scaffold("resolve", "server.api", cwd=shop).assert_clear_error("--mine", "--theirs")
    assert scaffold("resolve", "server.api", "--theirs", cwd=shop).code == 0
    assert json.loads(path.read_text())["greeting"] == "welcome"


def test_a_base_that_was_changed_is_none(shop: Path) -> None:
    path = file(shop, "settings.json")
    path.write_text(path.read_text() + "\n")
    for base in (shop / "shop/.scaffold/bases").iterdir():
        if b"hello" in base.read_bytes():
            base.write_bytes(base.read_bytes().replace(b"hello", b"howdy"))
    greet(shop, "welcome")
    assert apply(shop).code == 4
    [change] = plan(shop)
    assert "not kept" in change["reasons"][0]["message"]
    beside = file(shop, "settings.json.merge").read_text()
    assert "base" not in beside
    assert '<<<<<<< yours\n  "greeting": "hello",\n=======\n  "greeting": "welcome",\n>>>>>>> template' in beside


def test_what_is_in_the_place_of_a_merged_file_is_clear(conflict: Path) -> None:
    beside = file(conflict, "settings.json.merge")
    beside.unlink()
    beside.mkdir()
    scaffold("resolve", "server.api", cwd=conflict).assert_clear_error("settings.json.merge")
    beside.rmdir()
    beside.symlink_to(file(conflict, "README.md"))
    scaffold("resolve", "server.api", cwd=conflict).assert_clear_error("settings.json.merge", "symbolic link")
    assert apply(conflict).code == 4
