"""Certificates for requests: over keys that are never here, with the names and purposes of the topology."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scaffold.errors import TopologyError
from scaffold.pki import requests
from scaffold.pki.crl import Reason
from scaffold.plan.intents import Renew, Revoke
from scaffold.plan.model import Action
from scaffold.plan.plan_subset import plan_due, plan_intents
from scaffold.store.layout import LEDGER
from scaffold.topology.address import Address
from scaffold.view.reasons import sentences
from tests.unit.adopting import Spec, key_pem, make
from tests.unit.conftest import Household, write_kind

BANK = """
version: 1
name: bank
cas: {root: {}, issuing: {issuer: root}}
servers:
  vault:
    template: ./kind
    issuer: issuing
    listen: "127.0.0.1:8200"
    names: [vault.bank.internal, 10.0.0.1]
    csr: vault.csr
    %s
clients:
  teller: {template: python, issuer: issuing, calls: [vault]}
"""
VAULT = Address.parse("server.vault.certificate")
KEY = ec.generate_private_key(ec.SECP256R1())
NAMES = ("vault.bank.internal", "10.0.0.1")

Change = Callable[[x509.CertificateSigningRequestBuilder], x509.CertificateSigningRequestBuilder]


def request(
    *extensions: x509.ExtensionType, subject: str = "", key: object = KEY, algorithm: object = None
) -> x509.CertificateSigningRequest:
    name = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(name))
    for each in extensions:
        builder = builder.add_extension(each, False)
    chosen = algorithm or (None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    return builder.sign(key, chosen)  # type: ignore[arg-type]


def sans(*names: str) -> x509.SubjectAlternativeName:
    import ipaddress

    return x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(each)) if each[0].isdigit() else x509.DNSName(each) for each in names]
    )


def put(household: Household, made: x509.CertificateSigningRequest) -> None:
    (household.folder / "vault.csr").write_bytes(made.public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def vault(household: Household) -> Household:
    write_kind(household.folder / "kind", {"README.md": "one\n", "run.sh": "#!/bin/sh\n"})
    file = household.folder / "kind/cookiecutter.json"
    block = json.loads(file.read_text())
    block["_scaffold"]["supports"].append("csr")
    file.write_text(json.dumps(block))
    household.text = BANK % ""
    put(household, request(sans(*NAMES)))
    return household


def refused(household: Household) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        household.apply()
    assert not household.out.exists()
    return caught.value


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request(sans(*NAMES)),
        request(sans(*reversed(NAMES)), subject="vault"),
        request(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
            x509.BasicConstraints(False, None),
            x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()),
            sans(*NAMES),
        ),
    ],
    ids=["nothing", "names", "subject", "everything"],
)
def test_it_is_certified_with_what_the_topology_says(vault: Household, asked: x509.CertificateSigningRequest) -> None:
    put(vault, asked)
    vault.apply()
    certificate = vault.certificate("servers/vault/tls/cert.pem")
    assert certificate.public_key() == KEY.public_key()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["vault.bank.internal"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://bank/server/vault"]
    assert vault.plan().changes == ()


def test_there_is_no_key(vault: Household) -> None:
    vault.apply()
    assert not (vault.out / "servers/vault/tls/key.pem").exists()
    assert vault.planned() == {}


def test_der_is_read_too(vault: Household) -> None:
    (vault.folder / "vault.csr").write_bytes(request().public_bytes(serialization.Encoding.DER))
    vault.apply()


def test_it_is_renewed_over_the_same_key(vault: Household) -> None:
    vault.apply()
    vault.later(days=75)
    assert str(VAULT) in {str(one.address) for one in plan_due(vault.look()).planned.plan.changes}
    planned = plan_intents(vault.look(), [Renew(VAULT.entity)])
    assert (VAULT, Action.RENEW) in [(one.address, one.action) for one in planned.plan.changes]
    before = vault.certificate("servers/vault/tls/cert.pem")
    vault.carry_out(planned)
    after = vault.certificate("servers/vault/tls/cert.pem")
    assert after.public_key() == KEY.public_key()
    assert after.not_valid_after_utc > before.not_valid_after_utc


def test_another_request_over_another_key_replaces_it(vault: Household) -> None:
    vault.apply()
    other = ec.generate_private_key(ec.SECP256R1())
    put(vault, request(key=other))
    assert vault.planned() == {str(VAULT): (Action.REPLACE, "key-mismatch")}
    (change,) = vault.plan().changes
    # No word of a key file: there is none.
    assert sentences(change) == "the request has another key than servers/vault/tls/cert.pem"
    vault.apply()
    assert vault.certificate("servers/vault/tls/cert.pem").public_key() == other.public_key()
    assert vault.plan().changes == ()


def test_another_request_is_seen_beside_a_key_that_somebody_has_put_there(vault: Household) -> None:
    vault.apply()
    pem = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (vault.out / "servers/vault/tls/key.pem").write_bytes(pem)
    (vault.out / "servers/vault/tls/key.pem").chmod(0o600)
    assert vault.planned() == {}
    put(vault, request(key=ec.generate_private_key(ec.SECP256R1())))
    assert vault.planned() == {str(VAULT): (Action.REPLACE, "key-mismatch")}


def test_once_it_is_revoked_it_takes_another_key(vault: Household) -> None:
    vault.apply()
    before = vault.certificate("servers/vault/tls/cert.pem")
    vault.carry_out(plan_intents(vault.look(), [Revoke(VAULT.entity, Reason.KEY_COMPROMISE)]))
    assert vault.plan().changes == ()
    assert any("has the same key" in str(note) for note in vault.plan().notes)
    assert vault.certificate("servers/vault/tls/cert.pem") == before
    put(vault, request(key=ec.generate_private_key(ec.SECP256R1())))
    vault.apply()
    assert vault.certificate("servers/vault/tls/cert.pem").public_key() != KEY.public_key()


def broken(household: Household) -> None:
    der = bytearray(request(sans(*NAMES)).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    (household.folder / "vault.csr").write_bytes(bytes(der))


def missing(household: Household) -> None:
    (household.folder / "vault.csr").unlink()


def link_to_itself(household: Household) -> None:
    missing(household)
    (household.folder / "vault.csr").symlink_to("vault.csr")


def no_request(household: Household) -> None:
    (household.folder / "vault.csr").write_text(
        "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----"
    )


def asking(*arguments: object, **more: object) -> Callable[[Household], None]:
    return lambda household: put(household, request(*arguments, **more))  # type: ignore[arg-type]


WRONG = {
    "another name": (asking(sans(*NAMES, "other.bank.internal")), "asks for DNS:other.bank.internal", "names"),
    "a name less": (asking(sans("vault.bank.internal")), "does not ask for 10.0.0.1", "names"),
    "another subject": (asking(subject="other"), "the subject CN=other, and the topology says CN=vault", "csr"),
    "another purpose": (
        asking(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])), "asks for extended key usage", "csr",
    ),
    "a CA": (asking(x509.BasicConstraints(True, None)), "asks for basic constraints", "csr"),
    "must-staple": (asking(x509.TLSFeature([x509.TLSFeatureType.status_request])), "asks for must-staple", "csr"),
    "an unknown extension": (
        asking(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")), "1.2.3.4", "csr",
    ),
    "another type of key": (
        asking(key=ed25519.Ed25519PrivateKey.generate()), "of type ed25519, and the topology says ec-p256", "csr",
    ),
    "a weak key": (asking(key=rsa.generate_private_key(65537, 1024)), "RSA key of 1024 bits, which is too weak", "csr"),
    "an unusual curve": (asking(key=ec.generate_private_key(ec.SECP256K1())), "type that is not supported here", "csr"),
    "a broken signature": (broken, "is not signed by its own key", "csr"),
    "no file": (missing, "is not there", "csr"),
    "a link to itself": (link_to_itself, "cannot be read", "csr"),
    "no request": (no_request, "is not a certificate request", "csr"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_will_not_do_is_told_and_changes_nothing(vault: Household, case: str) -> None:
    spoil, words, field = WRONG[case]
    spoil(vault)
    error = refused(vault)
    assert words in error.message
    assert str(error).startswith("server.vault: ")
    assert error.hint
    assert error.place is not None
    assert f"{field}:" in error.place.text


@pytest.mark.parametrize("name", ["root", "issuing"])
@pytest.mark.parametrize("where", ["ledger", "folder"])
def test_the_key_of_a_ca_is_certified_for_nobody_else(vault: Household, name: str, where: str) -> None:
    vault.apply()
    ca = serialization.load_pem_private_key((vault.out / f"pki/{name}/ca.key").read_bytes(), None)
    put(vault, request(key=ca))
    if where == "folder":
        (vault.out / LEDGER).unlink()
    else:
        (vault.out / f"pki/{name}/ca.crt").unlink()
    with pytest.raises(TopologyError) as caught:
        vault.plan()
    error = caught.value
    assert f"has the key of ca.{name}" in error.message
    assert error.place is not None
    assert "csr:" in error.place.text


def test_nor_is_that_of_an_existing_ca_or_of_one_above_it(vault: Household) -> None:
    root = make(Spec("Old Root"))
    issuing = make(Spec("Old Issuing", index=1), root)
    chain = [made.certificate.public_bytes(serialization.Encoding.PEM) for made in (issuing, root)]
    (vault.folder / "ca.pem").write_bytes(b"".join(chain))
    (vault.folder / "ca.key").write_bytes(key_pem(issuing))
    (vault.folder / "ca.key").chmod(0o600)
    existing = "issuing: {existing: {certificate: ca.pem, key: ca.key}}"
    vault.text = vault.text.replace("issuing: {issuer: root}", existing)
    for made in (root, issuing):
        put(vault, request(key=made.key))
        assert "has the key of ca.issuing" in refused(vault).message
    put(vault, request())
    vault.apply()


def test_a_hash_that_proves_nothing_is_told() -> None:
    """No library signs with it any more, so the request is as it was read."""

    class Old:
        signature_hash_algorithm = hashes.SHA1()
        is_signature_valid = True

    assert list(requests._signature(Old())) == [("csr", "is signed with SHA1, which is broken")]  # type: ignore[arg-type]


def test_a_request_that_will_not_do_keeps_nobody_else_from_being_renewed(vault: Household) -> None:
    vault.apply()
    broken(vault)
    vault.later(days=75)
    due = plan_due(vault.look()).planned.plan
    assert "client.teller.certificate" in {str(one.address) for one in due.changes}
    assert str(VAULT) not in {str(one.address) for one in due.changes}
    assert any("is not changed" in str(note) for note in due.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ((BANK % "").replace("./kind", "nginx"), 'template "nginx" needs the private key'),
        (BANK % "pfx: {password: {generate: true}}", "pfx cannot be set for vault"),
        (BANK % "fault: expired", "fault cannot be set for vault"),
        (BANK % "calls: [other]", "has a csr and makes calls"),
    ],
    ids=["template", "pfx", "fault", "calls"],
)
def test_what_needs_the_key_is_refused(vault: Household, text: str, words: str) -> None:
    other = '  other: {template: ./kind, issuer: issuing, listen: "127.0.0.1:8300", names: [localhost]}\nclients:'
    vault.text = text.replace("clients:", other)
    assert words in refused(vault).message
