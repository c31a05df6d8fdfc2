"""Each CA as it will be once the plan is carried out: what those below it are compared with."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from scaffold.pki import bundles, keys
from scaffold.pki.names import rfc2253
from scaffold.plan.unknown import Unknown
from scaffold.settings.values import CaFacts, KeyFacts
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.generations import FIRST, GenerationState
from scaffold.topology.model import Forward, Topology

_Paths = Mapping[Address, tuple[x509.Certificate, ...] | Unknown]
"""What is behind a leaf that a generation signs, by its address: the way up without the root."""


@dataclass(frozen=True)
class Generation:
    """A key of a CA after the plan, with its certificate. Of what is not made, `certificate` and `spki` are unknown.

    `today` is the certificate whose key signs before and after: it stays, or is issued again over the same key.
    `above` is the way up to the root that an existing CA brought with it.
    """

    ca: str
    subject: x509.Name
    not_after: datetime
    certificate: x509.Certificate | Unknown = Unknown.AFTER_APPLY
    today: x509.Certificate | None = None
    spki: bytes | Unknown = Unknown.AFTER_APPLY
    above: tuple[x509.Certificate, ...] = ()
    crl: bytes | Unknown | None = None
    """Its CRL in PEM (of an existing one: those of its chain too), not known where it is to be signed."""
    crl_due: bool = False
    """Whether the CRL is to be signed only because it is due."""
    withdrawn: bool = False
    """Whether it, or a CA above it, is revoked and gets no new key: it issues nothing."""
    number: int = FIRST
    state: GenerationState = GenerationState.ISSUING

    @functools.cached_property
    def address(self) -> Address:
        return Address.ca(self.ca, generation=self.number)

    @property
    def new_key(self) -> bool:
        return isinstance(self.spki, Unknown)

    @property
    def signers(self) -> tuple[x509.Certificate, ...]:
        """The certificates whose keys may have signed the CRLs in `crl`."""
        return (*((self.today,) if self.today is not None else ()), *self.above)

    @functools.cached_property
    def spki_sha256(self) -> str | Unknown:
        """SHA-256 of its key in hex."""
        return self.spki if isinstance(self.spki, Unknown) else hashlib.sha256(self.spki).hexdigest()

    @functools.cached_property
    def digest(self) -> bytes:
        """SHA-256 of all that the certificates which it has issued are compared with."""
        today = b"" if self.today is None else bundles.der(self.today)
        spki = b"" if isinstance(self.spki, Unknown) else self.spki
        name = self.subject.public_bytes()
        said = f"{self.address} {self.not_after.isoformat()} {len(name)} {len(spki)} {len(today)} "
        return hashlib.sha256(said.encode() + name + spki + today).digest()

    @property
    def anchor(self) -> x509.Certificate | Unknown:
        """Of a CA that nobody issued here: the certificate that is trusted, its own or that of the root above."""
        return self.above[-1] if self.above else self.certificate

    def facts(self, unmade: str, paths: _Paths) -> KeyFacts:
        """What settings must know; `unmade` is the hash of a key, and the chain, that is not made yet.

        `paths` are the chains of generations, as far as they are asked for.
        """
        sha256, path = self.spki_sha256, paths.get(self.address, ())
        return KeyFacts(
            rfc2253(self.subject),
            unmade if isinstance(sha256, Unknown) else sha256,
            self.number,
            (unmade,) if isinstance(path, Unknown) else tuple(map(_base64, path)),
        )


@dataclass(frozen=True)
class Authority:
    """A CA after the plan: its generations, oldest first, of which one issues.

    Who issues, who is trusted and whose CRL is signed are three questions. Raises ValueError where nobody issues.
    """

    generations: tuple[Generation, ...]

    def __post_init__(self) -> None:
        if not self.issuing:
            raise ValueError("no generation of the CA issues")

    @functools.cached_property
    def issuing(self) -> tuple[Generation, ...]:
        """Those whose keys issue."""
        return tuple(one for one in self.generations if one.state is GenerationState.ISSUING)

    @functools.cached_property
    def trusted(self) -> tuple[Generation, ...]:
        """Those in trust files and allow lists."""
        return tuple(one for one in self.generations if one.state is not GenerationState.RETIRED)

    @property
    def with_crls(self) -> tuple[Generation, ...]:
        """Those whose CRLs are signed and handed out: whoever trusts a generation needs its CRL."""
        return self.trusted

    @property
    def issuer(self) -> Generation:
        """The one from which the next certificate comes."""
        return self.issuing[-1]

    def facts(self, unmade: str, paths: _Paths) -> CaFacts:
        """What settings must know, as of a generation."""
        above = tuple(map(keys.spki_sha256, self.issuer.above))
        return CaFacts(tuple(one.facts(unmade, paths) for one in self.trusted), len(above), above)


_UNMADE: Final = ("0" * 64, "1" * 64)
"""Two hashes that a key which is not made yet might have: what differs between them depends on that key."""


class Authorities(Mapping[str, Authority]):
    """All CAs of a topology, from the roots down."""

    def __init__(self, t: Topology, known: Mapping[str, Authority]) -> None:
        self._t = t
        self._known = known
        self._texts: dict[tuple[str, ...], bytes | Unknown] = {}

    @classmethod
    def of(cls, t: Topology, generations: Iterable[Generation]) -> Authorities:
        """The CAs of which these are the generations."""
        by_ca: dict[str, list[Generation]] = {}
        for one in generations:
            by_ca.setdefault(one.ca, []).append(one)
        return cls(t, {name: Authority(tuple(of_ca)) for name, of_ca in by_ca.items()})

    def __getitem__(self, name: str) -> Authority:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    # --- What is sent: one way up, from the generation that issues ---

    def intermediates(self, name: str) -> tuple[x509.Certificate, ...] | Unknown:
        """The chain without the root: what is behind a leaf. That the root is not made yet does not matter."""
        *below, top = (self._known[ca.name].issuer for ca in graph.chain(self._t, name))
        return _path(below, top)

    def sent_pem(self, name: str) -> bytes | Unknown:
        """What is behind a leaf of this CA."""
        return self._pem("sent", (name,), lambda name: (self.intermediates(name),))

    def chain_pem(self, generation: Generation) -> bytes | Unknown:
        """The certificate of one generation, those of its issuers, and last the root's."""
        path, root = _path(*self._way_up(generation)), self._way_up(generation)[1].anchor
        if isinstance(path, Unknown) or isinstance(root, Unknown):
            return Unknown.AFTER_APPLY
        return bundles.chain_pem((*path, root))

    def _way_up(self, generation: Generation) -> tuple[tuple[Generation, ...], Generation]:
        """One generation and those that issue above it, and the topmost apart."""
        above = (self._known[ca.name].issuer for ca in graph.chain(self._t, generation.ca)[1:])
        *below, top = (generation, *above)
        return tuple(below), top

    # --- What is trusted: every generation that may be met ---

    def intermediates_pem(self, names: Iterable[str]) -> bytes | Unknown:
        """The intermediates of several CAs, each once."""
        return self._pem("intermediates", names, self._trusted_intermediates)

    def _trusted_intermediates(self, name: str) -> Iterator[tuple[x509.Certificate, ...] | Unknown]:
        *below, top = (self._known[ca.name].trusted for ca in graph.chain(self._t, name))
        between = [generation for trusted in below for generation in trusted]
        for generation in top:
            yield _path(between, generation)

    def roots_pem(self, names: Iterable[str]) -> bytes | Unknown:
        """The roots of several CAs, each once; what is not made yet below a root does not matter."""
        return self._pem("roots", names, self._roots)

    def _roots(self, name: str) -> Iterator[tuple[x509.Certificate, ...] | Unknown]:
        for generation in self._known[graph.root_of(self._t, name).name].trusted:
            anchor = generation.anchor
            yield anchor if isinstance(anchor, Unknown) else (anchor,)

    def own_pem(self, names: Iterable[str]) -> bytes | Unknown:
        """The certificates of several CAs themselves."""
        return self._pem("own", names, self._own)

    def _own(self, name: str) -> Iterator[tuple[x509.Certificate, ...] | Unknown]:
        for generation in self._known[name].trusted:
            certificate = generation.certificate
            yield certificate if isinstance(certificate, Unknown) else (certificate,)

    def _pem(
        self,
        what: str,
        names: Iterable[str],
        of: Callable[[str], Iterable[tuple[x509.Certificate, ...] | Unknown]],
    ) -> bytes | Unknown:
        key = (what, *names)
        if key not in self._texts:
            paths = [path for name in key[1:] for path in of(name)]
            known = [path for path in paths if not isinstance(path, Unknown)]
            each = dict.fromkeys(one for path in known for one in path)
            self._texts[key] = bundles.chain_pem(each) if len(known) == len(paths) else Unknown.AFTER_APPLY
        return self._texts[key]

    def pending(self, names: Iterable[str]) -> tuple[Address, ...]:
        """Which intermediates in what the CAs `names` send are not made yet."""
        below = (ca.name for name in names for ca in graph.chain(self._t, name) if ca.issuer is not None)
        issuers = (self[name].issuer for name in dict.fromkeys(below))
        return tuple(one.address for one in issuers if isinstance(one.certificate, Unknown))

    def crl_signers(self, names: Iterable[str]) -> tuple[Generation, ...]:
        """Those in the chains of `names` whose CRLs are needed there, each once."""
        each = dict.fromkeys(ca.name for name in names for ca in graph.chain(self._t, name))
        return tuple(generation for name in each for generation in self[name].with_crls)

    @functools.cached_property
    def facts(self) -> tuple[Mapping[str, CaFacts], ...]:
        """What settings must know of every CA. Where that holds what is not made yet there are two, which differ in it.

        Chains are there where an app behind a front is told them.
        """
        told = any(Forward.RFC9440 in server.forward for server in self._t.servers.values())
        trusted = [generation for authority in self._known.values() for generation in authority.trusted]
        paths = {one.address: _path(*self._way_up(one)) for one in trusted} if told else {}
        is_unmade = any(one.new_key for one in trusted) or any(isinstance(path, Unknown) for path in paths.values())
        return tuple(
            {name: authority.facts(unmade, paths) for name, authority in self._known.items()}
            for unmade in (_UNMADE if is_unmade else _UNMADE[:1])
        )


def _base64(certificate: x509.Certificate) -> str:
    return base64.b64encode(bundles.der(certificate)).decode()


def _path(below: Iterable[Generation], top: Generation) -> tuple[x509.Certificate, ...] | Unknown:
    """The certificates of `below`, and of `top` those that are not its root's."""
    certificates = [one.certificate for one in (*below, *((top,) if top.above else ()))]
    known = [certificate for certificate in certificates if not isinstance(certificate, Unknown)]
    return (*known, *top.above[:-1]) if len(known) == len(certificates) else Unknown.AFTER_APPLY
