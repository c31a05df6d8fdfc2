"""What is to be probed, and what the topology says of it."""

from __future__ import annotations

from pathlib import Path

from scaffold.kinds.catalogue import find
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.load import loads
from scaffold.topology.model import Client, Server, Topology
from scaffold.verify import revocation_scenarios
from scaffold.verify.cases import FALSE_SERVERS, TAKING_COMMON_NAMES, Case, cases, imitations, without_control
from scaffold.verify.judge import Finding
from scaffold.verify.model import Check, Expected, Layer, Observed, Probe, Result

TOPOLOGY = b"""
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root}
servers:
  gateway:
    {template: nginx, issuer: issuing, listen: "127.0.0.1:1", names: [gateway.internal], calls: [accounts],
     upstream: accounts}
  accounts:
    {template: python, issuer: issuing, listen: "127.0.0.1:2", names: [accounts.internal], health: "127.0.0.1:3"}
  lonely: {template: python, issuer: issuing, listen: "127.0.0.1:4", names: [lonely.internal]}
clients:
  mallory: {template: python, issuer: issuing, calls: [accounts], fault: expired}
  teller: {template: python, issuer: issuing, calls: [accounts, gateway]}
"""


OF_REVOCATION = {
    *revocation_scenarios.OF_CALLERS.values(), *revocation_scenarios.OF_CALLEES.values(),
    Probe.REVOKED, Probe.FALSE_REVOKED, Probe.STAPLE, Probe.SERVER_NO_STAPLE,
}  # fmt: skip


def loaded(text: bytes = TOPOLOGY) -> Topology:
    return loads(text, Path("topology.yaml"))


def of(t: Topology, only: str | None = None) -> dict[tuple[str, str, Probe], Expected]:
    kinds = {
        party.address: find(party.template, "server" if isinstance(party, Server) else "client", Path.cwd())
        for party in graph.parties(t)
        if not (isinstance(party, Client) and party.external)
    }
    found = cases(t, kinds, Address.parse(only) if only else None)
    keyed = {(case.server.name, case.caller.name if case.caller else "", case.probe): case.expected for case in found}
    assert len(keyed) == len(found)
    return keyed


def test_every_drawn_call_is_a_case_and_a_fault_turns_it_round() -> None:
    edges = {key[:2]: expected for key, expected in of(loaded()).items() if key[2] is Probe.EDGE}
    assert edges == {
        ("gateway", "teller"): Expected.ALLOWED,
        ("accounts", "gateway"): Expected.ALLOWED,
        ("accounts", "mallory"): Expected.REFUSED,
        ("accounts", "teller"): Expected.ALLOWED,
    }


def test_a_faulty_server_is_refused_by_all_its_callers_and_by_those_of_its_gateway() -> None:
    t = loaded(TOPOLOGY.replace(b'health: "127.0.0.1:3"', b'health: "127.0.0.1:3", fault: wrong-name'))
    edges = {key[:2]: expected for key, expected in of(t).items() if key[2] is Probe.EDGE}
    assert set(edges.values()) == {Expected.REFUSED}


def test_every_pair_with_a_certificate_that_is_not_drawn_is_a_case() -> None:
    undrawn = {key[:2] for key, expected in of(loaded()).items() if key[2] is Probe.NOT_ALLOWED}
    assert undrawn == {
        ("gateway", "gateway"), ("gateway", "mallory"),
        ("lonely", "gateway"), ("lonely", "mallory"), ("lonely", "teller"),
    }  # fmt: skip


def test_rogues_bear_the_name_of_a_sound_client_that_is_no_gateway() -> None:
    t = loaded()
    assert [party.name for party in imitations(t, t.servers["accounts"])] == ["teller"]
    assert [party.name for party in imitations(t, t.servers["lonely"])] == []


def test_a_server_that_nobody_calls_still_refuses_everybody() -> None:
    lonely = {key[2] for key in of(loaded()) if key[0] == "lonely"}
    assert lonely == {Probe.NO_CERTIFICATE, Probe.NOT_ALLOWED, Probe.CONTROL}


def test_a_server_that_nobody_calls_has_no_control_and_that_is_said() -> None:
    """It would look the same if it refused everybody."""
    t = loaded()
    missing = [Case(t.servers[name], None, Probe.CONTROL, Expected.ALLOWED) for name in ("lonely", "accounts")]
    assert "nobody may call server.lonely: no control" in (without_control(missing[0]) or "")
    assert ("lonely", "", Probe.CONTROL) in of(t)
    assert ("accounts", "", Probe.CONTROL) not in of(t)
    shown = Case(t.servers["accounts"], t.clients["teller"], Probe.CONTROL, Expected.ALLOWED)
    assert without_control(shown) is None


def test_every_rogue_that_applies_is_a_case() -> None:
    accounts = {key[2] for key in of(loaded()) if key[:2] == ("accounts", "teller")}
    of_nobody = {Probe.SAME_NAME_CA, Probe.NOT_ALLOWED, Probe.NO_CERTIFICATE, Probe.HEALTH}
    of_nobody |= {Probe.OTHER_SUBJECT}  # in HTTP a caller says nothing beside its certificate
    assert accounts == set(Probe) - of_nobody - OF_REVOCATION
    assert ("accounts", "", Probe.HEALTH) in of(loaded())


def test_where_callers_say_who_they_are_that_is_probed_and_headers_are_not() -> None:
    text = b"""
version: 1
name: bank
cas: {root: {}, issuing: {issuer: root}}
servers: {ledger: {template: postgresql, issuer: issuing, listen: "127.0.0.1:2", names: [ledger.internal]}}
clients:
  teller: {template: psql, issuer: issuing, calls: [ledger]}
  stranger: {template: psql, issuer: issuing}
"""
    found = of(loaded(text))
    assert found["ledger", "teller", Probe.OTHER_SUBJECT] is Expected.REFUSED
    assert found["ledger", "stranger", Probe.NOT_ALLOWED] is Expected.REFUSED
    assert Probe.SIBLING_CA in {key[2] for key in found}, "it is skipped in plain sight"
    assert not {Probe.FORGED_HEADERS, Probe.NO_EKU} & {key[2] for key in found}
    assert Probe.OTHER_SUBJECT not in {key[2] for key in of(loaded())}


def test_a_missing_purpose_is_probed_where_the_kind_demands_one() -> None:
    servers = {key[0] for key in of(loaded()) if key[2] is Probe.NO_EKU}
    assert servers == {"accounts"}


def test_a_namesake_is_probed_where_there_is_another_root() -> None:
    t = loaded(TOPOLOGY.replace(b"root: {}", b"root: {}\n  other: {}"))
    assert ("accounts", "teller", Probe.SAME_NAME_CA) in of(t)


def test_false_servers_are_shown_to_every_caller() -> None:
    edges = {("gateway", "teller"), ("accounts", "gateway"), ("accounts", "mallory"), ("accounts", "teller")}
    for probe in FALSE_SERVERS:
        shown = {key[:2] for key in of(loaded()) if key[2] is probe}
        # Whether it takes common names, once: teller calls accounts first.
        assert shown == (edges - {("gateway", "teller")} if probe in TAKING_COMMON_NAMES else edges)


def test_who_takes_common_names_by_its_template_is_to_believe_such_false_servers() -> None:
    """nginx where there is no other name, HAProxy always, Python never."""
    name_alone, beside = Probe.FALSE_LONE_COMMON_NAME, Probe.FALSE_COMMON_NAME
    t = loaded(
        TOPOLOGY.replace(
            b"clients:",
            b"""\
  far:
    {template: haproxy, issuer: issuing, listen: "127.0.0.1:5", names: [far.internal], calls: [accounts]}
clients:""",
        )
    )
    found = of(t)
    believed = {(key[1], key[2]) for key, expected in found.items() if expected is Expected.ALLOWED} & {
        (caller, probe) for _, caller, probe in found if probe in FALSE_SERVERS
    }
    assert believed == {("gateway", name_alone), ("far", name_alone), ("far", beside)}


def test_why_a_false_server_is_to_be_believed_is_said() -> None:
    t = loaded()
    kinds = {party.address: find(party.template, party.address.role.value, Path.cwd()) for party in graph.parties(t)}
    (case,) = [
        case
        for case in cases(t, kinds)
        if case.probe is Probe.FALSE_LONE_COMMON_NAME and case.expected is Expected.ALLOWED
    ]
    check = case.concluded(Finding(Observed.ALLOWED, Layer.TLS, "it sent its request"))
    assert check.result is Result.PASSED
    assert check.detail.startswith('template "nginx" accepts common names as host names')
    assert case.concluded(Finding(Observed.REFUSED, Layer.TLS, "no")).result is Result.FAILED


def test_only_leaves_the_cases_of_one_party() -> None:
    assert {key[0] for key in of(loaded(), "server.lonely")} == {"lonely"}
    assert {key[1] for key in of(loaded(), "client.teller")} == {"teller"}
    gateway = of(loaded(), "server.gateway")
    assert all("gateway" in key[:2] for key in gateway)
    assert ("accounts", "gateway", Probe.EDGE) in gateway


def test_only_what_was_expected_passes() -> None:
    t = loaded()
    case = Case(t.servers["accounts"], t.clients["teller"], Probe.EXPIRED, Expected.REFUSED)
    results = {
        observed: case.concluded(Finding(observed, Layer.TLS, "words")).result
        for observed in Observed
        if observed is not Observed.NOTHING
    }
    assert results == {
        Observed.ALLOWED: Result.FAILED,
        Observed.REFUSED: Result.PASSED,
        Observed.UNREACHABLE: Result.FAILED,
        Observed.BROKEN: Result.FAILED,
    }
    assert case.skipped("no key") == Check(
        "accounts", "teller", Probe.EXPIRED, Expected.REFUSED, Observed.NOTHING, "no key", None, Result.SKIPPED
    )


def test_headers_are_forged_by_somebody_with_roles_and_by_somebody_without() -> None:
    def forgers(edge: str, more: bytes = b"") -> set[tuple[str, str]]:
        text = TOPOLOGY.replace(b"calls: [accounts, gateway]", f"calls: {edge}".encode()) + more
        return {key[:2] for key in of(loaded(text)) if key[2] is Probe.FORGED_HEADERS}

    plain = {("gateway", "teller"), ("accounts", "teller")}
    assert forgers("[accounts, gateway]") == plain
    auditor = b"  auditor: {template: python, issuer: issuing, calls: [accounts, gateway]}\n"
    assert forgers("[accounts, gateway]", auditor) == plain
    both = {*plain, ("gateway", "auditor"), ("accounts", "mallory")}
    assert forgers("{accounts: [reader], gateway: [guest]}", auditor) == both
    with_roles = auditor.replace(b"[accounts, gateway]", b"{accounts: [], gateway: [guest]}")
    assert forgers("[gateway, accounts]", with_roles) == {*plain, ("gateway", "auditor")}
    # What a gateway of the server says of others is believed, so it forges nothing.
    assert forgers("{gateway: [guest], accounts: [a]}") == {*plain, ("accounts", "mallory")}
    alone = TOPOLOGY.replace(
        b"  mallory: {template: python, issuer: issuing, calls: [accounts], fault: expired}\n", b""
    )
    found = of(loaded(alone.replace(b"calls: [accounts, gateway]", b"calls: {accounts: [a], gateway: []}")))
    assert {key[:2] for key in found if key[2] is Probe.FORGED_HEADERS} == plain


def whys(t: Topology, withdrawn: frozenset[Address] = frozenset()) -> dict[tuple[str, str], str]:
    kinds = {party.address: find(party.template, party.address.role.value, Path.cwd()) for party in graph.parties(t)}
    edges = [case for case in cases(t, kinds, withdrawn=withdrawn) if case.probe is Probe.EDGE]
    assert all((case.expected is Expected.REFUSED) is bool(case.why) for case in edges)
    return {(case.server.name, case.caller.name): case.why for case in edges if case.caller and case.why}


def test_a_drawn_call_that_is_refused_says_why() -> None:
    assert whys(loaded()) == {("accounts", "mallory"): "broken on purpose"}
    checking = TOPOLOGY.replace(b'health: "127.0.0.1:3"', b"check_revocation: crl")
    revoked = frozenset({Address.parse("client.teller.certificate")})
    assert whys(loaded(), revoked) == whys(loaded()), "nobody looks it up"
    assert whys(loaded(checking), revoked)["accounts", "teller"] == "its own certificate is revoked"
    assert ("gateway", "teller") not in whys(loaded(checking), revoked)
    gateway = frozenset({Address.parse("server.gateway.client-certificate")})
    assert whys(loaded(checking), gateway)["gateway", "teller"] == "the certificate of a server behind it is revoked"
    faulty = TOPOLOGY.replace(b'health: "127.0.0.1:3"', b"fault: wrong-name")
    assert whys(loaded(faulty))["gateway", "teller"] == "a server behind it is broken on purpose"


def test_why_stands_before_what_was_seen() -> None:
    t = loaded()
    case = Case(
        t.servers["accounts"], t.clients["teller"], Probe.EDGE, Expected.REFUSED, "its own certificate is revoked"
    )
    check = case.concluded(Finding(Observed.REFUSED, Layer.TLS, "certificate revoked"))
    assert (check.why, check.detail) == (case.why, "its own certificate is revoked: certificate revoked")
