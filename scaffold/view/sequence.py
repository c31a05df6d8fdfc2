"""A handshake as a Mermaid sequence diagram. Participants are numbered, so that no name is ever syntax."""

from __future__ import annotations

import json
from collections.abc import Iterator

from scaffold.explain.model import Check, Doing, Handshake, Step
from scaffold.verify.model import Observed
from scaffold.view.explain import refusal, sentence, verdict
from scaffold.view.graph import mermaid_text

_MARKS = {True: "✓ ", False: "✗ ", None: ""}


def sequence(told: Handshake) -> Iterator[str]:
    """The steps up to the one at which it ends; each check is a note at whoever makes it."""
    yield "---"
    yield f"title: {json.dumps(verdict(told))}"
    yield "---"
    yield "sequenceDiagram"
    yield "  autonumber"
    yield f"  participant c as {mermaid_text(str(told.caller))}"
    yield f"  participant s as {mermaid_text(str(told.server))}"
    for step in told.steps:
        yield from _step(step, told)
        if (failed := step.failed) is not None:
            answering, other = ("s", "c") if step.by == told.server else ("c", "s")
            yield f"  {answering}--x{other}: {mermaid_text(refusal(step, failed, told))}"
            return
    yield "  c->>s: GET /"
    yield f"  s-->>c: {mermaid_text(_answer(told))}"


def _step(step: Step, told: Handshake) -> Iterator[str]:
    match step.doing:
        case Doing.CONNECTS:
            yield f"  c->>s: ClientHello to {mermaid_text(told.address)}"
            yield from _note("s", step.checks)
        case Doing.SHOWS_SERVER:
            yield f"  s->>c: {_sent(step)}"
            yield "  s->>c: CertificateRequest"
        case Doing.SHOWS_CLIENT:
            yield f"  c->>s: {_sent(step)}"
        case Doing.CHECKS_SERVER:
            yield from _note("c", step.checks)
        case Doing.CHECKS_CLIENT | Doing.DECIDES:
            yield from _note("s", step.checks)


def _sent(step: Step) -> str:
    """The file, and of whom its certificates are."""
    if step.sends is None:
        return "Certificate, issued elsewhere"
    subjects = "<br/>".join(mermaid_text(one.subject) for one in step.shown)
    return f"Certificate: {mermaid_text(step.sends)}<br/>{subjects}"


def _note(at: str, checks: tuple[Check, ...]) -> Iterator[str]:
    if checks:
        said = "<br/>".join(mermaid_text(f"{_mark(check)}{sentence(check)}") for check in checks)
        yield f"  Note over {at}: {said}"


def _mark(check: Check) -> str:
    return _MARKS[None if check.changed else check.holds]


def _answer(told: Handshake) -> str:
    if told.is_open:
        return "not known: a file was changed"
    if told.called is None:
        return "not tried yet by verify"
    if told.called.check.observed is Observed.ALLOWED:
        return told.called.check.detail
    return f"verify saw otherwise: {told.called.check.detail}"
