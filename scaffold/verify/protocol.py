"""What verify asks of a server in whichever protocol it speaks, and what may come of it: the port behind the probes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final, Protocol

from scaffold.topology.model import HostPort
from scaffold.verify.credentials import Credentials
from scaffold.verify.forwarded import Headers
from scaffold.verify.model import Layer

PATIENCE: Final = 10.0
"""Seconds for each step of a call. A server that says nothing for so long has neither let anyone in nor refused."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server is, and the name by which it is asked for (SNI, and what the protocol has besides)."""

    address: HostPort
    server_name: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """The caller was let in. `answer` is a JSON object in which the server says who it is and who called.

    `reached` are the headers with which its request reached the app behind a front; None of a server without one.
    """

    layer: str
    words: str
    answer: bytes
    reached: Headers | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The server refused the caller after the handshake, in its own protocol."""

    layer: str
    words: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Neither a welcome nor a refusal. `beyond`: it let the caller in, and what it needed behind it failed."""

    layer: str
    words: str
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """The server ended it: `alert` is OpenSSL's word for the TLS alert, None for an end without one.

    TLS 1.3 lets a client finish before the server has looked at its certificate (RFC 8446 4.4.2), so an end
    `after_handshake` is as good a refusal as one within; some servers, and TLS 1.2, refuse so without any alert.
    """

    alert: str | None
    after_handshake: bool


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No connection came about."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """Neither an answer nor an end, or one that is not of the protocol: `layer` is where it happened."""

    layer: Layer | str
    reason: str


Outcome = Admitted | Denied | Failed | Closed | Unreachable | Stuck


class ServerProtocol(Protocol):
    """How a server is spoken to. May be used by several threads.

    `name` is the layer above TLS in the report. `claims`: a caller says who it is beside showing its certificate, and
    the server must hold the two against each other.
    """

    @property
    def name(self) -> str: ...

    @property
    def claims(self) -> bool: ...

    def call(
        self,
        target: Target,
        credentials: Credentials | None,
        *,
        claimed: str = "",
        newest: ssl.TLSVersion | None = None,
    ) -> Outcome:
        """Ask who called, with exactly this certificate (None: with none), trusting whatever server is met.

        `claimed` is the name of the server or client that the caller says it is. It speaks at most `newest` where that
        is given. Raises CannotOffer where this machine cannot show the certificate, or speak that protocol.
        """
        ...

    def url(self, address: HostPort) -> str:
        """Where a rendered client is sent that is to call a server there."""
        ...

    def refused_in(self, words: str) -> str:
        """The layer in which a rendered client was refused, by what it says of it."""
        ...
