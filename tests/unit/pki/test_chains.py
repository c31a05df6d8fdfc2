"""The ways from a certificate up to a root, in whatever order and company its chain comes."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from scaffold.errors import PkiError
from scaffold.pki import chains, inspect
from tests.unit.adopting import NOW, Made, Spec, made_by_openssl, make, verified

ROOT = make(Spec("Root", index=1))
MIDDLE = make(Spec("Middle", index=2), ROOT)
ISSUING = make(Spec("Issuing", index=3), MIDDLE)
STRANGER = make(Spec("Stranger", index=4))
OLD_ROOT = make(Spec("Old Root X3", index=5))
CROSS = make(Spec("Root", index=1, ends=timedelta(days=10)), OLD_ROOT)


def certificates(*made: Made):
    return [one.certificate for one in made]


def reached(*pool: Made):
    return [[one.subject.rdns[0].rfc4514_string() for one in path] for path in chains.paths_to_roots(*_asked(pool))]


def _asked(pool):
    return ISSUING.certificate, certificates(*pool)


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_a_chain_and_what_else_is_in_it_do_not_matter(seed):
    pool = [ROOT, MIDDLE, STRANGER, ISSUING, MIDDLE, OLD_ROOT]
    random.Random(seed).shuffle(pool)
    assert chains.up_to_root(*_asked(pool)) == tuple(certificates(ISSUING, MIDDLE, ROOT))


@pytest.mark.parametrize("seed", range(6))
def test_a_root_that_is_signed_crosswise_too_is_reached_itself(seed):
    pool = [CROSS, ROOT, MIDDLE]
    random.Random(seed).shuffle(pool)
    assert chains.up_to_root(*_asked(pool)) == tuple(certificates(ISSUING, MIDDLE, ROOT))


def test_of_a_root_that_is_signed_crosswise_both_ways_are_found_the_shorter_first():
    assert reached(CROSS, MIDDLE, OLD_ROOT, ROOT) == [
        ["CN=Issuing", "CN=Middle", "CN=Root"],
        ["CN=Issuing", "CN=Middle", "CN=Root", "CN=Old Root X3"],
    ]


def test_the_issuer_that_is_missing_is_named():
    with pytest.raises(PkiError, match="the certificate of CN=Old Root X3 is not there"):
        reached(CROSS, MIDDLE)
    with pytest.raises(PkiError, match="the certificate of CN=Middle is not there"):
        reached(ROOT)


def test_two_roots_that_sign_each_other_end():
    one = make(Spec("One", index=6))
    two = make(Spec("Two", index=7))
    one_by_two, two_by_one = make(Spec("One", index=6), two), make(Spec("Two", index=7), one)
    leaf = make(Spec("Below", index=8), one)
    found = chains.paths_to_roots(leaf.certificate, certificates(one_by_two, two_by_one, one, two))
    assert [len(path) for path in found] == [2, 3]
    with pytest.raises(PkiError):
        chains.paths_to_roots(leaf.certificate, certificates(one_by_two, two_by_one))


def test_many_that_sign_each_other_do_not_take_for_ever():
    roots = [make(Spec(f"R{index}", index=20 + index)) for index in range(9)]
    crossed = [
        make(Spec(f"R{index}", index=20 + index), other)
        for index in range(9)
        for other in roots
        if other is not roots[index]
    ]
    leaf = make(Spec("Below", index=40), roots[0])
    assert len(chains.paths_to_roots(leaf.certificate, certificates(*crossed, *roots))) == 64
    with pytest.raises(PkiError):
        chains.paths_to_roots(leaf.certificate, certificates(*crossed))


def test_a_rollover_certificate_is_no_root(tmp_path):
    old = make(Spec("Same", index=9))
    new_by_old = make(Spec("Same", index=10), old)
    assert chains.is_anchor(old.certificate)
    assert not chains.is_anchor(new_by_old.certificate)
    assert chains.up_to_root(new_by_old.certificate, certificates(old)) == tuple(certificates(new_by_old, old))


def test_a_ca_may_roll_over_more_than_once_and_below_others():
    first = make(Spec("Issuing", index=20), ROOT)
    second = make(Spec("Issuing", index=21), first)
    third = make(Spec("Issuing", index=22), second)
    below = make(Spec("Below", index=23), third)
    pool = certificates(ROOT, second, first, third)
    for last, expected in ((third, [third, second, first, ROOT]), (below, [below, third, second, first, ROOT])):
        assert chains.up_to_root(last.certificate, pool) == tuple(certificates(*expected))


def test_two_keys_of_a_ca_that_sign_each_other_end():
    first = make(Spec("Issuing", index=20), ROOT)
    second = make(Spec("Issuing", index=21), first)
    back = make(Spec("Issuing", index=20), second)
    pool = certificates(back, second, first, ROOT)
    assert chains.up_to_root(second.certificate, pool) == tuple(certificates(second, first, ROOT))
    with pytest.raises(PkiError):
        chains.up_to_root(second.certificate, certificates(back))


ROOTS_NAME = x509.DirectoryName(ROOT.certificate.subject)
OTHERS_NAME = x509.DirectoryName(STRANGER.certificate.subject)


@pytest.mark.parametrize(
    ("key", "issuer", "serial", "believed"),
    [
        (b"\x02" * 20, None, None, False),
        (None, [ROOTS_NAME], 0x1234, True),
        (None, [ROOTS_NAME], 0x1235, False),
        (None, [OTHERS_NAME], 0x1234, False),
    ],
    ids=["another key", "its serial number", "another serial number", "another issuer"],
)
def test_an_issuer_is_the_one_that_the_certificate_names(key, issuer, serial, believed, tmp_path):
    named = (x509.AuthorityKeyIdentifier(key, issuer, serial), False)
    odd = make(Spec("Odd", index=24, identifiers=("ski",), more=(named,)), ROOT)
    assert (verified(tmp_path, odd.pem, ROOT.pem, "any") == []) is believed
    if believed:
        assert chains.up_to_root(odd.certificate, certificates(ROOT)) == tuple(certificates(odd, ROOT))
    else:
        with pytest.raises(PkiError, match="authority key identifier of CN=Odd names another"):
            chains.up_to_root(odd.certificate, certificates(ROOT))


def test_a_forged_signature_is_no_issuer():
    impostor = make(Spec("Middle", index=11, identifiers=()), ROOT)
    with pytest.raises(PkiError, match="CN=Middle is not there"):
        reached(impostor, ROOT)


@pytest.mark.parametrize("digest", ["-md5", "-sha1"])
def test_nobody_checks_the_signature_of_a_root(digest, tmp_path):
    old = made_by_openssl(tmp_path, "Old", digest)
    assert chains.is_anchor(old.certificate)
    assert not chains.is_self_signed(old.certificate), "cryptography itself knows no such digest"
    assert inspect.certificate(old.certificate, NOW).kind == "root CA certificate"
    below = make(Spec("Below"), old)
    assert chains.up_to_root(below.certificate, [old.certificate])[-1] == old.certificate


def test_names_that_differ_in_their_type_of_string_are_the_same(tmp_path):
    def spelled(text, kind):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, kind)])

    root = make(Spec(spelled("The  Root", _ASN1Type.PrintableString), index=1))
    elsewhere = Made(make(Spec(spelled("the root", _ASN1Type.UTF8String), index=1)).certificate, root.key)
    below = make(Spec("Below"), elsewhere)
    assert chains.up_to_root(below.certificate, [root.certificate])[-1] == root.certificate


@pytest.mark.parametrize("signs", [True, False])
def test_who_may_sign_no_certificates_is_no_ca(signs):
    """RFC 5280 4.2.1.3: whatever basicConstraints says."""
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = x509.KeyUsage(
        **dict.fromkeys(names, False), key_cert_sign=signs, crl_sign=True, encipher_only=False, decipher_only=False
    )
    root = ROOT.certificate
    builder = x509.CertificateBuilder(root.subject, root.subject, ROOT.key.public_key(), 7)
    builder = builder.not_valid_before(root.not_valid_before_utc).not_valid_after(root.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = builder.add_extension(usage, critical=True).sign(ROOT.key, root.signature_hash_algorithm)
    assert chains.is_ca(made) is signs
