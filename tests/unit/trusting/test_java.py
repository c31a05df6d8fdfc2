"""Java's store, through the real keytool; what a copy is for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scaffold.errors import TrustError
from scaffold.pki import bundles
from scaffold.trusting import java
from scaffold.trusting.java import JavaStore
from scaffold.trusting.model import Mark, Standing, standing
from tests.requirements import require_command
from tests.unit.trusting.lab import anchor, assert_as_root_where_it_cannot_be_written, shared


def keytool(*arguments: str, folder: Path) -> None:
    require_command("keytool")
    command = ["keytool", *arguments, "-storepass", "changeit"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A keystore with a root of somebody else's, in Java's old form, as Debian has it."""
    folder = tmp_path_factory.mktemp("java")
    (folder / "theirs.pem").write_bytes(bundles.pem(anchor("Their Root").certificate))
    keytool(
        "-importcert", "-noprompt", "-alias", "theirs", "-file", "theirs.pem", "-keystore", "cacerts",
        "-storetype", "JKS", folder=folder,
    )  # fmt: skip
    return folder / "cacerts"


@pytest.fixture
def store(original: Path, tmp_path: Path) -> JavaStore:
    """A copy behind a link, as Debian's Java reads it, which only its owner and group may read."""
    (tmp_path / "etc").mkdir()
    real = tmp_path / "etc" / "cacerts"
    real.write_bytes(original.read_bytes())
    real.chmod(0o640)
    (tmp_path / "cacerts").symlink_to(real)
    return JavaStore(tmp_path / "cacerts")


def test_a_root_goes_in_and_out_and_nothing_else_changes(store: JavaStore, tmp_path: Path) -> None:
    before = store.holds()
    assert [(entry.name, entry.mark) for entry in before] == [("theirs", None)]
    store.install(shared())
    assert store.file.is_symlink()
    assert (tmp_path / "etc" / "cacerts").stat().st_mode & 0o777 == 0o640
    held = store.holds()
    assert standing(shared(), held)[0] is Standing.INSTALLED
    store.uninstall([entry for entry in held if entry.mark is not None])
    assert store.holds() == before
    assert [path.name for path in (tmp_path / "etc").iterdir()] == ["cacerts"]


def test_a_store_without_a_password_stays_one(tmp_path: Path) -> None:
    """As Java has it from 18 on: whoever reads it gives no password."""
    (tmp_path / "theirs.pem").write_bytes(bundles.pem(anchor("Their Root").certificate))
    without = [f"-J-Dkeystore.pkcs12.{what}Algorithm=NONE" for what in ("mac", "certProtection")]
    keytool(
        *without, "-importcert", "-noprompt", "-alias", "theirs", "-file", "theirs.pem", "-keystore", "cacerts",
        folder=tmp_path,
    )  # fmt: skip
    store = JavaStore(tmp_path / "cacerts")
    store.install(shared())
    assert standing(shared(), store.holds())[0] is Standing.INSTALLED
    opened = ["openssl", "pkcs12", "-in", "cacerts", "-nokeys", "-passin", "pass:"]
    shown = subprocess.run(opened, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    assert shown.stdout.count("BEGIN CERTIFICATE") == 2


def test_another_password_is_said_and_nothing_is_changed(store: JavaStore, tmp_path: Path) -> None:
    real = tmp_path / "etc" / "cacerts"
    keytool("-storepasswd", "-new", "another", "-keystore", str(real), folder=tmp_path)
    before = real.read_bytes()
    for do in (store.holds, lambda: store.install(shared())):
        with pytest.raises(TrustError, match="another password"):
            do()
    assert real.read_bytes() == before
    assert [path.name for path in real.parent.iterdir()] == ["cacerts"]


def test_what_is_no_keystore_is_said_and_left(tmp_path: Path) -> None:
    require_command("keytool")
    (tmp_path / "cacerts").write_bytes(b"no keystore")
    with pytest.raises(TrustError, match="cannot be used"):
        JavaStore(tmp_path / "cacerts").install(shared())
    assert (tmp_path / "cacerts").read_bytes() == b"no keystore"


def test_a_store_that_another_program_changes_meanwhile_is_left(store: JavaStore) -> None:
    real = store.file.resolve()
    with pytest.raises(TrustError, match="changed by another program"), store._copy():
        real.write_bytes(real.read_bytes() + b" ")
    assert real.read_bytes().endswith(b" ")


def test_what_debian_takes_over_from_the_system_is_known() -> None:
    pem = bundles.pem(shared().certificate).decode()
    listed = f"Alias name: debian:{shared().label}.pem\nEntry type: trustedCertEntry\n\n{pem}\n"
    (found,) = java._entries(listed)
    assert found.copied
    assert found.mark == Mark("lab", "root")
    (key,) = java._entries(f"Alias name: mine\nEntry type: PrivateKeyEntry\n{pem}")
    assert not key.trusted


def test_which_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "old" / "jre" / "lib" / "security"
    old.mkdir(parents=True)
    (old / "cacerts").touch()
    assert java.present({"JAVA_HOME": str(tmp_path / "old")}) == (JavaStore(old / "cacerts", str(tmp_path / "old")),)
    assert java.present({"JAVA_HOME": str(tmp_path / "none")}) == ()
    monkeypatch.setattr(java, "where", lambda _: None)
    monkeypatch.setattr(java, "DEBIAN", old / "cacerts")
    assert java.present({}) == (JavaStore(old / "cacerts", None),)
    monkeypatch.setattr(java, "_GENERATED", tmp_path)
    assert java.present({}) == ()


def test_one_that_cannot_be_written_needs_root(store: JavaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_as_root_where_it_cannot_be_written(store, monkeypatch)


def test_the_copy_is_on_the_disk_before_it_takes_the_place_of_the_store(
    store: JavaStore, disk: list[tuple[str, str]]
) -> None:
    store.install(shared())
    [(synced, beside), (replaced, name)] = disk
    assert (synced, replaced, name) == ("fsync", "replace", "cacerts")
    assert beside.startswith(".cacerts.")
