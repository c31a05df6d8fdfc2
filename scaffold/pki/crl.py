"""Certificate revocation lists, version 2 (RFC 5280 5): built, signed, and read back."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from scaffold.errors import PkiError, Unreadable
from scaffold.pki import signatures
from scaffold.pki.issue import BACKDATE, Issuer, half_over
from scaffold.pki.keys import MALFORMED, nonce_derived
from scaffold.pki.names import comparable
from scaffold.pki.revocation_reasons import Reason as Reason

Crl = x509.CertificateRevocationList


COMPROMISE: Final = frozenset({Reason.KEY_COMPROMISE, Reason.CA_COMPROMISE, Reason.AA_COMPROMISE})
"""The reasons that say something of the key, and so of every certificate over it."""

HIGHEST_NUMBER: Final = (1 << 159) - 1
"""Of a CRL: at most 20 octets, the first bit being the sign (RFC 5280 5.2.3)."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """One entry: the serial, since when (aware UTC), and why."""

    serial: int
    when: datetime
    reason: Reason = Reason.UNSPECIFIED


def build(
    issuer: Issuer, number: int, this_update: datetime, next_update: datetime, entries: Iterable[Revoked] = ()
) -> Crl:
    """A complete CRL of what `issuer` issued. `number` must rise from one to the next (RFC 5280 5.2.3).

    Raises PkiError where `next_update` does not come after `this_update`, or the number is negative or over 20 octets.
    """
    if next_update <= this_update:
        raise PkiError("a CRL must be valid for some time: nextUpdate does not come after thisUpdate")
    if not 0 <= number <= HIGHEST_NUMBER:
        raise PkiError("a CRL number must not be negative and must fit in 20 octets")
    authority: x509.ExtensionType = issuer.authority
    says: list[x509.Extension[x509.ExtensionType]] = [
        # RFC 5280 5.2.1: AKI, the key that signed. RFC 5280 5.2.3: the number. Neither is critical.
        x509.Extension(authority.oid, False, authority),
        x509.Extension(x509.CRLNumber.oid, False, x509.CRLNumber(number)),
    ]
    # All entries at once, by a constructor that is not documented: `add_revoked_certificate` copies the list for each,
    # which is quadratic.
    builder = x509.CertificateRevocationListBuilder(
        issuer.name,
        this_update.replace(tzinfo=None, microsecond=0),
        next_update.replace(tzinfo=None, microsecond=0),
        says,
        [_entry(entry) for entry in entries],
    )
    return builder.sign(issuer.key, issuer.hash, ecdsa_deterministic=nonce_derived(issuer.key))


def _entry(entry: Revoked) -> x509.RevokedCertificate:
    when = entry.when.replace(tzinfo=None, microsecond=0)
    return x509.RevokedCertificateBuilder(entry.serial, when, _says(entry.reason)).build()


@functools.cache
def _says(reason: Reason) -> list[x509.Extension[x509.ExtensionType]]:
    """The extensions of an entry; a long list says the same few again and again."""
    # RFC 5280 5.3.1: "unspecified" is said by leaving the reason out.
    if reason is Reason.UNSPECIFIED:
        return []
    said = x509.CRLReason(x509.ReasonFlags(reason.value))
    return [x509.Extension(said.oid, False, said)]


def to_pem(crl: Crl) -> bytes:
    """PEM, as servers' files hold it."""
    return crl.public_bytes(serialization.Encoding.PEM)


def to_der(crl: Crl) -> bytes:
    """DER, as a CDP serves it (RFC 5280 4.2.1.13)."""
    return crl.public_bytes(serialization.Encoding.DER)


def load(data: bytes) -> Crl:
    """The CRL in PEM or DER bytes. Raises Unreadable."""
    try:
        found = x509.load_pem_x509_crl(data) if b"-----BEGIN" in data else x509.load_der_x509_crl(data)
        _ = found.last_update_utc, found.next_update_utc  # which are parsed only when they are asked for
    except Exception as error:
        raise Unreadable("not a CRL, or a damaged one") from error
    return found


def load_all(data: bytes) -> tuple[Crl, ...]:
    """All CRLs of a PEM file in its order, or the one of a DER file. Raises Unreadable."""
    marker = b"-----BEGIN X509 CRL-----"
    pieces = [marker + piece for piece in data.split(marker)[1:]] or [data]
    return tuple(map(load, pieces))


def number(crl: Crl) -> int | None:
    """The CRL's number, or None where it has none."""
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (x509.ExtensionNotFound, *MALFORMED):
        return None


def life(crl: Crl) -> timedelta | None:
    """For how long it was signed, without the minutes by which thisUpdate is backdated; None where it has no end."""
    if crl.next_update_utc is None:
        return None
    lived = crl.next_update_utc - crl.last_update_utc
    return lived - BACKDATE if lived > BACKDATE else lived


def half_of_life(crl: Crl, longest: timedelta | None = None) -> datetime | None:
    """When half of its life is over, or of `longest` where that is shorter; None where it has no end."""
    if crl.next_update_utc is None:
        return None
    return half_over(crl.last_update_utc, crl.next_update_utc, longest)


def begins_later(crl: Crl, now: datetime) -> bool:
    """Whether thisUpdate is still to come: it was signed under a clock that ran ahead, and OpenSSL refuses it."""
    return crl.last_update_utc > now


def is_current(crl: Crl, now: datetime) -> bool:
    """Whether it has begun and has not ended."""
    return not begins_later(crl, now) and crl.next_update_utc is not None and crl.next_update_utc > now


def signed_by(crl: Crl, issuer: x509.Certificate) -> bool:
    """Whether `issuer` is named in the CRL and its key signed it."""
    try:
        if comparable(crl.issuer) != comparable(issuer.subject):
            return False
        # cryptography takes SHA-1 and MD5 for another key's signature here; OpenSSL still believes such lists.
        return crl.is_signature_valid(issuer.public_key()) or (  # type: ignore[arg-type]
            _is_old(crl) and signatures.verifies(crl, issuer) is True
        )
    except MALFORMED:
        return False


def _is_old(crl: Crl) -> bool:
    return isinstance(crl.signature_hash_algorithm, hashes.SHA1 | hashes.MD5)


def unusable(crl: Crl) -> str | None:
    """Why no TLS library takes it for the list of its CA, as a sentence goes on after "that"; None where they do."""
    try:
        extensions = crl.extensions
    except MALFORMED as error:
        return f"has extensions that cannot be understood: {error}"
    for each in extensions:
        if each.oid == ExtensionOID.DELTA_CRL_INDICATOR:
            return "is a delta CRL (RFC 5280 5.2.4), which lists changes alone: the complete one is needed"
        if each.critical and each.oid not in _UNDERSTOOD:
            return f"has a critical extension that TLS libraries do not know: {each.oid.dotted_string}"
    if (oid := _critical_in_an_entry(crl)) is not None:
        return f"has an entry with a critical extension that TLS libraries do not know: {oid}"
    scope = _scope(crl)
    if scope is None:
        return None
    if scope.indirect_crl:
        return "is an indirect CRL (RFC 5280 5.2.5), which lists what other CAs have issued: OpenSSL reads none"
    if scope.only_some_reasons is not None:
        return "lists what was revoked for some reasons alone (RFC 5280 5.2.5): OpenSSL takes none of these"
    return "lists attribute certificates alone (RFC 5280 5.2.5)" if scope.only_contains_attribute_certs else None


_CRITICAL: Final = bytes.fromhex("0101ff")
"""TRUE in DER."""
_OF_ENTRIES: Final = frozenset({CRLEntryExtensionOID.CERTIFICATE_ISSUER})


def _critical_in_an_entry(crl: Crl) -> str | None:
    """A critical extension of an entry, but for that which names its CA: OpenSSL then refuses the whole list."""
    # A long list takes long to walk through, and few have a single such entry.
    if crl.tbs_certlist_bytes.count(_CRITICAL) <= sum(each.critical for each in crl.extensions):
        return None
    try:
        found = (each for entry in crl for each in entry.extensions)
        return next((each.oid.dotted_string for each in found if each.critical and each.oid not in _OF_ENTRIES), None)
    except MALFORMED:
        return None  # which `entries` says


def lists(crl: Crl, serial: int) -> x509.RevokedCertificate | None:
    """The entry that revokes a certificate. `removeFromCRL` takes it off again (RFC 5280 5.3.1)."""
    entry = crl.get_revoked_certificate_by_serial_number(serial)
    if entry is None:
        return None
    said = (each.value for each in entry.extensions if isinstance(each.value, x509.CRLReason))
    return None if any(each.reason is x509.ReasonFlags.remove_from_crl for each in said) else entry


def covers(crl: Crl, *, ca: bool, points: Collection[str] | None) -> bool:
    """Whether a certificate of a CA, or of a server or client, is in the scope of the CRL (RFC 5280 6.3.3 b 2).

    `points` are the URLs of its CRL distribution points; None where they are not known, and may well be right.
    """
    scope = _scope(crl)
    if scope is None:
        return True
    if scope.only_contains_user_certs if ca else scope.only_contains_ca_certs:
        return False
    named = {each.value for each in scope.full_name or () if isinstance(each, x509.UniformResourceIdentifier)}
    return points is None or (scope.full_name is None and scope.relative_name is None) or not named.isdisjoint(points)


def points_of(certificate: x509.Certificate) -> frozenset[str]:
    """The URLs of its CRL distribution points (RFC 5280 4.2.1.13)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, *MALFORMED):
        return frozenset()
    names = (name for point in found for name in point.full_name or ())
    return frozenset(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))


def listed(crl: Crl, serials: Collection[int]) -> tuple[Revoked, ...]:
    """The entries that revoke one of `serials`.

    Raises Unreadable for one of these that cannot be understood.
    """
    if not serials:
        return ()
    try:
        return _understood(entry for entry in crl if entry.serial_number in serials)
    except MALFORMED as error:
        raise Unreadable(f"a CRL with an entry that cannot be understood: {error}") from error


_UNDERSTOOD: Final = frozenset({ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.ISSUING_DISTRIBUTION_POINT})


def _scope(crl: Crl) -> x509.IssuingDistributionPoint | None:
    try:
        return crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return None


def entries(crl: Crl) -> tuple[Revoked, ...]:
    """What the CRL revokes, in its own order. Raises Unreadable for an entry that cannot be understood.

    An entry that says removeFromCRL revokes nothing (RFC 5280 5.3.1), as for OpenSSL.
    """
    try:
        return _understood(crl)
    except MALFORMED as error:
        raise Unreadable(f"a CRL with an entry that cannot be understood: {error}") from error


def _understood(listed: Iterable[x509.RevokedCertificate]) -> tuple[Revoked, ...]:
    return tuple(
        Revoked(entry.serial_number, entry.revocation_date_utc, reason)
        for entry in listed
        if (reason := _reason(entry)) is not None
    )


def _reason(entry: x509.RevokedCertificate) -> Reason | None:
    """None where it is taken off the list again (RFC 5280 5.3.1)."""
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            said = extension.value.reason
            return None if said is x509.ReasonFlags.remove_from_crl else Reason(said.value)
    return Reason.UNSPECIFIED
