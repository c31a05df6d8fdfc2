"""PEM files and PFX bundles, read back and read by openssl."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import PkiError, Unreadable, WrongPassword
from scaffold.pki import bundles, keys, profiles
from scaffold.pki.issue import Issuer
from scaffold.topology.model import KeyType
from tests.unit.pki.lab import TOPOLOGY, client, lab, leaf, openssl

PASSWORD = b"correct horse"
IN_PFX = [kind for kind in KeyType if not kind.startswith("ml-dsa")]


def teller(kind: KeyType = KeyType.EC_P256) -> Issuer:
    return leaf(profiles.for_client_side(TOPOLOGY, client()), lab().issuing, kind)


def bundle(one: Issuer, *, legacy: bool = False) -> bytes:
    return bundles.pfx("teller", one.key, one.certificate, [lab().issuing.certificate], PASSWORD, legacy=legacy)


def test_certificates_keep_their_order_in_pem_and_one_is_read_from_der() -> None:
    pki = lab()
    certificates = (teller().certificate, pki.issuing.certificate, pki.root.certificate)
    assert bundles.load_certificates(bundles.chain_pem(certificates)) == certificates
    assert bundles.load_certificates(bundles.der(pki.root.certificate)) == (pki.root.certificate,)


@pytest.mark.parametrize("kind", IN_PFX)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pfx_gives_back_key_certificate_and_chain(kind: KeyType, legacy: bool) -> None:
    one = teller(kind)
    opened = bundles.open_pfx(bundle(one, legacy=legacy), PASSWORD)
    assert opened.key is not None
    assert keys.spki(opened.key.public_key()) == keys.spki(one.certificate)
    assert (opened.certificate, opened.chain) == (one.certificate, (lab().issuing.certificate,))
    assert opened.friendly_name == "teller"
    assert "PrivateKey" not in repr(opened)


def test_openssl_sees_what_net_accepts(tmp_path: Path) -> None:
    (tmp_path / "x.pfx").write_bytes(bundle(teller()))
    text = openssl("pkcs12", "-in", "x.pfx", "-passin", f"pass:{PASSWORD.decode()}", "-info", "-nodes", cwd=tmp_path)
    assert "MAC: sha256" in text.stderr
    assert text.stderr.count("PBES2, PBKDF2, AES-256-CBC") == 2
    assert text.stderr.count("hmacWithSHA256") == 2
    iterations = [int(number) for number in re.findall(r"Iteration (\d+)", text.stderr)]
    assert 50_000 < max(iterations) < 300_000
    assert text.stdout.count("BEGIN CERTIFICATE") == 2
    assert text.stdout.count("BEGIN PRIVATE KEY") == 1


def test_openssl_opens_no_pfx_with_another_password(tmp_path: Path) -> None:
    (tmp_path / "x.pfx").write_bytes(bundle(teller()))
    assert openssl("pkcs12", "-in", "x.pfx", "-passin", "pass:wrong", "-noout", cwd=tmp_path).returncode != 0


def test_a_legacy_pfx_knows_no_pbes2(tmp_path: Path) -> None:
    (tmp_path / "x.pfx").write_bytes(bundle(teller(), legacy=True))
    password = f"pass:{PASSWORD.decode()}"
    text = openssl("pkcs12", "-in", "x.pfx", "-passin", password, "-info", "-noout", cwd=tmp_path).stderr
    assert "MAC: sha1" in text
    assert "pbeWithSHA1And3-KeyTripleDES-CBC" in text
    assert "PBES2" not in text


def test_a_wrong_password_is_told_from_damage() -> None:
    data = bundle(teller())
    for password in (b"wrong", b"", None):
        with pytest.raises(WrongPassword):
            bundles.open_pfx(data, password)
    for damaged in (b"", b"\x00" * 64, data[:200]):
        with pytest.raises(Unreadable):
            bundles.open_pfx(damaged, PASSWORD)


def test_what_no_pfx_can_hold_is_refused() -> None:
    ml_dsa = teller(KeyType.ML_DSA_44)
    with pytest.raises(PkiError, match="ml-dsa-44"):
        bundle(ml_dsa)
    one = teller()
    with pytest.raises(PkiError, match="empty password"):
        bundles.pfx("teller", one.key, one.certificate, [], b"")


@given(st.binary(max_size=200))
def test_garbage_is_unreadable(garbage: bytes) -> None:
    with pytest.raises(Unreadable):
        bundles.load_certificates(garbage)
    with pytest.raises(PkiError):
        bundles.open_pfx(garbage, PASSWORD)


def test_a_fingerprint_is_that_of_the_library() -> None:
    certificate = lab().root.certificate
    assert bundles.fingerprint(certificate) == certificate.fingerprint(hashes.SHA256()).hex()
