"""Who notices which fault: a server shows each in a real handshake to a client of each library that is on this machine.

python tools/who_notices/measure.py            # writes measured.json; tools/faults_page.py makes the page of it
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import cryptography
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from scaffold.testing.environment import Environment, Files
from scaffold.topology.faults import ABOUT
from scaffold.topology.model import Fault, FileFault

HERE = Path(__file__).parent
MEASURED = HERE / "measured.json"
ACCEPTS, REFUSES = "accepts", "refuses"

TOPOLOGY = """
version: 1
name: notice
cas:
  root: {}
  issuing: {issuer: root, path_length: 0}
  elsewhere: {}
servers:
  api: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
clients:
  web: {template: python, issuer: issuing, calls: [api]}
"""


@dataclass(frozen=True)
class Shown:
    """A certificate, and the port where it is shown."""

    fault: str
    files: Files
    port: int
    roots: Path
    crls: Path


Client = Callable[[Sequence[Shown]], list[str]]


@contextlib.contextmanager
def showing(files: Files) -> Iterator[int]:
    """A server that shows a certificate to whoever connects; yields its port.

    Its own security level is 0: what is too weak is for the client to say.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(files.certificate, files.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as tls:
                    tls.settimeout(10)
                    tls.recv(1)  # until the client goes

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


# --- The clients ---------------------------------------------------------------------------------------------------


def told(command: Sequence[str | Path], stdin: str = "") -> tuple[int, str]:
    """The exit status of a command and all that it said."""
    done = subprocess.run([*map(str, command)], input=stdin, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def by_openssl(shown: Sequence[Shown]) -> list[str]:
    """`openssl s_client`, as the distribution has set its security level."""
    return [_by_openssl(one) for one in shown]


def _by_openssl(one: Shown) -> str:
    crls = ["-crl_check", "-CRL", one.crls] if one.fault == Fault.REVOKED else []
    code, _ = told(
        ["openssl", "s_client", "-connect", f"localhost:{one.port}", "-verify_hostname", "localhost",
         "-CAfile", one.roots, "-verify_return_error", *crls]
    )  # fmt: skip
    return ACCEPTS if code == 0 else REFUSES


def by_gnutls(shown: Sequence[Shown]) -> list[str]:
    """`gnutls-cli`."""
    return [_by_gnutls(one) for one in shown]


def _by_gnutls(one: Shown) -> str:
    crls = ["--x509crlfile", one.crls] if one.fault == Fault.REVOKED else []
    code, _ = told(["gnutls-cli", "--x509cafile", one.roots, *crls, "--port", str(one.port), "localhost"])
    return ACCEPTS if code == 0 else REFUSES


def by_nss(shown: Sequence[Shown]) -> list[str]:
    """`tstclnt` with a database of its own for each; the one that has seen a serial before keeps what it has seen."""
    with tempfile.TemporaryDirectory() as scratch:
        return [_by_nss(one, Path(tempfile.mkdtemp(dir=scratch)), shown[0]) for one in shown]


def _by_nss(one: Shown, folder: Path, control: Shown) -> str:
    database = f"sql:{folder}"
    told(["certutil", "-N", "-d", database, "--empty-password"])
    for number, root in enumerate(x509.load_pem_x509_certificates(one.roots.read_bytes())):
        _import(database, f"root-{number}", "C,,", root)
    if one.fault == FileFault.SAME_SERIAL:
        _import(database, "seen", ",,", x509.load_pem_x509_certificate(control.files.certificate.read_bytes()))
    if one.fault == Fault.REVOKED:
        _import(database, "issuing", ",,", x509.load_pem_x509_certificates(one.files.certificate.read_bytes())[1])
        _import_crls(database, one.crls, folder / "crl")
    code, _ = told(["tstclnt", "-h", "localhost", "-p", str(one.port), "-d", database, "-4", "-Q", "-V", "tls1.2:"])
    return ACCEPTS if code == 0 else REFUSES


def _import(database: str, name: str, trust: str, certificate: x509.Certificate) -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(certificate.public_bytes(Encoding.DER))
        told(["certutil", "-A", "-d", database, "-n", name, "-t", trust, "-i", file.name])


def _import_crls(database: str, crls: Path, scratch: Path) -> None:
    end = b"-----END X509 CRL-----\n"
    for text in crls.read_bytes().split(end)[:-1]:
        scratch.write_bytes(x509.load_pem_x509_crl(text + end).public_bytes(Encoding.DER))
        told(["crlutil", "-I", "-d", database, "-i", scratch, "-t", "1"])


def _by_lines(command: Sequence[str | Path], shown: Sequence[Shown], *, with_crls: bool = False) -> list[str]:
    def line(one: Shown) -> str:
        crls = f" {one.crls}" if with_crls and one.fault == Fault.REVOKED else ""
        return f"{one.port} {one.roots}{crls}\n"

    _, said = told(command, "".join(map(line, shown)))
    answers = [line.split(" ")[0] for line in said.splitlines() if line.startswith((ACCEPTS, REFUSES))]
    if len(answers) != len(shown):
        raise SystemExit(f"{command} says\n{said}")
    return answers


def by_java(shown: Sequence[Shown]) -> list[str]:
    """Java's `SSLSocket` with HTTPS's check of names."""
    return _by_lines(["java", HERE / "Client.java"], shown)


def by_node(shown: Sequence[Shown]) -> list[str]:
    """Node's `tls.connect`."""
    return _by_lines(["node", HERE / "client.js"], shown, with_crls=True)


def by_dotnet(shown: Sequence[Shown]) -> list[str]:
    """.NET's `SslStream`."""
    return _by_lines(["dotnet", "run", HERE / "client.cs"], shown)


def by_cryptography(shown: Sequence[Shown]) -> list[str]:
    """The verification of `cryptography`, on the certificates alone."""
    return [_by_cryptography(one) for one in shown]


def _by_cryptography(one: Shown) -> str:
    roots = x509.load_pem_x509_certificates(one.roots.read_bytes())
    leaf, *chain = x509.load_pem_x509_certificates(one.files.certificate.read_bytes())
    builder = verification.PolicyBuilder().store(verification.Store(roots)).time(datetime.now(UTC))
    try:
        builder.build_server_verifier(x509.DNSName("localhost")).verify(leaf, chain)
    except (verification.VerificationError, ValueError):
        return REFUSES
    return ACCEPTS


CLIENTS: Mapping[str, tuple[str, Sequence[str], Client]] = {
    "OpenSSL": ("openssl", ("openssl", "version"), by_openssl),
    "GnuTLS": ("gnutls-cli", ("gnutls-cli", "--version"), by_gnutls),
    "NSS": ("tstclnt", ("dpkg-query", "-W", "-f", "${Version}", "libnss3-tools"), by_nss),
    "Java": ("java", ("java", "--version"), by_java),
    "Node": ("node", ("node", "--version"), by_node),
    "cryptography": ("python3", (), by_cryptography),
    ".NET": ("dotnet", ("dotnet", "--version"), by_dotnet),
}
"""Each with its program, how that is asked for its version, and how a client of it is run."""


def version(command: Sequence[str]) -> str:
    """The first line of what a program says of itself."""
    if not command:
        return cryptography.__version__
    return told(command)[1].splitlines()[0].strip()


# --- All together --------------------------------------------------------------------------------------------------


def measure(names: Sequence[str]) -> dict[str, dict[str, object]]:
    """What each of the clients says to each of the faults, and to a certificate without one."""
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        (folder / "topology.yaml").write_text(TOPOLOGY)
        lab = stack.enter_context(Environment.of(folder / "topology.yaml", folder, unavailable=_unavailable))
        shown = [stack.enter_context(_shown(lab, fault, folder)) for fault in _to_show()]
        said = {name: CLIENTS[name][2](shown) for name in names}
    if wrong := [name for name, answers in said.items() if answers[0] != ACCEPTS]:
        raise SystemExit(f"{', '.join(wrong)}: refuses what has no fault, so that its other refusals say nothing")
    faults = [one.fault for one in shown]
    return {
        name: {"version": version(CLIENTS[name][1]), "said": dict(zip(faults, answers, strict=True))}
        for name, answers in said.items()
    }


def _unavailable(reason: str) -> NoReturn:
    raise SystemExit(reason)


def _to_show() -> list[str]:
    """A control first. With a key that is another's no handshake can be made."""
    return ["none", *(fault for fault in ABOUT if fault is not FileFault.KEY_MISMATCH)]


@contextlib.contextmanager
def _shown(lab: Environment, fault: str, folder: Path) -> Iterator[Shown]:
    files = lab.files("api") if fault == "none" else lab.broken("api", fault)
    roots, crls = folder / "roots.pem", folder / "crls.pem"
    roots.write_bytes(b"".join(lab.files(ca).certificate.read_bytes() for ca in ("ca.root", "ca.elsewhere")))
    crls.write_bytes(b"".join((lab.files(ca).crl or roots).read_bytes() for ca in ("ca.root", "ca.issuing")))
    with showing(files) as port:
        yield Shown(fault, files, port, roots, crls)


def main() -> None:
    """Measures with all clients that are here, or those that are named, and keeps what was measured of the others."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("clients", nargs="*", choices=[[], *CLIENTS], default=[])
    asked = options.parse_args().clients or [name for name, (program, _, _) in CLIENTS.items() if shutil.which(program)]
    before = json.loads(MEASURED.read_text("utf-8"))["clients"] if MEASURED.exists() else {}
    found = before | measure(asked)
    ordered = {name: found[name] for name in CLIENTS if name in found}
    MEASURED.write_text(json.dumps({"clients": ordered}, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
