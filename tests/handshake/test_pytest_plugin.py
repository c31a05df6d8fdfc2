"""The plugin with real servers: the sample project as its readers run it, and what only a running server can show."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scaffold.errors import Overtaken, VerifyError
from scaffold.store import lock
from scaffold.testing import servers
from scaffold.testing.broken import Broken
from scaffold.testing.environment import Environment, Files
from scaffold.topology.address import Role
from tests.cli.harness import snapshot
from tests.requirements import require_command

pytest.importorskip("httpx")

ROOT = Path(__file__).parents[2]
LAB = """
version: 1
name: lab
publish: http://127.0.0.1:9080
defaults: {pfx: {password: {generate: true}}} # which these templates cannot have
cas:
  root: {}
  issuing: {issuer: root}
servers:
  inner: {template: python, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost], check_revocation: crl}
  outer:
    template: nginx
    issuer: issuing
    listen: 127.0.0.1:8444
    names: [localhost]
    calls: [inner]
    upstream: inner
clients:
  web: {template: python, issuer: issuing, calls: [outer, inner]}
"""


def sample(checkout: Path, *options: str, through: Sequence[str] = (), **environment: str) -> str:
    """What pytest says of the sample project, started by a command that `through` is put before."""
    done = subprocess.run(
        [*through, sys.executable, "-m", "pytest", "-p", "scaffold.testing.plugin", "-q", *options],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples/pytest", tmp_path / "checkout", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "checkout"


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_the_sample_project_passes_and_writes_nothing_beside_itself(checkout: Path, workers: tuple[str, ...]) -> None:
    before = snapshot(checkout)
    said = sample(checkout, "-p", "no:cacheprovider", *workers, PYTHONDONTWRITEBYTECODE="1")
    assert "16 passed" in said, said
    assert snapshot(checkout) == before


READ_ONLY_AND_OFFLINE = """
ip link set lo up
mount --bind . .
mount -o remount,ro,bind .
cd "$PWD"
! touch written 2>/dev/null
! ip route get 192.0.2.1 >/dev/null 2>&1
exec "$@"
"""
"""In namespaces of its own: nothing is there but loopback, and the working directory cannot be written to."""


def test_the_sample_project_passes_offline_on_a_read_only_checkout(checkout: Path) -> None:
    require_command("unshare", "ip", "mount")
    alone = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-euc", READ_ONLY_AND_OFFLINE, "sh"]
    if subprocess.run([*alone, "true"], cwd=checkout, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have namespaces of their own")
    said = sample(checkout, through=alone, HOME="/nonexistent")
    assert "16 passed" in said, said


def unavailable(reason: str) -> None:
    pytest.fail(reason)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "topology.yaml").write_text(LAB)
    with Environment.of(folder / "topology.yaml", folder, unavailable=unavailable) as environment:
        yield environment


def status(lab: Environment, server: str, who: str | Files) -> int | str:
    """The status of one call, or why the handshake failed."""
    try:
        with urllib.request.urlopen(lab.url(server), context=lab.ssl_context(who), timeout=90) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def test_a_gateway_brings_its_upstream_and_both_end_with_the_block(lab: Environment) -> None:
    require_command("nginx")
    with lab.start("outer") as started:
        assert started.names == {"outer", "inner"}
        assert status(lab, "outer", "web") == 200
        assert status(lab, "outer", "server.outer.client-certificate") == 403
        with lab.start("outer") as nothing:
            assert not nothing.names
        assert status(lab, "outer", "web") == 200, "a block ends what it has started alone"
    assert lab.url("outer") == "https://localhost:8444/"
    with lab.start("inner"):
        assert status(lab, "inner", "web") == 200


def test_a_revoked_certificate_is_refused_by_the_server_that_runs(lab: Environment) -> None:
    with lab.start("inner"):
        url = lab.url("inner")
        revoked = lab.ssl_context(lab.broken("web", "revoked"))

        def refused() -> bool:
            try:
                urllib.request.urlopen(url, context=revoked, timeout=90).close()
            except (urllib.error.URLError, ssl.SSLError, OSError):
                return True
            return False

        assert refused()
        assert status(lab, "inner", "web") == 200


def test_many_are_revoked_beside_the_publisher_and_each_is_refused_at_once(lab: Environment) -> None:
    with lab.start("inner"):
        for _ in range(6):
            assert status(lab, "inner", lab.broken("web", "revoked")) != 200


def test_a_server_that_goes_on_letting_it_in_is_an_error(lab: Environment) -> None:
    files = lab.files("client.web")
    sound = Broken(files.certificate.read_bytes(), files.key.read_bytes(), revoked=True)
    with lab.start("inner"):
        assert lab._running is not None
        with pytest.raises(VerifyError, match=r"server\.inner does not refuse a certificate that was revoked"):
            lab._running.wait_until_refused(sound, within=0)


def test_an_apply_that_is_overtaken_plans_again(lab: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    once, calls = servers._apply_once, []

    def overtaken_twice(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) <= 2:
            raise Overtaken("the publisher wrote meanwhile")
        once(*arguments)

    monkeypatch.setattr(servers, "_apply_once", overtaken_twice)
    lab._apply(lambda one: one.role is Role.CA)
    assert len(calls) == 3


def test_who_holds_the_lock_is_waited_for(lab: Environment) -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.hold(lab._layout, datetime.now(UTC)):
            held.set()
            free.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    try:
        assert held.wait(60)
        threading.Timer(0.2, free.set).start()
        with lab.start("inner"):
            assert status(lab, "inner", lab.broken("web", "revoked")) != 200
    finally:
        free.set()
        other.join()
