"""Revoked, held, released, renewed: what stands on the CRLs and in the projects, with OpenSSL as the judge."""

from __future__ import annotations

import multiprocessing
import os
import shutil

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold.errors import PlanError, SecretError, WrongPassword
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.plan.intents import Revoke
from scaffold.plan.model import Action
from scaffold.store import files
from scaffold.topology.address import Address
from tests.unit.revoking import (
    CHECKING,
    TELLER,
    crl,
    known,
    listed,
    openssl,
    planned,
    release,
    renew,
    renew_due,
    revoke,
    seen,
    serial,
    verdict,
    want,
)


@pytest.fixture
def bank(household):
    household.text = CHECKING
    household.apply()
    return household


@pytest.fixture
def stolen(bank, tmp_path):
    """A copy of the teller's certificate, as a thief has it."""
    return shutil.copy(bank.out / "clients/teller/tls/cert.pem", tmp_path / "stolen.pem")


def test_the_revoked_is_out_and_the_new_one_in(bank, stolen):
    assert verdict(bank, stolen) == "good"
    before, number, key = serial(bank), crls.number(crl(bank)), bank.certificate("clients/teller/tls/cert.pem")
    bank.later(minutes=1)
    revoke(bank)
    assert "certificate revoked" in verdict(bank, stolen)
    assert verdict(bank, bank.out / "clients/teller/tls/cert.pem") == "good"
    assert listed(bank) == {before: "keyCompromise"}
    assert crls.number(crl(bank)) == number + 1
    assert keys.spki(bank.certificate("clients/teller/tls/cert.pem")) != keys.spki(key)
    assert bank.plan().changes == ()


def test_openssl_reads_the_crl(bank):
    revoke(bank)
    ca, file = bank.out / "pki/issuing/ca.crt", bank.out / "pki/issuing/crl.pem"
    done = openssl("crl", "-in", file, "-CAfile", ca, "-noout", "-text")
    assert "verify OK" in done.stderr
    assert "Key Compromise" in done.stdout


def test_the_plan_says_it_in_the_order_of_its_doing(bank):
    plan = planned(bank, Revoke(Address.client("teller"), crls.Reason.KEY_COMPROMISE))
    assert seen(plan) == [
        (TELLER, Action.REVOKE),
        ("ca.issuing.crl", Action.UPDATE),
        ("server.accounts.trust", Action.UPDATE),
        (TELLER, Action.REPLACE),
    ]
    assert [change.asks for change in plan.changes] == [True, False, False, False]
    assert bank.plan().changes == ()  # a plan writes nothing


def test_what_else_is_pending_is_left_to_apply(bank):
    bank.text = bank.text.replace("names: [localhost], calls", "names: [localhost, bank.test], calls")
    bank.text = bank.text.replace("check_revocation: crl", "check_revocation: crl, vars: {greeting: hallo}")
    pending = bank.planned()
    assert {"server.front.certificate", "server.accounts.project"} <= pending.keys()
    before = serial(bank)
    revoke(bank)
    assert before in listed(bank)
    assert bank.planned() == pending
    bank.apply()
    assert bank.plan().changes == ()


def test_a_crls_number_is_recorded_and_rises_whichever_record_of_it_is_lost(bank):
    """RFC 5280 5.2.3: a fetcher that has seen a number takes no list with a lower one for the newer."""
    first = crls.number(crl(bank))
    assert known(bank).crl_numbers["issuing"] == first
    (bank.out / "pki/issuing/crl.pem").unlink()
    bank.apply()
    second = crls.number(crl(bank))
    assert second > first
    ledger = bank.out / ".scaffold/ledger.jsonl"
    ledger.write_text("".join(line for line in ledger.read_text().splitlines(True) if '"event":"crl"' not in line))
    bank.later(minutes=1)
    revoke(bank)
    assert crls.number(crl(bank)) > second
    assert known(bank).crl_numbers["issuing"] == crls.number(crl(bank))


# --- Without replacement, and holds --------------------------------------------------------------------------------


def test_without_replacement_it_stays_revoked_until_renew(bank, stolen):
    revoke(bank, reason="cessationOfOperation", replace=False)
    assert "certificate revoked" in verdict(bank, stolen)
    plan = bank.plan()
    assert plan.changes == ()
    assert any("scaffold renew client.teller" in str(note) for note in plan.notes)
    (bank.out / "clients/teller/tls/cert.pem").unlink()
    bank.later(days=120)
    assert TELLER not in bank.planned()
    key = (bank.out / "clients/teller/tls/key.pem").read_bytes()
    bank.later(days=-119)
    bank.apply()
    renew(bank, "client.teller")
    assert (bank.out / "clients/teller/tls/key.pem").read_bytes() != key
    assert verdict(bank, bank.out / "clients/teller/tls/cert.pem") == "good"
    assert bank.plan().changes == ()
    assert bank.plan().notes == ()


def test_a_hold_keeps_out_and_is_lifted(bank):
    leaf, before = bank.out / "clients/teller/tls/cert.pem", serial(bank)
    revoke(bank, reason="certificateHold")
    assert "certificate revoked" in verdict(bank, leaf)
    assert serial(bank) == before
    with pytest.raises(PlanError, match="on hold"):
        renew(bank, "client.teller")
    release(bank)
    assert verdict(bank, leaf) == "good"
    assert listed(bank) == {}
    assert (serial(bank), bank.plan().changes) == (before, ())


def test_a_hold_becomes_final_and_keeps_its_date(bank):
    began, before = bank.now, serial(bank)
    revoke(bank, reason="certificateHold")
    bank.later(hours=1)
    revoke(bank, reason="keyCompromise")
    assert listed(bank) == {before: "keyCompromise"}
    (entry,) = crls.entries(crl(bank))
    assert entry.when == began.replace(microsecond=0)
    with pytest.raises(PlanError, match="is not on hold"):
        release(bank)


# --- Which certificates --------------------------------------------------------------------------------------------


def test_every_certificate_that_has_not_ended_goes(bank, stolen):
    """The thief's copy was renewed in the meantime, over the same key: it is still good until it is revoked."""
    first = serial(bank)
    bank.later(days=1)
    renew(bank, "client.teller")
    second = serial(bank)
    assert (first != second, verdict(bank, stolen)) == (True, "good")
    revoke(bank)
    assert listed(bank).keys() == {first, second}
    assert "certificate revoked" in verdict(bank, stolen)


def test_one_serial_alone(bank):
    first = serial(bank)
    bank.later(days=1)
    renew(bank, "client.teller")
    second = serial(bank)
    revoke(bank, address=None, reason="superseded", serial=first.upper())
    assert listed(bank).keys() == {first}
    assert serial(bank) == second
    assert bank.plan().changes == ()


def test_a_compromised_key_takes_all_that_stand_over_it(bank):
    first = serial(bank)
    bank.later(days=1)
    renew(bank, "client.teller")
    second = serial(bank)
    revoke(bank, serial="0x" + first)
    assert listed(bank).keys() == {first, second}
    assert serial(bank) != second


def test_a_server_that_calls_loses_both(bank):
    both = {serial(bank, f"servers/front/tls/{name}") for name in ("cert.pem", "client-cert.pem")}
    revoke(bank, "server.front")
    assert listed(bank).keys() == both
    revoke(bank, "server.front.client-certificate", "superseded")
    assert len(listed(bank)) == 3


def test_who_left_the_topology_can_be_revoked(bank, stolen):
    bank.text = bank.text.replace("  teller:", "  clerk:")
    bank.apply()
    assert verdict(bank, stolen) == "good"
    revoke(bank)
    assert "certificate revoked" in verdict(bank, stolen)
    assert bank.plan().changes == ()


def test_what_apply_replaces_is_not_revoked(bank):
    (bank.out / "clients/teller/tls/key.pem").unlink()
    bank.apply()
    assert listed(bank) == {}


# --- CAs -----------------------------------------------------------------------------------------------------------


def test_an_intermediate_is_out_with_all_below_it(bank, stolen, tmp_path):
    old = shutil.copy(bank.out / "pki/issuing/ca.crt", tmp_path / "old-ca.pem")
    old_crl, revoked = (bank.out / "pki/issuing/crl.pem").read_bytes(), serial(bank, "pki/issuing/ca.crt")
    revoke(bank, "ca.issuing", "cACompromise")
    assert listed(bank, "root") == {revoked: "cACompromise"}
    assert listed(bank) == {}
    root, both = bank.out / "pki/root", tmp_path / "both.pem"
    both.write_bytes((root / "crl.pem").read_bytes() + old_crl)
    arguments = ("-CAfile", root / "ca.crt", "-untrusted", old, "-CRLfile", both, stolen)
    assert openssl("verify", "-crl_check", *arguments).returncode == 0  # who asks of the leaf alone lets it in
    assert "certificate revoked" in openssl("verify", "-crl_check_all", *arguments).stderr
    assert verdict(bank, bank.out / "clients/teller/tls/cert.pem") == "good"
    assert bank.plan().changes == ()


def test_a_revoked_ca_that_is_not_replaced_issues_nothing(bank):
    revoke(bank, "ca.issuing", "cACompromise", replace=False)
    before = serial(bank)
    bank.text = bank.text.replace("teller: {", "teller: {names: [desk.test], ")
    bank.apply()
    assert serial(bank) == before
    assert any("ca.issuing is revoked" in str(note) for note in bank.plan().notes)
    renew(bank, "ca.issuing")
    bank.apply()
    assert verdict(bank, bank.out / "clients/teller/tls/cert.pem") == "good"
    assert bank.plan().changes == ()


@pytest.mark.parametrize(
    ("address", "reason", "message", "hint"),
    [
        ("ca.root", "keyCompromise", "self-signed", "trusts it"),
        ("client.tller", "keyCompromise", 'no such address "client.tller"', 'did you mean "client.teller"'),
        ("ca.partner", "keyCompromise", "made elsewhere", "ask the CA"),
        ("client.auditor", "keyCompromise", "external", "its CA"),
        ("server.accounts.project", "keyCompromise", "no such address", "did you mean"),
    ],
)
def test_what_cannot_be_revoked(bank, tmp_path, address, reason, message, hint):
    other = type(bank)(tmp_path / "partner")
    other.folder.mkdir()
    other.text = other.text.replace("  root: {}", "  root: {subject: {common_name: Partner Root}}")
    other.apply()
    shutil.copy(other.out / "pki/root/ca.crt", bank.folder / "partner.pem")
    bank.text += '  auditor: {external: {issuer: partner, identity: "spiffe://p/auditor"}, calls: [accounts]}\n'
    bank.text = bank.text.replace("  root: {}", "  root: {}\n  partner: {existing: {certificate: partner.pem}}")
    bank.text = bank.text.replace(", check_revocation: crl", "")
    bank.apply()
    before = bank.files()
    with pytest.raises(PlanError, match=message) as caught:
        revoke(bank, address, reason)
    assert hint in caught.value.hint
    assert bank.files() == before


def test_nothing_is_revoked_twice_or_after_its_end(bank):
    revoke(bank, replace=False)
    with pytest.raises(PlanError, match=r"revoked already, since .*: keyCompromise"):
        revoke(bank)
    with pytest.raises(PlanError, match="for good") as caught:
        release(bank)
    assert "RFC 5280" in caught.value.hint
    with pytest.raises(PlanError, match="is not on hold"):
        release(bank, "server.accounts")
    bank.later(days=91)
    with pytest.raises(PlanError, match="expired on"):
        revoke(bank, "server.accounts")


def test_a_ca_without_its_key_revokes_nothing(bank):
    (bank.out / "pki/issuing/ca.key").unlink()
    before = (bank.out / ".scaffold/ledger.jsonl").read_bytes()
    with pytest.raises(PlanError, match=r"the key of ca\.issuing is not there"):
        revoke(bank)
    assert (bank.out / ".scaffold/ledger.jsonl").read_bytes() == before


def test_the_password_is_asked_for_before_any_write(household):
    household.text = CHECKING.replace("root: {}", "root: {key_password: {env: ROOT_PASSWORD}}")
    household.environment = {"ROOT_PASSWORD": "correct horse"}
    household.apply()
    records = household.out / ".scaffold/ledger.jsonl"
    before = records.read_bytes()
    for environment, error in (({}, SecretError), ({"ROOT_PASSWORD": "wrong"}, WrongPassword)):
        household.environment = environment
        with pytest.raises(error):
            revoke(household, "ca.issuing", "cACompromise")
        assert records.read_bytes() == before
    household.environment = {}
    revoke(household)  # a leaf's CRL needs the issuing CA's key alone
    assert len(listed(household)) == 1


def test_a_deleted_certificate_does_not_bring_a_revoked_key_back(bank):
    revoke(bank, replace=False)
    revoked = known(bank).revoked_keys
    renew(bank, "client.teller")
    path = bank.out / "clients/teller/tls/cert.pem"
    path.unlink()
    bank.apply()
    assert keys.spki_sha256(x509.load_pem_x509_certificate(path.read_bytes())) not in revoked


# --- Entries stay their time ---------------------------------------------------------------------------------------


def test_an_entry_stands_on_one_crl_past_its_certificates_end(household):
    household.text = CHECKING.replace("teller: {", "teller: {lifetime: 6h, ")
    household.apply()
    first = serial(household)
    revoke(household)
    household.later(hours=7)
    revoke(household, "server.accounts", "superseded")  # the next revocation loses nobody
    assert first in listed(household)
    household.later(hours=1)
    revoke(household, "server.front", "superseded")
    assert first not in listed(household)
    assert any(entry.serial == first for entry in known(household).revoked.values())
    household.apply()
    assert household.plan().changes == ()


commands = st.lists(
    st.tuples(
        st.sampled_from(["revoke", "hold", "release", "renew", "apply", "due"]),
        st.sampled_from(["client.teller", "server.accounts"]),
        st.sampled_from([0, 1, 40, 300]),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture
def short_lived(household):
    household.text = CHECKING.replace("name: bank", "name: bank\ndefaults: {lifetime: 6h}").replace(
        "issuing: {issuer: root}", "issuing: {issuer: root, revocation: {crl: 4h}}"
    )
    household.apply()
    return household


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=commands)
def test_no_entry_is_lost_before_its_time(short_lived, tmp_path_factory, commands):
    """Whatever is done and however time passes: numbers rise, and what is revoked is listed while it could be used."""
    bank = type(short_lived)(tmp_path_factory.mktemp("bank"), text=short_lived.text, now=short_lived.now)
    shutil.copytree(short_lived.out, bank.out)
    last = crl(bank)
    for command, address, minutes in commands:
        bank.later(minutes=minutes)
        do(bank, command, address)
        now = crl(bank)
        same = crls.to_der(now) == crls.to_der(last)
        assert same or crls.number(now) > crls.number(last)
        must = {
            entry.serial
            for (ca, _), entry in known(bank).revoked.items()
            if ca == "issuing" and known(bank).by_serial[ca, entry.serial].not_after >= last.last_update_utc
        }
        assert must <= listed(bank).keys()
        last = now


def do(bank, command, address):
    try:
        match command:
            case "revoke":
                revoke(bank, address, "superseded")
            case "hold":
                revoke(bank, address, "certificateHold")
            case "release":
                release(bank, address)
            case "renew":
                renew(bank, address)
            case "due":
                renew_due(bank)
            case _:
                bank.apply()
    except PlanError:
        pass  # nothing to revoke, or no hold to lift


# --- A kill --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", range(1, 12))
def test_a_kill_at_any_write_leaves_a_revocation_that_is_carried_through(bank, stolen, nth):
    revoked = serial(bank)
    killed(bank, nth, "client.teller", "keyCompromise")
    recorded = ("issuing", revoked) in known(bank).revoked
    assert recorded or revoked not in listed(bank)  # the record comes before the CRL
    if not recorded:
        revoke(bank)
    bank.apply()
    assert "certificate revoked" in verdict(bank, stolen)
    assert verdict(bank, bank.out / "clients/teller/tls/cert.pem") == "good"
    assert serial(bank) != revoked
    assert bank.plan().changes == ()


@pytest.mark.parametrize("nth", range(1, 22, 2))
def test_a_kill_while_a_ca_is_revoked(bank, nth):
    revoked, old_key = serial(bank, "pki/issuing/ca.crt"), (bank.out / "pki/issuing/ca.key").read_bytes()
    killed(bank, nth, "ca.issuing", "cACompromise")
    if ("root", revoked) not in known(bank).revoked:
        assert listed(bank, "root") == {}
        revoke(bank, "ca.issuing", "cACompromise")
    bank.apply()
    assert listed(bank, "root") == {revoked: "cACompromise"}
    assert (bank.out / "pki/issuing/ca.key").read_bytes() != old_key
    assert verdict(bank, bank.out / "clients/teller/tls/cert.pem") == "good"
    assert bank.plan().changes == ()


def killed(bank, nth, address, reason):
    child = multiprocessing.get_context("fork").Process(target=dies_at, args=(bank, nth, address, reason))
    child.start()
    child.join(60)


def dies_at(bank, nth, address, reason):
    real, count = files.write_all, iter(range(1, 10_000))

    def dies(descriptor: int, content: bytes) -> None:
        if next(count) == nth:
            os.write(descriptor, content[: len(content) // 2])
            os._exit(9)
        real(descriptor, content)

    files.write_all = dies
    revoke(bank, address, reason)


# --- CAs from elsewhere, and faults --------------------------------------------------------------------------------


@pytest.fixture
def adopted(household, tmp_path):
    """Issues from a CA that was made elsewhere, whose key is here."""
    other = type(household)(tmp_path / "partner")
    other.folder.mkdir()
    other.apply()
    for name in ("ca.crt", "ca.key", "chain.pem", "crl.pem"):
        shutil.copy(other.out / "pki/issuing" / name, household.folder / name)
    shutil.copy(other.out / "pki/root/crl.pem", household.folder / "root-crl.pem")
    existing = "{certificate: ca.crt, key: ca.key, chain: chain.pem}"
    household.text = CHECKING.replace("{issuer: root}", f"{{existing: {existing}}}").replace(
        ", check_revocation: crl", ""
    )
    return household


def test_a_ca_from_elsewhere_revokes_what_it_issues_here(adopted):
    adopted.apply()
    before = serial(adopted)
    revoke(adopted)
    assert listed(adopted) == {before: "keyCompromise"}
    ca = crls.load((adopted.out / "pki/issuing/crl.pem").read_bytes())
    assert crls.signed_by(ca, adopted.certificate("pki/issuing/ca.crt"))
    assert adopted.plan().changes == ()


def test_whose_crl_is_signed_elsewhere_revokes_nothing_here(adopted):
    adopted.text = adopted.text.replace("chain: chain.pem}", "chain: chain.pem, crl: crl.pem}")
    adopted.apply()
    with pytest.raises(PlanError, match="signed elsewhere"):
        revoke(adopted)


@pytest.mark.parametrize(
    ("fault", "message"),
    [("wrong-ca", "not signed by"), ("self-signed", "not signed by"), ("expired", "nothing to revoke")],
)
def test_what_is_broken_on_purpose(bank, fault, message):
    bank.text = bank.text.replace("teller: {", f"teller: {{fault: {fault}, ")
    (bank.out / "clients/teller/tls/cert.pem").unlink()
    shutil.rmtree(bank.out)
    bank.apply()
    with pytest.raises(PlanError, match=message):
        revoke(bank)


def test_a_key_that_its_ca_has_replaced_is_told_apart(bank):
    """What the old key signed ends with the old certificate of the CA, on which the hint insists."""
    old = serial(bank)
    bank.text = bank.text.replace("issuing: {issuer: root}", "issuing: {issuer: root, key: ec-p384}")
    bank.apply()
    with pytest.raises(PlanError, match="was signed by a former key of") as caught:
        revoke(bank, serial=old)
    former = known(bank).by_address[Address.parse("ca.issuing.certificate")][0].serial
    assert f"revoke ca.issuing --serial {former}" in caught.value.hint
    plan = planned(bank, Revoke(Address.client("teller"), crls.Reason.KEY_COMPROMISE))
    assert any(f"revoke ca.issuing --serial {former}" in str(note) for note in plan.notes)
    want(bank, Revoke(Address.client("teller"), crls.Reason.KEY_COMPROMISE))
    assert old not in listed(bank)
    revoke(bank, "ca.issuing", "superseded", serial=former)
    assert listed(bank, "root") == {former: "superseded"}
    assert planned(bank, Revoke(Address.client("teller"), crls.Reason.KEY_COMPROMISE)).notes == bank.plan().notes
    assert bank.plan().changes == ()
