"""What verify makes of a CA with two keys: rogues, lists, pointers and responders of each that is trusted."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from cryptography import x509

from scaffold.apply import apply
from scaffold.kinds.catalogue import Kind
from scaffold.pki import bundles, chains, profiles
from scaffold.pki import crl as crls
from scaffold.pki.names import rfc2253
from scaffold.plan.make import plan_all
from scaffold.running.ports import free_addresses
from scaffold.store.layout import ca_paths
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address
from scaffold.topology.generations import FIRST, ONE_EACH, Generations, GenerationState, States
from scaffold.topology.model import Server
from scaffold.verify import revocation_scenarios
from scaffold.verify.fake_publisher import Misbehaviour, fake_publisher
from scaffold.verify.model import Probe
from scaffold.verify.revocation_scenarios import Publishing, RevocationScenario, at_hand
from scaffold.verify.rogues import Authorities, Forge, NotAtHand, make
from tests.handshake.verify_lab import Lab, applied
from tests.unit.publish.lab import ask

TOPOLOGY = """
version: 1
name: rotated
publish: http://{publish}
cas:
  root: {{}}
  issuing: {{issuer: root, revocation: {{crl: 1d, ocsp: 1h}}}}
  below: {{issuer: issuing}}
servers:
  lists: {{template: python, issuer: issuing, listen: "127.0.0.1:18443", names: [localhost], check_revocation: crl}}
  asks: {{template: python, issuer: issuing, listen: "127.0.0.1:18444", names: [localhost], check_revocation: ocsp}}
clients:
  caller: {{template: python, issuer: issuing, calls: [lists, asks]}}
"""

ISSUING, TRUSTED = GenerationState.ISSUING, GenerationState.TRUSTED
INTRODUCED: States = {1: ISSUING, 2: GenerationState.UPCOMING}
SWITCHED: States = {1: TRUSTED, 2: ISSUING}
OVER: States = {1: GenerationState.RETIRED, 2: ISSUING}

FIRST_ONE, SECOND = Address.ca("issuing"), Address.ca("issuing", generation=2)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Both CAs have two generations, of which the second issues."""
    (publish,) = free_addresses(1)
    one = applied(TOPOLOGY.format(publish=publish), tmp_path_factory.mktemp("rotated"))
    for states in (INTRODUCED, SWITCHED):
        one = dataclasses.replace(one, generations=Generations({"root": states, "issuing": states}))
        apply(plan_all(one.look()), one.secrets)
    return one


def authorities(lab: Lab, generations: Generations | None = None) -> Authorities:
    now = datetime.now(UTC)
    return Authorities(lab.topology, lab.layout, Secrets(), now, generations=generations or lab.generations)


def on_disk(lab: Lab, ca: str, generation: int = FIRST) -> x509.Certificate:
    return bundles.load_certificates(lab.path(ca_paths(ca, generation).certificate).read_bytes())[0]


def forge(found: Authorities, lab: Lab, ca: Address) -> Forge:
    profile = profiles.for_client_side(lab.topology, lab.topology.clients["caller"], ca.generation or FIRST)
    return Forge(found, profile, ca, frozenset({"root"}))


# --- Which there are -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "issuing", "trusted"),
    [
        (INTRODUCED, FIRST_ONE, (FIRST_ONE, SECOND)),
        (SWITCHED, SECOND, (SECOND, FIRST_ONE)),
        (OVER, SECOND, (SECOND,)),
    ],
)
def test_the_one_that_issues_comes_first_and_none_that_is_retired(lab, states, issuing, trusted):
    found = authorities(lab, Generations({"issuing": states}))
    assert (found.issuing("issuing"), found.trusted("issuing")) == (issuing, trusted)


def test_where_nothing_is_said_of_generations_there_is_one(lab):
    found = authorities(lab, ONE_EACH)
    assert found.trusted("issuing") == (FIRST_ONE,)
    assert found.certificate(FIRST_ONE) == on_disk(lab, "issuing")


def test_each_has_its_certificate_its_key_and_its_way_up(lab):
    found = authorities(lab)
    for ca in (FIRST_ONE, SECOND):
        certificate = on_disk(lab, "issuing", ca.generation or FIRST)
        assert found.certificate(ca) == found.issuer(ca).certificate == certificate
        assert found.intermediates(ca) == (certificate,)
        assert chains.signed_by(certificate, on_disk(lab, "root", 2)), "the root that issues has signed both"
    below = Address.ca("below")
    assert found.intermediates(below) == (found.certificate(below), found.certificate(SECOND))
    assert found.doomed(FIRST_ONE) != found.doomed(SECOND)


def test_whoever_has_signed_a_leaf_is_found(lab):
    found = authorities(lab)
    for ca in (FIRST_ONE, SECOND):
        leaf, *_ = bundles.load_certificates(make(Probe.CONTROL, forge(found, lab, ca))[0].certificates)
        assert found.signer_of("issuing", leaf) == ca
        assert found.signer_of("root", leaf) == Address.ca("root", generation=2)


def test_a_key_that_is_not_here_is_named_with_its_generation(lab, tmp_path):
    key = lab.path(ca_paths("issuing", 2).key)
    key.rename(tmp_path / "away")
    try:
        found = authorities(lab)
        with pytest.raises(NotAtHand, match=r"the key of ca\.issuing@2 cannot be read"):
            found.issuer(SECOND)
        assert [str(ca) for ca in at_hand(lab.topology, found)] == ["ca.root@2", "ca.root", "ca.issuing", "ca.below"]
    finally:
        (tmp_path / "away").rename(key)


# --- What is made ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ca", [FIRST_ONE, SECOND], ids=str)
def test_rogues_imitate_one_generation(lab, ca):
    found = authorities(lab)
    one, certificate = forge(found, lab, ca), on_disk(lab, "issuing", ca.generation or FIRST)

    def chain(probe: Probe) -> tuple[x509.Certificate, ...]:
        return bundles.load_certificates(make(probe, one)[0].certificates)

    leaf, *sent = chain(Probe.CONTROL)
    assert chains.signed_by(leaf, certificate)
    assert sent == [certificate]
    name = "issuing" if ca is FIRST_ONE else "issuing.2"
    assert crls.points_of(leaf) == {f"{lab.topology.publish}/crl/{name}.crl"}
    assert chain(Probe.REVOKED)[0].serial_number == found.doomed(ca)
    stranger, _ = chain(Probe.FOREIGN_CA)
    assert stranger.issuer == certificate.subject
    assert not chains.signed_by(stranger, certificate)
    _, sibling = chain(Probe.SIBLING_CA)
    assert rfc2253(sibling.subject) == f"{rfc2253(certificate.subject)} sibling"
    assert chains.signed_by(sibling, on_disk(lab, "root", 2))
    assert crls.points_of(sibling) == {f"{lab.topology.publish}/crl/root.2.crl"}


# --- Lists and responders in files -----------------------------------------------------------------------------------


def checker(lab: Lab, name: str) -> tuple[Server, Kind]:
    server = lab.topology.servers[name]
    return server, lab.kinds[server.address]


def staged(lab: Lab, scenario: RevocationScenario, found: Authorities) -> dict[str, crls.Crl]:
    server, kind = checker(lab, "lists")
    tls = lab.path("servers/lists/tls")
    (content,) = revocation_scenarios.staged_files(lab.topology, server, kind, scenario, tls, found).values()
    return {rfc2253(one.issuer): one for one in crls.load_all(content)}


def serials(one: crls.Crl) -> set[int]:
    return {entry.serial for entry in crls.entries(one)}


def test_every_generation_lists_its_doomed(lab):
    found = authorities(lab)
    lists = staged(lab, RevocationScenario.SOUND, found)
    cas = {rfc2253(found.certificate(ca).subject): ca for name in ("root", "issuing") for ca in found.trusted(name)}
    assert cas.keys() == {"CN=root", "CN=root G2", "CN=issuing", "CN=issuing G2"}
    assert lists.keys() == cas.keys() | {"CN=issuing sibling", "CN=issuing G2 sibling"}
    for name, ca in cas.items():
        assert serials(lists[name]) == {found.doomed(ca)}, name
        assert crls.signed_by(lists[name], found.certificate(ca)), name


def test_where_cas_are_revoked_each_root_lists_every_generation_below_it(lab):
    lists = staged(lab, RevocationScenario.REVOKED_CA, authorities(lab))
    below = {on_disk(lab, "issuing", generation).serial_number for generation in (1, 2)}
    assert below <= serials(lists["CN=root"])
    assert below <= serials(lists["CN=root G2"])


def test_no_list_of_a_generation_stays_current_where_lists_have_ended(lab):
    found = authorities(lab)
    lists = staged(lab, RevocationScenario.EXPIRED_CRL, found)
    assert len(lists) == 4
    assert all(one.next_update_utc < found.now for one in lists.values())


def test_a_copy_that_asks_knows_the_responders_of_all(lab):
    found = authorities(lab)
    server, kind = checker(lab, "asks")
    with fake_publisher(lab.topology, lab.layout, lambda: found.now) as publisher:
        Publishing(lab.topology, found, publisher)
        tls = lab.path("servers/asks/tls")
        told = revocation_scenarios.staged_files(
            lab.topology, server, kind, RevocationScenario.SOUND, tls, found
        ).values()
    text = b"".join(told).decode()
    for url in ("/ocsp/issuing", "/ocsp/issuing.2", "/ocsp/rogue_1", "/ocsp/rogue_2"):
        assert f'{lab.topology.publish}{url}"' in text, url


# --- Over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
def playing(lab):
    found = authorities(lab)
    issuers = {"root": found.issuer(Address.ca("root"))}
    with fake_publisher(lab.topology, lab.layout, lambda: found.now, issuers) as publisher:
        yield found, publisher, Publishing(lab.topology, found, publisher)


@pytest.mark.parametrize(("ca", "name"), [(FIRST_ONE, "issuing"), (SECOND, "issuing.2")])
def test_the_publisher_answers_for_each_with_its_own_key(lab, playing, ca, name):
    found, publisher, _ = playing
    certificate = found.certificate(ca)

    def status(serial: int) -> str:
        return ask(publisher, name, serial, certificate, found.now).status

    assert status(found.doomed(ca)) == "REVOKED"
    assert status(4711) == "UNKNOWN"
    leaf = bundles.load_certificates(make(Probe.CONTROL, forge(found, lab, ca))[0].certificates)[0]
    assert status(leaf.serial_number) == "GOOD"
    listed = crls.load(publisher.crl(name).body)
    assert crls.signed_by(listed, certificate)
    assert serials(listed) == {found.doomed(ca)}


def test_each_scenario_is_played_for_all_generations(lab, playing):
    found, publisher, publishing = playing
    with publishing.playing(RevocationScenario.REVOKED_CA):
        below = {on_disk(lab, "issuing", generation).serial_number for generation in (1, 2)}
        for name in ("root", "root.2"):
            assert below <= serials(crls.load(publisher.crl(name).body)), name
    with publishing.playing(RevocationScenario.EXPIRED_CRL):
        for name in ("issuing", "issuing.2", "root", "root.2"):
            assert crls.load(publisher.crl(name).body).next_update_utc < found.now, name
    with publishing.playing(RevocationScenario.UNKNOWN):
        for name, ca in (("issuing", FIRST_ONE), ("issuing.2", SECOND)):
            answer = ask(publisher, name, found.doomed(ca), found.certificate(ca), found.now)
            assert answer.status == "UNKNOWN", name


def test_one_generation_may_misbehave_alone(playing):
    found, publisher, _ = playing
    with publisher.misbehaving(Misbehaviour.EXPIRED_CRL, "issuing.2"):
        assert crls.load(publisher.crl("issuing.2").body).next_update_utc < found.now
        assert crls.load(publisher.crl("issuing").body).next_update_utc > found.now
