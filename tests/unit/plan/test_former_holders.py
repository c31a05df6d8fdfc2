"""A certificate from before passes for nobody else's."""

from __future__ import annotations

import json

import pytest

from scaffold.errors import TopologyError
from scaffold.plan.plan_subset import plan_due
from scaffold.store.layout import Layout
from scaffold.store.moving import move
from scaffold.topology.address import Address
from tests.unit.conftest import Household
from tests.unit.revoking import known, revoke

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {{}}
  issuing: {{issuer: root, revocation: {{crl: 1d}}}}
servers:
  desk: {{template: {template}, issuer: issuing, listen: "127.0.0.1:8443", names: [desk.internal],
    check_revocation: {check}}}
clients:
  web: {{template: python, issuer: issuing, calls: [desk]}}
"""
PARTNER = "  partner: {template: python, issuer: issuing, subject: {common_name: web}, calls: [desk]}"


def bank(household: Household, template: str = "nginx", check: str = "none") -> Household:
    household.text = BANK.format(template=template, check=check)
    household.apply()
    return household


def partner_takes_over(household: Household) -> None:
    household.text = household.text.replace("  web: {template: python, issuer: issuing, calls: [desk]}", PARTNER)


def test_who_takes_over_the_name_of_a_valid_certificate_is_refused(household: Household) -> None:
    partner_takes_over(bank(household))
    with pytest.raises(TopologyError, match=r"would take client\.web for client\.partner") as caught:
        household.plan()
    assert caught.value.hint is not None
    assert "another common_name" in caught.value.hint


def test_once_it_has_ended_the_name_is_free(household: Household) -> None:
    partner_takes_over(bank(household))
    household.later(days=91)
    household.apply()


def test_a_server_that_sees_keys_and_identities_tells_two_of_one_subject_apart(household: Household) -> None:
    partner_takes_over(bank(household, template="python"))
    household.apply()


def test_a_revoked_one_is_nobody_where_that_is_checked(household: Household) -> None:
    bank(household, check="crl")
    revoke(household, "client.web", "cessationOfOperation", replace=False)
    partner_takes_over(household)
    household.apply()


def test_a_revoked_one_is_somebody_where_that_is_not_checked(household: Household) -> None:
    bank(household)
    revoke(household, "client.web", "cessationOfOperation", replace=False)
    partner_takes_over(household)
    with pytest.raises(TopologyError, match=r"would take client\.web") as caught:
        household.plan()
    only = "set check_revocation on server.desk, where nobody looks up that it is revoked; or "
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(only), "to revoke it once more would not help"


def test_of_several_those_alone_are_to_be_revoked_that_are_not(household: Household) -> None:
    bank(household)
    first = known(household).newest(Address.parse("client.web.certificate"))
    assert first is not None
    revoke(household, "client.web", "keyCompromise")
    partner_takes_over(household)
    with pytest.raises(TopologyError, match=r"would take client\.web") as caught:
        household.plan()
    assert (caught.value.hint or "").count("scaffold revoke --serial") == 1
    assert first.serial not in (caught.value.hint or "")
    assert ", and check_revocation on server.desk" in (caught.value.hint or "")


# --- A server that sees no issuer ------------------------------------------------------------------------------------


def with_clients(template: str, cas: str, clients: str) -> str:
    """The bank with CAs more, and other clients."""
    text, _, _ = BANK.format(template=template, check="none").partition("clients:")
    return text.replace("servers:", f"{cas}servers:") + f"clients:\n{clients}"


def after_a_branch_left(household: Household, template: str, client: str) -> None:
    """Its `web` was issued by a second CA under the root, which then left; another client bears the name and calls."""
    branch = "  branch: {issuer: root}\n"
    household.text = with_clients("python", branch, "  web: {template: python, issuer: branch}\n")
    household.apply()
    partner = f"  partner: {{template: {client}, issuer: issuing, subject: {{common_name: web}}, calls: [desk]}}\n"
    household.text = with_clients(template, "", partner)


def test_what_a_ca_that_left_has_issued_passes_for_the_only_ca_s_where_no_issuer_is_seen(household: Household) -> None:
    after_a_branch_left(household, "postgresql", "psql")
    with pytest.raises(TopologyError, match=r"would take client\.web for client\.partner"):
        household.plan()
    household.later(days=91)
    household.apply()


def test_where_the_issuer_is_seen_it_does_not(household: Household) -> None:
    after_a_branch_left(household, "nginx", "python")
    household.apply()


def test_what_another_root_vouches_for_is_told_apart(household: Household) -> None:
    other = "  other: {}\n  elsewhere: {issuer: other}\n"
    web = "  web: {template: psql, issuer: issuing, calls: [desk]}\n"
    former = "  former: {template: psql, issuer: elsewhere, subject: {common_name: web}}\n"
    household.text = with_clients("postgresql", other, web + former)
    household.apply()
    household.text = with_clients("postgresql", other, web)
    household.apply()


# --- CAs that changed under their certificates --------------------------------------------------------------------


NAMED = "issuing: {issuer: root, subject: {common_name: Issuing}, revocation: {crl: 1d}}"


def rename_the_entity(household: Household) -> None:
    """The CA keeps its subject, and gets another name in the topology."""
    household.text = household.text.replace("issuing: {", "successor: {").replace(
        "issuer: issuing", "issuer: successor"
    )


def named_bank(household: Household, template: str) -> Household:
    household.text = BANK.format(template=template, check="none").replace(
        "issuing: {issuer: root, revocation: {crl: 1d}}", NAMED
    )
    household.apply()
    return household


def test_a_ca_that_is_called_otherwise_and_bears_the_same_name_is_no_other_ca(household: Household) -> None:
    named_bank(household, "nginx")
    rename_the_entity(household)
    household.text = household.text.replace(
        "  web: {template: python, issuer: successor, calls: [desk]}", PARTNER.replace("issuing", "successor")
    )
    with pytest.raises(TopologyError, match=r"would take client\.web for client\.partner") as caught:
        household.plan()
    assert "another common_name" in (caught.value.hint or "")


# --- Servers that see the issuer's key and an identity ---------------------------------------------------------------


HOUSE = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {{}}
  other: {{}}
servers:
  desk: {{template: python, issuer: root, listen: "127.0.0.1:8443", names: [desk.internal], check_revocation: {check},
    trusts: [root, other]}}
clients:
{clients}"""

KINDS = ["python", "asgi", "kestrel"]


def house(household: Household, clients: str, check: str = "none") -> Household:
    """A topology with these clients, which was applied."""
    household.text = HOUSE.format(clients=clients, check=check)
    household.apply()
    return household


def then(household: Household, clients: str, check: str = "none") -> Household:
    household.text = HOUSE.format(clients=clients, check=check)
    return household


G = "  g: {template: curl, issuer: root}\n"
CALLING_G = "  g: {template: curl, issuer: root, calls: {desk: [admin]}}\n"
H = "  h: {template: curl, issuer: root}\n"
THIRD = "  third: {template: curl, issuer: root}\n"
WORKER = "spiffe://bank/client/worker"


def rename(household: Household, old: str, new: str) -> None:
    """As `scaffold rename` does in the output folder; the topology is left to the caller."""
    former, name = Address.parse(f"client.{old}"), Address.parse(f"client.{new}")
    assert move(Layout(household.out), former, name, household.now)


def renamed(household: Household) -> None:
    """The client `g` is `h`, as after `scaffold rename` and an apply."""
    rename(household, "g", "h")
    then(household, H).apply(overwrite=["client.h"])


@pytest.mark.parametrize("kind", KINDS)
def test_who_takes_the_name_of_one_that_was_renamed_is_refused(household: Household, kind: str) -> None:
    renamed(house(household, G))
    then(household, H + CALLING_G)
    household.text = household.text.replace("template: python", f"template: {kind}")
    with pytest.raises(TopologyError, match=r"server\.desk would take client\.h for client\.g") as caught:
        household.plan()
    assert "spiffe://bank/client/g" in str(caught.value)
    assert caught.value.place is not None
    old = next(one for one in known(household).issued.values() if "spiffe://bank/client/g" in one.names)
    assert f"`scaffold revoke --serial {old.serial} --reason superseded`" in (caught.value.hint or "")
    assert "check_revocation on server.desk" in (caught.value.hint or "")


def test_who_was_renamed_itself_goes_on(household: Household) -> None:
    renamed(house(household, G))
    plan = then(household, H.replace("}", ", calls: [desk]}")).plan()
    assert not [note for note in plan.notes if "was in the topology before" in note.text]


def test_an_external_caller_takes_no_name_that_is_still_in_a_certificate_of_somebody_else(
    household: Household,
) -> None:
    house(household, "  g: {template: curl, issuer: root, names: [a.example]}\n")
    then(household, "  e: {external: {issuer: root, identity: 'dns:a.example'}, calls: {desk: [admin]}}\n")
    with pytest.raises(
        TopologyError, match=r"would take client\.g for client\.e: both have certificates for a\.example"
    ):
        household.plan()


def test_what_another_ca_has_issued_is_nobody_s_name_here(household: Household) -> None:
    house(household, "  g: {template: curl, issuer: other, names: [a.example]}\n")
    then(household, "  e: {external: {issuer: root, identity: 'dns:a.example'}, calls: {desk: [admin]}}\n").apply()


def test_who_takes_a_name_that_another_gave_up_is_refused(household: Household) -> None:
    house(household, f"  boss: {{template: curl, issuer: root, names: ['{WORKER}']}}\n")
    then(
        household,
        "  boss: {template: curl, issuer: root}\n  worker: {template: curl, issuer: root, calls: [desk]}\n",
    )
    with pytest.raises(TopologyError, match=r"would take client\.boss for client\.worker") as caught:
        household.plan()
    assert "scaffold rename" not in (caught.value.hint or ""), "both are there: neither is the other"
    household.later(days=91)
    household.apply()


def test_who_left_may_have_been_renamed_by_hand(household: Household) -> None:
    house(household, CALLING_G)
    then(household, "  h: {template: curl, issuer: root, names: ['spiffe://bank/client/g'], calls: [desk]}\n")
    with pytest.raises(TopologyError, match=r"would take client\.g for client\.h") as caught:
        household.plan()
    assert "`scaffold rename client.g h`" in (caught.value.hint or "")


def test_a_new_key_and_a_new_certificate_are_the_same_caller_s(household: Household) -> None:
    house(household, CALLING_G)
    household.later(days=70)
    household.apply()
    (household.out / "clients/g/tls/key.pem").unlink()
    household.apply()
    assert len([one for one in known(household).issued.values() if "spiffe://bank/client/g" in one.names]) == 3
    assert not [note for note in household.plan().notes if "was in the topology before" in note.text]


def test_the_revoked_certificate_of_who_was_renamed_is_nobody_s_where_that_is_checked(household: Household) -> None:
    renamed(house(household, G, check="crl"))
    then(household, H + CALLING_G, check="crl")
    old = next(one for one in known(household).issued.values() if "spiffe://bank/client/g" in one.names)
    revoke(household, "", "superseded", serial=old.serial)
    household.apply()


def test_a_server_s_certificate_that_is_for_serving_alone_is_no_caller_s(household: Household) -> None:
    front = '  {}: {{template: python, issuer: root, listen: "127.0.0.1:84{}", names: [{}.internal]{}}}\n'

    def with_servers(*fronts: str) -> Household:
        then(household, G)
        household.text = household.text.replace("clients:", "".join(fronts) + "clients:")
        return household

    names = ", 'spiffe://bank/server/late'"
    with_servers(front.format("early", 44, "early", "").replace("early.internal", f"early.internal{names}")).apply()
    early, late = front.format("early", 44, "early", ""), front.format("late", 45, "late", ", calls: [desk]")
    with_servers(early, late).apply()


def test_who_comes_back_is_let_in_with_a_word_on_its_certificate_of_before(household: Household) -> None:
    house(household, G + H)
    then(household, H).apply()
    plan = then(household, CALLING_G + H).plan()
    (said,) = [note for note in plan.notes if "was in the topology before" in note.text]
    assert str(said.about) == "client.g"
    assert "will be let in by server.desk" in said.text
    assert "scaffold revoke --serial" in said.text
    household.apply()
    assert not [note for note in household.plan().notes if "was in the topology before" in note.text]


def test_where_names_alone_are_seen_an_external_caller_is_told_from_who_left_too(household: Household) -> None:
    text = with_clients("nginx", "", "  web: {template: curl, issuer: issuing}\n")
    household.text = text
    household.apply()
    external = "  partner: {external: {issuer: issuing, identity: 'subject:CN=web'}, calls: [desk]}\n"
    household.text = with_clients("nginx", "", external)
    with pytest.raises(TopologyError, match=r"sees names alone, and would take client\.web for client\.partner"):
        household.plan()


# --- A name that somebody else was renamed to -----------------------------------------------------------------------


def h_is_g_now(household: Household, kind: str = "python", check: str = "none") -> Household:
    """The client `g` left, and `h` was renamed to `g`, which calls."""
    house(household, G + H, check)
    then(household, H, check).apply()
    rename(household, "h", "g")
    then(household, CALLING_G, check)
    household.text = household.text.replace("template: python", f"template: {kind}")
    return household


@pytest.mark.parametrize("kind", KINDS)
def test_who_left_is_not_who_was_renamed_to_its_name(household: Household, kind: str) -> None:
    h_is_g_now(household, kind)
    with pytest.raises(TopologyError, match=r"server\.desk would take the former client\.g for client\.g") as caught:
        household.plan()
    (of_the_first,) = [one for one in known(household).issued.values() if "spiffe://bank/client/g" in one.names]
    assert f"`scaffold revoke --serial {of_the_first.serial} --reason superseded`" in (caught.value.hint or "")
    assert "scaffold rename" not in (caught.value.hint or "")


def test_nor_is_it_where_names_alone_are_seen(household: Household) -> None:
    for clients in (G + H, H):
        household.text = with_clients("nginx", "", clients.replace("root", "issuing"))
        household.apply()
    rename(household, "h", "g")
    household.text = with_clients("nginx", "", "  g: {template: curl, issuer: issuing, calls: [desk]}\n")
    with pytest.raises(TopologyError, match=r"sees names alone, and would take the former client\.g for client\.g"):
        household.plan()


def test_it_is_known_when_both_have_certificates_for_the_name(household: Household) -> None:
    h_is_g_now(household)
    then(household, G).apply(overwrite=["client.g"])
    with pytest.raises(TopologyError, match=r"would take the former client\.g for client\.g"):
        then(household, CALLING_G).plan()


def test_once_the_certificate_of_who_left_has_ended_the_name_is_free(household: Household) -> None:
    h_is_g_now(household).later(days=91)
    household.apply(overwrite=["client.g"])


def test_the_certificate_of_who_left_is_revoked_and_that_of_who_has_its_name_is_not(household: Household) -> None:
    h_is_g_now(household, check="crl")
    (of_the_first,) = [one for one in known(household).issued.values() if "spiffe://bank/client/g" in one.names]
    revoke(household, "", "superseded", serial=of_the_first.serial, replace=False)
    household.apply(overwrite=["client.g"])
    assert household.plan().changes == ()
    newest = known(household).newest(Address.parse("client.g.certificate"))
    assert newest is not None
    assert newest.names == ("spiffe://bank/client/g",)
    assert (newest.ca, newest.serial) not in known(household).revoked


def test_who_is_renamed_and_renamed_back_goes_on(household: Household) -> None:
    house(household, CALLING_G)
    rename(household, "g", "h")
    then(household, H.replace("}", ", calls: [desk]}")).apply(overwrite=["client.h"])
    rename(household, "h", "g")
    plan = then(household, CALLING_G).plan()
    assert not [note for note in plan.notes if "was in the topology before" in note.text]


def test_who_left_may_come_back_once_the_other_has_its_own_name_again(household: Household) -> None:
    house(household, G + H)
    then(household, H).apply()
    rename(household, "h", "g")
    rename(household, "g", "h")
    plan = then(household, CALLING_G + H).plan()
    assert [str(note.about) for note in plan.notes if "was in the topology before" in note.text] == ["client.g"]


def test_who_was_renamed_passes_for_nobody_who_is_renamed_to_its_former_name(household: Household) -> None:
    house(household, G + THIRD)
    rename(household, "g", "h")
    then(household, H + THIRD).apply(overwrite=["client.h"])
    rename(household, "third", "g")
    with pytest.raises(TopologyError, match=r"would take client\.h for client\.g"):
        then(household, CALLING_G + H).plan()


@pytest.mark.parametrize(
    ("template", "identity"), [("nginx", "subject:CN=web"), ("python", "spiffe://bank/client/web")]
)
def test_nobody_outside_has_the_name_of_who_left(household: Household, template: str, identity: str) -> None:
    household.text = with_clients(template, "", "  web: {template: curl, issuer: issuing}\n")
    household.apply()
    household.text = with_clients(
        template, "", f"  ext: {{external: {{issuer: issuing, identity: '{identity}'}}, calls: [desk]}}\n"
    )
    with pytest.raises(TopologyError, match=r"would take client\.web for client\.ext"):
        household.plan()


def test_a_ledger_that_names_no_names_says_nothing_of_them(household: Household) -> None:
    h_is_g_now(household)
    ledger = household.out / ".scaffold/ledger.jsonl"
    events = [json.loads(line) for line in ledger.read_text().splitlines()]
    ledger.write_text("".join(json.dumps({k: v for k, v in one.items() if k != "names"}) + "\n" for one in events))
    household.apply(overwrite=["client.g"])
    assert household.plan().changes == ()


def test_what_is_due_is_renewed_and_revoked_whoever_is_refused(household: Household) -> None:
    h_is_g_now(household)
    with pytest.raises(TopologyError, match=r"former client\.g"):
        household.plan()
    plan_due(household.look())
    (of_the_first,) = [one for one in known(household).issued.values() if "spiffe://bank/client/g" in one.names]
    revoke(household, "", "superseded", serial=of_the_first.serial)
    assert ("root", of_the_first.serial) in known(household).revoked
