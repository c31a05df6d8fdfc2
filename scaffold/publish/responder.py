"""The OCSP responder of one CA (RFC 6960, RFC 9919): requests in DER go in, signed answers come out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Protocol

from cryptography import x509

from scaffold.errors import Unreadable
from scaffold.pki import chains, ocsp
from scaffold.pki.issue import Issuer, backdated

_MOST_PRESIGNED: Final = 10_000
_MOST_KEPT: Final = 100_000

_log = logging.getLogger("scaffold.publish")


@dataclass(frozen=True, slots=True)
class Answer:
    """A DER response. `fresh_until` is its end, None where no cache may keep it; `outcome` is what is counted.

    `this_update` is what it says of itself, backdated; of a refusal, when it was given.
    """

    body: bytes
    outcome: str
    this_update: datetime
    fresh_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Signed:
    status: ocsp.Status
    body: bytes
    signed: datetime
    next_update: datetime


class Known(Protocol):
    """What a responder must know of its CA."""

    @property
    def certificate(self) -> x509.Certificate: ...
    def status(self, serial: int) -> ocsp.Status:
        """What is known of the certificate with `serial`."""

    def current(self, now: datetime) -> Iterator[int]:
        """The serials that are likely to be asked about, the likeliest first."""


class Responder:
    """Answers for one CA. Answers without a nonce are signed beforehand and served until half their life is over."""

    def __init__(self, authority: Known, delegate: Issuer, lifetime: timedelta) -> None:
        self._authority = authority
        self.delegate = delegate
        self._lifetime = lifetime
        self._ids = ocsp.IssuerIds.of(authority.certificate)
        # RFC 9919 3.1.1: what clients send. Others name the issuer by SHA-256; they are answered when they come.
        self._usual_id = ocsp.cert_id(0, authority.certificate, "sha1")
        self._kept: dict[ocsp.CertId, _Signed] = {}
        self._presigned: tuple[Known, datetime] | None = None

    def answers_for(self, authority: Known) -> bool:
        """Whether its delegated certificate is one that the CA's key of today signed."""
        return self._authority.certificate == authority.certificate or chains.signed_by(
            self.delegate.certificate, authority.certificate
        )

    def update(self, authority: Known) -> None:
        """Takes what is known now; kept answers that it contradicts are signed again."""
        self._authority = authority

    def presign(self, now: datetime) -> None:
        """Signs the answers that will be asked for, where something is new or half of their life is over."""
        authority = self._authority
        if self.delegate.not_after <= now:
            return
        if self._presigned is not None:
            known, at = self._presigned
            if known is authority and self._is_young(at, now):
                return
        for serial in islice(authority.current(now), _MOST_PRESIGNED):
            self._ready_answer(dataclasses.replace(self._usual_id, serial=serial), now)
        self._presigned = (authority, now)

    def is_asked(self, asked: ocsp.Request) -> bool:
        """Whether a request names this CA at all."""
        return any(one in self._ids for one in asked.ids)

    def answer(self, request: bytes, now: datetime) -> Answer:
        """The response to a DER request, whatever its bytes are."""
        asked = self._understood(request, now)
        if isinstance(asked, Answer):
            return asked
        if self.delegate.not_after <= now:
            return refusal(ocsp.Failure.TRY_LATER, now)
        try:
            if len(asked.ids) == 1 and asked.nonce is None:
                return self._ready_answer(asked.ids[0], now)
            return self._fresh_answer(asked, now)
        except Exception:
            _log.exception("an OCSP request could not be answered")
            return refusal(ocsp.Failure.INTERNAL_ERROR, now)

    def recall(self, request: bytes, now: datetime) -> Answer:
        """The same where nothing may be signed: an answer from before that says what is known, or to try later."""
        asked = self._understood(request, now)
        if isinstance(asked, Answer):
            return asked
        kept = self._kept.get(asked.ids[0]) if len(asked.ids) == 1 and asked.nonce is None else None
        if kept is None or kept.status != self._authority.status(asked.ids[0].serial):
            return refusal(ocsp.Failure.TRY_LATER, now)
        return Answer(kept.body, _outcome(kept.status), backdated(kept.signed))

    def _understood(self, request: bytes, now: datetime) -> ocsp.Request | Answer:
        """What is asked; a refusal where that makes no sense, or is another's to answer."""
        try:
            asked = ocsp.parse_request(request)
        except Unreadable:
            return refusal(ocsp.Failure.MALFORMED_REQUEST, now)
        if not self.is_asked(asked):
            # RFC 6960 2.3: "unauthorized" also says that this responder is not the one to ask.
            return refusal(ocsp.Failure.UNAUTHORIZED, now)
        return asked

    def _ready_answer(self, one: ocsp.CertId, now: datetime) -> Answer:
        status = self._authority.status(one.serial)
        kept = self._kept.get(one)
        if kept is None or kept.status != status or not self._is_young(kept.signed, now):
            kept = self._sign(one, status, now)
            if status is not ocsp.State.UNKNOWN:  # serials that nobody issued would fill the memory
                self._keep(one, kept)
        return Answer(kept.body, _outcome(status), backdated(kept.signed), kept.next_update)

    def _is_young(self, signed: datetime, now: datetime) -> bool:
        """Whether half of the life of what was signed then is still to come; a clock that was put back ends it."""
        return signed <= now <= signed + self._lifetime / 2

    def _keep(self, one: ocsp.CertId, signed: _Signed) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[one] = signed

    def _sign(self, one: ocsp.CertId, status: ocsp.Status, now: datetime) -> _Signed:
        next_update = self._until(now)
        body = ocsp.respond([(one, status)], self.delegate, this_update=backdated(now), next_update=next_update)
        return _Signed(status, body, now, next_update)

    def _fresh_answer(self, asked: ocsp.Request, now: datetime) -> Answer:
        answers = [(one, self._status(one)) for one in asked.ids]
        begins, ends = backdated(now), self._until(now)
        body = ocsp.respond(answers, self.delegate, this_update=begins, next_update=ends, nonce=asked.nonce)
        outcome = _outcome(answers[0][1]) if len(answers) == 1 else "several"
        return Answer(body, outcome, begins)

    def _status(self, one: ocsp.CertId) -> ocsp.Status:
        """Of another CA's certificate, asked about beside one of ours, nothing is known (RFC 6960 2.2)."""
        return self._authority.status(one.serial) if one in self._ids else ocsp.State.UNKNOWN

    def _until(self, now: datetime) -> datetime:
        return min(now + self._lifetime, self.delegate.not_after)


def refusal(failure: ocsp.Failure, now: datetime) -> Answer:
    """No answer, and why; unsigned, and nothing that a cache may keep."""
    return Answer(ocsp.unsuccessful(failure), failure.name.lower(), now)


def _outcome(status: ocsp.Status) -> str:
    match status:
        case ocsp.State.GOOD:
            return "good"
        case ocsp.State.UNKNOWN:
            return "unknown"
        case _:
            return "revoked"
