"""Signs what servers staple: an OCSP response to the certificate that is in place."""

from __future__ import annotations

from scaffold.apply.workshop import Workshop
from scaffold.pki import bundles, staples
from scaffold.plan.desired import DesiredParty
from scaffold.plan.staples import life, status


def make(shop: Workshop, one: DesiredParty) -> None:
    """Makes the response of one server. Raises PkiError, StoreError."""
    ca = one.party.issuer
    certificate = bundles.load_certificates(shop.read(one.paths.own.certificate) or b"")[0]
    said = status(shop.observed.ledger, ca, certificate)
    end = shop.now + life(shop.topology.cas[ca])
    shop.writer.write(one.paths.staple, staples.make(certificate, shop.issuer(ca), said, shop.now, end))
