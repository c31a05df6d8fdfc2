"""The disk as an enemy: links, full disks, other hands, and a kill at any instant."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path

import pytest
from cryptography import x509

from scaffold.errors import Locked, StoreError
from scaffold.pki import keys
from scaffold.store import files, lock
from scaffold.store.files import Writer
from scaffold.store.layout import Layout, ca_paths
from scaffold.topology.model import KeyType

# --- What stands in the way ----------------------------------------------------------------------------------------


def test_an_output_folder_that_is_a_file(household):
    household.out.write_text("precious")
    with pytest.raises(StoreError, match="is a file"):
        household.plan()
    assert household.out.read_text() == "precious"


def test_an_output_folder_that_is_a_link(household, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    household.out.symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic link"):
        household.plan()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("path", ["pki", "pki/root", "servers/accounts", "servers/accounts/tls", ".scaffold"])
def test_a_folder_inside_that_is_a_link(household, tmp_path, path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = household.out / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic link"):
        household.apply()
    assert list(elsewhere.iterdir()) == []


def test_a_key_that_is_a_link(household, tmp_path):
    household.apply()
    key = household.out / "pki/root/ca.key"
    outside = tmp_path / "outside.key"
    key.rename(outside)
    key.symlink_to(outside)
    with pytest.raises(StoreError, match="symbolic link"):
        household.plan()


def test_another_topologys_folder(household):
    household.apply()
    household.text = household.text.replace("name: bank", "name: other")
    with pytest.raises(StoreError, match='belongs to the topology "bank"'):
        household.plan()


def test_a_damaged_ledger_is_no_traceback(household):
    household.apply()
    ledger = household.out / ".scaffold/ledger.jsonl"
    ledger.write_bytes(b"\xff\xfe\n" + ledger.read_bytes())
    with pytest.raises(StoreError, match="line 1"):
        household.plan()


# --- A full disk ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 2, 3, 5, 9, 17, 30])
def test_a_full_disk_leaves_nothing_half_written(household, monkeypatch, nth):
    real, count = files.write_all, iter(range(1, 10_000))

    def fill(descriptor: int, content: bytes) -> None:
        if next(count) >= nth:
            os.write(descriptor, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor, content)

    plan = household.prepare()
    monkeypatch.setattr(files, "write_all", fill)
    with pytest.raises(StoreError, match="No space left") as caught:
        household.carry_out(plan)
    assert caught.value.hint is not None
    assert list(household.out.rglob(f"*{files.TEMPORARY}")) == []
    monkeypatch.setattr(files, "write_all", real)
    household.apply()
    assert household.plan().changes == ()
    assert_ledger_knows_all(household.out)


# --- Two at once ---------------------------------------------------------------------------------------------------


def test_who_holds_the_lock_is_said(household):
    plan = household.prepare()
    ready, done = multiprocessing.Event(), multiprocessing.Event()
    other = multiprocessing.get_context("fork").Process(target=hold_lock, args=(household, ready, done))
    other.start()
    try:
        assert ready.wait(90)
        with pytest.raises(Locked, match=f"process {other.pid} on "):
            household.carry_out(plan)
    finally:
        done.set()
        other.join()
    household.carry_out(plan)


def hold_lock(household, ready, done):
    with lock.hold(Layout(household.out), household.now):
        ready.set()
        done.wait(90)


def test_a_second_apply_of_one_plan_is_refused_and_breaks_nothing(household):
    """Two start from the same plan: one carries it out, the other finds another world or waits in vain."""
    plan = household.prepare()
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    both = [context.Process(target=carry_out, args=(household, plan, results)) for _ in range(2)]
    for one in both:
        one.start()
    found = sorted(results.get(timeout=60) for _ in both)
    for one in both:
        one.join()
    assert found in (["Locked", "done"], ["Overtaken", "done"])
    assert household.plan().changes == ()
    assert_ledger_knows_all(household.out)


def carry_out(household, plan, results):
    try:
        household.carry_out(plan)
    except Exception as error:
        results.put(type(error).__name__)
    else:
        results.put("done")


# --- A kill --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 26, 30, 36, 42])
def test_after_a_kill_apply_converges(household, nth, moment):
    assert killed(household, nth, moment)
    ca_keys = existing_ca_keys(household.out)
    assert_ledger_knows_all(household.out)
    household.apply()
    assert household.plan().changes == ()
    assert not any(household.plan().notes)
    assert ca_keys.items() <= existing_ca_keys(household.out).items()
    assert list(household.out.rglob(f"*{files.TEMPORARY}")) == []
    assert_ledger_knows_all(household.out)


@pytest.mark.parametrize("nth", range(1, 14))
def test_after_a_kill_while_a_ca_is_replaced_apply_converges(household, nth):
    household.apply()
    household.text = household.text.replace("root: {}", "root: {key: ec-p384}")
    assert killed(household, nth, "after")
    stopped_with = existing_ca_keys(household.out)["pki/root/ca.key"]
    household.apply()
    assert household.plan().changes == ()
    if keys.key_type(keys.load(stopped_with)) is KeyType.EC_P384:
        assert existing_ca_keys(household.out)["pki/root/ca.key"] == stopped_with
    assert_ledger_knows_all(household.out)


def killed(household, nth: int, moment: str) -> bool:
    """Applies in a child that dies without a word at its `nth` rename or appended event."""
    plan = household.prepare()
    child = os.fork()
    if child == 0:
        die_at(nth, moment)
        household.carry_out(plan)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def die_at(nth: int, moment: str) -> None:
    count = iter(range(1, 10_000))
    real_replace, real_write = os.replace, files.write_all

    def replace(source, target):
        last = next(count) == nth
        if last and moment == "before":
            os._exit(9)
        real_replace(source, target)
        if last:
            os._exit(9)

    def write(descriptor, content):
        if next(count) == nth:
            os.write(descriptor, content[: len(content) // 2])
            os._exit(9)
        real_write(descriptor, content)

    os.replace, files.write_all = replace, write


def existing_ca_keys(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.glob("pki/*/ca.key")}


def assert_ledger_knows_all(out: Path) -> None:
    paths = [*out.glob("pki/*/ca.crt"), *out.glob("*/*/tls/cert.pem")]
    in_place = {f"{x509.load_pem_x509_certificate(path.read_bytes()).serial_number:x}" for path in paths}
    ledger = out / ".scaffold/ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True) if ledger.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    assert in_place <= {event["serial"] for event in events if event["event"] == "issued"}


def test_what_nobody_could_make_again_is_on_the_disk_before_anything_hangs_on_it(household, monkeypatch):
    """A loss of power after the first leaf was issued must not take the CA's key, or what opens it, along."""
    household.text = household.text.replace("issuer: root}", "issuer: root, key_password: {generate: true}}")
    really_write, durable, secret = Writer.write, set(), set()

    def write(self, relative, content, **how):
        if how.get("durable"):
            durable.add(relative)
        if how.get("mode") == files.SECRET_FILE:
            secret.add(relative)
        really_write(self, relative, content, **how)

    monkeypatch.setattr(Writer, "write", write)
    household.apply()
    root, issuing = ca_paths("root"), ca_paths("issuing")
    assert durable == {root.key, root.certificate, issuing.key, issuing.key_password, issuing.certificate}
    assert {root.key, issuing.key, issuing.key_password} <= secret, "born with the rights that they keep"
