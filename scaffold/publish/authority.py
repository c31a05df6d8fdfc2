"""What the publisher knows of each CA at one moment, read from the output folder: certificate, CRL, statuses, key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from scaffold.errors import PkiError
from scaffold.pki import crl, keys
from scaffold.pki.issue import Issuer
from scaffold.pki.ocsp import State, Status
from scaffold.store import files, ledger
from scaffold.store.layout import LEDGER, Layout, ca_paths
from scaffold.topology.model import Ca, Topology


@dataclass(frozen=True)
class Authority:
    """One CA as the world may see it. `issuer` is None where its key is not here, or not open to this process.

    `statuses` holds every certificate that it ever issued here, by serial; others are unknown. `ocsp` is how long an
    OCSP answer stays valid, None where its certificates name no responder.
    """

    ca: Ca
    certificate: x509.Certificate
    crl: crl.Crl | None
    issuer: Issuer | None
    statuses: Mapping[int, Status]
    ocsp: timedelta | None

    @property
    def name(self) -> str:
        return self.ca.name

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def status(self, serial: int) -> Status:
        """What is known of the certificate with `serial`."""
        return self.statuses.get(serial, State.UNKNOWN)


def read(topology: Topology, layout: Layout) -> dict[str, Authority]:
    """Every CA whose certificate is in the output folder, by name. Raises StoreError, PkiError."""
    known = ledger.load(layout)
    statuses: dict[str, dict[int, Status]] = {name: {} for name in topology.cas}
    for issued in known.issued.values():
        if issued.ca in statuses:
            statuses[issued.ca][int(issued.serial, 16)] = State.GOOD
    for revoked in known.revoked.values():
        if revoked.ca in statuses:
            serial = int(revoked.serial, 16)
            statuses[revoked.ca][serial] = crl.Revoked(serial, revoked.at, crl.Reason(revoked.reason))
    authorities = (_authority(ca, layout, statuses[ca.name]) for ca in topology.cas.values())
    return {one.name: one for one in authorities if one is not None}


def _authority(ca: Ca, layout: Layout, statuses: Mapping[int, Status]) -> Authority | None:
    paths = ca_paths(ca.name)
    found = files.read(layout.at(paths.certificate))
    if found is None:
        return None
    certificate = x509.load_pem_x509_certificate(found.content)
    published = files.read(layout.at(paths.crl))
    return Authority(
        ca=ca,
        certificate=certificate,
        crl=crl.load(published.content) if published is not None else None,
        issuer=_open_issuer(ca, layout, certificate),
        statuses=statuses,
        ocsp=ca.revocation.ocsp,
    )


def _open_issuer(ca: Ca, layout: Layout, certificate: x509.Certificate) -> Issuer | None:
    """The CA with its key, where that is open to us: a password has no business in a network process."""
    path = layout.at(ca_paths(ca.name).key)
    if ca.existing is not None:
        if ca.existing.key is None:
            return None
        path = str(ca.existing.key)
    found = files.read(path)
    if found is None or keys.is_encrypted(found.content):
        return None
    issuer = Issuer(certificate, keys.load(found.content, None))
    try:
        issuer.check()
    except PkiError:
        return None  # caught between two renames: the next look sees both
    return issuer


def stamp(topology: Topology, layout: Layout) -> tuple[object, ...]:
    """Something that differs once anything that `read` reads has changed; cheap enough to ask every second."""
    paths = [LEDGER]
    for name in topology.cas:
        ca = ca_paths(name)
        paths += [ca.certificate, ca.key, ca.crl]
    return tuple(_stamp(layout.at(path)) for path in paths)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
