"""Profiles and issuing: what the certificates say, and what independent judges make of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from scaffold.errors import PkiError
from scaffold.pki import profiles
from scaffold.pki.issue import BACKDATE, Issuer, issue, self_signed, validity
from scaffold.topology.model import Fault, KeyType, San, SanType, Subject
from tests.fresh import new_key, new_serial
from tests.unit.pki.lab import (
    ISSUING,
    NOW,
    ROOT,
    TOPOLOGY,
    client,
    empty_crls,
    issuing_under,
    lab,
    leaf,
    openssl_verify,
    root_issuer,
    server,
)

SERVER = profiles.for_server(TOPOLOGY, server())
CLIENT = profiles.for_client_side(TOPOLOGY, client())


def says(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.Extension[x509.ExtensionType]:
    return certificate.extensions.get_extension_for_class(kind)  # type: ignore[arg-type,return-value]


# --- What it says --------------------------------------------------------------------------------------------------


def test_a_server_says_all_of_its_names_and_one_purpose() -> None:
    certificate = leaf(SERVER, lab().issuing).certificate
    names = says(certificate, x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["accounts.bank.internal", "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    assert names.get_values_for_type(x509.RFC822Name) == ["ops@bank.internal"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://bank/server/accounts"]
    assert list(says(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_server_that_calls_has_a_second_certificate_with_its_identity_alone() -> None:
    profile = profiles.for_client_side(TOPOLOGY, server(fault=Fault.EXPIRED))
    assert profile.sans == (San(SanType.URI, "spiffe://bank/server/accounts"),)
    assert (profile.role, profile.fault) == ("client", None)


def test_a_leaf_points_to_what_its_issuer_publishes_and_an_intermediate_to_the_root() -> None:
    certificate = leaf(CLIENT, lab().issuing).certificate
    assert "http://127.0.0.1:9080/crl/issuing.crl" in str(says(certificate, x509.CRLDistributionPoints))
    access = str(says(certificate, x509.AuthorityInformationAccess))
    assert "http://127.0.0.1:9080/ocsp/issuing" in access
    assert "http://127.0.0.1:9080/ca/issuing.cer" in access
    above = lab().issuing.certificate
    assert "http://127.0.0.1:9080/crl/root.crl" in str(says(above, x509.CRLDistributionPoints))
    assert "ocsp" not in str(says(above, x509.AuthorityInformationAccess).value).lower().replace("ocsp.", "")


def test_nothing_points_anywhere_without_publish_and_a_root_never_does() -> None:
    silent = replace(TOPOLOGY, publish=None)
    for profile in (profiles.for_server(silent, server()), profiles.for_ca(TOPOLOGY, ROOT)):
        assert (profile.crl_url, profile.ocsp_url, profile.ca_url) == (None, None, None)


def test_key_identifiers_are_on_all_but_the_self_signed() -> None:
    root, issuing = lab().root.certificate, lab().issuing.certificate
    certificate = leaf(CLIENT, lab().issuing).certificate
    identifier = says(issuing, x509.SubjectKeyIdentifier).value.digest
    assert says(certificate, x509.AuthorityKeyIdentifier).value.key_identifier == identifier
    assert says(root, x509.SubjectKeyIdentifier)
    with pytest.raises(x509.ExtensionNotFound):
        says(root, x509.AuthorityKeyIdentifier)


def test_what_binds_a_ca_is_critical() -> None:
    issuing = lab().issuing.certificate
    for kind in (x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints):
        assert says(issuing, kind).critical
    assert says(issuing, x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    usage = says(issuing, x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_server_of_an_rsa_key_may_also_encipher_keys(kind: KeyType) -> None:
    certificate = leaf(SERVER, lab().issuing, kind).certificate
    usage = "digitalSignature, keyEncipherment" if kind.startswith("rsa") else "digitalSignature"
    assert profiles.describe(says(certificate, x509.KeyUsage).value) == usage
    assert profiles.differences(SERVER, certificate) == []


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_client_of_any_key_may_sign_and_nothing_else(kind: KeyType) -> None:
    certificate = leaf(CLIENT, lab().issuing, kind).certificate
    assert profiles.describe(says(certificate, x509.KeyUsage).value) == "digitalSignature"
    assert says(certificate, x509.BasicConstraints).value == x509.BasicConstraints(False, None)


@pytest.mark.parametrize(
    ("kind", "signature"),
    [
        (KeyType.RSA_2048, SignatureAlgorithmOID.RSA_WITH_SHA256),
        (KeyType.EC_P256, SignatureAlgorithmOID.ECDSA_WITH_SHA256),
        (KeyType.EC_P384, SignatureAlgorithmOID.ECDSA_WITH_SHA384),
        (KeyType.EC_P521, SignatureAlgorithmOID.ECDSA_WITH_SHA512),
        (KeyType.ED25519, SignatureAlgorithmOID.ED25519),
        (KeyType.ML_DSA_65, x509.ObjectIdentifier("2.16.840.1.101.3.4.3.18")),
    ],
)
def test_a_ca_signs_with_the_hash_of_its_own_strength(kind: KeyType, signature: x509.ObjectIdentifier) -> None:
    assert leaf(CLIENT, root_issuer(kind)).certificate.signature_algorithm_oid == signature


def test_a_responder_answers_for_its_ca_and_is_not_asked_about() -> None:
    profile = profiles.for_responder(replace(ISSUING, subject=Subject("x" * 64)))
    certificate = leaf(profile, lab().issuing).certificate
    assert list(says(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert says(certificate, x509.OCSPNoCheck)
    assert profile.subject.common_name.endswith("x OCSP responder")


def test_must_staple_is_said_when_asked_for_alone() -> None:
    strict = profiles.for_server(TOPOLOGY, server(must_staple=True))
    assert says(leaf(strict, lab().issuing).certificate, x509.TLSFeature)
    with pytest.raises(x509.ExtensionNotFound):
        says(leaf(SERVER, lab().issuing).certificate, x509.TLSFeature)


# --- Serial and dates ----------------------------------------------------------------------------------------------


def test_serials_are_positive_fit_in_20_octets_and_differ() -> None:
    serials = {new_serial() for _ in range(1000)}
    assert len(serials) == 1000
    assert all(0 < serial < 1 << 159 for serial in serials)


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_a_serial_that_rfc_5280_forbids_is_refused(serial: int) -> None:
    key = new_key(KeyType.ED25519)
    with pytest.raises(PkiError, match="serial"):
        self_signed(CLIENT, key, serial=serial, not_before=NOW, not_after=NOW + timedelta(days=1))


def test_validity_is_backdated_and_cut_to_the_issuers_end() -> None:
    day = timedelta(days=1)
    assert validity(day, NOW) == (NOW - BACKDATE, NOW + day)
    assert validity(day, NOW, NOW + 2 * day) == (NOW - BACKDATE, NOW + day)
    assert validity(2 * day, NOW, NOW + day) == (NOW - BACKDATE, NOW + day)
    with pytest.raises(PkiError, match="expired on"):
        validity(day, NOW, NOW - day)


def test_a_certificate_may_end_with_its_issuer_and_not_a_second_later() -> None:
    issuing, key = lab().issuing, new_key(KeyType.EC_P256).public_key()
    dates = {"serial": 1, "not_before": NOW}
    assert issue(CLIENT, key, issuing, **dates, not_after=issuing.not_after)
    with pytest.raises(PkiError, match="after its issuer"):
        issue(CLIENT, key, issuing, **dates, not_after=issuing.not_after + timedelta(seconds=1))


def test_what_x509_cannot_say_is_a_clear_error() -> None:
    for profile in (
        replace(CLIENT, subject=Subject("x", country="NLD")),
        replace(CLIENT, subject=Subject("x" * 65)),
        replace(CLIENT, sans=(San(SanType.DNS, "ćao.example"),)),
        replace(CLIENT, sans=(San(SanType.IP, "999.1.1.1"),)),
    ):
        with pytest.raises(PkiError):
            leaf(profile, lab().issuing)


def test_an_issuer_checks_its_own_pair() -> None:
    lab().root.check()
    with pytest.raises(PkiError, match="not that of"):
        Issuer(lab().root.certificate, lab().issuing.key).check()


# --- Judged by others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "right", "wrong"),
    [(SERVER, "sslserver", "sslclient"), (CLIENT, "sslclient", "sslserver")],
    ids=["server", "client"],
)
def test_openssl_accepts_a_leaf_in_its_role_alone(
    profile: profiles.CertificateProfile, right: str, wrong: str, tmp_path: Path
) -> None:
    certificate = leaf(profile, lab().issuing).certificate
    assert openssl_verify(tmp_path, certificate, right) == ""
    assert "unsuitable certificate purpose" in openssl_verify(tmp_path, certificate, wrong)


def test_openssl_refuses_a_revoked_leaf_a_missing_chain_and_another_root(tmp_path: Path) -> None:
    pki, certificate = lab(), leaf(CLIENT, lab().issuing).certificate
    revoked = empty_crls(pki.issuing, pki.root, revoked=[certificate.serial_number])
    other = empty_crls(pki.issuing, pki.root, revoked=[certificate.serial_number + 1])
    assert openssl_verify(tmp_path, certificate, "sslclient", crls=other) == ""
    assert "certificate revoked" in openssl_verify(tmp_path, certificate, "sslclient", crls=revoked)
    assert "unable to get local issuer" in openssl_verify(tmp_path, certificate, "sslclient", intermediates=[])
    assert openssl_verify(tmp_path, certificate, "sslclient", root=pki.other_root) != ""


@pytest.mark.parametrize("kind", [kind for kind in KeyType if not kind.startswith("ml-dsa")])
def test_openssl_accepts_a_whole_chain_of_each_key_type(kind: KeyType, tmp_path: Path) -> None:
    root = root_issuer(kind)
    issuing = issuing_under(root, kind)
    certificate = leaf(SERVER, issuing, kind).certificate
    chain = {"root": root, "intermediates": [issuing.certificate], "crls": empty_crls(root, issuing)}
    assert openssl_verify(tmp_path, certificate, "sslserver", **chain) == ""


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (San(SanType.DNS, "api.bank.internal"), ""),
        (San(SanType.DNS, "bank.example"), "permitted subtree violation"),
        (San(SanType.DNS, "x.secret.bank.internal"), "excluded subtree violation"),
        (San(SanType.IP, "127.1.2.3"), ""),
        (San(SanType.IP, "10.0.0.1"), "permitted subtree violation"),
        (San(SanType.IP, "::2"), "permitted subtree violation"),
        (San(SanType.URI, "spiffe://elsewhere/x"), ""),
    ],
    ids=str,
)
def test_name_constraints_are_enforced_by_openssl(name: San, complaint: str, tmp_path: Path) -> None:
    certificate = leaf(replace(SERVER, sans=(name,)), lab().issuing).certificate
    found = openssl_verify(tmp_path, certificate, "sslserver")
    assert complaint in found
    assert bool(complaint) == bool(found)


def test_path_length_is_enforced_by_openssl(tmp_path: Path) -> None:
    pki = lab()
    # RFC 5280 6.1.4 l: a CA with its issuer's own name would not count.
    below = leaf(profiles.CertificateProfile(Subject("Below CA"), "ca"), pki.issuing)
    certificate = leaf(CLIENT, below).certificate
    chain = [below.certificate, pki.issuing.certificate]
    found = openssl_verify(
        tmp_path, certificate, "sslclient", intermediates=chain, crls=empty_crls(below, pki.issuing, pki.root)
    )
    assert "path length constraint exceeded" in found


def builder(anchor: Issuer) -> verification.PolicyBuilder:
    return verification.PolicyBuilder().store(verification.Store([anchor.certificate])).time(NOW)


def test_the_verifier_of_cryptography_agrees() -> None:
    pki = lab()
    chain = [pki.issuing.certificate]
    for_server, for_client = leaf(SERVER, pki.issuing).certificate, leaf(CLIENT, pki.issuing).certificate
    host = x509.DNSName("accounts.bank.internal")
    assert builder(pki.root).build_server_verifier(host).verify(for_server, chain)
    assert builder(pki.root).build_client_verifier().verify(for_client, chain)
    with pytest.raises(verification.VerificationError):
        builder(pki.root).build_server_verifier(x509.DNSName("other.bank.internal")).verify(for_server, chain)
    with pytest.raises(verification.VerificationError):
        builder(pki.root).build_client_verifier().verify(for_server, chain)
    with pytest.raises(verification.VerificationError):
        builder(pki.other_root).build_client_verifier().verify(for_client, chain)


# --- Differences ---------------------------------------------------------------------------------------------------

SAME = [SERVER, CLIENT, profiles.for_responder(ISSUING), profiles.for_ca(TOPOLOGY, ISSUING)]


@pytest.mark.parametrize("profile", SAME, ids=lambda profile: profile.role)
def test_a_fresh_certificate_differs_in_nothing(profile: profiles.CertificateProfile) -> None:
    assert profiles.differences(profile, leaf(profile, lab().issuing).certificate) == []


def test_a_fresh_root_differs_in_nothing() -> None:
    assert profiles.differences(profiles.for_ca(TOPOLOGY, ROOT), lab().root.certificate) == []


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({"subject": Subject("someone")}, ["subject"]),
        ({"sans": SERVER.sans[:1]}, ["sans"]),
        ({"sans": ()}, ["sans"]),
        ({"role": "client"}, ["extended-key-usage"]),
        ({"crl_url": None}, ["crl-pointer"]),
        ({"crl_url": "http://elsewhere/x.crl"}, ["crl-pointer"]),
        ({"ocsp_url": None}, ["issuer-pointers"]),
        ({"must_staple": True}, ["must-staple"]),
        ({"fault": Fault.NO_SAN}, ["sans"]),
        ({"fault": Fault.NO_EKU}, ["extended-key-usage"]),
        ({"fault": Fault.WRONG_EKU}, ["extended-key-usage"]),
        ({"fault": Fault.WRONG_NAME}, ["sans"]),
        ({"fault": Fault.EXPIRED}, []),
        ({"role": "ca", "sans": ()}, ["basic-constraints", "key-usage", "extended-key-usage", "sans"]),
    ],
)
def test_each_change_is_found_and_named(changed: dict[str, object], codes: list[str]) -> None:
    certificate = leaf(SERVER, lab().issuing).certificate
    found = profiles.differences(replace(SERVER, **changed), certificate)
    assert sorted(one.aspect for one in found) == sorted(codes)


def test_a_difference_shows_both_values() -> None:
    certificate = leaf(SERVER, lab().issuing).certificate
    moved = replace(SERVER, sans=(San(SanType.DNS, "new.bank.internal"),))
    [found] = profiles.differences(moved, certificate)
    assert "DNS:accounts.bank.internal" in (found.found or "")
    assert "DNS:new.bank.internal" in (found.wanted or "")


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"path_length": None}, "basic-constraints"), ({"name_constraints": None}, "name-constraints")],
)
def test_changes_of_a_ca_are_found(changed: dict[str, object], code: str) -> None:
    profile = replace(profiles.for_ca(TOPOLOGY, ISSUING), **changed)
    assert [one.aspect for one in profiles.differences(profile, lab().issuing.certificate)] == [code]


def test_a_foreign_extension_and_a_missing_key_identifier_are_found() -> None:
    pki, key = lab(), new_key(KeyType.EC_P256)
    extensions = profiles.extensions(CLIENT, key.public_key(), None)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    certificate = x509.CertificateBuilder(
        pki.issuing.name,
        profiles.subject_name(CLIENT.subject),
        key.public_key(),
        1,
        NOW.replace(tzinfo=None),
        (NOW + timedelta(days=1)).replace(tzinfo=None),
        [*extensions, x509.Extension(unknown.oid, False, unknown)],
    ).sign(pki.issuing.key, pki.issuing.hash)
    found = profiles.differences(CLIENT, certificate)
    assert [(one.aspect, one.of) for one in found] == [("authority-key-identifier", None), ("extension", "1.2.3.4")]
