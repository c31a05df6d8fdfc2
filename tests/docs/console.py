"""Runs the commands that a page of the documentation shows, as its reader would, and looks for what it says of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

EXITS = re.compile(r"#\s*exits with (\d+)")


@dataclass(frozen=True)
class Step:
    """A command, and the lines that it is said to print, in which runs of spaces do not matter."""

    command: str
    shown: tuple[str, ...] = ()

    @property
    def exits(self) -> int:
        found = EXITS.search(self.command)
        return int(found[1]) if found else 0

    def missing(self, *streams: str) -> str | None:
        """The first of the lines that stands in none of the streams after those that were found there before it."""
        rest = [squeezed(stream) for stream in streams]
        for line in map(squeezed, self.shown):
            for number, text in enumerate(rest):
                _, found, after = text.partition(line)
                if found:
                    rest[number] = after
                    break
            else:
                return line
        return None

    def assert_shown(self, *streams: str) -> None:
        missing = self.missing(*streams)
        said = "".join(streams)
        assert missing is None, f"$ {self.command}\nnot printed, or not in this order: {missing}\n{said}"


def squeezed(text: str) -> str:
    return " ".join(text.split())


def steps(page: str) -> list[Step]:
    """The commands of the page's `console` blocks, in their order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            found.append(Step(command, tuple(line for line in shown if line.strip())))
    return found


def environment() -> dict[str, str]:
    """One in which `scaffold` is the one of the tests' Python, and prints no colours."""
    found = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    found.pop("FORCE_COLOR", None)
    return found


def run(step: Step, folder: Path) -> subprocess.CompletedProcess[str]:
    """The step in a shell of its own in `folder`; it must end as it says."""
    done = subprocess.run(
        ["sh", "-e", "-c", step.command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == step.exits, f"$ {step.command}\n{done.stdout}{done.stderr}"
    return done
