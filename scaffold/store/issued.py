"""What the ledger says of a certificate that was issued here, and of that of a CA that was made elsewhere."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from scaffold.pki import bundles, keys
from scaffold.pki.chains import Path
from scaffold.pki.names import rfc2253
from scaffold.store.ledger import Adopted, Issued
from scaffold.topology.address import Address, Part, Role


def entry(address: Address, ca: str, certificate: x509.Certificate, issuer_key: str) -> Issued:
    """The entry; `issuer_key` is the SHA-256 of the signing key's SPKI."""
    return Issued(
        address=address,
        ca=ca,
        serial=f"{certificate.serial_number:x}",
        subject=rfc2253(certificate.subject),
        issuer=rfc2253(certificate.issuer),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint_sha256=bundles.fingerprint(certificate),
        issuer_key=issuer_key,
        key=keys.spki_sha256(certificate),
        also_calls=_is_of_server(address) and _is_for_clients(certificate),
    )


def _is_of_server(address: Address) -> bool:
    return address.role is Role.SERVER and address.part is Part.CERTIFICATE


def _is_for_clients(certificate: x509.Certificate) -> bool:
    """RFC 5280 4.2.1.12: where no purpose is stated, each is allowed. So it is where none can be read."""
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return True
    return not _CALLING.isdisjoint(purposes)


_CALLING: Final = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


def adopted_entry(ca: str, path: Path) -> Adopted:
    """The entry of a CA whose certificate is the first of `path`, and whose issuer's is the next, if it is no root."""
    own, issuer = path[0], path[1] if len(path) > 1 else path[0]
    return Adopted(
        ca=ca,
        subject=rfc2253(own.subject),
        key=keys.spki_sha256(own),
        issuer=rfc2253(own.issuer),
        issuer_key=keys.spki_sha256(issuer),
        not_after=own.not_valid_after_utc,
    )
