"""The tutorial's commands, run in its order: each must end as it says, and print the lines that it shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scaffold.running.services import free_addresses

TUTORIAL = Path(__file__).parent.parent.parent / "docs" / "tutorial.md"
PORT = "8443"
EXITS = re.compile(r"#\s*exits with (\d+)")


@dataclass(frozen=True)
class Step:
    """A command and the lines that it is said to print, in which runs of spaces do not matter."""

    command: str
    shown: tuple[str, ...]

    @property
    def exits(self) -> int:
        found = EXITS.search(self.command)
        return int(found[1]) if found else 0


def steps(page: str) -> Iterator[Step]:
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield Step(command, tuple(line for line in shown if line.strip()))


def squeezed(text: str) -> str:
    return " ".join(text.split())


def run(step: Step, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-c", step.command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == step.exits, f"$ {step.command}\n{done.stdout}{done.stderr}"
    return done.stdout


def start(step: Step, folder: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
    """A command that goes on in the background, once it has printed what is shown."""
    command = step.command.removesuffix("&").split()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    deadline = time.monotonic() + 60
    while not all(squeezed(line) in squeezed(said) for line in step.shown):
        assert time.monotonic() < deadline, said
        said += process.stdout.readline()
    return process, said


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    port = str(free_addresses(1)[0].port)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
    environment.pop("FORCE_COLOR", None)
    running: list[subprocess.Popen[str]] = []
    try:
        for step in steps(TUTORIAL.read_text("utf-8").replace(PORT, port)):
            if step.command.endswith("&"):
                process, said = start(step, tmp_path, environment)
                running.append(process)
            else:
                said = run(step, tmp_path, environment)
            for line in step.shown:
                assert squeezed(line) in squeezed(said), f"$ {step.command}\n{said}"
            if step.command.startswith("scaffold init"):
                topology = tmp_path / "topology.yaml"
                topology.write_text(topology.read_text("utf-8").replace(PORT, port), "utf-8")
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)
            process.wait(90)


def test_the_page_has_steps() -> None:
    assert len(list(steps(TUTORIAL.read_text("utf-8")))) > 15
