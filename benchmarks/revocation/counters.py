"""What things cost: a TCP relay that counts the bytes, and the CPU of process groups and of commands (Linux, /proc)."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from scaffold.topology.model import HostPort

TICK = os.sysconf("SC_CLK_TCK")


class Relay:
    """Passes connections on to `target` while the block lasts, and counts what goes through: bytes and connections."""

    def __init__(self, listen: HostPort, target: HostPort) -> None:
        self.sent = 0
        self.received = 0
        self.connections = 0
        self._target = target
        self._lock = threading.Lock()
        self._listener = socket.create_server((listen.host, listen.port), backlog=128)

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would not wake accept(2).
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def bytes(self) -> int:
        """Both ways together, HTTP's head and TLS' records included; TCP's and IP's heads are not."""
        return self.sent + self.received

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._relay, args=(caller,), daemon=True).start()

    def _relay(self, caller: socket.socket) -> None:
        with (
            caller,
            contextlib.suppress(OSError),
            socket.create_connection((self._target.host, self._target.port)) as target,
        ):
            back = threading.Thread(target=self._pass, args=(target, caller, "received"), daemon=True)
            back.start()
            self._pass(caller, target, "sent")
            back.join()

    def _pass(self, source: socket.socket, to: socket.socket, counter: str) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                with self._lock:
                    setattr(self, counter, getattr(self, counter) + len(piece))
                to.sendall(piece)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)


def cpu_of_group(leader: int) -> float:
    """Seconds of CPU that the process group of `leader` has used, those of its members that have ended included."""
    return sum(_cpu(process) for process in _group(leader))


def _group(leader: int) -> Iterator[Path]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if int(_fields(process)[2]) == leader:
                    yield process


def _cpu(process: Path) -> float:
    """Of the living threads to the nanosecond (schedstat), of children that were waited for by the tick (proc(5))."""
    with contextlib.suppress(OSError):
        ended = sum(map(int, _fields(process)[13:15])) / TICK
        living = sum(int((task / "schedstat").read_text().split()[0]) for task in (process / "task").iterdir())
        return ended + living / 1e9
    return 0.0


def _fields(process: Path) -> list[str]:
    """Of stat, from the state on: the name before it may hold blanks."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def cpu_of_command(command: list[str | Path], folder: Path) -> float:
    """Runs it to its end; seconds of CPU of it and its children. Raises RuntimeError where it fails."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command}: {said.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime
