"""What the publisher knows, and what it signs by itself; the folder is looked at again and the clock turned."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

from scaffold.errors import PublishError, StoreError
from scaffold.pki import crl, ocsp
from scaffold.pki.issue import BACKDATE, Issuer
from scaffold.publish import state as states
from scaffold.publish.app import Publisher
from scaffold.publish.server import Keeper
from scaffold.publish.state import State
from scaffold.store import lock
from scaffold.store.layout import Layout
from tests.unit.publish.lab import BANK, ask, delegates, revoke


@pytest.fixture
def bank(household):
    household.text = BANK
    household.now = household.now.replace(microsecond=0)
    household.apply()
    return household


def opened(household) -> State:
    project = household.open()
    state = State(project.topology, project.layout)
    state.open(household.now)
    return state


def crl_on_disk(household, ca: str) -> crl.Crl:
    return crl.load((household.out / f"pki/{ca}/crl.pem").read_bytes())


def leaf_and_issuer(household):
    return household.certificate("clients/teller/tls/cert.pem"), household.certificate("pki/issuing/ca.crt")


def test_crls_and_certificates_are_served_as_they_are_on_disk(bank):
    state = opened(bank)
    for ca in ("root", "issuing"):
        assert state.crl(ca).body == crl.to_der(crl_on_disk(bank, ca))
        assert state.certificate(ca).body == (bank.out / f"pki/{ca}/ca.cer").read_bytes()
    assert state.crl("nobody") is state.certificate("nobody") is None


def test_a_certificate_is_good_then_revoked_then_again_good_and_another_unknown(bank):
    state = opened(bank)
    teller, issuing = leaf_and_issuer(bank)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "GOOD"
    assert ask(state, "issuing", 4711, issuing, bank.now).status == "UNKNOWN"

    revoke(bank.out, "issuing", teller, bank.now, "certificateHold")
    assert state.refresh(bank.now)
    said = ask(state, "issuing", teller, issuing, bank.now)
    assert (said.status, said.reason) == ("REVOKED", "certificateHold")

    revoke(bank.out, "issuing", teller, bank.now, "removeFromCRL")
    assert state.refresh(bank.now)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "GOOD"


def test_a_revocation_reaches_the_crl_by_the_path_of_apply(bank):
    state = opened(bank)
    before = crl.number(crl_on_disk(bank, "issuing"))
    teller, _ = leaf_and_issuer(bank)
    revoke(bank.out, "issuing", teller, bank.now)
    state.refresh(bank.now)
    after = crl_on_disk(bank, "issuing")
    assert [entry.serial for entry in crl.entries(after)] == [teller.serial_number]
    assert crl.number(after) == before + 1
    assert state.crl("issuing").body == crl.to_der(after)


def test_a_crl_is_signed_anew_once_half_its_life_is_over_and_not_before(bank):
    state = opened(bank)
    first = crl_on_disk(bank, "issuing")
    bank.later(hours=11, minutes=59)
    state.refresh(bank.now)
    assert crl_on_disk(bank, "issuing") == first
    bank.later(minutes=2)
    state.refresh(bank.now)
    second = crl_on_disk(bank, "issuing")
    assert crl.number(second) == crl.number(first) + 1
    assert second.last_update_utc == bank.now - BACKDATE
    assert state.crl("issuing").body == crl.to_der(second)
    assert not any(address.startswith("ca.") for address in bank.planned())


def test_encrypted_keys_are_left_to_apply(bank):
    bank.text = BANK.replace("root: {}", "root: {key_password: {env: ROOT}, revocation: {crl: 1d}}")
    bank.environment = {"ROOT": "correct horse battery staple"}
    bank.apply()
    state = opened(bank)
    root, issuing = crl_on_disk(bank, "root"), crl_on_disk(bank, "issuing")
    bank.later(hours=13)
    state.refresh(bank.now)
    assert crl_on_disk(bank, "root") == root
    assert crl_on_disk(bank, "issuing") != issuing
    assert state.crl("root").body == crl.to_der(root)


def test_what_apply_makes_anew_is_seen(bank):
    state = opened(bank)
    old = state.certificate("issuing").body
    shutil.rmtree(bank.out / "pki/issuing")
    bank.apply()
    assert state.refresh(bank.now)
    assert state.certificate("issuing").body == (bank.out / "pki/issuing/ca.cer").read_bytes() != old
    teller, issuing = leaf_and_issuer(bank)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "GOOD"


def test_what_another_key_of_the_same_ca_has_issued_is_unknown(bank):
    before, _ = leaf_and_issuer(bank)
    shutil.rmtree(bank.out / "pki/issuing")
    bank.apply()
    after, issuing = leaf_and_issuer(bank)
    state = opened(bank)
    assert ask(state, "issuing", before, issuing, bank.now).status == "UNKNOWN"
    assert ask(state, "issuing", after, issuing, bank.now).status == "GOOD"


def test_nothing_new_is_not_read_again(bank, monkeypatch):
    state = opened(bank)
    state.refresh(bank.now)
    monkeypatch.setattr(states.ledger, "load", lambda layout: pytest.fail("the ledger was read"))
    monkeypatch.setattr(states, "crl_change", lambda *_: pytest.fail("a CRL was compared"))
    assert not state.refresh(bank.now)


def test_each_start_enters_one_responder_in_the_ledger_and_no_look_another(bank):
    state = opened(bank)
    for _ in range(20):
        bank.later(hours=1)
        state.refresh(bank.now)
    assert [str(one.address) for one in delegates(bank.out)] == ["ca.issuing.ocsp"]
    opened(bank)
    assert len(delegates(bank.out)) == 2


def test_a_responder_is_replaced_at_half_its_life(bank):
    state = opened(bank)
    bank.later(days=3, hours=13)
    state.refresh(bank.now)
    first, second = delegates(bank.out)
    assert second.not_after > first.not_after
    teller, issuing = leaf_and_issuer(bank)
    assert ask(state, "issuing", teller, issuing, bank.now).next_update == bank.now + timedelta(hours=1)


def test_a_ca_near_its_end_does_not_flood_the_ledger(bank):
    bank.text = BANK.replace("lifetime: 5y", "").replace("{issuer: root, ", "{issuer: root, lifetime: 8d, ")
    bank.text = bank.text.replace("clients:", "defaults: {lifetime: 1h}\nclients:")
    shutil.rmtree(bank.out)
    bank.apply()
    bank.later(days=5)
    state = opened(bank)
    for _ in range(60):
        bank.later(hours=1)
        state.refresh(bank.now)
    assert len(delegates(bank.out)) == 1


def test_plan_and_status_take_no_offence_at_what_a_publisher_has_done(bank):
    from scaffold.plan.status import FINE, status

    opened(bank)
    assert bank.planned() == {}
    assert {one.state for one in status(bank.prepare()).certificates} <= FINE


def test_while_an_apply_is_at_work_it_says_try_later_and_serves_on(bank):
    project = bank.open()
    state = State(project.topology, project.layout)
    teller, issuing = leaf_and_issuer(bank)
    with held_by_another_thread(bank):
        state.open(bank.now)
        assert ask(state, "issuing", teller, issuing, bank.now).status == "TRY_LATER"
        assert state.crl("issuing") is not None
        bank.later(hours=13)
        state.refresh(bank.now)
    state.refresh(bank.now)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "GOOD"
    assert crl_on_disk(bank, "issuing").last_update_utc == bank.now - BACKDATE


class held_by_another_thread:  # noqa: N801
    """An apply of another process, as far as the lock can tell."""

    def __init__(self, household) -> None:
        self._household = household
        self._held, self._free = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._hold)
        self._thread.start()
        assert self._held.wait(90)

    def __exit__(self, *_: object) -> None:
        self._free.set()
        self._thread.join()

    def _hold(self) -> None:
        with lock.hold(Layout(self._household.out), self._household.now):
            self._held.set()
            self._free.wait(90)


def test_a_damaged_ca_stops_no_other_and_stays_what_it_was(bank, caplog):
    state = opened(bank)
    served = state.certificate("root").body
    (bank.out / "pki/root/ca.crt").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    teller, issuing = leaf_and_issuer(bank)
    revoke(bank.out, "issuing", teller, bank.now)
    with caplog.at_level(logging.ERROR, "scaffold.publish"):
        state.refresh(bank.now)
    assert [one.part for one in state.problems()] == ["certificate"]
    assert caplog.text.count("problem") == 1
    assert state.certificate("root").body == served
    assert ask(state, "issuing", teller, issuing, bank.now).status == "REVOKED"


def test_a_file_that_could_not_be_read_for_a_moment_is_read_later(bank, monkeypatch):
    state = opened(bank)
    teller, issuing = leaf_and_issuer(bank)
    revoke(bank.out, "issuing", teller, bank.now)
    with monkeypatch.context() as broken:
        broken.setattr(states.authority, "read", fail)
        broken.setattr(states, "crl_change", fail)
        state.refresh(bank.now)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "GOOD"
    bank.later(minutes=1)
    assert state.refresh(bank.now)
    assert ask(state, "issuing", teller, issuing, bank.now).status == "REVOKED"


def fail(*_: object) -> None:
    raise StoreError("too many open files")


def test_a_signature_that_fails_is_tried_again_later_and_not_every_second(bank, monkeypatch, caplog):
    state = opened(bank)
    first = crl_on_disk(bank, "issuing")
    tried = []

    def full(*arguments: object, **more: object) -> None:
        tried.append(arguments)
        raise states.PublishError("no space left on device")

    monkeypatch.setattr(states, "sign_alone", full)
    bank.later(hours=13)
    for _ in range(5):
        state.refresh(bank.now)
        bank.later(seconds=1)
    assert len(tried) == 1
    assert state.crl("issuing").body == crl.to_der(first)
    monkeypatch.undo()
    bank.later(minutes=1)
    state.refresh(bank.now)
    assert crl_on_disk(bank, "issuing") != first


def test_no_exception_ends_the_looking(caplog):
    looks = []

    def refresh(now: object) -> bool:
        looks.append(now)
        raise ZeroDivisionError("nobody thought of this")

    state = SimpleNamespace(refresh=refresh)
    publisher = Publisher(state, lambda: None)
    keeper = Keeper(state, lambda: len(looks), publisher)
    keeper.look()
    keeper.look()
    assert looks == [0, 1]
    assert caplog.text.count("ZeroDivisionError: nobody thought of this") == 1, "once is enough"
    assert publisher.metrics.failures._value.get() == 2


def test_before_the_first_apply_and_in_anothers_folder_it_is_refused(bank, tmp_path):
    project = bank.open()
    with pytest.raises(PublishError, match="no CA") as caught:
        State(project.topology, Layout(tmp_path / "empty")).open(bank.now)
    assert "apply" in caught.value.hint
    bank.text = BANK.replace("name: bank", "name: other")
    with pytest.raises(PublishError, match='belongs to the topology "bank"'):
        opened(bank)


def test_an_existing_ca_without_a_key_has_its_crl_served_as_it_is(bank, tmp_path):
    from scaffold.pki import bundles, keys

    files = {name: (bank.out / f"pki/{name}").read_bytes() for name in ("issuing/ca.crt", "issuing/ca.key")}
    partner = Issuer(bundles.load_certificates(files["issuing/ca.crt"])[0], keys.load(files["issuing/ca.key"]))
    listed = crl.build(partner, 77, bank.now, bank.now + timedelta(days=3), [crl.Revoked(4711, bank.now)])
    root_crl = (bank.out / "pki/root/crl.pem").read_bytes()
    (tmp_path / "partner.pem").write_bytes(files["issuing/ca.crt"])
    (tmp_path / "chain.pem").write_bytes((bank.out / "pki/root/ca.crt").read_bytes())
    (tmp_path / "partner.crl").write_bytes(root_crl + crl.to_pem(listed))

    shutil.rmtree(bank.out)
    partner_yaml = "  partner: {existing: {certificate: partner.pem, chain: chain.pem, crl: partner.crl}}\n"
    bank.text = BANK.replace("servers:", f"{partner_yaml}servers:")
    bank.apply()
    state = opened(bank)
    assert state.crl("partner").body == crl.to_der(listed)
    bank.later(days=2)
    state.refresh(bank.now)
    assert state.crl("partner").body == crl.to_der(listed), "it is not ours to sign"
    assert ask(state, "partner", 4711, partner.certificate, bank.now).status == "UNAUTHORIZED"

    assert state.crl("partner_above_1").body == crl.to_der(crl.load(root_crl)), "its root's, which came with it"
    assert state.crl("partner_above_2") is None
    assert state.crl("issuing_above_1") is None

    newer = crl.build(partner, 78, bank.now, bank.now + timedelta(days=3))
    (tmp_path / "partner.crl").write_bytes(root_crl + crl.to_pem(newer))
    assert state.refresh(bank.now)
    assert state.crl("partner").body == crl.to_der(newer)


def test_answers_are_signed_before_they_are_asked_for(bank, monkeypatch):
    state = opened(bank)
    state.refresh(bank.now)  # its own responder's certificate is in the ledger now
    teller, issuing = leaf_and_issuer(bank)
    monkeypatch.setattr(ocsp, "respond", lambda *_, **__: pytest.fail("signed when it was asked for"))
    first = ask(state, "issuing", teller, issuing, bank.now)
    bank.later(minutes=29)
    state.refresh(bank.now)
    assert ask(state, "issuing", teller, issuing, bank.now) == first
    monkeypatch.undo()
    bank.later(minutes=2)
    state.refresh(bank.now)
    assert ask(state, "issuing", teller, issuing, bank.now).this_update == bank.now - BACKDATE


def test_the_ledger_names_the_key_that_signed_the_responder(bank):
    from scaffold.pki import keys

    opened(bank)
    (delegate,) = delegates(bank.out)
    assert delegate.issuer_key == keys.spki_sha256(bank.certificate("pki/issuing/ca.crt"))
    last = (bank.out / ".scaffold/ledger.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["ca"] == "issuing"


# --- What the CRL says and the ledger does not ---


def forget_revocations(household) -> None:
    """The ledger as an old backup has it."""
    path = household.out / ".scaffold/ledger.jsonl"
    kept = [line for line in path.read_text().splitlines() if json.loads(line)["event"] != "revoked"]
    path.write_text("\n".join(kept) + "\n")


@pytest.mark.parametrize("started", [False, True], ids=["before it starts", "while it runs"])
def test_what_the_crl_lists_stays_revoked_though_the_ledger_lost_it(bank, started):
    teller, issuing = leaf_and_issuer(bank)
    state = opened(bank)
    revoke(bank.out, "issuing", teller, bank.now)
    state.refresh(bank.now)
    forget_revocations(bank)
    if not started:
        state = opened(bank)
    state.refresh(bank.now)
    said = ask(state, "issuing", teller, issuing, bank.now)
    assert (said.status, said.reason) == ("REVOKED", "keyCompromise")
    bank.later(hours=13)
    state.refresh(bank.now)
    assert [one.serial for one in crl.entries(crl_on_disk(bank, "issuing"))] == [teller.serial_number], (
        "and on the next"
    )
    assert ask(state, "issuing", teller, issuing, bank.now).status == "REVOKED"


def test_a_hold_that_was_lifted_is_good_before_the_next_crl_says_so(bank):
    """The list in place still has it, and the ledger knows better."""
    teller, issuing = leaf_and_issuer(bank)
    revoke(bank.out, "issuing", teller, bank.now, "certificateHold")
    state = opened(bank)
    listed = crl_on_disk(bank, "issuing")
    assert len(listed) == 1
    revoke(bank.out, "issuing", teller, bank.now, "removeFromCRL")
    with held_by_another_thread(bank):  # nothing can be signed meanwhile
        state.refresh(bank.now)
        assert crl_on_disk(bank, "issuing") == listed
        assert ask(state, "issuing", teller, issuing, bank.now).status == "GOOD"
