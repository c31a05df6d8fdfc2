"""What the publisher knows of each CA at one moment, read from the output folder: certificate, CRL, statuses, key."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from scaffold.errors import PkiError, ScaffoldError, StoreError, Unreadable, WrongPassword
from scaffold.pki import bundles, crl, keys
from scaffold.pki.crl import Crl
from scaffold.pki.issue import Issuer
from scaffold.pki.ocsp import State, Status
from scaffold.settings.peers import crl_name_above
from scaffold.store import existing, files
from scaffold.store.keyring import Keyring
from scaffold.store.layout import LEDGER, Layout, ca_paths
from scaffold.store.ledger import Ledger
from scaffold.topology.address import Address
from scaffold.topology.generations import FIRST
from scaffold.topology.model import Ca, Topology
from scaffold.topology.publication import published_name

_LATER: Final = re.compile(r"[2-9]|[1-9][0-9]{1,5}")
"""The folders of a CA's later generations."""


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
    """A generation of a CA as the world may see it. `issuer` is None where its key is not here, or not open to us.

    `statuses` holds what the key of its certificate has issued here, by serial; others are unknown. It is None where
    the ledger could not be read: then nothing may be called good. `ends`: when each of those certificates ends.
    `ocsp`: how long an answer stays valid, None where its certificates name no responder. `problems`: what is wrong, by
    the part that it is wrong with ("crl", "key", "ledger"). `above`: the CRLs of those above an existing CA, by the
    names that they are published under.
    """

    ca: Ca
    certificate: x509.Certificate
    crl: crl.Crl | None
    issuer: Issuer | None
    statuses: Mapping[int, Status] | None
    ends: dict[int, datetime]
    ocsp: timedelta | None
    problems: Mapping[str, str] = field(default_factory=dict)
    above: Mapping[str, Crl] = field(default_factory=dict)
    generation: int | None = None
    """None for the first."""

    @property
    def name(self) -> str:
        """The name under which it is published."""
        return published_name(self.ca.name, self.generation)

    @property
    def address(self) -> Address:
        return Address.ca(self.ca.name, generation=self.generation or FIRST)

    def status(self, serial: int) -> Status:
        """What is known of the certificate with `serial`."""
        return (self.statuses or {}).get(serial, State.UNKNOWN)

    def current(self, now: datetime) -> Iterator[int]:
        """The serials of certificates that have not ended, the newest first."""
        return (serial for serial in reversed(self.ends) if self.ends[serial] > now)

    @functools.cached_property
    def crl_document(self) -> Document | None:
        return crl_document(self.crl) if self.crl is not None else None

    def crl_above(self, name: str) -> Document | None:
        """The CRL of a CA above it that is published as `name`."""
        return crl_document(self.above[name]) if name in self.above else None

    @functools.cached_property
    def certificate_document(self) -> Document:
        return certificate_document(self.certificate)

    def crl_is_due(self, now: datetime) -> bool:
        """Whether half of its CRL's life is over, or has not begun, and we could sign another."""
        if self.crl is None or self.issuer is None or _is_brought(self.ca):
            return False
        half = crl.half_of_life(self.crl)
        return half is None or half <= now or crl.begins_later(self.crl, now)

    def crl_problem(self, now: datetime) -> str | None:
        """Why who checks against its CRL refuses everyone now."""
        if self.crl is None:
            return None
        ends = self.crl.next_update_utc
        if ends is not None and ends <= now:
            return f"the CRL of {self.address} expired on {ends:%Y-%m-%d %H:%M:%S} UTC"
        if crl.begins_later(self.crl, now):
            return f"the CRL of {self.address} is valid from {self.crl.last_update_utc:%Y-%m-%d %H:%M:%S} UTC"
        return None


def generations(layout: Layout, ca: Ca) -> tuple[Address, ...]:
    """The generations of a CA: its first, and those that have a folder of their own below the first one's."""
    found: list[str] = []
    if ca.existing is None:
        with contextlib.suppress(OSError):  # reading the first one says what is wrong
            found = os.listdir(layout.at(ca_paths(ca.name).folder))  # noqa: PTH208 (asked every second for every CA)
    later = sorted(int(name) for name in found if _LATER.fullmatch(name))
    return (ca.address, *(Address.ca(ca.name, generation=number) for number in later))


def read(
    topology: Topology, layout: Layout, address: Address, known: Ledger | None, before: Authority | None
) -> Authority | None:
    """One generation of a CA as in the output folder, None where it has no certificate there.

    `known` is None where the ledger cannot be read. What cannot be read of the CA is among its problems, and is what it
    was `before` as long as its name and its key are the same. Raises ScaffoldError where that cannot be read.
    """
    ca, paths = topology.cas[address.name], ca_paths(address.name, address.generation)
    path = paths.certificate
    found = files.read(layout.at(path))
    if found is None:
        return None
    try:
        certificate = bundles.load_certificates(found.content)[0]
    except Unreadable as error:
        raise Unreadable(f"{path} is {error}") from error
    same = before if before is not None and _is_same_ca(before.certificate, certificate) else None
    problems: dict[str, str] = {}
    listed, entries = _listed(topology, layout, address, certificate, same, problems)
    statuses, ends = _known(ca, certificate, known, entries, same, problems)
    issuer = _open_issuer(topology, layout, address, certificate, problems)
    if listed is None and issuer is None and ca.issues_here:
        problems.setdefault("crl", f"{paths.crl} is not there")
    return Authority(
        ca=ca,
        generation=address.generation,
        certificate=certificate,
        crl=listed,
        issuer=issuer,
        statuses=statuses,
        ends=ends,
        ocsp=ca.revocation.ocsp,
        problems=problems,
        above=_above(topology, ca, same, problems),
    )


def _is_same_ca(one: x509.Certificate, other: x509.Certificate) -> bool:
    return one.subject == other.subject and keys.spki(one) == keys.spki(other)


def _listed(
    topology: Topology,
    layout: Layout,
    address: Address,
    certificate: x509.Certificate,
    same: Authority | None,
    problems: dict[str, str],
) -> tuple[crl.Crl | None, tuple[crl.Revoked, ...]]:
    """Its CRL and what that lists."""
    try:
        found = _crl(topology, layout, address, certificate)
        if found is not None:
            return found, crl.entries(found)
    except ScaffoldError as error:
        problems["crl"] = error.message
    if same is None or same.crl is None:
        return None, ()
    problems.setdefault("crl", "its file is not there")
    return same.crl, crl.entries(same.crl)


def _known(
    ca: Ca,
    certificate: x509.Certificate,
    known: Ledger | None,
    entries: tuple[crl.Revoked, ...],
    same: Authority | None,
    problems: dict[str, str],
) -> tuple[Mapping[int, Status] | None, dict[int, datetime]]:
    """What is known of each serial, and when each certificate ends."""
    if known is not None:
        try:
            known.check(ca.name)
        except StoreError as error:
            problems["ledger"] = error.message
        else:
            statuses, ends = _statuses(ca, certificate, known)
            # A ledger that was lost, or is an old copy, does not make good what the CRL calls revoked.
            statuses.update({one.serial: one for one in entries if _is_unrecorded(known, ca, one)})
            return statuses, ends
    return (same.statuses, same.ends) if same is not None else (None, {})


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
        if revoked.ca == ca.name and (serial := int(revoked.serial, 16)) not in others:
            statuses[serial] = crl.Revoked(serial, revoked.at, crl.Reason(revoked.reason))
    return statuses, ends


def _is_unrecorded(known: Ledger, ca: Ca, entry: crl.Revoked) -> bool:
    pair = (ca.name, f"{entry.serial:x}")
    return pair not in known.revoked and pair not in known.lifted


def _crl(topology: Topology, layout: Layout, address: Address, certificate: x509.Certificate) -> crl.Crl | None:
    """Its CRL as it is on the disk; of an existing CA that is the one, among those of its chain, that it has signed."""
    ca = topology.cas[address.name]
    if ca.existing is not None and ca.existing.crl is not None:
        return next(iter(existing.load(topology, ca).crls_of(certificate)), None)
    path = ca_paths(ca.name, address.generation).crl
    found = files.read(layout.at(path))
    if found is None:
        return None
    try:
        listed = crl.load(found.content)
    except Unreadable as error:
        raise Unreadable(f"{path} is {error}") from error
    if not crl.signed_by(listed, certificate):
        raise PkiError(f"{path} is not signed by the key that the CA has today")
    return listed


def _above(topology: Topology, ca: Ca, same: Authority | None, problems: dict[str, str]) -> Mapping[str, Crl]:
    """The CRLs of the CAs above one that brought them."""
    if ca.existing is None or (ca.existing.crl or ca.existing.chain_crl) is None:
        return {}
    try:
        brought = existing.load(topology, ca)
    except ScaffoldError as error:
        problems["crl"] = error.message
        return same.above if same is not None else {}
    signed = {crl_name_above(ca.name, steps): brought.crls_of(one) for steps, one in enumerate(brought.above, 1)}
    return {name: lists[0] for name, lists in signed.items() if lists}


def _is_brought(ca: Ca) -> bool:
    """Whether somebody else signs its CRL."""
    return ca.existing is not None and ca.existing.crl is not None


def _open_issuer(
    topology: Topology, layout: Layout, address: Address, certificate: x509.Certificate, problems: dict[str, str]
) -> Issuer | None:
    """The CA with its key, where that is open to us: a password has no business in a network process."""
    if not topology.cas[address.name].issues_here:
        return None
    try:
        return Keyring(topology, layout, None).issuer(address, certificate)
    except WrongPassword:
        return None
    except ScaffoldError as error:
        problems["key"] = error.message
        return None


def stamp(topology: Topology, layout: Layout) -> tuple[object, ...]:
    """Something that differs once anything that `read` reads has changed; cheap enough to ask every second."""
    paths = [layout.at(LEDGER)]
    for name, ca in topology.cas.items():
        for address in generations(layout, ca):
            own = ca_paths(name, address.generation)
            paths += [layout.at(path) for path in (own.certificate, own.key, own.crl)]
        if ca.existing is not None:
            found = ca.existing
            brought = (found.certificate, found.key, found.chain, found.crl, found.chain_crl)
            paths += [str(path) for path in brought if path is not None]
    return tuple(map(_stamp, paths))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (asked every second for every CA)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
