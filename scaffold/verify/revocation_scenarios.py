"""What the sources of revocation say while probes are tried, scenario by scenario, and whom each scenario concerns.

scenario         the CRLs in tls/ and over HTTP                    OCSP                    who calls gets in
sound         current; the serials of `doomed` are listed       the same serials        unless one of those is shown
down          files as they are; nobody listens                 nobody listens          as `on_unavailable` says
expired CRL   ended an hour ago                                 as in sound             as `on_unavailable` says
unknown       as in sound                                       knows no certificate    never
stale         as in sound                                       ended an hour ago       as `on_unavailable` says
revoked CA    each CA lists those directly below it             the same                never

A checker that reads CRLs from a file gets, for each scenario in which that file differs, a copy of its project with
such a file. One that fetches them believes what it got until its nextUpdate, so it too is copied: the copy has
fetched nothing yet.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

from scaffold.errors import PkiError
from scaffold.kinds.catalogue import Kind
from scaffold.kinds.render import render
from scaffold.pki import bundles, ocsp, staples
from scaffold.pki import crl as crls
from scaffold.pki.issue import Issuer, backdated
from scaffold.pki.keys import spki_sha256
from scaffold.pki.names import rfc2253
from scaffold.settings.derivation import server_settings
from scaffold.settings.peers import looked_up_issuers, needs_crls
from scaffold.settings.values import CaFacts, KeyFacts, Source
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.generations import FIRST
from scaffold.topology.model import Client, OnUnavailable, Party, RevocationCheck, Server, Topology
from scaffold.topology.publication import published_as
from scaffold.verify.credentials import Credentials
from scaffold.verify.model import Expected, Probe
from scaffold.verify.rogues import Authorities, NotAtHand

if TYPE_CHECKING:
    from scaffold.verify.fake_publisher import FakePublisher, Misbehaviour

_ENDED_AGO: Final = timedelta(hours=1)
_LIFETIME: Final = timedelta(hours=1)


class RevocationScenario(enum.Enum):
    """In the order in which they are played: the last would spoil the caches of the others."""

    SOUND = enum.auto()
    DOWN = enum.auto()
    EXPIRED_CRL = enum.auto()
    UNKNOWN = enum.auto()
    STALE = enum.auto()
    REVOKED_CA = enum.auto()


OF_CALLERS: Final[Mapping[RevocationScenario, Probe]] = {
    RevocationScenario.REVOKED_CA: Probe.REVOKED_CA,
    RevocationScenario.EXPIRED_CRL: Probe.EXPIRED_CRL,
    RevocationScenario.DOWN: Probe.RESPONDER_DOWN,
    RevocationScenario.UNKNOWN: Probe.RESPONDER_UNKNOWN,
    RevocationScenario.STALE: Probe.STALE_OCSP,
}
"""What is probed of a server in each scenario, with a sound certificate of a caller."""

OF_CALLEES: Final[Mapping[RevocationScenario, Probe]] = {
    RevocationScenario.REVOKED_CA: Probe.SERVER_REVOKED_CA,
    RevocationScenario.EXPIRED_CRL: Probe.SERVER_EXPIRED_CRL,
    RevocationScenario.DOWN: Probe.SERVER_RESPONDER_DOWN,
    RevocationScenario.UNKNOWN: Probe.SERVER_RESPONDER_UNKNOWN,
    RevocationScenario.STALE: Probe.SERVER_STALE_OCSP,
}
"""The same of a client, with a sound certificate of a server."""

_SCENES: Final = {probe: scenario for each in (OF_CALLERS, OF_CALLEES) for scenario, probe in each.items()}


def scenario_of(probe: Probe) -> RevocationScenario:
    """When a probe is tried."""
    return _SCENES.get(probe, RevocationScenario.SOUND)


# --- Who is concerned ------------------------------------------------------------------------------------------------


def concerning(t: Topology, checker: Party, kind: Kind, issuer: str) -> Mapping[RevocationScenario, Expected]:
    """What must become of a sound certificate from `issuer`, in each scenario that makes a difference to `checker`."""
    check = checker.check_revocation
    if check is RevocationCheck.NONE:
        return {}
    unavailable = Expected.ALLOWED if checker.on_unavailable is OnUnavailable.ALLOW else Expected.REFUSED
    has_ca_above = t.cas[issuer].issuer is not None
    found = {}
    if has_ca_above:
        found[RevocationScenario.REVOKED_CA] = Expected.REFUSED
    if has_ca_above or check is RevocationCheck.CRL:
        found[RevocationScenario.EXPIRED_CRL] = unavailable
    if fetches_crls(kind) or asks_responders(checker, kind):
        found[RevocationScenario.DOWN] = unavailable
    if check is RevocationCheck.OCSP:
        found[RevocationScenario.STALE] = unavailable
        if unavailable is Expected.REFUSED:  # otherwise some take "unknown" for no answer, as they may
            found[RevocationScenario.UNKNOWN] = Expected.REFUSED
    return found


def fetches_crls(kind: Kind) -> bool:
    return "crls_over_http" in kind.capabilities.supports


def demands_staple(client: Client, kind: Kind, server: Server) -> bool:
    """Whether it asks the server itself for an OCSP response: in place of a responder, or since it promised one."""
    wanted = client.check_revocation is RevocationCheck.OCSP or server.must_staple
    return wanted and "demands_staple" in kind.capabilities.supports


def asks_responders(checker: Party, kind: Kind) -> bool:
    by_staple = isinstance(checker, Client) and "demands_staple" in kind.capabilities.supports
    return checker.check_revocation is RevocationCheck.OCSP and not by_staple


def needs_publisher(t: Topology, party: Party, kind: Kind) -> bool:
    """Whether it asks over HTTP for anything while it runs."""
    staples_by_itself = isinstance(party, Server) and party.staple and "staple" in kind.capabilities.supports
    online = party.check_revocation is not RevocationCheck.NONE and fetches_crls(kind)
    return t.publish is not None and (staples_by_itself or online or asks_responders(party, kind))


def needs_copy(t: Topology, checker: Party, kind: Kind, probe: Probe) -> RevocationScenario | None:
    """Of which copy of the checker a probe is tried, or None where it is tried at the checker itself."""
    scenario = scenario_of(probe)
    if fetches_crls(kind):
        keeps_what_it_fetched = scenario in (RevocationScenario.EXPIRED_CRL, RevocationScenario.REVOKED_CA) or (
            scenario is RevocationScenario.DOWN and checker.check_revocation is RevocationCheck.CRL
        )
        return RevocationScenario.DOWN if keeps_what_it_fetched else None
    if needs_crls(t, checker) and scenario in (RevocationScenario.EXPIRED_CRL, RevocationScenario.REVOKED_CA):
        return scenario
    looks_up_ca = needs_crls(t, checker) or asks_responders(checker, kind)
    of_another_ca = probe in (Probe.SIBLING_CA, Probe.SAME_NAME_CA)
    listed = probe in (Probe.REVOKED, Probe.FALSE_REVOKED) and checker.check_revocation is RevocationCheck.CRL
    return RevocationScenario.SOUND if listed or (looks_up_ca and of_another_ca) else None


def check_at_hand(t: Topology, checker: Party, probe: Probe, issuer: str, authorities: Authorities) -> None:
    """Raise NotAtHand where a key beside the issuer's, which a probe's scenario needs, is not here."""
    scenario, above = scenario_of(probe), t.cas[issuer].issuer
    by_ocsp = checker.check_revocation is RevocationCheck.OCSP
    if above is not None and (
        scenario is RevocationScenario.REVOKED_CA or (scenario is RevocationScenario.EXPIRED_CRL and by_ocsp)
    ):
        authorities.issuer(authorities.issuing(above))


# --- Files -----------------------------------------------------------------------------------------------------------


def staged_files(
    t: Topology, checker: Party, kind: Kind, scenario: RevocationScenario, tls: Path, authorities: Authorities
) -> Mapping[str, bytes]:
    """What in `tls/` of a copied checker must be otherwise for a scenario, by file name."""
    found: dict[str, bytes] = {}
    if needs_crls(t, checker) and not fetches_crls(kind):
        file = tls / "crl.pem"
        found[file.name] = _crl_file(t, checker, scenario, file.read_bytes() if file.exists() else b"", authorities)
    if scenario is RevocationScenario.SOUND and isinstance(checker, Server) and asks_responders(checker, kind):
        found |= _naming_rogue_responders(t, checker, kind, authorities)
    return found


def _naming_rogue_responders(t: Topology, server: Server, kind: Kind, authorities: Authorities) -> dict[str, bytes]:
    """The files in which a kind names the responders that it asks, with those of the rogue CAs added."""
    facts = {name: _facts(name, authorities) for name in t.cas}
    true = server_settings(t, server, facts)
    beside = authorities.rogue_cas_beside(looked_up_issuers(t, server))
    added = [Source("rogue", spki_sha256(ca.certificate), ca.pointers.ocsp) for ca in beside if ca.pointers]
    responders = (*true.revocation.responders, *added)
    told = replace(true, revocation=replace(true.revocation, responders=responders))
    before, after = render(kind, true, server.vars), render(kind, told, server.vars)
    changed = (path for path in after if path.startswith("tls/") and before.get(path) != after[path])
    return {path.removeprefix("tls/"): after[path].content for path in changed}


def _facts(name: str, authorities: Authorities) -> CaFacts:
    """What settings must know of a CA: each key by which it is trusted."""
    return CaFacts(tuple(_key_facts(ca, authorities.certificate(ca)) for ca in authorities.trusted(name)))


def _key_facts(ca: Address, certificate: x509.Certificate) -> KeyFacts:
    return KeyFacts(rfc2253(certificate.subject), spki_sha256(certificate), ca.generation or FIRST)


def _crl_file(
    t: Topology, checker: Party, scenario: RevocationScenario, current: bytes, authorities: Authorities
) -> bytes:
    """What is in `tls/crl.pem` of a checker in a scenario, in PEM. `current` is its file as it is.

    Lists whose CA's key is not at hand stay as they are. In the sound scenario the rogue CAs' own are added.
    """
    names = dict.fromkeys(ca.name for issuer in looked_up_issuers(t, checker) for ca in graph.chain(t, issuer))
    lists = list(crls.load_all(current)) if current.strip() else []
    for ca in (ca for name in names for ca in authorities.trusted(name)):
        with contextlib.suppress(NotAtHand):
            certificate = authorities.certificate(ca)
            before = next((one for one in lists if crls.signed_by(one, certificate)), None)
            after = _crl(t, ca, scenario, before, authorities)
            lists = [one for one in lists if one is not before] + [after]
    if scenario is RevocationScenario.SOUND:
        ends = authorities.now + _LIFETIME
        beside = authorities.rogue_cas_beside(looked_up_issuers(t, checker))
        lists += [crls.build(ca.issuer, 1, backdated(authorities.now), ends) for ca in beside]
    return b"".join(map(crls.to_pem, lists))


def _crl(
    t: Topology, ca: Address, scenario: RevocationScenario, before: crls.Crl | None, authorities: Authorities
) -> crls.Crl:
    now, serials = authorities.now, [authorities.doomed(ca)]
    if scenario is RevocationScenario.REVOKED_CA:
        serials += _serials_below(t, ca, authorities)
    ends = now - _ENDED_AGO if scenario is RevocationScenario.EXPIRED_CRL else now + _LIFETIME
    known = crls.entries(before) if before is not None else ()
    revoked = {serial: crls.Revoked(serial, now, crls.Reason.KEY_COMPROMISE) for serial in serials}
    number = (crls.number(before) or 0) + 1 if before is not None else 1
    entries = {**{one.serial: one for one in known}, **revoked}
    return crls.build(authorities.issuer(ca), number, ends - 2 * _LIFETIME, ends, entries.values())


def _serials_below(t: Topology, ca: Address, authorities: Authorities) -> Iterator[int]:
    """Of the CAs that are directly below this one."""
    below = (one.name for one in t.cas.values() if one.issuer == ca.name)
    return (authorities.certificate(one).serial_number for name in below for one in authorities.trusted(name))


def staple(client: Client, probe: Probe, shown: Credentials, issuer: Issuer, now: datetime) -> bytes:
    """The DER response that is stapled to a certificate from `issuer` where its client demands one."""
    leaf = bundles.load_certificates(shown.certificates)[0]
    status: ocsp.Status = ocsp.State.GOOD
    if probe is Probe.FALSE_REVOKED and client.check_revocation is RevocationCheck.OCSP:  # otherwise a CRL says so
        status = crls.Revoked(leaf.serial_number, now, crls.Reason.KEY_COMPROMISE)
    if scenario_of(probe) is RevocationScenario.UNKNOWN:
        status = ocsp.State.UNKNOWN
    ends = now - _ENDED_AGO if scenario_of(probe) is RevocationScenario.STALE else now + _LIFETIME
    return staples.make(leaf, issuer, status, ends - 2 * _LIFETIME, ends)


# --- Over HTTP -------------------------------------------------------------------------------------------------------


class Publishing:
    """The publisher of a verification, if it has one, and how it plays each scenario."""

    def __init__(self, t: Topology, authorities: Authorities, publisher: FakePublisher | None) -> None:
        """Raises PkiError where a CA that is at hand cannot sign."""
        self._t = t
        self._authorities = authorities
        self._publisher = publisher
        authorities.publisher = publisher
        if publisher is not None:
            for ca in at_hand(t, authorities):
                publisher.revoke(published_as(ca), authorities.doomed(ca))

    @contextlib.contextmanager
    def playing(self, scenario: RevocationScenario) -> Iterator[None]:
        """The scenario lasts as long as the block."""
        if self._publisher is None or scenario is RevocationScenario.SOUND:
            yield
            return
        with contextlib.ExitStack() as stack:
            self._begin(scenario, self._publisher, stack)
            yield

    def _begin(self, scenario: RevocationScenario, publisher: FakePublisher, stack: contextlib.ExitStack) -> None:
        if scenario is RevocationScenario.DOWN:
            stack.enter_context(publisher.down())
            return
        for ca in at_hand(self._t, self._authorities):
            if scenario is RevocationScenario.REVOKED_CA:
                publisher.revoke(published_as(ca), *_serials_below(self._t, ca, self._authorities))
            else:
                with contextlib.suppress(PkiError):  # a CA that publishes no such thing
                    stack.enter_context(publisher.misbehaving(_misbehaviour(scenario), published_as(ca)))


def _misbehaviour(scenario: RevocationScenario) -> Misbehaviour:
    from scaffold.verify.fake_publisher import Misbehaviour

    return {
        RevocationScenario.EXPIRED_CRL: Misbehaviour.EXPIRED_CRL,
        RevocationScenario.UNKNOWN: Misbehaviour.UNKNOWN,
        RevocationScenario.STALE: Misbehaviour.STALE,
    }[scenario]


def at_hand(t: Topology, authorities: Authorities) -> Iterator[Address]:
    """The CAs that are trusted and whose keys are here."""
    for ca in (ca for name in t.cas for ca in authorities.trusted(name)):
        with contextlib.suppress(NotAtHand):
            authorities.issuer(ca)
            yield ca
