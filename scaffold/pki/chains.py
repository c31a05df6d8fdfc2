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
        and not names_another_key(certificate, certificate)
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
        highest = _highest(certificate, signers)
        missing = highest.issuer.rfc4514_string()
        if signers.has_misnamed(highest):
            raise PkiError(
                f"the authority key identifier of {highest.subject.rfc4514_string()} names another key or "
                f"certificate than that of its signer {missing} (RFC 5280 4.2.1.1)"
            )
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
                one
                for one in named
                if one != certificate
                and not names_another_key(certificate, one)
                and signatures.verifies(certificate, one) is not False
            )
        return self._known[certificate]

    def has_misnamed(self, certificate: x509.Certificate) -> bool:
        """Whether one is there that signed it, and that its authority key identifier does not name."""
        named = self._by_name.get(comparable(certificate.issuer), ())
        return any(
            one != certificate and names_another_key(certificate, one) and signatures.verifies(certificate, one)
            for one in named
        )

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
    last = path[-1]
    if is_anchor(last):
        yield path
        return
    for issuer in signers.of(last):
        if issuer in leading and not _leads_in_circles(path, issuer):
            yield from _walk((*path, issuer), signers, leading)


def _leads_in_circles(path: Path, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name comes twice, but for a CA's rollover to a new key, which its older one signed."""
    name = comparable(issuer.subject)
    rollover = tuple(itertools.takewhile(lambda one: comparable(one.subject) == name, reversed(path)))
    below = path[: len(path) - len(rollover)]
    return issuer in rollover or any(name == comparable(one.subject) for one in below)


def _highest(certificate: x509.Certificate, signers: _Signers) -> x509.Certificate:
    """The last certificate of a way that ends before a root."""
    path = [certificate]
    while (issuer := next((one for one in signers.of(path[-1]) if one not in path), None)) is not None:
        path.append(issuer)
    return path[-1]


def names_another_key(signed: x509.Certificate | x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether its authority key identifier is not that of `issuer`: by key, or by issuer and serial number.

    RFC 5280 4.2.1.1; of what is not said on either side nothing is compared.
    """
    try:
        authority = signed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        return _is_another_key(authority, issuer) or _is_another_certificate(authority, issuer)
    except (x509.ExtensionNotFound, *MALFORMED):
        return False


def _is_another_key(authority: x509.AuthorityKeyIdentifier, issuer: x509.Certificate) -> bool:
    try:
        subject = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return False
    return authority.key_identifier is not None and authority.key_identifier != subject


def _is_another_certificate(authority: x509.AuthorityKeyIdentifier, issuer: x509.Certificate) -> bool:
    serial = authority.authority_cert_serial_number
    names = [each.value for each in authority.authority_cert_issuer or () if isinstance(each, x509.DirectoryName)]
    if serial is not None and serial != issuer.serial_number:
        return True
    return bool(names) and comparable(names[0]) != comparable(issuer.issuer)
