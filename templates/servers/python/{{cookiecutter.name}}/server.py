"""{{ cookiecutter.name }}: an HTTPS service that answers only those whom tls/allowed.json names. Started by run.sh."""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import api
import connections
{%- if cookiecutter.health %}
import health
{%- endif %}
import settings
{% if cookiecutter.revocation.by_application %}from revocation import Checker
{% endif %}from tls import Store

HERE = Path(__file__).resolve().parent
HANDSHAKE_SECONDS = 5
CLOSE_SECONDS = 1
POLL_SECONDS = 1
PATIENCE_SECONDS = 5


def main() -> int:
    """Serves until TERM or INT. Exits 1 where the settings or what lies in tls/ cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    # Signals are noted in a queue, whose put may interrupt anything, and acted upon by the loop below.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: signals.put(number))
    try:
        current = settings.load(HERE / "settings.json")
        store = Store(HERE / "tls", current.tls)
        listener = https_listener(current, store)
{%- if cookiecutter.health %}
        health_listener = connections.Listener(current.health, lambda accepted: accepted, serve_health)
{%- endif %}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    listener.start()
{%- if cookiecutter.health %}
    health_listener.start()
{%- endif %}
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
            # Whoever is connected was judged by roots and CRLs that no longer hold: let them connect again.
            listener.finish_idle()


def https_listener(current: settings.Settings, store: Store) -> connections.Listener:
    """The listener for callers, by the context that is current when each of them comes."""
{%- if cookiecutter.revocation.by_application %}
    checker = Checker(HERE / "tls", current.revocation)
    handler = type("Handler", (api.Handler,), {"settings": current, "store": store, "checker": checker})
{%- else %}
    handler = type("Handler", (api.Handler,), {"settings": current, "store": store})
{%- endif %}

    def prepare(accepted: socket.socket) -> ssl.SSLSocket:
        accepted.settimeout(HANDSHAKE_SECONDS)
        context = store.current.server
        return context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)

    def serve(connection: socket.socket, reached: Callable[[connections.Stage], None]) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        address = connection.getpeername()
        connection.do_handshake()
        reached(connections.Stage.KNOWN)
        handler(connection, address, lambda: reached(connections.Stage.ANSWERED))
        # close_notify: the caller can tell the end from a cut (RFC 8446 6.1).
        with contextlib.suppress(OSError):
            connection.settimeout(CLOSE_SECONDS)
            connection.unwrap()

    return connections.Listener(current.listen, prepare, serve)

{% if cookiecutter.health %}
def serve_health(connection: socket.socket, _reached: Callable[[connections.Stage], None]) -> None:
    """Answers one question on the plain port."""
    health.Handler(connection, connection.getpeername(), None)  # type: ignore[arg-type]

{% endif %}
if __name__ == "__main__":
    sys.exit(main())
