"""Running rendered servers side by side: each by its own run.sh, ready by event, stopped together whatever happens.

Portable POSIX, with one extra on Linux: where util-linux's `setpriv` is at hand, the kernel itself ends a server whose
parent was killed (prctl(2), PR_SET_PDEATHSIG). It does so when the *thread* that started the server ends, so start
services from the main thread.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO

from scaffold.errors import NotStarted, VerifyError
from scaffold.kinds.missing import Missing, Sort, missing
from scaffold.running.ports import why_taken
from scaffold.topology.address import Address
from scaffold.topology.model import HostPort

READY_WITHIN = 120.0
"""Seconds for all servers together to say that they accept connections; some compile at their first start."""

TOLD_AFTER = 2.0
"""Seconds of waiting for one service after which that is said, and for what."""

TOLD_EVERY = 15.0
"""Seconds until it is said again."""

STOP_WITHIN = 5.0
"""Seconds between TERM and KILL."""

_LISTENS_WITHIN = 5.0
"""Seconds from the ready line until the port must be taken: a program may hand it on to another process first."""

_HEARD_WITHIN = 5.0
"""Seconds for what a service printed before it ended to be read; a process that it left behind may hold its output."""

_BETWEEN_LOOKS = 0.05

_WHERE_IT_LISTENS = "undo the edit of its settings, or change `listen` (or `health`) in the topology and apply"
_WHERE_AN_APP_LISTENS = (
    "it gets its address by HOST and PORT in its environment; that must be the `backend` in the topology"
)

KEPT_LINES = 200
SHOWN_LINES = 8

_LONGEST_LINE = 65_536
"""What is longer comes in pieces: a program may print for ever without a line feed."""

_SEARCHED = 1_000
"""So many characters of a line are searched for what says that a service is ready."""

_HANDED_ON = ("PATH", "LANG", "LC_*", "TZ", "TERM", "TMPDIR", "LD_LIBRARY_PATH")
"""Of our own environment a child sees these alone, and what its template declares that it needs: no passwords of CA
keys, and no LISTEN of somebody else's."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What it takes to start one service. `ready` is the kind's regular expression, searched for in each line.

    `environment` holds what is set on top of the little that is handed on (LISTEN, HEALTH, UPSTREAM, CALL_NAME).
    `inherits` are the patterns of what is handed on besides, as the kind declares them.
    `through` is a command that runs the one that follows it, such as nohup.
    `listens` is where somebody must listen once it is ready: settings that a person has edited may lead elsewhere.
    `who` is what errors call it; the server of that name unless it is given.
    `command` is run in `folder` in place of the run.sh there. `asked` takes the place of a ready line: it says what is
    there in place of a service that is ready, and None once it is ready. `awaits` is what is waited for, in words.
    """

    name: str
    folder: Path
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)
    inherits: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    listens: tuple[HostPort, ...] = ()
    who: str = ""
    command: tuple[str, ...] = ()
    asked: Callable[[], str | None] | None = None
    awaits: str = "its run.sh to report that it is ready"


def environment(home: Path, extra: Mapping[str, str], inherits: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a rendered project: its own HOME, so that no two share a cache of CRLs and OCSP answers.

    A project that puts that cache into its own folder otherwise takes the same place from SERVICE_HOME.
    """
    return {**handed_on(inherits), "HOME": str(home), "SERVICE_HOME": str(home), **extra}


def handed_on(inherits: Iterable[str] = ()) -> dict[str, str]:
    """What a program that is started here sees of our own environment, and where it is looked for: in PATH.

    `inherits` are patterns of names that it needs besides.
    """
    patterns = (*_HANDED_ON, *inherits)
    seen = {
        name: value for name, value in os.environ.items() if any(fnmatch.fnmatchcase(name, one) for one in patterns)
    }
    return {**seen, "PATH": _search_path(seen.get("PATH", os.defpath))}


def installed(command: str) -> bool:
    """Whether `where` finds a command."""
    return where(command) is not None


def where(command: str) -> str | None:
    """What a program that is started here finds by a command, or the first program at `/whole/path/*/command`."""
    if command.startswith("/"):
        paths = sorted(map(str, Path("/").glob(command[1:])))
        return next((path for path in paths if os.access(path, os.X_OK)), None)
    return shutil.which(command, path=handed_on()["PATH"])


def _search_path(path: str) -> str:
    """`path` and, behind it, where Debian keeps servers, out of an ordinary user's PATH."""
    folders = path.split(os.pathsep)
    return os.pathsep.join([*folders, *(folder for folder in _FOR_ADMINISTRATORS if folder not in folders)])


_FOR_ADMINISTRATORS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


OnWait = Callable[[str, str], None]
"""Called with the name of what is waited for, and with what is waited for and how long yet."""


def _say_nothing(name: str, said: str) -> None:
    pass


class Service:
    """One running server: its process group, its last lines, and the event of being ready.

    A thread of its own calls `on_line(name, line)` for each line it prints and `on_end(self)` when it prints no more.
    """

    def __init__(
        self,
        launch: Launch,
        home: Path,
        on_line: Callable[[str, str], None] | None = None,
        on_end: Callable[[Service], None] | None = None,
    ) -> None:
        self.name = launch.name
        self._who = launch.who or str(Address.server(launch.name))
        self._on_end = on_end
        self._ready_line = re.compile(launch.ready)
        self._listens = launch.listens
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._on_line = on_line
        self._settled = threading.Event()
        self._silent = threading.Event()
        self._is_ready = False
        self._asked = launch.asked
        self._awaits = launch.awaits
        self._found: str | None = None
        self._waited = 0.0
        self._folder = launch.folder
        self._by_command = bool(launch.command)
        self._by_hand = "its command" if launch.command else "its run.sh"
        command = launch.command or (str(launch.folder / "run.sh"),)
        try:
            self._process = subprocess.Popen(
                [*_die_with_parent(), *launch.through, *command],
                cwd=launch.folder,
                env=environment(home, launch.environment, launch.inherits),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise NotStarted(
                f"{self._who} cannot be started: {command[0]}: {error.strerror}",
                hint="run `scaffold plan` to see what is missing, `scaffold apply` to make it",
            ) from error
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), name=f"output of {self.name}", daemon=True
        )
        self._reader.start()

    def _read(self, output: IO[str]) -> None:
        with output:
            for raw in iter(lambda: output.readline(_LONGEST_LINE), ""):
                line = raw.rstrip("\n")
                self._lines.append(line)
                if self._asked is None and not self._is_ready and self._ready_line.search(line[:_SEARCHED]):
                    self._is_ready = True
                    self._settled.set()
                if self._on_line is not None:
                    self._on_line(self.name, line)
        self._silent.set()
        self._settled.set()
        if self._on_end is not None:
            self._on_end(self)

    @property
    def pid(self) -> int:
        """The process that leads the service's own process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines it printed, standard output and error together."""
        return tuple(self._lines)[-SHOWN_LINES:]

    def wait_until_ready(self, deadline: float, on_wait: OnWait = _say_nothing) -> None:
        """Return once it has printed its ready line and listens; `deadline` is on the clock of time.monotonic().

        Where that takes a while, `on_wait` is told its name and what is waited for. Raises NotStarted with its last
        lines where it ends first, stays silent, or listens elsewhere.
        """
        began = time.monotonic()
        told = began + TOLD_AFTER
        while not self._has_settled(min(told, deadline)) and time.monotonic() < deadline:
            on_wait(self.name, f"{self._waits()}, {deadline - time.monotonic():.0f} s more at most")
            told = time.monotonic() + TOLD_EVERY
        self._waited = time.monotonic() - began
        if not self._is_ready:
            raise NotStarted(self.epitaph(), hint=self._what_helps())
        for address in self._listens:
            self._check_listens(address)

    def _has_settled(self, until: float) -> bool:
        """Whether it is ready, or has ended, by then."""
        if self._asked is None:
            return self._settled.wait(max(0.0, until - time.monotonic()))
        while self.running:
            self._found = self._asked()
            if self._found is None:
                self._is_ready = True
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_BETWEEN_LOOKS)
        return True

    def _waits(self) -> str:
        found = f" ({self._found})" if self._found is not None else ""
        return f"not ready yet: waiting for {self._awaits}{found}"

    def _check_listens(self, address: HostPort) -> None:
        deadline = time.monotonic() + _LISTENS_WITHIN
        while why_taken(address) is None:
            if not self.running:
                raise NotStarted(self.epitaph(), hint="see its own output")
            if time.monotonic() > deadline:
                raise NotStarted(
                    f"{self._who} reports that it is ready, but does not listen on {address} as in the topology; "
                    f"its last lines:{self._said()}",
                    hint=_WHERE_AN_APP_LISTENS if self._by_command else _WHERE_IT_LISTENS,
                )
            time.sleep(_BETWEEN_LOOKS)

    def epitaph(self) -> str:
        """One sentence on how it ended or did not become ready, and its last lines."""
        status = self._process.poll()
        if status is None and self._silent.is_set():
            # It closed its output; a process that is just ending gets the moment it needs to say with what status.
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(1.0)
        if status is not None:
            self._silent.wait(_HEARD_WITHIN)
        match status:
            case None:
                fate = "did not report that it is ready" if not self._by_command else self._not_ready()
            case _ if status < 0:
                fate = f"was ended by {signal.Signals(-status).name}"
            case _:
                fate = f"ended with exit status {status}"
        return f"{self._who} {fate}; its last lines:{self._said()}"

    def _not_ready(self) -> str:
        found = f", and found: {self._found}" if self._found is not None else ""
        return f"is not ready after {self._waited:.0f} s of waiting for {self._awaits}{found}"

    def _what_helps(self) -> str:
        if self._by_command and self.running:
            return (
                "`app.ready` in the topology sets what `up` waits for: a path that answers 200, or {line: "
                "REGEX}; without it, that the app listens. Do slow work, such as compiling, before. Run the "
                f"command by hand in {self._folder} to see its output"
            )
        if self._by_command and (found := missing("\n".join(self._lines))) is not None:
            return _how_to_have(found, self._folder)
        if not self._lines:
            return f"run {self._by_hand} by hand to see its output"
        more = f"; run {self._by_hand} by hand to see all of it" if len(self._lines) > SHOWN_LINES else ""
        return f"see its own output{more}"

    def _said(self) -> str:
        return "".join(f"\n  {line}" for line in self.last_lines) or "\n  (it printed nothing)"

    def signal(self, number: signal.Signals) -> None:
        """Send `number` to its whole process group; nothing happens where that is gone."""
        if self._process.returncode is not None and not self._reader.is_alive():
            return  # Its leader is reaped and nobody holds its output: the number may already be another's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def reload(self) -> None:
        """Send HUP to its run.sh alone, as systemd's ExecReload does; nothing happens where that is gone."""
        self._process.send_signal(signal.SIGHUP)

    def finish(self, deadline: float) -> None:
        """Wait for it until `deadline`, then KILL what is left of its process group."""
        self._reader.join(max(0.0, deadline - time.monotonic()))
        try:
            if self._reader.is_alive():
                self.signal(signal.SIGKILL)
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait()
        self._reader.join(1.0)


def _how_to_have(found: Missing, folder: Path) -> str:
    """What to do so that an app has what it lacks."""
    match found.sort:
        case Sort.MODULE:
            pip = f"`.venv/bin/pip install {found.package}`"
            return f"install {found.package} where it looks for modules; in a virtual environment in {folder}: {pip}"
        case Sort.NODE_PACKAGE:
            return f"run `npm install` in {folder}, which needs {found.package} among its dependencies"
        case Sort.PROGRAM:
            return f"install {found.name}, so that it is on PATH"


class Services:
    """Services that live and die together: a context manager that stops them all, however its block ends."""

    def __init__(self, on_line: Callable[[str, str], None] | None = None) -> None:
        self._on_line = on_line
        self._services: list[Service] = []
        self._ended: queue.SimpleQueue[Service] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._homes = tempfile.TemporaryDirectory(prefix="scaffold-homes-", ignore_cleanup_errors=True)

    def __enter__(self) -> Services:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Service]:
        return iter(self._services)

    def start(
        self,
        launches: Iterable[Launch],
        within: float = READY_WITHIN,
        on_ready: Callable[[str], None] = lambda name: None,
        on_wait: OnWait = _say_nothing,
    ) -> tuple[Service, ...]:
        """Start all of them side by side; return once every one is ready. `on_ready` is told each one's name.

        `on_wait` is told of one that takes its time. Raises NotStarted for the first that ends or stays silent for
        `within` seconds.
        """
        deadline = time.monotonic() + within
        started = [self._begun(launch) for launch in launches]
        for service in started:
            service.wait_until_ready(deadline, on_wait)
            on_ready(service.name)
        return tuple(started)

    def start_each(
        self,
        launches: Iterable[Launch],
        within: float = READY_WITHIN,
        on_ready: Callable[[str], None] = lambda name: None,
    ) -> Mapping[str, VerifyError]:
        """The same, where one that does not become ready is ended, and keeps none of the others: why, by its name."""
        deadline = time.monotonic() + within
        started = []
        failed: dict[str, VerifyError] = {}
        for launch in launches:
            try:
                started.append(self._begun(launch))
            except VerifyError as error:
                failed[launch.name] = error
        for service in started:
            try:
                service.wait_until_ready(deadline)
            except VerifyError as error:
                failed[service.name] = error
                service.signal(signal.SIGTERM)
            else:
                on_ready(service.name)
        return failed

    def _begun(self, launch: Launch) -> Service:
        home = Path(tempfile.mkdtemp(prefix=f"{launch.name}-", dir=self._homes.name))
        service = Service(launch, home, self._on_line, self._ended.put)
        self._services.append(service)
        return service

    def wait_for_an_end(self) -> Service:
        """Block until one of them has ended, and return it."""
        return self._ended.get()

    def reload_on_change(self, folders: Mapping[str, Path], every: float = 1.0) -> None:
        """From now on, send HUP to the service of each name once what is in its folder has changed and settled.

        Looks `every` so many seconds: files of one change are renamed one after the other.
        """
        loaded = {name: _state(folder) for name, folder in folders.items()}
        watched = [(service, folders[service.name]) for service in self._services if service.name in folders]

        def watch() -> None:
            last = dict(loaded)
            while not self._stopping.wait(every):
                for service, folder in watched:
                    state = _state(folder)
                    if state == last[service.name] != loaded[service.name]:
                        loaded[service.name] = state
                        service.reload()
                    last[service.name] = state

        threading.Thread(target=watch, name="reload", daemon=True).start()

    def stop(self) -> None:
        """TERM to all, KILL to what is left, and their homes removed. A second interruption kills at once."""
        self._stopping.set()
        try:
            for service in self._services:
                service.signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_WITHIN
            for service in self._services:
                service.finish(deadline)
        except BaseException:
            for service in self._services:
                service.signal(signal.SIGKILL)
            raise
        finally:
            self._services.clear()
            self._homes.cleanup()


def _state(folder: Path) -> frozenset[tuple[str, int, int]]:
    """What is in a folder: each file's name, number and time. A renamed file has another number."""
    found = set()
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                seen = path.stat()
                found.add((path.name, seen.st_ino, seen.st_mtime_ns))
    return frozenset(found)


def _die_with_parent() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()


class Terminated(SystemExit):
    """TERM or HUP arrived: an exception, so that every block on the way out cleans up. Exits with 128 + 15."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextlib.contextmanager
def termination_as_exception() -> Iterator[None]:
    """Within the block TERM and HUP raise Terminated in the main thread. Elsewhere than there it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = {number: signal.signal(number, terminate) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
