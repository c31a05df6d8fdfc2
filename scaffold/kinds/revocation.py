"""Whether those who check revocation find what they need, where their kind looks for it, and what they must know."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from scaffold.errors import Place, TopologyError
from scaffold.kinds.catalogue import Kind
from scaffold.settings.peers import callees_from_elsewhere, has_crl, looked_up_issuers, needs_crls, peer_issuers
from scaffold.topology import graph, names
from scaffold.topology.durations import format_duration
from scaffold.topology.messages import Invalid, listed
from scaffold.topology.model import Ca, Client, Party, RevocationCheck, Server, Topology
from scaffold.topology.notes import Note


def check(t: Topology, party: Party, kind: Kind) -> Iterator[Note]:
    """The plan's notes on how `party` checks revocation. Raises TopologyError where it could never get an answer."""
    if party.check_revocation is RevocationCheck.NONE:
        return
    _check_known_issuers(t, party, kind)
    issuers = _looked_up(t, party, kind)
    if "demands_staple" in kind.capabilities.supports and party.check_revocation is RevocationCheck.OCSP:
        _check_staples(t, party, kind)
    elif party.check_revocation is RevocationCheck.OCSP:
        for ca in issuers:
            _check_responder(t, party, kind, ca)
        _check_resolver(t, party, kind, issuers)
    if "crls_over_http" in kind.capabilities.supports:
        yield from _check_pointers(t, party, kind, issuers)
    elif needs_crls(t, party):
        yield from _check_files(t, party, issuers)
    yield from _unknown_pointers(t, party)
    yield from _callees_unchecked(t, party, kind)


def _check_known_issuers(t: Topology, party: Party, kind: Kind) -> None:
    """Who issues elsewhere publishes elsewhere: there is no CRL of theirs here, and no responder is known."""
    looks_up_callees = isinstance(party, Client) or "crls_over_http" in kind.capabilities.supports
    for server in callees_from_elsewhere(t, party) if looks_up_callees else ():
        raise TopologyError(
            f"{party.address} checks the revocation of the servers that it calls by {party.check_revocation}, and "
            f"the certificate of {server.address} is issued elsewhere",
            place=_place(t, party),
            hint="set check_revocation: none here, or use another client for that server",
        )


def _looked_up(t: Topology, party: Party, kind: Kind) -> tuple[Ca, ...]:
    """The CAs whose certificates `party` looks up."""
    checks_callees = kind.capabilities.check_of_callees(party) is not RevocationCheck.NONE
    names = looked_up_issuers(t, party) if checks_callees else peer_issuers(t, party)
    return tuple(t.cas[name] for name in names)


def _callees_unchecked(t: Topology, party: Party, kind: Kind) -> Iterator[Note]:
    here = [one for one in (t.servers[name] for name in party.calls) if one.issued_here]
    if here and kind.capabilities.check_of_callees(party) is RevocationCheck.NONE:
        called = listed([one.address for one in here])
        yield Note(
            party.address,
            f'checks revocation of its callers alone (template "{kind.name}", check_revocation: '
            f"{party.check_revocation}): a revoked certificate of {called} is still accepted",
        )
    elsewhere = callees_from_elsewhere(t, party)
    if elsewhere and isinstance(party, Server):
        called = listed([one.address for one in elsewhere])
        yield Note(
            party.address,
            (
                f"does not check revocation of certificates that are issued elsewhere: a revoked {called} is still "
                "accepted"
            ),
        )


def _check_staples(t: Topology, client: Party, kind: Kind) -> None:
    for name in client.calls:
        if not t.servers[name].staple:
            raise TopologyError(
                f'{client.address}: template "{kind.name}" checks OCSP only by stapled responses, '
                f"and {t.servers[name].address} staples none",
                place=_place(t, client),
                hint=f"add staple: true to {t.servers[name].address}, or check_revocation: crl here",
            )


def _check_responder(t: Topology, party: Party, kind: Kind, ca: Ca) -> None:
    """The leaves that `ca` issues must have a responder, and for some kinds no other pointer."""
    if not ca.issues_here:
        return  # what its certificates carry is not known here
    if ca.revocation.ocsp is None:
        raise TopologyError(
            f"{party.address} asks by OCSP about certificates of {ca.address}, which has no responder",
            place=_place(t, party),
            hint=_publishing(t) or f"add revocation: {{ocsp: 1h}} to {ca.address}",
        )
    if "ocsp_needs_no_cdp" in kind.capabilities.supports and ca.revocation.crl is not None:
        raise TopologyError(
            f'{party.address}: template "{kind.name}" uses OCSP only for certificates that do not point to a CRL, '
            f"and those of {ca.address} do",
            place=t.place("cas", ca.name, "revocation") or _place(t, party),
            hint=f"set revocation: {{ocsp: {format_duration(ca.revocation.ocsp)}}} in {ca.address}, without crl",
        )


def _check_resolver(t: Topology, party: Party, kind: Kind, issuers: tuple[Ca, ...]) -> None:
    """A kind with a variable `resolver` looks names up there; without one it can be told a single responder alone."""
    needs_one = "resolver" in kind.defaults and not party.vars.get("resolver") and len(issuers) > 1
    host = urlsplit(t.publish or "").hostname
    if needs_one and host is not None and not _is_ip(host):
        raise TopologyError(
            f'{party.address}: template "{kind.name}" cannot look up {host}, the host of the responders of '
            f"{' and '.join(str(ca.address) for ca in issuers)}",
            place=_place(t, party),
            hint="name a DNS server, vars: {resolver: ADDRESS}, or use an IP address in publish",
        )


def _check_pointers(t: Topology, party: Party, kind: Kind, issuers: tuple[Ca, ...]) -> Iterator[Note]:
    """Every certificate of the chain must say where to look: the leaf by what was chosen, those above it either way."""
    for ca in _chains(t, issuers):
        given = ca.revocation
        is_asked = party.check_revocation is RevocationCheck.OCSP and (ca in issuers or given.crl is None)
        if not ca.issues_here or (is_asked and given.ocsp is not None):
            continue
        if given.crl is None:
            raise TopologyError(
                f'{party.address}: template "{kind.name}" fetches CRLs from the address in certificates, '
                f"and those of {ca.address} have none",
                place=t.place("cas", ca.name, "revocation") or _place(t, party),
                hint=_publishing(t) or f"add revocation: {{crl: 1d}} to {ca.address}",
            )
        late = format_duration(given.crl)
        said = f"keeps a CRL of {ca.address} until it expires: it may learn of a revocation only after {late}"
        yield Note(party.address, said)


def _check_files(t: Topology, party: Party, issuers: tuple[Ca, ...]) -> Iterator[Note]:
    """The CRL of every CA of the chain must be had, the root's too."""
    for ca in _chains(t, issuers):
        if not has_crl(ca):
            raise TopologyError(
                f"{party.address} needs a CRL of {ca.address}, and the key to sign one is not here",
                place=t.place("cas", ca.name, "existing") or _place(t, party),
                hint="add the CRLs that it publishes: existing: {crl: FILE}",
            )
    if t.publish is None:
        yield Note(party.address, "learns of revocations only by apply: publish is not set, so no CRL can be fetched")


def _unknown_pointers(t: Topology, party: Party) -> Iterator[Note]:
    for caller in graph.callers(t, party.name) if isinstance(party, Server) else ():
        if isinstance(caller, Client) and not caller.has_issued:
            said = (
                f"checks revocation by {party.check_revocation}, and the addresses in the certificate of "
                f"{caller.address} are not known here"
            )
            yield Note(party.address, said)


def _chains(t: Topology, issuers: tuple[Ca, ...]) -> tuple[Ca, ...]:
    return tuple({ca.name: ca for issuer in issuers for ca in graph.chain(t, issuer.name)}.values())


def _publishing(t: Topology) -> str | None:
    return None if t.publish else "add publish: http://host:port, the address of CRLs and OCSP responses"


def _is_ip(host: str) -> bool:
    try:
        names.ip(host)
    except Invalid:
        return False
    return True


def _place(t: Topology, party: Party) -> Place | None:
    path = ("servers" if isinstance(party, Server) else "clients", party.name)
    return t.places.get((*path, "check_revocation")) or t.place("defaults", "check_revocation") or t.place(*path)
