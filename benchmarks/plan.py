"""A plan with nothing to do, at three sizes in one run: how long it takes, and whether it grows in a straight line.

    python benchmarks/plan.py

Target: under 2 s for 1,000 servers and 2,000 clients, start-up included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from topologies import many

SCAFFOLD = [sys.executable, "-c", "from scaffold.cli import main; main()"]
SIZES = (250, 500, 1000)
ROUNDS = 3


def main() -> None:
    """Apply once at each size, then plan; print the quickest of three as a Markdown table."""
    print("| servers + clients | plan with nothing to do, s | µs each |\n|---|---:|---:|")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "topology.yaml").write_text(many(size, 2 * size))
            subprocess.run([*SCAFFOLD, "apply", "--yes"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            times = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                done = subprocess.run(
                    [*SCAFFOLD, "plan", "--check"], cwd=folder, capture_output=True, text=True, check=True
                )
                times.append(time.perf_counter() - start)
                assert done.stdout.startswith("Nothing to do"), done.stdout
        best = min(times)
        print(f"| {size:,} + {2 * size:,} | {best:.2f} | {best / (3 * size) * 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
