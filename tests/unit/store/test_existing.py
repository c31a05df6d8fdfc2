"""The files of a CA that was made elsewhere, as they come."""

from __future__ import annotations

import base64
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from scaffold.errors import TopologyError
from scaffold.pki import bundles
from scaffold.pki import crl as crls
from scaffold.store import existing
from scaffold.topology import load
from tests.requirements import require_command
from tests.unit.adopting import NOW, Spec, crl, key_pem, made_by_openssl, make, scope

ROOT = make(Spec("Partner Root", index=1))
CA = make(Spec(), ROOT)
OTHER = make(Spec("Other CA", index=2), ROOT)

TOPOLOGY = """
version: 1
name: bank
cas:
  partner: {existing: {certificate: ca.pem%s}}
  own: {}
servers:
  accounts: {template: nginx, issuer: %s, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  auditor: {external: {issuer: partner, identity: "spiffe://partner.example/auditor"}, calls: [accounts]}
"""


@pytest.fixture
def brought(tmp_path):
    """Writes files, and reads `existing` of the CA `partner`."""

    def read(fields: str = ", chain: chain.pem", issuer: str = "own", **contents: bytes) -> existing.ExistingCa:
        for name, content in {"ca": CA.pem, "chain": ROOT.pem, **contents}.items():
            file = {"crl": "ca.crl", "key": "ca.key"}.get(name, f"{name}.pem")
            (tmp_path / file).write_bytes(content)
        t = load.loads((TOPOLOGY % (fields, issuer)).encode(), tmp_path / "topology.yaml")
        return existing.load(t, t.cas["partner"])

    return read


def refused(brought, match: str, *arguments: str, **contents: bytes) -> TopologyError:
    with pytest.raises(TopologyError, match=match) as caught:
        brought(*arguments, **contents)
    assert caught.value.place is not None
    return caught.value


def trusted(made) -> bytes:
    """OpenSSL's own form, with what it is trusted for after it."""
    der = bundles.der(made.certificate) + bytes.fromhex("300c300a06082b06010505070301")
    return b"-----BEGIN TRUSTED CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END TRUSTED CERTIFICATE-----\n"


FORMS = {
    "PEM": lambda made: made.pem,
    "DER": lambda made: bundles.der(made.certificate),
    "CRLF": lambda made: made.pem.replace(b"\n", b"\r\n"),
    "a BOM": lambda made: b"\xef\xbb\xbf" + made.pem,
    "UTF-16": lambda made: made.pem.decode().encode("utf-16"),
    "text in front": lambda made: b"Bag Attributes\n    friendlyName: CA\nsubject=CN = CA \xe9\n" + made.pem,
    "its key in front": lambda made: key_pem(made) + made.pem,
    "X509 CERTIFICATE": lambda made: made.pem.replace(b"CERTIFICATE", b"X509 CERTIFICATE"),
    "TRUSTED CERTIFICATE": trusted,
    "PKCS#7 in PEM": lambda made: pkcs7.serialize_certificates([made.certificate], serialization.Encoding.PEM),
    "PKCS#7 in DER": lambda made: pkcs7.serialize_certificates([made.certificate], serialization.Encoding.DER),
}


@pytest.mark.parametrize("form", FORMS)
def test_certificates_come_in_many_forms(brought, form):
    found = brought(ca=FORMS[form](CA), chain=FORMS[form](ROOT))
    assert found.path == (CA.certificate, ROOT.certificate)


def test_the_chain_may_stand_in_the_certificates_own_file(brought):
    assert brought("", ca=CA.pem + OTHER.pem + ROOT.pem).path == (CA.certificate, ROOT.certificate)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (key_pem(CA), "is a private key, and holds no certificate"),
        (crls.to_pem(crl(CA)), "is a CRL, and no certificate"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAA\n-----END CERTIFICATE REQUEST-----\n", "is a certificate request"),
        (
            pkcs12.serialize_key_and_certificates(
                b"ca", CA.key, CA.certificate, None, serialization.BestAvailableEncryption(b"x")
            ),
            "is a PKCS#12 bundle.*openssl pkcs12 -nokeys",
        ),
        (b"", "damaged"),
        (CA.pem[:200], "damaged"),
        (base64.encodebytes(bundles.der(CA.certificate)), "damaged"),
    ],
)
@pytest.mark.parametrize("file", ["ca", "chain"])
def test_what_is_no_certificate_is_called_what_it_is(brought, content, match, file):
    refused(brought, match, **{file: content})


def test_in_a_chain_what_cannot_be_read_does_not_matter_unless_it_is_needed(brought, tmp_path):
    odd = made_by_openssl(tmp_path / "x", "Café", config="string_mask=MASK:4", encoding="latin-1")
    assert brought(chain=odd.pem + ROOT.pem).above == (ROOT.certificate,)
    assert "Latin-1" in str(refused(brought, "does not reach a root", chain=odd.pem))


# --- Keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["PKCS8", "TraditionalOpenSSL"])
def test_keys_come_in_many_forms(brought, style):
    fields = ", chain: chain.pem, key: ca.key"
    pem = key_pem(CA, style)
    for content in (pem, CA.pem + pem, b"\xef\xbb\xbf" + pem, pem.replace(b"\n", b"\r\n")):
        assert brought(fields, "partner", key=content).encrypted_key is False
    refused(brought, "is not the key of the certificate", fields, key=key_pem(OTHER))


def test_a_key_that_signs_nothing_here_is_for_trust_alone(brought, tmp_path):
    root = make(Spec("Old DSA", kind="dsa-2048"))
    (tmp_path / "ca.key").write_bytes(key_pem(root))
    refused(brought, "is a DSA key, which is not supported for signing here", ", key: ca.key", ca=root.pem)
    assert brought("", ca=root.pem).certificate == root.certificate


# --- Which way up -------------------------------------------------------------------------------------------------


def test_of_several_ways_the_one_that_works(brought):
    limited = make(Spec("Old Root", index=3, names=x509.NameConstraints([x509.DNSName("corp.example")], None)))
    crossed = make(Spec("Partner Root", index=1), limited)
    assert brought(chain=crossed.pem + limited.pem + ROOT.pem).above == (ROOT.certificate,)
    weak = make(Spec("Weak Root", index=4, kind="rsa-1024"))
    by_weak = make(Spec("Partner Root", index=1), weak)
    assert brought(chain=by_weak.pem + weak.pem + crossed.pem + limited.pem).above == (
        crossed.certificate,
        limited.certificate,
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"names": x509.NameConstraints([x509.UniformResourceIdentifier("elsewhere.example")], None)},
        {"identifiers": ()},
    ],
    ids=["forbids whom the topology has", "not by the letter"],
)
def test_of_several_ways_the_longer_where_the_shorter_does_less(brought, odd):
    short = make(Spec("Partner Root", index=1, **odd))
    other = make(Spec("Other Root", index=3))
    crossed = make(Spec("Partner Root", index=1), other)
    assert brought(chain=short.pem + crossed.pem + other.pem).above == (crossed.certificate, other.certificate)
    usual = make(Spec("Partner Root", index=1))
    assert brought(chain=usual.pem + crossed.pem + other.pem).above == (usual.certificate,)


def test_of_several_ways_that_work_the_one_that_ends_last(brought):
    ended = make(Spec("Partner Root", index=1, ends=timedelta(days=-5)))
    old = make(Spec("Old Root", index=3))
    crossed = make(Spec("Partner Root", index=1), old)
    assert brought(chain=ended.pem + crossed.pem + old.pem).above == (crossed.certificate, old.certificate)


# --- CRLs ---------------------------------------------------------------------------------------------------------

ALL = ", chain: chain.pem, crl: ca.crl"


def listed(brought, *lists: crls.Crl) -> existing.ExistingCa:
    return brought(ALL, crl=b"".join(map(crls.to_pem, lists)))


def test_the_crls_of_the_whole_chain_are_taken(brought):
    own, of_root = crl(CA), crl(ROOT)
    found = listed(brought, of_root, own)
    assert (found.crls_of(CA.certificate), found.crls_of(ROOT.certificate)) == ((own,), (of_root,))
    assert found.left_out == ()


def with_entry(says: x509.ExtensionType) -> crls.Crl:
    """A CRL of the CA with an entry that has a critical extension."""
    builder = x509.RevokedCertificateBuilder(7, NOW - timedelta(days=2)).add_extension(says, True)
    made = x509.CertificateRevocationListBuilder().issuer_name(CA.certificate.subject).last_update(NOW)
    made = made.next_update(NOW + timedelta(days=9)).add_revoked_certificate(builder.build())
    return made.sign(CA.key, hashes.SHA256())


def test_a_critical_issuer_of_an_entry_is_known():
    assert crls.unusable(with_entry(x509.CertificateIssuer([x509.DirectoryName(CA.certificate.subject)]))) is None


@pytest.mark.parametrize(("reason", "revoked"), [("remove_from_crl", False), ("superseded", True)])
def test_an_entry_that_takes_off_revokes_nothing(reason, revoked):
    one = with_entry(x509.CRLReason(x509.ReasonFlags[reason]))
    assert (crls.lists(one, 7) is not None) is revoked
    assert crls.lists(one, 8) is None


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (crl(OTHER), "a CRL of CN=Other CA, which is no CA of this chain"),
        (crl(OTHER, issuer="Partner CA"), "of CN=Partner CA that the key in its certificate has not signed"),
        (crl(CA, scope=scope(indirect_crl=True)), "is an indirect CRL"),
        (crl(CA, more=[(x509.DeltaCRLIndicator(1), True)]), "is a delta CRL"),
        (crl(CA, more=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True)]), "1.2.3"),
        (crl(CA, scope=scope(only_contains_attribute_certs=True)), "attribute certificates alone"),
        (crl(CA, more=[(x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None), False)]), "authority key identifier"),
        (
            with_entry(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")),
            "an entry with a critical",
        ),
        (
            crl(CA, scope=scope(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))),
            "for some reasons alone",
        ),
    ],
    ids=["of another CA", "forged", "indirect", "delta", "critical", "attributes", "another key", "entry", "reasons"],
)
def test_a_crl_that_serves_nobody_is_left_out_with_the_reason(brought, odd, why):
    sound = crl(ROOT)
    found = listed(brought, odd, sound)
    assert found.crls == crls.to_pem(sound)
    assert len(found.left_out) == 1
    assert why in found.left_out[0]


def test_a_ca_without_crlsign_signs_none(brought):
    silent = make(Spec(usages=("key_cert_sign",)), ROOT)
    found = brought(ALL, ca=silent.pem, crl=crls.to_pem(crl(silent)))
    assert found.crls == b""
    assert "no cRLSign" in found.left_out[0]


def test_an_old_signature_of_a_crl_is_believed_as_openssl_does(brought, tmp_path):
    root = make(Spec("RSA Root", kind="rsa-2048", index=1))
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(root.pem)
    (folder / "ca.key").write_bytes(key_pem(root))
    (folder / "index.txt").write_text("")
    (folder / "number").write_text("01\n")
    config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha1\ndefault_crl_days=30\n"
    (folder / "c.cnf").write_text(config)
    words = ["-gencrl", "-config", "c.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-out", "out.crl"]
    subprocess.run([require_command("openssl"), "ca", *words], cwd=folder, check=True, capture_output=True)
    found = brought(", crl: ca.crl", ca=root.pem, crl=Path(folder / "out.crl").read_bytes())
    assert len(found.crls_of(root.certificate)) == 1
    assert len(found.crls_of(OTHER.certificate)) == 0
