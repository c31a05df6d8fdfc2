"""The topologies in which a template is tried ask for all that it declares, and for nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from scaffold.contract import topologies
from scaffold.kinds import catalogue
from scaffold.kinds.capabilities import FEATURES, HTTP
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.limits import check, without_unusable_defaults
from scaffold.topology import graph
from scaffold.topology.load import loads
from scaffold.topology.model import KeyType, OnUnavailable, RevocationCheck, SanType, Server, TlsProfile, Topology

BUILT_IN = [(name, role) for role in ("server", "client") for name in catalogue.builtin_names(role)]
LEAST: dict[str, Any] = {
    "tls": frozenset({TlsProfile.MODERN}),
    "check_revocation": frozenset({RevocationCheck.NONE}),
    "on_unavailable": frozenset({OnUnavailable.REFUSE}),
    "keys": MappingProxyType({KeyType.EC_P256: "1.1.1"}),
    "groups": MappingProxyType({}),
    "supports": frozenset(),
    "checks_names": frozenset({SanType.DNS}),
    "checks_callees": frozenset({RevocationCheck.NONE}),
    "sees_callers_by": frozenset(),
}


def ports() -> Iterator[str]:
    return (f"127.0.0.1:{port}" for port in itertools.count(20000))


def of(kind: Kind) -> tuple[topologies.Topology, topologies.Topology]:
    """The topology to run, and that of all that is declared."""
    http = kind.capabilities.protocol == HTTP
    if kind.role == "server":
        client, gateway = ("python", "haproxy") if http else ("psql", None)
        run = topologies.of_server(kind, kind.name, client, gateway, ports())
        return run, topologies.of_all_declared(kind, kind.name, client, ports(), staples=http)
    server = "nginx" if http else "postgresql"
    run = topologies.of_client(kind, kind.name, server, ports(), staples=http)
    return run, topologies.of_all_declared(kind, kind.name, server, ports(), staples=http)


def checked(made: topologies.Topology, kind: Kind) -> Topology:
    """As scaffold reads it, for templates that can do what `kind` declares. Raises what plan would refuse."""
    t = loads(json.dumps(made, ensure_ascii=False).encode(), Path("topology.yaml"))
    kinds = {}
    for party in graph.parties(t):
        if party.is_external:
            continue
        own = party.template == kind.name and party.address.role == kind.role
        kinds[party.address] = kind if own else catalogue.find(party.template, party.address.role, Path())
    t = without_unusable_defaults(t, kinds)
    check(t, kinds)
    return t


@pytest.mark.parametrize(("name", "role"), BUILT_IN)
def test_what_a_template_declares_is_asked_for_and_can_be(name: str, role: str) -> None:
    kind = catalogue.builtin(name, role)
    can = kind.capabilities
    for made in of(kind):
        checked(made, kind)
    t = checked(of(kind)[1], kind)
    parties = [party for party in graph.parties(t) if party.template == name and party.address.role == role]
    assert {party.key for party in parties} == set(can.keys)
    assert {party.tls for party in parties} == can.tls
    assert {party.check_revocation for party in parties} == can.check_revocation
    assert any(party.pfx for party in parties) == ("pfx" in can.supports)
    assert any(party.files for party in parties) == ("files" in can.supports)
    servers = [party for party in parties if isinstance(party, Server)]
    for feature in ("health", "calls", "upstream", "backend", "one_leaf", "must_staple") if servers else ():
        assert any(getattr(server, feature) for server in servers) == (feature in can.supports), feature
    assert any(server.post_quantum for server in servers) == bool(can.groups and servers)
    assert any(server.staple for server in servers) == (can.staples and bool(servers))
    assert any(caller.roles for caller in t.clients.values()) == ("roles" in can.supports and bool(servers))


@pytest.mark.parametrize(("name", "role"), BUILT_IN)
def test_whom_a_template_knows_is_asked_for(name: str, role: str) -> None:
    """Servers by each type of name, looked up in each way; callers with certificates from elsewhere by each form."""
    kind = catalogue.builtin(name, role)
    can = kind.capabilities
    t = checked(of(kind)[1], kind)
    parties = [party for party in graph.parties(t) if party.template == name and party.address.role == role]
    calls = [(party, t.servers[callee]) for party in parties for callee in party.calls]
    if role == "client" or "calls" in can.supports:
        known = {callee.names[0].type for _, callee in calls}
        assert known == can.checks_names & {SanType.DNS, SanType.IP}
        ways = {caller.check_revocation for caller, _ in calls} - {RevocationCheck.NONE}
        assert ways == (can.check_revocation if role == "client" else can.checks_callees) - {RevocationCheck.NONE}
    external = [client.external.identity for client in t.clients.values() if client.external]
    assert len(external) == (len(can.sees_callers_by) if role == "server" else 0)


ASKED_FOR = {
    "health", "upstream", "backend", "calls", "pfx", "staple", "staple-file", "must_staple", "roles", "files",
    "one_leaf", "doors",
}  # fmt: skip
HOW = {
    "reload", "demands_eku", "crls_over_http", "ocsp_needs_no_cdp", "demands_staple", "strict_x509",
    "takes_common_names", "takes_lone_common_names",
}  # fmt: skip
"""How a template goes about something: no topology asks for it."""
NEEDS_A_FILE = {"csr"}
"""It takes a request that a person brings."""


def test_every_feature_is_asked_for_or_nothing_that_can_be() -> None:
    assert set(FEATURES) == ASKED_FOR | HOW | NEEDS_A_FILE


@pytest.mark.parametrize("role", ["server", "client"])
def test_what_a_template_does_not_declare_is_not_asked_for(role: str) -> None:
    kind = catalogue.builtin("python", role)
    least = dataclasses.replace(kind, capabilities=dataclasses.replace(kind.capabilities, **LEAST))
    for made in of(least):
        checked(made, least)


def test_the_values_are_awkward() -> None:
    made = of(catalogue.builtin("python", "server"))[0]
    t = loads(json.dumps(made, ensure_ascii=False).encode(), Path("topology.yaml"))
    assert t.servers[topologies.SUBJECT].vars["greeting"] == topologies.GREETING
    for character in "\"'\\$`{}#;%&<>|":
        assert character in topologies.GREETING + str(t.clients["teller"].subject.common_name), character
