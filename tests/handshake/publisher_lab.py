"""The real `scaffold publish` on an applied topology, its log read line by line, and requests byte by byte."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from scaffold.running.ports import free_addresses
from scaffold.store import ledger, lock
from scaffold.store.layout import Layout
from scaffold.topology.model import HostPort
from tests.handshake.nginx_lab import WITHIN
from tests.handshake.verify_lab import Lab, applied

BANK = """
version: 1
name: bank
publish: http://PUBLISH
cas:
  root: {}
  issuing: {issuer: root, revocation: {crl: CRL_LIFE, ocsp: 1h}}
servers:
  accounts: {template: python, issuer: issuing, listen: "LISTEN", names: [localhost]}
clients:
  teller: {template: python, issuer: issuing, calls: [accounts]}
  auditor: {template: python, issuer: issuing, calls: [accounts]}
"""


class Published:
    """A running publisher; `events` are the lines of its log."""

    def __init__(self, lab: Lab, listen: HostPort, process: subprocess.Popen[str]) -> None:
        self.lab = lab
        self.listen = listen
        self.process = process
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._events.put(json.loads(line))

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next line of the log with that event."""
        deadline = time.monotonic() + WITHIN
        while True:
            found = self._events.get(timeout=max(0.01, deadline - time.monotonic()))
            if found["event"] == event:
                return found

    def events(self) -> list[dict[str, Any]]:
        """Every line so far that nobody waited for."""
        found = []
        while not self._events.empty():
            found.append(self._events.get())
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status after a signal."""
        self.process.send_signal(number)
        code = self.process.wait(WITHIN)
        self._reader.join(WITHIN)
        return code

    @property
    def resident(self) -> int:
        """Octets of memory that it uses."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    # --- HTTP ---

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.listen.host, self.listen.port, timeout=WITHIN)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and body."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        return self.request("GET", path, headers=headers)

    def raw(self, data: bytes = b"") -> socket.socket:
        """A connection on which `data` was sent, and nothing else."""
        opened = socket.create_connection((self.listen.host, self.listen.port), WITHIN)
        opened.sendall(data)
        return opened

    # --- The topology ---

    def certificate(self, path: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.lab.path(path).read_bytes())

    def revoke(self, path: str) -> None:
        now = datetime.now(UTC)
        layout: Layout = self.lab.layout
        with lock.hold(layout, now, wait=WITHIN):
            serial = f"{self.certificate(path).serial_number:x}"
            ledger.Recorder(layout, now).revoked([ledger.Revoked("issuing", serial, "keyCompromise", now)])


def bank(folder: Path, crl_life: str = "1d") -> Lab:
    """An applied bank that publishes on a free port."""
    publish, listen = free_addresses(2)
    text = BANK.replace("PUBLISH", str(publish)).replace("LISTEN", str(listen)).replace("CRL_LIFE", crl_life)
    return applied(text, folder)


def command(lab: Lab, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "scaffold", "publish", "-f", str(lab.topology.source), "--out", str(lab.layout.out), *more
    ]  # fmt: skip


@contextmanager
def publishing(lab: Lab, *more: str, listen: HostPort | None = None) -> Iterator[Published]:
    """`scaffold publish`, ready; killed where the test has not ended it."""
    publish = (lab.topology.publish or "").removeprefix("http://").rpartition(":")
    process = subprocess.Popen(command(lab, *more), stderr=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        published = Published(lab, listen or HostPort(publish[0], int(publish[2])), process)
        published.wait_for("ready")
        yield published
    finally:
        process.kill()
        process.wait()
