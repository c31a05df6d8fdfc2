"""Start-up of the command against an empty Typer command that does nothing, round by round in one run.

    python benchmarks/startup.py [ROUNDS]

Targets: `scaffold --help` at most 1.3 times, `scaffold validate` of a small file at most 1.7 times the empty command.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from command import SCAFFOLD, Cost, run

EMPTY = """
import typer
app = typer.Typer()
@app.command()
def run() -> None: ...
app()
"""
EXAMPLE = Path(__file__).parent.parent / "examples" / "minimal" / "topology.yaml"


def main(rounds: int) -> None:
    """Print medians and ratios as a Markdown table."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        commands = {
            "an empty Typer command": [sys.executable, str(empty)],
            "its --help": [sys.executable, str(empty), "--help"],
            "scaffold --help": [*SCAFFOLD, "--help"],
            "scaffold --version": [*SCAFFOLD, "--version"],
            "scaffold validate, the minimal example": [*SCAFFOLD, "validate", "-f", str(EXAMPLE)],
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for _ in range(rounds + 1):
            for name, command in commands.items():
                costs[name].append(run(command)[0])
    # The first round warms the caches of bytecode and disk.
    wall = {name: statistics.median(cost.wall for cost in each[1:]) * 1000 for name, each in costs.items()}
    cpu = {name: statistics.median(cost.cpu for cost in each[1:]) * 1000 for name, each in costs.items()}
    base, *_ = commands
    print("| command | ms | ratio | CPU, ms | ratio |\n|---|---:|---:|---:|---:|")
    for name in commands:
        ratios = wall[name] / wall[base], cpu[name] / cpu[base]
        print(f"| {name} | {wall[name]:.0f} | {ratios[0]:.2f} | {cpu[name]:.0f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
