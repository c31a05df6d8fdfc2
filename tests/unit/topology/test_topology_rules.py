"""What no topology may say: each rule broken once, at its place, with its hint. The good topology is their twin."""

from __future__ import annotations

import pytest

from scaffold.topology.model import Forward, HostPort
from tests.unit.topology.written import GOOD, changed, mistakes, read, refused

API = "    listen: 127.0.0.1:8443\n"
ISSUING = "  issuing:\n    issuer: root\n"
CLI = "  cli:\n    template: python\n"
GATEWAY = "    listen: 127.0.0.1:9443\n"


def test_the_good_topology_is_good() -> None:
    assert read(GOOD).name == "shop"


BACKEND = "    backend: http://127.0.0.1:5000\n"


@pytest.mark.parametrize(
    ("fields", "forward"),
    [
        (BACKEND, (Forward.X_CLIENT,)),
        (BACKEND + "    forward: []\n", ()),
        (BACKEND + "    forward: [arr, rfc9440]\n", (Forward.ARR, Forward.RFC9440)),
    ],
)
def test_an_app_is_told_as_the_topology_says(fields: str, forward: tuple[Forward, ...]) -> None:
    server = read(changed(API, API + fields)).servers["api"]
    assert (server.backend, server.forward) == (HostPort("127.0.0.1", 5000), forward)


def test_a_default_of_how_an_app_is_told_is_for_those_that_have_one() -> None:
    text = changed("cas:\n", "defaults: {forward: [arr]}\ncas:\n").replace(API, API + BACKEND)
    servers = read(text).servers
    assert (servers["api"].forward, servers["gateway"].forward) == ((Forward.ARR,), ())


def test_one_backend_may_have_several_fronts() -> None:
    text = changed("    calls: [api]\n    upstream: api\n", BACKEND).replace(API, API + BACKEND)
    assert [server.backend for server in read(text).servers.values()] == [HostPort("127.0.0.1", 5000)] * 2


NAMED_AS_WRONG = """\
    fault: wrong-name
    template: python
    calls: [api]
  two:
    template: python
    names: ['spiffe://shop/client/cli/wrong-name']
    calls: [gateway]"""

EXISTING = '    existing: {certificate: a.pem, key: a.key, identity: "dns:cli.example"}\n'
ADOPTED = "    issuer: partner\n"
NAMELESS = "    existing: {certificate: a.pem, key: a.key}\n"
EXISTING_SERVER = "    existing: {certificate: a.pem, key: a.key, trust: r.pem}\n    csr: a.csr\n"

BROKEN = [
    # backends
    (GATEWAY, GATEWAY + BACKEND, "both its upstream api and its backend", "http://127.0.0.1:5000", "Keep one"),
    (API, API + "    backend: http://127.0.0.1:8443\n", "forward requests to itself", "http", "the app behind it"),
    (API, API + "    backend: http://localhost:9443\n", "the address of the server gateway", "http", "upstream:"),
    (API, API + "    forward: [x-client]\n", "api has forward and no backend", "forward", "backend: http://127.0.0.1:5000"),
    (API, API + BACKEND + "    forward: [xclient]\n", "a way to name the caller to the app", "xclient", '"x-client"'),
    (API, API + BACKEND + "    forward: [arr, arr]\n", "on the list twice", "arr]", "leave one"),
    (API, API + "    backend:\n", "backend has no value", "backend", "leave the key out"),
    (CLI, CLI + "    backend: http://127.0.0.1:5000\n", 'unknown key "backend" in a client', "backend", ""),
    ("cas:\n", "defaults: {backend: 'unix:/a'}\ncas:\n", 'unknown key "backend" in defaults', "backend", ""),
    # form
    ("name: shop", "name: My Shop", "is not a name", "My Shop", "my-shop"),
    ("name: shop", "name:", "name has no value", "name:", "leave the key out"),
    ("name: shop", 'name: ""', "is not a name", '"', ""),
    ("name: shop", "name: [shop]", "expected a name, found a list", "[", "without the brackets: shop"),
    ("name: shop\n", "", "needs name", None, ""),
    ("version: 1", "version: 2", "not a version", "2", "write 1"),
    ("servers:", "server:", 'unknown key "server"', "server", 'did you mean "servers"?'),
    (CLI, CLI + "    lifetme: 1d\n", 'unknown key "lifetme" in a client', "lifetme", '"lifetime"'),
    (CLI, CLI + "    lifetime: 90\n", "not a duration", "90", "90d"),
    (CLI, CLI + "    key: rsa-1024\n", "not a type of key", "rsa-1024", "rsa-"),
    (CLI, CLI + "    vars:\n", "vars has no value", "vars", ""),
    (CLI, CLI + "    vars: {a: ~}\n", "found nothing", "~", ""),
    (CLI, CLI + "    vars: {_scaffold: 1}\n", "template's variable", "_scaffold", ""),
    (CLI, CLI + "    vars: {a: {b: c}}\n", "found a mapping", "{b", ""),
    (CLI, CLI + "    subject: {country: nl}\n", "country code", "nl", "NL"),
    (CLI, CLI + f"    subject: {{organization: {'a' * 65}}}\n", "longer than 64", "a", ""),
    (CLI, CLI + '    subject: {organization: "a\\nb"}\n', "U+000A", '"a', ""),
    (CLI, CLI + "    pfx: {}\n", "needs password", "{}", ""),
    (CLI, CLI + "    pfx: {password: {}}\n", "exactly one", "{}", "{env: NAME}"),
    (CLI, CLI + "    pfx: {password: {env: A, file: b}}\n", "exactly one", "{env", ""),
    (CLI, CLI + "    pfx: {password: {generate: false}}\n", "is not true", "false", "write true"),
    (CLI, CLI + "    pfx: {password: {generate: true}, legacy: yes}\n", "neither true nor false", "yes", "write true"),
    (CLI, CLI + "    fault: expird\n", "is not a fault", "expird", '"expired"'),
    (CLI, "  cli:\n", "cli needs template", "cli", "template:"),
    (CLI, "  Cli:\n    template: python\n", "is not a name", "Cli", "cli"),
    ("  robot:\n", "  other:\n  robot:\n", "other\" has no value", "other", "other: {}"),
    (API, "", "api needs listen", "api", "listen:"),
    (API, "    listen: 8443\n", "not an address", "8443", "127.0.0.1:8443"),
    (API, API + "    health: 127.0.0.1:99999\n", "no port", "127", ""),
    ("    path_length: 0\n", "    path_length: -1\n", "not a path length", "-1", ""),
    ("    path_length: 0\n", "    path_length: 1.0\n", "not a path length", "1.0", ""),
    ("name: shop\n", "name: shop\ntrust_domain: Shop.Example\n", "trust domain", "Shop", "write shop.example"),
    ("name: shop\n", "name: shop\ntrust_domain: spiffe://a.example/\n", "trust domain", "spiffe", "write a.example"),
    ("name: shop\n", "name: shop\ntrust_domain: a:1\n", "trust domain", "a:1", "lower-case"),
    ("publish: http://127.0.0.1:9080", "publish: https://pki", "plain HTTP", "https", "http://"),
    # CAs
    ("issuer: root\n", "issuer: rot\n", 'no such CA "rot"', "rot", '"root"'),
    ("issuer: root\n", "issuer: issuing\n", "its own issuer", "issuing", "leave issuer out"),
    ("    subject: {common_name: Shop Root}\n", "    issuer: issuing\n", "in a circle: ", "issuing", "a root"),
    ("issuer: root\n", "issuer: partner\n", "cannot issue here", "partner", "add key"),
    (ISSUING, "  root2: {path_length: 0}\n  middle: {issuer: root2}\n" + ISSUING, "no CA below it", "root2", "to 1"),
    (ISSUING, ISSUING + "    lifetime: 11y\n", "longer than its issuer root", "11y", "10y"),
    (CLI, CLI + "    lifetime: 6y\n", "longer than its issuer issuing", "6y", "5y"),
    (ISSUING, ISSUING + "    subject: {common_name: SHOP  root}\n", "the same subject", "subject", ""),
    (ISSUING, ISSUING + "    lifetime: 10d\n    renew_before: 10d\n", "must be shorter", "10d", ""),
    ("    existing: {", "    lifetime: 1y\n    existing: {", "lifetime cannot be set", "1y", "leave it out"),
    ("    existing: {", "    key_password: {env: A}\n    existing: {", "whose key is here", "key_password", "add key"),
    ("{certificate: partner.pem}", "{key: partner.key}", "needs certificate", "{key", ""),
    (
        "{certificate: partner.pem}",
        "{certificate: partner.pem, key: partner.key, chain: a.pem, crl: b.crl, chain_crl: c.crl}",
        "crl and chain_crl",
        "c.crl",
        "keep crl",
    ),
    (
        "{certificate: partner.pem}",
        "{certificate: partner.pem, chain: a.pem, chain_crl: c.crl}",
        "its key is not here",
        "c.crl",
        "crl: FILE",
    ),
    (
        "{certificate: partner.pem}",
        "{certificate: partner.pem, key: partner.key, chain_crl: c.crl}",
        "chain_crl and no chain",
        "c.crl",
        "chain: FILE",
    ),
    ("permitted: {dns: [shop.internal, localhost], ip: [127.0.0.0/8]}", "permitted: {}", "is empty", "{}", ""),
    ("127.0.0.0/8", "127.0.0.1/8", "not an IP network", "127.0.0.1/8", "127.0.0.0/8"),
    # names
    ("api.shop.internal", "api.other.internal", "name_constraints", "api.other.internal", "RFC 5280"),
    ("api.shop.internal, 127.0.0.1]", "api.shop.internal, 10.0.0.1]", "name_constraints", "10.0.0.1", ""),
    ("[localhost, api.shop.internal", "['spiffe://a/b', localhost, evil.org", "name_constraints", "evil.org", ""),
    (CLI, CLI + "    subject: {common_name: cli.evil.org}\n", "name_constraints", "cli.evil.org", ""),
    # with a DNS name of its own, which the certificate with which it calls does not bear
    ("    upstream: api\n", "    subject: {common_name: gw.evil.org}\n", "name_constraints", "gw.evil.org", ""),
    ("[localhost, api.shop", "['*.shop.internal', api.shop", "is not a host name", "names", "put a DNS name"),
    ("[localhost, api.shop", "['email:a@b.org', api.shop", "is not a host name", "names", ""),
    ("names: [localhost]", "names: ['spiffe://a/b']", "an identity alone", "names", ""),
    ("names: [localhost]", "names: []", "an identity alone", "names", ""),
    ("names: [localhost]", "names: [localhost, LOCALHOST]", "on the list twice", "LOCALHOST", "leave one"),
    ("names: [localhost]", "names: [localhost, 'spiffe://a/b', 'uri:urn:a:b']", "more than one identity", "'uri", ""),
    # edges
    ("    calls: [api, gateway]", "    calls: [apii]", 'no such server "apii"', "apii", '"api"'),
    ("    calls: [api, gateway]", "    calls: [api, robot]", "is a client", "robot", ""),
    ("    calls: [api, gateway]", "    calls: {apii: [reader]}", 'no such server "apii"', "apii", '"api"'),
    ("    calls: [api, gateway]", "    calls: {api: [], robot: []}", "is a client", "robot", ""),
    ("    calls: [api]\n    upstream: api", "    calls: {gateway: [a]}", "calls itself", "gateway", ""),
    (
        "    calls: [api, gateway]\n",
        "    calls: {gateway: [reader]}\n  more: {template: curl, calls: {api: ['a b']}}\n",
        "is not a role",
        "'a b'",
        "such as a-b",
    ),
    ("    calls: [api, gateway]", "    calls: {api: ['reader,approver']}", "is not a role", "'r", "[reader, approver]"),
    ("    calls: [api, gateway]", "    calls: {api: ['“”']}", "is not a role", "'“”'", "letters, digits"),
    ("    calls: [api, gateway]", f"    calls: {{api: [{'r' * 65}]}}", "longer than 64", "rrr", "shorter"),
    ("    calls: [api, gateway]", "    calls: {api: [a, b, a]}", "on the list twice", "a]}", "leave one"),
    ("    calls: [api, gateway]", "    calls: {api: reader}", "expected a list of roles", "reader", "[reader]"),
    ("    calls: [api, gateway]", "    calls: {api: null}", '"api" has no value', "api", "api: [] has none"),
    ("    calls: [api, gateway]", "    calls: [api: [reader]]", "found a mapping", "api", "one mapping: {accounts"),
    ("    calls: [api, gateway]", "    calls: {Api: []}", "is not a name", "Api", "such as api"),
    ("    calls: [api, gateway]", "    calls: {api: [], api: []}", "duplicate key", "api", ""),
    (
        "    calls: [api, gateway]",
        f"    calls: {{api: [{', '.join(f'r{number}' for number in range(33))}]}}",
        "the list of roles has 33 entries",
        "[r0",
        "at most 32",
    ),
    (
        "    calls: [api]\n    upstream: api",
        (
            "    upstream: api\n    calls: {other: [a, b]}\n"
            "  other: {template: python, listen: 127.0.0.1:7443, names: [localhost]}"
        ),
        "does not call its upstream",
        "api",
        "calls: {other: [a, b], api: []}",
    ),
    ("    calls: [api, gateway]", "    calls: [api, api]", "on the list twice", "api", "leave one"),
    ("    calls: [api]\n    upstream: api", "    calls: [gateway]", "calls itself", "gateway", ""),
    ("    upstream: api", "    upstream: apii", 'no such server "apii"', "apii", '"api"'),
    ("    calls: [api]\n    upstream: api", "    upstream: api", "does not call its upstream", "api", "calls: [api]"),
    ("    upstream: api", "    upstream: gateway", "its own upstream", "gateway", ""),
    (API, API + "    trusts: [issuing]\n", "does not trust partner", "trusts", "trusts: [issuing, partner]"),
    (API, API + "    trusts: [issuing, partnr]\n", 'no such CA "partnr"', "partnr", '"partner"'),
    (API, API + "    trusts: []\n", "is empty", "[]", ""),
    (API, API + "    issuer: isuing\n", 'no such CA "isuing"', "isuing", 'did you mean "issuing"?'),
    (API, API + "    issuer: partner\n", "cannot issue here", "partner", ""),
    ("issuer: partner,", "issuer: prtner,", 'no such CA "prtner"', "prtner", '"partner"'),
    # addresses
    (API, "    listen: 0.0.0.0:8443\n", "callers cannot dial", "0.0.0.0", "address: localhost:8443"),
    (API, "    listen: '[::ffff:0.0.0.0]:8443'\n", "callers cannot dial", "'[::ffff", "address: localhost:8443"),
    (API, API + "    health: 127.0.0.1:8443\n", "uses 127.0.0.1:8443", "127", "own port"),
    (GATEWAY, "    listen: localhost:8443\n", "which is api's listen", "localhost", ""),
    (GATEWAY, "    listen: 127.0.0.1:9080\n", "where publish is", "127", ""),
    # identity
    (CLI, CLI + "    names: ['spiffe://shop/server/api']\n", "the same identity", "names", ""),
    ("spiffe://partner.example/robot", "spiffe://shop/client/cli", "the same identity", '"spiffe', ""),
    (CLI, CLI + "    subject: {common_name: GATEWAY  server}\n", "same issuer and the same subject", "subject", ""),
    (CLI, CLI + "    subject: {common_name: shop root}\n", "same subject as the CA root", "subject", ""),
    ("    external: {", "    template: curl\n    external: {", "cannot be set for an external", "curl", "calls"),
    # certificates and keys from elsewhere
    (API, API + EXISTING_SERVER, "csr cannot be set for api", "a.csr", "leave csr out"),
    (API, API + NAMELESS, "has no trust, the roots", None, "trust:"),
    (CLI, CLI + EXISTING, "cli needs issuer", None, "issuer: root"),
    (CLI, CLI + "    issuer: issuing\n" + EXISTING, "issuing is made here", "issuing", "existing of its own"),
    (CLI, CLI + ADOPTED + "    key: rsa-2048\n" + EXISTING, "key cannot be set for cli", "rsa", "leave key out"),
    (CLI, CLI + ADOPTED + NAMELESS, "needs an identity", "existing", "existing: {identity"),
    (CLI, CLI + "    csr: a.csr\n    pfx: {password: {generate: true}}\n", "pfx cannot be set for cli", "pfx", ""),
    ("spiffe://partner.example/robot", "subject:robot", "not a distinguished name", '"subject', "openssl x509"),
    ("spiffe://partner.example/robot", "dns:a_b", "neither a DNS name", '"dns', "underscores"),
    ("spiffe://partner.example/robot", "CN=robot", "not an absolute URI", '"CN', "subject:CN=robot"),
    # faults
    ("    calls: [api, gateway]", "    fault: expired", "since it calls no server", "expired", ""),
    (
        "    template: python\n    calls: [api, gateway]",
        NAMED_AS_WRONG,
        "the wrong name that the fault gives cli",
        "names",
        "",
    ),
    (API, API + "    fault: no-san\n    subject: {common_name: LOCALHOST}\n", "use its common name", "no-san", ""),
]  # fmt: skip


def test_a_dns_name_that_a_client_of_the_same_ca_has_is_nobody_elses_identity() -> None:
    named = changed(CLI, CLI + "    names: [gw.shop.internal]\n").replace("issuer: partner,", "issuer: issuing,")
    text = named.replace("spiffe://partner.example/robot", "dns:gw.shop.internal")
    refused(text, "robot has the identity dns:gw.shop.internal, which is also a name of cli", '"dns')
    read(text.replace("dns:gw", "dns:other"))
    read(text.replace("issuer: issuing,", "issuer: partner,"))


@pytest.mark.parametrize(("old", "new", "message", "at", "hint"), BROKEN, ids=[row[1].strip()[:50] for row in BROKEN])
def test_a_broken_rule_is_a_clear_error(old: str, new: str, message: str, at: str | None, hint: str) -> None:
    refused(changed(old, new), message, at, hint)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    calls: [api, gateway]", "    calls: []"),
        ("    calls: [api, gateway]", "    calls: {}"),
        ("    calls: [api, gateway]", f"    calls: {{api: [{'r' * 64}, Reader, reader, a.b_c-1, '7'], gateway: []}}"),
        ("    calls: [api, gateway]", f"    calls: {{api: [{', '.join(f'r{number}' for number in range(32))}]}}"),
        ("    calls: [api, gateway]", "    calls: [api]\n    fault: expired"),
        (API, API + "    fault: no-san\n"),
        (API, API + "    trusts: [partner, issuing, root]\n"),
        (API, "    listen: 0.0.0.0:8443\n    address: api.shop.internal:8443\n"),
        (ISSUING, ISSUING + "    lifetime: 10y\n"),
        (CLI, CLI + "    subject: {common_name: api}\n"),
        ("  root:\n", "  spare: {existing: {certificate: a.pem}}\n  root:\n"),
        ("{common_name: Shop Root}", "{common_name: partner}"),
        (CLI, CLI + "    names: ['urn.shop.internal', 'uri:urn:a:b', 'email:a@b.org']\n"),
    ],
)
def test_what_is_near_the_rules_is_good(old: str, new: str) -> None:
    read(changed(old, new))


def test_two_that_listen_on_all_of_their_own_host_do_not_collide() -> None:
    text = changed(API, "    listen: 0.0.0.0:8443\n    address: a.internal:8443\n").replace(
        GATEWAY, "    listen: 0.0.0.0:8443\n    address: b.internal:8443\n"
    )
    read(text)
    refused(text.replace("b.internal", "a.internal"), "which is api's listen")


def test_two_external_clients_may_share_an_identity_that_two_cas_vouch_for() -> None:
    second = '  second:\n    external: {issuer: other, identity: "spiffe://partner.example/robot"}\n    calls: [api]\n'
    text = changed("  partner:\n", "  other: {existing: {certificate: other.pem}}\n  partner:\n") + second
    read(text)
    refused(text.replace("issuer: other", "issuer: partner"), "the same identity")


def test_revocation_pointers_need_a_publisher() -> None:
    text = changed(ISSUING, ISSUING + "    revocation: {crl: 1d}\n")
    read(text)
    refused(text.replace("publish: http://127.0.0.1:9080\n", ""), "while publish is not set", "revocation")


def test_a_fault_of_a_server_that_only_external_clients_call_is_seen_by_nobody_here() -> None:
    text = changed(GATEWAY, GATEWAY + "    fault: expired\n")
    read(text)
    refused(text.replace("calls: [api, gateway]", "calls: [api]"), "no client or server calls it", "expired")


def test_an_inherited_value_is_pointed_at_where_it_stands() -> None:
    refused(changed("cas:\n", "defaults: {lifetime: 6y}\ncas:\n"), "longer than its issuer", "6y}")
    refused(
        changed("cas:\n", "defaults: {calls: [nobody]}\ncas:\n").replace("    calls: [api]\n", ""), "nobody", "nobody"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [(API, API + "    must_staple: true\n"), ("cas:\n", "defaults: {must_staple: true}\ncas:\n")],
)
def test_who_promises_a_staple_staples(old: str, new: str) -> None:
    text = changed(old, new)
    refused(text, "has must_staple and does not staple", "true", "staple: true")
    read(
        text.replace(
            "must_staple: true",
            "must_staple: true, staple: true" if "{must" in new else "must_staple: true\n    staple: true",
        )
    )


@pytest.mark.parametrize(
    "line",
    [
        "check_revocation: crl",
        "check_revocation: none",
        "staple: false",
        "staple: true",
        "on_unavailable: refuse",
        "post_quantum: true",
        "pfx: {password: {generate: true}, legacy: true}",
    ],
)
def test_what_is_available_is_read(line: str) -> None:
    read(changed(API, f"{API}    {line}\n"))


def test_who_staples_has_an_issuer_that_answers_by_ocsp() -> None:
    silent = changed(ISSUING, ISSUING + "    revocation: {crl: 1d}\n").replace(API, API + "    staple: true\n")
    refused(silent, "cannot staple: its issuer issuing has no OCSP responder", "true", "ocsp: 1h")


def test_a_responder_has_a_key_that_is_open() -> None:
    guarded = ISSUING + "    key_password: {env: PASSWORD}\n"
    read(changed(ISSUING, guarded))
    answering = changed(ISSUING, guarded + "    revocation: {ocsp: 1h}\n")
    refused(answering, "its key is encrypted", "revocation", "leave ocsp out")


def test_an_identity_is_within_the_constraints_too() -> None:
    """Nobody writes it where it is the usual one, and yet every certificate carries it."""
    constrained = changed("ip: [127.0.0.0/8]}", "ip: [127.0.0.0/8], uri: [shop.internal]}")
    read(constrained.replace("name: shop\n", "name: shop\ntrust_domain: shop.internal\n"))
    found = mistakes(constrained.replace("name: shop\n", "name: shop\ntrust_domain: other.internal\n"))
    assert [identity for one in found if (identity := "spiffe://other.internal/client/cli") in one.message]
    assert len(found) == 3
