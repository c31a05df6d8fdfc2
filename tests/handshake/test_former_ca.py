"""What the former key of a CA has signed, before an nginx that the plan lets stand; and before one that it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.errors import TopologyError
from scaffold.pki import bundles, keys
from scaffold.pki.issue import Issuer
from scaffold.plan.former_cas import FormerCas
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services
from tests.handshake.nginx_lab import KIND, Authority, Credential, ask, client
from tests.handshake.verify_lab import Lab, applied
from tests.requirements import require_command

require_command("nginx")

BANK = """
version: 1
name: bank
publish: http://127.0.0.1:9080
cas:
  root: {{}}
  issuing: {{issuer: root{subject}}}
servers:
  desk: {{template: nginx, issuer: issuing, listen: "127.0.0.1:{port}", names: [localhost], check_revocation: {check}}}
clients:
  web: {{template: python, issuer: issuing, calls: [desk]}}
"""


def credential(lab: Lab) -> Credential:
    own, *chain = bundles.load_certificates(lab.path("clients/web/tls/cert.pem").read_bytes())
    return Credential(own, _key(lab.path("clients/web/tls/key.pem")), tuple(chain))


def authority(lab: Lab, ca: str) -> Authority:
    certificate = x509.load_pem_x509_certificate(lab.path(f"pki/{ca}/ca.crt").read_bytes())
    chain = () if ca == "root" else (certificate,)
    return Authority(Issuer(certificate, _key(lab.path(f"pki/{ca}/ca.key"))), chain)


def _key(path: Path) -> keys.PrivateKey:
    return keys.load(path.read_bytes())


def text(port: int, check: str = "none", subject: str = "") -> str:
    return BANK.format(port=port, check=check, subject=f", subject: {{common_name: {subject}}}" if subject else "")


@contextmanager
def served(lab: Lab) -> Iterator[None]:
    with Services() as services:
        services.start([Launch("desk", lab.path("servers/desk"), KIND.capabilities.ready or "", {})])
        yield


def statuses(lab: Lab, port: int, *callers: Credential) -> list[int]:
    with served(lab):
        return [ask(port, caller, authority(lab, "root")).status for caller in callers]


@pytest.mark.parametrize(
    ("way_out", "status"),
    [({"check": "crl"}, 400), ({"subject": "Second"}, 403)],
    ids=["CRLs are checked", "another name"],
)
def test_each_way_out_keeps_the_former_key_out(way_out: dict[str, str], status: int, tmp_path: Path) -> None:
    before, minted, lab, port = replaced(tmp_path, **way_out)
    assert statuses(lab, port, before, minted, credential(lab)) == [status, status, 200]


def test_what_is_refused_would_let_it_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TopologyError, match="would let in callers with a certificate by a former key"):
        replaced(tmp_path / "refused")
    monkeypatch.setattr(FormerCas, "errors", lambda *_: ())
    before, minted, lab, port = replaced(tmp_path / "let-in")
    assert statuses(lab, port, before, minted, credential(lab)) == [200, 200, 200]


def replaced(folder: Path, **way_out: str) -> tuple[Credential, Credential, Lab, int]:
    """A bank whose issuing CA lost its key: the caller's certificate of before, and another by the former key."""
    folder.mkdir(exist_ok=True)
    (free,) = free_addresses(1)
    lab = applied(text(free.port), folder)
    before, former = credential(lab), authority(lab, "issuing")
    subject = lab.topology.clients["web"].subject
    minted = client(former, "web", subject=subject)
    shutil.rmtree(lab.path("pki/issuing"))
    return before, minted, applied(text(free.port, **way_out), folder), free.port
