"""The saved plan file: what a person looked at is what apply does, or it is refused.

The file says nothing that apply would obey: apply makes the plan again and goes on only where both are the same.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scaffold.errors import PlanError
from scaffold.plan.make import Planned
from scaffold.plan.model import Change, Plan, Revocation
from scaffold.plan.reasons import Reason, Value
from scaffold.plan.sources import Sources, sources
from scaffold.store import whole_file
from scaffold.store.seen import Seen, SeenFile, SeenFolder
from scaffold.topology.address import Address
from scaffold.topology.inputs import read_at_most

FORMAT = 5
_MOST_BYTES = 256 * 1024 * 1024
"""A plan of a hundred thousand changes has some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A plan as in its file: of each change its address and its text, compared and never carried out.

    `out` is the output folder that it was made for, `sources` are the digests of what it was made from.
    """

    topology: str
    out: str
    sources: Mapping[str, str]
    state_serial: str
    changes: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """Names the plan in the ledger once it was carried out: the SHA-256 of all that it says."""
        said = (self.topology, self.out, sorted(self.sources.items()), self.state_serial, self.changes)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def to_value(plan: Plan, made_from: Sources) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "format": FORMAT,
        "topology": plan.topology,
        "out": made_from.out,
        "sources": dict(made_from.digests),
        "state_serial": plan.state_serial,
        "changes": [_change(change) for change in plan.changes],
        "notes": list(map(str, plan.notes)),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "address": str(change.address),
        "action": change.action.value,
        "work": change.work.value if change.work else None,
        "reasons": [_reason(reason) for reason in change.reasons],
        "paths": list(change.paths),
        "seen": [_seen(one) for one in change.seen],
        "edits": [[path, edit.value] for path, edit in change.edits],
        "revocations": [_revocation(one) for one in change.revocations],
    }


def _revocation(one: Revocation) -> list[Any]:
    return [one.ca, one.serial, one.reason, one.replace, *(each.isoformat() for each in one.holds)]


def _seen(seen: Seen) -> dict[str, Any]:
    match seen:
        case SeenFile(path, sha256):
            return {"path": path, "sha256": sha256}
        case SeenFolder(path, names):
            return {"path": path, "names": list(names)}


def _reason(reason: Reason) -> dict[str, Any]:
    values = {"path": reason.path, "found": reason.found, "wanted": reason.wanted, "of": reason.of}
    said = {name: _plain(value) for name, value in values.items() if value is not None}
    return {"code": reason.code.value, **said}


def _plain(value: Value) -> str | int | list[str] | None:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return int(value.total_seconds())
        case Address():
            return str(value)
        case tuple():
            return list(map(str, value))
        case _:
            return value


def from_value(value: Any) -> Saved:
    """The plan that `to_value` wrote. Raises PlanError."""
    try:
        if value["format"] != FORMAT:
            raise PlanError(
                f"this plan was saved in format {value['format']}, this version reads {FORMAT}", hint="save it again"
            )
        changes = tuple((str(change["address"]), json.dumps(change, sort_keys=True)) for change in value["changes"])
        digests = {str(what): str(digest) for what, digest in value["sources"].items()}
        return Saved(str(value["topology"]), str(value["out"]), digests, str(value["state_serial"]), changes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanError(
            "this is not a plan saved by scaffold", hint="`scaffold plan --save FILE` writes one"
        ) from error


def save_plan(planned: Planned, path: Path) -> None:
    """Writes the plan, atomically, as a new file or over a plan that was saved before. Raises PlanError."""
    _check_free(path)
    text = json.dumps(to_value(planned.plan, sources(planned.basis)), indent=1, ensure_ascii=False) + "\n"
    try:
        whole_file.write(path, text.encode())
    except OSError as error:
        hint = "give --save a file in an existing folder"
        raise PlanError(f"cannot save the plan to {path}: {error.strerror or error}", hint=hint) from error


def _check_free(path: Path) -> None:
    """Raises PlanError where something is at `path` that is no saved plan: it would be lost."""
    try:
        is_file = stat.S_ISREG(path.lstat().st_mode)
        value = json.loads(read_at_most(path, _MOST_BYTES)) if is_file else None
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not {"format", "topology", "changes"} <= value.keys():
        raise PlanError(f"{path} exists, and is not a saved plan", hint="give --save the name of a new file")


def load_plan(path: Path) -> Saved:
    """A saved plan. Raises PlanError."""
    try:
        return from_value(json.loads(read_at_most(path, _MOST_BYTES)))
    except OSError as error:
        hint = "`scaffold plan --save FILE` writes one"
        raise PlanError(f"cannot read the plan {path}: {error.strerror or error}", hint=hint) from error
    except (ValueError, RecursionError) as error:
        hint = "`scaffold plan --save FILE` writes one"
        if path.suffix in (".yaml", ".yml"):
            hint = f"{hint}; a topology is named with -f: scaffold apply -f {path}"
        raise PlanError(f"{path} is not a plan saved by scaffold", hint=hint) from error


def check_same(saved: Saved, today: Planned) -> None:
    """Raises PlanError where the world has moved on since `saved`: `today` is the plan made again."""
    if (at := today.basis.observed.ledger.applied.get(saved.digest)) is not None:
        left = "there is nothing to do now" if not today.plan.changes else "the changes to make now are different"
        raise PlanError(
            f"this plan was applied on {at:%Y-%m-%d %H:%M} UTC; {left}",
            hint="see `scaffold plan`",
        )
    compare(saved, from_value(to_value(today.plan, sources(today.basis))))


def compare(saved: Saved, now: Saved) -> None:
    """Raises PlanError where they are not the same: what is named is the first thing that explains the rest."""
    if saved == now:
        return
    if (saved.topology, saved.out) != (now.topology, now.out):
        raise PlanError(
            f'this plan was saved for the topology "{saved.topology}" and the output folder {saved.out}, not for '
            f'"{now.topology}" and {now.out}',
            hint="give the same -f and --out, or save a new plan",
        )
    names = dict.fromkeys((*now.sources, *saved.sources))
    if changed := [name for name in names if saved.sources.get(name) != now.sources.get(name)]:
        raise PlanError(
            f"{changed[0]} has changed since the plan was saved",
            hint="check `scaffold plan`, and save a new one",
        )
    before, after = set(saved.changes), set(now.changes)
    differing = (one for one in (*now.changes, *saved.changes) if (one in before) != (one in after))
    address, _ = next(differing, (None, ""))
    where = f": the plan for {address} is different now" if address else ""
    raise PlanError(
        f"the topology or the output folder has changed since the plan was saved{where}",
        hint="check `scaffold plan`, and save a new one",
    )
