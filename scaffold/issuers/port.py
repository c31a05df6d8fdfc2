"""The port of issuing: a request goes in, a certificate and its chain come out, wherever the key may be.

A topology's CA issues with the key that is on disk (`local`), unless another issuer is mounted in its place. What an
issuer adds to a request, or says otherwise, it declares beforehand: a plan that took that for a difference would issue
again for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from scaffold.errors import PkiError
from scaffold.pki import chains, keys
from scaffold.pki.keys import PublicKey
from scaffold.pki.profiles import CertificateProfile, Latitude


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be certified. The holder of `key` has its private half; no issuer sees that.

    `whose` names the certificate for a source of serials. `lifetime` is a wish: nothing outlives its issuer.
    """

    whose: str
    profile: CertificateProfile
    key: PublicKey
    lifetime: timedelta
    now: datetime


@dataclass(frozen=True, slots=True)
class Issuance:
    """A certificate, and what is sent after it: its issuer's and those above, without the root."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]


class CertificateIssuer(Protocol):
    """Issues for one CA of the topology."""

    @property
    def latitude(self) -> Latitude:
        """How what it issues may differ from what is requested."""

    def issue(self, request: Request) -> Issuance:
        """The certificate. Raises ScaffoldError where there is none to be had."""


Mounted = Mapping[str, CertificateIssuer]
"""The issuers that take the place of a CA's key on disk, by the name of the CA."""


def checked(made: Issuance, request: Request, ca: x509.Certificate) -> Issuance:
    """What an issuer made elsewhere, once it is known to be for the requested key and signed by the CA.

    What else it says is for the next plan to compare. Raises PkiError.
    """
    if keys.spki(made.certificate) != keys.spki(request.key):
        raise PkiError(f"the certificate that was issued for {request.whose} has another key")
    if made.certificate.issuer != ca.subject or not chains.signed_by(made.certificate, ca):
        raise PkiError(f"the certificate that was issued for {request.whose} is not signed by its CA")
    return made
