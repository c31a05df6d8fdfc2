"""The ledger: what it says depexpires on no order of its lines, and what cannot be is an error with its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.errors import StoreError
from scaffold.store import ledger
from scaffold.store.layout import LEDGER, Layout
from scaffold.store.ledger import HOLD, LIFTED, CaKey, Issued, Recorder, Revoked
from scaffold.topology.address import Address

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHA256 = "ab" * 32


def folder(path: Path, lines: list[bytes]) -> Layout:
    (path / ".scaffold").mkdir(parents=True, exist_ok=True)
    (path / LEDGER).write_bytes(b"".join(line + b"\n" for line in lines))
    return Layout(path)


def empty(path: Path) -> Layout:
    return folder(path, [])


def issued(serial: str, address: str = "client.teller.certificate", days: int = 1) -> Issued:
    digest = f"{int(serial, 16):064x}"
    whose = Address.parse(address), "issuing", serial, "CN=teller", "CN=issuing"
    return Issued(*whose, NOW, NOW + timedelta(days=days), digest, key=digest)


# --- Lines that this version does not know ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["revoked-2", "Revoked", "", None, 7, ["revoked"]])
def test_what_is_not_known_and_is_said_of_a_ca_is_not_passed_over(tmp_path, name):
    """It may be a revocation: nothing is signed by that CA, and no other CA is held up."""
    about = {"event": name, "at": "2026-03-01T00:00:00+00:00", "ca": "issuing", "serial": "a1", "reason": "superseded"}
    known = ledger.load(folder(tmp_path, [json.dumps(about).encode()]))
    with pytest.raises(StoreError, match=r"ledger\.jsonl, line 1, .* a newer version may have written it"):
        known.check("issuing")
    known.check("root")


def test_what_is_not_known_and_is_said_of_no_ca_is_passed_over(tmp_path):
    line = json.dumps({"event": "of a later version", "at": "2026-03-01T00:00:00+00:00", "number": 2}).encode()
    ledger.load(folder(tmp_path, [line])).check()


# --- The order of lines --------------------------------------------------------------------------------------------

moments = st.integers(0, 3).map(lambda minute: f"2026-03-01T00:0{minute}:00+00:00")
cas, serials = st.sampled_from(["root", "issuing"]), st.sampled_from(["1", "2", "a0"])
reasons = st.sampled_from([HOLD, LIFTED, "superseded"])


def event(name: str, /, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({"event": st.just(name), "at": moments, **fields}, optional={"n": st.integers(1, 3)})


events = st.one_of(
    event("topology", name=st.sampled_from(["bank", "other"])),
    event("ca-key", ca=cas, spki=st.sampled_from(["AAAA", "BBBB"]), file_sha256=st.just(SHA256)),
    event("crl", ca=cas, number=st.integers(0, 5)),
    event("revoked", ca=cas, serial=serials, reason=reasons, replace=st.booleans()),
    event("burnt", keys=st.lists(st.sampled_from([SHA256, "cd" * 32]))),
    event(
        "issued",
        address=st.sampled_from(["client.a.certificate", "client.b.certificate"]),
        ca=cas,
        serial=serials,
        subject=st.just("CN=a"),
        issuer=st.just("CN=b"),
        not_before=st.just("2026-03-01T00:00:00+00:00"),
        not_after=st.sampled_from(["2026-03-02T00:00:00+00:00", "2026-03-03T00:00:00+00:00"]),
        fingerprint_sha256=st.sampled_from([SHA256, "cd" * 32]),
        issuer_key=st.just(SHA256),
        key=st.just(SHA256),
    ),
    event("of a later version", what=st.integers()),
)  # fmt: skip


@given(st.lists(events, min_size=1, max_size=12), st.data())
def test_neither_order_nor_repetition_changes_what_it_says(tmp_path_factory, said, data):
    lines = [json.dumps(one).encode() for one in said]
    again = data.draw(st.lists(st.sampled_from(lines), max_size=5))
    other = data.draw(st.permutations([*lines, *again]))
    path = tmp_path_factory.mktemp("ledger")
    one, another = ledger.load(folder(path / "a", lines)), ledger.load(folder(path / "b", other))
    assert one == another
    assert one.by_address == another.by_address
    assert one.by_serial == another.by_serial
    assert list(one.issued) == list(another.issued)


def test_the_newest_of_two_merged_ledgers_is_that_of_the_latest_time(tmp_path):
    theirs, ours = empty(tmp_path / "theirs"), empty(tmp_path / "ours")
    Recorder(theirs, NOW + timedelta(hours=1)).ca_key("root", CaKey(b"later", SHA256))
    Recorder(theirs, NOW + timedelta(hours=1)).issued([issued("2")])
    Recorder(theirs, NOW + timedelta(hours=1)).crl("root", 7)
    Recorder(ours, NOW).ca_key("root", CaKey(b"earlier", SHA256))
    Recorder(ours, NOW).issued([issued("1")])
    Recorder(ours, NOW + timedelta(hours=2)).crl("root", 5)
    with Path(theirs.at(LEDGER)).open("ab") as merged:
        merged.write(Path(ours.at(LEDGER)).read_bytes())
    known = ledger.load(theirs)
    assert known.ca_keys["root"].spki == b"later"
    assert [one.serial for one in known.by_address[Address.parse("client.teller.certificate")]] == ["1", "2"]
    assert known.crl_numbers == {"root": 7}


def test_what_is_done_after_a_clock_was_put_back_is_the_newer(tmp_path):
    """Its clock was two days ahead: a key, a certificate, and a hold that was lifted; then all of it again, today."""
    layout = empty(tmp_path)
    for at, key, serial in ((NOW + timedelta(days=2), b"then", "1"), (NOW, b"today", "2")):
        recorder = Recorder(layout, at)
        recorder.ca_key("root", CaKey(key, SHA256))
        recorder.issued([issued(serial)])
        recorder.revoked([Revoked("root", "1", HOLD, at)])
        if at != NOW:
            recorder.revoked([Revoked("root", "1", LIFTED, at)])
    known = ledger.load(layout)
    assert known.ca_keys["root"].spki == b"today"
    assert known.by_address[Address.parse("client.teller.certificate")][-1].serial == "2"
    assert ("root", "1") in known.revoked
    assert known.revoked["root", "1"].at == NOW, "its own time stays what it was"


def test_what_happens_within_a_second_keeps_its_order(tmp_path):
    """A hold, its end, a hold anew, and a key after a key, whatever the lines' order is afterwards."""
    layout = empty(tmp_path)
    for reason in (HOLD, LIFTED, HOLD, LIFTED, HOLD):
        Recorder(layout, NOW).revoked([Revoked("issuing", "1", reason, NOW)])
    for key in (b"z", b"a", b"m"):
        Recorder(layout, NOW).ca_key("root", CaKey(key, SHA256))
    lines = (tmp_path / LEDGER).read_bytes().splitlines()
    for order in (lines, lines[::-1], sorted(lines)):
        known = ledger.load(folder(tmp_path, order))
        assert known.revoked["issuing", "1"].on_hold
        assert known.lifted == frozenset()
        assert known.ca_keys["root"].spki == b"m"


def test_a_hold_that_is_lifted_is_lifted(tmp_path):
    layout = empty(tmp_path)
    for reason in (HOLD, LIFTED):
        Recorder(layout, NOW).revoked([Revoked("issuing", "1", reason, NOW)])
    known = ledger.load(layout)
    assert (known.revoked, known.lifted) == ({}, {("issuing", "1")})


def test_a_ledger_of_the_first_version_is_read(tmp_path):
    """Its events of one second have no number; those of several are in their order."""
    lines = [
        b'{"event":"topology","at":"2026-03-01T00:00:00+00:00","name":"bank"}',
        b'{"event":"crl","at":"2026-03-01T00:00:00+00:00","ca":"root","number":1}',
        b'{"event":"revoked","at":"2026-03-01T00:00:02+00:00","ca":"root","serial":"1f","reason":"superseded"}',
    ]
    known = ledger.load(folder(tmp_path, lines))
    assert (known.topology, known.crl_numbers) == ("bank", {"root": 1})
    assert known.revoked["root", "1f"].replace


# --- Lines that cannot be ------------------------------------------------------------------------------------------

SOUND: dict[str, dict[str, object]] = {
    "issued": {
        "address": "client.a.certificate", "ca": "root", "serial": "1f", "subject": "CN=a", "issuer": "CN=b",
        "not_before": "2026-03-01T00:00:00+00:00", "not_after": "2026-03-02T00:00:00+00:00",
        "fingerprint_sha256": SHA256, "issuer_key": SHA256, "key": SHA256,
    },
    "revoked": {"ca": "root", "serial": "1f", "reason": "superseded", "replace": True},
    "crl": {"ca": "root", "number": 7},
    "ca-key": {"ca": "root", "spki": "AAAA", "file_sha256": SHA256},
    "topology": {"name": "bank"},
    "burnt": {"keys": [SHA256]},
}  # fmt: skip


def line(name: str, /, **changed: object) -> bytes:
    said = {"event": name, "at": "2026-03-01T00:00:00+00:00", **SOUND[name], **changed}
    return json.dumps({key: value for key, value in said.items() if value is not ...}).encode()


@pytest.mark.parametrize("name", SOUND)
def test_sound_lines_are_read(tmp_path, name):
    assert ledger.load(folder(tmp_path, [line(name)])).events == 1


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("issued", {"serial": "-5"}), ("issued", {"serial": "0"}), ("issued", {"serial": "1F"}),
        ("issued", {"serial": 31}), ("issued", {"serial": "f" * 41}), ("issued", {"serial": ...}),
        ("issued", {"not_after": "tomorrow"}), ("issued", {"not_after": "2026-03-02T00:00:00"}),
        ("issued", {"not_after": None}), ("issued", {"not_before": "2027-01-01T00:00:00+00:00"}),
        ("issued", {"not_before": "2026-02-30T00:00:00+00:00"}), ("issued", {"fingerprint_sha256": "x"}),
        ("issued", {"address": ["a"]}), ("issued", {"key": 1}),
        ("revoked", {"serial": "-5"}), ("revoked", {"reason": "because"}), ("revoked", {"at": "now"}),
        ("revoked", {"at": 7}), ("revoked", {"ca": ...}), ("revoked", {"replace": "no"}),
        ("crl", {"number": -1}), ("crl", {"number": True}), ("crl", {"number": "7"}), ("crl", {"number": 1 << 159}),
        ("ca-key", {"spki": "%"}), ("ca-key", {"file_sha256": ""}), ("topology", {"name": {}}),
        ("burnt", {"keys": "all"}), ("burnt", {"keys": [1]}),
        ("issued", {"at": ...}), ("crl", {"at": "yesterday"}), ("topology", {"at": 0}),
    ],
)  # fmt: skip
def test_what_cannot_be_is_an_error_with_its_line(tmp_path, name, changed):
    layout = folder(tmp_path, [line("topology"), line(name, **changed), line("crl")])
    with pytest.raises(StoreError, match=r"ledger\.jsonl, line 2, cannot be read: ") as caught:
        ledger.load(layout).check()
    assert caught.value.hint is not None


def test_what_cannot_be_of_one_ca_is_known_of_that_one_alone(tmp_path):
    layout = folder(tmp_path, [line("topology"), line("crl", number=-1), line("crl", ca="issuing")])
    known = ledger.load(layout)
    assert known.crl_numbers == {"issuing": 7}
    known.check("issuing")
    with pytest.raises(StoreError, match="line 2"):
        known.check("issuing", "root")


def test_a_line_of_ten_thousand_brackets_is_an_error(tmp_path):
    layout = folder(tmp_path, [line("topology"), b"[" * 10_000 + b"]" * 10_000])
    with pytest.raises(StoreError, match="line 2"):
        ledger.load(layout)


def test_a_revocation_that_no_crl_can_date_is_a_damaged_line(tmp_path):
    said = {"event": "revoked", "at": "1900-01-01T00:00:00+00:00", "ca": "root", "serial": "aa", "reason": "superseded"}
    known = ledger.load(folder(tmp_path, [json.dumps(said).encode()]))
    with pytest.raises(StoreError, match="1900-01-01 cannot be written into a CRL"):
        known.check("root")
