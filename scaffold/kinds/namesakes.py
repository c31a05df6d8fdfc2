"""Whom a caller would mistake for a server that it calls: where a common name passes for a host's name.

A certificate says by its subject alternative names which server it is, and a caller looks at no other
(RFC 9525 6.3, 2). Some programs look at the common name all the same: always, or where there is no such name.
"""

from __future__ import annotations

from collections.abc import Iterator

from scaffold.errors import TopologyError
from scaffold.kinds.catalogue import Kind
from scaffold.settings.peers import server_name
from scaffold.topology import graph
from scaffold.topology.model import Client, Fault, Party, SanType, Server, Topology

ALWAYS = "takes_common_names"
WITHOUT_OTHERS = "takes_lone_common_names"
"""What a template declares of callers that take a common name for a host's name."""

_SERVES_TOO = frozenset({Fault.NO_EKU, Fault.WRONG_EKU, Fault.VERSION_1})
"""With these faults a client certificate passes as that of a server: its purposes have serverAuth, or it has none."""

_NO_NAMES = frozenset({Fault.NO_SAN, Fault.VERSION_1})


def check(t: Topology, caller: Party, kind: Kind, callee: Server) -> None:
    """Raise TopologyError where another certificate below the callee's root would be taken for that of the callee."""
    supports = kind.capabilities.supports
    if supports.isdisjoint({ALWAYS, WITHOUT_OTHERS}) or not callee.issued_here:
        return
    expected, type_ = server_name(callee), _type_of_expected(callee)
    for other in _shown_as_servers(t, callee):
        always = ALWAYS in supports
        if not covers(other.subject.common_name, expected) or not (always or _has_none(other, type_)):
            continue
        bare = "" if always else f" where there is no {type_.upper()} name"
        ways = "" if always else f"a {type_.upper()} name of its own, or "
        raise TopologyError(
            f'{caller.address} (template "{kind.name}") would mistake {other.address} for {callee.address}: '
            f"it takes common names for {type_.upper()} names{bare}, and that of {other.address} is "
            f"{other.subject.common_name}",
            place=t.place(other.address.role.section, other.name, "subject"),
            hint=f"give it {ways}another common name, such as its own name in the topology with a word more",
        )


def hides_other_names(kind: Kind, callee: Server) -> bool:
    """Whether a caller of this kind does not see that a server's names are wrong, since its common name is right."""
    return ALWAYS in kind.capabilities.supports and covers(callee.subject.common_name, server_name(callee))


def covers(common_name: str, expected: str) -> bool:
    """Whether a common name passes for `expected`; a wildcard may be any part of the first label (OpenSSL's way)."""
    name, wanted = common_name.lower(), expected.lower()
    first, dot, rest = name.partition(".")
    wanted_first, _, wanted_rest = wanted.partition(".")
    if first.count("*") != 1 or not dot:
        return name == wanted
    before, after = first.split("*")
    fits = wanted_first.startswith(before) and wanted_first.endswith(after)
    return fits and len(wanted_first) >= len(before) + len(after) and rest == wanted_rest


def _shown_as_servers(t: Topology, callee: Server) -> Iterator[Party]:
    """Whoever else has a certificate from here below the callee's root that says it is a server's."""
    for other in graph.parties(t):
        if other is callee or not other.issued_here:
            continue
        if isinstance(other, Client) and other.fault not in _SERVES_TOO:
            continue
        if graph.root_of(t, other.issuer).name == t.vouching[callee.name]:
            yield other


def _type_of_expected(callee: Server) -> SanType:
    return next((name.type for name in callee.names if name.value == server_name(callee)), SanType.DNS)


def _has_none(other: Party, type_: SanType) -> bool:
    return other.fault in _NO_NAMES or all(name.type is not type_ for name in other.names)
