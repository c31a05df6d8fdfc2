"""The five ways to handle revocation, measured on nginx and `scaffold publish`; the tables go into docs/.

    python benchmarks/revocation                about four minutes
    python benchmarks/revocation --quick        under one, and too short to mean anything; prints and writes nothing
    python benchmarks/revocation --templates    only writes again what each template declares; measures nothing

Linux, with nginx, openssl and curl. Hours and days are scaled down to seconds; the report says how.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import Measured, handshakes, living
from methods import FULL, QUICK, Scale, methods
from report import declared, insert, tables
from world import World

from scaffold.running.services import Services

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Measures everything, then prints it or writes it into the document."""
    parser = argparse.ArgumentParser(description="Measures the five ways to handle revocation.")
    parser.add_argument("--quick", action="store_true", help="a run to see that it runs; prints and writes nothing")
    parser.add_argument(
        "--templates", action="store_true", help="write what each template declares, and measure nothing"
    )
    asked = parser.parse_args()
    if asked.templates:
        write_declared()
    else:
        measure(quick=asked.quick)


def measure(*, quick: bool) -> None:
    """Prints a quick run, writes a full one into the document."""
    if missing := [tool for tool in ("nginx", "openssl", "curl") if shutil.which(tool, path=_path()) is None]:
        sys.exit(f"not measured: {', '.join(missing)} not installed")
    started, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="revocation-") as folder:
        results = measure_all(QUICK if quick else FULL, Path(folder))
    text = tables(results, QUICK if quick else FULL, load, time.monotonic() - started)
    if quick:
        print(text)
    else:
        write(text, DOCS / "revocation-measured.md", "measured")
        write_declared()


def write_declared() -> None:
    """Puts the table of the templates into its document."""
    write(declared(), DOCS / "revocation.md", "templates")


def write(text: str, document: Path, name: str) -> None:
    """Puts it between the markers of that name."""
    document.write_text(insert(text, document.read_text(), name))
    print(f"{document}: {name}")


def _path() -> str:
    """Where Debian keeps nginx is out of an ordinary user's sight."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin"


def measure_all(scale: Scale, folder: Path) -> list[Measured]:
    """Handshakes one method after the other; what waits more than it works, all side by side."""
    worlds = []
    for method in methods(scale):
        (folder / method.name).mkdir()
        worlds.append(World(method, scale, folder / method.name))
    with ThreadPoolExecutor(len(worlds)) as pool, Services() as services:
        list(pool.map(World.build, worlds))
        for world in worlds:
            world.start(services)
        costs = [handshakes(world) for world in worlds]
        lives = pool.map(living, worlds, [upkeep for _, upkeep in costs])
        return [
            Measured(world.method, rows, *life) for world, (rows, _), life in zip(worlds, costs, lives, strict=True)
        ]


if __name__ == "__main__":
    main()
