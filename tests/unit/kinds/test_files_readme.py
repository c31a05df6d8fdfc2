"""What the README of a client without a program says: its commands believe each server by that server's own root."""

from __future__ import annotations

import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.conftest import Household

BANK = """
version: 1
name: bank
cas:
  root: {}
  other: {}
servers:
  desk: {template: python, issuer: root, listen: "127.0.0.1:8443", names: [desk.internal]}
  web: {template: python, issuer: %s, listen: "127.0.0.1:8444", names: [web.internal]}
clients:
  dev: {template: files, issuer: root, calls: [desk, web]%s}
"""
TRUST = re.compile(r"TLS/(?:ca[\w.]*pem|truststore\.p12)")


def readme(household: Household, issuer_of_web: str, more: str = "") -> str:
    household.text = BANK % (issuer_of_web, more)
    household.apply()
    return (household.out / "clients/dev/README.md").read_text()


def commands(text: str) -> list[str]:
    rows = text[text.index("## Configuration of common programs") :].splitlines()
    return [row for row in rows if row.startswith("| ") and not row.startswith("| program")]


@pytest.mark.parametrize("more", ["", ", files: {truststore: true}"])
def test_the_commands_for_a_server_believe_its_own_root_alone(household: Household, more: str) -> None:
    text = readme(household, "other", more)
    desk, web = text.index("### desk"), text.index("### web")
    for name, section in (("desk", text[desk:web]), ("web", text[web:])):
        rows = [row for row in section.splitlines() if row.startswith("| ") and not row.startswith("| program")]
        assert len(rows) == 15
        for row in rows:
            assert set(TRUST.findall(row)) == {f"TLS/ca.{name}.pem"}, row


def test_below_one_root_one_table_does_for_all(household: Household) -> None:
    text = readme(household, "root")
    assert "### desk" not in text
    rows = commands(text)
    assert len(rows) == 15
    assert {one for row in rows for one in TRUST.findall(row)} == {"TLS/ca.pem", "TLS/truststore.p12"}


def test_to_a_client_by_request_nothing_is_recommended_that_needs_its_key(household: Household) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dev")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    (household.folder / "dev.csr").write_bytes(request.public_bytes(serialization.Encoding.PEM))
    text = readme(household, "root", ", csr: dev.csr")
    assert "combined: true" not in text
    assert "(pfx:)" not in text
    assert "YOUR-COMBINED.pem" in text
    assert "combined: true" in readme(household, "root")
