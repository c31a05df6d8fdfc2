"""What the last verification has seen, kept in the output folder for `explain`; git ignores it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from scaffold.store.files import TEMPORARY
from scaffold.store.layout import VERIFIED, Layout
from scaffold.verify.model import Check, Expected, Observed, Probe, Report, Result

_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """A check, and when it was made."""

    check: Check
    at: datetime


@dataclass(frozen=True)
class LastRun:
    """Each check that was tried, as it was last seen."""

    seen: tuple[Seen, ...] = ()

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


def updated(before: LastRun, report: Report, at: datetime) -> LastRun:
    """What is known after a run: what it has not tried is as it was seen before."""
    tried = tuple(Seen(check, at) for check in report.checks if check.result is not Result.SKIPPED)
    again = {_key(seen.check) for seen in tried}
    return LastRun((*tried, *(seen for seen in before.seen if _key(seen.check) not in again)))


def _key(check: Check) -> tuple[str, str, Probe]:
    return check.server, check.client, check.probe


def save(layout: Layout, run: LastRun) -> None:
    """Writes it where that is allowed: whoever may read a folder alone can verify it, and has it explained without."""
    path = layout.path(VERIFIED)
    said = json.dumps({"checks": [_written(seen) for seen in run.seen]}, ensure_ascii=False, indent=1)
    with suppress(OSError):
        _replace(path, f"{said}\n".encode())


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(suffix=TEMPORARY, prefix=".verify.json.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(layout: Layout) -> LastRun:
    """What was kept; nothing, where nothing was or where it cannot be understood: the next verification writes it."""
    path = layout.path(VERIFIED)
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return LastRun()
        value = json.loads(path.read_bytes())
        return LastRun(tuple(_read(one) for one in value["checks"]))
    except (OSError, ValueError, LookupError, TypeError):
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
    )
    at = datetime.fromisoformat(value["at"])
    if at.tzinfo is None:
        raise ValueError("a time without an offset")
    return Seen(check, at)
