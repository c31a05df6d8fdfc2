"""A verification's report for a person, a program and a CI."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from scaffold.plan.model import Action, Change
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.topology.address import Address
from scaffold.verify.http import HTTP
from scaffold.verify.model import Check, Expected, Observed, Probe, Report, Result
from scaffold.view.junit import report_junit
from scaffold.view.programs import report_json
from scaffold.view.terminal import show
from scaffold.view.verify import report_lines

PASSED = Check("api", "ann", Probe.EDGE, Expected.ALLOWED, Observed.ALLOWED, "200", HTTP, Result.PASSED)
FAILED = Check("api", "eve", Probe.EXPIRED, Expected.REFUSED, Observed.ALLOWED, "200\x00]]>", HTTP, Result.FAILED)
SKIPPED = Check("web", "ann", Probe.EDGE, Expected.ALLOWED, Observed.NOTHING, "no dotnet", None, Result.SKIPPED)
DRIFT = Change(
    Address.parse("server.api.trust"), Action.UPDATE, (Reason(ReasonCode.CONTENT, "servers/api/tls/ca.pem"),)
)


def text(report: Report) -> str:
    stream = io.StringIO()
    show(report_lines(report, {"api": "python", "web": "kestrel"}), stream)
    return stream.getvalue()


def test_a_report_is_grouped_by_server_and_says_what_was_expected_and_seen() -> None:
    lines = text(Report((PASSED, SKIPPED, PASSED))).splitlines()
    assert lines[0] == "api  python"
    assert lines[2].split() == ["✓", "ann", "allowed", "call", "allowed", "allowed", "(http)", "200"]
    assert [line for line in lines if not line.startswith(" ")] == [
        "api  python", "", "web  kestrel", "", "Verify: 2 passed, 0 failed, 1 skipped.",
    ]  # fmt: skip
    assert "  - 1 skipped: no dotnet  (allowed call)" in lines


def test_failures_stand_once_more_at_the_end() -> None:
    shown = text(Report((FAILED, *[PASSED] * 40)))
    assert "  eve at api, expired: expected refused, seen allowed (http)" in shown[shown.index("Failed:") :]


def test_drift_is_shown_and_counts_as_a_failure() -> None:
    shown = text(Report((PASSED,), (DRIFT,)))
    assert "~ server.api.trust  servers/api/tls/ca.pem differs (see `plan --diff`)" in shown
    assert shown.endswith("Verify: 1 passed, 1 failed, 0 skipped.\n")


def test_json_holds_the_contract() -> None:
    value = json.loads(report_json(Report((PASSED, FAILED, SKIPPED), (DRIFT,))))
    assert value["summary"] == {"passed": 1, "failed": 2, "skipped": 1}
    assert {"server", "client", "probe", "expected", "observed", "detail", "result"} <= value["checks"][0].keys()
    assert [check["result"] for check in value["checks"]] == ["passed", "failed", "skipped"]


def test_junit_counts_and_is_well_formed_whatever_was_seen() -> None:
    root = ET.fromstring(
        report_junit(Report((PASSED, FAILED, SKIPPED), (DRIFT,)), "bank", datetime(2030, 1, 2, tzinfo=UTC))
    )
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures"), root.get("skipped"), root.get("errors")) == ("4", "2", "1", "0")
    assert [suite.get("name") for suite in root] == ["bank.api", "bank.web", "bank.drift"]
    failure = root.find("./testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == "expected refused, seen allowed in http"


def test_a_report_of_skips_alone_proves_nothing_and_says_so() -> None:
    nothing = Report((SKIPPED, SKIPPED))
    assert (nothing.failed, nothing.tried) == (True, False)
    assert "Nothing was tried: the reasons are above" in text(nothing)
    assert "no server" in text(Report(()))
    assert Report(()).failed
    one = Report((SKIPPED, PASSED))
    assert (one.failed, one.tried) == (False, True)
    assert "Nothing was tried" not in text(one)
