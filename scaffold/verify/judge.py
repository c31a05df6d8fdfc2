"""What an outcome means: let in, refused for the right reason, or neither. Pure: outcomes in, findings out."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from dataclasses import dataclass

from scaffold.verify.model import Layer, Observed
from scaffold.verify.probe import Answered, Closed, Outcome, Stuck, Unreachable

CANNOT_TRUST, REFUSED, NOT_REACHABLE = 3, 4, 5
"""The exit statuses of every rendered client: it refuses the server, the server refuses it, nobody answers."""

_REFUSING = frozenset({400, 401, 403, 495, 496})
"""HTTP statuses of a refusal. 495 and 496 are in no RFC: some servers say so of a certificate, or say 400."""

_ABOUT_THE_PROTOCOL = frozenset({"protocol version", "handshake failure", "insufficient security"})
_NOT_ABOUT_A_CERTIFICATE = frozenset(
    {"protocol version", "internal error", "no application protocol", "unrecognized name", "decode error"}
)
"""TLS alerts (RFC 8446 6.2) that refuse something else than who the caller is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, in which layer, and one line about it."""

    observed: Observed
    layer: Layer | None
    detail: str


@dataclass(frozen=True, slots=True)
class Name:
    """A caller as a gateway tells it: subject and issuer as RFC 2253 strings."""

    subject: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the answer to a caller who was let in must say: who answers, who called it, and on whose behalf."""

    server: str
    caller: str
    on_behalf_of: Name | None = None


def admission(outcome: Outcome, welcome: Welcome | None = None) -> Finding:
    """Whether a caller got in. With `welcome`, an answer that names anybody else is no admission.

    A refusal is the server's own word: an alert about the certificate, an end of the connection, or an HTTP status that
    says so. A 500 or a 502 is none, and nor is a server that is not there.
    """
    match outcome:
        case Answered(200, body):
            return _named(body, welcome)
        case Answered(status, body):
            observed = Observed.REFUSED if status in _REFUSING else Observed.BROKEN
            return Finding(observed, Layer.HTTP, f"HTTP {status}{_reason(body)}")
        case Closed(alert, _) if alert in _NOT_ABOUT_A_CERTIFICATE:
            return Finding(Observed.BROKEN, Layer.TLS, _end(outcome))
        case Closed():
            return Finding(Observed.REFUSED, Layer.TLS, _end(outcome))
        case _:
            return _no_outcome(outcome)


def protocol_refusal(outcome: Outcome) -> Finding:
    """Whether an old protocol was refused: any answer, even a 403, means that the server spoke it."""
    match outcome:
        case Answered(status, _):
            return Finding(Observed.ALLOWED, Layer.TLS, f"the handshake was done, then HTTP {status}")
        case Closed(_, True):
            return Finding(Observed.ALLOWED, Layer.TLS, f"the handshake was done, then {_end(outcome)}")
        case Closed(alert, False) if alert is None or alert in _ABOUT_THE_PROTOCOL:
            return Finding(Observed.REFUSED, Layer.TLS, _end(outcome))
        case Closed():
            return Finding(Observed.BROKEN, Layer.TLS, f"refused for another reason: {_end(outcome)}")
        case _:
            return _no_outcome(outcome)


def health(alive: Outcome, elsewhere: Outcome) -> Finding:
    """Whether the plain port answers `/healthz` with 200 `ok`, and everything else with 404."""
    for outcome in (alive, elsewhere):
        if not isinstance(outcome, Answered):
            return admission(outcome)
    match alive, elsewhere:
        case Answered(200, body), Answered(404, _) if body.strip() == b"ok":
            return Finding(Observed.ALLOWED, Layer.HTTP, "/healthz: 200 ok, /: 404")
        case Answered(first, _), Answered(second, _):
            return Finding(Observed.BROKEN, Layer.HTTP, f"/healthz: HTTP {first}, /: HTTP {second}")
        case _:
            raise AssertionError(alive, elsewhere)


def client_run(status: int, output: str, complaint: str, welcome: Welcome) -> Finding:
    """What a rendered client's exit status and words say of a allowed call."""
    words = _last_line(complaint)
    match status:
        case 0:
            return _named(output.encode(), welcome)
        case 3:
            return Finding(Observed.REFUSED, Layer.TLS, words)
        case 4:
            return Finding(Observed.REFUSED, _layer_of(words), words)
        case 5:
            return Finding(Observed.UNREACHABLE, Layer.TCP, words)
        case _:
            return Finding(Observed.BROKEN, None, f"exit status {status}: {words}")


def declared_refusal(status: int, output: str, complaint: str, sides: Set[int]) -> Finding:
    """The same where a fault was declared: only the side that must see it may refuse, by its exit status."""
    words = _last_line(complaint)
    if status == 0:
        return Finding(Observed.ALLOWED, Layer.HTTP, _last_line(output))
    if status in sides:
        return Finding(Observed.REFUSED, _layer_of(words), words)
    if status == NOT_REACHABLE:
        return Finding(Observed.UNREACHABLE, Layer.TCP, words)
    return Finding(Observed.BROKEN, None, f"not for the declared fault: exit status {status}: {words}")


def bad_gateway(outcome: Answered) -> Finding:
    """What a gateway says of a callee that it does not trust, in its own words."""
    observed = Observed.ALLOWED if outcome.status == 200 else Observed.BROKEN
    return Finding(observed, Layer.HTTP, f"HTTP {outcome.status}{_reason(outcome.body)}")


def trust(status: int, complaint: str, connections: int, requests: int) -> Finding:
    """Whether a rendered client believed the server that stood there, by its exit status and what reached that."""
    return _trust(status == 0, status == CANNOT_TRUST, connections, requests, _last_line(complaint) or f"exit {status}")


def trust_of_server(outcome: Outcome, connections: int, requests: int) -> Finding:
    """The same of a server that was asked to make a call: it answers 502 where it refuses its callee."""
    match outcome:
        case Answered(status, body):
            words = f"HTTP {status}{_reason(body)}"
            return _trust(status == 200, status == 502, connections, requests, words)
        case _:
            finding = admission(outcome)
            observed = Observed.BROKEN if finding.observed is Observed.REFUSED else finding.observed
            return Finding(observed, finding.layer, f"it could not be asked: {finding.detail}")


def _trust(accepted: bool, refused: bool, connections: int, requests: int, words: str) -> Finding:
    if requests:
        if accepted:
            return Finding(Observed.ALLOWED, Layer.HTTP, words if not accepted else "it sent its request")
        return Finding(Observed.ALLOWED, Layer.HTTP, f"it sent its request, and then: {words}")
    if connections == 0:
        return Finding(Observed.UNREACHABLE, Layer.TCP, f"it never connected: {words}")
    if refused:
        return Finding(Observed.REFUSED, Layer.TLS, words)
    return Finding(Observed.BROKEN, None, words)


def _named(body: bytes, welcome: Welcome | None) -> Finding:
    """An answer of 200 and whom it names."""
    if welcome is None:
        return Finding(Observed.ALLOWED, Layer.HTTP, "HTTP 200")
    answer = _json_object(body)
    if answer is None:
        return Finding(Observed.BROKEN, Layer.HTTP, "the answer is no JSON object")
    behalf = welcome.on_behalf_of
    wanted: dict[str, object] = {
        "server": welcome.server,
        "caller": welcome.caller,
        "roles": [],
        "on_behalf_of": {"subject": behalf.subject, "issuer": behalf.issuer} if behalf else None,
    }
    for field, value in wanted.items():
        if answer.get(field) != value:
            said, asked = json.dumps(answer.get(field)), json.dumps(value)
            return Finding(Observed.BROKEN, Layer.HTTP, f"the answer says {field} {said}, and it is {asked}")
    words = f"as {welcome.caller}" + (f", for {behalf.subject}" if behalf else "")
    return Finding(Observed.ALLOWED, Layer.HTTP, words)


def _json_object(body: bytes) -> dict[str, object] | None:
    text = body.decode("utf-8", "replace")
    start, end = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _reason(body: bytes) -> str:
    answer = _json_object(body) or {}
    return f": {answer['error']}" if isinstance(answer.get("error"), str) else ""


def _end(outcome: Closed) -> str:
    what = f"alert {outcome.alert}" if outcome.alert else "closed without an alert"
    return f"{what} after the handshake" if outcome.after_handshake and not outcome.alert else what


def _no_outcome(outcome: Outcome) -> Finding:
    match outcome:
        case Unreachable(reason):
            return Finding(Observed.UNREACHABLE, Layer.TCP, reason)
        case Stuck(layer, reason):
            return Finding(Observed.BROKEN, layer, reason)
        case _:
            raise AssertionError(outcome)


def _layer_of(words: str) -> Layer:
    """Where a rendered client says that it was refused: with an HTTP status, or before any."""
    return Layer.HTTP if re.search(r"\b4\d\d\b", words) else Layer.TLS


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
