"""A client whose certificate is for a request: its key is on another host, and what needs it is skipped, not fatal."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold.verify.model import Probe, Report, Result
from tests.handshake.elsewhere_lab import openssl
from tests.handshake.verify_lab import applied

TOPOLOGY = """
version: 1
name: bank
cas: {root: {}}
servers:
  front: {template: python, listen: 127.0.0.1:1, names: [localhost], calls: [accounts]}
  accounts: {template: python, listen: 127.0.0.1:2, names: [localhost]}
clients:
  dev: {template: files, calls: [front], csr: dev.csr}
  teller: {template: curl, calls: [front, accounts]}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder: Path = tmp_path_factory.mktemp("bank")
    openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=dev",
        "-keyout", "dev.key", "-out", "dev.csr", cwd=folder,
    )  # fmt: skip
    return applied(TOPOLOGY, folder).verify()


def test_a_server_that_it_may_not_call_is_skipped_with_the_reason(report: Report) -> None:
    (check,) = [one for one in report.checks if one.probe is Probe.NOT_ALLOWED and one.client == "dev"]
    assert (check.server, check.result) == ("accounts", Result.SKIPPED)
    assert check.detail == "client.dev has its key on its own host, so its certificate cannot be used here"


def test_a_server_is_asked_to_call_by_whose_key_is_here(report: Report) -> None:
    calls = [one for one in report.checks if (one.client, one.server) == ("front", "accounts")]
    assert {one.result for one in calls if one.probe in (Probe.EDGE, Probe.FALSE_ROOT)} == {Result.PASSED}


def test_nothing_else_fails(report: Report) -> None:
    assert not report.failed
