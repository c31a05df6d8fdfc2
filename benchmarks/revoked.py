"""A CA that has revoked many certificates: the cost of its CRL beside the library alone, of a plan, and of a `revoke`.

    python benchmarks/revoked.py

CPU seconds of one round. "Library" is a list of `RevokedCertificate`, handed to the builder and signed.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from command import SCAFFOLD, run
from cryptography import x509

from scaffold.pki import bundles, crl, keys
from scaffold.pki.issue import Issuer, backdated, new_serial
from scaffold.store import ledger
from scaffold.store.layout import Layout

T = TypeVar("T")
SIZES = (1_000, 10_000, 100_000)
TOPOLOGY = """
version: 1
name: bench
publish: http://127.0.0.1:9080
cas: {root: {}, issuing: {issuer: root}}
servers: {api: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl}}
clients: {cli: {template: python, issuer: issuing, calls: [api]}}
"""


def main() -> None:
    """Print a Markdown table."""
    print("| revoked | library | `crl.build` | its entries read | plan, nothing to do | one more `revoke` |")
    print("|---:|---:|---:|---:|---:|---:|")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            print(f"| {size:,} | " + " | ".join(f"{cost:.2f}" for cost in costs(Path(name), size)) + " |", flush=True)


def costs(folder: Path, size: int) -> tuple[float, ...]:
    """One row."""
    (folder / "topology.yaml").write_text(TOPOLOGY)
    run([*SCAFFOLD, "apply", "--yes"], folder)
    out = folder / "bench"
    certificate = bundles.load_certificates((out / "pki/issuing/ca.crt").read_bytes())[0]
    issuer = Issuer(certificate, keys.load((out / "pki/issuing/ca.key").read_bytes()))
    now = datetime.now(UTC)
    revoked = [crl.Revoked(new_serial(), now, crl.Reason.SUPERSEDED) for _ in range(size)]
    library, _ = measured(lambda: bare(issuer, revoked, now))
    ours, built = measured(lambda: crl.build(issuer, 2, backdated(now), now + timedelta(days=1), revoked))
    read, _ = measured(lambda: crl.entries(built))
    record(Layout(out), certificate, revoked, now)
    run([*SCAFFOLD, "apply", "--yes"], folder)
    plan, _ = run([*SCAFFOLD, "plan", "--check"], folder)
    revoke, _ = run([*SCAFFOLD, "revoke", "client.cli", "--reason", "superseded", "--yes"], folder)
    return library, ours, read, plan.cpu, revoke.cpu


def bare(issuer: Issuer, revoked: list[crl.Revoked], now: datetime) -> x509.CertificateRevocationList:
    """What the library does at best."""
    begins, ends = now.replace(tzinfo=None, microsecond=0), now.replace(tzinfo=None, microsecond=0) + timedelta(days=1)
    says = [x509.Extension(x509.CRLReason.oid, False, x509.CRLReason(x509.ReasonFlags.superseded))]
    entries = [x509.RevokedCertificateBuilder(one.serial, begins, says).build() for one in revoked]
    return x509.CertificateRevocationListBuilder(issuer.name, begins, ends, [], entries).sign(issuer.key, issuer.hash)


def record(layout: Layout, ca: x509.Certificate, revoked: list[crl.Revoked], now: datetime) -> None:
    """Enter them in the ledger, as if each had been issued and revoked."""
    recorder, key, ends = ledger.Recorder(layout, now), keys.spki_sha256(ca), now + timedelta(days=90)
    address, subject = "client.cli.certificate", "CN=cli"
    recorder.issued(
        [
            ledger.Issued(
                address, "issuing", f"{one.serial:x}", subject, "CN=issuing", now, ends,
                secrets.token_hex(32), key, secrets.token_hex(32),
            )
            for one in revoked
        ]
    )  # fmt: skip
    recorder.revoked([ledger.Revoked("issuing", f"{one.serial:x}", one.reason.value, now) for one in revoked])


def measured(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds, and what came of it."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
