"""The report as a plain value: what was probed, what was expected, what was seen, and in which layer."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass

from scaffold.plan.model import Change


class Probe(enum.StrEnum):
    """The codes of the probes, in the order of the report. `words` says each to people."""

    EDGE = "edge"
    """A allowed call with the caller's real certificate."""
    CONTROL = "control"
    """A certificate made like the rogues', without their fault: it must get in, or their refusal proves nothing."""
    NOT_ALLOWED = "not-allowed"
    """A party that is not allowed, with its real certificate."""
    OTHER_SUBJECT = "other-subject"
    """A sound certificate for a name that nobody has, by a caller who says that it is one of those allowed."""
    NO_CERTIFICATE = "no-certificate"
    FOREIGN_CA = "foreign-ca"
    SIBLING_CA = "sibling-ca"
    SAME_NAME_CA = "same-name-ca"
    SELF_SIGNED = "self-signed"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    SERVER_CERTIFICATE = "server-certificate"
    NO_EKU = "no-eku"
    ISSUED_BY_LEAF = "issued-by-leaf"
    OLD_TLS = "old-tls"
    REVOKED = "revoked"
    REVOKED_CA = "revoked-ca"
    """A sound certificate while the CA above calls its issuer's revoked."""
    EXPIRED_CRL = "expired-crl"
    """A sound certificate while the CRLs have ended; likewise the next three while OCSP or CRLs cannot be had."""
    RESPONDER_DOWN = "responder-down"
    RESPONDER_UNKNOWN = "responder-unknown"
    STALE_OCSP = "stale-ocsp"
    STAPLE = "staple"
    FORGED_HEADERS = "forged-headers"
    HEALTH = "health"
    TRUE_SERVER = "true-server"
    """The control of the false servers that follow: a caller must accept it."""
    FALSE_NAME = "false-server-name"
    FALSE_COMMON_NAME = "false-server-common-name"
    """Other host names, and the right one as its common name."""
    FALSE_LONE_COMMON_NAME = "false-server-lone-common-name"
    """No host name at all, and the right one as its common name."""
    FALSE_EXPIRED = "false-server-expired"
    FALSE_ROOT = "false-server-root"
    FALSE_EKU = "false-server-eku"
    FALSE_REVOKED = "false-server-revoked"
    SERVER_REVOKED_CA = "server-revoked-ca"
    """A true server while the CA above calls its issuer's revoked; then, as for callers, while nobody can say."""
    SERVER_EXPIRED_CRL = "server-expired-crl"
    SERVER_RESPONDER_DOWN = "server-responder-down"
    SERVER_RESPONDER_UNKNOWN = "server-responder-unknown"
    SERVER_STALE_OCSP = "server-stale-ocsp"
    SERVER_NO_STAPLE = "server-no-staple"

    @property
    def words(self) -> str:
        return _TITLES[self]


_TITLES = {
    Probe.EDGE: "allowed call",
    Probe.CONTROL: "fresh certificate without a fault",
    Probe.NOT_ALLOWED: "not allowed, real certificate",
    Probe.OTHER_SUBJECT: "another subject, with an allowed caller's name",
    Probe.NO_CERTIFICATE: "no certificate",
    Probe.FOREIGN_CA: "foreign CA with the issuer's name",
    Probe.SIBLING_CA: "sibling CA under the same root",
    Probe.SAME_NAME_CA: "another trusted root's CA with the issuer's name",
    Probe.SELF_SIGNED: "self-signed copy",
    Probe.EXPIRED: "expired",
    Probe.NOT_YET_VALID: "not yet valid",
    Probe.SERVER_CERTIFICATE: "a server's certificate (serverAuth)",
    Probe.NO_EKU: "no extended key usage",
    Probe.ISSUED_BY_LEAF: "issued by another leaf",
    Probe.OLD_TLS: "TLS below the profile",
    Probe.REVOKED: "revoked",
    Probe.REVOKED_CA: "its CA is revoked",
    Probe.EXPIRED_CRL: "the CRLs have expired",
    Probe.RESPONDER_DOWN: "revocation status unavailable",
    Probe.RESPONDER_UNKNOWN: "unknown to OCSP",
    Probe.STALE_OCSP: "the OCSP answer has expired",
    Probe.STAPLE: "staples a good OCSP answer",
    Probe.FORGED_HEADERS: "forged identity headers",
    Probe.HEALTH: "health port answers /healthz alone",
    Probe.TRUE_SERVER: "true server, fresh certificate",
    Probe.FALSE_NAME: "false server: wrong name",
    Probe.FALSE_COMMON_NAME: "false server: wrong name, right common name",
    Probe.FALSE_LONE_COMMON_NAME: "false server: right common name alone",
    Probe.FALSE_EXPIRED: "false server: expired",
    Probe.FALSE_ROOT: "false server: foreign root",
    Probe.FALSE_EKU: "false server: a client's certificate",
    Probe.FALSE_REVOKED: "false server: revoked",
    Probe.SERVER_REVOKED_CA: "true server, its CA is revoked",
    Probe.SERVER_EXPIRED_CRL: "true server, the CRLs have expired",
    Probe.SERVER_RESPONDER_DOWN: "true server, revocation status unavailable",
    Probe.SERVER_RESPONDER_UNKNOWN: "true server, unknown to OCSP",
    Probe.SERVER_STALE_OCSP: "true server, the OCSP answer has expired",
    Probe.SERVER_NO_STAPLE: "true server without a staple",
}


class Expected(enum.StrEnum):
    """What the topology says must happen."""

    ALLOWED = "allowed"
    REFUSED = "refused"


class Observed(enum.StrEnum):
    """What happened. Only `allowed` and `refused` can be right; the others are neither."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    BROKEN = "broken"
    """An answer that is neither a welcome nor a refusal: a 500, a wrong name in the JSON, a crash."""
    NOTHING = ""
    """The probe was skipped."""


class Layer(enum.StrEnum):
    """Where the decision fell, where that was below the server's protocol; in that, it is the protocol's name."""

    TCP = "tcp"
    TLS = "tls"


class Result(enum.StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Unstarted:
    """A server that did not start, as people know it; what it said last, in several lines; and what to do.

    Likewise one that was to run already; `what` says which.
    """

    who: str
    said: str
    hint: str
    what: str = "did not start"


@dataclass(frozen=True, slots=True)
class Check:
    """One probe: `client` is the party whose identity was used, at (or, for the false servers, in place of) `server`.

    Both are names in the topology. `detail` is one line for people: why it was refused, or why it was skipped.
    """

    server: str
    client: str
    probe: Probe
    expected: Expected
    observed: Observed
    detail: str
    layer: Layer | str | None
    result: Result
    why: str = ""
    """Why a call that the topology allows is to be refused all the same, or a false server to be believed."""
    unstarted: Unstarted | None = None
    """The server that it needs and that did not start, or does not answer: nobody could be reached."""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in the topology's order, and what in `tls/` was not as the topology says (each one a failure).

    `of_running`: of servers that ran before, and which nobody here has started.
    """

    checks: tuple[Check, ...]
    drift: tuple[Change, ...] = ()
    of_running: bool = False

    @property
    def summary(self) -> dict[Result, int]:
        """How many passed, failed (drift included) and were skipped; all three keys are always there."""
        counts = Counter(check.result for check in self.checks)
        return {result: counts[result] + (len(self.drift) if result is Result.FAILED else 0) for result in Result}

    @property
    def failed(self) -> bool:
        """Whether any probe failed, anything had drifted, or nothing was tried: that proves nothing."""
        return self.summary[Result.FAILED] > 0 or not self.tried

    @property
    def tried(self) -> bool:
        """Whether any check was tried at all."""
        return any(check.result is not Result.SKIPPED for check in self.checks)
