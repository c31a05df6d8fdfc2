"""Reports of verifications that never were, for the tests of how they are shown."""

from __future__ import annotations

from dataclasses import replace

from scaffold.verify.http import HTTP
from scaffold.verify.model import Check, Expected, Layer, Observed, Probe, Result

WELCOMED = {Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS, Probe.HEALTH, Probe.TRUE_SERVER, Probe.STAPLE}


def check(server: str, client: str, probe: Probe, expected: Expected | None = None) -> Check:
    """One that passed: what is welcomed everywhere was let in, anything else refused."""
    expected = expected or (Expected.ALLOWED if probe in WELCOMED else Expected.REFUSED)
    if expected is Expected.ALLOWED:
        return Check(server, client, probe, expected, Observed.ALLOWED, f"as {client}", HTTP, Result.PASSED)
    return Check(server, client, probe, expected, Observed.REFUSED, "alert unknown ca", Layer.TLS, Result.PASSED)


def gone_wrong(one: Check, observed: Observed, detail: str = "what was seen") -> Check:
    return replace(one, observed=observed, detail=detail, layer=HTTP, result=Result.FAILED)


def skipped(one: Check, reason: str) -> Check:
    return replace(one, observed=Observed.NOTHING, detail=reason, layer=None, result=Result.SKIPPED)


def shop() -> tuple[Check, ...]:
    """Of a shop with two servers, two who may call and one whose certificate is broken on purpose."""
    return (
        check("api", "web", Probe.EDGE),
        check("api", "late", Probe.EDGE, Expected.REFUSED),
        check("api", "web", Probe.CONTROL),
        check("api", "web", Probe.FORGED_HEADERS),
        check("api", "anyone", Probe.HEALTH),
        check("api", "anyone", Probe.NO_CERTIFICATE),
        check("api", "ops", Probe.NOT_ALLOWED),
        check("api", "web", Probe.FOREIGN_CA),
        check("api", "web", Probe.EXPIRED),
        check("api", "web", Probe.REVOKED),
        check("api", "web", Probe.TRUE_SERVER),
        check("api", "web", Probe.FALSE_NAME),
        check("api", "web", Probe.FALSE_ROOT),
        check("store", "ops", Probe.EDGE),
        check("store", "web", Probe.NOT_ALLOWED),
        check("store", "late", Probe.NOT_ALLOWED),
        check("store", "anyone", Probe.NO_CERTIFICATE),
    )
