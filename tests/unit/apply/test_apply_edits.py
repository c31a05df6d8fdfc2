"""A person's files: an edit is never overwritten silently."""

from __future__ import annotations

import pytest

from scaffold.errors import PlanError
from scaffold.plan.model import Action

PROJECT = "server.accounts.project"
TWO = {"README.md": "two\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"}


@pytest.fixture
def readme(tiny):
    tiny.apply()
    return tiny.out / "servers/accounts/README.md"


def test_an_unedited_file_follows_its_template(tiny, readme, change_kind):
    change_kind(TWO)
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "template")}
    tiny.apply()
    assert readme.read_text() == "two\n"
    assert tiny.planned() == {}


def test_an_edit_stays_while_the_template_does(tiny, readme):
    readme.write_text("mine\n")
    assert tiny.planned() == {}
    tiny.apply()
    assert readme.read_text() == "mine\n"


def test_an_edit_and_a_change_are_a_conflict(tiny, readme, change_kind):
    readme.write_text("mine\n")
    change_kind(TWO)
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    outcome = tiny.apply()
    assert [str(change.address) for change in outcome.undone] == [PROJECT]
    assert readme.read_text() == "mine\n"
    assert readme.with_name("README.md.merge").read_text() == (
        "<<<<<<< yours\nmine\n||||||| base\none\n=======\ntwo\n>>>>>>> template\n"
    )
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}


def test_an_edit_and_a_change_that_fit_are_both_kept(tiny, readme, change_kind):
    change_kind(TWO | {"README.md": "# Title\n\nFirst.\n\nLast.\n"})
    tiny.apply()
    readme.write_text("# Title\n\nFirst.\n\nLast.\nMine.\n")
    change_kind(TWO | {"README.md": "# Another title\n\nFirst.\n\nLast.\n"})
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "merged")}
    assert tiny.apply().undone == ()
    assert readme.read_text() == "# Another title\n\nFirst.\n\nLast.\nMine.\n"
    assert tiny.planned() == {}
    change_kind(TWO | {"README.md": "# Another title\n\nSecond.\n\nLast.\n"})
    tiny.apply()
    assert readme.read_text() == "# Another title\n\nSecond.\n\nLast.\nMine.\n"


def test_a_conflict_does_not_end_because_a_file_beside_is_removed(tiny, readme, change_kind):
    readme.write_text("mine\n")
    change_kind(TWO)
    tiny.apply()
    beside = readme.with_name("README.md.merge")
    laid = beside.read_text()
    beside.unlink()
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    tiny.apply()
    assert beside.read_text() == laid


@pytest.mark.parametrize("text", ["two\n", "one\n", None])
def test_a_conflict_does_not_end_because_the_file_is_another(tiny, readme, change_kind, text):
    readme.write_text("mine\n")
    change_kind(TWO)
    tiny.apply()
    readme.write_text(text) if text is not None else readme.unlink()
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    tiny.apply()
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}


def test_a_conflict_ends_when_the_template_takes_its_change_back(tiny, readme, change_kind):
    readme.write_text("mine\n")
    change_kind(TWO)
    tiny.apply()
    change_kind(TWO | {"README.md": "one\n"})
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "resolved")}
    tiny.apply()
    assert (readme.read_text(), readme.with_name("README.md.merge").exists()) == ("mine\n", False)
    assert tiny.planned() == {}


@pytest.mark.parametrize("address", [PROJECT, "server.accounts"])
def test_overwrite_takes_the_new_text(tiny, readme, change_kind, address):
    readme.write_text("mine\n")
    change_kind(TWO)
    tiny.apply()
    assert tiny.apply(overwrite=[address]).undone == ()
    assert readme.read_text() == "two\n"
    assert tiny.planned() == {}


def test_overwrite_of_nothing_that_is_there_is_an_error(tiny):
    with pytest.raises(PlanError, match=r"server\.account"):
        tiny.plan(overwrite=["server.account"])


def test_a_file_that_was_there_before_is_not_ours(tiny):
    readme = tiny.out / "servers/accounts/README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text("before\n")
    found = [change for change in tiny.plan().changes if str(change.address) == PROJECT]
    assert [(change.action, len(change.paths)) for change in found] == [(Action.UPDATE, 1), (Action.CONFLICT, 1)]
    assert [str(change.address) for change in tiny.apply().undone] == [PROJECT]
    assert readme.read_text() == "before\n"


def test_a_deleted_file_stays_deleted_until_its_template_changes(tiny, readme, change_kind):
    readme.unlink()
    plan = tiny.plan()
    assert plan.changes == ()
    assert any("README.md was deleted" in str(note) for note in plan.notes)
    change_kind(TWO)
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "missing")}
    tiny.apply()
    assert readme.read_text() == "two\n"


def test_a_deleted_file_comes_back_when_it_is_asked_for(tiny, readme):
    readme.unlink()
    tiny.apply(overwrite=[PROJECT])
    assert readme.read_text() == "one\n"


def test_a_project_that_is_gone_is_made_anew(tiny, readme):
    for path in (readme, readme.with_name("run.sh")):
        path.unlink()
    assert tiny.planned() == {PROJECT: (Action.CREATE, "missing")}
    tiny.apply()
    assert readme.read_text() == "one\n"


def test_what_is_not_rendered_any_more_goes_unless_it_was_edited(tiny, readme, change_kind):
    extra = TWO | {"README.md": "one\n", "a.txt": "a\n", "b.txt": "b\n"}
    change_kind(extra)
    tiny.apply()
    readme.with_name("b.txt").write_text("mine\n")
    for name in ("a.txt", "b.txt"):
        (tiny.folder / "kind" / "{{cookiecutter.name}}" / name).unlink()
    change_kind(TWO | {"README.md": "one\n"})
    tiny.apply()
    assert not readme.with_name("a.txt").exists()
    assert readme.with_name("b.txt").read_text() == "mine\n"
    assert tiny.planned() == {}


def test_tls_is_scaffolds_alone(tiny, readme, change_kind):
    listed = tiny.out / "servers/accounts/tls/list"
    listed.write_text("mine\n")
    assert tiny.planned() == {"server.accounts.trust": (Action.UPDATE, "content")}
    change_kind({"README.md": "one\n", "run.sh": "#!/bin/sh\n", "tls/list": "second\n"})
    tiny.apply()
    assert listed.read_text() == "second\n"
    assert tiny.planned() == {}


def test_a_link_in_the_place_of_a_persons_file_is_theirs(tiny, readme, change_kind, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("precious\n")
    readme.unlink()
    readme.symlink_to(outside)
    change_kind(TWO)
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    tiny.apply()
    assert outside.read_text() == "precious\n"
    tiny.apply(overwrite=[PROJECT])
    assert (outside.read_text(), readme.read_text(), readme.is_symlink()) == ("precious\n", "two\n", False)


def test_a_merge_in_the_new_file_is_a_persons_work_too(tiny, readme, change_kind):
    readme.write_text("mine\n")
    change_kind(TWO)
    tiny.apply()
    beside = readme.with_name("README.md.merge")
    beside.write_text("merged\n")
    tiny.apply()
    assert beside.read_text() == "merged\n"
