"""The stores of this machine, in the order in which they are changed: the system's first, which others copy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from scaffold.errors import TrustError
from scaffold.trusting import java, nss, system
from scaffold.trusting.kinds import StoreKind
from scaffold.trusting.model import Store

_LACKING: Final = {
    StoreKind.SYSTEM: (
        "this machine has neither update-ca-certificates nor update-ca-trust",
        "apt-get install ca-certificates, or dnf install ca-certificates",
    ),
    StoreKind.NSS: (
        "there is no NSS database in this home",
        "start Firefox or Chromium once, as the user who is to trust the root: it makes its own",
    ),
    StoreKind.JAVA: (
        "there is no Java with a store of its own",
        "install a Java runtime or set JAVA_HOME; where Java reads the system's store (Fedora), that is enough",
    ),
}


def present(kinds: Collection[StoreKind], environment: Mapping[str, str]) -> tuple[Store, ...]:
    """Those of these kinds, or of all where none is named.

    Raises TrustError where one that is named is not there, or there is none at all.
    """
    found: dict[StoreKind, tuple[Store, ...]] = {
        StoreKind.SYSTEM: system.present(),
        StoreKind.NSS: nss.present(Path(environment.get("HOME") or Path.home())),
        StoreKind.JAVA: java.present(environment),
    }
    for kind in kinds:
        if not found[kind]:
            message, hint = _LACKING[kind]
            raise TrustError(message, hint=hint)
    stores = tuple(store for kind in StoreKind if not kinds or kind in kinds for store in found[kind])
    if not stores:
        raise TrustError("this machine has no store of trusted roots", hint=_LACKING[StoreKind.SYSTEM][1])
    return stores
