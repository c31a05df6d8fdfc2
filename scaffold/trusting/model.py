"""A root, an entry of a store, and what every store can do; an entry says by its name who put it there.

Nothing is recorded beside the stores: the name of an entry holds the topology, the CA, and the beginning of the
certificate's fingerprint, so that what was installed is found again after the output folder is gone.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

from cryptography import x509

from scaffold.pki import bundles
from scaffold.topology.address import Address
from scaffold.trusting.kinds import StoreKind

_OWNER: Final = "scaffold"
SHOWN: Final = 16
"""Hex digits of a fingerprint in the name of an entry: enough to tell certificates apart, short enough to read."""

_LABEL: Final = re.compile(
    rf"{_OWNER}\.(?P<topology>[a-z0-9-]+)\.(?P<ca>[a-z0-9-]+)\.(?P<fingerprint>[0-9a-f]{{{SHOWN}}})"
)


@dataclass(frozen=True)
class Anchor:
    """A root of a topology, as it is to be trusted."""

    topology: str
    address: Address
    certificate: x509.Certificate

    @cached_property
    def fingerprint(self) -> str:
        """Of its certificate: SHA-256 in hex."""
        return bundles.fingerprint(self.certificate)

    @property
    def label(self) -> str:
        """What its entry is called in every store: `scaffold.shop.root.0123456789abcdef`."""
        return f"{_OWNER}.{self.topology}.{self.address.name}.{self.fingerprint[:SHOWN]}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose root an entry of ours is."""

    topology: str
    ca: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate in a store.

    `name` is the store's own for it, and `label` the same without what the store adds. `trusted`: whether programs
    that use the store accept it as a root. `copied`: the store took it over from the system's by itself.
    """

    name: str
    label: str
    fingerprint: str
    trusted: bool = True
    copied: bool = False

    @property
    def mark(self) -> Mark | None:
        """Whose root it is, where scaffold has put it there: the name says so, and the certificate is still that."""
        found = _LABEL.fullmatch(self.label)
        if found is None or not self.fingerprint.startswith(found["fingerprint"]):
            return None
        return Mark(found["topology"], found["ca"])


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a store cannot be changed, or read, and what helps; `as_root`: the same command as root does."""

    message: str
    hint: str | None = None
    as_root: bool = False


class Store(Protocol):
    """What every store can do. Each of these raises TrustError where the store is not as it must be."""

    @property
    def kind(self) -> StoreKind:
        """Whose it is."""

    @property
    def place(self) -> str:
        """Where it is, for a person."""

    def holds(self) -> tuple[Entry, ...]:
        """Every certificate in it."""

    def obstacle(self) -> Obstacle | None:
        """Why it could not be changed; None where it can be. Nothing is changed to find out."""

    def install(self, anchor: Anchor) -> None:
        """Trust the root. Installing it again completes what was interrupted."""

    def uninstall(self, entries: Sequence[Entry]) -> None:
        """Remove these entries, and nothing else."""


class Standing(enum.StrEnum):
    """The state of a root in a store; the values are a contract of `trust list --json`."""

    INSTALLED = "installed"
    """Scaffold has put it there, and it is trusted."""
    PARTIAL = "partial"
    """Scaffold has put it there, and it is not trusted: something was interrupted, or somebody took the trust away."""
    THEIRS = "theirs"
    """Somebody else has put it there, and it is trusted."""
    DISTRUSTED = "distrusted"
    """Somebody else has put it there, and said that it is not trusted."""
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """The store cannot be read."""


def standing(anchor: Anchor, entries: Iterable[Entry]) -> tuple[Standing, tuple[Entry, ...]]:
    """The state of a root among the entries of a store, and which of them hold it."""
    holding = tuple(entry for entry in entries if entry.fingerprint == anchor.fingerprint)
    ours = [entry for entry in holding if entry.mark is not None]
    theirs = [entry for entry in holding if entry.mark is None]
    if any(entry.trusted for entry in ours):
        return Standing.INSTALLED, holding
    if any(entry.trusted for entry in theirs):
        return Standing.THEIRS, holding
    if ours:
        return Standing.PARTIAL, holding
    return (Standing.DISTRUSTED if theirs else Standing.ABSENT), holding
