"""verify against a real PostgreSQL: all of its probes hold, and each setting that is broken is caught.

broken in a project                          who must be caught
the method `trust`                           whoever is not allowed, says it is another, or shows no certificate
a map with a wildcard                        whoever has any certificate of the CA
TLS 1.2 under `modern`                       the old version
TLS switched off                             nobody gets in
no CRL                                       the revoked, and whom an expired list should shut out
the client checks no name, no server at all, or no CRL
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scaffold.kinds.catalogue import templates_folder
from scaffold.verify.model import Observed, Probe, Result
from tests.handshake.postgresql_lab import require_postgresql
from tests.handshake.verify_lab import Lab, applied, failures, lines, probes
from tests.requirements import require_command

require_postgresql()
require_command("openssl")

EXAMPLE = Path(__file__).parents[2] / "examples/postgresql/topology.yaml"

TOPOLOGY = """
version: 1
name: lab
defaults: {tls: modern}
cas:
  root: {}
  issuing: {issuer: root}
servers:
  ledger: {template: ./database, listen: 127.0.0.1:15437, names: [ledger.internal, localhost]}
clients:
  teller: {template: ./session, calls: [ledger]}
  stranger: {template: ./session}
"""

Break = Callable[[Lab], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Of templates from outside, which bring their protocol along: copies of the built-in ones."""
    folder = tmp_path_factory.mktemp("sound")
    shutil.copytree(templates_folder() / "servers/postgresql", folder / "database")
    shutil.copytree(templates_folder() / "clients/psql", folder / "session")
    return applied(TOPOLOGY, folder)


def test_the_example_is_proved(tmp_path: Path) -> None:
    report = applied(EXAMPLE.read_text(), tmp_path).verify(ports="auto", limit_to=frozenset(Probe))
    assert not report.failed, lines(report)
    assert probes(report, Result.SKIPPED) == {Probe.SIBLING_CA}, lines(report)
    of_http = {Probe.FORGED_HEADERS, Probe.HEALTH, Probe.STAPLE, Probe.SERVER_NO_STAPLE}
    of_ocsp = {Probe.RESPONDER_UNKNOWN, Probe.STALE_OCSP, Probe.SERVER_RESPONDER_UNKNOWN, Probe.SERVER_STALE_OCSP}
    of_fetching = {Probe.RESPONDER_DOWN, Probe.SERVER_RESPONDER_DOWN}
    not_asked = {Probe.SAME_NAME_CA, Probe.NO_EKU, Probe.SIBLING_CA}
    assert probes(report, Result.PASSED) == set(Probe) - of_http - of_ocsp - of_fetching - not_asked - {
        Probe.SIBLING_CA
    }
    (skipped,) = (check for check in report.checks if check.result is Result.SKIPPED)
    assert "sees no issuer" in skipped.detail


def test_the_unbroken_twin_passes(sound: Lab) -> None:
    report = sound.verify(ports="auto")
    assert not report.failed, lines(report)
    layers = {check.probe: check.layer for check in report.checks if check.client in ("teller", "stranger", "anyone")}
    assert (layers[Probe.EDGE], layers[Probe.NOT_ALLOWED], layers[Probe.EXPIRED]) == ("postgresql", "postgresql", "tls")


def hba(lab: Lab, *changes: tuple[str, str]) -> None:
    lab.rewrite("servers/ledger/tls/pg_hba.conf", *changes)


def everybody_is_trusted(lab: Lab) -> None:
    hba(lab, ("cert clientname=DN map=callers", "trust"))


def the_map_has_a_wildcard(lab: Lab) -> None:
    lab.rewrite("servers/ledger/tls/pg_ident.conf", ('"CN=teller"', '"/^CN=.*"'))


def tls_1_2_is_spoken(lab: Lab) -> None:
    lab.rewrite("servers/ledger/run.sh", ("ssl_min_protocol_version=TLSv1.3", "ssl_min_protocol_version=TLSv1.2"))


def tls_is_off(lab: Lab) -> None:
    lab.rewrite("servers/ledger/run.sh", ("-c ssl=on", "-c ssl=off"))
    hba(lab, ("hostssl", "host   "), ("cert clientname=DN map=callers", "trust"))


def the_client_checks_no_server(lab: Lab) -> None:
    lab.rewrite("clients/teller/psql.sh", ("sslmode=verify-full sslrootcert=", "sslmode=require sslrootcert=/none"))


def the_client_checks_no_name(lab: Lab) -> None:
    lab.rewrite("clients/teller/psql.sh", ("sslmode=verify-full", "sslmode=verify-ca"))


@pytest.mark.parametrize(
    "broken",
    [
        {everybody_is_trusted: {Probe.NOT_ALLOWED, Probe.OTHER_SUBJECT, Probe.NO_CERTIFICATE}},
        {
            the_map_has_a_wildcard: {Probe.NOT_ALLOWED, Probe.OTHER_SUBJECT},
            tls_1_2_is_spoken: {Probe.OLD_TLS},
            the_client_checks_no_name: {Probe.FALSE_NAME},
        },
        {the_client_checks_no_server: {Probe.FALSE_NAME, Probe.FALSE_EXPIRED, Probe.FALSE_ROOT, Probe.FALSE_EKU}},
    ],
    ids=lambda broken: "+".join(one.__name__ for one in broken),
)
def test_what_is_broken_is_caught(broken: Mapping[Break, set[Probe]], sound: Lab, tmp_path: Path) -> None:
    """By probes of its own, each: several are broken at once where no probe could have caught another."""
    lab = sound.copied(tmp_path / "lab")
    for break_it in broken:
        break_it(lab)
    report = lab.verify(ports="auto")
    found = {probe for _, _, probe in failures(report)}
    assert found == set().union(*broken.values()), lines(report)
    let_in = {check.probe for check in report.checks if check.observed is Observed.ALLOWED}
    assert all(let_in & caught for caught in broken.values()), lines(report)


def test_a_server_without_tls_lets_nobody_in_and_refuses_nobody(sound: Lab, tmp_path: Path) -> None:
    lab = sound.copied(tmp_path / "lab")
    tls_is_off(lab)
    report = lab.verify(ports="auto")
    found = {probe for _, _, probe in failures(report)}
    assert {Probe.EDGE, Probe.CONTROL, Probe.NO_CERTIFICATE, Probe.EXPIRED} <= found, lines(report)


def test_without_crls_the_revoked_are_let_in_and_that_is_caught(tmp_path: Path) -> None:
    lab = applied(EXAMPLE.read_text(), tmp_path)
    lab.rewrite("servers/ledger/run.sh", ('"ssl_crl_file=$seen/crl.pem"', "ssl_crl_file="))
    lab.rewrite("clients/app/psql.sh", ('sslcrl=$(value "$crls")', "sslcrl=/none"))
    report = lab.verify(ports="auto")
    assert {probe for _, _, probe in failures(report)} == {
        Probe.REVOKED, Probe.REVOKED_CA, Probe.EXPIRED_CRL,
        Probe.FALSE_REVOKED, Probe.SERVER_REVOKED_CA, Probe.SERVER_EXPIRED_CRL,
    }, lines(report)  # fmt: skip
