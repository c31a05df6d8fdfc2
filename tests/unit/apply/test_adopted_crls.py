"""The CRLs of CAs that were made elsewhere: OpenSSL finds one for each certificate, and no revocation is ever lost."""

from __future__ import annotations

import re
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold.errors import PlanError, TopologyError
from scaffold.pki import crl as crls
from scaffold.plan.model import Action
from scaffold.plan.status import status
from tests.unit.adopting import ALL_USAGES, NOW, Adopting, Spec, crl, errors_of_openssl, make, scope
from tests.unit.conftest import Household
from tests.unit.revoking import known, renew, revoke

CHECKED = ", check_revocation: crl"
ROOT = make(Spec("Partner Root", index=1))
CA = make(Spec(), ROOT)
OTHER = make(Spec("Other CA", index=2), ROOT)
FROM_USERS, FROM_CAS = scope(only_contains_user_certs=True), scope(only_contains_ca_certs=True)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
ELSEWHERE = scope(full_name=[x509.UniformResourceIdentifier("http://partner.example/ca.crl")])


def with_reason(reason: x509.ReasonFlags, serial: int, number: int = 1) -> crls.Crl:
    """A list of the CA's with one entry, which says why."""
    entry = x509.RevokedCertificateBuilder(serial, NOW - timedelta(days=2)).add_extension(x509.CRLReason(reason), False)
    made = x509.CertificateRevocationListBuilder().issuer_name(CA.certificate.subject).last_update(NOW)
    made = made.next_update(NOW + timedelta(days=9)).add_extension(x509.CRLNumber(number), False)
    return made.add_revoked_certificate(entry.build()).sign(CA.key, hashes.SHA256())


@pytest.fixture
def adopting(household) -> Adopting:
    found = Adopting(household)
    found.ask(check=CHECKED)
    return found


@pytest.mark.parametrize("server", ["nginx", "python"])
@pytest.mark.parametrize(
    "lists",
    [
        [crl(CA), crl(ROOT)],
        [crl(ROOT), crl(OTHER), crl(CA)],
        [crl(CA, None), crl(ROOT, None)],
        [crl(CA, scope=FROM_USERS), crl(ROOT)],
        [crl(CA), crl(ROOT, scope=FROM_CAS)],
        [crl(CA), crl(ROOT, scope=FROM_USERS), crl(ROOT, scope=FROM_CAS)],
        [crl(CA, serials=[1, 2, 3]), crl(ROOT, serials=[7])],
    ],
    ids=["both", "and another", "no numbers", "of users", "of CAs", "split", "entries"],
)
def test_with_the_crls_of_the_chain_openssl_lets_the_leaves_in(adopting, lists, server):
    adopting.ask(server=server)
    adopting.bring(CA, [ROOT], lists)
    adopting.apply()
    assert adopting.judged() == adopting.judged(strict=True) == []


@pytest.mark.parametrize(
    ("lists", "why"),
    [
        ([crl(CA)], "there is no CRL of CN=Partner Root"),
        ([crl(ROOT)], "there is no CRL of CN=Partner CA"),
        (
            [crl(OTHER)],
            "no CRL of CN=Partner Root; in .* there is a CRL of CN=Other CA, which is no CA of this",
        ),
        ([crl(CA), crl(ROOT, scope=FROM_USERS)], "that of CN=Partner Root does not cover CAs"),
        ([crl(CA, scope=FROM_CAS), crl(ROOT)], "that of CN=Partner CA does not cover those below it"),
        ([crl(CA, scope=ELSEWHERE), crl(ROOT)], "that of CN=Partner CA does not cover those below it"),
        ([crl(CA, scope=scope(indirect_crl=True)), crl(ROOT)], "no CRL of CN=Partner CA; in .*indirect"),
        ([crl(CA, more=[(x509.DeltaCRLIndicator(1), True)]), crl(ROOT)], "no CRL of CN=Partner CA; in .*delta"),
    ],
    ids=["root lacks", "own lacks", "stranger", "root of users", "own of CAs", "elsewhere", "indirect", "delta"],
)
def test_where_openssl_would_find_none_plan_refuses(adopting, lists, why):
    adopting.bring(CA, [ROOT], lists)
    refusal = adopting.refusal()
    assert refusal is not None
    assert re.search(why, str(refusal)), refusal
    assert "existing: {crl: FILE}" in (refusal.hint or "")
    adopting.ask(check="")
    assert adopting.refusal() is None, "nobody looks at them"


def test_a_crl_that_was_brought_for_a_ca_with_its_chain_must_come_with_those_above(adopting):
    adopting.bring(CA, [ROOT])
    assert "there is no CRL of CN=Partner Root" in str(adopting.refusal())


@pytest.mark.parametrize("server", ["nginx", "python"])
def test_its_own_may_be_signed_here_and_those_above_it_brought(adopting, server):
    adopting.ask(server=server)
    adopting.bring(CA, [ROOT], [crl(ROOT, 9)], field="chain_crl")
    adopting.apply()
    assert adopting.judged() == []
    held = crls.load_all((adopting.household.out / "servers/accounts/tls/crl.pem").read_bytes())
    assert [crls.number(one) for one in held] == [1, 9]
    adopting.bring(CA, [ROOT], [crl(ROOT, 10)], field="chain_crl")
    adopting.household.later(days=60)
    adopting.apply()
    held = crls.load_all((adopting.household.out / "servers/accounts/tls/crl.pem").read_bytes())
    assert [crls.number(one) for one in held] == [2, 10]


def test_what_was_revoked_here_is_listed_beside_the_lists_from_above(adopting):
    adopting.bring(CA, [ROOT], [crl(ROOT)], field="chain_crl")
    adopting.apply()
    teller = adopting.household.certificate("clients/teller/tls/cert.pem").serial_number
    revoke(adopting.household)
    adopting.apply()
    own, _ = crls.load_all((adopting.household.out / "servers/accounts/tls/crl.pem").read_bytes())
    assert serials(own) == {teller}
    assert adopting.judged() == [], "it has another certificate now"


def test_a_list_with_the_highest_number_is_gone_on_from_by_nobody(adopting):
    adopting.bring(CA, [ROOT], [crl(CA, crls.HIGHEST_NUMBER), crl(ROOT)])
    adopting.apply()
    before = (adopting.household.out / ".scaffold/ledger.jsonl").read_bytes()
    adopting.bring(CA, [ROOT], [crl(ROOT)], field="chain_crl")
    for act in (adopting.plan, lambda: revoke(adopting.household)):
        with pytest.raises(PlanError, match=r"ca\.partner can sign no further CRL") as caught:
            act()
        assert "`crl` to its `existing:`" in (caught.value.hint or "")
    assert (adopting.household.out / ".scaffold/ledger.jsonl").read_bytes() == before


def test_a_list_with_the_highest_number_but_one_is_gone_on_from_once(adopting):
    adopting.bring(CA, [ROOT], [crl(CA, crls.HIGHEST_NUMBER - 1), crl(ROOT)])
    adopting.apply()
    adopting.bring(CA, [ROOT], [crl(ROOT)], field="chain_crl")
    adopting.write()
    revoke(adopting.household)
    assert set(known(adopting.household).crl_numbers.values()) == {crls.HIGHEST_NUMBER}
    with pytest.raises(PlanError, match="no further CRL"):
        adopting.plan()


def test_a_list_that_is_newer_by_date_and_older_by_number_loses_no_revocation(adopting):
    earlier, later = timedelta(days=-3), timedelta(days=-1)
    adopting.bring(CA, [ROOT], [crl(CA, 7, [0xAAA], begins=earlier), crl(ROOT)])
    adopting.apply()
    adopting.bring(CA, [ROOT], [crl(CA, 6, [0xAAA, 0xBBB], begins=later), crl(ROOT)])
    for act in (adopting.plan, adopting.household.apply, lambda: status(adopting.household.prepare())):
        with pytest.raises(
            TopologyError, match=r"number 6 that revokes bbb, and the last CRL has the higher number 7"
        ) as caught:
            act()
    assert "a number above 7" in (caught.value.hint or "")
    for harmless in (crl(CA, 6, [0xAAA], begins=later), crl(CA, 6, [0xBBB], begins=earlier * 2)):
        adopting.bring(CA, [ROOT], [harmless, crl(ROOT)])
        assert [note for note in adopting.notes() if "older than the last one (7)" in note]
    adopting.bring(CA, [ROOT], [crl(CA, 8, [0xAAA, 0xBBB], begins=later), crl(ROOT)])
    adopting.apply()


def test_an_entry_that_takes_a_certificate_off_the_list_revokes_nothing(adopting):
    off = with_reason(x509.ReasonFlags.remove_from_crl, 0xABC)
    adopting.bring(CA, [ROOT], [off, crl(ROOT)])
    adopting.apply()
    assert not any(serial == "abc" for _, serial in known(adopting.household).revoked)
    adopting.bring(CA, [ROOT], [with_reason(x509.ReasonFlags.superseded, 0xABC, number=2), crl(ROOT)])
    adopting.apply()
    assert any(serial == "abc" for _, serial in known(adopting.household).revoked)


def test_lists_from_above_alone_are_not_enough_where_the_own_is_not_signed_here(adopting):
    adopting.bring(CA, [ROOT], [crl(CA)], field="chain_crl")
    assert re.search("no CRL of CN=Partner Root; in .* there is a CRL of CN=Partner CA itself", str(adopting.refusal()))


def test_a_list_of_users_alone_does_not_cover_a_ca_of_ours(adopting):
    adopting.ask(cas="  sub: {issuer: partner}", issuer="sub")
    adopting.bring(CA, [ROOT], [crl(CA, scope=FROM_USERS), crl(ROOT)])
    assert "that of CN=Partner CA does not cover CAs" in str(adopting.refusal())
    adopting.bring(CA, [ROOT], [crl(CA), crl(ROOT)])
    adopting.apply()
    assert adopting.judged() == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"begins": timedelta(days=2)}, "is valid from"),
        (
            {"begins": timedelta(days=-9), "ends": timedelta(days=-2)},
            "every server and client that checks it refuses everyone",
        ),
    ],
)
def test_a_crl_of_another_time_is_a_note(adopting, more, said):
    adopting.bring(CA, [ROOT], [crl(CA, **more), crl(ROOT)])
    assert any(said in note for note in adopting.notes())
    adopting.apply()
    assert adopting.judged() != [], "the note is true"


# --- From somebody else's hands into ours -------------------------------------------------------------------------


@pytest.fixture
def root_of_theirs(adopting) -> Adopting:
    """A root with a CRL of number 0x1000, which revokes 7001."""
    adopting.bring(ROOT, [], [crl(ROOT, 0x1000, [7001])])
    adopting.apply()
    return adopting


def signed_here(adopting: Adopting) -> crls.Crl:
    return crls.load((adopting.household.out / "pki/partner/crl.pem").read_bytes())


def serials(crl_: crls.Crl) -> set[int]:
    return {entry.serial_number for entry in crl_}


def test_once_it_is_signed_here_number_and_entries_go_on(root_of_theirs):
    root_of_theirs.ask(brought="")
    root_of_theirs.apply()
    ours = signed_here(root_of_theirs)
    assert crls.number(ours) == 0x1001
    assert serials(ours) == {7001}
    held = crls.load((root_of_theirs.household.out / "servers/accounts/tls/crl.pem").read_bytes())
    assert serials(held) == {7001}


@pytest.mark.parametrize("signed_before", [False, True])
@pytest.mark.parametrize("lost", [["pki/partner/crl.pem"], ["pki/partner/crl.pem", "servers/accounts/tls/crl.pem"]])
def test_what_their_list_revoked_outlives_every_copy_of_it(root_of_theirs, signed_before, lost):
    root_of_theirs.ask(brought="")
    if signed_before:
        root_of_theirs.apply()
    for path in lost:
        (root_of_theirs.household.out / path).unlink()
    root_of_theirs.apply()
    assert serials(signed_here(root_of_theirs)) == {7001}
    assert not any("does not know" in note for note in root_of_theirs.notes())


def test_where_their_list_is_lost_its_number_goes_on_from_a_copy(root_of_theirs):
    root_of_theirs.ask(brought="")
    (root_of_theirs.household.out / "pki/partner/crl.pem").unlink()
    root_of_theirs.apply()
    assert crls.number(signed_here(root_of_theirs)) == 0x1001


def test_a_newer_list_with_fewer_entries_is_a_note(root_of_theirs):
    root_of_theirs.bring(ROOT, [], [crl(ROOT, 0x1001, [7002])])
    assert any("without 1 entries of the one before (1b59)" in note for note in root_of_theirs.notes())
    root_of_theirs.apply()
    assert not any("does not list" in note for note in root_of_theirs.notes())


def test_a_newer_list_with_more_entries_is_none(root_of_theirs):
    root_of_theirs.bring(ROOT, [], [crl(ROOT, 0x1001, [7001, 7002])])
    assert not any("does not list" in note for note in root_of_theirs.notes())
    root_of_theirs.apply()
    root_of_theirs.ask(brought="")
    root_of_theirs.apply()
    assert serials(signed_here(root_of_theirs)) == {7001, 7002}


def test_an_older_list_does_not_take_the_place_of_a_newer(root_of_theirs):
    root_of_theirs.bring(ROOT, [], [crl(ROOT, 5)])
    assert any("with number 5, older than" in note for note in root_of_theirs.notes())
    root_of_theirs.apply()
    root_of_theirs.ask(brought="")
    root_of_theirs.apply()
    assert serials(signed_here(root_of_theirs)) == {7001}


def test_a_list_that_we_signed_is_not_lost_when_one_is_brought_and_taken_out_again(root_of_theirs):
    root_of_theirs.ask(brought="")
    root_of_theirs.apply()
    root_of_theirs.bring(ROOT, [], [crl(ROOT, 0x0FFF)])
    root_of_theirs.apply()
    root_of_theirs.ask(brought="")
    root_of_theirs.apply()
    assert serials(signed_here(root_of_theirs)) == {7001}


def test_where_nothing_is_known_of_the_past_plan_says_so_once(adopting):
    adopting.bring(ROOT)
    assert any("signed here for the first time, with number 1" in note for note in adopting.notes())
    adopting.apply()
    assert not any("for the first time" in note for note in adopting.notes())


def test_a_ca_that_may_sign_no_crls_publishes_none(adopting):
    adopting.ask(check="")
    adopting.bring(make(Spec(usages=("key_cert_sign",))))
    adopting.household.text = ""
    assert adopting.refusal() is None
    adopting.ask(cas="  unused: {}\npublish: http://127.0.0.1:9080", issuer="partner")
    assert "cannot publish a CRL" in str(adopting.refusal())


def test_below_a_ca_that_is_revoked_nothing_is_issued(adopting):
    adopting.bring(CA, [ROOT], [crl(CA), crl(ROOT, 1, [CA.certificate.serial_number])])
    assert "the CRL of CN=Partner Root lists CN=Partner CA" in str(adopting.refusal())
    adopting.bring(CA, [ROOT], [crl(CA), crl(ROOT, 1)])
    adopting.apply()
    adopting.bring(CA, [ROOT], [crl(CA), crl(ROOT, 2, [CA.certificate.serial_number])])
    assert any(
        "ca.partner is revoked: the CRL of CN=Partner Root lists CN=Partner CA" in each for each in adopting.notes()
    )
    adopting.apply()
    assert adopting.judged() != [], "the note is true"


def test_what_its_owner_has_revoked_of_ours_is_a_note(adopting):
    adopting.bring(CA, [ROOT], [crl(CA), crl(ROOT)])
    adopting.apply()
    teller = adopting.household.certificate("clients/teller/tls/cert.pem")
    adopting.bring(CA, [ROOT], [crl(CA, 2, [teller.serial_number]), crl(ROOT)])
    said = "client.teller.certificate is revoked since"
    assert any(said in each for each in adopting.notes())
    adopting.apply()
    assert adopting.judged() != [], "the note is true"
    renew(adopting.household, "client.teller")
    assert adopting.judged() == []
    assert not any(said in each for each in adopting.notes())


def test_an_adopted_ca_is_changed_by_its_crl_alone(root_of_theirs):
    root_of_theirs.bring(ROOT, [], [crl(ROOT, 0x1001, [7001])])
    changes = {str(change.address): change.action for change in root_of_theirs.plan().changes}
    assert changes["ca.partner.certificate"] is Action.UPDATE


# --- Anything -----------------------------------------------------------------------------------------------------

SCOPES = st.sampled_from([None, None, FROM_USERS, FROM_CAS, ELSEWHERE, scope(indirect_crl=True)])
LISTS = st.lists(
    st.tuples(st.sampled_from(["own", "root", "other"]), SCOPES, st.sampled_from([(), ((UNKNOWN, True),)])),
    max_size=4,
)


@given(
    lists=LISTS,
    silent=st.sampled_from(["nobody", "nobody", "own", "root"]),
    below=st.sampled_from([("", "partner"), ("  sub: {issuer: partner}", "sub")]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_the_lists_say_plan_and_openssl_agree(lists, silent, below):
    usages = {who: ("key_cert_sign",) if who == silent else ALL_USAGES for who in ("own", "root")}
    root = make(Spec("Partner Root", index=1, usages=usages["root"]))
    own = make(Spec(usages=usages["own"]), root)
    signers = {"own": own, "root": root, "other": OTHER}
    found = [crl(signers[who], scope=asked, more=more) for who, asked, more in [("other", None, ()), *lists]]
    folder = Path(tempfile.mkdtemp())
    try:
        adopting = Adopting(Household(folder))
        adopting.ask(check=CHECKED, cas=below[0], issuer=below[1])
        adopting.bring(own, [root], found)
        refusal = adopting.refusal()
        errors = errors_of_openssl(adopting, own, [root], "-crl_check_all", lists=found)
        assert (refusal is not None) == bool(errors), (str(refusal), errors)
    finally:
        shutil.rmtree(folder)
