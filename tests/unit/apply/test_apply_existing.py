"""CAs that were made elsewhere, with and without their key."""

from __future__ import annotations

import shutil

import pytest

from scaffold.errors import TopologyError
from scaffold.pki import keys
from scaffold.plan.model import Action
from scaffold.topology.model import KeyType
from tests.fresh import encrypted_pem, new_key

ADOPTED = """
version: 1
name: bank
cas:
  own: {}
  partner: {existing: {certificate: partner.pem, chain: chain.pem%s}}
servers:
  accounts: {template: python, issuer: own, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  auditor:
    external: {issuer: partner, identity: "spiffe://partner.example/auditor"}
    calls: [accounts]
"""


@pytest.fixture
def adopting(household, tmp_path):
    """A household that has another one's issuing CA, whose root stands in the chain alone."""
    other = type(household)(tmp_path / "partner")
    other.folder.mkdir()
    other.apply()
    for source, name in (("ca.crt", "partner.pem"), ("chain.pem", "chain.pem"), ("ca.key", "partner.key")):
        shutil.copy(other.out / "pki/issuing" / source, household.folder / name)
    household.root = (other.out / "pki/root/ca.crt").read_bytes()
    household.text = ADOPTED % ""
    return household


def test_a_ca_without_its_key_is_trusted_and_issues_nothing(adopting):
    adopting.apply()
    assert adopting.plan().changes == ()
    found = adopting.files()
    assert found["servers/accounts/tls/ca.pem"] == adopting.root
    assert "pki/partner/ca.crt" in found
    assert not {"pki/partner/ca.key", "pki/partner/crl.pem"} & found.keys()
    assert not any(path.startswith("clients/") for path in found)


def test_a_ca_with_its_key_issues(adopting):
    adopting.text = (ADOPTED % ", key: partner.key").replace("issuer: own,", "issuer: partner,")
    adopting.apply()
    assert adopting.plan().changes == ()
    leaf = adopting.certificate("servers/accounts/tls/cert.pem")
    leaf.verify_directly_issued_by(adopting.certificate("pki/partner/ca.crt"))
    assert "pki/partner/ca.key" not in adopting.files()
    assert "pki/partner/crl.pem" in adopting.files()


def test_another_certificate_is_adopted_anew(adopting, tmp_path):
    adopting.apply()
    again = tmp_path / "partner"
    (again / "bank/pki/issuing/ca.crt").unlink()
    other = type(adopting)(again)
    other.apply()
    shutil.copy(other.out / "pki/issuing/ca.crt", adopting.folder / "partner.pem")
    assert adopting.planned()["ca.partner.certificate"] == (Action.UPDATE, "existing")
    adopting.apply()
    assert adopting.plan().changes == ()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("partner.pem", None, "is not there"),
        ("partner.pem", b"-----BEGIN CERTIFICATE-----\nAAAA", "damaged"),
        ("chain.pem", b"", "damaged"),
        ("partner.key", b"-----BEGIN PRIVATE KEY-----\nAAAA", "damaged"),
        ("partner.key", keys.to_pem(new_key(KeyType.EC_P256)), "not the key"),
        ("partner.key", encrypted_pem(new_key(KeyType.EC_P256), b"x"), "encrypted"),
    ],
)
def test_what_cannot_serve_is_an_error_with_its_place(adopting, name, content, match):
    adopting.text = ADOPTED % ", key: partner.key"
    path = adopting.folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(TopologyError, match=match) as caught:
        adopting.plan()
    assert caught.value.place is not None
    assert not adopting.out.exists()


def test_a_leafs_certificate_is_no_ca(adopting):
    own = type(adopting)(adopting.folder / "elsewhere")
    own.folder.mkdir()
    own.apply()
    shutil.copy(own.out / "servers/accounts/tls/cert.pem", adopting.folder / "partner.pem")
    with pytest.raises(TopologyError, match="not the certificate of a CA"):
        adopting.plan()
