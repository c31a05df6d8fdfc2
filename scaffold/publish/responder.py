"""The OCSP responder of one CA (RFC 6960, RFC 9919): requests in DER go in, signed answers come out.

It signs with a delegated certificate (RFC 6960 4.2.2.2) that lives a few days and whose key never leaves memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scaffold.errors import Unreadable
from scaffold.pki import chains, ocsp
from scaffold.pki.issue import Issuer
from scaffold.publish.authority import Authority

DELEGATION: Final = timedelta(days=7)
"""How long a responder's certificate lives; RFC 6960 4.2.2.2.1 wants it short, as nobody can revoke it."""

_MOST_CACHED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A DER response. `fresh_until` is its end, None where no cache may keep it; `outcome` is what is counted."""

    body: bytes
    outcome: str
    produced: datetime
    fresh_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Signed:
    status: ocsp.Status
    body: bytes
    this_update: datetime
    next_update: datetime


class Responder:
    """Answers for one CA. Answers without a nonce are kept and served again until half their life has passed."""

    def __init__(self, authority: Authority, delegate: Issuer, lifetime: timedelta) -> None:
        self._authority = authority
        self._delegate = delegate
        self._lifetime = lifetime
        self._ids = ocsp.IssuerIds.of(authority.certificate)
        self._cache: dict[ocsp.CertId, _Signed] = {}

    def delegate_is_of(self, authority: Authority) -> bool:
        """Whether the delegated certificate is one that the CA's key of today signed."""
        return chains.signed_by(self._delegate.certificate, authority.certificate)

    def update(self, authority: Authority) -> None:
        """Takes what is known now; kept answers that it contradicts are signed again when they are asked for."""
        self._authority = authority

    def is_due(self, now: datetime) -> bool:
        """Whether the delegated certificate should be replaced: it must outlive every answer that it signs."""
        return self._delegate.not_after - now < DELEGATION / 2

    def answer(self, request: bytes, now: datetime) -> Answer:
        """The response to a DER request, whatever its bytes are."""
        try:
            asked = ocsp.parse_request(request)
        except Unreadable:
            return Answer(ocsp.unsuccessful(ocsp.Failure.MALFORMED_REQUEST), "malformed", now)
        if not all(one in self._ids for one in asked.ids):
            # RFC 6960 2.3: "unauthorized" also says that this responder is not the one to ask.
            return Answer(ocsp.unsuccessful(ocsp.Failure.UNAUTHORIZED), "unauthorized", now)
        if len(asked.ids) == 1 and asked.nonce is None:
            return self._kept(asked.ids[0], now)
        return self._fresh(asked, now)

    def _kept(self, one: ocsp.CertId, now: datetime) -> Answer:
        status = self._authority.status(one.serial)
        kept = self._cache.get(one)
        if kept is None or kept.status != status or now > kept.this_update + self._lifetime / 2:
            kept = self._sign(one, status, now)
            if status is not ocsp.State.UNKNOWN:  # serials that nobody issued would fill the memory
                self._keep(one, kept)
        return Answer(kept.body, _outcome(status), kept.this_update, kept.next_update)

    def _keep(self, one: ocsp.CertId, signed: _Signed) -> None:
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()
        self._cache[one] = signed

    def _sign(self, one: ocsp.CertId, status: ocsp.Status, now: datetime) -> _Signed:
        next_update = self._until(now)
        body = ocsp.respond([(one, status)], self._delegate, this_update=now, next_update=next_update)
        return _Signed(status, body, now, next_update)

    def _fresh(self, asked: ocsp.Request, now: datetime) -> Answer:
        answers = [(one, self._authority.status(one.serial)) for one in asked.ids]
        body = ocsp.respond(answers, self._delegate, this_update=now, next_update=self._until(now), nonce=asked.nonce)
        outcome = _outcome(answers[0][1]) if len(answers) == 1 else "several"
        return Answer(body, outcome, now)

    def _until(self, now: datetime) -> datetime:
        return min(now + self._lifetime, self._delegate.not_after)


def _outcome(status: ocsp.Status) -> str:
    match status:
        case ocsp.State.GOOD:
            return "good"
        case ocsp.State.UNKNOWN:
            return "unknown"
        case _:
            return "revoked"
