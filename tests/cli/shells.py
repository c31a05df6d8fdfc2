"""A shell on a terminal of its own, in which a test presses the tabulator as a person does."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from pathlib import Path

import pytest

from tests.requirements import require_command

PATIENCE = 120
PROMPT = b"ready>"

COMMANDS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--private", "-i"],
}
READS = {
    "bash": """PS1='ready''>'; eval "$(scaffold completion bash)"\n""",
    # As its own documentation has it: a file of $fpath, which is read at the first completion.
    "zsh": "scaffold completion zsh >_scaffold; fpath=($PWD $fpath); autoload -Uz compinit; compinit -D; "
    "PS1='ready''>'\n",
    "fish": "scaffold completion fish | source; function fish_prompt; printf 'ready''>'; end\n",
}
"""What each shell is told before the first line: its prompt is not in the text, so that seeing it means being asked."""


class Terminal:
    """One that a shell runs on, in `folder`, with `scaffold` on its PATH."""

    def __init__(self, shell: str, folder: Path) -> None:
        require_command(shell)
        self.shown = b""
        self._child, self._end = pty.fork()
        if self._child == 0:
            os.chdir(folder)
            path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
            source = str(Path(__file__).parents[2])
            mine = {"PATH": path, "PYTHONPATH": source, "TERM": "dumb", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
            os.execvpe(COMMANDS[shell][0], COMMANDS[shell], mine)
        self.type(READS[shell])
        self.until(PROMPT)

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def until(self, text: bytes) -> bytes:
        """What is shown from now on, up to and with `text`."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            if not select.select([self._end], [], [], max(0.0, deadline - time.monotonic()))[0]:
                pytest.fail(f"{text!r} is not shown within {PATIENCE} s, but {self.shown!r}")
            self.shown += os.read(self._end, 4096)
        seen, found, self.shown = self.shown.partition(text)
        return seen + found

    def close(self) -> None:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        os.close(self._end)
