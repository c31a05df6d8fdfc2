"""What a plan is made from, and what is asked of it beyond the topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from scaffold.issuers.port import Mounted
from scaffold.kinds.catalogue import Kind
from scaffold.plan.desired import Desired
from scaffold.plan.intents import Intent
from scaffold.plan.projects import Resolution
from scaffold.plan.recovery import Recovered
from scaffold.store.examined import Remembered
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.existing_leaf import NOTHING_BROUGHT, Brought
from scaffold.store.ledger import Ledger, Revoked
from scaffold.store.observation import Observation
from scaffold.store.rights import RightsByAddress
from scaffold.topology.address import Address
from scaffold.topology.model import Topology
from scaffold.topology.notes import Note

if TYPE_CHECKING:
    from scaffold.plan.apps import MadeApp


@dataclass(frozen=True, slots=True)
class Basis:
    """What the plans of one moment are made from: each part of it is looked at once. `notes` need no plan."""

    desired: Desired
    observed: Observation
    existing: Mapping[str, ExistingCa]
    kinds: Mapping[Address, Kind]
    now: datetime
    notes: tuple[Note, ...] = ()
    issuers: Mounted = field(default_factory=dict)
    remembered: Remembered | None = None
    brought: Brought = NOTHING_BROUGHT
    recovered: Recovered | None = None
    rights: RightsByAddress = field(default_factory=dict)
    """Of the servers and clients that say whose their files are."""

    @property
    def ledger(self) -> Ledger:
        """What the ledger says, and what folder and CRLs do where it was lost."""
        return self.observed.ledger if self.recovered is None else self.recovered.ledger

    @property
    def lost(self) -> tuple[Note, ...]:
        """What is to be said of a ledger that was lost."""
        return () if self.recovered is None else self.recovered.notes

    @property
    def revoked_elsewhere(self) -> tuple[Revoked, ...]:
        """What others have revoked for good of what was issued here, and the ledger does not have."""
        return () if self.recovered is None else self.recovered.for_good

    @property
    def topology(self) -> Topology:
        return self.desired.topology


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person, or the hour, asks for beyond the topology."""

    intents: Sequence[Intent] = ()
    """Taken as if the ledger said so already: what follows from them is found like any other difference."""
    overwrite: frozenset[Address] = frozenset()
    """Projects where the template's text is taken in conflicts and what was deleted comes back, and bundles that are
    made again."""
    resolutions: Mapping[Address, Resolution] = field(default_factory=lambda: MappingProxyType({}))
    """How the conflicts of a server's or client's project end, by its address."""
    newer_apps: Mapping[Address, MadeApp] = field(default_factory=lambda: MappingProxyType({}))
    """Merged into the apps that are there, by the address of a server."""
    hold_pending: bool = False
    """What the topology has come to ask for leaves projects and CAs as they are, and `tls/` goes on with what fits
    them; what is wrong with a certificate from elsewhere leaves that as it is."""


NOTHING_ASKED = Asked()
