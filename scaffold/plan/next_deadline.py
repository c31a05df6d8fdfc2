"""When time itself will next ask for something: the moment until which a watcher may sleep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from scaffold.errors import ScaffoldError
from scaffold.kinds.catalogue import Kind
from scaffold.pki import crl as crls
from scaffold.pki import staples as stapled
from scaffold.plan.desired import Desired, DesiredCertificate, DesiredParty, desire
from scaffold.plan.staples import due_at, has_staple, life
from scaffold.store.layout import Layout
from scaffold.store.observation import Observation
from scaffold.topology.address import Address
from scaffold.topology.generations import ONE_EACH, Generations
from scaffold.topology.model import Fault, Topology


def next_due(
    t: Topology,
    kinds: Mapping[Address, Kind],
    layout: Layout,
    now: datetime,
    generations: Generations = ONE_EACH,
) -> datetime | None:
    """The first moment after `now` at which something becomes due, as far as what is there says it."""
    observed, desired = Observation(layout), desire(t, generations=generations)
    return min((moment for moment in _moments(desired, observed, kinds, now) if moment > now), default=None)


def _moments(
    desired: Desired, observed: Observation, kinds: Mapping[Address, Kind], now: datetime
) -> Iterator[datetime]:
    asked: list[DesiredCertificate] = [*desired.kept_up()]
    for party in desired.parties:
        asked.extend(party.certificates)
        if has_staple(party, kinds[party.party.address]):
            yield from _staple(desired, observed, party, now)
    for one in asked:
        seen = observed.certificate(one.paths.certificate).certificate
        if seen is not None and one.fault not in (Fault.EXPIRED, Fault.NOT_YET_VALID):
            yield seen.not_valid_after_utc - one.window
    for ca in desired.cas:
        crl = observed.crl(ca.paths.crl).crl if ca.signs_crl else None
        if crl is not None and (half := crls.half_of_life(crl, ca.crl_life)) is not None:
            yield half


def _staple(desired: Desired, observed: Observation, one: DesiredParty, now: datetime) -> Iterator[datetime]:
    issuer = desired.topology.cas[one.party.issuer]
    ca = desired.issuing(issuer.name).paths.certificate
    certificate, signer = (observed.certificate(path).certificate for path in (one.paths.own.certificate, ca))
    content = observed.content(one.paths.staple)
    if certificate is None or signer is None or content is None:
        return
    try:
        yield due_at(stapled.read(content, certificate, signer, now), life(issuer))
    except ScaffoldError:
        return
