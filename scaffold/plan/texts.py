"""The texts behind a plan: unified diffs of the files it would change. Keys, bundles and passwords have none here."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scaffold.kinds.render import Rendered
from scaffold.plan.authorities import Authorities
from scaffold.plan.desired import DesiredParty
from scaffold.plan.make import Planned
from scaffold.plan.merging import Merged, Texts
from scaffold.plan.model import Change, Edit, Work
from scaffold.plan.standing_projects import record_of
from scaffold.plan.trust_files import Project, Roots, ignored, trust_files
from scaffold.plan.unknown import Unknown
from scaffold.store.seen import NO_FILE
from scaffold.topology.model import Topology

_OPEN = frozenset({Work.FILL, Work.TRUST, Work.REFRESH, Work.RENDER, Work.WRITE, Work.RESTORE, Work.OFFER})


@dataclass(frozen=True, slots=True)
class Text:
    """A file before and after; `before` is None where it is not there."""

    path: str
    before: bytes | None
    after: bytes | Unknown

    def unified(self) -> str:
        """The unified diff; one sentence for what has none."""
        if isinstance(self.after, Unknown):
            return f"{self.path}: {self.after.value}\n"
        try:
            before, after = (self.before or b"").decode(), self.after.decode()
        except UnicodeDecodeError:
            return f"{self.path}: binary, {len(self.before or b'')} bytes become {len(self.after)}\n"
        origin = self.path if self.before is not None else "/dev/null"
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), origin, self.path
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def texts(planned: Planned) -> Iterator[Text]:
    """The text files that a plan changes, in its order. Raises KindError, StoreError."""
    t, kinds, observed, settled = (
        planned.basis.topology,
        planned.basis.kinds,
        planned.basis.observed,
        planned.authorities,
    )
    brought = planned.basis.brought.roots
    parties = {one.party.address: one for one in planned.basis.desired.parties}
    for change in planned.plan.changes:
        if change.work not in _OPEN:
            continue
        one = parties[change.address.entity]
        source = Project(t, one.party, kinds[one.party.address], settled)
        held = change.work is Work.REFRESH
        if held:
            source = source.letting_in(observed.records.of(one.party.address).guard)
        rendered = source.render()
        record = record_of(one, (f"{one.paths.folder}/{path}" for path in rendered), observed)
        after = _after(one, rendered, settled, t, brought, crls_in_use=held and observed.exists(one.paths.crl))
        wanted = (
            change.paths
            if change.work is not Work.RENDER
            else [path for path in after if not one.paths.is_in_tls(path)]
        )
        no_texts = (one.paths.tls, one.paths.bundle, one.paths.bundle_password)  # their rights alone are at issue
        there = Texts(record, observed.content, observed.base)
        after = (_restored if change.work is Work.RESTORE else _with_edits)(change, after, there)
        for path in (path for path in wanted if path not in no_texts and path in after):
            before = None if observed.edited_digest(path) == NO_FILE else observed.content(path)
            if (new := after[path]) != before:
                yield Text(path, before, new)


def _with_edits(change: Change, after: Mapping[str, bytes | Unknown], texts: Texts) -> Mapping[str, bytes | Unknown]:
    """What is there once a person's texts are dealt with: what stays has no text here."""
    found = {**dict.fromkeys(change.paths, b""), **after}
    for path, edit in change.edits:
        template = after.get(path)
        if edit is Edit.KEEP:
            del found[path]
        if edit in (Edit.MERGE, Edit.RESOLVE) and isinstance(template, bytes):
            outcome = texts.merged(path, template) if edit is Edit.MERGE else texts.resolved(path, template)
            found[path] = outcome.text if isinstance(outcome, Merged) else template
    return found


def _restored(change: Change, after: Mapping[str, bytes | Unknown], texts: Texts) -> Mapping[str, bytes | Unknown]:
    """What was last rendered, of the files that become that again."""
    found: dict[str, bytes | Unknown] = {}
    for path in change.paths:
        template = after[path]
        last = texts.last_rendered(path, None if isinstance(template, Unknown) else template)
        found[path] = template if last is None else last
    return found


def _after(
    one: DesiredParty,
    rendered: Mapping[str, Rendered | Unknown],
    settled: Authorities,
    t: Topology,
    brought: Roots,
    *,
    crls_in_use: bool,
) -> Mapping[str, bytes | Unknown]:
    found = {
        f"{one.paths.folder}/{path}": file if isinstance(file, Unknown) else file.content
        for path, file in rendered.items()
    }
    in_tls = [path for path in found if one.paths.is_in_tls(path)]
    fixed = trust_files(t, one, settled, brought, crls_in_use=crls_in_use)
    return {**found, one.paths.ignore: ignored(t, one, (*fixed, *in_tls)), **fixed}
