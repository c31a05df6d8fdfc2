"""What another process writes between a plan and its execution: it is planned again, and nothing is lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import typer

from scaffold.cli import apply as apply_command
from scaffold.cli import failures
from scaffold.cli.plan_and_apply import ATTEMPTS, carry_out
from scaffold.errors import Overtaken, PlanError, TopologyError
from scaffold.plan.saved import save_plan
from tests.unit.adopting import Adopting, Spec
from tests.unit.adopting import make as make_ca
from tests.unit.conftest import write_kind


def overtaking(household, times: int):
    """Plans; the first `times` plans are overtaken by another process, which issues a lost certificate anew."""
    made = []

    def make(project, overtaken):
        plan = household.prepare()
        made.append(plan)
        if len(made) <= times:
            (household.out / "clients/teller/tls/cert.pem").unlink()
            household.apply()
        return plan

    return make, made


def test_an_overtaken_plan_is_made_again(household, capsys):
    household.apply()
    (household.out / "servers/accounts/tls/cert.pem").unlink()
    make, made = overtaking(household, 1)
    carry_out(household.open(), make, yes=True, json=False)
    assert len(made) == 2
    assert "planning again" in capsys.readouterr().err
    assert not household.plan().changes


def test_it_gives_up_where_it_is_overtaken_each_time(household):
    household.apply()
    make, made = overtaking(household, ATTEMPTS)

    def always_behind(project, overtaken):
        (household.out / "servers/accounts/tls/cert.pem").unlink(missing_ok=True)
        return make(project, overtaken)

    with pytest.raises(Overtaken):
        carry_out(household.open(), always_behind, yes=True, json=False)
    assert len(made) == ATTEMPTS


def test_what_needs_consent_is_not_done_without_a_terminal(household):
    household.apply()
    household.text = household.text.split("clients:")[0]
    with pytest.raises(PlanError, match="rerun with --yes"):
        carry_out(household.open(), lambda project, overtaken: household.prepare(), yes=False, json=False)


# --- A person's edit while apply asks --------------------------------------------------------------------------------

README = "servers/accounts/README.md"


@pytest.fixture
def asking(tiny, change_kind, monkeypatch):
    """README.md is to be updated and a bundle deleted, which is asked about: a person edits README.md, and says yes."""
    tiny.text = tiny.text.replace("names: [localhost]", "names: [localhost], pfx: {password: {generate: true}}")
    tiny.apply()
    change_kind({"README.md": "two\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    tiny.text = tiny.text.replace(", pfx: {password: {generate: true}}", "")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.chdir(tiny.folder)
    return tiny


def editing(household, monkeypatch, text: str = "mine\n") -> list[str]:
    """The questions that were asked; before each answer a person writes `text`."""
    asked = []

    def confirm(question, **options):
        asked.append(question)
        (household.out / README).write_text(text)
        return True

    monkeypatch.setattr(typer, "confirm", confirm)
    return asked


def apply_by_command(household, **options) -> int:
    household.open()
    try:
        apply_command.run(file=household.folder / "topology.yaml", out=household.out, **options)
    except typer.Exit as end:
        return end.exit_code
    return 0


def test_an_edit_made_while_apply_asks_stays_and_is_a_conflict(asking, monkeypatch, capsys):
    asked = editing(asking, monkeypatch)
    assert apply_by_command(asking) == failures.CONFLICT
    assert (asking.out / README).read_text() == "mine\n"
    assert "two\n" in (asking.out / f"{README}.merge").read_text()
    assert (asking.out / "servers/accounts/tls/bundle.pfx").exists(), "what is held may still use it"
    assert len(asked) == 1, "the second plan is another one, and deletes nothing"
    assert f"{README} has changed meanwhile: planning again" in capsys.readouterr().err


def test_an_edit_made_while_apply_asks_is_not_what_was_given_up(asking, monkeypatch):
    (asking.out / README).write_text("given up\n")
    editing(asking, monkeypatch)
    assert apply_by_command(asking, overwrite=["server.accounts"]) == failures.CONFLICT
    assert (asking.out / README).read_text() == "mine\n"


def test_what_did_not_change_is_given_up_as_asked(asking, monkeypatch):
    (asking.out / README).write_text("given up\n")
    editing(asking, monkeypatch, "given up\n")
    assert apply_by_command(asking, overwrite=["server.accounts"]) == 0
    assert (asking.out / README).read_text() == "two\n"


# --- What the plan is made from, while apply asks ---------------------------------------------------------------------


def answering(monkeypatch, meanwhile) -> list[str]:
    """The questions that were asked; before the first answer, `meanwhile` happens."""
    asked = []

    def confirm(question, **options):
        asked.append(question)
        if len(asked) == 1:
            meanwhile()
        return True

    monkeypatch.setattr(typer, "confirm", confirm)
    return asked


def test_a_topology_that_is_edited_while_apply_asks_is_planned_anew(asking, monkeypatch, capsys):
    file, wanted = asking.folder / "topology.yaml", "names: [localhost], pfx: {password: {generate: true}}"
    asked = answering(monkeypatch, lambda: file.write_text(asking.text.replace("names: [localhost]", wanted)))
    assert apply_by_command(asking) == 0
    assert len(asked) == 1, "nothing is deleted any more"
    assert (asking.out / "servers/accounts/tls/bundle.pfx").exists()
    assert "The topology topology.yaml has changed meanwhile: planning again" in capsys.readouterr().err


def test_a_topology_that_is_broken_while_apply_asks_is_an_error(asking, monkeypatch):
    before = asking.files()
    answering(monkeypatch, lambda: (asking.folder / "topology.yaml").write_text("version: 1\n"))
    with pytest.raises(TopologyError):
        apply_by_command(asking)
    assert asking.files() == before


def test_a_topology_that_vanishes_while_apply_asks_is_an_error(asking, monkeypatch):
    before = asking.files()
    answering(monkeypatch, (asking.folder / "topology.yaml").unlink)
    with pytest.raises(TopologyError, match="there is no file"):
        apply_by_command(asking)
    assert asking.files() == before


def test_a_template_that_is_edited_while_apply_asks_is_planned_anew(asking, monkeypatch, capsys):
    def edit():
        write_kind(asking.folder / "kind", {"README.md": "three\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"})

    asked = answering(monkeypatch, edit)
    assert apply_by_command(asking) == 0
    assert len(asked) == 2, "another plan is asked about once more"
    assert (asking.out / README).read_text() == "three\n"
    assert 'The server template "./kind" has changed meanwhile' in capsys.readouterr().err


def test_what_an_adopted_ca_brings_is_looked_at_after_the_answer(household, monkeypatch, capsys):
    adopting = Adopting(household)
    adopting.bring(make_ca(Spec()))
    adopting.apply()
    household.text = household.text.partition("clients:")[0]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    asked = answering(monkeypatch, lambda: adopting.bring(make_ca(Spec(serial=0x4321))))
    assert apply_by_command(household) == 0
    assert len(asked) == 2
    assert household.certificate("pki/partner/ca.crt").serial_number == 0x4321
    assert "`existing` of ca.partner has changed meanwhile" in capsys.readouterr().err


def test_nothing_is_planned_anew_where_nothing_has_changed(asking, monkeypatch, capsys):
    assert len(answering(monkeypatch, lambda: None)) == 0
    assert apply_by_command(asking) == 0
    assert "planning again" not in capsys.readouterr().err


def test_a_saved_plan_is_refused_where_the_topology_changes_while_it_asks(asking, monkeypatch, tmp_path):
    asking.open()
    save_plan(asking.prepare(), tmp_path / "saved.plan")
    file, before = asking.folder / "topology.yaml", asking.files()
    answering(monkeypatch, lambda: file.write_text(asking.text + "# more\n"))
    with pytest.raises(PlanError, match=r"the topology topology\.yaml has changed since the plan was saved"):
        apply_by_command(asking, plan_file=tmp_path / "saved.plan")
    assert asking.files() == before


def test_a_saved_plan_is_refused_where_a_file_has_changed_since(asking, monkeypatch, tmp_path):
    save_plan(asking.prepare(), tmp_path / "saved.plan")
    (asking.out / README).write_text("mine\n")
    with pytest.raises(PlanError, match="has changed since the plan was saved"):
        apply_by_command(asking, plan_file=tmp_path / "saved.plan")
    assert (asking.out / README).read_text() == "mine\n"


def test_a_saved_plan_is_refused_where_a_file_changes_while_it_asks(asking, monkeypatch, tmp_path):
    save_plan(asking.prepare(), tmp_path / "saved.plan")
    editing(asking, monkeypatch)
    with pytest.raises(PlanError, match="has changed since the plan was saved"):
        apply_by_command(asking, plan_file=tmp_path / "saved.plan")
    assert (asking.out / README).read_text() == "mine\n"
    assert (asking.out / "servers/accounts/tls/bundle.pfx").exists()


def test_an_apply_with_nothing_to_do_says_that_the_ledger_was_lost(household, capsys):
    household.apply()
    carry_out(household.open(), lambda project, overtaken: household.prepare(), yes=True, json=False)
    assert "note:" not in capsys.readouterr().out
    (household.out / ".scaffold/ledger.jsonl").unlink()
    carry_out(household.open(), lambda project, overtaken: household.prepare(), yes=True, json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "note: ca.root.certificate is not in the state (.scaffold/), which was lost" in shown
    assert shown.endswith("Nothing to do: bank is up to date.")
