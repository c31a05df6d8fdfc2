"""Programs that scaffold knows nothing of, fed from `tls/` of the kind `files`: how each is told of it, and asked."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from scaffold.topology.model import HostPort
from tests.handshake.nginx_lab import WITHIN, until
from tests.handshake.postgresql_lab import FOLDERS
from tests.requirements import which

HERE = Path(__file__).parent
NAME = "localhost"


def account(name: str) -> str | None:
    """The user that a program gives up root for, where this is root."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name).pw_name
    return None


@dataclass
class Program:
    """One program at work. `tls` is the folder that it reads, `scratch` one of its own."""

    tls: Path
    scratch: Path
    address: HostPort
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        raise NotImplementedError

    def reload(self) -> None:
        """Has it take up what is new in `tls`."""
        self.process.send_signal(signal.SIGHUP)

    def lets_in(self, client: Path) -> bool:
        """Whether it answers a caller with the certificate in `client`, which is a `tls/` folder."""
        raise NotImplementedError

    def run(self, *command: str | Path, user: str | None = None) -> None:
        log = (self.scratch / "log").open("wb")
        as_user = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.scratch, **as_user
        )
        until(self._listens)

    def _listens(self) -> bool:
        assert self.process.poll() is None, (self.scratch / "log").read_text()
        with contextlib.suppress(OSError), socket.create_connection((self.address.host, self.address.port), timeout=5):
            return True
        return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(WITHIN)

    def asked(self, client: Path, question: bytes) -> bytes:
        """What is answered to `question` over TLS: nothing, where the caller is refused."""
        context = ssl.create_default_context(cafile=client / "ca.pem")
        context.load_cert_chain(client / "cert.pem", client / "key.pem")
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError),
            self._connected() as plain,
            context.wrap_socket(plain, server_hostname=NAME) as connection,
        ):
            connection.sendall(question)
            return connection.recv(4096)
        return b""

    def served(self) -> int:
        """The serial of the certificate that it shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self._connected() as plain, context.wrap_socket(plain) as connection:
            certificate = connection.getpeercert(binary_form=True)
        assert certificate is not None
        return x509.load_der_x509_certificate(certificate).serial_number

    def _connected(self) -> socket.socket:
        return socket.create_connection((self.address.host, self.address.port), timeout=WITHIN)


class Mosquitto(Program):
    def start(self) -> None:
        config = self.scratch / "mosquitto.conf"
        config.write_text(
            f"listener {self.address.port} {self.address.host}\n"
            f"certfile {self.tls / 'cert.pem'}\n"
            f"keyfile {self.tls / 'key.pem'}\n"
            f"cafile {self.tls / 'ca.pem'}\n"
            f"crlfile {self.tls / 'crl.pem'}\n"
            "require_certificate true\nuse_subject_as_username true\nallow_anonymous false\n"
        )
        self.run(str(which("mosquitto")), "-c", config)

    def lets_in(self, client: Path) -> bool:
        connect = b"\x00\x04MQTT\x04\x02\x00\x3c" + b"\x00\x05probe"
        return self.asked(client, b"\x10" + bytes([len(connect)]) + connect) == b"\x20\x02\x00\x00"


class HaProxy(Program):
    def start(self) -> None:
        config = self.scratch / "haproxy.cfg"
        config.write_text(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
            f"frontend front\n  bind {self.address} ssl crt {self.tls / 'combined.pem'} "
            f"ca-file {self.tls / 'ca.pem'} verify required crl-file {self.tls / 'crl.pem'}\n"
            '  http-request return status 200 content-type text/plain string "in"\n'
        )
        self.run(str(which("haproxy")), "-W", "-f", config)

    def reload(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def lets_in(self, client: Path) -> bool:
        return b" 200 " in self.asked(client, b"GET / HTTP/1.0\r\n\r\n")


class PostgreSql(Program):
    @property
    def _programs(self) -> Path:
        return FOLDERS[-1]

    def start(self) -> None:
        user, data = account("postgres"), self.scratch / "data"
        if user is not None:
            shutil.chown(self.scratch, user, user)
        as_user = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
        initdb = [self._programs / "initdb", "-D", data, "-U", "admin", "-A", "reject", "-N"]
        subprocess.run(initdb, check=True, capture_output=True, **as_user)  # type: ignore[call-overload]
        (data / "pg_hba.conf").write_text("hostssl all all all cert\n")
        roles = b"".join(f"CREATE ROLE {name} LOGIN;\n".encode() for name in ("sensor", "thief"))
        single = [self._programs / "postgres", "--single", "-D", data, "postgres"]
        subprocess.run(single, input=roles, check=True, capture_output=True, **as_user)  # type: ignore[call-overload]
        settings = {
            "listen_addresses": self.address.host,
            "port": str(self.address.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(self.tls / "server.crt"),
            "ssl_key_file": str(self.tls / "server.key"),
            "ssl_ca_file": str(self.tls / "ca.pem"),
            "ssl_crl_file": str(self.tls / "crl.pem"),
        }
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.run(self._programs / "postgres", "-D", data, *given, user=user)

    def lets_in(self, client: Path) -> bool:
        told = {
            "host": NAME, "hostaddr": self.address.host, "port": str(self.address.port), "dbname": "postgres",
            "user": client.parent.name, "sslmode": "verify-full", "sslcert": str(client / "cert.pem"),
            "sslkey": str(client / "key.pem"), "sslrootcert": str(client / "ca.pem"),
        }  # fmt: skip
        dsn = " ".join(f"{name}={value}" for name, value in told.items())
        psql = [self._programs / "psql", "-X", "-w", dsn, "-Atc", "SELECT current_user"]
        ran = subprocess.run(psql, capture_output=True, text=True, timeout=WITHIN, check=False)
        return ran.stdout.strip() == client.parent.name

    def _connected(self) -> socket.socket:
        """Where TLS may begin: in PostgreSQL's protocol, it is asked for."""
        plain = super()._connected()
        plain.sendall(bytes.fromhex("0000000804d2162f"))  # SSLRequest
        assert plain.recv(1) == b"S"
        return plain


class Java(Program):
    def start(self) -> None:
        self.run(*java(self.scratch, "serve", str(self.address.port), self.tls))

    def reload(self) -> None:
        """It reads the files for each caller."""

    def lets_in(self, client: Path) -> bool:
        return self.asked(client, b"").startswith(b"CN=")


def java(scratch: Path, *arguments: str | Path) -> list[str | Path]:
    """The command that runs Mutual.java: its first tier of compilation is enough, and costs less."""
    classes = scratch.parent / "classes"
    if not classes.exists():
        subprocess.run(["javac", "-d", classes, HERE / "Mutual.java"], check=True, capture_output=True)
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "Mutual", *arguments]


@contextlib.contextmanager
def running(kind: type[Program], tls: Path, scratch: Path, address: HostPort) -> Iterator[Program]:
    """A program, from when it listens until the block ends."""
    scratch.mkdir()
    program = kind(tls, scratch, address)
    program.start()
    try:
        yield program
    finally:
        program.stop()
