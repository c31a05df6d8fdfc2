"""Whether this machine's clock can be right: what was done here before says how late it is at least."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from scaffold.errors import PlanError
from scaffold.pki.issue import BACKDATE
from scaffold.plan.desired import DesiredCa, MadeCa
from scaffold.store.observation import Observation

TOLERANCE: Final = BACKDATE
"""Clocks differ by minutes. What is signed by one that is so late begins in time wherever it is shown."""


def latest_before(now: datetime, observed: Observation, cas: tuple[DesiredCa, ...]) -> datetime | None:
    """When something was last done here, where `now` lies before that; None where the clock can be right.

    The state says so, by what was appended last: whoever goes on under an earlier clock has said that it is right.
    Where the state is lost, the CAs' certificates say it.
    """
    latest = observed.ledger.latest
    if latest is None:
        certificates = (
            observed.certificate(one.paths.certificate).certificate for one in cas if isinstance(one, MadeCa)
        )
        latest = max((one.not_valid_before_utc for one in certificates if one is not None), default=None)
    return latest if is_late(now, latest) else None


def is_late(now: datetime, latest: datetime | None) -> bool:
    """Whether `now` lies before what was last done, which is at `latest`."""
    return latest is not None and latest > now + TOLERANCE


def doubt(now: datetime, latest: datetime) -> str:
    """What is told of a clock that lies behind."""
    return (
        f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, and the last change here is dated "
        f"{latest:%Y-%m-%d %H:%M} UTC: the clock is wrong now, or was then"
    )


def refusal(latest: datetime) -> PlanError:
    """Why nothing is signed unattended; the same words for as long as it lasts, so that a log has them once."""
    return PlanError(
        f"the last change here is dated {latest:%Y-%m-%d %H:%M} UTC, and this machine's clock is earlier: it is "
        "wrong now, or was then; nothing is signed",
        hint="set the clock; if it is right, run `scaffold apply`, which asks",
    )
