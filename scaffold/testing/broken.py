"""Makes the certificates that tests must see refused, each with one fault."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from scaffold.errors import PkiError
from scaffold.pki import bundles, faulty, keys, profiles
from scaffold.pki.broken import ROGUE_LIFETIME
from scaffold.pki.issue import Issuer
from scaffold.pki.profiles import CertificateProfile
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.faults import ABOUT, AnyFault
from scaffold.topology.faults import fault as fault_of
from scaffold.topology.messages import nearest
from scaffold.topology.model import Fault, Topology
from scaffold.verify.rogues import Authorities, NotAtHand


@dataclass(frozen=True, slots=True)
class Broken:
    """A leaf with what is sent after it, and its key, in PEM. `revoked`: whether its CA must still say so."""

    certificates: bytes
    key: bytes
    revoked: bool = False

    def __repr__(self) -> str:
        return "Broken(…)"


def make(t: Topology, layout: Layout, address: Address, own: bytes, fault: str, now: datetime) -> Broken:
    """One of `address`, whose sound certificate is in the PEM `own`.

    Raises ValueError for a fault that there is not, PkiError where it cannot be made: a key of a CA may not be here.
    """
    found, (profile, issuer) = known(fault), _profile(t, address)
    made = faulty.make(
        profile,
        _lineage(t, Authorities(t, layout, Secrets(), now, OPERATING_SYSTEM), issuer),
        found,
        whose=f"broken {address}",
        lifetime=ROGUE_LIFETIME,
        now=now,
        randomness=OPERATING_SYSTEM,
        own=bundles.load_certificates(own)[0],
    )
    chain = bundles.chain_pem((made.certificate, *made.chain))
    return Broken(chain, keys.to_pem(made.key), revoked=found is Fault.REVOKED)


def known(fault: str) -> AnyFault:
    """The fault of that name. Raises ValueError, with the nearest or some that there are."""
    if (found := fault_of(fault)) is None:
        raise ValueError(f"there is no fault {fault!r}: {nearest(fault, ABOUT)} (`scaffold faults` lists them)")
    return found


def _lineage(t: Topology, authorities: Authorities, name: str) -> faulty.Lineage:
    issuer, above = authorities.issuing(name), t.cas[name].issuer
    parent = authorities.issuing(above) if above is not None and t.cas[above].issues_here else None
    try:
        return faulty.Lineage(
            authorities.issuer(issuer),
            authorities.intermediates(issuer),
            authorities.issuer(parent) if parent is not None else None,
            _other_root(authorities, issuer),
        )
    except NotAtHand as error:
        raise PkiError(str(error)) from error


def _other_root(authorities: Authorities, issuer: Address) -> Issuer | None:
    for root in authorities.other_roots(issuer):
        try:
            return authorities.issuer(authorities.issuing(root))
        except NotAtHand:
            continue
    return None


def _profile(t: Topology, address: Address) -> tuple[CertificateProfile, str]:
    """What a sound certificate would say, and the CA that would issue it."""
    if address.role is Role.SERVER and address.part is not Part.CLIENT_CERTIFICATE:
        server = t.servers[address.name]
        return replace(profiles.for_server(t, server), fault=None), server.issuer
    party = t.servers[address.name] if address.role is Role.SERVER else t.clients[address.name]
    return replace(profiles.for_client_side(t, party), fault=None), party.calling_issuer
