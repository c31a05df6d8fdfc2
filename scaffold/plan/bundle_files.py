"""The PFX bundle of a server or client: what it is made of, and why the one that is there will not do."""

from __future__ import annotations

from scaffold.plan.desired import DesiredParty
from scaffold.plan.reasons import Reason, ReasonCode
from scaffold.store import secrets
from scaffold.store.observation import Observation
from scaffold.store.projects import digest
from scaffold.topology.address import Part
from scaffold.topology.model import FileSecret


def inputs(one: DesiredParty, leaf: bytes) -> str:
    """Names what a bundle is made of: certificate and chain (and so its key), and how it is protected."""
    legacy = one.party.pfx.legacy if one.party.pfx is not None else False
    return digest(leaf + b"\0" + (b"legacy" if legacy else b"modern"))


def reason(one: DesiredParty, observed: Observation, *, reissued: bool, asked_for: bool) -> Reason | None:
    """Why the bundle is made again; None where it is as it should be.

    `reissued`: its certificate becomes another; `asked_for`: a person wants it. Raises StoreError.
    """
    there = observed.content(one.paths.bundle)
    if there is None:
        return Reason(ReasonCode.MISSING, one.paths.bundle)
    if reissued:
        return Reason(ReasonCode.BUNDLE_CERTIFICATE)
    if asked_for:
        return Reason(ReasonCode.BUNDLE_ASKED, one.paths.bundle)
    if not observed.exists(one.paths.bundle_password):
        return Reason(ReasonCode.MISSING, one.paths.bundle_password)
    record = observed.records.by_address.get(one.party.address.with_part(Part.BUNDLE))
    leaf = observed.content(one.paths.own.certificate) or b""
    if record is None or record.inputs != inputs(one, leaf):
        return Reason(ReasonCode.BUNDLE_INPUTS)
    if record.files.get(one.paths.bundle) != digest(there):
        return Reason(ReasonCode.BUNDLE_FOREIGN, one.paths.bundle)
    return _of_password(one, record.files.get(one.paths.bundle_password), observed)


def _of_password(one: DesiredParty, recorded: str | None, observed: Observation) -> Reason | None:
    """Whether the bundle has another password than it should, as far as that can be seen without asking for any."""
    path = one.paths.bundle_password
    there = observed.content(path)
    if recorded is not None and recorded != digest(there or b""):
        return Reason(ReasonCode.BUNDLE_FOREIGN, path)
    source = one.party.pfx.password if one.party.pfx is not None else None
    if not isinstance(source, FileSecret) or (given := secrets.seen(source)) is None:
        return None
    return None if given + b"\n" == there else Reason(ReasonCode.BUNDLE_PASSWORD, path, wanted=source.path.name)
