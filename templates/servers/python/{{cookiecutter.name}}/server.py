"""{{ cookiecutter.name }}: an HTTPS service that answers only the callers in tls/allowed.json. Started by start.py."""

from __future__ import annotations

import contextlib
import importlib
import logging
import queue
import signal
import socket
import ssl
import sys
from datetime import datetime
from pathlib import Path

import connections
import guard
import health
import routing
import settings
from sessions import Sessions
from standing import Standing
from tls import UNUSABLE, Store, explain

log = logging.getLogger("server")

HERE = Path(__file__).resolve().parent
HANDSHAKE_SECONDS = 5
CLOSE_SECONDS = 1
POLL_SECONDS = 1
PATIENCE_SECONDS = 5


class _Format(logging.Formatter):
    """Lines that begin with the time and its offset from UTC (ISO 8601)."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def main() -> int:
    """Serves until TERM or INT. Exits 1 where the settings or what lies in tls/ cannot be used."""
    lines = logging.StreamHandler()
    lines.setFormatter(_Format("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    # Signals are noted in a queue, whose put may interrupt anything, and acted upon by the loop below.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: signals.put(number))
    try:
        current = settings.load(HERE / "settings.json")
        store = Store(HERE / "tls")
        sessions = Sessions(store)
        listener = https_listener(current, store, sessions)
        health_listener = connections.Listener(current.health, _plain, serve_health) if current.health else None
    except UNUSABLE as error:
        print(explain(error), file=sys.stderr)
        return 1
    listener.start()
    sessions.start()
    if health_listener is not None:
        health_listener.start()
    with contextlib.suppress(OSError):  # a full disk, a reader that is gone: it serves all the same
        print(f"ready: {current.name} on https://{current.listen}", flush=True)
    watch(store, listener, signals)
    listener.close(PATIENCE_SECONDS)
    return 0


def watch(store: Store, listener: connections.Listener, signals: queue.SimpleQueue[int]) -> None:
    """Takes up what changes in tls/, at once on HUP and within a second without it, until TERM or INT."""
    while True:
        try:
            if signals.get(timeout=POLL_SECONDS) != signal.SIGHUP:
                return
        except queue.Empty:
            pass
        if store.refresh():
            # Open connections were judged by roots and CRLs that no longer hold: let them connect again.
            listener.finish_idle()


def https_listener(current: settings.Settings, store: Store, sessions: Sessions) -> connections.Listener:
    """The listener for callers, by the context that is current when each of them comes.

    Raises ValueError and TypeError where what answers cannot be used, or has no guard before it.
    """
    parts = {"settings": current, "store": store, "sessions": sessions, "standing": Standing(HERE / "tls")}
    handler = type("Handler", (_answering(),), parts)

    def prepare(accepted: socket.socket) -> ssl.SSLSocket:
        accepted.settimeout(HANDSHAKE_SECONDS)
        context = store.current.server
        return context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)

    def serve(connection: socket.socket, place: connections.Place) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        connection.do_handshake()
        handler(connection, place.peer, place)
        # close_notify: the caller can tell the end from a cut (RFC 8446 6.1).
        with contextlib.suppress(OSError):
            connection.settimeout(CLOSE_SECONDS)
            connection.unwrap()

    return connections.Listener(current.listen, prepare, serve)


def _answering() -> type[guard.Handler]:
    """What answers those who were let in: routes.py, or the api.py of a folder from before there was one."""
    if not (HERE / "api.py").exists():
        routes = importlib.import_module("routes")
        return type("Handler", (routing.Handler,), {"table": routing.Table(routes.ROUTES)})
    handler: type[guard.Handler] = importlib.import_module("api").Handler
    if not issubclass(handler, guard.Handler):
        raise TypeError("api.Handler must be a guard.Handler, which decides who gets in")
    log.warning("api.py answers, and routes.py is not looked at: move what api.py answers there, and remove it")
    return handler


def _plain(accepted: socket.socket) -> socket.socket:
    return accepted


def serve_health(connection: socket.socket, place: connections.Place) -> None:
    """Answers one question on the plain port."""
    health.Handler(connection, place.peer, None)  # type: ignore[arg-type]
