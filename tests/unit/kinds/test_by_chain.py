"""Whom a trust file would let in is worked out, and refused unless it was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.errors import TopologyError, TopologyErrors
from scaffold.kinds import catalogue
from scaffold.kinds.limits import check
from scaffold.topology import graph
from scaffold.topology.load import loads
from scaffold.topology.model import Topology

BASE = """
version: 1
name: bank
cas:
  root: {{}}
  issuing: {{issuer: root}}
  apart: {{}}
{cas}
servers:
  etcd: {{template: {template}, issuer: issuing, listen: "127.0.0.1:2379", names: [etcd.internal]{etcd}}}
{servers}
clients:
  api: {{template: files, issuer: issuing, calls: [etcd]}}
{clients}
"""

KUBELET = "  kubelet: {template: files, issuer: issuing}"
LOGS = '  logs: {template: python, issuer: issuing, listen: "127.0.0.1:9200", names: [logs.internal]%s}'
WEB = '  web: {template: python, issuer: issuing, listen: "127.0.0.1:9300", names: [web.internal]}'


def topology(template: str = "files", **parts: str) -> Topology:
    texts = dict.fromkeys(("cas", "etcd", "servers", "clients"), "") | parts
    return loads(BASE.format(template=template, **texts).encode(), Path("topology.yaml"))


def notes(t: Topology) -> list[str]:
    """What the plan notes. Raises TopologyError for what it refuses."""
    kinds = {
        party.address: catalogue.find(party.template, party.address.role.value, Path.cwd())
        for party in graph.parties(t)
        if not party.is_external
    }
    return [str(note) for note in check(t, kinds)]


def refused(t: Topology) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        notes(t)
    assert not isinstance(caught.value, TopologyErrors)
    assert caught.value.place is not None
    assert caught.value.hint is not None
    return caught.value


def test_those_who_are_drawn_get_in() -> None:
    assert notes(topology()) == []


def test_who_is_not_drawn_and_has_a_certificate_below_the_root_is_refused() -> None:
    """An unlisted kubelet read etcd's secrets."""
    error = refused(topology(clients=KUBELET))
    assert error.message == (
        "server.etcd would let in client.kubelet, though not allowed by `calls`: it decides by the chain alone "
        '(template "files"), and trusts ca.root'
    )
    assert "accepts: [issuing]" in str(error.hint)


def test_of_very_many_the_first_are_named_and_the_others_counted() -> None:
    many = "\n".join(f"  k{number}: {{template: files, issuer: issuing}}" for number in range(1200))
    error = refused(topology(clients=many))
    assert "would let in client.k0, client.k1, " in error.message
    assert "client.k7 and 1,192 more, though not allowed" in error.message
    assert len(error.message) < 400


def test_all_of_them_are_named_at_once() -> None:
    error = refused(topology(clients=f"{KUBELET}\n  cron: {{template: curl, issuer: issuing}}"))
    assert "client.kubelet, client.cron, though not allowed" in error.message


def test_another_root_lets_nobody_in() -> None:
    assert notes(topology(clients="  kubelet: {template: files, issuer: apart}")) == []


def test_a_server_with_an_allow_list_needs_none_of_this() -> None:
    assert notes(topology(template="python", clients=KUBELET.replace("files", "python"))) == []


def test_what_accepts_names_may_come_in_and_is_noted() -> None:
    said = notes(topology(etcd=", accepts: [issuing]", clients=KUBELET))
    assert said == [
        "server.etcd lets in every client certificate that ca.issuing has issued, listed under `calls` or not"
    ]


def test_accepts_means_what_a_ca_has_issued_itself() -> None:
    below = "  below: {issuer: issuing}"
    error = refused(topology(etcd=", accepts: [issuing]", cas=below, clients="  x: {template: files, issuer: below}"))
    assert "client.x" in error.message


def test_accepts_is_for_those_who_decide_by_chain() -> None:
    error = refused(topology(template="python", etcd=", accepts: [issuing]"))
    assert "lets in only callers that list it under `calls`" in error.message


def test_a_sibling_ca_is_refused_though_it_has_issued_to_nobody() -> None:
    """A leaf of dev reached prod under a shared root: whoever that CA issues to tomorrow would get in."""
    error = refused(topology(cas="  dev: {issuer: root}"))
    assert "every client certificate issued by dev" in error.message
    assert "root of its own" in str(error.hint)


def test_a_sibling_ca_that_is_accepted_is_not_refused() -> None:
    assert len(notes(topology(etcd=", accepts: [dev]", cas="  dev: {issuer: root}"))) == 1


def test_a_program_that_anchors_at_the_issuing_ca_lets_its_siblings_out() -> None:
    closer = ", files: {anchor: issuer}"
    dev = {"cas": "  dev: {issuer: root}", "clients": "  sandbox: {template: files, issuer: dev}"}
    assert notes(topology(etcd=closer, **dev)) == []
    assert "client.sandbox" in refused(topology(**dev)).message


def test_an_anchor_at_the_issuing_ca_keeps_nobody_out_whom_that_ca_has_issued_to() -> None:
    error = refused(topology(etcd=", files: {anchor: issuer}", clients=KUBELET))
    assert "trusts ca.issuing" in error.message


def test_a_server_that_calls_others_has_a_clients_certificate_too() -> None:
    assert notes(topology(servers=LOGS % "")) == []
    assert notes(topology(servers=LOGS % ", calls: [etcd]")) == []
    elsewhere = f"{LOGS % ', calls: [web]'}\n{WEB}"
    assert "server.etcd would let in server.logs" in refused(topology(servers=elsewhere)).message


def test_a_leaf_for_both_purposes_is_a_clients_though_it_calls_nobody() -> None:
    logs = LOGS.replace("python", "files") % ", accepts: [issuing]%s"
    assert len(notes(topology(servers=logs % ""))) == 1
    assert "server.etcd would let in server.logs" in refused(topology(servers=logs % ", client: same")).message


def test_a_second_certificate_of_another_ca_counts_below_that() -> None:
    calls = ", client: {issuer: apart}, calls: [web]"
    assert notes(topology(servers=f"{LOGS % calls}\n{WEB}")) == []


def test_nobody_is_a_stranger_to_itself() -> None:
    assert notes(topology(etcd=", client: same")) == []


def test_an_external_client_of_the_same_ca_is_refused_too() -> None:
    error = refused(topology(clients="  partner: {external: {issuer: issuing, identity: spiffe://other/x}}"))
    assert "client.partner" in error.message


def test_an_external_client_that_is_drawn_gets_in_by_whatever_name() -> None:
    drawn = "  partner: {external: {issuer: issuing, identity: 'dns:x.example'}, calls: [etcd]}"
    assert notes(topology(clients=drawn)) == []


def test_a_ca_that_is_made_elsewhere_lets_in_whom_it_likes_which_is_noted() -> None:
    partner = "  partner: {existing: {certificate: partner.pem}}"
    client = "  theirs: {external: {issuer: partner, identity: 'spiffe://x/y'}, calls: [etcd]}"
    assert notes(topology(cas=partner, clients=client)) == [
        "server.etcd decides by the chain alone: every client certificate issued under ca.partner gets in"
    ]


def test_a_server_that_nobody_calls_trusts_its_own_issuer_and_lets_nobody_in() -> None:
    lonely = '  lonely: {template: files, issuer: apart, listen: "127.0.0.1:9999", names: [lonely.internal]}'
    assert notes(topology(servers=lonely)) == []
    stranger = "  stranger: {template: files, issuer: apart}"
    assert "server.lonely would let in client.stranger" in refused(topology(servers=lonely, clients=stranger)).message
