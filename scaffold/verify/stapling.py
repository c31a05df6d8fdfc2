"""OCSP stapling (RFC 6066 8), which Python's own TLS library can neither ask for nor do: by the openssl command."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from scaffold.pki import bundles
from scaffold.running.services import LOOPBACK, handed_on
from scaffold.topology.model import HostPort
from scaffold.verify.credentials import Credentials
from scaffold.verify.impostor import Visits, answer_of
from scaffold.verify.judge import Finding
from scaffold.verify.model import Layer, Observed
from scaffold.verify.probe import PATIENCE, CannotOffer, Target, write_secret

_LISTENS = re.compile(r"ACCEPT .*:(\d+)$")
_REQUEST = re.compile(r"GET \S+ HTTP/1\.[01]$")


def stapled(target: Target, certificate: x509.Certificate, now: datetime) -> Finding:
    """What a server staples to its certificate. Who has signed it is for those clients to check that demand it.

    Raises CannotOffer where there is no openssl.
    """
    command = [_openssl(), "s_client", "-status", "-connect", str(target.address), "-servername", target.server_name]
    try:
        done = subprocess.run(
            command,
            env=handed_on(),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(Observed.BROKEN, Layer.TLS, f"no end of the handshake within {PATIENCE:g} s")
    said = done.stdout.decode("utf-8", "replace")
    if "CONNECTED(" not in said:
        return Finding(Observed.UNREACHABLE, Layer.TCP, "nobody answers")
    return _judged(said, certificate, now)


def _judged(said: str, certificate: x509.Certificate, now: datetime) -> Finding:
    """What `openssl s_client -status` has printed."""
    status = re.search(r"^\s*Cert Status: (\w+)$", said, re.MULTILINE)
    serial = re.search(r"^\s*Serial Number: ([0-9A-F]+)$", said, re.MULTILINE)
    ends = re.search(r"^\s*Next Update: (.+) GMT$", said, re.MULTILINE)
    if status is None or serial is None:
        return Finding(Observed.BROKEN, Layer.TLS, "it staples no OCSP response")
    if int(serial[1], 16) != certificate.serial_number:
        return Finding(Observed.BROKEN, Layer.TLS, "the stapled response is about another certificate")
    if ends is None or (until := datetime.strptime(ends[1], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)) < now:
        return Finding(Observed.BROKEN, Layer.TLS, f"the stapled response ended {ends[1] if ends else 'at no time'}")
    observed = Observed.ALLOWED if status[1] == "good" else Observed.BROKEN
    return Finding(observed, Layer.TLS, f"{status[1]}, until {until:%Y-%m-%d %H:%M:%S} UTC")


class Stapler:
    """Stands in a server's place for one connection: shows a certificate with a staple, and answers one request."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self.visits = Visits()
        self._process = process
        self._answer = answer_of(name).decode()
        self._listening = threading.Event()
        self._port: int | None = None
        streams = (process.stdout, process.stdin)
        self._thread = threading.Thread(target=self._read, args=streams, name=f"stapler for {name}", daemon=True)
        self._thread.start()

    @property
    def address(self) -> HostPort:
        """Where it listens. Raises CannotOffer where it does not."""
        self._listening.wait(PATIENCE)
        if self._port is None:
            raise CannotOffer("openssl s_server does not come up with this certificate")
        return HostPort(LOOPBACK, self._port)

    def finish(self) -> None:
        """Waits for the end of a connection that was made; `visits` is complete then. Nobody's connection is no end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
            self.visits.connections = 1  # s_server was told to end after one
        self._process.kill()
        self._thread.join(1.0)

    def _read(self, output: IO[str], to_caller: IO[str]) -> None:
        head: list[str] = []
        for raw in output:
            line = raw.rstrip("\r\n")
            if found := _LISTENS.match(line):
                self._port = int(found[1])
                self._listening.set()
            elif head and not line:
                self.visits.requests.append("\r\n".join(head))
                head = []
                with contextlib.suppress(OSError):
                    to_caller.write(self._answer)
                    to_caller.flush()
            elif head or _REQUEST.match(line):
                head.append(line)
        self._listening.set()


@contextlib.contextmanager
def stapler(name: str, credentials: Credentials, staple: bytes) -> Iterator[Stapler]:
    """A server called `name` that staples the DER response `staple`. Raises CannotOffer where there is no openssl."""
    leaf, *others = bundles.load_certificates(credentials.certificates)
    with tempfile.TemporaryDirectory(prefix="scaffold-verify-") as folder:  # 0700, by mkdtemp(3)
        files = {name: Path(folder, name) for name in ("cert.pem", "chain.pem", "key.pem", "staple.der")}
        files["cert.pem"].write_bytes(leaf.public_bytes(Encoding.PEM))
        files["chain.pem"].write_bytes(bundles.chain_pem(others))
        files["staple.der"].write_bytes(staple)
        write_secret(files["key.pem"], credentials.key)
        command = [_openssl(), "s_server", "-accept", f"{LOOPBACK}:0", "-naccept", "1", "-status_file"]
        command += [str(files["staple.der"]), "-cert", str(files["cert.pem"]), "-key", str(files["key.pem"])]
        command += ["-cert_chain", str(files["chain.pem"])] if others else []
        with subprocess.Popen(
            command,
            env=handed_on(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                yield Stapler(process, name)
            finally:
                process.kill()


def _openssl() -> str:
    if (found := shutil.which("openssl")) is None:
        raise CannotOffer("the openssl command, which staples and sees staples, is not installed")
    return found
