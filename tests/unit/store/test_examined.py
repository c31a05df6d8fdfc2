"""What is remembered of an earlier look: only what was written there, with the key of this folder, counts."""

from __future__ import annotations

import pytest

from scaffold.pki.randomness import OPERATING_SYSTEM
from scaffold.store import examined
from scaffold.store.examined import KEY_BYTES, Derivation, Examination, Remembered
from scaffold.store.files import Writer
from scaffold.store.layout import EXAMINED, EXAMINED_KEY, Layout

ADDRESS, CONTENT = "client.teller.certificate", b"all that was examined"


@pytest.fixture
def layout(tmp_path):
    found, one = Layout(tmp_path), Examination(CONTENT, "1", "aa", 1.0, 2.0)
    known = Remembered(derivation=Derivation(b"source", {"client.teller": "inputs"}))
    Writer(found).prepare()
    examined.save(found, Writer(found), known, {ADDRESS: one}, OPERATING_SYSTEM)
    return found


def test_what_was_written_is_read_and_holds_for_that_content_alone(layout):
    found = examined.load(layout)
    entry = found.entries[ADDRESS]
    assert found.holds(entry, CONTENT)
    assert not found.holds(entry, CONTENT + b".")
    assert found.is_derived_from(b"source")
    assert not found.is_derived_from(b"another")


@pytest.mark.parametrize("length", [0, 1, KEY_BYTES - 1, KEY_BYTES + 1])
def test_a_key_of_another_length_is_none(layout, length):
    """BLAKE2b takes no key at all for one of no octets, so that anybody could write what passes."""
    layout.path(EXAMINED_KEY).write_bytes(b"k" * length)
    assert examined.load(layout) == Remembered()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"certificates":{},"projects":{"mac":1,"inputs":{}}}']
)
def test_what_is_no_memory_is_forgotten(layout, content):
    layout.path(EXAMINED).write_bytes(content)
    assert examined.load(layout) == Remembered()


def test_nothing_holds_under_another_key(layout):
    entry = examined.load(layout).entries[ADDRESS]
    layout.path(EXAMINED_KEY).write_bytes(b"k" * KEY_BYTES)
    found = examined.load(layout)
    assert not found.holds(entry, CONTENT)
    assert not found.is_derived_from(b"source")
