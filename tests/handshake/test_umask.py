"""run.sh and refresh.sh under a umask that takes away even the rights of the account itself, as one of no rights.

Each test has a twin on the same project without the line that it is about.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaffold.pki import keys
from scaffold.running.ports import free_addresses
from scaffold.settings.values import Revocation, Source
from tests.handshake import dotnet_lab
from tests.handshake.nginx_lab import Authority, Credential, allow, call_of, project
from tests.handshake.postgresql_lab import require_postgresql
from tests.handshake.python_lab import Desk, client_folder, place
from tests.handshake.revocation_lab import HOUR, crls
from tests.handshake.rewriting import rewrite
from tests.handshake.traffic import ANYBODYS_PATH, give_to_nobody, nobody, nobodys_folder, started
from tests.requirements import require, require_command

NOT_REACHABLE = 5
UMASK = "umask u+rwx"
UNDER_777 = ["sh", "-c", 'umask 777; exec "$@"', "sh"]


@pytest.fixture
def nobodys() -> Iterator[Path]:
    with nobodys_folder() as folder:
        yield folder


def without(script: Path, line: str = UMASK) -> None:
    rewrite(script, (line, ":"))


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": ANYBODYS_PATH, "HOME": "/nonexistent", "TMPDIR": str(folder)}
    return subprocess.run(
        [*UNDER_777, *command],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **nobody(),
    )


def test_nginx_serves(nobodys: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    require_command("nginx")
    made = project(nobodys / "desk", root, ca, [allow("teller", ca)]).write()
    give_to_nobody(nobodys)
    with started([*UNDER_777, made.folder / "run.sh"], made.lines, {}, **nobody()):
        assert made.ask(teller).status == 200
    assert (made.folder / "run/access.log").stat().st_mode & 0o777 == 0o600
    shutil.rmtree(made.folder / "run")
    without(made.folder / "run.sh", "umask 077")
    with started([*UNDER_777, made.folder / "run.sh"], made.lines, {}, **nobody()) as process:
        assert process.wait(90) == 1


def test_python_looks_up_its_callers(nobodys: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    require(shutil.which("python3", path=ANYBODYS_PATH), "a python3 that every user may run")
    desk = Desk(nobodys / "desk", root, ca, revocation=Revocation("crl", by_application=True))
    place(desk.tls / "crl.pem", crls((root, HOUR, ()), (ca, HOUR, ())))
    give_to_nobody(nobodys)
    command, moved = [*UNDER_777, desk.folder / "run.sh"], {"LISTEN": f"127.0.0.1:{desk.port}", "TMPDIR": str(nobodys)}
    with started(command, desk.lines, moved, **nobody()):
        assert desk.ask(teller).status == 200
    without(desk.folder / "run.sh")
    with started(command, desk.lines, moved, **nobody()):
        answer = desk.ask(teller)
        assert (answer.status, "Permission denied" in answer.error) == (403, True)


@pytest.mark.parametrize("kind", ["curl", "psql"])
def test_a_client_in_shell_says_how_a_call_ended(nobodys: Path, root: Authority, teller: Credential, kind: str) -> None:
    if kind == "psql":
        require_postgresql()
    else:
        require_command(kind)
    (free,) = free_addresses(1)
    folder = client_folder(kind, nobodys / "teller", teller, root, call_of("desk", free.port, "localhost"))
    give_to_nobody(nobodys)
    assert run(nobodys, folder / "run.sh").returncode == NOT_REACHABLE
    without(folder / "run.sh")
    done = run(nobodys, folder / "run.sh")
    assert done.returncode != NOT_REACHABLE
    assert "Permission denied" in done.stderr


def test_python_calls_and_looks_up(nobodys: Path, root: Authority, ca: Authority, teller: Credential) -> None:
    """A client that checks revocation writes the certificates that it asks openssl about into a folder."""
    require(shutil.which("python3", path=ANYBODYS_PATH), "a python3 that every user may run")
    desk = Desk(nobodys / "desk", root, ca)
    rules = Revocation("crl", by_application=True)
    folder = client_folder(
        "python", nobodys / "teller", teller, root, call_of("desk", desk.port, "localhost"), revocation=rules
    )
    place(folder / "tls/crl.pem", crls((root, HOUR, ()), (ca, HOUR, ())))
    give_to_nobody(nobodys)
    with desk.running():
        done = run(nobodys, folder / "run.sh")
        assert done.returncode == 0, done
        without(folder / "run.sh")
        assert "Permission denied" in run(nobodys, folder / "run.sh").stderr


def test_refresh_sh_says_what_it_could_not_have(nobodys: Path, root: Authority, ca: Authority) -> None:
    require_command("curl")
    (free,) = free_addresses(1)
    source = Source("issuing", keys.spki_sha256(ca.certificate), f"http://127.0.0.1:{free.port}/crl")
    desk = Desk(nobodys / "desk", root, ca, revocation=Revocation("crl", crls=(source,)))
    place(desk.tls / "crl.pem", crls((root, HOUR, ()), (ca, HOUR, ())))
    give_to_nobody(nobodys)
    done = run(nobodys, desk.folder / "refresh.sh")
    assert (done.returncode, "refresh.sh: issuing: http://127.0.0.1:" in done.stderr) == (1, True), done
    without(desk.folder / "refresh.sh")
    assert "Permission denied" in run(nobodys, desk.folder / "refresh.sh").stderr


A_BUILD = """#!/bin/sh
[ "$1" = build ] || exit 0
mkdir -p bin/Release/net10.0
echo >bin/Release/net10.0/teller-client.dll
"""


def test_a_dotnet_project_is_built(nobodys: Path, root: Authority, ca: Authority) -> None:
    """Up to what run.sh itself does: with a program in place of dotnet that writes where a build does."""
    made = dotnet_lab.client_project(nobodys / "teller", root, ca, [call_of("desk", 1, "localhost")])
    made.render()
    (nobodys / "dotnet").write_text(A_BUILD)
    (nobodys / "dotnet").chmod(0o755)
    give_to_nobody(nobodys)
    run_sh = ("env", f"PATH={nobodys}:{ANYBODYS_PATH}", made.folder / "run.sh")
    assert run(nobodys, *run_sh).returncode == 0
    assert (made.folder / "bin/Release/net10.0/teller-client.dll").exists()
    shutil.rmtree(made.folder / "bin")
    shutil.rmtree(made.folder / "obj")
    without(made.folder / "run.sh")
    assert "Permission denied" in run(nobodys, *run_sh).stderr
