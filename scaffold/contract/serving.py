"""What is checked of a running server: that it comes up, moves, reloads, withstands strangers, and ends."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from scaffold.contract.model import Failed, Untried
from scaffold.contract.room import Room, Running, copy_project
from scaffold.contract.topologies import GREETING
from scaffold.pki import keys
from scaffold.store import projects
from scaffold.topology.model import HostPort
from scaffold.verify import tls
from scaffold.verify.http import Answered, call_plainly
from scaffold.verify.judge import Welcome, json_object, misnamed
from scaffold.verify.protocol import PATIENCE

_STRANGERS = 64
"""As many that say nothing, and that stop in the middle of a handshake, each."""

_DAWDLERS = 16
"""As many with a certificate that is valid and not allowed, who send a request byte by byte."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
_PATHS = ("/", "/.mtls/caller", "/call/desk", "/.mtls/other", "//", "/%2e%2e/", "/index.html?x=1")
_MOST_FOUND = 50
"""Paths that are in the files of a project, so many of which are tried by each method."""

_PATH = re.compile(r"""(?:^|[\s"'`(=^])(/[A-Za-z0-9._~%-][A-Za-z0-9._~%/-]*)""", re.MULTILINE)
"""What begins with a slash where a string or a word begins, as routes and conditions have it."""

_NO_HOME = Path("/dev/null/home")
"""A place that nobody can make."""

_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def becomes_ready(room: Room) -> str:
    """It prints its line, and from then on it answers."""
    room.running.ask_allowed()
    return "it reported that it is ready, and answered"


def moves(room: Room) -> str:
    """`LISTEN` and `HEALTH` move it, and nothing is left where it was rendered."""
    running, server = room.running, room.server
    running.ask_allowed()
    for address in (server.listen, *([server.health] if server.health else [])):
        if _answers(address):
            raise Failed(f"it listens on {address} all the same")
    if running.health is None:
        return "LISTEN moves it"
    match call_plainly(running.health, "/healthz"):
        case Answered(200, body) if body.strip() == b"ok":
            return "LISTEN and HEALTH move it"
        case outcome:
            raise Failed(f"/healthz where HEALTH says: {outcome}")


def says_who_called(room: Room) -> str:
    """The answer names the caller; over HTTP, `/` answers as rendered, the greeting whole."""
    running = room.running
    answer = _told("the answer", room, running.ask_allowed().answer)
    if not _speaks_http(room):
        return "unusual names came back unchanged"
    answer = _told("/", room, running.ask(path="/").body)
    if room.kind.defaults.get("greeting") and answer.get("greeting") != GREETING:
        raise Failed(f"the greeting came back as {json.dumps(answer.get('greeting'))}")
    return "unusual names and the greeting came back unchanged"


def _told(what: str, room: Room, body: bytes) -> dict[str, object]:
    teller = room.applied.topology.clients["teller"]
    welcome = Welcome(room.server.name, teller.identity, roles=teller.roles.get(room.server.name, ()))
    answer = json_object(body) or {}
    if (wrong := misnamed(answer, welcome)) is not None:
        raise Failed(f"{what} {wrong}")
    return answer


def refuses_before_routing(room: Room) -> str:
    """A valid caller that is not allowed gets 403 (or an end of TLS), whatever the method and the path."""
    if not _speaks_http(room):
        raise Untried("it speaks no HTTP")
    running = room.running
    running.ask_allowed()
    found = paths_in(_that_answer(room))
    for method, path in itertools.product(_METHODS, dict.fromkeys((*_PATHS, *found))):
        if (status := _status(running, method, path)) not in (None, 400, 401, 403):
            raise Failed(f"{method} {path} of a caller that is not allowed: HTTP {status}")
    return f"{len(_METHODS)} methods, {len(_PATHS)} paths and {len(found)} more from its files"


def paths_in(files: Iterable[Path]) -> tuple[str, ...]:
    """What looks like the path of a URL in files: one of them may answer before anybody is refused.

    What is a file of this machine is more likely that, and comes last: there are no more than so many.
    """
    found: dict[str, None] = {}
    for file in files:
        found |= dict.fromkeys(_PATH.findall(file.read_text("utf-8", "replace")))
    return tuple(sorted(found, key=os.path.exists)[:_MOST_FOUND])


def _that_answer(room: Room) -> Iterator[Path]:
    """The files that were rendered of it, without prose and what lies in `tls/`."""
    layout, address = room.applied.layout, room.server.address
    paths = room.applied.paths(address)
    for path in sorted(projects.load(layout).of(address).files):
        if not paths.is_in_tls(path) and not path.endswith(".md"):
            yield layout.path(path)


def bears_strangers(room: Room) -> str:
    """Silent and slow strangers stop nobody."""
    running = room.running
    with ExitStack() as stack:
        for number in range(2 * _STRANGERS):
            plain = stack.enter_context(_connected(running.listen))
            if number % 2:
                plain.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        dawdlers = [_dawdler(stack, running) for _ in range(_DAWDLERS)]
        for _ in range(3):
            running.ask_allowed()
            for dawdler in dawdlers:
                with contextlib.suppress(tls.TlsError, OSError):  # it may be sent away
                    dawdler.sendall(b"a")
    return f"{2 * _STRANGERS} silent, {_DAWDLERS} slow"


def keeps_its_keys(room: Room) -> str:
    """Nobody else can read a private key while it runs, and no copy of one is left behind."""
    folder = room.applied.folder(room.server.address)
    with room.started() as running:
        running.ask_allowed()
        for path in _with_keys(folder):
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise Failed(f"{path.relative_to(folder)} holds a private key, and others can read it")
    for path in _with_keys(folder):
        if path.parent != folder / "tls":
            raise Failed(
                f"{path.relative_to(folder)} is a copy of a private key that stays after the end and is not renewed"
            )
    return "readable by its owner alone, and only in tls/ after the end"


def _with_keys(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if not path.is_symlink() and path.is_file() and _PRIVATE_KEY.search(path.read_bytes()):
            yield path


def reloads(room: Room) -> str:
    """HUP loads what is new in `tls/`, and no request is lost."""
    return _reloads(room, room.running)


def reloads_under_nohup(room: Room) -> str:
    """The same where HUP was ignored when it started, as `nohup` has it."""
    room.check_can_run()
    if shutil.which("nohup") is None:
        raise Untried("nohup is not installed")
    with room.started(through=("nohup",)) as running:
        return _reloads(room, running)


def keeps_serving(room: Room) -> str:
    """A `tls/` that cannot be read, or whose key is another's, leaves the old pair in service."""
    running = room.running
    running.ask_allowed()
    folder = room.applied.folder(room.server.address) / "tls"
    away = folder.with_name("tls-away")
    folder.rename(away)
    try:
        _tell(running)
        running.ask_allowed()
    finally:
        away.rename(folder)
    with _another_key(room, folder):
        _tell(running)
        running.ask_allowed()
    # A HUP that arrives while another is being answered may be lost, so more than one is sent.
    _reloads(room, running, again=5.0)
    return "it went on serving with the old pair"


def needs_no_home(room: Room) -> str:
    """It starts without a home folder, from any working directory."""
    with room.started(home=_NO_HOME, through=("sh", "-c", 'cd / && exec "$0"')) as running:
        running.ask_allowed()
    return "without HOME, from /"


def runs_when_copied(room: Room) -> str:
    """A copy of the folder runs, and without its key it does not say that it is ready."""
    room.check_can_run()
    copy = room.folder / "copied" / room.server.name
    copy_project(room.applied.folder(room.server.address), copy)
    with room.started(folder=copy) as running:
        running.ask_allowed()
    with _another_key(room, copy / "tls"):
        try:
            with room.started(folder=copy):
                pass
        except Failed:
            return "a copy starts; with a key that does not match its certificate it does not"
    raise Failed("it reports that it is ready with a key that does not match its certificate")


def ends_on_term(room: Room) -> str:
    """TERM to run.sh ends it and all that it has started."""
    running = room.running
    running.ask_allowed()
    with _connected(running.listen):
        os.kill(running.service.pid, signal.SIGTERM)
        if not _within(lambda: not running.service.running, room.patience):
            raise Failed(f"it still runs {room.patience:g} s after TERM")
    if not _within(lambda: not _answers(running.listen), room.patience):
        raise Failed("run.sh has ended, and something still listens")
    return "run.sh has ended, and nothing listens"


# --- Reloading -------------------------------------------------------------------------------------------------------


def _reloads(room: Room, running: Running, *, again: float | None = None) -> str:
    """`again`: after how many seconds without the new certificate HUP is sent once more."""
    running.ask_allowed()
    with _constant_calls(running) as lost:
        wanted = room.renew()

        # Once is enough: for a moment, connections may still come to processes that have the old one.
        def has_shown_it() -> bool:
            return not running.service.running or _shows(running, wanted)

        every = again or room.patience
        loaded = any(_told_and(running, has_shown_it, every) for _ in range(max(1, int(room.patience // every))))
    if not running.service.running:
        raise Failed("HUP ended it")
    if not loaded:
        raise Failed(f"it shows the old certificate {room.patience:g} s after HUP")
    if lost:
        raise Failed(f"a request was lost meanwhile: {lost[0]}")
    running.ask_allowed()
    return "the new certificate is shown, and no request was lost"


def _told_and(running: Running, condition: Callable[[], bool], seconds: float) -> bool:
    running.service.reload()
    return _within(condition, seconds)


def _shows(running: Running, serial: int) -> bool:
    try:
        return running.serial() == serial
    except Failed:
        return False


@contextlib.contextmanager
def _constant_calls(running: Running) -> Iterator[list[str]]:
    """Calls one after the other meanwhile; collects how those went that were not answered."""
    lost: list[str] = []
    done = threading.Event()

    def go_on() -> None:
        while not done.is_set():
            try:
                running.ask_allowed()
            except Failed as error:
                lost.append(str(error))

    thread = threading.Thread(target=go_on, name="constant calls", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()


def _tell(running: Running) -> None:
    """Sends HUP, and gives it the time to do something wrong: until it says no more, or for a while."""
    before = running.service.last_lines
    running.service.reload()
    _within(lambda: running.service.last_lines != before, 3.0)
    while _goes_on(running):
        pass
    if not running.service.running:
        raise Failed("it ended instead of going on")


def _goes_on(running: Running) -> bool:
    """Whether it says anything within a moment."""
    said = running.service.last_lines
    return _within(lambda: running.service.last_lines != said, 0.5)


@contextlib.contextmanager
def _another_key(room: Room, folder: Path) -> Iterator[None]:
    """`tls/` with a key that is not its certificate's, and with no bundle that could be opened, for a while."""
    kept = {path: path.read_bytes() for name in ("key.pem", "bundle.pfx") if (path := folder / name).exists()}
    try:
        for path in kept:
            path.write_bytes(keys.to_pem(room.randomness.key("another", room.server.key)))
        yield
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def _within(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


# --- Connections -----------------------------------------------------------------------------------------------------


def _connected(address: HostPort) -> socket.socket:
    try:
        return tls.dial(address, PATIENCE)
    except OSError as error:
        raise Failed(f"no connection to {address}: {error.strerror or error}") from error


def _answers(address: HostPort) -> bool:
    try:
        tls.dial(address, 1.0).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _connecting(running: Running, client: str) -> Iterator[tls.Connection]:
    """A connection with a client's certificate, before its handshake."""
    context = tls.client_context(running.room.applied.credentials(client))
    with _connected(running.listen) as plain:
        yield tls.connecting(context, plain, "localhost")


def _dawdler(stack: ExitStack, running: Running) -> tls.Connection:
    connection = stack.enter_context(_connecting(running, "stranger"))
    with contextlib.suppress(tls.TlsError, OSError):
        connection.handshake()
        connection.sendall(b"GET /")
    return connection


def _status(running: Running, method: str, path: str) -> int | None:
    """The status of what a caller that is not allowed is answered; None where the connection ended."""
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with _connecting(running, "stranger") as connection:
        try:
            connection.handshake()
            connection.sendall(request.encode())
            first = connection.recv(1 << 14)
        except (tls.TlsError, OSError):
            return None
    found = re.match(rb"HTTP/1\.[01] (\d{3})", first)
    return int(found[1]) if found else None


def _speaks_http(room: Room) -> bool:
    return room.kind.conversation is None
