"""Who signed whom: signatures of today's certificates, and the way from a certificate up to its root."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from scaffold.errors import PkiError
from scaffold.pki.keys import MALFORMED


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the certificate names `issuer` as its issuer and `issuer`'s key signed it (RFC 5280 6.1.3 a 1 and 4)."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *MALFORMED):
        return False
    return True


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether its own key signed it: a trust anchor, if anyone trusts it."""
    return signed_by(certificate, certificate)


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether it may issue: basicConstraints says so, and keyUsage, if there, allows it (RFC 5280 4.2.1.3, 4.2.1.9)."""
    try:
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, *MALFORMED):
        return False
    try:
        return constraints.ca and extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return constraints.ca


def up_to_root(certificate: x509.Certificate, pool: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The certificate, its issuer from `pool`, and so on up to a self-signed one, which is the last.

    Raises PkiError, naming the issuer that is missing.
    """
    candidates = tuple(pool)
    chain = [certificate]
    while not is_self_signed(chain[-1]):
        issuer = next((one for one in candidates if one not in chain and signed_by(chain[-1], one)), None)
        if issuer is None:
            missing = chain[-1].issuer.rfc4514_string()
            raise PkiError(f"the chain does not reach a root: the certificate of {missing} is not there")
        chain.append(issuer)
    return tuple(chain)
