"""Edits of merged files: both changes are kept, or a conflict lasts until a person ends it; nothing is lost."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold.apply import apply
from scaffold.errors import Overtaken, PlanError
from scaffold.kinds import catalogue
from scaffold.plan import merging, trust_files
from scaffold.plan.model import Action
from scaffold.plan.plan_subset import plan_resolution
from scaffold.plan.projects import Resolution
from scaffold.store import bases
from scaffold.store.layout import BASES, PROJECTS
from scaffold.store.projects import digest
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address
from tests.unit.apply.test_apply_disk import die_at
from tests.unit.conftest import Household, write_kind

PROJECT = "server.accounts.project"
CONFLICT = {PROJECT: (Action.CONFLICT, "edited")}
README = "# Title\n\nFirst.\n\nLast.\n"
FIRST = {"README.md": README, "run.sh": "#!/bin/sh\n", "tls/list": "first\n"}
SECOND = FIRST | {"README.md": README.replace("Title", "Another title"), "run.sh": "#!/bin/sh\n# two\n"}
Change = Callable[..., None]


@pytest.fixture
def readme(tiny: Household, change_kind: Change) -> Path:
    change_kind(FIRST)
    tiny.apply()
    return tiny.out / "servers/accounts/README.md"


@pytest.fixture
def beside(tiny: Household, readme: Path, change_kind: Change) -> Path:
    """FILE.merge of a conflict: title and template's title."""
    readme.write_text(README.replace("Title", "My title"))
    change_kind(SECOND)
    tiny.apply()
    return readme.with_name("README.md.merge")


# --- Bases -----------------------------------------------------------------------------------------------------------


def kept(household: Household) -> set[str]:
    return {path.name for path in (household.out / BASES).iterdir() if not path.name.startswith(".")}


def test_the_texts_that_merges_start_from_are_kept_and_no_others(
    tiny: Household, readme: Path, change_kind: Change
) -> None:
    assert kept(tiny) == {digest(FIRST[name].encode()) for name in ("README.md", "run.sh")}
    readme.write_text(README + "Mine.\n")
    change_kind(SECOND)
    tiny.apply()
    assert kept(tiny) == {digest(SECOND[name].encode()) for name in ("README.md", "run.sh")}


def test_a_conflict_keeps_both_of_its_texts(tiny: Household, beside: Path) -> None:
    texts = (README, SECOND["README.md"], FIRST["run.sh"], FIRST["tls/list"])
    assert kept(tiny) == {digest(text.encode()) for text in texts}
    tiny.resolve(PROJECT, Resolution.MINE)
    assert kept(tiny) == {digest(SECOND[name].encode()) for name in ("README.md", "run.sh", "tls/list")}


def test_the_bases_of_a_project_that_left_go_with_it(tiny: Household, readme: Path) -> None:
    tiny.text = tiny.text[: tiny.text.index("servers:")]
    tiny.apply()
    assert kept(tiny) == set()


def test_a_base_is_committed_and_its_bytes_stay(tiny: Household, readme: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "core.autocrlf=true", "-C", str(tiny.out), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    names = kept(tiny)
    git("init", "-q")
    git("add", ".")
    committed = git("ls-files", BASES).splitlines()
    assert {path.rpartition("/")[2] for path in committed} == names | {".gitignore", ".gitattributes"}
    for name in names:
        (tiny.out / BASES / name).unlink()
    git("checkout", "--", ".")
    assert kept(tiny) == names
    assert all(digest((tiny.out / BASES / name).read_bytes()) == name for name in names)


@pytest.mark.parametrize("damage", ["changed", "gone", "link"])
def test_a_base_that_is_not_what_its_name_says_is_none(
    tiny: Household, readme: Path, change_kind: Change, damage: str, tmp_path: Path
) -> None:
    base = tiny.out / BASES / digest(README.encode())
    outside = tmp_path / "outside"
    base.rename(outside)
    if damage == "changed":
        base.write_text("another\n")
    if damage == "link":
        base.symlink_to(outside)
    readme.write_text(README + "Mine.\n")
    change_kind(SECOND)
    assert tiny.planned() == CONFLICT
    assert any("README.md is merged without" in str(note) for note in tiny.plan().notes)
    tiny.apply()
    merged = readme.with_name("README.md.merge").read_text()
    assert "Mine.\n" in merged
    assert "|||||||" not in merged
    tiny.resolve(PROJECT, Resolution.MINE)
    change_kind(SECOND | {"README.md": SECOND["README.md"].replace("First", "Second")})
    tiny.apply()
    assert readme.read_text() == README.replace("First", "Second") + "Mine.\n"
    assert outside.read_text() == README


def test_a_damaged_base_is_mended_when_its_text_is_rendered_once_more(
    tiny: Household, readme: Path, change_kind: Change
) -> None:
    base = tiny.out / BASES / digest(README.encode())
    base.write_text("another\n")
    change_kind(FIRST | {"run.sh": "#!/bin/sh\n# two\n"})
    tiny.apply()
    assert base.read_text() == README


def test_a_change_that_a_person_made_first_is_where_the_next_merge_starts(
    tiny: Household, readme: Path, change_kind: Change
) -> None:
    readme.write_text(SECOND["README.md"])
    change_kind(SECOND | {"run.sh": FIRST["run.sh"]})
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "merged")}
    tiny.apply()
    assert tiny.planned() == {}
    readme.write_text(SECOND["README.md"] + "Mine.\n")
    change_kind(FIRST | {"README.md": README.replace("Title", "A third title")})
    assert tiny.apply().undone == ()
    assert readme.read_text() == "# A third title\n\nFirst.\n\nLast.\nMine.\n"


def test_nothing_is_merged_or_rendered_where_nothing_is_to_do(
    tiny: Household, readme: Path, change_kind: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme.write_text(README + "Mine.\n")
    change_kind(SECOND)
    tiny.apply()

    def never(*args: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(merging, "merge", never)
    monkeypatch.setattr(bases, "load", never)
    monkeypatch.setattr(trust_files, "render", never)
    assert tiny.planned() == {}


# --- Folders of the last version -------------------------------------------------------------------------------------


def as_the_last_version_left_it(household: Household) -> None:
    shutil.rmtree(household.out / BASES)
    records = household.out / PROJECTS
    events = [json.loads(line) for line in records.read_text().splitlines()]
    records.write_text("".join(json.dumps({k: v for k, v in e.items() if k != "merging"}) + "\n" for e in events))


def test_a_folder_without_bases_goes_on(tiny: Household, readme: Path, change_kind: Change) -> None:
    as_the_last_version_left_it(tiny)
    assert tiny.planned() == {}
    change_kind(SECOND)
    tiny.apply()
    assert readme.read_text() == SECOND["README.md"]
    readme.write_text(SECOND["README.md"] + "Mine.\n")
    change_kind(FIRST)
    tiny.apply()
    assert readme.read_text() == README + "Mine.\n"


@pytest.fixture
def offered(tiny: Household, beside: Path) -> Path:
    """What the last version left where an edit met a change: the new text beside it as FILE.new."""
    beside.unlink()
    as_the_last_version_left_it(tiny)
    new = beside.with_name("README.md.new")
    new.write_text(SECOND["README.md"])
    event = {"address": "server.accounts", "offered": {"servers/accounts/README.md": digest(new.read_bytes())}}
    tiny.later(minutes=1)
    later = {"at": tiny.now.isoformat(timespec="seconds")}
    with (tiny.out / PROJECTS).open("a") as records:
        records.write(json.dumps(event | later) + "\n")
    tiny.later(minutes=1)
    return new


def test_a_conflict_of_the_last_version_is_taken_over(tiny: Household, offered: Path) -> None:
    assert tiny.planned() == CONFLICT
    tiny.apply()
    assert not offered.exists()
    assert "My title" in offered.with_name("README.md.merge").read_text()
    assert tiny.planned() == CONFLICT
    tiny.resolve(PROJECT, Resolution.THEIRS)
    assert tiny.planned() == {}


def test_a_text_of_the_last_version_that_a_person_edited_stays(tiny: Household, offered: Path) -> None:
    offered.write_text("merged\n")
    assert any("README.md.new is yours" in str(note) for note in tiny.plan().notes)
    tiny.apply()
    assert offered.read_text() == "merged\n"


def test_a_conflict_that_ended_in_the_last_version_has_ended(tiny: Household, offered: Path) -> None:
    mine = offered.with_name("README.md").read_text()
    offered.unlink()
    assert tiny.planned() == {PROJECT: (Action.UPDATE, "resolved")}
    tiny.apply()
    assert offered.with_name("README.md").read_text() == mine
    assert tiny.planned() == {}


# --- While a person is at work ---------------------------------------------------------------------------------------


def test_what_a_person_makes_of_it_takes_the_files_place(tiny: Household, beside: Path) -> None:
    made = README.replace("Title", "Our title")
    beside.write_text(made)
    tiny.resolve(PROJECT, Resolution.MERGED)
    assert beside.with_name("README.md").read_text() == made
    assert not beside.exists()
    assert tiny.planned() == {}


def test_an_edit_after_it_was_laid_beside_is_kept(tiny: Household, beside: Path) -> None:
    readme = beside.with_name("README.md")
    beside.write_text(README.replace("Title", "Our title"))
    readme.write_text("newer\n")
    tiny.resolve(PROJECT, Resolution.MERGED)
    assert "Our title" in readme.read_text()
    assert readme.with_name("README.md.edited").read_text() == "newer\n"


def test_an_edit_before_anybody_works_on_it_is_laid_beside_anew(tiny: Household, beside: Path) -> None:
    readme = beside.with_name("README.md")
    readme.write_text(README.replace("Title", "Newer title"))
    tiny.apply()
    assert "Newer title" in beside.read_text()


def test_a_change_of_the_template_meanwhile_is_merged_into_it(
    tiny: Household, beside: Path, change_kind: Change
) -> None:
    beside.write_text(README.replace("Title", "Our title"))
    third = SECOND["README.md"].replace("Last", "The end")
    change_kind(SECOND | {"README.md": third})
    tiny.apply()
    tiny.resolve(PROJECT, Resolution.MERGED)
    assert beside.with_name("README.md").read_text() == "# Our title\n\nFirst.\n\nThe end.\n"
    assert tiny.planned() == {}


def test_a_change_of_the_template_that_does_not_fit_it_is_said(
    tiny: Household, beside: Path, change_kind: Change
) -> None:
    made = README.replace("Title", "Our title")
    beside.write_text(made)
    change_kind(SECOND | {"README.md": README.replace("Title", "A third title")})
    tiny.apply()
    with pytest.raises(PlanError, match="the template has changed since"):
        tiny.resolve(PROJECT, Resolution.MERGED)
    assert beside.read_text() == made
    assert tiny.planned() == CONFLICT


def test_a_file_of_theirs_that_was_never_laid_beside_is_no_merge(
    tiny: Household, readme: Path, change_kind: Change
) -> None:
    beside = readme.with_name("README.md.merge")
    beside.write_text("mine too\n")
    readme.write_text("mine\n")
    change_kind(SECOND)
    tiny.apply()
    with pytest.raises(PlanError, match="there is no"):
        tiny.resolve(PROJECT, Resolution.MERGED)
    tiny.resolve(PROJECT, Resolution.THEIRS)
    assert beside.read_text() == "mine too\n"


def test_the_rights_of_a_persons_file_stay(tiny: Household, readme: Path, change_kind: Change) -> None:
    readme.write_text(README + "Mine.\n")
    readme.chmod(0o600)
    change_kind(SECOND)
    tiny.apply()
    assert readme.stat().st_mode & 0o777 == 0o600
    assert not readme.with_name(".gitignore").exists()


@pytest.mark.parametrize("rights", [0o755, 0o600])
def test_the_rights_of_a_file_stay_whose_text_nobody_edited(
    tiny: Household, readme: Path, change_kind: Change, rights: int
) -> None:
    readme.chmod(rights)
    change_kind(SECOND)
    tiny.apply()
    assert readme.read_text() == SECOND["README.md"]
    assert readme.stat().st_mode & 0o777 == rights
    assert not readme.with_name(".gitignore").exists()


def test_a_merged_run_sh_gets_a_new_text_and_on_demand_its_right_to_run(
    tiny: Household, readme: Path, change_kind: Change
) -> None:
    run = readme.with_name("run.sh")
    run.chmod(0o644)
    change_kind(SECOND)
    tiny.apply()
    assert (run.read_text(), run.stat().st_mode & 0o777) == (SECOND["run.sh"], 0o644)
    change_kind(FIRST)
    tiny.apply(overwrite=[PROJECT])
    assert (run.read_text(), run.stat().st_mode & 0o777) == (FIRST["run.sh"], 0o755)


# --- Kills and other hands -------------------------------------------------------------------------------------------


def killed(household: Household, work: Callable[[], object], nth: int, moment: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            die_at(nth, moment)
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_kill_while_an_edit_is_merged(
    tiny: Household, readme: Path, change_kind: Change, nth: int, moment: str
) -> None:
    readme.write_text(README + "Mine.\n")
    change_kind(SECOND)
    plan = tiny.prepare()
    killed(tiny, lambda: tiny.carry_out(plan), nth, moment)
    assert readme.read_text() in (README + "Mine.\n", SECOND["README.md"] + "Mine.\n")
    assert tiny.apply().undone == ()
    assert readme.read_text() == SECOND["README.md"] + "Mine.\n"
    assert tiny.planned() == {}
    change_kind(SECOND | {"README.md": README.replace("Title", "A third title")})
    assert tiny.apply().undone == ()  # it starts from the text that was merged last
    assert readme.read_text() == "# A third title\n\nFirst.\n\nLast.\nMine.\n"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 10))
def test_a_kill_while_a_conflict_is_resolved(tiny: Household, beside: Path, nth: int, moment: str) -> None:
    readme, made = beside.with_name("README.md"), README.replace("Title", "Our title")
    beside.write_text(made)
    killed(tiny, lambda: tiny.resolve(PROJECT, Resolution.MERGED), nth, moment)
    assert made in {path.read_text() for path in (readme, beside) if path.exists()}
    if tiny.apply().undone:
        for resolution in (Resolution.MERGED, Resolution.MINE):
            try:
                tiny.resolve(PROJECT, resolution)
            except PlanError:
                continue
            break
    assert readme.read_text() == made
    assert tiny.planned() == {}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_kill_while_a_text_is_kept_beside(tiny: Household, change_kind: Change, nth: int, moment: str) -> None:
    change_kind(FIRST, {"merged": ["run.sh"]})
    tiny.apply()
    readme = tiny.out / "servers/accounts/README.md"
    readme.write_text("mine\n")
    plan = tiny.prepare()
    killed(tiny, lambda: tiny.carry_out(plan), nth, moment)
    tiny.apply()
    assert readme.read_text() == README
    assert {path.read_text() for path in readme.parent.glob("README.md.edited*")} == {"mine\n"}
    assert not readme.with_name("README.md.edited.2").exists()


def test_two_at_once_merge_once(tiny: Household, readme: Path, change_kind: Change) -> None:
    readme.write_text(README + "Mine.\n")
    change_kind(SECOND)
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(2)
    children = [context.Process(target=at_once, args=(tiny, ready)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert readme.read_text() == SECOND["README.md"] + "Mine.\n"
    assert tiny.planned() == {}


def at_once(household: Household, ready) -> None:
    planned = household.prepare()
    ready.wait(60)
    with contextlib.suppress(Overtaken):  # by the other one: what this one saw is not so any more
        apply(planned, Secrets(), wait=30)


def test_a_text_that_changes_while_it_is_resolved_is_not_decided_on(tiny: Household, beside: Path) -> None:
    beside.write_text(README)
    planned = plan_resolution(tiny.look(), Address.parse(PROJECT), Resolution.MERGED)
    beside.write_text("newer\n")
    with pytest.raises(Overtaken):
        tiny.carry_out(planned)
    assert beside.read_text() == "newer\n"


# --- Whatever they write ---------------------------------------------------------------------------------------------

words = st.sampled_from(["a", "b", "c", "", "=======", "# Title"])
documents = st.lists(words, max_size=6).map(lambda found: "".join(f"{line}\n" for line in found))
mine = st.lists(words | st.sampled_from(["mine", "mine too", ">>>>>>> template"]), max_size=6).map(
    lambda found: "".join(f"{line}\n" for line in found)
)


def lines(text: str) -> Counter[str]:
    return Counter(text.splitlines())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_line_that_a_person_added_is_lost(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Of any merged file and any of scaffold's, whatever the template says next, and next, and next."""
    household = Household(tmp_path_factory.mktemp("bank"))
    household.text = """
version: 1
name: bank
cas: {root: {}}
servers:
  accounts: {template: ./kind, listen: "127.0.0.1:8443", names: [localhost]}
"""

    def render(readme: str, guard: str) -> None:
        files = {"README.md": readme, "guard.conf": guard, "run.sh": "#!/bin/sh\n"}
        write_kind(household.folder / "kind", files, {"merged": ["README.md", "run.sh"]})
        catalogue.find.cache_clear()

    folder = household.out / "servers/accounts"
    render(*(rendered := [data.draw(documents), data.draw(documents)]))
    household.apply()
    for _ in range(data.draw(st.integers(1, 3))):
        added = []
        for name, base in zip(("README.md", "guard.conf"), rendered, strict=True):
            text = data.draw(mine)
            added.append((name, lines(text) - lines(base)))
            (folder / name).write_text(text)
        rendered = [data.draw(documents), data.draw(documents)]
        render(*rendered)
        household.apply()
        for name, wanted in added:
            there: Counter[str] = Counter()
            for path in folder.glob(f"{name}*"):
                there |= lines(path.read_text())
            assert not wanted - there
