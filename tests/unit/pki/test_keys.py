"""Private keys: every type written, read back, and read by the real openssl."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from scaffold.errors import PkiError, Unreadable, WrongPassword
from scaffold.pki import keys
from scaffold.topology.model import KeyType
from tests.fresh import encrypted_pem, new_key
from tests.unit.pki.lab import openssl

ML_DSA = {KeyType.ML_DSA_44, KeyType.ML_DSA_65, KeyType.ML_DSA_87}


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return encrypted_pem(new_key(KeyType.EC_P256), b"correct horse")


@pytest.mark.parametrize("kind", list(KeyType))
def test_each_type_is_what_it_says_and_survives_a_round_trip(kind: KeyType) -> None:
    key = new_key(kind)
    pem = keys.to_pem(key)
    again = keys.load(pem)
    assert keys.key_type(key) is keys.key_type(key.public_key()) is kind
    assert not keys.is_encrypted(pem)
    assert keys.public_of(pem) == keys.spki(key.public_key()) == keys.spki(again.public_key())
    assert keys.spki_sha256(key.public_key()) == hashlib.sha256(keys.public_of(pem)).hexdigest()


@pytest.mark.parametrize("kind", list(KeyType))
def test_openssl_reads_each_type_and_sees_the_same_public_key(kind: KeyType, tmp_path: Path) -> None:
    key = new_key(kind)
    (tmp_path / "key.pem").write_bytes(keys.to_pem(key))
    done = openssl("pkey", "-in", "key.pem", "-pubout", cwd=tmp_path)
    if done.returncode and kind in ML_DSA:
        pytest.skip(f"this openssl knows no {kind} (3.5 does)")
    assert serialization.load_pem_public_key(done.stdout.encode()) == key.public_key()


def test_openssl_opens_an_encrypted_key_with_its_password_alone(sealed: bytes, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(sealed)
    opened = openssl("pkey", "-in", "key.pem", "-passin", "pass:correct horse", "-pubout", cwd=tmp_path)
    refused = openssl("pkey", "-in", "key.pem", "-passin", "pass:wrong", "-pubout", cwd=tmp_path)
    assert serialization.load_pem_public_key(opened.stdout.encode()) == keys.load(sealed, b"correct horse").public_key()
    assert refused.returncode != 0


def test_an_encrypted_key_costs_a_guesser_600_000_rounds(sealed: bytes, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(sealed)
    shown = openssl("asn1parse", "-in", "key.pem", cwd=tmp_path).stdout
    assert ":PBES2" in shown
    assert ":hmacWithSHA256" in shown
    assert ":aes-256-cbc" in shown
    assert f":{600_000:06X}" in shown


def test_an_encrypted_key_opens_with_its_password_alone(sealed: bytes) -> None:
    assert keys.is_encrypted(sealed)
    assert keys.key_type(keys.load(sealed, b"correct horse")) is KeyType.EC_P256
    for password in (None, b"", b"wrong"):
        with pytest.raises(WrongPassword):
            keys.load(sealed, password)
    with pytest.raises(WrongPassword):
        keys.public_of(sealed)


def test_two_encryptions_of_one_key_share_nothing() -> None:
    key = new_key(KeyType.ED25519)
    assert encrypted_pem(key, b"p") != encrypted_pem(key, b"p")


def test_an_empty_password_is_refused() -> None:
    with pytest.raises(PkiError, match="empty password"):
        encrypted_pem(new_key(KeyType.ED25519), b"")


def test_keys_that_openssl_encrypted_in_its_older_way_are_known_and_opened(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(keys.to_pem(new_key(KeyType.RSA_2048)))
    done = openssl("rsa", "-in", "key.pem", "-traditional", "-aes256", "-passout", "pass:old", cwd=tmp_path)
    pem = done.stdout.encode()
    assert b"Proc-Type" in pem
    assert keys.is_encrypted(pem)
    assert keys.key_type(keys.load(pem, b"old")) is KeyType.RSA_2048
    with pytest.raises(WrongPassword):
        keys.load(pem, b"new")


def test_a_password_is_ignored_where_the_key_is_open() -> None:
    assert keys.load(keys.to_pem(new_key(KeyType.ED25519)), b"unused")


def test_damage_is_told_from_a_wrong_password(sealed: bytes) -> None:
    plain = keys.to_pem(new_key(KeyType.EC_P256))
    for damaged in (b"", b"\x00" * 64, plain[:80], sealed[:200], sealed.replace(b"\n", b"\n!", 3)):
        with pytest.raises(Unreadable):
            keys.load(damaged, b"correct horse")
    with pytest.raises(Unreadable):
        keys.public_of(plain[:80])


def test_a_key_that_signs_nothing_is_refused() -> None:
    pem = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(Unreadable, match="X25519"):
        keys.load(pem)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_unreadable_and_nothing_else(garbage: bytes) -> None:
    with pytest.raises(Unreadable):
        keys.load(garbage, b"password")
    armoured = b"-----BEGIN PRIVATE KEY-----\n" + garbage + b"\n-----END PRIVATE KEY-----\n"
    with pytest.raises(PkiError):
        keys.load(armoured)
