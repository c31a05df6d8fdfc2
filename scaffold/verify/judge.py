"""What an outcome means: let in, refused for the right reason, or neither. Pure: outcomes in, findings out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from scaffold.verify.forwarded import Headers, Told, by_name
from scaffold.verify.model import Layer, Observed
from scaffold.verify.protocol import Admitted, Closed, Denied, Failed, Outcome, ServerProtocol, Stuck, Unreachable

CANNOT_TRUST, REFUSED, NOT_REACHABLE = 3, 4, 5
"""The exit statuses of every rendered client: it refuses the server, the server refuses it, nobody answers."""

_ABOUT_THE_PROTOCOL = frozenset({"protocol version", "handshake failure", "insufficient security"})
_NOT_ABOUT_A_CERTIFICATE = frozenset(
    {"protocol version", "internal error", "no application protocol", "unrecognized name", "decode error"}
)
"""TLS alerts (RFC 8446 6.2) that refuse something else than who the caller is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, in which layer, and one line about it."""

    observed: Observed
    layer: Layer | str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Name:
    """A caller as a gateway tells it: subject and issuer as RFC 2253 strings, and its roles at the gateway."""

    subject: str
    issuer: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the answer to a caller who was let in must say: who answers, who called it, as what, and on whose behalf."""

    server: str
    caller: str
    on_behalf_of: Name | None = None
    roles: tuple[str, ...] = ()
    told: Told | None = None
    """What the app behind a front must be told."""


def admission(outcome: Outcome, welcome: Welcome | None = None) -> Finding:
    """Whether a caller got in. With `welcome`, an answer that names anybody else is no admission.

    A refusal is the server's own word: an alert about the certificate, an end of the connection, or what its protocol
    has for one. A failure is none, and nor is a server that is not there.
    """
    match outcome:
        case Admitted():
            finding = _named(outcome.layer, outcome.words, outcome.answer, welcome)
            return finding if welcome is None else _with_app(finding, outcome.reached, welcome)
        case Denied(layer, words):
            return Finding(Observed.REFUSED, layer, words)
        case Failed(layer, words):
            return Finding(Observed.BROKEN, layer, words)
        case Closed(alert, _) if alert in _NOT_ABOUT_A_CERTIFICATE:
            return Finding(Observed.BROKEN, Layer.TLS, _end(outcome))
        case Closed():
            return Finding(Observed.REFUSED, Layer.TLS, _end(outcome))
        case _:
            return _no_outcome(outcome)


def protocol_refusal(outcome: Outcome) -> Finding:
    """Whether an old version of TLS was refused: any answer, even a refusal, means that the server spoke it."""
    match outcome:
        case Admitted(_, words) | Denied(_, words) | Failed(_, words):
            return Finding(Observed.ALLOWED, Layer.TLS, f"the handshake was done, then {words}")
        case Closed(_, True):
            return Finding(Observed.ALLOWED, Layer.TLS, f"the handshake was done, then {_end(outcome)}")
        case Closed(alert, False) if alert is None or alert in _ABOUT_THE_PROTOCOL:
            return Finding(Observed.REFUSED, Layer.TLS, _end(outcome))
        case Closed():
            return Finding(Observed.BROKEN, Layer.TLS, f"refused for another reason: {_end(outcome)}")
        case _:
            return _no_outcome(outcome)


def client_run(protocol: ServerProtocol, status: int, output: str, complaint: str, welcome: Welcome) -> Finding:
    """What a rendered client's exit status and words say of a allowed call."""
    words = last_line(complaint)
    match status:
        case 0:
            return _named(protocol.name, words, output.encode(), welcome)
        case 3:
            return Finding(Observed.REFUSED, Layer.TLS, words)
        case 4:
            return Finding(Observed.REFUSED, protocol.refused_in(words), words)
        case 5:
            return Finding(Observed.UNREACHABLE, Layer.TCP, words)
        case _:
            return Finding(Observed.BROKEN, None, f"exit status {status}: {words}")


def declared_refusal(protocol: ServerProtocol, status: int, output: str, complaint: str, sides: Set[int]) -> Finding:
    """The same where a fault was declared: only the side that must see it may refuse, by its exit status."""
    words = last_line(complaint)
    if status == 0:
        return Finding(Observed.ALLOWED, protocol.name, last_line(output))
    if status in sides:
        return Finding(Observed.REFUSED, protocol.refused_in(words), words)
    if status == NOT_REACHABLE:
        return Finding(Observed.UNREACHABLE, Layer.TCP, words)
    return Finding(Observed.BROKEN, None, f"not for the declared fault: exit status {status}: {words}")


def trust(protocol: ServerProtocol, status: int, complaint: str, connections: int, requests: int) -> Finding:
    """Whether a rendered client believed the server that stood there, by its exit status and what reached that."""
    words = last_line(complaint) or f"exit {status}"
    return _trust(protocol.name, status == CANNOT_TRUST, connections, requests, words)


def trust_of_server(outcome: Outcome, connections: int, requests: int) -> Finding:
    """The same of a server that was asked to make a call, which fails where it refuses its callee."""
    match outcome:
        case Admitted(layer, words) | Denied(layer, words) | Failed(layer, words):
            refused = isinstance(outcome, Failed) and outcome.beyond
            return _trust(layer, refused, connections, requests, words)
        case _:
            finding = admission(outcome)
            observed = Observed.BROKEN if finding.observed is Observed.REFUSED else finding.observed
            return Finding(observed, finding.layer, f"it could not be asked: {finding.detail}")


def _trust(layer: str, refused: bool, connections: int, requests: int, words: str) -> Finding:
    if requests:
        return Finding(Observed.ALLOWED, layer, f"it sent its request{f', and then: {words}' if refused else ''}")
    if connections == 0:
        return Finding(Observed.UNREACHABLE, Layer.TCP, f"it did not connect: {words}")
    if refused:
        return Finding(Observed.REFUSED, Layer.TLS, words)
    return Finding(Observed.BROKEN, None, words)


def _named(layer: str, words: str, body: bytes, welcome: Welcome | None) -> Finding:
    """A welcome, and whom its answer names."""
    if welcome is None:
        return Finding(Observed.ALLOWED, layer, words)
    answer = json_object(body)
    if answer is None:
        return Finding(Observed.BROKEN, layer, "the answer is no JSON object")
    if (wrong := misnamed(answer, welcome)) is not None:
        return Finding(Observed.BROKEN, layer, f"the answer {wrong}")
    behalf = welcome.on_behalf_of
    named = f"as {_with_roles(welcome.caller, welcome.roles)}"
    for_whom = f", for {_with_roles(behalf.subject, behalf.roles)}" if behalf else ""
    return Finding(Observed.ALLOWED, layer, named + for_whom)


def _with_app(finding: Finding, reached: Headers | None, welcome: Welcome) -> Finding:
    """A welcome, where there is an app behind the front, and that was told who called."""
    if welcome.told is None or reached is None or finding.observed is not Observed.ALLOWED:
        return finding
    if (wrong := welcome.told.wrong(reached)) is not None:
        return replace(finding, observed=Observed.BROKEN, detail=f"the app behind it {wrong}")
    return replace(finding, detail=f"{finding.detail}; its app received it by {by_name(welcome.told.forward)}")


def misnamed(answer: Mapping[str, object], welcome: Welcome) -> str | None:
    """What an answer says otherwise than it must, as a sentence about it goes on; None where it is right."""
    said = dict(answer)
    if isinstance(told := said.get("on_behalf_of"), dict):
        said["on_behalf_of"] = {"roles": [], **told}  # a server that knows of no roles says nothing of them
    behalf = welcome.on_behalf_of
    wanted: dict[str, object] = {
        "server": welcome.server,
        "caller": welcome.caller,
        "roles": list(welcome.roles),
        "on_behalf_of": {"subject": behalf.subject, "issuer": behalf.issuer, "roles": list(behalf.roles)}
        if behalf
        else None,
    }
    for field, value in wanted.items():
        if said.get(field) != value:
            return f"has {field} {json.dumps(said.get(field))} instead of {json.dumps(value)}"
    return None


def _with_roles(who: str, roles: tuple[str, ...]) -> str:
    return f"{who} ({', '.join(roles)})" if roles else who


def json_object(body: bytes) -> dict[str, object] | None:
    """The JSON object in an answer, whatever is around it; None where there is none."""
    text = body.decode("utf-8", "replace")
    start, end = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


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


def last_line(text: str) -> str:
    """The last line that says anything: programs end with why they failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
