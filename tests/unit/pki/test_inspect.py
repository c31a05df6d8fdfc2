"""Descriptions: every kind of file in words, nothing secret, nothing that a terminal would obey."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import PkiError, Unreadable, WrongPassword
from scaffold.pki import broken, bundles, crl, inspect, keys, ocsp, profiles
from scaffold.topology.model import Fault, KeyType
from tests.fresh import encrypted_pem, new_key
from tests.unit.pki.lab import ISSUING, NOW, TOPOLOGY, client, lab, leaf, server

HOUR = timedelta(hours=1)
SERVER = profiles.for_server(TOPOLOGY, server())


def facts(description: inspect.Description) -> dict[str, str]:
    return {fact.label: fact.value for fact in description.facts}


def only(data: bytes, password: bytes | None = None) -> inspect.Description:
    [description] = inspect.describe(data, NOW, password)
    return description


def test_a_certificate_in_pem_and_der() -> None:
    certificate = leaf(SERVER, lab().issuing).certificate
    description = only(bundles.pem(certificate))
    assert description == only(bundles.der(certificate))
    assert description.kind == "certificate"
    found = facts(description)
    assert found["subject"] == "CN=accounts,O=Bank"
    assert found["key"] == "ec-p256"
    assert found["state"] == "valid for another 1 day"
    assert found["extended key usage"] == "serverAuth"
    assert found["basic constraints (critical)"] == "no CA"
    assert "URI:spiffe://bank/server/accounts" in found["subject alternative name"]


def test_a_whole_chain_in_its_order() -> None:
    pki = lab()
    data = bundles.chain_pem([leaf(SERVER, pki.issuing).certificate, pki.issuing.certificate, pki.root.certificate])
    kinds = [description.kind for description in inspect.describe(b"a comment\n" + data, NOW)]
    assert kinds == ["certificate", "intermediate CA certificate", "root CA certificate"]


@pytest.mark.parametrize(
    ("fault", "state"),
    [(Fault.EXPIRED, "expired 1 minute ago"), (Fault.NOT_YET_VALID, "not yet valid: begins in 10 minutes")],
)
def test_the_clock_is_the_one_that_is_passed_in(fault: Fault, state: str) -> None:
    made = broken.rogue(SERVER, lab().issuing, NOW, fault=fault).certificate
    later = NOW + timedelta(seconds=1) if fault is Fault.EXPIRED else NOW
    [description] = inspect.describe(bundles.pem(made), later)
    assert facts(description)["state"] == state


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_private_key_shows_its_public_half_alone(kind: KeyType) -> None:
    key = new_key(kind)
    description = only(keys.to_pem(key))
    assert facts(description)["key"] == kind.value
    assert set(facts(description)) == {"encrypted", "key", "SHA-256 of the public key"}
    assert facts(description)["SHA-256 of the public key"] == keys.spki_sha256(key.public_key())


def test_an_encrypted_key_with_and_without_its_password() -> None:
    sealed = encrypted_pem(new_key(KeyType.ED25519), b"secret")
    assert facts(only(sealed))["key"] == "not visible without the password"
    assert facts(only(sealed, b"secret"))["key"] == "ed25519"
    with pytest.raises(WrongPassword):
        only(sealed, b"wrong")


def test_a_crl_lists_its_first_entries_and_counts_the_others() -> None:
    entries = [crl.Revoked(serial, NOW, crl.Reason.SUPERSEDED) for serial in range(1, 31)]
    built = crl.build(lab().issuing, 9, NOW, NOW + HOUR, entries)
    found = facts(only(crl.to_der(built)))
    assert found["CRL number"] == "9"
    assert found["revoked"] == "30 certificates"
    assert found["serial 14"].endswith("superseded")
    assert (found["further entries"], "serial 15" in found) == ("10", False)


def test_a_request_a_public_key_and_a_pfx() -> None:
    one = leaf(profiles.for_client_side(TOPOLOGY, client()), lab().issuing)
    name = profiles.subject_name(client().subject)
    request = x509.CertificateSigningRequestBuilder(name).sign(one.key, one.hash)
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        assert facts(only(request.public_bytes(encoding)))["signature"] == "by the key in it"
    assert only(keys.spki(one.certificate)).kind == "public key"
    data = bundles.pfx("teller", one.key, one.certificate, [lab().issuing.certificate], b"secret")
    description = only(data, b"secret")
    assert [part.kind for part in description.parts] == ["certificate", "intermediate CA certificate"]
    with pytest.raises(WrongPassword):
        only(data)


def test_ocsp_messages() -> None:
    ids = [ocsp.cert_id(serial, lab().issuing.certificate) for serial in (1, 2)]
    assert facts(only(ocsp.build_request(ids, b"nonce")))["nonce"] == b"nonce".hex()
    revoked = crl.Revoked(2, NOW, crl.Reason.KEY_COMPROMISE)
    signer = leaf(profiles.for_responder(ISSUING), lab().issuing)
    answers = list(zip(ids, (ocsp.State.GOOD, revoked), strict=True))
    response = only(ocsp.respond(answers, signer, this_update=NOW, next_update=NOW + HOUR))
    assert facts(response)["serial 1"] == "good"
    assert "keyCompromise" in facts(response)["serial 2"]
    assert [part.kind for part in response.parts] == ["certificate"]
    assert facts(only(ocsp.unsuccessful(ocsp.Failure.TRY_LATER))) == {"no answer": "try_later"}


def test_control_characters_do_not_reach_a_terminal() -> None:
    key = new_key(KeyType.EC_P256)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\x1b[2Jb\nc")])
    sans = x509.SubjectAlternativeName([x509.DNSName("x\x1b]0;owned\x07"), x509.UniformResourceIdentifier("a:\u0000")])
    moments = (NOW.replace(tzinfo=None), (NOW + HOUR).replace(tzinfo=None))
    extension = x509.Extension(sans.oid, False, sans)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, *moments, [extension]).sign(key, lab().root.hash)
    for fact in only(bundles.pem(made)).facts:
        assert fact.value.isprintable(), fact


@given(st.binary(max_size=300))
def test_garbage_is_a_clear_error(garbage: bytes) -> None:
    with pytest.raises(PkiError):
        inspect.describe(garbage, NOW)


@pytest.mark.parametrize("label", ["CERTIFICATE", "X509 CRL", "CERTIFICATE REQUEST", "PUBLIC KEY", "PRIVATE KEY"])
def test_garbage_in_armour_is_a_clear_error(label: str) -> None:
    with pytest.raises(Unreadable):
        only(f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n".encode())


def test_a_block_of_another_kind_is_named() -> None:
    assert facts(only(b"-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n")) == {
        "label": "DH PARAMETERS"
    }
