"""Whether a name is inside a name constraint: RFC 5280 4.2.1.10, type by type."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import assert_never

from scaffold.topology.model import NameConstraints, Party, San, SanType
from scaffold.topology.names import uri_host


def forbidden_by(constraints: NameConstraints, name: San) -> str | None:
    """Why `name` may not be below a CA with these constraints, in words; None where it may."""
    for constraint in constraints.excluded.get(name.type, ()):
        if _inside(name, constraint) or _wildcard_covers(name, constraint):
            return f"{constraint} is excluded"
    if name.type is SanType.URI and _constrains(constraints, SanType.URI) and not _has_host_name(name.value):
        return "URIs are constrained and it has no host name"
    permitted = constraints.permitted.get(name.type)
    if permitted is None or any(_inside(name, constraint) for constraint in permitted):
        return None
    return f"permitted {_PLURALS[name.type]} are {', '.join(permitted)}"


def looks_like_dns(common_name: str) -> bool:
    """Whether OpenSSL holds a common name to DNS constraints where no DNS SAN is (`NAME_CONSTRAINTS_check_CN`)."""
    name = common_name.rstrip(".")
    return "." in name and re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:-]*[A-Za-z0-9_])?", name) is not None


def always_has_dns_name(party: Party) -> bool:
    """Whether each of its certificates has a DNS SAN; that with which a server calls has no host names."""
    return not party.has_second and any(name.type is SanType.DNS for name in party.names)


def java_takes_for_dns(common_name: str) -> bool:
    """Whether Java holds a common name to DNS constraints where no DNS SAN is (JDK 17): one label is enough for it."""
    label = "[A-Za-z0-9][A-Za-z0-9-]*"
    return re.fullmatch(rf"{label}(?:\.{label})*", common_name) is not None


_PLURALS = {SanType.DNS: "DNS names", SanType.IP: "IP addresses", SanType.EMAIL: "mailboxes", SanType.URI: "URI hosts"}


def _constrains(constraints: NameConstraints, kind: SanType) -> bool:
    return kind in constraints.permitted or kind in constraints.excluded


def _has_host_name(uri: str) -> bool:
    """A constrained URI must have a fully qualified domain name: no IP address, not none at all."""
    host = uri_host(uri)
    return host is not None and not host.startswith("[") and not host.replace(".", "").isdigit()


def _inside(name: San, constraint: str) -> bool:
    match name.type:
        case SanType.DNS:
            return _same_or_below(name.value, constraint)
        case SanType.IP:
            address, network = ipaddress.ip_address(name.value), ipaddress.ip_network(constraint)
            return address.version == network.version and address in network
        case SanType.EMAIL:
            if "@" in constraint:
                return name.value == constraint
            return not constraint or _is_host(name.value.rpartition("@")[2], constraint)
        case SanType.URI:
            return _is_host(uri_host(name.value) or "", constraint)
        case _:
            assert_never(name.type)


def _same_or_below(name: str, subtree: str) -> bool:
    """DNS: the subtree's own name and every name with more labels in front.

    A topology writes no dot in front and no empty subtree, other people's certificates do: OpenSSL and Go take the dot
    for "below, but not itself", and RFC 5280 4.2.1.10 makes of the empty one every name.
    """
    if subtree.startswith("."):
        return name.endswith(subtree)
    return not subtree or name == subtree or name.endswith(f".{subtree}")


def _is_host(host: str, constraint: str) -> bool:
    """Mailboxes and URIs: `host` is that host alone, `.domain` every host below the domain but not itself."""
    return host.endswith(constraint) if constraint.startswith(".") else host == constraint


def _wildcard_covers(name: San, excluded: str) -> bool:
    """Whether a wildcard stands for a name that is excluded."""
    return name.type is SanType.DNS and name.value.startswith("*.") and excluded.partition(".")[2] == name.value[2:]


def is_among(name: San, names: Collection[San]) -> bool:
    """Whether a certificate with `names` is for `name`; a wildcard is for one label (RFC 9525 6.3)."""
    rest = name.value.partition(".")[2]
    return name in names or (name.type is SanType.DNS and bool(rest) and San(SanType.DNS, f"*.{rest}") in names)
