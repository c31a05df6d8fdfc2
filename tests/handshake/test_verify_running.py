"""`verify --running`: a fleet that verify has not started, each server by its own run.sh on another loopback address.

What is right passes; one that lets everybody in, one that is stopped and one that shows another's certificate are seen,
and whatever revocation might have decided is skipped with the reason.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from scaffold.kinds.capabilities import Capabilities
from scaffold.pki.crl import Reason
from scaffold.plan.intents import Revoke
from scaffold.plan.make import plan_all
from scaffold.running.placement import Placed, launch
from scaffold.running.ports import free_addresses
from scaffold.running.services import Services
from scaffold.topology.address import Address
from scaffold.topology.model import HostPort
from scaffold.verify.cases import FALSE_SERVERS
from scaffold.verify.model import Observed, Probe, Report, Result
from scaffold.verify.what_runs import verify_running
from tests.cli.harness import scaffold
from tests.handshake.rewriting import rewrite
from tests.handshake.verify_lab import Lab, applied, failures, lines, probes
from tests.requirements import require_command

TOPOLOGY = """
version: 1
name: fleet
publish: http://127.0.0.1:{publisher}
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  api: {{template: python, listen: "127.0.0.1:{api}", address: "127.0.0.2:{api}", names: [api.internal], calls: [store]}}
  store:
    template: nginx
    listen: 127.0.0.1:{store}
    address: 127.0.0.3:{store}
    names: [store.internal, also.internal]
    check_revocation: crl
    health: 127.0.0.3:{health}
  asks: {{template: python, listen: "127.0.0.1:{asks}", address: "127.0.0.4:{asks}", names: [asks.internal], check_revocation: ocsp}}
  own: {{template: files, listen: "127.0.0.5:{own}", names: [own.internal], accepts: [issuing]}}
clients:
  web: {{template: curl, calls: [api, store]}}
  meter: {{template: files, calls: [api]}}
  late: {{template: python, calls: [api], fault: expired}}
  stranger: {{template: python, calls: [asks]}}
"""  # noqa: E501


@dataclass(frozen=True)
class Fleet:
    """The folders that run are copies: what stands in the output folder is what `scaffold apply` made."""

    lab: Lab
    file: Path
    hosts: Path

    def placed(self, name: str) -> Placed:
        server = self.lab.topology.servers[name]
        return Placed(server, server.dial, server.health)

    @contextmanager
    def running(self, *names: str) -> Iterator[None]:
        """Those servers, where their callers dial them."""
        with Services() as services:
            services.start(
                launch(self.placed(name), self.hosts / name, self._can(name), self._callees(name)) for name in names
            )
            yield

    def _can(self, name: str) -> Capabilities:
        return self.lab.kinds[Address.server(name)].capabilities

    def _callees(self, name: str) -> Mapping[str, HostPort]:
        return {one: self.placed(one).address for one in self.lab.topology.servers[name].calls}

    def verified(self, only: str | None = None) -> Report:
        basis = self.lab.look()
        return verify_running(
            self.lab.topology,
            self.lab.kinds,
            self.lab.layout,
            datetime.now(UTC),
            self.lab.secrets,
            plan=plan_all(basis).plan,
            only=Address.parse(only) if only else None,
        )

    def deployed_anew(self, name: str) -> Path:
        """The server's folder as it was rendered, brought to its host again."""
        shutil.rmtree(self.hosts / name, ignore_errors=True)
        shutil.copytree(self.lab.path(f"servers/{name}"), self.hosts / name)
        return self.hosts / name


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    require_command("nginx")
    require_command("curl")
    folder = tmp_path_factory.mktemp("fleet")
    names = ("publisher", "api", "store", "health", "asks", "own")
    ports = dict(zip(names, (address.port for address in free_addresses(len(names))), strict=True))
    fleet = Fleet(applied(TOPOLOGY.format(**ports), folder), folder / "topology.yaml", folder / "hosts")
    for name in ("api", "store", "asks"):
        fleet.deployed_anew(name)
    return fleet


@pytest.fixture(scope="module")
def sound(fleet: Fleet) -> Report:
    """What is seen where all is right, but for `asks`, which nobody has started."""
    with fleet.running("api", "store"):
        return fleet.verified()


def of(report: Report, server: str, result: Result) -> set[tuple[str, Probe]]:
    return {(one.client, one.probe) for one in report.checks if (one.server, one.result) == (server, result)}


def test_a_fleet_that_is_right_passes(sound: Report) -> None:
    assert {server for server, _, _ in failures(sound)} == {"asks"}, lines(sound)
    assert {
        ("web", Probe.EDGE), ("meter", Probe.EDGE), ("late", Probe.EDGE),
        ("stranger", Probe.NOT_ALLOWED), ("anyone", Probe.NO_CERTIFICATE),
        ("web", Probe.CONTROL), ("web", Probe.EXPIRED), ("web", Probe.SIBLING_CA), ("web", Probe.FOREIGN_CA),
        ("web", Probe.FORGED_HEADERS),
    } <= of(sound, "api", Result.PASSED)  # fmt: skip
    assert {
        ("web", Probe.EDGE), ("api", Probe.EDGE), ("stranger", Probe.NOT_ALLOWED),
        ("api", Probe.EXPIRED), ("api", Probe.NOT_YET_VALID), ("api", Probe.CONTROL), ("anyone", Probe.HEALTH),
    } <= of(sound, "store", Result.PASSED)  # fmt: skip
    assert sound.of_running


def test_what_revocation_might_have_decided_is_skipped_with_the_reason(sound: Report) -> None:
    shown = {"there is none of a CA made for a probe": (Probe.FOREIGN_CA, Probe.SIBLING_CA, Probe.SELF_SIGNED)}
    shown["a false publisher"] = (Probe.REVOKED, Probe.REVOKED_CA, Probe.EXPIRED_CRL)
    for words, skipped in shown.items():
        for probe in skipped:
            (check,) = (one for one in sound.checks if (one.server, one.client, one.probe) == ("store", "api", probe))
            assert check.result is Result.SKIPPED, check
            assert words in check.detail


def test_what_asks_by_ocsp_is_shown_real_certificates_alone(fleet: Fleet) -> None:
    with fleet.running("asks"):
        report = fleet.verified("server.asks")
    tried = {one.probe for one in report.checks if one.result is not Result.SKIPPED}
    assert {Probe.EDGE, Probe.NO_CERTIFICATE, Probe.NOT_ALLOWED} <= tried, lines(report)
    assert tried.isdisjoint({Probe.CONTROL, Probe.EXPIRED, Probe.FOREIGN_CA, Probe.SIBLING_CA, Probe.FORGED_HEADERS})
    # Nobody publishes, so that even the real certificate of its caller is refused.
    assert failures(report) == {("asks", "stranger", Probe.EDGE)}, lines(report)


def test_a_program_that_cannot_be_run_has_its_certificate_shown(sound: Report) -> None:
    (check,) = (one for one in sound.checks if (one.server, one.client, one.probe) == ("api", "meter", Probe.EDGE))
    assert (check.result, check.observed) == (Result.PASSED, Observed.ALLOWED)
    assert "its certificate was shown for it" in check.detail


def test_false_servers_and_programs_that_are_not_known_are_skipped_in_plain_sight(sound: Report) -> None:
    assert probes(sound, Result.SKIPPED) >= {Probe.TRUE_SERVER, *FALSE_SERVERS}
    assert not of(sound, "own", Result.PASSED) | of(sound, "own", Result.FAILED)
    assert all(one.detail for one in sound.checks if one.result is Result.SKIPPED)


def test_one_that_is_stopped_is_said_so_and_what_to_do(fleet: Fleet, sound: Report) -> None:
    checks = [one for one in sound.checks if one.server == "asks" and one.result is Result.FAILED]
    assert ("stranger", Probe.EDGE) in {(one.client, one.probe) for one in checks}
    assert {one.observed for one in checks} == {Observed.UNREACHABLE}
    address = fleet.lab.topology.servers["asks"].dial
    assert all(f"no answer at {address} (Connection refused)" in one.detail for one in checks)
    (cause,) = {one.unstarted for one in checks}
    assert cause is not None
    assert (cause.who, cause.what) == ("server.asks", "does not answer")


def test_one_that_is_to_call_and_is_stopped_is_named_where_it_calls(fleet: Fleet) -> None:
    with fleet.running("store"):
        report = fleet.verified("server.api")
    (check,) = (one for one in report.checks if (one.server, one.client, one.probe) == ("store", "api", Probe.EDGE))
    assert check.observed is Observed.UNREACHABLE
    assert check.detail.startswith("server.api, its caller: no answer at 127.0.0.2:")
    assert check.unstarted is not None
    assert check.unstarted.who == "server.api"


def test_one_that_lets_everybody_in_is_seen_where_it_runs(fleet: Fleet) -> None:
    folder = fleet.deployed_anew("store")
    rewrite(folder / "nginx.conf", ("ssl_verify_client on;", "ssl_verify_client off;"))
    rewrite(folder / "nginx.conf", ('if ($caller = "")', 'if ($caller = "nobody")'))
    try:
        with fleet.running("api", "store"):
            report = fleet.verified("server.store")
    finally:
        fleet.deployed_anew("store")
    let_in = {
        (one.client, one.probe)
        for one in report.checks
        if one.result is Result.FAILED and one.observed is Observed.ALLOWED
    }
    assert {("anyone", Probe.NO_CERTIFICATE), ("stranger", Probe.NOT_ALLOWED), ("api", Probe.EXPIRED)} <= let_in, lines(
        report
    )
    assert not report.drift  # what differs is on its host alone


def test_one_that_lets_everybody_in_is_seen_at_the_second_address_of_a_name(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.lab.topology.servers["store"]
    assert server.health is not None
    second = Placed(server, replace(server.dial, host="127.0.0.6"), replace(server.health, host="127.0.0.6"))
    lax = fleet.hosts / "store-2"
    shutil.copytree(fleet.lab.path("servers/store"), lax)
    rewrite(lax / "nginx.conf", ("ssl_verify_client on;", "ssl_verify_client off;"))
    rewrite(lax / "nginx.conf", ('if ($caller = "")', 'if ($caller = "nobody")'))
    real = socket.getaddrinfo

    def resolved(host: str, *more: Any, **named: Any) -> list[Any]:
        hosts = (host, "127.0.0.6") if host == server.dial.host else (host,)
        return [found for one in hosts for found in real(one, *more, **named)]

    with fleet.running("store"), Services() as services:
        services.start([launch(second, lax, fleet._can("store"), {})])
        sound = fleet.verified("client.web")
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        report = fleet.verified("server.store")
    assert of(sound, "store", Result.FAILED) == set()
    assert {("anyone", Probe.NO_CERTIFICATE), ("stranger", Probe.NOT_ALLOWED)} <= of(report, "store", Result.FAILED)
    (check,) = (one for one in report.checks if (one.server, one.probe) == ("store", Probe.NO_CERTIFICATE))
    assert (check.observed, check.detail.startswith(f"store at {second.address}: ")) == (Observed.ALLOWED, True)


@pytest.mark.parametrize(("listening", "asked"), [("", "as also.internal"), (" default_server", "without a name")])
def test_a_second_server_block_that_demands_no_certificate_is_seen(fleet: Fleet, listening: str, asked: str) -> None:
    folder = fleet.deployed_anew("store")
    listen = f"listen 127.0.0.1:{fleet.lab.topology.servers['store'].listen.port} ssl"
    name = "also.internal" if not listening else "other.internal"
    second = (
        f"    server {{\n        {listen}{listening};  # LISTEN\n        server_name {name};\n"
        "        ssl_certificate tls/cert.pem;\n        ssl_certificate_key tls/key.pem;\n"
        "        location / { return 200 '{}'; }\n    }\n"
    )
    own = f"        {listen};  # LISTEN\n"
    rewrite(
        folder / "nginx.conf",
        (f"    server {{\n{own}", f"{second}    server {{\n{own}        server_name store.internal also.internal;\n"),
    )
    if not listening:
        rewrite(folder / "nginx.conf", ("server_name store.internal also.internal;", "server_name store.internal;"))
    try:
        with fleet.running("store"):
            report = fleet.verified("server.store")
    finally:
        fleet.deployed_anew("store")
    (check,) = (one for one in report.checks if (one.server, one.probe) == ("store", Probe.NO_CERTIFICATE))
    assert (check.result, check.observed) == (Result.FAILED, Observed.ALLOWED), check
    assert check.detail.startswith(f"asked for {asked}: ")


def test_one_that_shows_a_certificate_of_another_is_not_believed(fleet: Fleet) -> None:
    folder = fleet.deployed_anew("store")
    for name in ("cert.pem", "key.pem"):
        shutil.copy(fleet.lab.path(f"servers/asks/tls/{name}"), folder / "tls" / name)
    try:
        with fleet.running("store"):
            report = fleet.verified("client.web")
    finally:
        fleet.deployed_anew("store")
    (check,) = (one for one in report.checks if (one.server, one.client, one.probe) == ("store", "web", Probe.EDGE))
    assert (check.result, check.observed) == (Result.FAILED, Observed.REFUSED)
    assert "I do not trust the server" in check.detail


def test_the_command_exits_with_5_and_says_what_to_do(fleet: Fleet, tmp_path: Path) -> None:
    junit = tmp_path / "report.xml"
    with fleet.running("store"):
        ended = scaffold(
            "verify", "--running", "--out", fleet.lab.layout.out, "--junit", junit, cwd=fleet.file.parent
        )  # fmt: skip
        told = scaffold(
            "verify", "--running", "--out", fleet.lab.layout.out, "--only", "server.store", "--json",
            cwd=fleet.file.parent,
        )  # fmt: skip
    assert ended.code == 5
    assert "no answer at 127.0.0.2:" in ended.out
    assert "Start server.api there, or correct its `address` in the topology" in ended.out
    assert "scaffold up" not in ended.out
    assert set(told.json) == {"checks", "drift", "summary"}
    assert {check["server"] for check in json.loads(told.out)["checks"]} == {"store"}
    # The same for CI: what fails at the servers that are not there, and what passes at the one that is.
    root = ET.parse(junit).getroot()
    failed = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert len(failed) == int(root.get("failures", "0")) > 0
    assert any("no answer at 127.0.0.2:" in case.findtext("failure", "") for case in failed)
    assert {"fleet.api", "fleet.asks"} <= {case.get("classname") for case in failed}
    passed = [case.get("classname") for case in root.iter("testcase") if case.find("system-out") is not None]
    assert "fleet.store" in passed
    assert int(root.get("skipped", "0")) == len(list(root.iter("skipped"))) > 0


def test_moving_what_is_not_started_is_a_usage_error(fleet: Fleet) -> None:
    ended = scaffold("verify", "--running", "--ports", "auto", cwd=fleet.file.parent)
    assert ended.code == 2
    assert "--running starts none" in ended.err


def test_drift_is_planned_first(fleet: Fleet, tmp_path: Path) -> None:
    drifted = Fleet(fleet.lab.copied(tmp_path / "out"), fleet.file, fleet.hosts)
    allowed = drifted.lab.path("servers/store/tls/allowed.conf")
    allowed.write_text(allowed.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    with drifted.running("store"):
        report = drifted.verified("client.web")
    assert {str(change.address) for change in report.drift} == {"server.store.trust"}
    assert report.failed


def test_a_revoked_certificate_that_is_still_shown_must_be_refused(fleet: Fleet, tmp_path: Path) -> None:
    lab = fleet.lab.copied(tmp_path / "out")
    other = Fleet(lab, fleet.file, tmp_path / "hosts")
    real = lab.path("clients/web/tls").rename(tmp_path / "kept")
    shutil.copytree(real, lab.path("clients/web/tls"))
    lab.apply(Revoke(Address.client("web"), Reason.KEY_COMPROMISE))
    other.deployed_anew("store")
    shutil.rmtree(lab.path("clients/web/tls"))
    shutil.copytree(real, lab.path("clients/web/tls"))
    with other.running("store"):
        report = other.verified("client.web")
    (check,) = (one for one in report.checks if (one.server, one.client, one.probe) == ("store", "web", Probe.EDGE))
    assert (check.result, check.observed) == (Result.PASSED, Observed.REFUSED), lines(report)
