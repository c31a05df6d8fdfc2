"""Runs the real command in a process of its own, in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TIMEOUT = 120


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def assert_clear_error(self, *words: str, mistakes: int = 1) -> None:
        """Exit 1, one `error:` for each of the `mistakes`, which say `words`, and nothing of a traceback.

        Each begins a line of its own, and an empty line stands between two.
        """
        assert self.code == 1, f"exit {self.code}: {self.out}{self.err}"
        assert self.err.startswith("error: "), self.err
        assert self.err.count("error: ") == mistakes, self.err
        assert self.err.count("\n\nerror: ") == mistakes - 1, self.err
        assert "Traceback" not in self.err
        assert "defect" not in self.err, self.err
        for word in words:
            assert word in self.err, self.err


def scaffold(*arguments: str | Path, cwd: Path, env: dict[str, str] | None = None, stdin: str = "") -> Ended:
    """`scaffold ARGUMENTS` as a person runs it; standard input is a pipe, so that nothing can be asked."""
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "scaffold", *map(str, arguments)],
        cwd=cwd,
        env={**clean, "PYTHONUTF8": "1", **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def up(
    folder: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    until: str = "ready: https://",
    on_line: Callable[[str], object] = lambda line: None,
) -> Iterator[list[str]]:
    """`scaffold up`, once it has printed a line with `until`, with all the lines that it has printed by then.

    `on_line` is told each of them as it is printed.
    """
    command = [sys.executable, "-m", "scaffold", "up", *options]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        on_line(line)
        if until in line:
            break
    try:
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
    assert process.returncode == 0, err


END_OF_INPUT = "\x04"
"""Ctrl-D, as a terminal has it at the beginning of a line."""


def on_a_terminal(
    folder: Path, *arguments: str, answers: list[str], env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The exit code, and what was shown; each answer is given once a question stands at the end of what is shown.

    `END_OF_INPUT` says that there are no more.
    """
    left = list(answers)

    def reply(shown: bytes) -> bytes:
        if not left or not shown.endswith(b": "):
            return b""
        answer = left.pop(0)
        return answer.encode() + (b"" if answer == END_OF_INPUT else b"\n")

    return typing_on_a_terminal(folder, *arguments, reply=reply, env=env)


def typing_on_a_terminal(
    folder: Path, *arguments: str, reply: Callable[[bytes], bytes], env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The same for somebody who looks at all that was shown so far whenever there is more, and types the `reply`."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "scaffold", *arguments], {**os.environ, **(env or {})})
    shown = b""
    while True:
        if not select.select([terminal], [], [], TIMEOUT)[0]:
            os.kill(child, signal.SIGKILL)
            pytest.fail(f"nothing was shown for {TIMEOUT} s after {shown.decode()}")
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # how Linux says that nobody has the other end open any more
            break
        if not piece:
            break
        shown += piece
        if typed := reply(shown):
            os.write(terminal, typed)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()


def in_process(*arguments: str | Path, cwd: Path) -> Ended:
    """The same within this process, for the many small cases: quicker, and as close as that can be."""
    from scaffold.cli.app import run

    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Ended(code, out.getvalue(), err.getvalue())


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file and link under `folder` with its content, so that a test can say that nothing changed."""
    return {
        str(path.relative_to(folder)): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
