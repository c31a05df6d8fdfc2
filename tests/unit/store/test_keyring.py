"""The keys of CAs are found where they lie, opened with the password that is named, and held against a certificate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.errors import KeyNotHere, PkiError, SecretError, Unreadable, WrongPassword
from scaffold.pki import keys
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.store.keyring import KeyFile, Keyring, key_file
from scaffold.store.layout import Layout, ca_paths
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address
from scaffold.topology.model import EnvSecret, Existing, FileSecret, GeneratedSecret, KeyType, Secret, Topology
from tests.fresh import encrypted_pem, new_key
from tests.unit.conftest import Household
from tests.unit.pki.lab import root_issuer

ROOT = Address.ca("root")
_PASSWORD = b"correct horse"


@pytest.fixture
def t(household: Household) -> Topology:
    return household.open().topology


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "out/pki/root").mkdir(parents=True)
    return Layout(tmp_path / "out")


def guarded(t: Topology, secret: Secret | None) -> Topology:
    return replace(t, cas={**t.cas, "root": replace(t.cas["root"], key_password=secret)})


def put(layout: Layout, content: bytes) -> None:
    layout.path(ca_paths("root").key).write_bytes(content)


def test_a_key_is_opened_and_is_its_certificates(t, layout):
    ca = root_issuer()
    put(layout, keys.to_pem(ca.key))
    issuer = Keyring(t, layout, None).issuer(ROOT, ca.certificate)
    assert (issuer.certificate, keys.to_pem(issuer.key)) == (ca.certificate, keys.to_pem(ca.key))


def test_the_key_of_another_certificate_is_refused(t, layout):
    put(layout, keys.to_pem(new_key(KeyType.EC_P256)))
    with pytest.raises(PkiError, match="not that of the CA certificate"):
        Keyring(t, layout, None).issuer(ROOT, root_issuer().certificate)


def test_an_adopted_key_lies_where_the_topology_says(t, layout, tmp_path):
    where = tmp_path / "partner.key"
    adopted = replace(t.cas["root"], existing=Existing(tmp_path / "partner.pem", where))
    assert key_file(adopted, layout) == KeyFile(str(where.resolve()), str(where.resolve()))
    ca = root_issuer()
    where.write_bytes(keys.to_pem(ca.key))
    put(layout, keys.to_pem(new_key(KeyType.EC_P256)))
    keyring = Keyring(replace(t, cas={"root": adopted}), layout, None)
    assert keyring.issuer(ROOT, ca.certificate).certificate == ca.certificate


def test_a_ca_that_was_adopted_without_its_key_has_none(t, layout, tmp_path):
    adopted = replace(t.cas["root"], existing=Existing(tmp_path / "partner.pem", None))
    put(layout, keys.to_pem(new_key(KeyType.EC_P256)))
    keyring = Keyring(replace(t, cas={"root": adopted}), layout, Secrets())
    keyring.unlock(ROOT)
    with pytest.raises(KeyNotHere, match="its key is not in the topology"):
        keyring.key(ROOT)


def test_a_key_that_is_not_there_is_named_by_its_file(t, layout):
    keyring = Keyring(t, layout, Secrets())
    keyring.unlock(ROOT)
    with pytest.raises(KeyNotHere, match=r"(?m)^pki/root/ca\.key is not there$") as raised:
        keyring.key(ROOT)
    assert "backup" in (raised.value.hint or "")


def test_what_is_no_key_is_unreadable(t, layout):
    put(layout, b"no key")
    with pytest.raises(Unreadable, match=r"^pki/root/ca\.key is not a private key"):
        Keyring(t, layout, Secrets()).key(ROOT)


def test_each_source_of_a_password_opens_the_key(t, layout, tmp_path):
    put(layout, encrypted_pem(new_key(KeyType.EC_P256), _PASSWORD))
    (tmp_path / "password").write_bytes(_PASSWORD + b"\n")
    layout.path(ca_paths("root").key_password).write_bytes(_PASSWORD + b"\n")
    secrets = Secrets({"ROOT": _PASSWORD.decode()})
    for source in (EnvSecret("ROOT"), FileSecret(tmp_path / "password"), GeneratedSecret()):
        assert Keyring(guarded(t, source), layout, secrets).key(ROOT), source


def test_a_wrong_password_says_where_the_right_one_belongs(t, layout, tmp_path):
    put(layout, encrypted_pem(new_key(KeyType.EC_P256), _PASSWORD))
    (tmp_path / "password").write_bytes(b"wrong\n")
    layout.path(ca_paths("root").key_password).write_bytes(b"wrong\n")
    wrong = ((EnvSecret("ROOT"), "ROOT"), (FileSecret(tmp_path / "password"), "first line of"))
    for source, hint in (*wrong, (GeneratedSecret(), "pki/root/key-password")):
        with pytest.raises(WrongPassword, match="does not open") as raised:
            Keyring(guarded(t, source), layout, Secrets({"ROOT": "wrong"})).unlock(ROOT)
        assert hint in (raised.value.hint or "")


def test_a_password_that_was_generated_and_lost_is_not_made_again_for_a_key_that_is_there(t, layout):
    put(layout, encrypted_pem(new_key(KeyType.EC_P256), _PASSWORD))
    keyring = Keyring(guarded(t, GeneratedSecret()), layout, Secrets())
    keyring.password_to_write(ROOT, OPERATING_SYSTEM)
    with pytest.raises(SecretError, match="pki/root/key-password"):
        keyring.unlock(ROOT)


def test_an_encrypted_key_whose_password_the_topology_does_not_name_says_so(t, layout):
    put(layout, encrypted_pem(new_key(KeyType.EC_P256), _PASSWORD))
    with pytest.raises(WrongPassword, match="names no password") as raised:
        Keyring(t, layout, Secrets({"ROOT": _PASSWORD.decode()})).unlock(ROOT)
    assert "key_password" in (raised.value.hint or "")


def test_without_secrets_no_password_is_looked_for(t, layout, tmp_path):
    put(layout, encrypted_pem(new_key(KeyType.EC_P256), _PASSWORD))
    layout.path(ca_paths("root").key_password).write_bytes(_PASSWORD + b"\n")
    (tmp_path / "password").write_bytes(_PASSWORD + b"\n")
    for source in (GeneratedSecret(), FileSecret(tmp_path / "password")):
        with pytest.raises(WrongPassword):
            Keyring(guarded(t, source), layout, None).key(ROOT)


def test_an_encrypted_key_is_opened_once(t, layout, monkeypatch):
    ca = root_issuer()
    put(layout, encrypted_pem(ca.key, _PASSWORD))
    opened = []
    really = keys.load
    monkeypatch.setattr(keys, "load", lambda *arguments: opened.append(arguments) or really(*arguments))
    keyring = Keyring(guarded(t, EnvSecret("ROOT")), layout, Secrets({"ROOT": _PASSWORD.decode()}))
    keyring.unlock(ROOT)
    first = keyring.issuer(ROOT, ca.certificate)
    assert keyring.issuer(ROOT, ca.certificate) is first
    assert len(opened) == 1


def test_a_key_that_was_installed_is_held_against_its_own_certificate(t, layout):
    before, after = root_issuer(), root_issuer()
    put(layout, keys.to_pem(before.key))
    keyring = Keyring(t, layout, None)
    keyring.issuer(ROOT, before.certificate)
    keyring.install(ROOT, after.key)
    with pytest.raises(PkiError):
        keyring.issuer(ROOT, before.certificate)
    assert keyring.issuer(ROOT, after.certificate).key is after.key


def test_the_password_to_write_is_the_kept_one_or_made_once(t, layout):
    keyring = Keyring(guarded(t, GeneratedSecret()), layout, Secrets())
    made = keyring.password_to_write(ROOT, OPERATING_SYSTEM)
    assert made
    assert made == keyring.password_to_write(ROOT, OPERATING_SYSTEM)
    layout.path(ca_paths("root").key_password).write_bytes(_PASSWORD + b"\n")
    kept = Keyring(guarded(t, GeneratedSecret()), layout, Secrets())
    assert kept.password_to_write(ROOT, OPERATING_SYSTEM) == _PASSWORD
    assert Keyring(t, layout, Secrets()).password_to_write(ROOT, OPERATING_SYSTEM) is None


def test_a_password_that_is_not_given_stops_before_anything_is_written(t, layout):
    with pytest.raises(SecretError, match="ROOT"):
        Keyring(guarded(t, EnvSecret("ROOT")), layout, Secrets()).password_to_write(ROOT, OPERATING_SYSTEM)


def test_each_generation_has_a_key_and_a_kept_password_of_its_own(t, layout):
    first, second = root_issuer(), root_issuer()
    paths = ca_paths("root", 2)
    layout.path(paths.folder).mkdir()
    assert paths.key == "pki/root/2/ca.key"
    put(layout, encrypted_pem(first.key, _PASSWORD))
    layout.path(ca_paths("root").key_password).write_bytes(_PASSWORD + b"\n")
    layout.path(paths.key).write_bytes(encrypted_pem(second.key, b"another"))
    layout.path(paths.key_password).write_bytes(b"another\n")
    keyring = Keyring(guarded(t, GeneratedSecret()), layout, Secrets())
    assert keyring.issuer(ROOT, first.certificate).certificate == first.certificate
    assert keyring.issuer(Address.ca("root", generation=2), second.certificate).certificate == second.certificate
