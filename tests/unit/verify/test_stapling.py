"""What is seen of a staple, by the real command at a real server that staples what it is given."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from scaffold.pki import broken, crl, ocsp, staples
from scaffold.pki.profiles import CertificateProfile
from scaffold.running.services import LOOPBACK
from scaffold.topology.model import San, SanType, Subject
from scaffold.verify import stapling
from scaffold.verify.model import Observed
from scaffold.verify.probe import Answered, CannotOffer, Target, call
from scaffold.verify.rogues import credentials
from tests.requirements import require_command
from tests.unit.verify.test_probe import ROOT

NOW = datetime.now(UTC)
PROFILE = CertificateProfile(Subject("api"), "server", (San(SanType.DNS, "localhost"),))


@pytest.fixture(scope="module", autouse=True)
def _machine() -> None:
    require_command("openssl")


@pytest.fixture
def shown() -> broken.Rogue:
    return broken.rogue(PROFILE, ROOT, NOW)


def response(rogue: broken.Rogue, status: ocsp.Status = ocsp.State.GOOD, ends: timedelta = timedelta(hours=1)) -> bytes:
    return staples.make(rogue.certificate, ROOT, status, NOW + ends - timedelta(hours=2), NOW + ends)


def seen(rogue: broken.Rogue, staple: bytes) -> tuple[Observed, str]:
    with stapling.stapler("api", credentials(rogue), staple) as server:
        finding = stapling.stapled(Target(server.address, "localhost"), rogue.certificate, NOW)
        return finding.observed, finding.detail


def test_a_good_staple_is_seen_and_every_other_is_not_taken_for_one(shown: broken.Rogue) -> None:
    observed, detail = seen(shown, response(shown))
    assert (observed, detail[:11]) == (Observed.ALLOWED, "good, until")
    revoked = crl.Revoked(shown.certificate.serial_number, NOW)
    other = broken.rogue(PROFILE, ROOT, NOW)
    for staple, words in (
        (response(shown, revoked), "revoked"),
        (response(shown, ocsp.State.UNKNOWN), "unknown"),
        (response(shown, ends=-timedelta(hours=1)), "ended"),
        (response(other), "another certificate"),
    ):
        observed, detail = seen(shown, staple)
        assert observed is Observed.BROKEN
        assert words in detail


@pytest.fixture
def silent() -> Iterator[tuple[broken.Rogue, Target]]:
    """A server that staples nothing."""
    from scaffold.verify.impostor import Impostor

    rogue = broken.rogue(PROFILE, ROOT, NOW)
    with Impostor("api") as impostor:
        impostor.show(credentials(rogue))
        yield rogue, Target(impostor.address, "localhost")


def test_no_staple_is_told_and_so_is_no_server(silent: tuple[broken.Rogue, Target]) -> None:
    rogue, target = silent
    finding = stapling.stapled(target, rogue.certificate, NOW)
    assert (finding.observed, finding.detail) == (Observed.BROKEN, "it staples no OCSP response")


def test_nobody_is_not_reachable(shown: broken.Rogue) -> None:
    with stapling.stapler("api", credentials(shown), response(shown)) as server:
        address = server.address
    finding = stapling.stapled(Target(address, "localhost"), shown.certificate, NOW)
    assert finding.observed is Observed.UNREACHABLE


def test_a_stapling_server_answers_one_request_and_counts_it(shown: broken.Rogue) -> None:
    with stapling.stapler("api", credentials(shown), response(shown)) as server:
        assert server.address.host == LOOPBACK
        outcome = call(Target(server.address, "localhost"), None)
        server.finish()
    assert isinstance(outcome, Answered)
    assert outcome.status == 200
    assert b'"server": "api"' in outcome.body
    assert (server.visits.connections, len(server.visits.requests)) == (1, 1)


def test_who_turns_away_sends_no_request(shown: broken.Rogue) -> None:
    with stapling.stapler("api", credentials(shown), response(shown)) as server:
        command = ["openssl", "s_client", "-connect", str(server.address), "-verify_return_error", "-verify", "1"]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
        server.finish()
    assert (server.visits.connections, server.visits.requests) == (1, [])


def test_without_the_command_it_is_said(shown: broken.Rogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda command: None)
    with pytest.raises(CannotOffer, match="openssl command"), stapling.stapler("api", credentials(shown), b""):
        pass
