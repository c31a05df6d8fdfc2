"""Runs the publisher: uvicorn, a look at the output folder every second, and a clean end on TERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from scaffold.errors import VerifyError
from scaffold.publish.app import Clock, JsonLines, Publisher
from scaffold.publish.state import State, refresh_or_keep
from scaffold.topology.model import HostPort

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the output folder."""

REQUEST_WITHIN: Final = 10.0
"""Seconds for the head of a request to arrive; a connection that says nothing is closed then."""

READY_WITHIN: Final = 10.0

_log = logging.getLogger("scaffold.publish")


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request does not arrive; uvicorn waits for a first one for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_WITHIN, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """uvicorn that looks after the publisher's state while it serves."""

    def __init__(self, config: uvicorn.Config, state: State, clock: Clock) -> None:
        super().__init__(config)
        self._state = state
        self._clock = clock
        self.settled = threading.Event()
        """Set once it listens, or has given up."""

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._watcher = asyncio.create_task(self._watch())
            self.settled.set()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher
        await super().shutdown(sockets)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            error = await asyncio.to_thread(refresh_or_keep, self._state, self._clock())
            if error is not None:
                _log.error("refresh failed", extra={"fields": {"error": error.message}})


def make_server(state: State, clock: Clock, listen: HostPort) -> Server:
    """A server that is ready to run; `state` has been refreshed once."""
    config = uvicorn.Config(
        Publisher(state, clock).application(),
        host=listen.host,
        port=listen.port,
        http=ImpatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return Server(config, state, clock)


def log_to_stderr() -> None:
    """Structured log on stderr, for a publisher that has the process to itself."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("scaffold.publish", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


@contextlib.contextmanager
def running(state: State, clock: Clock, listen: HostPort) -> Iterator[Server]:
    """A publisher on a thread of this process, listening once this yields. Raises VerifyError where it cannot."""
    server = make_server(state, clock, listen)
    thread = threading.Thread(target=_run, args=(server,), name="publisher", daemon=True)
    thread.start()
    try:
        server.settled.wait(READY_WITHIN)
        if not server.started:
            raise VerifyError(
                f"the publisher cannot listen on {listen}",
                hint="something else listens there; the port stands in the certificates and cannot be moved",
            )
        yield server
    finally:
        server.should_exit = True
        thread.join(READY_WITHIN)


def _run(server: Server) -> None:
    try:
        server.run()
    except SystemExit:
        pass  # uvicorn's way to say that the port is taken
    finally:
        server.settled.set()
