"""Who signed whom: signatures of today's certificates, and the ways from a certificate up to a root."""

from __future__ import annotations

import itertools
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
    try:
        names_itself = comparable(certificate.issuer) == comparable(certificate.subject)
    except MALFORMED:
        return False
    return (
        names_itself
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
    signers = _Signers(pool)
    leading = signers.leading_to_roots(certificate)
    found = tuple(itertools.islice(_walk((certificate,), signers, leading), _MOST_PATHS))
    if not found:
        missing = _highest(certificate, signers).issuer.rfc4514_string()
        raise PkiError(f"the chain does not reach a root: the certificate of {missing} is not there")
    return tuple(sorted(found, key=len))


def up_to_root(certificate: x509.Certificate, pool: Iterable[x509.Certificate]) -> Path:
    """The shortest of these ways. Raises PkiError."""
    return paths_to_roots(certificate, pool)[0]


class _Signers:
    """Of each certificate those in the pool that signed it: many paths ask for the same signatures."""

    def __init__(self, pool: Iterable[x509.Certificate]) -> None:
        self._by_name: dict[object, list[x509.Certificate]] = {}
        for one in dict.fromkeys(pool):
            self._by_name.setdefault(comparable(one.subject), []).append(one)
        self._known: dict[x509.Certificate, Path] = {}

    def of(self, certificate: x509.Certificate) -> Path:
        if certificate not in self._known:
            named = self._by_name.get(comparable(certificate.issuer), ())
            self._known[certificate] = tuple(
                one for one in named if one != certificate and signatures.verifies(certificate, one) is not False
            )
        return self._known[certificate]

    def leading_to_roots(self, certificate: x509.Certificate) -> frozenset[x509.Certificate]:
        """Those above a certificate, and itself, from which a root can be reached: the others are looked at once."""
        above, waiting = {certificate}, [certificate]
        while waiting:
            new = [one for one in self.of(waiting.pop()) if one not in above]
            above.update(new)
            waiting.extend(new)
        leading = {one for one in above if is_anchor(one)}
        while more := {one for one in above - leading if not leading.isdisjoint(self.of(one))}:
            leading |= more
        return frozenset(leading)


def _walk(path: Path, signers: _Signers, leading: frozenset[x509.Certificate]) -> Iterator[Path]:
    *before, last = path
    if is_anchor(last):
        yield path
        return
    for issuer in signers.of(last):
        if issuer not in leading:
            continue
        name = comparable(issuer.subject)
        # Whoever comes twice on a path is signed crosswise: that leads in circles, but for a rollover to a new key.
        is_rollover = name == comparable(last.subject) and is_anchor(issuer)
        if (is_rollover or name != comparable(last.subject)) and all(name != comparable(one.subject) for one in before):
            yield from _walk((*path, issuer), signers, leading)


def _highest(certificate: x509.Certificate, signers: _Signers) -> x509.Certificate:
    """The last certificate of a way that ends before a root."""
    path = [certificate]
    while (issuer := next((one for one in signers.of(path[-1]) if one not in path), None)) is not None:
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
