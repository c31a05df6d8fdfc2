"""Partners whose certificates `openssl` makes get in by subject, DNS name or URI, and nobody else does by these."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scaffold.running.ports import free_addresses
from scaffold.testing.environment import Environment
from scaffold.verify.model import Probe, Result
from tests.handshake.elsewhere_lab import OpenSslCa, openssl
from tests.handshake.verify_lab import applied, failures, lines
from tests.requirements import require_command

require_command("openssl")

TOPOLOGY = """
version: 1
name: bank
cas:
  root: {{}}
  partner: {{existing: {{certificate: partner/ca.pem, chain: partner/root.pem}}}}
servers:
  desk: {{template: {kind}, issuer: root, listen: "127.0.0.1:8443", names: [localhost], trusts: [partner]}}
clients:
{clients}
"""


@dataclass(frozen=True)
class Desk:
    """A running server, and the CA of the partners whom it lets in."""

    lab: Environment
    folder: Path

    def ask(self, name: str) -> tuple[int, str]:
        """Status and caller, as the server tells the holder of `NAME.pem`."""
        context = ssl.create_default_context(cafile=self.lab.files("ca.root").certificate)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        try:
            with urllib.request.urlopen(f"{self.lab.url('desk')}.mtls/caller", context=context, timeout=90) as answer:
                return answer.status, json.load(answer)["caller"]
        except urllib.error.HTTPError as refused:
            return refused.code, ""


@contextmanager
def running(folder: Path, kind: str, identities: dict[str, str]) -> Iterator[Desk]:
    clients = "\n".join(
        f"  {name}: {{external: {{issuer: partner, identity: {json.dumps(identity)}}}, calls: [desk]}}"
        for name, identity in identities.items()
    )
    (folder / "topology.yaml").write_text(TOPOLOGY.format(kind=kind, clients=clients))
    with Environment.of(folder / "topology.yaml", folder, unavailable=pytest.fail) as lab, lab.start("desk"):
        yield Desk(lab, folder / "partner")


# --- By subject: nginx, HAProxy -------------------------------------------------------------------------------------

# What `openssl req` is told, of which types its strings may be, and what a person writes who has the certificate.
SUBJECTS = {
    "plain": ("/C=NL/O=Partner/CN=plain", "utf8only", "CN=plain,O=Partner,C=NL"),
    "spaced": ("/C=NL/O=Partner/CN=spaced", "utf8only", "CN = spaced, O = Partner, C = NL"),
    "deep": ("/DC=example/DC=partner/OU=a/OU=b/CN=deep", "utf8only", "CN=deep,OU=b,OU=a,DC=partner,DC=example"),
    "comma": ("/O=Partner, Ltd./CN=comma", "utf8only", r"CN=comma,O=Partner\, Ltd."),
    "quoted": (r'/O=The "Partner"/CN=quoted', "utf8only", r"CN=quoted,O=The \"Partner\""),
    "in-quotes": ("/O=Partner; <Ltd.>/CN=in-quotes", "utf8only", 'CN=in-quotes,O="Partner; <Ltd.>"'),
    "regex": (r"/O=a.*b$|(c)\\E^d/CN=regex", "utf8only", r"CN=regex,O=a.*b$|(c)\\E^d"),
    "hash": ("/O=#1/CN=hash", "utf8only", r"CN=hash,O=\#1"),
    "utf8": ("/O=Банка Ћао 日本/CN=utf8", "utf8only", "CN=utf8,O=Банка Ћао 日本"),
    "escaped": ("/O=Zürich/CN=escaped", "utf8only", r"CN=escaped,O=Z\C3\BCrich"),
    "mail": (r"/CN=mail/emailAddress=a\+b@partner.example", "utf8only", r"emailAddress=a\+b@partner.example,CN=mail"),
    "java": ("/CN=java/emailAddress=ops@partner.example", "utf8only", "EMAILADDRESS=ops@partner.example, CN=java"),
    "multi": ("/O=Partner/CN=multi+OU=desk+UID=42", "utf8only", "UID=42+OU=desk+CN=multi,O=Partner"),
    "teletex": ("/O=Zürich/CN=teletex", "default", "CN=teletex,O=Zürich"),
    "bmp": ("/O=Zürich/CN=bmp", "pkix", "CN=bmp,O=Zürich"),
    "bmp-wide": ("/O=日本/CN=bmp-wide", "default", "CN=bmp-wide,O=日本"),
    "multi-long": ("/O=Partner/CN=other+UID=a-long-one", "utf8only", "CN=other+UID=a-long-one,O=Partner"),
}


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def by_subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    require_command(request.param)
    folder = tmp_path_factory.mktemp("subjects")
    ca = OpenSslCa.made(folder / "partner", "Partner")
    for name, (subject, mask, _) in SUBJECTS.items():
        ca.issue(name, subject, purposes="clientAuth", string_mask=mask)
    for name in ("plain-case", "plain-more"):
        subject = {"plain-case": "/C=NL/O=PARTNER/CN=plain", "plain-more": "/C=NL/O=Partner/OU=x/CN=plain"}[name]
        ca.issue(name, subject, purposes="clientAuth")
    ca.sibling("Sibling").issue("impostor", "/C=NL/O=Partner/CN=plain", purposes="clientAuth")
    identities = {name: f"subject:{written}" for name, (_, _, written) in SUBJECTS.items()}
    with running(folder, request.param, identities) as desk:
        yield desk


@pytest.mark.parametrize("name", SUBJECTS)
def test_it_lets_in_whoever_has_the_subject(by_subject: Desk, name: str) -> None:
    status, caller = by_subject.ask(name)
    assert status == 200
    assert caller.startswith("subject:")


@pytest.mark.parametrize("name", ["plain-case", "plain-more", "sibling/impostor"])
def test_it_lets_in_nobody_whose_subject_is_only_alike(by_subject: Desk, name: str) -> None:
    assert by_subject.ask(name)[0] == 403


@pytest.mark.parametrize(("name", "tag"), [("teletex", "T61STRING"), ("bmp", "BMPSTRING"), ("bmp-wide", "BMPSTRING")])
def test_the_old_types_of_string_are_what_they_should_be(by_subject: Desk, name: str, tag: str) -> None:
    assert tag in openssl("asn1parse", "-in", f"{name}.pem", cwd=by_subject.folder)


def test_what_openssl_prints_is_what_may_be_written(by_subject: Desk) -> None:
    """The way that the documentation names: print the subject, and copy it."""
    from scaffold.settings.subjects import stated_subjects

    for name in SUBJECTS:
        printed = openssl(
            "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", f"{name}.pem", cwd=by_subject.folder
        )
        assert printed.strip().removeprefix("subject=") in stated_subjects(f"subject:{SUBJECTS[name][2]}")


# --- By DNS name and URI: Python, Kestrel ---------------------------------------------------------------------------

CERTIFICATES = {
    "dns": ("DNS:gw.partner.example", 200, "dns:gw.partner.example"),
    "many-dns": ("DNS:other.partner.example, DNS:GW.partner.example", 200, "dns:gw.partner.example"),
    "uri": ("URI:https://partner.example/robot", 200, "https://partner.example/robot"),
    "uri-first": ("DNS:gw.partner.example, URI:https://partner.example/robot", 200, "https://partner.example/robot"),
    "uri-not-listed": (
        "DNS:gw.partner.example, URI:https://partner.example/unknown", 200, "dns:gw.partner.example"
    ),
    "other": ("DNS:other.partner.example", 403, ""),
    "wildcard": ("DNS:*.partner.example", 403, ""),
    "below": ("DNS:a.gw.partner.example", 403, ""),
    "uri-that-says-dns": ("URI:dns:gw.partner.example", 403, ""),
    "mail": ("email:gw.partner.example@partner.example", 403, ""),
    "two-uris": ("DNS:gw.partner.example, URI:https://a.example/1, URI:https://a.example/2", 403, ""),
    "nothing": ("", 403, ""),
}  # fmt: skip


@pytest.fixture(scope="module", params=["python", "kestrel"])
def by_san(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    if request.param == "kestrel":
        require_command("dotnet")
    folder = tmp_path_factory.mktemp("names")
    ca = OpenSslCa.made(folder / "partner", "Partner")
    for name, (sans, _, _) in CERTIFICATES.items():
        ca.issue(name, "/CN=gw.partner.example", sans, purposes="clientAuth")
    ca.sibling("Sibling").issue("impostor", "/CN=gw.partner.example", "DNS:gw.partner.example", purposes="clientAuth")
    identities = {"gateway": "dns:gw.partner.example", "robot": "https://partner.example/robot"}
    with running(folder, request.param, identities) as desk:
        yield desk


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_partner_is_known_by_a_name(by_san: Desk, name: str) -> None:
    _, status, caller = CERTIFICATES[name]
    assert by_san.ask(name) == (status, caller)


def test_a_sibling_ca_gets_nobody_in(by_san: Desk) -> None:
    assert by_san.ask("sibling/impostor")[0] == 403


# --- With a certificate that is here, although somebody else issues it ----------------------------------------------

ADOPTED = """
version: 1
name: bank
cas:
  root: {{}}
  partner: {{existing: {{certificate: partner/ca.pem, chain: partner/root.pem}}}}
servers:
  desk: {{template: {kind}, issuer: root, listen: "{desk}", names: [desk.internal]}}
clients:
  robot:
    template: python
    issuer: partner
    calls: [desk]
    existing: {{certificate: partner/robot.pem, key: partner/robot.key, identity: "{identity}"}}
"""


@pytest.mark.parametrize(
    ("kind", "identity"),
    [
        ("python", "dns:robot.partner.example"),
        ("python", "spiffe://partner.example/robot"),
        ("nginx", r"subject:CN=robot,O=Partner\\, Ltd."),
    ],
)
def test_a_client_with_a_certificate_from_elsewhere_gets_in(tmp_path: Path, kind: str, identity: str) -> None:
    if kind == "nginx":
        require_command("nginx")
    ca = OpenSslCa.made(tmp_path / "partner", "Partner")
    sans = "DNS:robot.partner.example, URI:spiffe://partner.example/robot"
    ca.issue("robot", "/O=Partner, Ltd./CN=robot", sans, purposes="clientAuth")
    [address] = free_addresses(1)
    lab = applied(ADOPTED.format(kind=kind, desk=address, identity=identity), tmp_path)
    report = lab.verify()
    assert not failures(report), lines(report)
    [edge] = [check for check in report.checks if check.probe is Probe.EDGE]
    assert edge.result is Result.PASSED, lines(report)
