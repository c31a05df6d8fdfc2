"""HTTP over mutual TLS with exactly the given certificate: one raw call, and what became of it, layer by layer.

It trusts whatever server it meets: it asks who gets in, while the rendered clients' own calls ask whom they trust.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from scaffold.topology.model import HostPort
from scaffold.verify import judge, tls
from scaffold.verify.credentials import Credentials
from scaffold.verify.judge import Finding
from scaffold.verify.model import Layer, Observed
from scaffold.verify.protocol import (
    PATIENCE,
    Admitted,
    Closed,
    Denied,
    Failed,
    Outcome,
    Stuck,
    Target,
    Unreachable,
)
from scaffold.verify.tls import Connection, TlsEnded, TlsError

HTTP: Final = "http"
"""The layer above TLS, in the report."""

CALLER = "/.mtls/caller"
"""Where every server that speaks HTTP says who called; all other paths are the person's."""

BODY_LIMIT = 1 << 20

_REFUSING = frozenset({400, 401, 403, 495, 496})
"""Statuses of a refusal. 495 and 496 are in no RFC: some servers say so of a certificate, or say 400."""

_BAD_GATEWAY = 502
_INTERNAL_SERVER_ERROR = 500
_FROM_BEHIND = frozenset({_BAD_GATEWAY, 504})
"""Statuses of a front that has passed the request on."""

_OF_ANY_CALLER = frozenset({405, 406, 408, 411, 413, 415, 421, 426, 429, 431})
"""Statuses that a server may give before it looks at who calls. A redirection too says nothing: it may lead to where
strangers log in."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An HTTP answer came back."""

    status: int
    body: bytes


Answer = Answered | Closed | Unreachable | Stuck
"""What a request comes to, before it is known what the status means."""


class Http:
    """The protocol of most servers: an HTTP status says who is let in, and the certificate alone says who calls."""

    name = HTTP
    claims = False

    def call(
        self,
        target: Target,
        credentials: Credentials | None,
        *,
        claimed: str = "",
        newest: ssl.TLSVersion | None = None,
    ) -> Outcome:
        """As every protocol's; whether this machine's library speaks `newest` is tried on itself before.

        Whoever is refused where the server says who called asks for another path as well, and by another method.
        """
        outcome = meaning(call(target, credentials, newest=newest))
        return _answered_elsewhere(target, credentials, newest) or outcome if isinstance(outcome, Denied) else outcome

    def url(self, address: HostPort) -> str:
        """A rendered client's own default is `/`, which is the person's."""
        return f"https://{address}{CALLER}"

    def refused_in(self, words: str) -> str:
        """With an HTTP status, or before any."""
        return HTTP if re.search(r"\b4\d\d\b", words) else Layer.TLS


def meaning(answer: Answer) -> Outcome:
    """What the status of an answer says of the caller. A 500 is neither a welcome nor a refusal, and nor is a 404."""
    match answer:
        case Answered(200, body):
            return Admitted(HTTP, "HTTP 200", body)
        case Answered(status, body):
            words = f"HTTP {status}{_reason(body)}"
            return Denied(HTTP, words) if status in _REFUSING else Failed(HTTP, words, beyond=status == _BAD_GATEWAY)
        case _:
            return answer


def _answered_elsewhere(
    target: Target, credentials: Credentials | None, newest: ssl.TLSVersion | None
) -> Admitted | Stuck | None:
    """What a caller gets who asks for something else than who it is; None where it is refused there too."""
    for method in ("GET", "POST"):
        headers = (("Content-Length", "0"), ("Connection", "close"))
        match _answer(target, credentials, newest, _head(target, (method, "/"), headers)):
            case Answered(status, body) if status not in _REFUSING and _has_passed(status):
                return Admitted(HTTP, f"refused at {CALLER}, but {method} / is answered with HTTP {status}", body)
            case Stuck(layer, reason):
                return Stuck(layer, f"refused at {CALLER}, but of {method} /: {reason}")
    return None


def _has_passed(status: int) -> bool:
    """Whether a request that is answered so was let through: some methods and failures are told to everybody."""
    is_interim, is_redirection = status < 200, 300 <= status < 400
    answers = status < _INTERNAL_SERVER_ERROR and not (is_interim or is_redirection) and status not in _OF_ANY_CALLER
    return answers or status in _FROM_BEHIND


def health(alive: Answer, elsewhere: Answer) -> Finding:
    """Whether the plain port answers `/healthz` with 200 `ok`, and everything else with 404."""
    match alive, elsewhere:
        case Answered(200, body), Answered(404, _) if body.strip() == b"ok":
            return Finding(Observed.ALLOWED, HTTP, "/healthz: 200 ok, /: 404")
        case Answered(first, _), Answered(second, _):
            return Finding(Observed.BROKEN, HTTP, f"/healthz: HTTP {first}, /: HTTP {second}")
        case (Answered(), other) | (other, _):
            return judge.admission(meaning(other))


def _reason(body: bytes) -> str:
    answer = judge.json_object(body) or {}
    return f": {answer['error']}" if isinstance(answer.get("error"), str) else ""


def call(
    target: Target,
    credentials: Credentials | None,
    path: str = CALLER,
    headers: Iterable[tuple[str, str]] = (),
    newest: ssl.TLSVersion | None = None,
) -> Answer:
    """GET `path` with the certificate (None: with none), speaking at most `newest` where that is given.

    Raises CannotOffer where this machine's library cannot load the certificate; whether it speaks `newest` at all is
    for `tls.speaks` to say.
    """
    return _answer(target, credentials, newest, _request(target, path, headers))


def call_with_trailers(
    target: Target, credentials: Credentials, path: str, trailers: Iterable[tuple[str, str]]
) -> Answer:
    """POST to `path` an empty body in chunks, with fields after it (RFC 9112 7.1.2). Raises CannotOffer likewise."""
    head = _head(target, ("POST", path), (("Transfer-Encoding", "chunked"), ("Connection", "close")))
    after = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return _answer(target, credentials, None, head + f"0\r\n{after}\r\n".encode("latin-1"))


def _answer(target: Target, credentials: Credentials | None, newest: ssl.TLSVersion | None, request: bytes) -> Answer:
    context = tls.client_context(credentials, newest)
    try:
        plain = tls.dial(target.address, PATIENCE)
    except OSError as error:
        return Unreachable(error.strerror or str(error))
    with plain:
        connection = tls.connecting(context, plain, target.server_name)
        try:
            connection.handshake()
        except TimeoutError:
            return Stuck(Layer.TLS, f"the handshake was not complete within {PATIENCE:g} s")
        except TlsError as error:
            return _refused_handshake(error)
        except OSError:
            return Closed(None, after_handshake=False)
        return _converse(connection, request)


def call_plainly(address: HostPort, path: str) -> Answer:
    """GET `path` over plain HTTP."""
    try:
        plain = tls.dial(address, PATIENCE)
    except OSError as error:
        return Unreachable(error.strerror or str(error))
    with plain:
        return _converse(plain, _request(Target(address, str(address)), path, ()))


def _request(target: Target, path: str, headers: Iterable[tuple[str, str]]) -> bytes:
    own = tuple(headers)
    ends = () if any(name == "Connection" for name, _ in own) else (("Connection", "close"),)
    return _head(target, ("GET", path), (*ends, *own))


def _head(target: Target, asked: tuple[str, str], headers: Iterable[tuple[str, str]]) -> bytes:
    """`asked` is the method and the path."""
    lines = [f"{' '.join(asked)} HTTP/1.1", f"Host: {target.server_name}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _refused_handshake(error: TlsError) -> Closed | Stuck:
    if error.alert is not None or isinstance(error, TlsEnded):
        return Closed(error.alert, after_handshake=False)
    return Stuck(Layer.TLS, str(error))


def _converse(connection: socket.socket | Connection, request: bytes) -> Answer:
    """Send and, whatever becomes of that, read: what the server thinks of our certificate may only come now."""
    with contextlib.suppress(OSError, TlsError):
        connection.sendall(request)
    # HTTPConnection would read nothing once its request could not be sent, and a response needs no more of a socket
    # than a file to read from.
    response = http.client.HTTPResponse(cast(socket.socket, connection), method="GET")
    try:
        response.begin()
        return Answered(response.status, response.read(BODY_LIMIT))
    except TimeoutError:
        return Stuck(HTTP, f"the handshake was done and no answer came within {PATIENCE:g} s")
    except TlsError as error:
        return Closed(error.alert, after_handshake=True)
    except (http.client.RemoteDisconnected, ConnectionError):
        return Closed(None, after_handshake=True)
    except http.client.HTTPException as error:
        return Stuck(HTTP, f"the answer is not HTTP: {type(error).__name__}")
    finally:
        response.close()
