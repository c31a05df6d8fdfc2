"""Holds every certificate that somebody else issues against what the topology asks of it.

Each check is a small function that yields what is wrong, at its place in the YAML, or a note. What is wrong with one
changes nothing: what is in `tls/` goes on serving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from scaffold.errors import EntityError, TopologyError
from scaffold.kinds import limits
from scaffold.kinds.catalogue import Kind
from scaffold.pki import bundles, keys, permits, profiles
from scaffold.pki import crl as crls
from scaffold.pki.names import rfc2253
from scaffold.settings.subjects import stated_subjects
from scaffold.store.brought_leaf import read_leaf, read_roots, wrong
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.existing_leaf import Brought, BroughtLeaf, ends_soon
from scaffold.store.layout import party_paths
from scaffold.store.observation import Observation
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.constraints import is_among
from scaffold.topology.model import IdentityForm, Party, San, SanType, Server, TlsProfile, Topology
from scaffold.topology.names import form_of
from scaffold.topology.notes import Note

Found = Iterator[TopologyError | Note]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One leaf, and whom it is for."""

    t: Topology
    party: Party
    leaf: BroughtLeaf
    kinds: Mapping[Address, Kind]
    in_place: bool
    now: datetime
    issuer: ExistingCa | None = None
    """Whose CRLs are known: of a client the CA of the topology."""

    @property
    def role(self) -> str:
        return self.party.address.role.value

    def wrong(self, field: str, message: str, hint: str | None = None) -> TopologyError:
        return wrong(self.t, self.party, field, message, hint)


def bring(
    t: Topology,
    cas: Mapping[str, ExistingCa],
    kinds: Mapping[Address, Kind],
    observed: Observation,
    now: datetime,
) -> Brought:
    """Reads and judges all of them. Raises TopologyError for roots that cannot be read."""
    leaves: dict[Address, BroughtLeaf] = {}
    problems: dict[Address, TopologyError] = {}
    roots: dict[Address, bytes] = {}
    notes: list[Note] = []
    for party in graph.parties(t):
        if party.existing is None:
            continue
        vouching = read_roots(t, party, party.existing)
        if isinstance(party, Server):
            roots[party.address] = bundles.chain_pem(vouching)
        try:
            issuer = cas.get(party.issuer) if not vouching else None
            leaf = read_leaf(t, party, party.existing, vouching, issuer)
            found = _judged(_Leaf(t, party, leaf, kinds, _is_in_place(party, leaf, observed), now, issuer))
        except TopologyError as error:
            problems[party.address] = error
        else:
            leaves[party.address] = leaf
            notes.extend(found)
    return Brought(leaves, problems, roots, notes=tuple(notes))


def _is_in_place(party: Party, leaf: BroughtLeaf, observed: Observation) -> bool:
    there = observed.content(party_paths(party.address.role, party.name).own.certificate)
    return there == leaf.content


def _judged(one: _Leaf) -> list[Note]:
    """The notes. Raises TopologyError for the first thing that is wrong."""
    notes = []
    for look in _CHECKS:
        for found in look(one):
            if isinstance(found, TopologyError):
                raise found
            notes.append(found)
    return notes


def purposes(one: _Leaf) -> Found:
    """What it is for, and what the CAs above it permit."""
    for finding in permits.purpose_refusals(one.leaf.certificate, one.role):
        yield one.wrong("certificate", str(finding), "have it issued for that purpose")
    asked = permits.Leaf(one.role, permits.names_in(one.leaf.certificate), one.leaf.certificate.subject)
    for finding in permits.forbidden(one.leaf.above, asked):
        yield one.wrong("certificate", str(finding), "have it issued by a CA that permits it")


def names(one: _Leaf) -> Found:
    """The names that callers expect of a server, and the identity by which servers know a client."""
    has = permits.names_in(one.leaf.certificate)
    if isinstance(one.party, Server):
        for index, name in enumerate(one.party.names):
            if name.type is not SanType.URI and not is_among(name, has):
                yield EntityError(
                    str(one.party.address),
                    f"the certificate does not contain {name}: it contains {_listed(has)}",
                    place=one.t.place("servers", one.party.name, "names", index),
                    hint="remove the name, or have a certificate issued that contains it",
                )
        return
    if not _says(one.leaf.certificate, has, one.party.identity):
        yield one.wrong(
            "identity",
            f"the certificate is not that of {one.party.identity}: it has the subject "
            f"{rfc2253(one.leaf.certificate.subject)} and is for {_listed(has)}",
            "correct the topology to match the certificate",
        )


def _says(certificate: x509.Certificate, has: tuple[San, ...], identity: str) -> bool:
    match form_of(identity):
        case IdentityForm.URI:
            return [name.value for name in has if name.type is SanType.URI] == [identity]
        case IdentityForm.DNS:
            return profiles.identity_names(identity)[0] in has
        case IdentityForm.SUBJECT:
            return rfc2253(certificate.subject) in stated_subjects(identity)


def _listed(has: tuple[San, ...]) -> str:
    return ", ".join(name.value for name in has) or "no name"


def dates(one: _Leaf) -> Found:
    """Both ends: what has not begun or has ended is not taken over, and what ends soon is said in time."""
    for certificate in one.leaf.path:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if begins <= one.now < ends:
            continue
        when = f"is valid from {_moment(begins)}" if begins > one.now else f"expired on {_moment(ends)}"
        said = f"{rfc2253(certificate.subject)} {when}"
        if one.in_place:
            yield Note(one.party.address, f"is refused by everybody: {said}; {_ELSEWHERE}")
            return
        yield one.wrong("certificate", said, "it is renewed where it is issued; the files in tls/ stay as they are")
    certificate = one.leaf.certificate
    if ends_soon(certificate, one.now):
        yield Note(one.party.address, f"expires on {_moment(certificate.not_valid_after_utc)}, and {_ELSEWHERE}")


_ELSEWHERE: Final = "it is renewed where it is issued, not here"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def revoked(one: _Leaf) -> Found:
    """What the CRL of its CA says of it: nobody here can replace it."""
    serial = one.leaf.certificate.serial_number
    for each in one.issuer.crls_of(one.issuer.certificate) if one.issuer is not None else ():
        for entry in crls.listed(each, {serial}):
            said = "is on hold" if entry.reason is crls.Reason.CERTIFICATE_HOLD else "is revoked"
            yield Note(
                one.party.address.with_part(Part.CERTIFICATE),
                f"{said} since {_moment(entry.when)} ({entry.reason}): the CRL of {Address.ca(one.party.issuer)} "
                f"lists serial {serial:x}, so that every server and client that checks it refuses it; {_ELSEWHERE}",
            )


def its_own_kind(one: _Leaf) -> Found:
    """Whether its own template can use such a key."""
    kind, key = one.kinds.get(one.party.address), keys.key_type(one.leaf.certificate.public_key())
    if key is None:
        hint = "supported are rsa-2048 to rsa-4096, ec-p256 to ec-p521, ed25519"
        yield one.wrong("key", "its key is of a type that is not supported here", hint)
    elif kind is not None:
        yield from limits.uses_key(one.t, one.party, kind, key, "existing", "key")


def its_peers(one: _Leaf) -> Found:
    """Whether those who verify it take its key and those above it, and hold certificates to RFC 5280 by the letter."""
    for verifier in _verifiers(one):
        kind = one.kinds.get(verifier.address)
        if kind is None:
            continue
        own = keys.key_type(one.leaf.certificate.public_key())
        speaks_tls12 = TlsProfile.MODERN not in (verifier.tls, one.party.tls)
        refusing = (kind, one.kinds.get(one.party.address)) if speaks_tls12 else ()
        if own is not None and any(each is not None and own in each.capabilities.tls12_refuses for each in refusing):
            message = f"its {own} key is refused in TLS 1.2, which it speaks with {verifier.address}"
            yield one.wrong("key", message, 'set "tls: modern" on one of the two')
        for certificate in one.leaf.path:
            if (key := keys.key_type(certificate.public_key())) is not None:
                words = f"the {key} key of {rfc2253(certificate.subject)}, of the chain of {one.party.address}"
                place = one.wrong("certificate", "").place
                yield from limits.takes_key(verifier, kind, key, words, place)
        if "strict_x509" in kind.capabilities.supports:
            for finding in permits.strict_refusals(one.leaf.above):
                hint = "its template verifies with X509_V_FLAG_X509_STRICT"
                yield one.wrong("certificate", f"{verifier.address} refuses its chain: {finding}", hint)


def _verifiers(one: _Leaf) -> tuple[Party, ...]:
    if isinstance(one.party, Server):
        return graph.callers(one.t, one.party.name)
    return tuple(one.t.servers[name] for name in one.party.calls)


def rights(one: _Leaf) -> Found:
    """A key that anybody can read is nobody's own."""
    existing = one.party.existing
    if one.leaf.open_to_all and existing is not None:
        yield Note(one.party.address, f"takes its key from {existing.key}, which every user of this machine can read")


_CHECKS: Final[tuple[Callable[[_Leaf], Found], ...]] = (
    purposes,
    names,
    dates,
    revoked,
    its_own_kind,
    its_peers,
    rights,
)
