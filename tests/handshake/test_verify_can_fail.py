"""One setting is broken at a time in what was rendered, and verify sees it and nothing else; the unbroken twin passes.

That each template's own settings are missed is shown by the mutations that it declares (test_contract.py). Here the
whole report is looked at:

python  the allow list's issuer is not compared    the sibling CA alone
python  a role too many, one too few, by header    whoever has other roles than the edge, and the forged ones
nginx   roles are passed on, or made up            likewise, and what reaches the server behind it
nginx   client certificates are not asked for      whoever comes, with a certificate or without
nginx   one path alone is guarded                  whoever is refused there, and asks for another
client  the server is not verified                 the false servers at each of its edges
client  common names are taken for host names      the false server that has no other name
tls/    another root in the bundle                 drift, and whoever comes from that root, where it is the only guard
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold.verify import revocation_scenarios
from scaffold.verify.cases import TAKING_COMMON_NAMES
from scaffold.verify.model import Observed, Probe
from tests.handshake.verify_lab import Lab, applied, failures, lines
from tests.requirements import require_command

TOPOLOGY = """
version: 1
name: lab
publish: http://127.0.0.1:19080
defaults: {tls: modern}
cas:
  root: {}
  issuing: {issuer: root}
  other: {}
servers:
  service:
    template: python
    issuer: issuing
    listen: 127.0.0.1:18443
    names: [service.internal, localhost]
    calls: [backend]
  backend:
    template: python
    issuer: issuing
    listen: 127.0.0.1:18444
    names: [backend.internal]
    check_revocation: crl
  gateway:
    template: nginx
    issuer: issuing
    listen: 127.0.0.1:18445
    names: [gateway.internal]
    calls: {service: [front]}
    upstream: service
clients:
  teller: {template: python, issuer: issuing, calls: {service: [reader, approver], gateway: [cashier]}}
  stranger: {template: curl, issuer: issuing, calls: [backend]}
"""

pytestmark = pytest.mark.usefixtures("_machine")


@pytest.fixture(scope="module")
def _machine() -> None:
    require_command("nginx")
    require_command("curl")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return applied(TOPOLOGY, tmp_path_factory.mktemp("sound"))


@pytest.fixture
def lab(sound: Lab, tmp_path: Path) -> Lab:
    """A copy to break."""
    return sound.copied(tmp_path / "lab")


def test_the_unbroken_twin_passes(sound: Lab) -> None:
    report = sound.verify(limit_to=frozenset(Probe))
    assert not report.failed, lines(report)
    by_ocsp_or_client = {
        Probe.RESPONDER_DOWN, Probe.RESPONDER_UNKNOWN, Probe.STALE_OCSP, Probe.STAPLE,
        Probe.FALSE_REVOKED, Probe.SERVER_NO_STAPLE, *revocation_scenarios.OF_CALLEES.values(),
    }  # fmt: skip
    assert {check.probe for check in report.checks} == set(Probe) - {
        Probe.HEALTH,
        Probe.OTHER_SUBJECT,
    } - by_ocsp_or_client
    assert all(check.observed is not Observed.NOTHING for check in report.checks), lines(report)


NO_ISSUER = (
    ('entry["issuer_spki_sha256"])', '"")'),
    ("Peer(identities[0], der.spki_sha256(issuer), identities[1:])", 'Peer(identities[0], "")'),
)


def python_compares_no_issuer(lab: Lab) -> None:
    lab.rewrite("servers/service/peer.py", *NO_ISSUER)


def python_compares_no_issuer_where_crls_are_checked(lab: Lab) -> None:
    lab.rewrite("servers/backend/peer.py", *NO_ISSUER)


GIVEN = "else None, allowed.roles)"


def python_gives_a_role_too_many(lab: Lab) -> None:
    lab.rewrite("servers/service/guard.py", (GIVEN, 'else None, (*allowed.roles, "admin"))'))


def python_drops_a_role(lab: Lab) -> None:
    lab.rewrite("servers/service/guard.py", (GIVEN, "else None, allowed.roles[:1])"))


def python_believes_roles_of_everybody(lab: Lab) -> None:
    told = 'self.headers.get("X-Client-Roles", "")'
    lab.rewrite(
        "servers/service/guard.py", (GIVEN, f"else None, allowed.roles + tuple(filter(None, {told}.split(','))))")
    )


def python_takes_a_gateways_roles_for_its_callers(lab: Lab) -> None:
    lab.rewrite(
        "servers/service/guard.py", ('"issuer": issuer, "roles": named}', '"issuer": issuer, "roles": ["front"]}')
    )


BELIEVES_ANYBODY = "    context.check_hostname = False\n    context.verify_mode = ssl.CERT_NONE\n"
LOADS_ITS_OWN = "    context.load_cert_chain(folder"


def client_checks_no_server(lab: Lab) -> None:
    lab.rewrite("clients/teller/tls.py", (LOADS_ITS_OWN, BELIEVES_ANYBODY + LOADS_ITS_OWN))
    lab.rewrite("clients/teller/calling.py", ("if not tls.is_for_servers(", "if False and not tls.is_for_servers("))


def nginx_asks_for_no_certificate(lab: Lab) -> None:
    lab.rewrite(
        "servers/gateway/nginx.conf",
        ("ssl_verify_client on;", "ssl_verify_client off;"),
        ('if ($caller = "")', 'if ($caller = "nobody")'),
    )


def nginx_guards_one_path_alone(lab: Lab) -> None:
    guard = 'set $asked $caller$request_uri; if ($asked = "/.mtls/caller")'
    lab.rewrite("servers/gateway/nginx.conf", ('if ($caller = "")', guard))


ROLES = "proxy_set_header X-Client-Roles $client_roles;"


def nginx_passes_roles_on(lab: Lab) -> None:
    lab.rewrite("servers/gateway/nginx.conf", (ROLES, ""))


def nginx_gives_a_role_too_many(lab: Lab) -> None:
    lab.rewrite("servers/gateway/nginx.conf", (ROLES, 'proxy_set_header X-Client-Roles "$client_roles,admin";'))


def nginx_lets_headers_with_underscores_in(lab: Lab) -> None:
    lab.rewrite(
        "servers/gateway/nginx.conf",
        ("    server_tokens off;\n", "    server_tokens off;\n    underscores_in_headers on;\n"),
    )


def at(server: str, client: str, *probes: Probe) -> set[tuple[str, str, Probe]]:
    return {(server, client, probe) for probe in probes}


FALSE = (Probe.FALSE_NAME, Probe.FALSE_EXPIRED, Probe.FALSE_ROOT, Probe.FALSE_EKU)
ROGUES = (
    Probe.FOREIGN_CA, Probe.SIBLING_CA, Probe.SAME_NAME_CA, Probe.SELF_SIGNED, Probe.EXPIRED, Probe.NOT_YET_VALID,
    Probe.SERVER_CERTIFICATE, Probe.ISSUED_BY_LEAF,
)  # fmt: skip

Failures = set[tuple[str, str, Probe]]
BREAKAGES: list[tuple[Callable[[Lab], None], str, Failures]] = [
    (python_compares_no_issuer, "server.service", at("service", "teller", Probe.SIBLING_CA)),
    (python_compares_no_issuer_where_crls_are_checked, "server.backend",
     at("backend", "service", Probe.SIBLING_CA)),
    (python_gives_a_role_too_many, "server.service",
     at("service", "teller", Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS) | at("service", "gateway", Probe.EDGE)),
    (python_drops_a_role, "server.service", at("service", "teller", Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS)),
    (python_believes_roles_of_everybody, "server.service", at("service", "teller", Probe.FORGED_HEADERS)),
    (python_takes_a_gateways_roles_for_its_callers, "server.gateway",
     at("gateway", "teller", Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS)),
    (nginx_passes_roles_on, "server.gateway",
     at("gateway", "teller", Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS)
     | at("service", "gateway", Probe.TRUE_SERVER)),
    (nginx_gives_a_role_too_many, "server.gateway",
     at("gateway", "teller", Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS)),
    (nginx_lets_headers_with_underscores_in, "server.gateway", at("service", "gateway", Probe.TRUE_SERVER)),
    (client_checks_no_server, "client.teller", at("service", "teller", *FALSE) | at("gateway", "teller", *FALSE)),
    (nginx_asks_for_no_certificate, "server.gateway",
     at("gateway", "anyone", Probe.NO_CERTIFICATE)
     | at("gateway", "teller", Probe.EDGE, Probe.CONTROL, Probe.FORGED_HEADERS, *ROGUES)
     | at("gateway", "stranger", Probe.NOT_ALLOWED) | at("gateway", "service", Probe.NOT_ALLOWED)
     | at("gateway", "gateway", Probe.NOT_ALLOWED)),
    (nginx_guards_one_path_alone, "server.gateway",
     at("gateway", "stranger", Probe.NOT_ALLOWED) | at("gateway", "service", Probe.NOT_ALLOWED)
     | at("gateway", "gateway", Probe.NOT_ALLOWED) | at("gateway", "teller", Probe.SIBLING_CA)),
]  # fmt: skip


@pytest.mark.parametrize(("break_it", "only", "caught"), BREAKAGES, ids=[one[0].__name__ for one in BREAKAGES])
def test_a_broken_setting_is_caught_and_nothing_else(
    break_it: Callable[[Lab], None], only: str, caught: Failures, lab: Lab
) -> None:
    break_it(lab)
    report = lab.verify(only)
    assert failures(report) == caught, lines(report)


def test_a_client_that_takes_common_names_is_caught_where_it_calls_first(lab: Lab) -> None:
    takes = "context.hostname_checks_common_name = "
    lab.rewrite("clients/teller/tls.py", (f"{takes}False", f"{takes}True"))
    report = lab.verify("client.teller", limit_to=TAKING_COMMON_NAMES)
    assert failures(report) == at("service", "teller", Probe.FALSE_LONE_COMMON_NAME), lines(report)


def test_a_client_that_looks_at_no_name_believes_those_false_servers_too(lab: Lab) -> None:
    client_checks_no_server(lab)
    report = lab.verify("client.teller", limit_to=TAKING_COMMON_NAMES)
    assert failures(report) == at("service", "teller", *TAKING_COMMON_NAMES), lines(report)


ADDED_ROOTS: list[tuple[str, str, str, Failures]] = [
    # nginx knows an issuer by name alone: the bundle is what keeps another root's CA of that name out.
    ("servers/gateway/tls/ca.pem", "server.gateway", "server.gateway.trust",
     at("gateway", "teller", Probe.SAME_NAME_CA)),
    ("clients/teller/tls/ca.pem", "client.teller", "client.teller.trust",
     at("service", "teller", Probe.FALSE_ROOT) | at("gateway", "teller", Probe.FALSE_ROOT)),
    ("servers/service/tls/client-ca.pem", "server.backend", "server.service.trust",
     at("backend", "service", Probe.FALSE_ROOT)),
    # Python compares the issuer's key: its allow list still refuses whom the bundle no longer does. Drift tells.
    ("servers/service/tls/ca.pem", "server.service", "server.service.trust", set()),
]  # fmt: skip


@pytest.mark.parametrize(("bundle", "only", "drifted", "caught"), ADDED_ROOTS, ids=[one[0] for one in ADDED_ROOTS])
def test_a_root_that_was_added_is_drift_and_is_caught_by_handshake(
    bundle: str, only: str, drifted: str, caught: Failures, lab: Lab
) -> None:
    with lab.path(bundle).open("ab") as file:
        file.write(lab.path("pki/other/ca.crt").read_bytes())
    report = lab.verify(only)
    assert report.failed
    assert [str(change.address) for change in report.drift] == [drifted]
    assert failures(report) == caught, lines(report)
