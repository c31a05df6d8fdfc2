"""What a CRL must list and which copy of it counts, at the very moments and numbers where the answer changes."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta

import pytest

from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.pki.issue import Issuer
from scaffold.plan import revocations
from scaffold.plan.authorities import Generation
from scaffold.plan.clock import TOLERANCE, latest_before
from scaffold.plan.crls import crl_change, wrong
from scaffold.plan.desired import desire
from scaffold.plan.reasons import ReasonCode
from scaffold.store.layout import Layout
from scaffold.store.ledger import Issued, Ledger, Revoked
from scaffold.store.observation import Observation, SeenCrl
from scaffold.topology.address import Address
from scaffold.topology.model import KeyType
from tests.fresh import new_key
from tests.unit.pki.lab import NOW, root_issuer
from tests.unit.revoking import CHECKING

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SERIAL = 0xABC


@functools.cache
def authority(copy: int = 0) -> Issuer:
    """A CA; another `copy` has the same name and another key."""
    return root_issuer()


def signed(number: int, *serials: int, by: Issuer | None = None, begins: timedelta = -HOUR, life=DAY) -> crls.Crl:
    revoked = [crls.Revoked(serial, NOW - DAY, crls.Reason.KEY_COMPROMISE) for serial in serials]
    return crls.build(by or authority(), number, NOW + begins, NOW + begins + life, revoked)


def generation(crl: bytes | None = None) -> Generation:
    certificate = authority().certificate
    spki, ends = keys.spki(certificate), certificate.not_valid_after_utc
    return Generation("issuing", certificate.subject, ends, certificate, certificate, spki, crl=crl)


def ledger(ends: datetime) -> Ledger:
    """One certificate, which is revoked."""
    address, key = Address.parse("client.teller.certificate"), keys.spki_sha256(authority().certificate)
    issued = Issued(address, "issuing", f"{SERIAL:x}", "", "", NOW - DAY, ends, "00", key)
    entry = Revoked("issuing", f"{SERIAL:x}", "keyCompromise", NOW - DAY)
    return Ledger(issued={"00": issued}, revoked={("issuing", f"{SERIAL:x}"): entry})


@pytest.mark.parametrize(
    ("ends", "begins", "stays"),
    [
        (NOW - 2 * HOUR, -HOUR, False),
        (NOW - HOUR, -HOUR, True),
        (NOW + HOUR, -HOUR, True),
        (NOW + HOUR, 2 * HOUR, True),
    ],
)
def test_an_entry_leaves_once_it_has_stood_on_a_list_that_began_after_its_end_and_not_in_the_future(
    ends, begins, stays
):
    """A list of a clock that ran ahead has been seen by nobody."""
    there, key = signed(1, SERIAL, begins=begins), keys.spki_sha256(authority().certificate)
    assert bool(revocations.entries(ledger(ends), "issuing", key, there, (), NOW)) is stays


def test_of_two_lists_with_one_number_the_one_that_is_wanted_counts():
    there, wanted = crls.to_pem(signed(7)), crls.to_pem(signed(7, SERIAL))
    assert revocations.freshest(there, wanted, [generation()], NOW) == wanted
    newer = crls.to_pem(signed(8))
    assert revocations.freshest(newer, wanted, [generation()], NOW) == newer


def test_a_list_that_lacks_what_the_newest_one_lists_does_not_do_whatever_the_ledger_knows():
    older, newest = crls.to_pem(signed(1)), crls.to_pem(signed(2, SERIAL))
    assert not revocations.still_does(older, [generation(newest)], Ledger(), NOW)
    assert revocations.still_does(older, [generation(crls.to_pem(signed(2)))], Ledger(), NOW)


def test_of_the_copies_that_are_held_one_that_another_key_signed_under_the_same_name_does_not_count():
    own, forged = signed(1), signed(9, by=authority(1))
    assert forged.issuer == own.issuer
    held = [revocations.Copy("servers/a/tls/crl.pem", crls.to_pem(forged))]
    assert revocations.newest(SeenCrl(own), held, authority().certificate) == (own, None)
    held.append(revocations.Copy("servers/b/tls/crl.pem", crls.to_pem(signed(2))))
    assert revocations.newest(SeenCrl(own), held, authority().certificate)[1] == "servers/b/tls/crl.pem"


@pytest.fixture
def bank(household):
    household.text = CHECKING
    household.apply()
    return household


@pytest.mark.parametrize(("left", "code"), [(timedelta(seconds=1), None), (timedelta(), ReasonCode.EXPIRED)])
def test_a_list_has_ended_from_its_end_on(bank, left, code):
    (one,) = [one for one in desire(bank.prepare().basis.topology).cas if one.ca.name == "issuing"]
    crl = signed(1, begins=-one.crl_life)
    now = crl.next_update_utc - left
    found = wrong(one, crl, (), authority().certificate, Ledger(), now)
    assert (found.code if found is not None else None) is code


def test_a_publisher_signs_nothing_while_the_key_is_not_the_certificates(bank):
    t = bank.prepare().basis.topology
    (one,) = [one for one in desire(t).cas if one.ca.name == "issuing"]
    bank.later(hours=13)
    assert crl_change(t, one, Observation(Layout(bank.out)), bank.now) is not None
    (bank.out / "pki/issuing/ca.key").write_bytes(keys.to_pem(new_key(KeyType.EC_P256)))
    assert crl_change(t, one, Observation(Layout(bank.out)), bank.now) is None


@pytest.mark.parametrize(("beyond", "doubtful"), [(timedelta(), False), (timedelta(seconds=1), True)])
def test_a_clock_may_lie_behind_by_as_much_as_is_backdated(bank, beyond, doubtful):
    observed = Observation(Layout(bank.out))
    latest = observed.ledger.latest
    assert (latest_before(latest - TOLERANCE - beyond, observed, ()) is not None) is doubtful
