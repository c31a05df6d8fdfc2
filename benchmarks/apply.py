"""`scaffold apply` of 1,000 P-256 leaf identities against the bare loop of `cryptography` that makes the same files.

    python benchmarks/apply.py [IDENTITIES]

The bare loop knows nothing of topologies: for each identity it makes a key, signs a certificate with the extensions of
the one that scaffold made, and writes that folder's files, all other contents being at hand, each beside its place and
renamed. First target: 2 times.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from topologies import many

SCAFFOLD = [sys.executable, "-c", "from scaffold.cli import main; main()"]
ROUNDS = 3


def write(path: Path, content: bytes, mode: int) -> None:
    """Write beside the place and rename, as apply does."""
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    os.write(descriptor, content)
    os.close(descriptor)
    os.replace(temporary, path)  # noqa: PTH105 (a Path would be made for each file)


def projects(out: Path) -> list[Path]:
    """The folders of all servers and clients."""
    return sorted([*(out / "servers").iterdir(), *(out / "clients").iterdir()])


def recorded(project: Path) -> tuple[list[str], list[tuple[str, bytes, int]], list[x509.Certificate]]:
    """What apply wrote there: the folders, all files but leaf and key, and the chain."""
    folders = [str(path.relative_to(project)) for path in sorted(project.rglob("*")) if path.is_dir()]
    files = [
        (str(path.relative_to(project)), path.read_bytes(), path.stat().st_mode & 0o777)
        for path in sorted(project.rglob("*"))
        if path.is_file() and path.name not in ("cert.pem", "key.pem")
    ]
    return folders, files, x509.load_pem_x509_certificates((project / "tls/cert.pem").read_bytes())


def bare_loop(
    work: list[tuple[str, tuple[list[str], list[tuple[str, bytes, int]], list[x509.Certificate]]]], out: Path
) -> None:
    """Make every identity and every file of `work` under `out` with one fresh issuer."""
    issuer_key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    pem = serialization.Encoding.PEM
    for name, (folders, files, (leaf, *chain)) in work:
        project = out / name
        project.mkdir(parents=True)
        for folder in folders:
            (project / folder).mkdir(exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder(
            chain[0].subject if chain else leaf.issuer, leaf.subject, key.public_key(), x509.random_serial_number(),
            now, now + datetime.timedelta(days=90),
        )  # fmt: skip
        for extension in leaf.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        certificate = builder.sign(issuer_key, hashes.SHA256())
        encoded = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write(project / "tls/key.pem", encoded, 0o600)
        write(project / "tls/cert.pem", b"".join(c.public_bytes(pem) for c in (certificate, *chain)), 0o644)
        for path, content, mode in files:
            write(project / path, content, mode)


def main(identities: int) -> None:
    """Print both times and their ratio as a Markdown table, the quickest of three rounds each."""
    servers = max(1, identities // 20)
    bare, ours = [], []
    count = 0
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "topology.yaml").write_text(many(servers, identities - servers))
            start = time.perf_counter()
            subprocess.run([*SCAFFOLD, "apply", "--yes"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            ours.append(time.perf_counter() - start)
            work = [
                (f"{project.parent.name}/{project.name}", recorded(project)) for project in projects(folder / "many")
            ]
            count = sum(len(files) + 2 for _, (_, files, _) in work)
            start = time.perf_counter()
            bare_loop(work, folder / "bare")
            bare.append(time.perf_counter() - start)
    print(f"{identities:,} identities, {count:,} files\n")
    print("| | s | ratio |\n|---|---:|---:|")
    print(f"| bare loop | {min(bare):.2f} | 1.00 |")
    print(f"| scaffold apply, start-up and plan included | {min(ours):.2f} | {min(ours) / min(bare):.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
