"""Which certificates of a topology are roots that a store may trust, and what each of them may sign for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from scaffold.errors import ScaffoldError, TrustError, Unreadable
from scaffold.pki import bundles, chains, permits
from scaffold.pki.names import rfc2253
from scaffold.store import archive, existing, files, ledger
from scaffold.store.layout import Layout, ca_paths
from scaffold.topology.model import Ca, NameConstraints, SanType, Topology
from scaffold.trusting.model import Anchor


def anchor(t: Topology, layout: Layout, ca: Ca) -> Anchor:
    """The root of one CA. Raises TrustError where it is none, is not there, or is not what was issued."""
    if ca.issuer is not None:
        above = t.cas[ca.issuer].address
        hint = f"trust the root above it instead: scaffold trust install {_root_above(t, ca).address}"
        raise TrustError(f"{ca.address} is not a root: {above} issued it", hint=hint)
    return Anchor(t.name, ca.address, _adopted(t, ca) if ca.existing is not None else _made(layout, ca))


def own_roots(t: Topology) -> tuple[Ca, ...]:
    """The roots that this topology makes. One that was made elsewhere is trusted where it is asked for by name."""
    return tuple(ca for ca in t.cas.values() if ca.issuer is None and ca.existing is None)


def brought_roots(t: Topology) -> tuple[Ca, ...]:
    """The CAs that were made elsewhere, as far as they are roots."""
    return tuple(ca for ca in t.cas.values() if ca.existing is not None and not _above(t, ca))


def issued_here(layout: Layout, fingerprints: Iterable[str]) -> frozenset[str]:
    """Which certificates, by SHA-256 in hex, were issued in this folder, whenever that was.

    None where its records cannot be read.
    """
    try:
        known = ledger.load(layout).issued
        return frozenset(one for one in fingerprints if one in known or one in archive.mentioning(layout, one).issued)
    except ScaffoldError:
        return frozenset()


def check_dates(root: Anchor, now: datetime) -> None:
    """Raises TrustError for a root that no program accepts today."""
    certificate = root.certificate
    if certificate.not_valid_after_utc < now:
        ended = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        raise TrustError(
            f"the certificate of {root.address} has expired, on {ended}: no program would accept it",
            hint=f"scaffold renew {root.address}",
        )
    if now < certificate.not_valid_before_utc:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise TrustError(f"the certificate of {root.address} is not valid before {begins}", hint="is the clock right?")


def _root_above(t: Topology, ca: Ca) -> Ca:
    while ca.issuer is not None:
        ca = t.cas[ca.issuer]
    return ca


def _made(layout: Layout, ca: Ca) -> x509.Certificate:
    relative = ca_paths(ca.name).certificate
    path = layout.path(relative)
    found = files.read(layout.at(relative))
    if found is None:
        raise TrustError(f"{ca.address} has no certificate yet: {path} is not there", hint="run `scaffold apply` first")
    odd = TrustError(f"{path} is not the certificate that was issued for {ca.address}", hint="see `scaffold plan`")
    try:
        certificate = bundles.load_certificates(found.content)[0]
    except Unreadable as error:
        raise odd from error
    if not chains.is_ca(certificate) or not chains.is_anchor(certificate):
        raise odd
    root = Anchor("", ca.address, certificate)
    issued = ledger.load(layout).issued
    if issued and root.fingerprint not in issued:
        raise odd
    return certificate


def _adopted(t: Topology, ca: Ca) -> x509.Certificate:
    found = existing.load(t, ca, keys_away=True)
    if found.above:
        root = rfc2253(found.above[-1].subject)
        raise TrustError(
            f"{ca.address} is not a root: it was made elsewhere, below {root}",
            hint=f"ask the owner of {root} how to trust it",
        )
    return found.certificate


def _above(t: Topology, ca: Ca) -> chains.Path:
    """The way up from it; where its files cannot be read, nothing is known of one."""
    try:
        return existing.load(t, ca, keys_away=True).above
    except ScaffoldError:
        return ()


# --- What a root may sign for ---------------------------------------------------------------------------------------

_KINDS: Final = {
    SanType.DNS: ("DNS names", "DNS name"),
    SanType.IP: ("IP addresses", "IP address"),
    SanType.EMAIL: ("mailboxes", "mailbox"),
    SanType.URI: ("URI hosts", "URI host"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """For which names a root may vouch, in words.

    `everything`: hosts of one sort or another are not bounded. `unbounded`: it has no name constraints at all.
    """

    words: tuple[str, ...]
    everything: bool
    unbounded: bool = False


def scope(certificate: x509.Certificate) -> Scope:
    """What its name constraints say (RFC 5280 4.2.1.10): a sort of name that has no `permitted` there is free."""
    constraints = permits.constraints_of(certificate)
    if not constraints.permitted and not constraints.excluded:
        return Scope(("every name: it has no name constraints",), everything=True, unbounded=True)
    words = tuple(_words(constraints, kind) for kind in _KINDS)
    bounded = all(_is_bounded(constraints, kind) for kind in (SanType.DNS, SanType.IP))
    return Scope(words, everything=not bounded)


_ALL: Final = frozenset({"", "0.0.0.0/0", "::/0"})
"""A subtree that every name is in."""
_ALL_ADDRESSES: Final = frozenset({"0.0.0.0/0", "::/0"})


def _is_bounded(constraints: NameConstraints, kind: SanType) -> bool:
    permitted = constraints.permitted.get(kind, ())
    return _is_excluded(constraints, kind) or (bool(permitted) and _ALL.isdisjoint(permitted))


def _is_excluded(constraints: NameConstraints, kind: SanType) -> bool:
    """Whether none of this sort is left."""
    excluded = constraints.excluded.get(kind, ())
    return set(excluded) >= _ALL_ADDRESSES if kind is SanType.IP else "" in excluded


def _words(constraints: NameConstraints, kind: SanType) -> str:
    several, one = _KINDS[kind]
    if _is_excluded(constraints, kind):
        return f"no {one}"
    permitted, excluded = constraints.permitted.get(kind, ()), constraints.excluded.get(kind, ())
    said = f"{several} in {', '.join(permitted)}" if permitted and _ALL.isdisjoint(permitted) else f"any {one}"
    return said + (f", except {', '.join(excluded)}" if excluded else "")
