"""The report of a verification as JUnit XML, in the form that CI systems read (Jenkins' and Ant's dialect)."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from xml.etree import ElementTree as ET

from scaffold.plan.model import Change
from scaffold.verify.model import Check, Report, Result
from scaffold.view.reasons import sentence


def report_junit(report: Report, topology: str, now: datetime) -> bytes:
    """One test suite for each server, one test case for each probe, drift as a suite of its own; UTF-8."""
    root = ET.Element("testsuites", name=_clean(f"scaffold verify {topology}"))
    for server, group in groupby(sorted(report.checks, key=lambda c: c.server), key=lambda check: check.server):
        checks = tuple(group)
        suite = _suite(root, f"{topology}.{server}", now)
        for check in checks:
            _case(suite, topology, check)
        _count(suite)
    if report.drift:
        suite = _suite(root, f"{topology}.drift", now)
        for change in report.drift:
            _drift(suite, topology, change)
        _count(suite)
    _count(root)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(root: ET.Element, name: str, now: datetime) -> ET.Element:
    return ET.SubElement(root, "testsuite", name=_clean(name), timestamp=now.strftime("%Y-%m-%dT%H:%M:%S"), time="0")


def _case(suite: ET.Element, topology: str, check: Check) -> None:
    case = _test_case(suite, f"{topology}.{check.server}", f"{check.client}: {check.probe.words}")
    seen = f"expected {check.expected}, seen {check.observed or 'nothing'}"
    where = f" in {check.layer}" if check.layer else ""
    if check.result is Result.FAILED:
        failure = ET.SubElement(case, "failure", message=_clean(seen + where), type=check.probe.value)
        failure.text = _clean(check.detail)
    elif check.result is Result.SKIPPED:
        ET.SubElement(case, "skipped", message=_clean(check.detail))
    else:
        ET.SubElement(case, "system-out").text = _clean(f"{seen}{where}: {check.detail}")


def _drift(suite: ET.Element, topology: str, change: Change) -> None:
    case = _test_case(suite, f"{topology}.drift", str(change.address))
    failure = ET.SubElement(case, "failure", message=_clean(f"{change.action} is due"), type="drift")
    failure.text = _clean("\n".join(map(sentence, change.reasons)))


def _test_case(suite: ET.Element, classname: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_clean(classname), name=_clean(name), time="0")


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(list(element.iter("testcase")))))
    element.set("failures", str(len(list(element.iter("failure")))))
    element.set("errors", "0")
    element.set("skipped", str(len(list(element.iter("skipped")))))


def _clean(text: str) -> str:
    """`text` without what XML 1.0 (section 2.2) cannot hold."""
    return "".join(
        c if c in "\t\n" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "�" for c in text
    )
