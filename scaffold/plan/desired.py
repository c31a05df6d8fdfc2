"""What should be, in the order in which it is made: one frozen value for each certificate of the topology."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar

from scaffold.issuers.port import Mounted
from scaffold.pki import profiles
from scaffold.pki.profiles import VERBATIM, CertificateProfile, Latitude
from scaffold.store.layout import CaPaths, CertificatePaths, PartyPaths, ca_paths, party_paths
from scaffold.store.rights import SECRET_FILE
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.generations import FIRST, ONE_EACH, Generations, GenerationState
from scaffold.topology.model import (
    REPRODUCIBLE_LIFETIME,
    Ca,
    Existing,
    ExistingLeaf,
    Fault,
    KeyType,
    Party,
    Server,
    Topology,
)

DEFAULT_CRL_LIFE = timedelta(days=90)
"""How long a CRL is valid whose CA says nothing of it, unless the topology is reproducible."""

_SHARE_LEFT_TO_A_CA = 2 / 3
"""A CA is renewed no earlier than after a third of its life, however long its leaves live."""


@dataclass(frozen=True, slots=True)
class _Certificate:
    """`window`: how long before its end it is due."""

    address: Address
    profile: CertificateProfile
    key: KeyType
    lifetime: timedelta
    window: timedelta
    paths: CertificatePaths


@dataclass(frozen=True, slots=True)
class RootCertificate(_Certificate):
    """The certificate of a CA that its own key signs."""

    fault: ClassVar[None] = None
    latitude: ClassVar[Latitude] = VERBATIM

    @property
    def ca(self) -> str:
        """The name of the CA that issues it: its own."""
        return self.address.name


@dataclass(frozen=True, slots=True)
class IssuedCertificate(_Certificate):
    """A certificate of a CA, server or client that the CA `issuer` signs.

    `fault` is one that its dates or its signer carry, or its words. `latitude`: how what the issuer makes may differ
    from `profile`. `on_request`: it is over the key of a request, which is not here.
    """

    issuer: str
    fault: Fault | None = None
    latitude: Latitude = VERBATIM
    on_request: bool = False
    key_mode: int = SECRET_FILE
    """The rights of the file of its key."""

    @property
    def ca(self) -> str:
        """The name of the CA that issues it."""
        return self.issuer


@dataclass(frozen=True, slots=True)
class AdoptedCertificate:
    """The certificate of a server or client that somebody else issues: it is taken over, and never issued here."""

    address: Address
    paths: CertificatePaths
    existing: ExistingLeaf
    key_mode: int = SECRET_FILE


DesiredCertificate = RootCertificate | IssuedCertificate


@dataclass(frozen=True, slots=True)
class _Ca:
    """One generation of a CA."""

    ca: Ca
    paths: CaPaths
    number: int = field(default=FIRST, kw_only=True)
    state: GenerationState = field(default=GenerationState.ISSUING, kw_only=True)
    unsaid_crl_life: timedelta = field(default=DEFAULT_CRL_LIFE, kw_only=True)
    """How long a CRL is valid where the CA says nothing of it."""

    @property
    def address(self) -> Address:
        return Address.ca(self.ca.name, generation=self.number)

    @property
    def signs_crl(self) -> bool:
        """Whether its CRL is ours to sign: its key is at hand, nobody else publishes one, and somebody trusts it."""
        brought = self.ca.existing is not None and self.ca.existing.crl is not None
        return self.ca.issues_here and not brought and self.kept_up

    @property
    def kept_up(self) -> bool:
        """Whether its certificate is renewed and put right: not of one that nobody trusts any more."""
        return self.state is not GenerationState.RETIRED

    @property
    def crl_life(self) -> timedelta:
        return self.ca.revocation.crl or self.unsaid_crl_life


@dataclass(frozen=True, slots=True)
class MadeCa(_Ca):
    """A CA whose key and certificate are made here."""

    certificate: DesiredCertificate


@dataclass(frozen=True, slots=True)
class AdoptedCa(_Ca):
    """A CA that was made elsewhere, with or without its key."""

    existing: Existing


DesiredCa = MadeCa | AdoptedCa


@dataclass(frozen=True, slots=True)
class DesiredParty:
    """A server or client with a project: its certificate, and the second one of a server that calls."""

    party: Party
    paths: PartyPaths
    own: IssuedCertificate | AdoptedCertificate
    client_side: IssuedCertificate | None

    @property
    def certificates(self) -> tuple[IssuedCertificate, ...]:
        """Those that are issued here."""
        return tuple(one for one in (self.own, self.client_side) if isinstance(one, IssuedCertificate))


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole topology: CAs from the roots down, of each the oldest generation first, and all parties."""

    topology: Topology
    cas: tuple[DesiredCa, ...]
    parties: tuple[DesiredParty, ...]

    def generations(self, ca: str) -> tuple[DesiredCa, ...]:
        """Those of one CA, oldest first."""
        return tuple(one for one in self.cas if one.ca.name == ca)

    def issuing(self, ca: str) -> DesiredCa:
        """The generation from which the next certificate of a CA comes."""
        return [one for one in self.generations(ca) if one.state is GenerationState.ISSUING][-1]

    def of_cas(self) -> Iterator[DesiredCertificate]:
        """The certificates of the CAs that are made here."""
        return (one.certificate for one in self.cas if isinstance(one, MadeCa))

    def kept_up(self) -> Iterator[DesiredCertificate]:
        """Those of them that are renewed and put right."""
        return (one.certificate for one in self.cas if isinstance(one, MadeCa) and one.kept_up)

    def of_parties(self) -> Iterator[IssuedCertificate]:
        """The certificates of servers and clients."""
        return (certificate for party in self.parties for certificate in party.certificates)


def desire(t: Topology, issuers: Mounted = MappingProxyType({}), generations: Generations = ONE_EACH) -> Desired:
    """What `t` asks for. `issuers` issue in the place of CAs' keys on disk.

    `generations` are those of the CAs that are made here: one that was adopted has the one that was brought. Raises
    PkiError for what no certificate can say.
    """
    longest: dict[str, timedelta] = {}
    for party in (party for party in graph.parties(t) if party.has_issued):
        for name in graph.issuers(t, party):
            longest[name] = max(party.lifetime, longest.get(name, timedelta()))
    issuing = {name: generations.issuing(name) for name in t.cas}
    return Desired(
        t,
        cas=tuple(
            one
            for ca in graph.issuing_order(t)
            for one in _generations(t, ca, longest.get(ca.name, timedelta()), issuers, generations)
        ),
        parties=tuple(_party(t, party, issuers, issuing) for party in _own_parties(t)),
    )


def _own_parties(t: Topology) -> Iterator[Party]:
    """Servers and clients that have a project here."""
    return (party for party in graph.parties(t) if not party.is_external)


def _latitude(issuers: Mounted, ca: str) -> Latitude:
    return issuers[ca].latitude if ca in issuers else VERBATIM


def _generations(
    t: Topology, ca: Ca, longest_leaf: timedelta, issuers: Mounted, generations: Generations
) -> Iterator[DesiredCa]:
    crl_life = DEFAULT_CRL_LIFE if t.reproducible is None else REPRODUCIBLE_LIFETIME
    if ca.existing is not None:
        yield AdoptedCa(ca, ca_paths(ca.name), ca.existing, unsaid_crl_life=crl_life)
        return
    issued_by = FIRST if ca.issuer is None else generations.issuing(ca.issuer)
    for number, state in generations.of(ca.name).items():
        certificate = _certificate_of_ca(t, ca, number, issued_by, _window_of_ca(ca, longest_leaf), issuers)
        paths = ca_paths(ca.name, number)
        yield MadeCa(ca, paths, certificate, number=number, state=state, unsaid_crl_life=crl_life)


def _certificate_of_ca(
    t: Topology, ca: Ca, number: int, issued_by: int, window: timedelta, issuers: Mounted
) -> DesiredCertificate:
    paths, address = ca_paths(ca.name, number), Address.ca(ca.name, Part.CERTIFICATE, number)
    profile, files = profiles.for_ca(t, ca, number, issued_by), CertificatePaths(paths.certificate, paths.key)
    if ca.issuer is None:
        return RootCertificate(address, profile, ca.key, ca.lifetime, window, files)
    latitude = _latitude(issuers, ca.issuer)
    return IssuedCertificate(address, profile, ca.key, ca.lifetime, window, files, ca.issuer, latitude=latitude)


def _window_of_ca(ca: Ca, longest_leaf: timedelta) -> timedelta:
    """Early enough that what it issues to servers and clients gets its whole lifetime."""
    need = min(longest_leaf, ca.lifetime * _SHARE_LEFT_TO_A_CA)
    return max(ca.renew_before.of(ca.lifetime), need)


def _party(t: Topology, party: Party, issuers: Mounted, issuing: Mapping[str, int]) -> DesiredParty:
    """`issuing` is the generation of each CA that issues."""
    paths, latitude = party_paths(party.address.role, party.name), _latitude(issuers, party.issuer)
    issued_by, second_by = issuing.get(party.issuer, FIRST), issuing.get(party.calling_issuer, FIRST)
    address = party.address.with_part(Part.CERTIFICATE)
    own = (
        AdoptedCertificate(address, paths.own, party.existing, _key_mode(party))
        if party.existing is not None
        else _leaf(
            party,
            address,
            profile_shown(t, party, issued_by),
            paths.own,
            latitude,
            party.issuer,
            party.key,
            party.fault,
        )
    )
    second = (
        _leaf(
            party,
            party.address.with_part(Part.CLIENT_CERTIFICATE),
            profiles.for_client_side(t, party, second_by),
            paths.client_side,
            _latitude(issuers, party.calling_issuer),
            party.calling_issuer,
            party.calling_key,
        )
        if party.has_second
        else None
    )
    return DesiredParty(party, paths, own, second)


def profile_shown(t: Topology, party: Party, issued_by: int = FIRST) -> CertificateProfile:
    """Of the certificate that a server shows to callers, and a client to servers."""
    if isinstance(party, Server):
        return profiles.for_server(t, party, issued_by)
    return profiles.for_client_side(t, party, issued_by)


def _leaf(
    party: Party,
    address: Address,
    profile: CertificateProfile,
    paths: CertificatePaths,
    latitude: Latitude,
    issuer: str,
    key: KeyType,
    fault: Fault | None = None,
) -> IssuedCertificate:
    window = party.renew_before.of(party.lifetime)
    on_request = party.csr is not None
    return IssuedCertificate(
        address,
        profile,
        key,
        party.lifetime,
        window,
        paths,
        issuer,
        fault,
        latitude,
        on_request,
        _key_mode(party),
    )


def _key_mode(party: Party) -> int:
    return SECRET_FILE if party.files is None or party.files.mode is None else party.files.mode
