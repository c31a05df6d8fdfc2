"""The publisher that verify stages: it vouches for rogues, publishes for rogue CAs, and misbehaves when told to."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from scaffold.errors import PkiError
from scaffold.pki import broken, bundles, crl, keys, ocsp, profiles
from scaffold.pki.issue import Issuer
from scaffold.running.ports import free_addresses
from scaffold.store.layout import Layout
from scaffold.store.lock import hold
from scaffold.verify.fake_publisher import FakePublisher, Misbehaviour, fake_publisher
from tests.requirements import require_command
from tests.unit.publish.lab import BANK, ask, delegates, read


@pytest.fixture
def bank(household):
    (free,) = free_addresses(1)
    household.text = BANK.replace("127.0.0.1:9080", str(free))
    household.now = datetime.now(UTC).replace(microsecond=0)
    household.apply()
    return household


@pytest.fixture
def publisher(bank):
    project = bank.open()
    with fake_publisher(project.topology, project.layout, lambda: bank.now) as found:
        assert found is not None
        yield found


def fetch(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data=body, timeout=90) as answer:
        return answer.read()


def issuer(bank, ca: str) -> Issuer:
    key = keys.load((bank.out / f"pki/{ca}/ca.key").read_bytes())
    return Issuer(bank.certificate(f"pki/{ca}/ca.crt"), key)


def status(bank, publisher: FakePublisher, serial: int, ca: str = "issuing") -> str:
    return ask(publisher, ca, serial, bank.certificate(f"pki/{ca}/ca.crt"), bank.now).status


def listed(publisher: FakePublisher, ca: str = "issuing") -> crl.Crl:
    return crl.load(fetch(publisher.pointers(ca).crl))


def test_it_vouches_for_rogues_alone(bank, publisher):
    assert status(bank, publisher, 4711) == "UNKNOWN"
    publisher.vouch("issuing", 4711)
    assert status(bank, publisher, 4711) == "GOOD"
    assert status(bank, publisher, 4712) == "UNKNOWN"
    teller = bank.certificate("clients/teller/tls/cert.pem")
    assert status(bank, publisher, teller.serial_number) == "GOOD"


def test_it_revokes_in_ocsp_and_crl_and_nowhere_on_disk(bank, publisher):
    before = bank.files()
    real = listed(publisher)
    publisher.vouch("issuing", 4711)
    publisher.revoke("issuing", 4711)
    assert status(bank, publisher, 4711) == "REVOKED"
    altered = listed(publisher)
    assert [entry.serial for entry in crl.entries(altered)] == [4711]
    assert crl.number(altered) == crl.number(real) + 1
    assert crl.signed_by(altered, bank.certificate("pki/issuing/ca.crt"))
    assert bank.files() == before
    assert delegates(bank.out) == []
    assert bank.planned() == {}


def test_a_rogue_ca_has_a_crl_and_a_responder_of_its_own(bank, publisher):
    rogue = broken.namesake_ca(issuer(bank, "root"), bank.certificate("pki/issuing/ca.crt"), bank.now)
    where = publisher.adopt(rogue)
    found = crl.load(fetch(where.crl))
    assert crl.signed_by(found, rogue.certificate)
    assert not crl.signed_by(found, bank.certificate("pki/issuing/ca.crt"))
    assert bundles.load_certificates(fetch(where.ca)) == (rogue.certificate,)
    asked = ocsp.build_request([ocsp.cert_id(5, rogue.certificate)])
    assert read(fetch(where.ocsp, asked), rogue.certificate).status == "GOOD"
    assert crl.load(publisher.rogue_crls) == found


def test_ocsp_finds_the_rogue_ca_at_the_pointer_of_the_one_it_imitates(bank, publisher):
    rogue = broken.sibling_ca(issuer(bank, "root"), bank.certificate("pki/issuing/ca.crt"), bank.now)
    asked = ocsp.build_request([ocsp.cert_id(5, rogue.certificate)])
    url = publisher.pointers("issuing").ocsp
    assert read(fetch(url, asked), rogue.certificate).status == "UNAUTHORIZED"
    publisher.adopt(rogue)
    assert read(fetch(url, asked), rogue.certificate).status == "GOOD"
    assert status(bank, publisher, 5) == "UNKNOWN", "of the true CA it says what it said"


def test_openssl_finds_one_fault_less_in_a_rogue_with_pointers_of_its_own(bank, publisher, tmp_path):
    """The sibling's leaf, checked by CRL: with the CRL of the CA that it imitates it fails, with its own it passes."""
    require_command("openssl")
    project = bank.open()
    rogue_ca = broken.sibling_ca(issuer(bank, "root"), bank.certificate("pki/issuing/ca.crt"), bank.now)
    where = publisher.adopt(rogue_ca)
    profile = profiles.for_client_side(project.topology, project.topology.clients["teller"])
    profile = dataclasses.replace(profile, crl_url=where.crl, ocsp_url=where.ocsp, ca_url=where.ca)
    rogue = broken.rogue(profile, rogue_ca, bank.now)
    (tmp_path / "leaf.pem").write_bytes(bundles.pem(rogue.certificate))
    (tmp_path / "ca.pem").write_bytes(bundles.pem(rogue_ca.certificate))

    def verified(ca: str) -> subprocess.CompletedProcess[str]:
        crls = crl.to_pem(listed(publisher, "root")) + crl.to_pem(crl.load(fetch(publisher.pointers(ca).crl)))
        (tmp_path / "crls.pem").write_bytes(crls)
        return subprocess.run(
            ["openssl", "verify", "-crl_check_all", "-CAfile", bank.out / "pki/root/ca.crt",
             "-untrusted", "ca.pem", "-CRLfile", "crls.pem", "leaf.pem"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert verified("rogue_1").returncode == 0
    assert "unable to get certificate CRL" in verified("issuing").stderr


def test_an_expired_crl_is_served_within_the_block_alone(bank, publisher):
    with publisher.misbehaving(Misbehaviour.EXPIRED_CRL, "issuing"):
        expired = listed(publisher)
        assert expired.next_update_utc < bank.now
        assert crl.signed_by(expired, bank.certificate("pki/issuing/ca.crt"))
        assert listed(publisher, "root").next_update_utc > bank.now
    assert listed(publisher).next_update_utc > bank.now


def test_it_answers_unknown_and_stale_within_the_block_alone(bank, publisher):
    teller = bank.certificate("clients/teller/tls/cert.pem").serial_number
    issuing = bank.certificate("pki/issuing/ca.crt")
    for _ in range(2):
        assert status(bank, publisher, teller) == "GOOD"
        with publisher.misbehaving(Misbehaviour.UNKNOWN):
            assert status(bank, publisher, teller) == "UNKNOWN"
        with publisher.misbehaving(Misbehaviour.STALE, "issuing"):
            said = ask(publisher, "issuing", teller, issuing, bank.now)
            assert said.status == "GOOD"
            assert said.next_update <= bank.now - timedelta(hours=1)
        assert ask(publisher, "issuing", teller, issuing, bank.now).next_update > bank.now


def test_unavailable_is_503_and_down_is_refused(bank, publisher):
    url = publisher.pointers("issuing").crl
    with publisher.misbehaving(Misbehaviour.UNAVAILABLE, "issuing"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(url)
        assert caught.value.code == 503
        assert fetch(publisher.pointers("root").crl)
    assert fetch(url)
    with publisher.down():
        with pytest.raises(urllib.error.URLError) as refused:
            fetch(url)
        assert isinstance(refused.value.reason, ConnectionRefusedError)
    assert fetch(url)


def test_blocks_may_be_nested_and_end_however_they_end(bank, publisher):
    with contextlib.suppress(ZeroDivisionError), publisher.misbehaving(Misbehaviour.UNKNOWN):
        with publisher.misbehaving(Misbehaviour.UNKNOWN):
            pass
        assert status(bank, publisher, bank.certificate("clients/teller/tls/cert.pem").serial_number) == "UNKNOWN"
        raise ZeroDivisionError
    assert status(bank, publisher, bank.certificate("clients/teller/tls/cert.pem").serial_number) == "GOOD"


def test_openssl_calls_a_stale_answer_stale(bank, publisher):
    require_command("openssl")

    def openssl() -> str:
        done = subprocess.run(
            ["openssl", "ocsp", "-issuer", "pki/issuing/ca.crt", "-CAfile", "pki/root/ca.crt", "-no_nonce",
             "-verify_other", "pki/issuing/ca.crt", "-cert", "clients/teller/tls/cert.pem",
             "-url", publisher.pointers("issuing").ocsp],
            cwd=bank.out, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    assert "Response verify OK" in openssl()
    assert "Status times invalid" not in openssl()
    with publisher.misbehaving(Misbehaviour.STALE):
        assert "Status times invalid" in openssl()


def test_what_only_a_closed_key_could_sign_is_refused_and_an_opened_one_serves(bank):
    bank.text = bank.text.replace("root: {}", "root: {key_password: {env: ROOT}, revocation: {crl: 90d}}")
    bank.environment = {"ROOT": "correct horse battery staple"}
    bank.apply()
    project = bank.open()
    with fake_publisher(project.topology, project.layout, lambda: bank.now) as publisher:
        with pytest.raises(PkiError, match=r"ca\.root"), publisher.misbehaving(Misbehaviour.EXPIRED_CRL, "root"):
            pass
        with pytest.raises(PkiError, match=r"ca\.root"):
            publisher.revoke("root", 1)
    key = keys.load((bank.out / "pki/root/ca.key").read_bytes(), b"correct horse battery staple")
    opened = {"root": Issuer(bank.certificate("pki/root/ca.crt"), key)}
    with fake_publisher(project.topology, project.layout, lambda: bank.now, opened) as publisher:
        publisher.revoke("root", 1)
        assert [entry.serial for entry in crl.entries(listed(publisher, "root"))] == [1]


def test_it_needs_no_lock_and_nothing_where_nothing_is_published(bank):
    project = bank.open()
    with (
        hold(Layout(bank.out), bank.now),
        fake_publisher(project.topology, project.layout, lambda: bank.now) as publisher,
    ):
        assert status(bank, publisher, bank.certificate("clients/teller/tls/cert.pem").serial_number) == "GOOD"
    bank.text = bank.text.replace("publish:", "# publish:").replace(", revocation: {crl: 1d, ocsp: 1h}", "")
    project = bank.open()
    with fake_publisher(project.topology, project.layout, lambda: bank.now) as publisher:
        assert publisher is None
