"""A server's certificate from a public CA, its callers' from a private one: real handshakes while it is renewed."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scaffold.errors import TopologyError
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services
from scaffold.topology.address import Address
from scaffold.topology.model import HostPort
from scaffold.verify.model import Probe, Result
from tests.handshake.elsewhere_lab import OpenSslCa
from tests.handshake.nginx_lab import until
from tests.handshake.verify_lab import Lab, applied, failures, lines
from tests.requirements import require_command

require_command("openssl")

TOPOLOGY = """
version: 1
name: shop
cas: {{root: {{}}, issuing: {{issuer: root}}}}
servers:
  web:
    template: {kind}
    listen: "{web}"
    names: [www.bank.example]
    calls: [accounts]
    issuer: issuing
    existing: {{certificate: live/fullchain.pem, key: live/privkey.pem, trust: live/roots.pem}}
  accounts: {{template: python, issuer: issuing, listen: "{accounts}", names: [accounts.bank.internal]}}
clients:
  teller: {{template: {client}, issuer: issuing, calls: [web, accounts]}}
"""
KINDS = (
    ("nginx", "curl"),
    ("python", "python"),
    pytest.param(("kestrel", "dotnet"), marks=pytest.mark.long),
)


@dataclass(frozen=True)
class Shop:
    """The applied topology, and where its public certificate comes from."""

    lab: Lab
    ca: OpenSslCa
    folder: Path

    @property
    def address(self) -> HostPort:
        return self.lab.topology.servers["web"].listen

    def certify(self, *, key: bool = True) -> bytes:
        """What the CA's client does at a renewal: a new key, a new certificate, both renamed into place."""
        made = self.ca.issue("web", "/CN=www.bank.example", "DNS:www.bank.example, DNS:bank.example")
        for source, name in ((made, "fullchain.pem"), (made.with_suffix(".key"), "privkey.pem")):
            if name == "fullchain.pem" or key:
                new = self.folder / "live" / f"{name}.new"
                shutil.copy(source, new)
                new.replace(self.folder / "live" / name)
        return made.read_bytes()

    def apply(self) -> None:
        self.lab.apply()

    def launch(self) -> Launch:
        kind = self.lab.kinds[Address.server("web")]
        return Launch("web", self.lab.path("servers/web"), kind.capabilities.ready or "")

    def ask(self) -> tuple[int, bytes]:
        """Status, and the certificate that was shown to the teller, who trusts the public root for it."""
        tls = self.lab.path("clients/teller/tls")
        context = ssl.create_default_context(cafile=str(tls / "ca.web.pem"))
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=90)
        plain = socket.create_connection((self.address.host, self.address.port), 90)
        try:
            secured = context.wrap_socket(plain, server_hostname="www.bank.example")
            connection.sock = secured
            shown = secured.getpeercert(binary_form=True) or b""
            connection.request("GET", "/.mtls/caller")
            return connection.getresponse().status, shown
        finally:
            connection.close()
            plain.close()


@pytest.fixture(scope="module", params=KINDS, ids=lambda kinds: f"{kinds[0]}-{kinds[1]}")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    kind, client = request.param
    for command in {"nginx": ("nginx", "curl"), "kestrel": ("dotnet",)}.get(kind, ()):
        require_command(command)
    folder = tmp_path_factory.mktemp("shop")
    ca = OpenSslCa.made(folder / "public", "Public")
    (folder / "live").mkdir()
    shutil.copy(ca.folder / "root.pem", folder / "live/roots.pem")
    web, accounts = free_addresses(2)
    made = Shop(None, ca, folder)  # type: ignore[arg-type]
    made.certify()
    text = TOPOLOGY.format(kind=kind, client=client, web=web, accounts=accounts)
    return Shop(applied(text, folder), ca, folder)


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(
        pem.decode().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    )


def test_verify_proves_it(shop: Shop) -> None:
    """The teller believes its public certificate, and none that the topology's own CAs could make in its place."""
    report = shop.lab.verify()
    assert not failures(report), lines(report)
    passed = {(check.client, check.server, check.probe) for check in report.checks if check.result is Result.PASSED}
    assert {
        ("teller", "web", Probe.EDGE),
        ("teller", "web", Probe.FALSE_ROOT),
        ("web", "accounts", Probe.EDGE),
        ("teller", "accounts", Probe.EDGE),
    } <= passed


@dataclass
class Hammer:
    """Calls without a pause from several threads, and keeps what came of it."""

    shop: Shop
    outcomes: Counter[object] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Hammer:
        self.threads = [threading.Thread(target=self._run) for _ in range(3)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _run(self) -> None:
        while not self.stop.is_set():
            try:
                outcome: object = self.shop.ask()
            except OSError as error:
                outcome = repr(error)
            self.outcomes[outcome] += 1


def test_a_renewal_at_the_source_is_taken_over_without_a_lost_request(shop: Shop) -> None:
    first = der(shop.certify())
    shop.apply()
    with Services() as services:
        [service] = services.start([shop.launch()])
        with Hammer(shop) as hammer:
            until(lambda: hammer.outcomes[200, first] > 5)
            second = der(shop.certify())
            shop.apply()
            service.reload()
            until(lambda: hammer.outcomes[200, second] > 5)
        until(lambda: shop.ask() == (200, second))  # a worker that is ending may have taken one more connection
    assert set(hammer.outcomes) == {(200, first), (200, second)}


def test_a_pair_that_does_not_match_changes_nothing(shop: Shop) -> None:
    served = der(shop.certify())
    shop.apply()
    with Services() as services:
        [service] = services.start([shop.launch()])
        new = der(shop.certify(key=False))
        with pytest.raises(TopologyError, match="is not the key of the certificate"):
            shop.apply()
        service.reload()
        assert shop.ask() == (200, served)
        shutil.copy(shop.ca.folder / "web.key", shop.folder / "live/privkey.pem")
        shop.apply()
        service.reload()
        until(lambda: shop.ask() == (200, new))
