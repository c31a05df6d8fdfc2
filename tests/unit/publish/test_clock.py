"""A publisher whose clock is restore or forward: it stays up, and signs nothing under a clock that cannot be right.

Where a clock lies before what was last done, it is wrong or was then, and nobody is there to say which: a person does,
by an apply. From then on what is served is right by the clock of now.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold.errors import StoreError
from scaffold.pki import crl, ocsp
from scaffold.pki.issue import BACKDATE
from scaffold.publish import state as states
from scaffold.publish.app import Publisher
from scaffold.publish.responder import Answer
from scaffold.publish.state import State
from tests.unit.publish.lab import BANK, ask, delegates, read, request, revoke
from tests.unit.publish.test_state import crl_on_disk, leaf_and_issuer, opened


@pytest.fixture
def bank(household):
    household.text = BANK
    household.now = household.now.replace(microsecond=0)
    household.apply()
    return household


def is_sane(household, state: State) -> None:
    """Every list and every answer has begun and has not ended, and health agrees."""
    now = household.now
    for name in ("root", "issuing"):
        served = crl.load(state.crl(name).body)
        assert crl.is_current(served, now)
        assert served.next_update_utc - served.last_update_utc <= timedelta(days=90) + BACKDATE
    teller, issuing = leaf_and_issuer(household)
    said = ask(state, "issuing", teller, issuing, now)
    assert said.status == "GOOD"
    assert said.this_update <= now < said.next_update <= now + timedelta(hours=1)
    health = request(Publisher(state, lambda: now, state.problems).application(), "/healthz")
    assert (health.status, health.text) == (200, "ok\n")


def in_doubt(household, state: State) -> bool:
    """Whether the clock is a problem, for people who ask for its health too."""
    health = request(Publisher(state, lambda: household.now, state.problems).application(), "/healthz")
    said = [str(one) for one in state.problems() if "this machine's clock is earlier" in one.why]
    return bool(said) and health.status == 503 and said[0] in health.text


def signed(household) -> dict[str, bytes]:
    files = {name: household.out / f"pki/{name}/crl.pem" for name in ("root", "issuing")}
    issued = [one.not_before.isoformat().encode() for one in delegates(household.out)]
    return {**{name: file.read_bytes() for name, file in files.items()}, "delegates": b" ".join(issued)}


def agree(household, state: State) -> None:
    """A person says that the clock is right, and applies; what failed before is tried again a little later."""
    household.apply()
    household.later(minutes=1)
    state.refresh(household.now)


@pytest.mark.parametrize("away", [timedelta(minutes=4), timedelta(days=-3), timedelta(days=-400)], ids=str)
def test_nothing_is_signed_under_a_clock_that_is_late(bank, away):
    bank.later(hours=13)  # the lists are due
    right, state = bank.now, opened(bank)
    before = signed(bank)
    bank.now = right + away
    state.refresh(bank.now)
    assert signed(bank) == before
    assert in_doubt(bank, state) is (away < timedelta(0))
    bank.now = right
    state.refresh(bank.now)
    assert not in_doubt(bank, state)
    is_sane(bank, state)


def test_no_ocsp_answer_is_signed_under_a_clock_that_is_late(bank):
    teller, issuing = leaf_and_issuer(bank)
    state, right = opened(bank), bank.now
    kept = ask(state, "issuing", teller, issuing, right)
    bank.now = right - timedelta(days=3)
    state.refresh(bank.now)
    assert in_doubt(bank, state), "although no list is due"
    assert ask(state, "issuing", teller, issuing, bank.now) == kept, "what was signed before is served on"
    asked = ocsp.build_request([ocsp.cert_id(teller.serial_number, issuing)])
    answer = state.answer("issuing", asked, bank.now)
    assert answer is not None
    assert answer.fresh_until is None, "how old it is nobody knows"
    assert read(new(state, teller, issuing, bank.now, b"n" * 32), issuing).status == "TRY_LATER"
    assert ask(state, "issuing", 4711, issuing, bank.now).status == "TRY_LATER"
    bank.now = right
    state.refresh(bank.now)
    assert not in_doubt(bank, state)
    assert read(new(state, teller, issuing, right, b"n" * 32), issuing).status == "GOOD"


def test_a_clock_that_is_late_is_told_although_the_responder_is_not_due(bank):
    teller, issuing = leaf_and_issuer(bank)
    state = opened(bank)
    bank.later(hours=2)
    revoke(bank.out, "issuing", teller, bank.now)
    bank.later(hours=-1)
    state.refresh(bank.now)
    assert in_doubt(bank, state)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "TRY_LATER"
    bank.later(hours=1)
    state.refresh(bank.now)
    assert not in_doubt(bank, state)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "REVOKED"


def test_an_answer_of_before_is_not_served_once_it_is_wrong(bank):
    teller, issuing = leaf_and_issuer(bank)
    state = opened(bank)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "GOOD"
    revoke(bank.out, "issuing", teller, bank.now)
    bank.later(days=-3)
    state.refresh(bank.now)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "TRY_LATER"


def test_a_publisher_that_starts_under_a_late_clock_answers_once_a_person_has_agreed(bank):
    teller, issuing = leaf_and_issuer(bank)
    bank.later(days=-3)
    state = opened(bank)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "TRY_LATER"
    assert not delegates(bank.out)
    bank.now += timedelta(days=3, hours=1)
    state.refresh(bank.now)
    is_sane(bank, state)


def test_without_a_ledger_the_cas_certificates_say_how_late_it_is_at_least(bank):
    teller, issuing = leaf_and_issuer(bank)
    state = opened(bank)
    (bank.out / ".scaffold/ledger.jsonl").write_bytes(b"damaged\n")
    bank.later(days=-3)
    state.refresh(bank.now)
    assert read(new(state, teller, issuing, bank.now, b"n" * 32), issuing).status == "TRY_LATER"


def new(state: State, certificate, issuer, now: datetime, nonce: bytes) -> Answer:
    """The answer to a request that asks for a new one."""
    answer = state.answer("issuing", ocsp.build_request([ocsp.cert_id(certificate.serial_number, issuer)], nonce), now)
    assert answer is not None
    return answer


@pytest.mark.parametrize("away", [timedelta(minutes=20), timedelta(days=3), timedelta(days=400)], ids=str)
def test_a_clock_that_ran_ahead_and_was_put_right(bank, away):
    right = bank.now
    state = opened(bank)
    bank.later(hours=13)
    state.refresh(bank.now)
    bank.now += away
    state.refresh(bank.now)
    before = signed(bank)
    bank.now = right + timedelta(seconds=2)
    state.refresh(bank.now)
    assert in_doubt(bank, state)
    assert signed(bank) == before
    agree(bank, state)
    is_sane(bank, state)
    is_sane(bank, opened(bank))
    assert not any(address.endswith(".crl") for address in bank.planned())


@pytest.mark.parametrize("away", [timedelta(days=3), timedelta(days=400)], ids=str)
def test_a_publisher_that_started_ahead_is_right_after_the_clock_was_put_back(bank, away):
    right = bank.now
    bank.now += away
    state = opened(bank)
    bank.now = right
    state.refresh(bank.now)
    assert in_doubt(bank, state)
    agree(bank, state)
    is_sane(bank, state)
    assert any(one.not_before <= right for one in delegates(bank.out)), "the responder of then is no good now"


def test_crl_numbers_rise_whatever_the_clock_does(bank):
    state = opened(bank)
    right, numbers = bank.now, [crl.number(crl_on_disk(bank, "issuing"))]
    for away in (400, 0, -200, 1, 4000, 0):
        bank.now = right + timedelta(days=away)
        state.refresh(bank.now)
        numbers.append(crl.number(crl_on_disk(bank, "issuing")))
    assert numbers == sorted(numbers)
    events = map(json.loads, (bank.out / ".scaffold/ledger.jsonl").read_text().splitlines())
    recorded = [one["number"] for one in events if one["event"] == "crl" and one["ca"] == "issuing"]
    assert recorded == sorted(set(recorded))


def test_what_left_a_list_under_a_clock_that_ran_ahead_is_on_it_again(bank):
    teller, issuing = leaf_and_issuer(bank)
    revoke(bank.out, "issuing", teller, bank.now)
    state, right = opened(bank), bank.now
    for _ in range(2):  # once past its end, and once more
        bank.later(days=400)
        state.refresh(bank.now)
    bank.now = right + timedelta(seconds=1)
    agree(bank, state)
    assert [one.serial for one in crl.entries(crl_on_disk(bank, "issuing"))] == [teller.serial_number]
    assert ask(state, "issuing", teller, issuing, bank.now).status == "REVOKED"


def test_a_failure_under_a_clock_that_ran_ahead_is_tried_again_at_once(bank):
    state, path = opened(bank), bank.out / "pki/issuing/ca.crt"
    good = path.read_bytes()
    bank.later(days=400)
    path.write_bytes(b"damaged")
    state.refresh(bank.now)
    assert state.problems()
    bank.later(days=-400)
    path.write_bytes(good)
    agree(bank, state)
    assert state.problems() == ()


def test_a_signature_that_failed_under_a_clock_that_ran_ahead_is_tried_again_at_once(bank, monkeypatch):
    state, right = opened(bank), bank.now

    def full(*_: object) -> None:
        raise StoreError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(states, "sign_alone", full)
        broken.setattr(states.delegation, "make_and_record", full)
        bank.later(days=400)
        state.refresh(bank.now)
    bank.now = right + timedelta(hours=13)
    state.refresh(bank.now)
    assert crl_on_disk(bank, "issuing").last_update_utc == bank.now - BACKDATE


def test_health_says_that_a_list_has_not_begun(bank):
    """Its key has a password, so that it is left to apply."""
    bank.text = BANK.replace("root: {}", "root: {key_password: {env: ROOT}}")
    bank.environment = {"ROOT": "correct horse battery staple"}
    bank.later(days=400)
    bank.apply()
    bank.later(days=-400)
    state = opened(bank)
    health = request(Publisher(state, lambda: bank.now, state.problems).application(), "/healthz")
    begins = crl_on_disk(bank, "root").last_update_utc
    assert health.status == 503
    assert f"the CRL of ca.root is valid from {begins:%Y-%m-%d %H:%M:%S} UTC\n" in health.text
    assert in_doubt(bank, state)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jumps=st.lists(st.integers(-365 * 24 * 60, 365 * 24 * 60), max_size=4))
def test_no_jump_ends_the_looking_and_the_last_clock_counts(bank, jumps):
    right = datetime.now(UTC).replace(microsecond=0)
    bank.now = right
    state = opened(bank)
    for minutes in jumps:
        bank.now = right + timedelta(minutes=minutes)
        state.refresh(bank.now)
    bank.now = right + timedelta(minutes=1)
    agree(bank, state)
    is_sane(bank, state)
