"""examples/mtls-dotnet, applied as it is and started by `dotnet run`.

The sample that it goes back to has nine faults, and for each a test here shows that the rendered projects lack it:

1  the client takes any server's certificate    4  no authorisation          7  leaves without a purpose
2  passwords in the source, PFX files committed 5  no revocation             8  a root without constraints and cRLSign
3  trust in every root of the system            6  a profile in plaintext    9  PFX files in 3DES and SHA-1
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import pkcs12
from cryptography import x509

from scaffold.pki import bundles, issue, keys
from scaffold.pki.profiles import CertificateProfile
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services, environment
from scaffold.topology.model import Fault, San, SanType, Subject
from tests.fresh import new_key, new_serial
from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import Answer, Authority, Credential, ask, authority, now, until, upstream
from tests.requirements import require_command

require_command("dotnet")

EXAMPLE = Path(__file__).parents[2] / "examples" / "mtls-dotnet"
IDENTITY = "spiffe://mtls-dotnet/client/banking-client"


@dataclass
class Bank:
    """The applied example, its server running."""

    out: Path
    port: int
    lines: list[str] = field(default_factory=list)

    @property
    def server(self) -> Path:
        return self.out / "servers" / "banking-service"

    @property
    def client(self) -> Path:
        return self.out / "clients" / "banking-client"

    @property
    def root(self) -> Authority:
        certificate = bundles.load_certificates((self.out / "pki/root/ca.crt").read_bytes())[0]
        return Authority(issue.Issuer(certificate, keys.load((self.out / "pki/root/ca.key").read_bytes())), ())

    def credential(self, project: Path) -> Credential:
        """What lies in a project's PFX."""
        password = (project / "tls/pfx-password").read_bytes().rstrip(b"\n")
        opened = bundles.open_pfx((project / "tls/bundle.pfx").read_bytes(), password)
        assert opened.certificate is not None
        assert opened.key is not None
        return Credential(opened.certificate, opened.key, opened.chain)

    def forge(self, identity: str = IDENTITY, crl_url: str | None = None, fault: Fault | None = None) -> Credential:
        """A client's certificate from MyRootCA."""
        profile = CertificateProfile(
            Subject(common_name="BankingClient"), "client", (San(SanType.URI, identity),), crl_url=crl_url, fault=fault
        )
        key = new_key(next(iter(lab.CLIENT.capabilities.keys)))
        dates = {"not_before": now() - timedelta(minutes=4), "not_after": now() + timedelta(hours=1)}
        serial = new_serial()
        return Credential(issue.issue(profile, key.public_key(), self.root.issuer, serial=serial, **dates), key, ())

    def ask(self, caller: Credential | None, path: str = "/") -> Answer:
        return ask(self.port, caller, self.root, path)

    def call(self, port: int, *command: str) -> subprocess.CompletedProcess[str]:
        """The rendered client, by its run.sh or another command, to the banking service on a port of this machine."""
        with lab.temporary_home() as home:
            return subprocess.run(
                [*(command or ("./run.sh",)), "banking-service", f"https://127.0.0.1:{port}/"],
                cwd=self.client, env=environment(home, lab.QUIET, lab.CLIENT.capabilities.environment),
                capture_output=True, text=True, check=False,
            )  # fmt: skip


@contextmanager
def started(bank: Bank, folder: Path | None = None, **extra: str) -> Iterator[Bank]:
    """The service on a free port, by its own run.sh or by one in `folder`."""
    (free,) = free_addresses(1)
    running = Bank(bank.out, free.port)
    environment = {**lab.QUIET, "LISTEN": str(free), **extra}
    can = lab.SERVER.capabilities
    launch = Launch("banking-service", folder or bank.server, can.ready or "", environment, can.environment)
    with Services(on_line=lambda _, line: running.lines.append(line)) as services:
        services.start([launch])
        yield running


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder = tmp_path_factory.mktemp("example")
    for verb in (["init", "--example", "mtls-dotnet"], ["apply", "--yes"]):
        subprocess.run([sys.executable, "-m", "scaffold", *verb], cwd=folder, check=True, capture_output=True)
    return Bank(folder / "mtls-dotnet", 0)


@pytest.fixture(scope="module")
def bank(applied: Bank, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """The service by `dotnet run`; what it builds is what run.sh starts."""
    launcher = tmp_path_factory.mktemp("launcher")
    script = launcher / "run.sh"
    script.write_text(f"#!/bin/sh\ncd '{applied.server}' && exec dotnet run -c Release\n")
    script.chmod(0o755)
    with started(applied, launcher) as running:
        yield running


def test_the_client_is_answered(bank: Bank) -> None:
    done = bank.call(bank.port, "dotnet", "run", "-c", "Release", "--")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["caller"] == IDENTITY
    banker = bank.credential(bank.client)
    assert json.loads(bank.ask(banker, "/accounts/1001").body)["number"] == "1001"
    assert json.loads(bank.ask(banker, "/accounts/1001").body)["balance"] == 1234.5
    assert bank.ask(banker, "/accounts/7").status == 404


def test_1_the_client_takes_no_other_servers_certificate(bank: Bank, tmp_path: Path) -> None:
    false = lab.own(authority("MyRootCA"), "banking-service", "localhost")
    with upstream(false, bank.root, tmp_path) as port:
        done = bank.call(port)
    assert (done.returncode, "I do not trust the server" in done.stderr) == (3, True)


def test_2_no_password_in_the_source_and_no_pfx_in_a_repository(bank: Bank) -> None:
    subprocess.run(["git", "init", "-q"], cwd=bank.out, check=True)
    subprocess.run(["git", "add", "-A"], cwd=bank.out, check=True)
    listed = subprocess.run(
        ["git", "ls-files"], cwd=bank.out, check=True, capture_output=True, text=True
    ).stdout.split()
    assert "servers/banking-service/Program.cs" in listed
    passwords = [(project / "tls/pfx-password").read_bytes().strip() for project in (bank.server, bank.client)]
    assert len(set(passwords)) == 2
    assert not [name for name in listed if name.endswith((".pfx", ".key", "key.pem", "pfx-password"))]
    assert not [name for name in listed if any(word in (bank.out / name).read_bytes() for word in passwords)]
    assert not [path for path in Path(bank.server, "bin").rglob("*") if path.suffix in (".pfx", ".pem")]


def test_3_the_systems_roots_are_not_trusted(applied: Bank, tmp_path: Path) -> None:
    foreign = authority("System Root")
    (tmp_path / "system.pem").write_bytes(bundles.pem(foreign.certificate))
    with started(applied, SSL_CERT_FILE=str(tmp_path / "system.pem")) as bank:
        names = [San(SanType.URI, IDENTITY)]
        with pytest.raises(OSError):  # noqa: PT011
            bank.ask(lab.leaf(foreign, "banking-client", "client", names))
        assert bank.ask(bank.forge()).status == 200


def test_4_who_is_not_drawn_is_forbidden(bank: Bank) -> None:
    assert bank.ask(bank.forge()).status == 200
    for path in ("/", "/accounts/1001", "/no-such-path"):
        assert bank.ask(bank.forge("spiffe://mtls-dotnet/client/stranger"), path).status == 403


def test_5_a_revoked_client_is_refused_where_revocation_is_checked(applied: Bank) -> None:
    settings = applied.server / "mutual-tls.json"
    before = settings.read_text()
    settings.write_text(before.replace('"Revocation": "none"', '"Revocation": "crl"'))
    try:
        with lab.crls() as (url, served), started(applied) as bank:
            good, revoked = bank.forge(crl_url=f"{url}/root.crl"), bank.forge(crl_url=f"{url}/root.crl")
            served["/root.crl"] = lab.crl_of(bank.root, revoked)
            assert bank.ask(good).status == 200
            with pytest.raises(OSError):  # noqa: PT011
                bank.ask(revoked)
            until(lambda: any("Revoked" in line for line in bank.lines))
    finally:
        settings.write_text(before)


def test_6_nothing_is_served_in_plaintext(bank: Bank) -> None:
    profiles = json.loads((bank.server / "Properties/launchSettings.json").read_text())["profiles"]
    assert all("applicationUrl" not in profile for profile in profiles.values())
    listening = [line for line in bank.lines if "Now listening on" in line]
    assert len(listening) == 1
    assert "https://" in listening[0]


def test_7_certificates_of_server_and_client_cannot_be_swapped(bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011
        bank.ask(bank.credential(bank.server))
    with pytest.raises(OSError):  # noqa: PT011
        bank.ask(bank.forge(fault=Fault.NO_EKU))
    with upstream(bank.credential(bank.client), bank.root, tmp_path) as port:
        assert bank.call(port).returncode == 3


def test_8_the_root_says_that_it_is_a_ca(bank: Bank) -> None:
    extensions = bank.root.certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.critical, constraints.value.ca) == (True, True)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.crl_sign) == (True, True, True)


def test_9_the_pfx_files_are_in_aes_and_sha_256(bank: Bank) -> None:
    for project in (bank.server, bank.client):
        raw = (project / "tls/bundle.pfx").read_bytes()
        bundle = pkcs12.Pfx.load(raw)
        assert bundle["mac_data"]["mac"]["digest_algorithm"]["algorithm"].native == "sha256"
        shown = subprocess.run(
            ["openssl", "pkcs12", "-info", "-noout", "-in", project / "tls/bundle.pfx",
             "-passin", f"file:{project / 'tls/pfx-password'}"],
            capture_output=True, text=True, check=True, env=dict(os.environ),
        ).stderr  # fmt: skip
        assert "AES-256-CBC" in shown
        assert "3DES" not in shown
        assert "TripleDES" not in shown


# --- Beside others ---------------------------------------------------------------------------------------------------


def _with_ops(folder: Path, ops: str) -> subprocess.CompletedProcess[str]:
    """The example with one more client, applied."""
    text = (EXAMPLE / "topology.yaml").read_text().replace("clients:\n", f"clients:\n  ops: {ops}\n")
    (folder / "topology.yaml").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "scaffold", "apply", "--yes"], cwd=folder, check=False, capture_output=True, text=True
    )


def test_a_client_that_reads_no_pfx_joins_although_the_default_is_one(tmp_path: Path) -> None:
    out, ops = _joined(tmp_path)
    assert (ops / "tls" / "cert.pem").exists()
    assert not (ops / "tls" / "bundle.pfx").exists()
    assert (out / "clients" / "banking-client" / "tls" / "bundle.pfx").exists()


def _joined(folder: Path) -> tuple[Path, Path]:
    """The applied example with a client of curl, and that client."""
    done = _with_ops(folder, "{template: curl, calls: [banking-service]}")
    assert done.returncode == 0, done.stderr
    out = folder / "mtls-dotnet"
    return out, out / "clients" / "ops"


@pytest.mark.long
def test_such_a_client_is_answered(tmp_path: Path) -> None:
    require_command("curl")
    out, ops = _joined(tmp_path)
    with started(Bank(out, 0)) as bank, lab.temporary_home() as home:
        called = subprocess.run(
            [ops / "run.sh", "banking-service", f"https://127.0.0.1:{bank.port}/"],
            env=environment(home, {}), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["caller"] == "spiffe://mtls-dotnet/client/ops"


def test_a_pfx_that_it_asks_for_itself_is_refused(tmp_path: Path) -> None:
    done = _with_ops(tmp_path, "{template: curl, calls: [banking-service], pfx: {password: {generate: true}}}")
    assert done.returncode != 0
    assert "reads no PFX bundle" in done.stderr
