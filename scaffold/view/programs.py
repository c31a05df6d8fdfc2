"""The same results as JSON for programs: field names and values are a contract."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaffold.plan.model import Action, Change, Plan
from scaffold.verify.model import Report
from scaffold.view.reach import reach_value
from scaffold.view.reasons import sentence

if TYPE_CHECKING:
    from scaffold.apply import Outcome
    from scaffold.contract.model import ContractReport
    from scaffold.kinds.catalogue import Kind
    from scaffold.plan.reach import Reach


def plan_json(plan: Plan) -> str:
    """`{"topology", "changes", "notes", "summary"}`."""
    return dump(
        {
            "topology": plan.topology,
            "changes": [change_value(change) for change in plan.changes],
            "notes": list(map(str, plan.notes)),
            "summary": {action.value: plan.summary.get(action, 0) for action in Action},
        }
    )


def outcome_json(plan: Plan, outcome: Outcome, revoked: Sequence[Reach] = ()) -> str:
    """`{"topology", "changes", "undone", "revoked", "notes", "summary"}`.

    That is what was done, what would have cost an edit, and how far each revocation reaches.
    """
    return dump(
        {
            "topology": plan.topology,
            "changes": [change_value(change) for change in outcome.done],
            "undone": [change_value(change) for change in outcome.undone],
            "revoked": [reach_value(one) for one in revoked],
            "notes": list(map(str, plan.notes)),
            "summary": {action.value: plan.summary.get(action, 0) for action in Action},
        }
    )


def change_value(change: Change) -> Mapping[str, Any]:
    """`{"address", "action", "reasons": [{"code", "message"}], "paths"}`."""
    return {
        "address": str(change.address),
        "action": change.action.value,
        "reasons": [{"code": reason.code.code, "message": sentence(reason)} for reason in change.reasons],
        "paths": list(change.paths),
    }


def report_json(report: Report) -> str:
    """`{"checks", "drift", "summary"}`."""
    checks = [
        {
            "server": check.server,
            "client": check.client,
            "probe": check.probe.value,
            "expected": check.expected.value,
            "observed": check.observed.value,
            "layer": check.layer,
            "detail": check.detail,
            "result": check.result.value,
        }
        for check in report.checks
    ]
    summary = {result.value: count for result, count in report.summary.items()}
    return dump({"checks": checks, "drift": [change_value(change) for change in report.drift], "summary": summary})


def templates_json(kinds: Sequence[Kind]) -> str:
    """`{"templates": [{"template", "role", "summary", "builtin", "folder", "requires", "variables", …}]}`."""
    return dump({"templates": list(map(_template_value, kinds))})


def _template_value(kind: Kind) -> dict[str, Any]:
    can = kind.capabilities
    return {
        "template": kind.name,
        "role": kind.role,
        "summary": can.summary,
        "builtin": kind.builtin,
        "folder": str(kind.folder),
        "requires": [list(group) for group in can.requires],
        "tries": list(can.tries),
        "variables": dict(kind.defaults),
        "tls": sorted(can.tls),
        "check_revocation": sorted(can.check_revocation),
        "on_unavailable": sorted(can.on_unavailable),
        "keys": dict(can.keys),
        "peer_keys": dict(can.peer_keys),
        "supports": sorted(can.supports),
        "decides_by": can.decides_by,
        "runs": can.runs,
        "owners": {"yours": list(can.owners.yours), "merged": list(can.owners.merged)},
        "mutations": [mutation.breaks for mutation in can.mutations],
    }


def contract_json(report: ContractReport) -> str:
    """`{"template", "role", "checks": [{"check", "result", "detail"}], "summary"}`."""
    return dump(
        {
            "template": report.template,
            "role": report.role,
            "checks": [
                {"check": check.name, "result": check.result.value, "detail": check.detail} for check in report.checks
            ],
            "summary": {result.value: count for result, count in report.summary.items()},
        }
    )


def dump(value: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
