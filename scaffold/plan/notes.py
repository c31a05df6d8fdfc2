"""The plan's notes on what is allowed and yet worth a word: nothing here is an error, and nothing is changed by it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from scaffold.topology import graph
from scaffold.topology.constraints import always_has_dns_name, forbidden_by, java_takes_for_dns
from scaffold.topology.durations import format_duration
from scaffold.topology.messages import listed
from scaffold.topology.model import (
    Ca,
    HostPort,
    KeyType,
    Party,
    San,
    SanType,
    Server,
    TlsProfile,
    Topology,
)
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
        if not server.issued_here:
            continue
        yield from _mozilla_key(server)
        if t.reproducible is None:
            yield from _mozilla_lifetime(server)
    yield from minutes(t)
    yield from _backends(t)
    yield from _common_names(t)


_LIKE_MONTHS: Final = range(1, 37)


def minutes(t: Topology) -> Iterator[Note]:
    """Lifetimes of a few minutes, where months may have been meant."""
    made = [ca for ca in t.cas.values() if ca.existing is None]
    parties = [party for party in graph.parties(t) if party.has_issued]
    for entity in (*made, *parties):
        count, rest = divmod(entity.lifetime, timedelta(minutes=1))
        if not rest and count in _LIKE_MONTHS:
            months = format_duration(count * timedelta(days=30))
            yield Note(entity.address, f"has a lifetime of {count} minutes (m is minutes: {months} is {count} months)")


def _mozilla_key(server: Server) -> Iterator[Note]:
    advice = _ADVICE[server.tls]
    if server.key not in advice.keys:
        said = f"has a key of type {server.key}: Mozilla's profile {server.tls} asks for {advice.words}"
        yield Note(server.address, said)


def _mozilla_lifetime(server: Server) -> Iterator[Note]:
    advice = _ADVICE[server.tls]
    if server.lifetime > advice.longest:
        lives, longest = format_duration(server.lifetime), format_duration(advice.longest)
        said = f"has a lifetime of {lives}: Mozilla's profile {server.tls} gives {longest} at most"
        yield Note(server.address, said)


def _backends(t: Topology) -> Iterator[Note]:
    """A backend speaks plain HTTP: nothing but the server before it may reach that port."""
    on_loopback = []
    for server in t.servers.values():
        match server.backend:
            case HostPort() as backend if not _is_loopback(backend.host):
                yield Note(
                    server.address,
                    f"forwards requests in plain HTTP to {backend}, which is not on this host: anybody on the network "
                    "path can read and change them, and anybody who reaches that port can pose as this server",
                )
            case HostPort() as backend:
                on_loopback.append(f"{server.address} ({backend})")
    if on_loopback:
        yield Note(
            None,
            f"any user of this host can connect to the backend of {listed(on_loopback)} and pose as the server before "
            "it; a Unix socket (backend: unix:/path) in a folder of its own keeps others out",
        )


def _is_loopback(host: str) -> bool:
    """Of names `localhost` alone is (RFC 6761 6.3), and that is an address by now."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _common_names(t: Topology) -> Iterator[Note]:
    """Common names that Java or GnuTLS refuses; the default ones are chosen so that Java does not.

    A server without a DNS name is refused by GnuTLS whatever its common name is.
    """
    for ca in t.cas.values():
        if ca.issuer is not None and ca.existing is None:
            yield from _held_to_constraints(t, ca, ca.issuer)
    for party in graph.parties(t):
        if not party.has_issued:
            continue
        is_named = any(name.type is SanType.DNS for name in party.names)
        if isinstance(party, Server) and party.issued_here and not is_named:
            yield from _without_dns_name(t, party)
        if not always_has_dns_name(party):
            yield from _held_to_constraints(t, party, party.issuer)


def _held_to_constraints(t: Topology, entity: Ca | Party, issuer: str) -> Iterator[Note]:
    common_name = entity.subject.common_name
    if not java_takes_for_dns(common_name):
        return
    above = _that_forbids(t, issuer, common_name.lower())
    if above is not None:
        yield Note(
            entity.address,
            f"has the common name {common_name} and no DNS name: Java treats the common name as a DNS name, and "
            f"refuses it for the name_constraints of {above.name}; a common name with a space is accepted",
        )


def _without_dns_name(t: Topology, server: Server) -> Iterator[Note]:
    above = _that_forbids(t, server.issuer, server.subject.common_name.lower())
    if above is not None:
        yield Note(
            server.address,
            f"has no DNS name below {above.name}, whose name_constraints are on DNS names: GnuTLS treats the "
            "common name as a DNS name, and refuses it; with a DNS name among its names it is accepted",
        )


def _that_forbids(t: Topology, issuer: str, name: str) -> Ca | None:
    """The first CA, from `issuer` up, whose constraints forbid the DNS name."""
    for above in graph.chain(t, issuer):
        constraints = above.name_constraints
        if constraints is not None and forbidden_by(constraints, San(SanType.DNS, name)) is not None:
            return above
    return None
