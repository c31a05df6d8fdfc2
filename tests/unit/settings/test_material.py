"""Which files stand in `tls/`, what is made of them, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.settings import material
from scaffold.topology.load import loads
from scaffold.topology.model import Topology

TEXT = """
version: 1
name: bank
cas: {{root: {{}}}}
servers:
  a: {{template: files, listen: "127.0.0.1:1", names: [a.internal]{a}}}
  b: {{template: files, listen: "127.0.0.1:2", names: [b.internal]}}
"""


def topology(a: str = "") -> Topology:
    return loads(TEXT.format(a=a).encode(), Path("topology.yaml"))


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        ("", set()),
        (", check_revocation: crl", {"crl.pem"}),
        (", pfx: {password: {generate: true}}", {"bundle.pfx", "pfx-password"}),
        (", files: {combined: true, truststore: true}", {"combined.pem", "truststore.p12"}),
        (", calls: [b]", {"client-cert.pem", "client-key.pem", "client-ca.pem"}),
        (", calls: [b], client: same", {"client-ca.pem"}),
        (", client: same", set()),
    ],
)
def test_what_stands_there_is_what_was_asked_for(asked: str, more: set[str]) -> None:
    t = topology(asked)
    usual = {"cert.pem", "key.pem", "ca.pem", "intermediates.pem"}
    assert set(material.standing(t, t.servers["a"])) == usual | more


def test_a_key_is_written_before_its_certificate_under_other_names_too() -> None:
    """Who reloads between the two keeps the old pair until they match."""
    t = topology(", files: {names: {cert.pem: a.crt, key.pem: z.key}}")
    assert [one.name for one in material.derived(t, t.servers["a"])] == ["z.key", "a.crt"]


def test_what_is_made_can_have_another_name_and_comes_before_it() -> None:
    t = topology(", files: {combined: true, names: {combined.pem: server.pem}}")
    made = material.derived(t, t.servers["a"])
    assert [(one.name, one.secret) for one in made] == [("combined.pem", True), ("server.pem", True)]


def test_nothing_is_made_where_nothing_is_asked_for() -> None:
    t = topology()
    assert material.derived(t, t.servers["a"]) == ()
