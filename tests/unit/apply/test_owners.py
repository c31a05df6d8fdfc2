"""Three owners of a file: scaffold's is put right, yours is never read again, merged is in `test_apply_merges`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.plan.drift import drift_in_tls
from scaffold.plan.model import Action
from scaffold.plan.projects import Resolution
from tests.unit.conftest import Household

PROJECT = "server.accounts.project"
OWNERS = {"yours": ["app.conf"], "merged": ["README.md", "run.sh"]}
FIRST = {
    "README.md": "one\n",
    "run.sh": "#!/bin/sh\n",
    "guard.conf": "deny\n",
    "app.conf": "yours\n",
    "tls/list": "first\n",
}
Change = Callable[..., None]


@pytest.fixture
def project(tiny: Household, change_kind: Change) -> Path:
    """A project with a file of each owner, applied."""
    change_kind(FIRST, OWNERS)
    tiny.apply()
    return tiny.out / "servers/accounts"


# --- Scaffold's ------------------------------------------------------------------------------------------------------


def test_an_edit_of_scaffolds_is_drift_which_is_put_right_and_kept_beside(tiny: Household, project: Path) -> None:
    guard = project / "guard.conf"
    guard.write_text("allow\n")
    guard.chmod(0o600)
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "content")}
    assert [str(change.address) for change in drift_in_tls(tiny.plan())] == [PROJECT]
    assert tiny.apply().undone == ()
    edited = project / "guard.conf.edited"
    assert (guard.read_text(), edited.read_text()) == ("deny\n", "allow\n")
    assert (guard.stat().st_mode & 0o777, edited.stat().st_mode & 0o777) == (0o644, 0o600)
    assert not (project / ".gitignore").exists()
    assert tiny.planned() == {}


def test_what_is_kept_beside_is_never_overwritten(tiny: Household, project: Path) -> None:
    guard = project / "guard.conf"
    for text in ("allow\n", "allow all\n", "allow\n", "allow most\n"):
        guard.write_text(text)
        tiny.apply()
    kept = {path.name: path.read_text() for path in project.iterdir() if ".edited" in path.name}
    assert kept == {
        "guard.conf.edited": "allow\n",
        "guard.conf.edited.2": "allow all\n",
        "guard.conf.edited.3": "allow most\n",
    }


@pytest.mark.parametrize("place", ["folder", "link"])
def test_what_stands_where_the_text_is_kept_stays(tiny: Household, project: Path, place: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious\n")
    beside = project / "guard.conf.edited"
    beside.mkdir() if place == "folder" else beside.symlink_to(outside)
    (project / "guard.conf").write_text("allow\n")
    tiny.apply()
    assert outside.read_text() == "precious\n"
    assert (project / "guard.conf.edited.2").read_text() == "allow\n"


def test_a_file_of_scaffolds_that_is_gone_comes_back(tiny: Household, project: Path) -> None:
    (project / "guard.conf").unlink()
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "missing")}
    tiny.apply()
    assert (project / "guard.conf").read_text() == "deny\n"


def test_an_edit_of_what_was_merged_is_kept_beside_once_it_is_scaffolds(
    tiny: Household, project: Path, change_kind: Change
) -> None:
    run = project / "run.sh"
    run.write_text("#!/bin/sh\n# mine\n")
    assert tiny.planned() == {}
    change_kind(FIRST, OWNERS | {"merged": ["README.md"]})
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "content")}
    tiny.apply()
    assert run.read_text() == "#!/bin/sh\n"
    assert run.stat().st_mode & 0o100
    assert (project / "run.sh.edited").read_text() == "#!/bin/sh\n# mine\n"
    assert tiny.planned() == {}


@pytest.mark.parametrize("edited", [False, True])
def test_a_conflict_ends_once_the_file_is_scaffolds(
    tiny: Household, project: Path, change_kind: Change, edited: bool
) -> None:
    (project / "run.sh").write_text("#!/bin/sh -e\n")
    change_kind(FIRST | {"run.sh": "#!/bin/dash\n"}, OWNERS)
    tiny.apply()
    beside = project / "run.sh.merge"
    assert beside.exists()
    if edited:
        beside.write_text("precious\n")
    change_kind(FIRST | {"run.sh": "#!/bin/dash\n"}, OWNERS | {"merged": ["README.md"]})
    assert tiny.apply().undone == ()
    assert (project / "run.sh").read_text() == "#!/bin/dash\n"
    assert (project / "run.sh.edited").read_text() == "#!/bin/sh -e\n"
    assert beside.exists() is edited
    assert tiny.planned() == {}


def test_overwrite_makes_a_run_sh_of_scaffolds_executable_again(
    tiny: Household, project: Path, change_kind: Change
) -> None:
    change_kind(FIRST, OWNERS | {"merged": ["README.md"]})
    tiny.apply()
    (project / "run.sh").chmod(0o644)
    tiny.apply(overwrite=[PROJECT])
    assert (project / "run.sh").stat().st_mode & 0o100


def test_a_new_text_of_scaffolds_comes_with_the_rights_it_was_born_with(
    tiny: Household, project: Path, change_kind: Change
) -> None:
    guard = project / "guard.conf"
    guard.chmod(0o600)
    change_kind(FIRST | {"guard.conf": "deny all\n"}, OWNERS)
    tiny.apply()
    assert (guard.read_text(), guard.stat().st_mode & 0o777) == ("deny all\n", 0o644)


def test_a_change_of_the_template_meets_an_edit_of_scaffolds(
    tiny: Household, project: Path, change_kind: Change
) -> None:
    (project / "guard.conf").write_text("allow\n")
    change_kind(FIRST | {"guard.conf": "deny all\n"}, OWNERS)
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "content")}
    tiny.apply()
    assert (project / "guard.conf").read_text() == "deny all\n"
    assert (project / "guard.conf.edited").read_text() == "allow\n"


def test_an_earlier_text_of_scaffolds_is_no_work_of_a_persons(
    tiny: Household, project: Path, change_kind: Change
) -> None:
    change_kind(FIRST | {"guard.conf": "deny all\n"}, OWNERS)
    tiny.apply()
    (project / "guard.conf").write_text("deny\n")
    tiny.apply()
    assert (project / "guard.conf").read_text() == "deny all\n"
    assert not (project / "guard.conf.edited").exists()


@pytest.mark.parametrize("place", ["folder", "link"])
def test_what_is_no_file_in_the_place_of_scaffolds_is_a_conflict(
    tiny: Household, project: Path, place: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious\n")
    guard = project / "guard.conf"
    guard.unlink()
    guard.mkdir() if place == "folder" else guard.symlink_to(outside)
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    assert len(tiny.apply().undone) == 1
    assert guard.is_dir() or guard.is_symlink()
    assert outside.read_text() == "precious\n"
    if place == "link":
        tiny.resolve(PROJECT, Resolution.THEIRS)
        assert (guard.read_text(), outside.read_text()) == ("deny\n", "precious\n")
        assert tiny.planned() == {}


def test_a_folder_of_the_last_version_whose_files_were_all_a_persons(tiny: Household, change_kind: Change) -> None:
    """Its kind declared no owners: what is scaffold's now may have been edited since."""
    change_kind(FIRST)
    tiny.apply()
    guard, app = (tiny.out / "servers/accounts" / name for name in ("guard.conf", "app.conf"))
    guard.write_text("allow\n")
    app.write_text("mine\n")
    change_kind(FIRST, OWNERS)
    tiny.apply()
    assert (guard.read_text(), app.read_text()) == ("deny\n", "mine\n")
    assert guard.with_name("guard.conf.edited").read_text() == "allow\n"
    assert tiny.planned() == {}


# --- Yours -----------------------------------------------------------------------------------------------------------


def test_yours_is_never_read_again(tiny: Household, project: Path, change_kind: Change) -> None:
    app = project / "app.conf"
    app.write_text("mine\n")
    assert tiny.planned() == {}
    assert tiny.plan().notes == ()
    change_kind(FIRST | {"app.conf": "new\n", "README.md": "two\n"}, OWNERS)
    for options in ({}, {"overwrite": [PROJECT]}):
        tiny.apply(**options)
        assert app.read_text() == "mine\n"
    assert tiny.planned() == {}


@pytest.mark.parametrize("readme", ["one\n", "two\n"])
def test_yours_that_was_deleted_stays_so_with_a_note_until_it_is_asked_for(
    tiny: Household, project: Path, change_kind: Change, readme: str
) -> None:
    app = project / "app.conf"
    app.unlink()
    deleted = (
        "servers/accounts/app.conf was deleted, and stays so; "
        "`scaffold apply --overwrite server.accounts` writes the template's file again"
    )
    assert tiny.planned() == {}
    assert list(map(str, tiny.plan().notes)) == [deleted]
    change_kind(FIRST | {"app.conf": "new\n", "README.md": readme}, OWNERS)
    tiny.apply()
    assert not app.exists()
    assert list(map(str, tiny.plan().notes)) == [deleted]
    tiny.apply(overwrite=["server.accounts"])
    assert app.read_text() == "new\n"
    assert (tiny.planned(), tiny.plan().notes) == ({}, ())


def test_yours_that_nobody_edited_stays_too(tiny: Household, project: Path, change_kind: Change) -> None:
    change_kind(FIRST | {"app.conf": "new\n"}, OWNERS)
    tiny.apply()
    assert (project / "app.conf").read_text() == "yours\n"
    assert tiny.planned() == {}


NO_APP = {path: text for path, text in FIRST.items() if path != "app.conf"}
NO_YOURS = {"merged": OWNERS["merged"]}
CONDITIONAL = "{% if cookiecutter.health %}app.conf{% endif %}"


def test_a_file_of_yours_that_a_template_gets_later_is_written_once(tiny: Household, change_kind: Change) -> None:
    change_kind(NO_APP, NO_YOURS)
    tiny.apply()
    change_kind(FIRST, OWNERS)
    tiny.apply()
    assert (tiny.out / "servers/accounts/app.conf").read_text() == "yours\n"
    assert tiny.planned() == {}


def test_a_file_of_yours_that_is_not_rendered_any_more_stays(
    tiny: Household, project: Path, change_kind: Change
) -> None:
    (tiny.folder / "kind/{{cookiecutter.name}}/app.conf").unlink()
    change_kind(NO_APP | {CONDITIONAL: "yours\n"}, OWNERS)
    tiny.apply()
    assert (project / "app.conf").read_text() == "yours\n"
    assert tiny.planned() == {}


def test_a_file_that_was_there_before_is_yours(tiny: Household, change_kind: Change) -> None:
    change_kind(NO_APP, NO_YOURS)
    tiny.apply()
    app = tiny.out / "servers/accounts/app.conf"
    app.write_text("mine\n")
    change_kind(FIRST, OWNERS)
    assert tiny.apply().undone == ()
    assert app.read_text() == "mine\n"


# --- A conflict beside them ------------------------------------------------------------------------------------------


def test_drift_is_put_right_while_a_conflict_stands(tiny: Household, project: Path, change_kind: Change) -> None:
    (project / "README.md").write_text("mine\n")
    (project / "guard.conf").write_text("allow\n")
    change_kind(FIRST | {"README.md": "two\n"}, OWNERS)
    assert [(change.action, change.drifted) for change in tiny.plan().changes] == [
        (Action.UPDATE, ("servers/accounts/guard.conf",)),
        (Action.CONFLICT, ()),
    ]
    tiny.apply()
    assert (project / "guard.conf").read_text() == "deny\n"
    assert (project / "guard.conf.edited").read_text() == "allow\n"
    assert (project / "README.md").read_text() == "mine\n"
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    assert drift_in_tls(tiny.plan()) == ()


@pytest.mark.parametrize("address", ["server.accounts.bundle", "server.accounts"])
def test_a_bundle_that_is_made_anew_ends_no_conflict(
    tiny: Household, project: Path, change_kind: Change, address: str
) -> None:
    tiny.text = tiny.text.replace("[localhost]", "[localhost], pfx: {password: {generate: true}}")
    tiny.apply()
    (project / "README.md").write_text("mine\n")
    change_kind(FIRST | {"README.md": "two\n"}, OWNERS)
    undone = tiny.apply(overwrite=[address]).undone
    assert bool(undone) == address.endswith("bundle")
    assert (project / "README.md").read_text() == ("mine\n" if undone else "two\n")
