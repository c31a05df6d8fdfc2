"""`reproducible` in the YAML: its seed and moment, the lifetimes it gives, and what it refuses with the reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaffold.errors import TopologyError
from scaffold.topology.load import loads
from scaffold.topology.messages import Invalid
from scaffold.topology.model import EnvSecret, Topology
from scaffold.topology.moments import parse_moment

LAB = """
version: 1
name: lab
publish: http://127.0.0.1:9080
reproducible: {seed: {env: SEED}, at: 2026-01-01T00:00:00Z}
cas:
  root: {}
  issuing: {issuer: root}
servers:
  api: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  web: {template: python, issuer: issuing, calls: [api]}
"""
HALF_A_CENTURY = timedelta(days=50 * 365)


def read(text: str = LAB) -> Topology:
    return loads(text.encode(), Path("topology.yaml"))


def refused(text: str) -> TopologyError:
    with pytest.raises(TopologyError) as error:
        read(text)
    return error.value


def test_seed_and_moment_are_read():
    found = read().reproducible
    assert (found.seed, found.at) == (EnvSecret("SEED"), datetime(2026, 1, 1, tzinfo=UTC))
    assert read(LAB.replace("reproducible:", "# ")).reproducible is None


def test_everything_lives_for_half_a_century_unless_it_says_otherwise():
    t = read()
    entities = (*t.cas.values(), *t.servers.values(), *t.clients.values())
    assert {one.lifetime for one in entities} == {HALF_A_CENTURY}
    revocation = t.cas["issuing"].revocation
    assert (revocation.crl, revocation.ocsp, t.cas["root"].revocation.crl) == (HALF_A_CENTURY,) * 3
    short = read(LAB.replace("{issuer: root}", "{issuer: root, lifetime: 1y, revocation: {crl: 1h}}")
                 .replace("calls: [api]", "calls: [api], lifetime: 1h")
                 .replace("names: [localhost]", "names: [localhost], lifetime: 1d"))  # fmt: skip
    assert short.cas["issuing"].lifetime == timedelta(days=365)
    assert short.cas["issuing"].revocation.crl == timedelta(hours=1)
    assert short.clients["web"].lifetime == timedelta(hours=1)


def test_what_is_in_defaults_counts_before_the_half_century():
    t = read(LAB.replace("cas:", "defaults: {lifetime: 30d}\ncas:"))
    assert t.clients["web"].lifetime == timedelta(days=30)


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T00:00:00Z"])
def test_a_moment_is_read(text):
    assert parse_moment(text) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026", "2026-13-01", "2026-02-30", "2026-01-01T00:00:00", "2026-01-01T00:00:00+01:00", "1969-12-31",
     "2026-01-01 00:00:00Z", "3000-01-01", "2026-01-01T00:00:00.5Z", "2026-01-01T24:00:01Z", "2026-01-01\n"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(Invalid):
        parse_moment(text)


@pytest.mark.parametrize(
    ("was", "becomes", "message", "line"),
    [
        ("root: {}", "root: {key: rsa-2048}", "cannot be derived from a seed", 7),
        ("calls: [api]", "calls: [api], key: rsa-3072", "cannot be derived from a seed", 12),
        ("names: [localhost]", "names: [localhost], key: rsa-4096", "cannot be derived from a seed", 10),
        ("root: {}", "root: {key: ml-dsa-65}", "signatures differ each time", 7),
        ("root: {}", "root: {key_password: {env: PW}, revocation: {crl: 1d}}", "cannot be encrypted", 7),
        ("calls: [api]", "calls: [api], key: ml-dsa-44, fault: self-signed", "signatures differ each time", 12),
        ("{env: SEED}", "{generate: true}", "not known to other machines", 5),
    ],
)
def test_what_cannot_be_reproduced_is_refused_where_it_stands(was, becomes, message, line):
    error = refused(LAB.replace(was, becomes))
    assert message in error.message
    assert error.place.line == line
    assert error.hint
    read(LAB.replace(was, becomes).replace("reproducible:", "# ").replace("{generate: true}", "{env: SEED}"))


def test_what_defaults_ask_for_is_refused_there_and_once():
    error = refused(LAB.replace("cas:", "defaults: {key: rsa-2048}\ncas:"))
    assert error.place.line == 6


def test_keys_of_leaves_by_ml_dsa_are_no_mistake():
    assert read(LAB.replace("calls: [api]", "calls: [api], key: ml-dsa-44"))


@pytest.mark.parametrize(
    ("becomes", "message"),
    [("{at: 2026-01-01}", "seed"), ("{seed: {env: SEED}}", "at"), ("true", "expected reproducible"),
     ("{seed: hunter2, at: 2026-01-01}", "secret")],
)  # fmt: skip
def test_both_must_be_said(becomes, message):
    assert message in refused(LAB.replace("{seed: {env: SEED}, at: 2026-01-01T00:00:00Z}", becomes)).message
