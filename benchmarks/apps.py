"""Apps from templates: rendering one beside cookiecutter alone, and adding one to a topology of 1,000 beside its plan.

    python benchmarks/apps.py [ROUNDS]

Targets: rendering at most 1.2 times what cookiecutter's own command takes, adding at most 1.3 times the plan that it
shows.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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
    print("| | ms | CPU, ms | ratio, CPU |\n|---|---:|---:|---:|")
    rendering, adding = _rendering(rounds), _adding(rounds)
    _print("cookiecutter's own command", [before for before, _ in rendering])
    _print("rendering an app", [cost for _, cost in rendering], _ratios(rendering))
    _print(f"plan of {ENTITIES:,}, nothing to do", [idle for idle, _, _ in adding])
    _print("plan with one more", [planned for _, planned, _ in adding])
    ratios = _ratios([(planned, cost) for _, planned, cost in adding])
    idle = statistics.median(_ratios([(idle, cost) for idle, _, cost in adding]))
    _print(f"adding a front with its app ({idle:.2f} of the idle plan)", [cost for *_, cost in adding], ratios)


def _ratios(pairs: Sequence[tuple[Cost, Cost]]) -> list[float]:
    return [cost.cpu / before.cpu for before, cost in pairs]


def _print(name: str, costs: Sequence[Cost], ratios: Sequence[float] = ()) -> None:
    wall, cpu = (statistics.median(each) * 1000 for each in zip(*((one.wall, one.cpu) for one in costs), strict=True))
    ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
    print(f"| {name} | {wall:.0f} | {cpu:.0f} | {ratio} |", flush=True)


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
            render_app(app, template, Path(place) / "rendered")

        return _cost_of(render)


def _cost_of(work: Callable[[], None]) -> Cost:
    """Of this process and its children."""
    start, before = time.perf_counter(), _used()
    work()
    return Cost(time.perf_counter() - start, _used() - before)


def _used() -> float:
    both = (resource.getrusage(which) for which in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def _adding(rounds: int) -> list[tuple[Cost, Cost, Cost]]:
    """Of an idle plan, of the plan with one more, and of adding that one, which shows this plan."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        topology, text = folder / "topology.yaml", many(ENTITIES // 2, ENTITIES // 2)
        topology.write_text(text)
        run([*SCAFFOLD, "apply", "--yes"], folder)
        found = []
        for _ in range(rounds):
            topology.write_text(text)
            idle, _ = run([*SCAFFOLD, "plan"], folder)
            added, _ = run([*SCAFFOLD, *ADDED], folder)
            planned, _ = run([*SCAFFOLD, "plan"], folder)
            found.append((idle, planned, added))
        return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
