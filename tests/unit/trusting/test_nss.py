"""NSS databases, through the real certutil."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold.errors import TrustError
from scaffold.pki import bundles
from scaffold.trusting import nss
from scaffold.trusting.model import Standing, standing
from tests.unit.trusting.lab import anchor, certutil, database, shared


def add(folder: Path, name: str, certificate: bytes, trust: str = "C,,") -> None:
    (folder / "theirs.pem").write_bytes(certificate)
    certutil("-A", "-n", name, "-t", trust, "-i", "theirs.pem", folder=folder)


def certutil_bytes(folder: Path) -> bytes:
    """What it lists, though it be no text."""
    return subprocess.run(["certutil", "-L", "-d", "sql:."], cwd=folder, check=True, capture_output=True).stdout


def test_a_root_goes_in_and_out_and_nothing_else_changes(tmp_path: Path) -> None:
    store = database(tmp_path / "db")
    other = anchor("Their Root")
    add(tmp_path / "db", "Their Root", bundles.pem(other.certificate))
    before = store.holds()
    assert [entry.name for entry in before] == ["Their Root"]
    store.install(shared())
    store.install(shared())
    assert standing(shared(), store.holds())[0] is Standing.INSTALLED
    assert certutil("-L", folder=tmp_path / "db").count("C,,") == 2
    store.uninstall([entry for entry in store.holds() if entry.mark is not None])
    assert store.holds() == before


KILLED_WHILE_IT_WROTE = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
database.execute("CREATE TABLE half_written (text)")
database.executemany("INSERT INTO half_written VALUES (?)", [("x" * 1000,)] * 1000)
os._exit(9)
"""


def test_what_was_half_written_is_taken_back(tmp_path: Path) -> None:
    store = database(tmp_path / "db")
    store.install(shared())
    before = store.holds()
    for name in ("cert9.db", "key4.db"):
        subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_WROTE, tmp_path / "db" / name], check=False)
        assert (tmp_path / "db" / f"{name}-journal").stat().st_size
    with pytest.raises(subprocess.CalledProcessError):
        certutil("-L", folder=tmp_path / "db")
    assert store.holds() == before
    store.uninstall(before)
    assert store.holds() == ()


@pytest.mark.parametrize("trust", ["C,,", ",,"])
def test_roots_of_the_same_subject_are_told_apart(tmp_path: Path, trust: str) -> None:
    """A root that was made anew has its name; NSS shows both under the nickname of either."""
    store = database(tmp_path / "db")
    theirs, former, today = anchor(), anchor(), anchor()
    add(tmp_path / "db", "Theirs", bundles.pem(theirs.certificate), trust)
    before = store.holds()
    store.install(former)
    store.install(today)
    assert {entry.label: entry.fingerprint for entry in store.holds()} == {
        "Theirs": theirs.fingerprint, former.label: former.fingerprint, today.label: today.fingerprint,
    }  # fmt: skip
    store.uninstall([entry for entry in store.holds() if entry.fingerprint == former.fingerprint])
    assert {entry.label for entry in store.holds()} == {"Theirs", today.label}
    store.uninstall([entry for entry in store.holds() if entry.fingerprint == today.fingerprint])
    assert store.holds() == before


def test_anothers_certificate_under_our_nickname_is_left_and_said(tmp_path: Path) -> None:
    """certutil takes one of the two, and nobody says which."""
    store = database(tmp_path / "db")
    ours, theirs = anchor(), anchor()
    store.install(ours)
    add(tmp_path / "db", ours.label, bundles.pem(theirs.certificate))
    before = certutil("-L", folder=tmp_path / "db")
    assert before.count(ours.label) == 2
    assert [entry.fingerprint for entry in store.holds()] == [ours.fingerprint]
    with pytest.raises(TrustError, match="holds 2 certificates") as caught:
        store.uninstall(store.holds())
    assert "fingerprint" in str(caught.value.hint)
    assert certutil("-L", folder=tmp_path / "db") == before


@pytest.mark.parametrize("name", ["two\nlines", b"latin-\xe9".decode(errors="surrogateescape"), "blank "])
def test_a_nickname_that_cannot_be_asked_for_is_in_nobodys_way(tmp_path: Path, name: str) -> None:
    store = database(tmp_path / "db")
    add(tmp_path / "db", name, bundles.pem(anchor("Theirs").certificate))
    store.install(shared())
    assert [entry.label for entry in store.holds()] == [shared().label]
    store.uninstall(store.holds())
    assert store.holds() == ()
    assert certutil_bytes(tmp_path / "db").count(b"C,,") == 1


def test_trust_that_was_taken_away_is_seen_and_given_again(tmp_path: Path) -> None:
    store = database(tmp_path / "db")
    store.install(shared())
    certutil("-M", "-n", shared().label, "-t", ",,", folder=tmp_path / "db")
    assert standing(shared(), store.holds())[0] is Standing.PARTIAL
    store.install(shared())
    assert standing(shared(), store.holds())[0] is Standing.INSTALLED


def test_one_that_a_password_guards_is_left_as_it_is(tmp_path: Path) -> None:
    """certutil would add the root first, and only then find that it cannot trust it."""
    guarded = database(tmp_path / "guarded", "correct horse")
    found = guarded.obstacle()
    assert found is not None
    assert "password" in found.message
    assert database(tmp_path / "open").obstacle() is None
    with pytest.raises(TrustError):
        guarded.install(shared())
    assert guarded.holds() == ()


def test_one_that_is_damaged_or_locked_is_said(tmp_path: Path) -> None:
    damaged = database(tmp_path / "damaged")
    (tmp_path / "damaged" / "cert9.db").write_bytes(b"no database" * 500)
    with pytest.raises(TrustError, match="BAD_DATABASE"):
        damaged.holds()
    locked = database(tmp_path / "locked")
    connection = sqlite3.connect(tmp_path / "locked" / "cert9.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TrustError) as caught:
        locked.install(shared())
    connection.execute("ROLLBACK")
    connection.close()
    assert "close that browser" in str(caught.value.hint)
    assert locked.holds() == ()


def test_one_that_cannot_be_written_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = database(tmp_path / "db")
    monkeypatch.setattr("os.access", lambda path, _: Path(path).name != "key4.db")
    found = store.obstacle()
    assert found is not None
    assert "key4.db" in found.message


def test_without_certutil_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = database(tmp_path / "db")
    monkeypatch.setattr(nss, "where", lambda _: None)
    with pytest.raises(TrustError) as caught:
        store.holds()
    assert "libnss3-tools" in str(caught.value.hint)


def test_the_databases_of_a_home(tmp_path: Path) -> None:
    places = [
        ".pki/nssdb",
        ".mozilla/firefox/one.default",
        ".mozilla/firefox/two.dev",
        "snap/firefox/common/.mozilla/firefox/x",
        ".var/app/org.mozilla.firefox/.mozilla/firefox/y",
    ]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "cert9.db").touch()
    (tmp_path / ".mozilla/firefox/empty").mkdir()
    (tmp_path / ".local/share/pki").mkdir(parents=True)
    (tmp_path / ".local/share/pki/nssdb").symlink_to(tmp_path / ".pki/nssdb")
    assert [store.place for store in nss.present(tmp_path)] == [str(tmp_path / place) for place in places]
    assert nss.present(tmp_path / "nobody") == ()


@pytest.mark.parametrize("trusts", [("C,,", ",,"), (",,", "C,,")])
def test_of_two_under_one_nickname_neither_counts_as_trusted_where_one_is_not(
    tmp_path: Path, trusts: tuple[str, str]
) -> None:
    """certutil shows both trusts and both certificates, and not which belongs to which."""
    store = database(tmp_path / "db")
    for number, trust in enumerate(trusts):
        add(tmp_path / "db", "Theirs", bundles.pem(anchor().certificate), trust)
        assert len(store.holds()) == number + 1
    assert [entry.trusted for entry in store.holds()] == [False, False]
