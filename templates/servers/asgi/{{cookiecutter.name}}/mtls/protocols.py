"""HTTP/1.1 and WebSockets by uvicorn, with a deadline for slow callers and the guard before the application."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from mtls.connections import Place, Stage
from mtls.guard import Application, Connection, Guard

log = logging.getLogger("access")

IDLE_SECONDS = 30
"""How long a connection may wait for the next request, and a request for more of its body or for its reader."""

HEAD_SECONDS = 10
"""How long a request's line and headers may take, all of them together."""


class Paced(H11Protocol):
    """HTTP/1.1 for those who keep to the time that they are given: uvicorn has no limit before the first answer."""

    def __init__(self, place: Place, **how: Any) -> None:
        super().__init__(**how)
        self.place = place
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._is_reading_head = False
        self._is_malformed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.place.open(transport, self)
        self._wait_for(IDLE_SECONDS, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_for(None)
        self.resume_writing()
        super().connection_lost(exc)
        self.place.leave()

    def data_received(self, data: bytes) -> None:
        if self._is_malformed:
            return
        super().data_received(data)
        self._pace()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._pace()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(IDLE_SECONDS, self.place.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        if self.flow is not None:
            super().resume_writing()

    def finish(self) -> None:
        """Ends the connection once the request that is being answered, if any, has had its answer."""
        self.shutdown()

    def send_400_response(self, msg: str) -> None:
        """What cannot be read is answered in JSON like everything else, and once: a body belongs to a request."""
        if self.conn.our_state is h11.IDLE:
            self.send_error(400, msg)
        elif self.conn.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY):
            self.break_off()
        else:
            self.transport.close()

    def break_off(self) -> None:
        """Lets the request that is being answered have its answer, though its body cannot be read any further."""
        self._is_malformed = True
        self.cycle.keep_alive = False
        self.cycle.message_event.set()

    def send_error(self, status: int, reason: str) -> None:
        """Answers what has not become a request, and ends the connection."""
        self._wait_for(None)
        log.info("%s %s %r %d", self.place.peer, self.who(), reason, status)
        body = json.dumps({"error": reason}).encode() + b"\n"
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
            ("strict-transport-security", "max-age=63072000"),
        ]
        events = (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def who(self) -> str:
        """Whose connection it is, for the log."""
        return "none"

    def _pace(self) -> None:
        """Sets the deadline that what is being waited for has."""
        state = self.conn.their_state
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._wait_for(None)
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            if not self._is_reading_head:
                self._wait_for(HEAD_SECONDS, self._refuse_slow_head)
                self._is_reading_head = True
        elif state is h11.SEND_BODY:
            self._wait_for(IDLE_SECONDS, self._end_slow_body)
        else:
            self._wait_for(None)  # between two requests uvicorn's own limit counts

    def _wait_for(self, seconds: float | None, then: Any = None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._is_reading_head = False
        self._deadline = self.loop.call_later(seconds, then) if seconds is not None else None

    def _close(self) -> None:
        self.transport.close()

    def _refuse_slow_head(self) -> None:
        self.send_error(408, "the request was not whole in time")

    def _end_slow_body(self) -> None:
        if self.flow.read_paused:  # it is the application that takes its time
            self._wait_for(IDLE_SECONDS, self._end_slow_body)
        else:
            self.place.abort()


class Guarded(Paced):
    """The connection of a caller: whatever comes through it meets the guard, which knows whose it is."""

    def __init__(self, guard: Guard, **how: Any) -> None:
        super().__init__(**how)
        self._guard = guard
        self._connection: Connection | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection = self._guard.meet(transport.get_extra_info("ssl_object"), self.place)
        self.app = self._guard.before(self._connection)
        self.ws_protocol_class = functools.partial(WebSocket, self.app, self.place)  # type: ignore[assignment]

    def on_response_complete(self) -> None:
        if self._connection is not None:
            self.place.reach(Stage.IDLE if self._guard.wants(self._connection) else Stage.UNWANTED)
            # Either whoever ends idle connections has seen this one, or what has changed is seen here.
            if self._guard.is_outdated(self._connection):
                self.finish()
        super().on_response_complete()

    def break_off(self) -> None:
        if self._connection is not None:
            self._connection.malformed = "the body of the request cannot be read"
        super().break_off()

    def _should_upgrade(self) -> bool:
        if not super()._should_upgrade():
            return False
        if not self._opens_websocket() and self._connection is not None:
            self._connection.malformed = "the request asks for a WebSocket, and is not how one begins"
            return False
        return True

    def _opens_websocket(self) -> bool:
        """Whether the request is a handshake (RFC 6455 4.2.1) for the library too, which answers others by itself."""
        trial = self.ws_protocol_class(config=self.config, server_state=self.server_state, app_state={}).conn  # type: ignore
        query = b"?" + self.scope["query_string"] if self.scope["query_string"] else b""
        lines = [b"%b %b%b HTTP/1.1" % (self.scope["method"].encode(), self.scope["raw_path"], query)]
        lines += [name + b": " + value for name, value in self.headers]
        trial.receive_data(b"\r\n".join((*lines, b"", b"")))
        return [trial.accept(request).status_code for request in trial.events_received()] == [101]

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._wait_for(None)
        super().handle_websocket_upgrade(event)

    def who(self) -> str:
        return self._connection.who if self._connection is not None else "none"


class WebSocket(WebSocketsSansIOProtocol):
    """What a caller's connection becomes by an upgrade, with the same guard before the application."""

    def __init__(self, app: Application, place: Place, **how: Any) -> None:
        super().__init__(**how)
        self.app = app
        self._place = place

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._place.open(transport, self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._place.leave()

    def finish(self) -> None:
        """Lets it go on: sessions.py ends those that outlive their right."""
