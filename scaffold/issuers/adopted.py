"""The issuer of a leaf that comes from elsewhere: somebody else has issued it already, and its files are taken over."""

from __future__ import annotations

from dataclasses import dataclass

from scaffold.errors import PkiError
from scaffold.issuers.port import Issuance, Request
from scaffold.pki import keys
from scaffold.pki.profiles import Aspect, Latitude
from scaffold.store.existing_leaf import BroughtLeaf

AS_IT_IS = Latitude(aspects=frozenset(Aspect))
"""Whatever it says is no reason to ask for another: what must be in it was judged when it was read."""


@dataclass(frozen=True, slots=True)
class AdoptedIssuer:
    """Hands out one leaf, as it was read from its source."""

    leaf: BroughtLeaf

    @property
    def latitude(self) -> Latitude:
        """Everything."""
        return AS_IT_IS

    def issue(self, request: Request) -> Issuance:
        """The leaf, whatever lifetime is wished for. Raises PkiError where it has another key."""
        if keys.spki(request.key) != keys.spki(self.leaf.certificate):
            raise PkiError(f"the certificate that was issued for {request.whose} has another key")
        return Issuance(self.leaf.certificate, self.leaf.sent)
