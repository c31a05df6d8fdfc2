"""What a CA's CRL must list, and what a project's copy of CRLs must hold: rules that plan and apply share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from scaffold.errors import Unreadable
from scaffold.pki import crl as crls
from scaffold.plan.authorities import Generation
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.plan.unknown import Unknown
from scaffold.store.ledger import Issued, Ledger, Revoked
from scaffold.store.observation import Observation, SeenCrl


@dataclass(frozen=True)
class Copy:
    """CRLs that a server or client holds, and where."""

    path: str
    content: bytes

    @functools.cached_property
    def crls(self) -> tuple[crls.Crl, ...]:
        """Those that can be read."""
        return tuple(_readable(self.content))


def entries(
    ledger: Ledger, ca: str, key: str, there: crls.Crl | None, listed: Iterable[crls.Revoked], now: datetime
) -> tuple[Revoked, ...]:
    """What the CRL of `ca` lists when it is signed at `now`.

    `key` is the SHA-256 of the CA's SPKI: what another key of the same CA has signed is no business of this one.
    `there` is the CRL in place, where this key signed it, and `listed` what it lists. An entry leaves only once it has
    stood on a CRL issued past its certificate's end (RFC 5280 3.3), and the one in place is the only one that is known
    to have been seen.
    """
    known = (
        entry
        for (name, serial), entry in ledger.revoked.items()
        if name == ca and _signed_with(ledger, ca, serial, key) and not _has_left(ledger, entry, there, now)
    )
    return (*known, *unrecorded(ledger, ca, listed))


def unrecorded(ledger: Ledger, ca: str, listed: Iterable[crls.Revoked]) -> tuple[Revoked, ...]:
    """What the CRL in place lists and the ledger knows nothing of: a ledger that was lost, or is an old copy.

    Only a hold that was lifted takes an entry back (RFC 5280 5.3.1), so these stay.
    """
    return tuple(
        Revoked(ca, serial, entry.reason.value, entry.when)
        for entry in listed
        if (pair := (ca, serial := f"{entry.serial:x}")) not in ledger.revoked and pair not in ledger.lifted
    )


def _signed_with(ledger: Ledger, ca: str, serial: str, key: str) -> bool:
    issued = ledger.by_serial.get((ca, serial))
    return issued is None or issued.issuer_key in ("", key)


def _has_left(ledger: Ledger, entry: Revoked, there: crls.Crl | None, now: datetime) -> bool:
    issued = ledger.by_serial.get((entry.ca, entry.serial))
    if issued is None or there is None:
        return False
    return issued.not_after < there.last_update_utc <= now


def off_crl(of: Callable[[str], Sequence[crls.Crl | None]], now: datetime) -> Callable[[Issued], bool]:
    """Whether what the ledger says of an ended certificate is no business of its CA's CRLs any more; `of` has them.

    Its entry has stood on a CRL that was issued past the certificate's end, and has left the one that is in place:
    which of a CA's keys signed it does not matter where that holds for the CRL of each.
    """
    listed = functools.cache(lambda ca: [(there, _serials(there)) for there in of(ca)])

    def is_off(one: Issued) -> bool:
        found = listed(one.ca)
        return bool(found) and all(_is_off(one, there, serials, now) for there, serials in found)

    return is_off


def _is_off(one: Issued, there: crls.Crl | None, serials: frozenset[str] | None, now: datetime) -> bool:
    if there is None or serials is None:
        return False
    return one.not_after < there.last_update_utc <= now and one.serial not in serials


def _serials(there: crls.Crl | None) -> frozenset[str] | None:
    """What a CRL lists; None where that cannot be understood."""
    try:
        return frozenset(f"{entry.serial:x}" for entry in crls.entries(there)) if there is not None else None
    except Unreadable:
        return None


def lacking(
    ledger: Ledger, ca: str, key: str, there: crls.Crl, listed: Sequence[crls.Revoked], now: datetime
) -> Reason | None:
    """What is wrong with the entries of the CRL in place, which are `listed`; None where nothing is.

    An entry that may leave does so with the next signature, and is no reason for one.
    """
    reasons = {f"{entry.serial:x}": entry.reason for entry in listed}
    # What is listed and not recorded stays as it is, and so lacks nothing.
    wanted = entries(ledger, ca, key, there, (), now)
    missing = [entry.serial for entry in wanted if reasons.get(entry.serial) != entry.reason]
    if missing:
        return Reason(ReasonCode.ENTRIES_MISSING, found=_counted(missing))
    lifted = [serial for serial in reasons if (ca, serial) in ledger.lifted]
    return Reason(ReasonCode.ENTRIES_LIFTED, found=_counted(lifted)) if lifted else None


def _counted(serials: list[str]) -> str | int:
    """The serial number of a single one."""
    return serials[0] if len(serials) == 1 else len(serials)


def freshest(there: bytes | None, wanted: bytes, generations: Iterable[Generation], now: datetime) -> bytes:
    """What a project's file of CRLs should hold: `wanted`, but for what a fetcher has put there that is newer.

    Of two CRLs that one key has signed, the higher number is the newer (RFC 5280 5.2.3). Where every CRL that is there
    is as new as the wanted one and still valid, the file is right as it is, byte for byte.
    """
    if there is None or there == wanted or not wanted:
        return wanted
    signers = [one for generation in generations for one in generation.signers]
    found = list(_readable(there))
    chosen = [_newer(one, found, signers, now) for one in crls.load_all(wanted)]
    kept = {crls.to_der(one) for one in found}
    if {crls.to_der(one) for one in chosen} == kept:
        return there
    return b"".join(map(crls.to_pem, chosen))


def still_does(there: bytes | None, generations: Iterable[Generation], ledger: Ledger, now: datetime) -> bool:
    """Whether a project's file of CRLs does until the next ones are put there.

    Of each CA, and of those above an existing one, it holds one that is valid and lists what the ledger has revoked; of
    nobody else it holds any. Whoever signs the next CRLs leaves every project with such a file.
    """
    found = list(_readable(there or b""))
    wanted = [(generation, signer) for generation in generations for signer in generation.signers]
    serving = [_serving(one, wanted, ledger, now) for one in found]
    return None not in serving and set(serving) == {signer for _, signer in wanted}


def _serving(
    crl: crls.Crl, wanted: list[tuple[Generation, x509.Certificate]], ledger: Ledger, now: datetime
) -> x509.Certificate | None:
    """Whose valid CRL it is, where it lists what it must."""
    if not crls.is_current(crl, now):
        return None
    for generation, signer in wanted:
        if crls.signed_by(crl, signer):
            return signer if _lacks_nothing(crl, generation, signer, ledger, now) else None
    return None


def _lacks_nothing(
    crl: crls.Crl, generation: Generation, signer: x509.Certificate, ledger: Ledger, now: datetime
) -> bool:
    known = b"" if isinstance(generation.crl, Unknown) else generation.crl or b""
    newest = next((one for one in _readable(known) if crls.signed_by(one, signer)), None)
    if newest == crl:
        return True
    key = generation.spki_sha256
    if signer is not generation.today or isinstance(key, Unknown):
        return False  # what others sign is known by what they brought alone
    try:
        listed = crls.entries(crl)
        if newest is not None and not {*crls.entries(newest)} <= {*listed}:
            return False
        return lacking(ledger, generation.ca, key, crl, listed, now) is None
    except Unreadable:
        return False


def taken_over(brought: bytes | None, there: crls.Crl | None, ca: x509.Certificate) -> bytes | None:
    """What is kept of the CRLs that came with an existing CA, in PEM: the newest that its own key has signed.

    Its number and entries go on from there, once `crl` is taken out of `existing` and the list is signed here; so
    an older one never takes the place of a newer.
    """
    found = [one for one in _readable(brought or b"") if crls.signed_by(one, ca)]
    if not found:
        return None
    if there is not None and crls.signed_by(there, ca):
        found.append(there)
    return crls.to_pem(max(found, key=age))


def copies(paths: Iterable[str], observed: Observation) -> tuple[Copy, ...]:
    """What servers and clients hold of CRLs, the same text once. A plan that looks at them reads each file once."""
    found: list[Copy] = []
    for path in paths:
        if (file := observed.file(path)) is None:
            continue
        # Compared and not hashed: many projects hold the same, and long ones take their time.
        known = next((one for one in found if one.content == file.content), None)
        if known is None:
            known = Copy(path, file.content)
            found.append(known)
        observed.keep(path, file._replace(content=known.content))
    return tuple(found)


def newest(there: SeenCrl, held: Iterable[Copy], ca: x509.Certificate) -> tuple[crls.Crl | None, str | None]:
    """The newest CRL that the CA's key has signed, and where it is: None for the one in place.

    A backup that is put back is older than what the CA has signed since, and than the copies of that.
    """
    last = there.crl if there.crl is not None and crls.signed_by(there.crl, ca) else None
    path = None
    for copy in held:
        for one in copy.crls:
            is_its = one.issuer == ca.subject and one != last and crls.signed_by(one, ca)
            if is_its and (last is None or age(one) > age(last)):
                last, path = one, copy.path
    return last, path


def lost(ledger: Ledger, ca: str, listed: Iterable[crls.Revoked], last: crls.Crl, path: str) -> Reason | None:
    """Whether a newer copy at `path` revokes what neither the ledger nor the CRL in place knows of."""
    try:
        unknown = unrecorded(ledger, ca, set(crls.entries(last)) - set(listed))
    except Unreadable:
        return None
    serials = sorted(one.serial for one in unknown)
    return Reason(ReasonCode.ENTRIES_IN_COPY, path, found=_counted(serials)) if serials else None


def age(crl: crls.Crl) -> tuple[int, datetime]:
    """Of two CRLs of one key, the newer has the greater one (RFC 5280 5.2.3)."""
    return crls.number(crl) or 0, crl.last_update_utc


def _readable(content: bytes) -> Iterator[crls.Crl]:
    try:
        yield from crls.load_all(content)
    except Unreadable:
        return


def _newer(wanted: crls.Crl, found: list[crls.Crl], signers: list[x509.Certificate], now: datetime) -> crls.Crl:
    best, highest = wanted, crls.number(wanted) or 0
    signer = next((one for one in signers if crls.signed_by(wanted, one)), None)
    for one in found:
        number = crls.number(one)
        if number is None or number <= highest or one.issuer != wanted.issuer or signer is None:
            continue
        if crls.is_current(one, now) and crls.signed_by(one, signer):
            best, highest = one, number
    return best
