"""Who may read the secrets of a server or client, and whose its files are: what `chown` and `mode` come to here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from scaffold.errors import TopologyError
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.mistakes import Mistakes
from scaffold.topology.model import Chown, Party, Topology

SECRET_FILE: Final = 0o600
SECRET_FOLDER: Final = 0o700
_GROUP_READS: Final = 0o040
_GROUP_ENTERS: Final = 0o050


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of a file with a secret, and the numbers of owner and group of all in `tls/` (None: as it comes)."""

    secret_file: int = SECRET_FILE
    owner: int | None = None
    group: int | None = None

    @property
    def secret_folder(self) -> int:
        """Whoever may read a secret may enter its folder."""
        return SECRET_FOLDER | (_GROUP_ENTERS if self.secret_file & _GROUP_READS else 0)

    def may_be_given(self) -> bool:
        """Whether this process may give files to that owner and group (chown(2))."""
        if not hasattr(os, "geteuid") or os.geteuid() == 0:
            return True
        is_own = self.owner in (None, os.geteuid())
        return is_own and (self.group is None or self.group in (*os.getgroups(), os.getegid()))

    def as_far_as_may_be(self) -> Rights:
        """What this process can see to: without an owner where it may not give files away."""
        return self if self.may_be_given() else replace(self, owner=None, group=None)


USUAL: Final = Rights()

RightsByAddress = Mapping[Address, Rights]
"""Of the servers and clients that say something of it."""


def of_topology(t: Topology, *, with_owners: bool = True) -> RightsByAddress:
    """What each server and client asks for. Raises TopologyError for all users and groups that there are not.

    Without owners, it asks for none of them: in a clone, all belongs to whoever made that.
    """
    found: dict[Address, Rights] = {}
    mistakes = Mistakes()
    for party in graph.parties(t):
        if party.files is not None:
            with mistakes.gathering():
                found[party.address] = _of_party(t, party, with_owners)
    mistakes.check()
    return found


def _of_party(t: Topology, party: Party, with_owners: bool) -> Rights:
    files = party.files
    mode = SECRET_FILE if files is None or files.mode is None else files.mode
    if files is None or files.chown is None or not with_owners:
        return Rights(mode)
    return Rights(mode, *_numbers(t, party, files.chown))


def _numbers(t: Topology, party: Party, chown: Chown) -> tuple[int | None, int | None]:
    # They are there on POSIX alone.
    import grp
    import pwd

    def number(text: str | None, what: str, look_up: Callable[[str], int]) -> int | None:
        if text is None or text.isdigit():
            return None if text is None else int(text)
        try:
            return look_up(text)
        except KeyError:
            section = party.address.role.section
            place = t.places.get((section, party.name, "files", "chown")) or t.place("defaults", "files", "chown")
            raise TopologyError(
                f"{party.address}: there is no {what} {text} on this machine",
                place=place or t.place(section, party.name),
                hint=f"create the {what} first, or give its number on the host that the files are for: 999:999",
            ) from None

    owner = number(chown.user, "user", lambda name: pwd.getpwnam(name).pw_uid)
    return owner, number(chown.group, "group", lambda name: grp.getgrnam(name).gr_gid)


def named(owner: int, group: int) -> str:
    """`user:group` as a person knows them, by number where this machine has no name for one."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(owner).pw_name
    except KeyError:
        user = str(owner)
    try:
        return f"{user}:{grp.getgrgid(group).gr_name}"
    except KeyError:
        return f"{user}:{group}"
