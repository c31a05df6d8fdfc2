"""Another `name` is another output folder: a plan says where the CA keys of before are."""

from __future__ import annotations

from pathlib import Path

from scaffold.cli.project import open_project
from scaffold.plan.make import look, plan_all
from tests.unit.conftest import BANK, Household


def notes_of(household: Household, text: str, file: str = "topology.yaml", out: Path | None = None) -> list[str]:
    path = household.out.parent / file
    path.write_text(text)
    project = open_project(path, out)
    plan = plan_all(look(project.topology, project.kinds, project.layout, household.now)).plan
    return [str(note) for note in plan.notes if "takes them back" in str(note)]


OTHER = BANK.replace("name: bank", "name: savings")


def test_the_folder_of_the_former_name_is_named(household: Household) -> None:
    household.apply()
    assert household.out.name == "bank"
    (said,) = notes_of(household, OTHER)
    assert said.startswith(
        "bank/ beside topology.yaml has keys of CAs with the same names. If this topology was called bank before"
    )
    assert said.endswith("`name: bank` takes them back")


def test_nothing_is_said_without_reason(household: Household) -> None:
    assert notes_of(household, OTHER) == [], "nothing was ever applied"
    household.apply()
    assert notes_of(household, BANK) == [], "it has its name"
    assert notes_of(household, OTHER, out=household.out.parent / "far" / "away") == [], "a person says where"
    (household.out.parent / "topology.yaml").write_text(BANK)
    assert notes_of(household, OTHER, "second.yaml") == [], "the folder is that of the other file"


def test_a_folder_of_other_cas_or_of_other_callers_is_another_s(household: Household) -> None:
    household.apply()
    assert notes_of(household, OTHER.replace("cas:\n", "cas:\n  elsewhere: {}\n")) == []
    (household.out / ".scaffold/ledger.jsonl").write_text("no ledger\n")
    assert notes_of(household, OTHER) == []
