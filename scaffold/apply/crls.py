"""Signs the CRL of one CA, and touches nothing else: what a publisher does, whatever state other CAs are in."""

from __future__ import annotations

from datetime import datetime

from scaffold.apply.authorities import sign_crl
from scaffold.apply.context import ApplyContext
from scaffold.pki.randomness import Randomness
from scaffold.plan.authorities import Authorities
from scaffold.plan.basis import Basis
from scaffold.plan.desired import Desired, DesiredCa
from scaffold.store import existing
from scaffold.store.observation import Observation
from scaffold.store.secrets import Secrets


def sign_alone(one: DesiredCa, desired: Desired, observed: Observation, now: datetime, randomness: Randomness) -> None:
    """Signs with a key that no password guards. The caller holds the lock, and has looked since.

    Raises ScaffoldError where the key, the certificate or the ledger is not as it must be.
    """
    adopted = {one.ca.name: existing.load(desired.topology, one.ca)} if one.ca.existing is not None else {}
    basis, unplanned = Basis(desired, observed, adopted, {}, now), Authorities(desired.topology, {})
    sign_crl(ApplyContext(basis, unplanned, Secrets(), randomness, lambda change: None), one)
