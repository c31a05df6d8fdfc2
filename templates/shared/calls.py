"""Calls other servers with this one's client certificate."""

from __future__ import annotations

import http.client
import socket
import ssl

from der import SERVER_AUTH, key_purposes
from peer import verified_now
from revocation import Checker, Refused
from settings import Address
from tls import Material

TIMEOUT_SECONDS = 10
LONGEST_ANSWER = 1 << 20


class CallFailed(Exception):
    """The other server cannot be trusted, does not trust this one, or is not there."""


class _Connection(http.client.HTTPConnection):
    """Dials one address and expects the name of another: a service may be moved, its certificate stays."""

    default_port = 443

    def __init__(self, at: Address, server_name: str, context: ssl.SSLContext, checker: Checker | None) -> None:
        super().__init__(server_name, at.port, timeout=TIMEOUT_SECONDS)
        self._at = at
        self._server_name = server_name
        self._context = context
        self._checker = checker

    def connect(self) -> None:
        plain = socket.create_connection((self._at.host, self._at.port), TIMEOUT_SECONDS)
        connection = self._context.wrap_socket(plain, server_hostname=self._server_name)
        # OpenSSL takes a certificate without any extended key usage for one that may do everything.
        if SERVER_AUTH not in key_purposes(connection.getpeercert(binary_form=True) or b""):
            connection.close()
            raise CallFailed("I do not trust it: its certificate is not for servers (extended key usage)")
        if self._checker is not None:
            try:
                self._checker.check(verified_now(connection))
            except Refused as error:
                connection.close()
                raise CallFailed(f"I do not trust it: {error}") from error
        self.sock = connection


def get(at: Address, name: str, current: Material, path: str = "/") -> tuple[int, bytes]:
    """`GET path` of the server of that name: status and body of what came back. Raises CallFailed."""
    context = current.clients.get(name)
    if context is None:
        raise CallFailed("this service has no client certificate to call with")
    # Nobody here knows what an issuer from elsewhere has revoked.
    checker = current.checker if name not in current.policy.from_elsewhere else None
    connection = _Connection(at, current.policy.server_names[name], context, checker)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(LONGEST_ANSWER)
    except ssl.SSLCertVerificationError as error:
        raise CallFailed(f"I do not trust it: {error.verify_message}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise CallFailed(f"the call failed: {error}") from error
    finally:
        connection.close()
