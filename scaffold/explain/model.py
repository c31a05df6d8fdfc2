"""A handshake as plain values: its steps, the checks of each, which line makes them, and what was seen of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from scaffold.errors import Place
from scaffold.kinds.lines import Line
from scaffold.topology.address import Address
from scaffold.verify.last_run import Seen


class Doing(enum.StrEnum):
    """The steps, in the order of TLS 1.3 (RFC 8446 2); in TLS 1.2 they are the same."""

    CONNECTS = "connects"
    SHOWS_SERVER = "server-certificate"
    CHECKS_SERVER = "server-checked"
    SHOWS_CLIENT = "client-certificate"
    CHECKS_CLIENT = "client-checked"
    DECIDES = "decision"


class About(enum.StrEnum):
    """What a check is about."""

    TLS_VERSION = "tls-version"
    DEMANDED = "certificate-demanded"
    CHAIN = "chain"
    NAME = "name"
    VALIDITY = "validity"
    PURPOSE = "purpose"
    REVOCATION = "revocation"
    FAULT = "fault"
    """A fault that the topology asks for, and that none of the others has found."""
    ALLOWED = "allowed"


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate: names as text, serial in lower-case hex."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    serial: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Check:
    """One check on what is there today.

    `holds` is None where that cannot be said here. `wanted` and `found` are what is compared. `lines` are those that
    make it, with paths relative to the output folder, `absent` what the template says is in a file and is not there.
    `declared` is whether the template says anything. `seen` is what verify saw where the check must fail; of one that
    does not hold, where it failed for the same reason. `changed` are the files that make it and that are not as the
    topology says: whether it is made so is not known then, whatever `holds` says of what it is to compare.
    """

    about: About
    holds: bool | None
    wanted: str
    found: str
    lines: tuple[Line, ...] = ()
    absent: tuple[tuple[str, str], ...] = ()
    declared: bool = False
    seen: tuple[Seen, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What one side does. `sends` is the file whose certificates it shows, the leaf first."""

    doing: Doing
    by: Address
    sends: str | None = None
    shown: tuple[Shown, ...] = ()
    lines: tuple[Line, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def failed(self) -> Check | None:
        """The first check that is known not to hold."""
        return next((check for check in self.checks if check.holds is False and not check.changed), None)


@dataclass(frozen=True, slots=True)
class Handshake:
    """One call. `listed`: whether the topology allows it. `called` is what verify saw of it, with real certificates.

    `changed` are the files of both ends that decide it and differ from the topology, relative to the output folder.
    """

    caller: Address
    server: Address
    address: str
    listed: bool
    steps: tuple[Step, ...]
    called: Seen | None = None
    changed: tuple[str, ...] = ()

    @property
    def ends_at(self) -> Step | None:
        """The step at which it ends before its time."""
        return next((step for step in self.steps if step.failed is not None), None)

    @property
    def is_open(self) -> bool:
        """Whether it cannot be said how it ends: nothing is known to refuse it, and a file was changed."""
        return bool(self.changed) and self.ends_at is None


@dataclass(frozen=True, slots=True)
class Edge:
    """An allowed call, from either of its sides.

    `until` is when the first certificate that it needs ends; `refusal` the check that does not hold today, and by whom;
    `changed` the files for which it cannot be said whether one holds.
    """

    caller: Address
    server: Address
    identity: str
    roles: tuple[str, ...]
    place: Place | None
    until: datetime | None
    refused_by: Address | None
    refusal: Check | None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """All allowed calls of a server or client: who may call it, and whom it may call. `others` is what verify saw of
    those who may not call it, and `lines` decide that; `changed` of its files are not as
    the topology says.
    """

    address: Address
    callers: tuple[Edge, ...]
    callees: tuple[Edge, ...]
    lines: tuple[Line, ...] = ()
    others: tuple[Seen, ...] = ()
    changed: tuple[str, ...] = ()
