"""A file of scaffold's that is changed while its project is held: named as drift, and put right where that is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.plan.drift import drift_in_tls
from scaffold.plan.model import Action, Work
from scaffold.plan.projects import Resolution
from scaffold.plan.texts import texts
from scaffold.store.layout import BASES
from scaffold.view.reasons import sentence
from tests.unit.conftest import Household

PROJECT = "server.accounts.project"
OWNERS = {"yours": ["app.conf"], "merged": ["README.md", "run.sh"]}
FIRST = {
    "README.md": "one\n",
    "run.sh": "#!/bin/sh\n",
    "guard.conf": "deny\n",
    "app.conf": "yours\n",
    "tls/rules": "first\n",
}
LATER = FIRST | {"README.md": "two\n", "guard.conf": "deny all\n", "tls/rules": "second\n"}
GUARD = "servers/accounts/guard.conf"
Change = Callable[..., None]


@pytest.fixture
def project(tiny: Household, change_kind: Change) -> Path:
    """A project with a file of each owner, and an edit that no change of its README fits."""
    change_kind(FIRST, OWNERS)
    tiny.apply()
    folder = tiny.out / "servers/accounts"
    (folder / "README.md").write_text("mine\n")
    return folder


@pytest.fixture
def held(tiny: Household, project: Path, change_kind: Change) -> Path:
    """The same, whose template has changed in every file of it."""
    change_kind(LATER, OWNERS)
    tiny.apply()
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    return project


def drift(household: Household) -> list[str]:
    """What verify says of the project, before any probe."""
    return [sentence(reason) for change in drift_in_tls(household.plan()) for reason in change.reasons]


def test_it_becomes_what_was_last_rendered_and_not_what_is_rendered_now(tiny: Household, held: Path) -> None:
    (held / "guard.conf").write_text("allow\n")
    assert drift(tiny) == [f"{GUARD}: it differs (see --diff); your text is kept in guard.conf.edited"]
    tiny.apply()
    assert (held / "guard.conf").read_text() == "deny\n"
    assert (held / "guard.conf.edited").read_text() == "allow\n"
    assert drift(tiny) == []
    tiny.resolve(PROJECT, Resolution.MINE)
    assert (held / "guard.conf").read_text() == "deny all\n"
    assert tiny.planned() == {}


def test_its_mode_is_that_of_the_template(tiny: Household, held: Path) -> None:
    (held / "guard.conf").write_text("allow\n")
    (held / "guard.conf").chmod(0o600)
    tiny.apply()
    assert (held / "guard.conf").stat().st_mode & 0o777 == 0o644


def test_the_diff_shows_the_text_that_comes_back(tiny: Household, held: Path) -> None:
    (held / "guard.conf").write_text("allow\n")
    [text] = [one for one in texts(tiny.prepare()) if one.path == GUARD]
    assert (text.before, text.after) == (b"allow\n", b"deny\n")


def test_what_is_gone_comes_back(tiny: Household, held: Path) -> None:
    (held / "guard.conf").unlink()
    assert drift(tiny) == [f"{GUARD} is not there"]
    tiny.apply()
    assert (held / "guard.conf").read_text() == "deny\n"
    assert not (held / "guard.conf.edited").exists()


def test_an_earlier_text_of_scaffolds_is_drift_too(tiny: Household, project: Path, change_kind: Change) -> None:
    change_kind(FIRST | {"guard.conf": "deny most\n"}, OWNERS)
    tiny.apply()
    change_kind(LATER, OWNERS)
    tiny.apply()
    (project / "guard.conf").write_text("deny\n")
    assert drift(tiny) == [f"{GUARD} differs (see `plan --diff`)"]
    tiny.apply()
    assert (project / "guard.conf").read_text() == "deny most\n"
    assert not (project / "guard.conf.edited").exists()


def test_what_the_kind_renders_in_tls_is_put_right_and_nothing_is_kept_there(tiny: Household, held: Path) -> None:
    (held / "tls/rules").write_text("anybody\n")
    assert drift(tiny) == ["servers/accounts/tls/rules differs (see `plan --diff`)"]
    tiny.apply()
    assert (held / "tls/rules").read_text() == "first\n"
    assert not list(held.glob("tls/*.edited"))
    assert drift(tiny) == []


@pytest.mark.parametrize("text", ["allow\n", None])
def test_where_the_template_changed_together_with_the_edit_it_is_named_and_stays(
    tiny: Household, project: Path, change_kind: Change, text: str | None
) -> None:
    guard = project / "guard.conf"
    guard.write_text(text) if text is not None else guard.unlink()
    change_kind(LATER, OWNERS)
    said = f"{GUARD}: it differs, and the text that was rendered before is not kept: it is not changed until"
    for _ in range(2):
        assert drift(tiny) == [f"{said} you settle the conflict"]
        assert len(tiny.apply().undone) == 1
        assert (guard.read_text() if guard.exists() else None) == text
    tiny.resolve(PROJECT, Resolution.THEIRS)
    assert guard.read_text() == "deny all\n"
    assert drift(tiny) == []


def test_a_text_that_is_not_what_its_name_says_is_not_put_back(tiny: Household, held: Path) -> None:
    for base in (tiny.out / BASES).iterdir():
        base.write_text("allow\n")
    (held / "guard.conf").write_text("allow all\n")
    tiny.apply()
    assert (held / "guard.conf").read_text() == "allow all\n"
    assert any("it is not changed" in said for said in drift(tiny))


@pytest.mark.parametrize("conflict", [True, False])
def test_a_link_in_its_place_is_drift(
    tiny: Household, project: Path, change_kind: Change, tmp_path: Path, conflict: bool
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("allow\n")
    if conflict:
        change_kind(FIRST | {"README.md": "two\n"}, OWNERS)
        tiny.apply()
    (project / "guard.conf").unlink()
    (project / "guard.conf").symlink_to(outside)
    assert drift(tiny) == [f"{GUARD}: it is not a regular file: move it away"]
    tiny.apply()
    assert outside.read_text() == "allow\n"


def test_a_file_that_is_not_rendered_any_more_is_named_and_left(
    tiny: Household, held: Path, change_kind: Change
) -> None:
    (tiny.folder / "kind/{{cookiecutter.name}}/guard.conf").unlink()
    change_kind({path: text for path, text in LATER.items() if path != "guard.conf"}, OWNERS)
    assert drift(tiny) == []
    (held / "guard.conf").write_text("allow\n")
    assert any(said.startswith(f"{GUARD}: it differs") for said in drift(tiny))
    tiny.apply()
    assert (held / "guard.conf").read_text() == "allow\n"


def test_what_is_yours_and_what_is_merged_is_no_drift(tiny: Household, held: Path) -> None:
    (held / "app.conf").write_text("mine\n")
    (held / "run.sh").write_text("#!/bin/sh\n# mine\n")
    assert drift(tiny) == []
    tiny.apply()
    assert (held / "app.conf").read_text() == "mine\n"
    assert (held / "run.sh").read_text() == "#!/bin/sh\n# mine\n"


def test_a_change_that_merely_waits_is_no_drift(tiny: Household, held: Path) -> None:
    assert (held / "guard.conf").read_text() == "deny\n"
    assert drift(tiny) == []
    assert [change.work for change in tiny.plan().changes] == [Work.OFFER]


def test_without_a_conflict_a_deleted_or_an_earlier_text_is_drift(tiny: Household, change_kind: Change) -> None:
    change_kind(FIRST, OWNERS)
    tiny.apply()
    guard = tiny.out / GUARD
    guard.unlink()
    assert drift(tiny) == [f"{GUARD} is not there"]
    change_kind(FIRST | {"guard.conf": "deny all\n"}, OWNERS)
    tiny.apply()
    guard.write_text("deny\n")
    assert drift(tiny) == [f"{GUARD} differs (see `plan --diff`)"]
    tiny.apply()
    change_kind(FIRST, OWNERS)
    assert drift(tiny) == []  # the template has changed, and nobody else has changed anything
