"""A state of 200,000 certificates of which 1,000 are valid: what loading it costs, before and after it is archived.

    python benchmarks/ledger.py

Target, after the first apply has archived expired certificates: under 0.3 s and 100 MB, with the interpreter.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from command import environment

from scaffold.store import archive, ledger
from scaffold.store.files import Writer
from scaffold.store.layout import ARCHIVE, LEDGER, Layout
from scaffold.store.ledger import Issued, Recorder, Revoked
from scaffold.topology.address import Address, Part

ISSUED, ALIVE, REVOKED = 200_000, 1_000, 2_000
ROUNDS = 5
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TARGET = {"seconds": 0.3, "megabytes": 100}

_MEASURED = """
import json, resource, sys, time
from pathlib import Path
from scaffold.store import ledger
from scaffold.store.layout import Layout
start = time.perf_counter()
known = ledger.load(Layout(Path(sys.argv[1])))
seconds = time.perf_counter() - start
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
print(json.dumps({"seconds": seconds, "megabytes": megabytes, "certificates": len(known.issued)}))
"""


def main() -> None:
    """Write the ledger, load it, archive, load it again; print a Markdown table. Exits with 1 above the target."""
    with tempfile.TemporaryDirectory() as name:
        layout = Layout(Path(name))
        alone(write, layout)
        print("| state | on disk, MB | certificates | load, s | peak memory, MB |")
        print("|---|---:|---:|---:|---:|")
        row("all in one file", layout)
        took = alone(archive_it, layout)
        found = row("archived", layout)
        print(f"\nArchiving took {took:.1f} s, once; the archive has {megabytes(layout, ARCHIVE):.0f} MB.")
    over = {name: limit for name, limit in TARGET.items() if found[name] > limit}
    if over:
        sys.exit(f"above the target: {over}")


def write(layout: Layout) -> None:
    """The ledger as applies leave it: a certificate a minute, of 1,000 addresses."""
    Writer(layout).prepare()
    Recorder(layout, NOW - timedelta(days=400)).topology("bank")
    made = list(certificates())
    for start in range(0, ISSUED, 2000):
        Recorder(layout, made[start].not_before).issued(made[start : start + 2000])
    revoked = [Revoked(one.ca, one.serial, "superseded", one.not_before) for one in made[:REVOKED]]
    Recorder(layout, made[REVOKED].not_before).revoked(revoked)


def archive_it(layout: Layout) -> None:
    """What the first apply does."""
    archive.archive(layout, Writer(layout), ledger.load(layout), NOW, lambda one: True)


def alone(work: Callable[[Layout], None], layout: Layout) -> float:
    """Works in a process of its own, and says for how long: what is measured next inherits this one's peak memory."""
    with ProcessPoolExecutor(1) as pool:
        start = time.perf_counter()
        pool.submit(work, layout).result()
        return time.perf_counter() - start


def certificates() -> Iterator[Issued]:
    """The living ones last."""
    for number in range(ISSUED):
        ended = number < ISSUED - ALIVE
        begins = NOW - timedelta(minutes=ISSUED - number) - timedelta(days=2 if ended else 0)
        ends = begins + timedelta(days=1) if ended else NOW + timedelta(days=1)
        serial, digest = f"{(1 << 158) + number:x}", f"{number:064x}"
        address = Address.client(f"c{number % ALIVE}", Part.CERTIFICATE)
        issuer_key = "ab" * 32
        yield Issued(
            address, "issuing", serial, f"CN={address.name},O=Bank", "CN=Issuing CA,O=Bank",
            begins, ends, digest, issuer_key, digest,
        )  # fmt: skip


def row(what: str, layout: Layout) -> dict[str, float]:
    """Loads the ledger in processes of their own; prints the medians, and returns them."""
    runs = [measured(layout) for _ in range(ROUNDS)]
    found = {name: statistics.median(one[name] for one in runs) for name in runs[0]}
    size = f"{megabytes(layout, LEDGER):.1f}"
    cost = f"{found['seconds']:.3f} | {found['megabytes']:.0f}"
    print(f"| {what} | {size} | {found['certificates']:,.0f} | {cost} |", flush=True)
    return found


def measured(layout: Layout) -> dict[str, float]:
    """What one process that loads the ledger costs."""
    command = [sys.executable, "-c", _MEASURED, str(layout.out)]
    done = subprocess.run(command, env=environment(), check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def megabytes(layout: Layout, path: str) -> float:
    """The size of a file."""
    return layout.path(path).stat().st_size / 1e6


if __name__ == "__main__":
    main()
