"""Common names as long as X.520 allows: what validate accepts, apply can issue."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.cli.harness import in_process as scaffold

TOPOLOGY = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {subject: {common_name: "NAME"}}
  issuing: {issuer: root, subject: {common_name: "NAMO"}}
servers:
  api:
    {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], subject: {common_name: "NAMU"}}
clients:
  caller: {template: python, issuer: issuing, calls: [api], subject: {common_name: "NAMY"}, fault: wrong-name}
"""


def common_name(file: Path) -> str:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)


@pytest.mark.filterwarnings("ignore:Attribute's length")  # `cryptography` counts octets, X.520 characters
@pytest.mark.parametrize("letter", ["c", "Ж", "北", "😀"])
@pytest.mark.parametrize("length", [35, 64])
def test_what_is_valid_is_issued(letter: str, length: int, tmp_path: Path) -> None:
    start = letter * (length - 1)
    (tmp_path / "topology.yaml").write_text(TOPOLOGY.replace("NAM", start), encoding="utf-8")
    assert scaffold("validate", cwd=tmp_path).code == 0
    ended = scaffold("apply", "--yes", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert common_name(tmp_path / "bank/pki/root/ca.crt") == f"{start}E"
    assert common_name(tmp_path / "bank/servers/api/tls/cert.pem") == f"{start}U"
    planned = scaffold("plan", "--check", cwd=tmp_path)
    assert (planned.code, planned.err) == (0, "")


@pytest.mark.parametrize("letter", ["c", "Ж", "😀"])
def test_65_characters_are_refused_by_validate(letter: str, tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY.replace("NAM", letter * 64), encoding="utf-8")
    scaffold("validate", cwd=tmp_path).assert_clear_error("longer than 64 characters", mistakes=4)
