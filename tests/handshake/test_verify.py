"""Whole verifications: of the examples, of declared faults, of what cannot be tried here; and how they end early."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.running.ports import free_addresses
from scaffold.verify.http import HTTP
from scaffold.verify.listener import Listener
from scaffold.verify.model import Check, Expected, Layer, Observed, Probe, Result
from tests.handshake.nginx_lab import until
from tests.handshake.verify_lab import Lab, applied, failures, lines, probes
from tests.requirements import require_command

EXAMPLES = Path(__file__).parents[2] / "examples"

SMALL = """
version: 1
name: small
cas:
  root: {}
servers:
  api: {template: python, listen: "127.0.0.1:{port}", names: [api.internal]}
clients:
  caller: {template: python, calls: [api]}
"""


class Told(Listener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.servers: list[int] = []
        self.ready_servers: list[str] = []
        self.tried: list[int] = []
        self.checks: list[tuple[Check, int]] = []

    def starting(self, servers: int) -> None:
        self.servers.append(servers)

    def ready(self, server: str) -> None:
        self.ready_servers.append(server)

    def probing(self, checks: int) -> None:
        self.tried.append(checks)

    def concluded(self, check: Check, total: int) -> None:
        self.checks.append((check, total))


TELL = "    def _tell_caller(self) -> None:\n"


def small(folder: Path, port: int = 18443) -> Lab:
    return applied(SMALL.replace("{port}", str(port)), folder)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def lab(sound: Lab, tmp_path: Path) -> Lab:
    """A copy to break."""
    return sound.copied(tmp_path / "small")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, so that what is left of them is seen."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def find(checks: tuple[Check, ...], server: str, client: str, probe: Probe) -> Check:
    (found,) = [one for one in checks if (one.server, one.client, one.probe) == (server, client, probe)]
    return found


def test_the_banking_example_is_what_it_says(tmp_path: Path, temporary: Path) -> None:
    require_command("nginx", "curl")
    lab = applied((EXAMPLES / "banking/topology.yaml").read_text(), tmp_path)
    told = Told()
    ledger = lab.path(".scaffold/ledger.jsonl").read_bytes()
    report = lab.verify(listener=told)
    assert not report.failed, lines(report)
    assert Result.SKIPPED not in {check.result for check in report.checks}, lines(report)
    assert report.summary == {Result.PASSED: len(report.checks), Result.FAILED: 0, Result.SKIPPED: 0}

    assert sorted(map(repr, report.checks)) == sorted(repr(check) for check, _ in told.checks)
    assert {total for _, total in told.checks} == {len(report.checks)}
    assert told.servers == [len(set(told.ready_servers))]
    assert {server.name for server in lab.topology.servers.values()} <= set(told.ready_servers)
    assert told.tried == [len(report.checks)]
    mallory = find(report.checks, "accounts", "mallory", Probe.EDGE)
    assert (mallory.expected, mallory.observed, mallory.layer) == (Expected.REFUSED, Observed.REFUSED, Layer.TLS)
    through = find(report.checks, "gateway", "teller", Probe.EDGE)
    assert "for CN=teller" in through.detail
    assert find(report.checks, "payments", "teller", Probe.NOT_ALLOWED).layer is HTTP

    assert lab.path(".scaffold/ledger.jsonl").read_bytes() == ledger, "rogues are in no ledger"
    assert list(temporary.iterdir()) == [], "nothing is left of keys and homes"


FAULTS = """
version: 1
name: faults
cas:
  root: {}
  issuing: {issuer: root}
servers:
  sound: {template: python, issuer: issuing, listen: "127.0.0.1:18443", names: [sound.internal]}
  stale: {template: python, issuer: issuing, listen: "127.0.0.1:18444", names: [stale.internal], fault: expired}
  other: {template: python, issuer: issuing, listen: "127.0.0.1:18445", names: [other.internal], fault: wrong-name}
  caller:
    {template: python, issuer: issuing, listen: "127.0.0.1:18446", names: [caller.internal], calls: [stale]}
clients:
  good: {template: python, issuer: issuing, calls: [sound, stale, other, caller]}
  early: {template: python, issuer: issuing, calls: [sound], fault: not-yet-valid}
  foreign: {template: python, issuer: issuing, calls: [sound], fault: wrong-ca}
  selfmade: {template: python, issuer: issuing, calls: [sound], fault: self-signed}
  renamed: {template: python, issuer: issuing, calls: [sound], fault: wrong-name}
  server: {template: python, issuer: issuing, calls: [sound], fault: wrong-eku}
  purposeless: {template: python, issuer: issuing, calls: [sound], fault: no-eku}
"""


def test_a_declared_fault_is_refused_by_the_right_side(tmp_path: Path) -> None:
    lab = applied(FAULTS, tmp_path)
    report = lab.verify()
    assert not report.failed, lines(report)
    edges = {(check.server, check.client): check.observed for check in report.checks if check.probe is Probe.EDGE}
    refused = {pair for pair, observed in edges.items() if observed is Observed.REFUSED}
    allowed = {pair for pair, observed in edges.items() if observed is Observed.ALLOWED}
    assert allowed == {("sound", "good"), ("caller", "good")}
    assert refused == edges.keys() - allowed


def test_a_declared_fault_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    lab = applied(FAULTS, tmp_path)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(lab.path(f"clients/good/tls/{name}"), lab.path(f"clients/early/tls/{name}"))
    report = lab.verify("client.early")
    assert failures(report) >= {("sound", "early", Probe.EDGE)}, lines(report)
    assert report.drift


def test_a_gateway_to_a_faulty_upstream_refuses_it(tmp_path: Path) -> None:
    require_command("nginx")
    lab = applied(
        """
        version: 1
        name: gated
        cas: {root: {}, issuing: {issuer: root}}
        servers:
          gateway:
            {template: nginx, issuer: issuing, listen: "127.0.0.1:18443", names: [gateway.internal],
             calls: [stale], upstream: stale}
          stale: {template: python, issuer: issuing, listen: "127.0.0.1:18444", names: [stale.internal], fault: expired}
        clients:
          teller: {template: python, issuer: issuing, calls: [gateway]}
        """,
        tmp_path,
    )
    report = lab.verify()
    assert not report.failed, lines(report)
    assert "502" in find(report.checks, "gateway", "teller", Probe.EDGE).detail
    assert "502" in find(report.checks, "stale", "gateway", Probe.EDGE).detail
    assert probes(report, Result.SKIPPED) == {Probe.FORGED_HEADERS}


def test_what_cannot_be_made_here_is_skipped_with_its_reason(tmp_path: Path, sound: Lab) -> None:
    shutil.copy(sound.path("pki/root/ca.crt"), tmp_path / "partner.pem")
    lab = applied(
        """
        version: 1
        name: guests
        cas:
          root: {subject: {common_name: Guests Root}}
          partner: {existing: {certificate: partner.pem}}
        servers:
          api: {template: python, issuer: root, listen: "127.0.0.1:18443", names: [api.internal]}
        clients:
          own: {template: python, issuer: root, calls: [api]}
          auditor:
            external: {issuer: partner, identity: "spiffe://partner.example/auditor"}
            calls: [api]
        """,
        tmp_path,
    )
    report = lab.verify()
    assert not report.failed, lines(report)
    skipped = {(check.client, check.probe): check.detail for check in report.checks if check.result is Result.SKIPPED}
    assert "external" in skipped["auditor", Probe.EDGE]
    assert "its key is not here" in skipped["auditor", Probe.EXPIRED]
    assert "its key is not here" in skipped["own", Probe.SAME_NAME_CA]
    assert find(report.checks, "api", "auditor", Probe.FOREIGN_CA).result is Result.PASSED
    assert find(report.checks, "api", "own", Probe.EDGE).result is Result.PASSED


def test_a_kind_whose_command_is_missing_is_skipped_with_its_reason(
    sound: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaffold.running.availability.installed", lambda command: False)
    report = sound.verify()
    assert {check.result for check in report.checks} == {Result.SKIPPED}
    assert {check.detail for check in report.checks} == {
        "server.api needs python3, which is not installed",
        "client.caller needs python3, which is not installed",
    }
    assert report.failed, "nothing was tried, which is no success"


def test_only_one_party_is_probed_and_an_unknown_one_is_an_error(sound: Lab) -> None:
    report = sound.verify("client.caller")
    assert not report.failed
    assert {check.client for check in report.checks} == {"caller"}
    with pytest.raises(VerifyError, match=r"there is no server or client client\.nobody"):
        sound.verify("client.nobody")


def test_fixed_ports_are_the_topologys_own_and_a_taken_one_is_an_error(tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    lab = small(tmp_path, address.port)
    assert not lab.verify(ports="fixed").failed
    with contextlib.closing(socket.create_server((address.host, address.port))):
        with pytest.raises(VerifyError, match=f"server.api cannot listen on {address}") as raised:
            lab.verify(ports="fixed")
        assert "--ports auto" in str(raised.value.hint)
        assert not lab.verify(ports="auto").failed


def test_a_server_that_does_not_come_up_is_told_with_its_last_lines(lab: Lab, temporary: Path) -> None:
    lab.path("servers/api/tls/key.pem").write_text("no key")
    with pytest.raises(VerifyError, match=r"server\.api ended with exit status \d+; its last lines:\n"):
        lab.verify()
    assert list(temporary.iterdir()) == []


def test_what_a_person_answers_at_the_root_is_theirs(lab: Lab) -> None:
    lab.path("servers/api/routes.py").write_text("ROUTES = {}\n")
    report = lab.verify()
    assert not report.failed, lines(report)


@pytest.mark.parametrize(
    "mine",
    [
        "location / { return 404; }",
        "return 200 'mine';",
        "location / { proxy_set_header X-Client-Subject ''; proxy_pass http://127.0.0.1:1; }",
    ],
)
def test_whatever_a_person_writes_into_app_conf_verify_proves_who_gets_in(tmp_path: Path, mine: str) -> None:
    require_command("nginx")
    text = SMALL.replace("template: python, listen", "template: nginx, listen").replace("{port}", "18443")
    lab = applied(f"{text}  stranger: {{template: python}}\n", tmp_path)
    lab.path("servers/api/app.conf").write_text(mine)
    report = lab.verify()
    assert not report.failed, lines(report)
    lab.rewrite("servers/api/nginx.conf", ('if ($caller = "")', 'if ($caller = "nobody")'))
    assert ("api", "stranger", Probe.NOT_ALLOWED) in failures(lab.verify())


def test_who_called_must_be_told_at_its_own_path(lab: Lab) -> None:
    lab.rewrite("servers/api/guard.py", ('CALLER = "/.mtls/caller"', 'CALLER = "/.mtls/who"'))
    assert failures(lab.verify()) == {
        ("api", "caller", probe) for probe in (Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS)
    }


def test_a_server_that_dies_while_it_is_probed_is_told(lab: Lab) -> None:
    lab.rewrite("servers/api/guard.py", (TELL, TELL + "        import os\n        os._exit(9)\n"))
    with pytest.raises(VerifyError, match=r"server\.api ended with exit status 9"):
        lab.verify()


def test_what_was_not_applied_yet_is_told(lab: Lab) -> None:
    shutil.rmtree(lab.path("servers/api"))
    with pytest.raises(VerifyError, match=r"server\.api has no project in") as raised:
        lab.verify()
    assert "scaffold apply" in str(raised.value.hint)


def test_a_server_that_is_only_down_or_broken_is_not_taken_for_one_that_refuses(lab: Lab) -> None:
    lab.rewrite("servers/api/guard.py", ("self.caller = self._admit(current)", "raise HttpError(502, 'down')"))
    report = lab.verify()
    in_http = {("api", "caller", probe) for probe in (Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS, Probe.NO_EKU)}
    assert in_http <= failures(report), lines(report)
    assert find(report.checks, "api", "caller", Probe.NO_EKU).observed is Observed.BROKEN


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_behind(number: signal.Signals, lab: Lab, tmp_path: Path) -> None:
    """The server tells its process number, and then never answers: the verification is in the midst of its probes."""
    pid_file = tmp_path / "pid"
    tell = f"        pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
    lab.rewrite(
        "servers/api/guard.py",
        (TELL, TELL + f"        import os, pathlib, time\n{tell}        time.sleep(60)\n"),
    )
    code = f"""
from pathlib import Path
from tests.handshake.verify_lab import reopened
reopened(Path({str(lab.topology.source)!r}), Path({str(lab.layout.out)!r})).verify()
"""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) as verifying:
        until(lambda: pid_file.exists() and pid_file.read_text().isdigit())
        server = int(pid_file.read_text())
        verifying.send_signal(number)
        assert verifying.wait(90) != 0
    until(lambda: not Path(f"/proc/{server}").exists())
    assert list(temporary.iterdir()) == []
