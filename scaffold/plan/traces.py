"""What a CA has left in an output folder whose records are lost: certificates by its name, and trust in it.

The ledger knows what CAs were made. Where it is gone too, a CA whose files are lost would look as if it had never
been made; but those below it name it as their issuer, and servers and clients hold it among their roots.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from scaffold.errors import Unreadable
from scaffold.pki import bundles, profiles
from scaffold.plan.desired import Desired, IssuedCertificate, MadeCa
from scaffold.store.observation import Observation


def has_left_traces(ca: MadeCa, desired: Desired, observed: Observation) -> bool:
    """Whether anything in the folder was issued by, or trusts, a CA of this name."""
    name = profiles.subject_name(ca.certificate.profile.subject)
    return name in _issuers(ca.ca.name, desired, observed) or name in _roots(desired, observed)


def _issuers(ca: str, desired: Desired, observed: Observation) -> Iterator[x509.Name]:
    for asked in (*desired.of_cas(), *desired.of_parties()):
        if isinstance(asked, IssuedCertificate) and asked.issuer == ca and observed.exists(asked.paths.certificate):
            there = observed.certificate(asked.paths.certificate).certificate
            if there is not None:
                yield there.issuer


def _roots(desired: Desired, observed: Observation) -> Iterator[x509.Name]:
    for one in desired.parties:
        for path in filter(observed.exists, (one.paths.trust, one.paths.client_trust)):
            try:
                yield from (root.subject for root in bundles.load_certificates(observed.content(path) or b""))
            except Unreadable:
                continue
