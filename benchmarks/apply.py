"""`scaffold apply` of 1,000 P-256 leaf identities against the bare loop of `cryptography` that makes the same files.

    python benchmarks/apply.py [IDENTITIES]

The bare loop knows no topology: for each identity it makes a key, signs a certificate with the same extensions, and
writes the files of the folder, each beside its place and renamed. It has all other texts ready: it renders, compares
and records nothing. Target: 2.5 times. TMPDIR sets the disk.
"""

from __future__ import annotations

import datetime
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from command import SCAFFOLD, Cost, run
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from topologies import many

ROUNDS = 8


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
    chains = {chain: b"".join(c.public_bytes(pem) for c in chain) for chain in {tuple(own[2][1:]) for _, own in work}}
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
        write(project / "tls/cert.pem", certificate.public_bytes(pem) + chains[tuple(chain)], 0o644)
        for path, content, mode in files:
            write(project / path, content, mode)


def measured_bare_loop(topology_folder: Path) -> tuple[Cost, int]:
    """What the bare loop costs for what apply made in `topology_folder`, and how many files that is."""
    made = projects(topology_folder / "many")
    work = [(f"{project.parent.name}/{project.name}", recorded(project)) for project in made]
    wall, cpu = time.perf_counter(), time.process_time()
    bare_loop(work, topology_folder / "bare")
    cost = Cost(time.perf_counter() - wall, time.process_time() - cpu)
    return cost, sum(len(files) + 2 for _, (_, files, _) in work)


def main(identities: int) -> None:
    """Print the medians of both costs, and of their ratios in each round, as a Markdown table."""
    servers = max(1, identities // 20)
    ours, bare, starts, count = [], [], [], 0
    # Nothing is deleted before the end: what one round frees must not weigh on the next one's new files.
    with tempfile.TemporaryDirectory() as name:
        for number in range(ROUNDS):
            folder = Path(name) / str(number)
            folder.mkdir()
            (folder / "topology.yaml").write_text(many(servers, identities - servers))
            starts.append(run([*SCAFFOLD, "validate"], folder)[0])
            ours.append(run([*SCAFFOLD, "apply", "--yes"], folder)[0])
            cost, count = measured_bare_loop(folder)
            bare.append(cost)
    print(f"{identities:,} identities, {count:,} files, {ROUNDS} rounds\n")
    print("| | s | ratio | CPU, s | ratio |\n|---|---:|---:|---:|---:|")
    rows = {
        "bare loop": bare,
        "`scaffold apply`, start-up and plan included": ours,
        "of which start-up and reading the topology (`scaffold validate`)": starts,
    }
    for what, costs in rows.items():
        cost = median(costs)
        ratios = [(one.wall / loop.wall, one.cpu / loop.cpu) for one, loop in zip(costs, bare, strict=True)]
        wall, cpu = (statistics.median(each) for each in zip(*ratios, strict=True))
        print(f"| {what} | {cost.wall:.2f} | {wall:.2f} | {cost.cpu:.2f} | {cpu:.2f} |")


def median(costs: list[Cost]) -> Cost:
    """The median of each."""
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
