"""The fixture without a server: files, contexts and faults, judged by ssl's own handshakes in memory."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography import x509

from scaffold.errors import AddressError, PkiError, TopologyError
from scaffold.pki.broken import ROGUE_LIFETIME
from scaffold.pki.issue import BACKDATE
from scaffold.testing.broken import Broken
from scaffold.testing.environment import Environment, Files
from scaffold.topology.faults import ABOUT
from tests.unit.testing.handshakes import refusal

LAB = """
version: 1
name: lab
publish: http://127.0.0.1:9080
cas:
  root: {}
  issuing: {issuer: root}
servers:
  api: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl}
  gate: {template: python, issuer: issuing, listen: "127.0.0.1:8444", names: [inner.example], calls: [api]}
clients:
  web: {template: python, issuer: issuing, calls: [api, gate]}
  twin: {template: python, issuer: issuing, calls: [api]}
"""


def unavailable(reason: str) -> NoReturn:
    raise AssertionError(reason)


def of(folder: Path, text: str = LAB) -> Environment:
    (folder / "topology.yaml").write_text(text)
    (folder / "session").mkdir()
    return Environment.of(folder / "topology.yaml", folder / "session", unavailable=unavailable)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with of(tmp_path_factory.mktemp("lab")) as environment:
        yield environment


def test_files_are_where_they_are_said_to_be(lab: Environment) -> None:
    for address in ("web", "client.web", "server.api", "api", "server.gate.client-certificate", "ca.root", "issuing"):
        files = lab.files(address)
        leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = files.key.read_bytes()
        assert b"PRIVATE KEY" in key
        assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
        assert leaf.subject
        assert files.trust.read_bytes() == lab.files("ca.root").certificate.read_bytes()
        assert files.certificate.is_relative_to(files.folder)
    assert lab.files("web").crl is None
    assert lab.files("api").crl.read_bytes().count(b"BEGIN X509 CRL") == 2


@pytest.mark.parametrize("name", ["nobody", "client.nobody", "web.certificate", "ca.web"])
def test_a_name_that_is_nobodys_is_told(lab: Environment, name: str) -> None:
    with pytest.raises(AddressError):
        lab.files(name)


def test_a_name_that_is_two_things_is_told(tmp_path: Path) -> None:
    with (
        of(tmp_path, LAB.replace("twin:", "api:")) as lab,
        pytest.raises(AddressError, match=r"server\.api and client\.api"),
    ):
        lab.files("api")


def test_a_handshake_needs_both_certificates(lab: Environment) -> None:
    assert refusal(lab.ssl_context("api"), lab.ssl_context("web")) is None
    assert refusal(lab.ssl_context("api"), lab.ssl_context("server.gate.client-certificate")) is None
    stranger = ssl.create_default_context(cafile=lab.files("web").trust)
    assert "did not return a certificate" in refusal(lab.ssl_context("api"), stranger)


def test_a_ca_makes_no_connections(lab: Environment) -> None:
    with pytest.raises(AddressError, match="neither a server nor a client"):
        lab.ssl_context("ca.root")


@pytest.mark.parametrize(
    ("fault", "said"),
    [("expired", "certificate has expired"), ("not-yet-valid", "not yet valid"), ("wrong-ca", "unable to get"),
     ("self-signed", "self-signed"), ("wrong-eku", "unsuitable certificate purpose")],
)  # fmt: skip
def test_a_broken_client_is_refused_for_its_fault(lab: Environment, fault: str, said: str) -> None:
    broken = lab.broken("web", fault)
    assert said in refusal(lab.ssl_context("api"), lab.ssl_context(broken)).replace("self signed", "self-signed")


@pytest.mark.parametrize(
    ("fault", "said"),
    [("expired", "certificate has expired"), ("wrong-name", "Hostname mismatch"), ("wrong-ca", "unable to get"),
     ("no-san", "certificate"), ("wrong-eku", "unsuitable certificate purpose")],
)  # fmt: skip
def test_a_broken_server_is_refused_for_its_fault(lab: Environment, fault: str, said: str) -> None:
    broken = lab.broken("api", fault)
    assert said in refusal(lab.ssl_context(broken), lab.ssl_context("web")).replace("self signed", "self-signed")


def test_a_revoked_client_is_refused_and_the_others_are_not(tmp_path: Path) -> None:
    with of(tmp_path) as lab:
        revoked = lab.broken("web", "revoked")
        assert "revoked" in refusal(lab.ssl_context("api"), lab.ssl_context(revoked))
        assert refusal(lab.ssl_context("api"), lab.ssl_context("web")) is None
        lenient = refusal(lab.ssl_context("gate"), lab.ssl_context(revoked), "inner.example")
        assert lenient is None, "a server that does not check revocation lets it in"


def test_what_is_broken_has_the_same_shape(lab: Environment) -> None:
    broken = lab.broken("web", "expired")
    assert isinstance(broken, Files)
    assert broken.trust == lab.files("web").trust
    assert stat.S_IMODE(broken.key.stat().st_mode) == 0o600
    assert broken.folder != lab.broken("web", "expired").folder


def test_an_unknown_fault_is_told_with_the_nearest(lab: Environment) -> None:
    with pytest.raises(ValueError, match='did you mean "expired"'):
        lab.broken("web", "expird")
    with pytest.raises(ValueError, match=r"known: expired, .* lists them"):
        lab.broken("web", "zzz")


def test_what_is_broken_lives_minutes_and_shows_no_key(lab: Environment) -> None:
    leaf = x509.load_pem_x509_certificate(lab.broken("web", "no-san").certificate.read_bytes())
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= ROGUE_LIFETIME + BACKDATE
    assert repr(Broken(b"certificates", b"a key")) == "Broken(…)"


def test_the_same_serial_is_that_of_the_sound_one(lab: Environment) -> None:
    serials = {
        x509.load_pem_x509_certificate(files.certificate.read_bytes()).serial_number
        for files in (lab.files("web"), lab.broken("web", "same-serial"))
    }
    assert len(serials) == 1


def test_what_is_not_revoked_is_on_no_list(tmp_path: Path) -> None:
    with of(tmp_path) as lab:
        lab.broken("web", "expired")
        crl = lab.files("ca.issuing").crl
        assert crl is not None
        assert len(x509.load_pem_x509_crl(crl.read_bytes())) == 0
        lab.broken("web", "revoked")
        assert len(x509.load_pem_x509_crl(crl.read_bytes())) == 1


def test_each_session_publishes_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with of(tmp_path / "one") as one, of(tmp_path / "two") as two:
        assert len({one.topology.publish, two.topology.publish, "http://127.0.0.1:9080"}) == 3
        leaf = x509.load_pem_x509_certificate(one.files("web").certificate.read_bytes())
        points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        assert points[0].full_name[0].value.startswith(one.topology.publish)


def test_a_reproducible_session_has_the_same_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "x")
    text = LAB.replace("cas:", "reproducible: {seed: {env: SEED}, at: 2026-01-01}\ncas:")
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with of(tmp_path / name, text) as lab:
            assert lab.topology.publish == "http://127.0.0.1:9080"
            found.append([lab.files(each).certificate.read_bytes() for each in ("web", "api", "ca.root")])
            assert refusal(lab.ssl_context("api"), lab.ssl_context("web")) is None
    assert found[0] == found[1]


def test_a_topology_that_cannot_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(TopologyError):
        of(tmp_path, LAB.replace("issuer: root", "issuer: rot"))


def test_a_url_names_what_can_be_dialled_here(lab: Environment) -> None:
    assert lab.url("api") == "https://localhost:8443/"
    assert lab.url("server.gate") == "https://127.0.0.1:8444/"


@pytest.mark.parametrize("fault", [one for one in ABOUT if one != "same-name-ca"])
@pytest.mark.parametrize("who", ["web", "api"])
def test_every_fault_can_be_made_of_a_client_and_of_a_server(lab: Environment, fault: str, who: str) -> None:
    broken = lab.broken(who, fault)
    leaf = x509.load_pem_x509_certificates(broken.certificate.read_bytes())[0]
    assert leaf != x509.load_pem_x509_certificate(lab.files(who).certificate.read_bytes())


def test_another_root_of_the_topology_vouches_for_the_same_name(tmp_path: Path) -> None:
    with of(tmp_path, LAB.replace("servers:", "  other: {subject: {common_name: Other}}\nservers:")) as lab:
        _, above = x509.load_pem_x509_certificates(lab.broken("web", "same-name-ca").certificate.read_bytes())
        assert above.issuer.rfc4514_string() == "CN=Other"


def test_a_ca_that_leaves_no_room_has_its_faulty_ones_beside_it(tmp_path: Path) -> None:
    with of(tmp_path, LAB.replace("{issuer: root}", "{issuer: root, path_length: 0}")) as lab:
        _, above = x509.load_pem_x509_certificates(lab.broken("web", "expired-intermediate").certificate.read_bytes())
        root = x509.load_pem_x509_certificate(lab.files("ca.root").certificate.read_bytes())
        above.verify_directly_issued_by(root)


def test_without_the_key_of_its_ca_nothing_can_be_made(tmp_path: Path) -> None:
    with of(tmp_path) as lab:
        lab.files("ca.issuing").key.unlink()
        with pytest.raises(PkiError, match="issuing"):
            lab.broken("web", "expired")


def test_a_fault_that_takes_another_root_is_told_where_there_is_none(lab: Environment) -> None:
    with pytest.raises(PkiError, match="no other root"):
        lab.broken("web", "same-name-ca")


@pytest.mark.parametrize("name", ["nobody", "client.web", "ca.root"])
def test_only_servers_are_started(lab: Environment, name: str) -> None:
    with pytest.raises(AddressError):
        lab.url(name)
