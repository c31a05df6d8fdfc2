"""One topology that uses the whole language, made by the real command: what the judges are shown."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from scaffold.running.ports import free_addresses
from scaffold.topology import graph
from scaffold.topology.load import load
from scaffold.topology.model import Ca, Client, Fault, Party, SanType, Server, Topology
from tests.cli.harness import scaffold
from tests.requirements import require_command

TOPOLOGY = Path(__file__).parent / "everything.yaml"
SECRETS = {"ISSUING_PASSWORD": "correct horse battery staple"}
REVOKED = {"client.leaver": "keyCompromise", "client.loser": "superseded"}


@dataclass(frozen=True)
class Exhibit:
    """A certificate as its bearer sends it, with what a relying party has at hand to judge it.

    `chain` holds the leaf and the intermediates, `root` the trust anchor, `crls` the CRLs of all CAs of the chain.
    `answer` is the OCSP response about the leaf, None where its issuer gives none.
    """

    address: str
    purpose: str
    chain: Path
    root: Path
    crls: Path
    cas: tuple[str, ...]
    host: str | None = None
    answer: Path | None = None
    fault: Fault | None = None
    revoked: bool = False

    @property
    def certificates(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.chain.read_bytes())

    @property
    def anchor(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.root.read_bytes())


@dataclass(frozen=True)
class House:
    """The output folder of the topology, and all that was issued in it."""

    topology: Topology
    out: Path
    exhibits: tuple[Exhibit, ...]

    @property
    def sound(self) -> list[Exhibit]:
        return [one for one in self.exhibits if one.fault is None and not one.revoked]

    @property
    def broken(self) -> list[Exhibit]:
        return [one for one in self.exhibits if one.fault is not None]

    @property
    def revoked(self) -> list[Exhibit]:
        return [one for one in self.exhibits if one.revoked]


def built(folder: Path) -> House:
    """The topology applied in `folder`, two certificates revoked, and every OCSP answer fetched."""
    (publish,) = free_addresses(1)
    file = folder / "topology.yaml"
    file.write_text(TOPOLOGY.read_text(encoding="utf-8").replace("127.0.0.1:PORT", str(publish)), encoding="utf-8")
    _make_old_ca(folder)
    _run(folder, "apply", "--yes")
    for address, reason in REVOKED.items():
        _run(folder, "revoke", address, "--reason", reason, "--no-replace", "--yes")
    topology = load(file)
    house = House(topology, folder / topology.name, ())
    shown = folder / "shown"
    shown.mkdir()
    with _published(folder):
        exhibits = [_exhibit(house, party, kept, shown) for party, kept in _kept(topology)]
    return House(topology, house.out, tuple(exhibits))


def _make_old_ca(folder: Path) -> None:
    """The CA that the topology adopts, as `openssl req` makes one."""
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/O=Old/CN=Old Root",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "old.key", "-out", "old.pem",
    ]  # fmt: skip
    require_command("openssl")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _run(folder: Path, *arguments: str) -> None:
    ended = scaffold(*arguments, cwd=folder, env=SECRETS)
    assert ended.code == 0, ended.out + ended.err


def _kept(topology: Topology) -> Iterator[tuple[Party, str]]:
    """Every leaf: whose it is, and how its file is called."""
    for party in graph.parties(topology):
        yield party, "cert.pem"
        if isinstance(party, Server) and party.calls:
            yield party, "client-cert.pem"


def _exhibit(house: House, party: Party, kept: str, shown: Path) -> Exhibit:
    own = house.out / party.address.role.section / party.name / "tls" / kept
    is_server = isinstance(party, Server) and kept == "cert.pem"
    address = str(party.address) if kept == "cert.pem" else f"{party.address}.client-certificate"
    cas = graph.chain(house.topology, party.issuer)
    chain, crls, answer = (shown / f"{address}.{ending}" for ending in ("pem", "crl", "ocsp"))
    chain.write_bytes(own.read_bytes())
    crls.write_bytes(b"".join((house.out / "pki" / ca.name / "crl.pem").read_bytes() for ca in cas))
    if has_answer := cas[0].revocation.ocsp is not None:
        answer.write_bytes(answered(house, cas[0], own))
    return Exhibit(
        address=address,
        purpose="server" if is_server else "client",
        chain=chain,
        root=house.out / "pki" / cas[-1].name / "ca.crt",
        crls=crls,
        cas=tuple(ca.name for ca in cas),
        host=party.names[0].value if is_server and party.names[0].type is SanType.DNS else None,
        answer=answer if has_answer else None,
        fault=party.fault if isinstance(party, Client) or is_server else None,
        revoked=address in REVOKED,
    )


def answered(house: House, ca: Ca, leaf: Path) -> bytes:
    """What the responder that a certificate points to says about it."""
    certificate = x509.load_pem_x509_certificate(leaf.read_bytes())
    issuer = x509.load_pem_x509_certificate((house.out / "pki" / ca.name / "ca.crt").read_bytes())
    question = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1()).build()
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    (url,) = (item.access_location.value for item in access if item.access_method == AuthorityInformationAccessOID.OCSP)
    request = urllib.request.Request(
        url,
        data=question.public_bytes(serialization.Encoding.DER),
        headers={"Content-Type": "application/ocsp-request"},
    )
    with urllib.request.urlopen(request, timeout=90) as response:
        said: bytes = response.read()
        return said


@contextlib.contextmanager
def _published(folder: Path) -> Iterator[None]:
    """`scaffold publish` in `folder`, from when it listens on."""
    command = [sys.executable, "-m", "scaffold", "publish"]
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, **SECRETS}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            assert any(json.loads(line)["event"] == "ready" for line in process.stderr), "the publisher ended"
            yield
        finally:
            process.terminate()
            process.communicate(timeout=90)
