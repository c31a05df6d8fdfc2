"""A new name for what was made: everything goes along, whenever a kill comes, and nobody else's place is taken."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scaffold.errors import StoreError
from scaffold.store import archive, files, ledger, moving, projects
from scaffold.store.layout import Layout
from scaffold.store.ledger import CaKey, Issued, Revoked
from scaffold.store.projects import Guard, Offer
from scaffold.topology.address import Address, Part

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = Address.server("api"), Address.server("orders")
PROJECT = Part.PROJECT
GUARD = Guard("crl", {"root spiffe://shop/client/web": False})
OFFER = Offer("aa", "bb", "cc", 2)
LEAF = Issued(OLD.with_part(Part.CERTIFICATE), "root", "5", "CN=api", "CN=root", NOW, NOW, "a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An output folder with the project of a server and one certificate that was issued to it."""
    layout = Layout(tmp_path)
    files.Writer(layout).prepare()
    (tmp_path / "servers" / "api" / "own").mkdir(parents=True)
    (tmp_path / "servers" / "api" / "own" / "routes.py").write_text("mine")
    recorder = projects.Recorder(layout, NOW)
    for text in ("11", "22"):
        recorder.writing(OLD.with_part(PROJECT), {"servers/api/run.sh": text, "servers/api/server.py": "33"})
    standing = {"servers/api/run.sh": "22", "servers/api/server.py": "33"}
    recorder.settled(OLD.with_part(PROJECT), "inputs", standing, GUARD, {"servers/api/run.sh": OFFER})
    recorder.flush()
    ledger.Recorder(layout, NOW).issued([LEAF])
    return layout


def check_moved(layout: Layout) -> None:
    assert (layout.out / "servers" / "orders" / "own" / "routes.py").read_text() == "mine"
    assert not (layout.out / "servers" / "api").exists()
    known = projects.load(layout)
    assert list(known.by_address) == [NEW.with_part(PROJECT)]
    record = known.of(NEW.with_part(PROJECT))
    assert record.all_ours("servers/orders/run.sh") == {"11", "22"}
    assert record.all_ours("servers/orders/server.py") == {"33"}
    assert record.files == {"servers/orders/run.sh": "22", "servers/orders/server.py": "33"}
    assert (record.inputs, record.guard) == ("inputs", GUARD)
    assert record.merging == {"servers/orders/run.sh": OFFER}
    assert list(ledger.load(layout).by_address) == [NEW.with_part(Part.CERTIFICATE)]


def test_folder_record_and_history_go_along(layout: Layout) -> None:
    assert moving.move(layout, OLD, NEW, NOW)
    check_moved(layout)


def move_killed_before(layout: Layout, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ledger.Recorder if step == "renamed" else moving, step, killed)
        with pytest.raises(KeyboardInterrupt):
            moving.move(layout, OLD, NEW, NOW)


@pytest.mark.parametrize("step", ["_move_folder", "_forget", "renamed"])
def test_killed_in_between_it_is_finished_the_next_time(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    move_killed_before(layout, monkeypatch, step)
    assert moving.move(layout, OLD, NEW, NOW)
    check_moved(layout)


@pytest.mark.parametrize("step", ["_move_folder", "_forget"])
def test_until_it_is_finished_nothing_else_is_made_of_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    move_killed_before(layout, monkeypatch, step)
    known = ledger.load(layout)
    with pytest.raises(
        StoreError, match=r"server\.api has an unfinished rename: it is server\.orders in the output folder"
    ) as refused:
        moving.check_finished(layout, known, {OLD})
    assert "`scaffold rename server.api orders`" in str(refused.value.hint)
    with pytest.raises(StoreError, match=r"server\.api has an unfinished rename: it is server\.orders"):
        moving.move(layout, OLD, Address.server("billing"), NOW)
    moving.check_finished(layout, known, {NEW})
    moving.move(layout, OLD, NEW, NOW)
    check_moved(layout)


def test_whoever_takes_the_former_name_later_is_not_held_up(layout: Layout) -> None:
    moving.move(layout, OLD, NEW, NOW)
    moving.check_finished(layout, ledger.load(layout), {OLD, NEW})
    shutil.rmtree(layout.out / "servers" / "orders")
    moving.check_finished(layout, ledger.load(layout), {OLD})
    (layout.out / "servers" / "orders").mkdir()
    another = replace(LEAF, serial="6", fingerprint_sha256="e" * 64)
    ledger.Recorder(layout, NOW).issued([another])
    moving.check_finished(layout, ledger.load(layout), {OLD})


@pytest.mark.parametrize("old_is_there", [True, False])
def test_a_folder_that_is_in_the_way_stays(layout: Layout, old_is_there: bool) -> None:
    (layout.out / "servers" / "orders").mkdir()
    if not old_is_there:
        (layout.out / "servers" / "api").rename(layout.out / "away")
    before = projects.load(layout)
    with pytest.raises(StoreError, match="is there already"):
        moving.move(layout, OLD, NEW, NOW)
    assert projects.load(layout) == before
    assert (layout.out / "servers" / "api").exists() is old_is_there


def test_a_link_is_not_moved(layout: Layout) -> None:
    (layout.out / "servers" / "api").rename(layout.out / "away")
    (layout.out / "servers" / "api").symlink_to(layout.out / "away")
    with pytest.raises(StoreError, match="symbolic link"):
        moving.move(layout, OLD, NEW, NOW)


def test_where_nothing_was_made_nothing_is_moved(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    files.Writer(layout).prepare()
    assert not moving.move(layout, OLD, NEW, NOW)
    assert list(tmp_path.iterdir()) == [tmp_path / ".scaffold"]
    assert list((tmp_path / ".scaffold").iterdir()) == []


def test_a_ca_is_renamed_until_it_is_made(layout: Layout) -> None:
    assert not moving.move(layout, Address.ca("root"), Address.ca("top"), NOW)
    ledger.Recorder(layout, NOW).ca_key("root", CaKey(b"der", "d" * 64))
    with pytest.raises(StoreError, match="has been made"):
        moving.move(layout, Address.ca("root"), Address.ca("top"), NOW)


def test_what_is_issued_later_to_the_old_name_is_somebody_elses(layout: Layout) -> None:
    moving.move(layout, OLD, NEW, NOW)
    another = Issued(LEAF.address, "root", "6", "CN=api", "CN=root", NOW, NOW, "e" * 64, "b" * 64, "f" * 64)
    ledger.Recorder(layout, NOW).issued([another])
    holders = {one.serial: one.address.entity for one in ledger.load(layout).issued.values()}
    assert holders == {"5": NEW, "6": OLD}


def test_who_looks_a_serial_up_is_told_the_new_name(layout: Layout) -> None:
    moving.move(layout, OLD, NEW, NOW)
    assert list(archive.mentioning(layout, LEAF.serial).by_address) == [NEW.with_part(Part.CERTIFICATE)]


def test_what_was_issued_to_who_had_the_name_before_stays_that_one_s(layout: Layout) -> None:
    """The former holder's certificate is the newer, and revoked: its successor goes without none for that."""
    of_another = replace(LEAF, address=NEW.with_part(Part.CERTIFICATE), serial="6", fingerprint_sha256="d" * 64)
    recorder = ledger.Recorder(layout, NOW)
    recorder.issued([of_another])
    recorder.revoked([Revoked("root", "6", "cessationOfOperation", NOW, replace=False)])
    assert moving.move(layout, OLD, NEW, NOW)
    known = ledger.load(layout)
    address = NEW.with_part(Part.CERTIFICATE)
    assert known.by_address[address] == (
        replace(LEAF, address=address),
        replace(of_another, of_predecessor=True),
    )
    assert known.newest(address) == replace(LEAF, address=address)
    assert known.withdrawn(address) is None
    assert moving.move(layout, NEW, OLD, NOW)
    known = ledger.load(layout)
    assert known.by_address == {OLD.with_part(Part.CERTIFICATE): (LEAF,), address: (of_another,)}


def test_a_rename_that_stands_in_the_ledger_twice_makes_nobody_a_predecessor(layout: Layout) -> None:
    recorder = ledger.Recorder(layout, NOW)
    recorder.renamed(OLD, NEW)
    recorder.issued([replace(LEAF, address=NEW.with_part(Part.CERTIFICATE), serial="6", fingerprint_sha256="d" * 64)])
    recorder.renamed(OLD, NEW)
    assert not any(one.of_predecessor for one in ledger.load(layout).issued.values())
