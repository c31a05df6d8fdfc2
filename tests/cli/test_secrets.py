"""Secrets of the person who runs scaffold: what the programs that it starts see of them."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.harness import in_process as scaffold
from tests.cli.harness import scaffold as spawned
from tests.cli.harness import snapshot

TOPOLOGY = """\
version: 1
name: shop
cas: {root: {}}
servers:
  api: {template: python, listen: 127.0.0.1:8443, names: [localhost]}
clients:
  cli: {template: curl, calls: [api]}
"""


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    return apply(tmp_path, TOPOLOGY)


@pytest.fixture
def answered(tmp_path: Path) -> Iterator[Path]:
    """The same where somebody listens, whoever it is: a call waits for nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield apply(tmp_path, TOPOLOGY.replace("8443", str(listener.getsockname()[1])))


def apply(tmp_path: Path, topology: str) -> Path:
    (tmp_path / "topology.yaml").write_text(topology)
    ended = scaffold("apply", cwd=tmp_path)
    assert ended.code == 0, ended.err
    return tmp_path


def test_a_client_that_is_called_sees_no_password_of_the_environment(answered: Path) -> None:
    script = answered / "shop" / "clients" / "cli" / "run.sh"
    script.write_text("#!/bin/sh\nenv\n")
    ended = spawned("call", "cli", "api", cwd=answered, env={"ROOT_KEY_PASSWORD": "hunter2", "LANG": "C.UTF-8"})
    assert ended.code == 0, ended.err
    assert "hunter2" not in ended.out + ended.err
    assert "LANG=C.UTF-8" in ended.out


def test_a_client_that_cannot_be_run_is_a_clear_error(answered: Path) -> None:
    (answered / "shop" / "clients" / "cli" / "run.sh").chmod(0o644)
    scaffold("call", "cli", "api", cwd=answered).assert_clear_error("run.sh cannot be run: Permission denied", "hint: ")


@pytest.mark.parametrize("lost", ["pki/root", "pki/root/ca.key", "pki servers clients"])
def test_a_ca_whose_key_is_lost_is_replaced_only_by_agreement(lost: str, applied: Path) -> None:
    for path in lost.split():
        at = applied / "shop" / path
        shutil.rmtree(at) if at.is_dir() else at.unlink()
    before = snapshot(applied)
    planned = scaffold("plan", cwd=applied)
    assert "-/+ ca.root.certificate" in planned.out
    assert "with another key ca.root is another CA" in " ".join(planned.out.split())
    scaffold("apply", cwd=applied).assert_clear_error("ca.root.certificate", "--yes")
    scaffold("renew", cwd=applied).assert_clear_error("ca.root needs another key", "scaffold apply")
    scaffold("renew", "client.cli", cwd=applied).assert_clear_error("ca.root needs another key")
    scaffold("revoke", "client.cli", "--reason", "keyCompromise", "--yes", cwd=applied).assert_clear_error(
        "the key of ca.root is not there"
    )
    assert snapshot(applied) == before
    assert scaffold("apply", "--yes", cwd=applied).code == 0
    assert (applied / "shop" / "pki" / "root" / "ca.key").exists()


def test_verify_says_which_certificate_of_a_ca_is_missing(tmp_path: Path) -> None:
    checking = TOPOLOGY.replace("shop\n", "shop\npublish: http://127.0.0.1:19081\n", 1)
    (tmp_path / "topology.yaml").write_text(checking.replace("[localhost]}", "[localhost], check_revocation: crl}"))
    assert scaffold("apply", cwd=tmp_path).code == 0
    shutil.rmtree(tmp_path / "shop" / "pki" / "root")
    ended = scaffold("verify", "--ports", "auto", cwd=tmp_path)
    ended.assert_clear_error("the certificate of ca.root cannot be read", "scaffold plan")
