"""The sorts of stores, by the names that the command line has for them."""

from __future__ import annotations

import enum


class StoreKind(enum.StrEnum):
    """Whose store it is."""

    SYSTEM = "system"
    NSS = "nss"
    JAVA = "java"
