"""What `explain` tells, as JSON for programs: field names and values are a contract."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from scaffold.explain.model import Check, Edge, Handshake, Overview, Shown, Step
from scaffold.kinds.lines import Line
from scaffold.verify.last_run import Seen
from scaffold.view.explain import sentence, verdict
from scaffold.view.programs import dump


def handshake_json(told: Handshake) -> str:
    """`{"caller", "server", "address", "listed", "succeeds", "verdict", "refused_by", "steps", "called", …}`."""
    ends_at = told.ends_at
    return dump(
        {
            "caller": str(told.caller),
            "server": str(told.server),
            "address": told.address,
            "listed": told.listed,
            "succeeds": None if told.is_open else ends_at is None,
            "verdict": verdict(told),
            "refused_by": str(ends_at.by) if ends_at is not None else None,
            "steps": [_step(step) for step in told.steps],
            "called": _seen(told.called) if told.called is not None else None,
            "changed": list(told.changed),
        }
    )


def overview_json(told: Overview) -> str:
    """`{"address", "callers", "callees", "lines", "others", "changed"}`."""
    return dump(
        {
            "address": str(told.address),
            "callers": [_edge(edge) for edge in told.callers],
            "callees": [_edge(edge) for edge in told.callees],
            "lines": _lines(told.lines),
            "others": [_seen(seen) for seen in told.others],
            "changed": list(told.changed),
        }
    )


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.doing.value,
        "by": str(step.by),
        "sends": step.sends,
        "certificates": [_certificate(one) for one in step.shown],
        "lines": _lines(step.lines),
        "checks": [_check(check) for check in step.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "check": check.about.value,
        "holds": None if check.changed else check.holds,
        "message": sentence(check),
        "lines": _lines(check.lines),
        "changed": list(check.changed),
        "absent": [{"file": file, "text": text} for file, text in check.absent],
        "seen": [_seen(seen) for seen in check.seen],
    }


def _certificate(one: Shown) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "issuer": one.issuer,
        "names": list(one.names),
        "serial": one.serial,
        "not_before": _time(one.not_before),
        "not_after": _time(one.not_after),
    }


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "caller": str(edge.caller),
        "server": str(edge.server),
        "identity": edge.identity,
        "roles": list(edge.roles),
        "place": f"{edge.place.file}:{edge.place.line}" if edge.place is not None else None,
        "until": _time(edge.until) if edge.until is not None else None,
        "refused_by": str(edge.refused_by) if edge.refused_by is not None else None,
        "refusal": sentence(edge.refusal) if edge.refusal is not None else None,
        "changed": list(edge.changed),
    }


def _lines(lines: Iterable[Line]) -> list[dict[str, Any]]:
    return [{"file": line.file, "line": line.number, "text": line.text} for line in lines]


def _seen(seen: Seen) -> dict[str, Any]:
    check = seen.check
    return {
        "at": _time(seen.at),
        "probe": check.probe.value,
        "client": check.client,
        "observed": check.observed.value,
        "layer": check.layer,
        "detail": check.detail,
        "result": check.result.value,
    }


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
