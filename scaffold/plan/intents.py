"""What a person wants beyond what the topology says: certificates renewed, revoked, or a hold lifted.

Intents enter at `diff` alone. There they become what the ledger will say, and the plan follows from that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches

from cryptography import x509

from scaffold.errors import AddressError, PlanError
from scaffold.pki import crl as crls
from scaffold.pki import keys
from scaffold.pki.revocation_reasons import GIVEN
from scaffold.plan.desired import Desired, DesiredCa, DesiredCertificate
from scaffold.plan.model import Action, Change, Revocation, Work
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.store import archive, ledger
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.layout import LEDGER
from scaffold.store.ledger import Issued, Ledger, Revoked
from scaffold.store.observation import Observation
from scaffold.topology.address import Address, Part, Role
from scaffold.topology.faults import OTHER_SIGNER
from scaffold.topology.messages import nearest
from scaffold.topology.model import Party
from scaffold.topology.notes import Note


@dataclass(frozen=True, slots=True)
class Renew:
    """A certificate gets later dates over its key; one that was revoked without replacement, a new key."""

    address: Address


@dataclass(frozen=True, slots=True)
class Revoke:
    """Every certificate of `address` that has not ended is revoked, or the one with `serial` alone (hex).

    By serial and for a compromised key, those over the same key go with it. A hold replaces nothing.
    """

    address: Address | None
    reason: crls.Reason
    replace: bool = True
    serial: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The hold on `address` is lifted: its certificates are good again."""

    address: Address
    serial: str | None = None


Intent = Renew | Revoke | Release


@dataclass(frozen=True, slots=True)
class Resolved:
    """What intents come to: changes of the ledger, and the addresses of certificates that are to be renewed."""

    changes: tuple[Change, ...] = ()
    renewed: frozenset[Address] = frozenset()
    notes: tuple[Note, ...] = ()

    def revocations(self, now: datetime) -> Iterator[Revoked]:
        """What the ledger will say."""
        for change in self.changes:
            for one in change.revocations:
                yield Revoked(one.ca, one.serial, one.reason, now, one.replace, one.holds)


def reason_of(text: str) -> crls.Reason:
    """The CRLReason with that name (RFC 5280 5.3.1). Raises PlanError, with the nearest name."""
    names = [reason.value for reason in GIVEN]
    for reason in GIVEN:
        if reason.value == text:
            return reason
    near = get_close_matches(text.lower().replace("-", "").replace("_", ""), [name.lower() for name in names], n=1)
    meant = next((name for name in names if near and name.lower() == near[0]), None)
    hint = f'did you mean "{meant}"?' if meant else f"one of {', '.join(names)}"
    raise PlanError(f'no such reason "{text}"', hint=hint)


def resolve(
    intents: Sequence[Intent],
    desired: Desired,
    observed: Observation,
    known: Ledger,
    existing: Mapping[str, ExistingCa],
    now: datetime,
) -> Resolved:
    """What `intents` come to where the ledger says `known`, or what is in the folder does.

    Raises PlanError for what cannot be done, and says why.
    """
    work = _Resolution(desired, observed, known, existing, now)
    changes: list[Change] = []
    renewed: list[Address] = []
    for intent in intents:
        match intent:
            case Renew():
                renewed.extend(work.renewed(intent))
            case Revoke():
                changes.extend(work.revoked(intent))
            case Release():
                changes.extend(work.released(intent))
    return Resolved(tuple(changes), frozenset(renewed), tuple(work.notes))


@dataclass(frozen=True, slots=True)
class _Resolution:
    """What is asked for, as it is worked out."""

    desired: Desired
    observed: Observation
    ledger: Ledger
    existing: Mapping[str, ExistingCa]
    now: datetime
    notes: list[Note] = field(default_factory=list)

    @property
    def is_lost(self) -> bool:
        """Whether the ledger does not know every CA that is in the folder."""
        cas = {one.address for one in self.desired.of_cas()}
        return not cas.intersection(self.ledger.by_address) <= self.observed.ledger.by_address.keys()

    # --- Which certificates are meant ---

    def _asked(self) -> dict[Address, DesiredCertificate]:
        return {one.address: one for one in (*self.desired.of_cas(), *self.desired.of_parties())}

    def _addresses(self, address: Address) -> tuple[Address, ...]:
        """The certificates of an entity, or the one that is named; of those that left the topology too."""
        self._check_ours(address)
        everything = dict.fromkeys((*self._asked(), *self.ledger.by_address))
        known = [one for one in everything if one.part is not Part.OCSP]
        found = _of(address, known) or _of(address, self._past(str(address)).by_address)
        if not found:
            names = [*map(str, dict.fromkeys(one.entity for one in known)), *map(str, known)]
            raise AddressError(f'no such address "{address}"', hint=nearest(str(address), names))
        return found

    def _past(self, word: str) -> Ledger:
        """What was ever written where `word` is: for what the ledger at hand does not know any more."""
        return archive.mentioning(self.observed.layout, word)

    def _check_ours(self, address: Address) -> None:
        if address.part not in (None, Part.CERTIFICATE):
            return
        t, entity, name = self.desired.topology, address.entity, address.name
        if entity.role is Role.CA and name in t.cas and t.cas[name].existing is not None:
            raise PlanError(
                f"{entity} was made elsewhere: its certificate is renewed and revoked there",
                hint="ask the CA that issued it",
            )
        self._check_issued_here(address)
        if entity.role is Role.CLIENT and name in t.clients and t.clients[name].external is not None:
            raise PlanError(
                f"{entity} is external: its certificate is issued, renewed and revoked elsewhere",
                hint="remove its `calls` to keep it out, or ask its CA",
            )

    def _check_issued_here(self, address: Address) -> None:
        """What somebody else issues is renewed and revoked there; what was issued before it was adopted can be here."""
        t, entity = self.desired.topology, address.entity
        parties: Mapping[str, Party] = t.servers if entity.role is Role.SERVER else t.clients
        party = parties.get(entity.name) if entity.role is not Role.CA else None
        own = entity.with_part(Part.CERTIFICATE)
        if party is None or party.existing is None or own in self.ledger.by_address:
            return
        if address.part is None and party.has_issued:
            said = "is issued elsewhere: it is renewed and revoked there"
            self.notes.append(Note(own, said))
            return
        raise PlanError(
            f"{own} is issued elsewhere: it is renewed and revoked there",
            hint=f"apply takes over what {party.existing.certificate} has; to revoke it, ask the CA that issued it",
        )

    # --- Renew ---

    def renewed(self, intent: Renew) -> Iterator[Address]:
        asked = self._asked()
        addresses = [address for address in self._addresses(intent.address) if address in asked]
        if not addresses:
            raise PlanError(
                f"{intent.address} is not in the topology any more", hint="only entries of the topology are renewed"
            )
        for address in addresses:
            held = self.ledger.withdrawn(address)
            if held is not None and held.on_hold:
                raise PlanError(
                    f"{address} is on hold since {held.at:%Y-%m-%d %H:%M} UTC",
                    hint=lifted_by(self.desired, held.ca, address.entity),
                )
            self._note_from_folder(self.ledger.by_address.get(address, ()))
        yield from addresses

    def _note_from_folder(self, certificates: Iterable[Issued]) -> None:
        """Says which of them only their folder knows."""
        for one in certificates:
            if one.fingerprint_sha256 not in self.observed.ledger.issued:
                said = f"has {_shown(one)}, which is not in the state (.scaffold/): it is read from the folder"
                self.notes.append(Note(one.address, said))

    # --- Revoke ---

    def revoked(self, intent: Revoke) -> Iterator[Change]:
        chosen = self._chosen(intent)
        self._note_from_folder(chosen)
        for one in chosen:
            self._check_can_be_said(one)
        for address in dict.fromkeys(one.address for one in chosen):
            yield self._revocation(address, [one for one in chosen if one.address == address], intent)

    def _chosen(self, intent: Revoke) -> list[Issued]:
        if intent.serial is not None:
            return self._by_serial(intent, intent.serial)
        if intent.address is None:
            raise PlanError("it is not given what to revoke", hint="give an ADDRESS, or a --serial")
        addresses = self._addresses(intent.address)
        issued = [one for address in addresses for one in self.ledger.by_address.get(address, ())]
        issued = issued or [one for one in self._past(str(intent.address)).issued.values() if one.address in addresses]
        if not issued:
            raise self._nothing_issued(intent.address, addresses)
        chosen = [one for one in issued if self._can_still_be_revoked(one, intent.reason)]
        if not chosen:
            raise self._nothing_left(str(intent.address), issued)
        return self._of_todays_keys(chosen)

    def _nothing_issued(self, address: Address, certificates: Iterable[Address]) -> PlanError:
        asked = self._asked()
        paths = [asked[one].paths.certificate for one in certificates if one in asked]
        there = next((path for path in paths if self.observed.exists(path)), None)
        if there is None:
            return PlanError(f"nothing was issued to {address} yet", hint="`scaffold apply` issues")
        return PlanError(
            f"the state (.scaffold/) has no certificate of {address}, and {there} is not from a present CA",
            hint=f"restore {LEDGER} from a backup; `scaffold apply` issues another certificate",
        )

    def _by_serial(self, intent: Revoke, text: str) -> list[Issued]:
        one = self._issued(text, intent.address)
        if not self._can_still_be_revoked(one, intent.reason):
            raise self._nothing_left(f"serial {one.serial} of {one.address}", [one])
        if intent.reason not in crls.COMPROMISE:
            return [one]
        over_the_key = [
            other
            for other in self.ledger.issued.values()
            if other.address == one.address and (other.key == one.key or not other.key or not one.key)
        ]
        return [other for other in over_the_key if self._can_still_be_revoked(other, intent.reason)]

    def _issued(self, text: str, address: Address | None) -> Issued:
        serial = text.lower().removeprefix("0x").replace(":", "").lstrip("0")
        found = [one for one in self.ledger.issued.values() if one.serial == serial]
        if not found and serial:
            found = [one for one in self._past(serial).issued.values() if one.serial == serial]
        if address is not None:
            addresses = self._addresses(address)
            found = [one for one in found if one.address in addresses]
        if not found:
            whose = f" of {address}" if address is not None else ""
            hint = "`scaffold status --json` and `scaffold inspect FILE` show serial numbers"
            if self.is_lost:
                hint = f"the state was lost, and the certificate is in no folder: restore {LEDGER} from a backup"
            raise PlanError(f'no certificate{whose} with the serial "{text}" was issued here', hint=hint)
        return found[0]

    def _can_still_be_revoked(self, one: Issued, reason: crls.Reason) -> bool:
        if one.not_after <= self.now:
            return False
        before = self.ledger.revoked.get((one.ca, one.serial))
        return before is None or (before.on_hold and reason is not crls.Reason.CERTIFICATE_HOLD)

    def _nothing_left(self, what: str, issued: Sequence[Issued]) -> PlanError:
        living = [one for one in issued if one.not_after > self.now]
        if not living:
            ended = max(one.not_after for one in issued)
            return PlanError(
                f"there is nothing to revoke: the last certificate of {what} expired on {ended:%Y-%m-%d %H:%M} UTC",
                hint="an expired certificate is refused anyway",
            )
        entry = self.ledger.revoked[living[-1].ca, living[-1].serial]
        return PlanError(
            f"{what} is revoked already, since {entry.at:%Y-%m-%d %H:%M} UTC: {entry.reason}",
            hint=None if entry.replace else f"`scaffold renew {living[-1].address.entity}` replaces it",
        )

    def _of_todays_keys(self, chosen: list[Issued]) -> list[Issued]:
        """What a key has signed that its CA has replaced is on no CRL of today, and ended with that key."""
        older = [one for one in chosen if self._of_an_older_key(one)]
        if len(older) == len(chosen):
            return chosen
        self.notes.extend(
            Note(
                one.address,
                f"has {_shown(one)}, which was signed by a former key of {Address.ca(one.ca)} and is on no CRL: "
                f"{self._revoke_older(one)} revokes the certificate of that key",
            )
            for one in older
            if not self._signer_is_revoked(one)
        )
        return [one for one in chosen if one not in older]

    def _signer_is_revoked(self, one: Issued) -> bool:
        """Whether every certificate of the CA over the key that signed `one` is revoked, which is enough."""
        over_the_key = [ca for ca in self._certificates_of(one.ca) if ca.key == one.issuer_key]
        return bool(over_the_key) and all((ca.ca, ca.serial) in self.ledger.revoked for ca in over_the_key)

    def _certificates_of(self, ca: str) -> Sequence[Issued]:
        addresses = [one.address.with_part(Part.CERTIFICATE) for one in self.desired.generations(ca)]
        return [one for address in addresses for one in self.ledger.by_address.get(address, ())]

    def _revoke_older(self, one: Issued) -> str:
        """The command that revokes the CA certificate over the key that signed `one`."""
        serials = [ca.serial for ca in self._certificates_of(one.ca) if ca.key == one.issuer_key]
        return f"`scaffold revoke {Address.ca(one.ca)} --serial {serials[-1] if serials else '…'}`"

    def _of_an_older_key(self, one: Issued) -> bool:
        today = self._keys_of(one.ca)
        return bool(one.issuer_key) and bool(today) and one.issuer_key not in today

    def _keys_of(self, ca: str) -> Mapping[str, DesiredCa]:
        """The generations of a CA by the SHA-256 of the SPKI of the certificate that each has today."""
        found: dict[str, DesiredCa] = {}
        for one in self.desired.generations(ca):
            certificate = self._certificate_of(one)
            if certificate is not None:
                found[keys.spki_sha256(certificate)] = one
        return found

    def _certificate_of(self, one: DesiredCa) -> x509.Certificate | None:
        if (brought := self.existing.get(one.ca.name)) is not None:
            return brought.certificate
        return self.observed.certificate(one.paths.certificate).certificate

    def _signer_of(self, one: Issued) -> DesiredCa | None:
        """The generation on whose CRL a certificate is named."""
        if not self.desired.generations(one.ca):
            return None
        return self._keys_of(one.ca).get(one.issuer_key) or self.desired.issuing(one.ca)

    def _check_can_be_said(self, one: Issued) -> None:
        """Raises PlanError where no CRL of ours could name the certificate."""
        asked, issuer = self._asked().get(one.address), Address.ca(one.ca)
        if one.address.part is Part.CERTIFICATE and one.address.entity == issuer:
            raise PlanError(
                f"{issuer} is self-signed: no CRL can list it",
                hint="remove it from the topology, so that nobody trusts it, or delete its key to get a new one",
            )
        if asked is not None and asked.fault in OTHER_SIGNER:
            raise PlanError(f"{one.address} is not signed by {issuer}, as its fault asks: there is nothing to revoke")
        ca = self._signer_of(one)
        if ca is None:
            raise PlanError(
                f"{one.address} was issued by {issuer}, which is not in the topology any more",
                hint="revoke that CA's own certificate where its issuer is still there",
            )
        if not ca.signs_crl:
            raise PlanError(
                f"the CRL of {issuer} is signed elsewhere: {one.address} is revoked there",
                hint="ask its signer, or remove `crl` from its `existing:` to have it signed here",
            )
        if self._of_an_older_key(one):
            raise PlanError(
                f"serial {one.serial} of {one.address} was signed by a former key of {issuer}",
                hint=f"{self._revoke_older(one)} revokes the certificate of that key",
            )
        key = self.observed.key(ca.paths.key)
        if ca.ca.existing is None and (not key.present or key.problem is not None):
            raise PlanError(
                f"the key of {issuer} is not there: its CRL cannot be signed", hint=f"restore {ca.paths.key}"
            )

    def _revocation(self, address: Address, chosen: Sequence[Issued], intent: Revoke) -> Change:
        replace = intent.replace and intent.reason is not crls.Reason.CERTIFICATE_HOLD
        entries = tuple(Revocation(one.ca, one.serial, intent.reason.value, replace) for one in chosen)
        reasons = tuple(
            Reason(ReasonCode.REVOCATION_ASKED, found=one.not_after, wanted=intent.reason.value, of=one.serial)
            for one in chosen
        )
        return Change(address, Action.REVOKE, reasons, work=Work.REVOKE, revocations=entries, asks=True)

    # --- Release ---

    def released(self, intent: Release) -> Iterator[Change]:
        wanted = self._issued(intent.serial, intent.address) if intent.serial is not None else None
        issued = [
            one
            for address in self._addresses(intent.address)
            for one in self.ledger.by_address.get(address, ())
            if wanted is None or one is wanted
        ]
        held = [one for one in issued if (entry := self._entry(one)) is not None and entry.on_hold]
        if not held:
            raise self._not_on_hold(intent.address, issued)
        for one in held:
            if _is_signed_elsewhere(self.desired, one.ca):
                raise PlanError(
                    f"the CRL of {Address.ca(one.ca)} is signed elsewhere: the hold on {one.address} is lifted there",
                    hint="ask its signer for one that no longer lists it",
                )
        for address in dict.fromkeys(one.address for one in held):
            of_it = [one for one in held if one.address == address]
            reasons = tuple(Reason(ReasonCode.RELEASE_ASKED, found=one.not_after, of=one.serial) for one in of_it)
            entries = tuple(map(self._release, of_it))
            yield Change(address, Action.UPDATE, reasons, work=Work.REVOKE, revocations=entries)

    def _release(self, one: Issued) -> Revocation:
        """The end of the holds that are seen here: one that a merge brings later is somebody else's."""
        entry = self._entry(one)
        return Revocation(one.ca, one.serial, ledger.LIFTED, holds=entry.holds if entry is not None else ())

    def _entry(self, one: Issued) -> Revoked | None:
        return self.ledger.revoked.get((one.ca, one.serial))

    def _not_on_hold(self, address: Address, issued: Sequence[Issued]) -> PlanError:
        newest = [self._entry(self.ledger.by_address[one][-1]) for one in dict.fromkeys(one.address for one in issued)]
        final = next((entry for entry in newest if entry is not None), None)
        if final is None:
            hint = "`scaffold status` lists revoked certificates, and those on hold"
            return PlanError(f"{address} is not on hold", hint=hint)
        return PlanError(
            f"{address} was revoked for good on {final.at:%Y-%m-%d %H:%M} UTC: {final.reason}",
            hint="only certificateHold can be lifted (RFC 5280 5.3.1); "
            f"`scaffold renew {address}` issues another certificate",
        )


def lifted_by(desired: Desired, ca: str, entity: Address) -> str:
    """What lifts a hold on a certificate that `ca` has issued to `entity`, as a hint."""
    if _is_signed_elsewhere(desired, ca):
        return f"the next CRL of {Address.ca(ca)} that does not list it lifts the hold, and is signed elsewhere"
    return f"`scaffold revoke {entity} --release` lifts it"


def _is_signed_elsewhere(desired: Desired, ca: str) -> bool:
    there = desired.topology.cas.get(ca)
    return there is not None and there.existing is not None and there.existing.crl is not None


def _of(address: Address, known: Iterable[Address]) -> tuple[Address, ...]:
    """Those of the certificates' addresses that are `address`, or of the entity of that name; no OCSP responder's."""
    return tuple(one for one in known if address in (one, one.entity) and one.part is not Part.OCSP)


def _shown(one: Issued) -> str:
    return f"serial {one.serial} (valid until {one.not_after:%Y-%m-%d %H:%M} UTC)"
