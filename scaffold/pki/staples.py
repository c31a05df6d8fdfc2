"""What a server staples: the OCSP response to its own certificate (RFC 6066 8, RFC 6960), made and read back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp

from scaffold.errors import Unreadable
from scaffold.pki import ocsp as our_ocsp
from scaffold.pki.crl import Reason
from scaffold.pki.issue import Issuer, backdated, half_over


@dataclass(frozen=True, slots=True)
class Staple:
    """A response that is there: for how long it is valid (aware UTC), and what it says of the certificate.

    `revoked` is the reason it gives, None where it says good.
    """

    this_update: datetime
    next_update: datetime
    revoked: Reason | None

    def half_of_life(self, longest: timedelta) -> datetime:
        """When half of its life is over, or of `longest` where that is shorter."""
        return half_over(self.this_update, self.next_update, longest)


def make(certificate: x509.Certificate, issuer: Issuer, status: our_ocsp.Status, now: datetime, end: datetime) -> bytes:
    """A DER response about `certificate`, signed by its CA `now` and valid to `end`."""
    asked = our_ocsp.cert_id(certificate.serial_number, issuer.certificate)
    made = our_ocsp.respond([(asked, status)], issuer, this_update=backdated(now), next_update=end, by_ca=True)
    return our_ocsp.produced_at(made, issuer, now)


def read(der: bytes, certificate: x509.Certificate, ca: x509.Certificate, now: datetime) -> Staple:
    """What a response says of `certificate`, which `ca` issued. Raises Unreadable with what is wrong with it.

    It may be signed by the CA, or by a responder of its own that is valid `now` (RFC 6960 4.2.2.2).
    """
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unreadable(f"it says {response.response_status.name.lower()}")
        _check_subject(response, certificate, ca)
        _check_signature(response, ca, now)
        if response.next_update_utc is None or response.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            raise Unreadable("it contains no usable answer")
        return Staple(response.this_update_utc, response.next_update_utc, _reason(response))
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable("it is not an OCSP response, or a damaged one") from error


def _check_subject(response: ocsp.OCSPResponse, certificate: x509.Certificate, ca: x509.Certificate) -> None:
    asked = our_ocsp.cert_id(certificate.serial_number, ca, response.hash_algorithm.name)
    said = (response.serial_number, response.issuer_name_hash, response.issuer_key_hash)
    if said != (asked.serial, asked.issuer_name_hash, asked.issuer_key_hash):
        raise Unreadable("it is about another certificate")


def _check_signature(response: ocsp.OCSPResponse, ca: x509.Certificate, now: datetime) -> None:
    signers = [ca, *(one for one in response.certificates if our_ocsp.is_authorised(one, ca) and _lives(one, now))]
    if not any(_signed_by(response, signer) for signer in signers):
        raise Unreadable("it is not signed by its CA")


def _lives(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _signed_by(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, signature, signed = signer.public_key(), response.signature, response.tbs_response_bytes
    algorithm = response.signature_hash_algorithm
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(signature, signed, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(signature, signed, padding.PKCS1v15(), algorithm)
        else:  # Ed25519 and ML-DSA hash for themselves
            key.verify(signature, signed)  # type: ignore[call-arg, union-attr]
    except Exception:
        return False
    return True


def _reason(response: ocsp.OCSPResponse) -> Reason | None:
    if response.certificate_status is not ocsp.OCSPCertStatus.REVOKED:
        return None
    flag = response.revocation_reason
    return Reason.UNSPECIFIED if flag is None else Reason(flag.value)
