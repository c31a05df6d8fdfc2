"""The certificates of the probes: made at that moment, alive for minutes, in no ledger, and wrong in exactly one way.

client's rogue       identity  names  issuer's name  issuer's key   dates     EKU         refused for
control          right     right  right          right          right     clientAuth  (let in)
foreign CA           right     right  right          foreign        right     clientAuth  the chain ends at no root
sibling CA           right     right  other          under the root right     clientAuth  the allow list's issuer
namesake CA          right     right  right          under another  right     clientAuth  the allow list's issuer, or
                                                     known root                           that root is not trusted here
self-signed          right     right  its own        its own        right     clientAuth  no chain
expired              right     right  right          right          past      clientAuth  notAfter
not yet valid        right     right  right          right          to come   clientAuth  notBefore
server certificate   right     right  right          right          right     serverAuth  its purpose
no EKU               right     right  right          right          right     none        its purpose
issued by a leaf     right     right  a leaf's       a leaf's       right     clientAuth  the leaf is no CA
revoked              right     right  right          right          right     clientAuth  its serial, see `doomed`

The false servers are made by the same table's honest, foreign CA, expired, wrong-EKU and revoked rows, and with a wrong
name.
Their foreign root is one that nobody knows, and then every root of the topology that the caller does not trust.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509

from scaffold.errors import KeyNotHere, PkiError, SecretError, StoreError, VerifyError
from scaffold.pki import broken, bundles, profiles
from scaffold.pki.issue import Issuer, new_serial
from scaffold.pki.profiles import CertificateProfile
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.store import existing
from scaffold.store.keyring import Keyring
from scaffold.store.layout import Layout, ca_paths
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.model import Ca, Fault, Topology
from scaffold.verify.credentials import Credentials, credentials, stranger
from scaffold.verify.model import Probe

if TYPE_CHECKING:
    from scaffold.verify.fake_publisher import FakePublisher, Pointers


class NotAtHand(Exception):
    """A probe's certificate cannot be made here; the message says why, as the reason of the skip."""


@dataclass(frozen=True, slots=True)
class RogueCa:
    """A CA that only looks like one of the topology, and where its CRL and OCSP are published, if anywhere."""

    issuer: Issuer
    pointers: Pointers | None

    @property
    def certificate(self) -> x509.Certificate:
        return self.issuer.certificate

    def profile(self, of: CertificateProfile) -> CertificateProfile:
        """A profile of the CA that it imitates, with its own pointers: the same sorts, where else they lead."""
        if (own := self.pointers) is None:
            return of
        return replace(
            of,
            crl_url=of.crl_url and own.crl,
            ocsp_url=of.ocsp_url and own.ocsp,
            ca_url=of.ca_url and own.ca,
        )


class Authorities:
    """The CAs of an output folder, those of their keys that are at hand, and the rogue CAs beside them.

    What is read or made once is kept. `now` is when the rogues begin to live. May be used by several threads.
    `publisher`, once it runs, vouches for what is made.
    """

    def __init__(
        self,
        t: Topology,
        layout: Layout,
        secrets: Secrets,
        now: datetime,
        randomness: Randomness = OPERATING_SYSTEM,
    ) -> None:
        self.now = now
        self.randomness = randomness
        self.publisher: FakePublisher | None = None
        self._t = t
        self._layout = layout
        self._keyring = Keyring(t, layout, secrets)
        self._lock = threading.RLock()
        self._issuers: dict[str, Issuer | NotAtHand] = {}
        self._rogue_cas: dict[tuple[str, ...], RogueCa] = {}
        self._doomed: dict[str, int] = {}

    @functools.cached_property
    def stranger(self) -> Credentials:
        """Of nobody, for trying what the TLS library of this machine can do."""
        return stranger(self.now, self.randomness)

    def issuer(self, name: str) -> Issuer:
        """The CA with its key. Raises NotAtHand where the key cannot be had, the same way each time it is asked."""
        with self._lock:  # an encrypted key takes a while to open: it is opened once
            if name not in self._issuers:
                self._issuers[name] = self._open(self._t.cas[name])
        found = self._issuers[name]
        if isinstance(found, NotAtHand):
            raise found
        return found

    def certificate(self, name: str) -> x509.Certificate:
        """The CA's certificate as it stands on disk."""
        return self._chain(name)[0]

    def intermediates(self, name: str) -> tuple[x509.Certificate, ...]:
        """What is sent after a leaf of this CA: its certificate and those above it, without the root."""
        return self._chain(name)[:-1]

    def doomed(self, name: str) -> int:
        """The serial of this CA's certificates that must be called revoked wherever a probe asks."""
        with self._lock:
            return self._doomed.setdefault(name, new_serial(self.randomness, f"doomed of {name}"))

    def vouch(self, name: str, certificate: x509.Certificate) -> None:
        """Lets the publisher call a certificate of this CA good, though no ledger knows it."""
        if self.publisher is not None:
            self.publisher.vouch(name, certificate.serial_number)

    def sibling(self, name: str) -> RogueCa:
        """Another CA under the same root, or directly under the CA itself where it is a root. Raises NotAtHand."""
        return self._rogue_ca(("sibling", name), self._parent(name), broken.sibling_ca, name)

    def namesake(self, name: str, root: str) -> RogueCa:
        """A CA of the same name under another root. Raises NotAtHand."""
        return self._rogue_ca(("namesake", name, root), root, broken.namesake_ca, name)

    def rogue_cas_beside(self, names: Iterable[str]) -> Iterator[RogueCa]:
        """All rogue CAs that can be made beside these."""
        for name in dict.fromkeys(names):
            makers = [functools.partial(self.sibling, name)]
            makers += [functools.partial(self.namesake, name, root) for root in self.other_roots(name)]
            for maker in makers:
                with contextlib.suppress(NotAtHand):
                    yield maker()

    def _rogue_ca(
        self,
        key: tuple[str, ...],
        parent: str,
        make: Callable[[Issuer, x509.Certificate, datetime, broken.Pointers, Randomness], Issuer],
        name: str,
    ) -> RogueCa:
        with self._lock:
            if key not in self._rogue_cas:
                pointers = profiles.pointers_by(self._t, parent)
                try:
                    made = make(self.issuer(parent), self.certificate(name), self.now, pointers, self.randomness)
                except PkiError as error:
                    raise NotAtHand(str(error)) from error
                self.vouch(parent, made.certificate)
                published = self.publisher.adopt(made) if self.publisher is not None else None
                self._rogue_cas[key] = RogueCa(made, published)
            return self._rogue_cas[key]

    def _parent(self, name: str) -> str:
        """The CA above, or itself where it is a root. Raises NotAtHand where that is not in the topology."""
        ca = self._t.cas[name]
        if ca.existing is not None and len(self._chain(name)) > 1:
            raise NotAtHand(f"{ca.address} was adopted, and the key above it is not here")
        return ca.issuer if ca.issuer is not None else name

    def other_roots(self, name: str) -> tuple[str, ...]:
        """The roots of the topology that do not stand over this CA."""
        own = graph.root_of(self._t, name).name
        roots = (graph.root_of(self._t, other).name for other in self._t.cas)
        return tuple(dict.fromkeys(root for root in roots if root != own))

    def _chain(self, name: str) -> tuple[x509.Certificate, ...]:
        ca = self._t.cas[name]
        if ca.existing is not None:
            adopted = existing.load(self._t, ca)
            return (adopted.certificate, *adopted.above)
        above = self._chain(ca.issuer) if ca.issuer is not None else ()
        path = self._layout.path(ca_paths(name).certificate)
        try:
            return (bundles.load_certificates(path.read_bytes())[0], *above)
        except (OSError, PkiError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            hint = "`scaffold plan` says what is missing"
            raise VerifyError(f"the certificate of {ca.address} cannot be read: {path}: {why}", hint=hint) from error

    def _open(self, ca: Ca) -> Issuer | NotAtHand:
        if not ca.issues_here:
            return NotAtHand(f"{ca.address} was adopted without its key")
        try:
            return self._keyring.issuer(ca.address, self.certificate(ca.name))
        except SecretError:
            return NotAtHand(f"the key of {ca.address} is encrypted, and its password is not at hand")
        except (KeyNotHere, StoreError) as error:
            return NotAtHand(f"the key of {ca.address} cannot be read: {error}")
        except PkiError as error:
            return NotAtHand(f"the key of {ca.address} cannot be used: {error}")


@dataclass(frozen=True)
class Forge:
    """Makes the rogues of one server or client: `profile` is the true one's, without its fault.

    `trusted` are the roots that whoever is to be deceived believes, by name.
    """

    authorities: Authorities
    profile: CertificateProfile
    issuer_name: str
    trusted: frozenset[str]

    @property
    def now(self) -> datetime:
        return self.authorities.now

    @property
    def issuer(self) -> Issuer:
        return self.authorities.issuer(self.issuer_name)

    @property
    def above(self) -> tuple[x509.Certificate, ...]:
        return self.authorities.intermediates(self.issuer_name)

    @functools.cached_property
    def _foreign(self) -> Issuer:
        """A CA that nobody knows, by the issuer's name. It can be made where the issuer's own key is not at hand."""
        return broken.foreign_ca(self.authorities.certificate(self.issuer_name), self.now, self.authorities.randomness)

    def _rogue(
        self,
        profile: CertificateProfile,
        issuer: Issuer,
        chain: tuple[x509.Certificate, ...],
        fault: Fault | None = None,
        serial: int | None = None,
    ) -> broken.Rogue:
        randomness = self.authorities.randomness
        return broken.rogue(profile, issuer, self.now, fault=fault, chain=chain, serial=serial, randomness=randomness)

    def honest(self) -> broken.Rogue:
        return self._vouched_for(self.profile)

    def faulty(self, fault: Fault) -> broken.Rogue:
        return self._vouched_for(self.profile, fault)

    def revoked(self) -> broken.Rogue:
        serial = self.authorities.doomed(self.issuer_name)
        return self._rogue(self.profile, self.issuer, self.above, serial=serial)

    def _vouched_for(self, profile: CertificateProfile, fault: Fault | None = None) -> broken.Rogue:
        """By the true issuer; what that publishes says nothing against it."""
        made = self._rogue(profile, self.issuer, self.above, fault)
        self.authorities.vouch(self.issuer_name, made.certificate)
        return made

    def of_foreign_ca(self) -> broken.Rogue:
        return self._rogue(self.profile, self._foreign, (self._foreign.certificate,))

    def of_sibling_ca(self) -> broken.Rogue:
        sibling = self.authorities.sibling(self.issuer_name)
        between = self.above[1:] if self.above else ()
        return self._by_rogue_ca(sibling, (sibling.certificate, *between))

    def of_namesake_cas(self) -> Iterator[broken.Rogue]:
        yield from map(self._of_namesake_ca, self.authorities.other_roots(self.issuer_name))

    def of_untrusted_roots(self) -> Iterator[broken.Rogue]:
        """A root that nobody knows, then those of the topology whose keys are at hand."""
        yield self.of_foreign_ca()
        for root in self.authorities.other_roots(self.issuer_name):
            if root not in self.trusted:
                with contextlib.suppress(NotAtHand):
                    yield self._of_namesake_ca(root)

    def _of_namesake_ca(self, root: str) -> broken.Rogue:
        namesake = self.authorities.namesake(self.issuer_name, root)
        return self._by_rogue_ca(namesake, (namesake.certificate,))

    def _by_rogue_ca(self, ca: RogueCa, chain: tuple[x509.Certificate, ...]) -> broken.Rogue:
        return self._rogue(ca.profile(self.profile), ca.issuer, chain)

    def self_signed(self) -> broken.Rogue:
        return self._rogue(self.profile, self._foreign, (), Fault.SELF_SIGNED)

    def of_another_leaf(self) -> broken.Rogue:
        other = replace(self.profile, subject=replace(self.profile.subject, common_name="another leaf"))
        leaf = self._vouched_for(other)
        return broken.issued_by_leaf(
            self.profile,
            Issuer(leaf.certificate, leaf.key),
            self.now,
            self.above,
            self.authorities.randomness,
        )


Maker = Callable[[Forge], Iterable[broken.Rogue]]


def _one(maker: Callable[[Forge], broken.Rogue]) -> Maker:
    return lambda forge: (maker(forge),)


def _faulty(fault: Fault) -> Maker:
    return lambda forge: (forge.faulty(fault),)


MAKERS: Final[Mapping[Probe, Maker]] = {
    Probe.CONTROL: _one(Forge.honest),
    Probe.FOREIGN_CA: _one(Forge.of_foreign_ca),
    Probe.SIBLING_CA: _one(Forge.of_sibling_ca),
    Probe.SAME_NAME_CA: Forge.of_namesake_cas,
    Probe.SELF_SIGNED: _one(Forge.self_signed),
    Probe.EXPIRED: _faulty(Fault.EXPIRED),
    Probe.NOT_YET_VALID: _faulty(Fault.NOT_YET_VALID),
    Probe.SERVER_CERTIFICATE: _faulty(Fault.WRONG_EKU),
    Probe.NO_EKU: _faulty(Fault.NO_EKU),
    Probe.ISSUED_BY_LEAF: _one(Forge.of_another_leaf),
    Probe.OLD_TLS: _one(Forge.honest),
    Probe.REVOKED: _one(Forge.revoked),
    Probe.TRUE_SERVER: _one(Forge.honest),
    Probe.FALSE_NAME: _faulty(Fault.WRONG_NAME),
    Probe.FALSE_EXPIRED: _faulty(Fault.EXPIRED),
    Probe.FALSE_ROOT: Forge.of_untrusted_roots,
    Probe.FALSE_EKU: _faulty(Fault.WRONG_EKU),
    Probe.FALSE_REVOKED: _one(Forge.revoked),
}
"""How the certificates of the probes are made; those that are not here show one without a fault."""


def make(probe: Probe, forge: Forge) -> tuple[Credentials, ...]:
    """The certificates of a probe, each of which must fare alike. Raises NotAtHand where they cannot be made here."""
    maker = MAKERS.get(probe, MAKERS[Probe.CONTROL])
    try:
        return tuple(credentials(rogue) for rogue in maker(forge))
    except PkiError as error:
        raise NotAtHand(str(error)) from error
