"""What of a plan is drift: not as the topology says, where nothing is merely due."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from scaffold.plan.model import Action, Change, Plan
from scaffold.store.layout import party_paths
from scaffold.topology.address import Address, Part

_CONTENTS_OF_TLS: Final = frozenset({Part.CERTIFICATE, Part.CLIENT_CERTIFICATE, Part.TRUST, Part.BUNDLE, Part.FILES})

_READ: Final = (".pem", ".gitignore")
"""What is judged by itself as it is on the disk, and what decides nothing."""


def drift_in_tls(plan: Plan) -> tuple[Change, ...]:
    """What of a plan means that `tls/` is not what the topology says, or that another file of scaffold's was changed.

    What is merely due is no drift, and neither is what waits for a person to resolve a conflict.
    """
    return tuple(
        _drift_alone(change) if change.drifted else change
        for change in plan.changes
        if change.drifted
        or (change.action is not Action.RENEW and not change.can_wait and change.address.part in _CONTENTS_OF_TLS)
    )


def _drift_alone(change: Change) -> Change:
    """The change of a project without what has nothing to do with drift."""
    reasons = tuple(reason for reason in change.reasons if reason.path in change.drifted)
    return replace(change, reasons=reasons, paths=change.drifted)


def changed_files(drift: Collection[Change]) -> Mapping[Address, tuple[str, ...]]:
    """By server and client the files of drift that decide a call and are no certificates: allow lists, programs.

    Paths are relative to the output folder.
    """
    found: dict[Address, dict[str, None]] = {}
    for change in drift:
        if change.address.part not in (Part.TRUST, Part.PROJECT):
            continue
        paths = party_paths(change.address.role, change.address.name)
        for reason in change.reasons:
            path = reason.path or ""
            rendered = paths.is_in_tls(path) and not path.endswith(_READ)
            if rendered or path in change.drifted:
                found.setdefault(change.address.entity, {}).setdefault(path)
    return {address: tuple(files) for address, files in found.items()}
