"""Secrets of the person who runs scaffold: what the programs that it starts see of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.harness import scaffold

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
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    ended = scaffold("apply", cwd=tmp_path)
    assert ended.code == 0, ended.err
    return tmp_path


def test_a_client_that_is_called_sees_no_password_of_the_environment(applied: Path) -> None:
    script = applied / "shop" / "clients" / "cli" / "run.sh"
    script.write_text("#!/bin/sh\nenv\n")
    ended = scaffold("call", "cli", "api", cwd=applied, env={"ROOT_KEY_PASSWORD": "hunter2", "LANG": "C.UTF-8"})
    assert ended.code == 0, ended.err
    assert "hunter2" not in ended.out + ended.err
    assert "LANG=C.UTF-8" in ended.out


def test_a_client_that_cannot_be_run_is_a_clear_error(applied: Path) -> None:
    (applied / "shop" / "clients" / "cli" / "run.sh").chmod(0o644)
    scaffold("call", "cli", "api", cwd=applied).assert_clear_error("run.sh cannot be run: Permission denied", "hint: ")
