"""OCSP messages: made and read here, and exchanged with the real openssl."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as reader
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import PkiError, Unreadable
from scaffold.pki import bundles, crl, ocsp, profiles, staples
from scaffold.pki.issue import BACKDATE, Issuer
from scaffold.topology.model import KeyType
from tests.unit.pki.lab import ISSUING, NOW, TOPOLOGY, client, issuing_under, lab, leaf, openssl, root_issuer

GOOD, REVOKED, STRANGE = 1001, 1002, 1003
STATUS: dict[int, ocsp.Status] = {
    GOOD: ocsp.State.GOOD,
    REVOKED: crl.Revoked(REVOKED, NOW - timedelta(days=1), crl.Reason.KEY_COMPROMISE),
    STRANGE: ocsp.State.UNKNOWN,
}


def responder(issuer: Issuer | None = None) -> Issuer:
    return leaf(profiles.for_responder(ISSUING), issuer or lab().issuing)


def answer(request: bytes, signer: Issuer, *, by_ca: bool = False) -> bytes:
    asked = ocsp.parse_request(request)
    answers = [(one, STATUS[one.serial]) for one in asked.ids]
    until = NOW + timedelta(hours=1)
    return ocsp.respond(answers, signer, this_update=NOW, next_update=until, nonce=asked.nonce, by_ca=by_ca)


def openssl_asks(folder: Path, serials: list[int], *more: str) -> bytes:
    pki = lab()
    (folder / "root.pem").write_bytes(bundles.pem(pki.root.certificate))
    (folder / "issuing.pem").write_bytes(bundles.pem(pki.issuing.certificate))
    which = [word for serial in serials for word in ("-serial", str(serial))]
    done = openssl("ocsp", *more, "-issuer", "issuing.pem", *which, "-reqout", "request.der", cwd=folder)
    assert done.returncode == 0, done.stderr
    return (folder / "request.der").read_bytes()


def openssl_reads(folder: Path, response: bytes) -> str:
    """Its verdict on a response to the request in the folder, and the response in its words."""
    (folder / "response.der").write_bytes(response)
    files = ("-verify_other", "issuing.pem", "-reqin", "request.der", "-respin", "response.der")
    done = openssl("ocsp", "-CAfile", "root.pem", *files, "-resp_text", cwd=folder)
    return done.stderr + done.stdout


@pytest.mark.parametrize("hash_name", ["-sha1", "-sha256"])
@pytest.mark.parametrize("serials", [[GOOD], [REVOKED], [STRANGE], [GOOD, REVOKED, STRANGE]], ids=str)
def test_openssl_gets_its_answers(hash_name: str, serials: list[int], tmp_path: Path) -> None:
    response = answer(openssl_asks(tmp_path, serials, hash_name), responder())
    text = openssl_reads(tmp_path, response)
    assert "Response verify OK" in text
    assert "WARNING: no nonce" not in text
    assert "Nonce Verify error" not in text
    for serial in serials:
        word = {GOOD: "good", REVOKED: "revoked", STRANGE: "unknown"}[serial]
        assert re.search(rf"Serial Number: {serial:04X}\s+Cert Status: {word}", text)


def test_openssl_refuses_an_answer_signed_by_another_entity_of_the_ca(tmp_path: Path) -> None:
    request = openssl_asks(tmp_path, [GOOD])
    thief = leaf(profiles.for_client_side(TOPOLOGY, client()), lab().issuing)
    for signer in (thief, responder(lab().root), responder(root_issuer())):
        text = openssl_reads(tmp_path, answer(request, signer))
        assert "Response verify OK" not in text
        assert "Response Verify Failure" in text


def test_openssl_sees_that_the_nonce_is_of_another_request(tmp_path: Path) -> None:
    first = openssl_asks(tmp_path, [GOOD])
    openssl_asks(tmp_path, [GOOD])
    text = openssl_reads(tmp_path, answer(first, responder()))
    assert "Nonce Verify error" in text


def test_openssl_takes_the_answer_of_the_ca_itself(tmp_path: Path) -> None:
    response = answer(openssl_asks(tmp_path, [GOOD]), lab().issuing, by_ca=True)
    assert reader.load_der_ocsp_response(response).certificates == []
    assert "Response verify OK" in openssl_reads(tmp_path, response)


@pytest.mark.parametrize("kind", [KeyType.RSA_2048, KeyType.EC_P384, KeyType.ED25519])
def test_each_type_of_key_signs_one_answer_and_several(kind: KeyType, tmp_path: Path) -> None:
    signer = leaf(profiles.for_responder(ISSUING), lab().issuing, kind)
    for serials in ([GOOD], [GOOD, REVOKED]):
        response = answer(openssl_asks(tmp_path, serials), signer)
        assert "Response verify OK" in openssl_reads(tmp_path, response)


def test_our_own_requests_are_read_back_by_us_and_by_openssl(tmp_path: Path) -> None:
    issuer = lab().issuing.certificate
    one, other = ocsp.cert_id(GOOD, issuer), ocsp.cert_id(REVOKED, issuer, "sha256")
    for ids, nonce in (((one,), None), ((one,), b"n" * 16), ((one, other), b"n" * 32), ((other, one), None)):
        der = ocsp.build_request(ids, nonce)
        assert ocsp.parse_request(der) == ocsp.Request(ids, nonce)
        (tmp_path / "request.der").write_bytes(der)
        text = openssl("ocsp", "-reqin", "request.der", "-req_text", cwd=tmp_path).stdout
        assert text.count("Serial Number") == len(ids)


def test_a_cert_id_is_what_cryptography_makes_of_it() -> None:
    pki = lab()
    certificate = leaf(profiles.for_client_side(TOPOLOGY, client()), pki.issuing).certificate
    for name, algorithm in ocsp._HASHES.items():
        built = reader.OCSPRequestBuilder().add_certificate(certificate, pki.issuing.certificate, algorithm()).build()
        ours = ocsp.cert_id(certificate.serial_number, pki.issuing.certificate, name)
        assert (built.issuer_name_hash, built.issuer_key_hash) == (ours.issuer_name_hash, ours.issuer_key_hash)


def test_a_ca_knows_itself_by_every_hash_and_no_other_ca() -> None:
    pki = lab()
    known = ocsp.IssuerIds.of(pki.issuing.certificate)
    for algorithm in ("sha1", "sha256", "sha512"):
        assert ocsp.cert_id(1, pki.issuing.certificate, algorithm) in known
        assert ocsp.cert_id(1, pki.root.certificate, algorithm) not in known
    with pytest.raises(PkiError):
        ocsp.cert_id(1, pki.root.certificate, "md5")


def test_who_may_answer_for_a_ca() -> None:
    pki = lab()
    ca = pki.issuing.certificate
    thief = leaf(profiles.for_client_side(TOPOLOGY, client()), pki.issuing).certificate
    assert ocsp.is_authorised(responder().certificate, ca)
    assert ocsp.is_authorised(ca, ca)
    assert not ocsp.is_authorised(thief, ca)
    assert not ocsp.is_authorised(responder(pki.root).certificate, ca)


@pytest.mark.parametrize("failure", list(ocsp.Failure))
def test_failures_are_unsigned_and_say_why(failure: ocsp.Failure) -> None:
    assert reader.load_der_ocsp_response(ocsp.unsuccessful(failure)).response_status is failure.value


def test_hostile_requests_are_unreadable() -> None:
    one = ocsp.cert_id(GOOD, lab().issuing.certificate)
    for der in (
        b"",
        b"\x30\x00",
        b"\x30\x80" * 40_000,
        ocsp.build_request([one] * 33),
        ocsp.build_request([one] * 2000),
        ocsp.build_request([one], b"n" * 129),
        ocsp.build_request([one, one], b""),
        ocsp.build_request([]),
        ocsp.build_request([one]) + b"\x00",
        ocsp.build_request([replace(one, serial=0)]),
        ocsp.build_request([replace(one, serial=-5)]),
        ocsp.build_request([one, replace(one, serial=1 << 160)]),
        ocsp.build_request([replace(one, algorithm="sha256")]),
        ocsp.build_request([one, replace(one, algorithm="md5")]),
    ):
        with pytest.raises(Unreadable):
            ocsp.parse_request(der)


def test_an_answer_to_nothing_is_refused() -> None:
    with pytest.raises(PkiError):
        ocsp.respond([], responder(), this_update=NOW, next_update=NOW + timedelta(hours=1))


@given(st.binary(max_size=300))
def test_garbage_is_unreadable(garbage: bytes) -> None:
    with pytest.raises(Unreadable):
        ocsp.parse_request(garbage)


@given(st.data())
def test_a_damaged_request_is_read_or_unreadable_and_never_a_crash(data: st.DataObject) -> None:
    issuer = x509.load_der_x509_certificate(bundles.der(lab().issuing.certificate))
    ids = [ocsp.cert_id(GOOD, issuer), ocsp.cert_id(REVOKED, issuer, "sha256")][: data.draw(st.integers(1, 2))]
    der = bytearray(ocsp.build_request(ids, b"n" * 16))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        asked = ocsp.parse_request(bytes(der))
    except Unreadable:
        return
    until = NOW + timedelta(hours=1)
    answers = [(one, ocsp.State.UNKNOWN) for one in asked.ids]
    assert ocsp.respond(answers, lab().issuing, this_update=NOW, next_update=until, nonce=asked.nonce)


# --- Keys that asn1crypto knows nothing of ---

POST_QUANTUM = [KeyType.ML_DSA_44, KeyType.ML_DSA_65, KeyType.ML_DSA_87]


def post_quantum(kind: KeyType) -> Issuer:
    return issuing_under(root_issuer(kind), kind)


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_cert_id_hashes_the_bits_of_any_key(kind: KeyType) -> None:
    issuer = root_issuer(kind)
    certificate = leaf(profiles.for_client_side(TOPOLOGY, client()), issuer).certificate
    built = reader.OCSPRequestBuilder().add_certificate(certificate, issuer.certificate, hashes.SHA256()).build()
    ours = ocsp.cert_id(certificate.serial_number, issuer.certificate, "sha256")
    assert (built.issuer_name_hash, built.issuer_key_hash) == (ours.issuer_name_hash, ours.issuer_key_hash)
    ski = x509.SubjectKeyIdentifier.from_public_key(issuer.certificate.public_key()).digest
    assert ocsp.cert_id(1, issuer.certificate).issuer_key_hash == ski, "SHA-1 of the same bits (RFC 5280 4.2.1.2)"


@pytest.mark.parametrize("kind", POST_QUANTUM)
@pytest.mark.parametrize("serials", [[GOOD], [GOOD, REVOKED]], ids=len)
@pytest.mark.parametrize("by_ca", [True, False], ids=["by the CA", "by a responder"])
def test_a_post_quantum_ca_answers(kind: KeyType, serials: list[int], by_ca: bool) -> None:
    issuer = post_quantum(kind)
    signer = issuer if by_ca else leaf(profiles.for_responder(ISSUING), issuer, kind)
    request = ocsp.build_request([ocsp.cert_id(serial, issuer.certificate) for serial in serials])
    response = reader.load_der_ocsp_response(answer(request, signer, by_ca=by_ca))
    assert [one.serial_number for one in response.responses] == serials
    signer.certificate.public_key().verify(response.signature, response.tbs_response_bytes)  # type: ignore[call-arg,union-attr]
    with pytest.raises(InvalidSignature):
        signer.certificate.public_key().verify(response.signature, response.tbs_response_bytes + b"x")  # type: ignore[call-arg,union-attr]


@pytest.mark.parametrize("kind", POST_QUANTUM)
def test_a_post_quantum_ca_signs_a_staple_that_is_read_back(kind: KeyType) -> None:
    issuer, other = post_quantum(kind), post_quantum(kind)
    one = leaf(profiles.for_client_side(TOPOLOGY, client()), issuer).certificate
    end = NOW + timedelta(hours=1)
    staple = staples.make(one, issuer, ocsp.State.GOOD, NOW, end)
    assert staples.read(staple, one, issuer.certificate, NOW) == staples.Staple(NOW - BACKDATE, end, None)
    with pytest.raises(Unreadable):
        staples.read(staples.make(one, other, ocsp.State.GOOD, NOW, end), one, issuer.certificate, NOW)


def test_asn1crypto_sees_no_key_and_no_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = post_quantum(KeyType.ML_DSA_65)
    signer = leaf(profiles.for_responder(ISSUING), issuer, KeyType.ML_DSA_65)
    for kind in (asn1_keys.PublicKeyInfo, asn1_x509.Certificate):
        monkeypatch.setattr(kind, "__init__", lambda *_, **__: pytest.fail("asn1crypto took it apart"))
    request = ocsp.build_request([ocsp.cert_id(serial, issuer.certificate) for serial in (GOOD, REVOKED)])
    response = reader.load_der_ocsp_response(answer(request, signer))
    assert response.certificates == [signer.certificate]
    assert len(ocsp.IssuerIds.of(issuer.certificate).known) == 5


@pytest.mark.parametrize("critical", [True, False])
def test_a_critical_extension_that_is_not_known_is_not_passed_over(critical: bool) -> None:
    """RFC 6960 4.4: what it asks for cannot be guessed."""
    unknown = x509.ObjectIdentifier("1.2.3.4")
    builder = reader.OCSPRequestBuilder().add_certificate_by_hash(b"n" * 20, b"k" * 20, GOOD, hashes.SHA1())
    builder = builder.add_extension(x509.UnrecognizedExtension(unknown, b"\x05\x00"), critical=critical)
    der = builder.build().public_bytes(Encoding.DER)
    if critical:
        with pytest.raises(Unreadable, match="OCSP request"):
            ocsp.parse_request(der)
    else:
        assert [one.serial for one in ocsp.parse_request(der).ids] == [GOOD]


def test_a_staple_by_a_responder_that_has_ended_is_believed_no_more() -> None:
    """RFC 6960 4.2.2.2: its certificate is one like any other, and its key may be anybody's by now."""
    issuing, delegate = lab().issuing, responder()
    certificate = leaf(profiles.for_client_side(TOPOLOGY, client()), issuing).certificate
    asked = ocsp.cert_id(certificate.serial_number, issuing.certificate)
    ends = delegate.not_after + timedelta(hours=2)
    der = ocsp.respond([(asked, ocsp.State.GOOD)], delegate, this_update=NOW, next_update=ends)
    assert staples.read(der, certificate, issuing.certificate, delegate.not_after).revoked is None
    with pytest.raises(Unreadable, match="not signed by its CA"):
        staples.read(der, certificate, issuing.certificate, delegate.not_after + timedelta(hours=1))
