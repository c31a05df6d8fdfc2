"""Decides, before anything of app.py runs, whether a request or a WebSocket is answered.

This file is scaffold's: whatever the application routes, and whatever middleware it has, the decision comes before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, cast

from mtls import head
from mtls.caller import Caller, answering
from mtls.connections import Place, Stage
from mtls.extension import describe
from mtls.lookups import Lookups
from mtls.outgoing import CallFailed, Outgoing
from mtls.peer import CallerContext, Chain, Peer, Unidentified, ends, find, identify, verified_chain
from mtls.revocation import Refused
from mtls.sessions import Session, Sessions
from mtls.settings import Settings
from mtls.standing import Standing
from mtls.tls import Material, Store

log = logging.getLogger("access")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLER = "/.mtls/caller"
CALL = "/call/"
"""The paths that every service of a topology answers itself: who called, and a call of its own to another server."""

READ_ON_SECONDS = 10
READ_ON_OCTETS = 1024 * 1024
"""How much of the body of a refused request is read after its answer, at most."""

_ROLE = re.compile(r"[A-Za-z0-9._-]+")
_STARTS = {"http.response.start", "websocket.http.response.start"}


class HttpError(Exception):
    """Ends a request with this status and reason, and its connection."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers or {}


@dataclass(eq=False)
class Connection:
    """A connection after its handshake: whose it is, or why nobody's, and by which material of tls/ it was judged."""

    place: Place
    socket: ssl.SSLObject
    trust: str
    peer: Peer | None = None
    doubt: str = ""
    chain: Chain = ()
    ends: float = 0
    is_crowd: bool = False
    malformed: str = ""
    """What is wrong with the request that has come, and with all that might come after it."""
    extension: Mapping[str, Any] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """Whose it is, for the log: in quotes, since a caller's CA has chosen the words."""
        return repr(self.peer.identity) if self.peer is not None else "none"


class Guard:
    """Runs between uvicorn and the application: each connection has its own way through, by `before`."""

    def __init__(
        self,
        application: Application,
        settings: Settings,
        store: Store,
        standing: Standing,
        outgoing: Outgoing,
    ) -> None:
        self._application = application
        self._settings = settings
        self._store = store
        self.sessions = Sessions(store)
        self._outgoing = outgoing
        self._lookups = Lookups(standing)

    async def without_connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What uvicorn takes for the application: start and end of the process get through, and no request."""
        if scope["type"] != "lifespan":
            raise RuntimeError("this request belongs to no connection that the guard has met")
        await self._application(scope, receive, send)

    def meet(self, socket: ssl.SSLObject, place: Place) -> Connection:
        """Finds out who is at the other end, once; whether they may call is asked at each request."""
        connection = Connection(place, socket, cast("CallerContext", socket.context).trust)
        try:
            connection.chain = verified_chain(socket)
            connection.ends = ends(connection.chain)
            connection.peer = identify(connection.chain)
        except Unidentified as error:
            connection.doubt = str(error)
        connection.is_crowd = place.belongs_to(connection.peer or "nobody") > place.most // 2
        self._settle(connection)
        return connection

    def _settle(self, connection: Connection) -> None:
        connection.place.reach(Stage.BUSY if self.wants(connection) else Stage.UNWANTED)

    def wants(self, connection: Connection) -> bool:
        """Whether its caller may call at all."""
        return find(self._store.current.allowed, connection.peer) is not None and not connection.is_crowd

    def before(self, connection: Connection) -> Application:
        """The application as that connection sees it: behind the decision."""
        return functools.partial(self._answer, connection)

    async def _answer(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        reply = _Reply(send, scope, connection, self.is_outdated)
        receive = functools.partial(_receive, connection, receive)
        self._settle(connection)
        try:
            scope = head.settled(scope)
            current = self._store.current
            caller = await self._admit(connection, current, scope)
            if connection.malformed:
                raise head.Malformed(connection.malformed)
            assert connection.peer is not None
            session = Session(connection.peer, connection.chain, connection.ends, current.trust, connection.place)
            with self.sessions.answering(session):
                await (self._own(scope) or self._application)(self._known(scope, connection, caller), receive, reply)
        except head.Malformed as error:
            await reply.end(400, {"error": str(error)})
        except HttpError as error:
            await reply.end(error.status, {"error": str(error)}, error.headers, receive)
        except Exception:
            if not connection.malformed:
                if reply.has_begun:
                    raise
                log.exception("%s: %r failed", connection.place.peer, reply.request)
                await reply.end(500, {"error": f"{self._settings.name} failed; its log says why"})
        if connection.malformed and not reply.has_begun:
            await reply.end(400, {"error": connection.malformed})

    async def _admit(self, connection: Connection, current: Material, scope: Scope) -> Caller:
        """Who calls. Raises HttpError where they may not.

        Asked at every request: an allow list that changed, an expired certificate, a revocation and other roots hold
        for connections that are open, too.
        """
        if connection.peer is None:
            raise HttpError(403, connection.doubt)
        if time.time() > connection.ends:
            raise HttpError(403, "the certificate has expired")
        allowed = find(current.allowed, connection.peer)
        if allowed is None:
            raise HttpError(403, f"{connection.peer.identity} may not call {self._settings.name}")
        if connection.is_crowd:
            raise HttpError(503, f"more than {connection.place.most // 2} connections of this caller are open")
        try:
            # Strangers have been turned away, so nobody is asked about them. The answers are remembered.
            if connection.trust != current.trust:
                await self._lookups.verify_again(connection.chain, current)
            if current.checker is not None:
                await self._lookups.check(current.checker, connection.chain)
        except Refused as error:
            log.warning("%r is refused: %s", connection.peer.identity, error)
            raise HttpError(403, str(error)) from error
        return Caller(allowed.identity, _origin(scope) if allowed.gateway else None, allowed.roles)

    def _known(self, scope: Scope, connection: Connection, caller: Caller) -> Scope:
        """The scope with who called: as the ASGI TLS extension has it, and as `state.caller`."""
        answering.set(caller)
        if not connection.extension:
            connection.extension = describe(connection.socket, connection.chain)
        extensions = {**(scope.get("extensions") or {}), "tls": dict(connection.extension)}
        state = {**scope.get("state", {}), "caller": caller}
        headers = scope["headers"] if caller.on_behalf_of is not None else head.without_claims(scope["headers"])
        return {**scope, "headers": headers, "extensions": extensions, "state": state}

    def is_outdated(self, connection: Connection) -> bool:
        """Whether the caller was judged by former roots and CRLs: it must connect again for its next request."""
        return self._store.current.trust != connection.trust

    def _own(self, scope: Scope) -> Application | None:
        """What answers the paths that are not the person's. Raises HttpError for another method than GET."""
        path = scope["raw_path"].decode("ascii")
        if path != CALLER and not (self._settings.calls and path.startswith(CALL)):
            return None
        if scope.get("method", "GET") not in ("GET", "HEAD"):
            raise HttpError(405, "only GET is answered", {"Allow": "GET, HEAD"})
        return self._tell_caller if path == CALLER else functools.partial(self._call, path.removeprefix(CALL))

    async def _tell_caller(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = answering.get()
        told = {
            "server": self._settings.name,
            "caller": caller.identity,
            "roles": caller.roles,
            "on_behalf_of": caller.on_behalf_of,
        }
        await send_json(scope, send, 200, json.dumps(told).encode() + b"\n")

    async def _call(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Asks another server who called it, with this one's client certificate."""
        if name not in self._settings.calls:
            raise HttpError(404, f"{self._settings.name} calls no such server")
        try:
            status, answer = await self._outgoing.get(name, CALLER)
        except CallFailed as error:
            raise HttpError(502, f"{name}: {error}") from error
        await send_json(scope, send, status, answer)


async def _receive(connection: Connection, receive: Receive) -> Message:
    """More of a body; of one that cannot be read, nothing more comes."""
    message = {} if connection.malformed else await receive()
    return {"type": "http.disconnect"} if connection.malformed else message


async def _read_on(receive: Receive) -> None:
    """Takes what is left of a body and throws it away, for a moment and up to a bound."""
    left = READ_ON_OCTETS
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READ_ON_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))


def _origin(scope: Scope) -> Mapping[str, Any] | None:
    """The caller for which a gateway calls. Only a gateway of this service has checked that."""
    names = (b"x-client-subject", b"x-client-issuer", b"x-client-roles")
    subject, issuer, roles = (_once(scope, name) for name in names)
    if not (subject and issuer):
        return None
    named = tuple(role.strip(" \t") for role in roles.split(",")) if roles else ()
    if not all(map(_ROLE.fullmatch, named)):
        raise HttpError(400, "X-Client-Roles must hold roles, separated by commas")
    return {"subject": subject, "issuer": issuer, "roles": named}


def _once(scope: Scope, name: bytes) -> str | None:
    """A header that a gateway sets, so that a second could only be somebody else's."""
    values = [value for header, value in scope["headers"] if header == name]
    if len(values) > 1:
        raise HttpError(400, f"{name.decode()} may be given once")
    return values[0].decode("latin-1") if values else None


class _Reply:
    """What is sent back: it adds what every answer says, notes that there is one, and writes the line of the log."""

    def __init__(
        self, send: Send, scope: Scope, connection: Connection, is_outdated: Callable[[Connection], bool]
    ) -> None:
        self._send = send
        self._scope = scope
        self._connection = connection
        self._is_outdated = is_outdated
        self.has_begun = False
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        target = f"{scope['raw_path'].decode('latin-1')}{query}"
        self.request = f"{scope.get('method', 'GET')} {target} HTTP/{scope['http_version']}"

    async def __call__(self, message: Message) -> None:
        """What the application says; before it has begun, nothing of a request that cannot be read to its end."""
        if self.has_begun or not self._connection.malformed:
            await self._say(message)

    async def _say(self, message: Message) -> None:
        if not self.has_begun and message["type"] in _STARTS:
            message = {**message, "headers": [*message.get("headers", ()), *self._more(message.get("headers", ()))]}
            self._begin(message["status"])
        elif not self.has_begun:
            self._begin(101 if message["type"] == "websocket.accept" else 403)
        await self._send(message)

    async def end(
        self,
        status: int,
        answer: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        receive: Receive | None = None,
    ) -> None:
        """Answers in JSON, and ends the connection; with `receive` not before the body that is on its way has come."""
        closing = {**(headers or {}), "Connection": "close"}
        send = self._say if receive is None or self._scope["type"] == "websocket" else self._ending(receive)
        await send_json(self._scope, send, status, json.dumps(answer).encode() + b"\n", closing)

    def _ending(self, receive: Receive) -> Send:
        """Sends what it is given, and ends the answer once the rest of the request has been read.

        TCP resets a connection that is closed with octets unread, and then the answer may be lost (RFC 9112 9.6).
        """

        async def send(message: Message) -> None:
            if message["type"] != "http.response.body":
                await self._say(message)
                return
            await self._say({**message, "more_body": True})
            await _read_on(receive)
            await self._say({"type": "http.response.body", "body": b""})

        return send

    def _begin(self, status: int) -> None:
        self.has_begun = True
        log.info("%s %s %r %d", self._connection.place.peer, self._connection.who, self.request, status)

    def _more(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
        there = {name.lower() for name, _ in headers}
        if b"strict-transport-security" not in there:
            yield b"strict-transport-security", b"max-age=63072000"  # Mozilla's guideline: two years of HTTPS alone
        if b"connection" not in there and self._is_outdated(self._connection):
            yield b"connection", b"close"


async def send_json(
    scope: Scope, send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    """Answers with these bytes. A WebSocket that is not accepted is answered like a request (RFC 6455 4.2.2)."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    told = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    encoded = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    await send({"type": f"{kind}.start", "status": status, "headers": encoded})
    await send({"type": f"{kind}.body", "body": body})
