"""What folder and CRLs say where the ledger says nothing: it was lost, an old copy was put back, or others revoked.

The certificates that are in the folder can still be renewed and revoked, and what a CRL calls revoked stays so: its
holder gets no other certificate only because nobody knows any more whether it was to have one. The same holds of what
the CRL of an adopted CA lists, be that signed elsewhere: whoever revoked it knows why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from scaffold.errors import Unreadable
from scaffold.pki import bundles, chains, keys
from scaffold.pki import crl as crls
from scaffold.pki.permits import names_in
from scaffold.plan import revocations
from scaffold.plan.desired import (
    AdoptedCertificate,
    Desired,
    DesiredCa,
    DesiredCertificate,
    IssuedCertificate,
    RootCertificate,
)
from scaffold.store import archive
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.issued import entry
from scaffold.store.layout import ARCHIVE, LEDGER
from scaffold.store.ledger import FIRST_YEAR, Issued, Ledger, Revoked
from scaffold.store.observation import Observation
from scaffold.topology.address import Part, Role
from scaffold.topology.notes import Note

_EARLIEST: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Recovered:
    """The ledger with what was found beside it, notes that say what was lost, and what is to be recorded for good.

    That is what others have revoked of what was issued here: their CRLs list it until it has ended, and its key must
    stay known. A hold is no such thing, as it ends with the CRL that does not list it any more.
    """

    ledger: Ledger
    notes: tuple[Note, ...] = ()
    for_good: tuple[Revoked, ...] = ()


def recover(desired: Desired, observed: Observation, existing: Mapping[str, ExistingCa]) -> Recovered:
    """What is known with what is in the folder, which is looked at where something shows that records are missing.

    A CA that the ledger does not know shows it, and a CRL that lists what the ledger does not. What an archive held
    is found nowhere else. Raises StoreError.
    """
    without = (_NO_ARCHIVE,) if archive.is_lost(observed.layout, observed.ledger) else ()
    work = _Recovery(desired, observed, existing)
    unknown = [asked for asked in desired.of_cas() if work.is_unrecorded(asked)]
    unlisted = [(one, lost) for one in desired.cas if (lost := work.unlisted(one))]
    elsewhere = tuple(work.revoked_elsewhere())
    if not unknown and not unlisted and not elsewhere:
        return Recovered(observed.ledger, without)
    known = work.with_certificates(observed.ledger)
    revoked = tuple(work.revoked([*(entry for _, lost in unlisted for entry in lost), *elsewhere]))
    for_good = tuple(
        entry
        for entry in revoked[len(revoked) - len(elsewhere) :]
        if not entry.on_hold and (entry.ca, entry.serial) in known.by_serial
    )
    return Recovered(known.after(revoked), (*map(_unknown, unknown), *_of_crls(unlisted), *without), for_good)


def with_folder(known: Ledger, desired: Desired, observed: Observation, existing: Mapping[str, ExistingCa]) -> Ledger:
    """`known` with every certificate that is in the folder, whether or not records seem to be missing."""
    return _Recovery(desired, observed, existing).with_certificates(known)


def notes_on(
    unrecorded: Iterable[IssuedCertificate],
    desired: Desired,
    observed: Observation,
    existing: Mapping[str, ExistingCa],
) -> tuple[Note, ...]:
    """What is said of certificates that are in the folder and that no line of the ledger knows.

    Nothing is said of what the CA's key of today has not signed: that was issued elsewhere, or is to be replaced.
    """
    work = _Recovery(desired, observed, existing)
    found = work.issued_here(unrecorded)
    return (_partly_lost(found),) if found else ()


@dataclass(frozen=True, slots=True)
class _Recovery:
    """What the folder knows, and a ledger that was lost does not."""

    desired: Desired
    observed: Observation
    existing: Mapping[str, ExistingCa]

    def is_unrecorded(self, asked: DesiredCertificate) -> bool:
        there = self.observed.certificate(asked.paths.certificate).certificate
        return there is not None and bundles.fingerprint(there) not in self.observed.ledger.issued

    def unlisted(self, one: DesiredCa) -> tuple[Revoked, ...]:
        """What the CRL in place lists and the ledger knows nothing of."""
        certificate = self._certificate(one)
        seen = self.observed.crl(one.paths.crl)
        if not one.signs_crl or certificate is None or seen.crl is None:
            return ()
        try:
            found = revocations.unrecorded(self.observed.ledger, one.ca.name, seen.listed)
        except Unreadable:
            return ()
        return found if found and crls.signed_by(seen.crl, certificate) else ()

    def revoked_elsewhere(self) -> Iterator[Revoked]:
        """What the CRLs that came with adopted CAs list of what was issued here or is here."""
        known = self.observed.ledger
        for name, brought in self.existing.items():
            for crl in brought.crls_of(brought.certificate):
                serials = self._serials(name) if len(crl) else frozenset()
                for one in crls.listed(crl, serials):
                    found = Revoked(name, f"{one.serial:x}", one.reason.value, max(one.when, _EARLIEST))
                    before = known.revoked.get((found.ca, found.serial))
                    if before is None or (before.on_hold and not found.on_hold):
                        yield found

    def _serials(self, ca: str) -> frozenset[int]:
        """Of the certificates of a CA that the ledger has or that are in the folder."""
        issued = (int(serial, 16) for issuer, serial in self.observed.ledger.by_serial if issuer == ca)
        return frozenset((*issued, *(there.serial_number for name, there in self._in_place() if name == ca)))

    def _in_place(self) -> Iterator[tuple[str, x509.Certificate]]:
        """Each certificate that is in the folder, and the name of its CA."""
        for asked in (*self.desired.of_cas(), *self.desired.of_parties()):
            if (there := self.observed.certificate(asked.paths.certificate).certificate) is not None:
                yield asked.ca, there
        for party in self.desired.parties:
            there = self.observed.certificate(party.own.paths.certificate).certificate
            if isinstance(party.own, AdoptedCertificate) and there is not None:
                yield party.party.issuer, there

    def with_certificates(self, known: Ledger) -> Ledger:
        found = self.issued_here((*self.desired.of_cas(), *self.desired.of_parties()))
        new = [one for one in found if one.fingerprint_sha256 not in known.issued]
        return known.with_issued(new) if new else known

    def issued_here(self, certificates: Iterable[DesiredCertificate]) -> tuple[Issued, ...]:
        """What the ledger would say of those that are there and are of a CA of today."""
        issuers = {one.ca.name: self._certificate(one) for one in self.desired.cas}
        entries = (self._entry(asked, issuers) for asked in certificates)
        return tuple(one for one in entries if one is not None)

    def revoked(self, listed: Iterable[Revoked]) -> Iterator[Revoked]:
        """Whose certificate in place is listed goes without until somebody asks for another."""
        in_place = {(ca, f"{there.serial_number:x}") for ca, there in self._in_place()}
        return (replace(one, replace=(one.ca, one.serial) not in in_place) for one in listed)

    def _entry(self, asked: DesiredCertificate, issuers: Mapping[str, x509.Certificate | None]) -> Issued | None:
        """What the ledger would say of a certificate that is there, where the CA's key of today has signed it."""
        there = self.observed.certificate(asked.paths.certificate).certificate
        if there is None:
            return None
        signer = there if isinstance(asked, RootCertificate) else issuers.get(asked.issuer)
        if signer is None or not chains.signed_by(there, signer):
            return None
        names = tuple(san.value for san in names_in(there)) if asked.address.role is not Role.CA else ()
        return replace(entry(asked.address, asked.ca, there, keys.spki_sha256(signer)), names=names)

    def _certificate(self, one: DesiredCa) -> x509.Certificate | None:
        if (brought := self.existing.get(one.ca.name)) is not None:
            return brought.certificate
        return self.observed.certificate(one.paths.certificate).certificate


_NO_ARCHIVE: Final = Note(
    None,
    f"{ARCHIVE} is missing: the record of expired certificates and their revocations was lost; restore it from a "
    "backup; without one, `scaffold apply` goes on without it",
)


def _unknown(asked: DesiredCertificate) -> Note:
    return Note(
        asked.address,
        "is not in the state (.scaffold/), which was lost: of its certificates only those in this folder can be "
        f"revoked; restore {LEDGER} from a backup; without one, `scaffold apply` records those in this folder; to "
        "replace the CA, delete its key",
    )


def _partly_lost(found: Sequence[Issued]) -> Note:
    said = (
        f"not in the state (.scaffold/), which was lost in part; restore {LEDGER} from a newer backup; without "
        "one, `scaffold apply` records the certificates in this folder, and those that are in no folder are lost"
    )
    if len(found) == 1:
        return Note(found[0].address, f"is {said}")
    named = ", ".join(str(one.address) for one in found[:_NAMED])
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return Note(None, f"{named}{more} are {said}")


_NAMED: Final = 5


def _of_crls(unlisted: Iterable[tuple[DesiredCa, tuple[Revoked, ...]]]) -> Iterator[Note]:
    for one, lost in unlisted:
        said = (
            f"lists {len(lost)} that are not in the state (.scaffold/): restore {LEDGER} from a newer backup; "
            "without one, `scaffold apply` records them, and they stay revoked"
        )
        yield Note(one.address.with_part(Part.CRL), said)
