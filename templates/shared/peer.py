"""Who the caller is: one identity, the key that vouches for it, and until when."""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import der

Chain = tuple[bytes, ...]
"""Certificates in DER, leaf first, root last."""


class Unidentified(Exception):
    """The certificate is valid, but it does not say who may call."""


@dataclass(frozen=True)
class Peer:
    """An identity (the URI in the certificate) and the SHA-256 of the public key of the CA that signed it.

    `others` are its DNS names, as `dns:NAME`: some CAs give no URIs. One without a URI is called by the first of them.
    """

    identity: str
    issuer_spki_sha256: str
    others: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Allowed:
    """What the allow list says of a peer. `gateway`: its headers about its own callers are trusted."""

    name: str
    identity: str
    gateway: bool
    roles: tuple[str, ...] = ()


class CallerContext(ssl.SSLContext):
    """A context that remembers the chain of each certificate it has verified, and by which `trust` that was.

    OP_NO_TICKET and num_tickets leave one way to resume, TLS 1.2 by session identifier, which needs this same context.
    A resumed session has the certificate and no chain.
    """

    chains: dict[bytes, Chain]
    trust: str


@functools.lru_cache(maxsize=1024)
def identify(chain: Chain) -> Peer:
    """Who the leaf of a verified chain says that the caller is. Raises Unidentified."""
    leaf, issuer = chain[:2]
    try:
        # OpenSSL takes a certificate without any extended key usage for one that may do everything.
        if der.CLIENT_AUTH not in der.key_purposes(leaf):
            raise Unidentified("the certificate is not for clients: its extended key usage lacks clientAuth")
        uris, dns = der.uri_names(leaf), [f"dns:{name.lower()}" for name in der.dns_names(leaf)]
        # Two identities in one certificate are a question that has no answer (SPIFFE X.509-SVID, section 5.2).
        if len(uris) > 1:
            raise Unidentified(f"the certificate has {len(uris)} URI names, and must have one")
        if not (uris or dns):
            raise Unidentified("the certificate has no URI name and no DNS name to know its holder by")
        if any(uri.startswith("dns:") for uri in uris):
            raise Unidentified("the certificate has a URI name that begins with dns:, which is said of DNS names")
        identities = (*uris, *dns)
        return Peer(identities[0], der.spki_sha256(issuer), identities[1:])
    except ValueError as error:
        raise Unidentified(f"the certificate cannot be read: {error}") from error


@functools.lru_cache(maxsize=1024)
def ends(chain: Chain) -> float:
    """When the first certificate of a chain expires, in Unix seconds. Raises Unidentified."""
    try:
        return min(der.not_after(certificate) for certificate in chain)
    except ValueError as error:
        raise Unidentified(f"the certificate cannot be read: {error}") from error


def load_allowed(file: Path) -> Mapping[Peer, Allowed]:
    """The allow list: a peer is let in by issuer and identity together. Raises ValueError, KeyError and OSError.

    The issuer is a key and not a name: a sibling CA that signs the same identity gets nobody in, nor does one that
    merely has the issuer's name.
    """
    return {
        Peer(entry["identity"], entry["issuer_spki_sha256"]): Allowed(
            entry["name"], entry["identity"], entry["gateway"] is True, _roles(entry)
        )
        for entry in json.loads(file.read_text(encoding="utf-8"))["allowed"]
    }


def find(allowed: Mapping[Peer, Allowed], peer: Peer | None) -> Allowed | None:
    """What the allow list says of a peer, by its URI or else by one of its DNS names; None where it may not call."""
    if peer is None:
        return None
    names = (Peer(identity, peer.issuer_spki_sha256) for identity in (peer.identity, *peer.others))
    return next((allowed[name] for name in names if name in allowed), None)


def _roles(entry: Mapping[str, Any]) -> tuple[str, ...]:
    roles = entry.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise ValueError(f"the roles of {entry['name']!r} are no list of texts")
    return tuple(roles)


def verified_chain(connection: ssl.SSLSocket | ssl.SSLObject) -> Chain:
    """The chain of the caller, after a handshake with a CallerContext. Raises Unidentified."""
    chains = cast("CallerContext", connection.context).chains
    leaf = connection.getpeercert(binary_form=True) or b""
    if connection.session_reused:
        if leaf not in chains:
            raise Unidentified("the resumed session no longer holds: connect again")
        return chains[leaf]
    chain = verified_now(connection)
    if len(chain) < 2:
        raise Unidentified("there is no verified chain")
    chains[leaf] = chain
    return chain


def verified_now(connection: ssl.SSLSocket | ssl.SSLObject) -> Chain:
    """The chain that OpenSSL built and verified; empty for a resumed session, which keeps none."""
    if hasattr(connection, "get_verified_chain"):  # Python 3.13
        return tuple(cast("list[bytes]", connection.get_verified_chain()))
    der_encoding = 2  # _ssl.ENCODING_DER
    chain = connection._sslobj.get_verified_chain() or []  # type: ignore[union-attr]
    return tuple(certificate.public_bytes(der_encoding) for certificate in chain)
