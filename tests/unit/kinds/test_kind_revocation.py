"""Who checks revocation must be able to get an answer; where none could come, the topology is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scaffold.errors import TopologyError
from scaffold.kinds import catalogue
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.limits import check
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.load import loads
from scaffold.topology.model import Client, Topology

BASE = """
version: 1
name: bank
{publish}
cas:
  root: {{subject: {{common_name: Root}}{root}}}
  issuing: {{issuer: root, subject: {{common_name: Issuing}}{issuing}}}
{cas}
servers:
  desk:
    template: python
    issuer: issuing
    listen: 127.0.0.1:8443
    names: [desk.internal]
{server}
clients:
  teller:
    template: {client_kind}
    issuer: issuing
    calls: [desk]
{client}
{clients}
"""
OCSP = "    check_revocation: ocsp"
CRL = "    check_revocation: crl"
ADOPTED = "  partner: {existing: {certificate: ca.pem, chain: chain.pem}}"
OVER_HTTP = {"supports": frozenset({"crls_over_http", "ocsp_needs_no_cdp"})}
AUDITOR = '  auditor: {external: {issuer: partner, identity: "spiffe://partner.example/auditor"}, calls: [desk]}'


DESK = Address.server("desk")


def topology(publish: str = "publish: http://127.0.0.1:9080", client_kind: str = "python", **parts: str) -> Topology:
    texts = dict.fromkeys(("root", "issuing", "cas", "server", "client", "clients"), "") | parts
    return loads(BASE.format(publish=publish, client_kind=client_kind, **texts).encode(), Path("topology.yaml"))


def kinds_of(t: Topology, **changes: object) -> dict[Address, Kind]:
    """The built-in kinds; `changes` are fields of the desk's capabilities."""
    found = {}
    for party in graph.parties(t):
        if not (isinstance(party, Client) and party.external):
            role = "client" if isinstance(party, Client) else "server"
            found[party.address] = catalogue.find(party.template, role, Path.cwd())
    desk = found[DESK]
    found[DESK] = dataclasses.replace(desk, capabilities=dataclasses.replace(desk.capabilities, **changes))
    return found


def said(t: Topology, kinds: dict[Address, Kind]) -> tuple[str, ...]:
    return tuple(map(str, check(t, kinds)))


def refused(t: Topology, **changes: object) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        check(t, kinds_of(t, **changes))
    assert caught.value.place is not None
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "asked", [OCSP, CRL, OCSP + "\n    on_unavailable: allow", CRL + "\n    on_unavailable: allow"]
)
def test_what_is_published_can_be_checked_by_both_sides(asked):
    assert check(topology(server=asked, client=asked), kinds_of(topology(server=asked))) == ()


def test_without_a_publisher_crls_come_by_apply_alone():
    t = topology(publish="", server=CRL)
    assert said(t, kinds_of(t)) == (
        "server.desk learns of revocations only by apply: publish is not set, so no CRL can be fetched",
    )


def test_without_a_publisher_there_is_no_responder():
    error = refused(topology(publish="", server=OCSP))
    assert error.message == "server.desk asks by OCSP about certificates of ca.issuing, which has no responder"
    assert "publish: http" in error.hint
    assert error.place.text.strip() == "check_revocation: ocsp"


def test_an_issuer_without_a_responder():
    t = topology(server=OCSP, issuing=", revocation: {crl: 1d}")
    assert "revocation: {ocsp: 1h}" in refused(t).hint
    check(topology(server=CRL, issuing=", revocation: {crl: 1d}"), kinds_of(t))


def test_a_client_asks_about_the_issuer_of_the_server():
    assert "client.teller asks by OCSP" in refused(topology(client=OCSP, issuing=", revocation: {crl: 1d}")).message


def test_curl_needs_a_staple():
    error = refused(topology(client_kind="curl", client=OCSP))
    assert 'client.teller: template "curl" checks OCSP only by stapled responses' in error.message
    assert "add staple: true to" in error.hint
    t = topology(client_kind="curl", client=OCSP)
    stapling = dataclasses.replace(t.servers["desk"], staple=True)
    kinds = kinds_of(t, supports=frozenset({"staple"}))
    assert check(dataclasses.replace(t, servers={"desk": stapling}), kinds) == ()


def test_curl_can_not_be_lenient():
    error = refused(topology(client_kind="curl", client=CRL + "\n    on_unavailable: allow"))
    assert 'cannot do "on_unavailable: allow"' in error.message


@pytest.mark.parametrize(("client_kind", "notes"), [("python", 1), ("curl", 0)])
def test_who_cannot_demand_a_promised_staple_is_named(client_kind, notes):
    t = topology(client_kind=client_kind)
    promising = dataclasses.replace(t.servers["desk"], must_staple=True)
    kinds = kinds_of(t, supports=frozenset({"must_staple"}))
    found = check(dataclasses.replace(t, servers={"desk": promising}), kinds)
    assert len(found) == notes
    assert all("client.teller accepts server.desk also without a staple" in str(note) for note in found)


class TestOverHttp:
    """Kinds that read no file: .NET."""

    def test_crls_are_believed_until_they_end(self):
        t = topology(server=CRL)
        assert said(t, kinds_of(t, **OVER_HTTP)) == (
            "server.desk keeps a CRL of ca.issuing until it expires: it may learn of a revocation only after 1d",
            "server.desk keeps a CRL of ca.root until it expires: it may learn of a revocation only after 90d",
        )

    @pytest.mark.parametrize("who", ["root", "issuing"])
    def test_a_pointer_is_missing(self, who):
        t = topology(server=CRL, **{who: ", revocation: {ocsp: 1h}"})
        error = refused(t, **OVER_HTTP)
        assert f"those of ca.{who} have none" in error.message
        assert "ocsp: 1h" in error.place.text
        check(t, kinds_of(t))

    def test_nothing_is_published(self):
        assert "publish: http" in refused(topology(publish="", server=CRL), **OVER_HTTP).hint

    def test_one_pointer_too_many_for_ocsp(self):
        error = refused(topology(server=OCSP), **OVER_HTTP)
        assert "uses OCSP only for certificates that do not point to a CRL, and those of ca.issuing do" in error.message
        assert error.hint == "set revocation: {ocsp: 1h} in ca.issuing, without crl"
        t = topology(server=OCSP, issuing=", revocation: {ocsp: 1h}")
        assert said(t, kinds_of(t, **OVER_HTTP)) == (
            "server.desk keeps a CRL of ca.root until it expires: it may learn of a revocation only after 90d",
        )

    def test_intermediates_may_be_asked_about_too(self):
        t = topology(server=OCSP, issuing=", revocation: {ocsp: 1h}", root=", revocation: {ocsp: 1d}")
        assert said(t, kinds_of(t, **OVER_HTTP)) == ()


class TestExternalCallers:
    def test_an_adopted_ca_must_bring_its_crl(self):
        error = refused(topology(server=CRL, cas=ADOPTED, clients=AUDITOR))
        assert error.message == "server.desk needs a CRL of ca.partner, and the key to sign one is not here"
        assert "existing:" in error.place.text

    def test_their_pointers_are_not_known(self):
        brought = ADOPTED.replace("chain.pem", "chain.pem, crl: ca.crl")
        t = topology(server=OCSP, cas=brought, clients=AUDITOR)
        (note,) = said(t, kinds_of(t))
        where = "the addresses in the certificate of client.auditor are not known here"
        assert note == f"server.desk checks revocation by ocsp, and {where}"


SECOND = "  second: {issuer: root, subject: {common_name: Second}}"
FROM_SECOND = "  clerk: {template: python, issuer: second, calls: [desk]}"
NAMED = "publish: http://pki.bank.internal"


def nginx(t: Topology) -> dict[Address, Kind]:
    return kinds_of(t) | {DESK: catalogue.find("nginx", "server", Path.cwd())}


def test_several_responders_with_a_host_name_need_a_resolver() -> None:
    t = topology(NAMED, cas=SECOND, clients=FROM_SECOND, server=OCSP)
    with pytest.raises(TopologyError, match=r"cannot look up pki\.bank\.internal") as caught:
        check(t, nginx(t))
    assert caught.value.place is not None
    assert "resolver" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "parts",
    [
        {"publish": NAMED},
        {"cas": SECOND, "clients": FROM_SECOND},
        {"publish": NAMED, "cas": SECOND, "clients": FROM_SECOND, "server": OCSP + "\n    vars: {resolver: 10.0.0.53}"},
        {"publish": NAMED, "cas": SECOND, "clients": FROM_SECOND, "server": CRL},
    ],
)
def test_one_responder_an_ip_address_or_a_resolver_will_do(parts: dict[str, str]) -> None:
    t = topology(**({"server": OCSP} | parts))
    check(t, nginx(t))

    def test_a_server_looks_up_whom_it_calls_too(self):
        others = "  other: {issuer: root, revocation: {crl: 1h, ocsp: 1h}}"
        vault = "  vault: {template: python, issuer: other, listen: 127.0.0.1:8444, names: [vault.internal]}"
        calling = f"    calls: [vault]\n{CRL}\n{vault}"
        t = topology(cas=others, server=calling)
        believed = "server.desk keeps a CRL of ca.other until it expires: it may learn of a revocation only after 1h"
        assert believed in said(t, kinds_of(t, supports=OVER_HTTP["supports"] | {"calls"}))
        without = topology(cas=others.replace("{crl: 1h, ocsp: 1h}", "{}"), server=calling)
        assert "those of ca.other have none" in refused(without, supports=OVER_HTTP["supports"] | {"calls"}).message


CALLING = "    check_revocation: {check}\n    calls: [other]"
OTHER = "  other: {template: python, issuer: issuing, listen: 127.0.0.1:8444, names: [other.internal]}\n"


@pytest.mark.parametrize("check", ["crl", "ocsp"])
def test_who_looks_up_its_callers_alone_is_noted(check):
    t = topology(server=CALLING.format(check=check) + "\n" + OTHER)
    assert not [line for line in said(t, kinds_of(t)) if "callers alone" in line]
    (line,) = [line for line in said(t, kinds_of(t, checks_callees=frozenset())) if "callers alone" in line]
    assert "a revoked certificate of server.other is still accepted" in line
