"""Revocation as the .NET kinds check it: a real publisher, real CRLs and OCSP responses, each for a fresh HOME.

Three judges stand before the same authorities: Kestrel over its callers, Kestrel over the servers that it calls, and
the .NET client over servers. What each lets in is the twin of what it refuses.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaffold.pki import bundles, issue, keys
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services, environment
from scaffold.settings.values import Files
from scaffold.topology.address import Address
from scaffold.verify.fake_publisher import FakePublisher, Misbehaviour, fake_publisher
from tests.handshake import dotnet_lab as lab
from tests.handshake.nginx_lab import (
    WITHIN,
    Answer,
    Authority,
    Credential,
    Published,
    allow,
    ask,
    authority,
    client,
    now,
    publisher,
    server,
    until,
)
from tests.handshake.verify_lab import Lab, applied
from tests.requirements import require_command

require_command("dotnet", "openssl")

TOPOLOGY = """
version: 1
name: lab
publish: http://PUBLISH
cas:
  root: {}
  issuing: {issuer: root, revocation: POINTERS}
  doomed: {issuer: root, revocation: POINTERS}
servers:
  desk:
    {template: kestrel, issuer: issuing, listen: "DESK", health: "HEALTH", names: [localhost], check_revocation: CHECK,
     calls: [vault, cellar, shed]}
  vault: {template: python, issuer: issuing, listen: "VAULT", names: [localhost]}
  cellar: {template: python, issuer: issuing, listen: "CELLAR", names: [localhost]}
  shed: {template: python, issuer: doomed, listen: "SHED", names: [localhost]}
clients:
  teller: {template: dotnet, issuer: issuing, calls: [desk, vault, cellar, shed], check_revocation: CHECK}
  auditor: {template: python, issuer: issuing, calls: [desk]}
  clerk: {template: python, issuer: doomed, calls: [desk]}
"""


@dataclass
class Household:
    """An applied topology in which `auditor` and `cellar` are revoked, and the CA of `clerk` and `shed`."""

    lab: Lab
    publisher: FakePublisher

    def project(self, name: str) -> Path:
        return next(path for path in self.lab.layout.out.glob(f"*/{name}") if path.parent.name != "pki")

    def credential(self, name: str) -> Credential:
        tls = self.project(name) / "tls"
        leaf, *chain = bundles.load_certificates((tls / "cert.pem").read_bytes())
        return Credential(leaf, keys.load((tls / "key.pem").read_bytes()), tuple(chain))

    @property
    def root(self) -> Authority:
        pki = self.lab.path("pki/root")
        certificate = bundles.load_certificates((pki / "ca.crt").read_bytes())[0]
        return Authority(issue.Issuer(certificate, keys.load((pki / "ca.key").read_bytes())), ())

    def launch(self, name: str, extra: Mapping[str, str] | None = None) -> Launch:
        can = self.lab.kinds[Address.server(name)].capabilities
        return Launch(name, self.project(name), can.ready or "", extra or {}, can.environment)

    @contextlib.contextmanager
    def desk(self, **extra: str) -> Iterator[Desk]:
        """The Kestrel server, started with nothing in its caches."""
        desk = Desk(self)
        with Services(on_line=lambda _, line: desk.lines.append(line)) as services:
            services.start([self.launch("desk", extra)])
            yield desk

    def call(self, name: str) -> subprocess.CompletedProcess[str]:
        """The .NET client's call to one server, with nothing in its caches."""
        with lab.temporary_home() as home:
            return subprocess.run(
                [self.project("teller") / "run.sh", name],
                env=environment(home, {}, lab.CLIENT.capabilities.environment),
                capture_output=True, text=True, check=False, timeout=WITHIN,
            )  # fmt: skip

    def lenient(self) -> contextlib.AbstractContextManager[None]:
        """Within the block both let pass whom they cannot look up."""
        return self.settings('"OnUnavailable": "refuse"', '"OnUnavailable": "allow"')

    @contextlib.contextmanager
    def settings(self, old: str, new: str) -> Iterator[None]:
        """Within the block the settings of the server and of the client say `new` where they said `old`."""
        files = [self.project("desk") / "mutual-tls.json", self.project("teller") / "mutual-tls.json"]
        before = [path.read_text() for path in files]
        for path, text in zip(files, before, strict=True):
            assert old in text
            path.write_text(text.replace(old, new))
        try:
            yield
        finally:
            for path, text in zip(files, before, strict=True):
                path.write_text(text)


@dataclass
class Desk:
    """The running Kestrel server."""

    household: Household
    lines: list[str] = field(default_factory=list)

    def ask(self, caller: str, path: str = "/") -> Answer:
        listen = self.household.lab.topology.servers["desk"].listen
        return ask(listen.port, self.household.credential(caller), self.household.root, path)

    def refuses(self, caller: str, reason: str) -> None:
        with pytest.raises(OSError):  # noqa: PT011 - an end or a reset, and no answer
            self.ask(caller)
        until(lambda: self.has_refused(reason))

    def has_refused(self, reason: str) -> bool:
        return any("Refused 127.0.0.1" in line and reason in line for line in self.lines)

    def calls(self, name: str) -> tuple[int, str]:
        answer = self.ask("teller", f"/call/{name}")
        return answer.status, answer.body


@contextlib.contextmanager
def household(folder: Path, pointers: str, check: str) -> Iterator[Household]:
    text = TOPOLOGY.replace("POINTERS", pointers).replace("CHECK", check)
    for name, free in zip(("PUBLISH", "DESK", "HEALTH", "VAULT", "CELLAR", "SHED"), free_addresses(6), strict=True):
        text = text.replace(name, str(free))
    made = applied(text, folder)
    with fake_publisher(made.topology, made.layout, lambda: datetime.now(UTC)) as publisher:
        assert publisher is not None
        house = Household(made, publisher)
        for name in ("desk", "teller"):
            lab.build(house.project(name))
        publisher.revoke(
            "issuing", *(house.credential(name).certificate.serial_number for name in ("auditor", "cellar"))
        )
        publisher.revoke("root", house.credential("clerk").chain[0].serial_number)
        with Services() as services:
            services.start([house.launch(name) for name in ("vault", "cellar", "shed")])
            yield house


@pytest.fixture(scope="module", params=["crl", "ocsp"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """One where leaves carry the pointer of that kind alone; the CAs below the root always point to the root's CRL."""
    check = request.param
    with household(tmp_path_factory.mktemp(check), f"{{{check}: 1h}}", check) as made:
        yield made


def test_kestrel_refuses_revoked_callers(house: Household) -> None:
    with house.desk() as desk:
        assert desk.ask("teller").status == 200
        desk.refuses("auditor", "Revoked")
        desk.refuses("clerk", "Revoked")
        assert desk.ask("teller").status == 200


def test_kestrel_trusts_no_revoked_server(house: Household) -> None:
    with house.desk() as desk:
        assert desk.calls("vault")[0] == 200
        for name in ("cellar", "shed"):
            status, body = desk.calls(name)
            assert (status, "I do not trust the server" in body, "Revoked" in body) == (502, True, True)


def test_the_client_trusts_no_revoked_server(house: Household) -> None:
    answered = house.call("vault")
    assert (answered.returncode, answered.stderr) == (0, "")
    for name in ("cellar", "shed"):
        refused = house.call(name)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert "Revoked" in refused.stderr


FAULTS = {
    "crl": ("down", Misbehaviour.EXPIRED_CRL),
    "ocsp": ("down", Misbehaviour.UNKNOWN, Misbehaviour.STALE),
}  # fmt: skip


def _without_answers(house: Household) -> Iterator[contextlib.AbstractContextManager[None]]:
    for fault in FAULTS[house.lab.topology.servers["desk"].check_revocation.value]:
        yield house.publisher.down() if isinstance(fault, str) else house.publisher.misbehaving(fault, "issuing")


def test_who_cannot_be_looked_up_is_refused(house: Household) -> None:
    for fault in _without_answers(house):
        with fault, house.desk() as desk:
            desk.refuses("teller", "RevocationStatusUnknown")
            refused = house.call("vault")
            assert (refused.returncode, "RevocationStatusUnknown" in refused.stderr) == (3, True)
    with house.desk() as desk:
        assert desk.ask("teller").status == 200
    assert house.call("vault").returncode == 0


def test_who_cannot_be_looked_up_passes_where_that_is_asked_for(house: Household) -> None:
    """`on_unavailable: allow`; its twin above refuses. Who is known to be revoked stays out all the same."""
    with house.lenient():
        for fault in _without_answers(house):
            with fault, house.desk() as desk:
                assert desk.ask("teller").status == 200
                until(lambda desk=desk: any("as Tls:OnUnavailable says" in line for line in desk.lines))  # type: ignore[misc]
                assert desk.calls("vault")[0] == 200
                assert house.call("vault").returncode == 0
        with house.desk() as desk:
            desk.refuses("auditor", "Revoked")
            desk.refuses("clerk", "Revoked")
            assert desk.calls("cellar")[0] == 502
        assert house.call("cellar").returncode == 3
        assert house.call("shed").returncode == 3


def test_of_two_pointers_the_second_is_asked_where_the_first_fails(tmp_path: Path) -> None:
    """With a CRL and a responder an expired CRL locks nobody out, and lets no revoked one in."""
    with household(tmp_path, "{crl: 1h, ocsp: 1h}", "crl") as house:
        with house.publisher.misbehaving(Misbehaviour.EXPIRED_CRL, "issuing"), house.desk() as desk:
            assert desk.ask("teller").status == 200
            desk.refuses("auditor", "Revoked")
        with house.publisher.down(), house.desk() as desk:
            desk.refuses("teller", "RevocationStatusUnknown")


def test_without_a_pointer_nobody_can_be_looked_up(tmp_path: Path) -> None:
    """Why plan refuses such a topology: here the check is asked for behind its back."""
    with household(tmp_path, "{}", "none") as house:
        with house.desk() as desk:
            assert desk.ask("teller").status == 200
        with house.settings('"Revocation": "none"', '"Revocation": "crl"'), house.desk() as desk:
            desk.refuses("teller", "RevocationStatusUnknown")


# --- From the verb to the closed door --------------------------------------------------------------------------------

BANK = """
version: 1
name: bank
publish: http://PUBLISH
cas:
  root: {}
  issuing: {issuer: root, revocation: {crl: 10s}}
servers:
  desk: {template: kestrel, issuer: issuing, listen: "DESK", names: [localhost], check_revocation: crl,
    pfx: {password: {generate: true}}}
clients:
  teller: {template: python, issuer: issuing, calls: [desk]}
  auditor: {template: python, issuer: issuing, calls: [desk]}
"""


def test_a_revocation_is_seen_once_the_crl_has_ended(tmp_path: Path) -> None:
    """`revocation: {crl: …}` of the CA is the reaction time, as plan says in words."""
    from tests.handshake.publisher_lab import publishing

    (publish, listen) = free_addresses(2)
    made = applied(BANK.replace("PUBLISH", str(publish)).replace("DESK", str(listen)), tmp_path)
    house = Household(made, None)  # type: ignore[arg-type]
    lab.build(house.project("desk"))
    with publishing(made), house.desk() as desk:
        until(lambda: not _is_cut_off(desk, "auditor"))  # at once, unless the CRL of this moment has just ended
        until(lambda: _revoke(made, "client.auditor") == 0)  # the publisher, too, holds the lock while it signs
        until(lambda: _is_cut_off(desk, "auditor") and desk.has_refused("Revoked"))
        until(lambda: not _is_cut_off(desk, "teller"))


def _revoke(made: Lab, address: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "scaffold", "revoke", address, "--reason", "keyCompromise", "--no-replace", "--yes",
         "-f", str(made.topology.source), "--out", str(made.layout.out)],
        capture_output=True, check=False,
    ).returncode  # fmt: skip


def _is_cut_off(desk: Desk, caller: str) -> bool:
    try:
        return desk.ask(caller).status != 200
    except OSError:
        return True


# --- Stapling --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> Iterator[Published]:
    with publisher() as running:
        yield running


@dataclass
class Stapling:
    """A project that staples, and its authorities."""

    project: lab.Project
    ca: Authority
    published: Published

    def own(self) -> Credential:
        """A certificate for it that points to the responder."""
        return server(self.ca, "desk", "localhost", ocsp_url=self.published.ocsp_url("issuing"))

    def staple(self) -> Staple | None:
        """What it staples to a handshake of OpenSSL; None where it staples nothing."""
        shown = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.project.port}", "-status", "-showcerts"],
            input="", capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        assert "BEGIN CERTIFICATE" in shown
        assert "Lab Root" not in re.findall(r"\d s:.*", shown)[-1], "the root is not sent"
        if "OCSP response: no response sent" in shown:
            return None
        status, serial, ends = (
            re.search(pattern, shown)[1]  # type: ignore[index]
            for pattern in (r"Cert Status: (\w+)", r"Serial Number: (\w+)", r"Next Update: (.+) GMT")
        )
        until = datetime.strptime(ends, "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        return Staple(status, int(serial, 16), until)


@dataclass(frozen=True)
class Staple:
    status: str
    serial: int
    ends: datetime


def stapling(folder: Path, published: Published, files: Files | None = None, *, life: timedelta) -> Stapling:
    root = authority("Lab Root")
    ca = authority("Lab Issuing", root)
    published.responds("issuing", ca, lifetime=life)
    made = lab.server_project(folder, root, ca, [allow("teller", ca)], files=files or Files(), staple=True)
    stapling = Stapling(made, ca, published)
    made.credential = stapling.own()
    made.write()
    return stapling


@pytest.mark.parametrize("files", [Files(), pytest.param(lab.PFX, marks=pytest.mark.long)], ids=["pem", "pfx"])
def test_the_first_handshake_brings_a_staple(files: Files, published: Published, tmp_path: Path) -> None:
    made = stapling(tmp_path, published, files, life=timedelta(hours=1))
    with lab.running(made.project):
        first = made.staple()
        assert first is not None
        assert (first.status, first.serial) == ("good", made.project.credential.certificate.serial_number)

        # A new certificate comes with its own staple: never a handshake without one.
        newest = made.own()
        made.project.write_own(newest)
        made.project.reload()
        until(lambda: _holds(made.staple()).serial == newest.certificate.serial_number)


def _holds(staple: Staple | None) -> Staple:
    assert staple is not None, "a handshake without a staple"
    return staple


def test_without_a_responder_it_serves_without_a_staple(published: Published, tmp_path: Path) -> None:
    made = stapling(tmp_path, published, life=timedelta(hours=1))
    published.available = False
    try:
        with lab.running(made.project):
            assert made.staple() is None
            assert made.project.ask(client(made.ca, "teller")).status == 200
            published.available = True
            until(lambda: made.staple() is not None)
    finally:
        published.available = True


def test_the_staple_is_kept_fresh_while_nobody_calls(published: Published, tmp_path: Path) -> None:
    """.NET alone renews it when somebody calls, and after a quiet time the first caller finds none."""
    made = stapling(tmp_path, published, life=timedelta(seconds=14))
    with lab.running(made.project):
        ends = _holds(made.staple()).ends
        until(lambda: now() > ends)
        assert _holds(made.staple()).ends > ends
