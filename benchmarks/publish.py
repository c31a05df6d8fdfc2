"""OCSP answers per second by one publisher: kept ones against fresh ones with a nonce, and both against /healthz.

    python benchmarks/publish.py

The client runs in processes of its own and shares the machine with the publisher: trust the ratios, not the numbers.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cryptography import x509

from scaffold.pki import ocsp
from scaffold.running.ports import free_addresses
from scaffold.topology.model import HostPort

SCAFFOLD = [sys.executable, "-c", "from scaffold.cli import main; main()"]
REQUESTS = 1_500
CONNECTIONS = 2
ROUNDS = 3

TOPOLOGY = """
version: 1
name: bench
publish: http://{publish}
cas:
  root: {{}}
  issuing: {{issuer: root, revocation: {{crl: 1d, ocsp: 1h}}}}
servers: {{api: {{template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}}}}
clients: {{cli: {{template: python, issuer: issuing, calls: [api]}}}}
"""


def ask(where: HostPort, path: str, body: bytes | None) -> None:
    """Many requests over one connection."""
    connection = http.client.HTTPConnection(where.host, where.port, timeout=30)
    for _ in range(REQUESTS):
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()


def per_second(pool: ProcessPoolExecutor, where: HostPort, path: str, body: bytes | None) -> float:
    """One round."""
    start = time.perf_counter()
    for done in [pool.submit(ask, where, path, body) for _ in range(CONNECTIONS)]:
        done.result()
    return CONNECTIONS * REQUESTS / (time.perf_counter() - start)


def main() -> None:
    """Print a Markdown table."""
    (where,) = free_addresses(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "topology.yaml").write_text(TOPOLOGY.format(publish=where))
        subprocess.run([*SCAFFOLD, "apply", "--yes"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        issuing = x509.load_pem_x509_certificate((folder / "bench/pki/issuing/ca.crt").read_bytes())
        leaf = x509.load_pem_x509_certificate((folder / "bench/clients/cli/tls/cert.pem").read_bytes())
        ids = [ocsp.cert_id(leaf.serial_number, issuing)]
        log = (folder / "log").open("w+")
        process = subprocess.Popen([*SCAFFOLD, "publish"], cwd=folder, stderr=log)
        try:
            while '"ready"' not in (folder / "log").read_text():
                assert process.poll() is None, "the publisher has ended"
                time.sleep(0.05)
            kinds: dict[str, tuple[str, bytes | None]] = {
                "/healthz": ("/healthz", None),
                "OCSP, kept answer": ("/ocsp/issuing", ocsp.build_request(ids)),
                "OCSP, nonce: signed fresh": ("/ocsp/issuing", ocsp.build_request(ids, b"n" * 32)),
            }
            best = dict.fromkeys(kinds, 0.0)
            with ProcessPoolExecutor(CONNECTIONS) as pool:
                for _ in range(ROUNDS):
                    for what, (path, body) in kinds.items():
                        best[what] = max(best[what], per_second(pool, where, path, body))
        finally:
            process.terminate()
            process.wait()
            log.close()
    bare, kept, fresh = best.values()
    print("| request | per second | ratio to /healthz |\n|---|---:|---:|")
    for what, rate in best.items():
        print(f"| {what} | {rate:,.0f} | {rate / bare:.2f} |")
    print(f"\nA kept answer is {kept / fresh:.2f} times as quick as a fresh one.")


if __name__ == "__main__":
    main()
