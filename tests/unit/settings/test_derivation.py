"""Derivation of settings: what the topology and the facts about its CAs come to."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from scaffold.kinds import catalogue
from scaffold.kinds.render import render
from scaffold.settings.derivation import client_settings, server_settings
from scaffold.settings.values import (
    Address,
    Backend,
    CaFacts,
    CaFactsByName,
    Chain,
    KeyFacts,
    Revocation,
    ServerSettings,
    Source,
)
from scaffold.topology.address import Role
from scaffold.topology.load import loads
from scaffold.topology.model import Topology

TOPOLOGY = """
version: 1
name: bank
cas:
  root: {subject: {common_name: Root}}
  issuing: {issuer: root, subject: {common_name: Issuing}}
  deep: {issuer: issuing, subject: {common_name: Deep}}
servers:
  gateway:
    template: nginx
    issuer: issuing
    listen: 127.0.0.1:9443
    names: [gw.internal, localhost]
    upstream: accounts
    calls: [accounts]
  accounts:
    template: python
    issuer: issuing
    listen: 0.0.0.0:8443
    address: 10.0.0.1:443
    names: [accounts.internal, "*.accounts.internal"]
    check_revocation: crl
    health: "[::1]:8081"
  idle:
    template: python
    issuer: root
    listen: 127.0.0.1:9000
    names: [idle.internal]
    tls: modern
clients:
  teller: {template: python, issuer: deep, subject: {organization: "A, B"}, calls: [accounts, gateway]}
  audit: {template: curl, issuer: issuing, calls: [accounts]}
"""
FACTS = {name: CaFacts((KeyFacts(f"CN={name}", name.encode().hex()),)) for name in ("root", "issuing", "deep")}


@pytest.fixture(scope="module")
def t():
    return loads(TOPOLOGY.encode(), Path("topology.yaml"))


def test_the_allow_list_is_the_callers_with_their_issuers_keys(t):
    allowed = server_settings(t, t.servers["accounts"], FACTS).allowed
    assert [(one.name, one.role, one.issuer_spki_sha256, one.gateway) for one in allowed] == [
        ("gateway", "server", FACTS["issuing"].keys[0].spki_sha256, True),
        ("teller", "client", FACTS["deep"].keys[0].spki_sha256, False),
        ("audit", "client", FACTS["issuing"].keys[0].spki_sha256, False),
    ]
    assert allowed[1].identity == "spiffe://bank/client/teller"
    assert allowed[1].subject_dn == "CN=teller,O=A\\, B"
    assert allowed[1].issuer_dn == "CN=deep"


def test_a_caller_has_the_roles_of_its_edge_alone():
    edges = "calls: {accounts: [reader, approver], gateway: [guest]}"
    t = loads(TOPOLOGY.replace("calls: [accounts, gateway]", edges).encode(), Path("topology.yaml"))
    assert [(one.name, one.roles) for one in server_settings(t, t.servers["accounts"], FACTS).allowed] == [
        ("gateway", ()),
        ("teller", ("reader", "approver")),
        ("audit", ()),
    ]
    assert [one.roles for one in server_settings(t, t.servers["gateway"], FACTS).allowed] == [("guest",)]


def test_depth_counts_the_intermediates(t):
    assert server_settings(t, t.servers["accounts"], FACTS).verify_depth == 2
    assert server_settings(t, t.servers["gateway"], FACTS).callee_verify_depth == 1
    assert server_settings(t, t.servers["idle"], FACTS).callee_verify_depth == 0
    assert client_settings(t, t.clients["teller"], FACTS).verify_depth == 1
    longer = {**FACTS, "root": CaFacts((KeyFacts("CN=root", "00"),), chain_length=2)}
    assert client_settings(t, t.clients["teller"], longer).verify_depth == 3


def test_where_nobody_calls_it_chains_may_be_as_long_as_its_own():
    t = loads(TOPOLOGY.replace("issuer: root\n    listen", "issuer: deep\n    listen").encode(), Path("topology.yaml"))
    idle = server_settings(t, t.servers["idle"], FACTS)
    assert (idle.verify_depth, idle.anchors) == (2, ("root",))


def test_nobody_calls_it_so_nobody_is_allowed(t):
    idle = server_settings(t, t.servers["idle"], FACTS)
    assert idle.allowed == ()
    assert idle.anchors == ("root",)
    assert idle.tls.profile == "modern"


def test_calls_say_where_to_dial_and_whom_to_expect(t):
    gateway = server_settings(t, t.servers["gateway"], FACTS)
    (call,) = gateway.calls
    assert gateway.upstream == call
    assert (call.host, call.port, call.server_name) == ("10.0.0.1", 443, "accounts.internal")
    assert call.url == "https://accounts.internal:443/"


def test_files_are_named_where_they_are_needed(t):
    gateway, accounts = (server_settings(t, t.servers[name], FACTS).files for name in ("gateway", "accounts"))
    assert (gateway.client_certificate, gateway.crl) == ("tls/client-cert.pem", None)
    assert (accounts.client_certificate, accounts.crl) == (None, "tls/crl.pem")


def test_addresses_are_written_as_in_a_url(t):
    health = server_settings(t, t.servers["accounts"], FACTS).health
    assert health is not None
    assert (health.host, health.literal) == ("::1", "[::1]:8081")


def test_settings_are_frozen(t):
    with pytest.raises(FrozenInstanceError):
        server_settings(t, t.servers["idle"], FACTS).name = "other"  # type: ignore[misc]


def test_no_cryptography_is_loaded():
    slow = ("cryptography", "jinja2", "yaml")
    code = f"import sys, scaffold.settings.derivation; sys.exit(any(name in sys.modules for name in {slow}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PUBLISHED = """
version: 1
name: bank
publish: http://127.0.0.1:9080/
cas:
  root: {subject: {common_name: Root}}
  issuing: {issuer: root, subject: {common_name: Issuing}}
servers:
  desk: {template: python, issuer: issuing, listen: 127.0.0.1:8443, names: [desk.internal]}
  flat: {template: python, issuer: root, listen: 127.0.0.1:8444, names: [flat.internal]}
clients:
  teller: {template: python, issuer: issuing, calls: [desk], check_revocation: ocsp}
  cashier: {template: curl, issuer: root, calls: [flat], check_revocation: ocsp}
"""


def published(**replaced: str) -> Topology:
    text = PUBLISHED
    for name, more in replaced.items():
        text = text.replace(f"names: [{name}.internal]", f"names: [{name}.internal], {more}")
    return loads(text.encode(), Path("topology.yaml"))


class TestRevocation:
    def desk(self, more: str) -> ServerSettings:
        t = published(desk=more)
        return server_settings(t, t.servers["desk"], FACTS)

    def test_none_asks_nobody(self):
        made = self.desk("check_revocation: none, on_unavailable: allow")
        assert (made.revocation, made.files.crl) == (Revocation(), None)

    def test_crls_of_the_whole_chain(self):
        made = self.desk("check_revocation: crl")
        assert made.files.crl == "tls/crl.pem"
        assert made.revocation == Revocation(
            "crl",
            crls=(
                Source("issuing", FACTS["issuing"].keys[0].spki_sha256, "http://127.0.0.1:9080/crl/issuing.crl"),
                Source("root", FACTS["root"].keys[0].spki_sha256, "http://127.0.0.1:9080/crl/root.crl"),
            ),
        )

    def test_leniency_is_for_the_application(self):
        made = self.desk("check_revocation: crl, on_unavailable: allow").revocation
        assert (made.on_unavailable, made.by_application) == ("allow", True)

    def test_ocsp_of_the_leaf_and_crls_for_what_stands_between(self):
        made = self.desk("check_revocation: ocsp")
        assert made.files.crl == "tls/crl.pem"
        assert made.revocation.by_application
        assert made.revocation.responders == (
            Source("issuing", FACTS["issuing"].keys[0].spki_sha256, "http://127.0.0.1:9080/ocsp/issuing"),
        )
        assert [each.ca for each in made.revocation.crls] == ["issuing", "root"]

    def test_a_client_asks_about_the_servers_issuer(self):
        t = published()
        made = client_settings(t, t.clients["teller"], FACTS)
        assert [each.ca for each in made.revocation.responders] == ["issuing"]
        assert made.files.crl == "tls/crl.pem"

    def test_without_an_intermediate_ocsp_needs_no_crl(self):
        t = published()
        made = client_settings(t, t.clients["cashier"], FACTS)
        assert (made.files.crl, made.revocation.crls) == (None, ())

    def test_without_a_publisher_there_is_nobody_to_ask(self):
        text = PUBLISHED.replace("publish: http://127.0.0.1:9080/\n", "").replace("ocsp}", "crl}")
        t = loads(text.encode(), Path("topology.yaml"))
        made = client_settings(t, t.clients["teller"], FACTS)
        assert (made.files.crl, made.revocation) == ("tls/crl.pem", Revocation("crl"))


class TestBackend:
    """The app behind a front: where it is, and what it is told by."""

    FACTS = FACTS | {
        "issuing": CaFacts((KeyFacts("CN=issuing", "01", chain=("SSUING",)),)),
        "deep": CaFacts(
            (KeyFacts("CN=deep", "02", chain=("DEEP", "SSUING")), KeyFacts("CN=deep G2", "03", 2, ("D2",)))
        ),
    }

    @staticmethod
    def of(fields: str, facts: CaFactsByName) -> Backend | None:
        text = TOPOLOGY.replace("    upstream: accounts\n    calls: [accounts]\n", fields)
        t = loads(text.encode(), Path("topology.yaml"))
        return server_settings(t, t.servers["gateway"], facts).backend

    def test_a_server_without_one_has_none(self):
        assert self.of("", self.FACTS) is None

    def test_a_port_and_a_socket_are_told_apart(self):
        port = self.of("    backend: http://[::1]:5000\n", self.FACTS)
        assert port == Backend("http://[::1]:5000", Address("::1", 5000, "[::1]:5000"), None, ("x-client",))
        unix = self.of("    backend: unix:/run/app.sock\n    forward: [arr, xfcc]\n", self.FACTS)
        assert unix == Backend("unix:/run/app.sock", None, "/run/app.sock", ("arr", "xfcc"))

    def test_the_chain_of_each_key_that_signs_callers_is_there_where_it_is_told(self):
        found = self.of("    backend: unix:/run/app.sock\n    forward: [rfc9440]\n", self.FACTS)
        assert found is not None
        assert found.chains == (
            Chain("deep", "CN=deep", ("DEEP", "SSUING")),
            Chain("deep@2", "CN=deep G2", ("D2",)),
        )

    def test_a_root_that_signs_callers_has_nothing_above(self):
        found = self.of("    backend: unix:/run/app.sock\n    forward: [rfc9440]\n", FACTS)
        assert found is not None
        assert found.chains == ()


SECOND = KeyFacts("CN=issuing G2", "2b" * 32, generation=2)
TWO_KEYS = {**FACTS, "issuing": CaFacts((*FACTS["issuing"].keys, SECOND))}


class TestTwoKeysOfOneCa:
    """While a CA is given another key it is trusted by both; its second generation has a name of its own."""

    def test_the_allow_list_has_each_caller_under_both_keys(self, t):
        allowed = server_settings(t, t.servers["accounts"], TWO_KEYS).allowed
        assert [(one.caller, one.signer, one.issuer_spki_sha256, one.issuer_dn) for one in allowed] == [
            ("server.gateway", "issuing", FACTS["issuing"].keys[0].spki_sha256, "CN=issuing"),
            ("server.gateway", "issuing@2", "2b" * 32, "CN=issuing G2"),
            ("client.teller", "deep", FACTS["deep"].keys[0].spki_sha256, "CN=deep"),
            ("client.audit", "issuing", FACTS["issuing"].keys[0].spki_sha256, "CN=issuing"),
            ("client.audit", "issuing@2", "2b" * 32, "CN=issuing G2"),
        ]
        assert {one.issuer for one in allowed} == {"issuing", "deep"}

    def test_each_key_has_a_crl_and_a_responder_of_its_own(self):
        t = published(desk="check_revocation: ocsp")
        revocation = server_settings(t, t.servers["desk"], TWO_KEYS).revocation
        base, first = "http://127.0.0.1:9080", FACTS["issuing"].keys[0].spki_sha256
        assert revocation.crls == (
            Source("issuing", first, f"{base}/crl/issuing.crl"),
            Source("issuing@2", "2b" * 32, f"{base}/crl/issuing.2.crl"),
            Source("root", FACTS["root"].keys[0].spki_sha256, f"{base}/crl/root.crl"),
        )
        assert revocation.responders == (
            Source("issuing", first, f"{base}/ocsp/issuing"),
            Source("issuing@2", "2b" * 32, f"{base}/ocsp/issuing.2"),
        )

    @pytest.mark.parametrize(
        ("name", "file"),
        [("python", "tls/allowed.json"), ("kestrel", "tls/allowed.json"), ("nginx", "tls/allowed.conf")],
    )
    def test_every_kind_lets_in_by_both(self, t, name, file):
        server, kind = t.servers["accounts"], catalogue.find(name, Role.SERVER, Path())
        first, second = (
            render(kind, server_settings(t, server, facts), server.vars)[file].content.decode()
            for facts in (FACTS, TWO_KEYS)
        )
        told = ("CN=issuing G2\\E$", "CN=issuing\\E$") if name == "nginx" else ("2b" * 32, b"issuing".hex())
        assert [one in first for one in told] == [False, True]
        assert [one in second for one in told] == [True, True]
