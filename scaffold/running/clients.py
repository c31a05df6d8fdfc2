"""Running rendered clients: each by its own run.sh, with a HOME of its own, and never longer than the verification."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from scaffold.errors import VerifyError
from scaffold.running.services import environment

ENDS_WITHIN: Final = 120.0
"""Seconds for one run; some compile at their first run."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run left: its exit status (negative for a signal), standard output and standard error."""

    status: int
    output: str
    complaint: str


class Clients:
    """Runs clients from several threads at once; `stop` ends those that are running, and runs no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(
        self,
        script: Path,
        arguments: Sequence[str],
        inherits: Iterable[str] = (),
        told: Mapping[str, str] = MappingProxyType({}),
    ) -> Ran:
        """Run it to its end, with `told` in its environment. `inherits` are the variables that its kind declares, as
        in `Launch`.

        Raises VerifyError where it cannot be started.
        """
        with (
            tempfile.TemporaryDirectory(prefix="scaffold-home-", ignore_cleanup_errors=True) as home,
            self._started([str(script), *arguments], environment(Path(home), told, inherits)) as process,
        ):
            try:
                output, complaint = process.communicate(timeout=ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                return Ran(-signal.SIGKILL, "", f"it did not end within {ENDS_WITHIN:g} s")
        return Ran(process.returncode, output, complaint)

    def stop(self) -> None:
        """End all that are running."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    @contextlib.contextmanager
    def _started(self, command: list[str], sees: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
        with self._lock:
            if self._stopped:
                raise VerifyError("the verification is over")
            process = _start(command, sees)
            self._running.add(process)
        try:
            with process:
                try:
                    yield process
                finally:
                    _kill(process)
        finally:
            with self._lock:
                self._running.discard(process)


def _start(command: list[str], sees: Mapping[str, str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            env=sees,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        hint = "run `scaffold plan` to see what is missing, `scaffold apply` to make it"
        raise VerifyError(f"{command[0]} cannot be run: {error.strerror}", hint=hint) from error


def _kill(process: subprocess.Popen[str]) -> None:
    """KILL its process group, unless it has been waited for: then the number may already be another's."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
