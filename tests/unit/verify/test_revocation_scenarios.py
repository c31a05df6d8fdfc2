"""Whom each scenario concerns, what is copied for it, and what stands in the copies' CRLs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaffold.kinds.catalogue import Kind, find
from scaffold.pki import bundles
from scaffold.pki import crl as crls
from scaffold.store.layout import ca_paths
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address
from scaffold.topology.load import loads
from scaffold.topology.model import Party, Topology
from scaffold.verify import revocation_scenarios
from scaffold.verify.model import Expected, Probe
from scaffold.verify.revocation_scenarios import RevocationScenario, concerning, needs_copy, needs_publisher
from scaffold.verify.rogues import Authorities, NotAtHand
from tests.handshake.verify_lab import Lab, applied

TOPOLOGY = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root, revocation: {crl: 1d, ocsp: 1h}}
  asked: {issuer: root, revocation: {ocsp: 1h}}
servers:
  none: {template: python, issuer: issuing, listen: "127.0.0.1:1", names: [localhost]}
  lists: {template: python, issuer: issuing, listen: "127.0.0.1:2", names: [localhost], check_revocation: crl}
  asks: {template: nginx, issuer: issuing, listen: "127.0.0.1:3", names: [localhost], check_revocation: ocsp}
  lenient:
    {template: python, issuer: issuing, listen: "127.0.0.1:4", names: [localhost], check_revocation: ocsp,
     on_unavailable: allow}
  fetches: {template: kestrel, issuer: issuing, listen: "127.0.0.1:5", names: [localhost], check_revocation: crl}
  dotnet: {template: kestrel, issuer: asked, listen: "127.0.0.1:6", names: [localhost], check_revocation: ocsp}
  stapling: {template: nginx, issuer: issuing, listen: "127.0.0.1:7", names: [localhost], staple: true}
  itself: {template: kestrel, issuer: issuing, listen: "127.0.0.1:8", names: [localhost], staple: true}
clients:
  demanding: {template: curl, issuer: issuing, calls: [stapling], check_revocation: ocsp}
  caller: {template: python, issuer: issuing, calls: [none, lists, asks, lenient, fetches]}
  other: {template: python, issuer: asked, calls: [dotnet]}
"""

REFUSED, ALLOWED = Expected.REFUSED, Expected.ALLOWED
BOTH_OF_CAS = {RevocationScenario.REVOKED_CA: REFUSED, RevocationScenario.EXPIRED_CRL: REFUSED}
BOTH_OF_OCSP = {RevocationScenario.STALE: REFUSED, RevocationScenario.UNKNOWN: REFUSED}


@pytest.fixture(scope="module")
def t() -> Topology:
    return loads(TOPOLOGY.encode(), Path("topology.yaml"))


def party(t: Topology, name: str) -> tuple[Party, Kind]:
    found: Party = t.servers[name] if name in t.servers else t.clients[name]
    return found, find(found.template, "server" if name in t.servers else "client", Path.cwd())


@pytest.mark.parametrize(
    ("name", "issuer", "expected"),
    [
        ("none", "issuing", {}),
        ("lists", "issuing", BOTH_OF_CAS),
        ("lists", "root", {RevocationScenario.EXPIRED_CRL: REFUSED}),
        ("asks", "issuing", {**BOTH_OF_CAS, **BOTH_OF_OCSP, RevocationScenario.DOWN: REFUSED}),
        ("asks", "root", {**BOTH_OF_OCSP, RevocationScenario.DOWN: REFUSED}),
        (
            "lenient",
            "issuing",
            {
                RevocationScenario.REVOKED_CA: REFUSED,
                RevocationScenario.EXPIRED_CRL: ALLOWED,
                RevocationScenario.DOWN: ALLOWED,
                RevocationScenario.STALE: ALLOWED,
            },
        ),
        ("fetches", "issuing", {**BOTH_OF_CAS, RevocationScenario.DOWN: REFUSED}),
        ("dotnet", "asked", {**BOTH_OF_CAS, **BOTH_OF_OCSP, RevocationScenario.DOWN: REFUSED}),
        ("demanding", "issuing", {**BOTH_OF_CAS, **BOTH_OF_OCSP}),
    ],
)
def test_a_scene_concerns_those_for_whom_it_makes_a_difference(
    name: str, issuer: str, expected: dict[RevocationScenario, Expected], t: Topology
) -> None:
    assert concerning(t, *party(t, name), issuer) == expected


@pytest.mark.parametrize(
    ("name", "copies"),
    [
        ("none", {}),
        (
            "lists",
            {
                Probe.SIBLING_CA: RevocationScenario.SOUND,
                Probe.REVOKED: RevocationScenario.SOUND,
                Probe.EXPIRED_CRL: RevocationScenario.EXPIRED_CRL,
                Probe.REVOKED_CA: RevocationScenario.REVOKED_CA,
            },
        ),
        (
            "asks",
            {
                Probe.SIBLING_CA: RevocationScenario.SOUND,
                Probe.EXPIRED_CRL: RevocationScenario.EXPIRED_CRL,
                Probe.REVOKED_CA: RevocationScenario.REVOKED_CA,
            },
        ),
        # Nothing that the one itself has fetched may be believed any more: one other starts with nothing.
        (
            "fetches",
            dict.fromkeys((Probe.EXPIRED_CRL, Probe.REVOKED_CA, Probe.RESPONDER_DOWN), RevocationScenario.DOWN),
        ),
        ("dotnet", dict.fromkeys((Probe.EXPIRED_CRL, Probe.REVOKED_CA), RevocationScenario.DOWN)),
    ],
)
def test_who_keeps_lists_is_copied_for_other_lists(
    name: str, copies: dict[Probe, RevocationScenario], t: Topology
) -> None:
    probes = (Probe.CONTROL, Probe.SIBLING_CA, Probe.REVOKED, *revocation_scenarios.OF_CALLERS.values())
    found = {probe: needs_copy(t, *party(t, name), probe) for probe in probes}
    assert {probe: scenario for probe, scenario in found.items() if scenario is not None} == copies


def test_the_publisher_runs_for_those_who_ask(t: Topology) -> None:
    asking = {name for name in (*t.servers, *t.clients) if needs_publisher(t, *party(t, name))}
    assert asking == {"asks", "lenient", "fetches", "dotnet", "itself"}


# --- Files -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    text = TOPOLOGY.split("  none:")[0] + TOPOLOGY[TOPOLOGY.index("  lists:") : TOPOLOGY.index("  asks:")]
    text += "clients:\n  caller: {template: python, issuer: issuing, calls: [lists]}\n"
    return applied(text, tmp_path_factory.mktemp("scenes"))


def staged(lab: Lab, scenario: RevocationScenario) -> tuple[dict[str, crls.Crl], Authorities]:
    """The CRLs of the copy of `lists`, by their issuers' common names, and who made them."""
    authorities = Authorities(lab.topology, lab.layout, Secrets(), datetime.now(UTC))
    server, kind = party(lab.topology, "lists")
    tls = lab.path("servers/lists/tls")
    (content,) = revocation_scenarios.staged_files(lab.topology, server, kind, scenario, tls, authorities).values()
    found = crls.load_all(content)
    return {one.issuer.rfc4514_string(): one for one in found}, authorities


def serials(one: crls.Crl) -> set[int]:
    return {entry.serial for entry in crls.entries(one)}


def test_in_the_sound_scene_the_doomed_are_listed_and_rogue_cas_have_lists(lab: Lab) -> None:
    found, authorities = staged(lab, RevocationScenario.SOUND)
    assert found.keys() == {"CN=root", "CN=issuing", "CN=issuing sibling"}
    assert serials(found["CN=issuing"]) == {authorities.doomed(Address.ca("issuing"))}
    assert serials(found["CN=root"]) == {authorities.doomed(Address.ca("root"))}
    assert serials(found["CN=issuing sibling"]) == set()
    for one in found.values():
        assert one.next_update_utc is not None
        assert one.next_update_utc > authorities.now


def test_in_the_others_lists_have_ended_or_name_the_issuing_ca(lab: Lab) -> None:
    found, authorities = staged(lab, RevocationScenario.EXPIRED_CRL)
    assert {one.next_update_utc < authorities.now - timedelta(minutes=30) for one in found.values()} == {True}
    found, authorities = staged(lab, RevocationScenario.REVOKED_CA)
    issuing = bundles.load_certificates(lab.path(ca_paths("issuing").certificate).read_bytes())[0]
    assert issuing.serial_number in serials(found["CN=root"])
    assert crls.signed_by(found["CN=root"], authorities.certificate(Address.ca("root")))


def test_what_no_key_here_can_sign_is_said(lab: Lab, tmp_path: Path) -> None:
    authorities = Authorities(lab.topology, lab.layout, Secrets(), datetime.now(UTC))
    server, _ = party(lab.topology, "lists")
    revocation_scenarios.check_at_hand(lab.topology, server, Probe.REVOKED_CA, "issuing", authorities)
    key = lab.path(ca_paths("root").key)
    key.rename(tmp_path / "away")
    try:
        keyless = Authorities(lab.topology, lab.layout, Secrets(), datetime.now(UTC))
        with pytest.raises(NotAtHand, match=r"the key of ca\.root cannot be read"):
            revocation_scenarios.check_at_hand(lab.topology, server, Probe.REVOKED_CA, "issuing", keyless)
        revocation_scenarios.check_at_hand(lab.topology, server, Probe.REVOKED, "issuing", keyless)
    finally:
        (tmp_path / "away").rename(key)
