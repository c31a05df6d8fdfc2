"""A certificate and its key as PEM, as a probe shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scaffold.errors import VerifyError
from scaffold.pki import broken, bundles, keys
from scaffold.pki.issue import new_serial, self_signed, validity
from scaffold.pki.profiles import CertificateProfile
from scaffold.pki.randomness import Randomness
from scaffold.store.layout import Layout, party_paths
from scaffold.topology.model import KeyType, Party, Subject


@dataclass(frozen=True, slots=True)
class Credentials:
    """A leaf and what is sent after it, and its unencrypted key, both in PEM. It never shows them in a traceback."""

    certificates: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"


def credentials(rogue: broken.Rogue) -> Credentials:
    """A rogue as PEM: the leaf, then what is sent after it."""
    return Credentials(bundles.chain_pem((rogue.certificate, *rogue.chain)), keys.to_pem(rogue.key))


def shown_by(layout: Layout, party: Party) -> Credentials:
    """The certificate with which a server or client calls, as it is on the disk. Raises VerifyError."""
    paths = party_paths(party.address.role, party.name)
    files = paths.client_side if party.has_second else paths.own
    try:
        return Credentials(layout.path(files.certificate).read_bytes(), layout.path(files.key).read_bytes())
    except OSError as error:
        raise VerifyError(f"{error.filename} cannot be read: {error.strerror}") from error


def stranger(now: datetime, randomness: Randomness) -> Credentials:
    """A self-signed certificate of nobody, for trying what the TLS library of this machine can do."""
    key = randomness.key("nobody", KeyType.EC_P256)
    profile = CertificateProfile(subject=Subject("nobody"), role="server")
    begins, ends = validity(broken.ROGUE_LIFETIME, now)
    serial = new_serial(randomness, "nobody")
    return credentials(broken.Rogue(self_signed(profile, key, serial=serial, not_before=begins, not_after=ends), key))
