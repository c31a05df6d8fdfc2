"""CRLs, staples and certificates from both ends: a host whose clock lags, and what was signed by one that ran ahead."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scaffold.pki import crl as crls
from scaffold.pki.issue import BACKDATE, half_over
from scaffold.plan.model import Action
from scaffold.plan.status import State, status
from tests.unit.plan.test_freshness import fetched, issuer, stapling  # noqa: F401 (a fixture)
from tests.unit.revoking import CHECKING, openssl, renew_due, verdict

TELLER = "clients/teller/tls/cert.pem"
AHEAD = timedelta(days=400)


@pytest.fixture
def bank(household):
    household.text = CHECKING
    household.now = household.now.replace(microsecond=0)
    household.apply()
    return household


def states(household) -> dict[str, State]:
    found = status(household.prepare())
    return {str(one.address): one.state for one in (*found.certificates, *found.crls)}


# --- A host that lags -----------------------------------------------------------------------------------------------


def test_a_host_that_is_a_minute_behind_lets_in_with_a_fresh_crl(bank):
    bank.later(seconds=-60)
    assert verdict(bank, bank.out / TELLER) == "good"


def test_openssl_forgives_no_clock_for_a_crl_that_begins_now(bank):
    """Why thisUpdate is backdated at all."""
    lists = [crls.build(issuer(bank, ca), 9, bank.now, bank.now + timedelta(days=1)) for ca in ("root", "issuing")]
    (bank.out / "servers/accounts/tls/crl.pem").write_bytes(b"".join(map(crls.to_pem, lists)))
    assert verdict(bank, bank.out / TELLER) == "good"
    bank.later(seconds=-60)
    assert "CRL is not yet valid" in verdict(bank, bank.out / TELLER)


@pytest.mark.parametrize("seconds", [60, 299])
def test_a_staple_is_good_on_a_host_that_lags(stapling, seconds):  # noqa: F811
    pki, tls = stapling.out / "pki", stapling.out / "servers/accounts/tls"
    at = str(int(stapling.now.timestamp()) - seconds)
    done = openssl(
        "ocsp", "-respin", tls / "staple.der", "-issuer", pki / "issuing/ca.crt", "-cert", tls / "cert.pem",
        "-CAfile", pki / "root/ca.crt", "-verify_other", pki / "issuing/ca.crt", "-attime", at, "-no_nonce",
    )  # fmt: skip
    assert "Response verify OK" in done.stderr
    this_update = done.stdout.partition("This Update: ")[2].partition("\n")[0]
    begins = stapling.now.replace(microsecond=0) - BACKDATE
    assert this_update == f"{begins:%b} {begins.day:2} {begins:%H:%M:%S} {begins.year} GMT"


# --- Half of a life -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("life", [timedelta(seconds=4), timedelta(minutes=5), timedelta(hours=1), timedelta(days=90)])
def test_half_of_a_life_is_counted_from_the_signature(bank, life):
    signed = bank.now
    assert half_over(signed - BACKDATE, signed + life) == signed + life / 2
    crl = crls.build(issuer(bank), 1, signed - BACKDATE, signed + life)
    assert (crls.life(crl), crls.half_of_life(crl)) == (life, signed + life / 2)
    assert crls.half_of_life(crl, life / 2) == signed + life / 4


def test_of_a_list_that_was_never_backdated_and_lives_for_minutes_nothing_is_taken_off(bank):
    assert half_over(bank.now, bank.now + timedelta(minutes=2)) == bank.now + timedelta(minutes=1)


def test_a_list_of_seconds_is_not_signed_for_ever(bank):
    bank.text = CHECKING.replace("issuing: {issuer: root}", "issuing: {issuer: root, revocation: {crl: 40s}}")
    bank.apply()
    bank.later(seconds=19)
    assert bank.plan().changes == ()
    bank.later(seconds=2)
    assert "ca.issuing.crl" in bank.planned()


# --- A clock that ran ahead -----------------------------------------------------------------------------------------


@pytest.fixture
def ahead(bank):
    """Lists that were signed, and the projects that got them, under a clock that ran ahead; then it was put right."""
    bank.now += AHEAD
    bank.apply()
    bank.now -= AHEAD
    return bank


def test_what_begins_later_is_due_and_cannot_wait(ahead):
    planned = {str(change.address): change for change in ahead.plan().changes}
    for ca in ("root", "issuing"):
        change = planned[f"ca.{ca}.crl"]
        assert (change.action, change.reasons[0].code.code, change.can_wait) == (Action.UPDATE, "not-yet-valid", False)
    assert not planned["server.accounts.trust"].can_wait


def test_status_says_so(ahead):
    found = states(ahead)
    assert found["ca.root.crl"] is found["ca.issuing.crl"] is found["server.accounts.trust"] is State.NOT_YET_VALID
    assert found["client.teller.certificate"] is State.NOT_YET_VALID


@pytest.mark.parametrize("mend", [lambda bank: bank.apply(), renew_due], ids=["apply", "renew"])
def test_it_is_signed_anew_with_a_higher_number(ahead, mend):
    before = crls.number(crls.load((ahead.out / "pki/issuing/crl.pem").read_bytes()))
    assert "not yet valid" in verdict(ahead, ahead.out / TELLER)
    mend(ahead)
    after = crls.load((ahead.out / "pki/issuing/crl.pem").read_bytes())
    assert crls.is_current(after, ahead.now)
    assert crls.number(after) == before + 1
    assert verdict(ahead, ahead.out / TELLER) == "good"
    assert ahead.plan().changes == ()
    assert set(states(ahead).values()) == {State.VALID}


def test_a_copy_of_a_list_that_begins_later_does_not_stay(bank):
    """Its number is higher than that of the list that is right."""
    fetched(bank, 77, begins=timedelta(days=3))
    assert "server.accounts.trust" in bank.planned()
    assert states(bank)["server.accounts.trust"] is State.NOT_YET_VALID
    bank.apply()
    assert verdict(bank, bank.out / TELLER) == "good"


def test_a_staple_that_begins_later_is_made_anew(stapling):  # noqa: F811
    stapling.now += timedelta(hours=12)
    renew_due(stapling)
    stapling.now -= timedelta(hours=12)
    assert stapling.planned()["server.accounts.staple"] == (Action.UPDATE, "not-yet-valid")
    renew_due(stapling)
    assert stapling.plan().changes == ()


def test_of_a_brought_list_that_begins_later_plan_says_so(bank, tmp_path):
    partner = issuer(bank, "root")
    (tmp_path / "partner.crt").write_bytes((bank.out / "pki/root/ca.crt").read_bytes())
    later = crls.build(partner, 5, bank.now + timedelta(days=1), bank.now + timedelta(days=9))
    (tmp_path / "partner.crl").write_bytes(crls.to_pem(later))
    brought = "  partner: {existing: {certificate: partner.crt, crl: partner.crl}}\n"
    bank.text = CHECKING.replace("servers:", f"{brought}servers:")
    (note,) = (one for one in bank.plan().notes if "partner" in str(one) and "provide a newer one" in str(one))
    assert "is valid from" in str(note)


# --- A clock that lies before what was done -------------------------------------------------------------------------


def test_a_clock_that_is_a_year_late_is_asked_about_before_anything_is_signed(bank):
    bank.later(days=-365)
    plan = bank.plan()
    assert plan.changes
    assert all(change.asks for change in plan.changes)
    assert plan.clock_behind == bank.now + timedelta(days=365)
    assert "this machine's clock says" in str(plan.notes[0])


@pytest.mark.parametrize("seconds", [0, 60, 299])
def test_a_clock_that_is_late_by_minutes_is_tolerated(bank, seconds):
    bank.text = CHECKING.replace("name: bank", "name: bank\ndefaults: {lifetime: 80d}")
    bank.later(seconds=-seconds)
    plan = bank.plan()
    assert plan.changes
    assert plan.clock_behind is None
    assert not any(change.asks for change in plan.changes)


def test_without_the_state_the_certificates_say_how_late_it_is_at_least(bank):
    for name in ("ledger.jsonl",):
        (bank.out / ".scaffold" / name).unlink()
    bank.later(days=-365)
    assert bank.plan().clock_behind is not None
    bank.later(days=365)
    assert bank.plan().clock_behind is None
