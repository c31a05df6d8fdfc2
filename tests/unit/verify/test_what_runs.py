"""What is not tried at servers that run already, where each is looked for, and what counts of several addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from scaffold.kinds import catalogue
from scaffold.kinds.catalogue import Kind
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.load import loads
from scaffold.topology.model import HostPort, Topology
from scaffold.verify import what_runs
from scaffold.verify.cases import cases
from scaffold.verify.model import Check, Expected, Observed, Probe, Result
from scaffold.verify.what_runs import _health_of, _of_health


@dataclass(frozen=True)
class OnItsHost:
    """What is looked at of a server."""

    dial: HostPort
    health: HostPort | None


LOCAL, REMOTE = HostPort("127.0.0.2", 8443), HostPort("192.0.2.7", 8443)


@pytest.mark.parametrize(
    ("dial", "health", "found"),
    [
        (LOCAL, HostPort("127.0.0.1", 8081), HostPort("127.0.0.1", 8081)),
        (REMOTE, HostPort("192.0.2.7", 8081), HostPort("192.0.2.7", 8081)),
        (REMOTE, HostPort("0.0.0.0", 8081), HostPort("192.0.2.7", 8081)),
        (HostPort("api.shop.internal", 8443), HostPort("::", 8081), HostPort("api.shop.internal", 8081)),
    ],
)
def test_a_health_port_is_where_it_listens(dial: HostPort, health: HostPort, found: HostPort) -> None:
    server = OnItsHost(dial, health)
    assert _health_of(server) == found  # type: ignore[arg-type]
    assert _of_health(server) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_one_on_the_loopback_of_another_host_is_not_looked_for_here(host: str) -> None:
    reason = _of_health(OnItsHost(REMOTE, HostPort(host, 8081)))  # type: ignore[arg-type]
    assert reason is not None
    assert "192.0.2.7:8443 is another" in reason


# --- What is not tried -----------------------------------------------------------------------------------------------

BANK = """
version: 1
name: bank
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  front: {{template: nginx, issuer: issuing, listen: "127.0.0.1:1", names: [front.internal], calls: [accounts]}}
  accounts:
    {{template: python, issuer: issuing, listen: "127.0.0.1:2", names: [a.internal], check_revocation: {check}}}
clients:
  teller: {{template: python, issuer: issuing, calls: [accounts]}}
  own: {{template: files, issuer: issuing, calls: [accounts]}}
  asking: {{template: files, issuer: issuing, calls: [accounts], csr: asking.csr}}
"""


def bank(check: str = "none") -> tuple[Topology, Mapping[Address, Kind]]:
    t = loads(BANK.format(check=check).encode(), Path("topology.yaml"))
    return t, {party.address: catalogue.builtin(party.template, party.address.role.value) for party in graph.parties(t)}


def reasons(check: str) -> dict[Probe, str]:
    """Why each probe at `accounts` is not tried, as far as it is not."""
    t, kinds = bank(check)
    of = what_runs._Reasons(t, kinds).of
    found = {case.probe: of(case) for case in cases(t, kinds) if case.server.name == "accounts"}
    return {probe: reason for probe, reason in found.items() if reason is not None}


BY_STRANGERS = {
    Probe.FOREIGN_CA, Probe.SIBLING_CA, Probe.SELF_SIGNED, Probe.ISSUED_BY_LEAF,
}  # fmt: skip
BY_THE_ISSUER = {Probe.EXPIRED, Probe.NOT_YET_VALID, Probe.SERVER_CERTIFICATE, Probe.NO_EKU}


def test_a_server_that_looks_nothing_up_is_shown_every_forgery() -> None:
    assert (BY_STRANGERS | BY_THE_ISSUER).isdisjoint(reasons("none"))


def test_no_stranger_has_a_crl_and_the_issuers_has_one() -> None:
    found = reasons("crl")
    assert {probe for probe, reason in found.items() if "demands a CRL of each CA" in reason} >= BY_STRANGERS
    assert BY_THE_ISSUER.isdisjoint(found)


def test_what_is_made_for_a_probe_is_unknown_to_a_responder() -> None:
    found = reasons("ocsp")
    unknown = {probe for probe, reason in found.items() if "by OCSP, where" in reason}
    assert unknown >= BY_STRANGERS | BY_THE_ISSUER


@pytest.mark.parametrize("check", ["crl", "ocsp"])
def test_nothing_that_a_source_must_say_otherwise_is_tried(check: str) -> None:
    found = reasons(check)
    assert "a false publisher would have to answer" in found[Probe.REVOKED]


def test_who_calls_by_another_server_needs_both_to_answer() -> None:
    t, kinds = bank()
    dialled = {
        case.caller.name: what_runs._dialled(case)
        for case in cases(t, kinds)
        if case.probe is Probe.EDGE and case.caller is not None and case.server.name == "accounts"
    }
    assert dialled["front"] == ("accounts", "front")
    assert dialled["teller"] == ("accounts",)


def test_a_certificate_is_shown_for_a_program_of_a_persons_own_but_not_without_its_key() -> None:
    assert what_runs._never_run(*bank()) == {Address.client("own")}


# --- At several addresses --------------------------------------------------------------------------------------------


def at_one_address(result: Result, number: int = 0) -> Check:
    observed = Observed.REFUSED if result is Result.PASSED else Observed.NOTHING
    return Check("accounts", "anyone", Probe.EXPIRED, Expected.REFUSED, observed, str(number), None, result)


@pytest.mark.parametrize(
    ("results", "worst"),
    [
        ((Result.PASSED, Result.PASSED), Result.PASSED),
        ((Result.PASSED, Result.SKIPPED, Result.PASSED), Result.SKIPPED),
        ((Result.SKIPPED, Result.PASSED), Result.SKIPPED),
        ((Result.PASSED, Result.FAILED, Result.SKIPPED), Result.FAILED),
        ((Result.FAILED, Result.PASSED), Result.FAILED),
    ],
)
def test_of_several_addresses_the_worst_counts_and_of_equals_the_first(
    results: tuple[Result, ...], worst: Result
) -> None:
    said: Check | None = None
    for number, result in enumerate(results):
        said = what_runs._worse(said, at_one_address(result, number))
    assert said == at_one_address(worst, results.index(worst))
