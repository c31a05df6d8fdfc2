"""A published household, and OCSP as its clients see it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509 import ocsp as x509_ocsp
from starlette.types import ASGIApp

from scaffold.pki import ocsp
from scaffold.publish.responder import Answer
from scaffold.publish.state import Source
from scaffold.store import ledger, lock
from scaffold.store.layout import Layout
from scaffold.store.ledger import Issued
from scaffold.topology.address import Part

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root, revocation: {crl: 1d, ocsp: 1h}}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
"""


@dataclass(frozen=True)
class Said:
    """One OCSP response, its signature checked against the CA by way of the delegated certificate."""

    status: str
    this_update: datetime | None = None
    next_update: datetime | None = None
    nonce: bytes | None = None
    reason: str | None = None


def ask(source: Source, ca: str, certificate: x509.Certificate | int, issuer: x509.Certificate, now: datetime) -> Said:
    """Ask by SHA-1, without a nonce."""
    serial = certificate if isinstance(certificate, int) else certificate.serial_number
    answer = source.answer(ca, ocsp.build_request([ocsp.cert_id(serial, issuer)]), now)
    assert answer is not None
    return read(answer, issuer)


def read(answer: Answer | bytes, issuer: x509.Certificate) -> Said:
    """What a response says. Fails where nobody who may has signed it."""
    response = x509_ocsp.load_der_ocsp_response(answer if isinstance(answer, bytes) else answer.body)
    if response.response_status is not x509_ocsp.OCSPResponseStatus.SUCCESSFUL:
        return Said(response.response_status.name)
    signer = response.certificates[0]
    assert ocsp.is_authorised(signer, issuer)
    verify(signer, response)
    one = next(iter(response.responses))
    nonces = [extension.value.nonce for extension in response.extensions if isinstance(extension.value, x509.OCSPNonce)]
    return Said(
        one.certificate_status.name,
        one.this_update_utc,
        one.next_update_utc,
        nonces[0] if nonces else None,
        one.revocation_reason.value if one.revocation_reason else None,
    )


def verify(signer: x509.Certificate, response: x509_ocsp.OCSPResponse) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = signer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert response.signature_hash_algorithm is not None
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(response.signature_hash_algorithm))


def revoke(out: Path, ca: str, certificate: x509.Certificate, now: datetime, reason: str = "keyCompromise") -> None:
    """Enter a revocation in the ledger, as the verb does."""
    layout = Layout(out)
    with lock.hold(layout, now, wait=5):
        entry = ledger.Revoked(ca, f"{certificate.serial_number:x}", reason, now)
        ledger.Recorder(layout, now).revoked([entry])


def delegates(out: Path) -> list[Issued]:
    """The responder certificates that the ledger knows."""
    return [one for one in ledger.load(Layout(out)).issued.values() if one.address.part is Part.OCSP]


@dataclass(frozen=True)
class Reply:
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def request(
    application: ASGIApp, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
) -> Reply:
    """GET, or POST where there is a body, without a network."""
    scope = {
        "type": "http",
        "method": "GET" if body is None else "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]
    start = said[0]
    return Reply(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in said[1:]),
    )
