"""What of a topology can run on this machine, and why not where it cannot: commands, and TLS libraries too old."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cached_property

from scaffold.kinds.catalogue import Kind
from scaffold.kinds.limits import OLDEST_LIBRARY
from scaffold.running.services import handed_on, installed
from scaffold.topology import graph
from scaffold.topology.address import Address
from scaffold.topology.model import KeyType, Party, Server, Topology

_ANSWERS_WITHIN = 20.0

HYBRID_GROUP = "X25519MLKEM768"


class Availability:
    """Answers for one topology; each kind's TLS library is asked for its version once, and only where it matters."""

    def __init__(self, t: Topology, kinds: Mapping[Address, Kind]) -> None:
        self._t = t
        self._kinds = kinds
        self._tried: dict[tuple[tuple[str, ...], tuple[str, ...]], bool] = {}
        self._versions: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[int, ...] | None] = {}

    @cached_property
    def missing(self) -> Mapping[Address, str]:
        """The reason, by address, for each server and client that cannot run here."""
        reasons = ((party.address, self.missing_of(party)) for party in graph.parties(self._t))
        return {address: reason for address, reason in reasons if reason is not None}

    def missing_of(self, party: Party) -> str | None:
        """The reason for one of them; None where it can run, and for what is made elsewhere."""
        kind = self._kinds.get(party.address)
        return self._missing(party, kind) if kind is not None else None

    def _missing(self, party: Party, kind: Kind) -> str | None:
        if not kind.capabilities.runs:
            return None  # no machine could have what it lacks: see `nothing_to_start`
        if party.csr is not None:
            return f"{party.address} cannot be started here, since its key is on its own host"
        if (commands := lacking(kind)) is not None:
            named = dict.fromkeys(command.rpartition("/")[2] for command in commands)
            return f"{party.address} needs {' or '.join(named)}, which is not installed"
        if (what := self.untried(kind)) is not None:
            return f"{party.address} needs {what}, which is not there"
        library = kind.capabilities.tls_library
        for what, needed in self._needs(party, kind):
            if needed > OLDEST_LIBRARY and (version := self._version(kind)) is not None and version < needed:
                return f"{party.address} needs {library} {_dotted(needed)} for {what}, and it has {_dotted(version)}"
        return None

    def untried(self, kind: Kind) -> str | None:
        """The first of what the template tries that is not there."""
        can = kind.capabilities
        for what, command in can.tries.items():
            asked = (command, can.environment)
            if asked not in self._tried:
                self._tried[asked] = ends_well(*asked)
            if not self._tried[asked]:
                return what
        return None

    def _needs(self, party: Party, kind: Kind) -> Iterator[tuple[str, tuple[int, ...]]]:
        can = kind.capabilities
        if party.has_issued:
            yield from _least(f"a {party.key} key", can.keys.get(party.key))
        if isinstance(party, Server) and party.post_quantum:
            yield from _least(HYBRID_GROUP, can.groups.get(HYBRID_GROUP))
        for key in self._peer_keys(party):
            yield from _least(f"a peer's {key} key", can.peer_keys.get(key))

    def _peer_keys(self, party: Party) -> Iterator[KeyType]:
        called = (self._t.servers[name] for name in party.calls)
        shown = [(server.key, server.issuer) for server in called if server.issued_here]
        if isinstance(party, Server):
            callers = graph.callers(self._t, party.name)
            shown += [(caller.calling_key, caller.calling_issuer) for caller in callers]
        for key, issuer in shown:
            yield key
            yield from (ca.key for ca in graph.chain(self._t, issuer) if ca.existing is None)

    def _version(self, kind: Kind) -> tuple[int, ...] | None:
        can = kind.capabilities
        asked = (can.tls_version, can.environment)
        if asked not in self._versions:
            self._versions[asked] = version_said_by(*asked)
        return self._versions[asked]


def nothing_to_start(party: Party, kind: Kind) -> str | None:
    """Why no machine starts what is rendered of it; None of what can be started."""
    if kind.capabilities.runs:
        return None
    return f'{party.address} has no program to start: template "{kind.name}" makes files for a program of your own'


def lacking(kind: Kind) -> tuple[str, ...] | None:
    """The first group of commands that a kind requires, and of which none is installed."""
    return next((group for group in kind.capabilities.requires if not any(map(installed, group))), None)


def _least(what: str, version: str | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    if version is not None:
        yield what, tuple(map(int, version.split(".")))


def version_said_by(command: tuple[str, ...], inherits: tuple[str, ...] = ()) -> tuple[int, ...] | None:
    """The first dotted number in what the command prints; None where it cannot be run or prints none."""
    try:
        said = subprocess.run(
            command, env=handed_on(inherits), capture_output=True, text=True, timeout=_ANSWERS_WITHIN, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+(\.\d+)+", said)
    return tuple(map(int, found[0].split("."))) if found else None


def ends_well(command: tuple[str, ...], inherits: tuple[str, ...] = ()) -> bool:
    """Whether the command can be run and ends with 0."""
    try:
        done = subprocess.run(
            command, env=handed_on(inherits), capture_output=True, timeout=_ANSWERS_WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def why_it_cannot_run(program: str, inherits: tuple[str, ...] = ()) -> str | None:
    """What is said of a program that is there and does not start; None of one that does, whatever it then does.

    It is asked for its `--version`, which not each knows. 126 and 127 are said of what cannot be run: by the shell
    (POSIX.1-2017, XCU 2.8.2) of a script in which a command is missing, and by the loader of one whose library is.
    """
    try:
        done = subprocess.run(
            [program, "--version"], env=handed_on(inherits), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_STARTS_WITHIN, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    except OSError as error:
        return error.strerror or str(error)
    if done.returncode < 0:
        return f"it was ended by signal {-done.returncode}"
    if done.returncode not in _NOT_RUN:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1] if said else f"it ends with {done.returncode}"


_STARTS_WITHIN = 5.0
"""Seconds after which a program has started: one that knows no `--version` may be a server."""

_NOT_RUN = frozenset({126, 127})


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
