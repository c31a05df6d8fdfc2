"""Makes the files in `tls/` that are made of others there, and gives what is there its owner."""

from __future__ import annotations

from scaffold.apply.context import ApplyContext
from scaffold.errors import StoreError
from scaffold.pki import bundles
from scaffold.plan.desired import DesiredParty
from scaffold.plan.material import trust_store_inputs
from scaffold.plan.model import Change, Plan
from scaffold.settings.material import Derived, derived
from scaffold.store import files
from scaffold.topology.address import Part

_COPY = "copy"
"""Stands in the record for the digest of a copy: it is compared with its source, and may hold a password."""


def check_owners(context: ApplyContext, plan: Plan) -> None:
    """Raises StoreError where a new file would replace one of another user, to whom this user cannot give it."""
    for one in context.desired.parties:
        rights = context.basis.rights.get(one.party.address)
        if rights is None or rights.may_be_given():
            continue
        changes = (change for change in plan.changes if change.address.entity == one.party.address)
        for path in (path for change in changes for path in change.paths if one.paths.is_in_tls(path)):
            owns = context.observed.owners(path)
            if owns is not None and rights.owner is not None and owns[0] == rights.owner:
                raise StoreError(
                    f"{path} belongs to {one.party.files.chown if one.party.files else owns[0]}, and this user cannot "
                    "give a new file to that user",
                    hint="apply as root, or as that user",
                )


def derive(context: ApplyContext, one: DesiredParty, change: Change) -> None:
    """Writes what differs from its sources as they are now, removes what is not asked for. Raises StoreError."""
    standing = context.observed.records.of(one.party.address.with_part(Part.FILES)).files
    written: dict[str, str] = {}
    for file in derived(context.topology, one.party):
        path = f"{one.paths.tls}/{file.name}"
        texts = [context.read(f"{one.paths.tls}/{name}") for name in file.sources]
        known = [text for text in texts if text is not None]
        if len(known) < len(texts):
            continue  # what it is made of waits for something else, and so does it
        if file.copied:
            context.write(path, b"".join(known), mode=_mode(file))
            written[path] = _COPY
        else:
            written[path] = _trust_store(context, path, known[0], standing.get(path))
    for path in change.paths:
        if path in written:
            continue
        if path in standing:
            context.writer.remove(path)
        else:
            context.writer.give(path)
    context.projects.settled(change.address, None, written)


def _mode(file: Derived) -> int:
    return files.SECRET_FILE if file.secret else files.PUBLIC_FILE


def _trust_store(context: ApplyContext, path: str, trust: bytes, recorded: str | None) -> str:
    """What is recorded of it. One that holds these certificates already stays as it is."""
    there = context.read(path)
    if there is None or recorded != trust_store_inputs(there, trust):
        there = bundles.trust_store(bundles.load_certificates(trust))
        context.write(path, there)
    return trust_store_inputs(there, trust)
