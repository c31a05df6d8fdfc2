"""Broken certificates: each is refused by openssl for its one fault, and its sound twin is accepted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.errors import PkiError
from scaffold.pki import broken, keys, profiles
from scaffold.pki.chains import signed_by, up_to_root
from scaffold.pki.issue import BACKDATE, Issuer, issue
from scaffold.topology.model import Fault, KeyType, San, SanType
from tests.fresh import new_key, new_serial
from tests.unit.pki.lab import NOW, TOPOLOGY, client, empty_crls, issuing_under, lab, leaf, openssl_verify, server

PROFILES = {
    "sslserver": profiles.for_server(TOPOLOGY, server()),
    "sslclient": profiles.for_client_side(TOPOLOGY, client()),
}
# What openssl says where it can see the fault; no EKU and no SAN pass its chain check, and so do other names.
COMPLAINTS = {
    None: "",
    Fault.EXPIRED: "certificate has expired",
    Fault.NOT_YET_VALID: "certificate is not yet valid",
    Fault.WRONG_CA: "unable to get local issuer certificate",
    Fault.SELF_SIGNED: "self-signed certificate",
    Fault.WRONG_EKU: "unsuitable certificate purpose",
    Fault.NO_EKU: "",
    Fault.WRONG_NAME: "",
    Fault.NO_SAN: "",
    Fault.UNKNOWN_CRITICAL: "unhandled critical extension",
    Fault.NUL_IN_NAME: "",
}


def make(profile: profiles.CertificateProfile, fault: Fault | None) -> x509.Certificate:
    return broken.rogue(profile, lab().issuing, NOW, fault=fault).certificate


@pytest.mark.parametrize("purpose", PROFILES)
@pytest.mark.parametrize("fault", COMPLAINTS)
def test_openssl_names_the_fault(purpose: str, fault: Fault | None, tmp_path: Path) -> None:
    found = openssl_verify(tmp_path, make(PROFILES[purpose], fault), purpose)
    complaint = COMPLAINTS[fault]
    assert complaint in found
    assert bool(found) == bool(complaint)


@pytest.mark.parametrize("fault", [Fault.EXPIRED, Fault.NOT_YET_VALID])
def test_a_fault_of_time_is_the_only_one(fault: Fault, tmp_path: Path) -> None:
    certificate = make(PROFILES["sslclient"], fault)
    moment = certificate.not_valid_before_utc + (certificate.not_valid_after_utc - certificate.not_valid_before_utc) / 2
    pki = lab()
    assert openssl_verify(tmp_path, certificate, "sslclient", at=("-no_check_time",)) == ""
    assert pki.issuing.certificate.not_valid_before_utc <= certificate.not_valid_before_utc <= moment
    assert certificate.not_valid_after_utc <= pki.issuing.not_after


@pytest.mark.parametrize("purpose", PROFILES)
@pytest.mark.parametrize("fault", [fault for fault in COMPLAINTS if fault is not None])
def test_a_faulty_certificate_is_what_its_profile_says_and_shows_its_fault(purpose: str, fault: Fault) -> None:
    profile = replace(PROFILES[purpose], fault=fault)
    certificate, issuer = make(profile, fault), lab().issuing.certificate
    sound = leaf(PROFILES[purpose], lab().issuing).certificate
    assert profiles.differences(profile, certificate) == []
    assert broken.shows(profile, certificate, issuer, NOW)
    assert not broken.shows(profile, sound, issuer, NOW)


def test_a_certificate_that_is_not_yet_valid_loses_its_fault_in_time() -> None:
    profile = replace(PROFILES["sslclient"], fault=Fault.NOT_YET_VALID)
    certificate, issuer = make(profile, Fault.NOT_YET_VALID), lab().issuing.certificate
    assert not broken.shows(profile, certificate, issuer, certificate.not_valid_before_utc + timedelta(seconds=1))


def test_the_words_that_each_fault_changes() -> None:
    for purpose, profile in PROFILES.items():
        wrong = make(profile, Fault.WRONG_NAME)
        text = str(wrong.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        if purpose == "sslserver":
            assert "wrong-name.accounts.bank.internal" in text
            assert "'accounts.bank.internal'" not in text
            assert "'localhost'" not in text
            assert "127.0.0.1)" not in text
            assert "spiffe://bank/server/accounts'" in text
        else:
            assert "spiffe://bank/client/teller/wrong-name" in text
            assert "wrong-name teller" in wrong.subject.rfc4514_string()
        with pytest.raises(x509.ExtensionNotFound):
            make(profile, Fault.NO_SAN).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        with pytest.raises(x509.ExtensionNotFound):
            make(profile, Fault.NO_EKU).extensions.get_extension_for_class(x509.ExtendedKeyUsage)


def test_other_hosts_match_no_real_one() -> None:
    addresses = (San(SanType.IP, "127.0.0.1"), San(SanType.IP, "127.0.0.0"))
    wildcard = San(SanType.DNS, "*.bank.internal")
    for names, expected in (
        ((wildcard, *addresses), ["wrong-name.any.bank.internal"]),
        (addresses, ["127.0.0.3", "127.0.0.2"]),
        ((San(SanType.DNS, "a." * 126 + "b"),), ["wrong-name." + "a." * 125 + "b"]),
    ):
        profile = profiles.CertificateProfile(server().subject, "server", names, fault=Fault.WRONG_NAME)
        assert [san.value for san in profiles.stated(profile).sans] == expected


def test_a_declared_fault_keeps_the_lifetime_it_was_given_and_never_outlives_the_issuer() -> None:
    issuing = lab().issuing
    lifetime, long = timedelta(days=90), timedelta(days=36500)
    key = new_key(KeyType.EC_P256)
    for fault in (Fault.WRONG_CA, Fault.SELF_SIGNED, Fault.NO_SAN):
        profile = replace(PROFILES["sslclient"], fault=fault)
        made = broken.issue(profile, key, issuing, serial=new_serial(), lifetime=lifetime, now=NOW)
        assert (made.not_valid_before_utc, made.not_valid_after_utc) == (NOW - BACKDATE, NOW + lifetime)
    for fault in Fault:
        not_before, not_after = broken.validity(fault, long, NOW, issuing.not_after)
        assert not_before < not_after <= issuing.not_after


def test_dates_are_in_whole_seconds_whenever_the_issuer_ends() -> None:
    """RFC 5280 4.1.2.5: half-way to an end that is an odd number of seconds away lies between two."""
    for seconds in (999, 1_000):
        moments = broken.validity(Fault.NOT_YET_VALID, timedelta(days=90), NOW, NOW + timedelta(seconds=seconds))
        assert [moment.microsecond for moment in moments] == [0, 0]


# --- Rogue CAs -----------------------------------------------------------------------------------------------------


def test_a_sibling_is_trusted_and_is_not_the_issuer(tmp_path: Path) -> None:
    pki, profile = lab(), PROFILES["sslclient"]
    sibling = broken.sibling_ca(pki.root, pki.issuing.certificate, NOW)
    rogue = broken.rogue(profile, sibling, NOW, chain=(sibling.certificate,))
    found = openssl_verify(
        tmp_path, rogue.certificate, "sslclient", intermediates=rogue.chain, crls=empty_crls(sibling, pki.root)
    )
    assert found == ""
    assert profiles.differences(profile, rogue.certificate) == []
    assert keys.spki(sibling.certificate) != keys.spki(pki.issuing.certificate)
    assert sibling.name != pki.issuing.name
    [organization] = sibling.name.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    assert organization in pki.issuing.name
    assert broken.path_length(sibling.certificate) == 0


def test_a_name_without_a_common_name_gets_one() -> None:
    bare = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Bank")])
    assert broken.renamed(bare, "sibling").rfc4514_string() == "CN=CA sibling,O=Bank"


def test_no_rogue_ca_outlives_its_parent() -> None:
    pki, end = lab(), NOW + broken.ROGUE_LIFETIME / 2
    key = new_key(KeyType.EC_P256)
    profile = profiles.CertificateProfile(server().subject, "ca")
    parent = issue(profile, key.public_key(), pki.root, serial=new_serial(), not_before=NOW - BACKDATE, not_after=end)
    assert broken.sibling_ca(Issuer(parent, key), parent, NOW).not_after == end


def test_a_namesake_bears_the_issuers_name_under_another_root(tmp_path: Path) -> None:
    pki, profile = lab(), PROFILES["sslclient"]
    namesake = broken.namesake_ca(pki.other_root, pki.issuing.certificate, NOW)
    rogue = broken.rogue(profile, namesake, NOW, chain=(namesake.certificate,))
    crls = empty_crls(namesake, pki.other_root)
    chain = {"intermediates": rogue.chain, "crls": crls}
    assert openssl_verify(tmp_path, rogue.certificate, "sslclient", root=pki.other_root, **chain) == ""
    assert openssl_verify(tmp_path, rogue.certificate, "sslclient", **chain) != ""
    assert rogue.certificate.issuer == pki.issuing.name


def test_a_foreign_ca_bears_the_subject_and_is_not_trusted(tmp_path: Path) -> None:
    pki = lab()
    foreign = broken.foreign_ca(pki.root.certificate, NOW)
    rogue = broken.rogue(PROFILES["sslclient"], foreign, NOW)
    chain = {"intermediates": [], "crls": empty_crls(foreign)}
    assert foreign.name == pki.root.name
    assert openssl_verify(tmp_path, rogue.certificate, "sslclient", root=foreign, **chain) == ""
    assert openssl_verify(tmp_path, rogue.certificate, "sslclient", **chain) != ""


def test_a_leaf_issues_nothing_that_holds(tmp_path: Path) -> None:
    pki = lab()
    thief = leaf(profiles.for_client_side(TOPOLOGY, client("thief")), pki.issuing)
    rogue = broken.issued_by_leaf(PROFILES["sslclient"], thief, NOW, (pki.issuing.certificate,))
    assert signed_by(rogue.certificate, thief.certificate)
    assert rogue.chain == (thief.certificate, pki.issuing.certificate)
    found = openssl_verify(
        tmp_path,
        rogue.certificate,
        "sslclient",
        intermediates=rogue.chain,
        crls=empty_crls(pki.root, pki.issuing, thief),
    )
    assert found != ""


def test_a_rogue_ca_points_where_it_is_told() -> None:
    """Who checks revocation finds what its parent publishes, and so no second fault."""
    pki, pointers = lab(), profiles.pointers_by(TOPOLOGY, "root")
    for make_ca, parent in ((broken.sibling_ca, pki.root), (broken.namesake_ca, pki.other_root)):
        made = make_ca(parent, pki.issuing.certificate, NOW, pointers).certificate
        assert pointers
        assert set(pointers) <= set(made.extensions)


def test_a_rogue_has_the_serial_that_is_asked_for() -> None:
    """One that its CA calls revoked."""
    made = broken.rogue(PROFILES["sslclient"], lab().issuing, NOW, serial=4711)
    assert made.certificate.serial_number == 4711


def test_rogues_live_minutes() -> None:
    pki = lab()
    for issuer in (pki.issuing, broken.foreign_ca(pki.root.certificate, NOW)):
        for fault in (None, *Fault):
            made = broken.rogue(PROFILES["sslserver"], issuer, NOW, fault=fault).certificate
            assert made.not_valid_after_utc - made.not_valid_before_utc <= broken.ROGUE_LIFETIME + BACKDATE


def test_nothing_shows_the_key_of_a_rogue() -> None:
    made = broken.rogue(PROFILES["sslserver"], lab().issuing, NOW)
    assert "key=…" in repr(made)
    assert repr(made.key) not in repr(made)


def test_no_rogue_ca_stands_where_the_path_length_forbids_it() -> None:
    pki = lab()
    with pytest.raises(PkiError, match="path length"):
        broken.sibling_ca(pki.issuing, pki.issuing.certificate, NOW)


# --- Chains --------------------------------------------------------------------------------------------------------


def test_a_chain_is_found_by_signatures_and_names_what_is_missing() -> None:
    pki = lab()
    certificate = leaf(PROFILES["sslclient"], pki.issuing).certificate
    again = issuing_under(pki.root).certificate
    pool = [
        again,
        broken.foreign_ca(pki.root.certificate, NOW).certificate,
        pki.root.certificate,
        pki.issuing.certificate,
    ]
    assert up_to_root(certificate, pool) == (certificate, pki.issuing.certificate, pki.root.certificate)
    with pytest.raises(PkiError, match="Issuing CA"):
        up_to_root(certificate, [again])
