"""What kinds cannot enforce is refused in the topology's words, with its place and a hint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from scaffold.errors import TopologyError, TopologyErrors
from scaffold.kinds import catalogue
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.limits import check, without_unusable_defaults
from scaffold.topology import document, graph
from scaffold.topology.address import Address
from scaffold.topology.load import loads
from scaffold.topology.model import Client, Forward, IdentityForm, KeyType, RevocationCheck, TlsProfile, Topology
from scaffold.topology.names import form_of

BASE = """
version: 1
name: bank
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
  vault:
    template: python
    issuer: issuing
    listen: 127.0.0.1:8444
    names: [vault.internal]
clients:
  teller:
    template: python
    issuer: issuing
    calls: [desk, vault]
{client}
{clients}
"""


DESK = Address.server("desk")


def topology(**parts: str) -> Topology:
    texts = dict.fromkeys(("root", "issuing", "cas", "server", "client", "clients"), "") | parts
    return loads(BASE.format(**texts).encode(), Path("topology.yaml"))


def kinds_of(t: Topology, **changes: object) -> dict[Address, Kind]:
    """The built-in kinds; `changes` are fields of the desk's capabilities."""
    found = {}
    for party in graph.parties(t):
        if isinstance(party, Client) and party.external:
            continue
        role = "client" if isinstance(party, Client) else "server"
        found[party.address] = catalogue.find(party.template, role, Path.cwd())
    if changes:
        desk = found[DESK]
        found[DESK] = dataclasses.replace(desk, capabilities=dataclasses.replace(desk.capabilities, **changes))
    return found


def refused(t: Topology, **changes: object) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        check(t, kinds_of(t, **changes))
    assert caught.value.place is not None
    assert caught.value.place.file.endswith("topology.yaml")
    return caught.value


def line(error: TopologyError) -> str:
    assert error.place is not None
    return error.place.text.strip()


def test_what_all_can_do_passes_without_notes():
    t = topology(server="    health: 127.0.0.1:8081\n    tls: modern")
    assert check(t, kinds_of(t)) == ()


@pytest.mark.parametrize(
    ("server", "changes", "message"),
    [
        ("    tls: intermediate", {"tls": frozenset({TlsProfile.MODERN})}, 'cannot enforce "tls: intermediate"'),
        ("    check_revocation: crl", {"check_revocation": frozenset({RevocationCheck.NONE})}, "cannot enforce"),
        ("    health: 127.0.0.1:8081", {"supports": frozenset()}, "has no health port"),
        ("    calls: [vault]", {"supports": frozenset()}, "calls no other server"),
        ("    calls: [vault]\n    upstream: vault", {}, "forwards to no upstream"),
        ("    backend: http://127.0.0.1:5000", {}, "does not forward requests to an app"),
        (
            "    backend: unix:/run/app.sock\n    forward: [x-client, arr]",
            {"supports": frozenset({"backend"}), "forward": frozenset({Forward.X_CLIENT})},
            "cannot name the caller to its backend by arr",
        ),
        ("    post_quantum: true", {}, "cannot put the group X25519MLKEM768 first"),
        ("    key: ed25519", {"keys": MappingProxyType({KeyType.EC_P256: "1"})}, "cannot use a ed25519 key of its own"),
    ],
)
def test_what_a_kind_cannot_do_is_refused_where_it_is_asked_for(server, changes, message):
    error = refused(topology(server=server), **changes)
    assert message in error.message
    assert "server.desk" in error.message
    assert line(error) in server


def test_templates_that_can_pass_on_are_named():
    error = refused(topology(server="    backend: http://127.0.0.1:5000"))
    assert error.hint == "choose a template that does, such as haproxy or nginx"
    can = {"supports": frozenset({"backend"}), "forward": frozenset({Forward.X_CLIENT})}
    error = refused(topology(server="    backend: http://127.0.0.1:5000\n    forward: [rfc9440]"), **can)
    assert error.hint == "it takes x-client; or choose another template, such as haproxy"


@pytest.mark.parametrize("forward", ["", "\n    forward: []", "\n    forward: [x-client]"])
def test_what_a_front_can_tell_an_app_passes(forward):
    t = topology(server=f"    backend: http://127.0.0.1:5000{forward}")
    can = {"supports": frozenset({"backend"}), "forward": frozenset({Forward.X_CLIENT})}
    assert check(t, kinds_of(t, **can)) == ()


@pytest.mark.parametrize(
    ("parts", "who"),
    [
        ({"client": "    key: ed25519"}, "client.teller's ed25519 key"),
        ({"issuing": ", key: ed25519"}, "the ed25519 key of ca.issuing, which is above client.teller"),
        ({"root": ", key: ed25519"}, "the ed25519 key of ca.root, which is above client.teller"),
    ],
)
def test_the_peers_whole_chain_must_be_verifiable(parts, who):
    without = MappingProxyType({key: "1.1.1" for key in KeyType if key is not KeyType.ED25519})
    t = topology(**parts)
    error = refused(t, peer_keys=without)
    assert f"cannot verify {who}" in error.message
    assert "ed25519" in line(error)
    assert check(t, kinds_of(t)) == ()


def test_newer_libraries_are_noted():
    t = topology(client="    key: ml-dsa-65")
    notes = check(t, kinds_of(t))
    assert "client.teller needs OpenSSL 3.5 or later for a ml-dsa-65 key" in map(str, notes)
    assert any(str(note).startswith("server.desk needs OpenSSL 3.5") for note in notes)
    assert len(notes) == len(set(notes))


def test_p521_fails_where_tls_1_2_is_spoken_and_not_where_it_is_not():
    limited = {"tls12_refuses": frozenset({KeyType.EC_P521})}
    error = refused(topology(client="    key: ec-p521"), **limited)
    assert "refuses in TLS 1.2" in error.message
    modern = topology(client="    key: ec-p521", server="    tls: modern")
    assert check(modern, kinds_of(modern, **limited)) == ()


# --- Variables -------------------------------------------------------------------------------------------------------


def test_an_unknown_variable_is_refused_at_its_place():
    error = refused(topology(server="    vars: {greting: x}"))
    assert error.message == 'server.desk: template "python" has no variable "greting"'
    assert error.hint == 'did you mean "greeting"?'
    assert "greting" in line(error)


def test_a_variable_of_the_wrong_type_is_refused():
    assert "must be text" in refused(topology(server="    vars: {greeting: 8443}")).message


# --- Kinds that see names alone --------------------------------------------------------------------------------------

BY_NAME = {"sees_issuer_by": "name", "sees_callers_by": frozenset({IdentityForm.SUBJECT})}


def test_by_name_one_root_is_enough():
    t = topology(client="    subject: {organization: 'O\"Brien, {{ x }} $1 \\'}")
    assert check(t, kinds_of(t, **BY_NAME)) == ()


def test_by_name_callers_from_two_roots_are_refused():
    parts = {
        "cas": "  other: {subject: {common_name: Other}}",
        "clients": "  stranger: {template: python, issuer: other, calls: [desk]}",
    }
    error = refused(topology(**parts), **BY_NAME)
    assert "its callers come from several roots: root, other" in error.message
    assert error.hint.endswith("choose a template that sees the issuer's key, such as asgi, kestrel or python")
    t = topology(**parts)
    assert check(t, kinds_of(t)) == ()


def test_by_name_a_second_root_that_is_only_trusted_is_refused():
    """Nobody of it may call, and yet whoever it issues to is let in by a name of the first."""
    parts = {"cas": "  other: {subject: {common_name: Other}}", "server": "    trusts: [issuing, other]"}
    assert "its callers come from several roots: root, other" in refused(topology(**parts), **BY_NAME).message
    t = topology(**parts)
    assert check(t, kinds_of(t)) == ()


def test_without_an_issuer_an_external_caller_is_refused_in_whole_sentences():
    outside = '  auditor: {external: {issuer: issuing, identity: "spiffe://x/y"}, calls: [desk]}'
    error = refused(topology(clients=outside), **NO_ISSUER, sees_callers_by=frozenset())
    assert "cannot identify callers whose certificates are issued elsewhere, such as client.auditor" in error.message
    assert error.hint == "choose a template that sees the URI (SAN) for this server, such as asgi, kestrel or python"


def test_by_name_an_external_caller_is_refused():
    outside = '  auditor: {external: {issuer: issuing, identity: "spiffe://x/y"}, calls: [desk]}'
    t = topology(clients=outside)
    error = refused(t, **BY_NAME)
    assert "is not known here" in error.message
    assert error.hint.endswith(
        "choose a template that sees the URI (SAN) for this server, such as asgi, kestrel or python"
    )
    assert check(t, kinds_of(t)) == ()


@pytest.mark.parametrize("identity", ["spiffe://x/y", "dns:gw.example", "subject:CN=a"])
@pytest.mark.parametrize("seen", list(IdentityForm))
def test_who_has_a_certificate_from_elsewhere_is_known_by_what_the_template_sees(identity: str, seen: IdentityForm):
    outside = f'  auditor: {{external: {{issuer: issuing, identity: "{identity}"}}, calls: [desk]}}'
    t, sees = topology(clients=outside), {"sees_callers_by": frozenset({seen})}
    if seen is form_of(identity):
        assert check(t, kinds_of(t, **sees)) == ()
    else:
        assert "is not known here" in refused(t, **sees).message


def test_by_name_a_stated_subject_is_told_from_those_of_others():
    outside = '  auditor: {external: {issuer: issuing, identity: "subject:CN=teller"}, calls: [desk]}'
    error = refused(topology(clients=outside), **BY_NAME)
    assert "would mistake client.auditor for client.teller" in error.message
    t = topology(clients=outside.replace("CN=teller", "CN=auditor"))
    assert check(t, kinds_of(t, **BY_NAME)) == ()


def test_a_request_is_for_kinds_that_need_no_key():
    t = topology(server="    csr: desk.csr")
    assert "needs the private key" in refused(t).message
    assert check(t, kinds_of(t, supports=frozenset({"csr"}))) == ()


def test_by_name_what_cannot_be_seen_is_refused():
    error = refused(topology(client='    subject: {organization: "a\\u200bb"}'), **BY_NAME)
    assert "cannot match the subject of client.teller safely" in error.message


# --- Kinds that take a common name for a DNS name ---------------------------------------------------------------------

COMMON_NAMES = {"supports": frozenset({"calls", "takes_common_names"})}


def with_another(common_name: str, issuer: str = "issuing", cas: str = "") -> Topology:
    return topology(
        cas=cas,
        server="    calls: [vault]\n"
        "  other:\n    template: python\n    listen: 127.0.0.1:8445\n    names: [other.internal]\n"
        f"    issuer: {issuer}\n    subject: {{common_name: {common_name}}}",
    )


def test_by_common_name_a_server_that_bears_the_name_of_a_callee_is_refused():
    t = with_another("Vault.Internal")
    error = refused(t, **COMMON_NAMES)
    assert "server.desk" in error.message
    assert "would mistake server.other for server.vault" in error.message
    assert "Vault.Internal" in line(error)
    assert check(t, kinds_of(t)) == ()


def test_by_common_name_other_names_and_other_roots_pass():
    for t in (
        with_another("vault"),
        with_another("vault.internal", "other", "  other: {subject: {common_name: Other}}"),
    ):
        assert check(t, kinds_of(t, **COMMON_NAMES)) == ()


# --- Kinds that see no issuer ----------------------------------------------------------------------------------------

NO_ISSUER = {"sees_issuer_by": "none"}


def test_without_an_issuer_one_ca_under_the_root_is_enough():
    t = topology(cas="  other: {subject: {common_name: Other}}\n  elsewhere: {issuer: other}")
    assert check(t, kinds_of(t, **NO_ISSUER)) == ()


def test_without_an_issuer_a_second_ca_under_the_root_is_refused():
    t = topology(cas="  branch: {issuer: root, subject: {common_name: Branch}}")
    error = refused(t, **NO_ISSUER)
    assert "several CAs issue certificates under ca.root: issuing, branch" in error.message
    assert error.hint
    assert check(t, kinds_of(t, **BY_NAME)) == ()


def test_without_an_issuer_a_root_that_issues_leaves_itself_is_one_more():
    t = topology(clients="  auditor: {template: python, issuer: root, calls: []}")
    assert "under ca.root: root, issuing" in refused(t, **NO_ISSUER).message
    assert check(t, kinds_of(t, **BY_NAME)) == ()


def test_without_an_issuer_two_roots_are_refused_as_by_name():
    clients = "  stranger: {template: python, issuer: other, calls: [desk]}"
    error = refused(topology(cas="  other: {subject: {common_name: Other}}", clients=clients), **NO_ISSUER)
    assert "its callers come from several roots: root, other" in error.message


def test_without_an_issuer_a_root_of_others_is_noted():
    """Whom that lets issue is not known here."""
    adopted = "  theirs: {existing: {certificate: theirs.pem, key: theirs.key}}"
    text = BASE.replace("issuer: issuing\n    calls", "issuer: theirs\n    calls")
    parts = dict.fromkeys(("root", "issuing", "client", "clients"), "")
    text = text.format(cas=adopted, server="    trusts: [theirs]", **parts)
    t = loads(text.encode(), Path("topology.yaml"))
    (note,) = check(t, kinds_of(t, **NO_ISSUER))
    assert str(note).startswith("server.desk sees no issuer: every CA that ca.theirs or its root certifies")


# --- Protocols -------------------------------------------------------------------------------------------------------


def speaking(t: Topology, **protocols: str) -> Mapping[Address, Kind]:
    """The kinds of `t`, where those that are named speak another protocol."""
    return {
        address: replace(kind, capabilities=replace(kind.capabilities, protocol=protocols.get(address.name, "http")))
        for address, kind in kinds_of(t).items()
    }


def test_a_caller_speaks_what_its_callee_speaks():
    t = topology()
    everybody = dict.fromkeys(("desk", "vault", "teller"), "postgresql")
    assert check(t, speaking(t)) == check(t, speaking(t, **everybody)) == ()
    with pytest.raises(TopologyError, match=r"speaks http, and server\.desk .* speaks postgresql"):
        check(t, speaking(t, desk="postgresql"))
    with pytest.raises(TopologyError, match=r"speaks ldap, and server\.desk .* speaks http") as caught:
        check(t, speaking(t, teller="ldap"))
    assert "curl or dotnet or python" in (caught.value.hint or "")
    with pytest.raises(TopologyError) as caught:
        check(t, speaking(t, desk="ldap"))
    assert caught.value.hint == "templates of clients that speak ldap: none is built in"


# --- Declared faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "blind"), [("no-san", BY_NAME), ("no-eku", {"supports": frozenset({"health"})})])
def test_a_fault_that_the_other_end_cannot_see_is_refused(fault, blind):
    t = topology(client=f"    fault: {fault}")
    assert f"cannot detect the fault of client.teller: {fault}" in refused(t, **blind).message
    assert check(t, kinds_of(t)) == ()


BUNDLES = """
defaults: {pfx: {password: {generate: true}}}
"""


def with_bundles(**parts: str) -> Topology:
    return loads(BASE.format(**dict.fromkeys(("root", "issuing", "cas", "server", "client", "clients"), "") | parts)
                 .replace("name: bank", "name: bank" + BUNDLES).encode(), Path("topology.yaml"))  # fmt: skip


def test_a_bundle_by_default_is_dropped_where_the_kind_reads_none():
    t = with_bundles(clients="  ops: {template: curl, issuer: issuing, calls: [desk]}\n"
                             "  app: {template: dotnet, issuer: issuing, calls: [desk]}")  # fmt: skip
    kept = without_unusable_defaults(t, kinds_of(t))
    assert kept.clients["ops"].pfx is None
    assert kept.clients["app"].pfx == t.clients["app"].pfx is not None
    assert kept.callers["desk"] == (*kept.clients.values(),)
    check(kept, kinds_of(kept))


def test_a_bundle_of_its_own_is_refused_where_the_kind_reads_none():
    t = with_bundles(client="    pfx: {password: {generate: true}}")
    kept = without_unusable_defaults(t, kinds_of(t))
    assert kept.clients["teller"].pfx is not None
    assert "reads no PFX bundle" in refused(kept).message


def test_no_template_sees_a_password_of_the_environment():
    t = topology(issuing=", key_password: {env: DEMO_PASSWORD}", client="    pfx: {password: {env: OTHER}}")
    error = refused(t, environment=("DEMO_*",), supports=frozenset({"pfx", "calls"}))
    assert "reads DEMO_* from the environment, and would see the password in DEMO_PASSWORD" in str(error)
    assert "desk" in str(error)
    assert error.hint == "use a variable with another name for that password"
    assert "would see the password in OTHER" in str(refused(t, environment=("OTHER",)))


def test_a_template_may_see_what_is_no_password():
    t = topology(issuing=", key_password: {env: DEMO_PASSWORD}")
    check(t, kinds_of(t, environment=("DEMO", "DEMO_HOME", "JVM_*")))


def test_the_file_is_not_composed_again_where_nothing_is_inherited(monkeypatch):
    t = topology()
    monkeypatch.setattr(document, "Document", lambda *_: pytest.fail("composed again"))
    assert without_unusable_defaults(t, kinds_of(t)) is t


def test_each_mapping_is_gone_through_once_however_many_inherit_a_bundle(monkeypatch):
    t = with_bundles(
        clients="".join(f"  c{n}: {{template: curl, issuer: issuing, calls: [desk]}}\n" for n in range(20))
    )
    read: list[object] = []
    entries = document.Document.entries

    def counted(self, node, mistakes):
        read.append(node)
        return entries(self, node, mistakes)

    monkeypatch.setattr(document.Document, "entries", counted)
    kept = without_unusable_defaults(t, kinds_of(t))
    assert all(kept.clients[f"c{n}"].pfx is None for n in range(20))
    assert len(read) == len(set(map(id, read)))


def test_without_such_a_default_the_topology_is_the_same():
    t = topology()
    assert without_unusable_defaults(t, kinds_of(t)) is t


def test_all_that_templates_cannot_do_is_told_at_once():
    t = topology(
        root="",
        server="    pfx: {password: {generate: true}}",
        client="    pfx: {password: {generate: true}}\n    vars: {nothing: 1}",
    )
    found = refused(t)
    assert isinstance(found, TopologyErrors)
    said = [(one.message, one.hint) for one in found.errors]
    assert [message.partition(":")[0] for message, _ in said] == ["server.desk", "client.teller"]
    assert all(hint for _, hint in said)


def test_what_many_stumble_over_is_told_once():
    t = topology(issuing=", key: ed25519", clients="  second: {template: python, issuer: issuing, calls: [desk]}")
    found = refused(t, peer_keys={"ec-p256": "1.1.1"})
    assert not isinstance(found, TopologyErrors)


# --- Roles -----------------------------------------------------------------------------------------------------------


def with_roles(edge: str = "{desk: [reader], vault: []}") -> Topology:
    return loads(topology_text().replace("calls: [desk, vault]", f"calls: {edge}").encode(), Path("topology.yaml"))


def topology_text() -> str:
    return BASE.format(root="", issuing="", cas="", server="", client="", clients="")


@pytest.mark.parametrize(
    ("asked", "out"),
    [
        ("pfx: {password: {generate: true}}", "leave pfx out, or choose a template that can, such as kestrel"),
        ("csr: desk.csr", "leave csr out, or choose a template that can, and none that speaks http is built in"),
        ("post_quantum: true", "leave post_quantum out, or choose a template that can, such as haproxy or nginx"),
    ],
)
def test_the_way_out_names_templates_that_can(asked: str, out: str) -> None:
    assert refused(topology(server=f"    {asked}")).hint == out


def test_roles_are_for_kinds_that_tell_them():
    told = with_roles()
    assert check(told, kinds_of(told)) == ()
    without = kinds_of(told)[DESK].capabilities.supports - {"roles"}
    error = refused(told, supports=without)
    assert "cannot tell the roles of its callers: reader" in error.message
    assert line(error) == "calls: {desk: [reader], vault: []}"
    assert "desk: []" in (error.hint or "")
    elsewhere = with_roles("{desk: [], vault: [reader]}")
    assert check(elsewhere, kinds_of(elsewhere, supports=without)) == ()


def test_roles_at_a_gateway_are_for_upstreams_that_tell_them():
    behind = "  vault:\n    template: nginx\n    upstream: desk\n    calls: [desk]"
    text = topology_text().replace("  vault:\n    template: python", behind)
    told = loads(
        text.replace("calls: [desk, vault]", "calls: {desk: [], vault: [guest]}").encode(), Path("topology.yaml")
    )
    assert check(told, kinds_of(told)) == ()
    without = kinds_of(told)[DESK].capabilities.supports - {"roles"}
    assert "server.desk" in refused(told, supports=without).message


def test_a_database_has_roles_of_its_own():
    text = (
        topology_text()
        .replace("template: python", "template: postgresql", 2)
        .replace(
            "    template: python\n    issuer: issuing\n    calls", "    template: psql\n    issuer: issuing\n    calls"
        )
    )
    t = loads(text.replace("calls: [desk, vault]", "calls: {desk: [reader]}").encode(), Path("topology.yaml"))
    with pytest.raises(TopologyError, match="cannot tell the roles of its callers: reader"):
        check(t, kinds_of(t))
    plain = loads(text.replace("calls: [desk, vault]", "calls: {desk: []}").encode(), Path("topology.yaml"))
    check(plain, kinds_of(plain))
