"""What the publisher knows of each CA at one moment, read from the output folder: certificate, CRL, statuses, key."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from scaffold.errors import PkiError
from scaffold.pki import bundles, crl, keys
from scaffold.pki.issue import Issuer
from scaffold.pki.ocsp import State, Status
from scaffold.store import existing, files
from scaffold.store.layout import LEDGER, Layout, ca_paths
from scaffold.store.ledger import Ledger
from scaffold.topology.model import Ca, Topology


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it is served: DER, since when it is so, and what names this content in HTTP."""

    body: bytes
    media_type: str
    modified: datetime
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str, modified: datetime) -> Document:
        return cls(body, media_type, modified, etag(body))


def etag(body: bytes) -> str:
    """A strong entity tag (RFC 9110 8.8.3)."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def crl_document(one: crl.Crl) -> Document:
    """A CRL in DER (RFC 5280 4.2.1.13, RFC 2585 4.2)."""
    return Document.of(crl.to_der(one), "application/pkix-crl", one.last_update_utc)


def certificate_document(one: x509.Certificate) -> Document:
    """A certificate in DER (RFC 5280 4.2.2.1, RFC 2585 4.1)."""
    return Document.of(bundles.der(one), "application/pkix-cert", one.not_valid_before_utc)


@dataclass(frozen=True)
class Authority:
    """One CA as the world may see it. `issuer` is None where its key is not here, or not open to this process.

    `statuses` holds what the key of its certificate has issued here, by serial; others are unknown. `ends`: when each
    of those certificates ends. `ocsp`: how long an answer stays valid, None where its certificates name no responder.
    """

    ca: Ca
    certificate: x509.Certificate
    crl: crl.Crl | None
    issuer: Issuer | None
    statuses: Mapping[int, Status]
    ends: dict[int, datetime]
    ocsp: timedelta | None

    @property
    def name(self) -> str:
        return self.ca.name

    def status(self, serial: int) -> Status:
        """What is known of the certificate with `serial`."""
        return self.statuses.get(serial, State.UNKNOWN)

    def current(self, now: datetime) -> Iterator[int]:
        """The serials of certificates that have not ended, the newest first."""
        return (serial for serial in reversed(self.ends) if self.ends[serial] > now)

    @functools.cached_property
    def crl_document(self) -> Document | None:
        return crl_document(self.crl) if self.crl is not None else None

    @functools.cached_property
    def certificate_document(self) -> Document:
        return certificate_document(self.certificate)

    @property
    def half_of_crl(self) -> datetime | None:
        """When half of its CRL's life is over; None where there is no CRL that we could sign anew."""
        if self.crl is None or self.issuer is None or self.crl.next_update_utc is None:
            return None
        return self.crl.last_update_utc + (self.crl.next_update_utc - self.crl.last_update_utc) / 2


def read(topology: Topology, layout: Layout, ca: Ca, known: Ledger) -> Authority | None:
    """One CA as it stands in the output folder, None where it has no certificate yet. Raises ScaffoldError."""
    found = files.read(layout.at(ca_paths(ca.name).certificate))
    if found is None:
        return None
    certificate = bundles.load_certificates(found.content)[0]
    statuses, ends = _statuses(ca, certificate, known)
    listed = _crl(topology, layout, ca, certificate)
    if listed is not None and crl.signed_by(listed, certificate):
        # A ledger that was lost, or is an old copy, does not make good what the CRL calls revoked.
        statuses.update({one.serial: one for one in crl.entries(listed) if _is_unrecorded(known, ca, one)})
    return Authority(
        ca=ca,
        certificate=certificate,
        crl=listed,
        issuer=_open_issuer(ca, layout, certificate),
        statuses=statuses,
        ends=ends,
        ocsp=ca.revocation.ocsp,
    )


def _statuses(ca: Ca, certificate: x509.Certificate, known: Ledger) -> tuple[dict[int, Status], dict[int, datetime]]:
    """Of what today's key has signed: another key of the same CA is another issuer (RFC 6960 4.1.1)."""
    today = keys.spki_sha256(certificate)
    statuses: dict[int, Status] = {}
    ends: dict[int, datetime] = {}
    others: set[int] = set()
    for issued in known.issued.values():
        if issued.ca != ca.name:
            continue
        serial = int(issued.serial, 16)
        if issued.issuer_key in ("", today):
            statuses[serial], ends[serial] = State.GOOD, issued.not_after
        else:
            others.add(serial)
    for revoked in known.revoked.values():
        serial = int(revoked.serial, 16)
        if revoked.ca == ca.name and serial not in others:
            statuses[serial] = crl.Revoked(serial, revoked.at, crl.Reason(revoked.reason))
    return statuses, ends


def _is_unrecorded(known: Ledger, ca: Ca, entry: crl.Revoked) -> bool:
    pair = (ca.name, f"{entry.serial:x}")
    return pair not in known.revoked and pair not in known.lifted


def _crl(topology: Topology, layout: Layout, ca: Ca, certificate: x509.Certificate) -> crl.Crl | None:
    """Its CRL as it is on the disk; of an existing CA that is the one, among those of its chain, that it has signed."""
    if ca.existing is not None and ca.existing.crl is not None:
        brought = existing.load(topology, ca).crls
        return next((one for one in crl.load_all(brought or b"") if crl.signed_by(one, certificate)), None)
    found = files.read(layout.at(ca_paths(ca.name).crl))
    return crl.load(found.content) if found is not None else None


def _open_issuer(ca: Ca, layout: Layout, certificate: x509.Certificate) -> Issuer | None:
    """The CA with its key, where that is open to us: a password has no business in a network process."""
    path = layout.at(ca_paths(ca.name).key)
    if ca.existing is not None:
        if ca.existing.key is None:
            return None
        path = str(ca.existing.key.resolve())
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
    paths = [layout.at(LEDGER)]
    for name, ca in topology.cas.items():
        own = ca_paths(name)
        paths += [layout.at(path) for path in (own.certificate, own.key, own.crl)]
        if ca.existing is not None:
            brought = (ca.existing.certificate, ca.existing.key, ca.existing.chain, ca.existing.crl)
            paths += [str(path) for path in brought if path is not None]
    return tuple(map(_stamp, paths))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (asked every second for every CA)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
