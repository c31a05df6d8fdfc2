"""One method set up for real: a folder that scaffold applied, its publisher, and nginx from copies of its projects."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from caller import Caller, certificate
from counters import Relay, cpu_of_command, cpu_of_group
from methods import DEFAULT, Lives, Method, Scale

from scaffold.kinds import catalogue
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Service, Services
from scaffold.store import lock
from scaffold.store.layout import Layout
from scaffold.store.ledger import Recorder, Revoked

SCAFFOLD = [sys.executable, "-m", "scaffold"]
CACHE = "ssl_ocsp_cache shared:ocsp:1m;"


class World:
    """`folder` is the operator's; `folder/hosts` stands for the machines to which projects were copied."""

    def __init__(self, method: Method, scale: Scale, folder: Path) -> None:
        self.method = method
        self.scale = scale
        self.folder = folder
        self.publish, self._behind, self.plain, self.door, self.asks = free_addresses(5)
        self.services: dict[str, Service] = {}
        self.complaint = ""
        """What the last run of refresh.sh said, where it failed."""
        self._built = 0.0

    @property
    def out(self) -> Path:
        return self.folder / self.method.name

    def build(self) -> None:
        """Applies the topology, fills the ledger with what was revoked before, and copies projects to their hosts."""
        self._apply(DEFAULT)
        if self.method.entries:
            self._revoke_strangers(self.method.entries)
            self.scaffold("apply", "--yes")
        self._built = time.monotonic()
        for role in ("servers", "clients"):
            shutil.copytree(self.out / role, self.folder / "hosts", dirs_exist_ok=True)
        if self.method.source == "ocsp":
            conf = self.host("asks") / "nginx.conf"
            conf.write_text(conf.read_text().replace(CACHE, ""))

    def scale_down(self) -> None:
        """From here on all that must stay fresh lives for seconds. Hosts get it as they would: whole, in tls/."""
        # What is past half of the life that a topology gives it now is made anew.
        half = max(self.scale.crl, self.scale.ocsp) / 2 + 1
        time.sleep(max(0.0, self._built + half - time.monotonic()))
        self._apply(self.scale.lives)
        for project in (self.folder / "hosts").iterdir():
            role = "servers" if (self.out / "servers" / project.name).exists() else "clients"
            shutil.copytree(self.out / role / project.name / "tls", project / "tls", dirs_exist_ok=True)
        for service in self.services.values():
            service.signal(signal.SIGHUP)

    def _apply(self, lives: Lives) -> None:
        text = self.method.topology(lives, self.publish, self.plain, self.door, self.asks)
        (self.folder / "topology.yaml").write_text(text)
        self.scaffold("apply", "--yes")

    def _revoke_strangers(self, count: int) -> None:
        """What years of `scaffold revoke` leave in a ledger."""
        layout, now = Layout(self.out), datetime.now(UTC)
        with lock.hold(layout, now):
            serials = (f"{secrets.randbits(158) | 1 << 157:x}" for _ in range(count))
            Recorder(layout, now).revoked([Revoked("issuing", one, "superseded", now, False) for one in serials])

    def scaffold(self, *arguments: str) -> float:
        """Runs the command; its seconds of CPU."""
        return cpu_of_command([*SCAFFOLD, *arguments], self.folder)

    def revoke(self) -> float:
        """`scaffold revoke`, and again where the publisher signed a CRL between its plan and its apply."""
        revoke = ("revoke", self.method.revoked, "--reason", "keyCompromise", "--no-replace", "--yes")
        for _ in range(5):
            try:
                return self.scaffold(*revoke)
            except RuntimeError as error:
                if "has changed since the plan was made" not in str(error):
                    raise
        return self.scaffold(*revoke)

    def host(self, name: str) -> Path:
        """The project of that name, where it was copied to."""
        return self.folder / "hosts" / name

    def caller(self, name: str, *, demands_staple: bool = False) -> Caller:
        """The client of that name as it is on its host."""
        issuing = certificate(self.out / "pki/issuing/ca.crt") if demands_staple else None
        return Caller(self.host(name), issuing)

    def start(self, services: Services) -> None:
        """Starts nginx for `plain` and `door`, and for OCSP `asks`, which remembers no answer."""
        ready = catalogue.find("nginx", "server", self.folder).capabilities.ready
        names = ["plain", "door", *(["asks"] if self.method.source == "ocsp" else [])]
        started = services.start(Launch(name, self.host(name), ready or "") for name in names)
        self.services = dict(zip(names, started, strict=True))

    @contextlib.contextmanager
    def published(self) -> Iterator[subprocess.Popen[str]]:
        """`scaffold publish`, where the certificates point to."""
        with self._running("publish", log="publish.log", ready='"ready"') as process:
            yield process

    @contextlib.contextmanager
    def published_behind_relay(self) -> Iterator[Relay]:
        """The same with a relay before it that counts the bytes."""
        with (
            self._running("publish", "--listen", str(self._behind), log="publish.log", ready='"ready"'),
            Relay(self.publish, self._behind) as relay,
        ):
            yield relay

    @contextlib.contextmanager
    def renewing(self) -> Iterator[subprocess.Popen[str] | None]:
        """`scaffold renew --watch`, where the method lives by it."""
        if self.method.source != "renewal":
            yield None
            return
        with self._running("renew", "--watch", log="renew.log", ready='"watching"') as process:
            yield process

    @contextlib.contextmanager
    def _running(self, *arguments: str, log: str, ready: str) -> Iterator[subprocess.Popen[str]]:
        path = self.folder / log
        with path.open("w") as output:
            process = subprocess.Popen(
                [*SCAFFOLD, *arguments],
                cwd=self.folder, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
            try:
                while ready not in path.read_text():
                    if process.poll() is not None:
                        raise RuntimeError(f"scaffold {arguments[0]} has ended: {path.read_text()}")
                    time.sleep(0.05)
                yield process
            finally:
                process.terminate()
                process.wait()

    def renewals(self) -> int:
        """How many certificates `renew --watch` has renewed."""
        lines = map(json.loads, (self.folder / "renew.log").read_text().splitlines())
        return sum(
            line.get("event") == "renewed" and str(line.get("address")).endswith("certificate") for line in lines
        )

    def refresh(self) -> float:
        """What the timer of the server's host does; its seconds of CPU. Raises RuntimeError where it fails."""
        return cpu_of_command([self.host("door") / "refresh.sh"], self.host("door"))

    @contextlib.contextmanager
    def refreshing(self) -> Iterator[None]:
        """The timer, as often as the scale says; what fails is tried again the next time."""
        ended = threading.Event()

        def refresh_until_told() -> None:
            while not ended.wait(self.scale.refresh):
                try:
                    self.refresh()
                    self.complaint = ""
                except RuntimeError as error:
                    self.complaint = str(error)

        thread = threading.Thread(target=refresh_until_told)
        if self.method.is_fetched:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            if thread.ident is not None:
                thread.join()

    def server_cpu(self, name: str) -> float:
        """Seconds of CPU that a server has used until now."""
        return cpu_of_group(self.services[name].pid)
