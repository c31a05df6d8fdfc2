"""Who signed whom: signatures of today's certificates, and the ways from a certificate up to a root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from scaffold.errors import PkiError
from scaffold.pki import signatures
from scaffold.pki.keys import MALFORMED
from scaffold.pki.names import comparable

Path = tuple[x509.Certificate, ...]
"""A certificate, its issuer's, and so on up to a root's, which is the last."""

_MOST_PATHS: Final = 64
"""Certificates that sign each other crosswise make more paths than anybody could look at."""


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


def is_anchor(certificate: x509.Certificate) -> bool:
    """Whether it ends a path: self-signed, by whatever algorithm.

    Nobody checks the signature of a trust anchor (RFC 5280 6.1.1 d), so one of MD5 or SHA-1, or of an algorithm that
    nobody knows any more, is as good as any. A signature that is certainly another key's is that of a rollover.
    """
    return (
        comparable(certificate.issuer) == comparable(certificate.subject)
        and not _names_another_key(certificate, certificate)
        and signatures.verifies(certificate, certificate) is not False
    )


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


def paths_to_roots(certificate: x509.Certificate, pool: Iterable[x509.Certificate]) -> tuple[Path, ...]:
    """Every way from the certificate through `pool`, in any order and with others in it, to a root; the shortest first.

    Raises PkiError, naming the issuer that is missing, where there is none.
    """
    candidates = tuple(dict.fromkeys(pool))
    found: list[Path] = []
    for path in _walk((certificate,), candidates):
        found.append(path)
        if len(found) == _MOST_PATHS:
            break
    if not found:
        missing = _highest(certificate, candidates).issuer.rfc4514_string()
        raise PkiError(f"the chain does not reach a root: the certificate of {missing} is not there")
    return tuple(sorted(found, key=len))


def up_to_root(certificate: x509.Certificate, pool: Iterable[x509.Certificate]) -> Path:
    """The shortest of these ways. Raises PkiError."""
    return paths_to_roots(certificate, pool)[0]


def _walk(path: Path, candidates: Path) -> Iterator[Path]:
    if is_anchor(path[-1]):
        yield path
        return
    for issuer in _issuers(path[-1], candidates):
        # Whoever is named twice on a path signs himself crosswise: that leads nowhere but in circles.
        if all(comparable(issuer.subject) != comparable(one.subject) or is_anchor(issuer) for one in path):
            yield from _walk((*path, issuer), candidates)


def _issuers(certificate: x509.Certificate, candidates: Path) -> Iterator[x509.Certificate]:
    name = comparable(certificate.issuer)
    for one in candidates:
        if one == certificate or comparable(one.subject) != name:
            continue
        if signatures.verifies(certificate, one) is not False:
            yield one


def _highest(certificate: x509.Certificate, candidates: Path) -> x509.Certificate:
    """The last certificate of a way that ends before a root."""
    path = [certificate]
    while (issuer := next((one for one in _issuers(path[-1], candidates) if one not in path), None)) is not None:
        path.append(issuer)
    return path[-1]


def _names_another_key(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether its AKI is not the SKI of `issuer` (RFC 5280 4.2.1.1)."""
    try:
        authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        subject = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, *MALFORMED):
        return False
    return authority is not None and authority != subject
