"""Names in other alphabets by the real command: what `validate` allows, `apply` makes, without a word of warning."""

from __future__ import annotations

import pytest

from tests.cli.harness import scaffold

NAMED = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {subject: {common_name: NAME, organization: NAME}}
  issuing: {issuer: root, subject: {common_name: NAME1}, revocation: {crl: 1d, ocsp: 1h}}
servers:
  accounts: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts], subject: {common_name: NAME2}}
  thief: {template: python, issuer: issuing, calls: [accounts], subject: {common_name: NAME3}, fault: wrong-name}
"""


@pytest.mark.parametrize("name", ["Ж" * 35, "Банк-" * 12 + "Жжж", "日" * 63], ids=len)
def test_64_characters_are_allowed_whatever_their_octets(name, tmp_path):
    (tmp_path / "topology.yaml").write_text(NAMED.replace("NAME", name), encoding="utf-8")
    for arguments in (["validate"], ["apply", "--yes"], ["plan", "--check"], ["status"]):
        done = scaffold(*arguments, cwd=tmp_path)
        assert (done.code, done.err) == (0, ""), done
    shown = scaffold("inspect", "bank/clients/teller/tls/cert.pem", cwd=tmp_path)
    octets = "".join(f"\\{octet:02X}" if octet > 0x7F else chr(octet) for octet in f"{name}2".encode())
    assert (shown.code, shown.err) == (0, "")
    assert f"CN={octets}\n" in shown.out


@pytest.mark.parametrize("name", ["Ж" * 65, "x" * 65], ids=lambda name: name[0])
def test_65_are_refused_with_their_place(name, tmp_path):
    text = NAMED.replace("common_name: NAME,", f"common_name: {name},").replace("NAME", "x")
    (tmp_path / "topology.yaml").write_text(text, encoding="utf-8")
    scaffold("validate", cwd=tmp_path).assert_clear_error("longer than 64 characters", "topology.yaml:6")
