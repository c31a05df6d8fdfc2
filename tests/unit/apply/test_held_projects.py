"""A project with an edit in conflict is held: updated whole or not at all, while `tls/` goes on with what fits it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scaffold.plan.intents import Renew
from scaffold.plan.model import Action, Work
from scaffold.plan.projects import Resolution
from scaffold.store.layout import PROJECTS
from scaffold.topology.address import Address
from scaffold.view.reasons import sentence
from tests.unit.conftest import Household, write_kind
from tests.unit.revoking import planned, renew_due, want

PROJECT, TRUST = "server.accounts.project", "server.accounts.trust"

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas: {root: {}, issuing: {issuer: root}}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]CHECK}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
"""
OTHER = "  other: {template: python, issuer: issuing, calls: [accounts]}\n"


def topology(check: str = "", clients: str = "") -> str:
    return BANK.replace("CHECK", f", check_revocation: {check}" if check else "") + clients


def project(household: Household) -> dict[str, bytes]:
    """The templated files of the server, without `tls/` and what is laid beside."""
    folder = household.out / "servers/accounts"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "tls" not in path.parts and path.suffix != ".merge"
    }


def let_in(household: Household) -> set[str]:
    found = json.loads((household.out / "servers/accounts/tls/allowed.json").read_bytes())
    return {one["name"] for one in found["allowed"]}


def reasons(household: Household, code: str) -> list[str]:
    return [
        sentence(reason) for change in household.plan().changes for reason in change.reasons if reason.code.code == code
    ]


@pytest.fixture
def edited(household: Household) -> Household:
    """A bank whose server has a README of a person's, which no change of the template's fits."""
    household.text = topology(clients=OTHER)
    household.apply()
    edit(household)
    return household


def edit(household: Household) -> Path:
    path = household.out / "servers/accounts/README.md"
    path.write_text("Mine.\n")
    return path


def test_nothing_of_it_changes_while_one_of_its_files_is_in_conflict(edited: Household) -> None:
    before = project(edited)
    edited.text = topology("crl", OTHER)
    assert edited.planned()[PROJECT] == (Action.CONFLICT, "edited")
    assert [str(change.address) for change in edited.apply().undone] == [PROJECT]
    assert project(edited) == before
    assert (edited.out / "servers/accounts/tls/crl.pem").exists()
    assert edited.planned() == {PROJECT: (Action.CONFLICT, "edited")}


def test_without_an_edit_all_of_it_changes(household: Household) -> None:
    household.text = topology()
    household.apply()
    before = project(household)
    household.text = topology("crl")
    household.apply()
    assert project(household) != before
    assert "refresh.sh" in project(household)
    assert household.planned() == {}


def test_what_is_not_in_force_is_said(edited: Household) -> None:
    edited.text = topology("ocsp", OTHER)
    assert reasons(edited, "not-in-force") == [
        "check_revocation: ocsp is not in force until then: it is none, as before"
    ]
    edited.apply()
    assert reasons(edited, "not-in-force") == [
        "check_revocation: ocsp is not in force until then: it is none, as before"
    ]
    assert any("refresh.sh: waits until then" in message for message in reasons(edited, "held"))


def test_it_ends_when_the_person_has_decided_and_then_all_of_it_changes(edited: Household) -> None:
    edited.text = topology("crl", OTHER)
    edited.apply()
    edited.resolve(PROJECT, Resolution.MINE)
    assert "refresh.sh" in project(edited)
    assert project(edited)["README.md"] == b"Mine.\n"
    assert edited.planned() == {}


def test_overwrite_ends_it_too(edited: Household) -> None:
    edited.text = topology("crl", OTHER)
    edited.apply()
    edited.apply(overwrite=[PROJECT])
    assert b"Mine." not in project(edited)["README.md"]
    assert edited.planned() == {}


def test_callers_leave_the_allow_list_and_none_come_in(edited: Household) -> None:
    edited.text = topology("crl", OTHER.replace("other", "fresh"))
    assert any("spiffe://bank/client/fresh" in message for message in reasons(edited, "not-in-force"))
    edited.apply()
    assert let_in(edited) == {"teller"}
    assert edited.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    edited.text = topology("crl", OTHER + OTHER.replace("other", "fresh"))
    edited.apply()
    assert let_in(edited) == {"teller"}  # who left is a newcomer, too
    edited.apply(overwrite=[PROJECT])
    assert let_in(edited) == {"teller", "other", "fresh"}


def roles(household: Household) -> dict[str, list[str]]:
    found = json.loads((household.out / "servers/accounts/tls/allowed.json").read_bytes())
    return {one["name"]: one["roles"] for one in found["allowed"] if "roles" in one}


def with_roles(text: str, edge: str) -> str:
    return text.replace("calls: [accounts]", f"calls: {{accounts: [{edge}]}}")


def test_roles_leave_the_allow_list_and_none_come_in(household: Household) -> None:
    household.text = with_roles(topology(), "reader, approver")
    household.apply()
    edit(household)
    household.text = with_roles(topology("crl"), "approver, admin")
    assert reasons(household, "not-in-force")[1:] == [
        "not in force until then, roles: spiffe://bank/client/teller (admin)"
    ]
    household.apply()
    assert roles(household) == {"teller": ["approver"]}
    household.text = with_roles(topology("crl"), "reader, approver, admin")
    household.apply()
    assert roles(household) == {"teller": ["approver"]}  # what was taken away is new, too
    household.apply(overwrite=[PROJECT])
    assert roles(household) == {"teller": ["reader", "approver", "admin"]}


def test_a_change_of_roles_is_one_of_the_allow_list_alone(household: Household) -> None:
    household.text = topology()
    household.apply()
    before = project(household)
    household.text = with_roles(topology(), "reader")
    (change,) = household.plan().changes
    assert (str(change.address), change.paths) == ("server.accounts.trust", ("servers/accounts/tls/allowed.json",))
    assert reasons(household, "roles") == ["roles are given: spiffe://bank/client/teller (reader)"]
    household.apply()
    assert (project(household), roles(household)) == (before, {"teller": ["reader"]})
    household.text = with_roles(topology(), "approver")
    assert reasons(household, "roles") == [
        "roles are given: spiffe://bank/client/teller (approver)",
        "roles are taken away: spiffe://bank/client/teller (reader)",
    ]
    household.text = topology()
    household.apply()
    assert (project(household), roles(household), household.planned()) == (before, {}, {})


def test_a_new_key_of_a_ca_reaches_its_allow_list(edited: Household) -> None:
    before = (edited.out / "servers/accounts/tls/allowed.json").read_bytes()
    edited.text = topology("crl", OTHER)
    (edited.out / "pki/issuing/ca.key").unlink()
    edited.apply()
    assert let_in(edited) == {"teller", "other"}
    assert (edited.out / "servers/accounts/tls/allowed.json").read_bytes() != before
    assert edited.planned() == {PROJECT: (Action.CONFLICT, "edited")}


def test_the_crls_that_it_reads_stay_and_are_kept_fresh(household: Household) -> None:
    household.text = topology("crl")
    household.apply()
    edit(household)
    household.text = topology()
    household.apply()
    crl = household.out / "servers/accounts/tls/crl.pem"
    before = crl.read_bytes()
    household.later(days=60)
    household.apply()
    assert crl.read_bytes() != before
    household.apply(overwrite=[PROJECT])
    assert not crl.exists()


def test_an_older_record_knows_no_callers(edited: Household) -> None:
    records = edited.out / PROJECTS
    events = [json.loads(line) for line in records.read_text().splitlines()]
    records.write_text("".join(json.dumps({k: v for k, v in e.items() if k != "guard"}) + "\n" for e in events))
    edited.text = topology("crl", OTHER.replace("other", "fresh"))
    before = project(edited)
    assert reasons(edited, "not-in-force") == []
    edited.apply()
    assert (project(edited), let_in(edited)) == (before, {"teller", "fresh"})


def test_a_renewal_leaves_a_project_that_is_behind_as_it_stands(household: Household) -> None:
    household.text = topology(clients=OTHER)
    household.apply()
    before = project(household)
    household.text = topology("crl", OTHER.replace("other", "fresh"))
    want(household, Renew(Address.parse("client.teller")))
    assert project(household) == before
    assert let_in(household) == {"teller"}
    renew_due(household)
    assert [
        change
        for change in planned(household, Renew(Address.parse("client.teller"))).changes
        if change.work is Work.REFRESH
    ] == []
    household.apply()
    assert let_in(household) == {"teller", "fresh"}
    assert household.planned() == {}


def test_what_a_held_project_uses_is_not_deleted(tiny: Household, change_kind) -> None:
    files = {"README.md": "one\n", "run.sh": "#!/bin/sh\n", "tls/list": "first\n"}
    tiny.text = tiny.text.replace("[localhost]", "[localhost], pfx: {password: {generate: true}}")
    tiny.apply()
    (tiny.out / "servers/accounts/README.md").write_text("mine\n")
    change_kind(files | {"README.md": "two\n", "tls/list": "second\n"})
    with_pfx, tiny.text = tiny.text, tiny.text.replace(", pfx: {password: {generate: true}}", "")
    assert tiny.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    tiny.apply()
    assert (tiny.out / "servers/accounts/tls/bundle.pfx").exists()
    assert (tiny.out / "servers/accounts/tls/list").read_text() == "first\n"
    tiny.apply(overwrite=[PROJECT])
    tiny.apply()
    assert not (tiny.out / "servers/accounts/tls/bundle.pfx").exists()
    assert (tiny.out / "servers/accounts/tls/list").read_text() == "second\n"
    assert with_pfx != tiny.text
    assert tiny.planned() == {}


def test_where_no_allow_list_can_shrink_it_is_said_who_still_gets_in(tiny: Household, change_kind) -> None:
    client = "clients:\n  teller: {template: curl, calls: [accounts]}\n"
    tiny.text += client
    tiny.apply()
    (tiny.out / "servers/accounts/README.md").write_text("mine\n")
    write_kind(tiny.folder / "kind", {"README.md": "two\n"})
    change_kind({"README.md": "two\n"})
    tiny.text = tiny.text.replace(client, "")
    for _ in range(2):
        assert reasons(tiny, "not-in-force") == ["still let in until then: spiffe://bank/client/teller"]
        tiny.apply()


def test_what_it_calls_with_stays_while_it_is_held(household: Household) -> None:
    back = '  back: {template: python, issuer: issuing, listen: "127.0.0.1:8444", names: [localhost]}\nclients:'
    calling = topology().replace("clients:", back).replace("[localhost]}", "[localhost], calls: [back]}", 1)
    household.text = calling
    household.apply()
    edit(household)
    household.text = calling.replace(", calls: [back]", "")
    used = [household.out / "servers/accounts/tls" / name for name in ("client-ca.pem", "client-key.pem")]
    assert household.planned()[PROJECT] == (Action.CONFLICT, "edited")
    household.apply()
    assert all(path.exists() for path in used)
    assert household.planned() == {PROJECT: (Action.CONFLICT, "edited")}
    household.apply(overwrite=[PROJECT])
    household.apply()
    assert not any(path.exists() for path in used)


def test_where_it_listens_until_then_is_said(edited: Household) -> None:
    assert reasons(edited, "not-in-force") == []
    edited.text = topology("crl", OTHER).replace("8443", "8444")
    said = "it listens on 127.0.0.1:8443 until then, as before, and its callers dial 127.0.0.1:8444 already"
    assert said in reasons(edited, "not-in-force")
    edited.apply()
    assert said in reasons(edited, "not-in-force")
    edited.resolve("server.accounts", Resolution.MINE)
    assert edited.plan().changes == ()
