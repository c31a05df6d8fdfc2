"""The plan's notes on what is allowed and yet worth a word: nothing here is an error, and nothing is changed by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from scaffold.topology import graph
from scaffold.topology.durations import format_duration
from scaffold.topology.model import Client, KeyType, RevocationCheck, Server, TlsProfile, Topology
from scaffold.topology.notes import Note


@dataclass(frozen=True, slots=True)
class _Advice:
    """What a Mozilla profile says of a server's certificate."""

    keys: frozenset[KeyType]
    words: str
    longest: timedelta


_ECDSA: Final = frozenset({KeyType.EC_P256, KeyType.EC_P384})
# A longer RSA key than the profile's 2,048 bits is only slower.
_RSA: Final = frozenset({KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096})

# https://wiki.mozilla.org/Security/Server_Side_TLS, guideline 6.0: certificate type, curve, size and lifespan.
_ADVICE: Final[Mapping[TlsProfile, _Advice]] = {
    TlsProfile.MODERN: _Advice(_ECDSA, "an ec-p256 or ec-p384 key", timedelta(days=90)),
    TlsProfile.INTERMEDIATE: _Advice(_ECDSA | _RSA, "an ec-p256, ec-p384 or RSA key", timedelta(days=366)),
}


def notes(t: Topology) -> Iterator[Note]:
    """All of them, in the file's order."""
    for server in t.servers.values():
        yield from _mozilla(server)
    yield from _external(t)


def _mozilla(server: Server) -> Iterator[Note]:
    advice = _ADVICE[server.tls]
    if server.key not in advice.keys:
        said = f"has a key of type {server.key}: Mozilla’s profile {server.tls} asks for {advice.words}"
        yield Note(server.address, said)
    if server.lifetime > advice.longest:
        lives, longest = format_duration(server.lifetime), format_duration(advice.longest)
        said = f"has a lifetime of {lives}: Mozilla’s profile {server.tls} gives {longest} at most"
        yield Note(server.address, said)


def _external(t: Topology) -> Iterator[Note]:
    for caller, server in graph.edges(t):
        if isinstance(caller, Client) and caller.external and server.check_revocation is not RevocationCheck.NONE:
            yield Note(
                server.address,
                f"checks revocation by {server.check_revocation}, and which pointers the certificate of "
                f"{caller.address} carries is not known here",
            )
