"""Runs the publisher: uvicorn, a look at the output folder every second, and a clean end on TERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Generator, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from scaffold.errors import AddressTaken, PublishError, ScaffoldError
from scaffold.publish.app import LARGEST_BODY, Clock, JsonLines, Publisher
from scaffold.publish.state import Source, State
from scaffold.running.listeners import who_listens
from scaffold.running.ports import NO_SUCH_ADDRESS, is_elsewhere
from scaffold.topology.model import HostPort

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the output folder."""

REQUEST_WITHIN: Final = 10.0
"""Seconds for the head of a request to arrive; a connection that says nothing is closed then."""

READ_WITHIN: Final = 60.0
"""Seconds for a client to read its answer; a large CRL over a thin line takes some."""

MOST_CONNECTIONS: Final = 700
"""Connections at a time: with two bursts that are accepted at once, fewer than the usual limit of 1,024 open files."""

LARGEST_HEAD: Final = 16 * 1024
"""Octets of a request's head, and the size of the pieces in which whatever arrives is read."""

LARGEST_CHUNKED_BODY: Final = 16 * 1024
"""The same of a body in chunks, as it arrives: h11 takes some microseconds for each, be it of one octet."""

SHUT_WITHIN: Final = 5
"""Seconds for the answers under way when the publisher is told to end."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})

_log = logging.getLogger("scaffold.publish")


def address(publish: str) -> HostPort:
    """Where to listen for what is published at the URL `publish`: on loopback, at its port."""
    url = urlsplit(publish)
    host = url.hostname if url.hostname in _LOOPBACK else "127.0.0.1"
    return HostPort(host or "127.0.0.1", url.port or 80)


def listening(where: HostPort) -> socket.socket:
    """A socket that listens there. Raises AddressTaken where it cannot."""
    try:
        family, kind, protocol, _, found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # An address in TIME_WAIT is free, one that somebody listens on is not (socket(7)).
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(found)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if is_elsewhere(error):
            raise AddressTaken(
                f"the publisher cannot listen on {where}: {NO_SUCH_ADDRESS}",
                hint="`ip addr` shows those that it has; `scaffold publish --listen HOST:PORT` listens on one of them",
            ) from error
        holder = who_listens(where)
        raise AddressTaken(
            f"the publisher cannot listen on {where}: {error.strerror or error}"
            + (f" ({holder} listens there)" if holder else ""),
            hint=f"stop {holder or 'the program that uses it'}; this port cannot change, since certificates point "
            "to `publish` of the topology",
        ) from error
    return listener


_BACKLOG: Final = 128
"""Also how many connections asyncio accepts in one go, before any of them can be counted."""


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on who does not send its request, or does not read its answer.

    Nor does it read more of one request than an OCSP request can be: while h11 does, everybody else waits.
    uvicorn waits for a first request, and for a reader, for ever. Where too many are there, the one that has been
    silent for longest makes room: without a free file descriptor asyncio would do nothing but log.
    uvicorn has a setting for none of this, and the parts of its protocol that are used here are not documented: each is
    seen at work by the tests.
    """

    _heard_at = 0.0
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _of_body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._heard_at = self.loop.time()
        self._expect_a_request()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        self._read(data)
        if self._is_busy:
            _cancel(self._deadline)
            self._deadline = None
        else:
            self._expect_a_request()

    def _read(self, data: bytes) -> None:
        for start in range(0, len(data), LARGEST_HEAD):
            piece = data[start : start + LARGEST_HEAD]
            super().data_received(piece)
            self._of_body = self._of_body + len(piece) if self.conn.their_state is h11.SEND_BODY else 0
            if self._of_body > self._most_of_body and self.cycle is not None:
                self._read_no_more(self.cycle)
                return
            if self.transport.is_closing():
                return

    @property
    def _most_of_body(self) -> int:
        is_chunked = any(name == b"transfer-encoding" for name, _ in self.headers or ())
        return LARGEST_CHUNKED_BODY if is_chunked else LARGEST_BODY

    def _read_no_more(self, cycle: RequestResponseCycle) -> None:
        """The application answers what it has seen of the request, and then it is over."""
        self.flow.pause_reading()
        cycle.keep_alive = False

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(READ_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        _cancel(self._stalled)
        super().resume_writing()

    def shutdown(self) -> None:
        with contextlib.suppress(h11.LocalProtocolError):  # it is in the middle of an error of its own
            super().shutdown()
            return
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._deadline)
        _cancel(self._stalled)
        super().connection_lost(exc)

    def _make_room(self) -> None:
        others = (one for one in self.connections if isinstance(one, ImpatientProtocol) and one is not self)
        quietest = min(others, key=lambda one: (one._is_busy, one._heard_at))
        quietest.transport.abort()
        self.connections.discard(quietest)  # it hears of its end later, and must not make room twice

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_a_request(self) -> None:
        if self._deadline is None:
            # `close` would wait for the rest of an answer that is not read.
            self._deadline = self.loop.call_later(REQUEST_WITHIN, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


class Server(uvicorn.Server):
    """uvicorn that calls `look` every second while it serves."""

    def __init__(self, config: uvicorn.Config, keeper: Keeper) -> None:
        super().__init__(config)
        self._keeper = keeper
        self.settled = threading.Event()
        """Set once it accepts connections, or has given up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """TERM and INT end it, and that is all: uvicorn's own raises the signal again after a clean end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._watcher = asyncio.create_task(self._keeper.watch())
        where = ", ".join(":".join(map(str, one.getsockname()[:2])) for one in sockets or ())
        _log.info("ready", extra={"fields": {"listen": where}})
        self.settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("ending")
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher
        await super().shutdown(sockets)
        _log.info("ended")


class Keeper:
    """Looks after a state; nothing that goes wrong ends it."""

    def __init__(self, state: State, clock: Clock, publisher: Publisher) -> None:
        self._state = state
        self._clock = clock
        self._publisher = publisher
        self._told: str | None = None

    async def watch(self) -> None:
        """Look every second, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Refresh the state once; an error is counted, and logged unless it is the one of the last look."""
        try:
            if self._state.refresh(self._clock()):
                _log.info("refreshed")
            self._told = None
        except Exception as error:
            self._publisher.metrics.failures.inc()
            if self._told != repr(error):
                self._told = repr(error)
                details = None if isinstance(error, ScaffoldError) else error
                _log.error("refresh failed", exc_info=details, extra={"fields": {"why": str(error)}})


def make_server(state: State, clock: Clock, source: Source | None = None) -> Server:
    """A server that is ready to run on a socket; `state` has been opened. `source`: what is served instead of it."""
    publisher = Publisher(source or state, clock, state.problems)
    config = uvicorn.Config(
        publisher.application(),
        http=ImpatientProtocol,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUT_WITHIN,
        backlog=_BACKLOG,
    )
    return Server(config, Keeper(state, clock, publisher))


def serve(state: State, clock: Clock, listen: HostPort) -> None:
    """Serve until TERM or INT; what is under way then is answered. Raises PublishError, as `State.open` does too."""
    with contextlib.closing(listening(listen)) as listener:
        state.open(clock())
        make_server(state, clock).run([listener])


@contextlib.contextmanager
def running(state: State, clock: Clock, listen: HostPort, source: Source | None = None) -> Iterator[HostPort]:
    """A publisher on a thread of this process; yields where it listens. Raises PublishError."""
    with contextlib.closing(listening(listen)) as listener:
        server = make_server(state, clock, source)
        thread = threading.Thread(target=_run, args=(server, listener), name="publisher", daemon=True)
        thread.start()
        try:
            server.settled.wait()
            if not server.started:
                raise PublishError("the publisher did not start", hint="its log says why")
            yield HostPort(listen.host, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def _run(server: Server, listener: socket.socket) -> None:
    try:
        server.run([listener])
    finally:
        server.settled.set()


def log_to(stream: Any, level: int = logging.INFO) -> None:
    """Structured log, one JSON object a line, for a publisher that has the process to itself."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    for name, least in (("scaffold.publish", level), ("uvicorn.error", logging.WARNING), ("asyncio", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False
