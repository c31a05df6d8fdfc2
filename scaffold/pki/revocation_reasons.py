"""Why a certificate is revoked (RFC 5280 5.3.1)."""

from __future__ import annotations

import enum
from typing import Final


class Reason(enum.StrEnum):
    """A CRLReason by its name."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


GIVEN: Final = tuple(reason for reason in Reason if reason is not Reason.AA_COMPROMISE)
"""Those that a person can give here: there are no attribute certificates."""
