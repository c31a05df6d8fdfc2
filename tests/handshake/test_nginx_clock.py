"""The real nginx on a host whose clock is a minute behind, with CRLs that were signed a moment ago."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from scaffold.pki import bundles, crl, keys
from scaffold.pki.issue import Issuer
from scaffold.running.ports import free_addresses
from scaffold.topology.address import Address
from tests.handshake.nginx_lab import WITHIN, until
from tests.handshake.verify_lab import Lab, applied
from tests.other_clock import command_at
from tests.requirements import require_command

require_command("nginx")

TOPOLOGY = """
version: 1
name: bank
publish: http://127.0.0.1:{publish}
cas:
  root: {{}}
  issuing: {{issuer: root}}
servers:
  accounts: {{template: nginx, issuer: issuing, listen: "{listen}", names: [localhost], check_revocation: crl}}
clients:
  teller: {{template: python, issuer: issuing, calls: [accounts]}}
"""


@pytest.fixture
def lab(tmp_path) -> Lab:
    publish, listen = free_addresses(2)
    return applied(TOPOLOGY.format(publish=publish.port, listen=listen), tmp_path)


@contextlib.contextmanager
def a_minute_behind(lab: Lab) -> Iterator[None]:
    project, ready = lab.path("servers/accounts"), lab.kinds[Address.server("accounts")].capabilities.ready
    log = project.parent / "log"
    with log.open("w") as output:
        command = [*command_at("-60s"), str(project / "run.sh")]
        process = subprocess.Popen(command, cwd=project, stdout=output, stderr=output, start_new_session=True)
    try:
        until(lambda: re.search(ready or "", log.read_text(), re.MULTILINE) is not None)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(WITHIN)


def gets_in(lab: Lab) -> bool:
    """Whether the teller is answered; nginx hangs up on a certificate that it does not take."""
    tls = lab.path("clients/teller/tls")
    context = ssl.create_default_context(cafile=str(lab.path("pki/root/ca.crt")))
    context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
    listen = lab.topology.servers["accounts"].listen
    connection = http.client.HTTPSConnection("localhost", listen.port, context=context, timeout=WITHIN)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (ConnectionResetError, http.client.RemoteDisconnected, ssl.SSLError):
            return False


def test_the_caller_gets_in(lab):
    with a_minute_behind(lab):
        assert gets_in(lab)


def test_with_lists_that_begin_now_nobody_gets_in(lab):
    """Why they are backdated: nginx forgives no clock."""
    now = datetime.now(UTC)
    lists = []
    for name in ("root", "issuing"):
        folder = lab.path(f"pki/{name}")
        certificate = bundles.load_certificates((folder / "ca.crt").read_bytes())[0]
        issuer = Issuer(certificate, keys.load((folder / "ca.key").read_bytes()))
        lists.append(crl.to_pem(crl.build(issuer, 9, now, now + timedelta(days=1))))
    lab.path("servers/accounts/tls/crl.pem").write_bytes(b"".join(lists))
    with a_minute_behind(lab):
        assert not gets_in(lab)
