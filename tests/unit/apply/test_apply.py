"""What apply makes, and that it makes it once."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.errors import PlanError, SecretError, WrongPassword
from scaffold.pki import keys
from scaffold.plan.model import Action


def test_a_second_apply_has_nothing_to_do(household):
    assert household.apply().undone == ()
    before = household.files()
    household.later(minutes=5)
    assert household.plan().changes == ()
    household.apply()
    assert household.files() == before


def test_the_layout_is_that_of_the_contract(household):
    household.apply()
    found = household.files().keys()
    assert {f"pki/root/{name}" for name in ("ca.crt", "ca.cer", "ca.key", "crl.pem")} <= found
    assert {f"pki/issuing/{name}" for name in ("ca.crt", "ca.cer", "ca.key", "crl.pem", "chain.pem")} <= found
    assert {f"servers/accounts/{name}" for name in ("tls/cert.pem", "tls/key.pem", "tls/ca.pem", "run.sh")} <= found
    assert {".gitignore", "clients/teller/tls/intermediates.pem", "clients/teller/run.sh"} <= found


def test_secrets_are_for_their_owner_alone(household):
    household.apply()
    for key in (*household.out.rglob("*.key"), *household.out.rglob("*key.pem")):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700, key
    assert stat.S_IMODE((household.out / ".scaffold").stat().st_mode) == 0o700
    assert (household.out / "servers/accounts/run.sh").stat().st_mode & 0o111


def test_a_leaf_stands_before_its_intermediates_without_the_root(household):
    household.apply()
    chain = x509.load_pem_x509_certificates((household.out / "servers/accounts/tls/cert.pem").read_bytes())
    issuing, root = household.certificate("pki/issuing/ca.crt"), household.certificate("pki/root/ca.crt")
    assert chain[1:] == [issuing]
    chain[0].verify_directly_issued_by(issuing)
    assert x509.load_pem_x509_certificates((household.out / "clients/teller/tls/ca.pem").read_bytes()) == [root]


def test_every_serial_in_place_is_in_the_ledger(household):
    household.apply()
    assert serials_in_place(household.out) <= serials_in_ledger(household.out)


def serials_in_place(out: Path) -> set[str]:
    paths = [*out.glob("pki/*/ca.crt"), *out.glob("*/*/tls/cert.pem"), *out.glob("*/*/tls/client-cert.pem")]
    return {f"{x509.load_pem_x509_certificate(path.read_bytes()).serial_number:x}" for path in paths}


def serials_in_ledger(out: Path) -> set[str]:
    events = map(json.loads, (out / ".scaffold/ledger.jsonl").read_text().splitlines())
    return {event["serial"] for event in events if event["event"] == "issued"}


def test_a_plan_of_another_world_is_refused(household):
    plan = household.prepare()
    household.apply()
    before = household.files()
    with pytest.raises(PlanError, match="has changed since"):
        household.carry_out(plan)
    assert household.files() == before


def test_a_server_that_calls_has_a_second_certificate(household):
    household.text = household.text.replace(
        "names: [localhost]}",
        "names: [localhost]}\n  front: {template: python, issuer: issuing, "
        'listen: "127.0.0.1:8444", names: [localhost], calls: [accounts]}',
    )
    household.apply()
    second = household.certificate("servers/front/tls/client-cert.pem")
    usage = second.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert (household.out / "servers/front/tls/client-ca.pem").exists()
    household.text = household.text.replace(", calls: [accounts]}\n", "}\n", 1)
    assert household.planned()["server.front.client-certificate"] == (Action.DELETE, "not-asked-for")
    household.apply()
    assert not (household.out / "servers/front/tls/client-key.pem").exists()
    assert not (household.out / "servers/front/tls/client-ca.pem").exists()
    assert household.plan().changes == ()


# --- Passwords -----------------------------------------------------------------------------------------------------


def test_a_missing_password_stops_apply_before_any_write(household):
    household.text = household.text.replace("root: {}", "root: {key_password: {env: ROOT_PASSWORD}}")
    plan = household.prepare()
    with pytest.raises(SecretError, match="ROOT_PASSWORD"):
        household.carry_out(plan)
    assert not household.out.exists()


def test_an_encrypted_key_is_opened_by_no_plan(household):
    household.text = household.text.replace("root: {}", "root: {key_password: {env: ROOT_PASSWORD}}")
    household.environment = {"ROOT_PASSWORD": "correct horse"}
    household.apply()
    pem = (household.out / "pki/root/ca.key").read_bytes()
    assert keys.is_encrypted(pem)
    household.environment = {}
    assert household.plan().changes == ()
    household.text = household.text.replace("names: [localhost]", "names: [localhost, bank.test]")
    household.apply()  # the root's key is not needed for a leaf
    assert household.plan().changes == ()


def test_a_wrong_password_leaves_the_certificates_alone(household):
    household.text = household.text.replace("root: {}", "root: {key_password: {env: ROOT_PASSWORD}}")
    household.environment = {"ROOT_PASSWORD": "correct horse"}
    household.apply()
    (household.out / "pki/issuing/ca.crt").unlink()
    household.environment = {"ROOT_PASSWORD": "wrong"}
    before = household.files()
    with pytest.raises(WrongPassword, match="root"):
        household.apply()
    assert household.files() == before
    household.environment = {"ROOT_PASSWORD": "correct horse"}
    household.apply()
    assert household.plan().changes == ()


def test_a_generated_password_lies_outside_every_copied_folder(household):
    household.text = household.text.replace("root: {}", "root: {key_password: {generate: true}}")
    household.apply()
    password = household.out / "pki/root/key-password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    keys.load((household.out / "pki/root/ca.key").read_bytes(), password.read_bytes().strip())


def test_a_key_is_encrypted_later_and_stays_the_same(household):
    household.apply()
    before = household.certificate("pki/root/ca.crt")
    household.text = household.text.replace("root: {}", "root: {key_password: {generate: true}}")
    assert household.planned() == {"ca.root.certificate": (Action.UPDATE, "key-encryption")}
    household.apply()
    assert household.certificate("pki/root/ca.crt") == before
    assert household.plan().changes == ()


def test_no_password_is_in_a_record(household):
    household.text = household.text.replace("root: {}", "root: {key_password: {env: ROOT_PASSWORD}}")
    household.environment = {"ROOT_PASSWORD": "correct horse"}
    household.apply()
    for path in household.out.rglob("*"):
        assert path.is_dir() or b"correct horse" not in path.read_bytes(), path


# --- Bundles -------------------------------------------------------------------------------------------------------


def test_a_bundle_follows_its_certificate(tiny):
    from scaffold.pki.bundles import open_pfx

    tiny.text = tiny.text.replace("names: [localhost]", "names: [localhost], pfx: {password: {generate: true}}")
    tiny.apply()
    tls = tiny.out / "servers/accounts/tls"
    password = (tls / "pfx-password").read_bytes().strip()
    # The private key is in the bundle, and what opens it lies beside it.
    assert {stat.S_IMODE((tls / name).stat().st_mode) for name in ("bundle.pfx", "pfx-password")} == {0o600}
    assert open_pfx((tls / "bundle.pfx").read_bytes(), password).certificate == tiny.certificate(
        "servers/accounts/tls/cert.pem"
    )
    assert tiny.plan().changes == ()
    (tls / "bundle.pfx").write_bytes(b"drift")
    assert tiny.planned() == {"server.accounts.bundle": (Action.UPDATE, "content")}
    tiny.text = tiny.text.replace("[localhost]", "[localhost, bank.test]")
    assert tiny.planned()["server.accounts.bundle"] == (Action.UPDATE, "certificate")
    tiny.apply()
    assert (tls / "pfx-password").read_bytes().strip() == password
    assert open_pfx((tls / "bundle.pfx").read_bytes(), password).certificate == tiny.certificate(
        "servers/accounts/tls/cert.pem"
    )
    assert tiny.plan().changes == ()
