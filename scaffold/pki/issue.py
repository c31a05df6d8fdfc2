"""Signs certificates: a profile, a public key, a serial and dates go in, a certificate comes out."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from scaffold.errors import PkiError
from scaffold.pki.keys import MALFORMED, PrivateKey, PublicKey, nonce_derived, signature_hash, spki
from scaffold.pki.profiles import CertificateProfile, extensions, stated, subject_name
from scaffold.pki.randomness import Randomness

BACKDATE: Final = timedelta(minutes=5)
"""How far notBefore and thisUpdate lie before the moment of signing, for clocks that are slow."""

_SERIAL_BITS: Final = 159  # RFC 5280 4.1.2.2: at most 20 octets, the first bit being the sign.


@dataclass(frozen=True)
class Issuer:
    """A CA that signs: its certificate and its private key. What repeats in all that it issues is kept."""

    certificate: x509.Certificate
    key: PrivateKey

    @functools.cached_property
    def name(self) -> x509.Name:
        return self.certificate.subject

    @functools.cached_property
    def authority(self) -> x509.AuthorityKeyIdentifier:
        """The AKI of what it issues: its own SKI (RFC 5280 4.2.1.1), or its key's hash where it has none."""
        try:
            ski = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        except MALFORMED as error:
            raise PkiError(f"the extensions of the CA certificate cannot be understood: {error}") from error
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski.value)

    @functools.cached_property
    def not_after(self) -> datetime:
        return self.certificate.not_valid_after_utc

    @functools.cached_property
    def hash(self) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
        return signature_hash(self.key)

    def check(self) -> None:
        """Raises PkiError where key and certificate do not belong together."""
        if spki(self.certificate) != spki(self.key.public_key()):
            raise PkiError(f"the key is not that of the CA certificate {self.name.rfc4514_string()}")


def new_serial(randomness: Randomness, whose: str, purpose: str = "serial") -> int:
    """A random serial: positive, at most 20 octets (RFC 5280 4.1.2.2), 158 random bits (CA/B BR 7.1 asks for 64)."""
    drawn = int.from_bytes(randomness.octets(whose, purpose, 20)) >> 2
    return drawn | 1 << (_SERIAL_BITS - 1)


def numbered(randomness: Randomness, whose: str, sign: Callable[[int], x509.Certificate]) -> x509.Certificate:
    """What `sign` makes of a new serial.

    Of a source that repeats itself the serial is asked for by what the certificate says, as its TBSCertificate with the
    serial 1 does: one that says something else has another (RFC 5280 4.1.2.2), and the same one has the same.
    """
    if not randomness.repeats:
        return sign(new_serial(randomness, whose))
    said = hashlib.sha256(sign(1).tbs_certificate_bytes).hexdigest()
    return sign(new_serial(randomness, whose, f"serial {said}"))


def validity(lifetime: timedelta, now: datetime, issuer_not_after: datetime | None = None) -> tuple[datetime, datetime]:
    """notBefore, backdated by minutes, and notAfter: `lifetime` from now, cut to the issuer's end.

    Whole seconds, as certificates hold them (RFC 5280 4.1.2.5). Raises PkiError where the issuer has already ended.
    """
    now = now.replace(microsecond=0)
    not_after = now + lifetime
    if issuer_not_after is not None and issuer_not_after < not_after:
        if issuer_not_after <= now:
            raise PkiError(f"the issuer's certificate expired on {issuer_not_after:%Y-%m-%d %H:%M:%S} UTC")
        not_after = issuer_not_after
    return backdated(now), not_after


def backdated(now: datetime) -> datetime:
    """The thisUpdate of a CRL or an OCSP response that is signed `now`, and the notBefore of a certificate.

    OpenSSL forgives no clock for CRLs: a list that begins now refuses everybody on a host that is a minute behind.
    """
    return now - BACKDATE


def half_over(this_update: datetime, next_update: datetime, longest: timedelta | None = None) -> datetime:
    """When half of the life of a CRL or an OCSP response is over, or of `longest` where that is shorter.

    The minutes by which its beginning is backdated are no part of its life; what lives no longer was made elsewhere.
    """
    lived = next_update - this_update
    begins = this_update + BACKDATE if lived > BACKDATE else this_update
    life = next_update - begins
    return begins + (life if longest is None else min(life, longest)) / 2


def issue(
    profile: CertificateProfile,
    public_key: PublicKey,
    issuer: Issuer,
    *,
    serial: int,
    not_before: datetime,
    not_after: datetime,
) -> x509.Certificate:
    """A certificate for `public_key`, signed by `issuer`. Dates are aware UTC.

    Raises PkiError where it would outlive its issuer or says what X.509 cannot.
    """
    if not_after > issuer.not_after:
        raise PkiError(
            f'the certificate of "{profile.subject.common_name}" would end on {not_after:%Y-%m-%d %H:%M:%S}, '
            f"after its issuer ({issuer.not_after:%Y-%m-%d %H:%M:%S})"
        )
    return sign(profile, public_key, issuer, serial=serial, not_before=not_before, not_after=not_after)


def sign(
    profile: CertificateProfile,
    public_key: PublicKey,
    issuer: Issuer,
    *,
    serial: int,
    not_before: datetime,
    not_after: datetime,
) -> x509.Certificate:
    """As `issue`, whatever the issuer's own end is: for certificates that are broken on purpose."""
    says = extensions(profile, public_key, issuer.authority)
    return _built(profile, issuer.name, public_key, serial, not_before, not_after, says, issuer.key, issuer.hash)


def self_signed(
    profile: CertificateProfile, key: PrivateKey, *, serial: int, not_before: datetime, not_after: datetime
) -> x509.Certificate:
    """A certificate signed by its own key: a root, or a leaf that nobody vouches for. Raises PkiError like `issue`."""
    public = key.public_key()
    name = subject_name(stated(profile).subject)
    says = extensions(profile, public, None)
    return _built(profile, name, public, serial, not_before, not_after, says, key, signature_hash(key))


def _built(
    profile: CertificateProfile,
    issuer_name: x509.Name,
    public_key: PublicKey,
    serial: int,
    not_before: datetime,
    not_after: datetime,
    says: list[x509.Extension[x509.ExtensionType]],
    key: PrivateKey,
    algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None,
) -> x509.Certificate:
    if not 0 < serial < 1 << _SERIAL_BITS:
        raise PkiError("a serial number must be positive and fit in 20 octets")
    subject = subject_name(stated(profile).subject)
    # The constructor takes at once what the builder's methods would copy for every extension. It is not documented, and
    # saves a sixth of the time that a certificate takes.
    builder = x509.CertificateBuilder(
        issuer_name, subject, public_key, serial, _naive(not_before), _naive(not_after), says
    )
    try:
        return builder.sign(key, algorithm, ecdsa_deterministic=nonce_derived(key))
    except ValueError as error:
        name = profile.subject.common_name
        raise PkiError(f'the certificate of "{name}" cannot be written: {error}') from error


def _naive(moment: datetime) -> datetime:
    """The builder's own fields hold UTC without a zone."""
    return moment.replace(tzinfo=None)
