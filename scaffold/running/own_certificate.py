"""What is wrong with the certificate with which a server or client calls: its dates, or a revocation."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cryptography import x509

from scaffold.errors import PkiError, StoreError
from scaffold.pki import bundles
from scaffold.store import ledger
from scaffold.store.archive import revoked_ever
from scaffold.store.layout import Layout, party_paths
from scaffold.store.ledger import Revoked
from scaffold.topology.model import Client, Fault, Party


def flaw(layout: Layout, caller: Party, now: datetime) -> str | None:
    """Why the certificate is not to be accepted, and what helps; None where nothing of that is known."""
    paths = party_paths(caller.address.role, caller.name)
    file = (paths.client_side if caller.has_second else paths.own).certificate
    try:
        leaf = bundles.load_certificates(layout.path(file).read_bytes())[0]
        revoked = _revocation(layout, caller, leaf)
    except (OSError, PkiError, StoreError):
        return None
    if now > leaf.not_valid_after_utc:
        return f"{file} expired on {_moment(leaf.not_valid_after_utc)}: {_remedy(caller, Fault.EXPIRED)}"
    if now < leaf.not_valid_before_utc:
        return (
            f"{file} is not valid before {_moment(leaf.not_valid_before_utc)}: {_remedy(caller, Fault.NOT_YET_VALID)}"
        )
    if revoked is None:
        return None
    if revoked.on_hold:
        return f"{file} is on hold since {_moment(revoked.at)}: `scaffold revoke {caller.address} --release` lifts that"
    return f"{file} was revoked on {_moment(revoked.at)} ({revoked.reason}): {_remedy(caller, Fault.REVOKED)}"


def _revocation(layout: Layout, caller: Party, leaf: x509.Certificate) -> Revoked | None:
    """What the state says of a certificate, the archive included."""
    revoked = revoked_ever(layout, ledger.load(layout)).revoked
    return revoked.get((caller.calling_issuer, f"{leaf.serial_number:x}"))


_REMEDIES: Final = {
    Fault.EXPIRED: "`scaffold apply` renews it",
    Fault.NOT_YET_VALID: "is the clock of this machine right?",
    Fault.REVOKED: "`scaffold renew {}` makes another",
}


def _remedy(caller: Party, fault: Fault) -> str:
    """What helps, unless it is broken on purpose. A server's fault is that of its own certificate."""
    if isinstance(caller, Client) and caller.fault is fault:
        return f"{caller.address} has `fault: {fault}`"
    return _REMEDIES[fault].format(caller.address)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
