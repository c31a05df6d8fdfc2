"""Each rogue has an allowed identity and exactly one fault, and is not made where its CA's key is not at hand."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.pki import bundles, chains, keys, profiles
from scaffold.pki.profiles import CertificateProfile
from scaffold.store.layout import Layout, ca_paths
from scaffold.store.secrets import Secrets
from scaffold.topology.address import Address
from scaffold.topology.load import load
from scaffold.topology.model import San, SanType, Topology
from scaffold.verify.model import Probe
from scaffold.verify.rogues import MAKERS, Authorities, Forge, NotAtHand, make
from tests.handshake.verify_lab import applied

NOW = datetime.now(UTC)

TOPOLOGY = """
version: 1
name: bank
cas:
  root: {}
  issuing: {issuer: root}
  partner: {}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:1", names: [accounts.internal]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> tuple[Topology, Layout]:
    lab = applied(TOPOLOGY, tmp_path_factory.mktemp("bank"))
    return lab.topology, lab.layout


def forge(t: Topology, layout: Layout, environment: Mapping[str, str] | None = None) -> Forge:
    profile = profiles.for_client_side(t, t.clients["teller"])
    authorities = Authorities(t, layout, Secrets(environment or {}), NOW)
    return Forge(authorities, profile, Address.ca("issuing"), frozenset({"root"}))


def made(probe: Probe, one: Forge) -> tuple[x509.Certificate, ...]:
    (credentials, *_) = make(probe, one)
    return bundles.load_certificates(credentials.certificates)


def wrongs(profile: CertificateProfile, leaf: x509.Certificate, layout: Layout) -> set[str]:
    """Everything about a leaf that is not as the true one's would be."""
    issuing = bundles.load_certificates(layout.path(ca_paths("issuing").certificate).read_bytes())[0]
    found = {str(one.aspect) for one in profiles.differences(profile, leaf)}
    if leaf.issuer != issuing.subject:
        found.add("issuer's name")
    if not chains.signed_by(leaf, issuing):
        found.add("issuer's key")
    if leaf.not_valid_after_utc < NOW:
        found.add("past")
    if leaf.not_valid_before_utc > NOW:
        found.add("to come")
    return found


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (Probe.CONTROL, set()),
        (Probe.OLD_TLS, set()),
        (Probe.FOREIGN_CA, {"issuer's key"}),
        (Probe.SAME_NAME_CA, {"issuer's key"}),
        (Probe.SIBLING_CA, {"issuer's name", "issuer's key"}),
        (Probe.SELF_SIGNED, {"issuer's name", "issuer's key"}),
        (Probe.ISSUED_BY_LEAF, {"issuer's name", "issuer's key"}),
        (Probe.EXPIRED, {"past"}),
        (Probe.NOT_YET_VALID, {"to come"}),
        (Probe.SERVER_CERTIFICATE, {"extended-key-usage"}),
        (Probe.NO_EKU, {"extended-key-usage"}),
    ],
)
def test_each_rogue_is_wrong_in_one_way(probe: Probe, expected: set[str], bank: tuple[Topology, Layout]) -> None:
    t, layout = bank
    one = forge(t, layout)
    leaf, *_ = made(probe, one)
    assert wrongs(one.profile, leaf, layout) == expected
    uris = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "spiffe://bank/client/teller" in uris.get_values_for_type(x509.UniformResourceIdentifier)
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    assert ends - begins <= timedelta(minutes=20)


def test_a_sibling_stands_under_the_true_root(bank: tuple[Topology, Layout]) -> None:
    t, layout = bank
    leaf, sibling = made(Probe.SIBLING_CA, forge(t, layout))
    root = bundles.load_certificates(layout.path(ca_paths("root").certificate).read_bytes())[0]
    assert chains.signed_by(leaf, sibling)
    assert chains.signed_by(sibling, root)


def test_a_namesake_stands_under_the_other_root(bank: tuple[Topology, Layout]) -> None:
    t, layout = bank
    leaf, namesake = made(Probe.SAME_NAME_CA, forge(t, layout))
    partner = bundles.load_certificates(layout.path(ca_paths("partner").certificate).read_bytes())[0]
    assert chains.signed_by(leaf, namesake)
    assert chains.signed_by(namesake, partner)


def test_a_false_server_tries_every_root_that_is_not_trusted(bank: tuple[Topology, Layout]) -> None:
    t, layout = bank
    one = forge(t, layout)
    assert len(make(Probe.FALSE_ROOT, one)) == 2
    assert len(make(Probe.FALSE_ROOT, replace(one, trusted=frozenset({"root", "partner"})))) == 1


NAMES = {
    "accounts.internal": (["wrong-name.accounts.internal"], []),
    "127.0.0.1, accounts.internal": ([], ["127.0.0.0"]),
}


@pytest.mark.parametrize("names", NAMES)
def test_a_false_server_has_the_expected_name_for_its_common_name_alone(
    names: str, bank: tuple[Topology, Layout], tmp_path: Path
) -> None:
    """The type of the expected name decides: beside a name of another, some take the common name all the same."""
    (tmp_path / "topology.yaml").write_text(TOPOLOGY.replace("[accounts.internal]", f"[{names}]"))
    t = load(tmp_path / "topology.yaml")
    authorities = Authorities(t, bank[1], Secrets(), NOW)
    one = Forge(authorities, profiles.for_server(t, t.servers["accounts"]), Address.ca("issuing"), frozenset({"root"}))
    for probe, others in ((Probe.FALSE_COMMON_NAME, NAMES[names]), (Probe.FALSE_LONE_COMMON_NAME, ([], []))):
        leaf, *_ = made(probe, one)
        assert leaf.subject.rfc4514_string() == f"CN={names.partition(',')[0]}"
        sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = list(map(str, sans.get_values_for_type(x509.IPAddress)))
        assert (sans.get_values_for_type(x509.DNSName), addresses) == others
        assert wrongs(one.profile, leaf, bank[1]) == {"subject", "sans"}


def test_a_name_that_no_common_name_can_hold_makes_no_false_server(bank: tuple[Topology, Layout]) -> None:
    t, layout = bank
    long = San(SanType.DNS, f"{'a' * 60}.internal")
    profile = replace(profiles.for_server(t, t.servers["accounts"]), sans=(long,))
    one = replace(forge(t, layout), profile=profile)
    for probe in (Probe.FALSE_COMMON_NAME, Probe.FALSE_LONE_COMMON_NAME):
        with pytest.raises(NotAtHand, match="too long for a common name"):
            make(probe, one)


NEED_A_KEY = set(MAKERS) - {Probe.FOREIGN_CA, Probe.SELF_SIGNED, Probe.FALSE_ROOT}


@pytest.mark.parametrize("probe", MAKERS)
def test_what_needs_a_key_that_is_not_there_is_not_made(
    probe: Probe, tmp_path: Path, bank: tuple[Topology, Layout]
) -> None:
    t, layout = bank
    keyless = Layout(tmp_path / "bank")
    shutil.copytree(layout.out / "pki", keyless.out / "pki", ignore=shutil.ignore_patterns("ca.key"))
    one = replace(forge(t, keyless), profile=profiles.for_server(t, t.servers["accounts"]))
    if probe in NEED_A_KEY:
        with pytest.raises(NotAtHand, match=r"the key of ca\.\w+ cannot be read"):
            make(probe, one)
    else:
        assert make(probe, one)


def test_an_encrypted_key_is_opened_where_its_password_is_at_hand(tmp_path: Path) -> None:
    text = TOPOLOGY.replace("root: {}", "root: {key_password: {env: ROOT_PASSWORD}}")
    passwords = {"ROOT_PASSWORD": "correct horse"}
    lab = applied(text, tmp_path, Secrets(passwords))
    assert keys.is_encrypted(lab.path(ca_paths("root").key).read_bytes())
    assert make(Probe.SIBLING_CA, forge(lab.topology, lab.layout, passwords))
    for wrong, words in (
        ({}, "its password is not available: set ROOT_PASSWORD"),
        ({"ROOT_PASSWORD": "x"}, "cannot be used"),
    ):
        with pytest.raises(NotAtHand, match=words):
            make(Probe.SIBLING_CA, forge(lab.topology, lab.layout, wrong))


def test_a_generated_password_is_read_where_it_was_kept(tmp_path: Path) -> None:
    text = TOPOLOGY.replace("root: {}", "root: {key_password: {generate: true}}")
    lab = applied(text, tmp_path)
    assert make(Probe.SIBLING_CA, forge(lab.topology, lab.layout))


def test_an_adopted_ca_without_its_key_makes_no_rogues(tmp_path: Path, bank: tuple[Topology, Layout]) -> None:
    _, layout = bank
    (tmp_path / "adopted.pem").write_bytes(layout.path(ca_paths("issuing").certificate).read_bytes())
    (tmp_path / "root.pem").write_bytes(layout.path(ca_paths("root").certificate).read_bytes())
    text = """
version: 1
name: guest
cas:
  own: {}
  issuing: {existing: {certificate: adopted.pem, chain: root.pem}}
servers:
  accounts: {template: python, issuer: own, listen: "127.0.0.1:1", names: [accounts.internal]}
clients:
  auditor:
    external: {issuer: issuing, identity: "spiffe://bank/client/auditor"}
    calls: [accounts]
"""
    (tmp_path / "topology.yaml").write_text(text)
    t = load(tmp_path / "topology.yaml")
    profile = profiles.for_client_side(t, t.clients["auditor"])
    authorities = Authorities(t, Layout(tmp_path), Secrets(), NOW)
    one = Forge(authorities, profile, Address.ca("issuing"), frozenset({"issuing"}))
    for probe in (Probe.EXPIRED, Probe.SIBLING_CA):
        with pytest.raises(NotAtHand, match="made elsewhere"):
            make(probe, one)
    assert make(Probe.FOREIGN_CA, one)


ADOPTED = """
version: 1
name: guest
cas:
%s
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:1", names: [accounts.internal]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
"""
ISSUING = "  issuing: {existing: {certificate: issuing.pem, chain: root.pem, key: issuing.key}}"
ROOT = "  root: {existing: {certificate: root.pem, key: root.key}}"
PARTNER = "  partner: {existing: {certificate: partner.pem, key: partner.key}}"
WITHOUT_KEY = "  root: {existing: {certificate: root.pem}}"
SECOND = "  second: {existing: {certificate: second.pem, chain: root.pem, key: second.key}}"


def adopted(folder: Path, layout: Layout, *cas: str) -> Forge:
    """CAs that were made in `layout` and are adopted by another topology."""
    for name in ("root", "issuing", "partner"):
        paths = ca_paths(name)
        (folder / f"{name}.pem").write_bytes(layout.path(paths.certificate).read_bytes())
        (folder / f"{name}.key").write_bytes(layout.path(paths.key).read_bytes())
    signer = Authorities(load(layout.out.parent / "topology.yaml"), layout, Secrets(), NOW)
    second = signer.sibling(Address.ca("issuing")).issuer
    (folder / "second.pem").write_bytes(bundles.pem(second.certificate))
    (folder / "second.key").write_bytes(keys.to_pem(second.key))
    (folder / "topology.yaml").write_text(ADOPTED % "\n".join(cas))
    return forge(load(folder / "topology.yaml"), Layout(folder))


def test_the_root_of_an_adopted_ca_is_found_among_the_others_by_its_key(
    tmp_path: Path, bank: tuple[Topology, Layout]
) -> None:
    one = adopted(tmp_path, bank[1], ROOT, ISSUING)
    assert one.authorities.root_of("issuing") == "root"
    assert one.authorities.other_roots(Address.ca("issuing")) == ()
    with pytest.raises(NotAtHand, match="the topology has no other root"):
        make(Probe.SAME_NAME_CA, one)
    (foreign,) = make(Probe.FALSE_ROOT, one)
    leaf, issuer = bundles.load_certificates(foreign.certificates)
    assert chains.signed_by(leaf, issuer)
    assert not chains.signed_by(issuer, one.authorities.certificate(Address.ca("root")))


def test_beside_an_adopted_ca_stands_a_sibling_where_its_root_is_adopted_too(
    tmp_path: Path, bank: tuple[Topology, Layout]
) -> None:
    one = adopted(tmp_path, bank[1], ISSUING, ROOT)
    _, sibling = made(Probe.SIBLING_CA, one)
    assert chains.signed_by(sibling, one.authorities.certificate(Address.ca("root")))


def test_without_the_root_or_its_key_no_sibling_is_made(tmp_path: Path, bank: tuple[Topology, Layout]) -> None:
    with pytest.raises(NotAtHand, match="the key of the CA above it is not here"):
        make(Probe.SIBLING_CA, adopted(tmp_path, bank[1], ISSUING, PARTNER))
    with pytest.raises(NotAtHand, match=r"ca\.root was made elsewhere, and its key is not here"):
        make(Probe.SIBLING_CA, adopted(tmp_path, bank[1], ISSUING, WITHOUT_KEY))


def test_another_root_stays_another(tmp_path: Path, bank: tuple[Topology, Layout]) -> None:
    one = adopted(tmp_path, bank[1], ROOT, ISSUING, PARTNER)
    assert one.authorities.other_roots(Address.ca("issuing")) == ("partner",)
    _, namesake = made(Probe.SAME_NAME_CA, one)
    assert chains.signed_by(namesake, one.authorities.certificate(Address.ca("partner")))
    assert len(make(Probe.FALSE_ROOT, one)) == 2


def test_two_adopted_cas_below_one_root_are_no_foreigners_to_each_other(
    tmp_path: Path, bank: tuple[Topology, Layout]
) -> None:
    one = adopted(tmp_path, bank[1], ISSUING, SECOND)
    assert one.authorities.root_of("second") == "issuing"
    assert one.authorities.other_roots(Address.ca("issuing")) == ()


def test_an_adopted_root_over_several_is_named_as_itself(tmp_path: Path, bank: tuple[Topology, Layout]) -> None:
    one = adopted(tmp_path, bank[1], SECOND, ISSUING, ROOT)
    assert {one.authorities.root_of(name) for name in ("second", "issuing", "root")} == {"root"}
