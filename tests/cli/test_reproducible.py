"""The same topology, made twice under whatever differs between two machines and two days: `diff -r` sees nothing."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.harness import scaffold, snapshot
from tests.other_clock import command_at
from tests.requirements import require_command

ROOT = Path(__file__).parent.parent.parent
SEED = {"SEED": "a seed that everybody may know, ü"}
LAB = """
version: 1
name: lab
publish: http://127.0.0.1:9080
reproducible: {seed: {env: SEED}, at: 2026-01-01T00:00:00Z}
defaults: {subject: {organization: Tëst Lab}}
cas:
  root: {key: ec-p384}
  issuing: {issuer: root}
  other: {issuer: root, key: ed25519}
servers:
  api:
    template: nginx
    issuer: issuing
    listen: 127.0.0.1:8443
    names: [localhost]
    staple: true
    check_revocation: crl
  inner: {template: python, issuer: other, listen: "127.0.0.1:8444", names: [localhost], calls: [api], key: ec-p384}
  plain: {template: kestrel, issuer: other, listen: "127.0.0.1:8445", names: [localhost]}
clients:
  web: {template: python, issuer: issuing, calls: [api, inner]}
  ops: {template: curl, issuer: other, calls: [api, plain], key: ed25519, tls: modern}
  net: {template: dotnet, issuer: other, calls: [inner]}
  mallory: {template: curl, issuer: other, calls: [api], fault: wrong-ca}
  early: {template: curl, issuer: other, calls: [api], fault: not-yet-valid}
  late: {template: curl, issuer: other, calls: [inner], fault: expired}
"""


@dataclass(frozen=True)
class Machine:
    """How a command is run: under which clock, rights, language and hash seed, and by whom."""

    before: Sequence[str] = ()
    umask: int = 0o022
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    python: str = sys.executable


def apply(machine: Machine, folder: Path) -> Path:
    """The output folder of an apply in `folder`."""
    folder.mkdir(mode=0o755)
    (folder / "topology.yaml").write_text(LAB, "utf-8")
    if machine.user is not None:
        entry = pwd.getpwnam(machine.user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    done = subprocess.run(
        [*machine.before, machine.python, "-B", "-m", "scaffold", "apply", "--yes"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), **SEED, **machine.environment},
        umask=machine.umask,
        user=machine.user,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return folder / "lab"


def differences(one: Path, other: Path) -> str:
    """What `diff -r` finds."""
    done = subprocess.run(["diff", "-r", str(one), str(other)], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return apply(Machine(), tmp_path_factory.mktemp("here") / "work")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.mark.parametrize(
    "clock", ["2026-01-01 00:00:00", "2031-07-13 09:14:15", "2070-12-31 23:59:59"], ids=["at", "years", "decades"]
)
def test_another_clock_makes_the_same(here: Path, tmp_path: Path, clock: str) -> None:
    assert differences(here, apply(Machine(before=command_at(f"@{clock}")), tmp_path / "work")) == ""


def test_another_place_language_zone_hash_seed_and_umask_make_the_same(here: Path, tmp_path: Path) -> None:
    strange = {"LC_ALL": "tr_TR.UTF-8", "LANG": "C", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "1", "PYTHONUTF8": "0"}
    made = apply(Machine(umask=0o077, environment=strange), tmp_path / "a folder with spaces, and ü")
    assert differences(here, made) == ""
    ascii_alone = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    assert differences(here, apply(Machine(umask=0, environment=ascii_alone), tmp_path / "work")) == ""


def test_another_user_makes_the_same(here: Path, open_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    installed = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    for python in (sys.executable, "/usr/bin/python3"):
        machine = Machine(user="nobody", python=python, environment=installed)
        if runs(python, user="nobody"):
            assert differences(here, apply(machine, open_folder / "work")) == ""
            return
    pytest.skip("no other user may run this Python")


def runs(python: str, user: str | None = None) -> bool:
    """Whether it starts, and is not older than what scaffold needs."""
    new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", new_enough], user=user, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def newer_pythons() -> list[str]:
    """Those on PATH, and those that pyenv keeps beside it; the newest last."""
    names = [f"python3.{minor}" for minor in range(sys.version_info.minor + 1, sys.version_info.minor + 5)]
    kept = Path.home() / ".pyenv" / "versions"
    found = [path for name in names for path in (shutil.which(name), *map(str, kept.glob(f"*/bin/{name}")))]
    return [path for path in found if path is not None and runs(path)]


@pytest.mark.long
def test_a_newer_python_makes_the_same(here: Path, tmp_path: Path) -> None:
    if not (newer := newer_pythons()):
        pytest.skip("there is no newer Python here")
    environment = tmp_path / "environment"
    subprocess.run([newer[-1], "-m", "venv", str(environment)], check=True, timeout=120)
    install = ["install", "-q", "--disable-pip-version-check", "-c", str(ROOT / "tests/constraints.txt"), str(ROOT)]
    done = subprocess.run([str(environment / "bin/pip"), *install], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"what scaffold needs cannot be installed for it: {done.stderr.splitlines()[-1:]}")
    made = apply(Machine(python=str(environment / "bin/python")), tmp_path / "work")
    assert differences(here, made) == ""


def test_another_seed_and_another_moment_make_others(here: Path, tmp_path: Path) -> None:
    other = differences(here, apply(Machine(environment={"SEED": "another"}), tmp_path / "work"))
    assert "clients/web/tls/key.pem" in other
    assert "pki/root/crl.pem" in other


def test_the_tree_passes_openssl(here: Path) -> None:
    require_command("openssl")
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-crl_check_all",
         "-CAfile", "pki/root/ca.crt", "-untrusted", "pki/issuing/ca.crt",
         "-CRLfile", "pki/root/crl.pem", "-CRLfile", "pki/issuing/crl.pem", "clients/web/tls/cert.pem"],
        cwd=here, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# --- The verbs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "topology.yaml").write_text(LAB, "utf-8")
    return tmp_path


RED = "\x1b[1;31m"


def test_plan_and_status_say_in_red_that_these_keys_are_for_tests(lab: Path) -> None:
    planned = scaffold("plan", cwd=lab, env={"FORCE_COLOR": "1"})
    assert planned.code == 0, planned.err
    assert f"{RED}lab is reproducible: its keys are for tests." in planned.out
    assert scaffold("apply", cwd=lab, env=SEED).out.startswith("lab is reproducible: its keys are for tests.")
    assert f"{RED}lab is reproducible" in scaffold("status", cwd=lab, env={"FORCE_COLOR": "1"}).out
    (lab / "topology.yaml").write_text(LAB.replace("reproducible:", "#"))
    assert "reproducible" not in scaffold("plan", cwd=lab).out


def test_a_moment_to_come_is_told(lab: Path) -> None:
    (lab / "topology.yaml").write_text(LAB.replace("2026-01-01", "2990-01-01"))
    assert "clock is before `at`, 2990-01-01 00:00 UTC" in scaffold("plan", cwd=lab).out


def test_what_has_ended_is_told(lab: Path) -> None:
    """It is not due: renewal is a function of `at`."""
    short = LAB.replace("names: [localhost]}", "names: [localhost], lifetime: 90d}").replace("[api, inner]}", "[api]}")
    (lab / "topology.yaml").write_text(short)
    assert scaffold("apply", cwd=lab, env=SEED).code == 0
    for verb in ("plan", "apply", "status"):
        said = scaffold(verb, cwd=lab, env=SEED).out
        assert "Certificates that follow from `at` have expired, of server.plain: set a later `at`" in said, said
    (lab / "topology.yaml").write_text(LAB)
    assert "has ended" not in scaffold("plan", cwd=lab).out


def test_a_guard_of_production_refuses_it(lab: Path) -> None:
    assert scaffold("validate", cwd=lab).code == 0
    refused = scaffold("validate", "--forbid-reproducible", cwd=lab)
    refused.assert_clear_error("topology.yaml:5", "--forbid-reproducible", "hint:")
    (lab / "topology.yaml").write_text(LAB.replace("reproducible:", "#"))
    assert scaffold("validate", "--forbid-reproducible", cwd=lab).code == 0


def test_without_its_seed_apply_writes_nothing_and_plan_needs_none(lab: Path) -> None:
    assert scaffold("plan", cwd=lab).code == 0
    scaffold("apply", cwd=lab).assert_clear_error("its seed is not in the environment variable SEED")
    assert not (lab / "lab").exists()
    assert scaffold("apply", cwd=lab, env=SEED).code == 0
    assert scaffold("apply", cwd=lab).code == 0, "where nothing is to do, no seed is asked for"


def test_another_seed_is_told_also_where_nothing_is_to_do(lab: Path) -> None:
    assert scaffold("apply", cwd=lab, env=SEED).code == 0
    before = snapshot(lab)
    scaffold("apply", cwd=lab, env={"SEED": "x"}).assert_clear_error("ca.root", "was not made from this seed", "hint:")
    assert snapshot(lab) == before
    assert scaffold("apply", cwd=lab, env=SEED).code == 0


def test_the_seed_is_nowhere_in_what_is_written_or_said(lab: Path) -> None:
    done = scaffold("apply", cwd=lab, env=SEED)
    seed = SEED["SEED"]
    assert seed not in done.out + done.err
    assert not [path for path, text in snapshot(lab / "lab").items() if seed.encode() in text]


def test_renew_says_that_at_decides(lab: Path) -> None:
    assert scaffold("apply", cwd=lab, env=SEED).code == 0
    for arguments in ((), ("client.web",), ("--watch",)):
        scaffold("renew", *arguments, cwd=lab).assert_clear_error("follow from its `at`", "scaffold apply")


def test_what_has_ended_and_follows_from_at_is_not_left_to_apply(tmp_path: Path) -> None:
    at = datetime.now(UTC) - timedelta(days=60)
    text = f"""
version: 1
name: lab
publish: http://127.0.0.1:9080
reproducible: {{seed: {{env: SEED}}, at: {at:%Y-%m-%dT%H:%M:%SZ}}}
cas: {{root: {{revocation: {{crl: 7d}}}}}}
servers:
  api: {{template: python, listen: "127.0.0.1:8443", names: [localhost], lifetime: 400d, check_revocation: crl}}
"""
    (tmp_path / "topology.yaml").write_text(text)
    assert scaffold("apply", cwd=tmp_path, env=SEED).code == 0
    ended = scaffold("status", cwd=tmp_path)
    assert "of the CRLs 2 expired" in ended.out
    assert ended.out.splitlines()[-1].startswith(
        "The expired certificates follow from `at`: set a later `at` or a longer lifetime in the topology"
    )
    (tmp_path / "topology.yaml").write_text(text.replace("crl: 7d", "crl: 400d"))
    assert scaffold("status", cwd=tmp_path).out.splitlines()[-1].startswith("`scaffold plan` shows why")
    assert scaffold("apply", cwd=tmp_path, env=SEED).code == 0
    assert scaffold("status", cwd=tmp_path).code == 0
