"""Who calls servers below several roots believes each of them by its own root alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from scaffold.topology.model import Client
from scaffold.verify.model import Probe, Result
from tests.handshake.postgresql_lab import require_postgresql
from tests.handshake.verify_lab import Lab, applied, failures, lines
from tests.requirements import require_command

TOPOLOGY = """
version: 1
name: two-roots
cas: {{ours: {{}}, issuing: {{issuer: ours}}, theirs: {{}}, foreign: {{issuer: theirs}}}}
servers:
  accounts: {{template: python, issuer: issuing, listen: "{accounts}", names: [accounts.internal]}}
  ledger: {{template: python, issuer: foreign, listen: "{ledger}", names: [ledger.internal]}}
  caller:
    template: {server}
    issuer: issuing
    listen: "{caller}"
    names: [caller.internal]
    calls: [accounts, ledger]
    {upstream}
clients:
  teller: {{template: {client}, issuer: issuing, calls: [accounts, ledger, caller]}}
"""
KINDS = (
    ("python", "python", ""),
    ("nginx", "curl", "upstream: accounts"),
    ("haproxy", "curl", "upstream: accounts"),
    pytest.param(("kestrel", "dotnet", ""), marks=pytest.mark.long),
)


DATABASES = """
version: 1
name: two-roots
cas: {{ours: {{}}, issuing: {{issuer: ours}}, theirs: {{}}, foreign: {{issuer: theirs}}}}
servers:
  accounts: {{template: postgresql, issuer: issuing, listen: "{accounts}", names: [accounts.internal]}}
  ledger: {{template: postgresql, issuer: foreign, listen: "{ledger}", names: [ledger.internal]}}
clients:
  teller: {{template: psql, issuer: issuing, calls: [accounts, ledger]}}
"""


@pytest.fixture(scope="module", params=KINDS, ids=lambda kinds: f"{kinds[0]}-{kinds[1]}")
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    server, client, upstream = request.param
    for command in {"nginx": ("nginx", "curl"), "haproxy": ("haproxy", "curl"), "kestrel": ("dotnet",)}.get(server, ()):
        require_command(command)
    addresses = dict(zip(("accounts", "ledger", "caller"), free_addresses(3), strict=True))
    text = TOPOLOGY.format(server=server, client=client, upstream=upstream, **addresses)
    return applied(text, tmp_path_factory.mktemp("trust"))


def test_each_callee_is_believed_by_its_own_root_alone(sound: Lab) -> None:
    report = sound.verify()
    assert not failures(report), lines(report)
    tried = {(check.client, check.server) for check in report.checks if check.probe is Probe.FALSE_ROOT}
    assert tried == {(caller, callee) for caller in ("caller", "teller") for callee in ("accounts", "ledger")} | {
        ("teller", "caller")
    }
    assert all(check.result is Result.PASSED for check in report.checks if check.probe is Probe.FALSE_ROOT)


def test_one_file_of_all_roots_is_found_out(sound: Lab, tmp_path: Path) -> None:
    lab = sound.copied(tmp_path / "out")
    for party in (sound.topology.servers["caller"], sound.topology.clients["teller"]):
        kind, name = ("clients", "ca") if isinstance(party, Client) else ("servers", "client-ca")
        tls = f"{kind}/{party.name}/tls"
        shutil.copy(lab.path(f"{tls}/{name}.pem"), lab.path(f"{tls}/{name}.ledger.pem"))
    report = lab.verify(only="server.ledger")
    assert failures(report) == {
        ("ledger", "caller", Probe.FALSE_ROOT),
        ("ledger", "teller", Probe.FALSE_ROOT),
    }, lines(report)


def test_psql_believes_each_database_by_its_own_root_alone(tmp_path: Path) -> None:
    require_postgresql()
    addresses = dict(zip(("accounts", "ledger"), free_addresses(2), strict=True))
    lab = applied(DATABASES.format(**addresses), tmp_path)
    report = lab.verify(only="client.teller")
    assert not failures(report), lines(report)
    tls = "clients/teller/tls"
    shutil.copy(lab.path(f"{tls}/ca.pem"), lab.path(f"{tls}/ca.ledger.pem"))
    report = lab.verify(only="server.ledger")
    assert failures(report) == {("ledger", "teller", Probe.FALSE_ROOT)}, lines(report)
