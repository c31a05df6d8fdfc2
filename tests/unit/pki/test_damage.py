"""Damaged files: cryptography parses late, and no late error of its own may reach who only asked a question."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import PkiError
from scaffold.pki import broken, bundles, chains, crl, inspect, keys, ocsp, profiles
from scaffold.topology.model import Fault
from tests.unit.pki.lab import NOW, TOPOLOGY, lab, leaf, server

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
SERVER = profiles.for_server(TOPOLOGY, server())


@lru_cache
def whole() -> tuple[bytes, bytes, bytes]:
    """A certificate, a CRL and an OCSP response, in DER."""
    pki = lab()
    entries = [crl.Revoked(5, NOW, crl.Reason.SUPERSEDED)]
    until = NOW + timedelta(hours=1)
    asked = ocsp.cert_id(5, pki.issuing.certificate)
    return (
        bundles.der(leaf(SERVER, pki.issuing).certificate),
        crl.to_der(crl.build(pki.issuing, 1, NOW, until, entries)),
        ocsp.respond([(asked, ocsp.State.GOOD)] * 2, pki.issuing, this_update=NOW, next_update=until),
    )


@st.composite
def damaged(draw: st.DrawFn, which: int) -> bytes:
    der = bytearray(whole()[which])
    for _ in range(draw(st.integers(1, 3))):
        der[draw(st.integers(0, len(der) - 1))] = draw(st.integers(0, 255))
    return bytes(der)


@given(damaged(0))
def test_a_damaged_certificate_is_unreadable_or_answers_every_question(der: bytes) -> None:
    issuer = lab().issuing.certificate
    try:
        certificate = bundles.load_certificates(der)[0]
    except PkiError:
        return
    assert isinstance(profiles.differences(SERVER, certificate), list)
    assert isinstance(chains.signed_by(certificate, issuer), bool)
    assert not chains.signed_by(issuer, certificate)
    assert isinstance(chains.is_ca(certificate), bool)
    assert isinstance(ocsp.is_authorised(certificate, issuer), bool)
    assert isinstance(broken.shows(replace(SERVER, fault=Fault.WRONG_CA), certificate, issuer, NOW), bool)
    keys.key_type(certificate.public_key())
    assert keys.spki_sha256(certificate)


@given(damaged(1))
def test_a_damaged_crl_is_unreadable_or_answers_every_question(der: bytes) -> None:
    try:
        found = crl.load(der)
        crl.entries(found)
    except PkiError:
        return
    assert isinstance(crl.signed_by(found, lab().issuing.certificate), bool)
    assert isinstance(crl.number(found), int | None)


@given(st.one_of(damaged(0), damaged(1), damaged(2)))
def test_a_damaged_file_is_described_or_unreadable(der: bytes) -> None:
    try:
        found = inspect.describe(der, NOW)
    except PkiError:
        return
    assert all(fact.value.isprintable() for one in found for fact in one.facts)
