"""What a failed check means, and what to do: every probe has words of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaffold.verify.cases import is_in_its_place
from scaffold.verify.model import Expected, Observed, Probe
from scaffold.view.advice import meaning, remedy
from tests.unit.view.reports import WELCOMED, check, gone_wrong

UNAVAILABLE = {
    Probe.EXPIRED_CRL, Probe.RESPONDER_DOWN, Probe.RESPONDER_UNKNOWN, Probe.STALE_OCSP, Probe.SERVER_REVOKED_CA,
    Probe.SERVER_EXPIRED_CRL, Probe.SERVER_RESPONDER_DOWN, Probe.SERVER_RESPONDER_UNKNOWN, Probe.SERVER_STALE_OCSP,
    Probe.SERVER_NO_STAPLE,
}  # fmt: skip


@pytest.mark.parametrize("probe", [probe for probe in Probe if probe not in WELCOMED or probe is Probe.EDGE])
def test_each_probe_that_must_be_refused_says_what_is_missing(probe: Probe) -> None:
    wrong = gone_wrong(check("api", "web", probe, Expected.REFUSED), Observed.ALLOWED)
    said = meaning(wrong)
    assert said is not None
    assert ("revocation status was not available" in said.lower()) is (probe in UNAVAILABLE)
    assert "{" not in said + remedy(wrong)
    if probe not in UNAVAILABLE:
        assert ("web" if is_in_its_place(probe) else "api") in said
    assert "scaffold plan" in remedy(wrong)


def test_a_allowed_call_that_is_refused_is_explained() -> None:
    wrong = gone_wrong(check("api", "web", Probe.EDGE), Observed.REFUSED)
    assert "`scaffold explain web api`" in remedy(wrong)


@pytest.mark.parametrize("observed", [Observed.UNREACHABLE, Observed.BROKEN])
def test_what_is_neither_sends_to_the_servers_output(observed: Observed) -> None:
    wrong = replace(gone_wrong(check("api", "web", Probe.EDGE), observed))
    assert "scaffold up --only server.api" in remedy(wrong)
    assert meaning(wrong) is not None
