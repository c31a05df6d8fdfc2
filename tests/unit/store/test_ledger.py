"""The ledger: what is burnt by a revocation, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scaffold.store.ledger import HOLD, LIFTED, Issued, Ledger, Revoked

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "b" * 64


def after(*reasons: str) -> Ledger:
    """A ledger of one certificate that was revoked with each of these reasons in turn."""
    one = Issued("client.x.certificate", "issuing", "1", "CN=x", "CN=issuing", NOW, NOW, "a" * 64, "", KEY)
    entries = [Revoked("issuing", "1", reason, NOW) for reason in reasons]
    return Ledger(issued={one.fingerprint_sha256: one}).after(entries)


@pytest.mark.parametrize(
    ("reasons", "burnt"),
    [
        ([], False),
        (["keyCompromise"], True),
        (["superseded"], True),
        ([HOLD], False),
        ([HOLD, LIFTED], False),
        ([HOLD, "keyCompromise"], True),
        ([HOLD, LIFTED, "keyCompromise"], True),
        (["keyCompromise", LIFTED], True),
    ],
    ids=str,
)
def test_the_key_of_what_is_revoked_for_good_is_burnt_and_that_of_a_hold_is_not(reasons, burnt):
    assert after(*reasons).revoked_keys == (frozenset({KEY}) if burnt else frozenset())


def test_an_older_ledger_that_names_no_key_burns_none():
    one = Issued("client.x.certificate", "issuing", "1", "CN=x", "CN=issuing", NOW, NOW, "a" * 64)
    known = Ledger(issued={one.fingerprint_sha256: one}).after([Revoked("issuing", "1", "keyCompromise", NOW)])
    assert known.revoked_keys == frozenset()


LATER = NOW + timedelta(days=1)


def test_a_hold_that_becomes_final_keeps_the_date_on_which_it_began():
    """X.509 8.5.2.3."""
    entries = [Revoked("issuing", "1", HOLD, NOW), Revoked("issuing", "1", "keyCompromise", LATER)]
    found = Ledger().after(entries).revoked["issuing", "1"]
    assert (found.reason, found.at) == ("keyCompromise", NOW)


@pytest.mark.parametrize(("named", "left"), [((), ()), ((NOW,), (LATER,)), ((NOW, LATER), ()), ((LATER,), (NOW,))])
def test_a_release_lifts_the_holds_that_it_names_and_one_of_an_earlier_version_lifts_all(named, left):
    held = [Revoked("issuing", "1", HOLD, NOW), Revoked("issuing", "1", HOLD, LATER)]
    known = Ledger().after([*held, Revoked("issuing", "1", LIFTED, LATER, holds=named)])
    found = known.revoked.get(("issuing", "1"))
    assert (found.holds if found is not None else ()) == left
    assert (("issuing", "1") in known.lifted) is not bool(left)
