"""Apps from templates: rendering one beside cookiecutter alone, and adding one to a topology of 1,000 beside its plan.

    python benchmarks/apps.py [ROUNDS]

Targets: rendering at most 1.2 times what cookiecutter's own command takes, adding at most 1.3 times the plan.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from command import SCAFFOLD, Cost, run
from topologies import many

from scaffold.kinds.app_rendering import render_app
from scaffold.kinds.app_templates import fetched
from scaffold.topology.model import App

TEMPLATES = Path(__file__).parent.parent / "tests" / "apps"
SERVICE = "fastapi-service"
ENTITIES = 1_000
ADDED = [
    *("add", "server", "shop", "--template", "nginx", "--issuer", "issuing", "--listen", "127.0.0.1:9443"),
    *("--names", "localhost", "--backend", "http://127.0.0.1:5000"),
    *("--app", f"{{template: {TEMPLATES / SERVICE}}}", "--called-by", "c0"),
]


def main(rounds: int) -> None:
    """Print medians, and the median of the ratios of each round, as a Markdown table."""
    print("| | ms | CPU, ms | ratio, CPU | its target |\n|---|---:|---:|---:|---:|")
    _print("cookiecutter's own command", "rendering an app", _rendering(rounds), 1.2)
    _print(f"plan of {ENTITIES:,}", "adding a front with its app", _adding(rounds), 1.3)


def _print(base: str, measured: str, pairs: list[tuple[Cost, Cost]], target: float) -> None:
    ratio = statistics.median(cost.cpu / before.cpu for before, cost in pairs)
    for name, which, said in ((base, 0, " | "), (measured, 1, f"{ratio:.2f} | {target}")):
        wall = statistics.median(pair[which].wall for pair in pairs) * 1000
        cpu = statistics.median(pair[which].cpu for pair in pairs) * 1000
        print(f"| {name} | {wall:.0f} | {cpu:.0f} | {said} |", flush=True)


def _rendering(rounds: int) -> list[tuple[Cost, Cost]]:
    """The same template, with its two hooks, by both in turn. The first round warms the caches."""
    return [(_by_cookiecutter(), _by_scaffold()) for _ in range(rounds + 1)][1:]


def _by_cookiecutter() -> Cost:
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "cookiecutter", "--no-input", "--output-dir", place, str(TEMPLATES / SERVICE)]
        return run(command)[0]


def _by_scaffold() -> Cost:
    with tempfile.TemporaryDirectory() as place:
        for name in ("fetched", "rendered"):
            (Path(place) / name).mkdir()
        app = App(f"./{SERVICE}")

        def render() -> None:
            template = fetched(app, TEMPLATES, Path(place) / "fetched")
            render_app(app, template.folder, Path(place) / "rendered")

        return _cost_of(render)


def _cost_of(work: Callable[[], None]) -> Cost:
    """Of this process and its children."""
    start, before = time.perf_counter(), _used()
    work()
    return Cost(time.perf_counter() - start, _used() - before)


def _used() -> float:
    both = (resource.getrusage(which) for which in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def _adding(rounds: int) -> list[tuple[Cost, Cost]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        topology, text = folder / "topology.yaml", many(ENTITIES // 2, ENTITIES // 2)
        topology.write_text(text)
        run([*SCAFFOLD, "apply", "--yes"], folder)
        pairs = []
        for _ in range(rounds):
            topology.write_text(text)
            planned, _ = run([*SCAFFOLD, "plan"], folder)
            added, _ = run([*SCAFFOLD, *ADDED], folder)
            pairs.append((planned, added))
        return pairs


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
