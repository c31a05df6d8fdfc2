"""The ledger: what is burnt by a revocation, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime

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
