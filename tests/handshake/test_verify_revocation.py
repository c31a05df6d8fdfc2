"""Revocation as verify sees it: every kind that checks it, checks that are switched off, and who was really revoked.

That each template's own checks are missed is shown by the mutations that it declares (test_contract.py). Here the
whole report is looked at:

python   the issuer is not compared              the sibling CA, although its own responder calls it good
python   an expired answer still counts   stale
curl     --cert-status                           false servers, and those that staple nothing good
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.apply import apply
from scaffold.errors import PublishError
from scaffold.pki.crl import Reason
from scaffold.plan.basis import Asked
from scaffold.plan.intents import Revoke
from scaffold.plan.make import look, plan_all
from scaffold.running.ports import free_addresses
from scaffold.topology.address import Address
from scaffold.verify.model import Expected, Observed, Probe, Report, Result
from scaffold.verify.revocation_scenarios import OF_CALLEES, OF_CALLERS, RevocationScenario
from tests.handshake.verify_lab import Lab, applied, failures, lines
from tests.requirements import require_command

TOPOLOGY = """
version: 1
name: looked-up
publish: http://{publish}
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  lists: {{template: python, issuer: issuing, listen: "127.0.0.1:18443", names: [localhost], check_revocation: crl}}
  asks: {{template: python, issuer: issuing, listen: "127.0.0.1:18444", names: [localhost], check_revocation: ocsp}}
  lenient:
    template: python
    issuer: issuing
    listen: 127.0.0.1:18445
    names: [localhost]
    check_revocation: ocsp
    on_unavailable: allow
  fast:
    template: nginx
    issuer: issuing
    listen: 127.0.0.1:18446
    names: [localhost]
    check_revocation: ocsp
    staple: true
  listing: {{template: nginx, issuer: issuing, listen: "127.0.0.1:18447", names: [localhost], check_revocation: crl}}
clients:
  plain: {{template: python, issuer: issuing, calls: [lists, asks, lenient, fast, listing]}}
  careful: {{template: python, issuer: issuing, calls: [lists], check_revocation: crl}}
  curious: {{template: python, issuer: issuing, calls: [lists], check_revocation: ocsp}}
  curly: {{template: curl, issuer: issuing, calls: [lists], check_revocation: crl}}
  demanding: {{template: curl, issuer: issuing, calls: [fast], check_revocation: ocsp}}
"""

CAS_BY_LIST = (Probe.REVOKED_CA, Probe.EXPIRED_CRL)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    require_command("nginx", "curl", "openssl")
    (publish,) = free_addresses(1)
    return applied(TOPOLOGY.format(publish=publish), tmp_path_factory.mktemp("sound"))


@pytest.fixture
def lab(sound: Lab, tmp_path: Path) -> Lab:
    """A copy to break."""
    return sound.copied(tmp_path / "lab")


def tried(report: Report, server: str, client: str) -> dict[Probe, Expected]:
    checks = (one for one in report.checks if (one.server, one.client) == (server, client))
    return {one.probe: one.expected for one in checks}


def test_every_kind_that_claims_it_refuses_and_lets_its_twin_in(sound: Lab) -> None:
    ledger = sound.path(".scaffold/ledger.jsonl").read_bytes()
    report = sound.verify()
    assert not report.failed, lines(report)
    assert all(one.result is Result.PASSED for one in report.checks), lines(report)
    assert sound.path(".scaffold/ledger.jsonl").read_bytes() == ledger

    of_callers = frozenset(OF_CALLERS.values())
    assert tried(report, "lists", "plain").keys() & of_callers == {*CAS_BY_LIST}
    assert tried(report, "listing", "plain").keys() & of_callers == {*CAS_BY_LIST}
    assert tried(report, "asks", "plain").keys() & of_callers == of_callers
    assert tried(report, "fast", "plain").keys() & of_callers == of_callers
    assert tried(report, "fast", "anyone")[Probe.STAPLE] is Expected.ALLOWED

    lenient = tried(report, "lenient", "plain")
    unavailable = (Probe.EXPIRED_CRL, Probe.RESPONDER_DOWN, Probe.STALE_OCSP)
    assert {lenient[probe] for probe in unavailable} == {Expected.ALLOWED}
    assert {lenient[probe] for probe in (Probe.REVOKED, Probe.REVOKED_CA)} == {Expected.REFUSED}
    assert Probe.RESPONDER_UNKNOWN not in lenient

    of_callees = frozenset(OF_CALLEES.values())
    by_list = {OF_CALLEES[RevocationScenario.REVOKED_CA], OF_CALLEES[RevocationScenario.EXPIRED_CRL]}
    assert tried(report, "lists", "careful").keys() & of_callees == by_list
    assert tried(report, "lists", "curly").keys() & of_callees == by_list
    assert tried(report, "lists", "curious").keys() & of_callees == of_callees
    stapled = tried(report, "fast", "demanding").keys()
    assert stapled & of_callees == of_callees - {Probe.SERVER_RESPONDER_DOWN}
    assert Probe.SERVER_NO_STAPLE in stapled
    assert Probe.FALSE_REVOKED not in tried(report, "lists", "plain")


def python_takes_stale_answers(lab: Lab) -> None:
    lab.rewrite("servers/asks/revocation.py", ('"-validity_period", str(CLOCK_SECONDS)', '"-validity_period", "86400"'))


def python_compares_no_issuer(lab: Lab) -> None:
    lab.rewrite(
        "servers/asks/peer.py",
        ('entry["issuer_spki_sha256"])', '"")'),
        ("Peer(identities[0], der.spki_sha256(issuer), identities[1:])", 'Peer(identities[0], "")'),
    )


def curl_demands_no_staple(lab: Lab) -> None:
    lab.rewrite(
        "clients/demanding/run.sh", ("/dev/null --crlfile tls/crl.pem --cert-status", "/dev/null --crlfile tls/crl.pem")
    )


def at(server: str, client: str, *probes: Probe) -> set[tuple[str, str, Probe]]:
    return {(server, client, probe) for probe in probes}


def of_servers(*scenarios: RevocationScenario) -> tuple[Probe, ...]:
    return tuple(OF_CALLEES[scenario] for scenario in scenarios)


STAPLED = (
    Probe.FALSE_REVOKED,
    Probe.SERVER_NO_STAPLE,
    *of_servers(RevocationScenario.STALE, RevocationScenario.UNKNOWN),
)

BREAKAGES: list[tuple[Callable[[Lab], None], str, set[tuple[str, str, Probe]]]] = [
    (python_takes_stale_answers, "server.asks", at("asks", "plain", Probe.STALE_OCSP)),
    (python_compares_no_issuer, "server.asks", at("asks", "plain", Probe.SIBLING_CA)),
    (curl_demands_no_staple, "client.demanding", at("fast", "demanding", *STAPLED)),
]


@pytest.mark.parametrize(("break_it", "only", "caught"), BREAKAGES, ids=[one[0].__name__ for one in BREAKAGES])
def test_a_check_that_is_switched_off_is_caught_and_nothing_else(
    break_it: Callable[[Lab], None], only: str, caught: set[tuple[str, str, Probe]], lab: Lab
) -> None:
    break_it(lab)
    report = lab.verify(only)
    assert failures(report) == caught, lines(report)


def revoke(lab: Lab, address: str) -> None:
    """For good, and without another certificate."""
    now = datetime.now(UTC)
    intent = Revoke(Address.parse(address), Reason.KEY_COMPROMISE, replace=False)
    apply(plan_all(look(lab.topology, lab.kinds, lab.layout, now), Asked([intent])), lab.secrets)


def test_who_was_revoked_and_not_replaced_is_expected_to_be_refused(lab: Lab) -> None:
    revoke(lab, "client.plain")
    report = lab.verify("client.plain")
    assert not report.failed, lines(report)
    edges = {one.server: one.observed for one in report.checks if one.probe is Probe.EDGE}
    assert edges == dict.fromkeys(lab.topology.servers, Observed.REFUSED)


def test_a_server_that_was_revoked_is_refused_by_those_who_look(lab: Lab) -> None:
    revoke(lab, "server.lists")
    report = lab.verify("server.lists")
    assert not report.failed, lines(report)
    edges = {one.client: one.observed for one in report.checks if one.server == "lists" and one.probe is Probe.EDGE}
    assert edges == {
        "plain": Observed.ALLOWED,
        "careful": Observed.REFUSED,
        "curious": Observed.REFUSED,
        "curly": Observed.REFUSED,
    }


def test_a_publisher_whose_address_is_taken_is_a_clear_error(sound: Lab) -> None:
    publish = (sound.topology.publish or "").removeprefix("http://")
    host, _, port = publish.rpartition(":")
    with contextlib.closing(socket.create_server((host, int(port)))):
        with pytest.raises(PublishError, match=f"the publisher cannot listen on {publish}") as raised:
            sound.verify("server.asks")
        assert "this port cannot change" in str(raised.value.hint)


def test_who_reads_files_alone_needs_no_publisher(tmp_path: Path) -> None:
    (publish,) = free_addresses(1)
    lab = applied(
        f"""
        version: 1
        name: files
        publish: http://{publish}
        cas: {{root: {{}}}}
        servers:
          lists: {{template: python, listen: "127.0.0.1:18443", names: [localhost], check_revocation: crl}}
        clients:
          careful: {{template: python, calls: [lists], check_revocation: crl}}
        """,
        tmp_path,
    )
    with contextlib.closing(socket.create_server((publish.host, publish.port))):
        report = lab.verify()
    assert not report.failed, lines(report)
    # A root vouches for itself: nobody could call it revoked.
    assert {Probe.REVOKED, Probe.EXPIRED_CRL} <= tried(report, "lists", "careful").keys()
    assert Probe.REVOKED_CA not in tried(report, "lists", "careful")
