"""What rights come to: a umask against oneself, and folders that this user may only read, or not even that."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.harness import TIMEOUT, Ended, scaffold, snapshot
from tests.requirements import require, require_command

TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {}
servers:
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  cli: {template: python, calls: [api]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    return tmp_path


def as_who_obeys_rights(*arguments: str, cwd: Path, umask: int = 0o022) -> Ended:
    """As a person runs it who is no administrator: root does without what lets it pass over rights."""
    prefix = []
    if os.geteuid() == 0:
        without = "-dac_override,-dac_read_search,-fowner"
        prefix = [require_command("setpriv"), f"--inh-caps={without}", f"--bounding-set={without}"]
        require(subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0, "CAP_SETPCAP")
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "scaffold", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        umask=umask,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def only(folder: Path, mode: int) -> Iterator[None]:
    """Within, nobody has more rights in the folder than `mode` has."""
    before = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}
    for path in reversed(before):
        path.chmod(before[path] & mode)
    try:
        yield
    finally:
        for path, rights in before.items():
            path.chmod(rights)


@pytest.mark.parametrize("umask", [0o777, 0o277, 0o700, 0o077, 0])
def test_no_umask_takes_the_owners_own_rights(folder: Path, umask: int) -> None:
    ended = as_who_obeys_rights("apply", cwd=folder, umask=umask)
    assert ended.code == 0, ended.err
    again = as_who_obeys_rights("plan", "--check", "--save", "plan.json", cwd=folder, umask=umask)
    assert again.code == 0, again.out + again.err
    made = [folder / "shop", folder / "plan.json", *(folder / "shop").rglob("*")]
    assert {path.stat().st_mode & 0o400 for path in made} == {0o400}
    folders = [path for path in made if path.is_dir()]
    assert not [path for path in folders if path.stat().st_mode & umask & 0o077], "of others it is obeyed"


def test_of_a_folder_that_may_only_be_read_all_is_told_and_nothing_is_written(folder: Path) -> None:
    assert scaffold("apply", cwd=folder).code == 0
    (folder / "topology.yaml").write_text(TOPOLOGY.replace("[localhost]", "[localhost, shop.test]"))
    with only(folder / "shop", 0o555):
        before = snapshot(folder)
        planned = as_who_obeys_rights("plan", cwd=folder)
        assert (planned.code, planned.err) == (0, "")
        assert "DNS:shop.test" in planned.out
        assert as_who_obeys_rights("status", cwd=folder).code == 3
        assert as_who_obeys_rights("inspect", "shop/servers/api/tls/cert.pem", cwd=folder).code == 0
        for verb in (["apply"], ["renew", "client.cli"], ["revoke", "client.cli", "--reason", "superseded", "--yes"]):
            refused = as_who_obeys_rights(*verb, cwd=folder)
            refused.assert_clear_error("cannot lock", "hint: give this user the right to write there")
        assert snapshot(folder) == before
    assert as_who_obeys_rights("apply", cwd=folder).code == 0


@pytest.mark.parametrize(
    "verb",
    [["plan"], ["status"], ["apply"], ["call", "cli", "api"], ["inspect", "shop/pki/root/ca.crt"], ["verify"]],
    ids=" ".join,
)
def test_a_folder_that_may_not_be_read_is_one_clear_error(folder: Path, verb: list[str]) -> None:
    assert scaffold("apply", cwd=folder).code == 0
    with only(folder / "shop", 0):
        as_who_obeys_rights(*verb, cwd=folder).assert_clear_error("Permission denied", "hint: ")


def test_a_folder_that_cannot_be_made_is_one_clear_error(folder: Path) -> None:
    with only(folder, 0o555):
        as_who_obeys_rights("apply", cwd=folder).assert_clear_error("cannot make the folder", "hint: give this user")
        as_who_obeys_rights("init", "--example", "minimal", "-f", "new.yaml", cwd=folder).assert_clear_error(
            "new.yaml cannot be written", "hint: name a file with -f"
        )
    assert sorted(path.name for path in folder.iterdir()) == ["topology.yaml"]
