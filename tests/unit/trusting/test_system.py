"""The system's store, through Debian's real update-ca-certificates in folders of the test's own."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from scaffold.errors import TrustError
from scaffold.pki import bundles
from scaffold.trusting.model import Entry, Standing, standing
from scaffold.trusting.system import Distribution, SystemStore
from tests.cli.harness import snapshot
from tests.requirements import require_command
from tests.unit.trusting.lab import anchor, assert_as_root_where_it_cannot_be_written, shared

HOOK = "#!/bin/sh\ncat >>{folder}/told\n"


@pytest.fixture
def store(tmp_path: Path) -> SystemStore:
    """With a root of the distribution, one of somebody else's, and a hook that writes down what it is told."""
    program = require_command("update-ca-certificates")
    for name in ("distribution", "local", "etc", "hooks"):
        (tmp_path / name).mkdir()
    (tmp_path / "distribution" / "big.crt").write_bytes(bundles.pem(anchor("Big CA").certificate))
    (tmp_path / "local" / "theirs.crt").write_bytes(bundles.pem(anchor("Their Root").certificate))
    (tmp_path / "conf").write_text("# chosen by an administrator\nbig.crt\n")
    hook = tmp_path / "hooks" / "told"
    hook.write_text(HOOK.format(folder=tmp_path))
    hook.chmod(0o755)
    command = (
        program, "--certsdir", str(tmp_path / "distribution"), "--localcertsdir", str(tmp_path / "local"),
        "--etccertsdir", str(tmp_path / "etc"), "--hooksdir", str(tmp_path / "hooks"),
        "--certsconf", str(tmp_path / "conf"),
    )  # fmt: skip
    bundle = tmp_path / "etc" / "ca-certificates.crt"
    found = SystemStore(Distribution(tmp_path / "local", bundle, command, tmp_path / "conf"))
    found._refresh(())
    (tmp_path / "told").unlink()
    return found


def test_a_root_goes_in_and_out_and_nothing_is_left(store: SystemStore, tmp_path: Path) -> None:
    before, files = store.holds(), snapshot(tmp_path)
    assert sorted(entry.name for entry in before) == ["ca-certificates.crt", "theirs.crt"]
    store.install(shared())
    store.install(shared())
    assert standing(shared(), store.holds())[0] is Standing.INSTALLED
    pem = tmp_path / "etc" / f"{shared().label}.pem"
    assert (tmp_path / "told").read_text() == f"+{pem}\n"
    store.uninstall([entry for entry in store.holds() if entry.mark is not None])
    assert (tmp_path / "told").read_text() == f"+{pem}\n-{pem}\n", "hooks copy the store, and must be told"
    (tmp_path / "told").unlink()
    assert store.holds() == before
    assert snapshot(tmp_path) == files


def test_one_that_was_interrupted_is_partial_and_is_completed(store: SystemStore) -> None:
    store.install(shared())
    bundle = store.distribution.bundle
    bundle.write_bytes(bundle.read_bytes().replace(bundles.pem(shared().certificate), b""))
    assert standing(shared(), store.holds())[0] is Standing.PARTIAL
    store.install(shared())
    assert standing(shared(), store.holds())[0] is Standing.INSTALLED


@pytest.mark.parametrize("bundled", [True, False])
def test_an_uninstall_that_was_interrupted_is_completed(store: SystemStore, tmp_path: Path, *, bundled: bool) -> None:
    """Its file is gone before the bundle is made without it, and the bundle does not say whose a root is."""
    files = snapshot(tmp_path)
    store.install(shared())
    killed = SystemStore(replace(store.distribution, refresh=("false",)))
    with pytest.raises(TrustError):
        killed.uninstall([entry for entry in store.holds() if entry.mark is not None])
    if not bundled:
        store._refresh([f"{shared().label}.crt"])
    found, entries = standing(shared(), store.holds())
    assert found is (Standing.PARTIAL if bundled else Standing.ABSENT)
    left = [entry for entry in store.holds() if entry.mark is not None]
    assert [entry.label for entry in left] == [shared().label]
    assert list(entries) == (left if bundled else [])
    store.uninstall(left)
    (tmp_path / "told").unlink()
    assert snapshot(tmp_path) == files


def test_a_root_that_was_on_its_way_out_can_be_installed_again(store: SystemStore) -> None:
    store.install(shared())
    killed = SystemStore(replace(store.distribution, refresh=("false",)))
    with pytest.raises(TrustError):
        killed.uninstall([entry for entry in store.holds() if entry.mark is not None])
    store.install(shared())
    assert standing(shared(), store.holds())[0] is Standing.INSTALLED
    assert sorted(path.name for path in store.distribution.folder.iterdir()) == [f"{shared().label}.crt", "theirs.crt"]


def test_a_file_of_ours_that_somebody_changed_is_theirs(store: SystemStore) -> None:
    path = store.distribution.folder / f"{shared().label}.crt"
    path.write_bytes(bundles.pem(anchor("Another").certificate))
    assert [entry.mark for entry in store.holds()] == [None] * 3


def test_what_is_no_certificate_and_what_is_placed_below_are_no_trouble(store: SystemStore) -> None:
    (store.distribution.folder / "notes.crt").write_text("no certificate")
    (store.distribution.folder / "team").mkdir()
    other = anchor("Team Root")
    (store.distribution.folder / "team" / "x.crt").write_bytes(bundles.pem(other.certificate))
    assert Entry("team/x.crt", "x", other.fingerprint, trusted=False) in store.holds()


def test_a_program_that_fails_is_said(store: SystemStore, tmp_path: Path) -> None:
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho 'no room' >&2\nexit 3\n")
    failing.chmod(0o755)
    broken = SystemStore(replace(store.distribution, refresh=(str(failing),)))
    with pytest.raises(TrustError, match="no room"):
        broken.install(shared())
    with pytest.raises(TrustError, match="cannot run"):
        SystemStore(replace(store.distribution, refresh=(str(tmp_path / "none"),))).install(shared())


def test_it_belongs_to_root(store: SystemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_as_root_where_it_cannot_be_written(store, monkeypatch)


def test_a_root_is_whole_on_the_disk_before_it_has_its_name_and_every_program_may_read_it(
    store: SystemStore, tmp_path: Path, disk: list[tuple[str, str]]
) -> None:
    before = os.umask(0o077)
    try:
        store.install(shared())
    finally:
        os.umask(before)
    placed = tmp_path / "local" / f"{shared().label}.crt"
    assert placed.stat().st_mode & 0o777 == 0o644
    assert disk == [("fsync", f".{placed.name}.new"), ("replace", placed.name)]
