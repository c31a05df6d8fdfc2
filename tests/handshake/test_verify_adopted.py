"""CAs of other people that plan takes, before the real servers: whoever may call gets in, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from scaffold.pki import crl as crls
from scaffold.verify.model import Probe, Result
from tests.handshake.verify_lab import applied, lines
from tests.requirements import require_command
from tests.unit.adopting import Made, Spec, crl, key_pem, made_by_openssl, make

TOPOLOGY = """
version: 1
name: guests
cas:
  partner: {existing: {certificate: ca.pem, chain: chain.pem, key: ca.key%s}}
servers:
  accounts: {template: %s, listen: "127.0.0.1:18443", names: [a.corp.example]%s}
clients:
  teller: {template: %s, calls: [accounts]}
  stranger: {template: %s}
"""


def old_root(folder: Path) -> tuple[Made, list[Made]]:
    """A root that is signed with SHA-1, and a CA below that it limits in every way."""
    root = made_by_openssl(folder / "x", "Teletex Root", "-sha1", config="string_mask=MASK:4")
    limits = x509.NameConstraints([x509.DNSName(".corp.example"), x509.UniformResourceIdentifier("guests")], None)
    both = (x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH)
    return make(Spec(constraints=(True, 0, True), names=limits, purposes=both), root), [root]


def crossed_root(folder: Path) -> tuple[Made, list[Made]]:
    """A root that an older one has signed too, which is there as well."""
    older = make(Spec("Old Root X3", index=5))
    root = make(Spec("Root X1", index=1))
    crossed = make(Spec("Root X1", index=1), older)
    return make(Spec(), root), [crossed, older, root]


def without_identifiers(folder: Path) -> tuple[Made, list[Made]]:
    root = make(Spec("Plain Root", index=1, identifiers=(), usages=None))
    return make(Spec(identifiers=(), usages=None, constraints=(True, None, False)), root), [root]


@pytest.mark.parametrize(
    ("theirs", "server", "client"),
    [
        (old_root, "nginx", "curl"),
        (old_root, "python", "python"),
        (crossed_root, "python", "curl"),
        (without_identifiers, "nginx", "curl"),
    ],
)
@pytest.mark.parametrize("check", ["", ", check_revocation: crl"])
def test_what_plan_takes_works(tmp_path, theirs, server, client, check):
    require_command(server if server == "nginx" else "openssl", "curl")
    ca, chain = theirs(tmp_path)
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    (tmp_path / "ca.key").write_bytes(key_pem(ca))
    (tmp_path / "chain.pem").write_bytes(b"".join(one.pem for one in chain))
    lists = [crl(ca), *(crl(one) for one in chain if one.certificate.issuer == one.certificate.subject)]
    (tmp_path / "ca.crl").write_bytes(b"".join(map(crls.to_pem, lists)))
    brought = ", crl: ca.crl" if check else ""
    report = applied(TOPOLOGY % (brought, server, check, client, client), tmp_path).verify()
    assert not report.failed, lines(report)
    edge = next(one for one in report.checks if one.client == "teller" and one.probe is Probe.EDGE)
    assert edge.result is Result.PASSED
    assert any(one.probe is Probe.NOT_ALLOWED and one.result is Result.PASSED for one in report.checks)
