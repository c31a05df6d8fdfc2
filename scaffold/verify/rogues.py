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

The false servers are made by this table's control, foreign CA, expired, wrong-EKU and revoked rows, and with a wrong
name: also with the right one as the common name, beside the wrong ones and alone.
Their foreign root is one that nobody knows, and then every root of the topology that does not vouch for the server,
whether or not the caller believes it of another.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509

from scaffold.errors import KeyNotHere, PkiError, SecretError, StoreError, VerifyError
from scaffold.pki import broken, bundles, chains, keys, profiles
from scaffold.pki.issue import Issuer, new_serial
from scaffold.pki.names import COMMON_NAME_LIMIT
from scaffold.pki.profiles import CertificateProfile
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.store import existing
from scaffold.store.keyring import Keyring
from scaffold.store.layout import Layout, ca_paths
from scaffold.store.secrets import Secrets
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.generations import FIRST, ONE_EACH, Generations
from scaffold.topology.model import Fault, San, SanType, Topology
from scaffold.topology.publication import published_as
from scaffold.verify.credentials import Credentials, credentials, stranger
from scaffold.verify.model import Probe

if TYPE_CHECKING:
    from scaffold.verify.fake_publisher import FakePublisher, Pointers


_OF_HOSTS: Final = frozenset({SanType.DNS, SanType.IP})


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

    A CA is asked for by the address of one of its generations: `issuing` and `trusted` say which there are. What is
    read or made once is kept. `now` is when the rogues begin to live. May be used by several threads. `publisher`, once
    it runs, vouches for what is made.
    """

    def __init__(
        self,
        t: Topology,
        layout: Layout,
        secrets: Secrets,
        now: datetime,
        randomness: Randomness = OPERATING_SYSTEM,
        generations: Generations = ONE_EACH,
    ) -> None:
        self.now = now
        self.randomness = randomness
        self.publisher: FakePublisher | None = None
        self._t = t
        self._layout = layout
        self._generations = generations
        self._keyring = Keyring(t, layout, secrets)
        self._lock = threading.RLock()
        self._issuers: dict[Address, Issuer | NotAtHand] = {}
        self._rogue_cas: dict[tuple[str, Address, Address], RogueCa] = {}
        self._doomed: dict[Address, int] = {}

    @functools.cached_property
    def stranger(self) -> Credentials:
        """Of nobody, for trying what the TLS library of this machine can do."""
        return stranger(self.now, self.randomness)

    def issuing(self, name: str) -> Address:
        """The generation of a CA from which the next certificate comes."""
        return self._generation(name, self._generations.issuing(name))

    def trusted(self, name: str) -> tuple[Address, ...]:
        """The generations of a CA whose certificates get in, the one that issues first."""
        each = (self._generation(name, number) for number in self._generations.trusted(name))
        return tuple(dict.fromkeys((self.issuing(name), *each)))

    def _generation(self, name: str, number: int) -> Address:
        return Address.ca(name) if self._t.cas[name].existing is not None else Address.ca(name, generation=number)

    def signer_of(self, name: str, leaf: x509.Certificate) -> Address:
        """The generation of a CA that has signed a certificate; the one that issues, where none has."""
        signers = (ca for ca in self.trusted(name) if chains.signed_by(leaf, self.certificate(ca)))
        return next(signers, self.issuing(name))

    def issuer(self, ca: Address) -> Issuer:
        """The CA with its key. Raises NotAtHand where the key cannot be had, the same way each time it is asked."""
        with self._lock:  # an encrypted key takes a while to open: it is opened once
            if ca not in self._issuers:
                self._issuers[ca] = self._open(ca)
        found = self._issuers[ca]
        if isinstance(found, NotAtHand):
            raise found
        return found

    def certificate(self, ca: Address) -> x509.Certificate:
        """The CA's certificate as it is on disk."""
        return self._chain(ca)[0]

    def intermediates(self, ca: Address) -> tuple[x509.Certificate, ...]:
        """What is sent after a leaf of this CA: its certificate and those above it, without the root."""
        return self._chain(ca)[:-1]

    def doomed(self, ca: Address) -> int:
        """The serial of this CA's certificates that must be called revoked wherever a probe asks."""
        with self._lock:
            return self._doomed.setdefault(ca, new_serial(self.randomness, f"doomed of {ca.label}"))

    def vouch(self, ca: Address, certificate: x509.Certificate) -> None:
        """Lets the publisher call a certificate of this CA good, though no ledger knows it."""
        if self.publisher is not None:
            self.publisher.vouch(published_as(ca), certificate.serial_number)

    def sibling(self, ca: Address) -> RogueCa:
        """Another CA under the same root, or directly under the CA itself where it is a root. Raises NotAtHand."""
        return self._rogue_ca("sibling", ca, self._parent(ca), broken.sibling_ca)

    def namesake(self, ca: Address, root: str) -> RogueCa:
        """A CA of the same name under another root. Raises NotAtHand."""
        return self._rogue_ca("namesake", ca, self.issuing(root), broken.namesake_ca)

    def rogue_cas_beside(self, names: Iterable[str]) -> Iterator[RogueCa]:
        """All rogue CAs that can be made beside these."""
        for ca in (ca for name in dict.fromkeys(names) for ca in self.trusted(name)):
            makers = [functools.partial(self.sibling, ca)]
            makers += [functools.partial(self.namesake, ca, root) for root in self.other_roots(ca)]
            for maker in makers:
                with contextlib.suppress(NotAtHand):
                    yield maker()

    def _rogue_ca(
        self,
        sort: str,
        ca: Address,
        parent: Address,
        make: Callable[[Issuer, x509.Certificate, datetime, broken.Pointers, Randomness], Issuer],
    ) -> RogueCa:
        key = (sort, ca, parent)
        with self._lock:
            if key not in self._rogue_cas:
                pointers = profiles.pointers_by(self._t, parent.name, parent.generation or FIRST)
                try:
                    made = make(self.issuer(parent), self.certificate(ca), self.now, pointers, self.randomness)
                except PkiError as error:
                    raise NotAtHand(str(error)) from error
                self.vouch(parent, made.certificate)
                published = self.publisher.adopt(made) if self.publisher is not None else None
                self._rogue_cas[key] = RogueCa(made, published)
            return self._rogue_cas[key]

    def _parent(self, ca: Address) -> Address:
        """The CA above, or itself where it is a root. Raises NotAtHand where that is not in the topology."""
        asked, chain = self._t.cas[ca.name], self._chain(ca)
        if asked.existing is None or len(chain) == 1:
            return self.issuing(asked.issuer) if asked.issuer is not None else ca
        above = keys.spki_sha256(chain[1])
        for name, known in self._chains.items():
            if keys.spki_sha256(known[0]) == above:
                return self.issuing(name)
        raise NotAtHand(f"{ca} was made elsewhere, and the key of the CA above it is not here")

    def other_roots(self, ca: Address) -> tuple[str, ...]:
        """The roots of the topology that are not above this CA."""
        own = self.root_of(ca.name)
        return tuple(dict.fromkeys(root for root in map(self.root_of, self._t.cas) if root != own))

    def root_of(self, name: str) -> str:
        """The name of the root over a CA, or of the first of those whose root is in no other way in the topology."""
        return self._roots.get(name) or graph.root_of(self._t, name).name

    @functools.cached_property
    def _chains(self) -> Mapping[str, tuple[x509.Certificate, ...]]:
        """Of each CA that is there its certificate and those above: of adopted ones no `issuer` says whose they are."""
        found: dict[str, tuple[x509.Certificate, ...]] = {}
        for name in self._t.cas:
            with contextlib.suppress(VerifyError):  # what is missing is drift
                found[name] = self._chain(self.issuing(name))
        return found

    @functools.cached_property
    def _roots(self) -> Mapping[str, str]:
        """By CA, the name under which its root is known: two CAs are below one root where its key is one."""
        nearest_first = sorted(self._chains.items(), key=lambda each: len(each[1]))
        known: dict[str, str] = {}
        return {name: known.setdefault(keys.spki_sha256(chain[-1]), name) for name, chain in nearest_first}

    def _chain(self, ca: Address) -> tuple[x509.Certificate, ...]:
        asked = self._t.cas[ca.name]
        if asked.existing is not None:
            adopted = existing.load(self._t, asked)
            return (adopted.certificate, *adopted.above)
        above = self._chain(self.issuing(asked.issuer)) if asked.issuer is not None else ()
        path = self._layout.path(ca_paths(ca.name, ca.generation).certificate)
        try:
            return (bundles.load_certificates(path.read_bytes())[0], *above)
        except (OSError, PkiError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            hint = "see `scaffold plan`"
            raise VerifyError(f"the certificate of {ca} cannot be read: {path}: {why}", hint=hint) from error

    def _open(self, ca: Address) -> Issuer | NotAtHand:
        if not self._t.cas[ca.name].issues_here:
            return NotAtHand(f"{ca} was made elsewhere, and its key is not here")
        try:
            return self._keyring.issuer(ca, self.certificate(ca))
        except SecretError as error:
            hint = f": {error.hint}" if error.hint is not None else ""
            return NotAtHand(f"the key of {ca} is encrypted, and its password is not available{hint}")
        except (KeyNotHere, StoreError) as error:
            return NotAtHand(f"the key of {ca} cannot be read: {error}")
        except PkiError as error:
            return NotAtHand(f"the key of {ca} cannot be used: {error}")


@dataclass(frozen=True)
class Forge:
    """Makes the rogues of one server or client: `profile` is the true one's, without its fault, as `ca` issues it.

    `trusted` are the roots that whoever is to be deceived believes, by name.
    """

    authorities: Authorities
    profile: CertificateProfile
    ca: Address
    trusted: frozenset[str]

    @property
    def now(self) -> datetime:
        return self.authorities.now

    @property
    def issuer(self) -> Issuer:
        return self.authorities.issuer(self.ca)

    @property
    def above(self) -> tuple[x509.Certificate, ...]:
        return self.authorities.intermediates(self.ca)

    @functools.cached_property
    def _foreign(self) -> Issuer:
        """A CA that nobody knows, by the issuer's name. It can be made where the issuer's own key is not at hand."""
        return broken.foreign_ca(self.authorities.certificate(self.ca), self.now, self.authorities.randomness)

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

    def control(self) -> broken.Rogue:
        return self._vouched_for(self.profile)

    def faulty(self, fault: Fault) -> broken.Rogue:
        return self._vouched_for(self.profile, fault)

    def revoked(self) -> broken.Rogue:
        serial = self.authorities.doomed(self.ca)
        return self._rogue(self.profile, self.issuer, self.above, serial=serial)

    def _vouched_for(self, profile: CertificateProfile, fault: Fault | None = None) -> broken.Rogue:
        """By the true issuer; what that publishes says nothing against it."""
        made = self._rogue(profile, self.issuer, self.above, fault)
        self.authorities.vouch(self.ca, made.certificate)
        return made

    def named_in_subject(self) -> broken.Rogue:
        """The expected host's name as the common name, and other hosts' among the names that count."""
        expected = self._expected_host()
        others = tuple(san for san in self.profile.sans if san.type is expected.type or san.type not in _OF_HOSTS)
        return self._vouched_for(self._with_subject(expected, others), Fault.WRONG_NAME)

    def named_in_subject_alone(self) -> broken.Rogue:
        """The expected host's name as the common name, and no host's among the names that count."""
        others = tuple(san for san in self.profile.sans if san.type not in _OF_HOSTS)
        return self._vouched_for(self._with_subject(self._expected_host(), others))

    def _expected_host(self) -> San:
        """The name by which callers know the server. Raises NotAtHand where no common name can hold it."""
        host = next((san for san in self.profile.sans if san.type in _OF_HOSTS), None)
        if host is None:
            raise NotAtHand(f'"{self.profile.subject.common_name}" has no name of a host')
        if len(host.value) > COMMON_NAME_LIMIT:
            raise NotAtHand(f'"{host.value}" is too long for a common name (RFC 5280 A.1)')
        return host

    def _with_subject(self, host: San, sans: tuple[San, ...]) -> CertificateProfile:
        return replace(self.profile, subject=replace(self.profile.subject, common_name=host.value), sans=sans)

    def of_foreign_ca(self) -> broken.Rogue:
        return self._rogue(self.profile, self._foreign, (self._foreign.certificate,))

    def of_sibling_ca(self) -> broken.Rogue:
        sibling = self.authorities.sibling(self.ca)
        between = self.above[1:] if self.above else ()
        return self._by_rogue_ca(sibling, (sibling.certificate, *between))

    def of_namesake_cas(self) -> Iterator[broken.Rogue]:
        if not (others := self.authorities.other_roots(self.ca)):
            raise NotAtHand(f"the topology has no other root: all CAs are below that of {self.ca}")
        yield from map(self._of_namesake_ca, others)

    def of_untrusted_roots(self) -> Iterator[broken.Rogue]:
        """A root that nobody knows, then those of the topology whose keys are at hand."""
        yield self.of_foreign_ca()
        for root in self.authorities.other_roots(self.ca):
            if root not in self.trusted:
                with contextlib.suppress(NotAtHand):
                    yield self._of_namesake_ca(root)

    def _of_namesake_ca(self, root: str) -> broken.Rogue:
        namesake = self.authorities.namesake(self.ca, root)
        return self._by_rogue_ca(namesake, (namesake.certificate,))

    def _by_rogue_ca(self, ca: RogueCa, chain: tuple[x509.Certificate, ...]) -> broken.Rogue:
        return self._rogue(ca.profile(self.profile), ca.issuer, chain)

    def self_signed(self) -> broken.Rogue:
        return self._rogue(self.profile, self._foreign, (), Fault.SELF_SIGNED)

    def another(self) -> broken.Rogue:
        """A sound certificate of somebody else."""
        return self._vouched_for(
            replace(self.profile, subject=replace(self.profile.subject, common_name="another leaf"))
        )

    def of_another_leaf(self) -> broken.Rogue:
        leaf = self.another()
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
    Probe.CONTROL: _one(Forge.control),
    Probe.OTHER_SUBJECT: _one(Forge.another),
    Probe.FOREIGN_CA: _one(Forge.of_foreign_ca),
    Probe.SIBLING_CA: _one(Forge.of_sibling_ca),
    Probe.SAME_NAME_CA: Forge.of_namesake_cas,
    Probe.SELF_SIGNED: _one(Forge.self_signed),
    Probe.EXPIRED: _faulty(Fault.EXPIRED),
    Probe.NOT_YET_VALID: _faulty(Fault.NOT_YET_VALID),
    Probe.SERVER_CERTIFICATE: _faulty(Fault.WRONG_EKU),
    Probe.NO_EKU: _faulty(Fault.NO_EKU),
    Probe.ISSUED_BY_LEAF: _one(Forge.of_another_leaf),
    Probe.OLD_TLS: _one(Forge.control),
    Probe.REVOKED: _one(Forge.revoked),
    Probe.TRUE_SERVER: _one(Forge.control),
    Probe.FALSE_NAME: _faulty(Fault.WRONG_NAME),
    Probe.FALSE_COMMON_NAME: _one(Forge.named_in_subject),
    Probe.FALSE_LONE_COMMON_NAME: _one(Forge.named_in_subject_alone),
    Probe.FALSE_EXPIRED: _faulty(Fault.EXPIRED),
    Probe.FALSE_ROOT: Forge.of_untrusted_roots,
    Probe.FALSE_EKU: _faulty(Fault.WRONG_EKU),
    Probe.FALSE_REVOKED: _one(Forge.revoked),
}
"""How the certificates of the probes are made; those that are not here show one without a fault."""


def make_by_all_cas(t: Topology, authorities: Authorities, profile: CertificateProfile) -> tuple[Credentials, ...]:
    """Certificates from every CA whose key is at hand, and from those that nobody knows and that have their names."""
    made: list[Credentials] = []
    trusted = [ca for name in t.cas for ca in authorities.trusted(name)]
    for ca, probe in itertools.product(trusted, (Probe.FOREIGN_CA, Probe.CONTROL)):
        with contextlib.suppress(NotAtHand):
            made.extend(make(probe, Forge(authorities, profile, ca, frozenset())))
    return tuple(made)


def make(probe: Probe, forge: Forge) -> tuple[Credentials, ...]:
    """The certificates of a probe, each of which must fare alike. Raises NotAtHand where they cannot be made here."""
    maker = MAKERS.get(probe, MAKERS[Probe.CONTROL])
    try:
        return tuple(credentials(rogue) for rogue in maker(forge))
    except PkiError as error:
        raise NotAtHand(str(error)) from error
