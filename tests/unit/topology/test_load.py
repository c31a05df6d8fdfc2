"""What a topology comes to: defaults, derived values, identities, and the graph."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.errors import TopologyError
from scaffold.topology import graph
from scaffold.topology.load import load
from scaffold.topology.model import (
    EnvSecret,
    FileSecret,
    GeneratedSecret,
    HostPort,
    KeyType,
    Pfx,
    RenewBefore,
    Revocation,
    San,
    SanType,
    TlsProfile,
)
from tests.unit.topology.written import GOOD, changed, mistakes, read

EXAMPLES = Path(__file__).parents[3] / "examples"
ISSUING = "  issuing:\n    issuer: root\n"
CLI = "  cli:\n    template: python\n"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*/topology.yaml")), ids=lambda path: path.parent.name)
def test_the_examples_load(example: Path) -> None:
    assert load(example).name == example.parent.name


def test_what_is_left_out_has_the_defaults_of_the_language() -> None:
    t = read(GOOD)
    root, issuing, cli, api = t.cas["root"], t.cas["issuing"], t.clients["cli"], t.servers["api"]
    assert (root.lifetime, issuing.lifetime, cli.lifetime) == (3_650 * DAY, 1_825 * DAY, 90 * DAY)
    assert {entity.key for entity in (root, issuing, cli, api)} == {KeyType.EC_P256}
    assert {entity.renew_before for entity in (root, issuing, cli, api)} == {RenewBefore(share=0.33)}
    assert (cli.tls, api.dial, api.health, api.staple, dict(api.vars)) == (
        TlsProfile.INTERMEDIATE,
        api.listen,
        None,
        False,
        {},
    )
    assert (root.subject.common_name, issuing.subject.common_name) == ("Shop Root", "issuing")


def test_an_entitys_own_value_wins_and_subjects_merge() -> None:
    defaults = """\
defaults:
  key: ed25519
  subject: {organization: Shop, country: NL}
  lifetime: 30d
  renew_before: 10d
  tls: modern
cas:
"""
    text = changed("cas:\n", defaults).replace(
        CLI, f"{CLI}    subject: {{country: RS}}\n    lifetime: 24h\n    key: rsa-2048\n"
    )
    t = read(text)
    cli, api, root = t.clients["cli"], t.servers["api"], t.cas["root"]
    assert (cli.subject.organization, cli.subject.country, cli.subject.common_name) == ("Shop", "RS", "cli client")
    assert (cli.key, api.key, root.key) == (KeyType.RSA_2048, KeyType.ED25519, KeyType.ED25519)
    assert (root.subject.organization, root.subject.common_name) == ("Shop", "Shop Root")
    assert (root.lifetime, root.renew_before) == (3_650 * DAY, RenewBefore(share=0.33)), "leaves' alone"
    assert (api.lifetime, api.renew_before) == (30 * DAY, RenewBefore(duration=10 * DAY))
    assert cli.renew_before == RenewBefore(share=0.33), "an inherited one that is not shorter than the lifetime"
    assert api.tls is TlsProfile.MODERN


def test_revocation_follows_from_what_a_ca_issues_and_whether_its_key_is_open() -> None:
    t = read(GOOD)
    assert t.cas["issuing"].revocation == Revocation(crl=DAY, ocsp=HOUR)
    assert t.cas["root"].revocation == Revocation(crl=90 * DAY)
    assert t.cas["partner"].revocation == Revocation()
    encrypted = read(changed(ISSUING, f"{ISSUING}    key_password: {{generate: true}}\n"))
    assert encrypted.cas["issuing"].revocation == Revocation(crl=90 * DAY)
    given = read(changed(ISSUING, f"{ISSUING}    revocation: {{ocsp: 5m}}\n"))
    assert given.cas["issuing"].revocation == Revocation(ocsp=timedelta(minutes=5))
    nothing = read(changed(ISSUING, f"{ISSUING}    revocation: {{}}\n"))
    assert nothing.cas["issuing"].revocation == Revocation()
    unpublished = read(changed("publish: http://127.0.0.1:9080\n", ""))
    assert {ca.revocation for ca in unpublished.cas.values()} == {Revocation()}


def test_a_root_that_a_leaf_names_issues_leaves_too() -> None:
    text = changed(CLI, f"{CLI}    issuer: root\n")
    unnamed = mistakes(text)
    assert [one.message.partition(" must name its issuer")[0] for one in unnamed] == ["api", "gateway"]
    assert {one.hint for one in unnamed} == {"issuer: root or issuer: issuing"}
    t = read(
        text.replace(
            "    template: python\n    listen", "    template: python\n    issuer: issuing\n    listen"
        ).replace("    template: nginx\n", "    template: nginx\n    issuer: issuing\n")
    )
    assert t.cas["root"].revocation == Revocation(crl=DAY, ocsp=HOUR)
    assert t.servers["api"].trusts == ("issuing", "root", "partner")


def test_trusts_are_the_issuers_of_the_callers_or_the_own_issuer() -> None:
    t = read(GOOD)
    assert t.servers["api"].trusts == ("issuing", "partner")
    assert t.servers["gateway"].trusts == ("issuing",)
    assert read(changed("    calls: [api, gateway]", "    calls: [api]")).servers["gateway"].trusts == ("issuing",)


def test_an_existing_ca_takes_nothing_from_defaults() -> None:
    t = read(changed("cas:\n", "defaults: {subject: {country: NL}, key_password: {env: A}}\ncas:\n"))
    partner = t.cas["partner"]
    assert (partner.subject.country, partner.key_password, partner.issues_here) == (None, None, False)
    assert partner.existing is not None
    assert partner.existing.certificate == Path("/somewhere/partner.pem")
    with_key = read(
        changed("{certificate: partner.pem}", "{certificate: partner.pem, key: partner.key}")
        .replace("    template: python\n    listen", "    template: python\n    issuer: partner\n    listen")
        .replace("    template: nginx\n", "    template: nginx\n    issuer: issuing\n")
        .replace(CLI, f"{CLI}    issuer: issuing\n")
    )
    assert with_key.cas["partner"].revocation == Revocation(crl=DAY, ocsp=HOUR)


def test_an_owner_is_anybodys_and_inherited_by_what_is_ones_own() -> None:
    t = read(
        changed("cas:\n", "defaults: {owner: Payments team}\ncas:\n").replace(
            "{certificate: partner.pem}", "{certificate: partner.pem}\n    owner: Partner Ltd."
        )
    )
    assert t.servers["api"].owner == t.clients["cli"].owner == t.cas["root"].owner == "Payments team"
    assert t.cas["partner"].owner == "Partner Ltd."
    assert t.clients["robot"].owner is None, "an external client is somebody else's"
    assert read(GOOD).servers["api"].owner is None


@pytest.mark.parametrize("owner", ["''", "'a\u202eb'", "' x'", f"'{'x' * 65}'", "[a]"])
def test_an_owner_is_one_short_text(owner: str) -> None:
    with pytest.raises(TopologyError):
        read(changed(CLI, f"{CLI}    owner: {owner}\n"))


def test_identities() -> None:
    t = read(changed(CLI, f"{CLI}    names: [cli.shop.internal, 'spiffe://else/where']\n"))
    assert t.servers["api"].identity == "spiffe://shop/server/api"
    assert t.clients["cli"].identity == "spiffe://else/where"
    assert t.clients["cli"].names == (San(SanType.DNS, "cli.shop.internal"),)
    assert (t.clients["robot"].identity, t.clients["robot"].issuer) == ("spiffe://partner.example/robot", "partner")


@pytest.mark.parametrize(
    ("written", "secret"),
    [
        ("{env: SHOP_PASSWORD}", EnvSecret("SHOP_PASSWORD")),
        ("{file: secrets/pfx}", FileSecret(Path("/somewhere/secrets/pfx"))),
        ("{file: /etc/pfx}", FileSecret(Path("/etc/pfx"))),
        ("{generate: true}", GeneratedSecret()),
    ],
)
def test_secrets(written: str, secret: object) -> None:
    assert read(changed(CLI, f"{CLI}    pfx: {{password: {written}}}\n")).clients["cli"].pfx == Pfx(
        secret, legacy=False
    )


def test_variables_are_typed_as_yaml_1_2_does() -> None:
    written = "{a: yes, b: true, c: 12, d: '12', e: 1.5, f: 007, g: 0x1F, h: 12:30, i: [x, 1], j: -3}"
    values = read(changed(CLI, f"{CLI}    vars: {written}\n")).clients["cli"].vars
    assert dict(values) == {
        "a": "yes",
        "b": True,
        "c": 12,
        "d": "12",
        "e": 1.5,
        "f": "007",
        "g": "0x1F",
        "h": "12:30",
        "i": ("x", 1),
        "j": -3,
    }


LONG = "a" * 57


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        # api has DNS names; gateway too, but not in the certificate with which it calls
        ("", "", {"api": "api", "gateway": "gateway server", "cli": "cli client", "issuing": "issuing"}),
        ("[localhost, api.shop.internal, 127.0.0.1]", "[127.0.0.1]", {"api": "api server"}),
        ("dns: [shop.internal, localhost], ", "", {"cli": "cli"}),
        ("permitted: {dns: [shop.internal, localhost], ip: [127.0.0.0/8]}", "excluded: {dns: [evil]}", {"cli": "cli"}),
        (
            "permitted: {dns: [shop.internal, localhost], ip: [127.0.0.0/8]}",
            "excluded: {dns: [cli]}",
            {"cli": "cli client", "gateway": "gateway"},
        ),
        ("[shop.internal, localhost]", "[shop.internal, localhost, cli]", {"cli": "cli"}),
        ("  partner:\n", "  lower: {issuer: issuing}\n  partner:\n", {"lower": "lower CA"}),
        ("  cli:\n", "  cli:\n    subject: {common_name: cli}\n", {"cli": "cli"}),
        ("  cli:\n", f"  {LONG}:\n", {LONG: f"{LONG} client"}),
        ("  cli:\n", f"  {LONG}a:\n", {f"{LONG}a": f"{LONG}a"}),
    ],
)
def test_a_default_common_name_is_none_that_java_holds_to_dns_constraints(old: str, new: str, names: dict[str, str]):
    text = GOOD.replace("    path_length: 0\n", "").replace("template:", "issuer: issuing\n    template:")
    assert old in text
    t = read(text.replace(old, new) if old else text)
    named = {one.name: one.subject.common_name for one in (*t.cas.values(), *graph.parties(t))}
    assert {name: named[name] for name in names} == names


def test_default_identities_are_in_the_trust_domain() -> None:
    t = read(changed("name: shop\n", "name: shop\ntrust_domain: shop.example\n"))
    assert [party.identity for party in graph.parties(t)] == [
        "spiffe://shop.example/server/api",
        "spiffe://shop.example/server/gateway",
        "spiffe://shop.example/client/cli",
        "spiffe://partner.example/robot",
    ]
    assert t.name == "shop"
    assert read(GOOD).servers["api"].identity == "spiffe://shop/server/api"


def test_a_constraint_on_uris_holds_the_trust_domain() -> None:
    constrained = GOOD.replace("permitted: {dns", "permitted: {uri: [shop.example], dns")
    assert [one.message.partition(":")[0] for one in mistakes(constrained)] == ["api", "gateway", "cli"]
    assert all("permitted URI hosts are shop.example" in one.message for one in mistakes(constrained))
    read(constrained.replace("name: shop\n", "name: shop\ntrust_domain: shop.example\n"))


def test_ipv6_and_address() -> None:
    t = read(changed("    listen: 127.0.0.1:8443\n", '    listen: "[::]:8443"\n    address: "[0::1]:8443"\n'))
    assert (t.servers["api"].listen, t.servers["api"].dial) == (HostPort("::", 8443), HostPort("::1", 8443))


def test_a_topology_is_frozen() -> None:
    t = read(GOOD)
    with pytest.raises(FrozenInstanceError):
        t.name = "other"  # type: ignore[misc]
    for mapping in (t.cas, t.servers, t.clients, t.servers["api"].vars):
        with pytest.raises(TypeError):
            mapping["x"] = 1  # type: ignore[index]


def test_the_graph() -> None:
    t = read(
        GOOD.replace("  issuing:\n", "  leaf: {issuer: middle}\n  middle: {issuer: root}\n  issuing:\n").replace(
            "    template:", "    issuer: issuing\n    template:"
        )
    )
    assert [ca.name for ca in graph.issuing_order(t)] == ["root", "middle", "leaf", "issuing", "partner"]
    assert [ca.name for ca in graph.chain(t, "leaf")] == ["leaf", "middle", "root"]
    assert graph.root_of(t, "leaf").name == "root"
    assert [party.name for party in graph.callers(t, "api")] == ["gateway", "cli", "robot"]
    assert [party.name for party in graph.callers(t, "gateway")] == ["cli"]
    assert [str(party.address) for party in graph.parties(t)] == [
        "server.api",
        "server.gateway",
        "client.cli",
        "client.robot",
    ]
    assert [(caller.name, server.name) for caller, server in graph.edges(t)] == [
        ("gateway", "api"),
        ("cli", "api"),
        ("cli", "gateway"),
        ("robot", "api"),
    ]


def test_an_edge_may_have_roles() -> None:
    t = read(changed("    calls: [api, gateway]", "    calls: {gateway: [], api: [writer, reader]}"))
    assert t.clients["cli"].calls == ("gateway", "api")
    assert t.clients["cli"].roles == {"api": ("writer", "reader")}
    assert t.clients["robot"].roles == {}
    without = read(changed("    calls: [api, gateway]", "    calls: {api: [], gateway: []}"))
    assert without == read(GOOD)


def test_roles_may_be_inherited_and_an_entitys_own_edges_win() -> None:
    defaults = "defaults:\n  calls: {gateway: [guest]}\n"
    t = read(defaults + GOOD.replace("    calls: [api, gateway]\n", ""))
    assert t.clients["cli"].roles == {"gateway": ("guest",)}
    assert t.clients["robot"].roles == {}


def test_loading_needs_no_cryptography_and_importing_no_yaml() -> None:
    program = (
        "import sys; from scaffold.topology import load, schema; assert 'yaml' not in sys.modules;"
        f"load.load(__import__('pathlib').Path({str(EXAMPLES / 'banking' / 'topology.yaml')!r}));"
        "assert not {'cryptography', 'jinja2', 'cookiecutter', 'idna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
