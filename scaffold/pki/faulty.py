"""Certificates with one fault, wherever it lies: in dates, words, signature or key, or in the chain above them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from scaffold.errors import PkiError
from scaffold.pki import broken, signatures
from scaffold.pki.der import BIT_STRING, NULL, SEQUENCE, Element, element, elements
from scaffold.pki.issue import Issuer, new_serial, numbered, sign
from scaffold.pki.keys import PrivateKey, nonce_derived, signature_hash
from scaffold.pki.names import rfc2253
from scaffold.pki.profiles import CA_KEY_USAGE, CertificateProfile, basic_constraints
from scaffold.pki.randomness import Randomness, weak_key
from scaffold.topology.faults import OWN_CHAIN, AnyFault
from scaffold.topology.model import Fault, FileFault, KeyType, SanType

Chain = tuple[x509.Certificate, ...]

_NAMES_ELSEWHERE: Final = "outside.invalid"

_VERSION: Final = 0xA0
_ECDSA_WITH_SHA1: Final = bytes.fromhex("06072a8648ce3d0401")  # RFC 5758 3.2
_SHA1_WITH_RSA: Final = bytes.fromhex("06092a864886f70d010105")  # RFC 4055 5


@dataclass(frozen=True, slots=True)
class Lineage:
    """Who issues the sound ones: `above` is what is sent after them, `parent` the CA above the issuer, with its key.

    `other_root` is another root that is trusted.
    """

    issuer: Issuer
    above: Chain
    parent: Issuer | None = None
    other_root: Issuer | None = None

    @property
    def top(self) -> Issuer:
        """Whom a CA is put below that must not be a second fault: the issuer may allow none below itself."""
        return self.parent or self.issuer

    @property
    def above_top(self) -> Chain:
        """What is sent after a certificate of `top`."""
        return self.above[1:] if self.parent is not None else self.above


@dataclass(frozen=True, slots=True)
class Faulty:
    """A certificate, what is sent after it, and the key that is shown with it."""

    certificate: x509.Certificate
    chain: Chain
    key: PrivateKey

    def __repr__(self) -> str:
        return f"Faulty(certificate={self.certificate!r}, chain={self.chain!r}, key=…)"


@dataclass(frozen=True, slots=True)
class _Making:
    """One certificate in the making. `profile` has its fault."""

    profile: CertificateProfile
    key: PrivateKey
    lineage: Lineage
    lifetime: timedelta
    now: datetime
    randomness: Randomness
    whose: str

    def certificate(self, serial: int) -> tuple[x509.Certificate, Chain]:
        """Raises PkiError where it cannot be made."""
        match self.profile.fault:
            case Fault.UNKNOWN_CA:
                named = broken.renamed(self.lineage.issuer.certificate.subject, "unknown")
                return self._signed(self._foreign(named), serial), self.lineage.above
            case Fault.VERSION_1:
                return _as_version_1(self._signed(self.lineage.issuer, serial), self.lineage.issuer), self.lineage.above
            case one if one in OWN_CHAIN:
                signer, chain = self._above(one)
                return self._signed(signer, serial), chain
            case _:
                return self._of_broken(serial), self.lineage.above

    def _of_broken(self, serial: int) -> x509.Certificate:
        return broken.issue(
            self.profile,
            self.key,
            self.lineage.issuer,
            serial=serial,
            lifetime=self.lifetime,
            now=self.now,
            randomness=self.randomness,
        )

    def _signed(self, signer: Issuer, serial: int) -> x509.Certificate:
        begins, ends = broken.validity(None, self.lifetime, self.now, self.lineage.issuer.not_after)
        return sign(self.profile, self.key.public_key(), signer, serial=serial, not_before=begins, not_after=ends)

    def _foreign(self, name: x509.Name) -> Issuer:
        return self._ca("foreign", name, None)

    def _above(self, fault: Fault | None) -> tuple[Issuer, Chain]:
        """Who signs the certificate, and what is sent after it."""
        top, behind = self.lineage.top, self.lineage.above_top
        match fault:
            case Fault.ISSUED_BY_LEAF:
                leaf = self._another_leaf()
                return leaf, (leaf.certificate, *self.lineage.above)
            case Fault.MISSING_INTERMEDIATE:
                return self._middle(top), behind
            case Fault.EXPIRED_INTERMEDIATE:
                middle = self._middle(top, ended=True)
            case Fault.ISSUER_NOT_A_CA:
                middle = self._middle(top, is_ca=False)
            case Fault.PATH_LENGTH:
                upper = self._middle(top, "upper", path_length=0)
                lower = self._middle(upper, "lower")
                return lower, (lower.certificate, upper.certificate, *behind)
            case _:
                middle = self._middle(top, constraints=self._constraints())
        return middle, (middle.certificate, *behind)

    def _constraints(self) -> x509.NameConstraints:
        """Such as permit none of its names of one type."""
        types = {san.type for san in self.profile.sans}
        if SanType.DNS in types:
            return x509.NameConstraints([x509.DNSName(_NAMES_ELSEWHERE)], None)
        if SanType.URI in types:
            return x509.NameConstraints([x509.UniformResourceIdentifier(_NAMES_ELSEWHERE)], None)
        raise PkiError(f'"{self.profile.subject.common_name}" has no name that constraints could forbid')

    def _another_leaf(self) -> Issuer:
        whose = f"{self.whose} another leaf"
        profile = replace(
            self.profile, fault=None, subject=replace(self.profile.subject, common_name="another leaf"), sans=()
        )
        key = self.randomness.key(whose, KeyType.EC_P256)
        issuer = self.lineage.issuer
        begins, ends = broken.validity(None, self.lifetime, self.now, issuer.not_after)

        def signed(serial: int) -> x509.Certificate:
            return sign(profile, key.public_key(), issuer, serial=serial, not_before=begins, not_after=ends)

        return Issuer(numbered(self.randomness, whose, signed), key)

    def _middle(
        self,
        parent: Issuer,
        called: str = "middle",
        *,
        is_ca: bool = True,
        path_length: int | None = None,
        ended: bool = False,
        constraints: x509.NameConstraints | None = None,
    ) -> Issuer:
        """A CA between the certificate and a trusted one, sound but for what is asked."""
        # RFC 5280 4.2.1.10: name constraints are critical.
        limits = () if constraints is None else (x509.Extension(constraints.oid, True, constraints),)
        basic = basic_constraints(is_ca, path_length)
        name = broken.renamed(self.lineage.issuer.certificate.subject, called)
        return self._ca(called, name, parent, (basic, *limits), ended=ended)

    def _ca(
        self,
        called: str,
        name: x509.Name,
        parent: Issuer | None,
        says: tuple[x509.Extension[x509.ExtensionType], ...] = (basic_constraints(True, None),),
        *,
        ended: bool = False,
    ) -> Issuer:
        if parent is not None and called != "lower":
            broken.check_room_below(parent.certificate)
        whose = f"{self.whose} {called} {rfc2253(name)}"
        key = self.randomness.key(whose, KeyType.EC_P256)
        public, signer = key.public_key(), key if parent is None else parent.key
        identifiers: list[x509.ExtensionType] = [x509.SubjectKeyIdentifier.from_public_key(public)]
        if parent is not None:
            identifiers.append(parent.authority)
        end = (self.lineage.issuer if parent is None else parent).not_after
        begins, ends = broken.validity(Fault.EXPIRED if ended else None, self.lifetime, self.now, end)

        def signed(serial: int) -> x509.Certificate:
            builder = x509.CertificateBuilder(
                name if parent is None else parent.name,
                name,
                public,
                serial,
                begins.replace(tzinfo=None),
                ends.replace(tzinfo=None),
                [*says, CA_KEY_USAGE, *(x509.Extension(one.oid, False, one) for one in identifiers)],
            )
            return builder.sign(signer, signature_hash(signer), ecdsa_deterministic=nonce_derived(signer))

        return Issuer(numbered(self.randomness, whose, signed), key)


def issue(
    profile: CertificateProfile,
    key: PrivateKey,
    lineage: Lineage,
    *,
    whose: str,
    lifetime: timedelta,
    now: datetime,
    randomness: Randomness,
    serial: int | None = None,
) -> tuple[x509.Certificate, Chain]:
    """A certificate for `key` with the fault of its profile, and what is sent after it.

    `serial`: one that is given, where that matters. Raises PkiError where it cannot be made: an issuer may have ended,
    or leave no room for a CA below it.
    """
    making = _Making(profile, key, lineage, lifetime, now, randomness, whose)
    if serial is not None:
        return making.certificate(serial)
    made: list[Chain] = []

    def signed(number: int) -> x509.Certificate:
        certificate, chain = making.certificate(number)
        made.append(chain)
        return certificate

    return numbered(randomness, whose, signed), made[-1]


def make(
    profile: CertificateProfile,
    lineage: Lineage,
    fault: AnyFault,
    *,
    whose: str,
    lifetime: timedelta,
    now: datetime,
    randomness: Randomness,
    own: x509.Certificate,
) -> Faulty:
    """A new key and certificate with `fault`. `own` is the sound certificate of whoever is imitated.

    Raises PkiError as `issue` does.
    """
    key = randomness.key(whose, KeyType.EC_P256)
    if isinstance(fault, Fault):
        certificate, chain = issue(
            replace(profile, fault=fault),
            key,
            lineage,
            whose=whose,
            lifetime=lifetime,
            now=now,
            randomness=randomness,
        )
        return Faulty(certificate, chain, key)
    return _OF_FILES[fault](_Making(replace(profile, fault=None), key, lineage, lifetime, now, randomness, whose), own)


# --- Of files alone ------------------------------------------------------------------------------------------------


def _weak_key(making: _Making, own: x509.Certificate) -> Faulty:
    weak = replace(making, key=weak_key())
    certificate, chain = weak.certificate(new_serial(making.randomness, making.whose))
    return Faulty(certificate, chain, weak.key)


def _sha1_signature(making: _Making, own: x509.Certificate) -> Faulty:
    certificate, chain = making.certificate(new_serial(making.randomness, making.whose))
    return Faulty(_with_sha1(certificate, making.lineage.issuer), chain, making.key)


def _key_mismatch(making: _Making, own: x509.Certificate) -> Faulty:
    certificate, chain = making.certificate(new_serial(making.randomness, making.whose))
    return Faulty(certificate, chain, making.randomness.key(f"{making.whose}, another", KeyType.EC_P256))


def _same_serial(making: _Making, own: x509.Certificate) -> Faulty:
    certificate, chain = making.certificate(own.serial_number)
    return Faulty(certificate, chain, making.key)


def _sibling_ca(making: _Making, own: x509.Certificate) -> Faulty:
    lineage = making.lineage
    ca = broken.sibling_ca(lineage.top, lineage.issuer.certificate, making.now, randomness=making.randomness)
    return _by(ca, making, lineage.above_top)


def _same_name_ca(making: _Making, own: x509.Certificate) -> Faulty:
    root = making.lineage.other_root
    if root is None:
        raise PkiError("there is no other root in the topology whose key is here")
    ca = broken.namesake_ca(root, making.lineage.issuer.certificate, making.now, randomness=making.randomness)
    return _by(ca, making, ())


def _by(ca: Issuer, making: _Making, behind: Chain) -> Faulty:
    profile = replace(making.profile, crl_url=None, ocsp_url=None, ca_url=None)
    below = replace(making, profile=profile, lineage=Lineage(ca, (ca.certificate, *behind)))
    certificate, chain = below.certificate(new_serial(making.randomness, making.whose))
    return Faulty(certificate, chain, making.key)


_OF_FILES: Final[dict[FileFault, Callable[[_Making, x509.Certificate], Faulty]]] = {
    FileFault.WEAK_KEY: _weak_key,
    FileFault.SHA1_SIGNATURE: _sha1_signature,
    FileFault.KEY_MISMATCH: _key_mismatch,
    FileFault.SAME_SERIAL: _same_serial,
    FileFault.SIBLING_CA: _sibling_ca,
    FileFault.SAME_NAME_CA: _same_name_ca,
}


# --- What no builder makes -----------------------------------------------------------------------------------------


def _as_version_1(certificate: x509.Certificate, issuer: Issuer) -> x509.Certificate:
    """The same without its version (RFC 5280 4.1: the default is v1), signed again; extensions it has none."""
    parts = _parts(certificate)
    kept = [one.encoded for one in parts if one.tag != _VERSION]
    return _assembled(element(SEQUENCE, *kept), _algorithm(certificate), issuer, issuer.hash)


def _with_sha1(certificate: x509.Certificate, issuer: Issuer) -> x509.Certificate:
    """The same, signed with SHA-1, as no builder does any more. Raises PkiError for keys that bring their own hash."""
    match issuer.key:
        case ec.EllipticCurvePrivateKey():
            algorithm = element(SEQUENCE, _ECDSA_WITH_SHA1)
        case rsa.RSAPrivateKey():
            algorithm = element(SEQUENCE, _SHA1_WITH_RSA, element(NULL))
        case _:
            raise PkiError("the issuer's key signs with a hash of its own, and never with SHA-1")
    before = _algorithm(certificate)
    said = [algorithm if one.encoded == before else one.encoded for one in _parts(certificate)]
    return _assembled(element(SEQUENCE, *said), algorithm, issuer, hashes.SHA1())  # noqa: S303


def _parts(certificate: x509.Certificate) -> list[Element]:
    [tbs] = elements(certificate.tbs_certificate_bytes)
    return list(elements(tbs.content))


def _algorithm(certificate: x509.Certificate) -> bytes:
    """The AlgorithmIdentifier of its signature, which is behind the serial (RFC 5280 4.1.2.3)."""
    return next(one.encoded for one in _parts(certificate) if one.tag == SEQUENCE)


def _assembled(
    tbs: bytes, algorithm: bytes, issuer: Issuer, algorithm_hash: hashes.HashAlgorithm | None
) -> x509.Certificate:
    signature = signatures.sign(issuer.key, tbs, algorithm_hash)
    bits = element(BIT_STRING, b"\0", signature)
    return x509.load_der_x509_certificate(element(SEQUENCE, tbs, algorithm, bits))
