"""Each CA as it will be once the plan is carried out: what those below it are compared with."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from scaffold.pki import bundles
from scaffold.pki.names import rfc2253
from scaffold.settings.values import CaFacts
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.model import Topology


@dataclass(frozen=True)
class Authority:
    """A CA after the plan. What is not made yet cannot be known: `certificate` and `spki` are None then.

    `today` is the certificate whose key signs before and after: it stays, or is issued again over the same key.
    `above` is the way up to the root that an existing CA brought with it.
    """

    name: str
    subject: x509.Name
    not_after: datetime
    certificate: x509.Certificate | None = None
    today: x509.Certificate | None = None
    spki: bytes | None = None
    above: tuple[x509.Certificate, ...] = ()
    crl: bytes | None = None
    """Its CRL in PEM (of an existing one: those of its chain too), or None where it is to be signed or is not had."""
    crl_due: bool = False
    """Whether the CRL is to be signed only because it is due."""
    withdrawn: bool = False
    """Whether it, or a CA above it, is revoked and gets no new key: it issues nothing."""

    @property
    def address(self) -> Address:
        return Address.ca(self.name)

    @property
    def new_key(self) -> bool:
        return self.spki is None

    @property
    def signers(self) -> tuple[x509.Certificate, ...]:
        """The certificates whose keys may have signed the CRLs in `crl`."""
        return (*((self.today,) if self.today is not None else ()), *self.above)

    @functools.cached_property
    def spki_sha256(self) -> str:
        """SHA-256 of its key in hex, or what stands in for it while the key is not made yet."""
        return stand_in(self.name) if self.spki is None else hashlib.sha256(self.spki).hexdigest()

    @functools.cached_property
    def facts(self) -> CaFacts:
        """What settings must know."""
        return CaFacts(rfc2253(self.subject), self.spki_sha256, len(self.above))


def stand_in(name: str) -> str:
    """Stands for the hash of a key that is not made yet; what holds it is known after apply."""
    return f"known-after-apply:{name}"


class Authorities(Mapping[str, Authority]):
    """All CAs of a topology, from the roots down."""

    def __init__(self, t: Topology, known: Mapping[str, Authority]) -> None:
        self._t = t
        self._known = known
        self._chains: dict[str, tuple[x509.Certificate, ...] | None] = {}
        self._texts: dict[tuple[str, ...], bytes | None] = {}

    def __getitem__(self, name: str) -> Authority:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def chain(self, name: str) -> tuple[x509.Certificate, ...] | None:
        """Its certificate, its issuers', and last the root's; None where one is not made yet."""
        if name not in self._chains:
            self._chains[name] = self._chain(name)
        return self._chains[name]

    def _chain(self, name: str) -> tuple[x509.Certificate, ...] | None:
        authorities = [self._known[ca.name] for ca in graph.chain(self._t, name)]
        certificates = [authority.certificate for authority in authorities]
        if any(certificate is None for certificate in certificates):
            return None
        return (*(one for one in certificates if one is not None), *authorities[-1].above)

    def intermediates(self, name: str) -> tuple[x509.Certificate, ...] | None:
        """The chain without the root: what stands behind a leaf."""
        chain = self.chain(name)
        return None if chain is None else chain[:-1]

    def intermediates_pem(self, names: Iterable[str]) -> bytes | None:
        """The intermediates of several CAs, each once."""
        return self._pem("intermediates", names, slice(None, -1))

    def roots_pem(self, names: Iterable[str]) -> bytes | None:
        """The roots of several CAs, each once; what is not made yet below a root does not matter."""
        roots = dict.fromkeys(self._root(name) for name in names)
        known = [root for root in roots if root is not None]
        return bundles.chain_pem(known) if len(known) == len(roots) else None

    def _root(self, name: str) -> x509.Certificate | None:
        top = self._known[graph.root_of(self._t, name).name]
        return top.above[-1] if top.above else top.certificate

    def chain_pem(self, name: str) -> bytes | None:
        """The whole chain with the root."""
        return self._pem("chain", (name,), slice(None))

    def _pem(self, what: str, names: Iterable[str], part: slice) -> bytes | None:
        key = (what, *names)
        if key not in self._texts:
            chains = [self.chain(name) for name in key[1:]]
            if any(chain is None for chain in chains):
                self._texts[key] = None
            else:
                each = dict.fromkeys(one for chain in chains if chain is not None for one in chain[part])
                self._texts[key] = bundles.chain_pem(each)
        return self._texts[key]

    def pending(self, names: Iterable[str]) -> tuple[str, ...]:
        """Which intermediates in the chains of `names` are not made yet."""
        below = (ca.name for name in names for ca in graph.chain(self._t, name) if ca.issuer is not None)
        return tuple(dict.fromkeys(name for name in below if self[name].certificate is None))

    def in_chains(self, names: Iterable[str]) -> tuple[Authority, ...]:
        """The CAs of the topology in the chains of `names`, each once."""
        each = dict.fromkeys(ca.name for name in names for ca in graph.chain(self._t, name))
        return tuple(self[name] for name in each)

    def facts(self) -> dict[str, CaFacts]:
        """What settings must know of every CA."""
        return {name: authority.facts for name, authority in self._known.items()}
