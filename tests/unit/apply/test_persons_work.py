"""Nothing of a person's is lost, whatever they did to a project and whenever an apply ends."""

from __future__ import annotations

import multiprocessing
import os
import resource
from pathlib import Path

import pytest

from scaffold.errors import PlanError, ScaffoldError
from scaffold.plan.model import Action
from scaffold.view.reasons import sentence
from tests.unit.apply.test_apply_disk import die_at
from tests.unit.conftest import Household

PROJECT = "server.accounts.project"
FIRST = {"README.md": "one\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"}
SECOND = {"README.md": "two\n", "run.sh": "#!/bin/sh\n# two\n", "tls/list": "second\n"}


@pytest.fixture
def readme(tiny: Household) -> Path:
    tiny.apply()
    return tiny.out / "servers/accounts/README.md"


def test_a_script_that_cannot_be_run_any_more_is_a_note_and_mended_on_demand(tiny: Household, readme: Path) -> None:
    script = readme.with_name("run.sh")
    assert not tiny.plan().notes
    script.chmod(0o644)
    (note,) = tiny.plan().notes
    assert str(note).startswith("servers/accounts/run.sh is no longer executable")
    tiny.apply()
    assert script.stat().st_mode & 0o111 == 0
    tiny.apply(overwrite=[PROJECT])
    assert script.stat().st_mode & 0o777 == 0o755
    assert not tiny.plan().notes


def test_a_folder_in_the_place_of_a_file_is_theirs(tiny: Household, readme: Path, change_kind) -> None:
    readme.unlink()
    readme.mkdir()
    (readme / "precious").write_text("mine\n")
    assert tiny.planned()[PROJECT] == (Action.CONFLICT, "edited")
    change_kind(SECOND)
    assert tiny.planned()[PROJECT] == (Action.CONFLICT, "edited")
    tiny.apply()
    assert not readme.with_name("README.md.merge").exists()
    with pytest.raises(PlanError, match=r"README\.md is a folder, and is not overwritten"):
        tiny.apply(overwrite=[PROJECT])
    assert (readme / "precious").read_text() == "mine\n"


def test_a_file_of_theirs_where_the_new_text_would_go_stays_and_that_is_said(
    tiny: Household, readme: Path, change_kind
) -> None:
    beside = readme.with_name("README.md.merge")
    readme.write_text("mine\n")
    beside.write_text("mine too\n")
    change_kind(SECOND)
    reason = tiny.plan().changes[-1].reasons[0]
    assert sentence(reason).endswith("README.md.merge is not changed")
    tiny.apply()
    assert (readme.read_text(), beside.read_text()) == ("mine\n", "mine too\n")
    beside.unlink()  # which is no sign that they have seen a text that was never laid there
    assert tiny.planned()[PROJECT] == (Action.CONFLICT, "edited")
    tiny.apply()
    assert "two\n" in beside.read_text()


def test_an_edit_of_what_is_not_rendered_any_more_stays_beside_the_update(
    tiny: Household, readme: Path, change_kind
) -> None:
    change_kind(FIRST | {"extra.txt": "extra\n"})
    tiny.apply()
    extra = readme.with_name("extra.txt")
    extra.write_text("mine\n")
    (tiny.folder / "kind" / "{{cookiecutter.name}}" / "extra.txt").unlink()
    change_kind(SECOND)
    assert any("extra.txt is no longer rendered; it was edited" in str(note) for note in tiny.plan().notes)
    tiny.apply()
    assert (extra.read_text(), readme.read_text()) == ("mine\n", "two\n")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_kill_loses_no_edit(tiny: Household, readme: Path, change_kind, nth: int, moment: str) -> None:
    readme.write_text("mine\n")
    change_kind(SECOND)
    plan = tiny.prepare()
    child = os.fork()
    if child == 0:
        try:
            die_at(nth, moment)
            tiny.carry_out(plan)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert readme.read_text() == "mine\n"
    tiny.apply()
    assert readme.read_text() == "mine\n"
    assert readme.with_name("run.sh").read_text() == "#!/bin/sh\n"
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}


@pytest.mark.parametrize("limit", [0, 1, 64, 300, 700, 1200, 2500])
def test_where_no_more_can_be_written_nothing_is_lost(tiny: Household, readme: Path, change_kind, limit: int) -> None:
    """The kernel refuses to let any file grow beyond `limit` (RLIMIT_FSIZE), at whatever write that is first."""
    readme.write_text("mine\n")
    change_kind(SECOND)
    tiny.later(days=80)
    before = tiny.files()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=limited, args=(tiny, limit, results))
    child.start()
    assert results.get(timeout=60) in ("refused", "done")
    child.join()
    after = tiny.files()
    assert after["servers/accounts/README.md"] == b"mine\n"
    assert all(after[path] for path, text in before.items() if text)
    tiny.apply()
    assert readme.read_text() == "mine\n"
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}


def limited(household: Household, limit: int, results) -> None:
    plan = household.prepare()
    # The queue's own pipe is no file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        household.carry_out(plan)
    except ScaffoldError:
        results.put("refused")
    else:
        results.put("done")
