"""What plan sees: every check with what sets it off, and how far each change reaches."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509

from scaffold.errors import TopologyError
from scaffold.pki import bundles, keys
from scaffold.plan.model import Action
from scaffold.plan.plan_subset import plan_due
from scaffold.topology.model import KeyType
from scaffold.view.reasons import sentence
from tests.fresh import new_key
from tests.unit.publish.lab import revoke

ROOT, ISSUING = "ca.root.certificate", "ca.issuing.certificate"
SERVER, CLIENT = "server.accounts.certificate", "client.teller.certificate"


@pytest.fixture
def applied(household):
    household.apply()
    return household


def converges(household):
    """Applies what is planned; afterwards nothing is left to do."""
    household.apply()
    assert household.planned() == {}


def cas_and_leaves(planned):
    return {address: found for address, found in planned.items() if address.endswith("certificate")}


# --- How far a change reaches --------------------------------------------------------------------------------------


def test_a_san_reissues_one_leaf_over_its_key(applied):
    key = (applied.out / "servers/accounts/tls/key.pem").read_bytes()
    applied.text = applied.text.replace("names: [localhost]", "names: [localhost, bank.test]")
    assert cas_and_leaves(applied.planned()) == {SERVER: (Action.UPDATE, "sans")}
    converges(applied)
    assert (applied.out / "servers/accounts/tls/key.pem").read_bytes() == key


def test_a_roots_new_key_reaches_every_descendant_with_its_own_reason(applied):
    applied.text = applied.text.replace("root: {}", "root: {key: ec-p384}")
    assert cas_and_leaves(applied.planned()) == {
        ROOT: (Action.REPLACE, "key-type"),
        ISSUING: (Action.UPDATE, "issuer-key"),
        SERVER: (Action.UPDATE, "chain"),
        CLIENT: (Action.UPDATE, "chain"),
    }
    assert [str(change.address) for change in applied.plan().changes if change.asks] == [ROOT]
    converges(applied)


def test_an_intermediates_new_key_reissues_its_leaves_alone(applied):
    applied.text = applied.text.replace("issuing: {issuer: root}", "issuing: {issuer: root, key: ec-p384}")
    assert cas_and_leaves(applied.planned()) == {
        ISSUING: (Action.REPLACE, "key-type"),
        SERVER: (Action.UPDATE, "issuer-key"),
        CLIENT: (Action.UPDATE, "issuer-key"),
    }
    converges(applied)


def test_an_intermediate_reissued_over_its_key_leaves_the_leaves_valid(applied):
    before = applied.certificate("servers/accounts/tls/cert.pem")
    (applied.out / "pki/issuing/ca.crt").unlink()
    assert cas_and_leaves(applied.planned()) == {
        ISSUING: (Action.CREATE, "missing"),
        SERVER: (Action.UPDATE, "chain"),
        CLIENT: (Action.UPDATE, "chain"),
    }
    converges(applied)
    assert applied.certificate("servers/accounts/tls/cert.pem") == before
    before.verify_directly_issued_by(applied.certificate("pki/issuing/ca.crt"))


def test_an_intermediate_whose_key_is_lost_too_takes_its_leaves_with_it(applied):
    (applied.out / "pki/issuing/ca.crt").unlink()
    (applied.out / "pki/issuing/ca.key").unlink()
    assert cas_and_leaves(applied.planned()) == {
        ISSUING: (Action.REPLACE, "key-missing"),
        SERVER: (Action.UPDATE, "issuer-key"),
        CLIENT: (Action.UPDATE, "issuer-key"),
    }
    converges(applied)


def test_a_cas_new_name_reaches_what_it_issued(applied):
    applied.text = applied.text.replace("issuer: root}", "issuer: root, subject: {common_name: Other}}", 1)
    assert cas_and_leaves(applied.planned()) == {
        ISSUING: (Action.UPDATE, "subject"),
        SERVER: (Action.UPDATE, "issuer"),
        CLIENT: (Action.UPDATE, "issuer"),
    }
    converges(applied)


def test_renewal_is_policy_and_not_identity(applied):
    applied.text += "\ndefaults: {renew_before: 10d}\n"
    assert applied.planned() == {}


# --- Each check, set off by what is really there -------------------------------------------------------------------


def another_key(path):
    path.write_bytes(keys.to_pem(new_key(KeyType.EC_P256)))


def damaged(path):
    path.write_bytes(b"-----BEGIN NOTHING-----\n")


@pytest.mark.parametrize(
    ("path", "damage", "expected"),
    [
        ("cert.pem", lambda path: path.unlink(), (Action.CREATE, "missing")),
        ("cert.pem", damaged, (Action.UPDATE, "unreadable")),
        ("key.pem", lambda path: path.unlink(), (Action.REPLACE, "key-missing")),
        ("key.pem", damaged, (Action.REPLACE, "key-unreadable")),
        ("key.pem", another_key, (Action.REPLACE, "key-mismatch")),
        ("key.pem", lambda path: path.chmod(0o644), (Action.UPDATE, "rights")),
    ],
)  # fmt: skip
def test_drift_in_tls_is_repaired(applied, path, damage, expected):
    damage(applied.out / "servers/accounts/tls" / path)
    assert applied.planned()[SERVER] == expected
    converges(applied)


def test_a_revocation_that_was_not_carried_through_is_due(applied):
    assert plan_due(applied.look()).planned.plan.changes == ()
    revoke(applied.out, "issuing", applied.certificate("clients/teller/tls/cert.pem"), applied.now)
    due = plan_due(applied.look()).planned.plan.changes
    assert [change.action for change in due if str(change.address) == CLIENT] == [Action.REPLACE]


def test_without_a_certificate_a_damaged_key_is_replaced(applied):
    tls = applied.out / "servers/accounts/tls"
    (tls / "cert.pem").unlink()
    damaged(tls / "key.pem")
    (change,) = (change for change in applied.plan().changes if str(change.address) == SERVER)
    codes = [reason.code.code for reason in change.reasons]
    assert (change.action, codes) == (Action.REPLACE, ["missing", "key-unreadable"])
    converges(applied)


def test_without_a_certificate_a_key_of_another_type_is_replaced(applied):
    tls = applied.out / "servers/accounts/tls"
    (tls / "cert.pem").unlink()
    (tls / "key.pem").write_bytes(keys.to_pem(new_key(KeyType.EC_P384)))
    (change,) = (change for change in applied.plan().changes if str(change.address) == SERVER)
    codes = [reason.code.code for reason in change.reasons]
    assert (change.action, codes) == (Action.REPLACE, ["missing", "key-type"])
    converges(applied)


def test_a_certificate_over_a_key_of_an_unknown_curve_is_issued_anew(applied):
    p256, unknown = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03010f")
    path = applied.out / "servers/accounts/tls/cert.pem"
    leaf, *above = bundles.load_certificates(path.read_bytes())
    odd = x509.load_der_x509_certificate(bundles.der(leaf).replace(p256, unknown, 1))
    path.write_bytes(bundles.chain_pem((odd, *above)))
    assert applied.planned()[SERVER] == (Action.UPDATE, "unreadable")
    converges(applied)


def test_under_a_clock_that_was_put_back_what_begins_later_is_issued_anew(applied):
    applied.later(hours=-1)
    (change,) = (change for change in applied.plan().changes if str(change.address) == SERVER)
    assert (change.action, change.due) == (Action.UPDATE, True)
    assert change.reasons[0].code.code == "not-yet-valid"
    converges(applied)


@pytest.mark.parametrize("name", ["ca.pem", "intermediates.pem", "allowed.json"])
def test_trust_is_repaired(applied, name):
    path = applied.out / "servers/accounts/tls" / name
    before = path.read_bytes()
    path.write_bytes(before + b"\n")
    assert applied.planned() == {"server.accounts.trust": (Action.UPDATE, "content")}
    applied.apply()
    assert path.read_bytes() == before


def test_a_certificate_that_another_key_signed_is_found(applied, tmp_path):
    """The very same words, signed by a CA of the same name."""
    other = type(applied)(tmp_path / "other")
    other.folder.mkdir()
    other.apply()
    for name in ("cert.pem", "key.pem"):
        foreign = (other.out / "servers/accounts/tls" / name).read_bytes()
        (applied.out / "servers/accounts/tls" / name).write_bytes(foreign)
    assert applied.planned()[SERVER] == (Action.UPDATE, "signature")
    converges(applied)


def test_a_cas_damaged_key_is_replaced_only_in_words(applied):
    (applied.out / "pki/root/ca.key").write_bytes(b"damaged")
    change = applied.plan().changes[0]
    assert (str(change.address), change.action, change.asks) == (ROOT, Action.REPLACE, True)
    assert "overwritten" in sentence(change.reasons[0])


def test_a_revoked_certificate_gets_a_new_key(applied):
    from scaffold.store import ledger
    from scaffold.store.layout import Layout

    serial = f"{applied.certificate('clients/teller/tls/cert.pem').serial_number:x}"
    entry = ledger.Revoked("issuing", serial, "keyCompromise", applied.now)
    ledger.Recorder(Layout(applied.out), applied.now).revoked([entry])
    planned = applied.planned()
    assert planned[CLIENT] == (Action.REPLACE, "revoked")
    assert planned["ca.issuing.crl"] == (Action.UPDATE, "entries")
    converges(applied)
    crl = x509.load_pem_x509_crl((applied.out / "pki/issuing/crl.pem").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(int(serial, 16)) is not None


@pytest.mark.parametrize("state", ["lost", "damaged"])
def test_the_key_of_a_revoked_certificate_is_not_certified_again(applied, state):
    """Whoever revokes and then loses the certificate would else get another over the key that was stolen."""
    from scaffold.store import ledger
    from scaffold.store.layout import Layout

    path = applied.out / "clients/teller/tls/cert.pem"
    serial = f"{applied.certificate('clients/teller/tls/cert.pem').serial_number:x}"
    ledger.Recorder(Layout(applied.out), applied.now).revoked(
        [ledger.Revoked("issuing", serial, "keyCompromise", applied.now)]
    )
    path.unlink() if state == "lost" else path.write_text("half a certif")
    key = (path.parent / "key.pem").read_bytes()
    assert applied.planned()[CLIENT][0] is Action.REPLACE
    converges(applied)
    assert (path.parent / "key.pem").read_bytes() != key


# --- Life ----------------------------------------------------------------------------------------------------------


def test_a_leaf_is_renewed_over_its_key_inside_its_window(applied):
    key = (applied.out / "servers/accounts/tls/key.pem").read_bytes()
    applied.later(days=59)
    assert cas_and_leaves(applied.planned()) == {}
    applied.later(days=2)
    assert cas_and_leaves(applied.planned()) == {SERVER: (Action.RENEW, "due"), CLIENT: (Action.RENEW, "due")}
    converges(applied)
    assert (applied.out / "servers/accounts/tls/key.pem").read_bytes() == key


def test_a_leaf_that_expired_is_renewed(applied):
    applied.later(days=91)
    assert applied.planned()[SERVER] == (Action.RENEW, "expired")
    converges(applied)


def test_a_ca_is_renewed_early_enough_for_its_leaves(household):
    household.text = household.text.replace("issuing: {issuer: root}", "issuing: {issuer: root, lifetime: 200d}")
    household.apply()
    household.later(days=109)
    assert ISSUING not in household.planned()
    household.later(days=2)
    assert household.planned()[ISSUING] == (Action.RENEW, "due")
    key = (household.out / "pki/issuing/ca.key").read_bytes()
    converges(household)
    assert (household.out / "pki/issuing/ca.key").read_bytes() == key


def test_a_ca_and_leaves_of_one_lifetime_come_to_rest(household):
    household.text = household.text.replace("issuing: {issuer: root}", "issuing: {issuer: root, lifetime: 90d}")
    household.apply()
    household.later(minutes=1)
    assert household.planned() == {}


def test_a_leaf_is_cut_to_its_issuers_end_and_plan_says_so(household):
    household.text = household.text.replace(
        "issuing: {issuer: root}", "issuing: {issuer: root, lifetime: 100d, renew_before: 1d}"
    )
    household.apply()
    household.later(days=30)
    household.text = household.text.replace("names: [localhost]", "names: [localhost, bank.test]")
    plan = household.plan()
    assert any("shortened to expire with ca.issuing" in str(note) for note in plan.notes)
    converges(household)
    ends = household.certificate("pki/issuing/ca.crt").not_valid_after_utc
    assert household.certificate("servers/accounts/tls/cert.pem").not_valid_after_utc == ends


def test_a_shorter_lifetime_counts_at_once_and_a_longer_one_at_renewal(applied):
    applied.text += "\ndefaults: {lifetime: 100d}\n"
    assert applied.planned() == {}
    applied.text = applied.text.replace("100d", "10d")
    assert cas_and_leaves(applied.planned()) == {
        SERVER: (Action.UPDATE, "lifetime"),
        CLIENT: (Action.UPDATE, "lifetime"),
    }
    converges(applied)


def test_a_ca_from_elsewhere_that_has_ended_issues_nothing(household, tmp_path):
    other = type(household)(tmp_path / "partner")
    other.folder.mkdir()
    other.apply()
    for name in ("ca.crt", "ca.key", "chain.pem"):
        (household.folder / name).write_bytes((other.out / "pki/issuing" / name).read_bytes())
    household.text = household.text.replace(
        "issuing: {issuer: root}", "issuing: {existing: {certificate: ca.crt, key: ca.key, chain: chain.pem}}"
    )
    household.apply()
    household.later(days=366 * 5)
    with pytest.raises(TopologyError, match=r"cannot be issued: ca\.issuing expired"):
        household.plan()


def test_a_crl_is_signed_anew_past_half_of_its_life_with_a_higher_number(applied):
    before = number(applied)
    applied.later(days=46)
    changes = applied.plan().changes
    assert {str(change.address): change.can_wait for change in changes} == {"ca.root.crl": True, "ca.issuing.crl": True}
    converges(applied)
    assert number(applied) == before + 1
    (applied.out / "pki/issuing/crl.pem").unlink()
    converges(applied)
    assert number(applied) == before + 2


def number(household) -> int:
    crl = x509.load_pem_x509_crl((household.out / "pki/issuing/crl.pem").read_bytes())
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_a_crl_that_lives_longer_than_the_topology_says_is_signed_anew_at_once(household):
    household.text += "publish: http://127.0.0.1:9080\n"
    household.text = household.text.replace("{issuer: root}", "{issuer: root, revocation: {crl: 7d}}")
    household.apply()
    household.text = household.text.replace("crl: 7d", "crl: 14d")
    assert not household.plan().changes
    household.text = household.text.replace("crl: 14d", "crl: 1h")
    [change] = household.plan().changes
    assert (str(change.address), change.reasons[0].code.code, change.can_wait) == ("ca.issuing.crl", "life", False)
    household.apply()
    assert not household.plan().changes


def test_an_expired_crl_cannot_wait(applied):
    applied.later(days=91)
    found = {str(change.address): change for change in applied.plan().changes}
    assert (found["ca.root.crl"].reasons[0].code.code, found["ca.root.crl"].can_wait) == ("expired", False)


def test_projects_hold_the_crls_of_all_cas(household):
    household.text = household.text.replace("names: [localhost]", "names: [localhost], check_revocation: crl")
    household.text = household.text.replace("name: bank", "name: bank\npublish: http://127.0.0.1:9080")
    household.apply()
    tls = household.out / "servers/accounts/tls/crl.pem"
    assert tls.read_bytes().count(b"BEGIN X509 CRL") == 2
    assert household.planned() == {}
    household.later(hours=13)
    changes = household.plan().changes
    assert {str(change.address): change.can_wait for change in changes} == {
        "ca.issuing.crl": True,
        "server.accounts.trust": True,
    }
    converges(household)


# --- Faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["expired", "not-yet-valid", "wrong-ca", "self-signed", "wrong-eku", "no-eku", "wrong-name", "no-san"]
)
def test_a_declared_fault_stays_broken_and_is_mended_when_it_goes(household, fault):
    sound = household.text
    household.text = sound.replace("calls: [accounts]", f"calls: [accounts], fault: {fault}")
    household.apply()
    household.later(hours=1)
    assert household.planned() == {}
    household.text = sound
    assert CLIENT in household.planned()
    converges(household)


def test_a_fault_that_time_has_mended_is_made_again(household):
    household.text = household.text.replace("calls: [accounts]", "calls: [accounts], fault: not-yet-valid")
    household.apply()
    begins = household.certificate("clients/teller/tls/cert.pem").not_valid_before_utc
    household.now = begins + timedelta(hours=1)
    assert household.planned()[CLIENT] == (Action.UPDATE, "fault")
    converges(household)
    assert household.certificate("clients/teller/tls/cert.pem").not_valid_before_utc > household.now


# --- What left the topology ----------------------------------------------------------------------------------------


def test_what_left_the_topology_is_deleted_but_for_a_persons_edits(applied):
    (applied.out / "clients/teller/README.md").write_text("mine")
    applied.text = applied.text.partition("clients:")[0]
    planned = applied.planned()
    assert planned["client.teller.certificate"] == (Action.DELETE, "not-asked-for")
    assert planned["client.teller.project"] == (Action.DELETE, "not-asked-for")
    applied.apply()
    left = [path for path in applied.files() if path.startswith("clients/")]
    assert left == ["clients/teller/README.md"]
    assert applied.planned() == {}


def test_deleting_a_ca_says_that_its_key_goes(applied):
    applied.text = applied.text.replace("  root: {}", "  root: {}\n  spare: {}")
    applied.apply()
    applied.text = applied.text.replace("\n  spare: {}", "")
    (change,) = applied.plan().changes
    assert (change.action, change.asks) == (Action.DELETE, True)
    assert "private key is deleted" in sentence(change.reasons[0])
    converges(applied)
    assert not (applied.out / "pki/spare").exists()


def test_a_lost_ledger_is_not_passed_over_in_silence(applied):
    assert not applied.plan().notes
    (applied.out / ".scaffold" / "ledger.jsonl").unlink()
    notes = applied.plan().notes
    assert [str(note).split(":")[0] for note in notes] == [
        "ca.root.certificate is not in the state (.scaffold/), which was lost",
        "ca.issuing.certificate is not in the state (.scaffold/), which was lost",
    ]
