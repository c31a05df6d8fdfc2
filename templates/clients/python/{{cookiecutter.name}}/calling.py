"""Calls servers by the rules of tls/policy.json. The checks of servers are made here, and not in client.py."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import policy
import tls
from revocation import Checker, Refused

TIMEOUT_SECONDS = 15
NOT_TRUSTED, REFUSED, NOT_REACHABLE = 3, 4, 5


class Failed(Exception):
    """A call that was not answered 200; `code` is the exit code that says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Call:
    """Where a server is dialled, and what is asked for."""

    host: str
    port: int
    path: str = "/"

    @classmethod
    def at(cls, url: str) -> Call:
        """Of a URL. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(f"{url} is not an https:// URL")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Call(parts.hostname, parts.port or 443, path)


class _Connection(http.client.HTTPConnection):
    """Dials one address and expects the name of another: a service may be moved, its certificate stays."""

    default_port = 443

    def __init__(self, call: Call, server_name: str, context: ssl.SSLContext, checker: Checker | None) -> None:
        super().__init__(server_name, call.port, timeout=TIMEOUT_SECONDS)
        self._call = call
        self._server_name = server_name
        self._context = context
        self._checker = checker

    def connect(self) -> None:
        try:
            plain = socket.create_connection((self._call.host, self._call.port), TIMEOUT_SECONDS)
        except OSError as error:
            raise Failed(NOT_REACHABLE, f"not reachable: {error}") from error
        connection = self._context.wrap_socket(plain, server_hostname=self._server_name)
        if not tls.is_for_servers(connection.getpeercert(binary_form=True) or b""):
            connection.close()
            raise Failed(
                NOT_TRUSTED, "I do not trust the server: its certificate is not for servers (extended key usage)"
            )
        if self._checker is not None:
            try:
                self._checker.check(tls.verified_chain(connection))
            except Refused as error:
                connection.close()
                raise Failed(NOT_TRUSTED, f"I do not trust the server: {error}") from error
        self.sock = connection


class Caller:
    """What is in tls/ for the servers of these names: certificate, roots, and what is demanded of each.

    Raises OSError, ValueError, LookupError and TypeError for what cannot be used.
    """

    def __init__(self, folder: Path, servers: Iterable[str]) -> None:
        demanded = policy.load(folder / "policy.json")
        self._names = demanded.server_names
        self._contexts = {name: tls.context(folder, demanded, folder / demanded.trust[name]) for name in servers}
        self._checker = Checker(folder, demanded.revocation) if demanded.revocation is not None else None

    def get(self, server: str, call: Call) -> str:
        """The body of a 200 from that server, wherever it is dialled. Raises Failed."""
        return _get(call, _Connection(call, self._names[server], self._contexts[server], self._checker))


def _get(call: Call, connection: _Connection) -> str:
    """The body of a 200. Raises Failed."""
    try:
        connection.request("GET", call.path)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
    except ssl.SSLCertVerificationError as error:
        raise Failed(NOT_TRUSTED, f"I do not trust the server: {error.verify_message}") from error
    except TimeoutError as error:
        raise Failed(NOT_REACHABLE, "not reachable: no answer in time") from error
    except ssl.SSLError as error:
        raise _tls_failure(error) from error
    except (OSError, http.client.HTTPException) as error:
        # TLS 1.3: the client is done before the server has looked at its certificate; refusal comes as a closed door.
        raise Failed(REFUSED, "the server refused me: it closed the connection") from error
    finally:
        connection.close()
    if response.status in (400, 403):
        raise Failed(REFUSED, f"the server refused me: {response.status} {body.strip()}")
    if response.status != 200:
        raise Failed(1, f"the server answered {response.status}: {body.strip()}")
    return body


def _tls_failure(error: ssl.SSLError) -> Failed:
    """An alert is the server's word; what else goes wrong in a handshake is this side's judgement of the server."""
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "alert" in reason:
        return Failed(REFUSED, f"the server refused me: {reason}")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Failed(REFUSED, "the server refused me: it closed the connection")
    return Failed(NOT_TRUSTED, f"I do not trust the server: {reason}")
