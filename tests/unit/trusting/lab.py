"""Roots to install, and stores of each sort in a folder of the test's own."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.pki import issue
from scaffold.pki.profiles import CertificateProfile
from scaffold.topology.address import Address
from scaffold.topology.model import KeyType, NameConstraints, Subject
from scaffold.trusting.model import Anchor, Store
from scaffold.trusting.nss import NssStore
from tests.fresh import new_key, new_serial
from tests.handshake.nginx_lab import now
from tests.requirements import require_command


def root(name: str = "Lab Root", constraints: NameConstraints | None = None) -> x509.Certificate:
    """A root of that name over a key of its own."""
    profile = CertificateProfile(Subject(common_name=name), "ca", name_constraints=constraints)
    start = now() - timedelta(hours=1)
    return issue.self_signed(
        profile, new_key(KeyType.EC_P256), serial=new_serial(), not_before=start, not_after=start + timedelta(days=30)
    )


def anchor(name: str = "Lab Root", ca: str = "root", topology: str = "lab") -> Anchor:
    return Anchor(topology, Address.ca(ca), root(name))


@cache
def shared() -> Anchor:
    """One for tests that only look."""
    return anchor()


def database(folder: Path, password: str = "") -> NssStore:
    """An NSS database, as a browser makes its own."""
    require_command("certutil")
    folder.mkdir(parents=True)
    (folder / "password").write_text(password)
    guarded = ("-f", "password") if password else ("--empty-password",)
    certutil("-N", *guarded, folder=folder)
    return NssStore(folder)


def certutil(*arguments: str, folder: Path) -> str:
    command = ["certutil", arguments[0], "-d", "sql:.", *arguments[1:]]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def assert_as_root_where_it_cannot_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out of a store that this user may not write is to be root, unless the user is."""
    assert store.obstacle() is None
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    found = store.obstacle()
    assert found is not None
    assert found.as_root
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = store.obstacle()
    assert found is not None
    assert not found.as_root
