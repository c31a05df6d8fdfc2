"""Each CA as it will be once the plan is carried out: what those below it are compared with."""

from __future__ import annotations

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
from scaffold.topology.model import Topology


@dataclass(frozen=True)
class Authority:
    """A CA after the plan. Of what is not made yet, `certificate` and `spki` are not known.

    `today` is the certificate whose key signs before and after: it stays, or is issued again over the same key.
    `above` is the way up to the root that an existing CA brought with it.
    """

    name: str
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

    @property
    def address(self) -> Address:
        return Address.ca(self.name)

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

    def facts(self, unmade: str) -> CaFacts:
        """What settings must know; `unmade` is the hash of a key that is not made yet."""
        sha256, above = self.spki_sha256, tuple(map(keys.spki_sha256, self.above))
        key = KeyFacts(rfc2253(self.subject), unmade if isinstance(sha256, Unknown) else sha256)
        return CaFacts((key,), len(above), above)


_UNMADE: Final = ("0" * 64, "1" * 64)
"""Two hashes that a key which is not made yet might have: what differs between them depends on that key."""


class Authorities(Mapping[str, Authority]):
    """All CAs of a topology, from the roots down."""

    def __init__(self, t: Topology, known: Mapping[str, Authority]) -> None:
        self._t = t
        self._known = known
        self._chains: dict[str, tuple[x509.Certificate, ...] | Unknown] = {}
        self._texts: dict[tuple[str, ...], bytes | Unknown] = {}

    def __getitem__(self, name: str) -> Authority:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def chain(self, name: str) -> tuple[x509.Certificate, ...] | Unknown:
        """Its certificate, its issuers', and last the root's."""
        if name not in self._chains:
            self._chains[name] = self._chain(name)
        return self._chains[name]

    def _chain(self, name: str) -> tuple[x509.Certificate, ...] | Unknown:
        intermediates, root = self.intermediates(name), self._root(name)
        if isinstance(intermediates, Unknown) or isinstance(root, Unknown):
            return Unknown.AFTER_APPLY
        return (*intermediates, root)

    def intermediates(self, name: str) -> tuple[x509.Certificate, ...] | Unknown:
        """The chain without the root: what stands behind a leaf. That the root is not made yet does not matter."""
        *below, top = (self._known[ca.name] for ca in graph.chain(self._t, name))
        authorities = [*below, top] if top.above else below
        certificates = [authority.certificate for authority in authorities]
        known = [certificate for certificate in certificates if not isinstance(certificate, Unknown)]
        return (*known, *top.above[:-1]) if len(known) == len(certificates) else Unknown.AFTER_APPLY

    def intermediates_pem(self, names: Iterable[str]) -> bytes | Unknown:
        """The intermediates of several CAs, each once."""
        return self._pem("intermediates", names, self.intermediates)

    def roots_pem(self, names: Iterable[str]) -> bytes | Unknown:
        """The roots of several CAs, each once; what is not made yet below a root does not matter."""
        key = ("roots", *names)
        if key not in self._texts:
            roots = dict.fromkeys(self._root(name) for name in key[1:])
            known = [root for root in roots if not isinstance(root, Unknown)]
            self._texts[key] = bundles.chain_pem(known) if len(known) == len(roots) else Unknown.AFTER_APPLY
        return self._texts[key]

    def _root(self, name: str) -> x509.Certificate | Unknown:
        top = self._known[graph.root_of(self._t, name).name]
        return top.above[-1] if top.above else top.certificate

    def chain_pem(self, name: str) -> bytes | Unknown:
        """The whole chain with the root."""
        return self._pem("chain", (name,), self.chain)

    def _pem(
        self, what: str, names: Iterable[str], of: Callable[[str], tuple[x509.Certificate, ...] | Unknown]
    ) -> bytes | Unknown:
        key = (what, *names)
        if key not in self._texts:
            chains = [of(name) for name in key[1:]]
            known = [chain for chain in chains if not isinstance(chain, Unknown)]
            each = dict.fromkeys(one for chain in known for one in chain)
            self._texts[key] = bundles.chain_pem(each) if len(known) == len(chains) else Unknown.AFTER_APPLY
        return self._texts[key]

    def pending(self, names: Iterable[str]) -> tuple[str, ...]:
        """Which intermediates in the chains of `names` are not made yet."""
        below = (ca.name for name in names for ca in graph.chain(self._t, name) if ca.issuer is not None)
        return tuple(dict.fromkeys(name for name in below if isinstance(self[name].certificate, Unknown)))

    def in_chains(self, names: Iterable[str]) -> tuple[Authority, ...]:
        """The CAs of the topology in the chains of `names`, each once."""
        each = dict.fromkeys(ca.name for name in names for ca in graph.chain(self._t, name))
        return tuple(self[name] for name in each)

    @functools.cached_property
    def facts(self) -> tuple[Mapping[str, CaFacts], ...]:
        """What settings must know of every CA. Where a key is not made yet there are two, which differ in its hash."""
        unmade = _UNMADE if any(authority.new_key for authority in self._known.values()) else _UNMADE[:1]
        return tuple({name: authority.facts(sha256) for name, authority in self._known.items()} for sha256 in unmade)
