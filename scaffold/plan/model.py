"""The plan as a plain value: what would be done, to what, and why. It knows nothing of views, files or keys."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from scaffold.plan.reasons import Reason
from scaffold.store.seen import Seen
from scaffold.topology.address import Address
from scaffold.topology.notes import Note


class Action(enum.StrEnum):
    """What is done to one part of one entity; the order is that of the summary."""

    CREATE = "create"
    UPDATE = "update"
    """Other content: a file, or a certificate reissued over the same key because what it says changes."""
    RENEW = "renew"
    """The same certificate over the same key with later dates."""
    REPLACE = "replace"
    """A new key."""
    REVOKE = "revoke"
    DELETE = "delete"
    CONFLICT = "conflict"
    """A template's change does not fit a person's edit: nothing is overwritten, and `resolve` ends it."""


class Work(enum.StrEnum):
    """What apply does to the part: it follows this, and never asks why."""

    REVOKE = "revoke"
    """Enter `revocations` in the ledger."""
    NEW_KEY = "new-key"
    """Make a key and issue over it."""
    ISSUE = "issue"
    """Issue over the key that is there."""
    PLACE = "place"
    """Write what is around a certificate that stays: its chain, its DER copy, its rights."""
    ENCRYPT = "encrypt"
    """Write a CA's key again under its password."""
    ADOPT = "adopt"
    """Copy the certificates of a CA that was made elsewhere."""
    TAKE_OVER = "take-over"
    """Copy the certificate and the key of a server or client that somebody else issues to."""
    SIGN = "sign"
    """Sign a CRL."""
    STAPLE = "staple"
    """Sign the OCSP response that a server staples."""
    BUNDLE = "bundle"
    DERIVE = "derive"
    """Make the files in `tls/` that are made of others there, once these are in place, and give them their owner."""
    FILL = "fill"
    """Write all of `tls/`, apart from keys and certificates."""
    TRUST = "trust"
    """Write `paths` in `tls/`."""
    REFRESH = "refresh"
    """The same, of a project that is behind its topology and stays so."""
    RENDER = "render"
    """Write every file of a project."""
    WRITE = "write"
    """Write `paths` of a project, as `edits` say."""
    RESTORE = "restore"
    """Write `paths` of a project that is behind its topology and stays so, as they were last rendered."""
    OFFER = "offer"
    """Lay what is to be resolved of `paths` beside a person's edits."""
    REMOVE = "remove"
    """Remove `paths`."""
    APP = "app"
    """Put an app in its place, as its template makes it."""
    MERGE_APP = "merge-app"
    """Write `paths` of an app, as `edits` say."""
    OFFER_APP = "offer-app"
    """Lay what is to be resolved of `paths` of an app beside a person's edits."""
    RESOLVE_APP = "resolve-app"
    """End the conflicts of an app, as `edits` say."""


class Edit(enum.StrEnum):
    """What becomes of a text of a person's, in the order in which it is done."""

    ASIDE = "aside"
    """It is kept beside, as FILE.edited."""
    MERGE = "merge"
    """What is rendered is merged into it."""
    RESOLVE = "resolve"
    """What the person has made of FILE.merge takes its place."""
    KEEP = "keep"
    """It stays."""
    FOLLOW = "follow"
    """What is rendered takes its place, since nobody has edited the text; its rights stay."""
    DROP = "drop"
    """It is removed: a text that was laid beside and has served."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """What the ledger is to say of a certificate: its CA, its serial in lower-case hex, and a CRLReason.

    `removeFromCRL` lifts a hold (RFC 5280 5.3.1), of several those that began at `holds`. `replace`: whether its holder
    gets another.
    """

    ca: str
    serial: str
    reason: str
    replace: bool = True
    holds: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the plan. `reasons` is never empty; `paths` are the files concerned, relative to the output.

    `edits` are the paths where a person's text is dealt with; any other of a project gets what is rendered.
    `seen` is what stood there when it was planned, of all that apply writes or removes: what has changed meanwhile is
    planned again and never overwritten.

    `drifted` are the files of scaffold's own outside of what `tls/` is compared for that somebody else has changed.

    `asks`: apply asks a person first, because a certificate is revoked, a CA gets another key, or something is deleted.
    `can_wait`: what is there will do for a while: a CRL or staple that is valid and past half of its life.
    `due`: time alone asks for it, or a revocation that is to be carried through.
    """

    address: Address
    action: Action
    reasons: tuple[Reason, ...]
    paths: tuple[str, ...] = ()
    work: Work | None = None
    seen: tuple[Seen, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    edits: tuple[tuple[str, Edit], ...] = ()
    drifted: tuple[str, ...] = ()
    asks: bool = False
    can_wait: bool = False
    due: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes in the order in which apply makes them, and the notes that are no changes (warnings).

    `state_serial` names the records that the plan was made from: apply refuses a plan of others.
    """

    topology: str
    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()
    state_serial: str = ""
    awaits: bool = False
    """Whether apply cannot mend what is there: a CRL that was brought and has ended."""
    clock_behind: datetime | None = None
    """When something was last done here, where this machine's clock lies before that. Every change asks then."""

    @property
    def summary(self) -> dict[Action, int]:
        """How many changes there are of each action, in the order of `Action`, without the zeros."""
        counts = Counter(change.action for change in self.changes)
        return {action: counts[action] for action in Action if counts[action]}
