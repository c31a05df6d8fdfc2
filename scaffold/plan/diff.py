"""What differs between what should be and what is: CAs from the roots down, then servers and clients.

It is total and writes nothing: no network, no password. What a CA becomes is handed to those below it, so that a change
reaches each of them with its own reason.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography import x509

from scaffold.errors import TopologyError, Unreadable
from scaffold.kinds.catalogue import Kind
from scaffold.pki import bundles, keys, profiles
from scaffold.pki import crl as crls
from scaffold.pki.names import rfc2253
from scaffold.plan import (
    bundle_files,
    checks,
    compared_projects,
    former_callers,
    former_cas,
    former_holders,
    material,
    removal,
    revocations,
    rights,
    server_names,
    staples,
)
from scaffold.plan import crls as crl_rules
from scaffold.plan.authorities import Authorities, Generation
from scaffold.plan.basis import Asked, Basis
from scaffold.plan.checks import Examined, Verdict, ends_when_issued
from scaffold.plan.desired import (
    AdoptedCa,
    AdoptedCertificate,
    Desired,
    DesiredCa,
    DesiredCertificate,
    DesiredParty,
    IssuedCertificate,
    MadeCa,
    RootCertificate,
)
from scaffold.plan.intents import Resolved, lifted_by, resolve
from scaffold.plan.memo import Memo, source_of
from scaffold.plan.model import Action, Change, Work
from scaffold.plan.projects import Resolution
from scaffold.plan.reasons import Finding, Reason, ReasonCode
from scaffold.plan.standing_projects import Compared
from scaffold.plan.traces import has_left_traces
from scaffold.plan.trust_files import Project, ignored, trust_files
from scaffold.plan.unknown import Unknown
from scaffold.settings.material import derived
from scaffold.settings.peers import looked_up_issuers, needs_crls
from scaffold.store import gitignore
from scaffold.store.existing_ca import ExistingCa
from scaffold.store.existing_leaf import Brought, BroughtLeaf
from scaffold.store.files import SECRET_FILE
from scaffold.store.layout import FOLDERS
from scaffold.store.ledger import Ledger, Revoked
from scaffold.store.observation import Observation, SeenCertificate, SeenCrl, SeenKey
from scaffold.store.rights import USUAL, Rights, RightsByAddress
from scaffold.store.seen import SeenFolder
from scaffold.topology.address import Address, Part
from scaffold.topology.faults import OWN_CHAIN
from scaffold.topology.generations import GenerationState
from scaffold.topology.mistakes import raise_all
from scaffold.topology.model import Fault, Server
from scaffold.topology.notes import Note


@dataclass(frozen=True, slots=True)
class Difference:
    """The outcome: changes in the order of execution, and notes.

    `unrecorded` are the certificates of servers and clients that are there and that no line of the ledger knows.
    """

    changes: tuple[Change, ...]
    notes: tuple[Note, ...]
    authorities: Authorities
    memo: Memo
    unrecorded: tuple[IssuedCertificate, ...]


def diff(basis: Basis, asked: Asked) -> Difference:
    """Compares what is desired with what was observed.

    Raises StoreError for what cannot be read, KindError for a template that does not render, PlanError for an intent
    that cannot be, TopologyError for CAs that would issue and have ended.
    """
    resolved = resolve(asked.intents, basis.desired, basis.observed, basis.ledger, basis.existing, basis.now)
    known = basis.ledger.after(resolved.revocations(basis.now))
    # What is in order for one moment of a reproducible topology is not for another.
    counts = not asked.intents and basis.topology.reproducible is None
    memo = Memo(basis.remembered if counts else None, known, basis.now)
    work = _Diff(
        basis.desired,
        basis.observed,
        basis.existing,
        basis.kinds,
        basis.now,
        basis.brought,
        basis.rights,
        asked,
        resolved,
        known,
        memo,
    )
    work.run()
    authorities = Authorities.of(basis.topology, work.generations.values())
    return Difference(tuple(work.changes), tuple(work.notes), authorities, memo, tuple(work.unrecorded))


@dataclass(slots=True)
class _Diff:
    """One comparison at work: what is compared, and what was found so far."""

    desired: Desired
    observed: Observation
    existing: Mapping[str, ExistingCa]
    kinds: Mapping[Address, Kind]
    now: datetime
    brought: Brought
    rights: RightsByAddress
    asked: Asked
    resolved: Resolved
    ledger: Ledger
    """As it will be, once what is resolved is in it."""
    memo: Memo
    generations: dict[Address, Generation] = field(default_factory=dict)
    """Of each CA, as it will be."""
    issuing: dict[str, Address] = field(default_factory=dict)
    """Of each CA the generation from which the next certificate comes."""
    changes: list[Change] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    still_do: dict[tuple[bytes | str | None, ...], bool] = field(default_factory=dict)
    """Of contents of `tls/crl.pem`, and the names of the CAs whose CRLs are wanted there."""
    copies: tuple[revocations.Copy, ...] | None = None
    """Of CRLs; None until they are asked for."""
    held: set[Address] = field(default_factory=set)
    """The addresses of servers and clients whose projects stay as they are."""
    unrecorded: list[IssuedCertificate] = field(default_factory=list)
    left: list[former_cas.Former] = field(default_factory=list)
    """CAs that were there before the records were lost."""
    ended: dict[str, TopologyError] = field(default_factory=dict)
    """By the name of a CA that has ended: what is refused first of all that it would issue."""

    def run(self) -> None:
        self.changes.extend(self.resolved.changes)
        self.notes.extend(self.resolved.notes)
        crl_changes: list[Change] = []
        for one in self.desired.cas:
            self.observed.look_at(one.paths.folder)
            match one:
                case MadeCa(kept_up=False):
                    self._retired(one)
                case MadeCa():
                    self._made(one)
                case AdoptedCa():
                    self._adopted(one)
            crl_changes.extend(self._crl(one))
        if not self.asked.hold_pending:
            self._check_former()
        settled = Authorities.of(self.desired.topology, self.generations.values())
        if self.memo.remembered is not None:
            self.memo.derive_from(source_of(self.desired.topology, self.kinds, settled))
        for one in self.desired.cas:
            self.observed.look_at(one.paths.folder)
            self._around_ca(one, settled)
        self.changes.extend(crl_changes)
        for party in self.desired.parties:
            self._party(party, settled)
        self.observed.forget()
        removed = tuple(removal.leftovers(self.desired, self.observed, self.held))
        self.changes.extend(removed)
        self.notes.extend(removal.notes(removed, self.desired, self.observed))
        self.notes.extend(self._notes_of_rights())
        raise_all(self.ended.values())

    def _check_former(self) -> None:
        """Raises TopologyError where what was issued before would pass for what is issued today."""
        t, records = self.desired.topology, self.observed.records
        mistaken = former_holders.look(t, self.kinds, self.generations, self.ledger, records, self.now)
        raise_all(former_holders.errors(t, mistaken))
        self.notes.extend(former_holders.notes(mistaken))
        self.notes.extend(server_names.notes(t, self.kinds, self.ledger, self.now))
        if all(kind.capabilities.sees_issuer_by == "key" for kind in self.kinds.values()) and not self._has_new_key():
            return
        raise_all(former_callers.check(t, self.kinds, self.ledger, self.now))
        former = former_cas.look(t, self.generations, self.left, self.ledger, self.now)
        raise_all(former.errors(self.kinds))
        self.notes.extend(former.notes(self.kinds))

    def _has_new_key(self) -> bool:
        return any(one.new_key for one in self.generations.values())

    def _notes_of_rights(self) -> Iterator[Note]:
        cas, parties = self.desired.cas, self.desired.parties
        open_folders = ("", *FOLDERS.values(), *(one.paths.folder for one in parties))
        secret_folders = (*(one.paths.folder for one in cas), *(one.paths.tls for one in parties))
        keys_ = (*(one.paths.key for one in cas), *(one.paths.own.key for one in parties))
        laid_out = [one for one in parties if one.party.address in self.rights]
        for one in laid_out:
            yield from material.notes(one, self.observed, self._rights(one))
        given = {one.paths.folder: self._rights(one).owner for one in laid_out if self._rights(one).owner is not None}
        yield from rights.notes(open_folders, (*secret_folders, *keys_), self.observed, given)

    def _rights(self, one: DesiredParty) -> Rights:
        return self.rights.get(one.party.address, USUAL)

    # --- CAs ---

    def _made(self, one: MadeCa) -> None:
        asked = one.certificate
        match asked:
            case RootCertificate():
                issuer = None
            case IssuedCertificate():
                issuer = self.generations[self.issuing[asked.issuer]]
        examined = self._examine(asked, issuer)
        if examined.certificate.missing and not examined.key.present and not examined.known_ca:
            left_traces = has_left_traces(one, self.desired, self.observed)
            examined = replace(examined, has_left_traces=left_traces)
            if left_traces and issuer is not None:
                self.left.append(_former(one, issuer))
        verdict, withdrawn = self._verdict(examined)
        real = examined.certificate.certificate
        if verdict is not None:
            key = (one.paths.key,) if verdict.work is Work.NEW_KEY else ()
            paths = (*key, one.paths.certificate, one.paths.der, one.paths.chain)
            self._change(asked.address, verdict, paths, also=_secret(one))
        self._settle(one, replace(_after(one, examined, verdict, real), withdrawn=withdrawn))

    def _retired(self, one: MadeCa) -> None:
        """Nobody trusts it: it stays as it is, be its key in an archive or destroyed."""
        subject = profiles.subject_name(one.certificate.profile.subject)
        real = self.observed.certificate(one.paths.certificate).certificate
        self._settle(one, Generation(one.ca.name, subject, self.now) if real is None else _staying(one, real))

    def _settle(self, one: DesiredCa, after: Generation) -> None:
        self.generations[one.address] = replace(after, number=one.number, state=one.state)
        if one.state is GenerationState.ISSUING:
            self.issuing[one.ca.name] = one.address

    def _verdict(self, examined: Examined) -> tuple[Verdict | None, bool]:
        """What is to be done, and whether nothing is because it, or a CA above it, is revoked and stays so."""
        asked, issuer = examined.desired, examined.issuer
        is_lost_ca = asked.profile.role == "ca" and examined.certificate.certificate is None
        withdrawn = self.ledger.withdrawn(asked.address) if asked.fault is not Fault.REVOKED else None
        if withdrawn is not None and asked.address not in self.resolved.renewed and not is_lost_ca:
            self.notes.append(self._withdrawn_note(asked, withdrawn))
            return None, True
        verdict = checks.examine(examined)
        if self.asked.hold_pending and verdict is not None and checks.can_stay(examined, verdict):
            return None, False
        if issuer is not None and issuer.withdrawn:
            if verdict is not None:
                why, code = f"its issuer {issuer.address} is revoked, or a CA above it", verdict.reasons[0].code.code
                self.notes.append(Note(asked.address, f"is not renewed, though it differs ({code}): {why}"))
            return None, True
        self._note_cut(asked, issuer, verdict)
        return verdict, False

    def _withdrawn_note(self, asked: DesiredCertificate, entry: Revoked) -> Note:
        entity, since = asked.address.entity, f"since {entry.at:%Y-%m-%d %H:%M} UTC"
        if entry.on_hold:
            return Note(asked.address, f"is on hold {since}: {lifted_by(self.desired, entry.ca, entity)}")
        return Note(
            asked.address,
            f"is revoked {since} ({entry.reason}) and is not replaced: "
            f"`scaffold renew {entity}` gives it a new key and certificate",
        )

    def _adopted(self, one: AdoptedCa) -> None:
        found = self.existing[one.ca.name]
        if (former := former_cas.from_folder(one, self.observed)) is not None:
            self.left.append(former)
        self._note_brought_crls(one, found)
        after = Generation(
            one.ca.name,
            found.certificate.subject,
            found.certificate.not_valid_after_utc,
            certificate=found.certificate,
            today=found.certificate,
            spki=keys.spki(found.certificate),
            above=found.above,
            crl=found.crls,
        )
        self._settle(one, after)

    def _note_brought_crls(self, one: DesiredCa, found: ExistingCa) -> None:
        """Nobody here can sign those again: whoever brought them is told in time."""
        for crl in crls.load_all(found.crls) if found.crls else ():
            where = (one.ca.existing.crl or one.ca.existing.chain_crl) if one.ca.existing is not None else None
            if (said := _said_of_brought(crl, self.now)) is not None:
                self.notes.append(Note(one.ca.address, f"has a CRL in {where} that {said}; provide a newer one"))

    def _around_ca(self, one: DesiredCa, settled: Authorities) -> None:
        """What is around a CA's certificate: its DER copy, its chain, how its key is kept."""
        address = one.address.with_part(Part.CERTIFICATE)
        certificate = self.generations[one.address].certificate
        if isinstance(certificate, Unknown) or not one.kept_up:
            return
        wanted: dict[str, bytes | Unknown] = {
            one.paths.der: bundles.der(certificate),
            one.paths.chain: settled.chain_pem(self.generations[one.address]),
            one.paths.ignore: gitignore.PKI,
        }
        if isinstance(one, AdoptedCa):
            wanted[one.paths.certificate] = bundles.pem(certificate)
            wanted.update(self._kept_crl(one, certificate))
        reasons = [reason for path, text in wanted.items() if (reason := self._content(path, text)) is not None]
        open_to_others = dict(rights.of_folder(one.paths.folder, self.observed))
        open_to_others.update(rights.of_files((one.paths.key_password,), self.observed))
        if isinstance(one, AdoptedCa):
            if reasons or open_to_others:
                action = Action.UPDATE if self.observed.exists(one.paths.certificate) else Action.CREATE
                adopted = Reason(ReasonCode.EXISTING, found=os.path.normpath(one.existing.certificate))
                why = (adopted,) if reasons else tuple(open_to_others.values())
                self._change(address, Verdict(action, Work.ADOPT, why), (*wanted, *open_to_others))
            return
        key = self.observed.key(one.paths.key)
        if key.present and key.encrypted is not (one.ca.key_password is not None):
            reasons.append(_encryption(one, key))
            verdict = Verdict(Action.UPDATE, Work.ENCRYPT, tuple(reasons))
            self._change(address, verdict, (one.paths.key, *wanted), also=_secret(one))
            return
        reasons.extend(_rights(one.paths.key, key))
        reasons.extend(open_to_others.values())
        if reasons:
            paths = (*wanted, *open_to_others)
            self._change(address, Verdict(Action.UPDATE, Work.PLACE, tuple(reasons)), paths, also=_secret(one))

    def _kept_crl(self, one: DesiredCa, certificate: x509.Certificate) -> dict[str, bytes]:
        """The copy of a CRL that was brought, from which its CA goes on once it is signed here."""
        there = self.observed.crl(one.paths.crl).crl
        kept = revocations.taken_over(self.existing[one.ca.name].crls, there, certificate)
        return {} if kept is None else {one.paths.crl: kept}

    def _crl(self, one: DesiredCa) -> Iterator[Change]:
        if not one.signs_crl:
            return
        generation = self.generations[one.address]
        seen = self.observed.crl(one.paths.crl)
        reason = self._crl_reason(one, generation)
        found = Finding(reason) if reason is not None else crl_rules.due(seen.crl, self.now)
        if found is not None or not self.asked.hold_pending:
            crl_rules.next_number(one, self.ledger, (seen.crl,))
        if found is None:
            brought = self.existing[one.ca.name].crls if one.ca.name in self.existing else None
            self.generations[one.address] = _with_crl(generation, seen.content + (brought or b""), due=False)
            return
        self.generations[one.address] = _with_crl(generation, Unknown.AFTER_APPLY, due=found.can_wait)
        action = Action.CREATE if seen.crl is None and seen.problem is None else Action.UPDATE
        yield Change(
            one.address.with_part(Part.CRL),
            action,
            (found.reason,),
            (one.paths.crl,),
            Work.SIGN,
            self.observed.seen((one.paths.crl,)),
            can_wait=found.can_wait,
        )

    def _crl_reason(self, one: DesiredCa, generation: Generation) -> Reason | None:
        """Why the CRL in place will not do."""
        seen = self.observed.crl(one.paths.crl)
        if seen.problem is not None:
            return Reason(ReasonCode.UNREADABLE, one.paths.crl, wanted="a CRL")
        if seen.crl is None:
            return Reason(ReasonCode.MISSING, one.paths.crl)
        if generation.new_key:
            return Reason(ReasonCode.CRL_KEY, of=one.address)
        if seen.crl.issuer != generation.subject:
            return Reason(ReasonCode.CRL_NAME, of=one.address)
        if generation.today is None:
            return Reason(ReasonCode.CRL_CERTIFICATE, of=one.address)
        try:
            listed = seen.listed
        except Unreadable as error:
            return Reason(ReasonCode.INCOMPREHENSIBLE, one.paths.crl, found=str(error))
        wrong = crl_rules.wrong(one, seen.crl, listed, generation.today, self.ledger, self.now)
        return wrong or self._crl_behind(one, generation, generation.today, seen, listed)

    def _crl_behind(
        self,
        one: DesiredCa,
        generation: Generation,
        signer: x509.Certificate,
        seen: SeenCrl,
        listed: tuple[crls.Revoked, ...],
    ) -> Reason | None:
        """Why a CRL that is right in itself, and lists what the ledger says, will not do."""
        others = [copy for copy in self._copies() if seen.content not in copy.content]
        last, path = revocations.newest(seen, others, signer) if others else (None, None)
        if last is not None and path is not None and (lost := self._lost(one, listed, last, path)):
            return lost
        if doomed := self._to_be_revoked(one, generation):
            return Reason(ReasonCode.ENTRIES_MISSING, found=doomed)
        if seen.crl is not None and self.desired.topology.reproducible is not None:
            return crl_rules.other_moment(one, seen.crl, self.now)
        return None

    def _lost(self, one: DesiredCa, listed: tuple[crls.Revoked, ...], last: crls.Crl, path: str) -> Reason | None:
        return revocations.lost(self.ledger, one.ca.name, listed, last, path)

    def _copies(self) -> tuple[revocations.Copy, ...]:
        """What servers and clients hold of CRLs, read once for all CAs."""
        if self.copies is None:
            checking = (one for one in self.desired.parties if needs_crls(self.desired.topology, one.party))
            self.copies = revocations.copies((one.paths.crl for one in checking), self.observed)
        return self.copies

    def _to_be_revoked(self, one: DesiredCa, generation: Generation) -> tuple[Address, ...]:
        """Those that are issued revoked, as their fault asks: their serials are chosen before the list is signed."""
        if one.state is not GenerationState.ISSUING:
            return ()
        asked = (each for each in self.desired.of_parties() if each.fault is Fault.REVOKED)
        examined = (self._examine(each, generation) for each in asked if each.issuer == one.ca.name)
        verdicts = ((each.desired.address, checks.examine(each)) for each in examined)
        return tuple(address for address, verdict in verdicts if verdict is not None and verdict.work is not Work.PLACE)

    # --- Servers and clients ---

    def _party(self, one: DesiredParty, settled: Authorities) -> None:
        self.observed.look_at(one.paths.folder)
        self.observed.check_folder(one.paths.tls)
        before = len(self.changes)
        reissued = self._own(one, settled)
        if one.client_side is not None:
            self._leaf(one.client_side, settled)
        self._bundle(one, settled, reissued)
        kind = self.kinds[one.party.address]
        self._staple(one, kind, settled, reissued)
        source = Project(self.desired.topology, one.party, kind, settled)
        named = (one.party.address, one.party.address.with_part(Part.PROJECT)) if self.asked.overwrite else ()
        restore = not self.asked.overwrite.isdisjoint(named)
        resolution = Resolution.THEIRS if restore else self.asked.resolutions.get(one.party.address)
        found = compared_projects.compare(
            one, source, self.observed, self.memo, resolution=resolution, restore=restore, hold=self.asked.hold_pending
        )
        if found.held:
            self.held.add(one.party.address)
        self._trust(one, kind, settled, found)
        self.changes.extend(found.changes)
        self.notes.extend(found.notes)
        self._derived(one, self.changes[before:])
        if isinstance(one.party, Server) and not self.asked.hold_pending:
            self._app(one.party)

    def _app(self, server: Server) -> None:
        """Compares the app behind a front, or says what stays of one that was."""
        was_made = self.observed.records.of(server.address.with_part(Part.APP)).app is not None
        if server.app is None and not was_made:
            return
        # Loaded for those who have one: most have not.
        from scaffold.plan import apps

        if server.app is None:
            self.notes.extend(apps.given_up(server, self.observed))
            return
        resolution = self.asked.resolutions.get(apps.address_of(server))
        newer = self.asked.newer_apps.get(server.address)
        found = apps.compare(self.desired.topology, server, server.app, self.observed, newer, resolution)
        self.changes.extend(found.changes)
        self.notes.extend(found.notes)

    def _derived(self, one: DesiredParty, changes: Sequence[Change]) -> None:
        """Compares what is made of other files in `tls/`, which `changes` change."""
        if one.party.files is None:
            return
        own = [change for change in changes if change.work is not Work.RENDER]
        changing = {path for change in own for path in change.paths}
        found = material.compare(self.desired.topology, one, self.observed, changing, self._rights(one))
        if not found.reasons:
            return
        made_before = self.observed.records.of(one.party.address.with_part(Part.FILES)).files
        is_new = not made_before and bool(derived(self.desired.topology, one.party))
        lasting = (change for change in own if change.action is not Action.RENEW and not change.can_wait)
        can_wait = found.following == found.reasons.keys() and not any(
            one.paths.is_in_tls(path) for change in lasting for path in change.paths
        )
        reasons = tuple(found.reasons.values())
        verdict = Verdict(Action.CREATE if is_new else Action.UPDATE, Work.DERIVE, reasons, can_wait=can_wait)
        self._change(one.party.address.with_part(Part.FILES), verdict, tuple(found.reasons))

    def _own(self, one: DesiredParty, settled: Authorities) -> bool:
        """Compares the first of its certificates; whether it becomes another."""
        match one.own:
            case IssuedCertificate():
                return self._leaf(one.own, settled)
            case AdoptedCertificate():
                return self._from_elsewhere(one.own)

    def _from_elsewhere(self, one: AdoptedCertificate) -> bool:
        """Compares what is there with its source; whether that is taken over."""
        entity, paths = one.address.entity, one.paths
        if (problem := self.brought.problems.get(entity)) is not None:
            self._stays(one.address, problem)
            return False
        source, there = self.brought.leaves[entity], self.observed.certificate(paths.certificate)
        key = self.observed.key(paths.key)
        verdict = _of_source(one, source, there, key)
        if verdict is not None:
            self._change(one.address, verdict, (paths.key, paths.certificate))
        return verdict is not None and there.content != source.content

    def _stays(self, address: Address, problem: TopologyError) -> None:
        self.notes.append(Note(address, f"is not changed: {problem.words}"))

    def _leaf(self, asked: IssuedCertificate, settled: Authorities) -> bool:
        """Compares one certificate; whether it is issued again."""
        if asked.on_request and (problem := self.brought.problems.get(asked.address.entity)) is not None:
            self._stays(asked.address, problem)
            return False
        issuer, behind = settled[asked.issuer].issuer, settled.sent_pem(asked.issuer)
        if self.memo.is_in_order(asked, issuer, behind, self.observed):
            return False
        examined = self._examine(asked, issuer)
        if self._is_unrecorded(examined):
            self.unrecorded.append(asked)
        verdict, withdrawn = self._verdict(examined)
        if withdrawn and verdict is None:
            return False
        if verdict is None:
            verdict = self._around_leaf(asked, examined, settled)
        if verdict is not None and asked.on_request:
            verdict = self._on_request(asked, examined, verdict)
        if verdict is None:
            self.memo.take(examined, behind, self.observed)
            return False
        key = verdict.work is Work.NEW_KEY
        verdict = _with_fault(asked, verdict)
        self._change(
            asked.address, verdict, (asked.paths.key,) * key + (asked.paths.certificate,), also=(asked.paths.key,)
        )
        return verdict.work in (Work.NEW_KEY, Work.ISSUE)

    def _is_unrecorded(self, one: Examined) -> bool:
        """Of what has ended, the line may be in the archive."""
        there = one.certificate.certificate
        if there is None or there.not_valid_after_utc < self.now:
            return False
        return one.fingerprint not in self.ledger.issued

    def _on_request(self, asked: IssuedCertificate, examined: Examined, verdict: Verdict) -> Verdict | None:
        """No key is made here: what takes another key takes another request."""
        if verdict.work is not Work.NEW_KEY:
            return verdict
        if checks.key_of_revoked(examined) is None and checks.is_over_another_key(examined):
            return replace(verdict, work=Work.ISSUE)
        said = "is revoked, and the request has the same key: provide a request with another key"
        self.notes.append(Note(asked.address, said))
        return None

    def _around_leaf(self, asked: IssuedCertificate, one: Examined, settled: Authorities) -> Verdict | None:
        """What is around a leaf that stays: its intermediates, the rights of its key."""
        reasons = list(_rights(asked.paths.key, self.observed.key(asked.paths.key), asked.key_mode))
        behind = settled.sent_pem(asked.issuer)
        if asked.fault in OWN_CHAIN:
            pass  # what is sent along is where its fault lies
        elif isinstance(behind, Unknown):
            pending = settled.pending((asked.issuer,))
            reasons.append(Reason(ReasonCode.CHAIN_PENDING, of=pending))
        elif one.certificate.content != bundles.pem(one.real) + behind:
            reasons.append(Reason(ReasonCode.CHAIN))
        return Verdict(Action.UPDATE, Work.PLACE, tuple(reasons)) if reasons else None

    def _bundle(self, one: DesiredParty, settled: Authorities, reissued: bool) -> None:
        pfx = one.party.pfx
        if pfx is None or (not reissued and not self.observed.exists(one.paths.own.certificate)):
            return
        address, path = one.party.address.with_part(Part.BUNDLE), one.paths.bundle
        if self.observed.keys_away and not reissued and not self.observed.exists(path):
            return
        asked_for = address in self.asked.overwrite
        reason = bundle_files.reason(one, self.observed, reissued=reissued, asked_for=asked_for)
        if reason is None:
            return
        action = Action.UPDATE if self.observed.exists(path) else Action.CREATE
        paths = (path, one.paths.bundle_password)
        self._change(address, Verdict(action, Work.BUNDLE, (reason,)), paths)

    def _staple(self, one: DesiredParty, kind: Kind, settled: Authorities, reissued: bool) -> None:
        if not staples.has_staple(one, kind):
            return
        path = one.paths.staple
        if reissued:
            found: Finding | None = Finding(Reason(ReasonCode.STAPLE_CERTIFICATE, path))
        else:
            issuer, t = settled[one.party.issuer].issuer, self.desired.topology
            found = staples.finding(one, t, issuer, self.observed, self.ledger, self.now)
        if found is not None:
            action = Action.UPDATE if self.observed.exists(path) else Action.CREATE
            verdict = Verdict(action, Work.STAPLE, (found.reason,), can_wait=found.can_wait)
            self._change(one.party.address.with_part(Part.STAPLE), verdict, (path,))

    def _trust(self, one: DesiredParty, kind: Kind, settled: Authorities, found: Compared) -> None:
        """Everything in `tls/` apart from keys and certificates is repaired wherever it differs."""
        crls_in_use = found.held and self.observed.exists(one.paths.crl)
        fixed = trust_files(self.desired.topology, one, settled, self.brought.roots, crls_in_use=crls_in_use)
        if found.rendered_tls is not None:
            fixed[one.paths.ignore] = ignored(self.desired.topology, one, (*fixed, *found.rendered_tls))
        findings: dict[str, Finding] = {}
        for path, text in fixed.items():
            finding = self._fixed(one, path, text, settled)
            if finding is not None:
                findings[path] = finding
        secret_files = (one.paths.bundle, one.paths.bundle_password) if one.party.pfx is not None else ()
        made = (f"{one.paths.tls}/{file.name}" for file in derived(self.desired.topology, one.party))
        needed = (*fixed, *((one.paths.staple,) if staples.has_staple(one, kind) else ()), *made)
        stale = () if found.held else removal.stale_trust(one, needed, found.rendered_tls, self.observed)
        others = (
            *found.tls.items(),
            *rights.of_files(secret_files, self.observed, self._rights(one)),
            *rights.of_folder(one.paths.tls, self.observed, self._rights(one)),
            *stale,
        )
        findings.update((path, Finding(reason)) for path, reason in others)
        if not findings:
            return
        work = Work.FILL if found.rendered_tls is None else Work.REFRESH if found.held else Work.TRUST
        if not any(self.observed.exists(path) for path in fixed if path != one.paths.ignore):
            verdict = Verdict(Action.CREATE, work, (Reason(ReasonCode.MISSING, one.paths.trust),))
        else:
            reasons = (*dict.fromkeys(finding.reason for finding in findings.values()), *found.roles)
            can_wait = all(finding.can_wait for finding in findings.values())
            verdict = Verdict(Action.UPDATE, work, reasons, can_wait=can_wait)
        folder = (self.observed.seen_folder(one.paths.tls),) if work is Work.FILL else ()
        self._change(one.party.address.with_part(Part.TRUST), verdict, tuple(findings), folders=folder)

    def _fixed(self, one: DesiredParty, path: str, text: bytes | Unknown, settled: Authorities) -> Finding | None:
        if isinstance(text, Unknown):
            return self._pending(one, path, settled)
        if path == one.paths.crl:
            return self._crls(one, path, text, settled)
        reason = self._content(path, text)
        return Finding(reason) if reason is not None else None

    def _crls(self, one: DesiredParty, path: str, text: bytes, settled: Authorities) -> Finding | None:
        """What a fetcher has put there from the CDP may be newer than what is here; what was left there, older."""
        there = self.observed.content(path)
        if there == text:
            return None
        signers = settled.crl_signers(looked_up_issuers(self.desired.topology, one.party))
        reason = self._content(path, revocations.freshest(there, text, signers, self.now))
        if reason is None:
            return None
        if self._still_does(there, signers):
            return Finding(Reason(ReasonCode.CRL_SUPERSEDED, path), can_wait=True)
        return Finding(reason)

    def _pending(self, one: DesiredParty, path: str, settled: Authorities) -> Finding:
        if path != one.paths.crl:
            return Finding(Reason(ReasonCode.AUTHORITY, path))
        signers = settled.crl_signers(looked_up_issuers(self.desired.topology, one.party))
        due = all(signer.crl_due for signer in signers if isinstance(signer.crl, Unknown))
        if due and self._still_does(self.observed.content(path), signers):
            return Finding(Reason(ReasonCode.CRL_PENDING_DUE, path), can_wait=True)
        return Finding(Reason(ReasonCode.CRL_PENDING, path))

    def _still_does(self, there: bytes | None, signers: tuple[Generation, ...]) -> bool:
        """Many projects hold the same CRLs, and long ones take their time."""
        key = (there, *(signer.address.label for signer in signers))
        if key not in self.still_do:
            self.still_do[key] = revocations.still_does(there, signers, self.ledger, self.now)
        return self.still_do[key]

    # --- All ---

    def _examine(self, asked: DesiredCertificate, issuer: Generation | None) -> Examined:
        certificate = self.observed.certificate(asked.paths.certificate)
        key = self._key(asked, certificate.certificate)
        spki = self._known_spki(asked, key, certificate.certificate)
        asked_for = asked.address in self.resolved.renewed
        reproducible = self.desired.topology.reproducible is not None
        return Examined(asked, certificate, key, spki, issuer, self.ledger, self.now, asked_for, reproducible)

    def _key(self, asked: DesiredCertificate, certificate: x509.Certificate | None) -> SeenKey:
        """The key that is there, or that of a request; one that is away is taken for the certificate's."""
        if isinstance(asked, IssuedCertificate) and asked.on_request:
            return SeenKey(True, keys.spki(self.brought.requests[asked.address.entity]))
        key = self.observed.key(asked.paths.key)
        if self.observed.keys_away and not key.present and certificate is not None:
            return SeenKey(True, keys.spki(certificate))
        return key

    def _known_spki(
        self, asked: DesiredCertificate, key: SeenKey, certificate: x509.Certificate | None
    ) -> bytes | None:
        """The public half of a key. Of an encrypted file that is as it was written, the ledger knows it."""
        if not key.encrypted:
            return key.spki
        recorded = self.observed.ledger.ca_keys.get(asked.address.label)
        if recorded is not None and recorded.file_sha256 == key.file_sha256:
            return recorded.spki
        return keys.spki(certificate) if certificate is not None else None

    def _content(self, path: str, text: bytes | Unknown) -> Reason | None:
        if isinstance(text, bytes) and self.observed.holds(path, text):
            return None
        there = self.observed.content(path)
        if there is None:
            return Reason(ReasonCode.MISSING, path)
        return None if there == text else Reason(ReasonCode.CONTENT, path)

    def _note_cut(self, asked: DesiredCertificate, issuer: Generation | None, verdict: Verdict | None) -> None:
        """Says that a certificate is cut to its issuer's end, or that this has come already."""
        if verdict is None or issuer is None or verdict.work is Work.PLACE:
            return
        if issuer.not_after <= self.now:
            error = TopologyError(
                f"{asked.address} cannot be issued: {issuer.address} expired on {issuer.not_after:%Y-%m-%d %H:%M} UTC",
                place=self.desired.topology.place("cas", issuer.ca),
                hint="renew it where it was made",
            )
            self.ended.setdefault(issuer.ca, error)
            return
        if asked.fault is not None:
            return
        if issuer.not_after < self.now.replace(microsecond=0) + asked.lifetime:
            end = f"{issuer.not_after:%Y-%m-%d %H:%M} UTC"
            said = f"would outlive its issuer, and is shortened to expire with {issuer.address}, on {end}"
            self.notes.append(Note(asked.address, said))

    def _change(
        self,
        address: Address,
        verdict: Verdict,
        paths: tuple[str, ...],
        *,
        also: tuple[str, ...] = (),
        folders: tuple[SeenFolder, ...] = (),
    ) -> None:
        """`also` are files on which it depends besides, `folders` those of which all names do."""
        self.changes.append(
            Change(
                address,
                verdict.action,
                verdict.reasons,
                paths,
                verdict.work,
                (*self.observed.seen((*paths, *also)), *folders),
                asks=verdict.asks,
                can_wait=verdict.can_wait,
                due=verdict.due,
            )
        )


def _of_source(one: AdoptedCertificate, source: BroughtLeaf, there: SeenCertificate, key: SeenKey) -> Verdict | None:
    """What is to be done with a certificate from elsewhere; None where its source has nothing new."""
    certificate = source.certificate
    path, serial = str(one.existing.certificate), f"{certificate.serial_number:x}"
    ends = certificate.not_valid_after_utc
    reason = Reason(ReasonCode.SOURCE, one.paths.certificate, path, ends, serial)
    if there.certificate is None or not key.present:
        action = Action.CREATE if there.missing else Action.UPDATE
        return Verdict(action, Work.TAKE_OVER, (reason,), due=True)
    if key.spki != keys.spki(certificate):
        by_key = Reason(ReasonCode.SOURCE_KEY, one.paths.key, path, ends, serial)
        return Verdict(Action.REPLACE, Work.TAKE_OVER, (by_key,), due=True)
    if there.content != source.content:
        later = certificate.not_valid_after_utc > there.certificate.not_valid_after_utc
        return Verdict(Action.RENEW if later else Action.UPDATE, Work.TAKE_OVER, (reason,), due=True)
    open_to_others = tuple(_rights(one.paths.key, key, one.key_mode))
    return Verdict(Action.UPDATE, Work.TAKE_OVER, open_to_others) if open_to_others else None


def _after(
    one: MadeCa,
    examined: Examined,
    verdict: Verdict | None,
    real: x509.Certificate | None,
) -> Generation:
    """The CA's generation once its change is made."""
    asked = one.certificate
    name, subject = one.ca.name, profiles.subject_name(asked.profile.subject)
    if verdict is None and real is not None:
        return _staying(one, real)
    ends = ends_when_issued(asked, examined.issuer, examined.now)
    if verdict is None or verdict.work is Work.NEW_KEY:
        return Generation(name, subject, ends)
    spki = examined.key_spki if examined.key_spki is not None else Unknown.AFTER_APPLY
    today = real if real is not None and spki == keys.spki(real) else None
    return Generation(name, subject, ends, today=today, spki=spki)


def _former(one: MadeCa, issuer: Generation) -> former_cas.Former:
    """A CA of which no more is known than that it was there: its key was another, and its end may be far."""
    own = rfc2253(profiles.subject_name(one.certificate.profile.subject)), None
    return former_cas.Former(one.ca.name, own, (rfc2253(issuer.subject), issuer.spki_sha256), None)


def _staying(one: MadeCa, real: x509.Certificate) -> Generation:
    subject = profiles.subject_name(one.certificate.profile.subject)
    return Generation(one.ca.name, subject, real.not_valid_after_utc, real, real, keys.spki(real))


def _secret(one: DesiredCa) -> tuple[str, ...]:
    """The key of a CA, and the file with its password."""
    return one.paths.key, one.paths.key_password


def _said_of_brought(crl: crls.Crl, now: datetime) -> str | None:
    ends, half = crl.next_update_utc, crls.half_of_life(crl)
    if crls.begins_later(crl, now):
        begins = f"{crl.last_update_utc:%Y-%m-%d %H:%M} UTC"
        return f"is valid from {begins}, so that every server and client that checks it refuses everyone until then"
    if ends is None or half is None or half > now:
        return None
    when = f"{ends:%Y-%m-%d %H:%M} UTC"
    return (
        f"expired on {when}, so that every server and client that checks it refuses everyone"
        if ends <= now
        else f"expires on {when}"
    )


def _with_crl(generation: Generation, text: bytes | Unknown, *, due: bool) -> Generation:
    return replace(generation, crl=text, crl_due=due)


def _with_fault(asked: DesiredCertificate, verdict: Verdict) -> Verdict:
    """Says of a certificate that is issued broken that this is meant."""
    if asked.fault is None or verdict.work is Work.PLACE:
        return verdict
    return replace(verdict, reasons=(*verdict.reasons, Reason(ReasonCode.ON_PURPOSE, wanted=asked.fault)))


def _encryption(one: DesiredCa, key: SeenKey) -> Reason:
    if key.encrypted:
        return Reason(ReasonCode.KEY_ENCRYPTED, one.paths.key)
    return Reason(ReasonCode.KEY_NOT_ENCRYPTED, one.paths.key)


def _rights(path: str, key: SeenKey, wanted: int = SECRET_FILE) -> Iterator[Reason]:
    if key.present and key.mode != wanted:
        yield Reason(ReasonCode.RIGHTS, path, f"{key.mode:04o}", f"{wanted:04o}")
