"""The saved plan file: what a person looked at is what apply does, or it is refused.

The file says nothing that apply would obey: apply makes the plan anew and goes on only where both are the same.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from scaffold.errors import AddressError, PlanError
from scaffold.plan.model import Action, Change, Plan, Reason, Revocation, Work
from scaffold.topology.address import Address
from scaffold.topology.notes import Note

FORMAT = 3


def to_value(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "format": FORMAT,
        "topology": plan.topology,
        "world": plan.world,
        "changes": [
            {
                "address": str(change.address),
                "action": change.action.value,
                "work": change.work.value if change.work else None,
                "reasons": [{"code": reason.code, "message": reason.message} for reason in change.reasons],
                "paths": list(change.paths),
                "revocations": [[one.ca, one.serial, one.reason, one.replace] for one in change.revocations],
            }
            for change in plan.changes
        ],
        "notes": list(map(str, plan.notes)),
    }


def from_value(value: Any) -> Plan:
    """The plan that `to_value` wrote. Raises PlanError."""
    try:
        if value["format"] != FORMAT:
            raise PlanError(
                f"this plan was saved in format {value['format']}, this version reads {FORMAT}", hint="save it again"
            )
        return Plan(
            topology=str(value["topology"]),
            changes=tuple(_change(change) for change in value["changes"]),
            notes=tuple(Note(None, str(note)) for note in value["notes"]),
            world=str(value["world"]),
        )
    except (KeyError, TypeError, ValueError, AddressError) as error:
        raise PlanError(
            "this is not a plan that scaffold saved", hint="`scaffold plan --save FILE` writes one"
        ) from error


def _change(value: Any) -> Change:
    return Change(
        address=Address.parse(str(value["address"])),
        action=Action(value["action"]),
        reasons=tuple(Reason(str(reason["code"]), str(reason["message"])) for reason in value["reasons"]),
        paths=tuple(map(str, value["paths"])),
        work=Work(value["work"]) if value["work"] is not None else None,
        revocations=tuple(
            Revocation(str(ca), str(serial), str(reason), bool(replace))
            for ca, serial, reason, replace in value["revocations"]
        ),
    )


def save_plan(plan: Plan, path: Path) -> None:
    """Writes the plan, atomically. Raises PlanError."""
    text = json.dumps(to_value(plan), indent=1, ensure_ascii=False) + "\n"
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PlanError(f"cannot save the plan to {path}: {error.strerror or error}") from error


def load_plan(path: Path) -> Plan:
    """A saved plan. Raises PlanError."""
    try:
        return from_value(json.loads(path.read_bytes()))
    except OSError as error:
        raise PlanError(f"cannot read the plan {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise PlanError(
            f"{path} is not a plan that scaffold saved", hint="`scaffold plan --save FILE` writes one"
        ) from error


def check_same(saved: Plan, today: Plan) -> None:
    """Raises PlanError where the world has moved on since `saved`: `today` is the plan made anew."""
    if (saved.topology, saved.world, saved.changes) == (today.topology, today.world, today.changes):
        return
    before, after = set(saved.changes), set(today.changes)
    moved = next(
        (change.address for change in (*today.changes, *saved.changes) if (change in before) != (change in after)), None
    )
    where = f": {moved} is planned otherwise now" if moved else ""
    raise PlanError(
        f"the world has moved on since the plan was saved{where}", hint="look at `scaffold plan` again, and save that"
    )
