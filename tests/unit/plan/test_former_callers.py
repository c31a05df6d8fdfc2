"""Who left the topology gets in at a server that decides by chain alone, until the certificate ends or is revoked."""

from __future__ import annotations

import pytest

from scaffold.errors import TopologyError
from scaffold.store.layout import Layout
from scaffold.store.moving import move
from scaffold.topology.address import Address
from tests.unit.conftest import Household
from tests.unit.revoking import known, revoke

BANK = """
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root}
  apart: {}
servers:
  db: {template: files, issuer: issuing, listen: "127.0.0.1:5432", names: [db.internal], check_revocation: crl}
clients:
  api: {template: files, issuer: issuing, calls: [db]}
"""
OLD = "  old: {template: files, issuer: issuing, calls: [db]}\n"


def after_it_left(household: Household, text: str = BANK, old: str = OLD) -> Household:
    household.text = text + old
    household.apply()
    household.text = text
    return household


def test_who_left_is_refused_by_name(household: Household) -> None:
    with pytest.raises(TopologyError, match=r"server\.db would still let in client\.old") as caught:
        after_it_left(household).plan()
    assert "scaffold revoke client.old --no-replace" in str(caught.value.hint)


def test_once_it_has_ended_nothing_is_left_of_it(household: Household) -> None:
    after_it_left(household).later(days=91)
    household.apply()


def test_a_revoked_one_stays_out_where_that_is_looked_up(household: Household) -> None:
    revoke(after_it_left(household), "client.old", "superseded", replace=False)
    household.apply()


def test_a_revoked_one_gets_in_where_nobody_looks(household: Household) -> None:
    text = BANK.replace(", check_revocation: crl", "")
    revoke(after_it_left(household, text), "client.old", "superseded", replace=False)
    with pytest.raises(TopologyError, match=r"client\.old") as caught:
        household.plan()
    assert "check_revocation: crl" in str(caught.value.hint)


def test_a_certificate_below_another_root_is_nobodys_business(household: Household) -> None:
    other = '  o: {template: python, issuer: apart, listen: "127.0.0.1:1", names: [o]}\nclients:'
    text = BANK.replace("clients:", other)
    after_it_left(household, text, "  old: {template: files, issuer: apart, calls: [o]}\n").apply()


def test_who_may_come_in_unlisted_may_leave_unlisted(household: Household) -> None:
    after_it_left(household, BANK.replace("check_revocation: crl", "accepts: [issuing]")).apply()


def test_a_server_that_has_an_allow_list_forgets_who_left(household: Household) -> None:
    text = BANK.replace("db: {template: files", "db: {template: python").replace(
        "api: {template: files", "api: {template: python"
    )
    after_it_left(household, text, OLD.replace("files", "python")).apply()


def test_the_ca_may_have_left_with_it(household: Household) -> None:
    """What is below the trusted root gets in, whether or not the topology still knows by whom it was issued."""
    household.text = BANK.replace("  apart: {}", "  branch: {issuer: root}") + OLD.replace("issuing", "branch")
    household.apply()
    household.text = BANK
    with pytest.raises(TopologyError, match=r"client\.old"):
        household.plan()


def test_the_second_certificate_of_a_server_counts_and_its_first_does_not(household: Household) -> None:
    web = '  web: {template: python, issuer: issuing, listen: "127.0.0.1:2", names: [web]%s}\nclients:'
    household.text = BANK.replace("clients:", web % "")
    household.apply()
    household.text = BANK
    household.apply()
    household.text = BANK.replace("clients:", web % ", calls: [db]")
    household.apply()
    household.text = BANK
    with pytest.raises(TopologyError, match=r"server\.web"):
        household.plan()


SAME = (
    '  web: {template: files, issuer: issuing, listen: "127.0.0.1:2", names: [web], client: same, calls: [db],'
    " accepts: [issuing]}\nclients:"
)
PLAIN = '  web: {template: files, issuer: issuing, listen: "127.0.0.1:2", names: [web]%s}\nclients:'


@pytest.mark.parametrize(
    "then", ["clients:", PLAIN % ", accepts: [issuing]"], ids=["left", "has one for serving alone"]
)
def test_one_certificate_for_both_counts(household: Household, then: str) -> None:
    household.text = BANK.replace("clients:", SAME)
    household.apply()
    household.text = BANK.replace("clients:", then)
    with pytest.raises(TopologyError, match=r"let in server\.web, which"):
        household.plan()


def test_who_moved_to_another_ca_has_its_former_certificate_still(household: Household) -> None:
    household.text = BANK + OLD
    household.apply()
    household.text = BANK + OLD.replace("issuing, calls: [db]", "apart")
    with pytest.raises(TopologyError, match=r"client\.old, which does not call it any more") as caught:
        household.plan()
    first = next(one for one in known(household).issued.values() if str(one.address) == "client.old.certificate")
    assert f"`scaffold revoke --serial {first.serial} --reason cessationOfOperation`" in str(caught.value.hint)
    household.text = BANK + OLD.replace("issuing", "apart")  # the twin: it may call
    household.plan()


def test_a_server_that_stops_calling_has_its_second_certificate_still(household: Household) -> None:
    calls = ", issuer: apart, client: {issuer: issuing}, calls: [db]"
    web = PLAIN.replace(", issuer: issuing", "").replace("files", "python")
    household.text = BANK.replace("clients:", web % calls)
    household.apply()
    household.text = BANK.replace("clients:", web % ", issuer: apart")
    with pytest.raises(TopologyError, match=r"server\.web, which does not call it any more"):
        household.plan()


def test_who_left_is_not_who_was_renamed_to_its_name(household: Household) -> None:
    other = "  other: {template: files, issuer: issuing, calls: [db]}\n"
    household.text = BANK + OLD + other
    household.apply()
    revoke(household, "client.old", "superseded", replace=False)
    household.text = BANK + other
    household.apply()
    move(Layout(household.out), Address.parse("client.other"), Address.parse("client.old"), household.now)
    household.text = BANK + OLD
    household.apply()
    household.text = household.text.replace(", check_revocation: crl", "")
    with pytest.raises(TopologyError, match=r"let in the former client\.old") as caught:
        household.plan()
    first = next(one for one in known(household).issued.values() if one.of_predecessor)
    assert f"`scaffold revoke --serial {first.serial}" in str(caught.value.hint)
