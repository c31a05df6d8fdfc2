"""What is changed where, what is left out, and that a store which loses something else is said: on stores in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import pytest

from scaffold.errors import TrustError
from scaffold.trusting import changes
from scaffold.trusting.changes import Installation, Ours, Removal
from scaffold.trusting.kinds import StoreKind
from scaffold.trusting.model import Anchor, Entry, Obstacle
from tests.unit.trusting.lab import anchor, shared

THEIRS = Entry("theirs", "theirs", "ff" * 32)


@cache
def former() -> Anchor:
    return anchor()


def ours(root: Anchor | None = None, **more: bool) -> Entry:
    root = root or shared()
    return Entry(root.label, root.label, root.fingerprint, **more)


@dataclass
class Memory:
    """A store that does as it is told, but for what a test says."""

    entries: list[Entry] = field(default_factory=lambda: [THEIRS])
    kind: StoreKind = StoreKind.NSS
    place: str = "memory"
    why: Obstacle | None = None
    fails: bool = False
    ignores: bool = False
    loses: bool = False

    def holds(self) -> tuple[Entry, ...]:
        if self.fails:
            raise TrustError("no such luck", hint="try again")
        return tuple(self.entries)

    def obstacle(self) -> Obstacle | None:
        return self.why

    def install(self, anchor: Anchor) -> None:
        self._change([*self.entries, ours(anchor)])

    def uninstall(self, entries: Sequence[Entry]) -> None:
        self._change([entry for entry in self.entries if entry not in entries])

    def _change(self, to: list[Entry]) -> None:
        if not self.ignores:
            self.entries = [entry for entry in to if not (self.loses and entry == THEIRS)]


def installed(store: Memory) -> list[Anchor]:
    return list(changes.install(Installation(store, (shared(),))))


def test_it_is_installed_where_it_is_missing_or_not_complete() -> None:
    missing, partial = Memory(), Memory([ours(trusted=False)])
    has, theirs = Memory([ours()]), Memory([Entry("x", "x", shared().fingerprint)])
    to_do, left_out = changes.installations([shared()], changes.look([missing, partial, has, theirs]))
    assert [one.store for one in to_do] == [missing, partial]
    assert left_out == ()


@pytest.mark.parametrize(
    ("store", "why"),
    [
        (Memory(fails=True), Obstacle("no such luck", "try again")),
        (Memory(why=Obstacle("root's")), Obstacle("root's")),
        (Memory([Entry("x", "x", shared().fingerprint, trusted=False)]), None),
    ],
)
def test_a_store_that_cannot_be_changed_is_left_out(store: Memory, why: Obstacle | None) -> None:
    to_do, left_out = changes.installations([shared()], changes.look([store]))
    assert to_do == ()
    (found,) = left_out
    assert found.store is store
    if why is not None:
        assert found.why == why
    else:
        assert "marked as not trusted" in found.why.message


def test_what_a_store_has_copied_meanwhile_is_not_added_again() -> None:
    assert installed(store := Memory()) == [shared()]
    assert installed(store) == []
    assert store.entries == [THEIRS, ours()]


def test_a_change_that_does_not_hold_or_costs_something_else_is_said() -> None:
    with pytest.raises(TrustError, match="does not trust"):
        installed(Memory(ignores=True))
    with pytest.raises(TrustError, match="has lost theirs"):
        installed(Memory(loses=True))
    with pytest.raises(TrustError, match="still holds"):
        changes.uninstall(Removal(Memory([ours()], ignores=True), (ours(),)))
    with pytest.raises(TrustError, match="has lost theirs"):
        changes.uninstall(Removal(Memory([THEIRS, ours()], loses=True), (ours(),)))


def of_lab(*roots: Anchor, cas: tuple[str, ...] = ()) -> Ours:
    """What is of a topology that has made these roots."""
    return Ours("lab", {root.fingerprint for root in roots}, cas)


def test_every_root_of_the_topology_is_removed_and_nothing_else() -> None:
    gone, elsewhere = anchor(ca="gone"), anchor()  # another topology of that name has made the second one
    others = [THEIRS, ours(anchor(topology="lab-2")), Entry("x", "x", shared().fingerprint), ours(elsewhere)]
    store = Memory([*others, ours(), ours(former()), ours(gone)])
    mine = of_lab(shared(), former(), gone)
    to_do, _ = changes.removals(mine.has, changes.look([store]), ())
    assert to_do == (Removal(store, (ours(), ours(former()), ours(gone))),)
    changes.uninstall(to_do[0])
    assert store.entries == others
    assert changes.removals(mine.has, changes.look([store]), ()) == ((), ())
    assert [entry for entry in (*store.entries, ours()) if mine.may_have(entry)] == [ours(elsewhere)]


def test_one_ca_alone_is_removed_where_it_is_named() -> None:
    other = anchor(ca="other")
    store = Memory([ours(), ours(other)])
    to_do, _ = changes.removals(of_lab(shared(), other, cas=("other",)).has, changes.look([store]), ())
    assert to_do == (Removal(store, (ours(other),)),)
    assert [entry for entry in store.entries if of_lab(cas=("other",)).may_have(entry)] == [ours(other)]


def test_a_root_is_known_under_a_name_that_the_topology_had_before() -> None:
    before = anchor(topology="bench")
    assert of_lab(before).has(ours(before))
    assert not of_lab().may_have(ours(before))


def test_an_entry_that_somebody_else_has_made_is_never_ours() -> None:
    theirs = Entry("x", "x", shared().fingerprint)
    assert not of_lab(shared()).has(theirs)
    assert not of_lab().may_have(theirs)


def test_what_a_store_copies_leaves_with_the_system_s() -> None:
    system = Memory([ours()], StoreKind.SYSTEM)
    copy = Memory([ours(copied=True)], StoreKind.JAVA)
    seen = changes.look([copy])
    assert changes.has_copies(seen)
    assert not changes.has_copies(changes.look([system]))
    to_do, left_out = changes.removals(of_lab(shared()).has, seen, changes.look([system]))
    assert to_do == ()
    assert "from the system's store" in left_out[0].why.message
    both = changes.look([system, copy])
    to_do, left_out = changes.removals(of_lab(shared()).has, both, changes.look([system]))
    assert [one.store for one in to_do] == [system, copy]
    assert left_out == ()
    copy.entries = []  # the distribution's hook
    assert changes.uninstall(to_do[1]) == (ours(copied=True),)


def test_a_copy_whose_original_is_gone_can_be_removed_alone() -> None:
    """The distribution's hook was switched off meanwhile."""
    copy = Memory([ours(copied=True)], StoreKind.JAVA)
    system = changes.look([Memory([], StoreKind.SYSTEM)])
    to_do, left_out = changes.removals(of_lab(shared()).has, changes.look([copy]), system)
    assert [one.store for one in to_do] == [copy]
    assert left_out == ()


def test_a_removal_that_cannot_be_made_is_left_out() -> None:
    stores = [Memory(fails=True), Memory([ours()], why=Obstacle("root's")), Memory(why=Obstacle("root's"))]
    to_do, left_out = changes.removals(of_lab(shared()).has, changes.look(stores), ())
    assert to_do == ()
    assert [one.store for one in left_out] == stores[:2]


def test_former_roots_are_those_of_none_of_today_s() -> None:
    elsewhere = anchor()
    store = Memory([THEIRS, ours(), ours(former()), ours(elsewhere), ours(anchor(topology="lab-2"))])
    found = changes.former(of_lab(shared(), former()), [shared()], changes.look([store]))
    assert [(one.entry, one.known) for one in found] == [(ours(former()), True), (ours(elsewhere), False)]
    assert changes.former(of_lab(shared(), former(), cas=("other",)), [shared()], changes.look([store])) == ()


def test_one_failure_keeps_no_other_store_from_being_changed() -> None:
    broken, fine = Memory(ignores=True), Memory()
    to_do = [Installation(broken, (shared(),)), Installation(fine, (shared(),))]
    failed = changes.each(to_do, lambda one: list(changes.install(one)), lambda one: one.store)
    assert [store for store, _ in failed] == [broken]
    assert ours() in fine.entries
