"""Takes into the ledger what folder and CRLs say and it does not know: it was lost, or an old copy was put back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scaffold.plan.basis import Basis
from scaffold.plan.make import with_folder
from scaffold.store import archive, ledger, lock


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many certificates and revocations the ledger knows from now on."""

    certificates: int
    revocations: int


def record_found(
    look: Callable[[], Basis], before: Basis, *, wait: float = 0, waiting: Callable[[str], None] | None = None
) -> Recorded:
    """Records every certificate that is in the folder, what the CRLs in place list, and that an archive is gone.

    `before` is what was seen first; `look` looks again once nobody else writes. `wait` and `waiting` are those of the
    lock. Raises as `look` does, and Locked.
    """
    layout = before.observed.layout
    with lock.hold(layout, before.now, wait=wait, waiting=waiting):
        found = with_folder(look())
        known, recorded = found.ledger, found.observed.ledger
        record = ledger.Recorder(layout, found.now)
        if recorded.topology is None:
            record.topology(found.topology.name)
        certificates = [one for one in known.issued.values() if one.fingerprint_sha256 not in recorded.issued]
        revocations = [one for pair, one in known.revoked.items() if pair not in recorded.revoked]
        record.issued(certificates)
        record.revoked(revocations)
        if archive.is_lost(layout, recorded):
            record.archive_lost()
    return Recorded(len(certificates), len(revocations))
