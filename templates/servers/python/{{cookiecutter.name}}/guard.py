"""Decides, before anything of routes.py runs, if a request is answered; and how requests are read and answers sent.

This file is scaffold's: a route that is added to routes.py, for whatever method, has the decision behind it.
"""

from __future__ import annotations

import functools
import io
import json
import logging
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

import calls
import head
from connections import Place, Stage
from peer import CallerContext, Chain, Peer, Unidentified, ends, find, identify, verified_chain
from revocation import Refused
from sessions import Session, Sessions
from settings import Settings
from standing import Standing
from tls import Material, Store

log = logging.getLogger("access")

IDLE_SECONDS = 30
HEAD_SECONDS = 10
"""How long a request's line and headers may take, all of them together."""

MAX_PER_CALLER = 256
"""How many connections one caller may have."""

LONGEST_BODY = 1 << 20

MOST_EMPTY_LINES = 8
"""Before a request: some programs end a body with one more line end than there is to it (RFC 9112 2.2)."""

_ROLE = re.compile(r"[A-Za-z0-9._-]+")

CALLER = "/.mtls/caller"
CALL = "/call/"
"""The paths that every service of a topology answers itself: who called, and a call of its own to another server."""


_DECIDES = (
    *("__init__", "setup", "handle", "handle_one_request", "parse_request"),
    *("_read_head", "_request_line", "_check_head", "_answer_request", "_admit", "_own"),
)


class HttpError(Exception):
    """Ends a request with this status and reason, and its connection."""

    def __init__(self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


@dataclass(frozen=True)
class Caller:
    """An allowed caller, and what it may be here.

    `on_behalf_of`: the `subject`, `issuer` and `roles` of the caller for which a gateway calls, else None. What a
    gateway may be itself, and what its caller may be, are two things.
    """

    identity: str
    on_behalf_of: Mapping[str, Any] | None
    roles: tuple[str, ...] = ()


class Handler(BaseHTTPRequestHandler):
    """One connection. The standard library bounds a line to 64 KiB and a request to 100 headers.

    A subclass says in `_answerer` what answers a request, or answers in do_GET, do_POST and so on; only allowed callers
    reach either. HEAD is GET without the body. `caller` says who asks. What answers may raise HttpError.
    """

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # of an answer to what cannot be read: with a status line
    settings: Settings
    store: Store
    sessions: Sessions
    standing: Standing
    caller: Caller
    rfile: head.Lines

    def __init_subclass__(cls) -> None:
        """Raises TypeError for a subclass that would run before the decision."""
        for name in _DECIDES:
            if name in vars(cls):
                raise TypeError(f"{cls.__module__}.{cls.__name__} may not replace {name}: it decides who gets in")

    def __init__(self, connection: ssl.SSLSocket, address: Any, place: Place) -> None:
        self._place = place
        self._peer: Peer | None = None
        self._doubt = ""
        self._chain: Chain = ()
        super().__init__(connection, address, None)  # type: ignore[arg-type]

    def setup(self) -> None:
        """Finds out who is at the other end, once; whether they may call is asked at each request."""
        self.connection: ssl.SSLSocket = self.request
        self._input = _PacedInput(self.connection)
        self.rfile = head.Lines(self._input)
        self.wfile = self.connection.makefile("wb")  # buffered: an answer leaves in one piece
        current = self.store.current
        self._trust = cast("CallerContext", self.connection.context).trust
        try:
            self._chain = verified_chain(self.connection)
            self._ends = ends(self._chain)
            self._peer = identify(self._chain)
        except Unidentified as error:
            self._doubt = str(error)
        wanted = find(current.allowed, self._peer) is not None
        self._crowd = self._place.belongs_to(self._peer or "nobody") > MAX_PER_CALLER
        self._place.reach(Stage.KNOWN if wanted and not self._crowd else Stage.UNWANTED)

    def handle_one_request(self) -> None:
        """Reads one request and answers it."""
        self.requestline, self.command, self.request_version = "", "", self.protocol_version
        self._has_answered = False
        try:
            if self._read_head():
                self._answer_request()
            self.wfile.flush()
        except TimeoutError:
            self.close_connection = True
            if self._input.has_begun and not self._has_answered:
                self.send_error(HTTPStatus.REQUEST_TIMEOUT, "the request was not whole in time")
                self.wfile.flush()
        if find(self.store.current.allowed, self._peer) is not None:
            self._place.reach(Stage.ANSWERED)
        # Once more: either whoever ends idle connections has seen this one, or what has changed is seen here.
        self._close_if_outdated()

    def _read_head(self) -> bool:
        """Whether there is a request to answer: a line and headers that can be read, all of them in time."""
        self.close_connection = True
        self._input.wait(IDLE_SECONDS)
        if not self.rfile.peek(1):
            return False
        self._input.finish_within(HEAD_SECONDS)
        self.rfile.has_stray = False
        self.raw_requestline = self._request_line()
        if not self.raw_requestline:
            return False
        if len(self.raw_requestline) > 65536:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            return False
        if not head.is_request_line(self.raw_requestline):
            self.requestline = self.raw_requestline.decode("iso-8859-1").rstrip("\r\n")
            self.send_error(HTTPStatus.BAD_REQUEST, "the request does not begin with method, target and version")
            return False
        is_whole = self.parse_request()
        self._input.go_on(IDLE_SECONDS)
        self.connection.settimeout(IDLE_SECONDS)
        return is_whole

    def _request_line(self) -> bytes:
        line = b""
        for _ in range(MOST_EMPTY_LINES + 1):
            line = self.rfile.readline(65537)
            if line not in (b"\r\n", b"\n"):
                break
        return line

    def _answer_request(self) -> None:
        """The decision, then the method that answers: no method of a subclass is reached in another way."""
        try:
            self._check_head()
            current = self.store.current
            self.caller = self._admit(current)
            assert self._peer is not None
            session = Session(self._peer, self._chain, self._ends, current.trust, self._place)
            with self.sessions.answering(session):
                (self._own() or self._answerer())()
                self.wfile.flush()
        except HttpError as error:
            self.refuse(error.status, str(error), error.headers)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            raise
        except Exception:
            if self._has_answered:
                raise
            log.exception("%s: %r failed", self._place.peer, self.requestline)
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{self.settings.name} failed; its log says why")

    def _check_head(self) -> None:
        """Settles path, host and end of the request. Raises HttpError where somebody else could see others."""
        try:
            if self.rfile.has_stray:
                raise head.Malformed("the head of the request can be read in more than one way")
            head.check(self.headers, self.request_version)
            self.path, host = head.split_target(self.path)
        except head.Malformed as error:
            raise HttpError(HTTPStatus.BAD_REQUEST, str(error)) from error
        if host is not None:
            del self.headers["Host"]
            self.headers["Host"] = host
        # A body that nobody reads must not be taken for the next request.
        has_body = self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        self.close_connection = has_body or not head.keeps_open(self.headers, self.request_version)

    def _admit(self, current: Material) -> Caller:
        """Who calls. Raises HttpError where they may not.

        Asked at every request: an allow list that changed, an expired certificate, a revocation and other roots hold
        for connections that are open, too.
        """
        if self._peer is None:
            raise HttpError(HTTPStatus.FORBIDDEN, self._doubt)
        if time.time() > self._ends:
            raise HttpError(HTTPStatus.FORBIDDEN, "the certificate has expired")
        allowed = find(current.allowed, self._peer)
        if allowed is None:
            raise HttpError(HTTPStatus.FORBIDDEN, f"{self._peer.identity} may not call {self.settings.name}")
        if self._crowd:
            reason = f"more than {MAX_PER_CALLER} connections of this caller are open"
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, reason)
        try:
            # Strangers have been turned away, so nobody is asked about them. The answers are remembered.
            if self._trust != current.trust:
                self.standing.check(self._chain, current)
            if current.checker is not None:
                current.checker.check(self._chain)
        except Refused as error:
            log.warning("%r is refused: %s", self._peer.identity, error)
            raise HttpError(HTTPStatus.FORBIDDEN, str(error)) from error
        return Caller(allowed.identity, self._origin() if allowed.gateway else None, allowed.roles)

    def _origin(self) -> Mapping[str, Any] | None:
        """The caller for which a gateway calls. Only a gateway of this service has checked that."""
        subject, issuer, roles = map(self._once, ("X-Client-Subject", "X-Client-Issuer", "X-Client-Roles"))
        if not (subject and issuer):
            return None
        named = tuple(role.strip(" \t") for role in roles.split(",")) if roles else ()
        if not all(map(_ROLE.fullmatch, named)):
            raise HttpError(HTTPStatus.BAD_REQUEST, "X-Client-Roles must hold roles, separated by commas")
        return {"subject": subject, "issuer": issuer, "roles": named}

    def _once(self, name: str) -> str | None:
        """A header that a gateway sets, so that a second could only be somebody else's."""
        values = self.headers.get_all(name, [])
        if len(values) > 1:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{name} may be given once")
        return values[0] if values else None

    def _own(self) -> Callable[[], None] | None:
        """What answers the paths that are not the person's. Raises HttpError for another method than GET."""
        path = self.path.partition("?")[0]
        if path != CALLER and not (self.settings.calls and path.startswith(CALL)):
            return None
        if self.command not in ("GET", "HEAD"):
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered", {"Allow": "GET, HEAD"})
        return self._tell_caller if path == CALLER else functools.partial(self._call, path.removeprefix(CALL))

    def _tell_caller(self) -> None:
        self.answer(HTTPStatus.OK, self.who_called())

    def who_called(self) -> dict[str, Any]:
        """The server, the caller, and the caller behind a gateway."""
        caller = self.caller
        return {
            "server": self.settings.name,
            "caller": caller.identity,
            "roles": caller.roles,
            "on_behalf_of": caller.on_behalf_of,
        }

    def _call(self, name: str) -> None:
        """Asks another server who called it, with this one's client certificate."""
        callee = self.settings.calls.get(name)
        if callee is None:
            raise HttpError(HTTPStatus.NOT_FOUND, f"{self.settings.name} calls no such server")
        try:
            status, answer = calls.get(callee, name, self.store.current, CALLER)
        except calls.CallFailed as error:
            raise HttpError(HTTPStatus.BAD_GATEWAY, f"{name}: {error}") from error
        self.send(status, answer)

    def _answerer(self) -> Callable[[], None]:
        """The method that answers. Raises HttpError where there is none."""
        command = "GET" if self.command == "HEAD" and not hasattr(self, "do_HEAD") else self.command
        answer: Callable[[], None] | None = getattr(self, f"do_{command}", None)
        if answer is None:
            allow = ", ".join(name.removeprefix("do_") for name in dir(self) if name.startswith("do_"))
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allow} is answered", {"Allow": allow})
        return answer

    def handle_expect_100(self) -> bool:
        """Says nothing yet: only an allowed caller is asked for a body (RFC 9110 10.1.1), by `read_body`."""
        return True

    def read_body(self) -> bytes:
        """The body of the request. Raises HttpError where it is too long or has no length."""
        text, *more = self.headers.get_all("Content-Length", ["0"])
        if more or "Transfer-Encoding" in self.headers or not (text.isascii() and text.isdigit()):
            raise HttpError(HTTPStatus.LENGTH_REQUIRED, "the request must say its Content-Length, once")
        length = int(text)
        if length > LONGEST_BODY:
            raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {LONGEST_BODY} bytes")
        if length and self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the caller went away in the middle of a body")
        self.close_connection = not head.keeps_open(self.headers, self.request_version)
        return body

    def answer(self, status: int, answer: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """Answers in JSON."""
        self.send(status, json.dumps(answer).encode() + b"\n", headers)

    def refuse(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        """Answers with an error, and ends the connection."""
        self.close_connection = True
        self.answer(status, {"error": reason}, headers)

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answers with these bytes, JSON unless `headers` say otherwise."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end_headers(self) -> None:
        """Adds what every answer says."""
        # Mozilla's guideline: two years of HTTPS alone.
        self.send_header("Strict-Transport-Security", "max-age=63072000")
        self._close_if_outdated()
        if self.close_connection:
            self.send_header("Connection", "close")
        elif self.request_version == "HTTP/1.0":
            self.send_header("Connection", "keep-alive")  # it takes silence for the end (RFC 9112 9.3)
        super().end_headers()

    def _close_if_outdated(self) -> None:
        """A caller that was judged by former roots and CRLs gets this answer, and must connect again for the next."""
        if self.store.current.trust != self._trust:
            self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Errors that the standard library finds (a bad request line, too many headers) are JSON like all others."""
        self.refuse(code, message or HTTPStatus(code).phrase)

    def version_string(self) -> str:
        """What the Server header says."""
        return self.settings.name

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Who asked for what, and the status: in quotes, since a caller has chosen the words."""
        self._has_answered = True
        identity = repr(self._peer.identity) if self._peer else "none"
        log.info("%s %s %r %d", self._place.peer, identity, self.requestline, int(code))


class _PacedInput(io.RawIOBase):
    """What a caller sends, for as long as it keeps to the time that it is given."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        self._deadline: float | None = None
        self._patience: float = IDLE_SECONDS
        self.has_begun = False

    def wait(self, seconds: float) -> None:
        """The next request may take so long to begin."""
        self._patience, self._deadline, self.has_begun = seconds, None, False

    def go_on(self, seconds: float) -> None:
        """From now on each read may take so long, in a request that has begun."""
        self._patience, self._deadline = seconds, None

    def finish_within(self, seconds: float) -> None:
        """All reads from now on may take so long together."""
        self._deadline, self.has_begun = time.monotonic() + seconds, True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises TimeoutError."""
        left = self._patience if self._deadline is None else self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the caller takes too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
