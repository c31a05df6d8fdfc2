"""What makes a certificate from elsewhere unfit, each with the nearest one that is fit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from scaffold.pki import permits
from scaffold.pki.names import common_name
from scaffold.topology.model import KeyType
from tests.fresh import new_key, new_serial
from tests.unit.adopting import key_usage
from tests.unit.pki.lab import NOW

SERVER_AUTH, CLIENT_AUTH = x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH


def certificate(*says: x509.ExtensionType) -> x509.Certificate:
    key, name = new_key(KeyType.EC_P256), x509.Name([common_name("elsewhere")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), new_serial(), NOW, NOW + timedelta(days=1))
    for each in says:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ([x509.ExtendedKeyUsage([SERVER_AUTH])], []),
        ([x509.ExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH]), key_usage("digital_signature", "key_agreement")], []),
        ([x509.ExtendedKeyUsage([SERVER_AUTH]), key_usage("key_agreement")], ["may not sign handshakes"]),
        ([x509.ExtendedKeyUsage([CLIENT_AUTH])], ["is not for serverAuth"]),
        ([], ["does not say that it is for serverAuth"]),
        ([key_usage("key_encipherment")], ["does not say that it is for serverAuth", "may not sign handshakes"]),
    ],
    ids=str,
)
def test_a_servers_certificate_says_that_it_is_for_that_and_may_sign_a_handshake(says, words):
    found = [finding.words for finding in permits.purpose_refusals(certificate(*says), "server")]
    assert len(found) == len(words)
    assert all(said.startswith(start) for said, start in zip(found, words, strict=True))


@pytest.mark.parametrize(("length", "between", "fits"), [(0, 1, False), (1, 1, True), (1, 2, False), (None, 9, True)])
def test_a_path_length_allows_as_many_cas_below_as_it_says(length, between, fits):
    above = certificate(x509.BasicConstraints(ca=True, path_length=length))
    found = list(permits.forbidden_ca((above,), x509.Name([common_name("below")]), between))
    assert (not found) is fits


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ([x509.BasicConstraints(ca=True, path_length=None)], []),
        ([x509.BasicConstraints(ca=True, path_length=None), key_usage("key_cert_sign", "crl_sign")], []),
        (
            [x509.BasicConstraints(ca=True, path_length=None), key_usage("crl_sign")],
            ["may not sign certificates: its key usage has no keyCertSign (RFC 5280 4.2.1.3)"],
        ),
        ([x509.BasicConstraints(ca=False, path_length=None)], ["is not the certificate of a CA (RFC 5280 4.2.1.9)"]),
        ([key_usage("key_cert_sign")], ["is not the certificate of a CA (RFC 5280 4.2.1.9)"]),
    ],
    ids=str,
)
def test_a_ca_says_that_it_is_one_and_may_sign_certificates(says, words):
    assert [finding.words for finding in permits.refusals((certificate(*says),))] == words
