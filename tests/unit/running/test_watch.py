"""The watcher by a clock that the test turns: what it does, how long it sleeps, and what it outlives."""

from __future__ import annotations

import shutil
import threading

import pytest

from scaffold.errors import TopologyError
from scaffold.pki.issue import BACKDATE
from scaffold.running.watch import LOOK_EVERY, TRY_AGAIN, World, watch
from scaffold.store import lock
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.view.reasons import sentences
from tests.unit.revoking import CHECKING, crl


class Turned(threading.Event):
    """Sleeps by turning the household's clock, and ends after so many sleeps."""

    def __init__(self, household, sleeps: int, meanwhile=lambda turn: None) -> None:
        super().__init__()
        self.household, self.left, self.slept, self.meanwhile = household, sleeps, [], meanwhile

    def wait(self, timeout=None):
        self.slept.append(timeout)
        self.household.later(seconds=timeout)
        self.meanwhile(len(self.slept))
        self.left -= 1
        return self.left == 0


def run(household, sleeps: int, meanwhile=lambda turn: None, look=None):
    """The events of the log, and the sleeps in seconds."""
    events: list = []
    turned = Turned(household, sleeps, meanwhile)

    def see() -> World:
        project = household.open()
        return World(project.topology, project.kinds, project.layout)

    secrets = Secrets(household.environment)
    watch(look or see, lambda: household.now.replace(microsecond=0), secrets, events.append, sentences, turned)
    return events, turned.slept


@pytest.fixture
def bank(household):
    household.text = CHECKING.replace("name: bank", "name: bank\ndefaults: {lifetime: 60s}")
    household.now = household.now.replace(microsecond=0)
    household.apply()
    return household


def done(events):
    return [(event["event"], event.get("address")) for event in events]


def test_it_sleeps_until_something_is_due_and_no_longer(bank):
    events, slept = run(bank, 3)
    assert slept[0] == LOOK_EVERY.total_seconds()
    assert slept[1] == pytest.approx(60 * 0.67 - 30, abs=1)
    assert ("renewed", "client.teller.certificate") in done(events)
    assert ("renewed", "server.front.client-certificate") in done(events)
    assert (events[0]["event"], events[-1]["event"]) == ("watching", "ended")
    assert bank.plan().changes == ()


def test_an_idle_hour_is_no_busy_one(household):
    household.text = CHECKING
    household.apply()
    _, slept = run(household, 20)
    assert set(slept) == {LOOK_EVERY.total_seconds()}


def test_it_sees_a_changed_topology_and_outlives_a_broken_one(bank):
    sound = bank.text

    def edit(turn):
        bank.text = {1: "broken: [", 2: "broken: ["}.get(turn, sound.replace("60s", "20s") if turn > 3 else sound)

    events, slept = run(bank, 12, edit)
    errors = [event for event in events if event["event"] == "error"]
    assert len(errors) == 1  # told once, while it lasts
    assert slept[1] == TRY_AGAIN.total_seconds()
    assert ("renewed", "client.teller.certificate") in done(events)


def test_it_respects_the_lock(bank):
    """While another works nothing is done; afterwards everything is."""
    held = threading.Event()
    free = threading.Event()

    def other():
        with lock.hold(Layout(bank.out), bank.now):
            held.set()
            free.wait(90)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(90)
    bank.later(seconds=50)
    try:
        events, _ = run(bank, 2)
    finally:
        free.set()
        thread.join()
    assert [event["event"] for event in events] == ["watching", "error", "ended"], events
    assert "another scaffold is working" in events[1]["error"]
    events, _ = run(bank, 1)
    assert ("renewed", "client.teller.certificate") in done(events)


def test_a_password_that_is_missing_holds_up_nobody_else(household):
    household.text = CHECKING.replace("root: {}", "root: {key_password: {env: ROOT_PASSWORD}}")
    household.environment = {"ROOT_PASSWORD": "correct horse"}
    household.apply()
    household.environment = {}
    household.later(days=61)
    events, _ = run(household, 2)
    assert [event["event"] for event in events].count("error") == 1
    assert ("renewed", "client.teller.certificate") in done(events)
    assert ("updated", "ca.issuing.crl") in done(events)
    assert ("updated", "ca.root.crl") not in done(events)
    assert crl(household).last_update_utc + BACKDATE >= household.now.replace(microsecond=0) - 2 * LOOK_EVERY


def test_a_bundle_s_password_that_is_missing_holds_up_that_bundle_alone(tiny):
    pfx = "pfx: {password: {env: %s}}"
    tiny.text = tiny.text.replace("name: bank", "name: bank\ndefaults: {lifetime: 60d}")
    tiny.text = tiny.text.replace("[localhost]", f"[localhost], {pfx % 'FIRST'}")
    tiny.text += f"""  second:
    {{template: ./kind, listen: "127.0.0.1:8444", names: [localhost], {pfx % "SECOND"}}}
"""
    tiny.environment = {"FIRST": "one", "SECOND": "two"}
    tiny.apply()
    tiny.environment = {"FIRST": "one"}
    tiny.later(days=50)
    events, _ = run(tiny, 2)
    assert ("renewed", "server.accounts.certificate") in done(events)
    assert ("renewed", "server.second.certificate") in done(events)
    assert ("updated", "server.accounts.bundle") in done(events)
    assert ("updated", "server.second.bundle") not in done(events)
    assert [event["error"] for event in events if event["event"] == "error"] == [
        "server.second.bundle: its password is not in the environment variable SECOND"
    ]
    tiny.environment = {"FIRST": "one", "SECOND": "two"}
    events, _ = run(tiny, 1)
    assert ("updated", "server.second.bundle") in done(events)


def test_what_looks_wrong_from_the_start_is_a_line_of_the_log(bank):
    def look():
        raise TopologyError("it is gone", hint="put it back")

    events, _ = run(bank, 1, look=look)
    assert events[1]["hint"] == "put it back"


def test_under_a_clock_that_lies_before_what_was_done_here_nothing_is_signed(household):
    """One of the two clocks is wrong, and who watches cannot know which: a person says it."""
    household.text = CHECKING
    household.later(days=400)
    household.apply()
    before = household.files()
    household.later(days=-400)
    events, slept = run(household, 3)
    assert [event["event"] for event in events] == ["watching", "error", "ended"], events
    assert "it is wrong now, or was then; nothing is signed" in events[1]["error"]
    assert set(slept) == {TRY_AGAIN.total_seconds()}
    assert household.files() == before


def test_once_the_clock_is_right_the_watcher_goes_on(bank):
    bank.later(seconds=50)
    bank.later(days=-365)

    def mended(turn):
        if turn == 1:
            bank.later(days=365)

    events, _ = run(bank, 2, mended)
    assert done(events)[1] == ("error", None)
    assert ("renewed", "client.teller.certificate") in done(events)


def test_what_a_person_let_be_signed_anew_is_watched_on(household):
    """A clock that ran ahead was put right: whoever says so once is not asked again."""
    household.text = CHECKING
    household.later(days=400)
    household.apply()
    household.later(days=-400)
    assert all(change.asks for change in household.plan().changes)
    household.apply()
    household.later(days=61)
    assert household.plan().clock_behind is None
    events, _ = run(household, 1)
    assert ("renewed", "client.teller.certificate") in done(events)


SHOP = """  shop: {template: python, issuer: other, listen: "127.0.0.1:8446", names: [localhost]}
clients:
  buyer: {template: python, issuer: other, calls: [shop]}
"""


def test_a_ca_that_has_lost_its_key_gets_none_and_holds_up_nobody_else(household):
    text = CHECKING.replace("  issuing: {issuer: root}\n", "  issuing: {issuer: root}\n  other: {}\n")
    household.text = text.replace("clients:\n", SHOP)
    household.apply()
    shutil.rmtree(household.out / "pki" / "issuing")
    household.later(days=61)
    events, slept = run(household, 3)
    assert [event["event"] for event in events].count("error") == 1
    assert "ca.issuing needs another key" in next(event["error"] for event in events if "error" in event)
    assert ("renewed", "client.buyer.certificate") in done(events)
    assert not any(address.startswith(("client.teller", "server.accounts")) for _, address in done(events) if address)
    assert not (household.out / "pki" / "issuing").exists()
    assert slept[0] == TRY_AGAIN.total_seconds()
