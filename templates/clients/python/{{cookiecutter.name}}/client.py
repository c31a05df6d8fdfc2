"""{{ cookiecutter.name }}: calls the servers of settings.json, and says clearly who does not trust whom."""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import policy
import tls
from revocation import Checker, Refused

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 15
NOT_TRUSTED, REFUSED, NOT_REACHABLE = 3, 4, 5


class Failed(Exception):
    """A call that was not answered 200; `code` is the exit code that says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Call:
    """Where a server is dialled, what is asked for, and the name that its certificate must bear."""

    host: str
    port: int
    path: str
    server_name: str

    def moved_to(self, url: str) -> Call:
        """The same server at another URL. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(f"{url} is not an https:// URL")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Call(parts.hostname, parts.port or 443, path, self.server_name)


class _Connection(http.client.HTTPConnection):
    """Dials one address and expects the name of another: a service may be moved, its certificate stays."""

    default_port = 443

    def __init__(self, call: Call, context: ssl.SSLContext, checker: Checker | None) -> None:
        super().__init__(call.server_name, call.port, timeout=TIMEOUT_SECONDS)
        self._call = call
        self._context = context
        self._checker = checker

    def connect(self) -> None:
        try:
            plain = socket.create_connection((self._call.host, self._call.port), TIMEOUT_SECONDS)
        except OSError as error:
            raise Failed(NOT_REACHABLE, f"not reachable: {error}") from error
        connection = self._context.wrap_socket(plain, server_hostname=self._call.server_name)
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


def get(call: Call, context: ssl.SSLContext, checker: Checker | None) -> str:
    """The body of a 200. Raises Failed."""
    connection = _Connection(call, context, checker)
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


def main() -> int:
    """Makes the calls. Exits 0 where each was answered 200, else with the highest code among the failures."""
    settings = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
    calls = {
        name: Call(call["host"], call["port"], "/", call["server_name"]) for name, call in settings["calls"].items()
    }
    parser = argparse.ArgumentParser(prog="run.sh", description=f"Calls servers as {settings['name']}.")
    parser.add_argument("server", nargs="?", help="without it, every server")
    parser.add_argument("url", nargs="?", help="where the server is, if not where settings.json says")
    arguments = parser.parse_args()
    if arguments.server is not None and arguments.server not in calls:
        known = f"calls {', '.join(sorted(calls))}" if calls else "calls nobody"
        print(f"{arguments.server}: {settings['name']} calls no such server: it {known}", file=sys.stderr)
        return 1
    if not calls:
        name = settings["name"]
        print(f"{name} calls nobody: no server is listed under its `calls` in the topology", file=sys.stderr)
        return 0
    if arguments.server is not None:
        calls = {arguments.server: calls[arguments.server]}
    try:
        if arguments.url:
            calls = {name: call.moved_to(arguments.url) for name, call in calls.items()}
        demanded = policy.load(HERE / "tls/policy.json")
        contexts = {name: tls.context(HERE / "tls", demanded, HERE / "tls" / demanded.trust[name]) for name in calls}
        checker = Checker(HERE / "tls", demanded.revocation) if demanded.revocation is not None else None
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"{settings['name']}: {error}", file=sys.stderr)
        return 1
    return max([_try(name, call, contexts[name], checker) for name, call in calls.items()], default=0)


def _try(name: str, call: Call, context: ssl.SSLContext, checker: Checker | None) -> int:
    try:
        print(get(call, context, checker), end="", flush=True)
    except Failed as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.code
    return 0
