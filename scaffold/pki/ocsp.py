"""OCSP without the network (RFC 6960): requests read and written, responses built and signed, bytes in and bytes out.

One certificate per request, which is what clients send (RFC 9919 asks for it), goes through `cryptography` alone;
it knows no more than one, so requests for several are taken apart and put together with asn1crypto. That never sees
a key or a certificate (it knows no ML-DSA), and is loaded where it is needed: it takes longer than a small command.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from scaffold.errors import PkiError, Unreadable
from scaffold.pki import signatures
from scaffold.pki.crl import Reason, Revoked
from scaffold.pki.issue import Issuer
from scaffold.pki.keys import spki

if TYPE_CHECKING:
    from asn1crypto import ocsp as asn1_ocsp

# A request is a few hundred octets; the bounds keep one request from costing thousands of look-ups and signatures,
# and from keeping everybody else waiting while it is taken apart.
LARGEST_REQUEST: Final = 16 * 1024
_MOST_IDS: Final = 32
_LONGEST_NONCE: Final = 128  # RFC 9654 2.1

_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


@dataclass(frozen=True, slots=True)
class CertId:
    """Which certificate is meant: its serial, and its issuer by the hashes of name and key (RFC 6960 4.1.1)."""

    algorithm: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: one certificate or several, and the nonce that the answer must repeat (RFC 9654)."""

    ids: tuple[CertId, ...]
    nonce: bytes | None = None


class State(enum.Enum):
    """What is known of a certificate that is not revoked: it is good, or we know nothing of it (RFC 6960 2.2)."""

    GOOD = enum.auto()
    UNKNOWN = enum.auto()


Status = State | Revoked


class Failure(enum.Enum):
    """Why there is no answer (RFC 6960 2.3)."""

    MALFORMED_REQUEST = ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    INTERNAL_ERROR = ocsp.OCSPResponseStatus.INTERNAL_ERROR
    TRY_LATER = ocsp.OCSPResponseStatus.TRY_LATER
    UNAUTHORIZED = ocsp.OCSPResponseStatus.UNAUTHORIZED


def cert_id(serial: int, issuer: x509.Certificate, algorithm: str = "sha1") -> CertId:
    """How a request names the certificate with `serial` from `issuer`. SHA-1, a mere name here, is what RFC 9919 keeps.

    Raises PkiError for a hash that is not SHA-1 or SHA-2.
    """
    if algorithm not in _HASHES:
        raise PkiError(f'a CertID cannot use the hash "{algorithm}"')
    name = hashlib.new(algorithm, issuer.subject.public_bytes())
    return CertId(algorithm, name.digest(), _key_hash(issuer, algorithm), serial)


def _key_hash(issuer: x509.Certificate, algorithm: str) -> bytes:
    """The hash of the subjectPublicKey without its AlgorithmIdentifier (RFC 6960 4.1.1), for every type of key."""
    # cryptography gives it with a whole request alone; the certificate that this one asks about does not matter.
    return ocsp.OCSPRequestBuilder().add_certificate(issuer, issuer, _HASHES[algorithm]()).build().issuer_key_hash


def build_request(ids: Sequence[CertId], nonce: bytes | None = None) -> bytes:
    """A DER request, unsigned, for one certificate or several."""
    from asn1crypto import ocsp as asn1_ocsp

    requests = [asn1_ocsp.Request({"req_cert": _encoded_id(one)}) for one in ids]
    body: dict[str, object] = {"request_list": requests}
    if nonce is not None:
        body["request_extensions"] = [{"extn_id": "nonce", "extn_value": asn1_ocsp.OctetString(nonce)}]
    encoded: bytes = asn1_ocsp.OCSPRequest({"tbs_request": body}).dump()
    return encoded


def _encoded_id(one: CertId) -> dict[str, object]:
    return {
        "hash_algorithm": {"algorithm": one.algorithm},
        "issuer_name_hash": one.issuer_name_hash,
        "issuer_key_hash": one.issuer_key_hash,
        "serial_number": one.serial,
    }


def parse_request(der: bytes) -> Request:
    """What a DER request asks. Raises Unreadable, whatever the bytes are: answer that with `MALFORMED_REQUEST`."""
    if len(der) > LARGEST_REQUEST:
        raise Unreadable("an OCSP request of more than 16 KiB")
    try:
        return _parse_one(ocsp.load_der_ocsp_request(der))
    except NotImplementedError:
        pass  # more than one
    except Exception as error:
        raise Unreadable("not an OCSP request, or a damaged one") from error
    try:
        return _parse_several(der)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable("not an OCSP request, or a damaged one") from error


def _parse_one(request: ocsp.OCSPRequest) -> Request:
    one = CertId(request.hash_algorithm.name, request.issuer_name_hash, request.issuer_key_hash, request.serial_number)
    nonce: bytes | None = None
    for extension in request.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            nonce = extension.value.nonce
        elif extension.critical:
            raise Unreadable(f"an OCSP request with the critical extension {extension.oid.dotted_string}")
    return Request((_checked_id(one),), _checked_nonce(nonce))


def _parse_several(der: bytes) -> Request:
    from asn1crypto import ocsp as asn1_ocsp

    body = asn1_ocsp.OCSPRequest.load(der, strict=True)["tbs_request"]
    asked = body["request_list"]
    if not 0 < len(asked) <= _MOST_IDS:
        raise Unreadable(f"an OCSP request for no certificate, or for more than {_MOST_IDS}")
    ids = tuple(_checked_id(_decoded_id(one["req_cert"])) for one in asked)
    nonce: bytes | None = None
    for extension in body["request_extensions"] or ():
        if extension["extn_id"].native == "nonce":
            nonce = extension["extn_value"].parsed.native
        elif extension["critical"].native:
            raise Unreadable("an OCSP request with an unknown critical extension")
    return Request(ids, _checked_nonce(nonce))


def _decoded_id(one: asn1_ocsp.CertId) -> CertId:
    return CertId(
        one["hash_algorithm"]["algorithm"].native,
        one["issuer_name_hash"].native,
        one["issuer_key_hash"].native,
        one["serial_number"].native,
    )


def _checked_id(one: CertId) -> CertId:
    """What no certificate of a CA can be named by is not looked up, and never reaches an answer."""
    if one.algorithm not in _HASHES:
        raise Unreadable("an OCSP request with a hash that is not SHA-1 or SHA-2")
    if {len(one.issuer_name_hash), len(one.issuer_key_hash)} != {_HASHES[one.algorithm]().digest_size}:
        raise Unreadable("an OCSP request with a hash of the wrong length")
    if not 0 < one.serial < 1 << 160:
        raise Unreadable("an OCSP request for a serial number that is not positive or over 20 octets")
    return one


def _checked_nonce(nonce: bytes | None) -> bytes | None:
    if nonce is not None and not 0 < len(nonce) <= _LONGEST_NONCE:
        raise Unreadable("an OCSP nonce that is not of 1 to 128 octets")
    return nonce


def respond(
    answers: Sequence[tuple[CertId, Status]],
    signer: Issuer,
    *,
    this_update: datetime,
    next_update: datetime,
    nonce: bytes | None = None,
    by_ca: bool = False,
) -> bytes:
    """A signed DER response to every CertID of one request. Dates are aware UTC.

    `signer` is the CA's delegated responder, whose certificate is sent along (RFC 6960 4.2.2.2); or the CA itself
    (`by_ca`), whose certificate everyone has. Raises PkiError without answers.
    """
    if not answers:
        raise PkiError("an OCSP response must answer something")
    signed = [_single(one, status, signer, this_update, next_update, nonce, by_ca) for one, status in answers]
    return signed[0] if len(signed) == 1 else _joined(signed, signer)


def produced_at(response: bytes, signer: Issuer, moment: datetime) -> bytes:
    """A DER response of one answer as `signer` makes it at `moment`, and byte for byte so each time.

    `cryptography` writes the clock's time into producedAt (RFC 6960 4.2.1), and draws the nonce of an ECDSA signature.
    """
    return _joined([response], signer, moment)


def _single(
    one: CertId,
    status: Status,
    signer: Issuer,
    this_update: datetime,
    next_update: datetime,
    nonce: bytes | None,
    by_ca: bool,
) -> bytes:
    if one.algorithm not in _HASHES:
        raise PkiError(f'a CertID cannot use the hash "{one.algorithm}"')
    revoked = status if isinstance(status, Revoked) else None
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer_name_hash=one.issuer_name_hash,
            issuer_key_hash=one.issuer_key_hash,
            serial_number=one.serial,
            algorithm=_HASHES[one.algorithm](),
            cert_status=_cert_status(status),
            this_update=this_update.replace(microsecond=0),
            next_update=next_update.replace(microsecond=0),
            revocation_time=revoked.when.replace(microsecond=0) if revoked else None,
            revocation_reason=_reason_flag(revoked),
        )
        # RFC 9919 3.2.1: byKey keeps the response small.
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
    )
    if not by_ca:
        builder = builder.certificates([signer.certificate])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.sign(signer.key, signer.hash).public_bytes(serialization.Encoding.DER)


def _cert_status(status: Status) -> ocsp.OCSPCertStatus:
    match status:
        case State.GOOD:
            return ocsp.OCSPCertStatus.GOOD
        case State.UNKNOWN:
            return ocsp.OCSPCertStatus.UNKNOWN
        case Revoked():
            return ocsp.OCSPCertStatus.REVOKED


def _reason_flag(revoked: Revoked | None) -> x509.ReasonFlags | None:
    # RFC 6960 4.2.1 takes the reasons of a CRL, where "unspecified" is said by leaving the reason out.
    if revoked is None or revoked.reason is Reason.UNSPECIFIED:
        return None
    return x509.ReasonFlags(revoked.reason.value)


def _joined(signed: Sequence[bytes], signer: Issuer, produced: datetime | None = None) -> bytes:
    """The answers of several responses under one signature; what else the first one holds is taken over unread."""
    from asn1crypto import ocsp as asn1_ocsp

    basics = [asn1_ocsp.OCSPResponse.load(der)["response_bytes"]["response"].parsed for der in signed]
    first = basics[0]
    first["tbs_response_data"]["responses"] = [basic["tbs_response_data"]["responses"][0] for basic in basics]
    if produced is not None:
        first["tbs_response_data"]["produced_at"] = produced.replace(microsecond=0)
    first["signature"] = signatures.sign(signer.key, first["tbs_response_data"].dump(), signer.hash)
    whole: bytes = asn1_ocsp.OCSPResponse(
        {
            "response_status": "successful",
            "response_bytes": {"response_type": "basic_ocsp_response", "response": first},
        }
    ).dump()
    return whole


def unsuccessful(failure: Failure) -> bytes:
    """The DER response that there is no answer, and why; it is not signed (RFC 6960 2.3)."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(failure.value).public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, slots=True)
class IssuerIds:
    """The hashes by which requests may name one CA."""

    known: frozenset[tuple[str, bytes, bytes]]

    @classmethod
    def of(cls, certificate: x509.Certificate) -> IssuerIds:
        """All that a request may use to name the CA with this certificate."""
        ids = (cert_id(0, certificate, algorithm) for algorithm in _HASHES)
        return cls(frozenset((one.algorithm, one.issuer_name_hash, one.issuer_key_hash) for one in ids))

    def __contains__(self, one: CertId) -> bool:
        return (one.algorithm, one.issuer_name_hash, one.issuer_key_hash) in self.known


def is_authorised(responder: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether `responder` may answer for `ca` (RFC 6960 4.2.2.2): it is the CA, or issued by it for OCSP signing."""
    if spki(responder) == spki(ca):
        return True
    try:
        responder.verify_directly_issued_by(ca)
        usage = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except Exception:
        return False
    return x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING in usage
