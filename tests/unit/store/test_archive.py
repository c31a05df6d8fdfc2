"""The archive: what has ended leaves the ledger, and nothing that still matters is forgotten."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaffold.errors import StoreError
from scaffold.store import archive, files, ledger
from scaffold.store.files import Writer
from scaffold.store.layout import ARCHIVE, LEDGER, Layout
from scaffold.store.ledger import HOLD, LIFTED, CaKey, Issued, Recorder, Revoked
from scaffold.topology.address import Address

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)
MANY = archive.WORTH + 50
C1 = Address.parse("client.c1.certificate")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "bank")
    Writer(made).prepare()
    Recorder(made, LONG_AGO).topology("bank")
    return made


def issued(serial: int, address: str, ends: datetime = LONG_AGO) -> Issued:
    begins, digest = ends - timedelta(days=1), f"{serial:064x}"
    whose = Address.parse(address), "issuing", f"{serial:x}", "CN=x", "CN=issuing"
    return Issued(*whose, begins, ends, digest, key=digest)


def history(layout: Layout, addresses: int = 1) -> list[Issued]:
    """Many certificates that have ended, and the living one of each address after them."""
    names = [f"client.c{number % addresses}.certificate" for number in range(MANY)]
    ended = [issued(1000 + number, name) for number, name in enumerate(names)]
    Recorder(layout, LONG_AGO).issued(ended)
    alive = [issued(1 + number, name, NOW + timedelta(days=1)) for number, name in enumerate(dict.fromkeys(names))]
    Recorder(layout, NOW).issued(alive)
    return ended


def revoke(layout: Layout, *serials: int, reason: str = "superseded", at: datetime = LONG_AGO, **more: bool) -> None:
    Recorder(layout, at).revoked([Revoked("issuing", f"{serial:x}", reason, at, **more) for serial in serials])


def tidy(layout: Layout, off_crl: Callable[[Issued], bool] = lambda one: True) -> ledger.Ledger:
    archive.archive(layout, Writer(layout), ledger.load(layout), NOW, off_crl)
    return ledger.load(layout)


def events(layout: Layout, path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in layout.path(path).read_text().splitlines()]


def serials(known: Iterable[Issued]) -> set[str]:
    return {one.serial for one in known}


def whole(layout: Layout) -> ledger.Ledger:
    """What ledger and archive say together."""
    return archive.mentioning(layout, "")


# --- What goes and what stays --------------------------------------------------------------------------------------


def test_what_has_ended_goes_and_what_is_alive_stays(layout):
    ended, before = history(layout, addresses=3), whole(layout)
    known = tidy(layout)
    assert serials(known.issued.values()) == {"1", "2", "3"}
    assert serials(archive.mentioning(layout, "certificate").issued.values()) == serials(before.issued.values())
    assert replace(whole(layout), archived=False) == before
    assert (before.archived, known.archived) == (False, True)
    assert len(events(layout, ARCHIVE)) == len(ended)
    assert known.topology == "bank"


def test_a_little_is_not_worth_it(layout):
    Recorder(layout, LONG_AGO).issued([issued(number + 1, "client.a.certificate") for number in range(50)])
    assert len(tidy(layout).issued) == 50
    assert not layout.path(ARCHIVE).exists()


def test_the_highest_number_of_a_crl_stays(layout):
    history(layout)
    for number in (1, 3, 2):
        Recorder(layout, LONG_AGO).crl("issuing", number)
    Recorder(layout, LONG_AGO).crl("root", 9)
    known = tidy(layout)
    assert known.crl_numbers == {"issuing": 3, "root": 9}
    assert [one["number"] for one in events(layout, ARCHIVE) if one["event"] == "crl"] == [1, 2]


def test_the_keys_of_cas_stay(layout):
    history(layout)
    for at, spki in ((LONG_AGO, b"old"), (NOW, b"new")):
        Recorder(layout, at).ca_key("issuing", CaKey(spki, "ab" * 32))
    assert tidy(layout).ca_keys["issuing"].spki == b"new"
    assert sum(one["event"] == "ca-key" for one in events(layout, LEDGER)) == 2


def test_a_revocation_stays_until_it_is_off_the_crl(layout):
    ended = history(layout)
    revoke(layout, 1000)
    on_crl = {ended[0].serial}
    known = tidy(layout, lambda one: one.serial not in on_crl)
    assert known.revoked.keys() == {("issuing", ended[0].serial)}
    assert ended[0].serial in serials(known.issued.values()), "by its end is known when it may go"
    Recorder(layout, LONG_AGO).issued([issued(5000 + number, "client.b.certificate") for number in range(MANY)])
    known = tidy(layout)
    assert known.revoked == {}
    assert len(known.issued) == 1


def test_a_lifted_hold_is_known_as_long_as_a_crl_lists_it(layout):
    history(layout)
    revoke(layout, 1000, reason=HOLD)
    revoke(layout, 1000, reason=LIFTED)
    assert tidy(layout, lambda one: one.serial != f"{1000:x}").lifted == {("issuing", f"{1000:x}")}


def test_the_key_of_what_was_revoked_stays_burnt_and_that_of_a_hold_does_not(layout):
    ended = history(layout)
    revoke(layout, 1000, 1001)
    revoke(layout, 1002, reason=HOLD)
    known = tidy(layout)
    assert known.revoked == {}
    assert known.revoked_keys == known.burnt == {ended[0].key, ended[1].key}


def test_burnt_keys_add_up_in_one_line(layout):
    ended = history(layout)
    revoke(layout, 1000)
    tidy(layout)
    more = [issued(5000 + number, "client.b.certificate") for number in range(MANY)]
    Recorder(layout, LONG_AGO).issued(more)
    revoke(layout, 5000)
    assert tidy(layout).burnt == {ended[0].key, more[0].key}
    assert sum(one["event"] == "burnt" for one in events(layout, LEDGER)) == 1


def test_who_goes_without_a_certificate_goes_on_doing_so(layout):
    """Its last certificate has ended, and the ledger still says that it gets no other."""
    history(layout)
    Recorder(layout, LONG_AGO).issued([issued(7, "client.out.certificate")])
    revoke(layout, 7, replace=False)
    held = tidy(layout).withdrawn(Address.parse("client.out.certificate"))
    assert held is not None
    assert held.serial == "7"


def test_who_got_another_certificate_is_not_withdrawn_by_the_one_before(layout):
    """The older one lives longer, and stays: the newer one has ended, and stays as well, for it is the newer one."""
    history(layout)
    Recorder(layout, LONG_AGO).issued([issued(7, "client.out.certificate", NOW + timedelta(days=9))])
    revoke(layout, 7, replace=False)
    later = LONG_AGO + timedelta(days=1)
    Recorder(layout, later).issued([issued(8, "client.out.certificate", later)])
    assert tidy(layout).withdrawn(Address.parse("client.out.certificate")) is None


def test_what_a_later_version_wrote_stays(layout):
    with layout.path(LEDGER).open("a") as file:
        file.write('{"event":"of a later version"}\n')
    history(layout)
    tidy(layout)
    assert {"event": "of a later version"} in events(layout, LEDGER)


def test_only_its_owner_may_read_it(layout):
    history(layout)
    tidy(layout)
    assert {layout.path(path).stat().st_mode & 0o777 for path in (LEDGER, ARCHIVE)} == {files.SECRET_FILE}


# --- Two people's -------------------------------------------------------------------------------------------------


def test_lines_in_both_are_as_lines_in_one(layout):
    """One person archived, another's ledger had the lines still: their union has them twice."""
    history(layout, addresses=3)
    revoke(layout, 1000, 1001)
    before, lines = whole(layout), layout.path(LEDGER).read_bytes()
    tidied = tidy(layout)
    with layout.path(LEDGER).open("ab") as file:
        file.write(lines)
    assert replace(whole(layout), burnt=frozenset(), archived=False) == before
    again = tidy(layout)
    assert (again.issued, again.burnt) == (tidied.issued, tidied.burnt)
    assert replace(whole(layout), burnt=frozenset(), archived=False) == before


def test_a_revocation_that_comes_after_the_archive_burns_the_key(layout):
    ended = history(layout)
    tidy(layout)
    revoke(layout, 1000)
    Recorder(layout, LONG_AGO).issued([issued(5000 + number, "client.b.certificate") for number in range(MANY)])
    known = tidy(layout)
    assert known.revoked == {}
    assert known.burnt == {ended[0].key}


# --- Asking for what is archived ------------------------------------------------------------------------------------


def test_what_is_archived_is_found_by_serial_and_by_address(layout):
    ended = history(layout, addresses=2)
    tidy(layout)
    assert ended[0].fingerprint_sha256 in archive.mentioning(layout, ended[0].serial).issued
    assert len(archive.mentioning(layout, '"client.c1.').by_address[C1]) == MANY // 2 + 1


def test_all_that_was_ever_revoked(layout):
    ended = history(layout)
    revoke(layout, 1000, 1001)
    before = ledger.load(layout)
    known = tidy(layout)
    ever = archive.revoked_ever(layout, known)
    assert ever.revoked == before.revoked
    assert [ever.by_serial[pair] for pair in ever.revoked] == ended[:2]


def test_the_archive_is_read_for_nothing_else(layout):
    history(layout)
    tidy(layout)
    layout.path(ARCHIVE).write_bytes(b"\xff\n")
    assert ledger.load(layout).topology == "bank"
    with pytest.raises(StoreError, match=r"ledger\.archive\.jsonl, line 1, cannot be read"):
        archive.mentioning(layout, "")


@pytest.mark.parametrize("serial", ["FF", "", "zz", None, 7])
def test_a_revocation_in_the_archive_that_cannot_be_is_not_passed_over(layout, serial):
    history(layout)
    tidy(layout)
    event = {"event": "revoked", "at": "2026-03-01T00:00:00+00:00", "ca": "issuing", "reason": "superseded"}
    layout.path(ARCHIVE).write_text(json.dumps({**event, "serial": "a1"}) + "\n")
    assert ("issuing", "a1") in archive.revoked_ever(layout, ledger.load(layout)).revoked
    layout.path(ARCHIVE).write_text(json.dumps({**event, "serial": serial}) + "\n")
    with pytest.raises(StoreError, match=r"ledger\.archive\.jsonl, line 1, cannot be read"):
        archive.revoked_ever(layout, ledger.load(layout))


def test_an_archive_that_is_a_link_is_not_read(layout, tmp_path):
    (tmp_path / "elsewhere").write_text("{}\n")
    layout.path(ARCHIVE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"ledger\.archive\.jsonl is a symbolic link"):
        archive.mentioning(layout, "")


def test_an_archive_that_is_a_pipe_is_not_waited_for(layout):
    os.mkfifo(layout.at(ARCHIVE))
    with pytest.raises(StoreError, match=r"ledger\.archive\.jsonl is not a regular file"):
        archive.mentioning(layout, "")


# --- A kill ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "half", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_kill_while_archiving_loses_nothing(layout, nth, moment):
    """The writes are: the archive's lines, the new ledger beside the old, and its rename over it."""
    history(layout, addresses=3)
    revoke(layout, 1000, 1001)
    before = whole(layout)
    child = os.fork()
    if child == 0:
        die_at(nth, moment)
        tidy(layout)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert replace(whole(layout), burnt=frozenset(), archived=False) == before
    assert ledger.load(layout).revoked_keys == before.revoked_keys
    tidied = tidy(layout)
    assert serials(tidied.issued.values()) == {"1", "2", "3"}
    assert tidied.revoked_keys == before.revoked_keys
    assert replace(whole(layout), burnt=frozenset(), archived=False) == before


def die_at(nth: int, moment: str) -> None:
    count = iter(range(1, 1000))
    real_replace, real_write = os.replace, files.write_all

    def replace(source, target):
        die(moment, lambda: real_replace(source, target), lambda: None)

    def write(descriptor, content):
        die(moment, lambda: real_write(descriptor, content), lambda: os.write(descriptor, content[: len(content) // 2]))

    def die(when, whole, half):
        if next(count) != nth:
            whole()
            return
        {"before": lambda: None, "half": half, "after": whole}[when]()
        os._exit(9)

    os.replace, files.write_all = replace, write


def test_the_archive_is_on_the_disk_before_the_ledger_is_replaced(layout, disk):
    history(layout)
    disk.clear()
    tidy(layout)
    of_records = [step for step in disk if step != ("replace", ".gitignore")]
    assert of_records == [
        ("fsync", "ledger.archive.jsonl"),
        ("fsync", ".scaffold"),
        ("fsync", f".ledger.jsonl{files.TEMPORARY}"),
        ("replace", "ledger.jsonl"),
        ("fsync", ".scaffold"),
    ]
