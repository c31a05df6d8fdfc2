"""Makes CAs: their keys, certificates and CRLs, from the roots down."""

from __future__ import annotations

import functools
from datetime import timedelta

from cryptography import x509

from scaffold.apply.context import ApplyContext
from scaffold.issuers.local import self_signed
from scaffold.pki import bundles, keys
from scaffold.pki import crl as crls
from scaffold.pki.issue import backdated
from scaffold.pki.keys import PrivateKey
from scaffold.plan.crls import next_number
from scaffold.plan.desired import AdoptedCa, DesiredCa, DesiredCertificate, IssuedCertificate, MadeCa, RootCertificate
from scaffold.plan.former_cas import former_adopted
from scaffold.plan.model import Change, Work
from scaffold.plan.revocations import entries, newest, taken_over, unrecorded
from scaffold.plan.unknown import known
from scaffold.store import files, gitignore
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.issued import adopted_entry, entry
from scaffold.store.ledger import CaKey
from scaffold.store.projects import digest
from scaffold.topology.model import GeneratedSecret


def make(context: ApplyContext, one: DesiredCa, change: Change) -> None:
    """Makes what `change` asks for of one CA's certificate. Raises PkiError, StoreError."""
    match one:
        case MadeCa():
            _make(context, one, change)
            context.writer.restrict(one.paths.key)
        case AdoptedCa():
            _adopt(context, one)
    _place(context, one, change)


def _make(context: ApplyContext, one: MadeCa, change: Change) -> None:
    match change.work:
        case Work.PLACE:
            pass
        case Work.ENCRYPT:
            _write_key(context, one, context.key_of(one.certificate))
        case Work.NEW_KEY:
            key = context.new_key(one.certificate)
            _write_key(context, one, key)
            _issue(context, one, key)
        case Work.ISSUE:
            _issue(context, one, context.key_of(one.certificate))
        case _:
            raise ValueError(f"{change.address}: {change.work} is nothing that is done to a CA")


def _adopt(context: ApplyContext, one: AdoptedCa) -> None:
    """Copies the certificate, and the CRL from which the CA goes on."""
    brought, there = context.existing[one.ca.name], context.observed.crl(one.paths.crl).crl
    _record_adopted(context, one, brought)
    context.write(one.paths.certificate, bundles.pem(brought.certificate))
    if (kept := taken_over(brought.crls, there, brought.certificate)) is not None:
        new = unrecorded(context.observed.ledger, one.ca.name, crls.entries(crls.load(kept)))
        # What its owner has revoked of ours is told in a note: nobody has decided here that it gets another.
        ours = context.observed.ledger.by_serial
        context.record_revoked([each for each in new if (each.ca, each.serial) not in ours])
        context.write(one.paths.crl, kept)


def _record_adopted(context: ApplyContext, one: AdoptedCa, brought: ExistingCa) -> None:
    """Keeps what was adopted, before another takes its place: who sees names alone goes on believing it."""
    found = {adopted_entry(one.ca.name, brought.path)}
    if (former := former_adopted(one, context.observed)) is not None:
        found.add(former)
    if new := sorted(found - context.observed.ledger.adopted, key=lambda each: each.not_after):
        context.record.adopted(new)


def sign_crl(context: ApplyContext, one: DesiredCa) -> None:
    """Signs the CRL of one CA. Its number is in the ledger before it is in place (RFC 5280 5.2.3: it only rises)."""
    name, ledger, issuer = one.ca.name, context.known, context.issuer(one.address)
    there = context.observed.crl(one.paths.crl)
    ours, _ = newest(there, context.copies_of_crls(), issuer.certificate)
    number = next_number(one, ledger, (there.crl, ours))
    listed = crls.entries(ours) if ours is not None else ()
    new = unrecorded(context.observed.ledger, name, listed)
    # A revocation must outlive the list that it is known from.
    context.record_revoked([context.known.revoked.get((each.ca, each.serial), each) for each in new])
    ledger = context.known
    revoked = entries(ledger, name, keys.spki_sha256(issuer.certificate), ours, listed, context.now)
    context.record.crl(one.address.label, number)
    crl = crls.build(
        issuer,
        number,
        backdated(context.now),
        context.now + max(one.crl_life, timedelta(seconds=2)),
        [crls.Revoked(int(entry.serial, 16), entry.at, crls.Reason(entry.reason)) for entry in revoked],
    )
    context.writer.write(one.paths.crl, crls.to_pem(crl))


def _write_key(context: ApplyContext, one: DesiredCa, key: PrivateKey) -> None:
    """The password first, then the record, then the key: whenever it stops, nothing is there that cannot be opened."""
    password = context.keyring.password_to_write(one.address, context.randomness)
    if password is not None and isinstance(one.ca.key_password, GeneratedSecret):
        context.write(one.paths.key_password, password + b"\n", mode=files.SECRET_FILE, durable=True)
    octets = functools.partial(context.randomness.octets, str(one.address))
    pem = keys.to_pem(key) if password is None else keys.to_encrypted_pem(key, password, octets)
    context.record.ca_key(one.address.label, CaKey(keys.spki(key.public_key()), digest(pem)))
    context.writer.write(one.paths.key, pem, mode=files.SECRET_FILE, durable=True)


def _issue(context: ApplyContext, one: MadeCa, key: PrivateKey) -> None:
    asked = one.certificate
    certificate, signer = _signed(context, asked, key)
    context.record.issued([entry(asked.address, asked.ca, certificate, signer)])
    context.writer.write(one.paths.certificate, bundles.pem(certificate), durable=True)
    context.install(one.address, certificate, key)


def _signed(context: ApplyContext, asked: DesiredCertificate, key: PrivateKey) -> tuple[x509.Certificate, str]:
    """The certificate, and the SHA-256 of the SPKI of the key that signed it."""
    request = context.request(asked, key.public_key())
    match asked:
        case RootCertificate():
            return self_signed(request, key, context.randomness), keys.spki_sha256(key.public_key())
        case IssuedCertificate():
            made = context.issue(asked.issuer, request).certificate
            signer = context.desired.issuing(asked.issuer).address
            return made, keys.spki_sha256(context.certificate(signer))


def _place(context: ApplyContext, one: DesiredCa, change: Change) -> None:
    """What is around the certificate: its DER copy, its chain, the rights of its folder."""
    name = one.ca.name
    certificate = context.certificate(one.address)
    if one.paths.folder in change.paths:
        context.writer.restrict_folder(one.paths.folder)
    if one.paths.key_password in change.paths:
        context.writer.restrict(one.paths.key_password)
    context.write(one.paths.ignore, gitignore.PKI)
    context.write(one.paths.der, bundles.der(certificate))
    context.write(one.paths.chain, known(context.authorities_above(name).chain_pem(context.generation(one))))
