"""One CA's answers: signed once and kept, or fresh with the nonce; and bytes that are no request."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asn1crypto import ocsp as asn1_ocsp
from cryptography.x509 import ocsp as x509_ocsp
from hypothesis import given
from hypothesis import strategies as st

from scaffold.pki import crl, ocsp
from scaffold.pki.issue import BACKDATE
from scaffold.publish import delegation
from scaffold.publish.responder import Responder
from tests.unit.pki.lab import ISSUING, NOW, lab
from tests.unit.publish.lab import read

HOUR = timedelta(hours=1)


class Known:
    """A CA that has issued 1, 2 and, revoked, 3."""

    def __init__(self) -> None:
        self.certificate = lab().issuing.certificate
        revoked = crl.Revoked(3, NOW, crl.Reason.SUPERSEDED)
        self.statuses: dict[int, ocsp.Status] = {1: ocsp.State.GOOD, 2: ocsp.State.GOOD, 3: revoked}

    def status(self, serial: int) -> ocsp.Status:
        return self.statuses.get(serial, ocsp.State.UNKNOWN)

    def current(self, now):
        return iter(self.statuses)


def responder(known: Known | None = None) -> Responder:
    return Responder(known or Known(), delegation.make(ISSUING, lab().issuing, NOW), HOUR)


def request(*serials: int, algorithm: str = "sha1", nonce: bytes | None = None, of: object = None) -> bytes:
    issuer = of or lab().issuing.certificate
    return ocsp.build_request([ocsp.cert_id(serial, issuer, algorithm) for serial in serials], nonce)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
@pytest.mark.parametrize(("serial", "status"), [(1, "GOOD"), (3, "REVOKED"), (4, "UNKNOWN")])
def test_each_status_by_each_hash(algorithm, serial, status):
    answer = responder().answer(request(serial, algorithm=algorithm), NOW)
    said = read(answer, lab().issuing.certificate)
    assert (said.status, said.this_update, said.next_update) == (status, NOW - BACKDATE, NOW + HOUR)
    assert answer.outcome == status.lower()
    assert answer.fresh_until == NOW + HOUR


def test_without_a_nonce_the_kept_answer_is_given_and_with_one_a_fresh_one():
    one = responder()
    kept = one.answer(request(1), NOW)
    assert one.answer(request(1), NOW + HOUR / 2) == kept
    later = one.answer(request(1), NOW + HOUR / 2 + timedelta(seconds=1))
    assert later.this_update == NOW + HOUR / 2 + timedelta(seconds=1) - BACKDATE

    fresh = one.answer(request(1, nonce=b"n" * 32), NOW)
    assert read(fresh, lab().issuing.certificate).nonce == b"n" * 32
    assert fresh.fresh_until is None, "no cache may keep it"
    assert one.answer(request(1, nonce=b"n" * 32), NOW).body != fresh.body


def test_a_kept_answer_of_a_clock_that_was_put_back_is_signed_again():
    """Whoever is asked at the earlier time would take it for one from the future."""
    one = responder()
    one.presign(NOW + HOUR / 4)
    assert one.answer(request(1), NOW + HOUR / 4).this_update == NOW + HOUR / 4 - BACKDATE
    assert one.answer(request(1), NOW).this_update == NOW - BACKDATE


def test_a_kept_answer_does_not_outlive_a_revocation():
    known = Known()
    one = responder(known)
    one.presign(NOW)
    assert one.answer(request(1), NOW).outcome == "good"
    known.statuses[1] = crl.Revoked(1, NOW)
    assert one.answer(request(1), NOW).outcome == "revoked"


def test_several_are_answered_in_one():
    der = responder().answer(request(1, 3, 4), NOW).body
    single = asn1_ocsp.OCSPResponse.load(der)["response_bytes"]["response"].parsed["tbs_response_data"]["responses"]
    assert [one["cert_status"].name for one in single] == ["good", "revoked", "unknown"]


def test_of_another_cas_certificate_beside_ours_nothing_is_known():
    ids = [ocsp.cert_id(1, lab().issuing.certificate), ocsp.cert_id(1, lab().root.certificate)]
    der = responder().answer(ocsp.build_request(ids), NOW).body
    single = asn1_ocsp.OCSPResponse.load(der)["response_bytes"]["response"].parsed["tbs_response_data"]["responses"]
    assert [one["cert_status"].name for one in single] == ["good", "unknown"]


def test_another_cas_certificate_alone_is_unauthorized():
    answer = responder().answer(request(1, of=lab().root.certificate), NOW)
    assert read(answer, lab().issuing.certificate).status == "UNAUTHORIZED"
    assert answer.fresh_until is None


def test_an_answer_does_not_outlive_the_responders_certificate():
    one = responder()
    late = one.delegate.not_after - timedelta(minutes=10)
    assert one.answer(request(1), late).fresh_until == one.delegate.not_after


def test_a_responder_that_has_ended_signs_nothing():
    one = responder()
    one.presign(one.delegate.not_after)
    answer = one.answer(request(1), one.delegate.not_after)
    assert read(answer, lab().issuing.certificate).status == "TRY_LATER"


def test_what_cannot_be_signed_is_an_internal_error_and_no_crash(monkeypatch, caplog):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(ocsp, "respond", fail)
    answer = responder().answer(request(1), NOW)
    assert read(answer, lab().issuing.certificate).status == "INTERNAL_ERROR"
    assert "nobody thought of this" in caplog.text


def test_unknown_serials_do_not_fill_the_memory():
    one = responder()
    for serial in range(1_000, 1_100):
        one.answer(request(serial), NOW)
    assert len(one._kept) == 0


def outcome(der: bytes) -> str:
    response = x509_ocsp.load_der_ocsp_response(responder_of_all().answer(der, NOW).body)
    return response.response_status.name


_ALL: list[Responder] = []


def responder_of_all() -> Responder:
    if not _ALL:
        _ALL.append(responder())
    return _ALL[0]


@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data):
    assert outcome(data) in {"MALFORMED_REQUEST", "UNAUTHORIZED"}


@given(st.data())
def test_a_damaged_request_is_answered(data):
    der = bytearray(request(1, 3, nonce=b"0123456789abcdef") if data.draw(st.booleans()) else request(1))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(der)) in {"MALFORMED_REQUEST", "UNAUTHORIZED", "SUCCESSFUL"}
