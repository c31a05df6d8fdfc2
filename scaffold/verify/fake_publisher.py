"""A publisher for verify: the real one, which besides vouches for rogues and misbehaves when it is told to.

    with fake_publisher(topology, layout, clock) as publisher:          # None where the topology publishes nothing
        publisher.vouch("issuing", rogue.serial_number)         # OCSP of a true CA: good, though no ledger knows it
        where = publisher.adopt(sibling)                        # a rogue CA: pointers for what it issues
        profile = replace(profile, crl_url=where.crl, ocsp_url=where.ocsp, ca_url=where.ca)
        publisher.revoke("issuing", leaf.serial_number)         # OCSP and CRL, here alone; the ledger stays as it is
        with publisher.misbehaving(Misbehaviour.EXPIRED_CRL, "issuing"): ...
        with publisher.down(): ...                              # connections are refused

**Why a rogue CA needs pointers of its own.** One URL of a CRL serves one issuer. A rogue that points to the CRL of the
CA that it imitates gets a list whose signature is not its issuer's: OpenSSL says "CRL signature failure" (or finds no
CRL in scope, where the names differ), .NET RevocationStatusUnknown, and the rogue is refused for a second fault.
A distribution point that names another cRLIssuer (RFC 5280 4.2.1.13) is understood by neither. So each adopted CA is
published under a name that no CA of a topology can have. OCSP needs none of that, as a CertID names the issuer's key:
`/ocsp/CA` answers for every CA that was adopted, whoever's pointer led there.

A CA in between carries its issuer's pointers: `pointers("root")` for what a true root has signed. What the checker
itself keeps on disk (`tls/crl.pem`) is beyond a publisher: such a checker must be given `rogue_crls` beside it.

A CA is named as it is published: "issuing", and "issuing.2" for the second of its generations, each of which has a CRL
and a responder of its own.

Nothing here is written anywhere: responders' certificates live an hour and are in no ledger, and CRLs that are signed
for a probe stay in memory.
"""

from __future__ import annotations

import contextlib
import enum
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from scaffold.errors import PkiError, Unreadable
from scaffold.pki import crl as crls
from scaffold.pki import ocsp
from scaffold.pki.issue import Issuer
from scaffold.pki.randomness import OPERATING_SYSTEM, Randomness
from scaffold.publish import delegation, server
from scaffold.publish.app import Clock, Unavailable
from scaffold.publish.authority import Authority, Document, certificate_document, crl_document
from scaffold.publish.responder import Answer, Responder
from scaffold.publish.state import Signing, State
from scaffold.store.layout import Layout
from scaffold.topology.address import Address
from scaffold.topology.generations import FIRST
from scaffold.topology.model import HostPort, Topology
from scaffold.topology.publication import ca_url, crl_url, ocsp_url

ENDED_AGO: Final = timedelta(hours=1)
"""How long ago a stale answer or an expired CRL ended: further than any leeway for clocks."""

_LIFETIME: Final = timedelta(hours=1)


class Misbehaviour(enum.Enum):
    """What a publisher can do wrong and still be there."""

    EXPIRED_CRL = enum.auto()
    """CRLs whose nextUpdate is past."""
    UNKNOWN = enum.auto()
    """OCSP knows no certificate."""
    STALE = enum.auto()
    """OCSP answers whose nextUpdate is past."""
    UNAVAILABLE = enum.auto()
    """503, to everything."""


@dataclass(frozen=True, slots=True)
class Pointers:
    """What the certificates of one issuer carry: CDP, AIA's OCSP and caIssuers."""

    crl: str
    ocsp: str
    ca: str


class FakePublisher:
    """The source of such a publisher. All of it may be used from several threads."""

    def __init__(
        self, state: State, publish: str, clock: Clock, issuers: Mapping[str, Issuer], randomness: Randomness
    ) -> None:
        self._state = state
        self._publish = publish.rstrip("/")
        self._clock = clock
        self._issuers = issuers
        self._randomness = randomness
        self._lock = threading.Lock()
        self._said: dict[str, dict[int, ocsp.Status]] = {}
        self._rogues: dict[str, _RogueCa] = {}
        self._faults: Counter[tuple[Misbehaviour, str | None]] = Counter()
        self._responders: dict[tuple[str, bool, bool], Responder] = {}
        self._listener = contextlib.ExitStack()
        self.listen: HostPort = server.address(publish)

    # --- What verify asks for ---

    def vouch(self, ca: str, *serials: int) -> None:
        """OCSP calls these serials of a CA of the topology good; a CRL calls good what it does not list."""
        self._say(ca, dict.fromkeys(serials, ocsp.State.GOOD))

    def revoke(self, ca: str, *serials: int, reason: crls.Reason = crls.Reason.KEY_COMPROMISE) -> None:
        """OCSP and CRL of a CA of the topology call these serials revoked, whatever they were.

        Raises PkiError where its key is not open: neither could be signed.
        """
        self._issuer(ca)
        self._say(ca, {serial: crls.Revoked(serial, self._clock(), reason) for serial in serials})

    def _say(self, ca: str, statuses: Mapping[int, ocsp.Status]) -> None:
        with self._lock:
            self._said[ca] = {**self._said.get(ca, {}), **statuses}

    def pointers(self, ca: str) -> Pointers:
        """Those of a CA of the topology."""
        return Pointers(crl_url(self._publish, ca), ocsp_url(self._publish, ca), ca_url(self._publish, ca))

    def adopt(self, rogue: Issuer) -> Pointers:
        """Publishes for a rogue CA: its empty CRL, "good" for every serial of its own, its certificate."""
        published = _RogueCa(rogue, self._clock())
        with self._lock:
            name = f"rogue_{len(self._rogues) + 1}"  # no DNS label
            self._rogues = {**self._rogues, name: published}
        return self.pointers(name)

    @property
    def rogue_crls(self) -> bytes:
        """The CRLs of all adopted CAs in PEM."""
        return b"".join(crls.to_pem(one.crl) for one in self._rogues.values())

    @contextlib.contextmanager
    def misbehaving(self, how: Misbehaviour, ca: str | None = None) -> Iterator[None]:
        """Within the block it does that, for one CA of the topology or (None) for all; blocks may be nested.

        Raises PkiError where the key that must sign for it is not open.
        """
        for name in self._who_signs(how, ca):
            self._issuer(name)
        with self._lock:
            self._faults[how, ca] += 1
        try:
            yield
        finally:
            with self._lock:
                self._faults[how, ca] -= 1

    def _who_signs(self, how: Misbehaviour, ca: str | None) -> Iterator[str]:
        for one in self._state.authorities().values():
            answers = one.crl if how is Misbehaviour.EXPIRED_CRL else one.ocsp
            if ca in (None, one.name) and answers is not None and how is not Misbehaviour.UNAVAILABLE:
                yield one.name

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Within the block nobody listens. Raises PublishError where somebody else has the port afterwards."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def start(self) -> None:
        """Listens. Raises PublishError."""
        self._listener.enter_context(server.running(self._state, self._clock, self.listen, self))

    def stop(self) -> None:
        """Listens no more."""
        self._listener.close()

    # --- What is served ---

    def authorities(self) -> Mapping[str, Authority]:
        return self._state.authorities()

    def certificate(self, ca: str) -> Document | None:
        self._check_available(ca)
        if (rogue := self._rogues.get(ca)) is not None:
            return certificate_document(rogue.certificate)
        return self._state.certificate(ca)

    def crl(self, ca: str) -> Document | None:
        self._check_available(ca)
        if (rogue := self._rogues.get(ca)) is not None:
            return crl_document(rogue.crl)
        authority = self._state.authorities().get(ca)
        expired = self._does(Misbehaviour.EXPIRED_CRL, ca)
        revoked = [one for one in self._said.get(ca, {}).values() if isinstance(one, crls.Revoked)]
        if authority is None or authority.crl is None or not (expired or revoked):
            return self._state.crl(ca)
        return crl_document(self._altered(ca, authority.crl, revoked, expired=expired))

    def answer(self, ca: str, request: bytes, now: datetime) -> Answer | None:
        self._check_available(ca)
        if (rogue := self._rogue_asked(request)) is not None:
            return rogue.responder.answer(request, now)
        authority = self._state.authorities().get(ca)
        if authority is None or authority.ocsp is None:
            return self._state.answer(ca, request, now)
        stale = self._does(Misbehaviour.STALE, ca)
        responder = self._responder(authority, authority.ocsp, stale=stale)
        return responder.answer(request, now - ENDED_AGO - authority.ocsp if stale else now)

    def _rogue_asked(self, request: bytes) -> _RogueCa | None:
        try:
            asked = ocsp.parse_request(request)
        except Unreadable:
            return None
        return next((one for one in self._rogues.values() if one.responder.is_asked(asked)), None)

    def _check_available(self, ca: str) -> None:
        if self._does(Misbehaviour.UNAVAILABLE, ca):
            raise Unavailable

    def _does(self, how: Misbehaviour, ca: str) -> bool:
        return self._faults[how, ca] > 0 or self._faults[how, None] > 0

    def _altered(self, ca: str, real: crls.Crl, revoked: list[crls.Revoked], *, expired: bool) -> crls.Crl:
        """The real list with more entries; its number is higher, or a cache would keep the real one."""
        now = self._clock()
        ends = now - ENDED_AGO if expired else now + _LIFETIME
        entries = {entry.serial: entry for entry in (*crls.entries(real), *revoked)}
        number = (crls.number(real) or 0) + 1
        return crls.build(self._issuer(ca), number, ends - 2 * _LIFETIME, ends, entries.values())

    def _responder(self, one: Authority, lifetime: timedelta, *, stale: bool) -> Responder:
        """Keeps its answers, and so is another one for each way of answering."""
        unknown = self._does(Misbehaviour.UNKNOWN, one.name)
        known = _Altered(one, {} if unknown else self._said.get(one.name, {}), knows_none=unknown)
        key = (one.name, stale, unknown)
        responder = self._responders.get(key)
        if responder is None or not responder.answers_for(one):
            delegate = _delegate(one, self._issuer(one.name), self._clock(), self._randomness)
            responder = self._responders[key] = Responder(known, delegate, lifetime)
        responder.update(known)
        return responder

    def _issuer(self, ca: str) -> Issuer:
        authority = self._state.authorities().get(ca)
        found = self._issuers.get(ca) or (authority.issuer if authority is not None else None)
        if found is None:
            whose = authority.address if authority is not None else Address.labelled(ca)
            raise PkiError(f"the key of {whose} is not open to the publisher")
        return found


@dataclass(frozen=True)
class _Altered:
    """What is known of a true CA's certificates, with what the publisher was told on top."""

    real: Authority
    said: Mapping[int, ocsp.Status]
    knows_none: bool

    @property
    def certificate(self) -> x509.Certificate:
        return self.real.certificate

    def status(self, serial: int) -> ocsp.Status:
        return ocsp.State.UNKNOWN if self.knows_none else self.said.get(serial, self.real.status(serial))

    def current(self, now: datetime) -> Iterator[int]:
        return iter(())


class _RogueCa:
    """All that is published of a rogue CA; it knows every serial as good, and answers OCSP itself."""

    def __init__(self, issuer: Issuer, now: datetime) -> None:
        self.certificate = issuer.certificate
        self.crl = crls.build(issuer, 1, now - timedelta(minutes=5), now + _LIFETIME)
        self.responder = Responder(self, issuer, _LIFETIME)

    def status(self, serial: int) -> ocsp.Status:
        return ocsp.State.GOOD

    def current(self, now: datetime) -> Iterator[int]:
        return iter(())


class _InMemory(Signing):
    """Signs nothing that stays."""

    minds_clock = False

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    def crls(self, now: datetime) -> None:
        pass

    def delegate(self, of: Authority, issuer: Issuer, now: datetime) -> Issuer:
        return _delegate(of, issuer, now, self._randomness)


def _delegate(of: Authority, issuer: Issuer, now: datetime, randomness: Randomness) -> Issuer:
    return delegation.make(of.ca, issuer, now, _LIFETIME, generation=of.generation or FIRST, randomness=randomness)


def clock_from(now: datetime) -> Clock:
    """What the time is as it goes on from `now`."""
    begun = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - begun)


@contextlib.contextmanager
def fake_publisher(
    topology: Topology,
    layout: Layout,
    clock: Clock,
    issuers: Mapping[str, Issuer] | None = None,
    randomness: Randomness = OPERATING_SYSTEM,
) -> Iterator[FakePublisher | None]:
    """Such a publisher on a thread, where `publish` of the topology says; None where it publishes nothing.

    `issuers`: CAs whose keys a password guards and the caller has opened, as they are published. Raises PublishError,
    StoreError.
    """
    if topology.publish is None:
        yield None
        return
    state = State(topology, layout, _InMemory(randomness))
    state.open(clock())
    publisher = FakePublisher(state, topology.publish, clock, issuers or {}, randomness)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()
