"""Roles on edges at every kind that needs no compiler, from a gateway to each too; and HAProxy broken on purpose.

Kestrel's are in test_kestrel_app.py, what verify catches of Python and nginx in test_verify_can_fail.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaffold.apply import apply
from scaffold.plan.make import plan_all
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services
from scaffold.topology.model import HostPort
from scaffold.verify import http
from scaffold.verify.credentials import Credentials
from scaffold.verify.model import Probe, Result
from scaffold.verify.protocol import Target
from tests.handshake.verify_lab import Lab, applied, failures, lines, probes, reopened
from tests.requirements import require_command

TOPOLOGY = """
version: 1
name: lab
cas: {root: {}}
servers:
  python: {template: python, listen: 127.0.0.1:18443, names: [python.internal]}
  nginx: {template: nginx, listen: 127.0.0.1:18444, names: [nginx.internal]}
  haproxy: {template: haproxy, listen: 127.0.0.1:18445, names: [haproxy.internal]}
  before-python:
    template: haproxy
    listen: 127.0.0.1:18446
    names: [a.internal]
    upstream: python
    calls: {python: [front, a.b_c-1], nginx: []}
  before-nginx:
    template: haproxy
    listen: 127.0.0.1:18447
    names: [b.internal]
    upstream: nginx
    calls: {nginx: [front]}
  before-haproxy:
    template: nginx
    listen: 127.0.0.1:18448
    names: [c.internal]
    upstream: haproxy
    calls: [haproxy]
  before-haproxy-too:
    template: haproxy
    listen: 127.0.0.1:18449
    names: [d.internal]
    upstream: haproxy
    calls: {haproxy: [front]}
clients:
  teller:
    template: python
    calls:
      python: [reader, approver]
      nginx: [Reader, reader]
      haproxy: [x.Y_z-1, reader]
      before-python: [cashier]
      before-nginx: [cashier, Cashier]
      before-haproxy: [cashier, clerk, x]
      before-haproxy-too: []
  auditor:
    template: python
    calls: [python, nginx, haproxy, before-python, before-nginx, before-haproxy, before-haproxy-too]
"""
KINDS = ("python", "nginx", "haproxy")


@pytest.fixture(scope="module", autouse=True)
def _machine() -> None:
    require_command("nginx")
    require_command("haproxy")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return applied(TOPOLOGY, tmp_path_factory.mktemp("sound"))


@pytest.fixture
def lab(sound: Lab, tmp_path: Path) -> Lab:
    """A copy to break."""
    return sound.copied(tmp_path / "lab")


def test_everybody_has_the_roles_of_each_edge(sound: Lab) -> None:
    report = sound.verify()
    assert not report.failed, lines(report)
    assert probes(report, Result.SKIPPED) == set(), lines(report)
    told = {(one.server, one.client): one.detail for one in report.checks if one.probe is Probe.EDGE}
    assert told["haproxy", "teller"].endswith("/client/teller (x.Y_z-1, reader)")
    assert told["before-nginx", "teller"].endswith("before-nginx (front), for CN=teller (cashier, Cashier)")
    assert told["before-haproxy", "teller"].endswith("before-haproxy, for CN=teller (cashier, clerk, x)")
    assert told["before-haproxy-too", "auditor"].endswith("before-haproxy-too (front), for CN=auditor")


SET = "http-request set-header X-Client-Roles %[var(txn.roles)] if { var(txn.roles) -m found }"
TOLD = '"roles": %[var(txn.roles_json)]'
CALLS = (Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS)


def gives_a_role_too_many(lab: Lab) -> None:
    lab.rewrite("servers/haproxy/haproxy.cfg", ("str([),concat(,txn.quoted_roles,])", """'str([\\"admin\\"])'"""))


def tells_no_roles(lab: Lab) -> None:
    lab.rewrite("servers/haproxy/haproxy.cfg", (TOLD, '"roles": []'))


FROM_THE_LIST = "http-request set-var(txn.roles) var(txn.names),map_str(tls/allowed.roles)\n"
FROM_THE_HEADER = (
    "    http-request set-var(txn.roles) req.fhdr(X-Client-Roles) if { req.fhdr(X-Client-Roles) -m found }\n"
)


def believes_roles_of_everybody(lab: Lab) -> None:
    lab.rewrite("servers/haproxy/haproxy.cfg", (FROM_THE_LIST, FROM_THE_LIST + FROM_THE_HEADER))


def gateway_passes_roles_on(lab: Lab) -> None:
    lab.rewrite("servers/before-python/haproxy.cfg", ("x-(client|ssl|", "x-(client-subject|client-issuer|ssl|"))


def gateway_passes_underscores_on(lab: Lab) -> None:
    lab.rewrite("servers/before-python/haproxy.cfg", ("http-request del-header [^a-z0-9-] -m reg", ""))


def gateway_tells_no_roles(lab: Lab) -> None:
    lab.rewrite("servers/before-python/haproxy.cfg", (SET, ""))


def at(server: str, client: str, *found: Probe) -> set[tuple[str, str, Probe]]:
    return {(server, client, probe) for probe in found}


BREAKAGES: list[tuple[Callable[[Lab], None], str, set[tuple[str, str, Probe]]]] = [
    (gives_a_role_too_many, "server.haproxy",
     at("haproxy", "teller", *CALLS) | at("haproxy", "auditor", Probe.FORGED_HEADERS)
     | {("haproxy", one, Probe.EDGE) for one in ("auditor", "before-haproxy", "before-haproxy-too")}),
    (tells_no_roles, "server.haproxy",
     at("haproxy", "teller", *CALLS) | at("haproxy", "before-haproxy-too", Probe.EDGE)),
    (believes_roles_of_everybody, "server.haproxy",
     at("haproxy", "teller", Probe.FORGED_HEADERS) | at("haproxy", "auditor", Probe.FORGED_HEADERS)),
    # The teller's roles are set over what it sent; whoever has none brings its own.
    (gateway_passes_roles_on, "server.before-python", at("before-python", "auditor", Probe.FORGED_HEADERS)),
    (gateway_passes_underscores_on, "server.before-python", at("python", "before-python", Probe.TRUE_SERVER)),
    (gateway_tells_no_roles, "server.before-python", at("before-python", "teller", *CALLS)),
]  # fmt: skip


@pytest.mark.parametrize(("break_it", "only", "caught"), BREAKAGES, ids=[one[0].__name__ for one in BREAKAGES])
def test_what_is_broken_is_caught(
    lab: Lab, break_it: Callable[[Lab], None], only: str, caught: set[tuple[str, str, Probe]]
) -> None:
    break_it(lab)
    report = lab.verify(only)
    assert failures(report) == caught, lines(report)


# --- Without a restart -----------------------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Lab:
    """The kinds by themselves, each with one caller."""
    return applied(_alone("[reader, x]"), tmp_path)


def _alone(roles: str) -> str:
    ports = [address.port for address in free_addresses(len(KINDS))]
    servers = "".join(
        f"  {kind}: {{template: {kind}, listen: 127.0.0.1:{port}, names: [{kind}.internal]}}\n"
        for kind, port in zip(KINDS, ports, strict=True)
    )
    calls = ", ".join(f"{kind}: {roles}" for kind in KINDS)
    head = "version: 1\nname: lab\ncas: {root: {}}\n"
    return f"{head}servers:\n{servers}clients:\n  teller: {{template: curl, calls: {{{calls}}}}}\n"


def test_a_change_of_roles_counts_without_a_restart(alone: Lab) -> None:
    source = alone.topology.source
    with Services() as services:
        started = services.start(_launches(alone))
        assert {kind: _roles(alone, kind) for kind in KINDS} == {kind: ["reader", "x"] for kind in KINDS}
        before = {path: path.read_bytes() for path in alone.layout.out.rglob("*.pem")}
        source.write_text(source.read_text().replace("[reader, x]", "[approver]"))
        changed = reopened(source, alone.layout.out)
        plan = plan_all(changed.look())
        assert {str(change.address) for change in plan.plan.changes} == {f"server.{kind}.trust" for kind in KINDS}
        apply(plan, changed.secrets)
        for service in started:
            service.reload()
        deadline = time.monotonic() + 60
        while any(_roles(alone, kind) != ["approver"] for kind in KINDS):
            assert time.monotonic() < deadline, {kind: _roles(alone, kind) for kind in KINDS}
            time.sleep(0.05)
        assert all(service.running for service in started)
        assert {path: path.read_bytes() for path in alone.layout.out.rglob("*.pem")} == before


def _launches(lab: Lab) -> Iterator[Launch]:
    for name, server in lab.topology.servers.items():
        yield Launch(name, lab.path(f"servers/{name}"), lab.kinds[server.address].capabilities.ready or "")  # type: ignore[index]


def _roles(lab: Lab, kind: str) -> object:
    shown = Credentials(
        lab.path("clients/teller/tls/cert.pem").read_bytes(), lab.path("clients/teller/tls/key.pem").read_bytes()
    )
    listen = lab.topology.servers[kind].listen
    answer = http.call(Target(HostPort("127.0.0.1", listen.port), f"{kind}.internal"), shown)
    assert isinstance(answer, http.Answered), answer
    return json.loads(answer.body)["roles"]
