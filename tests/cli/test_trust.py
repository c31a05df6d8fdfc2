"""`scaffold trust` in a home of the test's own: what is shown, asked, refused, and found again later."""

from __future__ import annotations

import io
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from scaffold.pki import bundles
from scaffold.trusting.nss import NssStore
from tests.cli.harness import Ended, in_process, snapshot
from tests.handshake.elsewhere_lab import OpenSslCa
from tests.requirements import require_command
from tests.unit.trusting.lab import anchor, certutil, database

TOPOLOGY = """\
version: 1
name: shop
cas:
  root: {name_constraints: {permitted: {dns: [shop.internal, localhost]}}}
  issuing: {issuer: root}
  partner: {existing: {certificate: partner/root.pem}}
  below: {existing: {certificate: partner/ca.pem, chain: partner/root.pem}}
servers:
  api: {template: files, issuer: issuing, listen: "127.0.0.1:8443", names: [localhost]}
"""


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    OpenSslCa.made(folder / "partner", "Partner")
    (folder / "topology.yaml").write_text(TOPOLOGY)
    ended = in_process("apply", cwd=folder)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def folder(applied: Path, tmp_path: Path) -> Path:
    shutil.copytree(applied, tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def store(folder: Path) -> NssStore:
    return database(folder / ".pki" / "nssdb")


def trust(folder: Path, *arguments: str) -> Ended:
    """With `--store nss`, and that home: nothing of this machine is looked at."""
    with patch.dict(os.environ, HOME=str(folder)), patch.object(sys, "stdin", io.StringIO()):
        return in_process("trust", *arguments, "--store", "nss", cwd=folder)


def labels(store: NssStore) -> list[str]:
    return [entry.label for entry in store.holds()]


def test_a_root_goes_in_and_out(folder: Path, store: NssStore) -> None:
    ended = trust(folder, "install", "--yes")
    assert ended.code == 0, ended.err
    assert "ca.root of shop: CN=root" in ended.out
    assert "DNS names in shop.internal, localhost" in ended.out
    assert "any IP address" in ended.out
    assert f"Everybody who gets its key ({Path('shop/pki/root/ca.key')}) can pose as any such site" in ended.out
    (label,) = labels(store)
    assert label.startswith("scaffold.shop.root.")
    again = trust(folder, "install", "--yes")
    assert again.code == 0
    assert "Nothing to do" in again.out
    assert trust(folder, "uninstall", "--yes").code == 0
    assert labels(store) == []
    again = trust(folder, "uninstall", "--yes")
    assert again.code == 0
    assert "Nothing to do" in again.out


def test_without_a_terminal_and_without_yes_nothing_is_changed(folder: Path, store: NssStore) -> None:
    trust(folder, "install").assert_clear_error("would have 1 store trust ca.root; rerun with --yes")
    assert labels(store) == []
    assert trust(folder, "install", "--yes").code == 0
    trust(folder, "uninstall").assert_clear_error("would remove 1 entry; rerun with --yes")
    assert len(labels(store)) == 1


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 1)])
def test_on_a_terminal_it_asks(folder: Path, store: NssStore, answer: str, code: int) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "scaffold", "trust", "install", "--store", "nss"],
        cwd=folder, env={**os.environ, "HOME": str(folder)}, stdin=theirs, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert "Trust it there? [y/N]" in done.stderr
    assert done.returncode == code
    assert len(labels(store)) == (1 if code == 0 else 0)


def test_a_root_that_was_replaced_since_is_found_again(folder: Path, store: NssStore) -> None:
    assert trust(folder, "install", "--yes").code == 0
    renewed = in_process("renew", "ca.root", "--yes", cwd=folder)
    assert renewed.code == 0, renewed.err
    assert "Former roots of this topology:" in trust(folder, "list").out
    assert trust(folder, "install", "--yes").code == 0
    (former,) = trust(folder, "list", "--json").json["former"]
    assert former["known"] is True
    ended = trust(folder, "uninstall", "--yes")
    assert ended.code == 0
    assert ended.out.count("(a former root)") == 1
    assert "--unknown" not in ended.out
    assert labels(store) == []


def test_a_former_root_is_known_from_the_archive_too(folder: Path, store: NssStore) -> None:
    assert trust(folder, "install", "--yes").code == 0
    (root,) = (entry.fingerprint for entry in store.holds())
    assert in_process("renew", "ca.root", "--yes", cwd=folder).code == 0
    ledger = folder / "shop/.scaffold/ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(line for line in lines if root not in line))
    (folder / "shop/.scaffold/ledger.archive.jsonl").write_text("".join(line for line in lines if root in line))
    assert trust(folder, "uninstall", "--yes").code == 0
    assert labels(store) == []


def test_another_topology_of_the_same_name_keeps_its_root(folder: Path, store: NssStore, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "topology.yaml").write_text("version: 1\nname: shop\ncas: {root: {}}\n")
    assert in_process("apply", cwd=other).code == 0
    (other / ".pki").symlink_to(folder / ".pki")  # one home
    assert trust(folder, "install", "--yes").code == 0
    before = store.holds()
    assert trust(other, "install", "--yes").code == 0
    assert len(labels(store)) == 2
    listed = trust(other, "list")
    assert "Installed for a topology called shop, but not from this folder" in " ".join(listed.out.split())
    ended = trust(other, "uninstall", "--yes")
    assert ended.code == 0
    assert "scaffold trust uninstall --unknown removes them too" in ended.out
    assert store.holds() == before
    again = trust(other, "uninstall", "--yes")
    assert (again.code, "Nothing to do" in again.out) == (0, True)
    assert store.holds() == before
    assert trust(folder, "uninstall", "--yes").code == 0
    assert labels(store) == []


def test_a_topology_that_was_given_another_name_since_has_its_roots_still(folder: Path, store: NssStore) -> None:
    assert trust(folder, "install", "--yes").code == 0
    (folder / "topology.yaml").write_text(TOPOLOGY.replace("name: shop", "name: store"))
    assert trust(folder, "uninstall", "--out", "shop", "--yes").code == 0
    assert labels(store) == []


def test_records_that_cannot_be_read_cost_no_entry(folder: Path, store: NssStore) -> None:
    assert trust(folder, "install", "--yes").code == 0
    assert in_process("renew", "ca.root", "--yes", cwd=folder).code == 0
    (folder / "shop/.scaffold/ledger.jsonl").write_bytes(b"\xff{")
    assert trust(folder, "uninstall", "--yes").code == 0
    assert len(labels(store)) == 1


def test_what_was_installed_from_a_folder_that_is_gone_is_found_again(folder: Path, store: NssStore) -> None:
    """Nothing beside the store remembers it, so that it might be another's: it goes where that is asked for."""
    assert trust(folder, "install", "--yes").code == 0
    shutil.rmtree(folder / "shop")
    listed = trust(folder, "list")
    assert listed.code == 0
    assert "ca.root has no certificate yet" in listed.out
    assert "Former roots of this topology" not in listed.out
    assert "scaffold trust uninstall --unknown removes them too" in listed.out
    assert in_process("apply", cwd=folder).code == 0
    assert trust(folder, "install", "--yes").code == 0
    assert len(labels(store)) == 2
    (former,) = trust(folder, "list", "--json").json["former"]
    assert former["entry"] in labels(store)
    assert former["known"] is False
    assert trust(folder, "uninstall", "--yes").code == 0
    assert labels(store) == [former["entry"]]
    assert trust(folder, "uninstall", "--unknown", "--yes").code == 0
    assert labels(store) == []


def test_what_others_put_there_stays(folder: Path, store: NssStore) -> None:
    """The same root under a name of theirs, another topology's, and another's that is called alike."""
    root = folder / "shop" / "pki" / "root" / "ca.crt"
    certutil("-A", "-n", "by hand", "-t", "C,,", "-i", str(root), folder=folder / ".pki" / "nssdb")
    store.install(anchor(topology="shop-2"))
    before = store.holds()
    ended = trust(folder, "install", "--yes")
    assert ended.code == 0
    assert "by somebody else" in ended.out
    listed = trust(folder, "list")
    assert "as by hand" in listed.out
    ended = trust(folder, "uninstall", "--yes")
    assert ended.code == 0
    assert "it was not put there by scaffold, and stays" in ended.out
    assert store.holds() == before


def test_a_root_that_somebody_distrusts_is_left_so(folder: Path, store: NssStore) -> None:
    root = folder / "shop" / "pki" / "root" / "ca.crt"
    certutil("-A", "-n", "by hand", "-t", "p,,", "-i", str(root), folder=folder / ".pki" / "nssdb")
    before = store.holds()
    ended = trust(folder, "install", "--yes")
    assert ended.code == 1
    assert "marked as not trusted" in " ".join(ended.err.split())
    assert store.holds() == before


def test_roots_alone_are_installed(folder: Path, store: NssStore) -> None:
    trust(folder, "install", "ca.issuing", "--yes").assert_clear_error(
        "ca.issuing is not a root: ca.root issued it", "trust install ca.root"
    )
    trust(folder, "install", "ca.below", "--yes").assert_clear_error("it was made elsewhere, below CN=Partner Root")
    trust(folder, "install", "server.api", "--yes").assert_clear_error("server.api is no CA")
    trust(folder, "install", "ca.rot", "--yes").assert_clear_error("there is no CA ca.rot", "ca.root")
    assert labels(store) == []


def test_a_root_that_was_made_elsewhere_is_trusted_where_it_is_named(folder: Path, store: NssStore) -> None:
    assert trust(folder, "install", "--yes").code == 0
    assert [label.split(".")[2] for label in labels(store)] == ["root"]
    ended = trust(folder, "install", "partner", "--yes")
    assert ended.code == 0, ended.err
    assert "every name: it has no name constraints" in ended.out
    assert "Everybody who has its key, which is not here, can pose" in ended.out
    assert trust(folder, "uninstall", "ca.partner", "--yes").code == 0
    assert [label.split(".")[2] for label in labels(store)] == ["root"]


def test_a_root_of_an_earlier_topology_can_be_named(folder: Path, store: NssStore) -> None:
    store.install(anchor(ca="gone", topology="shop"))
    assert trust(folder, "uninstall", "ca.gone", "--yes").code == 0
    assert len(labels(store)) == 1
    assert trust(folder, "uninstall", "ca.root", "--unknown", "--yes").code == 0
    assert len(labels(store)) == 1
    assert trust(folder, "uninstall", "ca.gone", "--unknown", "--yes").code == 0
    assert labels(store) == []


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        ("+11 years", ["has expired", "scaffold renew ca.root"]),
        ("-1 year", ["is not valid before", "is the clock right"]),
    ],
)
def test_a_root_that_is_not_valid_today_is_refused(folder: Path, store: NssStore, clock: str, words: list[str]) -> None:
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("needs faketime on PATH")
    done = subprocess.run(
        [faketime, clock, sys.executable, "-m", "scaffold", "trust", "install", "--yes", "--store", "nss"],
        cwd=folder, env={**os.environ, "HOME": str(folder)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    Ended(done.returncode, done.stdout, done.stderr).assert_clear_error(*words)
    assert labels(store) == []


def test_a_certificate_that_was_not_issued_is_refused(folder: Path, store: NssStore) -> None:
    path = folder / "shop" / "pki" / "root" / "ca.crt"
    path.write_bytes(bundles.pem(anchor().certificate))
    trust(folder, "install", "--yes").assert_clear_error("is not the certificate that was issued for ca.root")
    ledger = folder / "shop" / ".scaffold" / "ledger.jsonl"
    ledger.unlink()
    leaf = folder / "shop" / "servers" / "api" / "tls" / "cert.pem"
    for odd in (leaf.read_bytes(), (folder / "shop" / "pki" / "issuing" / "ca.crt").read_bytes(), b"nothing"):
        path.write_bytes(odd)
        trust(folder, "install", "--yes").assert_clear_error("is not the certificate that was issued for ca.root")
    path.unlink()
    trust(folder, "install", "--yes").assert_clear_error("has no certificate yet", "scaffold apply")
    assert labels(store) == []


def test_a_store_that_cannot_be_changed_is_named_and_the_others_are(folder: Path, store: NssStore) -> None:
    guarded = database(folder / ".mozilla" / "firefox" / "x.default", "correct horse")
    ended = trust(folder, "install", "--yes")
    assert ended.code == 1
    assert "is guarded by a password" in ended.err
    assert "Installed in 1 of 2 stores" in ended.out
    assert len(labels(store)) == 1
    assert labels(guarded) == []


def test_stores_that_had_nothing_to_lose_are_not_counted(folder: Path, store: NssStore) -> None:
    assert trust(folder, "install", "--yes").code == 0
    database(folder / ".mozilla" / "firefox" / "x.default")
    ended = trust(folder, "uninstall", "--yes")
    assert ended.code == 0
    assert ended.out.endswith("Removed from 1 store.\n")


def test_one_that_is_damaged_is_said_by_each_verb(folder: Path, store: NssStore) -> None:
    (store.folder / "cert9.db").write_bytes(b"damaged" * 999)
    before = snapshot(store.folder)
    for verb in ("install", "uninstall"):
        ended = trust(folder, verb, "--yes")
        assert ended.code == 1
        assert "BAD_DATABASE" in ended.err
    listed = trust(folder, "list", "--json").json
    assert listed["unreadable"][0]["place"] == store.place
    assert listed["roots"][0]["stores"][0]["state"] == "unknown"
    assert snapshot(store.folder) == before


def test_what_needs_root_is_told_as_a_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_command("keytool")
    security = folder / "lib" / "security"
    security.mkdir(parents=True)
    make = ["-genkeypair", "-alias", "x", "-keyalg", "EC", "-dname", "CN=x", "-keystore", str(security / "cacerts")]
    subprocess.run(["keytool", *make, "-storepass", "changeit"], check=True, capture_output=True, timeout=120)
    may = os.access
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK and may(path, mode))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("JAVA_HOME", str(folder))
    monkeypatch.setattr("sys.argv", ["/nowhere/scaffold"])
    with patch.object(sys, "stdin", io.StringIO()):
        ended = in_process("trust", "install", "ca.root", "--store", "java", cwd=folder)
    assert ended.code == 1
    command = f"sudo JAVA_HOME={folder} scaffold trust install ca.root -f {folder / 'topology.yaml'} --store java"
    assert command in ended.err


def test_a_root_from_a_seed_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(
        "version: 1\nname: seeded\nreproducible: {seed: {file: seed}, at: 2026-01-01T00:00:00Z}\ncas: {root: {}}\n"
    )
    (tmp_path / "seed").write_text("a seed of a test, long enough to be one: 0123456789abcdef")
    (tmp_path / "seed").chmod(0o600)
    ended = in_process("apply", "--yes", cwd=tmp_path)
    assert ended.code == 0, ended.err
    database(tmp_path / ".pki" / "nssdb")
    assert "everybody with the seed has that key" in trust(tmp_path, "install").out


def test_where_there_is_no_store_it_says_what_makes_one(folder: Path) -> None:
    trust(folder, "install", "--yes").assert_clear_error("no NSS database in this home", "start Firefox or Chromium")


def test_list_says_what_a_program_needs(folder: Path, store: NssStore) -> None:
    before = trust(folder, "list", "--json").json["roots"]
    assert [root["address"] for root in before] == ["ca.root", "ca.partner"]
    assert before[0]["stores"] == [{"store": "nss", "place": store.place, "state": "absent", "entries": []}]
    assert before[0]["anything"] is True
    assert trust(folder, "install", "--yes").code == 0
    listed = trust(folder, "list", "ca.root", "--json").json["roots"]
    assert listed[0]["stores"][0]["state"] == "installed"
    assert listed[0]["stores"][0]["entries"] == labels(store)


def test_java_is_said_not_to_look_at_the_constraints_of_a_root(
    folder: Path, store: NssStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/handshake/test_trust.py shows that it does not."""
    security = folder / "lib" / "security"
    security.mkdir(parents=True)
    (security / "cacerts").touch()
    monkeypatch.setenv("JAVA_HOME", str(folder))
    words = "Java does not check the name constraints of a root"
    assert words not in trust(folder, "install").out
    assert words in trust(folder, "install", "--store", "java").out
