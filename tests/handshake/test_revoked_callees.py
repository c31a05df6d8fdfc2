"""Servers that check revocation look up those whom they call, too: the real programs, and what verify finds of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from scaffold.verify.model import Probe, Report, Result
from tests.handshake.verify_lab import Lab, applied

# The callee is below another root than all callers: its CRLs are needed beside theirs.
TOPOLOGY = """
version: 1
name: callees
publish: "http://{publish}"
cas:
  root: {{}}
  issuing: {{issuer: root}}
  elsewhere: {{}}
  outer: {{issuer: elsewhere}}
defaults: {{issuer: issuing, check_revocation: {check}}}
servers:
  gate: {{template: nginx, listen: "{gate}", names: [gate.internal], upstream: back, calls: [back]}}
  side: {{template: nginx, listen: "{side}", names: [side.internal], calls: [back]}}
  proxy: {{template: haproxy, listen: "{proxy}", names: [proxy.internal], upstream: back, calls: [back]}}
  app: {{template: python, listen: "{app}", names: [app.internal], calls: [back]}}
  back: {{template: python, listen: "{back}", names: [back.internal], issuer: outer, check_revocation: none}}
clients:
  teller: {{template: python, calls: [gate, side, proxy, app], check_revocation: none}}
"""

CALLERS = ("gate", "side", "proxy", "app")


def lab(folder: Path, check: str, text: str = TOPOLOGY) -> Lab:
    names = ("publish", "gate", "side", "proxy", "app", "back")
    addresses = dict(zip(names, map(str, free_addresses(len(names))), strict=True))
    return applied(text.format(check=check, **addresses), folder)


def results(report: Report, probe: Probe) -> dict[str, tuple[Result, str]]:
    of_it = [one for one in report.checks if one.server == "back" and one.probe is probe]
    return {one.client: (one.result, one.detail) for one in of_it}


@pytest.fixture(scope="module")
def checking(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return lab(tmp_path_factory.mktemp("callees"), "crl")


def test_a_revoked_callee_is_refused_by_each_kind_that_declares_it(checking: Lab) -> None:
    report = checking.verify("server.back")
    for probe in (Probe.EDGE, Probe.TRUE_SERVER, Probe.FALSE_REVOKED):
        found = results(report, probe)
        assert {name: found[name][0] for name in CALLERS} == dict.fromkeys(CALLERS, Result.PASSED), (probe, found)


DROPPED: dict[str, Callable[[Lab], None]] = {
    "gate": lambda lab: lab.rewrite("servers/gate/nginx.conf", ("proxy_ssl_crl ", "# proxy_ssl_crl ")),
    "proxy": lambda lab: lab.rewrite(
        "servers/proxy/haproxy.cfg", ("client-ca.pem crl-file tls/crl.pem", "client-ca.pem")
    ),
    "app": lambda lab: lab.rewrite(
        "servers/app/tls.py",
        ("    _look_up_in_crls(context, folder, demanded)\n    return context", "    return context"),
    ),
}


def test_who_does_not_look_up_its_callee_is_found_out(tmp_path: Path) -> None:
    """The failing twin: without the line that looks callees up, a revoked one is let through, and verify says so."""
    broken = lab(tmp_path, "crl")
    for drop in DROPPED.values():
        drop(broken)
    found = results(broken.verify("server.back"), Probe.FALSE_REVOKED)
    assert {name: found[name][0] for name in DROPPED} == dict.fromkeys(DROPPED, Result.FAILED)
    assert found["side"][0] is Result.PASSED


def test_by_ocsp_python_asks_about_its_callee_and_nginx_says_that_it_does_not(tmp_path: Path) -> None:
    text = TOPOLOGY.replace('"{proxy}", names', '"{proxy}", check_revocation: none, names')
    asking = lab(tmp_path, "ocsp", text)
    report = asking.verify("server.back")
    # The control gets a good answer of its responder, which answers for no caller.
    assert results(report, Probe.TRUE_SERVER)["app"][0] is Result.PASSED
    found = results(report, Probe.FALSE_REVOKED)
    assert found["app"][0] is Result.PASSED
    assert "proxy" not in found
    for name in ("gate", "side"):
        result, said = found[name]
        assert result is Result.SKIPPED
        assert "checks revocation of callers alone (ocsp)" in said
