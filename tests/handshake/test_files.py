"""Real programs that are fed from `tls/` let the right client in and keep a revoked one out, renewed or not."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from tests.handshake.files_lab import (
    NAME,
    HaProxy,
    Java,
    Mosquitto,
    PostgreSql,
    Program,
    account,
    java,
    running,
)
from tests.handshake.nginx_lab import until
from tests.handshake.postgresql_lab import require_postgresql
from tests.requirements import require_command
from tests.unit.conftest import Household
from tests.unit.revoking import renew, revoke

require_command("mosquitto", "haproxy", "java", "javac")
require_postgresql()

KINDS: Mapping[str, type[Program]] = {
    "mosquitto": Mosquitto, "haproxy": HaProxy, "postgresql": PostgreSql, "java": Java
}  # fmt: skip

TOPOLOGY = """
version: 1
name: bank
cas:
  root: {{}}
  issuing: {{issuer: root}}
defaults: {{check_revocation: crl}}
servers:
  mosquitto: {{template: files, listen: "{mosquitto}", names: [localhost]{chown[mosquitto]}}}
  haproxy: {{template: files, listen: "{haproxy}", names: [localhost], files: {{combined: true}}}}
  postgresql:
    template: files
    listen: "{postgresql}"
    names: [localhost]
    files: {{{chown[postgresql]}mode: "0600", names: {{cert.pem: server.crt, key.pem: server.key}}}}
  java:
    {{template: files, listen: "{java}", names: [localhost], pfx: {{password: {{generate: true}}}},
     files: {{truststore: true, anchor: issuer}}}}
  both:
    template: files
    listen: "{both}"
    names: [localhost]
    client: same
    calls: [mosquitto, haproxy, java, postgresql]
    accepts: [issuing]
    files: {{combined: true}}
  pair:
    template: files
    listen: "{pair}"
    names: [localhost]
    client: {{key: rsa-2048, names: [pair.internal]}}
    calls: [mosquitto, haproxy, java, postgresql]
    accepts: [issuing]
    files: {{client_combined: true}}
clients:
  sensor: {{template: files, calls: [mosquitto, haproxy, postgresql, java]}}
  thief: {{template: files, calls: [mosquitto, haproxy, postgresql, java]}}
  program:
    {{template: files, calls: [java, haproxy, mosquitto, postgresql], pfx: {{password: {{generate: true}}}},
     files: {{truststore: true}}}}
"""


@dataclass(frozen=True)
class Fed:
    """The topology, and the programs that run on it, by the name of their server."""

    household: Household
    programs: Mapping[str, Program]

    def client(self, name: str) -> Path:
        return self.household.out / f"clients/{name}/tls"

    def server(self, name: str) -> Path:
        return self.household.out / f"servers/{name}/tls"

    def serial(self, server: str) -> int:
        return self.household.certificate(f"servers/{server}/tls/cert.pem").serial_number


@pytest.fixture(scope="module")
def fed() -> Iterator[Fed]:
    with ExitStack() as stack:
        # Programs that give up root must get to their files: pytest's own folders are closed to others.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaffold-files-")))
        place.chmod(0o711)
        names = (*KINDS, "both", "pair")
        at = dict(zip(names, free_addresses(len(names)), strict=True))
        owners = {name: account(user) for name, user in (("mosquitto", "mosquitto"), ("postgresql", "postgres"))}
        chown = {
            "mosquitto": f', files: {{chown: "{user}:{user}"}}' if (user := owners["mosquitto"]) else "",
            "postgresql": f'chown: "{user}:{user}", ' if (user := owners["postgresql"]) else "",
        }
        household = Household(place, TOPOLOGY.format(**at, chown=chown))
        household.apply()
        (place / "programs").mkdir()
        programs = {
            name: stack.enter_context(
                running(kind, household.out / f"servers/{name}/tls", place / "programs" / name, at[name])
            )
            for name, kind in KINDS.items()
        }
        yield Fed(household, programs)


@pytest.fixture(scope="module")
def revoked(fed: Fed) -> Fed:
    """The certificate of `thief` is revoked, and every program was told."""
    revoke(fed.household, "client.thief", replace=False)
    for program in fed.programs.values():
        program.reload()
    return fed


@pytest.fixture(scope="module")
def renewed(revoked: Fed) -> Fed:
    """All servers and the right client have new certificates, and every program was told."""
    renew(revoked.household, *(f"server.{name}" for name in KINDS), "client.sensor", "client.program")
    for program in revoked.programs.values():
        program.reload()
    return revoked


@pytest.mark.parametrize("name", KINDS)
def test_at_first_both_are_let_in(fed: Fed, name: str) -> None:
    """The twin of what follows: nothing but the revocation keeps one of them out."""
    assert fed.programs[name].lets_in(fed.client("sensor"))
    assert fed.programs[name].lets_in(fed.client("thief"))


BY_CHAIN = ("mosquitto", "haproxy", "java")
"""Those that ask nothing but the certificate."""


@pytest.mark.parametrize("name", BY_CHAIN)
def test_a_server_calls_with_the_leaf_with_which_it_serves(fed: Fed, name: str) -> None:
    assert fed.programs[name].lets_in(fed.server("both"))


def test_the_leaf_with_which_a_server_calls_serves_too(fed: Fed) -> None:
    folder = fed.server("both")
    (address,) = free_addresses(1)
    with running(HaProxy, folder, fed.household.folder / "programs" / "both", address) as program:
        assert program.served() == fed.serial("both")
        assert program.lets_in(fed.client("sensor"))


@pytest.mark.parametrize("name", BY_CHAIN)
def test_a_second_certificate_calls_and_the_first_does_not(fed: Fed, name: str, tmp_path: Path) -> None:
    """Both parts of a caller come from the one file that some programs want: key, certificate and chain."""
    folder = fed.server("pair")
    for file, source in (("cert.pem", "client-combined.pem"), ("key.pem", "client-combined.pem"), ("ca.pem", "ca.pem")):
        (tmp_path / file).symlink_to(folder / source)
    assert fed.programs[name].lets_in(tmp_path)
    assert not fed.programs[name].lets_in(folder)


def test_a_java_client_is_answered(fed: Fed) -> None:
    assert called_by_java(fed, NAME).stdout == "CN=program\n"


@pytest.mark.parametrize("name", KINDS)
def test_a_revoked_client_is_kept_out_and_the_other_is_not(revoked: Fed, name: str) -> None:
    program = revoked.programs[name]
    until(lambda: not program.lets_in(revoked.client("thief")))
    assert program.lets_in(revoked.client("sensor"))


@pytest.mark.parametrize("name", KINDS)
def test_the_same_holds_after_a_renewal(renewed: Fed, name: str) -> None:
    program = renewed.programs[name]
    until(lambda: program.served() == renewed.serial(name))
    assert program.lets_in(renewed.client("sensor"))
    assert not program.lets_in(renewed.client("thief"))


def test_a_java_client_goes_on_after_a_renewal_and_refuses_another_name(renewed: Fed) -> None:
    assert called_by_java(renewed, NAME).stdout == "CN=program\n"
    refused = called_by_java(renewed, "elsewhere.internal")
    assert refused.returncode != 0
    assert "elsewhere.internal" in refused.stderr


def called_by_java(fed: Fed, name: str) -> subprocess.CompletedProcess[str]:
    program = fed.programs["java"]
    at = program.address
    command = java(program.scratch, "call", at.host, str(at.port), name, fed.client("program"))
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
