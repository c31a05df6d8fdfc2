"""Makes what servers and clients prove themselves with: keys, certificates and bundles, many at a time."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography import x509

from scaffold.apply.context import ApplyContext
from scaffold.issuers.port import Issuance
from scaffold.pki import bundles, keys
from scaffold.pki.keys import PrivateKey
from scaffold.plan import bundle_files
from scaffold.plan.authorities import Authorities
from scaffold.plan.checks import Examined, examine
from scaffold.plan.desired import DesiredParty, IssuedCertificate
from scaffold.plan.memo import examination
from scaffold.plan.model import Change, Work
from scaffold.plan.unknown import Unknown, known
from scaffold.store import files, secrets
from scaffold.store.issued import entry
from scaffold.store.ledger import Issued, Ledger
from scaffold.store.observation import SeenCertificate, SeenKey
from scaffold.store.projects import digest
from scaffold.topology.address import Address, Part
from scaffold.topology.faults import OWN_CHAIN
from scaffold.topology.model import GeneratedSecret, Secret

if TYPE_CHECKING:
    from scaffold.pki.faulty import Lineage

_AT_ONCE = 2_000
"""So many certificates share one fsync of the ledger, and their keys the memory."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A certificate that is issued, and in its place next."""

    asked: IssuedCertificate
    change: Change
    issuance: Issuance
    key: PrivateKey | None
    """None where the one that is there stays."""


def make(
    context: ApplyContext,
    changes: Sequence[Change],
    asked: Mapping[Address, IssuedCertificate],
    authorities: Authorities,
) -> None:
    """Makes the certificates of servers and clients. Raises PkiError, StoreError."""
    with context.making_keys(asked[change.address] for change in changes if change.work is Work.NEW_KEY):
        for start in range(0, len(changes), _AT_ONCE):
            made = [
                _made(context, change, asked[change.address], authorities)
                for change in changes[start : start + _AT_ONCE]
            ]
            issued = {one.asked.address: _entry(one, authorities) for one in made if one.change.work is not Work.PLACE}
            context.record.issued(list(issued.values()))
            for one in made:
                content = bundles.pem(one.issuance.certificate) + _pem(one.issuance.chain)
                key = _put(context, one, content)
                if key is not None and context.basis.remembered is not None:
                    _examine(context, one, content, key, issued[one.asked.address], authorities)
                context.progress(one.change)


def _made(context: ApplyContext, change: Change, asked: IssuedCertificate, authorities: Authorities) -> _Made:
    match change.work:
        case Work.PLACE:
            seen = context.observed.certificate(asked.paths.certificate)
            if seen.certificate is None:
                raise ValueError(f"{asked.address} is not there")
            behind = known(authorities.intermediates(asked.issuer))
            if asked.fault in OWN_CHAIN:
                behind = bundles.parse_certificates(seen.content or b"")[1:]
            return _Made(asked, change, Issuance(seen.certificate, behind), None)
        case Work.NEW_KEY:
            key = context.new_key(asked)
            return _Made(asked, change, _issued(context, asked, key, authorities), key)
        case Work.ISSUE if asked.on_request:
            request = context.request(asked, context.basis.brought.requests[asked.address.entity])
            return _Made(asked, change, context.issue(asked.issuer, request), None)
        case Work.ISSUE:
            key = context.key_of(asked)
            return _Made(asked, change, _issued(context, asked, key, authorities), None)
        case _:
            raise ValueError(f"{change.address}: {change.work} is nothing that is done to a leaf")


def _entry(one: _Made, authorities: Authorities) -> Issued:
    # Who signs a leaf that is broken on purpose is nobody's business but the plan's: it looks for itself.
    signer = "" if one.asked.fault is not None else known(authorities[one.asked.issuer].issuer.spki_sha256)
    recorded = entry(one.asked.address, one.asked.issuer, one.issuance.certificate, signer)
    # What is broken on purpose may have other names than its profile.
    names = () if one.asked.fault is not None else tuple(san.value for san in one.asked.profile.sans)
    return replace(recorded, names=names)


def _issued(context: ApplyContext, asked: IssuedCertificate, key: PrivateKey, authorities: Authorities) -> Issuance:
    if asked.fault is None:
        return context.issue(asked.issuer, context.request(asked, key.public_key()))
    # Loaded for those who ask for something broken: most do not.
    from scaffold.pki import faulty

    certificate, chain = faulty.issue(
        asked.profile,
        key,
        _lineage(context, asked, authorities),
        whose=str(asked.address),
        lifetime=asked.lifetime,
        now=context.now,
        randomness=context.randomness,
        serial=context.doomed.get(asked.address),
    )
    return Issuance(certificate, chain)


def _lineage(context: ApplyContext, asked: IssuedCertificate, authorities: Authorities) -> Lineage:
    """Who issues what is broken on purpose; the CA above the issuer as well where its fault lies in the chain."""
    from scaffold.pki.faulty import Lineage

    issuer = context.issuer(context.desired.issuing(asked.issuer).address)
    above = context.above_broken(asked)
    parent = context.issuer(above) if above is not None else None
    return Lineage(issuer, known(authorities.intermediates(asked.issuer)), parent)


@functools.lru_cache(maxsize=64)
def _pem(chain: tuple[x509.Certificate, ...]) -> bytes:
    """Thousands of leaves have the same certificates behind them."""
    return bundles.chain_pem(chain)


def _put(context: ApplyContext, one: _Made, content: bytes) -> bytes | None:
    """The key first: a server that reloads between the two keeps its old pair until they match. A new key's text."""
    paths, pem = one.asked.paths, None
    if one.key is not None:
        pem = keys.to_pem(one.key)
        context.writer.write(paths.key, pem, mode=files.SECRET_FILE)
    elif not one.asked.on_request:
        context.writer.restrict(paths.key)
    context.writer.write(paths.certificate, content)
    return pem


def _examine(
    context: ApplyContext, one: _Made, content: bytes, key: bytes, recorded: Issued, authorities: Authorities
) -> None:
    """What is in order as it was made need not be examined by the next plan."""
    certificate, behind = one.issuance.certificate, authorities.sent_pem(one.asked.issuer)
    spki = keys.spki(certificate)
    made = Examined(
        one.asked,
        SeenCertificate(certificate, content),
        SeenKey(present=True, spki=spki, mode=one.asked.key_mode),
        spki,
        authorities[one.asked.issuer].issuer,
        Ledger(issued={recorded.fingerprint_sha256: recorded}),
        context.now,
    )
    if isinstance(behind, Unknown) or not content.endswith(behind) or examine(made) is not None:
        return
    found = examination(made, behind, files.Found(key, one.asked.key_mode, 0))
    if found is not None:
        context.examined[str(one.asked.address)] = found


def bundle(context: ApplyContext, one: DesiredParty) -> None:
    """Makes the PFX of a server or client, and the file with its password. Raises PkiError, StoreError."""
    pfx = one.party.pfx
    if pfx is None:
        raise ValueError(f"{one.party.address} asks for no PFX")
    password, digests = _bundle_password(context, one, pfx.password)
    leaf = context.read(one.paths.own.certificate) or b""
    certificate, *chain = bundles.load_certificates(leaf)
    key = context.key_of(one.own)
    content = bundles.pfx(one.party.name, key, certificate, chain, password, legacy=pfx.legacy)
    context.write(one.paths.bundle_password, password + b"\n", mode=files.SECRET_FILE)
    context.writer.write(one.paths.bundle, content, mode=files.SECRET_FILE)
    written = {one.paths.bundle: digest(content), **digests}
    context.projects.settled(one.party.address.with_part(Part.BUNDLE), bundle_files.inputs(one, leaf), written)


def _bundle_password(context: ApplyContext, one: DesiredParty, source: Secret) -> tuple[bytes, Mapping[str, str]]:
    """The password, and the digest of its file where that gives nothing away: of 192 random bits of our own alone."""
    address, path = one.party.address.with_part(Part.BUNDLE), one.paths.bundle_password
    if not isinstance(source, GeneratedSecret):
        return context.passwords[address], {}
    recorded = context.observed.records.of(address).files.get(path)
    there = context.read(path)
    if there is not None and recorded in (None, digest(there)) and (kept := secrets.kept(context.layout, path)):
        return kept, {path: recorded} if recorded is not None else {}
    made = secrets.new(context.randomness, str(one.party.address))
    return made, {path: digest(made + b"\n")}
