"""Makes the certificates that tests must see refused, each with one fault."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from scaffold.pki import broken, profiles
from scaffold.pki.profiles import CertificateProfile
from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.store.layout import Layout
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.messages import nearest
from scaffold.topology.model import Fault, Topology
from scaffold.verify.credentials import credentials
from scaffold.verify.rogues import Authorities, Forge

REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Broken:
    """A leaf with what is sent after it, and its key, in PEM. `revoked`: whether its CA must still say so."""

    certificates: bytes
    key: bytes
    revoked: bool = False

    def __repr__(self) -> str:
        return "Broken(…)"


def make(t: Topology, layout: Layout, address: Address, fault: str, now: datetime) -> Broken:
    """One of `address`. Raises ValueError for a fault that there is not, NotAtHand where its CA's key is not here."""
    profile, issuer = _profile(t, address)
    forge = Forge(Authorities(t, layout, Secrets(), now, OPERATING_SYSTEM), profile, Address.ca(issuer), frozenset())
    if fault == REVOKED:
        made = credentials(forge.honest())
        return Broken(made.certificates, made.key, revoked=True)
    made = credentials(_rogue(forge, _known(fault)))
    return Broken(made.certificates, made.key)


def _known(fault: str) -> Fault:
    try:
        return Fault(fault)
    except ValueError:
        known = [*Fault, REVOKED]
        hint = nearest(fault, known)
        raise ValueError(f"there is no fault {fault!r}: {hint or ', '.join(known)}") from None


def _rogue(forge: Forge, fault: Fault) -> broken.Rogue:
    match fault:
        case Fault.WRONG_CA:
            return forge.of_foreign_ca()
        case Fault.SELF_SIGNED:
            return forge.self_signed()
        case _:
            return forge.faulty(fault)


def _profile(t: Topology, address: Address) -> tuple[CertificateProfile, str]:
    """What a sound certificate would say, and the CA that would issue it."""
    if address.role is Role.SERVER and address.part is not Part.CLIENT_CERTIFICATE:
        server = t.servers[address.name]
        return replace(profiles.for_server(t, server), fault=None), server.issuer
    party = t.servers[address.name] if address.role is Role.SERVER else t.clients[address.name]
    return replace(profiles.for_client_side(t, party), fault=None), party.issuer
