"""What the tests of the .NET kinds stand on: rendered projects, each variant of the code built once, and their life."""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from filelock import FileLock

from scaffold.kinds import catalogue
from scaffold.kinds.render import render
from scaffold.pki import bundles, crl, issue, keys
from scaffold.pki.profiles import CertificateProfile
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Service, Services, environment
from scaffold.settings.values import Allowed, Call, ClientSettings, Files, Revocation, ServerSettings
from scaffold.topology.model import KeyType, San, SanType
from tests.fresh import new_key, new_serial
from tests.handshake.nginx_lab import (
    INTERMEDIATE,
    WITHIN,
    Answer,
    Authority,
    Credential,
    address,
    ask,
    identity,
    now,
    subject_of,
)

SERVER = catalogue.load(catalogue.templates_folder() / "servers" / "kestrel", "kestrel", builtin=True)
CLIENT = catalogue.load(catalogue.templates_folder() / "clients" / "dotnet", "dotnet", builtin=True)

QUIET = {
    "MSBUILDDISABLENODEREUSE": "1",
    "UseSharedCompilation": "false",
    "DOTNET_NOLOGO": "1",
    "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
    "DOTNET_GENERATE_ASPNET_CERTIFICATE": "false",
    "DOTNET_TieredPGO": "0",
}
"""The SDK leaves no process behind, asks and sends nothing, and measures no code that runs for seconds alone.

MSBuild reads properties from the environment too.
"""

QUICK = "-p:RunAnalyzers=false"
"""Analyzers take a third of a build; test_dotnet_code.py runs all of them over all variants."""

STRICT = ("-warnaserror", "-p:RunAnalyzers=true", "-p:AnalysisLevel=latest-all")
"""Every rule of the SDK's analyzers, and none may be broken."""

PASSWORD = "correct horse battery staple"
PFX = Files(bundle="tls/bundle.pfx", bundle_password="tls/pfx-password")
CALLING = Files(
    client_certificate="tls/client-cert.pem", client_key="tls/client-key.pem", client_trust="tls/client-ca.pem"
)


# --- Building --------------------------------------------------------------------------------------------------------


def build(folder: Path) -> None:
    """Build the project in `folder` without a warning, or copy what was built from the very same code."""
    built = _built_from(folder)
    for name in ("bin", "obj"):
        shutil.copytree(built / name, folder / name, copy_function=shutil.copyfile, dirs_exist_ok=True)


def _built_from(folder: Path) -> Path:
    sources = sorted((*folder.rglob("*.cs"), *folder.glob("*.csproj"), *folder.glob("*.props")))
    digest = hashlib.sha256(b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in sources)).hexdigest()
    place = _workshop() / digest
    with FileLock(place.with_suffix(".lock")):
        if not place.exists():
            making = place.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            shutil.copytree(folder, making, ignore=shutil.ignore_patterns("tls"))
            sdk(making, "build", "--configuration", "Release", "-warnaserror", QUICK, "-p:UseAppHost=false")
            making.rename(place)
    return place


@cache
def _workshop() -> Path:
    """Where builds are kept, by what they were built from: shared by all processes of a test run, and by later runs.

    What nobody has asked for within a day is removed.
    """
    version = sdk(Path(tempfile.gettempdir()), "--version").strip()
    folder = Path(tempfile.gettempdir()) / f"scaffold-dotnet-lab-{os.getuid()}" / version
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.parent.stat().st_uid != os.getuid():
        pytest.fail(f"{folder} belongs to somebody else")
    for kept in folder.iterdir():
        if kept.is_dir() and time.time() - kept.stat().st_mtime > 86_400:
            shutil.rmtree(kept, ignore_errors=True)
    return folder


def sdk(folder: Path, *arguments: str) -> str:
    """Run the SDK in `folder`; its output. Fails the test with that output where it does not succeed."""
    done = subprocess.run(
        ["dotnet", *arguments], cwd=folder, env={**os.environ, **QUIET}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# --- Leaves ----------------------------------------------------------------------------------------------------------


def leaf(
    ca: Authority,
    name: str,
    role: str,
    sans: Sequence[San],
    *,
    key: KeyType = KeyType.EC_P256,
    ends: timedelta = timedelta(hours=1),
    crl_url: str | None = None,
) -> Credential:
    """A certificate from `ca` that says exactly this."""
    private = new_key(key)
    profile = CertificateProfile(subject_of(name), role, tuple(sans), crl_url=crl_url)  # type: ignore[arg-type]
    dates = {"not_before": now() - timedelta(hours=1), "not_after": now() + ends}
    certificate = issue.sign(profile, private.public_key(), ca.issuer, serial=new_serial(), **dates)
    return Credential(certificate, private, ca.chain)


def uri(name: str) -> San:
    return San(SanType.URI, identity(name))


def own(ca: Authority, name: str, *hosts: str, key: KeyType = KeyType.EC_P256) -> Credential:
    """A server's certificate for DNS names."""
    return leaf(ca, name, "server", (*(San(SanType.DNS, host) for host in hosts), uri(name)), key=key)


# --- Projects --------------------------------------------------------------------------------------------------------


Edit = tuple[str, str, str]
"""What a team changes in a rendered project: the file, what it says, and what it shall say."""


@dataclass
class Project:
    """A rendered project in its folder, and what it must lie beside."""

    folder: Path
    settings: ServerSettings | ClientSettings
    credential: Credential
    roots: Sequence[Authority]
    intermediates: Sequence[Authority]
    client_side: Credential | None = None
    lines: list[str] = field(default_factory=list)
    service: Service | None = None

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    @property
    def port(self) -> int:
        assert isinstance(self.settings, ServerSettings)
        return self.settings.listen.port

    def write(self, variables: Mapping[str, object] | None = None, edits: Sequence[Edit] = ()) -> Project:
        """Render it, edit it as a team would, put its tls/ beside it, and build it."""
        self.render(variables)
        for name, old, new in edits:
            self.edit(name, old, new)
        self.tls.mkdir(exist_ok=True)
        self.write_own(self.credential)
        self.put("ca.pem", bundles.chain_pem(root.certificate for root in self.roots))
        self.put("intermediates.pem", bundles.chain_pem(ca.certificate for ca in self.intermediates))
        if self.client_side is not None:
            self.client_side.write(self.tls / "client-cert.pem", self.tls / "client-key.pem")
            self.put("client-ca.pem", bundles.chain_pem(root.certificate for root in self.roots))
        build(self.folder)
        return self

    def render(self, variables: Mapping[str, object] | None = None) -> None:
        """Render it, and no more."""
        kind = SERVER if isinstance(self.settings, ServerSettings) else CLIENT
        for path, file in render(kind, self.settings, variables or {}).items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
            target.chmod(0o755 if file.executable else 0o644)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one place in a file that says `old`."""
        text = (self.folder / name).read_text()
        assert text.count(old) == 1, (name, old, text)
        (self.folder / name).write_text(text.replace(old, new))

    def write_own(self, credential: Credential) -> None:
        """The project's certificate as PEM or, where it is made so, as PFX alone: each file renamed into place."""
        if self.settings.files.bundle is None:
            self.put("key.pem", keys.to_pem(credential.key))
            self.put("cert.pem", bundles.chain_pem([credential.certificate, *credential.chain]))
            return
        self.put("pfx-password", f"{PASSWORD}\n".encode())
        self.put(
            "bundle.pfx",
            bundles.pfx("own", credential.key, credential.certificate, credential.chain, PASSWORD.encode()),
        )

    def put(self, name: str, content: bytes) -> None:
        beside = self.tls / f".{name}.new"
        beside.write_bytes(content)
        beside.rename(self.tls / name)

    def allow(self, *allowed: Allowed) -> None:
        """Render the allow list anew."""
        assert isinstance(self.settings, ServerSettings)
        changed = replace(self.settings, allowed=allowed)
        self.put("allowed.json", render(SERVER, changed, {})["tls/allowed.json"].content)

    def reload(self) -> None:
        """HUP: read tls/ now."""
        assert self.service is not None
        import signal

        self.service.signal(signal.SIGHUP)

    def ask(self, caller: Credential | None, path: str = "/", **how: object) -> Answer:
        return ask(self.port, caller, self.roots[0], path, **how)  # type: ignore[arg-type]

    def cuts_off(self, caller: Credential) -> bool:
        """Whether the handshake is refused: the connection ends, and nothing is answered."""
        try:
            self.ask(caller)
        except OSError:
            return True
        return False

    def refusals(self, word: str) -> int:
        """How many refused handshakes it has logged with this reason."""
        return sum("Refused 127.0.0.1" in line and word in line for line in self.lines)


def server_project(
    folder: Path,
    root: Authority,
    ca: Authority,
    allowed: Sequence[Allowed],
    *,
    key: KeyType = KeyType.EC_P256,
    roots: Sequence[Authority] = (),
    intermediates: Sequence[Authority] | None = None,
    **changes: object,
) -> Project:
    """A server `desk` for localhost on a free port, with a certificate from `ca`; not yet written."""
    (free,) = free_addresses(1)
    plain = ServerSettings(
        topology="lab", name="desk", address="server.desk", kind="kestrel", identity=identity("desk"),
        names=("localhost",), listen=address(free.port), health=None, tls=INTERMEDIATE, files=Files(),
        anchors=("root",), verify_depth=1, allowed=tuple(allowed), revocation=Revocation(), staple=False,
        must_staple=False, post_quantum=False, calls=(), callee_verify_depth=1, upstream=None, publish=None,
    )  # fmt: skip
    settings = replace(plain, **changes)  # type: ignore[arg-type]
    client_side = leaf(ca, "desk", "client", [uri("desk")]) if settings.calls else None
    between = [ca] if intermediates is None else intermediates
    folder.mkdir(parents=True, exist_ok=True)
    return Project(folder, settings, own(ca, "desk", "localhost", key=key), [root, *roots], between, client_side)


def client_project(
    folder: Path,
    root: Authority,
    ca: Authority,
    calls: Sequence[Call],
    *,
    key: KeyType = KeyType.EC_P256,
    **changes: object,
) -> Project:
    """A client `teller` with a certificate from `ca`; not yet written."""
    plain = ClientSettings(
        topology="lab", name="teller", address="client.teller", kind="dotnet", identity=identity("teller"),
        tls=INTERMEDIATE, files=Files(), anchors=("root",), verify_depth=1, revocation=Revocation(),
        calls=tuple(calls), publish=None,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    credential = leaf(ca, "teller", "client", [uri("teller")], key=key)
    return Project(folder, replace(plain, **changes), credential, [root], [ca])  # type: ignore[arg-type]


@contextmanager
def running(project: Project, folder: Path | None = None, **extra: str) -> Iterator[Project]:
    """`project`, started by its own run.sh or by one in `folder`, and stopped at the end."""
    can = SERVER.capabilities
    launch = Launch(project.settings.name, folder or project.folder, can.ready or "", extra, can.environment)
    with Services(on_line=lambda _, line: project.lines.append(line)) as services:
        (project.service,) = services.start([launch])
        yield project


@contextmanager
def temporary_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as home:
        yield Path(home)


def run(project: Project, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """One run of a client's run.sh, with an environment as bare as a service's."""
    with temporary_home() as home:
        return subprocess.run(
            [project.folder / "run.sh", *arguments],
            env=environment(home, extra, CLIENT.capabilities.environment),
            capture_output=True, text=True, check=False, timeout=WITHIN,
        )  # fmt: skip


# --- CRLs ------------------------------------------------------------------------------------------------------------


@contextmanager
def crls() -> Iterator[tuple[str, dict[str, bytes]]]:
    """An HTTP server of CRLs: its URL, and what it serves by path."""
    served: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in served else 404)
            self.end_headers()
            self.wfile.write(served.get(self.path, b""))

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", served
        finally:
            listening.shutdown()
            thread.join()


def crl_of(ca: Authority, *revoked: Credential, ends: timedelta = timedelta(hours=1)) -> bytes:
    """The CRL of `ca` in DER."""
    entries = [crl.Revoked(each.certificate.serial_number, now()) for each in revoked]
    return crl.build(ca.issuer, 1, now() - timedelta(hours=2), now() + ends, entries).public_bytes(Encoding.DER)
