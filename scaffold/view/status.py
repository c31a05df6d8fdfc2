"""The status of every certificate for a person and for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from scaffold.plan.status import FINE, CertificateStatus, State
from scaffold.view.terminal import Line, one_line, plain

STYLES = {
    State.VALID: "green",
    State.FAULT: "yellow",
    State.DUE: "bold yellow",
    State.CHANGED: "bold yellow",
}
"""What is not named here is red."""


def status_lines(certificates: Sequence[CertificateStatus], now: datetime) -> Iterator[Line]:
    """A table: address, state, what is left, the end, and why; then one line that counts."""
    width = max((len(certificate.address) for certificate in certificates), default=0)
    states = max((len(certificate.state) for certificate in certificates), default=0)
    yield [(f"{'certificate':<{width}}  {'state':<{states}}  {'left':>8}  ends", "dim")]
    for certificate in certificates:
        style = STYLES.get(certificate.state, "bold red")
        left = remaining(certificate.not_after, now)
        ends = f"{certificate.not_after:%Y-%m-%d %H:%M} UTC" if certificate.not_after else ""
        detail = f"  {one_line(certificate.detail)}" if certificate.detail else ""
        yield [
            (f"{certificate.address:<{width}}  ", ""),
            (f"{certificate.state.value:<{states}}", style),
            (f"  {left:>8}  {ends:<20}", ""),
            (detail, "dim"),
        ]
    yield plain("")
    counts = Counter(certificate.state for certificate in certificates)
    words = ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state])
    worst = any(certificate.state not in FINE for certificate in certificates)
    yield [(f"Status: {words or 'no certificates'}.", "bold yellow" if worst else "bold")]


def remaining(end: datetime | None, now: datetime) -> str:
    """What is left until `end` in its largest whole unit: `89d`, `23h`, `-3d` where it has passed."""
    if end is None:
        return "-"
    seconds = (end - now).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if abs(seconds) >= length:
            return f"{int(seconds / length):,}{unit}"
    return f"{int(seconds)}s"


def status_json(certificates: Sequence[CertificateStatus]) -> str:
    """`{"certificates": [{"address", "serial", "not_before", "not_after", "state", …}]}`; None for what is missing."""
    values = [
        {
            "address": certificate.address,
            "serial": certificate.serial,
            "not_before": _iso(certificate.not_before),
            "not_after": _iso(certificate.not_after),
            "state": certificate.state.value,
            "fingerprint_sha256": certificate.fingerprint_sha256,
            "detail": certificate.detail,
        }
        for certificate in certificates
    ]
    return json.dumps({"certificates": values}, indent=2, ensure_ascii=False)


def _iso(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC: `2030-01-02T03:04:05Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None
