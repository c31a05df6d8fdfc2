"""A plan carries what it saw: what changed meanwhile is planned anew and never overwritten. Nothing is done twice."""

from __future__ import annotations

import contextlib

import pytest

from scaffold.apply import apply
from scaffold.errors import Overtaken
from scaffold.pki.crl import Reason
from scaffold.plan import make as making
from scaffold.plan.intents import Revoke
from scaffold.plan.model import Action
from scaffold.plan.plan_subset import plan_due, plan_intents
from scaffold.store import existing, files, ledger, lock, projects
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address

README = "servers/accounts/README.md"


@pytest.fixture
def updating(tiny, change_kind):
    """An applied household whose template says something new of README.md."""
    tiny.apply()
    change_kind({"README.md": "two\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    return tiny


def overtaken(household, planned) -> str | None:
    """Which file stopped the plan; nothing was written."""
    before = household.files()
    with pytest.raises(Overtaken) as caught:
        household.carry_out(planned)
    assert household.files() == before
    return caught.value.path


# --- Between the plan and the lock -----------------------------------------------------------------------------------


def test_an_edit_made_meanwhile_stays(updating):
    planned = updating.prepare()
    (updating.out / README).write_text("mine\n")
    assert overtaken(updating, planned) == README
    assert [change.paths for change in updating.apply().undone] == [(README,)]
    assert (updating.out / README).read_text() == "mine\n"


def test_an_edit_of_what_is_to_be_overwritten_stays(updating):
    (updating.out / README).write_text("given up\n")
    planned = updating.prepare(overwrite=["server.accounts"])
    (updating.out / README).write_text("newer\n")
    assert overtaken(updating, planned) == README


def test_a_file_that_was_removed_meanwhile_is_not_put_back_unasked(updating):
    planned = updating.prepare()
    (updating.out / README).unlink()
    assert overtaken(updating, planned) == README


def test_an_edit_of_what_is_to_be_removed_stays(tiny, change_kind):
    tiny.apply()
    change_kind({"run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    (tiny.folder / "kind/{{cookiecutter.name}}/README.md").unlink()
    change_kind({"run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    planned = tiny.prepare()
    assert [change.paths for change in planned.plan.changes] == [(README,)]
    (tiny.out / README).write_text("mine\n")
    assert overtaken(tiny, planned) == README
    assert (tiny.out / README).read_text() == "mine\n"


def test_a_text_that_is_being_merged_stays(updating):
    (updating.out / README).write_text("mine\n")
    planned = updating.prepare()
    (updating.out / f"{README}.merge").write_text("my own\n")
    assert overtaken(updating, planned) == f"{README}.merge"


@pytest.mark.parametrize("path", [README, "servers/accounts/routes.py"])
def test_a_project_that_came_meanwhile_stays(tiny, path):
    planned = tiny.prepare()
    (tiny.out / path).parent.mkdir(parents=True)
    (tiny.out / path).write_text("mine\n")
    assert overtaken(tiny, planned) == "servers/accounts"


@pytest.mark.parametrize(
    "path",
    ["pki/root/ca.crt", "pki/root/ca.key", "pki/root/crl.pem", "servers/accounts/tls/key.pem",
     "servers/accounts/tls/cert.pem", "servers/accounts/tls/ca.pem", "servers/accounts/tls/list"],
)  # fmt: skip
def test_whatever_came_meanwhile_is_seen(tiny, path):
    planned = tiny.prepare()
    (tiny.out / path).parent.mkdir(parents=True)
    (tiny.out / path).write_text("somebody's\n")
    assert overtaken(tiny, planned) is not None


def test_a_file_of_tls_that_changed_meanwhile_is_planned_anew(updating):
    (updating.out / "servers/accounts/tls/ca.pem").write_text("damaged\n")
    planned = updating.prepare()
    (updating.out / "servers/accounts/tls/ca.pem").write_text("damaged otherwise\n")
    assert overtaken(updating, planned) == "servers/accounts/tls/ca.pem"


def test_the_records_of_another_apply_are_seen(updating):
    planned = updating.prepare()
    projects_file = updating.out / ".scaffold/projects.jsonl"
    projects_file.write_bytes(projects_file.read_bytes() + b'{"address":"server.accounts","offered":{}}\n')
    assert overtaken(updating, planned) is None


def test_nothing_is_compared_before_nobody_else_can_write(updating, monkeypatch):
    """Whoever held the lock before may have changed what the plan saw."""
    planned, real = updating.prepare(), lock.hold

    @contextlib.contextmanager
    def after_somebody_else(*args, **more):
        with real(*args, **more):
            (updating.out / README).write_text("mine\n")
            yield

    monkeypatch.setattr(lock, "hold", after_somebody_else)
    with pytest.raises(Overtaken):
        updating.carry_out(planned)
    assert (updating.out / README).read_text() == "mine\n"


# --- While it is carried out -----------------------------------------------------------------------------------------


def test_an_edit_made_while_certificates_are_issued_stays(updating):
    (updating.out / "servers/accounts/tls/cert.pem").unlink()
    planned, readme = updating.prepare(), updating.out / README
    with pytest.raises(Overtaken) as caught:
        apply(planned, Secrets(), lambda change: readme.write_text("mine\n"))
    assert caught.value.path == README
    assert readme.read_text() == "mine\n"
    assert (updating.out / "servers/accounts/tls/cert.pem").exists()
    assert [change.paths for change in updating.apply().undone] == [(README,)]


def test_a_removal_looks_again_too(tiny, change_kind):
    tiny.apply()
    (tiny.folder / "kind/{{cookiecutter.name}}/README.md").unlink()
    change_kind({"run.sh": "#!/bin/sh\n", "tls/list": "first\n"})
    (tiny.out / "servers/accounts/tls/cert.pem").unlink()
    planned, readme = tiny.prepare(), tiny.out / README
    with pytest.raises(Overtaken):
        apply(planned, Secrets(), lambda change: readme.write_text("mine\n"))
    assert readme.read_text() == "mine\n"


# --- Once ------------------------------------------------------------------------------------------------------------


def test_a_plan_and_its_execution_desire_load_and_look_once(household, tmp_path, monkeypatch):
    household.apply()
    for source, name in (("ca.crt", "partner.pem"), ("ca.key", "partner.key")):
        (household.folder / name).write_bytes((household.out / "pki/root" / source).read_bytes())
    household.text = household.text.replace(
        "root: {}", "root: {}\n  partner: {existing: {certificate: partner.pem, key: partner.key}}"
    )
    household.later(days=80)
    calls = []

    def counted(module, name):
        real = getattr(module, name)

        def call(*args, **more):
            calls.append(f"{module.__name__}.{name}")
            return real(*args, **more)

        monkeypatch.setattr(module, name, call)

    counted(making, "desire")
    counted(existing, "read")
    counted(ledger, "load")
    counted(projects, "load")
    counted(Observation, "check_topology")
    outcome = household.apply()
    assert {str(change.address) for change in outcome.done} >= {"ca.partner.certificate", "client.teller.certificate"}
    assert sorted(calls) == sorted(set(calls))
    assert len(calls) == 5


# --- Order -----------------------------------------------------------------------------------------------------------


def test_a_key_is_in_its_place_before_its_certificate(household, monkeypatch):
    written, real = [], files.Writer.write

    def write(self, relative, content, **more):
        written.append(relative)
        real(self, relative, content, **more)

    monkeypatch.setattr(files.Writer, "write", write)
    household.text = household.text.replace("names: [localhost]}", "names: [localhost], calls: [vault]}").replace(
        "clients:",
        '  vault: {template: python, issuer: issuing, listen: "127.0.0.1:8444", names: [localhost]}\nclients:',
    )
    household.apply()
    pairs = {path: path.replace("cert.pem", "key.pem").replace("ca.crt", "ca.key") for path in written}
    of_certificates = {path: key for path, key in pairs.items() if key != path}
    assert len(of_certificates) == 6
    assert all(written.index(key) < written.index(path) for path, key in of_certificates.items())


# --- What time alone asks for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ca", ["root", "issuing"])
def test_what_is_due_never_replaces_the_key_of_a_ca(household, ca):
    household.apply()
    (household.out / f"pki/{ca}/ca.key").write_text("damaged\n")
    household.later(days=80)
    assert [str(change.address) for change in household.plan().changes if change.asks] == [f"ca.{ca}.certificate"]
    due = plan_due(household.look()).planned.plan
    assert f"ca.{ca}.certificate" not in {str(change.address) for change in due.changes}
    assert f"ca.{'issuing' if ca == 'root' else 'root'}.crl" in {str(change.address) for change in due.changes}


def test_what_is_due_never_gives_a_revoked_ca_another_key(household):
    """A person is asked, whatever the clock says; a leaf that was revoked gets its new key by time alone."""
    household.apply()
    for address in (Address.ca("issuing"), Address.client("teller")):
        intent = Revoke(address, Reason.SUPERSEDED)
        entries = [change for change in plan_intents(household.look(), [intent]).plan.changes if change.revocations]
        ledger.Recorder(Layout(household.out), household.now).revoked(
            ledger.Revoked(one.ca, one.serial, one.reason, household.now) for one in entries[0].revocations
        )
    assert [str(change.address) for change in household.plan().changes if change.asks] == ["ca.issuing.certificate"]
    due = {str(change.address): change for change in plan_due(household.look()).planned.plan.changes}
    assert "ca.issuing.certificate" not in due
    assert due["client.teller.certificate"].action is Action.REPLACE
