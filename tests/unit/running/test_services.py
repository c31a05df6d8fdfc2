"""Running services: ready by event, ended together, never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.errors import VerifyError
from scaffold.running.ports import free_addresses
from scaffold.running.services import Launch, Services, Terminated, termination_as_exception

READY = r"^ready on \S+"


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Launch]:
    """Makes a project whose run.sh is the given shell script."""

    def make(script: str, name: str = "accounts", **environment: str) -> Launch:
        folder = tmp_path / name
        folder.mkdir()
        run = folder / "run.sh"
        run.write_text(f"#!/bin/sh\n{script}\n")
        run.chmod(0o755)
        return Launch(name, folder, READY, environment)

    return make


def gone(pid: int) -> bool:
    """Whether no process runs under `pid`; one that only waits to be collected by its parent is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(condition: Callable[[], bool], within: float = 60.0) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_service_is_ready_when_it_says_so_and_gone_when_the_block_ends(project: Callable[..., Launch]) -> None:
    with Services() as services:
        (service,) = services.start([project('echo "starting"; echo "ready on $LISTEN"; exec sleep 60', LISTEN="here")])
        assert service.running
        assert service.last_lines == ("starting", "ready on here")
        pid = service.pid
    assert gone(pid)


def test_a_line_without_an_end_is_read_in_pieces(project: Callable[..., Launch]) -> None:
    lines: list[str] = []
    script = "head -c 200000 /dev/zero | tr '\\0' a; echo; echo ready on x; exec sleep 60"
    with Services(on_line=lambda _, line: lines.append(line)) as services:
        services.start([project(script)])
    assert [len(line) for line in lines[:5]] == [65_536, 65_536, 65_536, 3_392, 10]


@pytest.mark.parametrize(("before", "is_ready"), [(900, True), (1_100, False)])
def test_the_beginning_of_a_line_is_searched(project: Callable[..., Launch], before: int, is_ready: bool) -> None:
    launch = replace(project(f"printf '%{before}s\\n' up; exit 3"), ready="up$")
    outcome = contextlib.nullcontext() if is_ready else pytest.raises(VerifyError, match="exit status 3")
    with Services() as services, outcome:
        services.start([launch])


def test_what_a_script_left_in_its_process_group_ends_too(
    project: Callable[..., Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaffold.running.services.STOP_WITHIN", 0.2)
    script = f'sh -c "trap : TERM; echo \\$\\$ > {tmp_path}/child; echo ready on x; while :; do sleep 1; done" & wait'
    with Services() as services:
        (service,) = services.start([project(script)])
        child = int((tmp_path / "child").read_text())
        service.signal(signal.SIGTERM)
    assert eventually(lambda: gone(child))


def test_one_that_does_not_start_is_told_and_the_others_run(project: Callable[..., Launch]) -> None:
    said: list[str] = []
    sound = project('test "$ENDS" = yes && echo oops && exit 7; echo "ready on it"; exec sleep 60')
    ending = replace(sound, name="ending", environment={"ENDS": "yes"})
    nowhere = replace(sound, name="nowhere", folder=sound.folder / "none")
    with Services() as services:
        failed = services.start_each([nowhere, ending, sound], on_ready=said.append)
        assert said == [sound.name]
        assert [service.name for service in services if service.running] == [sound.name]
    assert "server.ending ended with exit status 7; its last lines:\n  oops" in failed["ending"].message
    assert "server.nowhere cannot be started" in failed["nowhere"].message
    assert failed.keys() == {"ending", "nowhere"}


@pytest.mark.parametrize(
    ("script", "hint"),
    [
        ("echo it runs already; exit 1", "see its own output"),
        ("seq 9; exit 1", "see its own output; run its run.sh by hand to see all of it"),
        ("exit 1", "run its run.sh by hand to see its output"),
    ],
)
def test_what_is_not_shown_in_full_is_seen_by_hand(script: str, hint: str, project: Callable[..., Launch]) -> None:
    with Services() as services, pytest.raises(VerifyError) as raised:
        services.start([project(script)])
    assert raised.value.hint == hint


def test_one_that_dies_is_named_with_its_last_lines(project: Callable[..., Launch]) -> None:
    with Services() as services, pytest.raises(VerifyError) as raised:
        services.start([project("echo 'no such file: tls/cert.pem' >&2; exit 7")])
    assert "server.accounts ended with exit status 7" in str(raised.value)
    assert "no such file: tls/cert.pem" in str(raised.value)


def test_one_that_stays_silent_is_named_and_stopped(project: Callable[..., Launch]) -> None:
    thinking = threading.Event()
    with Services(lambda name, line: thinking.set()) as services:
        with pytest.raises(VerifyError, match="did not report that it is ready"):
            services.start([project("echo thinking; exec sleep 60")], within=0.01)
        (service,) = services
        assert thinking.wait(60)
        assert "did not report that it is ready; its last lines:\n  thinking" in service.epitaph()
    assert gone(service.pid)


def test_one_that_takes_its_time_is_told_and_then_ready(
    project: Callable[..., Launch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaffold.running.services.TOLD_AFTER", 0.01)
    goes_on, said = tmp_path / "goes-on", []

    def on_wait(name: str, waits: str) -> None:
        said.append(f"{name} {waits}")
        goes_on.touch()

    with Services() as services:
        services.start(
            [project(f"until test -e {goes_on}; do sleep 0.01; done; echo ready on x; exec sleep 60")], on_wait=on_wait
        )
    assert said[0].startswith("accounts not ready yet: waiting for its run.sh to report that it is ready, ")


LISTENING = """
exec {python} -c '
import socket
s = socket.create_server(("127.0.0.1", {port}))
print("ready on {port}", flush=True)
import time
time.sleep(60)
'
"""


def test_one_that_is_ready_and_listens_elsewhere_is_named(project: Callable[..., Launch]) -> None:
    wanted, edited = free_addresses(2)
    launch = project(LISTENING.format(python=sys.executable, port=edited.port))
    with pytest.raises(VerifyError) as raised, Services() as services:
        services.start([replace(launch, listens=(wanted,))])
    assert f"server.accounts reports that it is ready, but does not listen on {wanted}" in raised.value.message
    assert f"ready on {edited.port}" in raised.value.message
    assert "`listen`" in (raised.value.hint or "")
    with Services() as services:
        services.start([replace(launch, listens=(edited,))])


def test_one_without_a_script_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with Services() as services, pytest.raises(VerifyError) as raised:
        services.start([Launch("accounts", tmp_path, READY)])
    assert raised.value.hint is not None


def test_a_service_sees_its_own_home_and_none_of_our_secrets(
    project: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOT_KEY_PASSWORD", "correct horse")
    monkeypatch.setenv("UPSTREAM", "somebody.else:1")
    with Services() as services:
        first, second = services.start(
            project("env; echo ready on x; exec sleep 60", name, HEALTH="h:1") for name in ("one", "two")
        )
        seen = "\n".join([*first._lines, *second._lines])
        homes = {line for line in seen.splitlines() if line.startswith("HOME=")}
    assert len(homes) == 2
    assert f"HOME={Path.home()}" not in homes
    assert "HEALTH=h:1" in seen
    assert "correct horse" not in seen
    assert "somebody.else" not in seen


def test_the_first_to_end_is_told(project: Callable[..., Launch], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    with Services() as services:
        services.start(
            [
                project("echo ready on x; exec sleep 60", "lives"),
                project(f"echo ready on x; read _ < {tmp_path}/gate; exit 3", "dies"),
            ]
        )
        (tmp_path / "gate").write_text("now\n")
        ended = services.wait_for_an_end()
        assert ended.name == "dies"
        assert "exit status 3" in ended.epitaph()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_service_outlives_us(number: signal.Signals, project: Callable[..., Launch], tmp_path: Path) -> None:
    if number is signal.SIGKILL and not (sys.platform == "linux" and Path("/usr/bin/setpriv").exists()):
        pytest.skip("only Linux with setpriv ends the children of a killed parent")
    launch = project("echo $$ > pid; echo ready on x; exec sleep 60")
    code = f"""
from pathlib import Path
from scaffold.running.services import *
with termination_as_exception(), Services() as services:
    services.start([Launch("accounts", Path({str(launch.folder)!r}), {READY!r})])
    print("up", flush=True)
    services.wait_for_an_end()
"""
    own = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=own) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        pid = int((launch.folder / "pid").read_text())
        assert not gone(pid)
        parent.send_signal(number)
        parent.wait(60)
    assert eventually(lambda: gone(pid))


def test_termination_is_an_exception_within_the_block_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as raised, termination_as_exception():
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_changes_in_a_folder_is_reloaded_once_it_has_settled(project):
    said: list[str] = []
    script = "trap 'echo reloaded' HUP; echo ready on 1; while :; do sleep 0.05; done"
    changing, still = project(script), project(script, "still")
    for launch in (changing, still):
        (launch.folder / "tls").mkdir()
    with Services(lambda name, line: said.append(f"{name} {line}")) as services:
        services.start((changing, still))
        services.reload_on_change({one.name: one.folder / "tls" for one in (changing, still)}, every=0.05)
        (changing.folder / "cert.pem").write_text("new")
        (changing.folder / "cert.pem").rename(changing.folder / "tls/cert.pem")
        assert eventually(lambda: "accounts reloaded" in said)
    assert said.count("accounts reloaded") == 1
    assert "still reloaded" not in said
