"""CRLs and staples in a project: what a fetcher brought stays where it is newer, and nothing stays past its time."""

from __future__ import annotations

import json
import os
from datetime import timedelta

import pytest

from scaffold.kinds import catalogue
from scaffold.pki import bundles, keys, ocsp, staples
from scaffold.pki import crl as crls
from scaffold.pki.issue import Issuer
from scaffold.plan.drift import drift_in_tls
from scaffold.plan.model import Action
from scaffold.plan.status import State, status
from scaffold.view.status import status_lines
from tests.fresh import new_key
from tests.unit.conftest import write_kind
from tests.unit.revoking import CHECKING, openssl, release, renew_due, revoke

TRUST, STAPLE = "server.accounts.trust", "server.accounts.staple"


@pytest.fixture
def bank(household):
    household.text = CHECKING
    household.apply()
    return household


def issuer(bank, ca="issuing") -> Issuer:
    folder = bank.out / "pki" / ca
    certificate = bundles.load_certificates((folder / "ca.crt").read_bytes())[0]
    return Issuer(certificate, keys.load((folder / "ca.key").read_bytes()))


def fetched(bank, number: int, *, begins=timedelta(), life=timedelta(days=1), signer=None) -> None:
    """Puts another CRL of the issuing CA into the server's project, as its fetcher would."""
    path = bank.out / "servers/accounts/tls/crl.pem"
    root, own = crls.load_all(path.read_bytes())
    if own.issuer != issuer(bank).name:
        root, own = own, root
    start = bank.now + begins
    new = crls.build(signer or issuer(bank), number, start, start + life)
    path.write_bytes(crls.to_pem(new) + crls.to_pem(root))


def test_a_newer_crl_stays_byte_for_byte(bank):
    fetched(bank, 7)
    before = (bank.out / "servers/accounts/tls/crl.pem").read_bytes()
    assert bank.plan().changes == ()
    (bank.out / "servers/accounts/tls/ca.pem").unlink()
    bank.apply()
    assert (bank.out / "servers/accounts/tls/crl.pem").read_bytes() == before


@pytest.mark.parametrize("number", [None, 7], ids=["as issued", "fetched"])
def test_a_plan_reads_each_crl_once(bank, monkeypatch, number):
    if number is not None:
        fetched(bank, number)
    read, real, held = [], os.open, str(bank.out / "servers/accounts/tls/crl.pem")

    def opened(path, *arguments, **more):
        read.append(path)
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", opened)
    assert bank.plan().changes == ()
    assert read.count(held) == 1


def resign(bank, hours=13):
    """Signs the CRLs that are due and leaves the projects as they are, as the publisher does."""
    path = bank.out / "servers/accounts/tls/crl.pem"
    before = path.read_bytes()
    bank.later(hours=hours)
    bank.apply()
    assert path.read_bytes() != before
    path.write_bytes(before)


def test_an_older_crl_can_wait_while_it_is_valid(bank):
    resign(bank)
    (change,) = bank.plan().changes
    assert (str(change.address), change.reasons[0].code.code, change.can_wait) == (TRUST, "crl-due", True)
    assert states(bank)[TRUST] is State.DUE
    assert drift_in_tls(bank.plan()) == ()
    bank.apply()
    assert bank.plan().changes == ()


def test_an_older_crl_that_lacks_an_entry_is_drift(bank):
    path = bank.out / "servers/accounts/tls/crl.pem"
    before = path.read_bytes()
    revoke(bank)
    path.write_bytes(before)
    assert bank.planned() == {TRUST: (Action.UPDATE, "content")}
    bank.later(hours=13)  # the CA's own is due as well now
    (change,) = (change for change in bank.plan().changes if str(change.address) == TRUST)
    assert (change.reasons[0].code.code, change.can_wait) == ("crl", False)
    assert drift_in_tls(bank.plan()) == (change,)


def test_an_older_crl_with_a_hold_that_was_lifted_is_drift(bank):
    path = bank.out / "servers/accounts/tls/crl.pem"
    revoke(bank, reason="certificateHold")
    held = path.read_bytes()
    release(bank)
    path.write_bytes(held)
    assert bank.planned() == {TRUST: (Action.UPDATE, "content")}


@pytest.mark.parametrize("left", [slice(0, 1), slice(1, 2), slice(0, 0)])
def test_an_older_file_that_lacks_a_crl_is_drift(bank, left):
    resign(bank)
    path = bank.out / "servers/accounts/tls/crl.pem"
    path.write_bytes(b"".join(map(crls.to_pem, crls.load_all(path.read_bytes())[left])))
    assert bank.planned() == {TRUST: (Action.UPDATE, "content")}


def test_an_older_file_with_a_crl_of_nobody_it_trusts_is_drift(bank):
    """It would do until the next ones come, but for what somebody has put beside it."""
    resign(bank)
    path = bank.out / "servers/accounts/tls/crl.pem"
    stranger = Issuer(issuer(bank).certificate, new_key(_P256))
    added = crls.build(stranger, 99, bank.now - timedelta(hours=1), bank.now + timedelta(days=1))
    path.write_bytes(path.read_bytes() + crls.to_pem(added))
    assert bank.planned() == {TRUST: (Action.UPDATE, "content")}
    assert drift_in_tls(bank.plan()) != ()


def test_an_expired_crl_is_drift_whatever_its_number(bank):
    fetched(bank, 7, begins=timedelta(days=-2))
    assert bank.planned() == {TRUST: (Action.UPDATE, "content")}


def test_a_crl_of_a_stranger_is_drift(bank):
    stranger = Issuer(issuer(bank).certificate, new_key(_P256))
    fetched(bank, 7, signer=stranger)
    assert bank.planned() == {TRUST: (Action.UPDATE, "content")}


def test_a_renewed_root_crl_is_put_beside_a_newer_fetched_one(bank):
    fetched(bank, 7, life=timedelta(days=90))
    (bank.out / "pki/root/crl.pem").unlink()
    bank.apply()
    numbers = {crls.number(one) for one in crls.load_all((bank.out / "servers/accounts/tls/crl.pem").read_bytes())}
    assert numbers == {2, 7}
    assert bank.plan().changes == ()


def test_a_list_that_is_signed_later_goes_past_a_newer_fetched_one(bank):
    fetched(bank, 7, life=timedelta(days=90))
    bank.later(days=46)
    bank.apply()
    numbers = {crls.number(one) for one in crls.load_all((bank.out / "servers/accounts/tls/crl.pem").read_bytes())}
    assert numbers == {2, 8}
    assert bank.plan().changes == ()


def test_status_warns_long_before_a_crl_ends(bank):
    assert states(bank)["ca.issuing.crl"] is State.VALID
    assert states(bank).keys() == {"ca.root.crl", "ca.issuing.crl", TRUST}
    bank.later(hours=13)
    assert (states(bank)["ca.issuing.crl"], states(bank)[TRUST]) == (State.DUE, State.DUE)
    bank.later(hours=12)
    assert (states(bank)["ca.issuing.crl"], states(bank)[TRUST]) == (State.EXPIRED, State.EXPIRED)
    (bank.out / "servers/accounts/tls/crl.pem").unlink()
    assert states(bank)[TRUST] is State.MISSING


def states(bank):
    found = status(bank.prepare())
    assert not found.fine or all(one.state is State.VALID for one in found.crls)
    return {str(one.address): one.state for one in found.crls}


def test_status_says_what_is_revoked_and_why(bank):
    revoke(bank, reason="certificateHold")
    found = status(bank.prepare())
    (one,) = (one for one in found.certificates if one.state is State.REVOKED)
    assert (str(one.address), one.reason) == ("client.teller.certificate", "certificateHold")
    (entry,) = found.revoked
    assert (entry.issued.subject, entry.issued.serial, entry.at) == ("CN=teller", one.serial, one.revoked_at)


def test_plan_warns_of_a_crl_that_others_sign(household, tmp_path):
    other = type(household)(tmp_path / "partner")
    other.folder.mkdir()
    other.apply()
    for name in ("ca.crt", "ca.key", "crl.pem"):
        (household.folder / name).write_bytes((other.out / "pki/root" / name).read_bytes())
    household.text = household.text.replace(
        "root: {}", "root: {existing: {certificate: ca.crt, key: ca.key, crl: crl.pem}}"
    )
    assert household.plan().notes == ()
    assert not household.plan().awaits
    household.later(days=46)
    assert any("ca.root has a CRL in " in str(note) and "expires on" in str(note) for note in household.plan().notes)
    assert not household.plan().awaits
    household.later(days=46)
    assert any(
        "every server and client that checks it refuses everyone" in str(note) for note in household.plan().notes
    )
    assert household.plan().awaits  # apply cannot mend it, and `plan --check` says that something is wrong
    said = "\n".join(
        "".join(part for part, _ in line) for line in status_lines(status(household.prepare()), household.now)
    )
    assert "ca.root.crl is signed elsewhere: get a newer one from its signer." in said


def test_what_within_alone_makes_due_is_told_from_what_renew_renews(bank):
    def said(within):
        found = status(bank.prepare(), within)
        return "\n".join("".join(part for part, _ in line) for line in status_lines(found, bank.now))

    assert "renew" not in said(None)
    assert "`scaffold renew` does not renew those that only --within makes due; `scaffold renew " in said(
        timedelta(days=100)
    )
    assert "`scaffold renew` renews all that are due." not in said(timedelta(days=91))
    bank.later(days=61)
    early = map(str, status(bank.prepare(), timedelta(days=30000)).due_by_within)
    assert {"ca.root.certificate", "client.teller.certificate"}.intersection(early) == {"ca.root.certificate"}


# --- Staples -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stapling(household):
    """A bank whose server is of a kind that staples from a file."""
    folder = household.folder / "kind"
    write_kind(folder, {"run.sh": "#!/bin/sh\n"})
    described = json.loads((folder / "cookiecutter.json").read_text())
    described["_scaffold"]["supports"] += ["staple-file"]
    (folder / "cookiecutter.json").write_text(json.dumps(described))
    catalogue.find.cache_clear()
    household.text = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas: {root: {}, issuing: {issuer: root, revocation: {ocsp: 1h}}}
servers:
  accounts: {template: ./kind, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], staple: true}
"""
    household.apply()
    return household


def said(bank) -> str:
    """What `openssl ocsp` reads in the file, once it has verified it as a client does."""
    pki, tls = bank.out / "pki", bank.out / "servers/accounts/tls"
    at = str(int(bank.now.timestamp()))
    done = openssl(
        "ocsp", "-respin", tls / "staple.der", "-issuer", pki / "issuing/ca.crt", "-cert", tls / "cert.pem",
        "-CAfile", pki / "root/ca.crt", "-verify_other", pki / "issuing/ca.crt", "-attime", at, "-no_nonce",
    )  # fmt: skip
    assert "Response verify OK" in done.stderr, done.stderr
    return done.stdout.partition(": ")[2].partition("\n")[0]


def test_the_staple_is_good_for_openssl_and_there_is_nothing_more_to_do(stapling):
    assert said(stapling) == "good"
    assert stapling.plan().changes == ()


def test_it_is_made_anew_at_half_of_its_life(stapling):
    stapling.later(minutes=29)
    assert stapling.plan().changes == ()
    stapling.later(minutes=2)
    (change,) = stapling.plan().changes
    assert (str(change.address), change.action, change.can_wait) == (STAPLE, Action.UPDATE, True)
    stapling.later(minutes=30)
    (change,) = stapling.plan().changes
    assert (change.reasons[0].code.code, change.can_wait) == ("expired", False)
    renew_due(stapling)
    assert stapling.plan().changes == ()


def test_it_follows_its_certificate(stapling):
    before = (stapling.out / "servers/accounts/tls/staple.der").read_bytes()
    (stapling.out / "servers/accounts/tls/key.pem").unlink()
    assert stapling.planned()[STAPLE] == (Action.UPDATE, "certificate")
    stapling.apply()
    assert said(stapling) == "good"
    (stapling.out / "servers/accounts/tls/staple.der").write_bytes(before)
    assert stapling.planned() == {STAPLE: (Action.UPDATE, "staple")}


def test_it_says_revoked_and_good_again(stapling):
    revoke(stapling, "server.accounts", "certificateHold")
    assert said(stapling) == "revoked"
    assert stapling.plan().changes == ()
    release(stapling, "server.accounts")
    assert said(stapling) == "good"
    revoke(stapling, "server.accounts")  # a new certificate, which is good
    assert said(stapling) == "good"
    assert stapling.plan().changes == ()


@pytest.mark.parametrize("content", [b"", b"garbage", ocsp.unsuccessful(ocsp.Failure.TRY_LATER)])
def test_what_is_no_staple_is_repaired(stapling, content):
    (stapling.out / "servers/accounts/tls/staple.der").write_bytes(content)
    assert stapling.planned() == {STAPLE: (Action.UPDATE, "staple")}
    stapling.apply()
    assert said(stapling) == "good"


def test_a_newer_one_that_was_fetched_stays(stapling):
    stapling.later(minutes=29)
    path, leaf = stapling.out / "servers/accounts/tls/staple.der", "servers/accounts/tls/cert.pem"
    end = stapling.now + timedelta(hours=1)
    path.write_bytes(staples.make(stapling.certificate(leaf), issuer(stapling), ocsp.State.GOOD, stapling.now, end))
    stapling.later(minutes=20)
    assert stapling.plan().changes == ()
    forged = bytearray(path.read_bytes())
    forged[-1] ^= 1  # the signature is the last that stands there
    path.write_bytes(bytes(forged))
    assert stapling.planned() == {STAPLE: (Action.UPDATE, "staple")}


def test_who_does_not_staple_any_more_has_no_staple(stapling):
    stapling.text = stapling.text.replace(", staple: true", "")
    stapling.apply()
    assert not (stapling.out / "servers/accounts/tls/staple.der").exists()
    assert stapling.plan().changes == ()


_P256 = keys.KeyType.EC_P256


def test_a_ledger_that_was_lost_takes_nothing_off_a_crl(bank):
    before = (bank.out / ".scaffold/ledger.jsonl").read_bytes()
    revoke(bank)
    own = bank.out / "pki/issuing/crl.pem"
    (revoked,) = crls.entries(crls.load(own.read_bytes()))
    (bank.out / ".scaffold/ledger.jsonl").write_bytes(before)  # an old backup
    assert "ca.issuing.crl" not in bank.planned()
    assert any(
        "ca.issuing.crl lists 1 that are not in the state (.scaffold/)" in str(note) for note in bank.plan().notes
    )
    bank.later(hours=13)
    bank.apply()
    assert crls.entries(crls.load(own.read_bytes())) == (revoked,)
