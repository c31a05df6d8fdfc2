"""An ended certificate of a CA in `intermediates.pem`, before real servers that load it as it is.

Beside the CA's certificate of today, which has its name and key, it changes nothing. Alone, as on a host that nobody
has brought the new one to, it lets nobody in, and shuts callers out unless the server passes it over
(Python and .NET do).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.pki import bundles, issue, keys
from scaffold.pki.profiles import CertificateProfile
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services
from scaffold.topology.model import HostPort
from tests.fresh import new_serial
from tests.handshake import postgresql_lab
from tests.handshake.nginx_lab import Authority, Credential, ask
from tests.handshake.verify_lab import Lab, applied
from tests.requirements import require_command

HTTP = ("nginx", "haproxy", "python")

SHOP = """
version: 1
name: shop
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
{servers}
clients:
  web: {{template: {client}, issuer: issuing, calls: [{names}]}}
"""


def shop(folder: Path, client: str, *templates: str) -> Lab:
    """A server of each template, with the name of that."""
    servers = "\n".join(
        f'  {name}: {{template: {name}, issuer: issuing, listen: "{at}", names: [localhost]}}'
        for name, at in zip(templates, free_addresses(len(templates)), strict=True)
    )
    return applied(SHOP.format(servers=servers, client=client, names=", ".join(templates)), folder)


def certificate(lab: Lab, path: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(lab.path(path).read_bytes())


def ended(lab: Lab) -> x509.Certificate:
    """What the issuing CA had before: the same name and key, and an end that has passed."""
    own = certificate(lab, "pki/issuing/ca.crt")
    root = issue.Issuer(certificate(lab, "pki/root/ca.crt"), keys.load(lab.path("pki/root/ca.key").read_bytes()))
    profile = CertificateProfile(lab.topology.cas["issuing"].subject, "ca")
    now = datetime.now(UTC)
    dates = {"not_before": now - timedelta(days=9), "not_after": now - timedelta(minutes=5)}
    former = issue.sign(profile, own.public_key(), root, serial=new_serial(), **dates)
    assert (former.subject, former.public_key()) == (own.subject, own.public_key())
    return former


def known_to(lab: Lab, server: str, *intermediates: x509.Certificate) -> None:
    lab.path(f"servers/{server}/tls/intermediates.pem").write_bytes(bundles.chain_pem(intermediates))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    for command in ("nginx", "haproxy"):
        require_command(command)
    return shop(tmp_path_factory.mktemp("shop"), "python", *HTTP)


@contextmanager
def served(lab: Lab, server: str) -> Iterator[HostPort]:
    ready = lab.kinds[lab.topology.servers[server].address].capabilities.ready or ""
    with Services() as services:
        services.start([Launch(server, lab.path(f"servers/{server}"), ready, {})])
        yield lab.topology.servers[server].listen


def caller(lab: Lab, *chain: x509.Certificate) -> Credential:
    key = keys.load(lab.path("clients/web/tls/key.pem").read_bytes())
    return Credential(certificate(lab, "clients/web/tls/cert.pem"), key, chain)


def gets_in(lab: Lab, at: HostPort, *chain: x509.Certificate) -> bool:
    root = Authority(issue.Issuer(certificate(lab, "pki/root/ca.crt"), keys.load(ca_key(lab))), ())
    try:
        return ask(at.port, caller(lab, *chain), root).status == 200
    except (ssl.SSLError, ConnectionError):
        return False


def ca_key(lab: Lab) -> bytes:
    return lab.path("pki/root/ca.key").read_bytes()


@pytest.mark.parametrize("server", HTTP)
@pytest.mark.parametrize("first", ["ended", "current"])
def test_beside_the_one_of_today_it_changes_nothing(lab: Lab, server: str, first: str) -> None:
    former, current = ended(lab), certificate(lab, "pki/issuing/ca.crt")
    known_to(lab, server, *((former, current) if first == "ended" else (current, former)))
    with served(lab, server) as at:
        for chain in ((current,), (), (former,)):
            assert gets_in(lab, at, *chain)


@pytest.mark.parametrize("server", HTTP)
def test_alone_it_keeps_out_who_should_get_in_and_lets_nobody_in(lab: Lab, server: str) -> None:
    former, current = ended(lab), certificate(lab, "pki/issuing/ca.crt")
    known_to(lab, server, former)
    with served(lab, server) as at:
        assert gets_in(lab, at, current) is (server == "python")
        assert not gets_in(lab, at)
        assert not gets_in(lab, at, former)


def test_postgresql_takes_it_alike(tmp_path: Path) -> None:
    postgresql_lab.require_postgresql()
    lab = shop(tmp_path, "psql", "postgresql")
    former, current = ended(lab), certificate(lab, "pki/issuing/ca.crt")
    own, sent = certificate(lab, "clients/web/tls/cert.pem"), lab.path("clients/web/tls/cert.pem")
    at = lab.topology.servers["postgresql"].listen
    for known, let_in in {(former, current): True, (current, former): True, (former,): False}.items():
        known_to(lab, "postgresql", *known)
        with postgresql_lab.running(lab.path("servers/postgresql"), at):
            sent.write_bytes(bundles.chain_pem([own, current]))
            ran = postgresql_lab.ask(lab.layout, "web", "postgresql", at)
            assert (ran.returncode == 0) is let_in, ran.stderr


@pytest.mark.long
def test_kestrel_passes_it_over(tmp_path: Path) -> None:
    require_command("dotnet")
    lab = shop(tmp_path, "python", "kestrel")
    former, current = ended(lab), certificate(lab, "pki/issuing/ca.crt")
    for known, let_in in {(former, current): [True, True, True], (former,): [True, False, False]}.items():
        known_to(lab, "kestrel", *known)
        with served(lab, "kestrel") as at:
            assert [gets_in(lab, at, *chain) for chain in ((current,), (), (former,))] == let_in


def test_what_apply_writes_has_the_one_of_today_alone(lab: Lab) -> None:
    """Whatever stood there."""
    known_to(lab, "nginx", ended(lab), certificate(lab, "pki/issuing/ca.crt"))
    lab.apply()
    found = bundles.load_certificates(lab.path("servers/nginx/tls/intermediates.pem").read_bytes())
    assert list(found) == [certificate(lab, "pki/issuing/ca.crt")]
