"""Records of what was rendered that were lost: an apply makes them again, and no project loses a file that it needs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scaffold.plan.model import Action
from scaffold.plan.projects import Resolution
from scaffold.plan.status import status
from scaffold.store import projects
from scaffold.store.layout import BASES, PROJECTS, Layout
from scaffold.topology.address import Address
from tests.unit.apply.test_held_projects import PROJECT, topology
from tests.unit.conftest import Household

SERVER = Address.server("accounts")


@pytest.fixture
def bank(household: Household) -> Household:
    """A bank whose server checks CRLs."""
    household.text = topology("crl")
    household.apply()
    return household


def lose(household: Household, *paths: str) -> None:
    for path in paths:
        lost = household.out / path
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()


def records(household: Household) -> dict[Address, projects.Record]:
    return dict(projects.load(Layout(household.out)).by_address)


def in_tls(household: Household) -> set[str]:
    return {path.name for path in (household.out / "servers/accounts/tls").iterdir()}


def kept(household: Household) -> set[str]:
    folder = household.out / BASES
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def edit(household: Household) -> Path:
    path = household.out / "servers/accounts/README.md"
    path.write_text("Mine.\n")
    return path


def checks_crls(household: Household) -> bool:
    found = json.loads((household.out / "servers/accounts/tls/policy.json").read_bytes())
    return bool(found["check_crl"])


def told(household: Household) -> list[str]:
    return [str(note) for note in household.plan().notes if PROJECTS in str(note)]


@pytest.mark.parametrize("lost", [(PROJECTS,), (BASES,), (PROJECTS, BASES)])
def test_an_apply_that_finds_all_as_it_is_rendered_makes_them_again(bank: Household, lost: tuple[str, ...]) -> None:
    before, bases, files = records(bank), kept(bank), bank.files()
    lose(bank, *lost)
    assert bank.plan().changes == ()
    assert bank.apply().done == ()
    assert (records(bank), kept(bank), bank.files()) == (before, bases, files)


def test_nothing_is_written_where_nothing_was_lost(bank: Household) -> None:
    before = (bank.out / PROJECTS).read_bytes()
    bank.later(minutes=1)
    bank.apply()
    assert (bank.out / PROJECTS).read_bytes() == before


def test_what_is_not_as_it_is_rendered_is_not_recorded(bank: Household) -> None:
    edit(bank)
    bank.apply()
    lose(bank, PROJECTS)
    bank.text = topology("crl").replace("clients:\n", "clients:\n  new: {template: curl, issuer: issuing, calls: []}\n")
    bank.apply()
    assert {address.name for address in records(bank)} == {"accounts", "teller", "new"}
    assert records(bank)[SERVER].inputs is None  # it is in conflict


@pytest.mark.parametrize("lost", [(PROJECTS,), (PROJECTS, BASES)])
def test_a_change_after_the_loss_takes_no_file_that_is_needed(bank: Household, lost: tuple[str, ...]) -> None:
    before = in_tls(bank)
    lose(bank, *lost)
    bank.text = topology()
    bank.apply()
    assert before - in_tls(bank) <= {"crl.pem"}
    bank.apply()
    assert before - in_tls(bank) <= {"crl.pem"}


def test_what_nobody_edited_follows_its_template_although_nothing_is_recorded(bank: Household) -> None:
    lose(bank, PROJECTS)
    bank.text = topology()
    assert {change.action for change in bank.plan().changes} == {Action.UPDATE}
    assert bank.apply().undone == ()
    assert bank.planned() == {}
    assert not checks_crls(bank)


def test_an_edit_holds_the_whole_project(bank: Household) -> None:
    edit(bank)
    before = bank.files()
    lose(bank, PROJECTS)
    bank.text = topology()
    assert bank.planned()[PROJECT] == (Action.CONFLICT, "edited")
    assert [str(change.address) for change in bank.apply().undone] == [PROJECT]
    after = bank.files()
    changed = {path for path in before if before[path] != after.get(path) and path.startswith("servers/")}
    assert changed <= {"servers/accounts/tls/.gitignore"}
    assert after.keys() - before.keys() == {"servers/accounts/README.md.merge"}
    assert bank.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    bank.resolve("server.accounts", Resolution.MINE)
    assert bank.planned() == {}
    assert not checks_crls(bank)


def test_the_loss_is_told_where_something_is_to_change(bank: Household) -> None:
    lose(bank, PROJECTS)
    assert told(bank) == []
    assert status(bank.prepare()).unrecorded == ()
    bank.text = topology()
    assert [note.split()[0] for note in told(bank)] == ["server.accounts"]
    found = status(bank.prepare())
    assert [str(note) for note in found.unrecorded] == told(bank)
    assert found.lost == ()


def test_a_kind_of_which_a_file_was_there_before_gets_all_the_others(tiny: Household, change_kind) -> None:
    change_kind({"README.md": "one\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    for path, text in {"README.md": "Mine.\n", "run.sh": "#!/bin/sh\n"}.items():
        (tiny.out / "servers/accounts").mkdir(parents=True, exist_ok=True)
        (tiny.out / "servers/accounts" / path).write_text(text)
    assert [str(change.address) for change in tiny.apply().undone] == [PROJECT]
    assert (tiny.out / "servers/accounts/tls/list").read_text() == "first\n"
