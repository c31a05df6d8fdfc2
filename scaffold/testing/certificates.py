"""The certificates of a topology in a folder of their own, as `apply` makes them there, and nothing else.

An apply into the same folder takes them over and adds the rest. What makes an apply take its time, comparing with what
is there, is not needed in a folder that is empty: a test session starts at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography import x509

from scaffold.issuers.local import LocalIssuer, self_signed
from scaffold.issuers.port import Request
from scaffold.pki import bundles, faulty, keys
from scaffold.pki import crl as crls
from scaffold.pki.issue import Issuer, backdated, new_serial
from scaffold.pki.keys import PrivateKey
from scaffold.pki.randomness import Randomness
from scaffold.plan.desired import DesiredCertificate, IssuedCertificate, MadeCa, RootCertificate, desire
from scaffold.store import files, gitignore
from scaffold.store.files import Writer
from scaffold.store.issued import entry
from scaffold.store.layout import GITIGNORE, Layout
from scaffold.store.ledger import CaKey, Issued, Recorder, Revoked
from scaffold.store.projects import digest
from scaffold.topology import graph
from scaffold.topology.model import Fault, Topology


def is_made_here(t: Topology) -> bool:
    """Whether every CA and key is made here, so that nothing has to be read before anything can be issued."""
    parties = (party for party in graph.parties(t) if not party.is_external)
    brought = any(not party.issued_here or party.csr is not None for party in parties)
    return not brought and all(ca.existing is None for ca in t.cas.values())


def without_passwords(t: Topology) -> Topology:
    """The same, with CA keys that no password guards: a test environment asks for no secret."""
    return replace(t, cas={name: replace(ca, key_password=None) for name, ca in t.cas.items()})


def make(t: Topology, layout: Layout, now: datetime, randomness: Randomness) -> None:
    """Makes every key, certificate, chain and CRL of a topology whose CAs are made here, in an empty folder.

    Raises PkiError, StoreError.
    """
    maker = _Maker(t, layout, now, randomness)
    desired = desire(t)
    maker.record.topology(t.name)
    maker.writer.write(GITIGNORE, gitignore.OUT)
    for ca in desired.cas:
        if isinstance(ca, MadeCa):
            maker.ca(ca)
    for party in desired.parties:
        for asked in party.certificates:
            maker.leaf(asked)
    maker.record.issued(maker.issued)
    if maker.revoked:
        maker.record.revoked(maker.revoked)
    for ca in desired.cas:
        if isinstance(ca, MadeCa):
            maker.crl(ca)


@dataclass
class _Maker:
    """One making at work."""

    t: Topology
    layout: Layout
    now: datetime
    randomness: Randomness
    writer: Writer = field(init=False)
    record: Recorder = field(init=False)
    issued: list[Issued] = field(default_factory=list)
    revoked: list[Revoked] = field(default_factory=list)
    issuers: dict[str, LocalIssuer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writer, self.record = Writer(self.layout), Recorder(self.layout, self.now)
        self.writer.prepare()

    def ca(self, one: MadeCa) -> None:
        key = self.randomness.key(str(one.certificate.address), one.certificate.key)
        pem = keys.to_pem(key)
        self.writer.write(one.paths.key, pem, mode=files.SECRET_FILE)
        self.record.ca_key(one.address.label, CaKey(keys.spki(key.public_key()), digest(pem)))
        certificate, above = self._certified(one.certificate, key)
        self._note(one.certificate, certificate, key if isinstance(one.certificate, RootCertificate) else None)
        chain = (certificate, *above) if one.ca.issuer is not None else ()
        self.issuers[one.ca.name] = LocalIssuer(Issuer(certificate, key), chain, self.randomness)
        self.writer.write(one.paths.ignore, gitignore.PKI)
        self.writer.write(one.paths.certificate, bundles.pem(certificate))
        self.writer.write(one.paths.der, bundles.der(certificate))
        self.writer.write(one.paths.chain, bundles.chain_pem(self._up_to_root(one.ca.name)))

    def _up_to_root(self, ca: str) -> list[x509.Certificate]:
        return [self.issuers[one.name].ca.certificate for one in graph.chain(self.t, ca)]

    def _certified(
        self, asked: DesiredCertificate, key: PrivateKey
    ) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
        request = Request(str(asked.address), asked.profile, key.public_key(), asked.lifetime, self.now)
        match asked:
            case RootCertificate():
                return self_signed(request, key, self.randomness), ()
            case IssuedCertificate():
                made = self.issuers[asked.issuer].issue(request)
                return made.certificate, made.chain

    def crl(self, one: MadeCa) -> None:
        issuer = self.issuers[one.ca.name].ca
        self.record.crl(one.address.label, 1)
        listed = [
            crls.Revoked(int(entry.serial, 16), entry.at, crls.Reason(entry.reason))
            for entry in self.revoked
            if entry.ca == one.ca.name
        ]
        made = crls.build(issuer, 1, backdated(self.now), self.now + one.crl_life, listed)
        self.writer.write(one.paths.crl, crls.to_pem(made))

    def leaf(self, asked: IssuedCertificate) -> None:
        key = self.randomness.key(str(asked.address), asked.key)
        certificate, chain = self._faulty(asked, key) if asked.fault is not None else self._certified(asked, key)
        self._note(asked, certificate, None)
        self.writer.write(asked.paths.key, keys.to_pem(key), mode=files.SECRET_FILE)
        self.writer.write(asked.paths.certificate, bundles.chain_pem((certificate, *chain)))

    def _faulty(self, asked: IssuedCertificate, key: PrivateKey) -> tuple[x509.Certificate, faulty.Chain]:
        issuer, above = self.issuers[asked.issuer], self.t.cas[asked.issuer].issuer
        parent = self.issuers[above].ca if above is not None else None
        return faulty.issue(
            asked.profile,
            key,
            faulty.Lineage(issuer.ca, issuer.above, parent),
            whose=str(asked.address),
            lifetime=asked.lifetime,
            now=self.now,
            randomness=self.randomness,
            serial=self._doomed(asked) if asked.fault is Fault.REVOKED else None,
        )

    def _doomed(self, asked: IssuedCertificate) -> int:
        serial = new_serial(self.randomness, str(asked.address), f"revoked at {self.now.isoformat()}")
        self.revoked.append(Revoked(asked.ca, f"{serial:x}", crls.Reason.KEY_COMPROMISE, self.now))
        return serial

    def _note(self, asked: DesiredCertificate, certificate: x509.Certificate, own: PrivateKey | None) -> None:
        """Keeps what the ledger is to say; what is broken on purpose names no signer, as with `apply`."""
        if asked.fault is not None:
            signer = ""
        else:
            signer = keys.spki_sha256(own.public_key() if own is not None else self.issuers[asked.ca].ca.certificate)
        self.issued.append(entry(asked.address, asked.ca, certificate, signer))
