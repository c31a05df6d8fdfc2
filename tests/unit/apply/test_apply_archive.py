"""What has ended leaves the ledger during an apply: CRLs, plans and commands go on as if it had not."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from datetime import timedelta

import pytest

from scaffold.apply.recovery import record_found
from scaffold.errors import AddressError, PlanError
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.plan.intents import Renew, Revoke
from scaffold.plan.model import Action
from scaffold.plan.revocations import off_crl
from scaffold.plan.status import status
from scaffold.store import archive, projects
from scaffold.store.layout import ARCHIVE, Layout
from scaffold.store.ledger import Issued, Recorder, Revoked
from scaffold.topology.address import Address
from tests.requirements import require_command
from tests.unit.revoking import CHECKING, TELLER, crl, known, listed, planned, renew, renew_due, revoke, serial, verdict

KEY = "clients/teller/tls/key.pem"
CERTIFICATE = "clients/teller/tls/cert.pem"
CLIENT = Address.client("teller")


@pytest.fixture
def bank(household):
    household.text = CHECKING
    household.apply()
    return household


def fill(bank, count: int = archive.WORTH + 10) -> None:
    """Certificates that ended long ago, as short lifetimes leave them."""
    begins, ends = bank.now - timedelta(days=300), bank.now - timedelta(days=299)
    names = (Address.parse(TELLER), "issuing")
    made = [f"{0x7000000000 + int(bank.now.timestamp() * 1000) + number:x}" for number in range(count)]
    digests = [hashlib.sha256(one.encode()).hexdigest() for one in made]
    Recorder(Layout(bank.out), begins).issued(
        [
            Issued(*names, one, "CN=teller", "CN=issuing", begins, ends, digest, key=digest)
            for one, digest in zip(made, digests, strict=True)
        ]
    )


def sign(bank) -> None:
    """An apply that signs the CRL of `issuing`, once half its life is over."""
    bank.later(hours=13)
    bank.apply()


def test_what_ended_is_in_the_archive_and_the_plan_is_the_same(bank):
    fill(bank)
    assert bank.plan().changes == ()
    assert len(known(bank).issued) > archive.WORTH
    sign(bank)
    assert len(known(bank).issued) < 20
    assert (bank.out / ARCHIVE).exists()
    assert bank.plan().changes == ()


def test_an_archive_that_was_lost_is_told_until_an_apply_goes_on_without(bank):
    def lost() -> list[str]:
        planned = bank.prepare()
        said = [str(note) for note in status(planned).lost]
        assert set(said) <= set(map(str, planned.plan.notes))
        assert not (said and status(planned).fine)
        return said

    assert lost() == []
    fill(bank)
    sign(bank)
    assert lost() == []
    away = (bank.out / ARCHIVE).rename(bank.folder / "away")
    (said,) = lost()
    assert said.startswith(f"{ARCHIVE} is missing: the record of expired certificates and their revocations was lost")
    away.rename(bank.out / ARCHIVE)
    assert lost() == []
    (bank.out / ARCHIVE).unlink()
    record_found(lambda: bank.look(), bank.look())
    assert lost() == []
    assert known(bank).latest is not None
    fill(bank)
    sign(bank)
    assert (bank.out / ARCHIVE).exists()
    (bank.out / ARCHIVE).unlink()
    assert len(lost()) == 1, "one that was begun anew can be lost, too"


def test_numbers_of_crls_go_on(bank):
    for _ in range(archive.WORTH):
        Recorder(Layout(bank.out), bank.now).crl("issuing", known(bank).crl_numbers["issuing"] + 1)
    before = known(bank).crl_numbers["issuing"]
    sign(bank)
    assert (bank.out / ARCHIVE).exists()
    (bank.out / "pki/issuing/crl.pem").unlink()  # the ledger alone knows
    bank.apply()
    assert crls.number(crl(bank)) > before


def test_a_revoked_certificate_is_listed_past_its_end_and_then_archived_with_its_key_burnt(bank):
    stolen_key, stolen_certificate = ((bank.out / path).read_bytes() for path in (KEY, CERTIFICATE))
    stolen, key = serial(bank), keys.spki_sha256(bank.certificate(CERTIFICATE))
    revoke(bank)
    leaf = bank.folder / "stolen.pem"
    leaf.write_bytes(stolen_certificate)
    bank.later(days=91)
    fill(bank)
    bank.apply()  # past its end: on this CRL it must stand (RFC 5280 3.3)
    assert stolen in listed(bank)
    assert "revoked" in verdict(bank, leaf)
    fill(bank)
    sign(bank)  # it leaves the CRL, and not yet the ledger
    assert stolen not in listed(bank)
    assert ("issuing", stolen) in known(bank).revoked
    fill(bank)
    sign(bank)
    assert ("issuing", stolen) not in known(bank).revoked
    assert key in known(bank).revoked_keys
    assert stolen not in listed(bank)
    for path, content in ((KEY, stolen_key), (CERTIFICATE, stolen_certificate)):  # an old backup
        (bank.out / path).write_bytes(content)
    assert bank.planned()[TELLER] == (Action.REPLACE, "revoked")
    (bank.out / CERTIFICATE).unlink()
    assert bank.planned()[TELLER] == (Action.REPLACE, "missing")
    bank.apply()
    assert keys.spki_sha256(bank.certificate(CERTIFICATE)) != key


def test_a_later_certificate_over_a_compromised_key_falls_with_it_as_long_as_it_is_valid(bank):
    stolen, key = serial(bank), keys.spki_sha256(bank.certificate(CERTIFICATE))
    bank.later(days=45)
    renew(bank, "client.teller")
    Recorder(Layout(bank.out), bank.now).revoked([Revoked("issuing", stolen, "keyCompromise", bank.now)])
    bank.later(days=46)
    for _ in range(3):
        fill(bank)
        bank.later(hours=13)
        renew_due(bank)
    assert (bank.out / ARCHIVE).exists()
    assert stolen not in listed(bank)
    assert bank.planned()[TELLER] == (Action.REPLACE, "revoked")
    assert keys.spki_sha256(bank.certificate(CERTIFICATE)) == key
    bank.apply()
    assert keys.spki_sha256(bank.certificate(CERTIFICATE)) != key
    bank.later(days=46)
    for _ in range(3):
        fill(bank)
        sign(bank)
    assert ("issuing", stolen) not in known(bank).revoked
    assert key in known(bank).revoked_keys


def test_what_may_go_has_stood_on_a_crl_past_its_end_and_is_on_none(bank):
    revoke(bank)
    there, held = crl(bank), known(bank).by_serial["issuing", serial(bank)]
    on_it = next(known(bank).by_serial[pair] for pair in known(bank).revoked)
    before, after = there.last_update_utc - timedelta(seconds=1), there.last_update_utc
    off = off_crl(lambda ca: [there] if ca == "issuing" else [], bank.now)
    assert off(replace(held, not_after=before))
    assert not off(replace(held, not_after=after)), "no CRL was issued past its end"
    assert not off(replace(on_it, not_after=before)), "it is listed"
    assert not off(replace(held, ca="root", not_after=before)), "there is no CRL to look at"
    early = off_crl(lambda ca: [there], there.last_update_utc - timedelta(hours=1))
    assert not early(replace(held, not_after=before)), "the CRL is of the future: a clock was wrong"


def test_what_may_go_is_on_no_crl_of_any_key_of_its_ca(bank):
    revoke(bank)
    there, held = crl(bank), known(bank).by_serial["issuing", serial(bank)]
    ended = replace(held, not_after=there.last_update_utc - timedelta(seconds=1))
    assert off_crl(lambda ca: [there, there], bank.now)(ended)
    assert not off_crl(lambda ca: [there, None], bank.now)(ended)
    assert not off_crl(lambda ca: [None, there], bank.now)(ended)


def test_status_says_what_was_revoked_when_it_is_archived_too(bank):
    stolen = serial(bank)
    revoke(bank)
    bank.later(days=91)
    for _ in range(3):
        fill(bank)
        sign(bank)
    assert ("issuing", stolen) not in known(bank).revoked
    (found,) = status(bank.prepare()).revoked
    assert (found.ca, found.serial, found.reason) == ("issuing", stolen, "keyCompromise")
    assert found.issued is not None
    assert str(found.issued.address) == TELLER


def test_who_went_without_a_certificate_goes_on_doing_so_until_it_is_renewed(bank):
    revoke(bank, replace=False)
    bank.later(days=91)
    for _ in range(3):
        fill(bank)
        sign(bank)
    assert TELLER not in bank.planned()
    renew(bank, "client.teller")
    assert bank.plan().changes == ()
    assert bank.certificate(CERTIFICATE).not_valid_after_utc > bank.now


def test_what_has_ended_and_is_archived_cannot_be_revoked_and_the_answer_says_why(bank):
    fill(bank)
    old = next(one for one in known(bank).issued.values() if one.not_after < bank.now)
    sign(bank)
    assert old.fingerprint_sha256 not in known(bank).issued
    ended = f"{old.not_after:%Y-%m-%d %H:%M}"
    for address in (None, CLIENT):
        with pytest.raises(PlanError, match=f"nothing to revoke: .* expired on {ended}"):
            planned(bank, Revoke(address, crls.Reason.SUPERSEDED, serial=old.serial))
    with pytest.raises(PlanError, match="no certificate with the serial"):
        planned(bank, Revoke(None, crls.Reason.SUPERSEDED, serial="abcdef"))


def test_who_left_long_ago_is_still_known_by_name(bank):
    bank.text = CHECKING.replace("  teller: {", "  other: {")
    bank.apply()
    bank.later(days=91)
    fill(bank)
    sign(bank)
    assert Address.parse(TELLER) not in known(bank).by_address
    with pytest.raises(PlanError, match=r"the last certificate of client\.teller expired on"):
        planned(bank, Revoke(CLIENT, crls.Reason.SUPERSEDED))
    with pytest.raises(PlanError, match="not in the topology any more"):
        planned(bank, Renew(CLIENT))
    with pytest.raises(AddressError, match="no such address"):
        planned(bank, Renew(Address.client("nobody")))


def test_a_ca_that_left_is_still_known_as_made_here(bank):
    """Its certificate is in the archive; its key is not to be taken for somebody else's."""
    bank.text = CHECKING.replace("  issuing: {issuer: root}", "  issuing: {issuer: root}\n  old: {issuer: root}")
    bank.apply()
    ledger = bank.out / ".scaffold/ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(one for one in lines if b'"address":"ca.old.certificate"' not in one))
    bank.text = CHECKING
    assert bank.planned()["ca.old.certificate"] == (Action.DELETE, "not-asked-for")


def test_the_record_of_projects_is_written_anew_once_it_is_long(bank):
    address, path = Address.server("accounts"), bank.out / ".scaffold/projects.jsonl"
    record = projects.load(Layout(bank.out)).by_address[address]
    recorder = projects.Recorder(Layout(bank.out), bank.now)
    for _ in range(300):
        recorder.settled(address, record.inputs, record.files)
    recorder.flush()
    sign(bank)
    assert len(path.read_bytes().splitlines()) < 30
    assert projects.load(Layout(bank.out)).by_address[address] == record
    assert bank.plan().changes == ()


def test_a_plan_that_was_made_before_the_archive_is_refused_after(bank):
    """However many lines went and came: what it saw is not what is there."""
    bank.later(hours=13)
    plan = bank.prepare()
    fill(bank)
    bank.apply()
    with pytest.raises(PlanError, match="has changed since"):
        bank.carry_out(plan)


def test_git_is_told_to_keep_the_lines_of_both_and_a_persons_file_is_left_alone(household):
    household.apply()
    attributes = household.out / ".gitattributes"
    assert ".scaffold/*.jsonl merge=union" in attributes.read_text().splitlines()
    attributes.write_text("* text=auto\n")
    household.text += "  other: {template: python, issuer: issuing, calls: [accounts]}\n"
    household.apply()
    assert attributes.read_text() == "* text=auto\n"
    attributes.unlink()  # a folder of an older version has none
    household.text += "  third: {template: python, issuer: issuing, calls: [accounts]}\n"
    household.apply()
    assert attributes.exists()


def test_two_peoples_ledgers_merge_in_git(bank):
    """Each revokes somebody, on a branch of their own; git keeps the lines of both, and the ledger says both."""
    git(bank, "init", "-q", "-b", "one")
    git(bank, "add", "-f", ".gitattributes", ".scaffold/ledger.jsonl")
    git(bank, "commit", "-qm", "begin")
    git(bank, "branch", "two")
    for branch, number in (("two", 9), ("one", 5)):
        git(bank, "checkout", "-q", branch)
        Recorder(Layout(bank.out), bank.now).revoked([Revoked("issuing", f"{number}", "superseded", bank.now)])
        Recorder(Layout(bank.out), bank.now).crl("issuing", number)
        git(bank, "commit", "-qam", f"revoke {number}")
    git(bank, "merge", "-q", "two", "-m", "both")
    merged = known(bank)
    assert {("issuing", "5"), ("issuing", "9")} <= merged.revoked.keys()
    assert merged.crl_numbers["issuing"] == 9


def git(bank, *arguments: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example")
    subprocess.run([require_command("git"), *who, *arguments], cwd=bank.out, check=True, timeout=90)
