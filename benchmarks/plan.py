"""A plan with nothing to do, at three sizes in one run: how long it takes, and whether it grows in a straight line.

    python benchmarks/plan.py

Target: under 2 s for 1,000 servers and 2,000 clients, start-up included.
"""

from __future__ import annotations

import resource
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
    print("| servers + clients | plan with nothing to do, s | of which CPU, s | µs of CPU each |")
    print("|---|---:|---:|---:|")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "topology.yaml").write_text(many(size, 2 * size))
            subprocess.run([*SCAFFOLD, "apply", "--yes"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            times, cpu = [], []
            for _ in range(ROUNDS):
                start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                done = subprocess.run(
                    [*SCAFFOLD, "plan", "--check"], cwd=folder, capture_output=True, text=True, check=True
                )
                times.append(time.perf_counter() - start)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
                assert done.stdout.startswith("Nothing to do"), done.stdout
        each = min(cpu) / (3 * size) * 1e6
        print(f"| {size:,} + {2 * size:,} | {min(times):.2f} | {min(cpu):.2f} | {each:.0f} |", flush=True)


if __name__ == "__main__":
    main()
