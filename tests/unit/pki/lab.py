"""A small PKI to test with, and the real `openssl` as its judge.

root ── issuing ── leaves          (issuing: path length 0, name constraints, pointers)
other root
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from cryptography import x509

from scaffold.pki import bundles, crl, profiles
from scaffold.pki.issue import Issuer, issue, self_signed, validity
from scaffold.topology.model import (
    Ca,
    Client,
    HostPort,
    KeyType,
    NameConstraints,
    RenewBefore,
    Revocation,
    San,
    SanType,
    Server,
    Subject,
    TlsProfile,
    Topology,
)
from tests.fresh import new_key, new_serial
from tests.requirements import require_command

NOW = datetime.now(UTC).replace(microsecond=0)
RENEW = RenewBefore(share=0.33)
CONSTRAINTS = NameConstraints(
    permitted=MappingProxyType({SanType.DNS: ("bank.internal", "localhost"), SanType.IP: ("127.0.0.0/8", "::1/128")}),
    excluded=MappingProxyType({SanType.DNS: ("secret.bank.internal",)}),
)


def ca(name: str, issuer: str | None, kind: KeyType = KeyType.EC_P256, **more: object) -> Ca:
    subject = Subject(f"{name.capitalize()} CA", organization="Banka, Ćao d.o.o.", country="RS")
    return Ca(name, issuer, subject, kind, timedelta(days=3650 if issuer is None else 1825), RENEW, **more)


def server(name: str = "accounts", **more: object) -> Server:
    says: dict[str, object] = {
        "subject": Subject(name, organization="Bank"),
        "names": (
            San(SanType.DNS, f"{name}.bank.internal"),
            San(SanType.DNS, "localhost"),
            San(SanType.IP, "127.0.0.1"),
            San(SanType.IP, "::1"),
            San(SanType.EMAIL, "ops@bank.internal"),
        ),
        **more,
    }
    return Server(
        name=name,
        template="python",
        issuer="issuing",
        key=KeyType.EC_P256,
        lifetime=timedelta(days=90),
        renew_before=RENEW,
        tls=TlsProfile.MODERN,
        listen=HostPort("127.0.0.1", 8443),
        dial=HostPort("127.0.0.1", 8443),
        identity=f"spiffe://bank/server/{name}",
        **says,
    )


def client(name: str = "teller", **more: object) -> Client:
    return Client(
        name=name,
        template="python",
        issuer="issuing",
        subject=Subject(name, organization="Bank"),
        key=KeyType.EC_P256,
        lifetime=timedelta(days=1),
        renew_before=RENEW,
        tls=TlsProfile.MODERN,
        identity=f"spiffe://bank/client/{name}",
        **more,
    )


ROOT = ca("root", None, revocation=Revocation(crl=timedelta(days=90)))
ISSUING = ca(
    "issuing",
    "root",
    path_length=0,
    name_constraints=CONSTRAINTS,
    revocation=Revocation(crl=timedelta(days=1), ocsp=timedelta(hours=1)),
)
TOPOLOGY = Topology(
    name="bank",
    source=Path("topology.yaml"),
    cas=MappingProxyType({"root": ROOT, "issuing": ISSUING}),
    servers=MappingProxyType({"accounts": server()}),
    clients=MappingProxyType({"teller": client()}),
    publish="http://127.0.0.1:9080/",
)


def root_issuer(kind: KeyType = KeyType.EC_P256, subject: Subject = ROOT.subject) -> Issuer:
    key = new_key(kind)
    not_before, not_after = validity(ROOT.lifetime, NOW)
    profile = profiles.CertificateProfile(subject, "ca")
    return Issuer(self_signed(profile, key, serial=new_serial(), not_before=not_before, not_after=not_after), key)


def issuing_under(parent: Issuer, kind: KeyType = KeyType.EC_P256) -> Issuer:
    key = new_key(kind)
    not_before, not_after = validity(ISSUING.lifetime, NOW, parent.not_after)
    profile = profiles.for_ca(TOPOLOGY, ISSUING)
    certificate = issue(
        profile, key.public_key(), parent, serial=new_serial(), not_before=not_before, not_after=not_after
    )
    return Issuer(certificate, key)


@dataclass(frozen=True)
class Lab:
    root: Issuer
    issuing: Issuer
    other_root: Issuer


@lru_cache
def lab() -> Lab:
    root = root_issuer()
    return Lab(root, issuing_under(root), root_issuer(subject=Subject("Other Root CA")))


def leaf(profile: profiles.CertificateProfile, issuer: Issuer, kind: KeyType = KeyType.EC_P256) -> Issuer:
    """A sound leaf of one day, with its key."""
    key = new_key(kind)
    not_before, not_after = validity(timedelta(days=1), NOW, issuer.not_after)
    certificate = issue(
        profile, key.public_key(), issuer, serial=new_serial(), not_before=not_before, not_after=not_after
    )
    return Issuer(certificate, key)


def empty_crls(*issuers: Issuer, revoked: Iterable[int] = ()) -> bytes:
    """A CRL of every issuer; `revoked` are serials on the first one's."""
    entries = tuple(crl.Revoked(serial, NOW, crl.Reason.KEY_COMPROMISE) for serial in revoked)
    built = [
        crl.build(issuer, 1, NOW - timedelta(minutes=1), NOW + timedelta(hours=1), entries if index == 0 else ())
        for index, issuer in enumerate(issuers)
    ]
    return b"".join(map(crl.to_pem, built))


def openssl(*arguments: str | Path, cwd: Path, data: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the real openssl; nothing of its outcome is judged here."""
    command = [require_command("openssl"), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, input=data, capture_output=True, timeout=60)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def openssl_verify(
    folder: Path,
    certificate: x509.Certificate,
    purpose: str,
    *,
    root: Issuer | None = None,
    intermediates: Iterable[x509.Certificate] | None = None,
    crls: bytes | None = None,
    more: tuple[str, ...] = (),
    at: tuple[str, ...] = ("-attime", f"{NOW.timestamp():.0f}"),
) -> str:
    """What `openssl verify` finds at NOW: "" where it accepts the certificate, else its first complaint.

    Rogues live minutes, and on a slow machine a test may run long after its file was read.
    """
    pki = lab()
    (folder / "root.pem").write_bytes(bundles.pem((root or pki.root).certificate))
    chain = [pki.issuing.certificate] if intermediates is None else list(intermediates)
    (folder / "chain.pem").write_bytes(bundles.chain_pem(chain))
    (folder / "crls.pem").write_bytes(crls if crls is not None else empty_crls(pki.root, pki.issuing))
    (folder / "leaf.pem").write_bytes(bundles.pem(certificate))
    untrusted = ("-untrusted", "chain.pem") if chain else ()
    check = ("-crl_check_all", "-CRLfile", "crls.pem")
    done = openssl(
        "verify", "-x509_strict", *at, "-purpose", purpose, *check, "-CAfile", "root.pem",
        *untrusted, *more, "leaf.pem",
        cwd=folder,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    return next((line.partition("lookup:")[2] for line in done.stderr.splitlines() if "lookup:" in line), done.stderr)
