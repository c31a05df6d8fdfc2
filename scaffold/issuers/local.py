"""The issuer whose key is on disk: it says what is asked, word for word, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from scaffold.issuers.port import Issuance, Request
from scaffold.pki import issue as signing
from scaffold.pki.issue import Issuer, numbered, validity
from scaffold.pki.keys import PrivateKey
from scaffold.pki.profiles import VERBATIM, Latitude
from scaffold.pki.randomness import Randomness


@dataclass(frozen=True, slots=True)
class LocalIssuer:
    """A CA with its key. `above` are the certificates that are sent after its own, without the root's."""

    ca: Issuer
    above: tuple[x509.Certificate, ...]
    randomness: Randomness

    @property
    def latitude(self) -> Latitude:
        """None."""
        return VERBATIM

    def issue(self, request: Request) -> Issuance:
        """As the port says. Raises PkiError where the CA has ended, or the profile says what X.509 cannot."""
        begins, ends = validity(request.lifetime, request.now, self.ca.not_after)

        def sign(serial: int) -> x509.Certificate:
            return signing.issue(
                request.profile, request.key, self.ca, serial=serial, not_before=begins, not_after=ends
            )

        return Issuance(numbered(self.randomness, request.whose, sign), self.above)


def self_signed(request: Request, key: PrivateKey, randomness: Randomness) -> x509.Certificate:
    """A root: its own `key`, whose public half the request holds, signs for it. Raises PkiError."""
    begins, ends = validity(request.lifetime, request.now)

    def sign(serial: int) -> x509.Certificate:
        return signing.self_signed(request.profile, key, serial=serial, not_before=begins, not_after=ends)

    return numbered(randomness, request.whose, sign)
