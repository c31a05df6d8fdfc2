"""A CA with two keys before real servers: what each has issued gets in while both are trusted, and nobody else does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.pki import broken, bundles, chains, profiles
from scaffold.pki.crl import Reason
from scaffold.plan.intents import Revoke
from scaffold.running.ports import free_addresses
from scaffold.store.layout import ca_paths
from scaffold.topology.address import Address
from scaffold.topology.generations import Generations, GenerationState, States
from scaffold.verify.credentials import Credentials, credentials
from scaffold.verify.http import Answered, call
from scaffold.verify.model import Probe, Result
from scaffold.verify.protocol import Target
from scaffold.verify.running_topology import running
from tests.handshake.postgresql_lab import require_postgresql
from tests.handshake.verify_lab import Lab, applied, lines, probes
from tests.requirements import require_command

TOPOLOGY = """
version: 1
name: rotated
publish: http://{publish}
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  lists: {{template: python, issuer: issuing, listen: "127.0.0.1:18443", names: [localhost], check_revocation: crl}}
  asks: {{template: python, issuer: issuing, listen: "127.0.0.1:18444", names: [localhost], check_revocation: ocsp}}
  listing: {{template: nginx, issuer: issuing, listen: "127.0.0.1:18445", names: [localhost], check_revocation: crl}}
  fast:
    template: nginx
    issuer: issuing
    listen: 127.0.0.1:18446
    names: [localhost]
    check_revocation: ocsp
    staple: true
clients:
  plain: {{template: python, issuer: issuing, calls: [lists, asks, listing, fast]}}
  careful: {{template: python, issuer: issuing, calls: [lists], check_revocation: crl}}
  demanding: {{template: curl, issuer: issuing, calls: [fast], check_revocation: ocsp}}
"""

ISSUING, TRUSTED = GenerationState.ISSUING, GenerationState.TRUSTED
INTRODUCED: States = {1: ISSUING, 2: GenerationState.UPCOMING}
SWITCHED: States = {1: TRUSTED, 2: ISSUING}
OVER: States = {1: GenerationState.RETIRED, 2: ISSUING}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    require_command("nginx", "curl", "openssl")
    (publish,) = free_addresses(1)
    return applied(TOPOLOGY.format(publish=publish), tmp_path)


def in_phase(lab: Lab, ca: str, states: States) -> Lab:
    """The same once that is carried out."""
    later = dataclasses.replace(lab, generations=Generations({ca: states}))
    later.apply()
    return later


def shown_by(lab: Lab, client: str) -> Credentials:
    """The certificate that a client has today."""
    tls = lab.path(f"clients/{client}/tls")
    return Credentials((tls / "cert.pem").read_bytes(), (tls / "key.pem").read_bytes())


def leaf(shown: Credentials) -> x509.Certificate:
    return bundles.load_certificates(shown.certificates)[0]


def certificate(lab: Lab, generation: int) -> x509.Certificate:
    return bundles.load_certificates(lab.path(ca_paths("issuing", generation).certificate).read_bytes())[0]


def of_a_stranger(lab: Lab, client: str, generation: int) -> Credentials:
    """What a CA that nobody knows issues to a client, under the name of one of the generations."""
    now = datetime.now(UTC)
    namesake = broken.foreign_ca(certificate(lab, generation), now)
    profile = profiles.for_client_side(lab.topology, lab.topology.clients[client], generation)
    return credentials(broken.rogue(profile, namesake, now, chain=(namesake.certificate,)))


@contextmanager
def started(lab: Lab, *names: str) -> Iterator[dict[str, Target]]:
    servers = [lab.topology.servers[name] for name in names]
    with running(lab.kinds, lab.layout, servers, (), "auto") as found:
        yield {server.name: found.target(server) for server in servers}


def gets_in(target: Target, shown: Credentials) -> bool:
    return isinstance(outcome := call(target, shown), Answered) and outcome.status == 200


def test_old_and_new_get_in_and_a_stranger_of_either_name_does_not(lab: Lab) -> None:
    old = shown_by(lab, "plain")
    switched = in_phase(in_phase(lab, "issuing", INTRODUCED), "issuing", SWITCHED)
    new = shown_by(lab, "plain")
    assert chains.signed_by(leaf(old), certificate(lab, 1))
    assert chains.signed_by(leaf(new), certificate(lab, 2))
    strangers = [of_a_stranger(lab, "plain", generation) for generation in (1, 2)]
    with started(switched, "lists", "listing") as targets:
        for name, target in targets.items():
            assert gets_in(target, old), name
            assert gets_in(target, new), name
            assert [gets_in(target, stranger) for stranger in strangers] == [False, False], name

    asked = Revoke(Address.client("plain"), Reason.SUPERSEDED, serial=f"{leaf(old).serial_number:x}")
    switched.apply(asked)
    with started(switched, "lists", "listing") as targets:
        for name, target in targets.items():
            assert not gets_in(target, old), f"{name} reads the old generation's CRL too"
            assert gets_in(target, new), name


def test_what_a_retired_generation_has_issued_gets_in_no_more(lab: Lab) -> None:
    old = shown_by(lab, "plain")
    for states in (INTRODUCED, SWITCHED, OVER):
        over = in_phase(lab, "issuing", states)
    with started(over, "lists", "listing") as targets:
        for name, target in targets.items():
            assert not gets_in(target, old), name
            assert gets_in(target, shown_by(lab, "plain")), name


@pytest.mark.parametrize(
    ("ca", "phases"),
    [
        pytest.param("issuing", (INTRODUCED,), marks=pytest.mark.long),
        ("issuing", (INTRODUCED, SWITCHED)),
        ("root", (INTRODUCED, SWITCHED)),
    ],
)
def test_verify_is_green_while_both_are_trusted(lab: Lab, ca: str, phases: tuple[States, ...]) -> None:
    for states in phases:
        later = in_phase(lab, ca, states)
    report = later.verify()
    assert not report.failed, lines(report)
    assert report.drift == ()
    assert probes(report, Result.SKIPPED) <= {Probe.SAME_NAME_CA, Probe.OLD_TLS}, lines(report)


OTHERS = """
version: 1
name: rotated
publish: http://{publish}
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  other:
    template: {template}
    issuer: issuing
    listen: 127.0.0.1:18443
    names: [localhost]
    check_revocation: crl
clients:
  plain: {{template: {client}, issuer: issuing, calls: [other]}}
"""


@pytest.mark.parametrize(
    ("template", "command"), [pytest.param("kestrel", "dotnet", marks=pytest.mark.long), ("haproxy", "haproxy")]
)
def test_verify_is_green_for_every_other_template(tmp_path: Path, template: str, command: str) -> None:
    """The first fetches each generation's list where its certificates point, the second sees names alone."""
    require_command(command, "openssl")
    (publish,) = free_addresses(1)
    lab = applied(OTHERS.format(publish=publish, template=template, client="python"), tmp_path)
    report = in_phase(in_phase(lab, "issuing", INTRODUCED), "issuing", SWITCHED).verify()
    assert not report.failed, lines(report)
    assert probes(report, Result.SKIPPED) <= {Probe.SAME_NAME_CA, Probe.OLD_TLS}, lines(report)


def test_verify_is_green_where_no_issuer_is_seen(tmp_path: Path) -> None:
    require_postgresql()
    (publish,) = free_addresses(1)
    lab = applied(OTHERS.format(publish=publish, template="postgresql", client="psql"), tmp_path)
    report = in_phase(in_phase(lab, "issuing", INTRODUCED), "issuing", SWITCHED).verify(ports="auto")
    assert not report.failed, lines(report)
    assert probes(report, Result.SKIPPED) == {Probe.SIBLING_CA}, lines(report)


def test_verify_sees_a_server_that_shuts_one_generation_out(lab: Lab) -> None:
    """The allow list of one generation alone is right for real certificates, and wrong for what is trusted."""
    switched = in_phase(in_phase(lab, "issuing", INTRODUCED), "issuing", SWITCHED)
    alone = in_phase(lab, "issuing", OVER)
    assert alone.verify("server.lists").failed is False
    report = dataclasses.replace(switched, layout=alone.layout).verify("server.lists")
    failed = {check.probe for check in report.checks if check.result is Result.FAILED}
    assert Probe.CONTROL in failed, lines(report)
