"""A plan with nothing to do, at four sizes in one run: how long it takes, and whether it grows in a straight line.

    python benchmarks/plan.py

Target: under 2 s for 1,000 servers and 2,000 clients, start-up included.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from command import SCAFFOLD, run
from topologies import many

SIZES = (250, 500, 1000, 2000)
ROUNDS = 5


def main() -> None:
    """Apply once at each size, then plan; print the medians as a Markdown table."""
    print("| servers + clients | plan with nothing to do, s | of which CPU, s | µs of CPU each |")
    print("|---|---:|---:|---:|")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "topology.yaml").write_text(many(size, 2 * size))
            run([*SCAFFOLD, "apply", "--yes"], folder)
            times, cpu = [], []
            for _ in range(ROUNDS):
                cost, said = run([*SCAFFOLD, "plan", "--check"], folder)
                assert said.splitlines()[-1].startswith("Nothing to do"), said
                times.append(cost.wall)
                cpu.append(cost.cpu)
        wall, busy = statistics.median(times), statistics.median(cpu)
        print(f"| {size:,} + {2 * size:,} | {wall:.2f} | {busy:.2f} | {busy / (3 * size) * 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
