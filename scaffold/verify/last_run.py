"""What the last verification has seen, kept in the output folder for `explain` and `report`; git ignores it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from scaffold.errors import StoreError
from scaffold.store import files, whole_file
from scaffold.store.files import TEMPORARY
from scaffold.store.layout import VERIFIED, Layout, party_paths
from scaffold.store.projects import Records, digest
from scaffold.topology import graph
from scaffold.topology.model import Party, Topology
from scaffold.verify.model import Check, Expected, Observed, Probe, Report, Result

_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """A check, and when it was made."""

    check: Check
    at: datetime


@dataclass(frozen=True)
class LastRun:
    """Each check that was tried, as it was last seen.

    `folders`: the digest of each server's and client's files when it was last tried, by address.
    """

    seen: tuple[Seen, ...] = ()
    folders: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def _by_probe(self) -> Mapping[tuple[str, Probe], Sequence[Seen]]:
        """By server and probe: a thousand calls are explained by as many checks."""
        found: dict[tuple[str, Probe], list[Seen]] = {}
        for seen in self.seen:
            found.setdefault((seen.check.server, seen.check.probe), []).append(seen)
        return found

    def of(self, server: str, probes: Iterable[Probe], client: str | None = None) -> tuple[Seen, ...]:
        """What was seen at (or in the place of) a server, of some probes, in their order; of one caller, or of any."""
        return tuple(
            seen
            for probe in probes
            for seen in self._by_probe.get((server, probe), ())
            if client in (None, seen.check.client)
        )


def updated(
    before: LastRun, report: Report, at: datetime, folders: Mapping[str, str] = MappingProxyType({})
) -> LastRun:
    """What is known after a run: what it has not tried is as it was seen before.

    `folders` are the digests of those who took part in it.
    """
    tried = tuple(Seen(check, at) for check in report.checks if check.result is not Result.SKIPPED)
    again = {_key(seen.check) for seen in tried}
    seen = (*tried, *(seen for seen in before.seen if _key(seen.check) not in again))
    return LastRun(seen, {**before.folders, **folders})


def folders_tried(t: Topology, layout: Layout, records: Records, report: Report) -> dict[str, str]:
    """The digests of those whose certificates were shown or whose servers were asked. Raises StoreError."""
    tried = [check for check in report.checks if check.result is not Result.SKIPPED]
    names = {check.server for check in tried} | {check.client for check in tried}
    parties = (party for party in graph.parties(t) if party.name in names and not party.is_external)
    return {str(party.address): folder_digest(layout, records, party) for party in parties}


def folder_digest(layout: Layout, records: Records, party: Party) -> str:
    """SHA-256 over the files of a server or client that decide what it does: its project, certificates and trust.

    Keys go with their certificates. CRLs and staples are fetched again all the time, and are not looked at. Raises
    StoreError.
    """
    paths = party_paths(party.address.role, party.name)
    own = (paths.own.certificate, paths.client_side.certificate, paths.trust, paths.intermediates, paths.client_trust)
    looked_at = sorted({*own, *records.of(party.address).files} - {paths.crl, paths.staple})
    return digest("\n".join(_lines(layout, looked_at)).encode())


def _lines(layout: Layout, looked_at: Iterable[str]) -> Iterator[str]:
    for path in looked_at:
        try:
            found = files.read(layout.at(path))
        except StoreError:  # a link or a folder in its place
            yield f"{path} no file"
        else:
            yield f"{path} {digest(found.content) if found is not None else 'missing'}"


def _key(check: Check) -> tuple[str, str, Probe]:
    return check.server, check.client, check.probe


def save(layout: Layout, run: LastRun) -> None:
    """Writes it where that is allowed: whoever may read a folder alone can verify it, and has it explained without."""
    path = layout.path(VERIFIED)
    value = {"checks": [_written(seen) for seen in run.seen], "folders": dict(run.folders)}
    said = json.dumps(value, ensure_ascii=False, indent=1)
    with suppress(OSError):
        whole_file.write(path, f"{said}\n".encode(), suffix=TEMPORARY)


def load(layout: Layout) -> LastRun:
    """What was kept; nothing, where nothing was or where it cannot be understood: the next verification writes it."""
    path = layout.path(VERIFIED)
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return LastRun()
        value = json.loads(path.read_bytes())
        folders = {str(address): str(sha256) for address, sha256 in value.get("folders", {}).items()}
        return LastRun(tuple(_read(one) for one in value["checks"]), folders)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return LastRun()


def _written(seen: Seen) -> dict[str, Any]:
    check = seen.check
    return {
        "at": seen.at.isoformat(timespec="seconds"),
        "server": check.server,
        "client": check.client,
        "probe": check.probe.value,
        "expected": check.expected.value,
        "observed": check.observed.value,
        "layer": check.layer,
        "detail": check.detail,
        "result": check.result.value,
        **({"why": check.why} if check.why else {}),
    }


def _read(value: Any) -> Seen:
    check = Check(
        server=str(value["server"]),
        client=str(value["client"]),
        probe=Probe(value["probe"]),
        expected=Expected(value["expected"]),
        observed=Observed(value["observed"]),
        detail=str(value["detail"]),
        layer=None if value["layer"] is None else str(value["layer"]),
        result=Result(value["result"]),
        why=str(value.get("why", "")),
    )
    at = datetime.fromisoformat(value["at"])
    if at.tzinfo is None:
        raise ValueError("a time without an offset")
    return Seen(check, at)
