"""What installing and uninstalling would change, store by store, and the change itself.

Every store is looked at again directly before it is changed and directly after: what was there before must be there
still, and what is asked for must hold. Each change is whole by itself, so that one that was killed is done by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scaffold.errors import TrustError
from scaffold.trusting.kinds import StoreKind
from scaffold.trusting.model import Anchor, Entry, Mark, Obstacle, Standing, Store, standing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """A store with what it holds, or with what keeps it from being read."""

    store: Store
    entries: tuple[Entry, ...]
    unreadable: Obstacle | None = None

    def of(self, anchor: Anchor) -> tuple[Standing, tuple[Entry, ...]]:
        """The state of a root in it."""
        return (Standing.UNKNOWN, ()) if self.unreadable is not None else standing(anchor, self.entries)


def look(stores: Sequence[Store]) -> tuple[Seen, ...]:
    """Read every store; change none."""
    return tuple(_seen(store) for store in stores)


def _seen(store: Store) -> Seen:
    try:
        return Seen(store, store.holds())
    except TrustError as error:
        return Seen(store, (), Obstacle(error.message, error.hint))


@dataclass(frozen=True, slots=True)
class Ours:
    """Which entries are of one topology: those of roots that its folder `knows`, by fingerprint, as its own.

    The name alone does not say it, since two topologies may have one. `cas` are the names of the CAs that are meant,
    all where there are none.
    """

    topology: str
    knows: Collection[str]
    cas: Collection[str] = ()

    def has(self, entry: Entry) -> bool:
        """Whether it is of this topology, however that was called when it was installed."""
        return self._is_meant(entry.mark) and entry.fingerprint in self.knows

    def may_have(self, entry: Entry) -> bool:
        """Whether it is of a topology of this name, and nothing here says of which."""
        mark = entry.mark
        named = mark is not None and mark.topology == self.topology
        return named and self._is_meant(mark) and entry.fingerprint not in self.knows

    def _is_meant(self, mark: Mark | None) -> bool:
        return mark is not None and (not self.cas or mark.ca in self.cas)


@dataclass(frozen=True, slots=True)
class Former:
    """An entry, in a store, that holds none of the roots of today. `known`: it is certainly of this topology."""

    seen: Seen
    entry: Entry
    known: bool


def former(ours: Ours, anchors: Sequence[Anchor], seen: Sequence[Seen]) -> tuple[Former, ...]:
    """What was installed for a topology of this name, and is none of its roots now."""
    today = {anchor.fingerprint for anchor in anchors}
    return tuple(
        Former(one, entry, ours.has(entry))
        for one in seen
        for entry in one.entries
        if entry.fingerprint not in today and (ours.has(entry) or ours.may_have(entry))
    )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A store that stays as it is though a change was asked for, and why."""

    store: Store
    why: Obstacle


@dataclass(frozen=True, slots=True)
class Installation:
    """Roots that a store is to trust from now on."""

    store: Store
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class Removal:
    """Entries of ours that a store is to lose."""

    store: Store
    entries: tuple[Entry, ...]


def installations(
    anchors: Sequence[Anchor], seen: Sequence[Seen]
) -> tuple[tuple[Installation, ...], tuple[LeftOut, ...]]:
    """What is to be installed where, and which stores cannot be changed."""
    to_do, left_out = [], []
    for one in seen:
        missing = tuple(each for each in anchors if one.of(each)[0] not in (Standing.INSTALLED, Standing.THEIRS))
        if not missing:
            continue
        if (why := one.unreadable or _distrusted(one, missing) or _obstacle(one.store)) is not None:
            left_out.append(LeftOut(one.store, why))
        else:
            to_do.append(Installation(one.store, missing))
    return tuple(to_do), tuple(left_out)


def removals(
    is_ours: Callable[[Entry], bool], seen: Sequence[Seen], system: Sequence[Seen]
) -> tuple[tuple[Removal, ...], tuple[LeftOut, ...]]:
    """What is to be removed where: the entries that are ours.

    `system` is the state of the system's store, where any other `has_copies` of it, also where nothing of it is asked
    for: what others copy from it comes again as long as it is there.
    """
    to_do, left_out = [], []
    leaving = {one.store.kind for one in seen}
    copied = {entry.fingerprint for one in system for entry in one.entries if entry.mark is not None and entry.trusted}
    for one in seen:
        ours = tuple(entry for entry in one.entries if is_ours(entry))
        stays = [entry for entry in ours if entry.copied and entry.fingerprint in copied]
        if one.unreadable is not None:
            left_out.append(LeftOut(one.store, one.unreadable))
        elif not ours:
            continue
        elif stays and StoreKind.SYSTEM not in leaving:
            why = Obstacle("the root comes from the system's store", "remove it there: --store system")
            left_out.append(LeftOut(one.store, why))
        elif (why_not := _obstacle(one.store)) is not None:
            left_out.append(LeftOut(one.store, why_not))
        else:
            to_do.append(Removal(one.store, ours))
    return tuple(to_do), tuple(left_out)


def has_copies(seen: Sequence[Seen]) -> bool:
    """Whether any store holds what it has copied from the system's."""
    return any(entry.copied and entry.mark is not None for one in seen for entry in one.entries)


def _obstacle(store: Store) -> Obstacle | None:
    try:
        return store.obstacle()
    except TrustError as error:
        return Obstacle(error.message, error.hint)


def _distrusted(seen: Seen, anchors: Sequence[Anchor]) -> Obstacle | None:
    for each in anchors:
        found, entries = seen.of(each)
        if found is Standing.DISTRUSTED:
            name = entries[0].name
            hint = "remove it there first, or trust it there"
            return Obstacle(f"{each.address} is there as {name!r}, marked as not trusted", hint)
    return None


def install(change: Installation) -> Iterator[Anchor]:
    """Install each root that is still missing, and yield it. Raises TrustError."""
    for anchor in change.anchors:
        before = change.store.holds()
        if standing(anchor, before)[0] in (Standing.INSTALLED, Standing.THEIRS):
            continue  # the store has copied it from the system's meanwhile
        change.store.install(anchor)
        after = change.store.holds()
        _check_kept(change.store, before, after)
        if standing(anchor, after)[0] is not Standing.INSTALLED:
            hint = "see `scaffold trust list`"
            raise TrustError(f"{change.store.place} does not trust {anchor.address} though it was added", hint=hint)
        yield anchor


def uninstall(change: Removal) -> tuple[Entry, ...]:
    """Remove the entries that are still there, and return them. Raises TrustError."""
    before = change.store.holds()
    left = tuple(entry for entry in change.entries if _is_in(entry, before))
    if not left:
        return change.entries  # the store follows the system's, from which they are gone
    change.store.uninstall(left)
    after = change.store.holds()
    _check_kept(change.store, [entry for entry in before if entry not in left], after)
    if remaining := [entry.name for entry in left if _is_in(entry, after)]:
        raise TrustError(f"{change.store.place} still holds {', '.join(remaining)}", hint="remove it there by hand")
    return change.entries


def _is_in(entry: Entry, entries: Sequence[Entry]) -> bool:
    return any((one.name, one.fingerprint) == (entry.name, entry.fingerprint) for one in entries)


def _check_kept(store: Store, before: Sequence[Entry], after: Sequence[Entry]) -> None:
    """Nothing else may be gone: of what a bundle lists, only the certificate tells one from another."""
    kept = {entry.fingerprint for entry in after}
    if gone := [entry.name for entry in before if entry.fingerprint not in kept]:
        raise TrustError(
            f"{store.place} has lost {', '.join(gone)} meanwhile", hint="check that store before you go on"
        )


Failed = tuple[Store, TrustError]


def each(changes: Sequence[T], do: Callable[[T], object], store_of: Callable[[T], Store]) -> tuple[Failed, ...]:
    """Make every change, whether or not one before it failed; what failed."""
    failed = []
    for change in changes:
        try:
            do(change)
        except TrustError as error:
            failed.append((store_of(change), error))
    return tuple(failed)
