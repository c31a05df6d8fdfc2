"""After `trust install` curl, Java and Chromium reach a rendered server with no root named, and after `uninstall` not.

It is nginx, which demands a client's certificate: curl and Java have one, and Chromium, which has none, is told so by
the server itself, on a page that it shows only once it has accepted the server's certificate.
"""

from __future__ import annotations

import contextlib
import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from scaffold.pki import bundles, issue
from scaffold.pki.profiles import CertificateProfile
from scaffold.running.ports import free_addresses
from scaffold.topology.address import Address
from scaffold.topology.model import KeyType, NameConstraints, SanType, Subject
from scaffold.trusting import java as java_store
from scaffold.trusting.model import Anchor
from scaffold.trusting.nss import NssStore
from tests.cli.harness import scaffold, up
from tests.fresh import new_key, new_serial
from tests.handshake.firefox import firefox, profile
from tests.handshake.nginx_lab import Authority, now, server
from tests.handshake.trust_lab import Machine, machine
from tests.requirements import require, require_command, which

SOURCE = Path(__file__).with_name("Reach.java")

TOPOLOGY = """\
version: 1
name: trusted
cas: {{root: {{}}}}
servers:
  front: {{template: nginx, listen: "127.0.0.1:{port}", names: [localhost]}}
clients:
  caller: {{template: files, calls: [front], pfx: {{password: {{generate: true}}}}}}
"""


@dataclass(frozen=True)
class Site:
    """The rendered server, and the certificate of its caller."""

    folder: Path
    url: str

    @property
    def tls(self) -> Path:
        return self.folder / "trusted" / "clients" / "caller" / "tls"

    @property
    def file(self) -> tuple[str, str]:
        return ("-f", str(self.folder / "topology.yaml"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require_command("nginx")
    folder = tmp_path_factory.mktemp("site")
    port = free_addresses(1)[0].port
    (folder / "topology.yaml").write_text(TOPOLOGY.format(port=port))
    applied = scaffold("apply", cwd=folder)
    assert applied.code == 0, applied.err
    with up(folder, "--only", "server.front"):
        yield Site(folder, f"https://localhost:{port}/")


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as found:
        yield found


def curl(desk: Machine, site: Site) -> subprocess.CompletedProcess[str]:
    return desk.run("curl", "-sS", "--cert", site.tls / "cert.pem", "--key", site.tls / "key.pem", site.url)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reach.java, compiled once for all that run it."""
    folder = tmp_path_factory.mktemp("classes")
    compiler = require_command("javac")
    subprocess.run([compiler, "-d", folder, SOURCE], check=True, capture_output=True, timeout=120)
    return folder


def java(site: Site, classes: Path, *trust: str) -> list[str | Path]:
    """The command of a Java program that calls the server with the caller's key."""
    key = (f"-Djavax.net.ssl.keyStore={site.tls / 'bundle.pfx'}", "-Djavax.net.ssl.keyStoreType=PKCS12")
    password = (site.tls / "pfx-password").read_text().strip()
    given = (*key, f"-Djavax.net.ssl.keyStorePassword={password}", *trust)
    return ["java", "-XX:TieredStopAtLevel=1", *given, "-cp", classes, "Reach", site.url]


CALLER = "spiffe://trusted/client/caller"


def test_curl_and_java_reach_the_server_and_nothing_is_left(site: Site, desk: Machine, classes: Path) -> None:
    require_command("curl", "keytool", "update-ca-certificates")
    require(java_store.DEBIAN.is_file(), "the Java of the distribution, which copies the system's store")
    settled = desk.run("update-ca-certificates")  # whatever was placed on this machine, and not yet taken up
    assert settled.returncode == 0, settled.stderr
    before = desk.stores()
    assert curl(desk, site).returncode == 60, "CURLE_PEER_FAILED_VERIFICATION"
    assert "PKIX path building failed" in desk.run(*java(site, classes)).stderr

    installed = desk.scaffold("trust", "install", "--yes", "--store", "system", "--store", "java", *site.file)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    reached = curl(desk, site)
    assert CALLER in reached.stdout, reached.stderr
    reached = desk.run(*java(site, classes))
    assert CALLER in reached.stdout, reached.stderr

    alone = desk.scaffold("trust", "uninstall", "--yes", "--store", "java", *site.file)
    assert alone.returncode == 1, "Debian's Java would take it over from the system's store again"
    assert "the root comes from the system's store" in alone.stderr
    removed = desk.scaffold("trust", "uninstall", "--yes", "--store", "system", "--store", "java", *site.file)
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert curl(desk, site).returncode == 60
    assert desk.stores() == before


def test_java_reaches_it_by_a_store_of_its_own(site: Site, classes: Path, tmp_path: Path) -> None:
    """JAVA_HOME names another Java than the distribution's, whose store no hook fills."""
    keytool = require_command("keytool")
    security = tmp_path / "java" / "lib" / "security"
    security.mkdir(parents=True)
    store = security / "cacerts"
    make = ["-genkeypair", "-alias", "x", "-keyalg", "EC", "-dname", "CN=x", "-keystore", str(store)]
    subprocess.run([keytool, *make, "-storepass", "changeit"], check=True, capture_output=True, timeout=120)
    environment = {"JAVA_HOME": str(tmp_path / "java")}
    arguments = ("--yes", "--store", "java", *site.file)
    assert scaffold("trust", "install", *arguments, cwd=tmp_path, env=environment).code == 0
    trust = f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"
    reached = subprocess.run(java(site, classes, *trust), capture_output=True, text=True, check=False, timeout=120)
    assert CALLER in reached.stdout, reached.stderr


def test_who_looks_at_the_name_constraints_of_a_root_itself(classes: Path, tmp_path: Path) -> None:
    """OpenSSL and NSS do, Java does not, which `trust install` says; names of another sort are bounded by nobody."""
    require_command("curl", "keytool", "certutil")
    issuer = constrained("shop.internal")
    (tmp_path / "root.pem").write_bytes(bundles.pem(issuer.certificate))
    keystore = ("-keystore", "roots", "-storepass", "changeit")
    run("keytool", "-importcert", "-noprompt", "-alias", "root", "-file", "root.pem", *keystore, cwd=tmp_path)
    trust = f"-Djavax.net.ssl.trustStore={tmp_path / 'roots'}", "-Djavax.net.ssl.trustStorePassword=changeit"
    with answering(issuer, "localhost", tmp_path) as url:
        assert "permitted subtree violation" in run("curl", "-sS", "--cacert", "root.pem", url, cwd=tmp_path).stderr
        assert run("java", *trust, "-cp", classes, "Reach", url, cwd=tmp_path).stdout == "reached\n"
    database = NssStore(tmp_path / "db")
    database.folder.mkdir()
    run("certutil", "-N", "-d", "sql:db", "--empty-password", cwd=tmp_path)
    database.install(Anchor("lab", Address.ca("root"), issuer.certificate))
    run("certutil", "-A", "-d", "sql:db", "-n", "leaf", "-t", ",,", "-i", "cert.pem", cwd=tmp_path)
    judged = run("certutil", "-V", "-u", "V", "-d", "sql:db", "-n", "leaf", cwd=tmp_path)
    assert "not permitted to issue a certificate with this name" in judged.stdout
    with answering(issuer, "127.0.0.1", tmp_path) as url:
        assert run("curl", "-sS", "--cacert", "root.pem", url, cwd=tmp_path).stdout == "reached"


def constrained(*names: str) -> Authority:
    """A root that may sign for these DNS names."""
    key = new_key(KeyType.EC_P256)
    constraints = NameConstraints({SanType.DNS: names})
    profile = CertificateProfile(Subject(common_name="Constrained Root"), "ca", name_constraints=constraints)
    start = now() - timedelta(hours=1)
    root = issue.self_signed(
        profile, key, serial=new_serial(), not_before=start, not_after=start + timedelta(days=30)
    )  # fmt: skip
    return Authority(issue.Issuer(root, key), ())


class Answering(http.server.BaseHTTPRequestHandler):
    """Says that it was reached."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"reached")

    def log_message(self, *_: object) -> None:
        pass


class Quiet(http.server.ThreadingHTTPServer):
    """A refused handshake is what is looked for, and no news."""

    def handle_error(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def answering(issuer: Authority, host: str, folder: Path) -> Iterator[str]:
    """A TLS server with a certificate for `host`, and its URL."""
    credential = server(issuer, "desk", host)
    credential.write(folder / "cert.pem", folder / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    address = free_addresses(1)[0]
    with Quiet((address.host, address.port), Answering) as serving:
        serving.socket = context.wrap_socket(serving.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"https://{host}:{address.port}/"
        finally:
            serving.shutdown()
            thread.join()


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.long
def test_firefox_reaches_the_server_with_the_certificate_of_a_caller(site: Site, tmp_path: Path) -> None:
    """A profile of its own. The page that is shown says whom the server saw."""
    require_command("certutil", "pk12util")
    home, file = {"HOME": str(tmp_path)}, ("--yes", "--store", "nss", *site.file)
    with firefox(tmp_path) as browser:
        assert browser.open(site.url) == "insecure certificate"
        assert CALLER not in browser.page()
    with_its_key = ["-W", (site.tls / "pfx-password").read_text().strip(), "-d", f"sql:{profile(tmp_path)}", "-K", ""]
    run("pk12util", "-i", site.tls / "bundle.pfx", *with_its_key, cwd=tmp_path).check_returncode()
    # With the key comes its root, which nobody trusts by that.
    with firefox(tmp_path) as browser:
        assert browser.open(site.url) == "insecure certificate"
    installed = scaffold("trust", "install", *file, cwd=tmp_path, env=home)
    assert installed.code == 0, installed.err
    with firefox(tmp_path) as browser:
        assert browser.open(site.url) is None
        assert CALLER in browser.page()
    assert scaffold("trust", "uninstall", *file, cwd=tmp_path, env=home).code == 0
    with firefox(tmp_path) as browser:
        assert browser.open(site.url) == "insecure certificate"


def test_chromium_reaches_the_server(site: Site, tmp_path: Path) -> None:
    require_command("certutil")
    chromium = which("chromium") or require_command("chromium")
    database = tmp_path / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "-d", f"sql:{database}", "--empty-password"], check=True, timeout=60)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def shown() -> subprocess.CompletedProcess[str]:
        quiet = (
            "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'data'}",
        )  # fmt: skip
        command = [chromium, *quiet, "--dump-dom", site.url]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    assert "ERR_CERT_AUTHORITY_INVALID" in shown().stderr
    home = {"HOME": str(tmp_path)}
    arguments = ("--yes", "--store", "nss", *site.file)
    assert scaffold("trust", "install", *arguments, cwd=tmp_path, env=home).code == 0
    page = shown().stdout
    assert "no client certificate was sent" in page
    assert scaffold("trust", "uninstall", *arguments, cwd=tmp_path, env=home).code == 0
    assert "ERR_CERT_AUTHORITY_INVALID" in shown().stderr
