"""What all steps of one apply share: the folder, the ledger, the certificates of today, and the keys of the CAs."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from os import cpu_count
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key

from scaffold.errors import Overtaken, PkiError, SecretError, StoreError
from scaffold.issuers.local import LocalIssuer
from scaffold.issuers.port import Issuance, Request, checked
from scaffold.kinds.catalogue import Kind
from scaffold.pki import keys, profiles
from scaffold.pki.issue import Issuer
from scaffold.pki.keys import PrivateKey, PublicKey
from scaffold.pki.randomness import Randomness
from scaffold.plan.authorities import Authorities, Generation
from scaffold.plan.basis import Basis
from scaffold.plan.desired import AdoptedCertificate, Desired, DesiredCa, DesiredCertificate, IssuedCertificate, MadeCa
from scaffold.plan.model import Change, Work
from scaffold.plan.revocations import Copy, copies
from scaffold.plan.unknown import Unknown, known
from scaffold.store import files, ledger, projects
from scaffold.store.examined import Examination
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.files import Writer
from scaffold.store.keyring import Keyring
from scaffold.store.layout import Layout, ca_paths
from scaffold.store.observation import Observation
from scaffold.store.rights import Rights
from scaffold.store.secrets import Secrets
from scaffold.store.seen import Seen, first_change
from scaffold.topology import graph
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.faults import OWN_CHAIN
from scaffold.topology.model import EnvSecret, FileSecret, GeneratedSecret, KeyType, Topology

if TYPE_CHECKING:
    from concurrent.futures import Future

_RSA = frozenset({KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096})

Progress = Callable[[Change], None]
"""Is told of each change when it is done."""


@dataclass(slots=True)
class ApplyContext:
    """One apply at work. `passwords`, by the address of a bundle, are had before anything is written."""

    basis: Basis
    planned: Authorities
    """Each CA as the plan has found that it will be: right of those that stay as they are."""
    secrets: Secrets
    randomness: Randomness
    progress: Progress
    desired: Desired = field(init=False)
    existing: Mapping[str, ExistingCa] = field(init=False)
    layout: Layout = field(init=False)
    observed: Observation = field(init=False)
    known: ledger.Ledger = field(init=False)
    """What was issued and revoked: what the ledger says, and what is in the folder where that was lost."""
    now: datetime = field(init=False)
    writer: Writer = field(init=False)
    record: ledger.Recorder = field(init=False)
    projects: projects.Recorder = field(init=False)
    keyring: Keyring = field(init=False)
    passwords: dict[Address, bytes] = field(default_factory=dict)
    brought_keys: dict[Address, PrivateKey] = field(default_factory=dict)
    """Of certificates from elsewhere that are taken over, by their addresses: read before anything is written."""
    doomed: dict[Address, int] = field(default_factory=dict)
    """The serials of those that are issued revoked, as their fault asks."""
    certificates: dict[Address, x509.Certificate] = field(default_factory=dict)
    """Of each generation of a CA that is made here, as soon as it is in place."""
    examined: dict[str, Examination] = field(default_factory=dict)
    """The leaves that were made and are in order, by their addresses."""
    _planned: Mapping[Address, Generation] = field(init=False)
    _local: dict[str, LocalIssuer] = field(default_factory=dict)
    """By CA: from the roots down, each is in place before anything is asked of it."""
    _keys: dict[Address, Future[PrivateKey]] = field(default_factory=dict)
    _copies: tuple[Copy, ...] | None = None

    def __post_init__(self) -> None:
        basis, layout = self.basis, self.basis.observed.layout
        self.desired, self.existing, self.observed, self.now = basis.desired, basis.existing, basis.observed, basis.now
        rights = _rights_by_folder(basis)
        self.layout, self.writer, self.known = layout, Writer(layout, rights), basis.ledger
        self.record, self.projects = ledger.Recorder(layout, basis.now), projects.Recorder(layout, basis.now)
        self._planned = {one.address: one for authority in self.planned.values() for one in authority.generations}
        self.keyring = Keyring(basis.topology, layout, self.secrets)

    @property
    def topology(self) -> Topology:
        return self.desired.topology

    @property
    def kinds(self) -> Mapping[Address, Kind]:
        return self.basis.kinds

    def copies_of_crls(self) -> tuple[Copy, ...]:
        """What servers and clients hold of CRLs, read once for all CAs: their files are written after the last CA's."""
        if self._copies is None:
            self._copies = copies((one.paths.crl for one in self.desired.parties), self.observed)
        return self._copies

    # --- The ledger ---

    def record_found(self, certificates: Iterable[tuple[str, str]]) -> None:
        """Records those certificates, by CA and serial, that only their folder knows."""
        recorded = self.observed.ledger.by_serial
        found = [
            self.known.by_serial[pair] for pair in certificates if pair not in recorded and pair in self.known.by_serial
        ]
        if found:
            self.record.issued(found)
            self.observed.ledger = self.observed.ledger.with_issued(found)

    def record_revoked(self, entries: Collection[ledger.Revoked]) -> None:
        """Records revocations. From here on the CRLs and staples of this apply know of them, too."""
        if not entries:
            return
        pairs = [(one.ca, one.serial) for one in entries]
        self.record_found(pairs)
        # A hold that only a CRL knows is lifted, or becomes final, as one that the ledger knows.
        recorded, known_ones = self.observed.ledger.revoked, self.known.revoked
        before = [known_ones[pair] for pair in pairs if pair in known_ones and pair not in recorded]
        self.record.revoked((*before, *entries))
        self.observed.ledger = self.observed.ledger.after((*before, *entries))
        self.known = self.known.after(entries)

    def record_revoked_elsewhere(self) -> None:
        """Records what others have revoked for good, so that its key stays known once their CRLs list it no more."""
        entries = [replace(one, at=min(one.at, self.now)) for one in self.basis.revoked_elsewhere]
        if entries:
            self.record_found((one.ca, one.serial) for one in entries)
            self.record.revoked(entries)
            self.observed.ledger = self.observed.ledger.after(entries)

    # --- Files ---

    def read(self, path: str) -> bytes | None:
        """A file of the output folder."""
        found = files.read(self.layout.at(path))
        return None if found is None else found.content

    def check_seen(self, seen: Iterable[Seen]) -> None:
        """Raises Overtaken where a file is not as the plan saw it: it is planned again, and never overwritten."""
        if (path := first_change(self.layout, seen)) is not None:
            raise Overtaken(f"{path} has changed since the plan was made", path=path, hint="plan again")

    def write(self, path: str, content: bytes, *, mode: int = files.PUBLIC_FILE, durable: bool = False) -> None:
        """Writes what differs from what is there."""
        found = files.read(self.layout.at(path))
        if found is None or found.content != content or found.mode != self.writer.mode_of(path, mode):
            self.writer.write(path, content, mode=mode, durable=durable)

    # --- Keys ---

    @contextlib.contextmanager
    def making_keys(self, asked: Iterable[DesiredCertificate]) -> Iterator[None]:
        """Makes RSA keys on all cores meanwhile; other sorts are made faster than a thread is told of them."""
        rsa = [one for one in asked if one.key in _RSA]
        if not rsa:
            yield
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(cpu_count() or 1) as pool:
            self._keys.update({one.address: pool.submit(self.randomness.key, str(one.address), one.key) for one in rsa})
            try:
                yield
            finally:
                pool.shutdown(cancel_futures=True)

    def new_key(self, asked: DesiredCertificate) -> PrivateKey:
        """A key for `asked`."""
        ready = self._keys.pop(asked.address, None)
        return self._unburnt(asked) if ready is None else ready.result()

    def _unburnt(self, asked: DesiredCertificate) -> PrivateKey:
        """The first key that no certificate was revoked over: a source that repeats itself would make it again."""
        names = _names_of_keys(asked.address)
        key = self.randomness.key(next(names), asked.key)
        while self.randomness.repeats and self._is_burnt(key.public_key()):
            key = self.randomness.key(next(names), asked.key)
        return key

    def _is_burnt(self, key: PublicKey) -> bool:
        return keys.spki_sha256(key) in self.observed.ledger.revoked_keys

    def check_seed(self) -> None:
        """Raises SecretError where the keys of CAs that are there were made from another seed, or from none."""
        for one in self.desired.of_cas():
            recorded = self.observed.ledger.ca_keys.get(one.address.label)
            if recorded is None or keys.key_type(load_der_public_key(recorded.spki)) is not one.key:
                continue
            names = itertools.islice(_names_of_keys(one.address), 1 + len(self.observed.ledger.revoked_keys))
            if all(recorded.spki != keys.spki(self.randomness.key(whose, one.key).public_key()) for whose in names):
                raise SecretError(
                    f"the key of {one.address.entity} in {self.layout.out} was not made from this seed",
                    hint=(
                        "set the seed that it was made from, or remove the folder: another seed gives every key "
                        "another value"
                    ),
                )

    def key_of(self, asked: DesiredCertificate | AdoptedCertificate) -> PrivateKey:
        """The key that is there. Raises PkiError where it cannot be used."""
        if asked.address.role is Role.CA:
            with _named(asked.address):
                return self.keyring.key(asked.address.whole)
        pem = self.read(asked.paths.key)
        if pem is None:
            raise StoreError(f"{asked.paths.key} has vanished", hint="apply again")
        return keys.load(pem)

    def issuer(self, ca: Address) -> Issuer:
        """A generation that signs. Raises PkiError where its key does not open or is not its certificate's."""
        certificate = self.certificate(ca)
        with _named(ca):
            return self.keyring.issuer(ca, certificate)

    def install(self, ca: Address, certificate: x509.Certificate, key: PrivateKey) -> None:
        """A generation has a new certificate."""
        self.certificates[ca] = certificate
        self.keyring.install(ca, key)

    def certificate(self, ca: Address) -> x509.Certificate:
        """The certificate of a generation as it is now."""
        if ca.name in self.existing:
            return self.existing[ca.name].certificate
        if ca not in self.certificates:
            seen = self.observed.certificate(ca_paths(ca.name, ca.generation).certificate)
            if seen.certificate is None:
                raise PkiError(f"the certificate of {ca} is not there", hint="apply again")
            self.certificates[ca] = seen.certificate
        return self.certificates[ca]

    def _has_certificate(self, one: DesiredCa) -> bool:
        return one.address in self.certificates or not self.observed.certificate(one.paths.certificate).missing

    # --- Issuing ---

    def issue(self, ca: str, request: Request) -> Issuance:
        """A certificate from `ca`, by whoever issues for it. Raises PkiError, StoreError."""
        if (elsewhere := self.basis.issuers.get(ca)) is not None:
            return checked(elsewhere.issue(request), request, self.certificate(self.desired.issuing(ca).address))
        if ca not in self._local:
            above = known(self.authorities_above(ca).intermediates(ca))
            self._local[ca] = LocalIssuer(self.issuer(self.desired.issuing(ca).address), above, self.randomness)
        return self._local[ca].issue(request)

    def request(self, asked: DesiredCertificate, key: PublicKey) -> Request:
        """What an issuer is asked for."""
        return Request(str(asked.address), asked.profile, key, asked.lifetime, self.now)

    # --- Secrets ---

    def ask(self, changes: Sequence[Change]) -> None:
        """Gets the passwords that `changes` need and tries them, before anything is written.

        Raises SecretError for all that are not there, WrongPassword where one does not open its key.
        """
        if self.topology.reproducible is not None:
            self.check_seed()
        missing: list[SecretError] = []
        for get in (*self._asked_for_cas(changes), *self._asked_for_bundles(changes)):
            try:
                get()
            except SecretError as error:
                missing.append(error)
        if missing:
            raise _all_missing(missing)

    def _asked_for_cas(self, changes: Sequence[Change]) -> Iterator[Callable[[], None]]:
        needed = set(self._keys_of(changes))
        made_anew = {change.address.whole for change in changes if change.work is Work.NEW_KEY}
        for one in self.desired.cas:
            if one.address in needed:
                yield functools.partial(self._ask_for_ca, one, made_anew=one.address in made_anew)

    def _ask_for_ca(self, one: DesiredCa, *, made_anew: bool) -> None:
        self.keyring.password_to_write(one.address, self.randomness)
        if not made_anew:
            with _named(one.address):
                self.keyring.unlock(one.address)
        if one.ca.name in self.existing:
            self.issuer(one.address)  # what others made is read before it is believed

    def _asked_for_bundles(self, changes: Sequence[Change]) -> Iterator[Callable[[], None]]:
        bundles = {change.address for change in changes if change.work is Work.BUNDLE}
        for party in self.desired.parties:
            pfx, address = party.party.pfx, party.party.address.with_part(Part.BUNDLE)
            if address in bundles and pfx is not None and not isinstance(pfx.password, GeneratedSecret):
                yield functools.partial(self._ask_for_bundle, address, pfx.password)

    def _ask_for_bundle(self, address: Address, password: EnvSecret | FileSecret) -> None:
        self.passwords[address] = self.secrets.given(password, str(address))

    def _keys_of(self, changes: Sequence[Change]) -> Iterator[Address]:
        """The servers, clients and generations of CAs whose keys `changes` make or use."""
        made = (*self.desired.of_cas(), *self.desired.of_parties())
        asked = {one.address: one for one in made if isinstance(one, IssuedCertificate)}
        for change in changes:
            match change.work:
                case Work.NEW_KEY | Work.ISSUE | Work.ENCRYPT:
                    yield change.address.whole
                    if (one := asked.get(change.address)) is not None and self._signed_here(one):
                        yield self.desired.issuing(one.issuer).address
                        if (above := self.above_broken(one)) is not None:
                            yield above
                case Work.STAPLE:
                    issuer = asked[change.address.with_part(Part.CERTIFICATE)].issuer
                    yield self.desired.issuing(issuer).address
                case Work.SIGN:
                    yield change.address.whole
                case _:
                    pass

    def above_broken(self, one: IssuedCertificate) -> Address | None:
        """The CA above the issuer, which signs where a fault lies in the chain and its key is here."""
        above = self.topology.cas[one.issuer].issuer
        if one.fault not in OWN_CHAIN or above is None or not self.topology.cas[above].issues_here:
            return None
        return self.desired.issuing(above).address

    def _signed_here(self, one: IssuedCertificate) -> bool:
        """Whether it takes a CA's key on disk: what is broken on purpose is made here, whoever issues the rest."""
        return one.issuer not in self.basis.issuers or one.fault is not None

    # --- The CAs as they are now ---

    def authorities(self) -> Authorities:
        """All CAs, once their changes are made."""
        return Authorities.of(self.topology, map(self.generation, self.desired.cas))

    def authorities_above(self, name: str) -> Authorities:
        """The CAs from `name` up to its root."""
        above = {ca.name for ca in graph.chain(self.topology, name)}
        return Authorities.of(self.topology, (self.generation(one) for one in self.desired.cas if one.ca.name in above))

    def generation(self, one: DesiredCa) -> Generation:
        """A generation of a CA as it is now."""
        planned = self._planned.get(one.address)
        if (
            planned is not None
            and not isinstance(planned.certificate, Unknown)
            and not isinstance(planned.crl, Unknown)
        ):
            return planned
        if isinstance(one, MadeCa) and not self._has_certificate(one):
            # Its key is lost, and making another is no part of this plan, which needs nothing of it either.
            subject = profiles.subject_name(one.certificate.profile.subject)
            return Generation(one.ca.name, subject, self.now, number=one.number, state=one.state)
        certificate = self.certificate(one.address)
        adopted = self.existing.get(one.ca.name)
        own = self.read(one.paths.crl) if one.signs_crl else None
        lists = [each for each in (own, adopted.crls if adopted is not None else None) if each is not None]
        return Generation(
            one.ca.name,
            certificate.subject,
            certificate.not_valid_after_utc,
            certificate=certificate,
            today=certificate,
            spki=keys.spki(certificate),
            above=adopted.above if adopted is not None else (),
            crl=b"".join(lists) if lists else None,
            number=one.number,
            state=one.state,
        )


def _rights_by_folder(basis: Basis) -> Mapping[str, Rights]:
    """Of the servers and clients that say something of it, as far as this process can see to it."""
    folders = {one.party.address: one.paths.folder for one in basis.desired.parties}
    return {folders[address]: rights.as_far_as_may_be() for address, rights in basis.rights.items()}


def _all_missing(errors: Sequence[SecretError]) -> SecretError:
    if len(errors) == 1:
        return errors[0]
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    said = "\n".join((f"{len(errors)} passwords cannot be had:", *map(str, errors)))
    return SecretError(said, hint="; ".join(hints) or None)


@contextlib.contextmanager
def _named(address: Address) -> Iterator[None]:
    """Says of which CA the key is that cannot be used."""
    try:
        yield
    except PkiError as error:
        raise type(error)(f"{address.whole}: {error}", hint=error.hint) from error


def _names_of_keys(address: Address) -> Iterator[str]:
    """What a source is asked for: the address, and after a revocation `ADDRESS 2` and so on."""
    yield str(address)
    yield from (f"{address} {number}" for number in itertools.count(2))
