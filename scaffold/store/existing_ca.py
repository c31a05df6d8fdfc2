"""A CA that was made elsewhere: what is known of it once its files were read where they lie."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from cryptography import x509

from scaffold.pki import chains
from scaffold.pki import crl as crls
from scaffold.pki.chains import names_another_key
from scaffold.pki.crl import Crl


@dataclass(frozen=True, slots=True)
class ExistingCa:
    """`above` is the way from its issuer up to its root, empty where it is a root itself.

    `crls` are PEM: those that it (unless its own is signed here) and the CAs above it have signed, as far as TLS
    libraries take them; None where no file was named. `left_out` says of each of the others what it is.
    """

    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...]
    encrypted_key: bool
    crls: bytes | None
    left_out: tuple[str, ...] = ()

    @property
    def path(self) -> chains.Path:
        """Its certificate, and those above it."""
        return (self.certificate, *self.above)

    def crls_of(self, ca: x509.Certificate) -> tuple[Crl, ...]:
        """What one of the CAs in `path` has signed of `crls`."""
        return _signed_by(self.crls, ca) if self.crls else ()


@functools.lru_cache(maxsize=256)
def _signed_by(lists: bytes, ca: x509.Certificate) -> tuple[Crl, ...]:
    """Many servers ask for the same lists, and long ones take their time."""
    return tuple(one for one in crls.load_all(lists) if crls.signed_by(one, ca) and not names_another_key(one, ca))
