"""What of a plan is drift, what a report adds up to, and what cannot run on a machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from OpenSSL import SSL

from scaffold.kinds.catalogue import Kind, find
from scaffold.plan.drift import drift_in_tls
from scaffold.plan.model import Action, Change, Plan
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.running import availability
from scaffold.running.availability import Availability
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.load import loads
from scaffold.topology.model import KeyType, Topology
from scaffold.verify.cases import Case, cases
from scaffold.verify.http import HTTP
from scaffold.verify.model import Check, Expected, Observed, Probe, Report, Result, Unstarted
from scaffold.verify.run import _Reasons, _unstarted_for
from scaffold.verify.running_topology import RunningTopology
from scaffold.verify.tls import cannot_probe

ACCOUNTS, TELLER = Address.server("accounts"), Address.client("teller")


def change(address: str, action: Action) -> Change:
    return Change(Address.parse(address), action, (Reason(ReasonCode.CONTENT, "x"),))


@pytest.mark.parametrize(
    ("address", "action", "drifted"),
    [
        ("server.accounts.trust", Action.UPDATE, True),
        ("server.accounts.certificate", Action.UPDATE, True),
        ("server.accounts.certificate", Action.REPLACE, True),
        ("server.accounts.certificate", Action.CREATE, True),
        ("server.accounts.client-certificate", Action.UPDATE, True),
        ("client.teller.bundle", Action.UPDATE, True),
        ("server.accounts.files", Action.UPDATE, True),
        ("ca.root.certificate", Action.REPLACE, True),
        ("server.accounts.certificate", Action.RENEW, False),
        ("server.accounts.project", Action.UPDATE, False),
        ("server.accounts.project", Action.CONFLICT, False),
        ("ca.root.crl", Action.UPDATE, False),
    ],
)
def test_drift_is_what_plan_would_change_in_tls(address: str, action: Action, drifted: bool) -> None:
    assert bool(drift_in_tls(Plan("bank", (change(address, action),)))) is drifted


def check(result: Result) -> Check:
    return Check("accounts", "teller", Probe.EDGE, Expected.ALLOWED, Observed.ALLOWED, "", HTTP, result)


def test_a_report_fails_by_a_check_or_by_drift() -> None:
    sound = Report((check(Result.PASSED), check(Result.SKIPPED)))
    assert not sound.failed
    assert sound.summary == {Result.PASSED: 1, Result.FAILED: 0, Result.SKIPPED: 1}
    assert Report((check(Result.FAILED),)).failed
    drifted = Report(sound.checks, (change("server.accounts.trust", Action.UPDATE),))
    assert drifted.failed
    assert drifted.summary[Result.FAILED] == 1


def bank(**server: object) -> tuple[Topology, dict[Address, Kind]]:
    text = b"""
version: 1
name: bank
cas: {root: {}}
servers: {accounts: {template: python, listen: "127.0.0.1:1", names: [accounts.internal]}}
clients: {teller: {template: python, calls: [accounts]}}
"""
    t = loads(text, Path("topology.yaml"))
    t = replace(t, servers={"accounts": replace(t.servers["accounts"], **server)})  # type: ignore[arg-type]
    here = Path.cwd()
    return t, {ACCOUNTS: find("python", "server", here), TELLER: find("python", "client", here)}


def test_a_missing_command_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    t, kinds = bank()
    assert Availability(t, kinds).missing == {}
    monkeypatch.setattr(availability, "installed", lambda command: False)
    assert Availability(t, kinds).missing == {
        ACCOUNTS: "server.accounts needs python3, which is not installed",
        TELLER: "client.teller needs python3, which is not installed",
    }


def test_a_tls_library_that_is_too_old_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    t, kinds = bank(key=KeyType.ML_DSA_65)
    monkeypatch.setattr(availability, "version_said_by", lambda command, inherits: (3, 0, 17))
    assert Availability(t, kinds).missing == {
        ACCOUNTS: "server.accounts needs OpenSSL 3.5 for a ml-dsa-65 key, and it has 3.0.17",
        TELLER: "client.teller needs OpenSSL 3.5 for a peer's ml-dsa-65 key, and it has 3.0.17",
    }
    monkeypatch.setattr(availability, "version_said_by", lambda command, inherits: (3, 6, 0))
    assert Availability(t, kinds).missing == {}


def test_a_version_is_read_out_of_what_the_command_says() -> None:
    assert availability.version_said_by(("echo", "OpenSSL 3.0.17 1 Jul 2025")) == (3, 0, 17)
    assert availability.version_said_by(("echo", "none")) is None
    assert availability.version_said_by(("no-such-command",)) is None


def test_a_key_that_this_python_does_not_know_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    t, _ = bank(key=KeyType.ML_DSA_65)
    monkeypatch.setattr(SSL, "OPENSSL_VERSION_NUMBER", 0x30000110)
    assert "ml-dsa-65" in (cannot_probe(t.servers["accounts"]) or "")
    monkeypatch.setattr(SSL, "OPENSSL_VERSION_NUMBER", 0x30500000)
    assert cannot_probe(t.servers["accounts"]) is None


# --- What has nothing to start ---------------------------------------------------------------------------------------

OWN = """
version: 1
name: bank
cas: {root: {}}
servers:
  db: {template: files, listen: 127.0.0.1:5432, names: [localhost]}
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  app: {template: psql, calls: [db]}
  web: {template: python, calls: [db, api]}
  cron: {template: files, calls: [db, api]}
"""


def reasons_of() -> dict[tuple[str, str, Probe], str]:
    """Why a case is not tried, by server, client and probe; what is tried is not among them."""
    t = loads(OWN.encode(), Path("topology.yaml"))
    kinds = {
        **{one.address: find(one.template, "server", Path.cwd()) for one in t.servers.values()},
        **{one.address: find(one.template, "client", Path.cwd()) for one in t.clients.values()},
    }
    reasons = _Reasons(t, kinds)

    def caller(case: Case) -> str:
        return case.caller.name if case.caller is not None else "anyone"

    found = ((one, reasons.of(one)) for one in cases(t, kinds))
    return {(one.server.name, caller(one), one.probe): why for one, why in found if why is not None}


def test_nothing_is_asked_of_a_server_that_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "installed", lambda command: True)
    skipped = reasons_of()
    for probe in (Probe.EDGE, Probe.CONTROL, Probe.NO_CERTIFICATE, Probe.SIBLING_CA):
        assert any(server == "db" and one is probe for server, _, one in skipped), probe
        assert not any(server == "api" and client == "web" and one is probe for server, client, one in skipped), probe


def test_in_its_place_somebody_false_can_stand_for_a_client_that_speaks_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "installed", lambda command: True)
    skipped = reasons_of()
    assert ("db", "web", Probe.FALSE_ROOT) not in skipped
    assert "how postgresql begins" in skipped["db", "app", Probe.FALSE_ROOT]
    assert skipped["db", "cron", Probe.FALSE_ROOT].startswith("client.cron has no program to start")


def test_a_client_that_is_not_started_is_shown_to_others_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "installed", lambda command: True)
    skipped = reasons_of()
    assert ("api", "cron", Probe.EDGE) in skipped
    assert ("api", "app", Probe.NOT_ALLOWED) not in skipped


def test_a_case_needs_who_is_called_who_calls_and_who_stands_behind_where_that_is_asked() -> None:
    text = b"""
version: 1
name: bank
cas: {root: {}}
servers:
  back: {template: python, listen: "127.0.0.1:1", names: [back.internal], health: "127.0.0.1:3"}
  front: {template: nginx, listen: "127.0.0.1:2", names: [front.internal], upstream: back, calls: [back]}
  beside: {template: python, listen: "127.0.0.1:4", names: [beside.internal], calls: [front]}
clients: {teller: {template: python, calls: [front]}}
"""
    t = loads(text, Path("topology.yaml"))
    kinds = {one.address: find(one.template, one.address.role, Path.cwd()) for one in graph.parties(t)}  # type: ignore[union-attr]
    down = Unstarted("server.back", "it ended", "")

    def needing(name: str) -> set[tuple[str, str, Probe]]:
        started = RunningTopology({}, {}, {}, (), {}, {}, {name: down})
        return {
            (case.server.name, case.caller.name if case.caller else "", case.probe)
            for case in cases(t, kinds)
            if _unstarted_for(t, kinds, started, case) is down
        }

    of_back = needing("back")
    assert {("back", "front", Probe.EDGE), ("back", "", Probe.HEALTH), ("back", "front", Probe.EXPIRED)} <= of_back
    through = {(client, probe) for server, client, probe in of_back if server == "front"}
    assert {("teller", Probe.EDGE), ("beside", Probe.EDGE)} <= through
    assert {probe for _, probe in through} == {Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS}
    assert {at for at in needing("beside") if at[0] != "beside"} == {("front", "beside", Probe.EDGE)}
    assert ("back", "front", Probe.TRUE_SERVER) not in needing("front") | of_back
