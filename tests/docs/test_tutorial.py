"""The tutorial's commands, run in its order: each must end as it says, and print the lines that it shows."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from scaffold.running.ports import free_addresses
from tests.docs.console import Step, environment, run, steps

TUTORIAL = Path(__file__).parent.parent.parent / "docs" / "tutorial.md"
PORT = "8443"


def start(step: Step, folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A command that goes on in the background, once it has printed what is shown."""
    command = step.command.removesuffix("&").split()
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    deadline = time.monotonic() + 60
    while step.missing(said) is not None:
        assert time.monotonic() < deadline, said
        said += process.stdout.readline()
    return process, said


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    port = str(free_addresses(1)[0].port)
    running: list[subprocess.Popen[str]] = []
    try:
        for step in steps(TUTORIAL.read_text("utf-8").replace(PORT, port)):
            if step.command.endswith("&"):
                process, said = start(step, tmp_path)
                running.append(process)
            else:
                said = run(step, tmp_path).stdout
            step.assert_shown(said)
            if step.command.startswith("scaffold init"):
                topology = tmp_path / "topology.yaml"
                topology.write_text(topology.read_text("utf-8").replace(PORT, port), "utf-8")
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)
            process.wait(90)


def test_the_page_has_steps() -> None:
    assert len(steps(TUTORIAL.read_text("utf-8"))) > 15
