"""Signs what servers staple: an OCSP response to the certificate that is in place."""

from __future__ import annotations

from scaffold.apply.context import ApplyContext
from scaffold.pki import bundles, staples
from scaffold.plan.desired import DesiredParty
from scaffold.plan.staples import life, status


def make(context: ApplyContext, one: DesiredParty) -> None:
    """Makes the response of one server. Raises PkiError, StoreError."""
    ca = one.party.issuer
    certificate = bundles.load_certificates(context.read(one.paths.own.certificate) or b"")[0]
    said = status(context.known, ca, certificate)
    end = context.now + life(context.topology.cas[ca])
    issuer = context.issuer(context.desired.issuing(ca).address)
    context.writer.write(one.paths.staple, staples.make(certificate, issuer, said, context.now, end))
