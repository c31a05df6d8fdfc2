"""The PKI of the tests that render one project by hand, new for each module: a root, a CA below it, and two callers."""

from __future__ import annotations

import pytest

from tests.handshake.nginx_lab import Authority, Credential, authority, client


@pytest.fixture(scope="module")
def root() -> Authority:
    return authority("Lab Root")


@pytest.fixture(scope="module")
def ca(root: Authority) -> Authority:
    return authority("Lab Issuing", root)


@pytest.fixture(scope="module")
def teller(ca: Authority) -> Credential:
    """Of whoever may call, where the allow list of a test says so."""
    return client(ca, "teller")


@pytest.fixture(scope="module")
def mallory(ca: Authority) -> Credential:
    """A valid certificate of somebody who may not call."""
    return client(ca, "mallory")
