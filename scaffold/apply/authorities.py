"""Makes CAs: their keys, certificates and CRLs, from the roots down."""

from __future__ import annotations

from datetime import timedelta

from cryptography import x509

from scaffold.apply.workshop import Workshop, entry
from scaffold.errors import PkiError
from scaffold.pki import bundles, keys
from scaffold.pki import crl as crls
from scaffold.pki.issue import issue, new_serial, self_signed, validity
from scaffold.pki.keys import PrivateKey
from scaffold.plan.desired import DesiredCa, DesiredCertificate
from scaffold.plan.model import Change, Work
from scaffold.plan.revocations import entries
from scaffold.store import files
from scaffold.store.ledger import CaKey
from scaffold.store.projects import digest
from scaffold.topology.model import GeneratedSecret


def make(shop: Workshop, one: DesiredCa, change: Change) -> None:
    """Makes what `change` asks for of one CA's certificate. Raises PkiError, StoreError."""
    match change.work:
        case Work.ADOPT | Work.PLACE:
            pass
        case Work.ENCRYPT:
            _encrypt(shop, one)
        case Work.NEW_KEY:
            asked = _asked(one)
            key = shop.new_key(asked)
            _write_key(shop, one, key)
            _issue(shop, one, asked, key)
        case Work.ISSUE:
            asked = _asked(one)
            _issue(shop, one, asked, shop.key_of(asked))
        case _:
            raise ValueError(f"{change.address}: {change.work} is nothing that is done to a CA")
    _place(shop, one)


def sign_crl(shop: Workshop, one: DesiredCa) -> None:
    """Signs the CRL of one CA. Its number is in the ledger before it is in place (RFC 5280 5.2.3: it only rises)."""
    name, known, issuer = one.ca.name, shop.observed.ledger, shop.issuer(one.ca.name)
    there = shop.observed.crl(one.paths.crl).crl
    highest = max(known.crl_numbers.get(name, 0), (crls.number(there) or 0) if there is not None else 0)
    ours = there if there is not None and crls.signed_by(there, issuer.certificate) else None
    revoked = entries(known, name, keys.spki_sha256(issuer.certificate), ours, shop.now)
    shop.record.crl(name, highest + 1)
    crl = crls.build(
        issuer,
        highest + 1,
        shop.now,
        shop.now + max(one.crl_life, timedelta(seconds=2)),
        [crls.Revoked(int(entry.serial, 16), entry.at, crls.Reason(entry.reason)) for entry in revoked],
    )
    shop.writer.write(one.paths.crl, crls.to_pem(crl))


def _asked(one: DesiredCa) -> DesiredCertificate:
    if one.certificate is None:
        raise ValueError(f"{one.ca.address} was made elsewhere")
    return one.certificate


def _write_key(shop: Workshop, one: DesiredCa, key: PrivateKey) -> None:
    """The password first, then the record, then the key: whenever it stops, nothing is there that cannot be opened."""
    password = shop.passwords.get(f"{one.ca.address}.certificate")
    if password is not None and isinstance(one.ca.key_password, GeneratedSecret):
        shop.write(one.paths.key_password, password + b"\n", mode=files.SECRET_FILE, durable=True)
    pem = keys.to_pem(key) if password is None else keys.to_encrypted_pem(key, password)
    shop.record.ca_key(one.ca.name, CaKey(keys.spki(key.public_key()), digest(pem)))
    shop.writer.write(one.paths.key, pem, mode=files.SECRET_FILE, durable=True)


def _encrypt(shop: Workshop, one: DesiredCa) -> None:
    if one.ca.key_password is None:
        raise PkiError(
            f"{one.paths.key} is encrypted, and the topology names no password",
            hint=f"give {one.ca.address} its `key_password` back, or decrypt the file with `openssl pkey`",
        )
    _write_key(shop, one, keys.load(shop.read(one.paths.key) or b""))


def _issue(shop: Workshop, one: DesiredCa, asked: DesiredCertificate, key: PrivateKey) -> None:
    certificate = _signed(shop, asked, key)
    signer = key.public_key() if asked.issuer is None else shop.issuer(asked.issuer).key.public_key()
    issuer_key = keys.spki_sha256(signer)
    shop.record.issued([entry(asked.address, asked.issuer or one.ca.name, certificate, issuer_key)])
    shop.writer.write(one.paths.certificate, bundles.pem(certificate), durable=True)
    shop.install(one.ca.name, certificate, key)


def _signed(shop: Workshop, asked: DesiredCertificate, key: PrivateKey) -> x509.Certificate:
    if asked.issuer is None:
        begins, ends = validity(asked.lifetime, shop.now)
        return self_signed(asked.profile, key, serial=new_serial(), not_before=begins, not_after=ends)
    issuer = shop.issuer(asked.issuer)
    begins, ends = validity(asked.lifetime, shop.now, issuer.not_after)
    public = key.public_key()
    return issue(asked.profile, public, issuer, serial=new_serial(), not_before=begins, not_after=ends)


def _place(shop: Workshop, one: DesiredCa) -> None:
    """What stands around the certificate: its DER copy, its chain, the rights of its key."""
    name = one.ca.name
    certificate = shop.certificate(name)
    if one.certificate is None:
        shop.write(one.paths.certificate, bundles.pem(certificate))
    else:
        shop.writer.restrict(one.paths.key)
    shop.write(one.paths.der, bundles.der(certificate))
    chain = shop.authorities_above(name).chain_pem(name)
    if chain is None:
        raise ValueError(f"an issuer of ca.{name} is not made yet")
    shop.write(one.paths.chain, chain)
