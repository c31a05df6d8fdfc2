"""Certificates of servers and clients that somebody else issues: what is known of them once their files were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509

from scaffold.errors import TopologyError
from scaffold.pki import bundles, chains
from scaffold.pki.keys import PublicKey
from scaffold.topology.address import Address
from scaffold.topology.notes import Note


@dataclass(frozen=True, slots=True)
class BroughtLeaf:
    """A leaf as its source has it. `above` is the way from its issuer up to its root.

    `key_file` is the SHA-256 of the key's file: apply reads it again, and takes over what was judged and nothing else.
    `open_to_all`: whether anybody on the machine can read the key.
    """

    certificate: x509.Certificate
    above: chains.Path
    key_file: str
    open_to_all: bool = False

    @property
    def path(self) -> chains.Path:
        """Its certificate, and those above it."""
        return (self.certificate, *self.above)

    @property
    def sent(self) -> chains.Path:
        """What is sent after it: the certificates above it, without the root."""
        return self.above[:-1]

    @property
    def content(self) -> bytes:
        """What is in `tls/` of it."""
        return bundles.pem(self.certificate) + bundles.chain_pem(self.sent)


@dataclass(frozen=True, slots=True)
class Brought:
    """Of each server and client its leaf, or what is wrong with it; and the roots of servers, in PEM."""

    leaves: Mapping[Address, BroughtLeaf] = field(default_factory=dict)
    problems: Mapping[Address, TopologyError] = field(default_factory=dict)
    roots: Mapping[Address, bytes] = field(default_factory=dict)
    requests: Mapping[Address, PublicKey] = field(default_factory=dict)
    """The keys that are certified for a request; `problems` says what is wrong with the others."""
    notes: tuple[Note, ...] = ()


NOTHING_BROUGHT = Brought()
"""Of a topology that issues everything itself."""

_LAST_SHARE: Final = 3


def ends_soon(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether the last third of its life has begun: from then on a person is told that nobody renews it here."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now >= ends - (ends - begins) / _LAST_SHARE
