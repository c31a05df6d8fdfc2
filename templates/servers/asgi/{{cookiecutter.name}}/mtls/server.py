"""Serves the application of app.py to the callers in tls/allowed.json. Started by start.py."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from mtls import health, logs, outgoing, settings, workers
from mtls.connections import Listener, Place, bind
from mtls.guard import Application, Guard
from mtls.handshake import Store
from mtls.outgoing import Outgoing
from mtls.protocols import IDLE_SECONDS, Guarded, Paced
from mtls.standing import Standing
from mtls.tls import UNUSABLE, explain

log = logging.getLogger("server")

HERE = Path(__file__).resolve().parent.parent
POLL_SECONDS = 1
MOST_OF_A_HEAD = 64 * 1024
PATIENCE_SECONDS = 5


def main() -> int:
    """Serves until TERM or INT. Exits 1 where the settings, app.py or what lies in tls/ cannot be used."""
    logs.begin()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it serves: what it loads is new
    try:
        current = settings.load(HERE / "settings.json")
        count = workers.how_many(HERE / "settings.json")
        sockets = [bind(address.host, address.port) for address in (current.listen, current.health) if address]
    except UNUSABLE as error:
        print(explain(error), file=sys.stderr)
        return 1

    def say_ready() -> None:
        with contextlib.suppress(OSError):  # a full disk, a reader that is gone: it serves all the same
            print(f"ready: {current.name} on https://{current.listen}", flush=True)

    def serve(ready: Callable[[], None]) -> int:
        return _serve(current, sockets, ready)

    return serve(say_ready) if count == 1 else workers.run(count, serve, say_ready)


def _serve(current: settings.Settings, sockets: list[socket.socket], ready: Callable[[], None]) -> int:
    """One process that serves; `ready` is called once it does. Its exit code."""
    try:
        store = Store(HERE / "tls")
        calls = Outgoing(current, store)
        outgoing.use(calls)
        guard = Guard(_application(), current, store, Standing(HERE / "tls"), calls)
    except UNUSABLE as error:
        print(explain(error), file=sys.stderr)
        return 1
    logs.assert_own()
    server = _Server(guard, store, sockets, _config(guard.without_connection, current.name), ready)
    try:
        asyncio.run(server.serve())
    except SystemExit:  # the application's own start failed; uvicorn has said how
        return 1
    return 1 if server.has_failed else 0


def _application() -> Application:
    """What answers: `app` in app.py. Raises TypeError where there is none."""
    module = importlib.import_module("app")
    application: Any = getattr(module, "app", None)
    if not callable(application):
        raise TypeError("app.py has no `app`, an ASGI application")
    return application  # type: ignore[no-any-return]


class _Server(uvicorn.Server):
    """uvicorn with the listener of connections.py for its sockets, and no handlers for signals but these."""

    def __init__(
        self,
        guard: Guard,
        store: Store,
        sockets: list[socket.socket],
        config: uvicorn.Config,
        ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._guard = guard
        self._store = store
        self._sockets = sockets
        self._ready = ready
        self._hup = asyncio.Event()
        self.has_failed = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, and then accepts."""
        await super().startup(sockets=[])
        logs.assert_own()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._exit)
        loop.add_signal_handler(signal.SIGHUP, self._hup.set)
        self._listener = Listener(self._sockets[0], lambda: self._store.current.server, self._meet)
        self._listeners = [self._listener, *(Listener(one, _plain, _health) for one in self._sockets[1:])]
        self._watching = loop.create_task(self._watch())
        for task in (self._watching, *(listener.start() for listener in self._listeners)):
            task.add_done_callback(self._must_go_on)
        self._guard.sessions.start()
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts no more, lets what is being answered have its answer, and ends the application."""
        self._watching.cancel()
        for listener in self._listeners:
            listener.close()
        await super().shutdown(sockets=[])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the loop: uvicorn would end the process by the signal itself."""
        yield

    def _exit(self) -> None:
        self.should_exit = True

    def _must_go_on(self, task: asyncio.Task[None]) -> None:
        """Ends the process with what watches tls/ or accepts: whoever runs it starts it again."""
        if not task.cancelled():
            log.error("it cannot go on", exc_info=task.exception())
            self.has_failed = self.should_exit = True

    def _meet(self, place: Place) -> Guarded:
        how = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        return Guarded(self._guard, place=place, **how)

    async def _watch(self) -> None:
        """Takes up what changes in tls/, at once on HUP and within a second without it."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hup.wait(), POLL_SECONDS)
            self._hup.clear()
            if await asyncio.to_thread(self._store.refresh):
                # Open connections were judged by roots and CRLs that no longer hold: let them connect again.
                self._listener.finish_idle()


def _config(application: Application, name: str) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http="h11",
        ws="websockets-sansio",
        interface="asgi3",
        loop="asyncio",
        log_config=None,
        access_log=False,
        # What a stranger says of where it is must not be believed because a proxy of somebody's runs on this host.
        proxy_headers=False,
        server_header=False,
        headers=[("server", name)],
        h11_max_incomplete_event_size=MOST_OF_A_HEAD,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=PATIENCE_SECONDS,
    )


def _plain() -> None:
    return None


def _health(place: Place) -> Paced:
    how = {"config": health.CONFIG, "server_state": health.STATE, "app_state": {}}
    return Paced(place, **how)
