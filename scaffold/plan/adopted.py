"""Holds every CA that was made elsewhere against what the topology asks of it.

Each check is a small function that yields what is wrong, at its place in the YAML, or a note. What could never work is
refused before anything is written; what works for some, or ends too early, is a note. A topology without such CAs
costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509

from scaffold.errors import Place, TopologyError
from scaffold.kinds import limits
from scaffold.kinds.catalogue import Kind
from scaffold.pki import crl as crls
from scaffold.pki import keys, permits, profiles
from scaffold.pki.issue import BACKDATE
from scaffold.pki.names import comparable, rfc2253
from scaffold.plan import revocations
from scaffold.plan.desired import Desired, IssuedCertificate
from scaffold.plan.model import Change, Work
from scaffold.settings.peers import looked_up_issuers, needs_crls, peer_issuers
from scaffold.store.brought import leaves
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.layout import ca_paths
from scaffold.store.observation import Observation
from scaffold.topology import graph
from scaffold.topology.address import Address, Part
from scaffold.topology.mistakes import Mistakes, raise_all
from scaffold.topology.model import Ca, Client, Party, RevocationCheck, Server, Topology
from scaffold.topology.names import default_identity
from scaffold.topology.notes import Note
from scaffold.topology.publication import crl_url, published_name

Found = Iterator[TopologyError | Note]


@dataclass(frozen=True)
class Adoption:
    """The topology, the CAs that came to it, and the moment."""

    desired: Desired
    adopted: Mapping[str, ExistingCa]
    kinds: Mapping[Address, Kind]
    observed: Observation
    now: datetime

    @property
    def t(self) -> Topology:
        return self.desired.topology

    def above(self, issuer: str) -> tuple[Ca, ExistingCa] | None:
        """The adopted CA at the top of a CA's chain, or that CA itself; None where scaffold made the root."""
        top = graph.root_of(self.t, issuer)
        found = self.adopted.get(top.name)
        return None if found is None else (top, found)

    def verifiers(self, ca: str) -> Iterator[tuple[Party, Kind]]:
        """Those whose peers' chains lead up to an adopted CA."""
        for party, issuers in self.met:
            kind = self.kinds.get(party.address)
            if kind is not None and any(graph.root_of(self.t, name).name == ca for name in issuers):
                yield party, kind

    @cached_property
    def met(self) -> tuple[tuple[Party, tuple[str, ...]], ...]:
        """Of each server and client, the CAs of all whose certificates it verifies."""
        return tuple((party, looked_up_issuers(self.t, party)) for party in graph.parties(self.t))


def check(
    desired: Desired,
    adopted: Mapping[str, ExistingCa],
    kinds: Mapping[Address, Kind],
    observed: Observation,
    now: datetime,
) -> tuple[Note, ...]:
    """The plan's notes. Raises TopologyError for what could never work, all of it at once.

    Of what many servers and clients stumble over at one place, the first is told.
    """
    adoption = Adoption(desired, adopted, kinds, observed, now)
    notes: list[Note] = []
    mistakes = Mistakes()
    for look in _CHECKS:
        found = tuple(look(adoption))
        mistakes.add_all(_first_at_each_place(one for one in found if isinstance(one, TopologyError)))
        notes.extend(one for one in found if isinstance(one, Note))
    mistakes.check()
    return tuple(dict.fromkeys(notes))


def _first_at_each_place(errors: Iterable[TopologyError]) -> Iterable[TopologyError]:
    first: dict[Place | None, TopologyError] = {}
    for error in errors:
        first.setdefault(error.place, error)
    return first.values()


# --- What is below --------------------------------------------------------------------------------------------


def names_and_purposes(one: Adoption) -> Found:
    """What the certificates of the path forbid the servers and clients below."""
    for party in graph.parties(one.t):
        if not party.issuer or (found := one.above(party.issuer)) is None:
            continue
        for leaf in leaves(one.t, party):
            for finding in permits.forbidden(found[1].path, leaf):
                yield _refused(one, party, f"{party.address} cannot be a {leaf.role} below {found[0].address}", finding)


def _refused(one: Adoption, party: Party, said: str, finding: permits.Finding) -> TopologyError:
    message = f"{said}: {finding}"
    if party.is_external:
        place = one.t.place(party.address.role.section, party.name, "external")
        return TopologyError(message, place=place, hint="ask the owner of that CA for another CA certificate")
    if finding.name is not None and finding.name.value == _default_identity(one.t, party):
        place = one.t.places.get(("trust_domain",)) or one.t.place("name")
        hint = "set `trust_domain` to a domain that the CA permits, or give it a spiffe:// name of its own"
        return TopologyError(message, place=place, hint=hint)
    place = one.t.place(party.address.role.section, party.name, finding.field)
    return TopologyError(message, place=place, hint=_CURES[finding.field])


_CURES: Final[Mapping[str, str]] = {
    "names": "choose another issuer, or other names",
    "subject": "choose another issuer, or another subject",
    "issuer": "choose another issuer, since no other name helps; or ask the owner of this CA for a CA "
    "certificate whose extended key usage has serverAuth and clientAuth, or for one without any",
}
"""By the field that a path forbids."""


def _default_identity(t: Topology, party: Party) -> str:
    """What it is called where it does not say."""
    return default_identity(t.trust_domain, party.address.role.value, party.name)


def cas_below(one: Adoption) -> Found:
    """What the path forbids the CAs that are made here below it: their depth, and their own names."""
    for ca in one.t.cas.values():
        if ca.existing is not None or (found := one.above(ca.name)) is None:
            continue
        top, brought = found
        between = len(graph.chain(one.t, ca.name)) - 1
        subject = profiles.subject_name(ca.subject)
        for finding in permits.forbidden_ca(brought.path, subject, between):
            yield TopologyError(
                f"{ca.address} cannot be a CA below {top.address}: {finding}",
                place=one.t.place("cas", ca.name, "issuer"),
                hint="issue from a CA that permits it, or make it a root of its own",
            )


def namesakes(one: Adoption) -> Found:
    """Two CAs of one name and different keys that somebody meets: chain building could take the wrong one."""
    for party, issuers in one.met:
        seen: dict[object, tuple[str, Ca]] = {}
        for ca in dict.fromkeys(above.name for issuer in issuers for above in graph.chain(one.t, issuer)):
            yield from _namesakes(one, party, one.t.cas[ca], seen)


def _namesakes(one: Adoption, party: Party, ca: Ca, seen: dict[object, tuple[str, Ca]]) -> Found:
    for name, key in _names_and_keys(one, ca):
        other_key, other = seen.setdefault(name, (key, ca))
        if other_key != key and other is not ca:
            yield TopologyError(
                f"{party.address} would confuse {ca.address} and {other.address}: both contain a CA of the same "
                "name, with different keys",
                place=one.t.place("cas", ca.name, "existing" if ca.existing else "subject"),
                hint="give one of them another subject, or let another server accept the one",
            )


def _names_and_keys(one: Adoption, ca: Ca) -> Iterator[tuple[object, str]]:
    brought = one.adopted.get(ca.name)
    if ca.existing is None:
        yield comparable(profiles.subject_name(ca.subject)), ca.name
    if brought is None:
        return
    for certificate in brought.path:
        yield comparable(certificate.subject), keys.spki_sha256(certificate)


def responders(one: Adoption) -> Found:
    """What the path forbids the certificates of OCSP responders, which have a name of their own."""
    for ca, brought in _each(one):
        if ca.revocation.ocsp is None or not ca.issues_here:
            continue
        for finding in permits.forbidden(brought.path, permits.Leaf.of(profiles.for_responder(ca))):
            yield TopologyError(
                f"{ca.address} can have no OCSP responder: {finding}",
                place=one.t.places.get(("cas", ca.name, "revocation")) or one.t.place("cas", ca.name, "existing"),
                hint="leave `ocsp` out of its `revocation`",
            )


# --- What it is, for those who verify -----------------------------------------------------------------------------


def by_the_letter(one: Adoption) -> Found:
    """What strict verifiers refuse: an error where one of them must verify it, and otherwise a note."""
    for ca, brought in _each(one):
        for finding in permits.strict_refusals(brought.path):
            strict = [party for party, kind in one.verifiers(ca.name) if "strict_x509" in kind.capabilities.supports]
            if strict:
                yield TopologyError(
                    f"{strict[0].address} refuses what is below {ca.address}: {finding}",
                    place=_place(one, ca, finding),
                    hint=(
                        "its template verifies with X509_V_FLAG_X509_STRICT: choose another template, or get a "
                        "newer certificate of that CA"
                    ),
                )
            said = f"is refused by strict verifiers (Python 3.13 and later, X509_V_FLAG_X509_STRICT): {finding}"
            yield Note(ca.address, said)


def weaknesses(one: Adoption) -> Found:
    """What works, and not everywhere."""
    for ca, brought in _each(one):
        for finding in permits.doubts(brought.path):
            yield Note(ca.address, f"is weak: {finding}")


def kinds_of_keys(one: Adoption) -> Found:
    """Keys that the template of a verifier does not take."""
    for ca, brought in _each(one):
        for certificate in brought.path:
            if (key := keys.key_type(certificate.public_key())) is None:
                continue
            words = f"the {key} key of {rfc2253(certificate.subject)}, from {ca.address}"
            for party, kind in one.verifiers(ca.name):
                try:
                    yield from limits.takes_key(party, kind, key, words, one.t.place("cas", ca.name, "existing"))
                except TopologyError as error:
                    yield error


# --- Dates --------------------------------------------------------------------------------------------------------


def dates(one: Adoption) -> Found:
    """Who ends or begins too early or late: a path is valid while all of its certificates are (RFC 5280 6.1.3)."""
    for ca, brought in _each(one):
        longest = max((party.lifetime for party in _issued_below(one, ca)), default=timedelta())
        for certificate in brought.path:
            begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            name = rfc2253(certificate.subject)
            if begins > one.now + BACKDATE:
                yield Note(
                    ca.address, f"is not valid yet: {name} is valid from {_moment(begins)}, and refused before that"
                )
            if ends <= one.now:
                yield Note(ca.address, f"is refused by everybody: {name} expired on {_moment(ends)}; replace it")
            elif certificate is not brought.certificate and ends < min(
                one.now + longest, brought.certificate.not_valid_after_utc
            ):
                said = (
                    f"is refused by everybody from {_moment(ends)} on, when {name} above it expires; provide a "
                    "newer one"
                )
                yield Note(ca.address, said)


def revoked_elsewhere(one: Adoption) -> Found:
    """What the lists that came with a CA call revoked of its path; what is below it is told of where it is."""
    for ca, brought in _each(one):
        for certificate, signer, entry in _revoked_in_path(brought):
            since = _moment(entry.revocation_date_utc)
            said = (
                f"is revoked: the CRL of {rfc2253(signer.subject)} lists {rfc2253(certificate.subject)} since {since}"
            )
            yield Note(ca.address, f"{said}, so that every server and client that checks it refuses everyone")


def _revoked_in_path(
    brought: ExistingCa,
) -> Iterator[tuple[x509.Certificate, x509.Certificate, x509.RevokedCertificate]]:
    """Certificates of a path that a CRL of their issuer lists."""
    for certificate, signer in zip(brought.path, brought.above, strict=False):
        for each in brought.crls_of(signer):
            if (entry := crls.lists(each, certificate.serial_number)) is not None:
                yield certificate, signer, entry


def paths_that_issue_nothing(one: Adoption) -> Found:
    """Where a certificate below is not there, so that it must be issued: a path that is not valid now, or revoked."""
    for ca, brought in _each(one):
        invalid = tuple(_invalid(brought, one.now))
        below = (*one.desired.of_cas(), *one.desired.of_parties()) if invalid else ()
        for asked in below:
            is_below = isinstance(asked, IssuedCertificate) and graph.root_of(one.t, asked.issuer) is ca
            if is_below and not one.observed.exists(asked.paths.certificate):
                yield from (_not_issued(one.t, asked.address, ca, each) for each in invalid)
                break


def refuse_invalid(t: Topology, adopted: Mapping[str, ExistingCa], changes: Iterable[Change], now: datetime) -> None:
    """Raises TopologyError where `changes` issue below a path that is not valid now: nobody would believe it.

    Of each CA that was adopted the first is told, and those of all CAs at once.
    """
    raise_all(_first_at_each_place(_below_invalid(t, adopted, changes, now)))


def _below_invalid(
    t: Topology, adopted: Mapping[str, ExistingCa], changes: Iterable[Change], now: datetime
) -> Iterator[TopologyError]:
    issuers = {party.address.with_part(Part.CERTIFICATE): party.issuer for party in graph.parties(t)}
    issuers.update({each.address.with_part(Part.CLIENT_CERTIFICATE): each.calling_issuer for each in graph.parties(t)})
    of_cas = {ca.address: ca.issuer for ca in t.cas.values() if ca.issuer is not None}
    for change in changes:
        issuer = issuers.get(change.address) or of_cas.get(change.address.entity)
        if change.work not in _ISSUES or issuer is None:
            continue
        top = graph.root_of(t, issuer)
        if top.name not in adopted:
            continue
        yield from (_not_issued(t, change.address, top, each) for each in _invalid(adopted[top.name], now))


@dataclass(frozen=True, slots=True)
class _Invalid:
    """Why nothing can be issued below a path, and what helps."""

    words: str
    hint: str


def _invalid(brought: ExistingCa, now: datetime) -> Iterator[_Invalid]:
    for certificate, signer, _ in _revoked_in_path(brought):
        words = f"the CRL of {rfc2253(signer.subject)} lists {rfc2253(certificate.subject)}"
        yield _Invalid(words, "use another CA: this one is revoked")
    for certificate in brought.path:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if begins - BACKDATE <= now < ends:
            continue
        when = f"is valid from {_moment(begins)}" if begins > now else f"expired on {_moment(ends)}"
        hint = "provide a certificate of it that is valid now" if begins <= now else "wait, or check the clock"
        yield _Invalid(f"{rfc2253(certificate.subject)} {when}", hint)


def _not_issued(t: Topology, address: Address, ca: Ca, why: _Invalid) -> TopologyError:
    message = f"{address} cannot be issued below {ca.address}: {why.words}"
    return TopologyError(message, place=t.place("cas", ca.name, "existing"), hint=why.hint)


_ISSUES: Final = frozenset({Work.NEW_KEY, Work.ISSUE})


def _issued_below(one: Adoption, ca: Ca) -> Iterator[Party]:
    for party in graph.parties(one.t):
        if party.has_issued and any(graph.root_of(one.t, name).name == ca.name for name in graph.issuers(one.t, party)):
            yield party


# --- CRLs ---------------------------------------------------------------------------------------------------------


def left_out(one: Adoption) -> Found:
    """CRLs that were brought and serve nobody."""
    for ca, brought in _each(one):
        where = (ca.existing.crl or ca.existing.chain_crl) if ca.existing is not None else None
        for words in brought.left_out:
            yield Note(ca.address, f"has in {where} {words}: it is left out")


def crls_for_those_who_check(one: Adoption) -> Found:
    """Where CRLs are read from files, each certificate of a chain, the root's too, must be in the scope of one."""
    for party in graph.parties(one.t):
        kind = one.kinds.get(party.address)
        if kind is None or "crls_over_http" in kind.capabilities.supports or not needs_crls(one.t, party):
            continue
        for issuer in _looked_up(one.t, party, kind):
            if (found := one.above(issuer)) is not None:
                yield from _crls_lacking(one, party, issuer, *found)


def _looked_up(t: Topology, party: Party, kind: Kind) -> tuple[str, ...]:
    checks_callees = kind.capabilities.check_of_callees(party) is not RevocationCheck.NONE
    return looked_up_issuers(t, party) if checks_callees else peer_issuers(t, party)


def _crls_lacking(one: Adoption, party: Party, issuer: str, ca: Ca, brought: ExistingCa) -> Found:
    for signer, certificate, points in _signed(one, party, issuer, brought):
        if signer is brought.certificate and _signed_here(ca):
            if not permits.may_sign_crls(signer):
                yield _no_crl(one, party, ca, f"{rfc2253(signer.subject)} may sign none (no cRLSign, RFC 5280 4.2.1.3)")
            continue
        lists = brought.crls_of(signer)
        if not lists:
            where = (ca.existing.crl or ca.existing.chain_crl) if ca.existing is not None else None
            left = f"; in {where} there is {', and '.join(brought.left_out)}" if brought.left_out else ""
            yield _no_crl(one, party, ca, f"there is no CRL of {rfc2253(signer.subject)}{left}")
        elif not any(crls.covers(each, ca=certificate != "leaf", points=points) for each in lists):
            what = "those below it" if certificate == "leaf" else "CAs"
            yield _no_crl(one, party, ca, f"that of {rfc2253(signer.subject)} does not cover {what} (RFC 5280 5.2.5)")


def _signed(
    one: Adoption, party: Party, issuer: str, brought: ExistingCa
) -> Iterator[tuple[x509.Certificate, str, frozenset[str] | None]]:
    """Of each certificate of a chain that a CA of the path has signed: that CA, what it is, and where it points to."""
    for below, signer in zip(brought.path, brought.above, strict=False):
        yield signer, "ca", crls.points_of(below)
    root = brought.path[-1]
    yield root, "ca", crls.points_of(root)
    if len(graph.chain(one.t, issuer)) > 1:
        yield brought.certificate, "ca", _pointers(one, graph.root_of(one.t, issuer))
    else:
        outside = any(caller.issuer == issuer for caller in _external_callers(one, party))
        yield brought.certificate, "leaf", None if outside else _pointers(one, one.t.cas[issuer])


def _external_callers(one: Adoption, party: Party) -> Iterator[Client]:
    for caller in graph.callers(one.t, party.name) if isinstance(party, Server) else ():
        if isinstance(caller, Client) and not caller.has_issued:
            yield caller


def _pointers(one: Adoption, ca: Ca) -> frozenset[str]:
    """Where the CRL distribution points of what a CA issues here lead."""
    if one.t.publish is None or ca.revocation.crl is None:
        return frozenset()
    return frozenset({crl_url(one.t.publish, published_name(ca.name))})


def _no_crl(one: Adoption, party: Party, ca: Ca, why: str) -> TopologyError:
    hint = "existing: {crl: FILE} names the CRLs of that CA and of all above it, in one file"
    if _signed_here(ca):
        hint = f"{hint}; {{chain_crl: FILE}} those above it alone, where its own is signed here"
    place = one.t.places.get(("cas", ca.name, "existing", "crl")) or one.t.place("cas", ca.name, "existing")
    message = f"{party.address} checks CRLs, and would refuse everybody below {ca.address}: {why}"
    return TopologyError(message, place=place, hint=hint)


def _signed_here(ca: Ca) -> bool:
    """Whether the CRL of an adopted CA is signed here."""
    return ca.issues_here and (ca.existing is None or ca.existing.crl is None)


def crl_signed_here(one: Adoption) -> Found:
    """A CA whose certificate may sign no CRLs, and whose CRL what is issued here points to."""
    for ca, brought in _each(one):
        if ca.existing is None or ca.existing.crl is not None or not ca.issues_here:
            continue
        name = rfc2253(brought.certificate.subject)
        if permits.may_sign_crls(brought.certificate):
            if not _crl_was_ever_signed(one, ca):
                yield Note(ca.address.with_part(Part.CRL), _UNKNOWN_PAST)
        elif ca.revocation.crl is not None:
            yield TopologyError(
                f"{ca.address} cannot publish a CRL: {name} has no cRLSign among its key usages (RFC 5280 4.2.1.3)",
                place=one.t.places.get(("cas", ca.name, "revocation")) or one.t.place("cas", ca.name, "existing"),
                hint="set revocation: {ocsp: 1h} or revocation: {}, so that its certificates do not point to a CRL",
            )


_UNKNOWN_PAST: Final = (
    "is signed here for the first time, with number 1 and no entries, since earlier revocations are not known "
    "here; to continue from its last CRL, add that as `crl` to `existing` for one apply"
)


def _crl_was_ever_signed(one: Adoption, ca: Ca) -> bool:
    return ca.name in one.observed.ledger.crl_numbers or one.observed.exists(ca_paths(ca.name).crl)


def crls_without_end(one: Adoption) -> Found:
    """Those that end, or have not begun, are told of where they are compared."""
    for ca, brought in _each(one):
        for each in crls.load_all(brought.crls) if brought.crls else ():
            if each.next_update_utc is None:
                said = f"has a CRL of {rfc2253(each.issuer)} that never expires (RFC 5280 5.1.2.5 requires nextUpdate)"
                yield Note(ca.address, f"{said}: OpenSSL accepts it for ever, others refuse it")


def crl_shrinks(one: Adoption) -> Found:
    """A newer list that says less: somebody's revocation may be lost."""
    for ca, brought in _each(one):
        there = one.observed.crl(ca_paths(ca.name).crl).crl
        new = max(brought.crls_of(brought.certificate), key=revocations.age, default=None)
        if there is None or new is None or there == new or not crls.signed_by(there, brought.certificate):
            continue
        if revocations.age(new) < revocations.age(there):
            if new.last_update_utc > there.last_update_utc and (unknown := _serials(new) - _serials(there)):
                yield _two_in_doubt(one, ca, new, there, unknown)
                continue
            said = f"has a CRL with number {crls.number(new)}, older than the last one"
            yield Note(ca.address, f"{said} ({crls.number(there)}), which is kept")
            continue
        lost = _serials(there) - _serials(new)
        if lost:
            said = f"has a CRL without {len(lost)} entries of the one before ({_shown(lost)})"
            yield Note(ca.address, f"{said}: only expired certificates may be dropped (RFC 5280 3.3)")


def _serials(crl: crls.Crl) -> set[int]:
    return {entry.serial_number for entry in crl}


def _shown(serials: set[int]) -> str:
    return ", ".join(f"{serial:x}" for serial in sorted(serials)[:3]) + (", …" if len(serials) > 3 else "")


def _two_in_doubt(one: Adoption, ca: Ca, new: crls.Crl, there: crls.Crl, unknown: set[int]) -> TopologyError:
    """A list that is newer by its date, and older by its number, which counts (RFC 5280 5.2.3)."""
    return TopologyError(
        f"{ca.address} has a CRL with number {crls.number(new)} that revokes {_shown(unknown)}, and the last CRL "
        f"has the higher number {crls.number(there)}, though it was signed earlier: programs that go by the "
        "number would miss that revocation",
        place=one.t.place("cas", ca.name, "existing", "crl"),
        hint=f"ask its signer for a CRL with a number above {crls.number(there)} (RFC 5280 5.2.3)",
    )


# --- Shared -------------------------------------------------------------------------------------------------------


def _each(one: Adoption) -> Iterator[tuple[Ca, ExistingCa]]:
    return ((one.t.cas[name], brought) for name, brought in one.adopted.items())


def _place(one: Adoption, ca: Ca, finding: permits.Finding) -> Place | None:
    field = "certificate" if finding.certificate == one.adopted[ca.name].certificate else "chain"
    return one.t.place("cas", ca.name, "existing", field)


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


_CHECKS: Final[tuple[Callable[[Adoption], Found], ...]] = (
    namesakes,
    cas_below,
    names_and_purposes,
    responders,
    by_the_letter,
    kinds_of_keys,
    crls_for_those_who_check,
    crl_signed_here,
    crls_without_end,
    crl_shrinks,
    paths_that_issue_nothing,
    left_out,
    dates,
    revoked_elsewhere,
    weaknesses,
)
