"""The line that each built-in template declares for a check stands in what it renders, for every way it is used."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaffold.explain.ends import World
from scaffold.explain.handshake import handshake
from scaffold.explain.model import About, Check
from scaffold.kinds import catalogue
from scaffold.kinds.capabilities import Capabilities
from scaffold.kinds.lines import Point
from scaffold.store import ledger
from scaffold.topology import graph
from scaffold.topology.model import RevocationCheck
from scaffold.verify.last_run import LastRun
from tests.unit.conftest import Household

TOPOLOGY = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {{}}
  issuing: {{issuer: root, revocation: {{{method}: 1h}}}}
servers:
  middle: {{template: {server}, listen: "127.0.0.1:8443", names: [localhost], check_revocation: {server_checks}{more}}}
  back: {{template: python, listen: "127.0.0.1:8444", names: [localhost]}}
clients:
  front: {{template: {client}, calls: [middle], check_revocation: {client_checks}{doors}}}
"""

CHECKS_OF_SERVERS = {About.TLS_VERSION, About.DEMANDED, About.CHAIN, About.VALIDITY, About.PURPOSE, About.ALLOWED}


def client_of(server: str) -> str:
    protocol = catalogue.protocol_of(server)
    return catalogue.suggested("client", protocol)


def declaring(role: str) -> list[str]:
    return [name for name in catalogue.builtin_names(role) if catalogue.builtin(name, role).capabilities.lines]


def servers() -> Iterator[tuple[str, str, str]]:
    """Each server, with a client that speaks with it, and each way in which it looks up callers."""
    for name in declaring("server"):
        for method in looking_up(catalogue.builtin(name, "server").capabilities):
            yield name, client_of(name), method.value


def clients() -> Iterator[tuple[str, str, str]]:
    """Each client, with a server that speaks with it, and each way in which it looks up servers."""
    for name in declaring("client"):
        kind = catalogue.builtin(name, "client").capabilities
        for method in looking_up(kind):
            stapled = method == "ocsp" and "demands_staple" in kind.supports
            yield stapling() if stapled else catalogue.suggested("server", kind.protocol), name, method.value


def looking_up(can: Capabilities) -> list[RevocationCheck]:
    """The ways of looking up: without any the lines are the same, and fewer."""
    return sorted(can.check_revocation - {RevocationCheck.NONE})


def stapling() -> str:
    return next(
        name for name in declaring("server") if "staple-file" in catalogue.builtin(name, "server").capabilities.supports
    )


def world(folder: Path, text: str) -> World:
    household = Household(folder, text)
    household.apply()
    project = household.open()
    layout = project.layout
    return World(project.topology, project.kinds, layout, ledger.load(layout), LastRun(), household.now)


def checks(told: World, caller: str, server: str) -> list[Check]:
    parties = {party.name: party for party in graph.parties(told.topology)}
    steps = handshake(told, parties[caller], told.topology.servers[server]).steps
    assert [(step.doing, bool(step.lines)) for step in steps if step.sends] == [
        (step.doing, True) for step in steps if step.sends
    ]
    return list(itertools.chain.from_iterable(step.checks for step in steps))


def looks_up(client: Capabilities, server: Capabilities, method: str) -> bool:
    """Whether a client can look up the server by that method: some demand that it staples."""
    needs_staple = method == "ocsp" and "demands_staple" in client.supports
    return method in client.check_revocation and ("staple-file" in server.supports or not needs_staple)


def test_all_built_in_templates_that_shake_hands_declare_lines() -> None:
    assert {"haproxy", "kestrel", "nginx", "postgresql", "python"} <= set(declaring("server"))
    assert {"connector", "curl", "dotnet", "psql", "python"} <= set(declaring("client"))


@pytest.mark.parametrize(("server", "client", "method"), [*servers(), *clients()])
def test_each_line_that_is_declared_is_there(server: str, client: str, method: str, tmp_path: Path) -> None:
    of_server = catalogue.builtin(server, "server").capabilities
    of_client = catalogue.builtin(client, "client").capabilities
    calls = "calls" in of_server.supports
    more = (", calls: [back]" if calls else "") + (
        ", staple: true" if method == "ocsp" and "staple-file" in of_server.supports else ""
    )
    told = world(
        tmp_path,
        TOPOLOGY.format(
            server=server,
            client=client,
            method="ocsp" if method == "ocsp" else "crl",
            server_checks=method if method in of_server.check_revocation else "none",
            client_checks=method if looks_up(of_client, of_server, method) else "none",
            more=more,
            doors=', doors: {middle: "127.0.0.1:7001"}' if "doors" in of_client.supports else "",
        ),
    )
    edges = [("front", "middle"), *([("middle", "back")] if calls else [])]
    for caller, callee in edges:
        found = checks(told, caller, callee)
        assert {check.about for check in found} >= CHECKS_OF_SERVERS | {About.NAME}
        for check in found:
            assert check.absent == (), (caller, callee, check)
            assert check.lines, (caller, callee, check)
            assert check.holds is not False, (caller, callee, check)


def test_every_point_is_declared_by_some_template() -> None:
    kinds = (catalogue.builtin(name, role) for role in ("server", "client") for name in declaring(role))
    assert {point for kind in kinds for point in kind.capabilities.lines} == set(Point)
