"""What is seen of a staple, at a real server that staples what it is given; and what openssl sees of ours."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaffold.pki import broken, bundles, crl, ocsp, staples
from scaffold.pki.profiles import CertificateProfile
from scaffold.running.ports import LOOPBACK, free_addresses
from scaffold.topology.model import HostPort, San, SanType, Subject
from scaffold.verify import stapling
from scaffold.verify.credentials import credentials
from scaffold.verify.impostor import Impostor
from scaffold.verify.model import Observed
from scaffold.verify.protocol import Target
from tests.requirements import require_command
from tests.unit.verify.test_http import ROOT, ca, serving

NOW = datetime.now(UTC)
PROFILE = CertificateProfile(Subject("api"), "server", (San(SanType.DNS, "localhost"),))


@pytest.fixture
def shown() -> broken.Rogue:
    return broken.rogue(PROFILE, ROOT, NOW)


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    with Impostor("api") as found:
        yield found


def response(rogue: broken.Rogue, status: ocsp.Status = ocsp.State.GOOD, ends: timedelta = timedelta(hours=1)) -> bytes:
    return staples.make(rogue.certificate, ROOT, status, NOW + ends - timedelta(hours=2), NOW + ends)


@contextlib.contextmanager
def openssl_staples(rogue: broken.Rogue, staple: bytes) -> Iterator[Target]:
    """A server that staples whatever it is given; the library under Python staples nothing about other certificates."""
    require_command("openssl")
    with tempfile.TemporaryDirectory() as folder:
        shown = credentials(rogue)
        for name, content in (("cert.pem", shown.certificates), ("key.pem", shown.key), ("staple.der", staple)):
            Path(folder, name).write_bytes(content)
        command = ["openssl", "s_server", "-accept", f"{LOOPBACK}:0", "-naccept", "1", "-status_file", "staple.der"]
        command += ["-cert", "cert.pem", "-key", "key.pem"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, cwd=folder, text=True, **pipes) as process:  # type: ignore[call-overload]
            try:
                accepting = next(line for line in process.stdout if line.startswith("ACCEPT "))
                yield Target(HostPort(LOOPBACK, int(accepting.rpartition(":")[2])), "localhost")
            finally:
                process.kill()


def judged(target: Target, rogue: broken.Rogue) -> tuple[Observed, str]:
    finding = stapling.stapled(target, rogue.certificate, ROOT.certificate, NOW)
    return finding.observed, finding.detail


def test_a_good_staple_is_seen_and_every_other_is_not_taken_for_one(shown: broken.Rogue) -> None:
    with openssl_staples(shown, response(shown)) as target:
        observed, detail = judged(target, shown)
    assert (observed, detail[:11]) == (Observed.ALLOWED, "good, until")
    revoked = crl.Revoked(shown.certificate.serial_number, NOW)
    other = broken.rogue(PROFILE, ROOT, NOW)
    for staple, words in (
        (response(shown, revoked), "revoked"),
        (response(shown, ocsp.State.UNKNOWN), "no usable answer"),
        (response(shown, ends=-timedelta(hours=1)), "expired"),
        (response(other), "another certificate"),
        (staples.make(shown.certificate, ca("root"), ocsp.State.GOOD, NOW, NOW + timedelta(hours=1)), "another"),
        (_signed_by_nobody(shown), "not signed by its CA"),
        (ocsp.unsuccessful(ocsp.Failure.TRY_LATER), "try_later"),
    ):
        with openssl_staples(shown, staple) as target:
            observed, detail = judged(target, shown)
        assert observed is Observed.BROKEN
        assert words in detail


def test_a_staple_of_ours_is_seen_and_so_is_none(impostor: Impostor, shown: broken.Rogue) -> None:
    target = Target(impostor.address, "localhost")
    impostor.show(credentials(shown), response(shown))
    assert judged(target, shown)[0] is Observed.ALLOWED
    impostor.show(credentials(shown), response(shown, crl.Revoked(shown.certificate.serial_number, NOW)))
    assert judged(target, shown)[0] is Observed.BROKEN
    impostor.show(credentials(shown))
    assert judged(target, shown) == (Observed.BROKEN, "it staples no OCSP response")


def _signed_by_nobody(shown: broken.Rogue) -> bytes:
    whole = response(shown)
    return whole[:-1] + bytes([whole[-1] ^ 1])


def test_nobody_is_not_reachable(shown: broken.Rogue) -> None:
    (address,) = free_addresses(1)
    assert judged(Target(address, "localhost"), shown)[0] is Observed.UNREACHABLE


def test_silence_is_no_staple(shown: broken.Rogue, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(stapling, "PATIENCE", 0.2)
    with serving(lambda connection: bool(done.wait(60)) and None) as target:
        observed, detail = judged(target, shown)
        done.set()
    assert (observed, "the handshake was not complete" in detail) == (Observed.BROKEN, True)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_sees_the_staple_and_turns_away_without_one(
    version: str, impostor: Impostor, shown: broken.Rogue, tmp_path
) -> None:
    """As a client that demands a staple does: no request reaches a server that has none."""
    require_command("openssl")
    (tmp_path / "root.pem").write_bytes(bundles.pem(ROOT.certificate))
    command = ["openssl", "s_client", version, "-status", "-connect", str(impostor.address), "-CAfile", "root.pem"]

    def said() -> str:
        request = "GET / HTTP/1.0\r\n\r\n"
        done = subprocess.run(
            [*command, "-ign_eof"],
            cwd=tmp_path, input=request, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        return done.stdout

    visits = impostor.show(credentials(shown), response(shown))
    assert "Cert Status: good" in (told := said())
    assert '"server": "api"' in told
    assert (visits.connections, len(visits.requests)) == (1, 1)
    visits = impostor.show(credentials(shown))
    assert "OCSP response: no response sent" in said()
    assert visits.connections == 1


def test_who_turns_away_sends_no_request(impostor: Impostor, shown: broken.Rogue) -> None:
    require_command("openssl")
    visits = impostor.show(credentials(shown), response(shown))
    command = ["openssl", "s_client", "-connect", str(impostor.address), "-verify_return_error", "-verify", "1"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=90, check=False)
    assert (visits.connections, visits.requests) == (1, [])
